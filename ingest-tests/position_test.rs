//! What FFmpeg makes is a function of position: run from the beginning, or from anywhere later, with the project's own
//! arguments, it gives the same pictures and the same samples at the same place.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test starts FFmpeg itself, and says what it measured"
)]

#[path = "position/attempt.rs"]
mod attempt;
mod harness;
#[path = "position/picture.rs"]
mod picture;
#[path = "position/sound.rs"]
mod sound;

use std::io::Write;
use std::time::{Duration, Instant};

use harness::assert_none;
use harness::ffmpeg::{Ffmpeg, run_ok_with, text};
use harness::flv::{self, Tag};
use headgate::base::units::Bitrate;
use headgate::ffmpeg::attempt::{AttemptSpec, AudioStart, SourceSamples};
use headgate::ffmpeg::bounds::access_units_inside;
use headgate::ffmpeg::frame_rate::FrameRate;
use headgate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use headgate::media::time::Ticks;
use headgate::stream::commit::VideoCommit;
use sound::{RATE, Sound, UNIT, compare};

/// Where the sources begin, in seconds after FFmpeg's time zero: late, as they mostly do.
const BEGIN_S: i64 = 853;

/// How much weaker than the sound the difference of two runs is at least, in dB. The encoder's history makes it what it is:
/// FFmpeg 5.1 encodes what it made of 5.1 channels up to 8 dB apart, all else more than 17.
const LEAST_RATIO: f64 = 5.0;

/// A source of sound, by its access units.
struct Source {
    rate: i64,
    unit: i64,
    /// What a decoder needs first.
    configuration: Option<Tag>,
    /// Access units with the position of their first sample.
    units: Vec<(Tag, i64)>,
}

impl Source {
    /// Encodes what lavfi's `graph` gives with `options`. `anchor` is the position of the first sample.
    fn encode(graph: &str, options: &str, rate: i64, unit: i64, anchor: i64) -> Self {
        let folder = harness::folder();
        let path = folder.path().join("source.flv");
        let read = ["-loglevel error -f lavfi -i", graph, options, text(&path)];
        run_ok_with(Ffmpeg::Debian, &read);
        let tags = flv::tags(&path);
        // MP3 (FLV 10.1 E.4.2.1, sound format 2) has no configuration; of AAC the second byte tells it.
        let is_configuration = |tag: &&Tag| tag.body[0] >> 4 == 10 && tag.body[1] == 0;
        let configuration =
            tags.iter().filter(|tag| tag.kind == harness::rtmp::AUDIO).find(is_configuration).cloned();
        let media =
            tags.into_iter().filter(|tag| tag.kind == harness::rtmp::AUDIO && !is_configuration(&tag));
        let media: Vec<Tag> = media.filter(|tag| tag.body.len() > 2).collect();
        let units = media.into_iter().zip((0..).map(|index| anchor + index * unit)).collect();
        Self { rate, unit, configuration, units }
    }

    /// The same without the units from `from` to `to`, in seconds after the beginning. What comes after begins at a whole
    /// millisecond, as the sender's clock says it.
    fn without(mut self, from: f64, to: f64) -> Self {
        let begin = self.units[0].1;
        let at = |seconds: f64| begin + (seconds * self.rate as f64) as i64;
        let (from, to) = (at(from), at(to));
        let anchor = nearest(to * 1000, self.rate) + 3;
        let anchor = nearest(anchor * self.rate, 1000);
        let rest = self.units.split_off(self.units.partition_point(|&(_, position)| position < from));
        let rest = rest.into_iter().skip_while(|&(_, position)| position < to);
        self.units
            .extend(rest.zip((0..).map(|index| anchor + index * self.unit)).map(|((tag, _), at)| (tag, at)));
        self
    }

