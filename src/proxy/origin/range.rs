//! Byte ranges (RFC 9110 §14).

use std::ops::Range;

/// What to send for a `Range` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Everything, with 200: no range, several, another unit, or a header that is none (§14.2 lets a server ignore it).
    Whole,
    /// These bytes, with 206; never empty.
    Part(Range<usize>),
    /// Nothing of it exists: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for something of `length` bytes.
pub(super) fn select(header: Option<&str>, length: usize) -> Selection {
    let Some((first, last)) = header.and_then(single) else { return Selection::Whole };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return Selection::Whole,
        (Some(first), last) => first..last.map_or(length, |last| last.saturating_add(1)).min(length),
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return Selection::Whole,
    };
    if range.is_empty() { Selection::Unsatisfiable } else { Selection::Part(range) }
}

/// The two numbers of a single range, `None` where one is left out.
fn single(header: &str) -> Option<(Option<usize>, Option<usize>)> {
    let (unit, set) = header.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some((number(first)?, number(last)?))
}

/// `Some(None)` for nothing, `None` for what is no number. One too large for a position is beyond any end.
fn number(text: &str) -> Option<Option<usize>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, expected: Selection) {
        assert_eq!(select(Some(header), 10), expected, "{header}");
    }

    #[test]
    fn a_single_range_is_a_part() {
        check("bytes=0-3", Selection::Part(0..4));
        check("bytes=4-", Selection::Part(4..10));
        check("bytes=4-99999999999999999999999", Selection::Part(4..10));
        check("bytes=-3", Selection::Part(7..10));
        check("bytes=-30", Selection::Part(0..10));
        check("Bytes=9-9", Selection::Part(9..10));
    }

    #[test]
    fn what_does_not_exist_is_unsatisfiable() {
        check("bytes=10-", Selection::Unsatisfiable);
        check("bytes=99999999999999999999999-", Selection::Unsatisfiable);
        check("bytes=-0", Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=0-"), 0), Selection::Unsatisfiable);
    }

    #[test]
    fn everything_else_is_ignored() {
        for header in
            ["bytes=0-1,3-4", "bytes=5-4", "bytes=-", "bytes=a-b", "items=0-1", "bytes", "", "bytes=+1-2"]
        {
            check(header, Selection::Whole);
        }
        assert_eq!(select(None, 10), Selection::Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_always_inside(header in "(bytes)?=?[0-9]{0,25}-?[0-9]{0,25}", length in 0usize..100) {
            if let Selection::Part(range) = select(Some(&header), length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
