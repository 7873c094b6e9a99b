//! The judges judged: an HLS folder that FFmpeg made of the clip passes, and each fault that they exist for is found.

mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::assert_none;
use harness::clip::{Clip, GOP_FRAMES, Sound};
use harness::ffmpeg::{run_ok, text};
use harness::judge::{Item, compare};
use harness::numbered::{H264, Numbered};
use harness::pcm::{FLV_SLACK, Pcm};
use harness::player::{Gaps, Player, Recording};
use harness::process::{descendants, is_running};
use harness::reference::{Content, Loss, Pictures, Reference, Verdict};
use harness::site::Site;
use harness::wall;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// GOPs of the clip that these tests use: 4 s, so that there are two segments.
const GOPS: usize = 2;

/// Far more than it takes to fetch a folder from loopback.
const PLAY_BOUND: Duration = Duration::from_secs(5);

/// The multivariant playlist of the folders that these tests make.
const MULTIVARIANT: &str = "#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"sound\",URI=\"audio.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=400000,CODECS=\"avc1.42c00d,mp4a.40.2\",RESOLUTION=320x180,FRAME-RATE=30.000,AUDIO=\"sound\"
180p.m3u8
";

/// Files of an HLS folder, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Makes an HLS folder as the origin would serve it: one rendition through `video_filter`, and the audio beside it.
fn hls_of(clip: &Clip, video_filter: &str, audio_filter: &str, folder: &Path) -> Files {
    let hls = folder.join("hls");
    std::fs::create_dir(&hls).expect("a temporary folder can be written");
    let (playlist, segment) = (hls.join("%v.m3u8"), hls.join("%v-%d.m4s"));
    run_ok(&[
        "-loglevel error -copyts -i",
        text(&clip.path),
        "-map 0:v -map 0:a -vf",
        video_filter,
        "-fps_mode passthrough -enc_time_base:v 1:90000 -c:v libx264 -preset ultrafast -force_key_frames source",
        "-c:a copy -bsf:a",
        audio_filter,
        "-f hls -hls_segment_type fmp4 -hls_time 2 -hls_playlist_type vod -hls_fmp4_init_filename init-%v.mp4",
        "-hls_flags independent_segments+program_date_time -hls_segment_filename",
        text(&segment),
        "-var_stream_map",
        "v:0,agroup:sound,name:180p a:0,agroup:sound,name:audio",
        text(&playlist),
    ]);
    let entries = std::fs::read_dir(&hls).expect("ffmpeg has filled it");
    let read =
        |entry: std::fs::DirEntry| (entry.file_name().into_string().ok().unwrap_or_default(), entry.path());
    let paths = entries.map_while(Result::ok).map(read);
    let mut files: Files =
        paths.map(|(name, path)| (name, std::fs::read(path).expect("our own file"))).collect();
    // FFmpeg's own lists the audio as a variant too; and its audio segments may last longer than the target duration.
    files.insert("index.m3u8".to_owned(), MULTIVARIANT.into());
    replace(&mut files, "180p.m3u8", "#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:10\n");
    replace(&mut files, "audio.m3u8", "#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:10\n");
    files
}

#[track_caller]
fn replace(files: &mut Files, name: &str, from: &str, to: &str) {
    let text = String::from_utf8_lossy(&files[name]).into_owned();
    assert!(text.contains(from), "{name} has no {from:?}:\n{text}");
    files.insert(name.to_owned(), text.replacen(from, to, 1).into_bytes());
}

fn play(files: Files) -> (Recording, tempfile::TempDir) {
    let folder = harness::folder();
    let site = Site::start(Box::new(move |path, _| files.get(path).cloned()));
    (Player::start(site.url("index.m3u8"), folder.path().to_owned(), PLAY_BOUND).finish(), folder)
}

/// Judges the clip through the given filters, after `damage` has been done to the files.
fn findings(video_filter: &str, audio_filter: &str, damage: impl FnOnce(&mut Files)) -> Vec<String> {
    let folder = harness::folder();
    let clip = Clip::beginning(GOPS, folder.path());
    let mut files = hls_of(&clip, video_filter, audio_filter, folder.path());
    damage(&mut files);
    let (recording, _folder) = play(files);
    recording.judge(&clip, 1)
}

