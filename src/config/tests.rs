//! What a file means.

mod certificate;
mod link;
mod refused;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::units::{Bitrate, ByteSize};
use crate::ffmpeg::frame_rate::FrameRate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Latency, VideoOutput};
use crate::placement::policy::{Policy, PolicyKind};
use crate::placement::tenancy::WhenFull;

/// A machine with a few variables and files.
#[derive(Default)]
struct Desk {
    variables: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
    host: Option<&'static str>,
}

impl Surroundings for Desk {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|&value| value.to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let text = self.files.get(path.to_str().expect("tests write UTF-8"));
        text.map(|&text| text.to_owned()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn host_name(&self) -> Option<String> {
        self.host.map(str::to_owned)
    }
}

fn desk() -> Desk {
    Desk {
        variables: BTreeMap::from([("KEY", " from-variable "), ("BLANK", "  ")]),
        files: BTreeMap::from([("/run/key", "from-file\n"), ("/run/blank", "\n")]),
        host: None,
    }
}

fn meant(text: &str) -> Config {
    Config::parse(text, &desk()).unwrap_or_else(|errors| panic!("{text} is refused:\n{errors}"))
}

fn name(text: &str) -> Name {
    text.parse().expect("tests write legal names")
}

const SHIPPED: &str = include_str!("../../config.toml");

#[test]
fn the_file_that_is_shipped_means_the_defaults() {
    assert_eq!(meant(SHIPPED), Config::default());
    assert_eq!(meant(""), Config::default());
}

#[test]
fn the_file_that_is_shipped_shows_every_key() {
    let unknown = "zz = 1\n[http]\nzz = 1\n[rtmp]\nzz = 1\n[rtmps]\nzz = 1\n[fleet]\nzz = 1\n[gop_log]\nzz = 1\n[stream]\nzz = 1\n\
        [origin]\nzz = 1\n[placement]\nzz = 1\n[node]\nzz = 1\n[tenants.a]\nzz = 1\nkeys = [{ zz = 1 }]\n[profiles.a]\nzz = 1\nrenditions = [{ zz = 1 }]\n";
    let errors = Config::parse(unknown, &desk()).expect_err("zz is no key");
    let mut seen = 0;
    for located in errors.errors() {
        let ConfigError::UnknownKey { known, .. } = &located.error else { continue };
        seen += 1;
        for key in known {
            let shown = SHIPPED.contains(&format!("{key} = ")) || SHIPPED.contains(&format!("[{key}"));
            assert!(shown, "{key} is not in config.toml");
        }
    }
    assert_eq!(seen, 14, "{errors}");
}

#[test]
fn what_is_commented_out_in_the_file_that_is_shipped_is_legal() {
    let examples = [
        "# api_token = ",
        "# token = ",
        "# name = ",
        "# max_pixels_per_second = ",
        "# max_bitrate = ",
        "# learned = ",
        "# cost_per_hour = ",
        "# watts = ",
    ];
    let text = examples.iter().fold(SHIPPED.to_owned(), |text, example| {
        assert!(text.contains(example), "{example}");
        text.replace(example, example.trim_start_matches("# "))
    });
    let text = text.replace("\nkeys = []", "").replace("# keys = ", "keys = ");
    let mut desk = desk();
    desk.variables.extend([("HEADGATE_API_TOKEN", "a"), ("LIVE_KEY", "b")]);
    desk.files.extend([("/run/secrets/headgate-fleet", "c"), ("/run/secrets/cameras", "d")]);
    let config = Config::parse(&text, &desk).expect("it is legal");
    assert_eq!(config.tenants[&name("live")].keys.len(), 2);
    assert!(config.fleet.token.is_some_and(|token| token.matches(b"c")));
}

#[test]
fn every_key_is_heard() {
    let config = meant(
        r#"
        http = { listen = "[::1]:0" }
        rtmp.chunk_size = 128
        rtmp.idle_timeout = "1m"
        rtmp.handshake_timeout = "1s"
        rtmp.publish_timeout = "2s"
        rtmp.max_message_size = "1MiB"
        rtmp.max_connections = 5
        rtmp.max_connections_per_address = 4
        rtmp.max_chunk_streams = 8
        rtmp.max_bitrate = "20M"
        rtmp.bitrate_grace = "3s"
        fleet = { heartbeat = "1s", suspect_after = "2s", allow_plaintext = true }
        gop_log = { max_duration = "1m", max_bytes = "128MB" }
        stream = { reconnect_grace = "0s", takeover = "refuse" }
        origin = { segment_duration = "4s", max_segment_duration = "4s", window = 10 }
        node = { tags = ["gpu"], slots = 2, ffmpeg = "/opt/ffmpeg", nvml = "off", proxy = "proxy:7070", cost_per_hour = 1, watts = 90.5 }
        placement = { policy = "pack", headroom = 2, learned = "/tmp/costs" }
        "#,
    );
    assert_eq!(config.http.listen, "[::1]:0".parse().expect("it is an address"));
    assert_eq!((config.rtmp.chunk_size, config.rtmp.max_connections), (128, 5));
    assert_eq!(config.rtmp.idle_timeout, Duration::from_secs(60));
    assert_eq!(config.rtmp.handshake_timeout, Duration::from_secs(1));
    assert_eq!(config.rtmp.publish_timeout, Duration::from_secs(2));
    assert_eq!((config.rtmp.max_connections_per_address, config.rtmp.max_chunk_streams), (4, 8));
    assert_eq!(config.rtmp.max_bitrate, Bitrate::kilobits(20_000));
    assert_eq!(config.rtmp.bitrate_grace, Duration::from_secs(3));
    assert_eq!(config.rtmp.max_message_size, ByteSize::mebibytes(1));
    assert_eq!((config.fleet.suspect_after, config.fleet.allow_plaintext), (Duration::from_secs(2), true));
    assert_eq!(config.gop_log.max_bytes, ByteSize(128_000_000));
    let refuse = StreamSettings { reconnect_grace: Duration::ZERO, takeover: Takeover::Refuse };
    assert_eq!(config.stream, refuse);
    assert_eq!((config.origin.segment_duration, config.origin.window), (Duration::from_secs(4), 10));
    assert_eq!((config.node.cost_per_hour, config.node.watts), (Some(1.0), Some(90.5)));
    let policy = Policy { kind: PolicyKind::Pack, headroom: 2.0, ..Policy::default() };
    assert_eq!(config.placement, Placement { policy, learned: Some("/tmp/costs".into()) });
    assert_eq!(meant("placement.learned = 'off'").placement, Placement::default());
    assert_eq!((config.node.tags, config.node.slots), (vec![name("gpu")], 2));
    assert_eq!(config.node.nvml, Nvml::Off);
    assert_eq!(
        (config.node.ffmpeg.as_path(), config.node.proxy.as_str()),
        (Path::new("/opt/ffmpeg"), "proxy:7070")
    );
}

#[test]
fn a_profile_is_a_ladder_under_a_name() {
    let config = meant(
        r#"
        [tenants.acme]
        profile = "mixed"
        [profiles.mixed]
        audio = "aac:128k"
        latency = "low"
        deinterlace = "frame"
        require_tags = ["gpu"]
        prefer_tags = ["eu", "rack-1"]
        [[profiles.mixed.renditions]]
        name = "source"
        height = 1080
        video_bitrate = "6M"
        video_codec = "copy"
        [[profiles.mixed.renditions]]
        name = "540p"
        height = 540
        video_bitrate = "1.5M"
        encoder = ["h264_nvenc", "libx264"]
        preset = "fast"
        fps = 23.976
        threads = 6
        [[profiles.mixed.renditions]]
        name = "270p"
        height = 270
        video_bitrate = "300k"
        fps = "25/1"
        "#,
    );
    let Profile { ladder, tags } = &config.profiles[&name("mixed")];
    assert_eq!(**tags, ProfileTags { require: vec![name("gpu")], prefer: vec![name("eu"), name("rack-1")] });
    assert_eq!(&config.tenants[&name("acme")].profile_tags, tags);
    assert_eq!(ladder.audio, AudioOutput::Aac { bitrate: Bitrate::kilobits(128) });
    assert_eq!((ladder.latency, ladder.deinterlace), (Latency::Low, Deinterlace::Frame));
    let rates = [None, FrameRate::new(24_000, 1001), FrameRate::new(25, 1)];
    assert_eq!(ladder.renditions.iter().map(|rendition| rendition.fps).collect::<Vec<_>>(), rates);
    let threads = [None, Some(6), None];
    assert_eq!(ladder.renditions.iter().map(|rendition| rendition.threads).collect::<Vec<_>>(), threads);
    assert_eq!(ladder.renditions[0].video, VideoOutput::Copy);
    let encoders = vec!["h264_nvenc".to_owned(), "libx264".to_owned()];
    assert_eq!(ladder.renditions[1].video, VideoOutput::H264 { encoders, preset: "fast".to_owned() });
    assert_eq!(&config.tenants[&name("acme")].ladder, ladder);
    assert_eq!(config.tenants.len(), 1, "the built-in tenant is gone, since its door is open");
    assert!(config.profiles.contains_key(&name("default")));
}

#[test]
fn a_tenants_share_is_what_the_fleet_is_told() {
    let config = meant(
        r#"
        [tenants.acme]
        weight = 2
        max_streams = 3
        max_pixels_per_second = 500_000_000
        max_bitrate = "50M"
        tags = ["rack-1", "gpu", "gpu"]
        when_full = "wait"
        [tenants.plain]
        "#,
    );
    let acme = &config.tenants[&name("acme")];
    assert_eq!(acme.max_bitrate, Some(Bitrate::kilobits(50_000)));
    let limits = acme.limits();
    assert_eq!((limits.max_streams, limits.when_full), (3, WhenFull::Wait));
    assert_eq!((limits.weight.to_string().as_str(), limits.max_pixels_per_second), ("2", Some(500_000_000)));
    assert_eq!(limits.expected.require_tags, [name("gpu"), name("rack-1")], "each once");
    assert_eq!(limits.expected.work.renditions.len(), acme.ladder.renditions.len());
    let plain = config.tenants[&name("plain")].limits();
    assert_eq!((plain.weight.to_string().as_str(), plain.max_pixels_per_second), ("1", None));
    assert_eq!((plain.max_streams, plain.when_full), (100, WhenFull::Refuse));
}

#[test]
fn secrets_come_from_the_file_the_environment_or_another_file() {
    let config = meant(
        r#"
        fleet.token = "file:/run/key"
        http.api_token = "env:KEY"
        tenants.a.keys = ["plain: text", { key = "env:KEY", stream = "cam-*" }]
        "#,
    );
    assert!(config.fleet.token.is_some_and(|token| token.matches(b"from-file")));
    assert!(config.http.api_token.is_some_and(|token| token.matches(b"from-variable")));
    let tenant = &config.tenants[&name("a")];
    assert!(tenant.allows(&name("x"), b"plain: text"));
    assert!(tenant.allows(&name("cam-1"), b"from-variable"));
    assert!(!tenant.allows(&name("x"), b"from-variable"));
}

#[test]
fn a_node_without_a_name_has_its_hosts() {
    let host = Desk { host: Some("ann's box"), ..desk() };
    let named = |text| Config::parse(text, &host).expect("it is legal").node.name;
    assert_eq!(named("").as_str(), "ann-s-box");
    assert_eq!(named("node.name = 'n1'").as_str(), "n1");
}

#[test]
fn a_file_is_found_by_its_name_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("mine.toml");
    let missing = Config::load(Some(&file)).expect_err("it is not there yet").to_string();
    assert!(missing.contains("mine.toml: cannot be read: No such file"), "{missing}");
    std::fs::write(&file, "[node]\nslots = 3\n").expect("a file can be written");
    assert_eq!(Config::load(Some(&file)).expect("it is legal").node.slots, 3);
    std::fs::write(&file, "[node]\nslots = 0\n").expect("a file can be written");
    let wrong = Config::load(Some(&file)).expect_err("no slot is none").to_string();
    assert!(wrong.ends_with("mine.toml:2: node.slots = 0: must be from 1 to 1000"), "{wrong}");
}
