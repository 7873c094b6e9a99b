//! The standing of each encoder on each device: which are to be proved, and when. Decides only.
//!
//! * What was never proved is tried at once, and after a failure every [`LONGEST_WAIT`]: somebody may mend it.
//! * What worked and fails under an attempt for a reason of its own is taken off at once, and proved again after
//!   [`FIRST_WAIT`], then twice as long, up to [`LONGEST_WAIT`]. A GPU without a free session is asked every [`FIRST_WAIT`]:
//!   sessions end.
//! * A failure that may as well be the stream's (an encoder refuses some sizes) has it proved, at most every [`FIRST_WAIT`], and only a failed proof takes it
//!   off: a publisher must not be able to take encoders off a fleet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Failure;
use crate::ffmpeg::diagnosis::{self, EncoderFault};
use crate::ffmpeg::encoder::{Device, Encoder, Usable};
use crate::placement::load::{MAX_DETAIL_BYTES, printable};
use crate::wire::report::{EncoderOn, UnusableEncoder};

/// The first wait before what has failed is proved again.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// An encoder and the devices on which it may prove itself; one will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Which encoder.
    pub(super) encoder: Encoder,
    /// Where it may work, in the order in which that is tried; none at all is a failure.
    pub(super) devices: Vec<Device>,
}

/// All candidates.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: BTreeMap<EncoderOn, Entry>,
}

/// How one encoder on one device stands.
#[derive(Debug)]
struct Entry {
    candidate: Candidate,
    /// How it works; `None` as long as it does not.
    usable: Option<Usable>,
    /// Why it does not.
    detail: String,
    /// When it is to be proved.
    due: Option<Instant>,
    /// Whether it is being proved.
    proving: bool,
    /// How long the next wait is.
    wait: Duration,
    /// Since when it has worked, or had when it was taken off.
    proved: Option<Instant>,
    /// When the last proof ended.
    tried: Option<Instant>,
}

impl Entry {
    /// Never tried, and due at once.
    fn new(candidate: Candidate, now: Instant) -> Self {
        Self {
            candidate,
            usable: None,
            detail: "it was not tried yet".to_owned(),
            due: Some(now),
            proving: false,
            wait: LONGEST_WAIT,
            proved: None,
            tried: None,
        }
    }

    /// Takes it off, to be tried again after a wait that doubles as long as it does not hold out.
    fn take_off(&mut self, detail: String, now: Instant) {
        if self.usable.take().is_some() {
            let held_out =
                self.proved.is_some_and(|since| now.saturating_duration_since(since) > LONGEST_WAIT);
            if held_out || self.wait == LONGEST_WAIT {
                self.wait = FIRST_WAIT;
            }
        }
        let wait = if diagnosis::is_session_limit(&detail) { FIRST_WAIT } else { self.wait };
        self.due = Some(now + wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.detail = detail;
    }
}

impl Roster {
    /// What there is to be proved now. What was there before keeps its standing, what is new is due, what is gone is forgotten.
    pub(super) fn set_candidates(&mut self, candidates: BTreeMap<EncoderOn, Candidate>, now: Instant) {
        let mut before = std::mem::take(&mut self.entries);
        for (on, candidate) in candidates {
            let known = before.remove(&on).filter(|entry| entry.candidate == candidate);
            self.entries.insert(on, known.unwrap_or_else(|| Entry::new(candidate, now)));
        }
    }

    /// Makes everything due.
    pub(super) fn prove_all(&mut self, now: Instant) {
        self.entries.values_mut().for_each(|entry| entry.due = Some(now));
    }

    /// The next that is due. It is under way from then on.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(EncoderOn, Candidate)> {
        let is_due = |entry: &Entry| !entry.proving && entry.due.is_some_and(|due| due <= now);
        let (on, entry) = self.entries.iter_mut().find(|(_, entry)| is_due(entry))?;
        (entry.proving, entry.due) = (true, None);
        Some((on.clone(), entry.candidate.clone()))
    }

