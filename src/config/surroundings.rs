//! What the configuration asks of the machine it is read on, and the secrets that it only points to.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::Value;

use super::reader::Setting;
use crate::base::secret::Secret;

/// The largest file that is read, in bytes: a configuration of thousands of tenants stays far below.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The machine, as far as the configuration needs it.
pub trait Surroundings {
    /// The environment variable `name`; `None` if it is not set or no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// The system's, and `InvalidData` where the file is no UTF-8 or far too large.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The host's name, whatever its owner made of it.
    fn host_name(&self) -> Option<String>;
}

/// The machine that this process runs on.
pub struct System;

impl Surroundings for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is larger than 4 MiB"));
        }
        Ok(text)
    }

    fn host_name(&self) -> Option<String> {
        sysinfo::System::host_name().ok()
    }
}

/// Where a secret is: in the configuration itself, or where that points to. No `Debug`, because of the first.
#[derive(Clone)]
pub(super) enum SecretSource {
    /// This is the secret.
    Literal(Secret),
    /// `env:NAME`.
    Variable(String),
    /// `file:PATH`.
    File(PathBuf),
}

impl Setting for SecretSource {
    const ALLOWED: &'static str = r#"a text that is not empty, "env:NAME" or "file:PATH""#;
    const SHOWN: bool = false;

    fn read(written: &Value) -> Option<Self> {
        let text = written.as_str()?;
        match text.split_once(':') {
            Some(("env" | "file", "")) => None,
            Some(("env", name)) => Some(Self::Variable(name.to_owned())),
            Some(("file", path)) => Some(Self::File(path.into())),
            Some(_) | None => (!text.is_empty()).then(|| Self::Literal(Secret::new(text))),
        }
    }
}

impl SecretSource {
    /// Fetches the secret. Space around it is cut off: a file mostly ends in a newline.
    pub(super) fn resolve(self, surroundings: &dyn Surroundings) -> Result<Secret, String> {
        let (text, place) = match self {
            Self::Literal(secret) => return Ok(secret),
            Self::Variable(name) => {
                let place = format!("the environment variable {name}");
                (surroundings.variable(&name).ok_or_else(|| format!("{place} is not set"))?, place)
            }
            Self::File(path) => {
                let place = format!("the file {}", path.display());
                (surroundings.read(&path).map_err(|error| format!("{place} cannot be read: {error}"))?, place)
            }
        };
        match text.trim() {
            "" => Err(format!("{place} is empty")),
            secret => Ok(Secret::new(secret)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reads_variables_files_and_its_name() {
        assert!(System.variable("PATH").is_some());
        assert!(System.variable("HEADGATE_NO_SUCH_VARIABLE").is_none());
        assert!(System.host_name().is_some_and(|name| !name.is_empty()));
        let missing = System.read(Path::new("/no/such/file")).expect_err("it does not exist");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let endless = System.read(Path::new("/dev/zero")).expect_err("it is too large");
        assert_eq!(endless.kind(), io::ErrorKind::InvalidData);
    }
}
