//! What an FFmpeg says that it can do: whether it is new enough, what it reads from FLV, which decoders it has, and which of
//! the encoders that have a row. Whether these work is another question ([`super::proof`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::encoder::Encoder;
use crate::media::track::{AudioCodec, VideoCodec};

/// A release of FFmpeg that brought something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Release {
    /// Major and minor.
    number: (u32, u32),
    /// The version of libavutil that came with it, for builds from git, which have no number (`N-112233-g0123abc`).
    libavutil: (u32, u32),
}

/// The oldest release that headgate runs with. Its FLV demuxer knows Adobe's own bodies only.
const OLDEST: Release = Release { number: (5, 1), libavutil: (57, 28) };
/// The first whose FLV demuxer reads HEVC, AV1 and VP9 by their `FourCC` (libavformat/flvdec.c, July 2023).
const ENHANCED_VIDEO: Release = Release { number: (6, 1), libavutil: (58, 29) };
/// The first that reads Enhanced RTMP v2's audio (libavformat/flvdec.c, December 2024).
const ENHANCED_V2: Release = Release { number: (8, 0), libavutil: (60, 8) };

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

/// What FFmpeg says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its version as it prints it, for example `5.1.9-0+deb12u1`.
    pub version: String,
    /// What it reads from FLV.
    pub reads: Vec<Carriage>,
}

/// The encoders with a row that the answer to `ffmpeg -encoders` lists.
#[must_use]
pub fn listed_encoders(answer: &str) -> Vec<Encoder> {
    let listed: Vec<&str> = listed(answer).collect();
    Encoder::ALL.iter().copied().filter(|encoder| listed.contains(&encoder.name())).collect()
}

/// What the FFmpeg decodes on the CPU, by the answer to `ffmpeg -decoders`.
#[must_use]
pub fn listed_decoders(answer: &str) -> Vec<Carriage> {
    let listed: Vec<&str> = listed(answer).collect();
    let decodes = |carriage: &Carriage| carriage.decoders().iter().any(|name| listed.contains(name));
    Carriage::ALL.iter().copied().filter(decodes).collect()
}

/// The names of a list as ` V....D libx264   libx264 H.264 / AVC …`; a title and a legend come before it.
fn listed(answer: &str) -> impl Iterator<Item = &str> {
    answer.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let flags = words.next()?;
        let name = words.next().filter(|name| *name != "=")?;
        (flags.len() == 6 && flags.starts_with(['V', 'A'])).then_some(name)
    })
}

/// Reads the answer to `ffmpeg -version`.
///
/// # Errors
/// When the answer is not FFmpeg's, or of one that is too old.
pub fn read(answer: &str) -> Result<Build, CapabilityError> {
    let text = answer.strip_prefix("ffmpeg version ").and_then(|rest| rest.split_whitespace().next());
    let text: String = text.ok_or(CapabilityError::NotFfmpeg)?.chars().take(MAX_TEXT_CHARS).collect();
    let number = release(&text);
    let libavutil = answer.lines().find_map(libavutil);
    if number.is_none() && libavutil.is_none() {
        return Err(CapabilityError::NotFfmpeg);
    }
    let has = |release: Release| match number {
        Some(number) => number >= release.number,
        None => libavutil >= Some(release.libavutil),
    };
    if !has(OLDEST) {
        return Err(CapabilityError::TooOld(text));
    }
    let reads = Carriage::ALL.iter().copied().filter(|carriage| has(carriage.since())).collect();
    Ok(Build { version: text, reads })
}