    /// The attempt that begins with unit `first`, and what it reads.
    fn attempt(&self, first: usize) -> (AttemptSpec, Vec<u8>) {
        let position = self.units[first].1;
        let grid = (position * RATE / self.rate).div_euclid(UNIT) * UNIT;
        let source = SourceSamples {
            rate: u32::try_from(self.rate).expect("a rate"),
            first: position,
            access_unit: u32::try_from(self.unit).expect("a unit"),
        };
        let spec = spec(AudioStart { first_sample: grid, source: Some(source) });
        let configuration = self.configuration.iter().map(|tag| (tag, 0));
        let millis = |position: i64| nearest(position * 1000, self.rate);
        let units = self.units[first..].iter().map(|(tag, position)| (tag, millis(*position)));
        let input = attempt::flv(&spec, configuration.chain(units));
        (spec, input)
    }
}

/// `value / divisor`, rounded to the nearest.
fn nearest(value: i64, divisor: i64) -> i64 {
    (value + divisor / 2).div_euclid(divisor)
}

fn spec(audio_start: AudioStart) -> AttemptSpec {
    AttemptSpec {
        number: 1,
        ladder: Ladder {
            renditions: Vec::new(),
            audio: AudioOutput::Aac { bitrate: Bitrate::kilobits(192) },
            latency: Latency::Normal,
            deinterlace: Deinterlace::Off,
        },
        has_video: false,
        has_audio: true,
        base: Ticks::ZERO,
        frame_rate: None,
        max_gop: Duration::from_secs(10),
        audio_start,
    }
}

/// What is not the same when `source` is read from later units.
fn findings(name: &str, ffmpeg: Ffmpeg, source: &Source, starts: &[usize]) -> Vec<String> {
    let folder = harness::folder();
    let run = |first| {
        let (spec, input) = source.attempt(first);
        let bytes = attempt::run(ffmpeg, &spec, &input).remove(&Output::Audio).expect("there is audio");
        Sound::decode(&bytes, spec.audio_start.first_sample, folder.path())
    };
    let whole = run(0);
    let mut findings = whole.findings.clone();
    for &first in starts {
        let restarted = run(first);
        findings.extend(restarted.findings.iter().map(|finding| format!("{name} from {first}: {finding}")));
        let difference = compare(&whole, &restarted, restarted.begin + RATE);
        println!("{ffmpeg:?} {name} from unit {first}: {difference:?}");
        let same = difference.offset == 0 && difference.ratio > LEAST_RATIO && difference.windows > 3;
        if !same {
            findings.push(format!("{name} from unit {first}: {difference:?}"));
        }
    }
    findings
}

/// Noise of these channels, of which a codec keeps what matters.
fn noise(rate: i64, channels: usize, seconds: u32) -> String {
    let one =
        |seed| format!("anoisesrc=d={seconds}:c=pink:r={rate}:seed={seed}:a=0.6,lowpass=f=3000[n{seed}]");
    let all: Vec<String> = (0..channels).map(one).collect();
    let pads: String = (0..channels).map(|seed| format!("[n{seed}]")).collect();
    let layout = match channels {
        1 => "mono",
        2 => "stereo",
        _ => "5.1",
    };
    match channels {
        1 => all[0].replace("[n0]", ""),
        _ => format!("{};{pads}join=inputs={channels}:channel_layout={layout}", all.join(";")),
    }
}

#[track_caller]
fn check(name: &str, source: &Source) {
    check_from(name, source, &[1, 37, 101]);
}

/// Expects the same from the beginning and from these units.
#[track_caller]
fn check_from(name: &str, source: &Source, starts: &[usize]) {
    let mut found = Vec::new();
    for ffmpeg in [Ffmpeg::Debian, Ffmpeg::Current] {
        if ffmpeg.is_installed() {
            found.extend(findings(name, ffmpeg, source, starts));
        }
    }
    assert_none(name, &found);
}

const AAC: &str = "-c:a aac -b:a 256k";

