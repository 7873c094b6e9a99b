//! Keeps the house tidy: the import table, names, lengths, nothing left undone; and prints the yardstick.

#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/yardstick.rs"]
mod yardstick;

use std::path::Path;

use source::{Content, Source, blank, read_all};

/// The longest a file may be.
const MAX_FILE_LINES: usize = 600;
/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "types", "manager", "misc"];
/// What may not be left in the source, tests included. Written apart, so that this file does not break its own rule.
const UNDONE: [&str; 5] = [
    concat!("#[ig", "nore"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
    concat!("FIX", "ME"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn everything() -> Vec<Source> {
    ["src", "ingest-tests"].into_iter().flat_map(|folder| read_all(root(), folder)).collect()
}

#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn rooms_know_only_what_they_may() {
    assert_none("breaches of the import table", &rooms::breaches(&read_all(root(), "src")));
}

#[test]
fn files_are_short_and_have_names_that_say_something() {
    let long = |source: &&Source| source.lines.len() > MAX_FILE_LINES;
    let sources = everything();
    let too_long: Vec<String> = sources
        .iter()
        .filter(long)
        .map(|source| format!("{}: {}", source.path, source.lines.len()))
        .collect();
    assert_none("files of more than 600 lines", &too_long);
    let empty = |path: &str| path.split(['/', '.']).any(|part| EMPTY_NAMES.contains(&part));
    let empty_names: Vec<String> =
        sources.iter().map(|source| source.path.clone()).filter(|path| empty(path)).collect();
    assert_none("files with empty names", &empty_names);
}

#[test]
fn nothing_is_left_undone() {
    let marks = |source: &Source| {
        let lines = source.text.lines().zip(source.code.lines()).zip(1..);
        let hits = lines
            .filter(|((text, code), _)| UNDONE.iter().any(|mark| code.contains(mark) || is_note(text, mark)));
        hits.map(|(_, number)| format!("{}:{number}", source.path)).collect::<Vec<_>>()
    };
    assert_none("left undone", &everything().iter().flat_map(marks).collect::<Vec<_>>());
}

/// Notes to oneself are in comments, where code is blank.
fn is_note(text: &str, mark: &str) -> bool {
    text.trim_start().starts_with("//") && mark.chars().all(char::is_uppercase) && text.contains(mark)
}

/// `make yardstick` shows it. What must hold is held; what is only aimed at is shown.
#[test]
fn yardstick() {
    let table = yardstick::table(&read_all(root(), "src"), &read_all(root(), "ingest-tests"));
    println!("{table}");
    let value = |name: &str| -> f64 {
        let row = table.lines().find(|line| line.starts_with(name)).expect("a row of the table");
        let text = row[44..].trim_start();
        let number = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        number.parse().expect("a number comes first")
    };
    assert!(value("functions over 70 lines") <= 1.0);
    assert!(value("share that decides") >= 60.0);
    assert!(value("test lines per production line") >= 0.8);
    assert!(value("unwrap/expect/panic") <= 0.0);
    assert!(
        value("spawn sites") <= 1.0 && table.contains("1; 0 "),
        "one place spawns, and no channel is unbounded"
    );
    assert!(value("citations per 1,000") >= 10.0);
}

#[test]
fn the_scanner_tells_code_from_words() {
    let check = |text: &str, expected: &str| assert_eq!(blank(text), expected, "{text}");
    check("a // {\nb", "a     \nb");
    check("a /* { */ b", "a         b");
    check(r#"f("{\"}") + 1"#, r#"f("    ") + 1"#);
    check("let c = '{'; let s: &'a str", "let c = \" \"; let s: &'a str");
    check(r##"r#"a"{"# x"##, r##""      " x"##);
    check("'\\'' {", "\"  \" {");
}

#[test]
fn the_scanner_tells_tests_and_functions() {
    let text = "use a;\n\nfn one(x: [u8; 2]) {\n    // why\n}\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\nfn three() {}\n";
    let source = Source::new("src/media/x.rs".to_owned(), text.to_owned(), false);
    assert_eq!((source.room(), source.count(true), source.count(false)), ("media", 4, 6));
    assert_eq!(source.function_lengths(), [3, 1]);
    assert_eq!((source.lines[3].content, source.lines[1].content), (Content::Comment, Content::Blank));
}

#[test]
fn each_breach_is_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let source = Source::new(path.to_owned(), text.to_owned(), false);
        assert_eq!(rooms::breaches(&[source]), expected, "{text}");
    };
    check("src/media/a.rs", "use crate::{base::names::Name, ffmpeg::{ladder::Ladder, args}};", &[]);
    check(
        "src/media/a.rs",
        "use crate::{base::{names, clock}};",
        &["src/media/a.rs may not import base::clock"],
    );
    check("src/proxy/a.rs", "fn f() { crate::node::run() }", &["src/proxy/a.rs may not import node::run"]);
    check("src/node/a.rs", "use crate::config::Config;", &["src/node/a.rs may not import config::Config"]);
    check("src/base/a.rs", "use crate::media;", &["src/base/a.rs may not import media"]);
    check(
        "src/hls/a.rs",
        "use std::time::SystemTime;",
        &["src/hls/a.rs decides, and may not use SystemTime"],
    );
    check("src/hls/a.rs", "// tokio\nlet s = \"tokio\";\n#[cfg(test)]\nmod t { use tokio::net; }", &[]);
}

#[test]
fn a_cycle_is_found() {
    let source = |path: &str, text: &str| Source::new(path.to_owned(), text.to_owned(), false);
    let circle =
        [source("src/hls/a.rs", "use crate::media;"), source("src/media/b.rs", "use crate::hls::x;")];
    assert_eq!(rooms::cycles(&circle), ["src/hls/a.rs imports media", "src/media/b.rs imports hls"]);
    assert!(rooms::cycles(&circle[..1]).is_empty());
}
