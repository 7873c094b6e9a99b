//! Which attempts run, and which are replaced. Nobody has to know who is dead: an attempt that owes an answer is *suspected*,
//! one whose node is to be left is *leaving*, and either gets a second attempt beside it. Whoever commits a position first
//! has it; as soon as the newcomer is level with what is committed, the other one is ended.
//!
//! | an attempt | leads to |
//! |---|---|
//! | owes an answer for longer than its patience | suspected; a second one elsewhere, within the fleet's budget |
//! | answers after all | trusted again; the second one is ended, unless it is level already |
//! | is suspected for [`GIVEN_UP_AFTER`], and so is the second one | ended as stalled; a third one |
//! | is suspected for [`STALLED_AFTER`], and no second one could be had | ended as stalled: its own place may be what is short |
//! | does not keep up ([`super::super::pace`]) or is told to leave | leaving; a second one elsewhere, and it runs on meanwhile |
//! | its second one is not level after [`MOVE_TIMEOUT`] | that one is ended; who must leave tries again later, others stay |

use std::time::{Duration, Instant};

use super::failover::Failover;
use super::{Delivery, SECOND_AGAIN, TWIN_AGAIN};
use crate::base::names::Name;
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Output;
use crate::media::gop::GopLog;
use crate::media::time::Ticks;
use crate::stream::attempt::{Attempt, Stage, Trust};
use crate::stream::command::{AttemptFailure, Command, Purpose};
use crate::stream::pulse::Answer;
use crate::stream::section::Section;

/// How long an attempt is suspected before it is ended for a third one, while the second is suspected too.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(3);
/// How long it is suspected before it is ended although there is no other.
pub const STALLED_AFTER: Duration = Duration::from_secs(15);
/// How long a second attempt may take until it is level with the one that it shall replace and that is well.
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stream that was moved because its attempt was too slow stays where it is.
pub const MOVE_PAUSE: Duration = Duration::from_secs(60);
/// Our own deadline was missed by more than this: what answers there are may lie unread.
const LATE: Duration = Duration::from_millis(100);
/// How long FFmpeg may say nothing after it has had all its input.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

impl Delivery {
    /// An attempt by its number.
    pub(super) fn attempt(&mut self, number: u32) -> Option<&mut Attempt> {
        self.running.iter_mut().find(|attempt| attempt.number == number)
    }

    fn trusted(&self) -> usize {
        self.running.iter().filter(|attempt| attempt.is_trusted()).count()
    }

    /// Whether an attempt is wanted and not there.
    pub(super) fn is_short(&self) -> bool {
        self.wanted_for().is_some()
    }

    /// What another attempt would be for, if one is wanted.
    fn wanted_for(&self) -> Option<Purpose> {
        let wanted = self.redundancy.attempts();
        if self.trusted() >= wanted || self.running.len() > wanted {
            return None;
        }
        let is = |trust: fn(&Trust) -> bool| self.running.iter().any(|attempt| trust(&attempt.trust));
        Some(if self.running.is_empty() {
            Purpose::Only
        } else if is(|trust| matches!(trust, Trust::Suspected { .. })) {
            Purpose::Hedge
        } else if is(|trust| matches!(trust, Trust::Leaving { .. })) {
            Purpose::Move
        } else {
            Purpose::Twin
        })
    }

    /// Asks for the attempts that are wanted and not there: at most one more than the stream has all the time.
    pub(super) fn start_attempts(&mut self, log: &GopLog, section: &Section, now: Instant) {
        while let Some(purpose) = self.wanted_for() {
            if !self.start_attempt(purpose, log, section, now) {
                return;
            }
        }
    }

    fn start_attempt(&mut self, purpose: Purpose, log: &GopLog, section: &Section, now: Instant) -> bool {
        let held_back = purpose != Purpose::Only && self.second_not_before.is_some_and(|at| now < at);
        if held_back || !self.backoff.allow(now) {
            return false;
        }
        self.second_not_before = None;
        self.keep_unheard(log, section);
        let start = self.committed(section).start(log, section);
        let Some(start) = start else {
            if purpose == Purpose::Only {
                self.starved.get_or_insert(now);
            }
            return false;
        };
        self.starved = None;
        // One that is there may still bring what the log has no more.
        let leaves_gap = self.committed_end().is_some_and(|end| start.position > end);
        if (purpose != Purpose::Only && leaves_gap) || self.waits_for_sound(section, &start) {
            return false;
        }
        self.attempts += 1;
        let outputs = self.watched(section);
        let wanted = self.wanted(purpose, (log, section, &start), now);
        self.running.push(Attempt::new(self.attempts, section.id, start, outputs, now));
        self.commands.push_back(Command::Place(Box::new(wanted)));
        true
    }

