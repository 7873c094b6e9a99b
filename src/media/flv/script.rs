//! `onMetaData`: what a sender says of itself (FLV 10.1 E.4.4, E.5; AMF 0 of 2007).
//!
//! Encoders get it wrong: it comes before the stream, and OBS rounds, hardware guesses. So little is decided by it: whether
//! to wait for audio at the start, and where very long GOPs are cut. And nothing here is an error: what cannot be read is
//! left out. Properties at the top of the object are read, nested ones are stepped over, to a bounded depth.

use crate::base::units::Bitrate;
use crate::media::amf0::{Item, Reader};

/// Characters kept of the encoder's name.
const MAX_ENCODER_CHARS: usize = 64;
/// Frame rates and picture sides beyond these are not believed.
const MAX_FRAME_RATE: f64 = 1000.0;
const MAX_SIDE: f64 = 65_535.0;
/// Bitrates beyond this are not believed, in kilobits per second.
const MAX_KILOBITS: f64 = 100_000_000.0;

/// What `onMetaData` says; absent, zero and impossible values are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// `framerate`: pictures per second.
    pub frame_rate: Option<f64>,
    /// `width` in pixels.
    pub width: Option<u32>,
    /// `height` in pixels.
    pub height: Option<u32>,
    /// `videodatarate`.
    pub video_bitrate: Option<Bitrate>,
    /// `audiodatarate`.
    pub audio_bitrate: Option<Bitrate>,
    /// `encoder`: its name and version, without control characters, at most 64 characters.
    pub encoder: Option<String>,
    /// Whether an audio track is announced: `audiocodecid` is there.
    pub announces_audio: bool,
    /// Whether a video track is announced: `videocodecid` is there, or a size, a frame rate or a video bitrate that can be.
    pub announces_video: bool,
}

/// Reads a script tag's body. A `@setDataFrame` before `onMetaData`, as RTMP carries it, is skipped. Of what
/// cannot be read to its end counts what came before; any other script data is `None`.
#[must_use]
pub fn read_metadata(body: &[u8]) -> Option<Metadata> {
    let mut metadata = Metadata::default();
    let mut reader = Reader::new(body);
    enter_metadata(&mut reader)?;
    while let Ok(Some((name, value))) = reader.property() {
        metadata.set(name, value);
    }
    metadata.announces_video |= metadata.describes_video();
    Some(metadata)
}

impl Metadata {
    fn set(&mut self, name: &[u8], value: Item<'_>) {
        match (name, value) {
            (b"framerate", Item::Number(n)) => self.frame_rate = within(n, MAX_FRAME_RATE),
            (b"width", Item::Number(n)) => self.width = side(n),
            (b"height", Item::Number(n)) => self.height = side(n),
            (b"videodatarate", Item::Number(n)) => self.video_bitrate = bitrate(n),
            (b"audiodatarate", Item::Number(n)) => self.audio_bitrate = bitrate(n),
            (b"encoder", Item::Text(text)) => self.encoder = printable(text),
            // A number in FLV, a FourCC's text from some encoders; 0 is linear PCM, so presence is what counts.
            (b"audiocodecid", Item::Number(_) | Item::Text(_)) => self.announces_audio = true,
            (b"videocodecid", Item::Number(_) | Item::Text(_)) => self.announces_video = true,
            _ => {}
        }
    }

    fn describes_video(&self) -> bool {
        let size = self.width.or(self.height).is_some();
        size || self.frame_rate.is_some() || self.video_bitrate.is_some()
    }
}

/// `value` if it is above zero and at most `max`; NaN is neither.
fn within(value: f64, max: f64) -> Option<f64> {
    (value > 0.0 && value <= max).then_some(value)
}

