//! A node that transcodes nothing: it takes every lease, drops the media, and answers each random access point with the
//! smallest fragment that lets the proxy commit the GOP before it, and release it from the log.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use headgate::ffmpeg::capability::Carriage;
use headgate::ffmpeg::ladder::Output;
use headgate::media::fragment::Fragment;
use headgate::media::time::Ticks;
use headgate::media::track::{AudioCodec, AudioConfiguration, VideoCodec, VideoConfiguration};
use headgate::wire::codec::{self, Message};
use headgate::wire::message::{
    AudioUnit, CONTROL_PATH, LEASE_PATH, LEASE_SECRET_HEADER, LeaseId, LeaseInput, LeaseOutput, LeaseSpec,
    Media, NodeMessage, OutputConfiguration, OutputInit, ProxyMessage, UPGRADE, VERSION_HEADER, WIRE_VERSION,
};
use headgate::wire::report::{Capabilities, Capacity, EncoderOn, Heartbeat, LeaseLoad, Load, NodeHello};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

const HEARTBEAT: Duration = Duration::from_millis(250);
/// Bytes of a body that say what it is: frame type and codec, packet type, composition time (FLV 10.1 §E.4.3).
const BODY_HEAD_BYTES: usize = 5;
const FILE_HEADER_BYTES: usize = 13;
const TAG_HEADER_BYTES: usize = 11;
const TAG_TRAILER_BYTES: usize = 4;

/// Runs until it is dropped, in a thread of its own.
pub struct Sink {
    _stop: DropGuard,
}

impl Sink {
    /// Joins the fleet of the proxy whose fleet port this is.
    pub fn start(proxy: SocketAddr, token: &'static str) -> Self {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime for one thread");
            runtime.block_on(stop.run_until_cancelled(serve(Proxy { address: proxy, token })));
        });
        Self { _stop: guard }
    }
}

/// Where to dial.
#[derive(Clone, Copy)]
struct Proxy {
    address: SocketAddr,
    token: &'static str,
}

/// One upgraded connection.
struct Wire {
    socket: TcpStream,
    received: BytesMut,
}

/// The control connection: heartbeats up, leases down. Ends with the connection.
async fn serve(proxy: Proxy) {
    let mut wire = Wire::upgrade(proxy, CONTROL_PATH, None).await.expect("the token is right");
    let mut output = BytesMut::new();
    push(&mut output, &NodeMessage::Hello(Box::new(hello())));
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut leases = Vec::new();
    loop {
        if wire.socket.write_all_buf(&mut output).await.is_err() {
            return;
        }
        while let Some(message) = codec::decode(&mut wire.received).expect("sound frames") {
            if let ProxyMessage::Lease(spec) = message {
                leases.push(spec.lease);
                tokio::spawn(serve_lease(proxy, spec));
            }
        }
        tokio::select! {
            _ = beat.tick() => {
                let load = Load { cpu: 0.1, memory: 1 << 30, ..Load::default() };
                push(&mut output, &NodeMessage::Heartbeat(Heartbeat { load, leases: leases.iter().copied().map(held).collect() }));
            }
            read = wire.socket.read_buf(&mut wire.received) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
        }
    }
}

/// A lease's connection, to its end.
async fn serve_lease(proxy: Proxy, spec: Box<LeaseSpec>) {
    let Some(mut wire) = Wire::upgrade(proxy, LEASE_PATH, Some(&spec.secret)).await else { return };
    let mut attempt = Attempt::new(&spec);
    loop {
        while let Some(input) = codec::decode(&mut wire.received).expect("sound frames") {
            match input {
                LeaseInput::Media(Media::Bytes(bytes)) => attempt.read(&bytes),
                LeaseInput::Media(Media::Tag { .. }) => unreachable!("what arrives is bytes"),
                LeaseInput::EndOfInput => return,
            }
        }
        let written = wire.socket.write_all_buf(&mut attempt.output).await;
        if written.is_err() || !matches!(wire.socket.read_buf(&mut wire.received).await, Ok(1..)) {
            return;
        }
    }
}

