//! The simulated encoder: H.264 with B-frames whose pictures carry their number, and AAC whose access units do.

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::flv::{Tag, TagKind};

/// Milliseconds between pictures.
pub const PICTURE_MS: u32 = 40;
/// Pictures in a GOP.
pub const GOP_PICTURES: u32 = 10;
/// Tag bodies with the configurations of 64x36 and 128x72 pictures: `ffmpeg -f lavfi -i color=s=64x36:r=25 -c:v libx264`.
pub const VIDEO: [&[u8]; 2] = [
    b"\x17\0\0\0\0\x01\x64\0\x0a\xff\xe1\0\x19\x67\x64\0\x0a\xac\xd9\x44\x7f\x9f\x01\x10\0\0\x03\0\x10\0\0\x03\x03\x20\xf1\x22\x59\x60\x01\0\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\0",
    b"\x17\0\0\0\0\x01\x64\0\x0a\xff\xe1\0\x19\x67\x64\0\x0a\xac\xd9\x42\x0b\xf9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0f\x12\x25\x96\x01\0\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\0",
];
/// AAC-LC, 48 kHz, stereo.
pub const AUDIO: &[u8] = b"\xaf\0\x11\x90";

/// Which tracks an encoder sends, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Both, all the time.
    #[default]
    Whole,
    /// Sound alone.
    SoundAlone,
    /// Sound that shows after so many pictures.
    LateSound(u32),
    /// No sound from one picture up to another.
    Pause(u32, u32),
}

/// One encoder connection: what it sends, and when after its start in milliseconds.
#[derive(Debug)]
pub struct Source {
    configuration: usize,
    next_picture: u32,
    next_audio: u32,
    pictures: u32,
    no_reordering: bool,
    shape: Shape,
}

/// Pictures and audio access units are numbered over all takes, so that each can be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    pub picture: u32,
    pub audio: u32,
}

fn tag(kind: TagKind, timestamp_ms: u32, payload: impl Into<Bytes>) -> Tag {
    Tag { kind, timestamp_ms, payload: payload.into() }
}

impl Source {
    /// An encoder that sends `pictures` pictures, with its clock at zero.
    pub fn new(pictures: u32, no_reordering: bool, shape: Shape) -> Self {
        Self { configuration: 0, next_picture: 0, next_audio: 0, pictures, no_reordering, shape }
    }

    /// What is sent first.
    pub fn configuration(&self) -> Vec<Tag> {
        let video = Bytes::from_static(VIDEO[self.configuration]);
        let (video, audio) =
            (tag(TagKind::Video, 0, video), tag(TagKind::Audio, 0, Bytes::from_static(AUDIO)));
        match self.shape {
            Shape::Whole | Shape::Pause(..) => vec![video, audio],
            Shape::SoundAlone => vec![audio],
            Shape::LateSound(_) => vec![video],
        }
    }

    /// Changes the picture size at the next GOP.
    pub fn change_parameters(&mut self) {
        self.configuration = 1;
    }

    /// Everything that belongs to the next picture interval; `None` when all has been sent.
    pub fn next_tags(&mut self, numbers: &mut Numbers) -> Option<Vec<Tag>> {
        if self.next_picture == self.pictures {
            return None;
        }
        let mut tags = Vec::new();
        let (picture, time) = (self.next_picture, self.next_picture * PICTURE_MS);
        if picture.is_multiple_of(GOP_PICTURES) && self.configuration > 0 {
            tags.push(tag(TagKind::Video, time, Bytes::from_static(VIDEO[self.configuration])));
        }
        if self.shape != Shape::SoundAlone {
            let body = coded_picture(picture, numbers.picture, self.no_reordering);
            tags.push(tag(TagKind::Video, time, body));
            numbers.picture += 1;
        }
        self.next_picture += 1;
        if self.shape == Shape::LateSound(picture) {
            tags.push(tag(TagKind::Audio, time, Bytes::from_static(AUDIO)));
        }
        while self.next_audio * 1024 / 48 < self.next_picture * PICTURE_MS {
            if self.is_heard(picture) {
                let mut body = BytesMut::from(&b"\xaf\x01"[..]);
                body.put_u32(numbers.audio);
                tags.push(tag(TagKind::Audio, self.next_audio * 1024 / 48, body));
                numbers.audio += 1;
            }
            self.next_audio += 1;
        }
        Some(tags)
    }

    fn is_heard(&self, picture: u32) -> bool {
        match self.shape {
            Shape::Whole | Shape::SoundAlone => true,
            Shape::LateSound(first) => picture >= first,
            Shape::Pause(from, to) => picture < from || picture >= to,
        }
    }
}

/// Coded order I P B B P B B ...: the picture's place in presentation order gives its composition offset.
fn coded_picture(picture: u32, number: u32, no_reordering: bool) -> Bytes {
    let coded = picture % GOP_PICTURES;
    let shown = match coded {
        coded if coded == 0 || no_reordering => coded,
        coded if coded % 3 == 1 => coded + 2,
        coded => coded - 1,
    };
    let key = coded == 0;
    let delay = u32::from(!no_reordering);
    let offset = (shown + delay - coded) * PICTURE_MS;
    let mut body = BytesMut::new();
    body.put_u8(if key { 0x17 } else { 0x27 });
    body.put_u8(1);
    body.put_uint(u64::from(offset), 3);
    body.put_u32(5);
    body.put_u8(if key { 0x65 } else { 0x41 });
    body.put_u32(number);
    body.freeze()
}
