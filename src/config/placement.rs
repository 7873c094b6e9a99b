//! `[placement]`: how a node is chosen for a stream.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use super::reader::{Key, Reader, Setting};
use super::surroundings::Surroundings;
use crate::placement::policy::{Policy, PolicyKind};

/// How a node is chosen for a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// By what, and how much of a node is filled.
    pub policy: Policy,
    /// The file in which it is kept what work really costs; `None` keeps nothing across a restart. Where none is written it
    /// is in the folder that the system has for a program's state.
    pub learned: Option<PathBuf>,
}

/// What is written for [`Placement::learned`].
#[derive(Clone, Debug, PartialEq)]
enum Learned {
    Off,
    File(PathBuf),
}

impl Setting for PolicyKind {
    const ALLOWED: &'static str = r#""spread" or "pack""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "spread" => Some(Self::Spread),
            "pack" => Some(Self::Pack),
            _ => None,
        }
    }
}

impl Setting for Learned {
    const ALLOWED: &'static str = r#""off", or the path of a file"#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "" => None,
            "off" => Some(Self::Off),
            path => Some(Self::File(path.into())),
        }
    }
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    policy: Key<PolicyKind>,
    headroom: Key<f64>,
    learned: Key<Learned>,
}

impl Written {
    pub(super) fn mean(&self, reader: &mut Reader) -> Placement {
        let default = Policy::default();
        let kind = reader.get(&self.policy, default.kind);
        let headroom = reader.within(&self.headroom, default.headroom, 0.05..=100.0);
        let learned = match reader.optional(&self.learned) {
            Some(Learned::Off) => None,
            Some(Learned::File(path)) => Some(path),
            None => state_file(reader.surroundings),
        };
        Placement { policy: Policy { kind, headroom, ..default }, learned }
    }
}

/// The file in the folder for state: systemd's (systemd.exec(5): several are parted by colons), or else that of the XDG Base
/// Directory Specification (where a path that is not absolute counts as none).
fn state_file(surroundings: &dyn Surroundings) -> Option<PathBuf> {
    let folder = |name: &str| surroundings.variable(name).filter(|folder| Path::new(folder).is_absolute());
    let systemd = folder("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(PathBuf::from));
    let xdg = || folder("XDG_STATE_HOME").map(|home| Path::new(&home).join("headgate"));
    let home = || folder("HOME").map(|home| Path::new(&home).join(".local/state/headgate"));
    systemd.or_else(xdg).or_else(home).map(|folder| folder.join("costs.json"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;

    struct Variables(BTreeMap<&'static str, &'static str>);

    impl Surroundings for Variables {
        fn variable(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&value| value.to_owned())
        }

        fn read(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn host_name(&self) -> Option<String> {
            None
        }
    }

    #[track_caller]
    fn check(variables: &[(&'static str, &'static str)], expected: Option<&str>) {
        let surroundings = Variables(variables.iter().copied().collect());
        assert_eq!(state_file(&surroundings), expected.map(PathBuf::from));
    }

    #[test]
    fn what_is_learnt_is_kept_where_the_system_keeps_state() {
        let (home, xdg) = (("HOME", "/home/ann"), ("XDG_STATE_HOME", "/state"));
        check(&[], None);
        check(&[home], Some("/home/ann/.local/state/headgate/costs.json"));
        check(&[home, xdg], Some("/state/headgate/costs.json"));
        check(
            &[home, xdg, ("STATE_DIRECTORY", "/var/lib/headgate:/var/lib/b")],
            Some("/var/lib/headgate/costs.json"),
        );
        check(&[home, ("XDG_STATE_HOME", "state")], Some("/home/ann/.local/state/headgate/costs.json"));
        check(&[("HOME", "")], None);
    }
}
