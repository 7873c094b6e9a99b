//! The system's own files: `/proc` and `/sys`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file that are read; the rest is not looked at. `mountinfo` of a host with thousands of containers has one or
/// two million, everything else a few thousand.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Where the system's files lie: `/`, or a folder in which a test has put its own.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    /// The machine's.
    pub(super) fn system() -> Self {
        Self { root: "/".into() }
    }

    /// Those below `root`.
    #[cfg(test)]
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The text of a file; `None` where there is none or it cannot be read, as an absent controller's.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.at(path)).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file that is a number and nothing else.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.trim().parse().ok()
    }

    /// Where the system really has `path`, which begins with `/`.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The number of a `key value` line, as in a control group's `cpu.stat` and `memory.stat`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A system of the files of a test.
    pub(in crate::node::load) struct Fake {
        folder: tempfile::TempDir,
    }

    impl Fake {
        pub(in crate::node::load) fn new(files: &[(&str, &str)]) -> Self {
            let fake = Self { folder: tempfile::tempdir().unwrap() };
            files.iter().for_each(|(path, text)| fake.write(path, text));
            fake
        }

        pub(in crate::node::load) fn write(&self, path: &str, text: &str) {
            let path = self.files().at(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(in crate::node::load) fn files(&self) -> Files {
            Files::below(self.folder.path())
        }
    }

    #[test]
    fn a_file_is_read_whatever_is_in_it() {
        let fake = Fake::new(&[("/proc/a", "12\n"), ("/proc/b", "twelve")]);
        let files = fake.files();
        assert_eq!(
            (files.number("/proc/a"), files.number("/proc/b"), files.number("/none")),
            (Some(12), None, None)
        );
        std::fs::write(files.at("/proc/c"), b"\xff7").unwrap();
        assert_eq!(files.read("/proc/c").as_deref(), Some("\u{fffd}7"));
        assert_eq!(files.read("/proc"), None);
    }

    #[test]
    fn a_key_is_a_whole_word() {
        let check =
            |key, expected| assert_eq!(keyed("file_mapped 1\nfile 22\nanon x\n", key), expected, "{key}");
        check("file", Some(22));
        check("file_mapped", Some(1));
        check("anon", None);
        check("fil", None);
    }
}
