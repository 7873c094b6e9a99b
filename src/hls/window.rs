//! The window: what was committed becomes segments, in memory, at the same positions and with the same media sequence
//! numbers in every output.

use std::sync::Arc;

use bytes::Bytes;

use super::audio_track::AudioTrack;
use super::boundaries::Boundaries;
use super::output::Output;
use super::video_track::{Refused, VideoTrack};
use super::view::View;
use crate::base::names::Name;
use crate::ffmpeg::ladder::Output as OutputId;
use crate::media::time::{TICKS_PER_SECOND, Ticks};
use crate::media::track::Tracks;
use crate::wire::message::{Fragment, OutputConfiguration, OutputInit};

/// How a stream is cut and how much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// A segment ends at the first fragment boundary after this long.
    pub segment_duration: Ticks,
    /// The target duration: no segment is listed as longer, and it never changes (RFC 8216bis §4.4.3.1).
    pub max_segment_duration: Ticks,
    /// Segments that a playlist lists, at least 1.
    pub window: usize,
    /// Media sequence number of the first segment; from the wall clock, so that it never goes back.
    pub first_sequence: u64,
}

impl WindowSettings {
    /// Segments that can be fetched. One that left the playlist must stay for its own duration and that of the longest
    /// playlist that listed it (RFC 8216bis §6.2.2).
    pub(super) fn kept(&self) -> usize {
        self.window.max(1).saturating_mul(2).saturating_add(2)
    }
}

/// A committed access unit of audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSample {
    /// When it is heard, on the stream's timeline in samples at the audio's sample rate.
    pub decode_time: i64,
    /// How many samples it holds: its duration.
    pub samples: u32,
    /// The coded frame.
    pub data: Bytes,
}

/// Makes the segments of one stream. Owned by the stream's task; players read [`Window::view`].
///
/// A boundary is decided once: the first cut between fragments at or after the last boundary and `segment_duration`,
/// by the rendition that gets there first. The others cut at the fragment nearest to it, the audio at the sample that
/// begins there. While no video comes the stream is cut by its audio: renditions that have begun get gaps, the others are
/// not shown; video that comes later begins at the newest segment.
#[derive(Debug)]
pub struct Window {
    settings: WindowSettings,
    boundaries: Boundaries,
    renditions: Vec<VideoTrack>,
    /// Joins when it is expected, which may be long after the stream began.
    audio: Option<AudioTrack>,
    /// What the committed media has now.
    tracks: Tracks,
    ended: bool,
    left_out: u64,
}

impl Window {
    /// An empty window for a stream with these renditions, in the ladder's order.
    #[must_use]
    pub fn new(settings: WindowSettings, renditions: Vec<Name>) -> Self {
        let video = |name| VideoTrack::new(Output::new(name, &settings));
        Self {
            settings,
            boundaries: Boundaries::new(
                settings.first_sequence,
                settings.segment_duration,
                settings.max_segment_duration,
            ),
            renditions: renditions.into_iter().map(video).collect(),
            audio: None,
            tracks: Tracks::Both,
            ended: false,
            left_out: 0,
        }
    }

    /// These tracks will come from now on: from the start, or from the newest segment on where the stream has begun without
    /// one of them.
    pub fn begin_section(&mut self, tracks: Tracks) {
        self.tracks = tracks;
        let (settings, boundaries) = (&self.settings, &self.boundaries);
        if tracks != Tracks::Video {
            self.audio.get_or_insert_with(|| AudioTrack::joining(settings, boundaries));
        }
        for rendition in &mut self.renditions {
            match tracks {
                Tracks::Audio => rendition.leave_out(),
                Tracks::Video | Tracks::Both => rendition.join(boundaries),
            }
        }
    }

    /// Takes an output's init segment. Equal bytes change nothing; other bytes bring a new `EXT-X-MAP` and a
    /// discontinuity before the output's next segment.
    pub fn handle_init(&mut self, init: OutputInit) {
        let result = match (init.output, &init.configuration) {
            (OutputId::Audio, OutputConfiguration::Audio(_)) => match &mut self.audio {
                Some(audio) => audio.handle_init(init, &mut self.boundaries),
                None => Err(Refused),
            },
            (OutputId::Rendition(index), OutputConfiguration::Video(_)) => {
                match self.renditions.get_mut(usize::from(index)) {
                    Some(rendition) => {
                        rendition.handle_init(init, &mut self.boundaries);
                        Ok(())
                    }
                    None => Err(Refused),
                }
            }
            (OutputId::Audio, OutputConfiguration::Video(_))
            | (OutputId::Rendition(_), OutputConfiguration::Audio(_)) => Err(Refused),
        };
        self.settle(result);
    }

    /// Takes a committed fragment that ends at `end`: where the rendition's next fragment begins.
    pub fn handle_fragment(&mut self, fragment: Fragment, end: Ticks) {
        let index = usize::from(fragment.rendition);
        let usable = self.renditions.get(index).is_some_and(|track| track.output.has_init());
        if self.ended || !usable || end <= fragment.position {
            return self.settle(Err(Refused));
        }
        self.begin(fragment.position);
        let result = match self.renditions.get_mut(index) {
            Some(rendition) => rendition.handle_fragment(fragment, end, &mut self.boundaries),
            None => Err(Refused),
        };
        self.settle(result);
    }

