//! What a take makes of a media message: the shares of its tracks, configurations and access units, on the timeline.

use std::time::Instant;

use bytes::Bytes;

use super::selection::OtherTrack;
use super::{COMPOSITION_OFFSETS_MS, MAX_PREAMBLE_BYTES, Take, TakeError, TakeEvent, tolerate};
use crate::media::access_unit::AccessUnit;
use crate::media::audio;
use crate::media::flv::{self, AudioBody, Tag, TrackBody, Tracks, VideoBody};
use crate::media::time::Ticks;
use crate::media::track::{AudioCodec, AudioConfiguration, TrackKind, VideoCodec, VideoConfiguration};
use crate::media::video;

/// What came of one track, in one message.
#[derive(Clone, Copy, Debug)]
struct Arrival<'a> {
    /// The sender's number of the track.
    number: u8,
    /// A body of the track's own.
    body: &'a Bytes,
    /// The sender's clock.
    timestamp_ms: u32,
    now: Instant,
}

impl Take {
    /// Hands each track's share of a message to its reader. A track that is not followed is passed over.
    pub(super) fn handle_tracks(
        &mut self,
        kind: TrackKind,
        tag: &Tag,
        now: Instant,
    ) -> Result<(), TakeError> {
        let (timestamp_ms, payload) = (tag.timestamp_ms, &tag.payload);
        let shares = match tolerate(flv::tracks(tag.kind, payload))? {
            Some(Tracks::Plain) if self.selection.admits(kind, 0) => {
                return self.handle_body(kind, &Arrival { number: 0, body: payload, timestamp_ms, now });
            }
            Some(Tracks::Plain) => {
                let other = four_cc(kind, payload).map(|four_cc| OtherTrack { kind, number: 0, four_cc });
                other.into_iter().for_each(|other| self.selection.pass_over(other));
                return Ok(());
            }
            Some(Tracks::Split(shares)) => shares,
            None => {
                self.events.extend((kind == TrackKind::Video).then_some(TakeEvent::Undecodable));
                return Ok(());
            }
        };
        self.handle_shares(kind, shares, timestamp_ms, now)
    }

    /// The same for a message that several tracks share.
    pub(super) fn handle_shares(
        &mut self,
        kind: TrackKind,
        shares: Vec<TrackBody>,
        timestamp_ms: u32,
        now: Instant,
    ) -> Result<(), TakeError> {
        for TrackBody { number, four_cc, body } in shares {
            let other = OtherTrack { kind, number, four_cc };
            if !self.selection.admits(kind, number) {
                self.selection.pass_over(other);
                continue;
            }
            match self.handle_body(kind, &Arrival { number, body: &body, timestamp_ms, now }) {
                // Nothing is lost by a track beside the main one, which the encoder may send for somebody else.
                Err(_) if number != 0 && self.selection.followed(kind).is_none() => {
                    self.selection.pass_over(other);
                }
                read => read?,
            }
        }
        Ok(())
    }

    fn handle_body(&mut self, kind: TrackKind, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match kind {
            TrackKind::Video => self.handle_video(arrival),
            TrackKind::Audio => self.handle_audio(arrival),
        }
    }

    fn handle_video(&mut self, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match tolerate(flv::read_video(arrival.body))? {
            Some(VideoBody::Configuration { codec, record }) => {
                if self.preamble.video.as_ref() != Some(arrival.body) {
                    check_length(arrival.body)?;
                    let video = video::read_configuration(codec, record)?;
                    self.selection.follow(TrackKind::Video, arrival.number);
                    self.configure_video(video, arrival.body.clone());
                }
            }
            Some(VideoBody::AccessUnit { codec, composition_offset_ms, data, .. }) => {
                self.picture_shown = true;
                self.selection.follow(TrackKind::Video, arrival.number);
                let unit = self.read_picture(codec, composition_offset_ms, data, arrival);
                match unit {
                    Some(unit) => self.pass_video(unit, arrival.now),
                    None => self.events.push_back(TakeEvent::Undecodable),
                }
            }
            None => self.events.push_back(TakeEvent::Undecodable),
            Some(VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty) => {}
        }
        Ok(())
    }

    /// A picture on the timeline; `None` where its codec has no configuration, or its times make no sense.
    fn read_picture(
        &mut self,
        codec: VideoCodec,
        composition_offset_ms: i32,
        data: &[u8],
        arrival: &Arrival<'_>,
    ) -> Option<AccessUnit> {
        let video = self.video.as_ref().filter(|video| video.codec == codec)?;
        if !COMPOSITION_OFFSETS_MS.contains(&composition_offset_ms) {
            return None;
        }
        let random_access = video::random_access(video, data).begins_gop();
        // Some codecs say their size at random access points only, and may change it there.
        if let Some(refined) = random_access.then(|| video::refined(video, data)).flatten() {
            let known = video.width > 0;
            self.begin_what_is_held();
            self.video = Some(refined);
            if known {
                self.mark_stale(TrackKind::Video);
            }
        }
        let offset = Ticks::from_millis(i64::from(composition_offset_ms));
        let (decode_time, presentation_time) =
            self.clock.place_video(arrival.timestamp_ms, offset, random_access, arrival.now);
        let (track, payload) = (TrackKind::Video, arrival.body.clone());
        Some(AccessUnit { track, decode_time, presentation_time, random_access, payload })
    }