/// The same for a reference of the clip that `change` has changed.
fn verdict(
    (video_filter, audio_filter): (&str, &str),
    change: fn(&mut Reference),
    damage: fn(&mut Files),
) -> Verdict {
    let folder = harness::folder();
    let video = format!("{H264} -bf 0 -g {GOP_FRAMES}");
    // Sound that goes on after the picture would be a segment of its own.
    let sound = Some(",aformat=channel_layouts=stereo,atrim=end=3.75");
    let made = Numbered { seconds: 4, video, sound, ..Numbered::new("30") }.make(folder.path(), "source.flv");
    let clip = Clip::read(made, GOPS * GOP_FRAMES);
    let mut files = hls_of(&clip, video_filter, audio_filter, folder.path());
    damage(&mut files);
    let (pcm, complaints) = Pcm::read(&clip.path, FLV_SLACK);
    assert_none("the clip's sound", &complaints);
    let content = Content { frames: clip.frames, units: clip.units, pcm };
    let mut reference = Reference {
        takes: vec![content],
        pictures: Pictures::Each,
        sound: Some(Sound::Distinct),
        renditions: 1,
        discontinuities: 0,
        uneven_us: 0,
        gaps: Gaps::None,
        loss: Loss::Nothing,
        tolerance: 1_000,
    };
    change(&mut reference);
    let (recording, _folder) = play(files);
    reference.judge(&recording)
}

#[track_caller]
fn check_found(findings: &[String], expected: &str) {
    assert!(
        findings.iter().any(|finding| finding.contains(expected)),
        "{expected:?} is not in {findings:#?}"
    );
}

#[test]
fn a_sound_output_passes() {
    assert_none("a sound output", &findings("scale=-2:180", "null", |_| {}));
}

#[test]
fn a_dropped_frame_is_found() {
    check_found(&findings("scale=-2:180,select='not(eq(n,100))'", "null", |_| {}), "1 frames missing: 100");
}

#[test]
fn a_doubled_frame_is_found() {
    // Frame 100 once more, in the middle between 100 and 101; all others at their time.
    let again = "loop=loop=1:size=1:start=101,setpts='if(lte(N,100),PTS,67+(N-1+0.5*eq(N,101))*1000/30)'";
    let doubled = findings(&format!("scale=-2:180,{again}"), "null", |_| {});
    check_found(&doubled, "1 frames doubled: 100");
}

#[test]
fn a_frame_that_is_late_by_2_ms_is_found() {
    let late = findings("scale=-2:180,setpts='PTS+eq(N,100)*0.002/TB'", "null", |_| {});
    check_found(&late, "1 frames moved by more than 1000 us: 100");
}

const NO_FRAME_100: &str = "scale=-2:180,select='not(eq(n,100))'";
const NO_UNIT_100: &str = "noise=amount=0:drop='eq(n,100)'";

#[test]
fn what_is_lost_is_found_or_counted() {
    let found = verdict((NO_FRAME_100, "null"), |_| {}, |_| {});
    check_found(&found.findings, "1 frames missing: 100");
    let counted = verdict((NO_FRAME_100, "null"), |reference| reference.loss = Loss::Counted, |_| {});
    assert_none("what is counted", &counted.findings);
    assert_eq!((counted.missing, counted.frames), (1, GOPS * GOP_FRAMES - 1));
    let no_unit = verdict(("scale=-2:180", NO_UNIT_100), |_| {}, |_| {});
    check_found(&no_unit.findings, "1 audio units missing: 100");
}

#[test]
fn encoded_sound_is_judged_by_its_places() {
    let encoded = |reference: &mut Reference| reference.sound = Some(Sound::Encoded);
    let sound = verdict(("scale=-2:180", "null"), encoded, |_| {});
    assert_none("sound at its places", &sound.findings);
    // FLV's milliseconds may move all of it, by less than 48 samples.
    assert!(sound.lag.is_some_and(|(least, most)| least == most && least.abs() < 48), "{:?}", sound.lag);
    let late = "scale=-2:180,setpts=PTS-0.02/TB";
    check_found(&verdict((late, "null"), encoded, |_| {}).findings, "no sound that could be compared");
}

#[test]
fn discontinuities_and_gaps_are_counted() {
    let one = |reference: &mut Reference| reference.discontinuities = 1;
    check_found(&verdict(("scale=-2:180", "null"), one, |_| {}).findings, "0 discontinuities, not 1");
    let gap = |files: &mut Files| replace(files, "audio.m3u8", "#EXTINF:", "#EXT-X-GAP\n#EXTINF:");
    check_found(&verdict(("scale=-2:180", "null"), |_| {}, gap).findings, "segment 0 is a gap");
    let lost = |reference: &mut Reference| reference.loss = Loss::Counted;
    assert_none("a gap where one may be", &verdict(("scale=-2:180", "null"), lost, gap).findings);
}

#[test]
fn an_unreadable_frame_is_found() {
    let grey = "scale=-2:180,drawbox=c=gray:t=fill:enable='eq(n,100)'";
    check_found(&findings(grey, "null", |_| {}), "1 frames unreadable, counted from the start: 100");
}