    /// When the next is due that is not under way.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.entries.values().filter(|entry| !entry.proving).filter_map(|entry| entry.due).min()
    }

    /// How a proof ended. One of what is gone since then counts for nothing.
    pub(super) fn handle_proof(&mut self, on: &EncoderOn, result: Result<Usable, String>, now: Instant) {
        let Some(entry) = self.entries.get_mut(on) else { return };
        (entry.proving, entry.tried) = (false, Some(now));
        match result {
            Ok(usable) => {
                if entry.usable.is_none() {
                    tracing::info!(encoder = on.encoder, gpu = on.gpu, "an encoder works");
                    entry.proved = Some(now);
                }
                entry.usable = Some(usable);
                entry.detail.clear();
            }
            Err(detail) => {
                if entry.usable.is_some() {
                    tracing::warn!(
                        encoder = on.encoder,
                        gpu = on.gpu,
                        detail,
                        "an encoder does not work any more"
                    );
                } else if entry.detail != detail {
                    tracing::info!(encoder = on.encoder, gpu = on.gpu, detail, "an encoder does not work");
                }
                entry.take_off(detail, now);
            }
        }
    }

    /// An attempt failed by its encoder.
    pub(super) fn handle_failure(&mut self, failure: &Failure, now: Instant) {
        let Failure { on, detail, fault } = failure;
        let Some(entry) = self.entries.get_mut(on).filter(|entry| entry.usable.is_some()) else { return };
        match fault {
            EncoderFault::Own => {
                tracing::warn!(encoder = on.encoder, gpu = on.gpu, detail, "an encoder is taken off");
                entry.take_off(detail.clone(), now);
            }
            EncoderFault::Perhaps => {
                // Many streams that an encoder refuses must not make a node do nothing but proofs.
                let soonest = entry.tried.map_or(now, |tried| now.max(tried + FIRST_WAIT));
                entry.due = entry.due.or(Some(soonest));
            }
        }
    }

    /// What works.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&EncoderOn, &Usable)> {
        self.entries.iter().filter_map(|(on, entry)| Some((on, entry.usable.as_ref()?)))
    }

    /// What does not, and why, as much of it as a proxy takes.
    pub(super) fn unusable(&self) -> impl Iterator<Item = UnusableEncoder> {
        let unusable = self.entries.iter().filter(|(_, entry)| entry.usable.is_none());
        unusable.map(|(on, entry)| UnusableEncoder {
            on: on.clone(),
            detail: printable(&entry.detail, MAX_DETAIL_BYTES),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::load::bounded_capabilities;
    use crate::wire::report::Capabilities;

    /// One software encoder that works, and when that was found out.
    fn working() -> (Roster, EncoderOn, Instant) {
        let (mut roster, now) = (Roster::default(), crate::base::clock::now());
        let candidate = Candidate { encoder: Encoder::Libx264, devices: vec![Device::Cpu] };
        let on = EncoderOn::cpu("libx264");
        roster.set_candidates(BTreeMap::from([(on.clone(), candidate.clone())]), now);
        assert_eq!(roster.next_due(now), Some((on.clone(), candidate)));
        assert_eq!(roster.next_due(now), None, "it is under way");
        roster.handle_proof(&on, Ok(Usable::software(Encoder::Libx264)), now);
        assert_eq!((roster.usable().count(), roster.next_deadline()), (1, None));
        (roster, on, now)
    }

    fn own(on: &EncoderOn, detail: &str) -> Failure {
        Failure { on: on.clone(), detail: detail.to_owned(), fault: EncoderFault::Own }
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let (mut roster, on, mut now) = working();
        roster.handle_failure(&own(&on, "gone"), now);
        assert_eq!((roster.usable().count(), roster.unusable().count()), (0, 1));
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = roster.next_deadline().expect("it is tried again");
            waits.push(due.duration_since(now).as_secs());
            now = due;
            assert!(roster.next_due(now).is_some());
            roster.handle_proof(&on, Err("gone".to_owned()), now);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn what_proves_itself_and_fails_again_at_once_waits_longer_each_time() {
        let (mut roster, on, mut now) = working();
        let mut fail = |roster: &mut Roster, after: Duration| {
            now += after;
            roster.handle_failure(&own(&on, "gone"), now);
            let due = roster.next_deadline().expect("it is tried again");
            let wait = due.duration_since(now).as_secs();
            now = due;
            assert!(roster.next_due(now).is_some());
            roster.handle_proof(&on, Ok(Usable::software(Encoder::Libx264)), now);
            wait
        };
        let second = Duration::from_secs(1);
        assert_eq!([(); 4].map(|()| fail(&mut roster, second)), [5, 10, 20, 40]);
        assert_eq!(fail(&mut roster, LONGEST_WAIT + second), 5, "it had held out");
    }

    #[test]
    fn a_gpu_without_a_session_is_asked_often() {
        let (mut roster, on, now) = working();
        roster.handle_failure(&own(&on, "OpenEncodeSessionEx failed: out of memory (10)"), now);
        for attempt in 1..5 {
            let now = now + FIRST_WAIT * attempt;
            assert_eq!(roster.next_deadline(), Some(now));
            assert!(roster.next_due(now).is_some());
            roster.handle_proof(&on, Err("OpenEncodeSessionEx failed: out of memory (10)".to_owned()), now);
        }
    }

    #[test]
    fn however_much_ffmpeg_says_a_proxy_takes_what_is_told() {
        let (mut roster, on, now) = working();
        roster.handle_failure(&own(&on, &"exit code 1; no\tdevice \u{fffd}; ".repeat(40)), now);
        let unusable = roster.unusable().collect();
        let told = Capabilities { unusable, ..Capabilities::default() };
        assert_eq!(bounded_capabilities(told.clone()), Ok(told));
    }

    #[test]
    fn a_doubt_has_it_proved_and_takes_nothing_off() {
        let (mut roster, on, now) = working();
        let doubt = Failure { fault: EncoderFault::Perhaps, ..own(&on, "odd") };
        for _ in 0..10 {
            roster.handle_failure(&doubt, now);
        }
        let soonest = now + FIRST_WAIT;
        assert_eq!((roster.usable().count(), roster.next_deadline()), (1, Some(soonest)));
        assert!(roster.next_due(soonest).is_some());
        roster.handle_failure(&doubt, soonest);
        roster.handle_proof(&on, Err("broken indeed".to_owned()), soonest);
        assert_eq!(roster.unusable().map(|unusable| unusable.detail).collect::<Vec<_>>(), ["broken indeed"]);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_stays_keeps_its_standing() {
        let (mut roster, on, now) = working();
        let candidate =
            |index| Candidate { encoder: Encoder::H264Nvenc, devices: vec![Device::Nvidia(Some(index))] };
        let nvenc = EncoderOn { encoder: "h264_nvenc".to_owned(), gpu: Some(1) };
        let x264 = Candidate { encoder: Encoder::Libx264, devices: vec![Device::Cpu] };
        roster.set_candidates(BTreeMap::from([(on.clone(), x264), (nvenc.clone(), candidate(1))]), now);
        assert_eq!(roster.next_due(now), Some((nvenc.clone(), candidate(1))), "x264 is proved");
        roster.set_candidates(BTreeMap::new(), now);
        roster.handle_proof(&nvenc, Err("late".to_owned()), now);
        roster.handle_failure(&own(&on, "late"), now);
        assert_eq!((roster.usable().count(), roster.unusable().count()), (0, 0));
    }
}
