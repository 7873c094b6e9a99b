//! A cheap scanner of Rust source: enough to tell code from comments, production from tests, and one function from the next.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of the project.
pub struct Source {
    /// Its path from the repository's root.
    pub path: String,
    /// As written.
    pub text: String,
    /// The same, with comments and the insides of literals as spaces: what is left is code.
    pub code: String,
    /// One entry a line.
    pub lines: Vec<Line>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nothing, words for people, or code.
    pub content: Content,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// What a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Blank,
    /// A comment and no code.
    Comment,
    /// Code, with or without a comment.
    Code,
}

/// Reads every Rust file below `root/folder`, in the order of their paths.
pub fn read_all(root: &Path, folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("source is readable and UTF-8");
        Source::new(relative(path), text, folder != "src")
    };
    let mut sources: Vec<Source> = paths.iter().map(read).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    mark_test_files(&mut sources);
    sources
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    /// Scans `text`; `test` says that the whole file is a test.
    pub fn new(path: String, text: String, test: bool) -> Self {
        let code = blank(&text);
        let content = |(line, code): (&str, &str)| match (line.trim().is_empty(), code.trim().is_empty()) {
            (true, _) => Content::Blank,
            (false, true) => Content::Comment,
            (false, false) => Content::Code,
        };
        let line = |pair| Line { content: content(pair), test };
        let mut lines: Vec<Line> = text.lines().zip(code.lines()).map(line).collect();
        for (start, end) in test_blocks(&code) {
            let (first, last) = (line_of(&code, start), line_of(&code, end));
            lines.iter_mut().take(last + 1).skip(first).for_each(|line| line.test = true);
        }
        Self { path, text, code, lines }
    }

    /// The room: `media` for `src/media/gop.rs`, `config` for `src/config.rs`.
    pub fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Code that is compiled into the product, with everything else as empty lines.
    pub fn production(&self) -> String {
        let keep =
            |(code, line): (&str, &Line)| if line.test { String::from("\n") } else { format!("{code}\n") };
        self.code.lines().zip(&self.lines).map(keep).collect()
    }

    /// Number of lines that are tests, or that are not.
    pub fn count(&self, test: bool) -> usize {
        self.lines.iter().filter(|line| line.test == test).count()
    }

    /// Lengths in lines of the product's functions, signature and braces included.
    pub fn function_lengths(&self) -> Vec<usize> {
        let code = self.production();
        let bodies = code.match_indices("fn ").filter_map(|(at, _)| {
            let word_before = code[..at].chars().next_back().is_some_and(is_word);
            let end = if word_before { None } else { end_of_item(&code, at) }?;
            (code.as_bytes()[end] == b'}').then(|| line_of(&code, end) - line_of(&code, at) + 1)
        });
        bodies.collect()
    }
}

/// Files that another one declares as `#[cfg(test)] mod NAME;` are tests, and so is all that is in a folder of that name.
fn mark_test_files(sources: &mut [Source]) {
    let mut modules = BTreeSet::new();
    for source in sources.iter() {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
        for (start, end) in test_blocks(&source.code) {
            let item = source.code[start..end].rsplit("mod ").next().unwrap_or_default();
            if source.code.as_bytes()[end] == b';' {
                modules.insert(format!("{stem}/{}", item.trim()));
            }
        }
    }
    for source in sources.iter_mut() {
        let (file, path) = (source.path.trim_end_matches(".rs"), &source.path);
        if modules.iter().any(|module| file == module || path.starts_with(&format!("{module}/"))) {
            source.lines.iter_mut().for_each(|line| line.test = true);
        }
    }
}

/// Start and end of each item under `#[cfg(test)]`.
fn test_blocks(code: &str) -> Vec<(usize, usize)> {
    let blocks = code.match_indices("#[cfg(test)]");
    blocks.filter_map(|(at, mark)| Some((at, end_of_item(code, at + mark.len())?))).collect()
}

/// Where the item at `from` ends: at the `}` of its body, or at its `;`.
fn end_of_item(code: &str, from: usize) -> Option<usize> {
    let (mut depth, mut braces) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' => braces += 1,
            b'}' if braces <= 1 => return Some(at),
            b'}' => braces -= 1,
            b';' if depth == 0 && braces == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}

/// Whether `letter` may be part of an identifier.
pub fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Comments and the insides of literals as spaces; quotes and line ends stay, and so does every position.
pub fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, &code);
        let (token, after) = rest.split_at(length);
        if length == first.len_utf8() {
            code.push_str(token);
        } else {
            let literal = first != '/';
            let spaces = token.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
            let mut blanked: String = spaces.collect();
            if literal && length >= 2 {
                blanked.replace_range(..1, "\"");
                blanked.replace_range(length - 1.., "\"");
            }
            code.push_str(&blanked);
        }
        rest = after;
    }
    code
}

/// Length of the comment or literal that `rest` begins with, or of its first character.
fn token_length(rest: &str, before: &str) -> usize {
    let single = rest.chars().next().map_or(1, char::len_utf8);
    let in_word = before.chars().next_back().is_some_and(is_word);
    let raw = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if let Some(after) = raw.filter(|after| !in_word && after.trim_start_matches('#').starts_with('"'))
    {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let open = rest.len() - after.len() + hashes + 1;
        rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
    } else if rest.starts_with('"') {
        quoted_length(rest, '"')
    } else if rest.starts_with("'\\") || (rest.starts_with('\'') && rest.chars().nth(2) == Some('\'')) {
        quoted_length(rest, '\'')
    } else {
        single
    }
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