#[test]
fn a_dropped_audio_unit_is_found() {
    let dropped = findings("scale=-2:180", "noise=amount=0:drop='eq(n,100)'", |_| {});
    check_found(&dropped, "1 audio units missing: 100");
}

#[test]
fn what_a_player_stumbles_over_is_found() {
    let damage = |files: &mut Files| {
        replace(files, "180p.m3u8", "180p-1.m4s", "gone.m4s");
        replace(files, "audio.m3u8", "#EXTINF:", "#EXT-X-DISCONTINUITY\n#EXTINF:");
        replace(files, "index.m3u8", "FRAME-RATE=30.000,", "");
    };
    let findings = findings("scale=-2:180", "null", damage);
    check_found(&findings, "gone.m4s answers 404");
    check_found(&findings, "segment 0 has a discontinuity");
    check_found(&findings, "has no FRAME-RATE");
}

#[test]
fn a_playlist_that_skips_goes_back_or_changes_is_found() {
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n";
    let date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z\n#EXT-X-MAP:URI=\"init.mp4\"\n";
    let polls = [
        format!("{head}#EXT-X-MEDIA-SEQUENCE:5\n{date}#EXTINF:2.0,\n5.m4s\n#EXTINF:2.0,\n6.m4s\n"),
        format!("{head}#EXT-X-MEDIA-SEQUENCE:6\n{date}#EXTINF:2.0,\nother.m4s\n#EXTINF:2.0,\n7.m4s\n"),
        format!("{head}#EXT-X-MEDIA-SEQUENCE:9\n{date}#EXT-X-GAP\n#EXTINF:11.0,\n9.m4s\n"),
        format!("{head}#EXT-X-MEDIA-SEQUENCE:4\n{date}#EXTINF:2.0,\n4.m4s\n#EXT-X-ENDLIST\n"),
    ];
    let index = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8\n";
    let site = Site::start(Box::new(move |path, count| match path {
        "index.m3u8" => Some(index.into()),
        "media.m3u8" => polls.get(count).map(|text| text.clone().into_bytes()),
        _ => Some(vec![0]),
    }));
    let folder = harness::folder();
    let recording = Player::start(site.url("index.m3u8"), folder.path().to_owned(), PLAY_BOUND).finish();
    let findings = &recording.tracks[0].findings;
    check_found(findings, "segment 6 changed");
    check_found(findings, "segments 8 to 8 were never listed");
    check_found(findings, "segment 9 lasts 11000000 us");
    assert_eq!(recording.tracks[0].gaps, [9]);
    check_found(findings, "the media sequence went back to 4");
}

fn items(ids: impl IntoIterator<Item = u32>) -> Vec<Item> {
    ids.into_iter().zip(0..).map(|(id, at)| Item { id: Some(id), at_us: at * 21_333 }).collect()
}

#[test]
fn swapped_and_foreign_units_are_found() {
    let source = items(0..5);
    let swapped = compare("units", &source, &items([0, 2, 1, 3, 4]), 10_666);
    check_found(&swapped, "1 units out of order: 1");
    check_found(&swapped, "2 units moved by more than 10666 us: 1-2");
    check_found(&compare("units", &source, &items(0..6), 10_666), "1 units that the source does not have: 5");
    assert_none("equal lists", &compare("units", &source, &source, 0));
}

#[test]
fn dates_are_read_with_their_zone() {
    let second = 1_792_663_491_123_000;
    assert_eq!(wall::parse("2026-10-22T10:04:51.123Z"), Some(second));
    assert_eq!(wall::parse("2026-10-22T12:04:51.123+02:00"), Some(second));
    assert_eq!(wall::parse("2026-10-22T12:04:51.123+0200"), Some(second));
    assert_eq!(wall::parse("1970-01-01T00:00:00.000Z"), Some(0));
    assert_eq!(wall::parse("2026-10-22T10:04:51.123"), None);
    assert_eq!(wall::decimal_micros("2.0019"), Some(2_001_900));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the harness is shown a process that is not headgate")]
fn children_are_seen_while_they_run() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 30 & wait"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut shell = shell.spawn().expect("there is a shell");
    let pid = i32::try_from(shell.id()).expect("process numbers are small");
    let child = harness::wait_for(Duration::from_secs(5), || descendants(pid).first().copied());
    let child = child.expect("the shell starts its child");
    assert!(is_running(child));
    kill(Pid::from_raw(child.pid), Signal::SIGKILL).expect("our own child's child");
    shell.wait().expect("our own child");
    assert!(!is_running(child));
}