#[test]
fn sound_of_any_rate_is_the_same_from_wherever_it_is_read() {
    let begin = |rate: i64| BEGIN_S * rate + 29;
    for (name, rate, channels, options, unit) in [
        ("AAC at 44.1 kHz", 44_100, 2, AAC, 1024),
        ("AAC at 22.05 kHz, mono", 22_050, 1, "-c:a aac -b:a 96k", 1024),
        ("AAC at 48 kHz", 48_000, 2, AAC, 1024),
        ("AAC at 32 kHz", 32_000, 2, AAC, 1024),
        ("5.1 AAC at 44.1 kHz", 44_100, 6, "-c:a aac -b:a 512k", 1024),
        ("MP3 at 44.1 kHz", 44_100, 2, "-c:a libmp3lame -b:a 256k", 1152),
    ] {
        let source = Source::encode(&noise(rate, channels, 6), options, rate, unit, begin(rate));
        check(name, &source);
    }
}

#[test]
fn a_gap_of_the_source_moves_no_sample() {
    for (gap, to) in [("60 ms", 2.06), ("300 ms", 2.3), ("3 s", 5.0)] {
        for (name, rate, options, unit) in
            [("AAC", 44_100, AAC, 1024), ("MP3", 44_100, "-c:a libmp3lame -b:a 256k", 1152)]
        {
            let source = Source::encode(&noise(rate, 2, 8), options, rate, unit, BEGIN_S * rate + 29);
            let units_before =
                source.units.iter().filter(|(_, at)| *at < source.units[0].1 + 2 * rate).count();
            let source = source.without(2.0, to);
            // Before the gap, with its last unit, its first, and one after it.
            let starts = [30, units_before - 1, units_before, units_before + 21];
            check_from(&format!("{name} with a gap of {gap}"), &source, &starts);
        }
    }
}

/// The decoder puts out twice the rate that the configuration says: told half of what it is, AAC-LC looks like HE-AAC that
/// does not announce itself.
#[test]
fn sound_that_is_decoded_at_twice_its_rate_is_in_its_place() {
    let mut source = Source::encode(&noise(44_100, 2, 6), AAC, 44_100, 1024, BEGIN_S * 44_100 + 28);
    (source.rate, source.unit) = (22_050, 512);
    source.units.iter_mut().for_each(|(_, position)| *position /= 2);
    check("AAC at twice its rate", &source);
}

#[test]
fn channels_are_mixed_and_none_is_dropped() {
    let speakers = ["FL", "FR", "FC", "BL", "BR"];
    // In the order of 5.1: the fourth is for low frequencies, which stereo has no place for.
    let second = |second| format!("0.5*sin(1000*PI*t)*eq(floor(t),{second})");
    let channels = [second(0), second(1), second(2), "0".to_owned(), second(3), second(4)];
    let graph = format!("aevalsrc='{}':c=5.1:s=48000:d=5", channels.join("|"));
    let source = Source::encode(&graph, "-c:a aac -b:a 512k", 48_000, 1024, BEGIN_S * 48_000);
    let folder = harness::folder();
    for ffmpeg in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|ffmpeg| ffmpeg.is_installed()) {
        let (spec, input) = source.attempt(0);
        let bytes = attempt::run(ffmpeg, &spec, &input).remove(&Output::Audio).expect("there is audio");
        let sound = Sound::decode(&bytes, spec.audio_start.first_sample, folder.path());
        for (second, name) in (0..).zip(speakers) {
            let [left, right] = sound.power(BEGIN_S * RATE + second * RATE + RATE / 4, RATE / 2);
            println!("{ffmpeg:?} {name}: {left:.6} {right:.6}");
            let (on_left, on_right) = (!name.ends_with('R'), !name.ends_with('L'));
            assert_eq!((left > 1e-4, right > 1e-4), (on_left, on_right), "{ffmpeg:?} {name}: {left} {right}");
        }
    }
}

