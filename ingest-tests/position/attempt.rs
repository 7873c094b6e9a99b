//! One attempt as a node runs it: FFmpeg with the project's own arguments, FLV in, the bytes of each pipe out.

use std::collections::BTreeMap;
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use command_fds::CommandFdExt;
use headgate::ffmpeg::args::{Equipment, Pipes, arguments, choose, outputs};
use headgate::ffmpeg::attempt::AttemptSpec;
use headgate::ffmpeg::encoder::{Encoder, Usable};
use headgate::ffmpeg::ladder::Output;
use headgate::media::flv::{TagKind, file_header, tag_header, tag_trailer};
use headgate::media::fmp4::read::{AccessUnit, Event, Reader};
use headgate::media::fmp4::write::init_segment;
use headgate::media::fmp4::{SampleEntry, TrackHeader};
use headgate::media::fragment::Fragment;
use headgate::media::fragmenter::{Fragmenter, Picture};
use headgate::media::time::Ticks;
use headgate::media::track::VideoCodec;
use headgate::media::video::{RandomAccess, random_access, read_configuration};

use crate::harness::ffmpeg::Ffmpeg;
use crate::harness::flv::Tag;
use crate::harness::rtmp::VIDEO;

/// A running attempt.
pub struct Running {
    pub child: Child,
    outputs: BTreeMap<Output, Pipe>,
}

/// What has come out of a pipe so far, and the thread that reads it.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pipe {
    fn read(mut pipe: PipeReader) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                shared.lock().expect("nobody panics with it").extend(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }
}

impl Running {
    /// How many access units of `output` have come out.
    pub fn access_units(&self, output: Output) -> usize {
        let bytes = self.outputs[&output].bytes.lock().expect("nobody panics with it").clone();
        bytes.windows(4).filter(|name| name == b"moof").count()
    }

    /// Ends it in the middle.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

/// Starts FFmpeg for `spec`; each pipe is read on a thread of its own.
pub fn start(ffmpeg: Ffmpeg, spec: &AttemptSpec) -> Running {
    let (mut progress, progress_end) = std::io::pipe().expect("descriptors are left");
    let mut pipes = Pipes { progress: progress_end.as_raw_fd(), outputs: Vec::new() };
    let (mut read, mut ends) = (BTreeMap::new(), vec![progress_end.into()]);
    for output in outputs(spec) {
        let (ours, theirs) = std::io::pipe().expect("descriptors are left");
        pipes.outputs.push((output, theirs.as_raw_fd()));
        ends.push(theirs.into());
        read.insert(output, Pipe::read(ours));
    }
    let mut command = Command::new(ffmpeg.path());
    let encoders = choose(spec, &[Usable::software(Encoder::Libx264)]).expect("libx264 is known");
    let equipment = Equipment { encoders, cores: 8 };
    command.args(arguments(spec, &equipment, &pipes).expect("the preset is one"));
    command.preserved_fds(ends);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
    // The ends that FFmpeg has are closed here with the command, or no pipe would ever end.
    drop(command);
    std::thread::spawn(move || progress.read_to_end(&mut Vec::new()));
    Running { child: child.expect("it is installed"), outputs: read }
}

/// Runs an attempt to its end.
pub fn run(ffmpeg: Ffmpeg, spec: &AttemptSpec, input: &[u8]) -> BTreeMap<Output, Vec<u8>> {
    let mut running = start(ffmpeg, spec);
    let mut stdin = running.child.stdin.take().expect("it was asked for");
    stdin.write_all(input).expect("FFmpeg reads to the end");
    drop(stdin);
    let status = running.child.wait().expect("it is our child");
    assert!(status.success(), "{ffmpeg:?}: {status}");
    let read = |pipe: Pipe| {
        pipe.reader.join().expect("it reads");
        std::mem::take(&mut *pipe.bytes.lock().expect("nobody panics with it"))
    };
    running.outputs.into_iter().map(|(output, pipe)| (output, read(pipe))).collect()
}

/// An FLV file of these tags, with a header that announces what `spec` says.
pub fn flv<'a>(spec: &AttemptSpec, tags: impl IntoIterator<Item = (&'a Tag, i64)>) -> Vec<u8> {
    let mut bytes = file_header(spec.has_video, spec.has_audio).to_vec();
    for (tag, time_ms) in tags {
        let kind = if tag.kind == VIDEO { TagKind::Video } else { TagKind::Audio };
        let time_ms = u32::try_from(time_ms).expect("after the base");
        bytes.extend(tag_header(kind, tag.body.len(), time_ms).expect("a short body"));
        bytes.extend(&tag.body);
        bytes.extend(tag_trailer(tag.body.len()));
    }
    bytes
}

/// The access units of a pipe, and what it says of its track.
pub fn access_units(bytes: &[u8]) -> (Vec<AccessUnit>, TrackHeader) {
    let mut reader = Reader::new();
    reader.push(bytes);
    let (mut units, mut header) = (Vec::new(), None);
    while let Some(event) = reader.next_event().expect("FFmpeg writes MP4") {
        match event {
            Event::Header(found) => header = Some(found),
            Event::AccessUnit(unit) => units.push(unit),
        }
    }
    (units, header.expect("FFmpeg writes a header"))
}

/// The access units of a fragment, as a player reads them.
pub fn read_fragment(fragment: &Fragment) -> Vec<AccessUnit> {
    let (codec, configuration) = (VideoCodec::H264, Bytes::from_static(&[1, 66, 0, 30, 0xff, 0xe0, 0]));
    let entry = SampleEntry::Video { codec, width: 160, height: 90, pixel_aspect: None, configuration };
    let init = init_segment(&entry).expect("a legal entry");
    access_units(&[&init[..], &fragment.data].concat()).0
}

/// The fragments that a node would send, on the timeline.
pub fn fragments(spec: &AttemptSpec, bytes: &[u8]) -> Vec<Fragment> {
    let (units, header) = access_units(bytes);
    let configuration = match &header.entry {
        SampleEntry::Video { codec, configuration, .. } => read_configuration(*codec, configuration),
        SampleEntry::Aac { .. } => panic!("pictures are wanted"),
    };
    let configuration = configuration.expect("FFmpeg writes a legal record");
    let mut fragmenter = Fragmenter::new(0);
    let mut fragments = Vec::new();
    for unit in units {
        let presentation_time = spec.base + Ticks::from_samples(unit.presentation_time, header.timescale);
        let data = Bytes::copy_from_slice(&unit.data);
        let random_access = match unit.random_access {
            true => random_access(&configuration, &data),
            false => RandomAccess::None,
        };
        let picture = Picture { presentation_time, random_access, data };
        fragments.extend(fragmenter.push(picture).expect("small fragments"));
    }
    fragments.extend(fragmenter.finish());
    fragments
}
