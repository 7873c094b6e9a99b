//! A section: a stretch of a take with one codec configuration. FFmpeg is started anew for each, and sections are put
//! out one after the other.

use std::time::Instant;

use bytes::Bytes;

use crate::ffmpeg::capability::Carriage;
use crate::media::access_unit::AccessUnit;
use crate::media::flv::{self, TagKind, VideoBody};
use crate::media::gop::SectionId;
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, TrackKind, Tracks, VideoConfiguration};
use crate::media::video;
use crate::wire::message::Media;

/// What FFmpeg must read before any media: kept beside the GOP log and sent first on every attach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    /// Body of the `onMetaData` tag.
    pub metadata: Option<Bytes>,
    /// Body of the tag with the video decoder configuration.
    pub video: Option<Bytes>,
    /// Body of the tag with the audio decoder configuration; MP3 has none.
    pub audio: Option<Bytes>,
}

/// Whether audio is known to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioAhead {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It goes on with another configuration, so in the next section: it has not fallen silent.
    InNextSection,
}

/// A section of a stream. Its access units are in the GOP log.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its identity in the log.
    pub id: SectionId,
    /// What FFmpeg reads first.
    pub preamble: Preamble,
    /// The video track, as its configuration says, unless only audio comes.
    pub video: Option<VideoConfiguration>,
    /// The audio track, if one has shown.
    pub audio: Option<AudioConfiguration>,
    /// What a node's FFmpeg must read from FLV.
    pub reads: Vec<Carriage>,
    /// Pictures per second, as far as the source says it.
    pub frame_rate: Option<f64>,
    /// Presentation time of its first picture; without video, of its first audio.
    pub position: Ticks,
    /// Where its last access unit ends, of any track: the last picture lasts as long as the sound. At the latest where the
    /// next section begins.
    pub source_end: Ticks,
    /// When its last audio access unit is heard.
    pub last_audio: Option<Ticks>,
    /// What the source's audio is doing that has not come yet.
    pub audio_ahead: AudioAhead,
    /// Since when it gets no more access units.
    pub closed: Option<Instant>,
}

impl Section {
    /// The tracks that are put out.
    #[must_use]
    pub fn tracks(&self) -> Tracks {
        match (&self.video, &self.audio) {
            (None, _) => Tracks::Audio,
            (Some(_), None) => Tracks::Video,
            (Some(_), Some(_)) => Tracks::Both,
        }
    }

    /// The file header and the configuration tags, in the order in which FFmpeg's demuxer wants them.
    #[must_use]
    pub fn preamble(&self) -> Vec<Media> {
        let header = flv::file_header(self.video.is_some(), self.audio.is_some());
        let mut out = vec![Media::Bytes(Bytes::copy_from_slice(&header))];
        let Preamble { metadata, video, audio } = &self.preamble;
        let video = video.as_ref().filter(|_| self.video.is_some());
        let audio = audio.as_ref().filter(|_| self.audio.is_some());
        for (kind, payload) in
            [(TagKind::Script, metadata.as_ref()), (TagKind::Video, video), (TagKind::Audio, audio)]
        {
            // RTMP's message length has 24 bits as FLV's has, so every payload fits.
            out.extend(payload.and_then(|payload| Media::tag(kind, 0, payload.clone()).ok()));
        }
        out
    }

    /// An access unit as it goes to an attempt that has read a GOP before it: there the start of an intra refresh is whole.
    #[must_use]
    pub fn warm(&self, unit: &AccessUnit) -> AccessUnit {
        let mut unit = unit.clone();
        let is_start = unit.track == TrackKind::Video && unit.random_access;
        if is_start && let Ok(VideoBody::AccessUnit { data, .. }) = flv::read_video(&unit.payload) {
            let head = unit.payload.len() - data.len();
            if let Some(marked) = self.video.as_ref().and_then(|video| video::marked(video, data)) {
                unit.payload = [&unit.payload[..head], &marked].concat().into();
            }
        }
        unit
    }

