//! Why FFmpeg ended: its exit and its last words, mapped onto our closed set of reasons.

use super::encoder::Usable;
use crate::base::reason::Reason;

/// Lines of FFmpeg's last words that a detail holds at most.
const MAX_DETAIL_LINES: usize = 4;
/// Characters of such a line that are kept.
const MAX_LINE_CHARS: usize = 240;

/// How the process ended, as the system says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal, which was not ours.
    Signal(i32),
}

/// What had happened to the attempt until FFmpeg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// The input was still going on.
    InputOpen,
    /// The input had ended, and every output had begun.
    InputEnded,
    /// The input had ended, but an output never began.
    OutputMissing,
}

/// Why FFmpeg ended, for log, metric and API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// One of the closed set.
    pub reason: Reason,
    /// The lines that explain it, at most four; empty when all went well.
    pub detail: String,
}

/// What FFmpeg says and what it means; the first row that a line matches wins, so what is certain comes first. Read from
/// FFmpeg 5.1.9 and 9.0.2. A damaged stream makes many of the lines at the end without ending FFmpeg.
const MEANINGS: &[(&str, Reason)] = &[
    // Before what its error code is called: "out of memory" of a GPU is most often its number of sessions.
    ("OpenEncodeSessionEx failed", Reason::EncoderUnusable),
    ("Cannot allocate memory", Reason::LimitExceeded),
    ("Unknown encoder", Reason::EncoderUnusable),
    ("Error selecting an encoder", Reason::EncoderUnusable),
    ("Error setting preset/tune", Reason::EncoderUnusable),
    ("No capable devices found", Reason::EncoderUnusable),
    ("Cannot load libcuda", Reason::EncoderUnusable),
    ("Cannot load libnvidia-encode", Reason::EncoderUnusable),
    ("EncodePicture failed", Reason::EncoderUnusable),
    ("Device creation failed", Reason::EncoderUnusable),
    ("Failed to end picture encode", Reason::EncoderUnusable),
    ("Failed to sync to picture completion", Reason::EncoderUnusable),
    // FFmpeg 5.1, "Error initializing an internal MFX session", and 9.0, "Error creating a MFX session".
    ("MFX session", Reason::EncoderUnusable),
    ("Error during encoding: device failed", Reason::EncoderUnusable),
    ("rror while opening encoder", Reason::EncoderUnusable),
    ("No such filter", Reason::FfmpegUnusable),
    ("Unrecognized option", Reason::FfmpegUnusable),
    ("Error splitting the argument list", Reason::FfmpegUnusable),
    ("Unknown input format", Reason::FfmpegUnusable),
    ("not on whitelist", Reason::FfmpegUnusable),
    ("Bad file descriptor", Reason::FfmpegUnusable),
    ("could not find codec parameters", Reason::InputUnreadable),
    ("matches no streams", Reason::InputUnreadable),
    ("Error opening input", Reason::InputUnreadable),
    ("Could not open encoder before EOF", Reason::InputUnreadable),
    ("received no packets", Reason::InputUnreadable),
    ("Invalid data found when processing input", Reason::InputUnreadable),
];

/// What says that an encoder, or its device, does not work whatever it is given.
const OWN_FAULTS: &[&str] = &[
    "OpenEncodeSessionEx failed",
    "Unknown encoder",
    "Error selecting an encoder",
    "Cannot load libcuda",
    "Cannot load libnvidia-encode",
    "Device creation failed",
    "MFX session",
    "Failed to end picture encode",
    "Failed to sync to picture completion",
    "Error during encoding: device failed",
];
/// What NVENC says when a GPU has as many sessions as it may have: error 10 with most drivers, error 21 with older ones.
const SESSION_LIMITS: &[&str] =
    &["OpenEncodeSessionEx failed: out of memory", "OpenEncodeSessionEx failed: incompatible client key"];

/// Whose fault [`Reason::EncoderUnusable`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderFault {
    /// The encoder's own, or its device's.
    Own,
    /// Perhaps the stream's: the encoder may refuse the size of its pictures.
    Perhaps,
}

/// Whose fault an end with [`Reason::EncoderUnusable`] is, by its [`Diagnosis::detail`].
#[must_use]
pub fn encoder_fault(detail: &str) -> EncoderFault {
    if OWN_FAULTS.iter().any(|text| detail.contains(text)) {
        EncoderFault::Own
    } else {
        EncoderFault::Perhaps
    }
}