/// Expects the same fragments of `graph`, encoded with `options`, from any GOP on after one of warm-up.
#[track_caller]
fn check_pictures(name: &str, graph: &str, options: &str, fps: Option<&str>, deinterlace: Deinterlace) {
    let source = picture::Source::encode(graph, options, BEGIN_S * 1000 + 33);
    let spec = picture::spec(vec![picture::rendition(fps, "veryfast")], deinterlace, None);
    let gops = source.gops();
    let mut found = Vec::new();
    for ffmpeg in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|ffmpeg| ffmpeg.is_installed()) {
        let whole = picture::fragments(ffmpeg, &spec, &source, 0);
        let pictures: Vec<u32> = whole.iter().map(|fragment| fragment.access_units).collect();
        println!(
            "{ffmpeg:?} {name}: {} GOPs of {} pictures gave {pictures:?}",
            gops.len(),
            source.units.len()
        );
        for gop in [1, 3] {
            let restarted = picture::fragments(ffmpeg, &spec, &source, gops[gop]);
            let differences = picture::compare(&whole, &restarted, source.shown(gops[gop + 1]));
            found.extend(differences.into_iter().map(|it| format!("{ffmpeg:?} {name} from GOP {gop}: {it}")));
        }
    }
    assert_none(name, &found);
}

const GOP_OF_25: &str =
    "-c:v libx264 -preset veryfast -bf 2 -g 25 -keyint_min 25 -sc_threshold 0 -pix_fmt yuv420p";
const PROGRESSIVE: &str = "testsrc2=size=160x90:rate=30:duration=5";

#[test]
fn a_frame_rate_of_its_own_is_a_grid_of_the_timeline() {
    for fps in ["60", "24000/1001", "15", "30", "25", "1"] {
        check_pictures(&format!("30 at {fps}"), PROGRESSIVE, GOP_OF_25, Some(fps), Deinterlace::Off);
    }
}

#[test]
fn so_it_is_of_sources_at_other_rates() {
    let ntsc = "testsrc2=size=160x90:rate=30000/1001:duration=5";
    let variable = "testsrc2=size=160x90:rate=60:duration=5,select='gt(random(1),0.5)'";
    let few = "testsrc2=size=160x90:rate=2:duration=50";
    for fps in ["60", "24000/1001", "15"] {
        check_pictures(&format!("29.97 at {fps}"), ntsc, GOP_OF_25, Some(fps), Deinterlace::Off);
        let options = format!("{GOP_OF_25} -fps_mode vfr");
        check_pictures(&format!("variable at {fps}"), variable, &options, Some(fps), Deinterlace::Off);
    }
    check_pictures("2 at 15", few, "-c:v libx264 -g 10 -pix_fmt yuv420p", Some("15"), Deinterlace::Off);
}

#[test]
fn deinterlacing_keeps_each_picture_in_its_place() {
    let interlaced = "testsrc2=size=160x96:rate=60:duration=5,tinterlace=interleave_top,setfield=tff";
    let options = format!("{GOP_OF_25} -flags +ildct+ilme");
    for (name, deinterlace) in [("frame", Deinterlace::Frame), ("field", Deinterlace::Field)] {
        check_pictures(&format!("interlaced by {name}"), interlaced, &options, None, deinterlace);
        check_pictures(&format!("interlaced by {name} at 25"), interlaced, &options, Some("25"), deinterlace);
        check_pictures(&format!("progressive by {name}"), PROGRESSIVE, GOP_OF_25, None, deinterlace);
    }
    check_pictures("as they are", PROGRESSIVE, GOP_OF_25, None, Deinterlace::Off);
}

