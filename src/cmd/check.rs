//! `headgate check`: validates the configuration and prints what would run.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use crate::base::names::Name;
use crate::cli::{self, Exit};
use crate::config::units::Quantity;
use crate::config::{Config, Nvml, Placement, Profile, RtmpsListen, Tenant, written_audio};
use crate::ffmpeg::ladder::{Deinterlace, Latency, Rendition, VideoOutput};
use crate::placement::policy::{Policy, PolicyKind};
use crate::placement::tenancy::WhenFull;

/// Runs the command.
#[must_use]
pub fn run(path: Option<&Path>) -> Exit {
    let config = match cli::load_config(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match io::stdout().lock().write_all(Summary(&config).to_string().as_bytes()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// A configuration as a person wants to see it: one line a thing. Secrets are only counted.
struct Summary<'a>(&'a Config);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_listeners(f, self.0)?;
        self.0.tenants.iter().try_for_each(|(name, tenant)| write_tenant(f, name, tenant))?;
        self.0.profiles.iter().try_for_each(|(name, profile)| write_profile(f, name, profile))?;
        write_placement(f, &self.0.placement)?;
        write_node(f, self.0)
    }
}

fn write_listeners(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    let Config { rtmp, rtmps, http, fleet, .. } = config;
    let api = if http.api_token.is_some() { "API with a token" } else { "API for its own pages only" };
    let token = if fleet.token.is_some() { "with a token" } else { "without a token" };
    let (heartbeat, suspect_after) = (fleet.heartbeat.written(), fleet.suspect_after.written());
    let (most, each) = (rtmp.max_connections, rtmp.max_connections_per_address);
    let bounds = format!("at most {most} connections, {each} from one address");
    match rtmp.listen {
        Some(address) => writeln!(f, "rtmp     {address}: {bounds}")?,
        None => writeln!(f, "rtmp     off")?,
    }
    match &rtmps.listen {
        Some(RtmpsListen { address, certificate }) => {
            let shared = if rtmp.listen.is_some() { "the same connections" } else { &bounds };
            writeln!(f, "rtmps    {address}: {shared}, certificate {}", certificate.cert.display())?;
        }
        None => writeln!(f, "rtmps    off")?,
    }
    writeln!(f, "http     {}: {api}", http.listen)?;
    let tls = match &fleet.certificate {
        Some(files) => format!("TLS, certificate {}", files.cert.display()),
        None => "no TLS".to_owned(),
    };
    writeln!(
        f,
        "fleet    {}: {token}, {tls}, heartbeat {heartbeat}, suspected after {suspect_after}",
        fleet.listen
    )
}

