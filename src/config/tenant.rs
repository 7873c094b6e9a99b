//! `[tenants.NAME]`: who may publish, with which keys, and what is made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use toml::{Spanned, Value};

use super::profile::{self, Profile, ProfileTags};
use super::reader::{Key, Reader, Setting};
use super::surroundings::SecretSource;
use super::units::Quantity;
use crate::base::names::Name;
use crate::base::secret::Secret;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::Ladder;
use crate::placement::tenancy::{TenantLimits, WhenFull, Wish};
use crate::placement::work::Work;

/// The tenant that there is when none is written.
const BUILT_IN: &str = "live";
/// Streams of a tenant at once, unless it says otherwise.
const DEFAULT_MAX_STREAMS: usize = 100;
/// The most tags that a tenant can be bound to: more than a node may have, and it would have no node.
const MAX_TAGS: usize = crate::placement::load::MAX_TAGS;

/// Someone whose streams are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Any of these lets a publisher in. Without keys everyone is, which off loopback must be said with
    /// `allow_anonymous`.
    pub keys: Vec<StreamKey>,
    /// Its part of the fleet where room is short, compared with the other tenants'.
    pub weight: f64,
    /// Streams at once.
    pub max_streams: usize,
    /// Pixels a second of everything that is encoded for it; `None` for any number.
    pub max_pixels_per_second: Option<u64>,
    /// What all its publishers may send together; `None` for any amount.
    pub max_bitrate: Option<Bitrate>,
    /// Its streams go only to nodes that have all of these.
    pub tags: Vec<Name>,
    /// What happens to a publish for which no node has room.
    pub when_full: WhenFull,
    /// Name of the profile.
    pub profile: Name,
    /// The ladder of that profile.
    pub ladder: Arc<Ladder>,
    /// The nodes that profile is for.
    pub profile_tags: Arc<ProfileTags>,
    /// Whether it was said that a tenant without keys is meant so.
    pub allow_anonymous: bool,
}

impl Tenant {
    /// One of which nothing is written but its profile.
    fn of(profile: Name, Profile { ladder, tags: profile_tags }: Profile) -> Self {
        Self {
            keys: Vec::new(),
            weight: 1.0,
            max_streams: DEFAULT_MAX_STREAMS,
            max_pixels_per_second: None,
            max_bitrate: None,
            tags: Vec::new(),
            when_full: WhenFull::Refuse,
            profile,
            ladder,
            profile_tags,
            allow_anonymous: false,
        }
    }

    /// Whether a publisher of `stream` that presents this key is let in; one that presents none has the empty key. All
    /// keys are compared, in constant time each, so that the time taken does not tell which one was nearly right.
    #[must_use]
    pub fn allows(&self, stream: &Name, presented: &[u8]) -> bool {
        let any = self.keys.iter().fold(false, |any, key| any | key.allows(stream, presented));
        any || self.keys.is_empty()
    }

    /// Which nodes its streams may have: with the tags of the tenant and those of its profile.
    #[must_use]
    pub fn node_tags(&self) -> ProfileTags {
        let mut tags = ProfileTags::clone(&self.profile_tags);
        tags.require.extend(self.tags.iter().cloned());
        tags.require.sort();
        tags.require.dedup();
        tags
    }

    /// What it may have of the fleet, where its streams are expected to be what the profile makes of a usual source.
    #[must_use]
    pub fn limits(&self) -> TenantLimits {
        TenantLimits {
            weight: self.weight,
            max_streams: self.max_streams,
            max_pixels_per_second: self.max_pixels_per_second,
            when_full: self.when_full,
            expected: Wish { work: Work::expected(&self.ladder), require_tags: self.node_tags().require },
        }
    }
}

/// A tenant's part, compared with the others'.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Weight(f64);

impl Setting for Weight {
    const ALLOWED: &'static str = "a number, such as 1.0";

    fn read(written: &Value) -> Option<Self> {
        match written {
            Value::Integer(whole) => Some(Self(f64::from(i32::try_from(*whole).ok()?))),
            Value::Float(number) => Some(Self(*number)),
            Value::String(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                None
            }
        }
    }
}

impl Quantity for Weight {
    fn written(self) -> String {
        self.0.to_string()
    }
}

