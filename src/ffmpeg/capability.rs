//! What an FFmpeg can do: whether it is new enough, and how an encoder proves that it really encodes.

use super::args::{self, Encoder};

/// The oldest release that headgate runs with.
const OLDEST_RELEASE: (u32, u32) = (5, 1);
/// The version of libavutil that came with it, for builds from git, which have no number (`N-112233-g0123abc`).
const OLDEST_LIBAVUTIL: (u32, u32) = (57, 28);

/// The longest version text that is kept, in characters.
const MAX_TEXT_CHARS: usize = 64;

/// Why a program is no FFmpeg that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// It does not answer `-version` as FFmpeg does.
    #[error("it does not say its version as FFmpeg does")]
    NotFfmpeg,
    /// Older than 5.1.
    #[error("its version is {0}; headgate needs FFmpeg 5.1 or newer")]
    TooOld(String),
}

/// The version in the answer to `ffmpeg -version`, for example `5.1.9-0+deb12u1`.
///
/// # Errors
/// When the answer is not FFmpeg's, or of one that is too old.
pub fn version(answer: &str) -> Result<String, CapabilityError> {
    let text = answer.strip_prefix("ffmpeg version ").and_then(|rest| rest.split_whitespace().next());
    let text: String = text.ok_or(CapabilityError::NotFfmpeg)?.chars().take(MAX_TEXT_CHARS).collect();
    let new_enough = match release(&text) {
        Some(release) => release >= OLDEST_RELEASE,
        None => answer.lines().find_map(libavutil).ok_or(CapabilityError::NotFfmpeg)? >= OLDEST_LIBAVUTIL,
    };
    if new_enough { Ok(text) } else { Err(CapabilityError::TooOld(text)) }
}

/// Major and minor of a release: `5.1.9-0+deb12u1`, `n9.0.2-17-g2a571b6068`.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('n').unwrap_or(text).split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Major and minor of a line as `libavutil      57. 28.100 / 57. 28.100`.
fn libavutil(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("libavutil")?.split(['.', '/']).map(|number| number.trim().parse());
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Arguments with which FFmpeg encodes a few pictures to its standard output, with the flags that an attempt uses: an
/// encoder that is compiled in but finds no device or driver fails here, and not under a stream.
#[must_use]
pub fn proof(encoder: Encoder) -> Vec<String> {
    let source = "-nostdin -hide_banner -loglevel level+error -f lavfi -i testsrc2=size=320x240:rate=25";
    let mut arguments: Vec<String> = source.split(' ').map(str::to_owned).collect();
    arguments.extend(args::encoder_flags(encoder));
    arguments.extend("-pix_fmt yuv420p -frames:v 2 -f h264 pipe:1".split(' ').map(str::to_owned));
    arguments
}

/// Whether what a [`proof`] wrote is coded video: it begins with the start code of a NAL unit (ISO/IEC 14496-10 Annex B).
#[must_use]
pub fn is_proven(written: &[u8]) -> bool {
    written.starts_with(&[0, 0, 0, 1]) || written.starts_with(&[0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first_line: &str, libavutil: &str, expected: Result<&str, CapabilityError>) {
        let answer = format!(
            "{first_line} Copyright (c) 2000-2026 the FFmpeg developers\nbuilt with gcc 12\nlibavutil      {libavutil}\n"
        );
        assert_eq!(version(&answer), expected.map(str::to_owned), "{first_line}");
    }

    #[test]
    fn every_style_of_version_is_understood() {
        check("ffmpeg version 5.1.9-0+deb12u1", "57. 28.100 / 57. 28.100", Ok("5.1.9-0+deb12u1"));
        check(
            "ffmpeg version n9.0.2-17-g2a571b6068-20260930",
            "61.  1.100 / 61.  1.100",
            Ok("n9.0.2-17-g2a571b6068-20260930"),
        );
        check("ffmpeg version N-112233-g0123abc", "58. 30.100 / 58. 30.100", Ok("N-112233-g0123abc"));
        check(
            "ffmpeg version N-100000-g0123abc",
            "56. 70.100 / 56. 70.100",
            Err(CapabilityError::TooOld("N-100000-g0123abc".to_owned())),
        );
        check("ffmpeg version 6.0", "58.  2.100 / 58.  2.100", Ok("6.0"));
        check(
            "ffmpeg version 5.0.1",
            "57. 17.100 / 57. 17.100",
            Err(CapabilityError::TooOld("5.0.1".to_owned())),
        );
        check(
            "ffmpeg version 4.4",
            "56. 70.100 / 56. 70.100",
            Err(CapabilityError::TooOld("4.4".to_owned())),
        );
    }

    #[test]
    fn another_program_is_no_ffmpeg() {
        check("GNU bash, version 5.2.15", "57. 28.100", Err(CapabilityError::NotFfmpeg));
        check("ffmpeg version N-112233-g0123abc", "unknown", Err(CapabilityError::NotFfmpeg));
        assert_eq!(version(""), Err(CapabilityError::NotFfmpeg));
        assert_eq!(version("ffmpeg version "), Err(CapabilityError::NotFfmpeg));
    }

    #[test]
    fn an_encoder_proves_itself_with_the_flags_of_an_attempt() {
        insta::assert_snapshot!(proof(Encoder::Libx264).join(" "), @"-nostdin -hide_banner -loglevel level+error -f lavfi -i testsrc2=size=320x240:rate=25 -c:v libx264 -preset veryfast -forced-idr 1 -sc_threshold 0 -threads 4 -pix_fmt yuv420p -frames:v 2 -f h264 pipe:1");
        assert!(is_proven(&[0, 0, 0, 1, 0x67]));
        assert!(!is_proven(b""));
    }
}
