//! The audio's open segment: samples in, segments cut at the video's boundaries out.

use std::collections::VecDeque;

use bytes::Bytes;

use super::boundaries::Boundaries;
use super::output::{InitChange, Output};
use super::video_track::Refused;
use super::view::{AUDIO_NAME, OutputView};
use super::window::{AudioSample, WindowSettings};
use crate::base::names::Name;
use crate::media::fmp4::write;
use crate::media::time::Ticks;
use crate::media::track::TrackKind;
use crate::wire::message::{OutputConfiguration, OutputInit};

/// The most access units and bytes that may wait for the video to decide a boundary: about 3 minutes of AAC at 48 kHz.
/// When full, the oldest goes: the video it belonged to has not come, and new video will need new audio.
const MAX_PENDING_UNITS: usize = 8192;
const MAX_PENDING_BYTES: usize = 16 * 1024 * 1024;

/// How long before the first picture audio may begin.
const MAX_LEAD: Ticks = Ticks::from_millis(1_000);

/// The audio of a stream. A sample belongs to the segment in which it begins, so none is in two.
#[derive(Debug)]
pub(super) struct AudioTrack {
    pub(super) output: Output,
    sample_rate: u32,
    /// Committed samples from the open segment on; times ascend and do not overlap.
    pending: VecDeque<AudioSample>,
    pending_bytes: usize,
    /// Where the committed audio ends, in samples; `None` before the first sample of an init segment.
    end: Option<i64>,
    /// Whether it joined a stream that had begun without it.
    late: bool,
}

impl AudioTrack {
    /// The audio of a stream that has not begun, or that goes on at its newest segment.
    pub(super) fn joining(settings: &WindowSettings, boundaries: &Boundaries) -> Self {
        let name: Name = AUDIO_NAME.parse().expect("`audio` is in the alphabet of names");
        let mut output = Output::new(name, settings);
        let late = boundaries.open().is_some();
        if let Some((sequence, start, discontinuities)) = boundaries.open() {
            output.join(sequence, start, discontinuities);
        }
        Self { output, sample_rate: 0, pending: VecDeque::new(), pending_bytes: 0, end: None, late }
    }

    /// Whether players are told of it: one that joined late has nothing to fetch before its first segment.
    pub(super) fn is_shown(&self) -> bool {
        !self.late || self.output.has_closed()
    }

    /// Where the committed audio ends; `None` before the first sample.
    pub(super) fn end(&self) -> Option<Ticks> {
        self.end.map(|end| self.ticks(end))
    }

    /// Begin and end of the last sample taken.
    pub(super) fn last_span(&self) -> Option<(Ticks, Ticks)> {
        let last = self.pending.back()?;
        Some((self.ticks(last.decode_time), self.end()?))
    }

    /// Takes an init segment. Samples before and after a change cannot share a segment, so what is pending is closed.
    pub(super) fn handle_init(
        &mut self,
        init: OutputInit,
        boundaries: &mut Boundaries,
    ) -> Result<(), Refused> {
        let rate = match &init.configuration {
            OutputConfiguration::Audio(audio) if audio.sample_rate > 0 => audio.sample_rate,
            OutputConfiguration::Audio(_) | OutputConfiguration::Video(_) => return Err(Refused),
        };
        match self.output.is_change(&init) {
            InitChange::Same => return Ok(()),
            InitChange::First => {}
            InitChange::Changed => self.cut_off(boundaries),
        }
        self.output.set_init(init, boundaries);
        if rate != self.sample_rate {
            self.end = None;
        }
        self.sample_rate = rate;
        Ok(())
    }

    fn cut_off(&mut self, boundaries: &mut Boundaries) {
        let Some(end) = self.end().filter(|_| !self.pending.is_empty()) else { return };
        if boundaries.newest().is_none() {
            // The stream has not begun: what came before the first boundary is listed nowhere.
            return self.drop_before(Ticks(i64::MAX));
        }
        if boundaries.end_of(self.output.sequence).is_none() {
            boundaries.cut_at(end);
            self.advance(boundaries);
        }
        if !self.pending.is_empty() {
            self.close(self.pending.len(), end, boundaries);
        }
    }

    /// Takes a sample. What begins before the open segment comes too late.
    pub(super) fn handle_sample(
        &mut self,
        sample: AudioSample,
        boundaries: &Boundaries,
    ) -> Result<(), Refused> {
        self.lead_in(self.ticks(sample.decode_time), boundaries);
        let overlaps = self.end.is_some_and(|end| sample.decode_time < end);
        let late = boundaries.newest().is_some() && self.ticks(sample.decode_time) < self.output.start;
        let end = sample.decode_time.checked_add(i64::from(sample.samples));
        let Some(end) = end.filter(|_| self.output.has_init() && sample.samples > 0 && !overlaps && !late)
        else {
            return Err(Refused);
        };
        if sample.data.len() > MAX_PENDING_BYTES {
            return Err(Refused);
        }
        self.end = Some(end);
        self.pending_bytes += sample.data.len();
        self.pending.push_back(sample);
        if self.pending.len() > MAX_PENDING_UNITS || self.pending_bytes > MAX_PENDING_BYTES {
            self.drop_oldest();
            return Err(Refused);
        }
        Ok(())
    }

    /// The first sample may begin a little before the first picture, also when it comes after that. Where the stream had
    /// begun without it, it begins in the segment that it belongs to, which pictures may have closed already.
    fn lead_in(&mut self, first: Ticks, boundaries: &Boundaries) {
        if !self.pending.is_empty() || self.end.is_some() || self.output.has_closed() {
            return;
        }
        if self.late {
            if let Some((sequence, start, discontinuities)) = boundaries.segment_at(first) {
                self.output.join(sequence, start, discontinuities);
            }
        } else if boundaries.newest().is_some() && first + MAX_LEAD >= self.output.start {
            self.output.start = self.output.start.min(first);
        }
    }