/// Whether a GPU has no encoder session left, by a [`Diagnosis::detail`].
#[must_use]
pub fn is_session_limit(detail: &str) -> bool {
    SESSION_LIMITS.iter().any(|text| detail.contains(text))
}

/// Which of the encoders of an attempt FFmpeg complains of in its last `lines`; all of them where it names none.
#[must_use]
pub fn blamed<'a>(encoders: &'a [Usable], lines: &[String]) -> Vec<&'a Usable> {
    let errors: Vec<&String> = lines.iter().filter(|line| is_error(line)).collect();
    let names = |usable: &Usable| {
        let (context, quoted) =
            (format!("{} @", usable.encoder.name()), format!("'{}'", usable.encoder.name()));
        errors.iter().any(|line| line.contains(&context) || line.contains(&quoted))
    };
    let named: Vec<&Usable> = encoders.iter().filter(|usable| names(usable)).collect();
    if named.is_empty() { encoders.iter().collect() } else { named }
}

/// The reason of an `exit` that we did not ask for, from the `lines` that FFmpeg wrote last.
#[must_use]
pub fn diagnose(exit: Exit, course: Course, lines: &[String]) -> Diagnosis {
    let known = meaning(lines);
    let reason = match (exit, course) {
        (Exit::Signal(_), _) => Reason::FfmpegCrashed,
        (Exit::Code(0), Course::InputEnded) => {
            return Diagnosis { reason: Reason::Completed, detail: String::new() };
        }
        (Exit::Code(0), Course::OutputMissing) => known.map_or(Reason::InputUnreadable, |(reason, _)| reason),
        (Exit::Code(_), _) => known.map_or(Reason::FfmpegExited, |(reason, _)| reason),
    };
    let exit = match exit {
        Exit::Signal(number) => format!("ended by signal {number}"),
        Exit::Code(code) => format!("exit code {code}"),
    };
    let explaining = known.map(|(_, line)| line);
    let errors: Vec<&str> = lines.iter().map(String::as_str).filter(|line| is_error(line)).collect();
    let last = errors
        .iter()
        .rev()
        .take(MAX_DETAIL_LINES - 1)
        .rev()
        .copied()
        .filter(|&line| Some(line) != explaining);
    let detail: Vec<String> =
        std::iter::once(exit).chain(explaining.into_iter().chain(last).map(plain)).collect();
    Diagnosis { reason, detail: detail.join("; ") }
}

/// The first row of the table that a line matches, and that line.
fn meaning(lines: &[String]) -> Option<(Reason, &str)> {
    MEANINGS.iter().find_map(|(text, reason)| {
        lines.iter().find(|line| line.contains(text)).map(|line| (*reason, line.as_str()))
    })
}

/// Whether FFmpeg gave a line the level of an error (`-loglevel level+…`).
fn is_error(line: &str) -> bool {
    line.contains("[error]") || line.contains("[fatal]") || line.contains("[panic]")
}

