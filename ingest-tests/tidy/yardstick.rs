//! The project's figures, as STYLE §6 asks for them.

use super::rooms::{ACT, DECIDE};
use super::source::{Content, Source, is_word};

/// Rooms that implement a standard, whose sections they cite.
const PROTOCOL: [&str; 4] = ["media", "rtmp", "srt", "hls"];
const LOG_MACROS: [&str; 5] = ["trace!(", "debug!(", "info!(", "warn!(", "error!("];

/// The figures as a table of name, value and aim.
pub fn table(product: &[Source], tests: &[Source]) -> String {
    let rows = [shape(product), volume(product, tests), habits(product)].concat();
    let row = |(name, value, aim): &(&str, String, &str)| format!("{name:<44}{value:>22}   {aim}\n");
    let head = format!("{:<44}{:>22}   {}\n", "yardstick", "value", "aim");
    head + &rows.iter().map(row).collect::<String>()
}

type Row = (&'static str, String, &'static str);

/// Lengths of functions and files.
fn shape(product: &[Source]) -> Vec<Row> {
    let functions = sorted(product.iter().flat_map(Source::function_lengths));
    let files = sorted(product.iter().map(|source| source.lines.len()));
    let long = functions.iter().filter(|&&lines| lines > 70).count();
    let three = |values: &[usize], last: usize| {
        format!("{}/{}/{}", percentile(values, 50), percentile(values, 90), percentile(values, last))
    };
    vec![
        ("function lines: median/p90/p99", three(&functions, 99), "<= 8/30/70"),
        ("functions over 70 lines", percent(long, functions.len()), "<= 1 %"),
        ("file lines: median/p90/max", three(&files, 100), "<= 150/350/600"),
    ]
}

/// How much there is of what.
fn volume(product: &[Source], tests: &[Source]) -> Vec<Row> {
    let of = |rooms: &[&str]| -> usize {
        product.iter().filter(|source| rooms.contains(&source.room())).map(|source| source.count(false)).sum()
    };
    let (deciding, acting) = (of(&DECIDE), of(&ACT));
    let production: usize = product.iter().map(|source| source.count(false)).sum();
    let unit: usize = product.iter().map(|source| source.count(true)).sum();
    let end_to_end: usize = tests.iter().map(|source| source.lines.len()).sum();
    vec![
        ("lines that decide", deciding.to_string(), ""),
        ("lines that act", acting.to_string(), ""),
        ("lines of base, configuration, command line", (production - deciding - acting).to_string(), ""),
        ("share that decides, of deciding and acting", percent(deciding, deciding + acting), ">= 60 %"),
        ("test lines: unit, end to end", format!("{unit}, {end_to_end}"), ""),
        ("test lines per production line", ratio(unit + end_to_end, production, 1), "0.8 - 1.2"),
    ]
}

/// What can be counted of manners.
fn habits(product: &[Source]) -> Vec<Row> {
    let code: Vec<String> = product.iter().map(Source::production).collect();
    let production: usize = product.iter().map(|source| source.count(false)).sum();
    let count = |pattern: &str| -> usize { code.iter().map(|code| code.matches(pattern).count()).sum() };
    let per_thousand = |pattern: &str| ratio(count(pattern), production, 1_000);
    let calls: Vec<bool> = code.iter().flat_map(|code| log_calls(code)).collect();
    let fields = calls.iter().filter(|&&fields| fields).count();
    let protocol = || product.iter().filter(|source| PROTOCOL.contains(&source.room()));
    let cites = |line: &&str| ["§", "RFC ", "ISO/IEC"].iter().any(|mark| line.contains(mark));
    let citations: usize = protocol().map(|source| source.text.lines().filter(cites).count()).sum();
    let protocol_lines: usize = protocol().map(|source| source.count(false)).sum();
    let lines = |content: Content| -> usize {
        let matches = |source: &Source| {
            source.lines.iter().filter(|line| !line.test && line.content == content).count()
        };
        product.iter().map(matches).sum()
    };
    let (comments, written) = (lines(Content::Comment), lines(Content::Comment) + lines(Content::Code));
    let panics = [".unwrap()", ".expect(", "panic!("].map(per_thousand).join("/");
    vec![
        ("comment lines in 100", percent(comments, written), "20 - 35 %"),
        (
            "log calls, and those with fields",
            format!("{}, {}", calls.len(), percent(fields, calls.len())),
            ">= 95 %",
        ),
        ("unwrap/expect/panic per 1,000", panics, "0/<= 2/<= 0.5"),
        (
            "spawn sites; unbounded channels",
            format!("{}; {}", count("tracker.spawn("), count("unbounded")),
            "1; 0",
        ),
        ("citations per 1,000 lines of protocol code", ratio(citations, protocol_lines, 1_000), ">= 10"),
    ]
}

/// For each call of a log macro, whether something stands before its message: a field.
fn log_calls(code: &str) -> Vec<bool> {
    let calls = LOG_MACROS.iter().flat_map(|name| code.match_indices(name));
    let calls = calls.filter(|&(at, _)| !code[..at].ends_with(is_word));
    let before_message = |(at, name): (usize, &str)| {
        let rest = &code[at + name.len()..];
        !rest[..rest.find('"').unwrap_or(0)].trim().is_empty()
    };
    calls.map(before_message).collect()
}

fn sorted(values: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut values: Vec<usize> = values.collect();
    values.sort_unstable();
    values
}

/// The value below which `percent` of a hundred are; 100 is the largest.
fn percentile(sorted: &[usize], percent: usize) -> usize {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}

fn percent(part: usize, whole: usize) -> String {
    format!("{} %", ratio(part, whole, 100))
}

#[expect(clippy::cast_precision_loss, reason = "line counts are far below 2^52")]
fn ratio(part: usize, whole: usize, times: usize) -> String {
    format!("{:.2}", (part * times) as f64 / whole.max(1) as f64)
}
