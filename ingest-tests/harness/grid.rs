//! Judges pictures on a grid of their own rate, as the `fps` filter puts them: one at each place, without a hole, and at each
//! place the newest picture of the source by then.

use super::judge::Item;

/// Times are in ticks of 90 kHz: one off, in microseconds, by rounding.
const TICK_US: i64 = 12;
/// How far times may be rounded, in microseconds: RTMP carries milliseconds, so a picture that is just half a step off a place
/// may be shown at either.
const ROUNDED_US: i64 = 1_000 + 3 * TICK_US;

/// Pictures from one key frame to the next in the sources that are judged so.
const KEY_FRAME_EVERY: u32 = 30;

/// What is wrong with pictures at `rate / per` a second.
pub fn judge(source: &[Item], found: &[Item], (rate, per): (i64, i64)) -> Vec<String> {
    let mut findings = Vec::new();
    let step = 1_000_000 * per / rate;
    let ragged = found.windows(2).filter(|pair| (pair[1].at_us - pair[0].at_us - step).abs() > TICK_US);
    let ragged: Vec<String> =
        ragged.map(|pair| format!("{} us before {:?}", pair[1].at_us - pair[0].at_us, pair[1].id)).collect();
    if !ragged.is_empty() {
        findings.push(format!("{} steps are not of {step} us: {}", ragged.len(), ragged.join(", ")));
    }
    if found.windows(2).any(|pair| pair[1].id < pair[0].id) {
        findings.push("pictures go back".to_owned());
    }
    findings.extend(ends(source, found, step));
    findings.extend(shown(source, found, step));
    findings
}

/// The first and the last of the source must be shown, or be no more than a step from what is.
fn ends(source: &[Item], found: &[Item], step: i64) -> Vec<String> {
    let (Some(first), Some(last)) = (source.first(), source.last()) else { return Vec::new() };
    let (Some(begin), Some(end)) = (found.first(), found.last()) else {
        return vec!["no picture".to_owned()];
    };
    let missing = (last.at_us - first.at_us) - (end.at_us - begin.at_us);
    let near = |count: &i64| count.abs() <= 2 * step;
    let late = (!near(&missing)).then(|| format!("the pictures last {missing} us less than the source's"));
    let begins = (begin.id > first.id.map(|id| id + 2)).then(|| format!("begins with {:?}", begin.id));
    late.into_iter().chain(begins).collect()
}

/// A grid of a later place shows the newest picture that is at most half a step after it. By how much the output's clock is
/// later than the source's is not known: there must be one answer that is right for all places.
fn shown(source: &[Item], found: &[Item], step: i64) -> Vec<String> {
    let (mut least, mut most) = (i64::MIN, i64::MAX);
    let mut foreign = 0_usize;
    for item in found {
        let Some(at) = source.iter().position(|known| item.id.is_some() && known.id == item.id) else {
            foreign += 1;
            continue;
        };
        let newest = item.at_us + step / 2 + ROUNDED_US;
        most = most.min(newest - source[at].at_us);
        // A key frame stays, so that the next attempt can begin with it, though the picture after it has the same place.
        let may_stay = item.id.is_some_and(|id| id.is_multiple_of(KEY_FRAME_EVERY));
        if let Some(next) = source.get(at + 1).filter(|_| !may_stay) {
            least = least.max(newest - 2 * ROUNDED_US - next.at_us);
        }
        if least > most {
            return vec![format!("{:?} is shown where another should be", item.id)];
        }
    }
    if foreign == 0 { Vec::new() } else { vec![format!("{foreign} pictures are not of the source")] }
}
