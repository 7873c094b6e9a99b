//! Reads the numbers that the clip's frames carry (`fixtures/README.md`), with their presentation times.

use std::path::Path;

use super::ffmpeg::{run, text};
use super::judge::Item;
use super::offsets;

/// Blocks in a row, one for each bit of the number.
const BITS: usize = 10;
/// Each block is scaled to 3x3 pixels, of which the one in the middle is far from any blurred edge.
const WIDTH: usize = BITS * 3;
const HEIGHT: usize = 6;
/// Luma that is neither black nor white: a damaged picture, not a bit.
const GREY: std::ops::RangeInclusive<u8> = 90..=165;

/// All frames of the first video track, in the order in which they are shown, and what the decoder complained about.
pub fn read(media: &Path) -> (Vec<Item>, Vec<String>) {
    let filter = format!("showinfo,crop=iw:ih*2/9:0:ih*7/9,scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    let output = run(&[
        "-loglevel level+info -copyts -i",
        text(media),
        "-map 0:v:0 -vf",
        &filter,
        "-fps_mode passthrough -enc_time_base:v 1:90000 -f rawvideo pipe:1",
    ]);
    let log = String::from_utf8_lossy(&output.stderr);
    let late = offsets::added_by_ffmpeg(media);
    let times: Vec<i64> = times(&log).into_iter().map(|time| time - late).collect();
    let numbers: Vec<Option<u32>> = output.stdout.chunks_exact(WIDTH * HEIGHT).map(number).collect();
    let mut complaints = complaints(&log);
    if times.len() != numbers.len() || !output.status.success() {
        complaints.push(format!("{} times for {} pictures, {}", times.len(), numbers.len(), output.status));
    }
    let items = numbers.into_iter().zip(times).map(|(id, at_us)| Item { id, at_us });
    (items.collect(), complaints)
}

/// Lines in which FFmpeg says that something is wrong with the media.
pub fn complaints(log: &str) -> Vec<String> {
    let wrong = |line: &&str| line.contains("[error]") || line.contains("[fatal]");
    log.lines().filter(wrong).map(|line| format!("ffmpeg says: {}", line.trim())).collect()
}

/// The number in one scaled picture: an upper row of bits, a lower row of the same bits inverted.
fn number(picture: &[u8]) -> Option<u32> {
    (0..BITS).try_fold(0, |number, bit| {
        let (upper, lower) = (picture[WIDTH + bit * 3 + 1], picture[WIDTH * 4 + bit * 3 + 1]);
        let readable = !GREY.contains(&upper) && !GREY.contains(&lower) && (upper > 128) != (lower > 128);
        readable.then_some(number << 1 | u32::from(upper > 128))
    })
}

/// Presentation times from the lines of the `showinfo` filter, in microseconds.
fn times(log: &str) -> Vec<i64> {
    let mut time_base = (1, 1);
    let mut times = Vec::new();
    for line in log.lines().filter(|line| line.contains("showinfo")) {
        if let Some(rest) = line.split("config in time_base: ").nth(1) {
            time_base = fraction(rest.split(',').next().unwrap_or_default());
        } else if let Some(rest) = line.split(" pts:").nth(1) {
            let ticks: i64 =
                rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(i64::MIN);
            times.push(to_micros(ticks, time_base));
        }
    }
    times
}

/// `ticks` of `numerator/denominator` seconds, in microseconds.
pub fn to_micros(ticks: i64, (numerator, denominator): (i64, i64)) -> i64 {
    let micros = i128::from(ticks) * i128::from(numerator) * 1_000_000 / i128::from(denominator);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// `1/90000` as two numbers.
pub fn fraction(text: &str) -> (i64, i64) {
    let parts = text.trim().split_once('/');
    let parse = |(above, below): (&str, &str)| Some((above.parse().ok()?, below.parse().ok()?));
    parts.and_then(parse).expect("ffmpeg writes time bases as fractions")
}
