//! How a section's `Written` becomes what is meant: each key is read as its type, defaults fill the gaps, and what is
//! refused is noted with its place instead of ending the reading.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use super::surroundings::{SecretSource, Surroundings};
use super::units::Quantity;
use crate::base::names::Name;
use crate::base::secret::Secret;

/// Bytes of the file, from and to.
pub(super) type Place = Range<usize>;

/// What the value of a key may be.
pub(crate) trait Setting: Sized {
    /// What is allowed, to follow "must be".
    const ALLOWED: &'static str;
    /// Whether a refused value may be repeated; not where it may be a secret.
    const SHOWN: bool = true;

    /// The value, if it is an allowed one.
    fn read(written: &Value) -> Option<Self>;
}

/// A key as it was written: absent, or a value with its place. A value that is no `T` is kept as such, so that reading
/// goes on and the whole file is judged.
pub(super) struct Key<T>(Option<Spanned<Option<T>>>);

impl<T> Default for Key<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Setting> Deserialize<'de> for Key<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self::written(written.span(), written.get_ref()))
    }
}

impl<T: Setting> Key<T> {
    /// A key with a value at `place`.
    pub(super) fn written(place: Place, value: &Value) -> Self {
        Self(Some(Spanned::new(place, T::read(value))))
    }
}

impl<T> Key<T> {
    /// Where its value stands; `None` if the key is absent.
    pub(super) fn place(&self) -> Option<Place> {
        self.0.as_ref().map(Spanned::span)
    }

    /// Its value; `None` if it is absent or refused.
    pub(super) fn value(&self) -> Option<&T> {
        self.0.as_ref()?.get_ref().as_ref()
    }
}

/// Something refused, not yet told to anyone.
#[derive(Debug)]
pub(super) struct Problem {
    /// The key's or the value's place.
    pub(super) place: Option<Place>,
    /// What is wrong there.
    pub(super) fault: Fault,
}

/// What can be wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The key does not exist.
    UnknownKey {
        /// What exists there.
        known: Vec<String>,
    },
    /// The value is refused and may be repeated.
    Value(String),
    /// The value is refused and may hold a secret.
    HiddenValue(String),
}

impl Fault {
    /// Understands serde's message. It has the form "…, expected …" and repeats the value before the comma, so only
    /// what follows is used. Of an unknown field it names the known ones between backticks.
    pub(super) fn from_serde(message: &str) -> Self {
        let expected = message.rsplit_once("expected ").map(|(_, expected)| expected);
        if message.starts_with("unknown field") {
            let known = expected.unwrap_or_default().split('`').skip(1).step_by(2);
            return Self::UnknownKey { known: known.map(str::to_owned).collect() };
        }
        Self::HiddenValue(match expected {
            Some("a sequence") => "must be a list".to_owned(),
            Some("a map") => "must be a table".to_owned(),
            // A number beyond 64 bits is no value at all to serde.
            Some("any valid TOML value") | None => "is out of range".to_owned(),
            Some(other) => format!("must be {other}"),
        })
    }
}

/// Reads keys and collects what is refused.
pub(super) struct Reader<'a> {
    /// Where secrets are that the file only points to.
    pub(super) surroundings: &'a dyn Surroundings,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader to which `problems` are known already.
    pub(super) fn new(surroundings: &'a dyn Surroundings, problems: Vec<Problem>) -> Self {
        Self { surroundings, problems }
    }

    /// All that was refused.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Notes that what stands at `place` is refused.
    pub(super) fn refuse(&mut self, place: Option<Place>, problem: impl Into<String>) {
        self.problems.push(Problem { place, fault: Fault::Value(problem.into()) });
    }

    /// The key's value; `None` if it is absent or refused.
    pub(super) fn optional<T: Setting + Clone>(&mut self, key: &Key<T>) -> Option<T> {
        let written = key.0.as_ref()?;
        if written.get_ref().is_none() {
            let problem = format!("must be {}", T::ALLOWED);
            let fault = if T::SHOWN { Fault::Value(problem) } else { Fault::HiddenValue(problem) };
            self.problems.push(Problem { place: Some(written.span()), fault });
        }
        written.get_ref().clone()
    }

    /// The key's value, or the default.
    pub(super) fn get<T: Setting + Clone>(&mut self, key: &Key<T>, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The key's value within a range, or the default.
    pub(super) fn within<T: Quantity>(&mut self, key: &Key<T>, default: T, range: RangeInclusive<T>) -> T {
        let value = self.get(key, default);
        if !range.contains(&value) {
            let (least, most) = (range.start().written(), range.end().written());
            self.refuse(key.place(), format!("must be from {least} to {most}"));
        }
        value
    }

    /// The key's value, which must be within a range; `None` if it is absent or refused.
    pub(super) fn optional_within<T: Quantity>(
        &mut self,
        key: &Key<T>,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        self.optional(key).map(|value| self.within(key, value, range))
    }

    /// A key that has no default: its absence is a fault of the table at `table`.
    pub(super) fn required<T: Setting + Clone>(
        &mut self,
        key: &Key<T>,
        name: &str,
        table: &Place,
    ) -> Option<T> {
        if key.0.is_none() {
            self.refuse(Some(table.clone()), format!("needs the key \"{name}\""));
        }
        self.optional(key)
    }

    /// The secret that the key holds or points to.
    pub(super) fn secret(&mut self, key: &Key<SecretSource>) -> Option<Secret> {
        match self.optional(key)?.resolve(self.surroundings) {
            Ok(secret) => Some(secret),
            Err(problem) => {
                self.problems.push(Problem { place: key.place(), fault: Fault::HiddenValue(problem) });
                None
            }
        }
    }

    /// The name of a table such as `[tenants.NAME]`.
    pub(super) fn name(&mut self, written: &Spanned<String>) -> Option<Name> {
        let name = written.get_ref().parse();
        name.map_err(|error| self.refuse(Some(written.span()), format!("{error}"))).ok()
    }
}

impl Setting for bool {
    const ALLOWED: &'static str = "true or false";

    fn read(written: &Value) -> Option<Self> {
        written.as_bool()
    }
}

impl Setting for SocketAddr {
    const ALLOWED: &'static str =
        "an IP address and a port, such as \"127.0.0.1:1935\", \"0.0.0.0:1935\" or \"[::]:1935\"";

    fn read(written: &Value) -> Option<Self> {
        written.as_str()?.parse().ok()
    }
}

/// A port that can be switched off.
impl Setting for Option<SocketAddr> {
    const ALLOWED: &'static str =
        r#""off", or an IP address and a port, such as "127.0.0.1:1935", "0.0.0.0:1935" or "[::]:1935""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "off" => Some(None),
            address => address.parse().ok().map(Some),
        }
    }
}

impl Setting for Name {
    const ALLOWED: &'static str =
        "1 to 128 letters, digits, '.', '_' and '-', of which the first is a letter or digit";

    fn read(written: &Value) -> Option<Self> {
        written.as_str()?.parse().ok()
    }
}
