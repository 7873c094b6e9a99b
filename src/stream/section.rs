//! A section: a stretch of a take with one codec configuration. FFmpeg is started anew for each, and sections are put
//! out one after the other.

use std::time::Instant;

use bytes::Bytes;

use crate::media::access_unit::AccessUnit;
use crate::media::flv::{self, TagKind};
use crate::media::gop::SectionId;
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, TrackKind, VideoConfiguration};

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

/// A section of a stream. Its access units are in the GOP log.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its identity in the log.
    pub id: SectionId,
    /// What FFmpeg reads first.
    pub preamble: Preamble,
    /// The video track, as its configuration says.
    pub video: VideoConfiguration,
    /// The audio track, if one has shown.
    pub audio: Option<AudioConfiguration>,
    /// Pictures per second, as far as the source says it.
    pub frame_rate: Option<f64>,
    /// Presentation time of its first picture.
    pub position: Ticks,
    /// Where its last access unit ends, of any track: the last picture lasts as long as the sound. At the latest where the
    /// next section begins.
    pub source_end: Ticks,
    /// When its last audio access unit is heard.
    pub last_audio: Option<Ticks>,
    /// Since when it gets no more access units.
    pub closed: Option<Instant>,
}

/// Appends one FLV tag to `out`, as three pieces so that `payload` is not copied.
fn push_tag(out: &mut Vec<Bytes>, kind: TagKind, millis: u32, payload: &Bytes) {
    // RTMP's message length has 24 bits too, so every payload fits.
    let Ok(header) = flv::tag_header(kind, payload.len(), millis) else { return };
    out.push(Bytes::copy_from_slice(&header));
    out.push(payload.clone());
    out.push(Bytes::copy_from_slice(&flv::tag_trailer(payload.len())));
}

impl Section {
    /// The file header and the configuration tags, in the order in which FFmpeg's demuxer wants them.
    #[must_use]
    pub fn preamble(&self) -> Vec<Bytes> {
        let mut out = vec![Bytes::copy_from_slice(&flv::file_header(true, self.audio.is_some()))];
        let Preamble { metadata, video, audio } = &self.preamble;
        let audio = audio.as_ref().filter(|_| self.audio.is_some());
        for (kind, payload) in
            [(TagKind::Script, metadata.as_ref()), (TagKind::Video, video.as_ref()), (TagKind::Audio, audio)]
        {
            if let Some(payload) = payload {
                push_tag(&mut out, kind, 0, payload);
            }
        }
        out
    }

    /// An access unit as an FLV tag with its time relative to `base`; one before it is put at zero.
    #[must_use]
    pub fn tag(unit: &AccessUnit, base: Ticks) -> Vec<Bytes> {
        let millis = (unit.decode_time - base).as_millis().max(0);
        let kind = match unit.track {
            TrackKind::Video => TagKind::Video,
            TrackKind::Audio => TagKind::Audio,
        };
        let mut out = Vec::with_capacity(3);
        // An attempt lives far shorter than 2^32 ms: a section of 49 days would wrap as its sender's clock does.
        push_tag(&mut out, kind, u32::try_from(millis & 0xffff_ffff).unwrap_or(0), &unit.payload);
        out
    }
}
