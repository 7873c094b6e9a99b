//! Signatures of the handshake since Flash Player 9. Adobe never published them; this is what Flash, FFmpeg, librtmp and
//! every server do alike. The keys are in all of them: a signature shows a kind of program, never who it is.
//!
//! ```text
//! C1, S1:  time(4) version(4) · half(764) · half(764)      one half holds offset(4), the other a key exchange (RTMPE)
//!          digest = HMAC-SHA256(key, all but the digest), at a place that the offset's bytes add up to
//! S2:      fill(1504) · HMAC-SHA256(HMAC-SHA256(key, C1's digest), fill)
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::HANDSHAKE_BYTES;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Places that a digest can be at: a half without the offset and the digest itself.
const PLACES: usize = 764 - 4 - DIGEST_BYTES;
/// Signs C1.
const PLAYER_KEY: &[u8] = b"Genuine Adobe Flash Player 001";
/// Signs S1; with [`KEY_END`] after it, S2.
const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// What follows both keys where they sign an answer.
const KEY_END: [u8; 32] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57, 0x6E,
    0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];

/// A digest.
pub(super) type Digest = [u8; DIGEST_BYTES];

/// Which half of C1 and S1 holds the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The first half; FFmpeg and librtmp without encryption. Often called scheme 1.
    First,
    /// The second half; later Flash Players. Often called scheme 0.
    Second,
}

impl Scheme {
    /// The scheme by which C1 is signed, and its digest. `None` if it is not.
    pub(super) fn of(challenge: &[u8; HANDSHAKE_BYTES]) -> Option<(Self, Digest)> {
        [Self::First, Self::Second].into_iter().find_map(|scheme| {
            let digest = scheme.digest(PLAYER_KEY, challenge);
            let place = scheme.place(challenge);
            (challenge[place..place + DIGEST_BYTES] == digest).then_some((scheme, digest))
        })
    }

    /// Signs S1.
    pub(super) fn sign(self, first: &mut [u8; HANDSHAKE_BYTES]) {
        let digest = self.digest(SERVER_KEY, first);
        let place = self.place(first);
        first[place..place + DIGEST_BYTES].copy_from_slice(&digest);
    }

    fn digest(self, key: &[u8], bytes: &[u8; HANDSHAKE_BYTES]) -> Digest {
        let place = self.place(bytes);
        hmac(key, [&bytes[..place], &bytes[place + DIGEST_BYTES..]])
    }

    /// Where the digest is; at most 1504, so it always fits.
    fn place(self, bytes: &[u8; HANDSHAKE_BYTES]) -> usize {
        let offset = match self {
            Self::First => 8,
            Self::Second => 8 + 764,
        };
        let sum: usize = bytes[offset..offset + 4].iter().map(|&byte| usize::from(byte)).sum();
        offset + 4 + sum % PLACES
    }
}

/// S2: `fill`, its end replaced with the signature that answers C1's digest.
pub(super) fn response(client_digest: &Digest, mut fill: [u8; HANDSHAKE_BYTES]) -> [u8; HANDSHAKE_BYTES] {
    let key = hmac(&[SERVER_KEY, &KEY_END].concat(), [client_digest]);
    let (signed, signature) = fill.split_at_mut(HANDSHAKE_BYTES - DIGEST_BYTES);
    signature.copy_from_slice(&hmac(&key, [&*signed]));
    fill
}

fn hmac<const N: usize>(key: &[u8], pieces: [&[u8]; N]) -> Digest {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A C1 that is signed as a Flash Player signs.
    pub(crate) fn challenge(scheme: Scheme) -> [u8; HANDSHAKE_BYTES] {
        let mut bytes = [0x5A; HANDSHAKE_BYTES];
        bytes[..8].copy_from_slice(&[0, 0, 0, 0, 10, 0, 45, 2]);
        let (digest, place) = (scheme.digest(PLAYER_KEY, &bytes), scheme.place(&bytes));
        bytes[place..place + DIGEST_BYTES].copy_from_slice(&digest);
        bytes
    }

    /// Checks S1 and S2 as FFmpeg's and librtmp's clients do.
    pub(crate) fn check_answer(scheme: Scheme, challenge: &[u8; HANDSHAKE_BYTES], answer: &[u8]) {
        let (first, second) = answer.split_at(HANDSHAKE_BYTES);
        let first = first.first_chunk().expect("S1 is whole");
        let place = scheme.place(first);
        assert_eq!(first[place..place + DIGEST_BYTES], scheme.digest(SERVER_KEY, first));
        let place = scheme.place(challenge);
        let key = hmac(&[SERVER_KEY, &KEY_END].concat(), [&challenge[place..place + DIGEST_BYTES]]);
        assert_eq!(
            second[HANDSHAKE_BYTES - DIGEST_BYTES..],
            hmac(&key, [&second[..HANDSHAKE_BYTES - DIGEST_BYTES]])
        );
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_code_is_hmac_sha256() {
        let expected = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        assert_eq!(hmac(b"Jefe", [b"what do ya want ", b"for nothing?"]), expected);
    }

    proptest! {
        #[test]
        fn any_challenge_is_harmless(bytes in prop::collection::vec(any::<u8>(), HANDSHAKE_BYTES)) {
            let mut bytes: [u8; HANDSHAKE_BYTES] = bytes.try_into().expect("of that length");
            prop_assert_eq!(Scheme::of(&bytes), None);
            for scheme in [Scheme::First, Scheme::Second] {
                scheme.sign(&mut bytes);
                prop_assert_eq!(Scheme::of(&bytes), None, "a server's signature is no player's");
            }
        }
    }
}