    /// The outputs that answer what is fed.
    fn watched(&self, section: &Section) -> Vec<Output> {
        match section.video {
            Some(_) => (0..).take(self.renditions.len()).map(Output::Rendition).collect(),
            None => vec![Output::Audio],
        }
    }

    /// Something of an output of attempt `number` came, at `position` if it says so.
    pub(super) fn handle_answer(
        &mut self,
        number: u32,
        (output, position): (Output, Option<Ticks>),
        source_end: Ticks,
        now: Instant,
    ) {
        let renditions = self.renditions.len();
        let Some(attempt) = self.running.iter_mut().find(|attempt| attempt.number == number) else { return };
        match attempt.pulse.handle_answer(output, now) {
            Answer::First(took) => self.starts.learn(took),
            Answer::Next(took) => self.answers.learn(took),
            Answer::Unasked => {}
        }
        if let (Some(position), Output::Rendition(_)) = (position, output) {
            let last = attempt.progress.entry(output).or_insert(position);
            *last = position.max(*last);
            if attempt.progress.len() == renditions {
                let slowest = attempt.progress.values().min().copied().unwrap_or(source_end);
                attempt.pace.handle(source_end - slowest, now);
            }
        }
        if matches!(attempt.trust, Trust::Suspected { .. })
            && attempt.pulse.overdue_at(&self.answers, &self.starts).is_none_or(|at| at > now)
        {
            attempt.trust = Trust::Trusted;
            self.failovers.withdraw(number);
        }
    }

    /// When the first of the attempts is suspected, given up or waited for no more.
    pub(super) fn attempts_deadline(&self) -> Option<Instant> {
        let second = self.second_not_before.filter(|_| self.wanted_for().is_some());
        self.running.iter().filter_map(|attempt| self.deadline_of(attempt)).chain(second).min()
    }

    fn deadline_of(&self, attempt: &Attempt) -> Option<Instant> {
        let finishing = attempt.finishing.map(|_| attempt.pulse.last_answer() + FINISH_TIMEOUT);
        let watched = match &attempt.trust {
            Trust::Trusted => {
                let slow = attempt.pace.too_slow_at().zip(self.may_move_at());
                self.suspected_at(attempt).into_iter().chain(slow.map(|(slow, may)| slow.max(may))).min()
            }
            Trust::Suspected { since } => Some(*since + self.given_up_after()),
            Trust::Leaving { .. } => self.suspected_at(attempt).into_iter().chain(self.move_over_at()).min(),
        };
        finishing.into_iter().chain(watched).min()
    }

    fn suspected_at(&self, attempt: &Attempt) -> Option<Instant> {
        // At the end of its input FFmpeg gives what it holds back, and then nothing until it has ended.
        let running = attempt.finishing.is_none();
        attempt.pulse.overdue_at(&self.answers, &self.starts).filter(|_| running)
    }

    /// How long an attempt may be suspected.
    fn given_up_after(&self) -> Duration {
        let suspected = |attempt: &Attempt| matches!(attempt.trust, Trust::Suspected { .. });
        let is_full = self.running.len() > self.redundancy.attempts();
        match is_full && self.running.iter().all(suspected) {
            true => GIVEN_UP_AFTER,
            false => STALLED_AFTER,
        }
    }

    /// When one that is well has had its time to be replaced. Where it may stay that counts from the wish, also if no node takes
    /// the newcomer; where it must go, from the newcomer's start.
    fn move_over_at(&self) -> Option<Instant> {
        let is_full = self.running.len() > self.redundancy.attempts();
        let over = |attempt: &Attempt| match attempt.trust {
            Trust::Leaving { since, cause, .. } if may_stay(cause) => Some(since + MOVE_TIMEOUT),
            Trust::Leaving { .. } if is_full => self.running.last().map(|newest| newest.asked + MOVE_TIMEOUT),
            Trust::Leaving { .. } | Trust::Trusted | Trust::Suspected { .. } => None,
        };
        self.running.iter().filter_map(over).min()
    }

