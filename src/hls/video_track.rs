//! A rendition's open segment: fragments in, closed segments at the stream's boundaries out.

use bytes::{Bytes, BytesMut};

use super::boundaries::{Boundaries, CUT_TOLERANCE};
use super::output::{InitChange, Output};
use super::view::OutputView;
use crate::media::time::Ticks;
use crate::wire::message::{Fragment, OutputInit};

/// How far a fragment may begin before the end of the one before it: rounding between attempts, not an overlap.
const CONTINUITY_TOLERANCE: Ticks = Ticks::from_millis(5);

/// The most bytes that one open segment may hold: 100 Mbit/s for a target duration of 10 s.
const MAX_OPEN_BYTES: usize = 128 * 1024 * 1024;

/// A rendition. Each fragment is in exactly one segment, whole; where a fragment covers several of the stream's
/// boundaries, the segments after the first have no media of their own and are gaps.
#[derive(Debug)]
pub(super) struct VideoTrack {
    pub(super) output: Output,
    /// Fragments of the open segment.
    fragments: Vec<Bytes>,
    open_bytes: usize,
    /// Where the committed media ends; `None` before the first fragment.
    pub(super) end: Option<Ticks>,
    /// Access units taken, and how long they last together.
    access_units: u64,
    shown: Ticks,
    presence: Presence,
}

/// Whether a rendition takes part in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// From its beginning on.
    FromStart,
    /// Not yet: the stream has no video so far.
    LeftOut,
    /// Since a later segment; players are told of it once it has one.
    Late,
}

