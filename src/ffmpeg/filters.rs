//! The filter graphs: what makes a picture's or a sample's value and time depend on its position alone, and not on where
//! FFmpeg began to read.

use super::attempt::{AttemptSpec, AudioStart, SourceSamples};
use super::encoder::Encoder;
use super::frame_rate::{FrameRate, greatest_common_divisor};
use super::ladder::{Deinterlace, Rendition};

/// Rate of encoded audio.
const RATE: u32 = 48_000;
/// How far a decoded frame may be from the end of the one before it and still follow it, in seconds. FLV's milliseconds are
/// off by half of one, and FFmpeg takes over whatever is off by 1.5; a real gap is at least half an access unit.
const CONTIGUOUS: f64 = 0.004;
/// From this on `aresample` fills a gap with silence, or cuts an overlap off, in seconds: less than [`CONTIGUOUS`], so that
/// what is not taken for contiguous is mended.
const MENDED: f64 = 0.003;
/// A resampler whose phases repeat less often than this many times a second is not set to its first phase: too much would be
/// cut off. All rates that encoders use repeat at least 100 times.
const LEAST_PHASES: u32 = 10;
/// Samples of a gap at the beginning that `aresample` leaves as they are: 1 ms (its `min_comp`), and some to be safe.
const UNMENDED: i64 = 64;
/// Samples in a frame of the encoder (ISO/IEC 14496-3 §4.5.2.1.1).
const FRAME: i64 = 1024;

/// The filters of a rendition that is encoded: fields first, because a scaled picture has none; then the frame rate, so that
/// no picture is scaled in vain; last what this encoder needs.
#[must_use]
pub(super) fn video(attempt: &AttemptSpec, rendition: &Rendition, encoder: Encoder) -> String {
    let deinterlace = match attempt.ladder.deinterlace {
        Deinterlace::Off => None,
        Deinterlace::Frame => Some("yadif=mode=send_frame:deint=interlaced".to_owned()),
        Deinterlace::Field => Some("yadif=mode=send_field:deint=interlaced".to_owned()),
    };
    // A smaller source is not enlarged; 4:2:0 needs both sides even. The quotes are the filter graph's.
    let scale = format!("scale=-2:'trunc(min({},ih)/2)*2'", rendition.height);
    let filters = [deinterlace, rendition.fps.map(frame_rate), Some(scale)];
    let needed = encoder.filters().iter().map(|&filter| filter.to_owned());
    filters.into_iter().flatten().chain(needed).collect::<Vec<_>>().join(",")
}

/// `fps` gives each slot of its grid the last picture that is nearest to it. The grid counts from time zero, so slots are the
/// timeline's own. Where a random access point and the picture after it have one slot, the former would be lost, and with
/// it the IDR picture that the next attempt begins with: so `select` takes that picture out before.
fn frame_rate(rate: FrameRate) -> String {
    let (numerator, denominator) = rate.into();
    // Whole numbers as long as possible, so that halves are halves, as in `fps` itself.
    let slot = format!("round(pts*{numerator}/({denominator}*round(1/TB)))");
    format!("select='if(key,1+0*st(0,{slot}),not(eq({slot},ld(0))))',fps={rate}")
}

/// The filters of audio that is encoded at 48 kHz.
///
/// 1. `asetpts` puts the first decoded frame on the source's sample grid, which FLV's milliseconds miss by up to half of
///    one, and each further one right behind the one before it; only a gap is measured in milliseconds, as the stream's
///    timeline does it.
/// 2. `atrim` cuts the beginning off up to a position where the resampler has its first phase (44.1 kHz: every 147 samples).
/// 3. `aresample` at the source's rate fills gaps, so that the resampler's phase goes on through them.
/// 4. `aresample=48000`, and a last one that begins on the grid of the encoder's frames: at once they do not stay on it.
#[must_use]
pub(super) fn audio(start: &AudioStart) -> String {
    let mend = format!("aresample=async=1:min_hard_comp={MENDED}");
    let align = format!("aresample={RATE},{mend}:first_pts={}", first_sample(start));
    match start.source {
        Some(source) if source.rate > 0 && source.access_unit > 0 => {
            format!("{}{},{mend},{align}", on_grid(&source), first_phase(&source))
        }
        Some(_) | None => align,
    }
}

/// The grid's frame where the last `aresample` begins: one earlier where the first sample is so close behind it that no silence
/// would be put between, and all sound would be early. The node drops what comes before the frame that is wanted.
fn first_sample(start: &AudioStart) -> i64 {
    let source = start.source.filter(|source| source.rate > 0 && source.access_unit > 0);
    let begin = source.map(|source| scaled(phase_begin(&source).unwrap_or(source.first), source.rate));
    match begin.map(|begin| begin - start.first_sample) {
        Some(1..=UNMENDED) => start.first_sample - FRAME,
        Some(_) | None => start.first_sample,
    }
}

/// A position at 48 kHz.
fn scaled(position: i64, rate: u32) -> i64 {
    let position = i128::from(position) * i128::from(RATE) / i128::from(rate.max(1));
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// HE-AAC may come out of the decoder at twice the rate that its configuration says, so positions are scaled by what comes.
/// `ld(0)` is where the next frame is expected, `ld(1)` the frame's position, `ld(2)` the scale.
fn on_grid(SourceSamples { rate, first, access_unit }: &SourceSamples) -> String {
    let nearest = format!("ld(2)*({first}+{access_unit}*round((PTS/ld(2)-{first})/{access_unit}))");
    let next = format!("if(lt(abs(PTS-ld(0)),{CONTIGUOUS}*SR),ld(0),PTS)");
    format!("asetpts='st(2,SR/{rate});st(1,if(N,{next},{nearest}));st(0,ld(1)+NB_SAMPLES);ld(1)'")
}

/// Cuts up to the first position at or after the first sample where a resampler to 48 kHz begins anew. As a time, because the
/// rate that comes is not known; a microsecond is far less than a sample.
fn first_phase(source: &SourceSamples) -> String {
    let trim = |position| {
        let micros = i128::from(position) * 1_000_000 / i128::from(source.rate);
        format!(",atrim=start={micros}us")
    };
    phase_begin(source).map_or_else(String::new, trim)
}

/// That position, in samples of the source; `None` where too much would be cut off.
fn phase_begin(SourceSamples { rate, first, .. }: &SourceSamples) -> Option<i64> {
    let period = rate / greatest_common_divisor(*rate, RATE).max(1);
    let bearable = period.saturating_mul(LEAST_PHASES) <= *rate;
    let period = i64::from(period);
    let up = |period: i64| first.saturating_add(period - 1).div_euclid(period).saturating_mul(period);
    bearable.then(|| up(period))
}