/// Major and minor of a release: `5.1.9-0+deb12u1`, `n9.0.2-17-g2a571b6068`. A build from git has none, nor has one that is
/// named by its date (`2023-11-05-git-44a0148fad`).
fn release(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.strip_prefix('n').unwrap_or(text).split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Major and minor of a line as `libavutil      57. 28.100 / 57. 28.100`.
fn libavutil(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("libavutil")?.split(['.', '/']).map(|number| number.trim().parse());
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// How a track lies in FLV, by its codec: H.264, AAC and MP3 by FLV 10.1's own numbers (`media::flv::tracks()` sees to that),
/// the others by Enhanced RTMP's `FourCC`. An FFmpeg reads a carriage or it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// H.264.
    H264,
    /// HEVC.
    Hevc,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
    /// AAC.
    Aac,
    /// MP3.
    Mp3,
    /// Opus.
    Opus,
    /// FLAC.
    Flac,
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
}

impl Carriage {
    /// Every carriage there is.
    pub const ALL: &'static [Carriage] = &[
        Self::H264,
        Self::Hevc,
        Self::Av1,
        Self::Vp9,
        Self::Aac,
        Self::Mp3,
        Self::Opus,
        Self::Flac,
        Self::Ac3,
        Self::Eac3,
    ];

    /// Of a video track.
    #[must_use]
    pub fn of_video(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::H264 => Self::H264,
            VideoCodec::Hevc => Self::Hevc,
            VideoCodec::Av1 => Self::Av1,
            VideoCodec::Vp9 => Self::Vp9,
        }
    }

    /// Of an audio track.
    #[must_use]
    pub fn of_audio(codec: AudioCodec) -> Self {
        match codec {
            AudioCodec::Aac => Self::Aac,
            AudioCodec::Mp3 => Self::Mp3,
            AudioCodec::Opus => Self::Opus,
            AudioCodec::Flac => Self::Flac,
            AudioCodec::Ac3 => Self::Ac3,
            AudioCodec::Eac3 => Self::Eac3,
        }
    }

    /// Major and minor of the first FFmpeg that reads it.
    #[must_use]
    pub fn since_release(self) -> (u32, u32) {
        self.since().number
    }

    /// FFmpeg's decoders of it that need no device. Its own `av1` is none: it only drives a GPU.
    fn decoders(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["h264"],
            Self::Hevc => &["hevc"],
            Self::Av1 => &["libdav1d", "libaom-av1", "libgav1"],
            Self::Vp9 => &["vp9", "libvpx-vp9"],
            Self::Aac => &["aac", "libfdk_aac"],
            Self::Mp3 => &["mp3float", "mp3"],
            Self::Opus => &["opus", "libopus"],
            Self::Flac => &["flac"],
            Self::Ac3 => &["ac3", "ac3_fixed"],
            Self::Eac3 => &["eac3"],
        }
    }

    /// The table: what FFmpeg's FLV demuxer learnt, and when. Each codec was read by FFmpeg 9.0.2, and those of
    /// [`OLDEST`] alone by 5.1.9.
    fn since(self) -> Release {
        match self {
            Self::H264 | Self::Aac | Self::Mp3 => OLDEST,
            Self::Hevc | Self::Av1 | Self::Vp9 => ENHANCED_VIDEO,
            Self::Opus | Self::Flac | Self::Ac3 | Self::Eac3 => ENHANCED_V2,
        }
    }
}

