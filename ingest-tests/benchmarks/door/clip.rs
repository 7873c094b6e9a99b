//! What every publisher sends: eight seconds of 6 Mbit/s in chunks, made once and shared.
//!
//! The tags are those of `fixtures/media/numbered-30s.flv`, grown to the size that 6 Mbit/s would give them: pictures by a
//! filler NAL unit (ITU-T H.264 §7.3.2.7), sound by zeros. All messages but the first of each track have chunk type 1, whose
//! time is a delta: so the clip can be sent again and again without a change, and by all publishers at once.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::harness;
use super::rtmp;

/// The shortest time that holds whole GOPs of 2 s and whole AAC units of 1024 samples at 48 kHz.
pub const LENGTH: Duration = Duration::from_secs(8);
const PICTURES: u64 = 240;
const SOUNDS: u64 = 375;
const PICTURES_PER_GOP: usize = 60;
/// 128 kbit/s.
const SOUND_BYTES: usize = 341;
/// What is left of 6 Mbit/s, in a GOP whose first picture is as large as five others.
const PICTURE_BYTES: usize = (6_000_000 - 128_000) / 8 * 2 / (PICTURES_PER_GOP + 4);
const VIDEO_TAG: u8 = 9;
const AUDIO_TAG: u8 = 8;

/// One clip at one chunk size.
pub struct Clip {
    pub chunk_size: usize,
    /// Set Chunk Size, the decoders' configurations, and one empty message a track that later ones refer to.
    pub first: Arc<[u8]>,
    bytes: Arc<[u8]>,
    units: Arc<[Unit]>,
}

/// One message on its way.
pub struct Unit {
    /// When it is sent, from the clip's begin.
    pub due: Duration,
    pub bytes: Range<usize>,
}

impl Clip {
    pub fn new(chunk_size: usize) -> Self {
        let file = std::fs::read(harness::root().join("fixtures/media/numbered-30s.flv")).expect("a fixture");
        let tags = tags(&file);
        let of = |kind: u8| tags.iter().filter(move |(found, _)| *found == kind).map(|(_, body)| *body);
        let mut first = rtmp::set_chunk_size(chunk_size);
        for kind in [VIDEO_TAG, AUDIO_TAG] {
            let configuration = of(kind).next().expect("a fixture with both tracks");
            first.extend(rtmp::first_message(kind, configuration, chunk_size));
        }
        let (mut bytes, mut units) = (Vec::new(), Vec::new());
        let pictures =
            of(VIDEO_TAG).skip(1).zip(0..PICTURES).map(|(body, at)| (VIDEO_TAG, at, picture(body, at)));
        let sounds = of(AUDIO_TAG).skip(1).zip(0..SOUNDS).map(|(body, at)| (AUDIO_TAG, at, sound(body)));
        let mut messages: Vec<_> = pictures.chain(sounds).collect();
        messages.sort_by_key(|&(kind, at, _)| due(kind, at));
        for (kind, at, body) in messages {
            let start = bytes.len();
            rtmp::delta_message(kind, delta_ms(kind, at), &body, chunk_size, &mut bytes);
            units.push(Unit { due: due(kind, at), bytes: start..bytes.len() });
        }
        Self { chunk_size, first: first.into(), bytes: bytes.into(), units: units.into() }
    }

    /// The messages, in the order and at the times they are sent.
    pub fn units(&self) -> Arc<[Unit]> {
        Arc::clone(&self.units)
    }

    /// What [`Unit::bytes`] point into.
    pub fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.bytes)
    }

    /// All of it once, in pieces as a socket gives them.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(64 * 1024)
    }
}

/// When unit number `at` of a track is sent: 30 pictures and 46.875 sounds a second.
fn due(kind: u8, at: u64) -> Duration {
    let count = if kind == VIDEO_TAG { PICTURES } else { SOUNDS };
    Duration::from_micros(LENGTH.as_micros() as u64 * at / count)
}

/// RTMP's milliseconds since the unit before; for the first one, since the last one of the round before.
fn delta_ms(kind: u8, at: u64) -> u32 {
    let count = if kind == VIDEO_TAG { PICTURES } else { SOUNDS };
    let ms = |at: u64| due(kind, at).as_millis();
    let delta = if at == 0 { LENGTH.as_millis() - ms(count - 1) } else { ms(at) - ms(at - 1) };
    u32::try_from(delta).expect("some milliseconds")
}

/// The tag's picture, with a filler NAL unit behind it.
fn picture(body: &[u8], at: u64) -> Vec<u8> {
    let times = if at.is_multiple_of(PICTURES_PER_GOP as u64) { 5 } else { 1 };
    let filler = (PICTURE_BYTES * times).saturating_sub(body.len() + 4).max(2);
    let mut picture = body.to_vec();
    picture.extend(u32::try_from(filler).expect("below a megabyte").to_be_bytes());
    picture.push(12);
    picture.resize(picture.len() + filler - 2, 0xFF);
    picture.push(0x80);
    picture
}

fn sound(body: &[u8]) -> Vec<u8> {
    let mut sound = body.to_vec();
    sound.resize(SOUND_BYTES.max(body.len()), 0);
    sound
}

/// Kind and body of each tag (FLV 10.1 §E.4.1).
fn tags(file: &[u8]) -> Vec<(u8, &[u8])> {
    let mut rest = &file[13..];
    let mut tags = Vec::new();
    while let Some((&[kind, high, mid, low, ..], after)) = rest.split_first_chunk::<11>() {
        let length = u32::from_be_bytes([0, high, mid, low]) as usize;
        tags.push((kind, &after[..length]));
        rest = &after[length + 4..];
    }
    tags
}
