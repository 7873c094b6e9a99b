//! What is said of a wrong file: every kind of fault, with its text.

use super::{desk, meant};
use crate::config::Config;

/// What is said of a wrong file, without the name of the file.
fn said(text: &str) -> String {
    let errors = Config::parse(text, &desk()).err().unwrap_or_else(|| panic!("{text} is taken"));
    errors.to_string().replace("config.toml:", "")
}

/// One fault, all on line 2 of a section.
fn check(section: &str, line: &str, expected: &str) {
    assert_eq!(said(&format!("[{section}]\n{line}\n")), format!("2: {expected}"));
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known() {
    let text = "[rtpm]\nlisten = 1\n[stream]\ntake_over = 1\n[profiles.a]\nrenditions = [\n{ hight = 3 }]\n\
        [tenants.t]\nkeys = [{ key = 'hunter2', strem = 'x' }]\n";
    insta::assert_snapshot!(said(text), @r#"
    1: rtpm: unknown key (did you mean "rtmp"?), known here: http, rtmp, rtmps, fleet, gop_log, stream, origin, placement, node, tenants, profiles
    4: stream.take_over: unknown key (did you mean "takeover"?), known here: reconnect_grace, takeover
    7: profiles.a.renditions[0].hight: unknown key (did you mean "height"?), known here: name, height, video_bitrate, video_codec, encoder, preset, fps, threads
    7: profiles.a.renditions[0]: needs the key "name"
    7: profiles.a.renditions[0]: needs the key "height"
    7: profiles.a.renditions[0]: needs the key "video_bitrate"
    9: tenants.t.keys[0].strem: unknown key (did you mean "stream"?), known here: key, stream
    "#);
}

#[test]
fn a_value_of_another_type_or_without_its_unit_is_refused() {
    check(
        "http",
        "listen = 8080",
        r#"http.listen = 8080: must be an IP address and a port, such as "127.0.0.1:1935", "0.0.0.0:1935" or "[::]:1935""#,
    );
    check(
        "rtmp",
        "listen = 'localhost:1935'",
        r#"rtmp.listen = 'localhost:1935': must be "off", or an IP address and a port, such as "127.0.0.1:1935", "0.0.0.0:1935" or "[::]:1935""#,
    );
    check("rtmp", "chunk_size = '4096'", "rtmp.chunk_size = '4096': must be a whole number");
    check(
        "rtmp",
        "idle_timeout = 30",
        r#"rtmp.idle_timeout = 30: must be a whole number with its unit, such as "250ms", "15s", "2m" or "1h""#,
    );
    check(
        "rtmp",
        "max_message_size = 16",
        r#"rtmp.max_message_size = 16: must be a whole number with its unit, such as "64KiB", "16MiB" or "1GiB" (or KB, MB, GB)"#,
    );
    check("rtmp", "max_connections = -1", "rtmp.max_connections = -1: must be a whole number");
    check("rtmp", "max_connections = 18446744073709551616", "rtmp.max_connections: is out of range");
    check("stream", "takeover = 'steal'", r#"stream.takeover = 'steal': must be "replace" or "refuse""#);
    check(
        "node",
        "name = 'a/b'",
        "node.name = 'a/b': must be 1 to 128 letters, digits, '.', '_' and '-', of which the first is a letter or digit",
    );
    check(
        "node",
        "tags = ['ok', 'not ok']",
        r#"node.tags = ['ok', 'not ok']: must be a list of names, such as ["gpu", "rack-1"]"#,
    );
    check(
        "node",
        "ffmpeg = ''",
        "node.ffmpeg = '': must be a program: a name to be found in PATH, or a path",
    );
    check(
        "node",
        "proxy = 'proxy'",
        r#"node.proxy = 'proxy': must be HOST:PORT of a proxy's fleet port, such as "proxy.example:7070" or "10.0.0.1:7070""#,
    );
    check("tenants.a", "allow_anonymous = 'yes'", "tenants.a.allow_anonymous = 'yes': must be true or false");
    check("tenants.a", "keys = 'hunter2'", "tenants.a.keys: must be a list");
    check(
        "profiles.a",
        "audio = 'aac'",
        r#"profiles.a.audio = 'aac': must be "copy", or "aac:" and a bitrate from 16k to 512k, such as "aac:128k""#,
    );
    check(
        "profiles.a",
        "audio = 'aac:1M'",
        r#"profiles.a.audio = 'aac:1M': must be "copy", or "aac:" and a bitrate from 16k to 512k, such as "aac:128k""#,
    );
    check("profiles.a", "latency = 'ultra'", r#"profiles.a.latency = 'ultra': must be "normal" or "low""#);
    check(
        "profiles.a",
        "deinterlace = 'bob'",
        r#"profiles.a.deinterlace = 'bob': must be "off", "frame" or "field""#,
    );
    check("profiles.a", "renditions = 'all'", "profiles.a.renditions: must be a list");
}

#[test]
fn an_impossible_value_is_refused() {
    check("rtmp", "chunk_size = 127", "rtmp.chunk_size = 127: must be from 128 to 65536");
    check(
        "rtmp",
        "max_message_size = '17MiB'",
        "rtmp.max_message_size = '17MiB': must be from 64KiB to 16MiB",
    );
    check("rtmp", "max_chunk_streams = 7", "rtmp.max_chunk_streams = 7: must be from 8 to 64");
    check("rtmp", "max_bitrate = '99k'", "rtmp.max_bitrate = '99k': must be from 100k to 10000000k");
    check("rtmp", "publish_timeout = '61s'", "rtmp.publish_timeout = '61s': must be from 100ms to 1m");
    check("rtmp", "bitrate_grace = '0s'", "rtmp.bitrate_grace = '0s': must be from 1s to 10m");
    check(
        "rtmp",
        "max_connections_per_address = 0",
        "rtmp.max_connections_per_address = 0: must be from 1 to 100000",
    );
    check("origin", "window = 0", "origin.window = 0: must be from 3 to 1000");
    check(
        "origin",
        "max_segment_duration = '1s'",
        "origin.max_segment_duration = '1s': origin.max_segment_duration (1s) must not be below origin.segment_duration (2s)",
    );
    check(
        "origin",
        "segment_duration = '12s'",
        "origin.segment_duration = '12s': origin.max_segment_duration (10s) must not be below origin.segment_duration (12s)",
    );
    check(
        "origin",
        "max_segment_duration = '2500ms'",
        "origin.max_segment_duration = '2500ms': must be whole seconds",
    );
    check(
        "fleet",
        "suspect_after = '499ms'",
        "fleet.suspect_after = '499ms': fleet.suspect_after must be at least twice fleet.heartbeat (500ms), it is 499ms",
    );
    check(
        "fleet",
        "heartbeat = '400ms'",
        "fleet.heartbeat = '400ms': fleet.suspect_after must be at least twice fleet.heartbeat (800ms), it is 750ms",
    );
    check(
        "fleet",
        "listen = '0.0.0.0:7070'\nallow_plaintext = true",
        "fleet.listen = '0.0.0.0:7070': must be loopback, or fleet.token must be set",
    );
    check("stream", "reconnect_grace = '601s'", "stream.reconnect_grace = '601s': must be from 0ms to 10m");
    check("gop_log", "max_bytes = '1B'", "gop_log.max_bytes = '1B': must be from 1MiB to 64GiB");
    check("node", "slots = 0", "node.slots = 0: must be from 1 to 1000");
    check(
        "http",
        "listen = '127.0.0.1:1935'",
        "http.listen = '127.0.0.1:1935': http.listen and rtmp.listen must not be the same address",
    );
    check("tenants.a", "max_streams = 0", "tenants.a.max_streams = 0: must be from 1 to 100000");
    check(
        "tenants.a",
        "profile = 'hd'",
        "tenants.a.profile = 'hd': must be a profile, of which there are: default",
    );
}

#[test]
fn an_impossible_share_of_the_fleet_is_refused() {
    check("tenants.a", "weight = 0", "tenants.a.weight = 0: must be from 0.01 to 100");
    check("tenants.a", "weight = nan", "tenants.a.weight = nan: must be from 0.01 to 100");
    check("tenants.a", "weight = '1'", "tenants.a.weight = '1': must be a number, such as 1.0");
    check(
        "tenants.a",
        "max_pixels_per_second = 99_999",
        "tenants.a.max_pixels_per_second = 99_999: must be from 100000 to 1000000000000",
    );
    check(
        "tenants.a",
        "max_bitrate = '1k'",
        "tenants.a.max_bitrate = '1k': must be from 100k to 1000000000k",
    );
    check("tenants.a", "when_full = 'queue'", r#"tenants.a.when_full = 'queue': must be "refuse" or "wait""#);
    let tags = "'t', ".repeat(65);
    for section in ["tenants.a", "node"] {
        assert!(said(&format!("[{section}]\ntags = [{tags}]\n")).ends_with("must be at most 64 names"));
    }
}

#[test]
fn an_impossible_placement_is_refused() {
    check("placement", "policy = 'random'", r#"placement.policy = 'random': must be "spread" or "pack""#);
    check("placement", "headroom = 0", "placement.headroom = 0: must be from 0.05 to 100");
    check("placement", "headroom = nan", "placement.headroom = nan: must be from 0.05 to 100");
    check("placement", "headroom = '85%'", "placement.headroom = '85%': must be a number, such as 0.85");
    check("placement", "learned = ''", r#"placement.learned = '': must be "off", or the path of a file"#);
    check("placement", "learned = true", r#"placement.learned = true: must be "off", or the path of a file"#);
    check("node", "watts = -1", "node.watts = -1: must be from 0 to 1000000");
    check("node", "cost_per_hour = inf", "node.cost_per_hour = inf: must be from 0 to 1000000");
}

#[test]
fn an_impossible_rendition_is_refused() {
    check_renditions("  ", "profiles.a.renditions = [ ]: must be from 1 to 16 renditions");
    check_renditions(
        "{ name = 'a', height = 360 }",
        r#"profiles.a.renditions[0]: needs the key "video_bitrate""#,
    );
    check_renditions(
        "{ height = 360, video_bitrate = '1M' }",
        r#"profiles.a.renditions[0]: needs the key "name""#,
    );
    check_renditions(
        "{ name = 'audio', height = 360, video_bitrate = '1M' }",
        "profiles.a.renditions[0].name = 'audio': must be another name: that of the audio output is taken",
    );
    check_renditions(
        "{ name = 'a', height = 361, video_bitrate = '1M' }",
        "profiles.a.renditions[0].height = 361: must be an even number from 16 to 4320",
    );
    check_renditions(
        "{ name = 'a', height = 4322, video_bitrate = '1M' }",
        "profiles.a.renditions[0].height = 4322: must be an even number from 16 to 4320",
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '201M' }",
        "profiles.a.renditions[0].video_bitrate = '201M': must be from 10k to 200M",
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = 1000 }",
        r#"profiles.a.renditions[0].video_bitrate = 1000: must be a number with its unit, such as "800k" or "2.5M" (bits per second)"#,
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', video_codec = 'av1' }",
        r#"profiles.a.renditions[0].video_codec = 'av1': must be "h264" or "copy""#,
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', video_codec = 'copy', preset = 'fast' }",
        r#"profiles.a.renditions[0].preset = 'fast': does nothing beside video_codec = "copy": remove it"#,
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', encoder = [] }",
        r#"profiles.a.renditions[0].encoder = []: must be an encoder of FFmpeg or a list of 1 to 8, such as "libx264" or ["h264_nvenc", "libx264"]"#,
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', preset = '-y' }",
        "profiles.a.renditions[0].preset = '-y': must be one of ultrafast, superfast, veryfast, faster, fast, medium, slow, slower and veryslow",
    );
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', video_codec = 'copy', fps = 25 }",
        r#"profiles.a.renditions[0].fps = 25: does nothing beside video_codec = "copy": remove it"#,
    );
    for wrong in ["0", "241", "12.5", "-30", "'30/0'", "true", "'fast'"] {
        check_renditions(
            &format!("{{ name = 'a', height = 360, video_bitrate = '1M', fps = {wrong} }}"),
            &format!(
                "profiles.a.renditions[0].fps = {wrong}: must be a whole number from 1 to 240, an NTSC rate such as 29.97, or such a fraction: \"30000/1001\""
            ),
        );
    }
    let one = "{ name = 'a', height = 360, video_bitrate = '1M' }";
    check_renditions(
        &format!("{one}, {one}"),
        "profiles.a.renditions[1].name = 'a': must be another name: a rendition of this profile has it already",
    );
    let many: Vec<_> = (0..17).map(|n| one.replace("'a'", &format!("'a{n}'"))).collect();
    assert!(
        said(&format!("profiles.a.renditions = [{}]", many.join(",")))
            .ends_with("…: must be from 1 to 16 renditions")
    );
}

#[test]
fn an_encoder_a_preset_or_a_number_of_threads_that_there_is_not_is_refused() {
    for preset in ["'p4'", "'placebo'", "4"] {
        check_renditions(
            &format!(
                "{{ name = 'a', height = 360, video_bitrate = '1M', encoder = 'h264_nvenc', preset = {preset} }}"
            ),
            &format!(
                "profiles.a.renditions[0].preset = {preset}: must be one of ultrafast, superfast, veryfast, faster, fast, medium, slow, slower and veryslow"
            ),
        );
    }
    for encoder in ["'libx265'", "['libx264', 'h264_amf']", "['-y', 'libx264']", "''"] {
        check_renditions(
            &format!("{{ name = 'a', height = 360, video_bitrate = '1M', encoder = {encoder} }}"),
            &format!(
                "profiles.a.renditions[0].encoder = {encoder}: must be of these encoders: libx264, libopenh264, h264_nvenc, h264_vaapi, h264_qsv"
            ),
        );
    }
    for threads in ["0", "65"] {
        check_renditions(
            &format!("{{ name = 'a', height = 360, video_bitrate = '1M', threads = {threads} }}"),
            &format!("profiles.a.renditions[0].threads = {threads}: must be from 1 to 64"),
        );
    }
    check_renditions(
        "{ name = 'a', height = 360, video_bitrate = '1M', video_codec = 'copy', threads = 2 }",
        r#"profiles.a.renditions[0].threads = 2: does nothing beside video_codec = "copy": remove it"#,
    );
    let tags = (0..33).map(|tag| format!("'t{tag}'")).collect::<Vec<_>>().join(", ");
    assert!(
        said(&format!("[profiles.a]\nrequire_tags = [{tags}]")).ends_with(": must be at most 32 tags"),
        "ten thousand tags would be looked for on every node"
    );
}

fn check_renditions(renditions: &str, expected: &str) {
    check("profiles.a", &format!("renditions = [{renditions}]"), expected);
}

#[test]
fn a_secret_that_cannot_be_had_is_told_by_its_variable_or_file() {
    check(
        "fleet",
        "token = ''",
        r#"fleet.token: must be a text that is not empty, "env:NAME" or "file:PATH""#,
    );
    check(
        "fleet",
        "token = 'env:'",
        r#"fleet.token: must be a text that is not empty, "env:NAME" or "file:PATH""#,
    );
    check("fleet", "token = 'env:MISSING'", "fleet.token: the environment variable MISSING is not set");
    check("fleet", "token = 'env:BLANK'", "fleet.token: the environment variable BLANK is empty");
    check(
        "http",
        "api_token = 'file:/run/missing'",
        "http.api_token: the file /run/missing cannot be read: entity not found",
    );
    check("http", "api_token = 'file:/run/blank'", "http.api_token: the file /run/blank is empty");
    check(
        "tenants.a",
        "keys = ['']",
        r#"tenants.a.keys[0]: must be a text that is not empty, "env:NAME" or "file:PATH""#,
    );
    check("tenants.a", "keys = ['good', { stream = 'x' }]", r#"tenants.a.keys[1]: needs the key "key""#);
    check(
        "tenants.a",
        "keys = [{ key = 'env:MISSING' }]",
        "tenants.a.keys[0].key: the environment variable MISSING is not set",
    );
    check(
        "tenants.a",
        "keys = [{ key = 'good', stream = 'a b' }]",
        r#"tenants.a.keys[0].stream = 'a b': must be the name of a stream, in which "*" stands for any letters"#,
    );
}

#[test]
fn a_secret_is_never_repeated() {
    let check = |text: &str| {
        let errors = Config::parse(text, &desk()).expect_err("it is wrong");
        let all = format!("{errors} {errors:?}");
        assert!(!all.contains("4711"), "{text} gave away its secret:\n{all}");
    };
    check("fleet.token = 4711");
    check("fleet.token = ['4711']");
    check("fleet.token = { value = '4711' }");
    check("fleet.token = '4711");
    check("fleet.token = 4711x");
    check("fleet.token = '4711' '4711'");
    check("fleet.tokn = '4711'");
    check("tenants.a.keys = '4711'");
    check("tenants.a.keys = 4711");
    check("tenants.a.keys = [4711]");
    check("tenants.a.keys = [['4711']]");
    check("tenants.a.keys = [{ key = 4711 }]");
    check("tenants.a.keys = [{ ky = '4711' }]");
    check("tenants.a.keys = [{ key = '4711', stream = 1 }]");
    check("tenants.a.keys = { key = '4711' }");
    check("tenants.a = { keys = ['4711'], allow_anonymous = true }");
    check("tenants = ['4711']");
    check("tenants.a = '4711'");
}

#[test]
fn an_open_door_must_be_said() {
    let listen = "rtmp.listen = '0.0.0.0:1935'\n";
    let check = |tenants: &str, expected: &str| assert_eq!(said(&format!("{listen}{tenants}")), expected);
    check(
        "",
        r#"1: rtmp.listen = '0.0.0.0:1935': the built-in tenant "live" has no keys, so only loopback is allowed: write a [tenants.NAME] with keys"#,
    );
    check(
        "[tenants.a]\n[tenants.b]\nkeys = ['x']",
        "2: tenants.a: has no keys although rtmp.listen (0.0.0.0:1935) is not loopback: give it keys, or say allow_anonymous = true",
    );
    check(
        "[tenants.a]\nallow_anonymous = true\nkeys = ['x']",
        "3: tenants.a.allow_anonymous = true: contradicts the tenant's keys: remove one of the two",
    );
    meant(&format!("{listen}[tenants.a]\nallow_anonymous = true"));
    meant(&format!("{listen}[tenants.a]\nkeys = ['x']"));
    meant("rtmp.listen = '[::1]:1935'");
    meant("fleet.listen = '0.0.0.0:7070'\nfleet.token = 'x'\nfleet.allow_plaintext = true");
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "[http]\nlisten = 'here'\nport = 80\n[tenants.'a b']\nkeys = ['x', 5, { ky = 'x' }]\n\
        [origin]\nwindow = 'wide'\nsegment_duration = 2\n[fleet]\nlisten = '127.0.0.1:1935'\n";
    insta::assert_snapshot!(said(text), @r#"
    2: http.listen = 'here': must be an IP address and a port, such as "127.0.0.1:1935", "0.0.0.0:1935" or "[::]:1935"
    3: http.port: unknown key, known here: listen, api_token
    4: tenants."a b": a name is letters, digits, '.', '_' and '-', and begins with a letter or digit; byte 1 is not allowed
    5: tenants."a b".keys[1]: must be "secret" or { key = "secret", stream = "pattern" }
    5: tenants."a b".keys[2].ky: unknown key (did you mean "key"?), known here: key, stream
    5: tenants."a b".keys[2]: needs the key "key"
    7: origin.window = 'wide': must be a whole number
    8: origin.segment_duration = 2: must be a whole number with its unit, such as "250ms", "15s", "2m" or "1h"
    10: fleet.listen = '127.0.0.1:1935': rtmp.listen and fleet.listen must not be the same address
    "#);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    insta::assert_snapshot!(said("[rtmp]\nlisten = \nchunk_size = 4096\nchunk_size = 4096\n"), @r#"
    2: not TOML: string values must be quoted, expected literal string
    4: not TOML: duplicate key
    "#);
    insta::assert_snapshot!(said("rtmp = 5\nprofiles.a.renditions = 'x'\n"), @r#"
    1: rtmp: must be a table
    2: profiles.a.renditions: must be a list
    "#);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in r#"(\[(tenants|profiles|rtmp)(\.a)?\]\n|(listen|keys|renditions|key) = ("x"|5|\{|\[|\}|\]|,)\n?){0,8}"#) {
        let _ = Config::parse(&text, &desk());
    }
}