/// For people: `hevc`.
impl fmt::Display for Carriage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
            Self::Aac => "aac",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first_line: &str, libavutil: &str, expected: Result<&str, CapabilityError>) {
        let answer = format!(
            "{first_line} Copyright (c) 2000-2026 the FFmpeg developers\nbuilt with gcc 12\nlibavutil      {libavutil}\n"
        );
        let version = read(&answer).map(|build| build.version);
        assert_eq!(version, expected.map(str::to_owned), "{first_line}");
    }

    /// Expects what the FFmpeg of this version reads beyond H.264, AAC and MP3 as FLV itself names them.
    #[track_caller]
    fn check_reads(version: &str, libavutil: &str, expected: &str) {
        let answer =
            format!("ffmpeg version {version} Copyright\nlibavutil      {libavutil} / {libavutil}\n");
        let reads = read(&answer).expect("new enough").reads;
        let plain = [Carriage::H264, Carriage::Aac, Carriage::Mp3];
        assert!(plain.iter().all(|carriage| reads.contains(carriage)), "{version}: {reads:?}");
        let more = reads.iter().filter(|carriage| !plain.contains(carriage));
        assert_eq!(more.map(ToString::to_string).collect::<Vec<_>>().join(", "), expected, "{version}");
    }

    #[test]
    fn what_is_read_from_flv_grew_with_6_1_and_8_0() {
        let video = "hevc, av1, vp9";
        let all = "hevc, av1, vp9, opus, flac, ac3, eac3";
        check_reads("5.1.9-0+deb12u1", "57. 28.100", "");
        check_reads("6.0.1", "58.  2.100", "");
        check_reads("6.1", "58. 29.100", video);
        check_reads("n7.1-62-gb168ed9b14", "59. 39.100", video);
        check_reads("8.0", "60.  8.100", all);
        check_reads("n9.0.2-17-g2a571b6068-20260930", "61.  1.102", all);
    }

    #[test]
    fn a_build_from_git_is_judged_by_its_libavutil() {
        check_reads("N-112233-g0123abc", "58. 14.100", "");
        check_reads("N-113007-g8d24a28d06", "58. 32.100", "hevc, av1, vp9");
        check_reads("2023-03-05-git-912ac82a3c-full_build-www.gyan.dev", "58.  3.100", "");
        check_reads("2023-12-20-git-12345678ab", "58. 34.100", "hevc, av1, vp9");
    }

    #[test]
    fn a_carriage_is_named_by_its_codec() {
        use {AudioCodec as A, VideoCodec as V};
        let video = [V::H264, V::Hevc, V::Av1, V::Vp9].map(|codec| Carriage::of_video(codec).to_string());
        assert_eq!(video, ["h264", "hevc", "av1", "vp9"]);
        let audio = [A::Aac, A::Mp3, A::Opus, A::Flac, A::Ac3, A::Eac3];
        let audio = audio.map(|codec| Carriage::of_audio(codec).to_string());
        assert_eq!(audio, ["aac", "mp3", "opus", "flac", "ac3", "eac3"]);
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
        assert_eq!(read(""), Err(CapabilityError::NotFfmpeg));
        assert_eq!(read("ffmpeg version "), Err(CapabilityError::NotFfmpeg));
    }

    #[test]
    fn encoders_and_decoders_are_read_from_their_lists() {
        // ffmpeg 5.1 -hide_banner -encoders, -decoders: the title, the legend, and some rows.
        let encoders = "Encoders:\n V..... = Video\n A..... = Audio\n .F.... = Frame-level multithreading\n ------\n \
            V....D libx264              libx264 H.264 / AVC (codec h264)\n V....D libx264rgb           RGB (codec h264)\n \
            V....D h264_nvenc           NVIDIA NVENC H.264 encoder (codec h264)\n A....D aac   AAC (Advanced Audio Coding)\n";
        assert_eq!(listed_encoders(encoders), [Encoder::Libx264, Encoder::H264Nvenc]);
        let decoders = "Decoders:\n V..... = Video\n ------\n V....D av1                  Alliance for Open Media AV1\n \
            VFS..D h264                 H.264 / AVC\n V....D libvpx               libvpx VP8 (codec vp8)\n \
            A....D mp3float             MP3 (MPEG audio layer 3) (codec mp3)\n A....D libopus   libopus Opus (codec opus)\n";
        assert_eq!(listed_decoders(decoders), [Carriage::H264, Carriage::Mp3, Carriage::Opus]);
        let dav1d = " V....D libdav1d             dav1d AV1 decoder by VideoLAN (codec av1)";
        assert_eq!(listed_decoders(dav1d), [Carriage::Av1]);
        assert!(listed_encoders("").is_empty() && listed_decoders("V\n\n = \n").is_empty());
    }
}
