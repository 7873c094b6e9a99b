//! What a publisher asks for, as it was sent.

use std::fmt;

use super::address::{AddressError, PublishAddress};

/// A `publish` command together with what `connect` said. Answer it with `Session::accept_publish` or
/// `Session::refuse_publish`.
///
/// `Debug` shows names and masks all that may be a secret; the fields themselves hold secrets and are not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// `app` of `connect`: the first part of the URL's path.
    pub app: String,
    /// The stream's text: name and query, as in an encoder's field for the stream key.
    pub stream: String,
    /// `tcUrl` of `connect`: the URL up to the stream.
    pub tc_url: String,
    /// `flashVer` of `connect`, at most 128 characters: which encoder it is, roughly.
    pub encoder: String,
    /// What shall become of the stream.
    pub kind: PublishKind,
    /// What the encoder can do beyond RTMP 1.0.
    pub capabilities: Capabilities,
}

/// What an encoder announces in `connect` (Enhanced RTMP v2, "Enhancing NetConnection connect Command"). What it *can*
/// send says nothing of what it will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It understands `NetConnection.Connect.ReconnectRequest` (`capsEx` bit 0).
    pub reconnect: bool,
}

/// The type of a `publish` command (RTMP 1.0 §7.2.2.6). Encoders of live streams send any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishKind {
    /// Live, and what a missing or unknown type is taken as.
    #[default]
    Live,
    /// Recorded to a new file.
    Record,
    /// Appended to a file.
    Append,
}

impl PublishKind {
    /// From the command's text, in any case.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if text.eq_ignore_ascii_case("record") {
            Self::Record
        } else if text.eq_ignore_ascii_case("append") {
            Self::Append
        } else {
            Self::Live
        }
    }
}

impl PublishRequest {
    /// Which stream is meant, and what proves the right to it.
    pub fn address(&self) -> Result<PublishAddress, AddressError> {
        PublishAddress::parse(&self.app, &self.stream, &self.tc_url)
    }
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("app", &masked(&self.app))
            .field("stream", &masked(&self.stream))
            .field("tc_url", &masked(&self.tc_url))
            .field("encoder", &self.encoder)
            .field("kind", &self.kind)
            .field("capabilities", &self.capabilities)
            .finish()
    }
}

/// Keeps a URL's scheme, host and path; masks what stands before its `@` and all from the first byte that is in no name.
fn masked(text: &str) -> String {
    const MASK: &str = "***";
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    let (user, rest) = match rest.rfind('@') {
        Some(at) => (MASK, &rest[at..]),
        None => ("", rest),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@:/._-[]".contains(&byte);
    let end = rest.bytes().position(|byte| !plain(byte)).unwrap_or(rest.len());
    let tail = if end < rest.len() { MASK } else { "" };
    // The scheme is what stands before the first "://" and may be anything, a key with a URL after it too.
    let scheme = if scheme.bytes().all(plain) { scheme } else { MASK };
    format!("{scheme}{user}{}{tail}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn names_are_shown_and_secrets_are_not() {
        check("demo", "demo");
        check("cam?key=hunter2", "cam***");
        check("cam%3Fkey=hunter2", "cam***");
        check("rtmp://example.org:1935/demo", "rtmp://example.org:1935/demo");
        check("rtmp://[::1]/demo?token=hunter2", "rtmp://[::1]/demo***");
        check("rtmp://me:hunter2@example.org/demo", "rtmp://***@example.org/demo");
        check("rtmp://me:p@hunter2@example.org/demo", "rtmp://***@example.org/demo");
        check("?key=hunter2://x", "***x");
        check("", "");
    }

    #[test]
    fn debug_shows_no_secret() {
        let request = PublishRequest {
            app: "demo?key=hunter2".into(),
            stream: "cam?pass=hunter2".into(),
            tc_url: "rtmp://u:hunter2@h/demo?key=hunter2".into(),
            encoder: "FMLE/3.0".into(),
            kind: PublishKind::Live,
            capabilities: Capabilities::default(),
        };
        let text = format!("{request:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("cam") && text.contains("FMLE"), "{text}");
    }

    #[test]
    fn the_type_may_be_in_any_case_or_unknown() {
        assert_eq!(PublishKind::from_text("LIVE"), PublishKind::Live);
        assert_eq!(PublishKind::from_text("Record"), PublishKind::Record);
        assert_eq!(PublishKind::from_text("APPEND"), PublishKind::Append);
        assert_eq!(PublishKind::from_text("default"), PublishKind::Live);
    }
}
