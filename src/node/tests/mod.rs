//! A whole node against a proxy that does what the test tells it, with the FFmpeg at hand.

mod encoders;
mod fake_proxy;
mod secured;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;

use super::*;
use crate::base::names::StreamName;
use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::{AttemptSpec, AudioStart};
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use crate::media::time::Ticks;
use crate::wire::cost::Cost;
use crate::wire::message::{
    AttemptEnd, AudioUnit, Fragment, LeaseId, LeaseInput, LeaseOutput, LeaseSpec, NodeMessage, ProxyMessage,
};
use crate::wire::report::EncoderOn;
use fake_proxy::{FakeProxy, Peer, SECRET, TOKEN};

const BASE: Ticks = Ticks(10_000_000);
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

struct Node {
    proxy: FakeProxy,
    control: Peer,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

fn settings(proxy: &FakeProxy) -> NodeSettings {
    NodeSettings {
        name: "n1".parse().unwrap(),
        tags: vec!["gpu".parse().unwrap()],
        slots: 1,
        ffmpeg: "ffmpeg".into(),
        nvml: None,
        proxy: proxy.address(),
        token: Some(Secret::new(TOKEN)),
        trust: None,
        cost_per_hour: None,
        watts: None,
    }
}

async fn node() -> Node {
    node_with("ffmpeg".as_ref()).await
}

async fn node_with(ffmpeg: &Path) -> Node {
    let proxy = FakeProxy::bind().await;
    let settings = NodeSettings { ffmpeg: ffmpeg.to_owned(), ..settings(&proxy) };
    node_of(proxy, settings).await
}

async fn node_of(proxy: FakeProxy, settings: NodeSettings) -> Node {
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let running = tasks.spawn(run(settings, tasks.clone(), stop.clone()));
    let (hello, control) = proxy.control().await;
    assert_eq!((hello.name.as_str(), hello.capacity.slots), ("n1", 1));
    assert!(hello.capacity.cores >= 1 && hello.capacity.memory > 1 << 20, "{:?}", hello.capacity);
    assert!(!hello.class.is_empty());
    assert!(hello.capabilities.encoders.contains(&EncoderOn::cpu("libx264")), "{hello:?}");
    assert!(hello.capabilities.reads.contains(&Carriage::H264), "{:?}", hello.capabilities.reads);
    Node { proxy, control, stop, running }
}

/// A lease whose first rendition has `height`, by which its FFmpeg is found.
pub(in crate::node) fn lease(id: u64, height: u32) -> LeaseSpec {
    let rendition = |name: &str, height| Rendition {
        name: name.parse().unwrap(),
        height,
        video_bitrate: Bitrate::kilobits(300),
        fps: None,
        threads: None,
        video: VideoOutput::H264 { encoders: vec!["libx264".to_owned()], preset: "ultrafast".to_owned() },
    };
    let source = Rendition { video: VideoOutput::Copy, ..rendition("source", 240) };
    LeaseSpec {
        lease: LeaseId(id),
        secret: SECRET.to_owned(),
        stream: StreamName { tenant: "live".parse().unwrap(), name: "demo".parse().unwrap() },
        attempt: AttemptSpec {
            number: 1,
            ladder: Ladder {
                renditions: vec![rendition("a", height), rendition("b", 90), source],
                audio: AudioOutput::Aac { bitrate: Bitrate::kilobits(96) },
                latency: Latency::Normal,
                deinterlace: Deinterlace::Off,
            },
            has_video: true,
            has_audio: true,
            base: BASE,
            frame_rate: None,
            max_gop: Duration::from_secs(10),
            audio_start: AudioStart { first_sample: 1024, source: None },
        },
        encoders: vec![Some(EncoderOn::cpu("libx264")), Some(EncoderOn::cpu("libx264")), None],
        cost: Cost::default(),
    }
}

/// Six seconds of FLV: 30 pictures a second, B-frames, a GOP a second, and sound.
async fn flv() -> Bytes {
    encoded("testsrc2=size=320x240:rate=30:duration=6", "-preset veryfast -bf 2").await
}

async fn encoded(source: &str, flags: &str) -> Bytes {
    let arguments = format!(
        "-nostdin -loglevel error -f lavfi -i {source} -f lavfi -i sine=sample_rate=44100:duration=6 \
         -c:v libx264 -pix_fmt yuv420p -g 30 -sc_threshold 0 {flags} -c:a aac -shortest -f flv pipe:1"
    );
    let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let (_, written) = process::answer(Path::new("ffmpeg"), &arguments, PATIENCE).await.unwrap();
    written.into()
}

/// FFmpeg processes that scale to `height`.
fn processes(height: u32) -> Vec<Pid> {
    let mark = format!("trunc(min({height},ih)");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let marked = entries.filter(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|words| String::from_utf8_lossy(&words).contains(&mark))
    });
    marked.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw).collect()
}