    /// What comes next is coded so; `record` is the body that said it.
    fn configure_video(&mut self, video: VideoConfiguration, record: Bytes) {
        self.begin_what_is_held();
        self.clock.begin_anew(TrackKind::Video);
        self.video = Some(video);
        self.preamble.video = Some(record);
        self.mark_stale(TrackKind::Video);
    }

    fn handle_audio(&mut self, arrival: &Arrival<'_>) -> Result<(), TakeError> {
        match tolerate(flv::read_audio(arrival.body))? {
            Some(AudioBody::Configuration { codec, record }) => {
                if self.preamble.audio.as_ref() != Some(arrival.body) {
                    check_length(arrival.body)?;
                    let audio = audio::read_configuration(codec, record)?;
                    self.selection.follow(TrackKind::Audio, arrival.number);
                    self.configure_audio(audio, Some(arrival.body.clone()));
                }
            }
            Some(AudioBody::AccessUnit { codec, data }) => {
                self.selection.follow(TrackKind::Audio, arrival.number);
                if let Some(unit) = self.read_sound(codec, data, arrival) {
                    self.pass_audio(unit, arrival.now);
                }
            }
            Some(AudioBody::Empty) | None => {}
        }
        Ok(())
    }

    /// An access unit of audio on the timeline; `None` where its codec has no configuration.
    fn read_sound(&mut self, codec: AudioCodec, data: &[u8], arrival: &Arrival<'_>) -> Option<AccessUnit> {
        // There is no configuration to wait for: each access unit tells, the first one and one that is different.
        if audio::describes_itself(codec)
            && let Some(said) = audio::read_access_unit(codec, data)
            && self.audio.as_ref() != Some(&said)
        {
            self.configure_audio(said, None);
        }
        // AAC cannot be taken before its configuration, nor after MP3 without a new one.
        let audio = self.audio.as_ref().filter(|audio| audio.codec == codec)?;
        let (samples, rate) = (audio::samples(audio, data), audio.sample_rate);
        let time = self.clock.place_audio(arrival.timestamp_ms, samples, rate, arrival.now);
        Some(AccessUnit {
            track: TrackKind::Audio,
            decode_time: time,
            presentation_time: time,
            random_access: false,
            payload: arrival.body.clone(),
        })
    }

    /// What comes next is coded so; `record` is the body that said it, where it is a configuration.
    fn configure_audio(&mut self, audio: AudioConfiguration, record: Option<Bytes>) {
        if self.audio.is_some() {
            self.begin_what_is_held();
        }
        self.clock.begin_anew(TrackKind::Audio);
        self.audio = Some(audio);
        self.preamble.audio = record;
        self.mark_stale(TrackKind::Audio);
    }
}

fn check_length(configuration: &[u8]) -> Result<(), TakeError> {
    let length = configuration.len();
    if length > MAX_PREAMBLE_BYTES { Err(TakeError::LongConfiguration(length)) } else { Ok(()) }
}

/// The codec of a body that has a track to itself, as Enhanced RTMP v2 writes it; `None` where nothing is coded in it.
pub(super) fn four_cc(kind: TrackKind, body: &[u8]) -> Option<[u8; 4]> {
    match kind {
        TrackKind::Video => match flv::read_video(body).ok()? {
            VideoBody::Configuration { codec, .. } | VideoBody::AccessUnit { codec, .. } => {
                Some(*match codec {
                    VideoCodec::H264 => b"avc1",
                    VideoCodec::Hevc => b"hvc1",
                    VideoCodec::Av1 => b"av01",
                    VideoCodec::Vp9 => b"vp09",
                })
            }
            VideoBody::EndOfSequence | VideoBody::Info | VideoBody::Empty => None,
        },
        TrackKind::Audio => match flv::read_audio(body).ok()? {
            AudioBody::Configuration { codec, .. } | AudioBody::AccessUnit { codec, .. } => {
                Some(*match codec {
                    AudioCodec::Aac => b"mp4a",
                    AudioCodec::Mp3 => b".mp3",
                    AudioCodec::Opus => b"Opus",
                    AudioCodec::Flac => b"fLaC",
                    AudioCodec::Ac3 => b"ac-3",
                    AudioCodec::Eac3 => b"ec-3",
                })
            }
            AudioBody::Empty => None,
        },
    }
}