/// Expects decode times of neighbouring fragments of copied pictures not to overlap, and each presentation time as it came.
#[track_caller]
fn check_copied(name: &str, encoder: &str, readers: &[Ffmpeg]) {
    let source = picture::Source::encode(PROGRESSIVE, encoder, BEGIN_S * 1000);
    let rendition = Rendition { video: VideoOutput::Copy, ..picture::rendition(None, "") };
    let spec = picture::spec(vec![rendition], Deinterlace::Off, None);
    for &ffmpeg in readers.iter().filter(|ffmpeg| ffmpeg.is_installed()) {
        let pipe = attempt::run(ffmpeg, &spec, &source.input(&spec, 0, source.units.len()));
        let fragments = attempt::fragments(&spec, &pipe[&Output::Rendition(0)]);
        let leading = fragments.iter().filter(|it| it.first_presentation < it.position).count();
        println!("{ffmpeg:?} {name}: {leading} of {} fragments begin with leading pictures", fragments.len());
        assert!(leading >= 2, "{ffmpeg:?} {name} has no open GOP");
        let (mut commit, mut shown, mut decoded) = (VideoCommit::default(), Vec::new(), i64::MIN);
        for fragment in &fragments {
            let end = fragment.end.unwrap_or(fragment.last_presentation + Ticks(1));
            assert!(commit.offer(fragment, end), "{ffmpeg:?} {name}: {:?}", fragment.position);
            for unit in attempt::read_fragment(fragment) {
                assert!(
                    unit.decode_time >= decoded,
                    "{ffmpeg:?} {name}: {} before {decoded}",
                    unit.decode_time
                );
                decoded = unit.decode_time + i64::from(unit.duration.expect("the fragmenter writes it"));
                shown.push(Ticks(unit.presentation_time));
            }
        }
        assert_eq!(commit.duplicated(), 0, "{ffmpeg:?} {name}");
        let expected: Vec<Ticks> = (0..source.units.len()).map(|index| source.shown(index)).collect();
        assert_eq!(shown, expected, "{ffmpeg:?} {name}");
    }
}

#[test]
fn copied_open_gops_do_not_overlap() {
    let x264 =
        "-c:v libx264 -preset veryfast -bf 2 -g 25 -sc_threshold 0 -pix_fmt yuv420p -x264-params open-gop=1";
    check_copied("x264", x264, &[Ffmpeg::Debian, Ffmpeg::Current]);
    let x265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params keyint=27:min-keyint=27:bframes=3:open-gop=1:log-level=error";
    check_copied("x265", x265, &[Ffmpeg::Current]);
}

/// How long nothing more may come out before what is inside counts as held. A busy machine makes it look like more, never
/// like less.
const QUIET: Duration = Duration::from_millis(700);

/// Access units that FFmpeg holds of each rendition after all of `input` went in, and while its input stays open. Waits until
/// that is at most what `bounds` say, and for as long as more comes out.
fn held(ffmpeg: Ffmpeg, spec: &AttemptSpec, (input, pictures): (&[u8], usize), bounds: &[u32]) -> Vec<usize> {
    // A rendition with a rate of its own has half the source's here.
    let each = if spec.ladder.renditions[0].fps.is_some() { 2 } else { 1 };
    let mut running = attempt::start(ffmpeg, spec);
    let mut stdin = running.child.stdin.take().expect("it was asked for");
    stdin.write_all(input).expect("FFmpeg reads");
    let inside = |running: &attempt::Running| -> Vec<usize> {
        let outputs = (0u8..).zip(bounds).map(|(index, _)| Output::Rendition(index));
        outputs.map(|output| pictures - running.access_units(output) * each).collect()
    };
    let (mut last, mut since) = (inside(&running), Instant::now());
    harness::wait_for(Duration::from_secs(100), || {
        let now = inside(&running);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let bounded = last.iter().zip(bounds).all(|(&held, &bound)| held <= bound as usize);
        (bounded && since.elapsed() >= QUIET).then_some(())
    });
    drop(stdin);
    running.kill();
    last
}