fn write_tenant(f: &mut fmt::Formatter<'_>, name: &Name, tenant: &Tenant) -> fmt::Result {
    let Tenant { keys, max_streams, profile, .. } = tenant;
    let keys = match keys.len() {
        0 => "no keys, anyone may publish".to_owned(),
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    let more = unusual(tenant);
    writeln!(f, "tenant   {name}: {keys}; at most {max_streams} streams, profile {profile}{more}")
}

/// What a tenant has that others need not have.
fn unusual(tenant: &Tenant) -> String {
    let Tenant { weight, max_pixels_per_second, max_bitrate, tags, when_full, .. } = tenant;
    let told = [
        ((weight - 1.0).abs() > f64::EPSILON).then(|| format!(", weight {weight}")),
        max_pixels_per_second.map(|most| format!(", at most {most} pixels a second")),
        max_bitrate.map(|most| format!(", at most {} together", most.written())),
        (!tags.is_empty()).then(|| {
            format!(", on nodes with {}", tags.iter().map(Name::as_str).collect::<Vec<_>>().join(" "))
        }),
        (*when_full == WhenFull::Wait).then(|| ", waits where there is no room".to_owned()),
    ];
    told.into_iter().flatten().collect()
}

fn write_profile(f: &mut fmt::Formatter<'_>, name: &Name, profile: &Profile) -> fmt::Result {
    let Profile { ladder, tags } = profile;
    let latency = match ladder.latency {
        Latency::Normal => "normal",
        Latency::Low => "low",
    };
    let deinterlaced = match ladder.deinterlace {
        Deinterlace::Off => "",
        Deinterlace::Frame => ", deinterlaced by the frame",
        Deinterlace::Field => ", deinterlaced by the field",
    };
    write!(f, "profile  {name}: audio {}, latency {latency}{deinterlaced}", written_audio(ladder.audio))?;
    write_tags(f, ", nodes tagged", &tags.require)?;
    write_tags(f, ", rather those tagged", &tags.prefer)?;
    writeln!(f)?;
    ladder.renditions.iter().try_for_each(|rendition| write_rendition(f, rendition))
}

fn write_tags(f: &mut fmt::Formatter<'_>, what: &str, tags: &[Name]) -> fmt::Result {
    if !tags.is_empty() {
        f.write_str(what)?;
    }
    tags.iter().try_for_each(|tag| write!(f, " {tag}"))
}

fn write_rendition(f: &mut fmt::Formatter<'_>, rendition: &Rendition) -> fmt::Result {
    let Rendition { name, height, video_bitrate, fps, threads, video } = rendition;
    let bitrate = video_bitrate.written();
    match video {
        VideoOutput::Copy => writeln!(f, "           {name}: as it came"),
        VideoOutput::H264 { encoders, preset } => {
            let encoders = encoders.join(" or ");
            let fps = fps.map(|fps| format!(", {fps} pictures a second")).unwrap_or_default();
            let threads = threads.map(|threads| format!(", at most {threads} threads")).unwrap_or_default();
            writeln!(
                f,
                "           {name}: H.264, {height} lines{fps}, {bitrate} by {encoders}, preset {preset}{threads}"
            )
        }
    }
}

fn write_placement(f: &mut fmt::Formatter<'_>, placement: &Placement) -> fmt::Result {
    let Policy { kind, headroom, .. } = placement.policy;
    let kind = match kind {
        PolicyKind::Spread => "spread",
        PolicyKind::Pack => "pack",
    };
    write!(f, "placing  {kind}, nodes filled to {:.0} %", headroom * 100.0)?;
    match &placement.learned {
        Some(file) => writeln!(f, ", costs kept in {}", file.display()),
        None => writeln!(f, ", costs not kept"),
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    let node = &config.node;
    let (slots, ffmpeg, proxy) = (node.slots, node.ffmpeg.display(), &node.proxy);
    let tls = config.fleet.tls_ca.as_ref();
    let tls = tls.map(|path| format!(" by TLS, trusting {}", path.display())).unwrap_or_default();
    write!(f, "node     {}: at most {slots} streams, runs {ffmpeg}, dials {proxy}{tls}", node.name)?;
    write_tags(f, ", tags", &node.tags)?;
    match &node.nvml {
        Nvml::Library(library) => write!(f, ", GPUs by {}", library.display())?,
        Nvml::Off => write!(f, ", no GPUs looked for")?,
    }
    if let Some(cost) = node.cost_per_hour {
        write!(f, ", {cost} an hour")?;
    }
    if let Some(watts) = node.watts {
        write!(f, ", {watts} W")?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_told_in_a_few_lines() {
        insta::assert_snapshot!(Summary(&Config::default()).to_string(), @r"
    rtmp     127.0.0.1:1935: at most 1000 connections, 100 from one address
    rtmps    off
    http     127.0.0.1:8080: API for its own pages only
    fleet    127.0.0.1:7070: without a token, no TLS, heartbeat 250ms, suspected after 750ms
    tenant   live: no keys, anyone may publish; at most 100 streams, profile default
    profile  default: audio copy, latency normal
               720p: H.264, 720 lines, 2500k by libx264, preset veryfast
               360p: H.264, 360 lines, 800k by libx264, preset veryfast
    placing  spread, nodes filled to 85 %, costs not kept
    node     node: at most 64 streams, runs ffmpeg, dials 127.0.0.1:7070, GPUs by libnvidia-ml.so.1
    ");
    }

    #[test]
    fn a_larger_fleet_is_told_without_its_secrets() {
        let text = r#"
            [http]
            api_token = "hunter2"
            [fleet]
            token = "hunter2"
            [node]
            name = "n1"
            tags = ["gpu", "rack-1"]
            nvml = "off"
            cost_per_hour = 0.35
            watts = 250
            [placement]
            policy = "pack"
            headroom = 1.1
            learned = "/var/lib/headgate/costs.json"
            [tenants.acme]
            keys = ["hunter2", { key = "hunter3", stream = "cam-*" }]
            profile = "mixed"
            weight = 2.5
            max_pixels_per_second = 500_000_000
            max_bitrate = "50M"
            tags = ["rack-1", "gpu"]
            when_full = "wait"
            [profiles.mixed]
            audio = "aac:128k"
            latency = "low"
            deinterlace = "field"
            require_tags = ["gpu"]
            prefer_tags = ["rack-1", "rack-2"]
            renditions = [
                { name = "source", height = 1080, video_bitrate = "6M", video_codec = "copy" },
                { name = "540p", height = 540, video_bitrate = "1.5M", encoder = ["h264_nvenc", "libx264"], fps = 29.97, threads = 2 },
            ]
        "#;
        let config = Config::parse(text, &crate::config::System).expect("it is legal");
        insta::assert_snapshot!(Summary(&config).to_string(), @r"
    rtmp     127.0.0.1:1935: at most 1000 connections, 100 from one address
    rtmps    off
    http     127.0.0.1:8080: API with a token
    fleet    127.0.0.1:7070: with a token, no TLS, heartbeat 250ms, suspected after 750ms
    tenant   acme: 2 keys; at most 100 streams, profile mixed, weight 2.5, at most 500000000 pixels a second, at most 50000k together, on nodes with gpu rack-1, waits where there is no room
    profile  default: audio copy, latency normal
               720p: H.264, 720 lines, 2500k by libx264, preset veryfast
               360p: H.264, 360 lines, 800k by libx264, preset veryfast
    profile  mixed: audio aac:128k, latency low, deinterlaced by the field, nodes tagged gpu, rather those tagged rack-1 rack-2
               source: as it came
               540p: H.264, 540 lines, 30000/1001 pictures a second, 1500k by h264_nvenc or libx264, preset veryfast, at most 2 threads
    placing  pack, nodes filled to 110 %, costs kept in /var/lib/headgate/costs.json
    node     n1: at most 64 streams, runs ffmpeg, dials 127.0.0.1:7070, tags gpu rack-1, no GPUs looked for, 0.35 an hour, 250 W
    ");
    }

    #[test]
    fn a_missing_file_ends_with_64() {
        assert_eq!(run(Some(Path::new("/no/such/file.toml"))), Exit::Usage);
    }
}