    /// Time has passed: who owes an answer is suspected, and who is suspected for too long is ended.
    pub(super) fn judge_attempts(&mut self, now: Instant) {
        let late = self.attempts_deadline().map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if late > LATE {
            self.running.iter_mut().for_each(|attempt| attempt.pulse.forgive(late + LATE));
        }
        self.numbers().into_iter().for_each(|number| self.judge_attempt(number, now));
        // That another one is suspected now may shorten how long one may be.
        self.numbers().into_iter().for_each(|number| self.give_up_suspected(number, now));
        if self.move_over_at().is_some_and(|at| at <= now) {
            self.call_off_move(now);
        }
        self.second_not_before.take_if(|at| *at <= now);
    }

    fn numbers(&self) -> Vec<u32> {
        self.running.iter().map(|attempt| attempt.number).collect()
    }

    fn judge_attempt(&mut self, number: u32, now: Instant) {
        let Some(attempt) = self.running.iter().find(|attempt| attempt.number == number) else { return };
        let hangs = attempt.finishing.is_some() && attempt.pulse.last_answer() + FINISH_TIMEOUT <= now;
        if hangs {
            return self.fail(number, Reason::Stalled, "nothing came after the end of input", now);
        }
        match &attempt.trust {
            Trust::Suspected { .. } => {}
            Trust::Trusted | Trust::Leaving { .. } => {
                if self.suspected_at(attempt).is_some_and(|at| at <= now) {
                    self.suspect(number, now);
                } else if attempt.is_trusted()
                    && attempt.pace.too_slow_at().is_some_and(|at| at <= now)
                    && self.may_move_at().is_some_and(|at| at <= now)
                {
                    self.leave(number, Reason::TooSlow, None, now);
                }
            }
        }
    }

    fn give_up_suspected(&mut self, number: u32, now: Instant) {
        let Some(attempt) = self.running.iter().find(|attempt| attempt.number == number) else { return };
        if let Trust::Suspected { since } = attempt.trust
            && since + self.given_up_after() <= now
        {
            self.fail(number, Reason::Stalled, "input went in and nothing came out", now);
        }
    }

    fn suspect(&mut self, number: u32, now: Instant) {
        let Some(attempt) = self.attempt(number) else { return };
        attempt.trust = Trust::Suspected { since: now };
        let (node, heard) = (attempt.node.clone(), attempt.pulse.last_answer());
        self.failovers.begin(number, failover(node, Reason::Stalled, heard, now));
    }

    /// From when on one that is too slow may be moved; `None` while another is being replaced.
    fn may_move_at(&self) -> Option<Instant> {
        let is_full = self.running.len() > self.redundancy.attempts();
        let first = self.running.first().filter(|_| !is_full)?.asked;
        Some(self.moved.map_or(first, |at| at + MOVE_PAUSE))
    }

    /// Has an attempt that is well replaced by one elsewhere, on `to` if that is said.
    pub fn leave(&mut self, number: u32, cause: Reason, to: Option<Name>, now: Instant) {
        let Some(attempt) = self.attempt(number) else { return };
        if matches!(attempt.trust, Trust::Leaving { .. }) {
            return;
        }
        attempt.trust = Trust::Leaving { since: now, cause, to };
        let node = attempt.node.clone();
        self.moved = Some(now);
        self.failovers.begin(number, failover(node, cause, now, now));
    }

    /// The newcomer does not get level, or there is none: it is ended, and who may stay stays.
    fn call_off_move(&mut self, now: Instant) {
        let is_full = self.running.len() > self.redundancy.attempts();
        let newest = self.running.last().filter(|_| is_full).map(|attempt| attempt.number);
        self.second_not_before = Some(now + MOVE_TIMEOUT);
        self.moved = Some(now);
        for attempt in &mut self.running {
            if matches!(attempt.trust, Trust::Leaving { cause, .. } if may_stay(cause)) {
                attempt.trust = Trust::Trusted;
                self.failovers.withdraw(attempt.number);
            }
        }
        newest.into_iter().for_each(|newest| self.end(newest, Reason::Superseded));
    }

    /// Ends whoever is not needed any more: the suspected and the leaving as soon as others are level, and those that were
    /// started for a suspicion that was wrong.
    pub(super) fn retire(&mut self, section: &Section, now: Instant) {
        let wanted = self.redundancy.attempts();
        let is_level = |attempt: &Attempt| attempt.is_trusted() && self.is_level(attempt, section);
        let level: Vec<u32> = self.running.iter().filter(|&a| is_level(a)).map(|a| a.number).collect();
        if level.len() >= wanted {
            let mut kept = level;
            kept.truncate(wanted);
            let others = self.running.iter().filter(|attempt| !kept.contains(&attempt.number));
            let others: Vec<u32> = others.map(|attempt| attempt.number).collect();
            others.into_iter().for_each(|number| self.supersede(number, now));
        }
        while self.trusted() > wanted {
            let newest = self.running.iter().rev().find(|&a| a.is_trusted() && !self.is_level(a, section));
            let newest = newest.or(self.running.last()).map(|attempt| attempt.number);
            newest.into_iter().for_each(|number| self.supersede(number, now));
        }
    }

