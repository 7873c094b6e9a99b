//! The one judgement that all tests come down to: each of the source's frames or audio units is there exactly once, in
//! order, at its time.

use std::collections::{BTreeMap, BTreeSet};

/// A frame or an audio unit as it was found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which of the source's it is; `None` when that could not be read.
    pub id: Option<u32>,
    /// When it is shown or heard, in microseconds.
    pub at_us: i64,
}

/// How far an item may be from its place, in microseconds.
pub type Tolerance = i64;

/// Compares what was found with the source. Empty when all is well; otherwise one line for each kind of trouble.
pub fn compare(what: &str, source: &[Item], found: &[Item], tolerance: Tolerance) -> Vec<String> {
    let mut findings = Vec::new();
    let mut report = |kind: &str, ids: Vec<u32>| {
        if !ids.is_empty() {
            findings.push(format!("{} {what} {kind}: {}", ids.len(), ranges(ids)));
        }
    };
    let mut seen = BTreeMap::<u32, u32>::new();
    for id in found.iter().filter_map(|item| item.id) {
        *seen.entry(id).or_default() += 1;
    }
    let wanted: BTreeSet<u32> = source.iter().filter_map(|item| item.id).collect();
    report("missing", wanted.iter().copied().filter(|id| !seen.contains_key(id)).collect());
    report("doubled", seen.iter().filter(|&(_, &count)| count > 1).map(|(&id, _)| id).collect());
    report("that the source does not have", seen.keys().copied().filter(|id| !wanted.contains(id)).collect());
    report("unreadable, counted from the start", positions(found, |item, _| item.id.is_none()));
    report("out of order", out_of_order(found));
    let moved = moved(source, found, tolerance);
    report(&format!("moved by more than {tolerance} us"), moved.iter().map(|&(id, _)| id).collect());
    if let Some((id, by)) = moved.iter().max_by_key(|(_, by)| by.abs()) {
        findings.push(format!("{what} {id} is moved the most: by {by} us"));
    }
    findings
}

/// How much later than in the source the first item both have is found, in microseconds.
pub fn offset(source: &[Item], found: &[Item]) -> Option<i64> {
    let times = times(source);
    found.iter().find_map(|item| Some(item.at_us - times.get(&item.id?)?))
}

fn times(items: &[Item]) -> BTreeMap<u32, i64> {
    items.iter().filter_map(|item| Some((item.id?, item.at_us))).collect()
}

/// The items that are not at their source time relative to the first, and by how much.
fn moved(source: &[Item], found: &[Item], tolerance: Tolerance) -> Vec<(u32, i64)> {
    let Some(offset) = offset(source, found) else { return Vec::new() };
    let times = times(source);
    let error = |item: &Item| Some((item.id?, item.at_us - offset - times.get(&item.id?)?));
    found.iter().filter_map(error).filter(|(_, by)| by.abs() > tolerance).collect()
}

/// Items that come after a later one, or whose time does not grow.
fn out_of_order(found: &[Item]) -> Vec<u32> {
    let backward = |pair: &[Item]| pair[1].at_us <= pair[0].at_us || pair[1].id < pair[0].id;
    found.windows(2).filter(|pair| backward(pair)).filter_map(|pair| pair[1].id).collect()
}

fn positions(found: &[Item], matches: impl Fn(&Item, usize) -> bool) -> Vec<u32> {
    let hits = found.iter().enumerate().filter(|&(at, item)| matches(item, at));
    hits.map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect()
}

/// `3-7, 9`, so that a lost GOP is one word and not sixty.
fn ranges(mut ids: Vec<u32>) -> String {
    ids.sort_unstable();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if id <= last.saturating_add(1) => *last = id,
            _ => runs.push((id, id)),
        }
    }
    let name = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let shown: Vec<String> = runs.iter().take(20).map(name).collect();
    let more = if runs.len() > 20 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}