    fn drop_oldest(&mut self) {
        while self.pending.len() > MAX_PENDING_UNITS || self.pending_bytes > MAX_PENDING_BYTES {
            let Some(oldest) = self.pending.pop_front() else { break };
            self.pending_bytes -= oldest.data.len();
        }
    }

    /// The stream's pictures begin at `position`. Sound that belongs to them may begin a little earlier; anything before
    /// that has no picture to be heard with.
    pub(super) fn begin(&mut self, position: Ticks) {
        self.drop_before(position - MAX_LEAD);
        let first = self.pending.front().map(|sample| self.ticks(sample.decode_time));
        self.output.start = first.map_or(position, |first| first.min(position));
    }

    fn drop_before(&mut self, position: Ticks) {
        let count = self.count_before(position);
        self.pending.drain(..count);
        self.pending_bytes = self.pending.iter().map(|sample| sample.data.len()).sum();
    }

    /// Closes the segments whose boundary the audio has reached.
    pub(super) fn advance(&mut self, boundaries: &Boundaries) {
        let reached = |track: &Self, boundary: Ticks| track.end().is_some_and(|end| end >= boundary);
        while let Some(boundary) = boundaries.end_of(self.output.sequence).filter(|&at| reached(self, at)) {
            let count = self.count_before(boundary);
            // Contiguous audio is cut where its last sample ends, a little after the boundary; a hole ends at it.
            let cut = count.checked_sub(1).map_or(boundary, |last| self.end_of(last).max(boundary));
            self.close(count, cut, boundaries);
        }
    }

    /// Closes the segments that end by `until` with what is there: no more will come.
    pub(super) fn fall_silent(&mut self, until: Ticks, boundaries: &Boundaries) {
        while let Some(boundary) =
            boundaries.end_of(self.output.sequence).filter(|&boundary| boundary <= until)
        {
            let count = self.count_before(boundary);
            self.close(count, boundary, boundaries);
        }
    }

    /// The bound on how far the audio may be behind: closes with what is there until at most `most` boundaries are ahead.
    pub(super) fn catch_up(&mut self, most: usize, boundaries: &Boundaries) {
        while boundaries.behind(self.output.sequence) > most {
            let Some(boundary) = boundaries.end_of(self.output.sequence) else { break };
            let count = self.count_before(boundary);
            self.close(count, boundary, boundaries);
        }
    }

    /// Whether the open segment has media.
    pub(super) fn has_open(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Closes what has media; the last segment ends where its audio does. An empty rest is no segment: players would wait
    /// for it for ever.
    pub(super) fn finish(&mut self, boundaries: &Boundaries) {
        self.catch_up(1, boundaries);
        // Sound without a picture, because the stream never began, is listed nowhere.
        if let Some(end) = self.end().filter(|_| self.has_open() && boundaries.newest().is_some()) {
            self.close(self.pending.len(), end, boundaries);
        }
    }

    fn count_before(&self, boundary: Ticks) -> usize {
        self.pending.partition_point(|sample| self.ticks(sample.decode_time) < boundary)
    }

    fn end_of(&self, index: usize) -> Ticks {
        let sample = &self.pending[index];
        self.ticks(sample.decode_time.saturating_add(i64::from(sample.samples)))
    }

    /// Both a sample's end and the next one's begin go through here, so that they are the same tick.
    fn ticks(&self, samples: i64) -> Ticks {
        Ticks::from_samples(samples, self.sample_rate)
    }

    fn close(&mut self, count: usize, end: Ticks, boundaries: &Boundaries) {
        let samples: Vec<AudioSample> = self.pending.drain(..count).collect();
        self.pending_bytes -= samples.iter().map(|sample| sample.data.len()).sum::<usize>();
        let data = cmaf_segment(self.output.sequence, &samples);
        self.output.close(end, data, boundaries);
    }

    pub(super) fn view(&self) -> OutputView {
        self.output.view(None)
    }
}

/// One `moof` and `mdat` (ISO/IEC 14496-12 §8.8.4) with `tfdt` in the audio's timescale; one more after each hole, so
/// that every sample keeps its own time. `None` if there are no samples.
fn cmaf_segment(sequence: u64, samples: &[AudioSample]) -> Option<Bytes> {
    let contiguous = |a: &AudioSample, b: &AudioSample| {
        a.decode_time.checked_add(i64::from(a.samples)) == Some(b.decode_time)
    };
    let runs = samples.chunk_by(contiguous).map(|run| fragment_of(sequence, run));
    // Writing fails for 4 GiB only, far over the bound on what is pending; such a segment would be a gap.
    let mut runs = runs.collect::<Result<Vec<Bytes>, _>>().ok()?;
    if runs.len() <= 1 {
        return runs.pop();
    }
    Some(runs.concat().into())
}

fn fragment_of(sequence: u64, run: &[AudioSample]) -> Result<Bytes, write::Error> {
    let samples: Vec<write::Sample> = run
        .iter()
        .map(|sample| write::Sample {
            duration: sample.samples,
            composition_offset: 0,
            random_access: true,
            data: sample.data.clone(),
        })
        .collect();
    let base = run.first().map_or(0, |first| first.decode_time);
    // `mfhd` counts in 32 bits (§8.8.5); media sequence numbers from the wall clock fit until 2242.
    write::fragment(TrackKind::Audio, u32::try_from(sequence).unwrap_or(u32::MAX), base, &samples)
}