#[test]
fn what_is_inside_is_bounded() {
    let presets = ["ultrafast", "veryfast", "medium", "slower", "veryslow"];
    let rates = |fps| FrameRate::new(fps, 1);
    let mut over = Vec::new();
    for (b_frames, deinterlace, latency, rate, fps) in [
        (0, Deinterlace::Off, Latency::Normal, rates(30), None),
        (3, Deinterlace::Off, Latency::Normal, rates(30), None),
        (3, Deinterlace::Off, Latency::Normal, rates(30), Some("15")),
        (3, Deinterlace::Field, Latency::Normal, rates(30), None),
        (0, Deinterlace::Off, Latency::Low, rates(30), None),
        (3, Deinterlace::Frame, Latency::Low, rates(30), None),
        (0, Deinterlace::Off, Latency::Normal, rates(1), None),
        (3, Deinterlace::Off, Latency::Normal, rates(1), None),
    ] {
        let options =
            format!("-c:v libx264 -preset veryfast -bf {b_frames} -g 50 -sc_threshold 0 -pix_fmt yuv420p");
        let source =
            picture::Source::encode("testsrc2=size=160x90:rate=30:duration=4", &options, BEGIN_S * 1000);
        // Where the encoder holds nothing back, its preset says nothing.
        let all = if latency == Latency::Low { &presets[..2] } else { &presets[..] };
        for renditions in [all, &presets[1..2]] {
            if renditions.len() == 1 && b_frames > 0 {
                continue;
            }
            let renditions: Vec<_> =
                renditions.iter().map(|preset| picture::rendition(fps, preset)).collect();
            let mut spec = picture::spec(renditions, deinterlace, rate);
            spec.ladder.latency = latency;
            let input = source.input(&spec, 0, source.units.len());
            for ffmpeg in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|ffmpeg| ffmpeg.is_installed())
            {
                let bounds: Vec<u32> =
                    spec.ladder.renditions.iter().map(|it| access_units_inside(&spec, it)).collect();
                let held = held(ffmpeg, &spec, (&input, source.units.len()), &bounds);
                let case = format!("{ffmpeg:?}, {b_frames} B-frames, {deinterlace:?}, {latency:?}, {rate:?}");
                println!("{case}: {held:?} held, at most {bounds:?}");
                let fits =
                    |(&held, &bound): (&usize, &u32)| held <= bound as usize && bound as usize <= held + 8;
                if !held.iter().zip(&bounds).all(fits) {
                    over.push(format!("{case}: {held:?} held, at most {bounds:?}"));
                }
            }
        }
    }
    assert_none("what FFmpeg holds is not as it was reckoned", &over);
}

/// From FFmpeg's start to the first picture out of every pipe, with this input and no end of it. Said, not judged: the machine
/// may be busy.
fn say_start(name: &str, ffmpeg: Ffmpeg, spec: &AttemptSpec, input: &[u8]) {
    let begun = Instant::now();
    let mut running = attempt::start(ffmpeg, spec);
    let mut stdin = running.child.stdin.take().expect("it was asked for");
    stdin.write_all(input).expect("FFmpeg reads");
    let count = spec.ladder.renditions.len();
    let begun_all = || (0u8..).take(count).all(|index| running.access_units(Output::Rendition(index)) > 0);
    let out = || begun_all().then(|| begun.elapsed());
    let first = harness::wait_for(Duration::from_secs(20), out);
    drop(stdin);
    running.kill();
    println!("{ffmpeg:?}, {name}: {first:?}");
    assert!(first.is_some(), "{ffmpeg:?}, {name}: nothing came out");
}

#[test]
fn the_first_picture_comes_out() {
    let encode = |graph: &str, begin| {
        picture::Source::encode(graph, "-c:v libx264 -preset veryfast -bf 0 -g 30 -pix_fmt yuv420p", begin)
    };
    let renditions = || vec![picture::rendition(None, "veryfast"), picture::rendition(None, "ultrafast")];
    for ffmpeg in [Ffmpeg::Debian, Ffmpeg::Current].into_iter().filter(|ffmpeg| ffmpeg.is_installed()) {
        for (when, begin) in [("soon after time zero", 1_000), ("late", 1_001_900)] {
            let few = encode("testsrc2=size=640x360:rate=1:duration=4", begin);
            let spec = picture::spec(renditions(), Deinterlace::Off, FrameRate::new(1, 1));
            say_start(&format!("two pictures at 1 a second, {when}"), ffmpeg, &spec, &few.input(&spec, 0, 2));
            let many = encode("testsrc2=size=640x360:rate=30:duration=2", begin);
            let spec = picture::spec(renditions(), Deinterlace::Off, FrameRate::new(30, 1));
            let input = many.input(&spec, 0, many.units.len());
            say_start(&format!("two seconds at 30 a second, {when}"), ffmpeg, &spec, &input);
        }
    }
}