/// Rounded before it is judged, so that a third of a pixel is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and MAX_SIDE")]
fn side(pixels: f64) -> Option<u32> {
    within(pixels.round(), MAX_SIDE).map(|pixels| pixels as u32)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and MAX_KILOBITS")]
fn bitrate(kilobits: f64) -> Option<Bitrate> {
    within((kilobits * 1000.0).round(), MAX_KILOBITS * 1000.0).map(|bits| Bitrate(bits as u64))
}

fn printable(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_ENCODER_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// Up to the first property of `onMetaData`'s object or ECMA array.
fn enter_metadata(reader: &mut Reader<'_>) -> Option<()> {
    let mut name = reader.value().ok()??;
    if name == Item::Text(b"@setDataFrame") {
        name = reader.value().ok()??;
    }
    if name != Item::Text(b"onMetaData") {
        return None;
    }
    let metadata = reader.enter().ok()??;
    matches!(metadata, Item::Object | Item::EcmaArray).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg 5.1 -f lavfi -i testsrc=s=1920x1080:r=30 -f lavfi -i sine=r=48000 -t 0.4 -c:v libx264 -preset ultrafast
    /// -c:a aac -ac 2 a.flv: the first tag's body.
    const FFMPEG: &[u8] = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x0d\
        \x00\x08duration\x00\x3f\xda\xf1\xa9\xfb\xe7l\x8b\x00\x05width\x00\x40\x9e\x00\x00\x00\x00\x00\x00\
        \x00\x06height\x00\x40\x90\xe0\x00\x00\x00\x00\x00\x00\x0dvideodatarate\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x09framerate\x00\x40\x3e\x00\x00\x00\x00\x00\x00\x00\x0cvideocodecid\x00\x40\x1c\x00\x00\x00\x00\x00\x00\
        \x00\x0daudiodatarate\x00\x40\x5f\x40\x00\x00\x00\x00\x00\
        \x00\x0faudiosamplerate\x00\x40\xe7p\x00\x00\x00\x00\x00\x00\x0faudiosamplesize\x00\x400\x00\x00\x00\x00\x00\x00\
        \x00\x06stereo\x01\x01\x00\x0caudiocodecid\x00\x40\x24\x00\x00\x00\x00\x00\x00\
        \x00\x07encoder\x02\x00\x0dLavf59.27.100\x00\x08filesize\x00\x40\xeb\xf6\x80\x00\x00\x00\x00\x00\x00\x09";

    /// `onMetaData` with an object that has these encoded properties.
    fn object(properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = b"\x02\x00\x0aonMetaData\x03".to_vec();
        for (name, value) in properties {
            body.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(value);
        }
        body.extend_from_slice(&[0, 0, 9]);
        body
    }

    fn number(value: f64) -> Vec<u8> {
        [&[0][..], &value.to_be_bytes()].concat()
    }

    fn ffmpeg() -> Metadata {
        Metadata {
            frame_rate: Some(30.0),
            width: Some(1920),
            height: Some(1080),
            video_bitrate: None,
            audio_bitrate: Some(Bitrate::kilobits(125)),
            encoder: Some("Lavf59.27.100".into()),
            announces_audio: true,
            announces_video: true,
        }
    }

    #[test]
    fn what_ffmpeg_says_is_read() {
        assert_eq!(read_metadata(FFMPEG), Some(ffmpeg()));
    }

    #[test]
    fn rtmps_own_first_word_is_skipped() {
        let sent = [b"\x02\x00\x0d@setDataFrame", FFMPEG].concat();
        assert_eq!(read_metadata(&sent), Some(ffmpeg()));
    }

    #[test]
    fn other_script_data_says_nothing() {
        for body in
            [&b""[..], b"\x02\x00\x0aonCuePoint\x03\x00\x00\x09", b"\x00\x01", b"\x02\x00\x0aonMetaData\x05"]
        {
            assert_eq!(read_metadata(body).unwrap_or_default(), Metadata::default());
        }
    }

    #[test]
    fn nested_values_are_stepped_over_and_not_mistaken() {
        let nested: &[u8] = b"\x03\x00\x05width\x00\x40\x24\x00\x00\x00\x00\x00\x00\x00\x00\x09";
        let array: &[u8] = b"\x0a\x00\x00\x00\x02\x05\x01\x01";
        let ecma: &[u8] = b"\x08\x00\x00\x00\x00\x00\x00\x09";
        let date: &[u8] = b"\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        let typed: &[u8] = b"\x10\x00\x01c\x00\x00\x09";
        let width = number(640.0);
        let body =
            object(&[("a", nested), ("b", array), ("c", ecma), ("d", date), ("e", typed), ("width", &width)]);
        let expected = Metadata { width: Some(640), announces_video: true, ..Metadata::default() };
        assert_eq!(read_metadata(&body), Some(expected));
    }

    #[test]
    fn impossible_values_are_left_out() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            let value = number(value);
            let names = ["width", "height", "framerate", "videodatarate", "audiodatarate"];
            let properties: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &value[..])).collect();
            assert_eq!(read_metadata(&object(&properties)), Some(Metadata::default()));
        }
        assert_eq!(read_metadata(&object(&[("width", b"\x02\x00\x01x")])), Some(Metadata::default()));
        let (pixels, kilobits) = (number(0.3), number(0.0001));
        let rounded_away = object(&[("width", &pixels), ("height", &pixels), ("videodatarate", &kilobits)]);
        assert_eq!(read_metadata(&rounded_away), Some(Metadata::default()));
    }

    #[test]
    fn an_encoders_name_is_fit_to_print() {
        let name = format!("OBS\n\u{1b}[2J{}", "x".repeat(100));
        let length = u32::try_from(name.len()).unwrap().to_be_bytes();
        let value = [b"\x0c", &length[..], name.as_bytes()].concat();
        let metadata = read_metadata(&object(&[("encoder", &value)])).unwrap();
        let encoder = metadata.encoder.unwrap();
        assert!(encoder.starts_with("OBS[2Jxxx"), "{encoder}");
        assert_eq!(encoder.chars().count(), MAX_ENCODER_CHARS);
    }

    #[test]
    fn eighty_kilobytes_of_nesting_end_at_the_bound() {
        for nest in [
            &b"\x00\x01a\x03"[..],
            b"\x00\x01a\x0a\xff\xff\xff\xff\x0a\xff\xff\xff\xff",
            b"\x0a\xff\xff\xff\xff",
        ] {
            let body = [b"\x02\x00\x0aonMetaData\x03", nest.repeat(80_000 / nest.len()).as_slice()].concat();
            assert_eq!(read_metadata(&body).unwrap_or_default(), Metadata::default());
        }
    }

    #[test]
    fn a_cut_body_says_what_came_before() {
        for length in 0..FFMPEG.len() {
            let cut = read_metadata(&FFMPEG[..length]).unwrap_or_default();
            assert!(cut.width.is_none() || cut.width == Some(1920));
        }
        let until_the_end_marker = &FFMPEG[..FFMPEG.len() - 3];
        assert_eq!(read_metadata(until_the_end_marker), Some(ffmpeg()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_metadata(&body);
            let _ = read_metadata(&[b"\x02\x00\x0aonMetaData\x03", &body[..]].concat());
        }

        #[test]
        fn damaged_metadata_never_panics(at in 0..FFMPEG.len(), byte: u8) {
            let mut body = FFMPEG.to_vec();
            body[at] = byte;
            let _ = read_metadata(&body);
        }

        #[test]
        fn every_believable_number_comes_back(width in 1u32..=65_535, kilobits in 1u32..1_000_000, rate in 0.1f64..999.0) {
            let (w, k, r) = (number(width.into()), number(kilobits.into()), number(rate));
            let read = read_metadata(&object(&[("width", &w), ("videodatarate", &k), ("framerate", &r)])).unwrap_or_default();
            prop_assert_eq!(read.width, Some(width));
            prop_assert_eq!(read.video_bitrate, Some(Bitrate::kilobits(kilobits.into())));
            prop_assert_eq!(read.frame_rate, Some(rate));
        }
    }
}
