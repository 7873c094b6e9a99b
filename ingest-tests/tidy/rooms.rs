//! The import table of DESIGN §6: what each room may know of.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, is_word};

/// Rooms that decide: no tokio, no I/O, no clock.
pub const DECIDE: [&str; 10] =
    ["media", "rtmp", "srt", "hls", "ffmpeg", "placement", "stream", "vod", "wire", "directory"];
/// Rooms that act.
pub const ACT: [&str; 4] = ["proxy", "node", "engine", "cmd"];

/// What a deciding room may not contain.
const IMPURE: [&str; 8] =
    ["tokio", "std::net", "std::fs", "std::process", "std::thread", "std::env", "Instant::now", "SystemTime"];
/// Parts of `base` that act.
const ACTING_BASE: [&str; 5] = ["clock", "task", "shutdown", "log", "socket"];

/// A path after `crate::`, as its segments.
type Import = Vec<String>;

/// Every breach of the table, one a line.
pub fn breaches(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        let (room, code) = (source.room(), source.production());
        let may_not = |import: &Import| is_breach(room, import);
        let imports = imports(&code).into_iter().filter(may_not);
        breaches
            .extend(imports.map(|import| format!("{} may not import {}", source.path, import.join("::"))));
        if DECIDE.contains(&room) {
            let impure = IMPURE.iter().filter(|word| contains_word(&code, word));
            breaches.extend(impure.map(|word| format!("{} decides, and may not use {word}", source.path)));
        }
    }
    breaches.extend(cycles(sources).into_iter().map(|import| format!("{import}, which closes a circle")));
    breaches
}

/// Whether code in `room` may not import this path.
fn is_breach(room: &str, import: &Import) -> bool {
    let other = import[0].as_str();
    let composes = ["cmd", "proxy", "cli", "main"].contains(&room);
    match other {
        _ if other == room => false,
        "config" => !composes,
        "cli" | "cmd" => !["cmd", "cli", "main"].contains(&room),
        "proxy" | "node" | "engine" => room != "cmd",
        "base" => {
            DECIDE.contains(&room) && import.get(1).is_some_and(|part| ACTING_BASE.contains(&part.as_str()))
        }
        _ => room == "base",
    }
}

/// Paths that begin with `crate::` or, in `main.rs`, with `headgate::`.
fn imports(code: &str) -> Vec<Import> {
    let starts = ["crate::", "headgate::"].into_iter().flat_map(|root| {
        let hits = code.match_indices(root).filter(|&(at, _)| !code[..at].ends_with(is_word));
        hits.map(move |(at, _)| at + root.len())
    });
    starts.flat_map(|at| paths(&code[at..])).filter(|path| !path.is_empty()).collect()
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<Import> {
    let tree = tree.trim_start();
    if let Some(group) = tree.strip_prefix('{') {
        return members(group).into_iter().flat_map(paths).collect();
    }
    let word: String = tree.chars().take_while(|&letter| is_word(letter)).collect();
    let nested = tree[word.len()..].strip_prefix("::").map(paths).unwrap_or_default();
    if word.is_empty() {
        return vec![Vec::new()];
    }
    let join = |mut rest: Import| {
        rest.insert(0, word.clone());
        rest
    };
    if nested.is_empty() { vec![vec![word]] } else { nested.into_iter().map(join).collect() }
}

/// The parts of a group, which ends at its `}`.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}

fn contains_word(code: &str, word: &str) -> bool {
    let starts = |at: usize| !code[..at].ends_with(is_word);
    code.match_indices(word).any(|(at, _)| starts(at) && !code[at + word.len()..].starts_with(is_word))
}

/// Imports between rooms that reach each other, as `FILE imports ROOM`. `lib` and `main` only compose.
pub fn cycles(sources: &[Source]) -> Vec<String> {
    let mut imported = Vec::new();
    for source in sources.iter().filter(|source| !["lib", "main"].contains(&source.room())) {
        let rooms: BTreeSet<String> =
            imports(&source.production()).into_iter().map(|path| path[0].clone()).collect();
        imported.extend(rooms.into_iter().filter(|room| room != source.room()).map(|room| (source, room)));
    }
    let mut edges = Edges::new();
    for (source, room) in &imported {
        edges.entry(source.room()).or_default().insert(room);
    }
    let circular = imported.iter().filter(|(source, room)| reach(&edges, room).contains(source.room()));
    circular.map(|(source, room)| format!("{} imports {room}", source.path)).collect()
}

/// From a room to those it imports.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Every room that can be reached from `room`.
fn reach<'a>(edges: &Edges<'a>, room: &str) -> BTreeSet<&'a str> {
    let next = |room: &str| edges.get(room).into_iter().flatten().copied();
    let (mut reached, mut open) = (BTreeSet::new(), next(room).collect::<Vec<_>>());
    while let Some(room) = open.pop() {
        if reached.insert(room) {
            open.extend(next(room));
        }
    }
    reached
}
