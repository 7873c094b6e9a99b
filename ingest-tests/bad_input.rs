//! What goes wrong at a start, and what strangers do: each gets a clear error, and nobody else is disturbed.

#[path = "bad_input/attacks.rs"]
mod attacks;
#[path = "bad_input/crowd.rs"]
mod crowd;
mod harness;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use harness::clip::Clip;
use harness::ffmpeg::Ffmpeg;
use harness::player::Player;
use harness::publisher::{Publisher, Repeat};
use harness::server::{FLEET_TOKEN, Server, config, config_with, run};
use harness::stats::{Stats, Watch, judge_counters};
use harness::{assert_none, flv, process, wait_for, write, write_script};
use headgate::wire::message::{CONTROL_PATH, UPGRADE, VERSION_HEADER, WIRE_VERSION};

/// Exit code of bad arguments and bad configuration.
const USAGE: Option<i32> = Some(64);
/// Until one who is refused has given up.
const REFUSAL_BOUND: Duration = Duration::from_secs(15);

/// Writes `text` as a configuration, has it checked, and expects each of `mentions` in the complaint.
#[track_caller]
fn check_refused(text: &str, mentions: &[&str]) {
    let folder = harness::folder();
    let file = write(folder.path(), "config.toml", text);
    let ended = run(&["check"], Some(&file));
    assert_eq!(ended.code, USAGE, "{text}\n{}", ended.output);
    for mention in mentions {
        assert!(
            ended.output.contains(mention),
            "{mention:?} is not in the complaint about {text}\n{}",
            ended.output
        );
    }
}

#[test]
fn wrong_configuration_is_refused_by_name() {
    check_refused("[http\n", &["config.toml:1:"]);
    check_refused("[http]\nlisen = \"127.0.0.1:0\"\n", &["lisen"]);
    check_refused("[htpp]\nlisten = \"127.0.0.1:0\"\n", &["htpp"]);
    check_refused("[http]\nlisten = 8080\n", &["listen", "8080"]);
    check_refused("[http]\nlisten = \"nowhere\"\n", &["listen", "nowhere"]);
    check_refused("[origin]\nsegment_duration = \"2 parsecs\"\n", &["segment_duration", "2 parsecs"]);
    check_refused("[origin]\nsegment_duration = \"0s\"\n", &["segment_duration"]);
    check_refused(
        "[origin]\nsegment_duration = \"20s\"\nmax_segment_duration = \"10s\"\n",
        &["segment_duration"],
    );
    check_refused("[origin]\nwindow = 0\n", &["window", "0"]);
    check_refused("[gop_log]\nmax_bytes = \"64 furlongs\"\n", &["max_bytes", "64 furlongs"]);
    check_refused("[stream]\ntakeover = \"maybe\"\n", &["takeover", "maybe", "replace", "refuse"]);
    check_refused("[node]\nslots = 0\n", &["slots"]);
    check_refused("[node]\nname = \"a b\"\n", &["name"]);
    check_refused("[tenants.\"a/b\"]\nallow_anonymous = true\n", &["tenants"]);
    check_refused("[tenants.live]\nprofile = \"none-such\"\n", &["profile", "none-such"]);
    check_refused(
        "[tenants.live]\nkeys = [\"env:HEADGATE_NO_SUCH_VARIABLE\"]\n",
        &["keys", "HEADGATE_NO_SUCH_VARIABLE"],
    );
    check_refused("[fleet]\ntoken = \"file:/nonexistent/token\"\n", &["token", "/nonexistent/token"]);
    check_refused("[fleet]\nlisten = \"127.0.0.1:0\"\nlisten = \"127.0.0.1:1\"\n", &["config.toml:3:"]);
}

#[test]
fn wrong_profiles_are_refused_by_name() {
    let profile = |renditions: &str| format!("[profiles.p]\naudio = \"copy\"\nrenditions = [{renditions}]\n");
    check_refused(&profile(""), &["renditions"]);
    check_refused(&profile("{ name = \"a\", height = 0, video_bitrate = \"1M\" }"), &["height"]);
    check_refused(
        &profile("{ name = \"a\", height = 360, video_bitrate = \"fast\" }"),
        &["video_bitrate", "fast"],
    );
    let twice = "{ name = \"a\", height = 360, video_bitrate = \"1M\" }, { name = \"a\", height = 180, video_bitrate = \"1M\" }";
    check_refused(&profile(twice), &["name"]);
    let encoder = "{ name = \"a\", height = 360, video_bitrate = \"1M\", encoder = \"-i /etc/passwd\" }";
    check_refused(&profile(encoder), &["encoder"]);
    check_refused("[profiles.p]\naudio = \"mp3:128k\"\n", &["audio", "mp3:128k"]);
}

