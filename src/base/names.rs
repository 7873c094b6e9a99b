//! Names of tenants, streams, renditions, nodes and tags: checked once, before one becomes a path, a label or a
//! log field.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A name that matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no name. The text itself is not repeated: it may be hostile, or a key pasted into the wrong field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name may not be empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A byte outside the alphabet, or one that may not come first.
    #[error(
        "a name is letters, digits, '.', '_' and '-', and begins with a letter or digit; byte {0} is not allowed"
    )]
    Byte(usize),
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        let allowed = |(at, byte): (usize, u8)| {
            byte.is_ascii_alphanumeric() || (at > 0 && matches!(byte, b'.' | b'_' | b'-'))
        };
        match text.bytes().enumerate().find(|&pair| !allowed(pair)) {
            Some((at, _)) => Err(NameError::Byte(at)),
            None => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A stream as the outside world names it: `TENANT/STREAM`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamName {
    /// Whose stream it is.
    pub tenant: Name,
    /// Its name within the tenant.
    pub name: Name,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<NameError>) {
        assert_eq!(text.parse::<Name>().err(), expected, "{text:?}");
    }

    #[test]
    fn only_the_alphabet_is_a_name() {
        check("demo", None);
        check("0.a_b-C", None);
        check("", Some(NameError::Empty));
        check(".hidden", Some(NameError::Byte(0)));
        check("-flag", Some(NameError::Byte(0)));
        check("a/b", Some(NameError::Byte(1)));
        check("a b", Some(NameError::Byte(1)));
        check("a\n", Some(NameError::Byte(1)));
        check("ä", Some(NameError::Byte(0)));
        check(&"a".repeat(128), None);
        check(&"a".repeat(129), Some(NameError::TooLong(129)));
    }
}