    /// Takes a committed access unit of audio, contiguous with the last one or after a hole.
    pub fn handle_audio(&mut self, sample: AudioSample) {
        let Some(audio) = self.audio.as_mut().filter(|_| !self.ended) else {
            return self.settle(Err(Refused));
        };
        let end_before = audio.end();
        let result = audio.handle_sample(sample, &self.boundaries);
        if self.is_cut_by_audio() && result.is_ok() {
            self.decide_by_audio(end_before);
        }
        self.settle(result);
    }

    fn is_cut_by_audio(&self) -> bool {
        self.renditions.is_empty() || self.tracks == Tracks::Audio
    }

    /// Without video the audio decides, at its own samples' ends.
    fn decide_by_audio(&mut self, end_before: Option<Ticks>) {
        let Some((start, end)) = self.audio.as_ref().and_then(AudioTrack::last_span) else { return };
        self.begin(start);
        if let Some(end_before) = end_before.filter(|&before| before < start) {
            self.boundaries.bridge(end_before, start);
        }
        self.boundaries.reach(end);
    }

    /// The source has no more audio up to `until`: what ends by then is closed with what is there.
    pub fn handle_silence(&mut self, until: Ticks) {
        if let Some(audio) = &mut self.audio {
            audio.fall_silent(until, &self.boundaries);
        }
        self.settle(Ok(()));
    }

    /// The stream ends: what is open is closed, and playlists end.
    pub fn finish(&mut self) {
        if self.ended {
            return;
        }
        let audio_end = self.audio.as_ref().and_then(AudioTrack::end);
        let end = self.renditions.iter().filter_map(|track| track.end).chain(audio_end).max();
        let has_rest = self.renditions.iter().any(VideoTrack::has_open)
            || self.audio.as_ref().is_some_and(AudioTrack::has_open);
        if let Some(end) = end.filter(|_| has_rest && self.boundaries.newest().is_some()) {
            self.boundaries.reach(end);
            self.boundaries.decide(end);
        }
        let present = self.renditions.iter_mut().filter(|track| track.is_present());
        present.for_each(|track| track.finish(&self.boundaries));
        self.audio.iter_mut().for_each(|track| track.finish(&self.boundaries));
        self.ended = true;
    }

    /// Committed access units of audio and fragments that could not be listed: they came after their segment had been
    /// closed without them, before their init segment, or over a bound.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What players may read now. Cheap: segments are shared.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        let second = TICKS_PER_SECOND.unsigned_abs();
        Arc::new(View {
            target_duration_seconds: self
                .settings
                .max_segment_duration
                .0
                .max(1)
                .unsigned_abs()
                .div_ceil(second),
            window: self.settings.window.max(1),
            ended: self.ended,
            renditions: self
                .renditions
                .iter()
                .filter(|track| track.is_shown())
                .map(VideoTrack::view)
                .collect(),
            audio: self.audio.as_ref().filter(|track| track.is_shown()).map(AudioTrack::view),
        })
    }

    /// How many segments have been closed, and whether the stream has ended: players see nothing new as long as this
    /// stays the same.
    #[must_use]
    pub fn progress(&self) -> (u64, bool) {
        let audio = self.audio.iter().map(|track| &track.output);
        let outputs = self.present().map(|track| &track.output).chain(audio);
        (outputs.map(|output| output.closed).sum(), self.ended)
    }

    /// The renditions that have segments, or will.
    fn present(&self) -> impl Iterator<Item = &VideoTrack> + Clone {
        self.renditions.iter().filter(|track| track.is_present())
    }

    /// The first boundary: every output begins at the first fragment's position.
    fn begin(&mut self, position: Ticks) {
        if self.boundaries.newest().is_some() {
            return;
        }
        self.boundaries.decide(position);
        self.renditions.iter_mut().for_each(|track| track.output.start = position);
        self.audio.iter_mut().for_each(|track| track.begin(position));
    }

    /// Lets every output follow the boundaries, and bounds how far one may stay behind.
    fn settle(&mut self, result: Result<(), Refused>) {
        self.left_out += u64::from(result.is_err());
        let kept = self.settings.kept();
        // Renditions that get nothing do not wait for it.
        let behind = if self.is_cut_by_audio() { 0 } else { kept };
        for track in self.renditions.iter_mut().filter(|track| track.is_present()) {
            track.advance(&self.boundaries);
            track.catch_up(behind, &self.boundaries);
        }
        if let Some(track) = &mut self.audio {
            track.advance(&self.boundaries);
            track.catch_up(kept, &self.boundaries);
        }
        let audio = self.audio.iter().map(|track| &track.output);
        let outputs = || self.present().map(|track| &track.output).chain(audio.clone());
        let sequence = outputs().map(|output| output.sequence).min().unwrap_or(0);
        let discontinuities = outputs().map(|output| output.discontinuities).min().unwrap_or(0);
        self.boundaries.forget_before(sequence, discontinuities);
    }
}

#[cfg(test)]
mod tests;