/// Anybody who reaches the port could publish.
#[test]
fn an_open_port_needs_keys() {
    check_refused("[rtmp]\nlisten = \"0.0.0.0:0\"\n", &["config.toml:2:", "rtmp.listen", "keys"]);
    let tenant = "[rtmp]\nlisten = \"0.0.0.0:0\"\n[tenants.club]\nkeys = []\n";
    check_refused(tenant, &["rtmp.listen", "club", "allow_anonymous"]);
}

#[test]
fn bad_arguments_and_files_exit_with_64() {
    let folder = harness::folder();
    let absent = folder.path().join("absent.toml");
    let wrong = write(folder.path(), "wrong.toml", "[http]\nlisen = \"127.0.0.1:0\"\n");
    for role in ["up", "proxy", "node", "check"] {
        let ended = run(&[role], Some(&absent));
        assert_eq!(ended.code, USAGE, "{role} with an absent file: {}", ended.output);
        assert!(ended.output.contains("absent.toml"), "{role}: {}", ended.output);
        let ended = run(&[role], Some(&wrong));
        assert_eq!(ended.code, USAGE, "{role} with a wrong file: {}", ended.output);
        assert!(!ended.output.contains("listening:"), "{role} listened first: {}", ended.output);
    }
    for arguments in
        [&["--no-such-flag"][..], &["fly"], &["up", "--nodes", "many"], &["node", "--proxy", "nowhere"]]
    {
        let ended = run(arguments, None);
        assert_eq!(ended.code, USAGE, "{arguments:?}: {}", ended.output);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for port in ["http", "rtmp", "fleet"] {
        let folder = harness::folder();
        let text = config(&Ffmpeg::Debian.path());
        let (before, after) =
            text.split_once(&format!("[{port}]\nlisten = \"127.0.0.1:0\"")).expect("it is there");
        let text = format!("{before}[{port}]\nlisten = \"{address}\"{after}");
        let ended = run(&["proxy"], Some(&write(folder.path(), "config.toml", &text)));
        assert_eq!(ended.code, Some(1), "{port}: {}", ended.output);
        assert!(ended.output.contains(&address), "{port}: {}", ended.output);
    }
}

/// Expects `headgate up` to end by itself, and `mention` among what it says.
#[track_caller]
fn check_unusable(ffmpeg: &Path, mention: &str) {
    let folder = harness::folder();
    let ended = run(&["up"], Some(&write(folder.path(), "config.toml", &config(ffmpeg))));
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(mention), "{mention:?} is not in {}", ended.output);
}

#[test]
fn a_missing_or_old_ffmpeg_is_named() {
    let folder = harness::folder();
    check_unusable(&folder.path().join("no-ffmpeg-here"), "no-ffmpeg-here");
    let old = "#!/bin/sh\necho 'ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright (c) 2000-2021 the FFmpeg developers'\n";
    check_unusable(&write_script(folder.path(), "ffmpeg-old", old), "4.4.2");
    let other = "#!/bin/sh\necho 'this is not ffmpeg'\n";
    check_unusable(&write_script(folder.path(), "ffmpeg-other", other), "ffmpeg-other");
}

/// Sends `bytes` to `address` and reads what comes until the other side closes, for at most 10 s.
fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(address).expect("the port is open");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a positive duration");
    // The other side may close before it has read everything; that is an answer too.
    let _ = connection.write_all(bytes);
    let _ = connection.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = connection.take(64 * 1024).read_to_end(&mut answer);
    answer
}