/// A line without what says nothing: addresses and levels in brackets before it, control characters, too much of it.
fn plain(line: &str) -> String {
    let mut text = line.trim();
    while let Some((_, rest)) = text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        text = rest.trim_start();
    }
    text.chars().filter(|character| !character.is_control()).take(MAX_LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit: Exit, course: Course, text: &str, reason: Reason, detail: &str) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(diagnose(exit, course, &lines), Diagnosis { reason, detail: detail.to_owned() });
    }

    #[test]
    fn an_end_in_order_needs_no_words() {
        let noise = "[mp4 @ 0x55] [warning] No meaningful edit list will be written\n[error] Error while decoding stream #0:0: Invalid data found when processing input";
        check(Exit::Code(0), Course::InputEnded, noise, Reason::Completed, "");
    }

    #[test]
    fn an_encoder_that_cannot_be_opened_is_named() {
        let old = "[h264_nvenc @ 0x564b] [error] Cannot load libcuda.so.1\n[error] Error initializing output stream 0:0 -- Error while opening encoder for output stream #0:0";
        check(
            Exit::Code(1),
            Course::InputOpen,
            old,
            Reason::EncoderUnusable,
            "exit code 1; Cannot load libcuda.so.1; Error initializing output stream 0:0 -- Error while opening encoder for output stream #0:0",
        );
        let new = "[vost#0:0 @ 0x5600] [fatal] Unknown encoder 'nonesuch'\n[vost#0:0 @ 0x5600] [fatal] Error selecting an encoder\n[error] Error opening output file -.\n[fatal] Error opening output files: Encoder not found";
        check(
            Exit::Code(8),
            Course::InputOpen,
            new,
            Reason::EncoderUnusable,
            "exit code 8; Unknown encoder 'nonesuch'; Error selecting an encoder; Error opening output file -.; Error opening output files: Encoder not found",
        );
    }

    #[test]
    fn an_input_that_cannot_be_read_is_no_fault_of_the_node() {
        check(
            Exit::Code(1),
            Course::InputOpen,
            "[fatal] pipe:0: could not find codec parameters",
            Reason::InputUnreadable,
            "exit code 1; pipe:0: could not find codec parameters",
        );
        check(Exit::Code(0), Course::OutputMissing, "", Reason::InputUnreadable, "exit code 0");
    }

    #[test]
    fn an_exit_without_known_words_is_told_as_it_is() {
        check(Exit::Code(0), Course::InputOpen, "", Reason::FfmpegExited, "exit code 0");
        check(
            Exit::Code(3),
            Course::InputEnded,
            "[error] odd\u{7}",
            Reason::FfmpegExited,
            "exit code 3; odd",
        );
        check(Exit::Signal(11), Course::InputOpen, "", Reason::FfmpegCrashed, "ended by signal 11");
        let told = diagnose(Exit::Code(1), Course::InputOpen, &["[error] ".to_owned() + &"x".repeat(9000)]);
        assert!(told.detail.len() < 300);
        let memory = "[error] Cannot allocate memory";
        check(
            Exit::Code(1),
            Course::InputOpen,
            memory,
            Reason::LimitExceeded,
            "exit code 1; Cannot allocate memory",
        );
    }

    /// An NVENC whose sessions are all in use, as `libavcodec/nvenc.c` and FFmpeg 5.1 say it.
    const NO_SESSION: &str = "[h264_nvenc @ 0x5581] [error] OpenEncodeSessionEx failed: out of memory (10): (no details)\n\
        [h264_nvenc @ 0x5581] [error] No capable devices found\n\
        [error] Error initializing output stream 0:0 -- Error while opening encoder for output stream #0:0 - maybe incorrect parameters";

    #[test]
    fn a_gpu_without_a_free_session_is_recognised() {
        let lines: Vec<String> = NO_SESSION.lines().map(str::to_owned).collect();
        let told = diagnose(Exit::Code(1), Course::InputOpen, &lines);
        assert_eq!(told.reason, Reason::EncoderUnusable);
        assert!(is_session_limit(&told.detail), "{}", told.detail);
        assert_eq!(encoder_fault(&told.detail), EncoderFault::Own);
        assert!(is_session_limit("OpenEncodeSessionEx failed: incompatible client key (21): (no details)"));
        assert!(!is_session_limit("OpenEncodeSessionEx failed: unsupported device (2)"));
    }

    #[test]
    fn a_stream_that_an_encoder_refuses_says_nothing_against_it() {
        let check = |detail: &str, expected| assert_eq!(encoder_fault(detail), expected, "{detail}");
        check("exit code 1; Cannot load libcuda.so.1", EncoderFault::Own);
        check("exit code 8; Unknown encoder 'libx264'", EncoderFault::Own);
        check("exit code 1; Error creating a MFX session: -9.", EncoderFault::Own);
        check("exit code 1; Device creation failed: -22.", EncoderFault::Own);
        check("exit code 1; Width 8192 exceeds 4096; No capable devices found", EncoderFault::Perhaps);
        check("exit code 1; Error while opening encoder for output stream #0:0", EncoderFault::Perhaps);
    }

    #[test]
    fn the_encoder_that_complains_is_blamed() {
        use crate::ffmpeg::encoder::Encoder;
        let encoders = [Encoder::Libx264, Encoder::H264Nvenc, Encoder::H264Qsv].map(Usable::software);
        let check = |text: &str, expected: &[Encoder]| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let found: Vec<Encoder> = blamed(&encoders, &lines).iter().map(|usable| usable.encoder).collect();
            assert_eq!(found, expected);
        };
        check(NO_SESSION, &[Encoder::H264Nvenc]);
        check("[fatal] Unknown encoder 'libx264'", &[Encoder::Libx264]);
        // FFmpeg 9.0 names the output before the encoder.
        let new = "[vost#0:0/h264_qsv @ 0x564b] [enc:h264_qsv @ 0x564c] [error] Error while opening encoder - maybe";
        check(new, &[Encoder::H264Qsv]);
        check(
            "[libx264 @ 0x5] [warning] a word\n[error] Device creation failed: -22.",
            &[Encoder::Libx264, Encoder::H264Nvenc, Encoder::H264Qsv],
        );
    }
}
