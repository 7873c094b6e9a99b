//! The lease secret: 128 random bits that prove, on a lease's own connection, that the node was given the lease.
//!
//! It is looked up in a hash map, which does not compare in constant time. That gives nothing away here: the map's
//! hash is keyed with random bits of its own (SipHash), so what a guess collides with, and how long that takes, tells
//! nothing about a secret's digits; and a secret lives for the two seconds of an offer and is taken out when used.

use std::fmt;

const BYTES: usize = 16;

/// A lease secret. It has no `Display`, and its `Debug` is masked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LeaseSecret([u8; BYTES]);

impl LeaseSecret {
    /// A new one from the system's random source.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// From 32 hexadecimal digits; `None` for anything else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (pairs, []) = text.as_chunks::<2>() else { return None };
        let mut bytes = [0; BYTES];
        if pairs.len() != BYTES {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// As 32 hexadecimal digits, for the node that is given the lease. Not for logs.
    pub(super) fn expose(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

fn digit(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

impl fmt::Debug for LeaseSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<[u8; 16]>) {
        assert_eq!(LeaseSecret::parse(text.as_bytes()).map(|secret| secret.0), expected, "{text:?}");
    }

    #[test]
    fn a_secret_is_thirty_two_hexadecimal_digits() {
        check(
            "000102030405060708090a0b0c0D0E0F",
            Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        );
        check("", None);
        check("000102030405060708090a0b0c0d0e0", None);
        check("000102030405060708090a0b0c0d0e0f00", None);
        check("000102030405060708090a0b0c0d0e0g", None);
        check("+00102030405060708090a0b0c0d0e0f", None);
    }

    #[test]
    fn a_secret_is_never_printed_and_never_the_same() {
        let secret = LeaseSecret::generate().expect("the system has random bits");
        assert_eq!(format!("{secret:?}"), "LeaseSecret(***)");
        assert_ne!(secret, LeaseSecret::generate().expect("the system has random bits"));
    }

    proptest! {
        #[test]
        fn what_a_node_is_told_is_what_it_must_say(bytes: [u8; 16]) {
            let secret = LeaseSecret(bytes);
            prop_assert_eq!(LeaseSecret::parse(secret.expose().as_bytes()), Some(secret));
        }
    }
}