/// A committed fragment that the window cannot take; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl VideoTrack {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            fragments: Vec::new(),
            open_bytes: 0,
            end: None,
            access_units: 0,
            shown: Ticks::ZERO,
            presence: Presence::FromStart,
        }
    }

    /// No video comes. A rendition that has begun goes on, with gaps.
    pub(super) fn leave_out(&mut self) {
        if self.end.is_none() && !self.output.has_closed() {
            self.presence = Presence::LeftOut;
        }
    }

    /// Video comes: one that was left out goes on at the stream's newest segment.
    pub(super) fn join(&mut self, boundaries: &Boundaries) {
        if self.presence != Presence::LeftOut {
            return;
        }
        self.presence = Presence::FromStart;
        if let Some((sequence, start, discontinuities)) = boundaries.open() {
            self.output.join(sequence, start, discontinuities);
            self.presence = Presence::Late;
        }
    }

    /// Whether it takes part.
    pub(super) fn is_present(&self) -> bool {
        self.presence != Presence::LeftOut
    }

    /// Whether players are told of it.
    pub(super) fn is_shown(&self) -> bool {
        match self.presence {
            Presence::FromStart => true,
            Presence::LeftOut => false,
            Presence::Late => self.output.has_closed(),
        }
    }

    /// Takes an init segment. Fragments before and after a change cannot share a segment, so what is open is closed
    /// where it ends: at the next boundary's number if that is decided, or by deciding one there.
    pub(super) fn handle_init(&mut self, init: OutputInit, boundaries: &mut Boundaries) {
        match self.output.is_change(&init) {
            InitChange::Same => return,
            InitChange::First => {}
            InitChange::Changed => self.cut_off(boundaries),
        }
        self.output.set_init(init, boundaries);
    }

    fn cut_off(&mut self, boundaries: &mut Boundaries) {
        let Some(end) = self.end.filter(|_| !self.fragments.is_empty()) else { return };
        if boundaries.end_of(self.output.sequence).is_none() {
            boundaries.cut_at(end);
            self.advance(boundaries);
        }
        if !self.fragments.is_empty() {
            self.close(end, boundaries);
        }
    }

    /// Takes a fragment that ends at `end`, and decides boundaries where it is the first to get there.
    pub(super) fn handle_fragment(
        &mut self,
        fragment: Fragment,
        end: Ticks,
        boundaries: &mut Boundaries,
    ) -> Result<(), Refused> {
        let position = self.place(fragment.position, end)?;
        if self.open_bytes.saturating_add(fragment.data.len()) > MAX_OPEN_BYTES {
            return Err(Refused);
        }
        if let Some(own_end) = self.end.filter(|&own_end| position > own_end) {
            boundaries.bridge(own_end, position);
        }
        self.cut_before(position, end, boundaries);
        self.access_units = self.access_units.saturating_add(u64::from(fragment.access_units));
        self.shown = self.shown + (end - position);
        self.open_bytes += fragment.data.len();
        self.fragments.push(fragment.data);
        self.end = Some(end);
        boundaries.reach(end);
        self.advance(boundaries);
        Ok(())
    }

    /// Where the fragment begins as far as segments are concerned: never before the media that is there.
    fn place(&mut self, position: Ticks, end: Ticks) -> Result<Ticks, Refused> {
        let own_end = self.end.unwrap_or(Ticks(i64::MIN));
        let start = self.output.start;
        if !self.output.has_init() || position + CONTINUITY_TOLERANCE < own_end {
            return Err(Refused);
        }
        // The first fragment of a rendition says itself where that begins, if it is about where the stream does.
        let begins = self.end.is_none() && !self.output.has_closed() && position <= start + CUT_TOLERANCE;
        let placed = if begins { position } else { position.max(own_end).max(start) };
        if end <= placed.max(start) {
            return Err(Refused);
        }
        if begins {
            self.output.start = placed;
        }
        Ok(placed)
    }

    /// Closes the segments that end before a fragment `position..end`: those whose boundary is nearer to its begin than
    /// to its end. A segment that would be empty takes a fragment that begins in it.
    fn cut_before(&mut self, position: Ticks, end: Ticks, boundaries: &Boundaries) {
        while let Some(boundary) = boundaries.end_of(self.output.sequence) {
            let nearer_to_begin = !self.fragments.is_empty() && boundary - position < end - boundary;
            if position + CUT_TOLERANCE < boundary && !nearer_to_begin {
                break;
            }
            let cut = boundary.min(position);
            self.close(if cut > self.output.start { cut } else { boundary }, boundaries);
        }
    }

    /// Closes the segments whose boundary the media has reached.
    pub(super) fn advance(&mut self, boundaries: &Boundaries) {
        let Some(end) = self.end else { return };
        let reached = |boundary: Option<Ticks>| boundary.filter(|&at| at <= end + CUT_TOLERANCE);
        while let Some(boundary) = reached(boundaries.end_of(self.output.sequence)) {
            let covers_next = reached(boundaries.end_of(self.output.sequence + 1)).is_some();
            let cut = if self.fragments.is_empty() || covers_next { boundary } else { end };
            self.close(cut, boundaries);
        }
    }

    /// Closes with what is there until at most `most` boundaries are ahead.
    pub(super) fn catch_up(&mut self, most: usize, boundaries: &Boundaries) {
        while boundaries.behind(self.output.sequence) > most {
            let Some(boundary) = boundaries.end_of(self.output.sequence) else { break };
            self.close(boundary, boundaries);
        }
    }

    /// Whether the open segment has media.
    pub(super) fn has_open(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// Closes what has media; the last segment ends where its media does. An empty rest is no segment: players would wait
    /// for it for ever.
    pub(super) fn finish(&mut self, boundaries: &Boundaries) {
        self.catch_up(1, boundaries);
        if let Some(end) = self.end.filter(|_| self.has_open()) {
            self.close(end, boundaries);
        }
    }

    fn close(&mut self, end: Ticks, boundaries: &Boundaries) {
        let data = join(std::mem::take(&mut self.fragments), self.open_bytes);
        self.open_bytes = 0;
        self.output.close(end, data, boundaries);
    }

    pub(super) fn view(&self) -> OutputView {
        self.output.view(self.frame_rate())
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 pictures are never shown")]
    fn frame_rate(&self) -> Option<f64> {
        (self.shown > Ticks::ZERO).then(|| self.access_units as f64 / self.shown.as_seconds())
    }
}

/// One run of bytes, as range requests need it; a single fragment, the usual case, is shared and not copied.
fn join(mut fragments: Vec<Bytes>, bytes: usize) -> Option<Bytes> {
    if fragments.len() <= 1 {
        return fragments.pop();
    }
    let mut joined = BytesMut::with_capacity(bytes);
    fragments.iter().for_each(|fragment| joined.extend_from_slice(fragment));
    Some(joined.freeze())
}