impl Setting for WhenFull {
    const ALLOWED: &'static str = r#""refuse" or "wait""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "refuse" => Some(Self::Refuse),
            "wait" => Some(Self::Wait),
            _ => None,
        }
    }
}

/// A secret that lets a publisher in, for all streams of the tenant or some.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamKey {
    /// What must be presented; never empty.
    pub secret: Secret,
    /// The streams that it is for; all where there is none.
    pub pattern: Option<StreamPattern>,
}

impl StreamKey {
    /// Whether this key lets in a publisher of `stream` that presents `presented`. The secret is compared in any case.
    #[must_use]
    pub fn allows(&self, stream: &Name, presented: &[u8]) -> bool {
        let bound = self.pattern.as_ref().is_none_or(|pattern| pattern.matches(stream));
        self.secret.matches(presented) & bound
    }
}

/// A pattern for names of streams, in which `*` stands for any letters or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPattern(Box<str>);

impl StreamPattern {
    /// Whether the whole name fits. Each piece between stars is taken where it comes first, which is never worse than
    /// later, so nothing is tried twice.
    #[must_use]
    pub fn matches(&self, stream: &Name) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| stream.as_str().strip_prefix(first)) else {
            return false;
        };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

impl Setting for StreamPattern {
    const ALLOWED: &'static str = r#"the name of a stream, in which "*" stands for any letters"#;

    fn read(written: &Value) -> Option<Self> {
        let text = written.as_str()?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'*');
        (!text.is_empty() && text.bytes().all(legal)).then(|| Self(text.into()))
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    keys: Vec<Spanned<WrittenKey>>,
    weight: Key<Weight>,
    max_streams: Key<usize>,
    max_pixels_per_second: Key<u64>,
    max_bitrate: Key<Bitrate>,
    tags: Key<Vec<Name>>,
    when_full: Key<WhenFull>,
    profile: Key<Name>,
    allow_anonymous: Key<bool>,
}

