//! Whether a tenant's publishers together send more than they may, for longer than they may, and which one has to go. No
//! clock: `now` is an argument.
//!
//! Each publisher reports about twice a second; what has come since the last report of any of them is taken as come
//! evenly, and goes into the bucket of [`super::bitrate`]. When the tenant has exceeded its bitrate, the publisher that came
//! last of those that send is to end: it made the sum too large, and the others were there before. It learns that with its
//! own next report. The time of grace begins anew then.
//!
//! Bounds: a member for each connection that publishes. Who does not report any more is ended by nobody, and is not among
//! those that send.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bitrate::{self, BitrateMeter};
use crate::base::units::Bitrate;
use crate::stream::PublisherId;

/// Who has not reported for this long does not send.
const SENDING: Duration = Duration::from_secs(2);
/// What came between two reports is counted in pieces of about this long, far shorter than the burst that is allowed ...
const PIECE: Duration = Duration::from_millis(100);
/// ... and in so many at the most.
const MOST_PIECES: u32 = 20;

/// A publisher of the tenant.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// The higher, the later it came.
    order: u64,
    heard: Instant,
}

/// One tenant's counter.
#[derive(Debug)]
pub struct TenantBitrate {
    allowed: Bitrate,
    grace: Duration,
    meter: BitrateMeter,
    /// Bytes of the tenant that have been counted, and when.
    counted: (u64, Instant),
    members: BTreeMap<PublisherId, Member>,
    entered: u64,
    /// Who has to end, and why.
    ending: Option<(PublisherId, bitrate::Exceeded)>,
}

impl TenantBitrate {
    /// Nobody is there. `None` allows anything.
    #[must_use]
    pub fn new(allowed: Option<Bitrate>, grace: Duration, now: Instant) -> Self {
        let allowed = allowed.unwrap_or(Bitrate(u64::MAX));
        Self {
            allowed,
            grace,
            meter: BitrateMeter::new(allowed, grace, now),
            counted: (0, now),
            members: BTreeMap::new(),
            entered: 0,
            ending: None,
        }
    }

    /// A publisher begins to send.
    pub fn enter(&mut self, publisher: PublisherId, now: Instant) {
        self.entered += 1;
        self.members.insert(publisher, Member { order: self.entered, heard: now });
    }

    /// A publisher is gone.
    pub fn leave(&mut self, publisher: PublisherId) {
        self.members.remove(&publisher);
        self.ending = self.ending.take().filter(|(ending, _)| *ending != publisher);
    }

    /// A publisher still sends; all of the tenant's have sent `bytes` until now, since the start.
    ///
    /// # Errors
    /// This publisher has to end.
    pub fn handle_report(
        &mut self,
        publisher: PublisherId,
        bytes: u64,
        now: Instant,
    ) -> Result<(), bitrate::Exceeded> {
        if let Some(member) = self.members.get_mut(&publisher) {
            member.heard = now;
        }
        if let Err(exceeded) = self.count(bytes, now) {
            self.meter = BitrateMeter::new(self.allowed, self.grace, now);
            self.ending = self.newest(now).map(|newest| (newest, exceeded));
        }
        match self.ending.take_if(|(ending, _)| *ending == publisher) {
            Some((_, exceeded)) => Err(exceeded),
            None => Ok(()),
        }
    }

    /// Bits per second that came lately.
    #[must_use]
    pub fn bitrate(&self, now: Instant) -> u64 {
        let sending = now.saturating_duration_since(self.counted.1) < SENDING;
        if sending && !self.members.is_empty() { self.meter.bitrate() } else { 0 }
    }

    fn newest(&self, now: Instant) -> Option<PublisherId> {
        let sends = |member: &Member| now.saturating_duration_since(member.heard) < SENDING;
        let sending = self.members.iter().filter(|(_, member)| sends(member));
        sending.max_by_key(|(_, member)| member.order).map(|(&publisher, _)| publisher)
    }

    /// Counts what has come since the last report, as if it had come evenly.
    fn count(&mut self, bytes: u64, now: Instant) -> Result<(), bitrate::Exceeded> {
        let (before, at) = self.counted;
        let elapsed = now.saturating_duration_since(at);
        self.counted = (bytes.max(before), at.max(now));
        let came = bytes.saturating_sub(before);
        let pieces = u32::try_from(elapsed.as_millis() / PIECE.as_millis()).unwrap_or(u32::MAX);
        let pieces = pieces.clamp(1, MOST_PIECES);
        (1..=pieces).try_for_each(|piece| {
            let (count, piece) = (u64::from(pieces), u64::from(piece));
            // By shares of the sum, so that nothing is lost to rounding.
            let share = |piece: u64| u128::from(came) * u128::from(piece) / u128::from(count);
            let bytes = usize::try_from(share(piece) - share(piece - 1)).unwrap_or(usize::MAX);
            self.meter.count(bytes, at + elapsed.mul_f64(as_part(piece, count)))
        })
    }
}

/// Both are at most [`MOST_PIECES`].
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn as_part(piece: u64, count: u64) -> f64 {
    piece as f64 / count as f64
}

#[cfg(test)]
mod tests;