impl Wire {
    /// `None` if the proxy refuses, as it does when a lease has been given up before its node came for it.
    async fn upgrade(proxy: Proxy, path: &str, secret: Option<&str>) -> Option<Self> {
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: proxy\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\
             {VERSION_HEADER}: {WIRE_VERSION}\r\nauthorization: Bearer {}\r\n",
            proxy.token
        );
        if let Some(secret) = secret {
            head.push_str(&format!("{LEASE_SECRET_HEADER}: {secret}\r\n"));
        }
        head.push_str("\r\n");
        let mut socket = TcpStream::connect(proxy.address).await.expect("the fleet port is open");
        socket.write_all(head.as_bytes()).await.expect("it reads requests");
        let mut received = BytesMut::with_capacity(256 * 1024);
        loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = received.split_to(end + 4);
                return head.starts_with(b"HTTP/1.1 101 ").then_some(Self { socket, received });
            }
            let read = socket.read_buf(&mut received).await.expect("it answers");
            assert!(read > 0, "it answers before it closes");
        }
    }
}

/// What FFmpeg would be: FLV in, output out.
struct Attempt {
    base: Ticks,
    flv: Flv,
    /// Begin and pictures of the fragment that is being made.
    fragment: Option<(Ticks, u32)>,
    last_presentation: Ticks,
    /// Sounds of it.
    sounds: BytesMut,
    output: BytesMut,
}

impl Attempt {
    fn new(spec: &LeaseSpec) -> Self {
        let mut output = BytesMut::new();
        push(&mut output, &init(Output::Rendition(0), OutputConfiguration::Video(picture_configuration())));
        if spec.attempt.has_audio {
            push(&mut output, &init(Output::Audio, OutputConfiguration::Audio(sound_configuration())));
        }
        let base = spec.attempt.base;
        Self {
            base,
            flv: Flv::default(),
            fragment: None,
            last_presentation: base,
            sounds: BytesMut::new(),
            output,
        }
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while let Some(unit) = self.flv.next_unit(&mut bytes) {
            let time = self.base + Ticks::from_millis(unit.presentation_ms);
            match unit.kind {
                Kind::Sound => {
                    let data = Bytes::from_static(b"\x21\x00\x49\x90");
                    push(
                        &mut self.sounds,
                        &LeaseOutput::AudioUnit(AudioUnit { presentation_time: time, data }),
                    );
                }
                Kind::RandomAccessPoint => self.begin_fragment(time),
                Kind::Picture => {}
            }
            if unit.kind != Kind::Sound {
                self.last_presentation = self.last_presentation.max(time);
                self.fragment = self.fragment.map(|(begin, pictures)| (begin, pictures + 1));
            }
        }
    }

    /// Sends the fragment before, and the sounds beside it.
    fn begin_fragment(&mut self, position: Ticks) {
        if let Some((begin, access_units)) = self.fragment.replace((position, 0)) {
            let fragment = Fragment {
                rendition: 0,
                position: begin,
                end: Some(position),
                first_presentation: begin,
                last_presentation: self.last_presentation,
                access_units,
                data: Bytes::from_static(b"a fragment"),
            };
            push(&mut self.output, &LeaseOutput::Fragment(fragment));
        }
        self.output.unsplit(self.sounds.split());
    }
}

/// Finds access units in FLV, and keeps of each only the first bytes.
struct Flv {
    /// What has been read of the next header.
    held: Vec<u8>,
    needed: usize,
    step_over: usize,
    part: Part,
}

/// What is being read.
#[derive(Clone, Copy)]
enum Part {
    FileHeader,
    TagHeader,
    BodyHead { type_id: u8, timestamp_ms: u32, length: usize },
}

/// An access unit.
struct AccessUnit {
    kind: Kind,
    presentation_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sound,
    Picture,
    RandomAccessPoint,
}

impl Default for Flv {
    fn default() -> Self {
        Self { held: Vec::new(), needed: FILE_HEADER_BYTES, step_over: 0, part: Part::FileHeader }
    }
}

