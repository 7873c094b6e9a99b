//! Replays what fuzzing found worth keeping: each file of `fixtures/fuzz/TARGET/` goes through that target's oracle, on
//! the toolchain that builds the product. `make fuzz` looks for more of them.

#[path = "fuzz/oracles.rs"]
mod oracles;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs every input, so that one report names all that fail.
#[track_caller]
fn check(target: &str, oracle: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target);
    let files: Vec<_> =
        std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let fails = |file: &&std::path::PathBuf| {
        let input = std::fs::read(file).expect("a fixture is readable");
        catch_unwind(AssertUnwindSafe(|| oracle(&input))).is_err()
    };
    let failed: Vec<_> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn sessions() {
    check("session", oracles::session);
}

#[test]
fn chunks() {
    check("chunk", oracles::chunk);
}

#[test]
fn amf0_values() {
    check("amf0", oracles::amf0);
}

#[test]
fn amf3_values() {
    check("amf3", oracles::amf3);
}

#[test]
fn flv_tags() {
    check("flv", oracles::flv);
}
