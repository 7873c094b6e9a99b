//! RTMP over TLS: each FFmpeg publishes to `rtmps://`, every frame comes out once, and plain RTMP can be switched off.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use harness::assert_none;
use harness::certificate::Certificate;
use harness::clip::Clip;
use harness::ffmpeg::{Ffmpeg, text};
use harness::player::Player;
use harness::publisher::Publisher;
use harness::rtmp::handshake;
use harness::server::{Server, config_with};
use harness::stats::{Stats, Watch, judge_counters};

/// GOPs that are published: 6 s.
const GOPS: usize = 3;
const BOUND: Duration = Duration::from_secs(45);

/// A server that listens for RTMPS and, if so configured, for nothing else that publishes.
fn start(folder: &Path, rtmp: &str) -> (Server, Certificate) {
    let certificate = Certificate::make(folder);
    let files = format!(
        "listen = \"127.0.0.1:0\"\ncert = {:?}\nkey = {:?}",
        text(&certificate.cert),
        text(&certificate.key)
    );
    let config = config_with(&[("rtmps", &files)], &Ffmpeg::Debian.path());
    let config = config.replace("[rtmp]\nlisten = \"127.0.0.1:0\"", &format!("[rtmp]\nlisten = {rtmp:?}"));
    let server = Server::start(&["up"], &config);
    Stats::of(&server).wait_for_nodes(1);
    (server, certificate)
}

#[test]
fn each_ffmpeg_publishes_over_tls() {
    if !Ffmpeg::Current.is_installed() {
        return;
    }
    let folder = harness::folder();
    let (server, certificate) = start(folder.path(), "127.0.0.1:0");
    let clip = Clip::beginning(GOPS, folder.path());
    // The current one believes no certificate that it cannot check; Debian's checks none unless told to.
    let trusting = ["-c", "copy", "-ca_file", text(&certificate.cert)];
    let publishers =
        [("debian", Ffmpeg::Debian, &trusting[..2]), ("current", Ffmpeg::Current, &trusting[..])];
    let check = |(name, ffmpeg, options): (&str, Ffmpeg, &[&str])| {
        let (stream, folder) = (format!("live/{name}"), harness::folder());
        let url = format!("rtmps://{}/{stream}", server.address("rtmps"));
        let watch = Watch::start(Stats::of(&server), &stream);
        let player = Player::start(server.play_url(&stream), folder.path().to_owned(), BOUND);
        Publisher::start_with(ffmpeg, &["-re"], &clip.path, options, &url).wait_for_success(BOUND);
        assert_none(name, &player.finish().judge(&clip, 2));
        assert_none(name, &judge_counters(watch.last().as_ref()));
    };
    std::thread::scope(|scope| {
        for publisher in publishers {
            scope.spawn(move || check(publisher));
        }
    });
    server.stop();
}

/// What strangers send to a port for TLS: nothing, RTMP in the clear, and noise. Each is closed, and an encoder is let in.
#[test]
fn strangers_at_the_tls_port_are_closed() {
    let folder = harness::folder();
    let (mut server, _) = start(folder.path(), "off");
    let address = server.address("rtmps");
    for bytes in [&handshake()[..], &[0x16, 3, 1, 0xFF, 0xFF], &[0; 100_000], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = TcpStream::connect(&address).expect("the port is open");
        socket.set_read_timeout(Some(Duration::from_secs(15))).expect("a positive duration");
        // It may be closed before all is written.
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // An end or a reset, but no time-out.
        let read = socket.take(4_096).read_to_end(&mut answer);
        let timed_out = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out && answer.len() < 100, "{} bytes of answer", answer.len());
    }
    assert_eq!(server.has_ended(), None);
    let said = server.stdout.text();
    assert!(!said.contains("\"rtmp\":\"127"), "plain RTMP is not off: {said}");
    let url = format!("rtmps://{address}/live/tls");
    let clip = harness::root().join("fixtures/media/numbered-30s.flv");
    let _encoder = Publisher::start_with(Ffmpeg::Debian, &["-re"], &clip, &["-c", "copy"], &url);
    let seen = harness::wait_for(BOUND, || Stats::of(&server).stream("live/tls"));
    assert!(seen.is_some(), "an encoder is not let in after strangers");
}