    /// An access unit as an FLV tag with its time relative to `base`, to the nearest millisecond; one before it is put at zero. `None` for one that is
    /// too long for a tag, which none is that came in one.
    #[must_use]
    pub fn tag(unit: &AccessUnit, base: Ticks) -> Option<Media> {
        let millis = (unit.decode_time - base).as_nearest_millis().max(0);
        let kind = match unit.track {
            TrackKind::Video => TagKind::Video,
            TrackKind::Audio => TagKind::Audio,
        };
        // An attempt lives far shorter than 2^32 ms: a section of 49 days would wrap as its sender's clock does.
        let millis = u32::try_from(millis & 0xffff_ffff).unwrap_or(0);
        Media::tag(kind, millis, unit.payload.clone()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::example::{at, section, unit};

    /// Expects the bytes of all together.
    #[track_caller]
    fn check(media: &[Media], expected: &[&[u8]]) {
        let bytes: Vec<Bytes> = media.iter().cloned().map(Media::into_bytes).collect();
        assert_eq!(bytes.concat(), expected.concat());
    }

    fn tag(unit: &AccessUnit, base: Ticks) -> Media {
        Section::tag(unit, base).expect("a short payload")
    }

    fn small(audio: bool) -> Section {
        let mut section = section(1, 0);
        let body = |text: &'static [u8]| Some(Bytes::from_static(text));
        section.preamble = Preamble { metadata: body(b"meta"), video: body(b"v"), audio: body(b"aa") };
        section.audio = section.audio.filter(|_| audio);
        section
    }

    const META: &[u8] = b"\x12\0\0\x04\0\0\0\0\0\0\0meta\0\0\0\x0f";
    const VIDEO: &[u8] = b"\x09\0\0\x01\0\0\0\0\0\0\0v\0\0\0\x0c";
    const AUDIO: &[u8] = b"\x08\0\0\x02\0\0\0\0\0\0\0aa\0\0\0\x0d";

    #[test]
    fn a_preamble_is_the_file_header_and_each_configuration_at_time_zero() {
        check(&small(true).preamble(), &[b"FLV\x01\x05\0\0\0\x09\0\0\0\0", META, VIDEO, AUDIO]);
    }

    #[test]
    fn a_track_that_has_not_shown_is_not_announced() {
        check(&small(false).preamble(), &[b"FLV\x01\x01\0\0\0\x09\0\0\0\0", META, VIDEO]);
    }

    #[test]
    fn audio_alone_announces_no_video() {
        let section = Section { video: None, ..small(true) };
        check(&section.preamble(), &[b"FLV\x01\x04\0\0\0\x09\0\0\0\0", META, AUDIO]);
    }

    #[test]
    fn its_tracks_are_those_that_have_shown() {
        assert_eq!(small(true).tracks(), Tracks::Both);
        assert_eq!(small(false).tracks(), Tracks::Video);
        assert_eq!(Section { video: None, ..small(true) }.tracks(), Tracks::Audio);
    }

    #[test]
    fn mp3_and_a_sender_without_metadata_have_fewer_tags() {
        let mut section = small(true);
        section.preamble = Preamble { metadata: None, audio: None, ..section.preamble };
        check(&section.preamble(), &[b"FLV\x01\x05\0\0\0\x09\0\0\0\0", VIDEO]);
    }

    #[test]
    fn an_access_unit_keeps_its_payload_and_gets_the_time_after_the_base() {
        let picture = unit(TrackKind::Video, 0x0123_4567, true);
        let media = tag(&picture, Ticks::ZERO);
        check(
            std::slice::from_ref(&media),
            &[b"\x09\0\0\x07\x23\x45\x67\x01\0\0\0", b"payload", b"\0\0\0\x12"],
        );
        let Media::Tag { payload, .. } = media else { panic!("no tag") };
        assert_eq!(payload.as_ptr(), picture.payload.as_ptr(), "not copied");
        let sound = tag(&unit(TrackKind::Audio, 1_050, false), at(1_000));
        check(&[sound], &[b"\x08\0\0\x07\0\0\x32\0\0\0\0", b"payload", b"\0\0\0\x12"]);
    }

    #[test]
    fn only_the_start_of_a_refresh_goes_otherwise_than_it_came() {
        let section = small(true);
        let body = |nals: &[u8]| Bytes::from([&b"\x17\x01\0\0\0"[..], nals].concat());
        let picture = |track, random_access, payload| AccessUnit { payload, ..unit(track, 0, random_access) };
        let refresh = body(b"\0\0\0\x06\x06\x06\x02\x2c\x40\x80\0\0\0\x02\x41\x9a");
        let warm = |unit: &AccessUnit| section.warm(unit).payload;
        let start = picture(TrackKind::Video, true, refresh.clone());
        let marked = warm(&start);
        assert!(marked.starts_with(&refresh[..15]) && marked.ends_with(&refresh[15..]));
        assert!(marked.windows(16).any(|bytes| bytes == b"headgate-refresh"));
        assert_eq!(
            AccessUnit { payload: refresh.clone(), ..section.warm(&start) },
            start,
            "nothing but bytes"
        );
        for same in [
            picture(TrackKind::Video, true, body(b"\0\0\0\x02\x65\x88")),
            picture(TrackKind::Video, false, refresh.clone()),
            picture(TrackKind::Audio, true, refresh),
            picture(TrackKind::Video, true, Bytes::new()),
        ] {
            assert_eq!(warm(&same).as_ptr(), same.payload.as_ptr(), "not copied");
        }
    }

    #[test]
    fn a_time_before_the_base_is_zero_and_one_of_33_bits_wraps() {
        let time =
            |millis, base| tag(&unit(TrackKind::Video, millis, true), at(base)).into_bytes()[4..8].to_vec();
        assert_eq!(time(999, 1_000), [0, 0, 0, 0]);
        assert_eq!(time((1 << 32) - 1, 0), [0xff, 0xff, 0xff, 0xff]);
        assert_eq!(time((1 << 32) + 5, 0), [0, 0, 5, 0]);
        let sound = |ticks| {
            let unit = AccessUnit { decode_time: Ticks(ticks), ..unit(TrackKind::Audio, 0, true) };
            tag(&unit, Ticks::ZERO).into_bytes()[6]
        };
        assert_eq!([44, 45, 134, 135].map(sound), [0, 1, 1, 2], "the nearest");
    }
}