    /// Whether it has brought all that is committed.
    fn is_level(&self, attempt: &Attempt, section: &Section) -> bool {
        let renditions = (0..).zip(&self.renditions).filter(|_| section.video.is_some());
        let mut video = renditions.map(|(index, rendition)| (Output::Rendition(index), rendition.end()));
        let has = |output, end: Option<Ticks>, slack| {
            end.is_none_or(|end| attempt.reached.get(&output).is_some_and(|&reached| reached + slack >= end))
        };
        let sound = section.audio.is_none() || has(Output::Audio, self.audio.end(), SOUND_SLACK);
        attempt.has_won && sound && video.all(|(output, end)| has(output, end, Ticks::ZERO))
    }

    /// Another has its place. One that was suspected was at fault, and its node is remembered for it.
    fn supersede(&mut self, number: u32, now: Instant) {
        let Some(attempt) = self.running.iter().find(|attempt| attempt.number == number) else { return };
        if matches!(attempt.trust, Trust::Suspected { .. }) {
            self.backoff.handle_superseded(attempt.node.clone(), now);
        }
        self.end(number, Reason::Superseded);
    }

    /// Ends an attempt from this side, without blame.
    pub(super) fn end(&mut self, number: u32, reason: Reason) {
        self.running.retain(|attempt| attempt.number != number);
        self.commands.push_back(Command::Cancel { attempt: number, reason });
    }

    /// Ends an attempt from this side, as failed.
    pub(super) fn fail(&mut self, number: u32, reason: Reason, detail: &str, now: Instant) {
        self.commands.push_back(Command::Cancel { attempt: number, reason });
        self.drop_attempt(number, reason, detail.to_owned(), now);
    }

    /// An attempt is over without having said so itself: refused, lost, or no node was found.
    pub fn handle_failed(&mut self, failure: AttemptFailure, now: Instant) {
        let AttemptFailure { attempt: number, node, reason, detail } = failure;
        let Some(attempt) = self.attempt(number) else { return };
        attempt.node = attempt.node.take().or(node);
        let nowhere = attempt.node.is_none();
        if nowhere && self.running.len() > 1 {
            // A second attempt that cannot be had is no fault of the stream.
            self.running.retain(|attempt| attempt.number != number);
            let is_hurried = self.running.iter().any(|attempt| !attempt.is_trusted());
            self.second_not_before = Some(now + if is_hurried { SECOND_AGAIN } else { TWIN_AGAIN });
            return;
        }
        self.drop_attempt(number, reason, detail, now);
    }

    pub(super) fn drop_attempt(&mut self, number: u32, reason: Reason, detail: String, now: Instant) {
        let Some(index) = self.running.iter().position(|attempt| attempt.number == number) else { return };
        let attempt = self.running.remove(index);
        let alone = self.running.is_empty() && attempt.is_attached();
        if alone || attempt.has_won {
            let heard = attempt.pulse.last_answer();
            self.failovers.lose(number, failover(attempt.node.clone(), reason, heard, now));
        }
        self.backoff.handle_failure(attempt.node, reason, detail, now);
    }

    /// Whether this is the only attempt that there is.
    #[must_use]
    pub fn is_only(&self, number: u32) -> bool {
        matches!(&self.running[..], [only] if only.number == number)
    }

    /// A node has the lease.
    pub fn handle_placed(&mut self, number: u32, node: Name, now: Instant) {
        let Some(attempt) = self.attempt(number) else { return };
        attempt.stage = Stage::Placed;
        attempt.node = Some(node);
        attempt.pulse.handle_placed(now);
        self.runs += 1;
    }
}

/// Whether an attempt that is to leave for this `cause` may stay if it cannot be replaced.
fn may_stay(cause: Reason) -> bool {
    !matches!(cause, Reason::Drained | Reason::NodeStopping)
}

/// Audio is level if no more than this is missing: two access units, which FFmpeg may hold back.
const SOUND_SLACK: Ticks = Ticks::from_millis(100);

fn failover(from: Option<Name>, cause: Reason, heard: Instant, now: Instant) -> Failover {
    let detection = now.saturating_duration_since(heard);
    Failover { from, to: None, cause, noticed: now, detection, recovery: None }
}