/// `"secret"` or `{ key = "secret", stream = "pattern" }`.
enum WrittenKey {
    Bare(String),
    Bound(BoundKey),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BoundKey {
    key: Key<SecretSource>,
    stream: Key<StreamPattern>,
}

impl<'de> Deserialize<'de> for WrittenKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = WrittenKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#""secret" or { key = "secret", stream = "pattern" }"#)
            }

            fn visit_str<E>(self, text: &str) -> Result<WrittenKey, E> {
                Ok(WrittenKey::Bare(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<WrittenKey, A::Error> {
                BoundKey::deserialize(MapAccessDeserializer::new(table)).map(WrittenKey::Bound)
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

impl Written {
    /// Whether neither keys nor the word `allow_anonymous` guard it.
    pub(super) fn is_open(&self) -> bool {
        self.keys.is_empty() && self.allow_anonymous.value() != Some(&true)
    }

    fn mean(&self, profiles: &BTreeMap<Name, Profile>, reader: &mut Reader) -> Tenant {
        let allow_anonymous = reader.get(&self.allow_anonymous, false);
        if allow_anonymous && !self.keys.is_empty() {
            reader
                .refuse(self.allow_anonymous.place(), "contradicts the tenant's keys: remove one of the two");
        }
        let (name, profile) = self.profile(profiles, reader);
        let default = Tenant::of(name, profile);
        // A part a hundred times as large or as small is as good as all or none.
        let weights = Weight(0.01)..=Weight(100.0);
        // Below: less than any camera makes. Above: thousands of nodes.
        let (pixels, bitrates) =
            (100_000..=1_000_000_000_000, Bitrate::kilobits(100)..=Bitrate(1_000_000_000_000));
        Tenant {
            keys: self.keys.iter().filter_map(|key| mean_key(key, reader)).collect(),
            weight: reader.within(&self.weight, Weight(default.weight), weights).0,
            max_streams: reader.within(&self.max_streams, default.max_streams, 1..=100_000),
            max_pixels_per_second: reader.optional_within(&self.max_pixels_per_second, pixels),
            max_bitrate: reader.optional_within(&self.max_bitrate, bitrates),
            tags: self.tags(reader),
            when_full: reader.get(&self.when_full, default.when_full),
            allow_anonymous,
            ..default
        }
    }

    fn tags(&self, reader: &mut Reader) -> Vec<Name> {
        let mut tags = reader.get(&self.tags, Vec::new());
        if tags.len() > MAX_TAGS {
            reader.refuse(self.tags.place(), format!("must be at most {MAX_TAGS} names"));
            tags.clear();
        }
        tags.sort();
        tags.dedup();
        tags
    }

    fn profile(&self, profiles: &BTreeMap<Name, Profile>, reader: &mut Reader) -> (Name, Profile) {
        let name = reader.get(&self.profile, profile::default_name());
        if let Some(profile) = profiles.get(&name) {
            return (name, profile.clone());
        }
        let known: Vec<_> = profiles.keys().map(Name::as_str).collect();
        reader.refuse(
            self.profile.place(),
            format!("must be a profile, of which there are: {}", known.join(", ")),
        );
        (name, profile::default_profile())
    }
}

fn mean_key(written: &Spanned<WrittenKey>, reader: &mut Reader) -> Option<StreamKey> {
    match written.get_ref() {
        WrittenKey::Bare(text) => {
            let key = Key::written(written.span(), &Value::String(text.clone()));
            Some(StreamKey { secret: reader.secret(&key)?, pattern: None })
        }
        WrittenKey::Bound(BoundKey { key, stream }) => {
            let pattern = reader.optional(stream);
            reader.required(key, "key", &written.span())?;
            Some(StreamKey { secret: reader.secret(key)?, pattern })
        }
    }
}

/// All tenants; the built-in one only where none is written, since its door is open.
pub(super) fn mean(
    written: &BTreeMap<Spanned<String>, Written>,
    profiles: &BTreeMap<Name, Profile>,
    reader: &mut Reader,
) -> BTreeMap<Name, Tenant> {
    if written.is_empty() {
        return built_in(profiles);
    }
    let tenants = written.iter().filter_map(|(name, tenant)| {
        let meant = tenant.mean(profiles, reader);
        reader.name(name).map(|name| (name, meant))
    });
    tenants.collect()
}

/// The tenant `live`, without keys.
pub(super) fn built_in(profiles: &BTreeMap<Name, Profile>) -> BTreeMap<Name, Tenant> {
    let name = BUILT_IN.parse().expect("four letters are a name");
    let profile = profile::default_name();
    let meant = profiles.get(&profile).cloned().unwrap_or_else(profile::default_profile);
    BTreeMap::from([(name, Tenant::of(profile, meant))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("the test writes a legal name")
    }

    fn key(secret: &str, pattern: Option<&str>) -> StreamKey {
        let pattern = pattern.map(|pattern| StreamPattern(pattern.into()));
        StreamKey { secret: Secret::new(secret), pattern }
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        let check = |pattern: &str, stream, expected| {
            let matches = StreamPattern(pattern.into()).matches(&name(stream));
            assert_eq!(matches, expected, "{pattern} {stream}");
        };
        check("cam", "cam", true);
        check("cam", "cam1", false);
        check("*", "cam1", true);
        check("cam*", "cam", true);
        check("cam*", "camera", true);
        check("cam*", "acam", false);
        check("*-hd", "cam-hd", true);
        check("*-hd", "cam-hd-2", false);
        check("c*m*1", "cam-m-11", true);
        check("c*m*1", "cam-m-12", false);
        check("ab*ba", "aba", false);
        check("a**a", "aa", true);
    }

    #[test]
    fn a_publisher_needs_one_of_the_keys_for_its_stream() {
        let tenants = built_in(&profile::built_in());
        let open = tenants.get(&name("live")).expect("it is built in");
        let guarded = Tenant {
            keys: vec![key("one", Some("cam*")), key("two", None), key("two", Some("x"))],
            ..open.clone()
        };
        let check = |tenant: &Tenant, stream, presented: &str, expected| {
            let allowed = tenant.allows(&name(stream), presented.as_bytes());
            assert_eq!(allowed, expected, "{stream} {presented:?}");
        };
        check(open, "anything", "", true);
        check(open, "anything", "whatever", true);
        check(&guarded, "cam1", "one", true);
        check(&guarded, "other", "one", false);
        check(&guarded, "other", "two", true);
        check(&guarded, "cam1", "", false);
        check(&guarded, "cam1", "on", false);
        check(&guarded, "cam1", "onetwo", false);
    }
}