/// The status that the fleet port gives to a node with this token and version.
fn fleet_status(address: &str, token: &str, version: u32) -> String {
    let request = format!(
        "GET {CONTROL_PATH} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\
         authorization: Bearer {token}\r\n{VERSION_HEADER}: {version}\r\n\r\n"
    );
    let answer = String::from_utf8_lossy(&exchange(address, request.as_bytes())).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn strangers_at_the_rtmp_port(server: &Server) {
    let address = server.address("rtmp");
    for noise in
        [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"", &[3], &[3; 4_000], &[0xFF; 100_000], &[0; 10_000]]
    {
        let answer = exchange(&address, noise);
        assert!(answer.len() <= 1 + 2 * 1_536, "{} bytes for {} bytes of noise", answer.len(), noise.len());
    }
}

fn strangers_at_the_fleet_port(server: &Server) {
    let address = server.address("fleet");
    assert_eq!(fleet_status(&address, FLEET_TOKEN, WIRE_VERSION + 998), "426");
    assert_eq!(fleet_status(&address, "wrong", WIRE_VERSION), "401");
    assert_eq!(fleet_status(&address, "", WIRE_VERSION), "401");
    exchange(&address, &[0xFF; 100_000]);
    let text = config(&Ffmpeg::Debian.path()).replace(FLEET_TOKEN, "not-the-token");
    let mut node = Server::spawn(&["node", "--proxy", &address, "--name", "stranger"], &text);
    let told = wait_for(Duration::from_secs(30), || {
        let said = node.stdout.text() + &node.stderr.text();
        (said.contains("wrong_token") || node.has_ended().is_some()).then_some(said)
    });
    let said = told.expect("a node with a wrong token is told so");
    assert!(said.contains("wrong_token") || said.contains("token"), "{said}");
    assert!(!said.contains("not-the-token"), "the node prints its token");
    let nodes = Stats::of(server).read().expect("stats answer")["nodes"].to_string();
    assert!(!nodes.contains("stranger"), "{nodes}");
}

fn refused_publishers(server: &Server, clip: &Path) {
    for name in [
        "club/demo",
        "club/demo?key=wrong",
        "club/demo?key=",
        "nobody/demo",
        "live/a%20b",
        "live/.hidden",
        "live/..",
        "live/a;b",
    ] {
        let url = server.publish_url(name);
        let mut publisher = Publisher::start(Ffmpeg::Debian, clip, &url, Repeat::Forever);
        publisher.wait_for_refusal(REFUSAL_BOUND);
    }
    let log = server.stdout.text() + &server.stderr.text();
    for reason in ["wrong_key", "unknown_tenant", "bad_name"] {
        assert!(log.contains(reason), "{reason} is not in the log");
    }
    assert!(!log.contains("?key=") && !log.contains("sesame"), "a key is in the log");
}

fn welcome_publishers(server: &Server, clip: &Path) {
    let stats = Stats::of(server);
    for (name, url) in [
        ("club/by-key", server.publish_url("club/by-key?key=open-sesame")),
        ("club/by-token", server.publish_url("club/by-token?token=open-sesame")),
        ("club/by-user", server.publish_url("club/by-user?user=me&pass=open-sesame")),
    ] {
        let publisher = Publisher::start(Ffmpeg::Debian, clip, &url, Repeat::Forever);
        let seen = wait_for(REFUSAL_BOUND, || stats.stream(name));
        assert!(seen.is_some(), "{name} is not in stats: {}", publisher.log());
    }
}

#[test]
fn strangers_do_not_disturb_a_good_stream() {
    let folder = harness::folder();
    let (clip, bound) = (Clip::whole(), Duration::from_secs(60));
    let club = ("tenants.club", "profile = \"test\"\nkeys = [\"open-sesame\"]");
    let server = Server::start(&["up"], &config_with(&[club], &Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let watch = Watch::start(stats, "live/good");
    let player = Player::start(server.play_url("live/good"), folder.path().to_owned(), bound);
    let mut good =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url("live/good"), Repeat::Once);
    std::thread::scope(|scope| {
        scope.spawn(|| strangers_at_the_rtmp_port(&server));
        scope.spawn(|| strangers_at_the_fleet_port(&server));
        scope.spawn(|| assert_none("a slow stranger", &crowd::dribble(&server)));
        scope.spawn(|| {
            refused_publishers(&server, &clip.path);
            welcome_publishers(&server, &clip.path);
        });
    });
    good.wait_for_success(bound);
    assert_none("the good stream", &player.finish().judge(&clip, 2));
    assert_none("the good stream's counters", &judge_counters(watch.last().as_ref()));
}

/// The same, with everything that can be sent, and in numbers. One good stream runs beside all of it.
#[test]
fn attackers_do_not_disturb_a_good_stream() {
    crowd::raise_descriptors();
    let folder = harness::folder();
    let (clip, bound) = (Clip::beginning(12, folder.path()), Duration::from_secs(90));
    let more = [
        ("rtmp", "max_connections = 15000\nhandshake_timeout = \"60s\"\npublish_timeout = \"60s\""),
        ("stream", "reconnect_grace = \"1s\""),
        (
            "profiles.one",
            "renditions = [{ name = \"180p\", height = 180, video_bitrate = \"400k\", preset = \"ultrafast\" }]",
        ),
        ("tenants.cheap", "profile = \"one\""),
        ("node", "slots = 64"),
    ];
    let mut server = Server::start(&["up"], &config_with(&more, &Ffmpeg::Debian.path()));
    let stats = Stats::of(&server);
    stats.wait_for_nodes(1);
    let (before, tags) = (process::descriptors(server.pid()), flv::tags(&clip.path));
    let watch = Watch::start(stats, "live/good");
    let player = Player::start(server.play_url("live/good"), folder.path().to_owned(), bound);
    let mut good =
        Publisher::start(Ffmpeg::Debian, &clip.path, &server.publish_url("live/good"), Repeat::Once);
    let crimes: [&(dyn Fn() -> Vec<String> + Sync); 5] = [
        &|| crowd::stand_around(&server),
        &|| attacks::run(&server.address("rtmp")),
        &|| crowd::check_health(&server),
        &|| crowd::rush(&server, &tags),
        &|| crowd::cut_short(&server, &tags),
    ];
    let findings: Vec<String> = std::thread::scope(|scope| {
        let threads = crimes.map(|crime| scope.spawn(crime));
        threads.into_iter().flat_map(|thread| thread.join().expect("an attacker does not panic")).collect()
    });
    good.wait_for_success(bound);
    assert_none("the good stream", &player.finish().judge(&clip, 2));
    assert_none("the good stream's counters", &judge_counters(watch.last().as_ref()));
    assert_none("the attackers", &findings);
    drop(watch);
    assert_none("the server", &crowd::judge_vitals(&mut server, before));
    server.stop();
}

/// An FFmpeg that passes every examination and then ends at once when it gets a stream, which it knows by its 360 lines.
fn write_quitter(folder: &Path) -> std::path::PathBuf {
    let real = Ffmpeg::Debian.path();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*'min(360,'*) echo 'I quit' >&2; exit 1 ;;\nesac\nexec {} \"$@\"\n",
        real.display()
    );
    write_script(folder, "ffmpeg-quits", &script)
}

