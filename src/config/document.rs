//! The text of the file as a tree in which every key and value knows its place, from which errors get their line and
//! key path.

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::{ConfigError, ConfigErrors, Located, nearest};
use super::reader::{Fault, Place, Problem};

/// The most characters of a refused value that an error repeats.
const MAX_SHOWN: usize = 60;

/// A file that is valid TOML.
pub(super) struct Document<'a> {
    text: &'a str,
    tree: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Reads the text as TOML. The parser's own rendering of an error is not used: it repeats the line, and that may
    /// hold a secret.
    pub(super) fn parse(text: &'a str) -> Result<Self, ConfigErrors> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, tree });
        }
        let located = |error: &toml::de::Error| Located {
            line: error.span().map(|span| line_of(text, span.start)),
            error: ConfigError::Syntax { message: error.message().to_owned() },
        };
        Err(ConfigErrors::new(errors.iter().map(located).collect()))
    }

    /// Takes the document as a `T`. What serde refuses (an unknown key, a section that is no table) is noted and taken
    /// out, and the rest is tried again, so that one slip of the pen does not hide the next. Ends because every round
    /// makes the tree smaller.
    pub(super) fn sift<T: Deserialize<'a> + Default>(&self) -> (T, Vec<Problem>) {
        let mut rest = self.tree.clone();
        let mut problems = Vec::new();
        loop {
            let error = match T::deserialize(Deserializer::from(rest.clone())) {
                Ok(written) => return (written, problems),
                Err(error) => error,
            };
            let place = error.span();
            problems.push(Problem { place: place.clone(), fault: Fault::from_serde(error.message()) });
            if !place.is_some_and(|place| remove(rest.get_mut(), &place)) {
                return (T::default(), problems);
            }
        }
    }

    /// Turns problems into errors that a person can act on, in the order of the file.
    pub(super) fn explain(&self, problems: Vec<Problem>) -> ConfigErrors {
        let mut errors: Vec<_> = problems.into_iter().map(|problem| self.locate(problem)).collect();
        errors.sort_by_key(|located| located.line);
        ConfigErrors::new(errors)
    }

    /// Gives a problem its line, key path and value. A table's own value is not shown: it may hold secrets.
    fn locate(&self, problem: Problem) -> Located {
        let place = problem.place.as_ref();
        let key = place.and_then(|place| find(self.tree.get_ref(), place));
        let (key, scalar) = key.unwrap_or_default();
        let shown = || place.filter(|_| scalar).and_then(|place| self.text.get(place.clone())).map(abridged);
        let error = match problem.fault {
            Fault::UnknownKey { known } => {
                let written = key.rsplit('.').next().unwrap_or_default();
                let nearest = nearest(written, &known).map(str::to_owned);
                ConfigError::UnknownKey { key, nearest, known }
            }
            Fault::Value(problem) => ConfigError::Refused { key, value: shown(), problem },
            Fault::HiddenValue(problem) => ConfigError::Refused { key, value: None, problem },
        };
        Located { line: place.map(|place| line_of(self.text, place.start)), error }
    }
}

/// Lines are counted from 1, as editors do.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

/// A value as it was written, on one line and not longer than [`MAX_SHOWN`].
fn abridged(value: &str) -> String {
    let line: Vec<_> = value.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The path of the key at `place`, and whether `place` is that of a value that is no table. The innermost entry counts:
/// a table that was never written by itself shares the place of what is in it.
fn find(table: &DeTable<'_>, place: &Place) -> Option<(String, bool)> {
    table.iter().find_map(|(key, value)| {
        let path = path_segment(key.get_ref());
        match find_within(value.get_ref(), place) {
            Some((rest, scalar)) => Some((format!("{path}{rest}"), scalar)),
            None if value.span() == *place => Some((path, !value.get_ref().is_table())),
            None => (key.span() == *place).then_some((path, false)),
        }
    })
}

/// The same below a value: in its table, or in the elements of its array.
fn find_within(value: &DeValue<'_>, place: &Place) -> Option<(String, bool)> {
    if let Some(table) = value.as_table() {
        return find(table, place).map(|(rest, scalar)| (format!(".{rest}"), scalar));
    }
    value.as_array()?.iter().enumerate().find_map(|(index, element)| {
        match find_within(element.get_ref(), place) {
            Some((rest, scalar)) => Some((format!("[{index}]{rest}"), scalar)),
            None => (element.span() == *place).then(|| (format!("[{index}]"), !element.get_ref().is_table())),
        }
    })
}

/// A key as it has to be written in a path: bare where TOML allows it, quoted otherwise.
fn path_segment(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// Takes the entry at `place` out; whether there was one.
fn remove(table: &mut DeTable<'_>, place: &Place) -> bool {
    let before = table.len();
    let entries = std::mem::take(table).into_iter();
    *table = entries.filter(|(key, value)| key.span() != *place && value.span() != *place).collect();
    table.len() < before || table.iter_mut().any(|(_, value)| remove_within(value.get_mut(), place))
}

/// The same below a value. The places of what remains do not change, so errors still point into the original text.
fn remove_within(value: &mut DeValue<'_>, place: &Place) -> bool {
    if let DeValue::Table(table) = value {
        return remove(table, place);
    }
    let DeValue::Array(array) = value else { return false };
    let before = array.len();
    let elements = std::mem::replace(array, DeArray::new());
    *array = elements.into_iter().filter(|element| element.span() != *place).collect();
    array.len() < before || array.iter_mut().any(|element| remove_within(element.get_mut(), place))
}