impl Flv {
    /// Consumes `bytes` up to the next access unit; `None`: all of them.
    fn next_unit(&mut self, bytes: &mut &[u8]) -> Option<AccessUnit> {
        loop {
            let stepped = self.step_over.min(bytes.len());
            self.step_over -= stepped;
            *bytes = &bytes[stepped..];
            let taken = (self.needed - self.held.len()).min(bytes.len());
            self.held.extend_from_slice(&bytes[..taken]);
            *bytes = &bytes[taken..];
            if self.step_over > 0 || self.held.len() < self.needed {
                return None;
            }
            if let Some(unit) = self.next_part() {
                return Some(unit);
            }
        }
    }

    /// Acts on what is held.
    fn next_part(&mut self) -> Option<AccessUnit> {
        let held = std::mem::take(&mut self.held);
        match self.part {
            Part::FileHeader => self.expect(Part::TagHeader, TAG_HEADER_BYTES),
            Part::TagHeader => {
                let length = u32::from_be_bytes([0, held[1], held[2], held[3]]) as usize;
                let timestamp_ms = u32::from_be_bytes([held[7], held[4], held[5], held[6]]);
                let part = Part::BodyHead { type_id: held[0], timestamp_ms, length };
                self.expect(part, length.min(BODY_HEAD_BYTES));
            }
            Part::BodyHead { type_id, timestamp_ms, length } => {
                self.step_over = length - held.len() + TAG_TRAILER_BYTES;
                self.expect(Part::TagHeader, TAG_HEADER_BYTES);
                return access_unit(type_id, timestamp_ms, &held);
            }
        }
        None
    }

    fn expect(&mut self, part: Part, needed: usize) {
        (self.part, self.needed) = (part, needed);
    }
}

/// H.264 and AAC only, which is what the clip has.
fn access_unit(type_id: u8, timestamp_ms: u32, head: &[u8]) -> Option<AccessUnit> {
    let decode_ms = i64::from(timestamp_ms);
    match (type_id, head) {
        (8, [0xAF, 1, ..]) => Some(AccessUnit { kind: Kind::Sound, presentation_ms: decode_ms }),
        (9, &[first @ (0x17 | 0x27), 1, high, mid, low]) => {
            let kind = if first == 0x17 { Kind::RandomAccessPoint } else { Kind::Picture };
            let offset = i32::from_be_bytes([high, mid, low, 0]) >> 8;
            Some(AccessUnit { kind, presentation_ms: decode_ms + i64::from(offset) })
        }
        _ => None,
    }
}

fn push(output: &mut BytesMut, message: &impl Message) {
    let frame = message.encode().expect("a small message");
    frame.pieces().into_iter().for_each(|piece| output.extend_from_slice(piece));
}

fn init(output: Output, configuration: OutputConfiguration) -> LeaseOutput {
    LeaseOutput::Init(OutputInit { output, configuration, segment: Bytes::from_static(b"an init segment") })
}

fn picture_configuration() -> VideoConfiguration {
    VideoConfiguration {
        codec: VideoCodec::H264,
        codecs: "avc1.64001e".into(),
        width: 640,
        height: 360,
        frame_rate: None,
        nal_length_bytes: 4,
    }
}

fn sound_configuration() -> AudioConfiguration {
    AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: "mp4a.40.2".into(),
        sample_rate: 48_000,
        channels: 2,
        samples_per_access_unit: 1024,
    }
}

fn hello() -> NodeHello {
    NodeHello {
        name: "sink".parse().expect("a name"),
        tags: Vec::new(),
        class: "sink".into(),
        cost_per_hour: None,
        watts: None,
        capacity: Capacity { cores: 4096, memory: 1 << 40, slots: 1024, network_bps: None },
        capabilities: Capabilities {
            ffmpeg_version: "5.1.9".into(),
            encoders: vec![EncoderOn::cpu("libx264")],
            reads: vec![Carriage::H264, Carriage::Aac],
            decodes: vec![Carriage::H264, Carriage::Aac],
            ..Capabilities::default()
        },
    }
}

fn held(lease: LeaseId) -> LeaseLoad {
    LeaseLoad { lease, cpu: None, memory: 0, speed: Some(1.0), lag_ms: Some(0) }
}
