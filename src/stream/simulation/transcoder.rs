//! The simulated FFmpeg on its node: reads the FLV that it is fed, and answers with fragments that list the numbers of
//! their pictures.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Output;
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, AudioConfiguration, VideoCodec, VideoConfiguration};
use crate::wire::message::{
    AttemptEnd, AttemptSpec, AudioUnit, Fragment, LeaseInput, LeaseOutput, OutputConfiguration, OutputInit,
    Progress,
};

/// Progress is told of one picture in so many: at 25 a second, each 120 ms, and a node tells it each 100 ms.
const TOLD_EVERY: u32 = 3;

/// One attempt on a node.
#[derive(Debug)]
pub struct Transcoder {
    pub node: Name,
    spec: AttemptSpec,
    input: BytesMut,
    header_read: bool,
    gop: Vec<(Ticks, u32)>,
    /// Pictures since progress was told.
    untold: u32,
    /// FFmpeg's muxer lets an access unit of audio go when the next one comes.
    held_back: Option<LeaseOutput>,
}

impl Transcoder {
    pub fn new(node: Name, spec: AttemptSpec) -> Self {
        Self {
            node,
            spec,
            input: BytesMut::new(),
            header_read: false,
            gop: Vec::new(),
            untold: 0,
            held_back: None,
        }
    }

    /// Reads a piece of input and gives what comes out of it.
    pub fn feed(&mut self, input: LeaseInput) -> Vec<LeaseOutput> {
        let mut out = Vec::new();
        match input {
            LeaseInput::Media(media) => {
                self.input.extend_from_slice(&media.into_bytes());
                while let Some((kind, millis, body)) = self.next_tag() {
                    self.read_tag(kind, millis, &body, &mut out);
                }
            }
            LeaseInput::EndOfInput => {
                self.cut(None, &mut out);
                out.extend(self.held_back.take());
                let end = AttemptEnd { reason: Reason::Completed, detail: String::new() };
                out.push(LeaseOutput::Ended(end));
            }
        }
        out
    }

    fn next_tag(&mut self) -> Option<(u8, u32, Bytes)> {
        if !self.header_read && self.input.len() >= 13 {
            assert_eq!(&self.input[..3], b"FLV");
            self.input.advance(13);
            self.header_read = true;
        }
        let head = self.input.first_chunk::<11>().filter(|_| self.header_read)?;
        let length = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let millis = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let kind = head[0];
        if self.input.len() < 11 + length + 4 {
            return None;
        }
        self.input.advance(11);
        let body = self.input.split_to(length).freeze();
        assert_eq!(self.input.get_u32() as usize, 11 + length, "previous tag size");
        Some((kind, millis, body))
    }

    fn read_tag(&mut self, kind: u8, millis: u32, body: &Bytes, out: &mut Vec<LeaseOutput>) {
        let time = self.spec.base + Ticks::from_millis(i64::from(millis));
        match (kind, body[1]) {
            (9, 0) => self.video_inits(body, out),
            // Metadata.
            (18, _) => {}
            (8, 0) => out.push(audio_init(body)),
            (8, _) => {
                let data = body.slice(2..);
                let unit = LeaseOutput::AudioUnit(AudioUnit { presentation_time: time, data });
                out.extend(self.held_back.replace(unit));
            }
            (9, _) => {
                let offset = i64::from(body.slice(2..5).get_uint(3) as u32);
                let shown = time + Ticks::from_millis(offset);
                if body[9] & 0x1f == 5 {
                    self.cut(Some(shown), out);
                }
                self.gop.push((shown, body.slice(10..).get_u32()));
                self.untold += 1;
                if self.untold == TOLD_EVERY {
                    self.untold = 0;
                    out.extend((0..self.renditions()).map(|rendition| {
                        let output = Output::Rendition(rendition);
                        LeaseOutput::Progress(Progress { output, position: shown })
                    }));
                }
            }
            _ => unreachable!("the source sends nothing else"),
        }
    }

    fn video_inits(&self, body: &Bytes, out: &mut Vec<LeaseOutput>) {
        let configuration = VideoConfiguration {
            codec: VideoCodec::H264,
            codecs: "avc1.64000a".into(),
            width: 64,
            height: 36,
            frame_rate: None,
            nal_length_bytes: 4,
        };
        for rendition in 0..self.renditions() {
            let (output, segment) = (Output::Rendition(rendition), body.clone());
            let configuration = OutputConfiguration::Video(configuration.clone());
            out.push(LeaseOutput::Init(OutputInit { output, configuration, segment }));
        }
    }

    fn renditions(&self) -> u8 {
        u8::try_from(self.spec.ladder.renditions.len()).expect("a short ladder")
    }

    fn cut(&mut self, end: Option<Ticks>, out: &mut Vec<LeaseOutput>) {
        let pictures = std::mem::take(&mut self.gop);
        let Some(&(position, _)) = pictures.first() else { return };
        let mut data = BytesMut::new();
        pictures.iter().for_each(|&(_, number)| data.put_u32(number));
        let times = || pictures.iter().map(|&(time, _)| time);
        for rendition in 0..self.renditions() {
            out.push(LeaseOutput::Fragment(Fragment {
                rendition,
                position,
                end,
                first_presentation: times().min().expect("not empty"),
                last_presentation: times().max().expect("not empty"),
                access_units: u32::try_from(pictures.len()).expect("a short GOP"),
                data: data.clone().freeze(),
            }));
        }
    }
}

fn audio_init(body: &Bytes) -> LeaseOutput {
    let configuration = AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: "mp4a.40.2".into(),
        sample_rate: 48_000,
        channels: 2,
        samples_per_access_unit: 1024,
    };
    let configuration = OutputConfiguration::Audio(configuration);
    LeaseOutput::Init(OutputInit { output: Output::Audio, configuration, segment: body.clone() })
}