pub(in crate::node) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Everything that a lease sends until its end.
async fn outputs(peer: &mut Peer) -> (Vec<LeaseOutput>, AttemptEnd) {
    let mut seen = Vec::new();
    let reading = async {
        loop {
            let output = peer.next().await.expect("an end before the connection's");
            if let LeaseOutput::Ended(end) = output {
                return end;
            }
            seen.push(output);
        }
    };
    let end = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    (seen, end)
}

fn fragments(outputs: &[LeaseOutput], rendition: u8) -> Vec<&Fragment> {
    let all =
        outputs.iter().filter_map(|it| if let LeaseOutput::Fragment(it) = it { Some(it) } else { None });
    all.filter(|fragment| fragment.rendition == rendition).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_runs_from_its_input_to_its_end() {
    let mut node = node().await;
    let mut peer = node.proxy.lease(&mut node.control, lease(1, 120)).await;
    for piece in flv().await.chunks(10_000) {
        peer.send(&LeaseInput::Media(Bytes::copy_from_slice(piece).into())).await;
    }
    peer.send(&LeaseInput::EndOfInput).await;
    let (outputs, end) = outputs(&mut peer).await;
    assert_eq!(end, AttemptEnd { reason: Reason::Completed, detail: String::new() });
    for rendition in [0, 1, 2] {
        let fragments = fragments(&outputs, rendition);
        let first = fragments[0].position;
        // FLV has milliseconds: a GOP of a second is one of 90,000 ticks, give or take one of them.
        for (index, fragment) in (0..).zip(&fragments) {
            assert!((fragment.position - first - Ticks(index * 90_000)).abs() <= Ticks(90));
            assert_eq!(fragment.access_units, 30);
        }
        let next: Vec<_> = fragments.iter().skip(1).map(|fragment| Some(fragment.position)).collect();
        assert_eq!(
            fragments.iter().map(|fragment| fragment.end).collect::<Vec<_>>(),
            [next, vec![None]].concat()
        );
        assert_eq!(fragments.len(), 6);
    }
    let audio: Vec<&AudioUnit> = outputs
        .iter()
        .filter_map(|it| if let LeaseOutput::AudioUnit(it) = it { Some(it) } else { None })
        .collect();
    let grid = (1..).map(|frame| BASE + Ticks(frame * 1920));
    assert!(audio.len() > 250 && audio.iter().zip(grid).all(|(unit, at)| unit.presentation_time == at));
    for output in [Output::Rendition(0), Output::Rendition(1), Output::Rendition(2), Output::Audio] {
        let of_output = |it: &LeaseOutput| match it {
            LeaseOutput::Init(it) => it.output == output,
            LeaseOutput::Progress(it) => it.output == output,
            LeaseOutput::Fragment(it) => Output::Rendition(it.rendition) == output,
            LeaseOutput::AudioUnit(_) => output == Output::Audio,
            LeaseOutput::Ended(_) => false,
        };
        let first = outputs.iter().find(|it| of_output(it)).unwrap();
        assert!(matches!(first, LeaseOutput::Init(_)), "{first:?}");
    }
    assert!(peer.next::<LeaseOutput>().await.is_none());
    until("FFmpeg is gone", || processes(120).is_empty()).await;
}

/// Starts a lease and brings it into full swing.
async fn running(node: &mut Node, height: u32) -> Peer {
    let mut peer = node.proxy.lease(&mut node.control, lease(7, height)).await;
    peer.send(&LeaseInput::Media(flv().await.into())).await;
    let first = tokio::time::timeout(PATIENCE, peer.next::<LeaseOutput>()).await.unwrap();
    assert!(matches!(first, Some(LeaseOutput::Init(_))), "{first:?}");
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_connection_is_closed_leaves_no_ffmpeg() {
    let mut node = node().await;
    let peer = running(&mut node, 122).await;
    assert_eq!(processes(122).len(), 1);
    drop(peer);
    until("FFmpeg is gone", || processes(122).is_empty()).await;
}

/// Stops FFmpeg and sends more than a pipe and a socket hold, so that the node waits for FFmpeg.
async fn hang(peer: &mut Peer, height: u32) {
    peer.unread().await;
    kill(processes(height)[0], Signal::SIGSTOP).unwrap();
    let media = LeaseInput::Media(Bytes::from(vec![0; 1 << 20]).into());
    let stuck = async { while peer.try_send(&media).await {} };
    assert!(tokio::time::timeout(Duration::from_secs(1), stuck).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_ffmpeg_is_killed_when_its_connection_is_reset() {
    let mut node = node().await;
    let mut peer = running(&mut node, 124).await;
    hang(&mut peer, 124).await;
    // Output that nobody read makes this a reset, which overtakes the input that the node has not read.
    drop(peer);
    until("FFmpeg is gone", || processes(124).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_ffmpeg_is_told_even_if_the_proxy_stays() {
    let mut node = node().await;
    let mut peer = running(&mut node, 140).await;
    hang(&mut peer, 140).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::Stalled);
    until("FFmpeg is gone", || processes(140).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_takes_no_output_ends_the_attempt() {
    let mut node = node().await;
    let mut spec = lease(1, 142);
    let source = spec.attempt.ladder.renditions.remove(2);
    spec.attempt.ladder.renditions.extend(std::iter::repeat_n(source, 8));
    let mut peer = node.proxy.lease(&mut node.control, spec).await;
    // Noise without loss: eight copies of it are several times what the outbox and two sockets hold.
    let noise = "testsrc2=size=320x240:rate=30:duration=3,noise=alls=100:allf=t";
    peer.send(&LeaseInput::Media(encoded(noise, "-preset ultrafast -qp 0").await.into())).await;
    until("FFmpeg is gone", || processes(142).is_empty()).await;
    let (_, end) = outputs(&mut peer).await;
    assert_eq!(end.reason, Reason::LinkSlow, "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_lease_says_so_and_its_slot_is_free_again() {
    let mut node = node().await;
    let mut peer = running(&mut node, 126).await;
    node.control.send(&ProxyMessage::Lease(Box::new(lease(8, 126)))).await;
    let detail = "has all 1 slots taken".to_owned();
    let refused = NodeMessage::LeaseRefused { lease: LeaseId(8), reason: Reason::NoSlot, detail };
    assert_eq!(node.control.next_answer().await, refused);
    node.control.send(&ProxyMessage::Cancel { lease: LeaseId(7), reason: Reason::Superseded }).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::Superseded);
    until("FFmpeg is gone", || processes(126).is_empty()).await;
    running(&mut node, 126).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_does_not_fit_is_refused_with_what_is_short() {
    let mut node = node().await;
    let mut large = lease(3, 144);
    large.cost.machine.cpu = 1e6;
    node.control.send(&ProxyMessage::Lease(Box::new(large))).await;
    let answer = node.control.next_answer().await;
    let NodeMessage::LeaseRefused { lease: LeaseId(3), reason: Reason::NoRoom, detail } = &answer else {
        panic!("it is taken: {answer:?}")
    };
    assert!(detail.starts_with("has too little CPU: 1000000.00 cores needed"), "{detail}");
    running(&mut node, 144).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_ffmpeg_is_told() {
    let mut node = node().await;
    let mut peer = running(&mut node, 128).await;
    kill(processes(128)[0], Signal::SIGKILL).unwrap();
    let end = AttemptEnd { reason: Reason::FfmpegCrashed, detail: "ended by signal 9".to_owned() };
    assert_eq!(outputs(&mut peer).await.1, end);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_no_flv_is_told() {
    let mut node = node().await;
    let mut peer = node.proxy.lease(&mut node.control, lease(1, 130)).await;
    peer.send(&LeaseInput::Media(Bytes::from(vec![7; 4000]).into())).await;
    peer.send(&LeaseInput::EndOfInput).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::InputUnreadable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_breaks_the_protocol_loses_the_lease() {
    let mut node = node().await;
    let mut peer = running(&mut node, 132).await;
    peer.send_raw(Bytes::from_static(&[0xff; 64])).await;
    until("FFmpeg is gone", || processes(132).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_cannot_run_is_refused() {
    let mut node = node().await;
    let mut unproved = lease(1, 134);
    unproved.encoders[1] = Some(EncoderOn { encoder: "h264_nvenc".to_owned(), gpu: Some(0) });
    // Nobody chose, and nothing that would do works here.
    let mut unchosen = lease(2, 134);
    unchosen.encoders.clear();
    let VideoOutput::H264 { encoders, .. } = &mut unchosen.attempt.ladder.renditions[1].video else {
        panic!()
    };
    *encoders = vec!["libopenh264".to_owned()];
    let mut nothing = lease(3, 134);
    (nothing.attempt.has_audio, nothing.attempt.has_video) = (false, false);
    let unusable = Reason::EncoderUnusable;
    for (spec, reason) in [(unproved, unusable), (unchosen, unusable), (nothing, Reason::Unsupported)] {
        let lease = spec.lease;
        node.control.send(&ProxyMessage::Lease(Box::new(spec))).await;
        assert_eq!(
            node.control.next_answer().await,
            NodeMessage::LeaseRefused { lease, reason, detail: String::new() }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_control_connection() {
    let mut node = node().await;
    let mut peer = running(&mut node, 136).await;
    drop(node.control);
    let (_, mut control) = node.proxy.control().await;
    let NodeMessage::Heartbeat(beat) = control.next().await.unwrap() else { panic!("no heartbeat") };
    assert_eq!(beat.leases.iter().map(|held| held.lease).collect::<Vec<_>>(), [LeaseId(7)]);
    peer.send(&LeaseInput::EndOfInput).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_starts_anew_is_found_again() {
    let Node { proxy, control, .. } = node().await;
    // Its port stays: another test could take it up.
    drop(control);
    let (hello, _control) = tokio::time::timeout(PATIENCE, proxy.control()).await.unwrap();
    assert_eq!(hello.name.as_str(), "n1");
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_tell_what_each_lease_uses_and_how_far_behind_it_is() {
    let mut node = node().await;
    let mut peer = running(&mut node, 144).await;
    let told = async {
        loop {
            let Some(NodeMessage::Heartbeat(beat)) = node.control.next().await else {
                panic!("no heartbeat")
            };
            assert!(beat.load.gpus.is_empty());
            match beat.leases.as_slice() {
                // All six seconds were given at once, and the encoder keeps the last pictures until its input ends.
                &[held] if held.cpu.is_some() && held.lag_ms.is_some_and(|lag| lag < 6000) => return held,
                leases => assert!(leases.len() <= 1, "{leases:?}"),
            }
        }
    };
    let held = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(held.lease == LeaseId(7) && held.memory > 1 << 20, "{held:?}");
    peer.send(&LeaseInput::EndOfInput).await;
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::Completed);
    let ended = async {
        loop {
            let Some(NodeMessage::Heartbeat(beat)) = node.control.next().await else {
                panic!("no heartbeat")
            };
            if beat.leases.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_says_so_and_ends_its_leases() {
    let mut node = node().await;
    let mut peer = running(&mut node, 138).await;
    node.stop.cancel();
    assert_eq!(node.control.next_answer().await, NodeMessage::Leaving);
    assert_eq!(outputs(&mut peer).await.1.reason, Reason::NodeStopping);
    node.running.await.unwrap().unwrap();
    assert!(processes(138).is_empty());
}

#[tokio::test]
async fn a_refusal_carries_the_proxy_s_text() {
    let proxy = FakeProxy::bind().await;
    let dialler = connection::Proxy { address: proxy.address(), token: None, tls: None };
    let refusing = proxy.answer("401 Unauthorized\r\ncontent-length: 12", "wrong token\n");
    let (dialled, (request, _peer)) = tokio::join!(dialler.dial("/fleet/v1/control", None), refusing);
    let error = dialled.err().unwrap().to_string();
    assert_eq!(error, "the proxy refuses with status 401: wrong token");
    assert!(!request.contains("authorization"));
}

#[tokio::test]
async fn a_missing_ffmpeg_is_said_before_anything_is_dialled() {
    let proxy = FakeProxy::bind().await;
    let settings = NodeSettings { ffmpeg: "/nonexistent/ffmpeg".into(), ..settings(&proxy) };
    let error = run(settings, Tasks::new(), CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ffmpeg"), "{error}");
}
