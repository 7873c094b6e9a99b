//! What is wrong with a configuration, for the person who has to mend it. A secret never appears here.

use std::fmt;
use std::io;
use std::path::Path;

use super::DEFAULT_FILE;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot be read: {cause}")]
    Unreadable {
        /// What the system said.
        cause: String,
    },
    /// The file is no TOML.
    #[error("not TOML: {message}")]
    Syntax {
        /// What the parser said, without the line itself.
        message: String,
    },
    /// Nothing has this name.
    #[error("{key}: unknown key{}, known here: {}", suggestion(.nearest.as_deref()), .known.join(", "))]
    UnknownKey {
        /// Where it stands, for example `rtmp.lisen`.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<String>,
        /// All that could stand there.
        known: Vec<String>,
    },
    /// A value that cannot be.
    #[error("{key}{}: {problem}", assignment(.value.as_deref()))]
    Refused {
        /// Where it stands, for example `tenants.live.keys[0]`.
        key: String,
        /// The value as it was written; `None` for secrets and whole tables.
        value: Option<String>,
        /// What is allowed instead.
        problem: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean \"{nearest}\"?)")).unwrap_or_default()
}

fn assignment(value: Option<&str>) -> String {
    value.map(|value| format!(" = {value}")).unwrap_or_default()
}

/// A fault and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// From 1; `None` when the fault has no place in the file.
    pub line: Option<usize>,
    /// What is wrong.
    pub error: ConfigError,
}

/// All faults of one file, at least one, in the order of their lines. Its text has a line for each: `FILE:LINE: fault`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    errors: Vec<Located>,
}

impl ConfigErrors {
    pub(super) fn new(errors: Vec<Located>) -> Self {
        Self { file: DEFAULT_FILE.to_owned(), errors }
    }

    pub(super) fn unreadable(file: &Path, cause: &io::Error) -> Self {
        let error = ConfigError::Unreadable { cause: cause.to_string() };
        Self::new(vec![Located { line: None, error }]).in_file(file)
    }

    pub(super) fn in_file(self, file: &Path) -> Self {
        Self { file: file.display().to_string(), ..self }
    }

    /// The faults.
    #[must_use]
    pub fn errors(&self) -> &[Located] {
        &self.errors
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Located { line, error }) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            let line = line.map(|line| format!("{line}:")).unwrap_or_default();
            write!(f, "{separator}{}:{line} {error}", self.file)?;
        }
        Ok(())
    }
}

/// The known word that `written` was probably meant to be: at most half its letters away, and at most 3.
pub(super) fn nearest<'k>(written: &str, known: &'k [String]) -> Option<&'k str> {
    let allowed = (written.chars().count() / 2).clamp(1, 3);
    let distances = known.iter().map(|word| (distance(written, word), word.as_str()));
    distances.filter(|&(distance, _)| distance <= allowed).min().map(|(_, word)| word)
}

/// Levenshtein's distance: how many letters must be put in, taken out or replaced. One row of the table is kept.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, &other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["listen", "chunk_size", "idle_timeout", "key"].map(String::from);
        let check = |written, expected| assert_eq!(nearest(written, &known), expected, "{written}");
        check("lisen", Some("listen"));
        check("listenn", Some("listen"));
        check("litsen", Some("listen"));
        check("chunksize", Some("chunk_size"));
        check("idle_time_out", Some("idle_timeout"));
        check("keys", Some("key"));
        check("port", None);
        check("", None);
    }
}
