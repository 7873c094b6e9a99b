//! One output's side of the window that video and audio have in common: which segment is open, which are closed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::boundaries::Boundaries;
use super::view::{InitSegment, OutputView, Segment};
use super::window::WindowSettings;
use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::media::time::{TICKS_PER_SECOND, Ticks};
use crate::wire::message::{OutputConfiguration, OutputInit};

/// The open segment's place and the closed segments. Segments tile the timeline: each begins where the one before it
/// ends, and its sequence number is the next one.
#[derive(Debug)]
pub(super) struct Output {
    name: Name,
    /// How many closed segments are kept; the oldest goes.
    kept: usize,
    /// Segments shorter than this say nothing about the peak bitrate.
    shortest_measured: Ticks,
    init: Option<Arc<InitSegment>>,
    configuration: Option<Arc<OutputConfiguration>>,
    /// How many segments have been closed.
    pub(super) closed: u64,
    /// Media sequence number of the open segment.
    pub(super) sequence: u64,
    /// Where the open segment begins; without meaning before the stream's first boundary.
    pub(super) start: Ticks,
    /// How many discontinuities the closed segments have had.
    pub(super) discontinuities: u64,
    segments: VecDeque<Arc<Segment>>,
    measured: Measured,
}

/// What has gone through the closed segments.
#[derive(Debug, Default)]
struct Measured {
    peak: u64,
    bytes: u64,
    duration: Ticks,
}

/// What [`Output::is_change`] says about an init segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitChange {
    /// The output's first.
    First,
    /// The same bytes again: another attempt, no change.
    Same,
    /// Other bytes.
    Changed,
}

impl Output {
    pub(super) fn new(name: Name, settings: &WindowSettings) -> Self {
        Self {
            name,
            kept: settings.kept(),
            shortest_measured: Ticks(settings.segment_duration.0 / 2),
            init: None,
            configuration: None,
            closed: 0,
            sequence: settings.first_sequence,
            start: Ticks::ZERO,
            discontinuities: 0,
            segments: VecDeque::new(),
            measured: Measured::default(),
        }
    }

    /// Begins at the stream's open segment, before anything of it was closed.
    pub(super) fn join(&mut self, sequence: u64, start: Ticks, discontinuities: u64) {
        (self.sequence, self.start, self.discontinuities) = (sequence, start, discontinuities);
    }

    pub(super) fn has_init(&self) -> bool {
        self.init.is_some()
    }

    pub(super) fn has_closed(&self) -> bool {
        !self.segments.is_empty()
    }

    pub(super) fn is_change(&self, init: &OutputInit) -> InitChange {
        match &self.init {
            None => InitChange::First,
            Some(known) if known.data == init.segment => InitChange::Same,
            Some(_) => InitChange::Changed,
        }
    }

    /// Takes an init segment for the open segment and those after it. A change is a discontinuity, unless nothing was
    /// closed with the old one (RFC 8216bis §4.4.4.3).
    pub(super) fn set_init(&mut self, init: OutputInit, boundaries: &mut Boundaries) {
        if self.is_change(&init) == InitChange::Changed && self.has_closed() {
            boundaries.break_at(self.discontinuities, self.sequence);
        }
        self.init = Some(Arc::new(InitSegment { number: self.sequence, data: init.segment }));
        self.configuration = Some(Arc::new(init.configuration));
    }

    /// Closes the open segment at `end` with `data`, and opens the next one there. It is listed to end within the target
    /// duration (RFC 8216bis §4.4.3.1); media that goes on longer keeps its own times.
    pub(super) fn close(&mut self, end: Ticks, data: Option<Bytes>, boundaries: &Boundaries) {
        let latest = self.start + boundaries.longest(self.sequence);
        let discontinuity = boundaries.is_discontinuous(self.discontinuities, self.sequence);
        let segment = Segment {
            sequence: self.sequence,
            start: self.start,
            end: end.min(latest).max(self.start),
            data,
            init: self.init.clone(),
            discontinuity,
            discontinuities_before: self.discontinuities,
        };
        self.measured.add(&segment, self.shortest_measured);
        self.closed += 1;
        self.sequence = self.sequence.saturating_add(1);
        self.start = segment.end;
        self.discontinuities += u64::from(discontinuity);
        self.segments.push_back(Arc::new(segment));
        if self.segments.len() > self.kept {
            self.segments.pop_front();
        }
    }

    pub(super) fn view(&self, frame_rate: Option<f64>) -> OutputView {
        OutputView {
            name: self.name.clone(),
            configuration: self.configuration.clone(),
            segments: self.segments.iter().cloned().collect(),
            peak: Bitrate(self.measured.peak),
            average: Bitrate(bits_per_second(self.measured.bytes, self.measured.duration)),
            frame_rate,
        }
    }
}

impl Measured {
    fn add(&mut self, segment: &Segment, shortest: Ticks) {
        let Some(data) = &segment.data else { return };
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        self.duration = self.duration + segment.duration();
        // A last segment of one picture would be a peak that no player ever has to sustain.
        if segment.duration() >= shortest || self.peak == 0 {
            self.peak = self.peak.max(bits_per_second(data.len() as u64, segment.duration()));
        }
    }
}

fn bits_per_second(bytes: u64, duration: Ticks) -> u64 {
    let ticks = u128::from(duration.0.max(1).unsigned_abs());
    let bits = u128::from(bytes) * 8 * u128::from(TICKS_PER_SECOND.unsigned_abs());
    u64::try_from(bits.div_ceil(ticks)).unwrap_or(u64::MAX)
}