#[test]
fn an_ffmpeg_that_exits_at_once_is_shown_and_does_not_spin() {
    let folder = harness::folder();
    let quitter = write_quitter(folder.path());
    let proxy = Server::start(&["proxy"], &config(&Ffmpeg::Debian.path()));
    let (stats, fleet) = (Stats::of(&proxy), proxy.address("fleet"));
    let _quits = Server::spawn(&["node", "--proxy", &fleet, "--name", "quits"], &config(&quitter));
    stats.wait_for_nodes(1);
    let clip = harness::root().join("fixtures/media/numbered-30s.flv");
    let mut publisher =
        Publisher::start(Ffmpeg::Debian, &clip, &proxy.publish_url("live/unlucky"), Repeat::Forever);
    let reason = |entry: serde_json::Value| entry.to_string().contains("ffmpeg_exited").then_some(entry);
    let shown = wait_for(REFUSAL_BOUND, || stats.stream("live/unlucky").and_then(reason));
    assert!(shown.is_some(), "no reason in {:?}", stats.stream("live/unlucky"));
    let goes_on = publisher.wait(Duration::from_secs(4));
    let attempts = stats.stream("live/unlucky").and_then(|entry| entry["attempts"].as_u64());
    assert_eq!(goes_on, None, "the publisher was disconnected: {}", publisher.log());
    assert!((Some(1)..=Some(20)).contains(&attempts), "{attempts:?} attempts in a few seconds");
    // A sound node comes, and the stream recovers by itself.
    let _sound =
        Server::spawn(&["node", "--proxy", &fleet, "--name", "sound"], &config(&Ffmpeg::Debian.path()));
    let client = harness::http::Client::new();
    let playing = |answer: harness::http::Answer| (answer.status == 200).then_some(());
    let plays = wait_for(Duration::from_secs(40), || {
        client.get(&proxy.play_url("live/unlucky")).ok().and_then(playing)
    });
    assert!(plays.is_some(), "a sound node did not help: {:?}", stats.stream("live/unlucky"));
}
