//! What attempts bring, and what of it is committed. Whichever attempt brings a position first has it.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::{Delivery, Outcome};
use crate::base::reason::Reason;
use crate::ffmpeg::ladder::Output;
use crate::media::fragmenter::MAX_FRAGMENT_ACCESS_UNITS;
use crate::media::time::Ticks;
use crate::media::track::{AudioConfiguration, Tracks};
use crate::stream::attempt::{Attempt, SOUND_AHEAD, Stage};
use crate::stream::command::{Command, Commit};
use crate::stream::section::Section;
use crate::wire::message::{AttemptEnd, AudioUnit, Fragment, LeaseOutput, OutputConfiguration, OutputInit};

/// How far past the end of the source a fragment may claim to end; beyond it the node is not believed.
const MAX_CLAIM: Ticks = Ticks::from_millis(1_000);

impl Delivery {
    /// Something came from an attempt. What comes from one that was given up is ignored.
    pub fn handle_output(
        &mut self,
        number: u32,
        output: LeaseOutput,
        section: &Section,
        now: Instant,
    ) -> Outcome {
        if self.attempt(number).is_none() {
            return Outcome::Continue;
        }
        self.note_answer(number, &output, section, now);
        let taken = match output {
            LeaseOutput::Init(init) => {
                self.handle_init(number, init, section, now);
                Ok(())
            }
            LeaseOutput::Progress(_) => Ok(()),
            LeaseOutput::Fragment(fragment) => self.handle_fragment(number, fragment, section, now),
            LeaseOutput::AudioUnit(unit) => self.handle_audio(number, unit, section, now),
            LeaseOutput::Ended(end) => return self.handle_ended(number, end, section, now),
        };
        if let Err(detail) = taken {
            self.fail(number, Reason::OutputUnreadable, detail, now);
        }
        self.retire(section, now);
        Outcome::Continue
    }

    fn note_answer(&mut self, number: u32, output: &LeaseOutput, section: &Section, now: Instant) {
        let (output, position, is_picture) = match output {
            LeaseOutput::Init(init) => (init.output, None, false),
            LeaseOutput::Progress(progress) => {
                let is_picture = matches!(progress.output, Output::Rendition(_));
                (progress.output, Some(progress.position), is_picture)
            }
            LeaseOutput::Fragment(fragment) => {
                (Output::Rendition(fragment.rendition), Some(fragment.last_presentation), true)
            }
            LeaseOutput::AudioUnit(_) => (Output::Audio, None, false),
            LeaseOutput::Ended(_) => return,
        };
        if is_picture {
            self.undecoded = None;
        }
        self.handle_answer(number, (output, position), section.source_end, now);
    }

    fn handle_init(&mut self, number: u32, init: OutputInit, section: &Section, now: Instant) {
        let renditions = self.renditions.len();
        let Some(attempt) = self.attempt(number) else { return };
        attempt.keep_init(init);
        if attempt.has_begun(section, renditions) {
            let took = self.source_since.map(|since| now.saturating_duration_since(since));
            self.startup = self.startup.or(took);
        }
    }

    fn handle_fragment(
        &mut self,
        number: u32,
        fragment: Fragment,
        section: &Section,
        now: Instant,
    ) -> Result<(), &'static str> {
        let Self { running, renditions, inits, ledgers, commands, .. } = self;
        let attempt = running.iter_mut().find(|attempt| attempt.number == number).ok_or("no attempt")?;
        let index = usize::from(fragment.rendition);
        let rendition = renditions.get_mut(index).ok_or("fragment of an unknown rendition")?;
        let output = Output::Rendition(fragment.rendition);
        let init = attempt.init(output).ok_or("fragment before its init segment")?.clone();
        let end = end_of(&fragment, attempt, section)?;
        let reached = attempt.reached.entry(output).or_insert(end);
        *reached = end.max(*reached);
        let committed_end = rendition.end();
        if !rendition.offer(&fragment, end) {
            return Ok(());
        }
        // Segments follow each other without an overlap, whatever the first picture's place on a grid.
        let position = committed_end.map_or(fragment.position, |end| fragment.position.max(end));
        let fragment = Fragment { position, ..fragment };
        commit_init(inits, &init, commands);
        ledgers[index].settle(&fragment, end, attempt.input_start);
        commands.push_back(Command::Commit(Commit::Fragment { fragment, end }));
        if let Some(until) = self.silence(section) {
            self.commands.push_back(Command::Commit(Commit::AudioSilent { until }));
        }
        self.note_commit(number, now);
        Ok(())
    }

    /// Something new has come out: what failed before is over.
    fn note_commit(&mut self, number: u32, now: Instant) {
        self.backoff.handle_commit();
        let Self { running, failovers, .. } = self;
        if let Some(attempt) = running.iter_mut().find(|attempt| attempt.number == number) {
            attempt.has_won = true;
            failovers.handle_commit(number, attempt.node.as_ref(), now);
            self.leader = Some(number);
        }
    }

    fn handle_audio(
        &mut self,
        number: u32,
        unit: AudioUnit,
        section: &Section,
        now: Instant,
    ) -> Result<(), &'static str> {
        // The next section may have cut the pictures short of their sound.
        let source_end = section.source_end.max(section.last_audio.unwrap_or(section.source_end));
        if unit.presentation_time > source_end + MAX_CLAIM {
            return Err("audio after the end of its source");
        }
        let attempt = self.attempt(number).ok_or("no attempt")?;
        configuration(attempt.init(Output::Audio).ok_or("audio before its init segment")?)?;
        let reached = attempt.reached.entry(Output::Audio).or_insert(unit.presentation_time);
        *reached = unit.presentation_time.max(*reached);
        attempt.sound.push_back(unit);
        if attempt.sound.len() > SOUND_AHEAD {
            // Whoever had its turn is that far behind.
            self.sound_from = Some(number);
        }
        self.take_sound(now);
        Ok(())
    }

    /// Commits the audio of whoever's turn it is: one attempt's, as long as it is trusted and brings some. Encoded access
    /// units overlap with the ones before, so they had better be of one encoder.
    pub(super) fn take_sound(&mut self, now: Instant) {
        let Self { running, sound_from, audio, inits, commands, .. } = self;
        let mut committed = None;
        let has_turn = |attempt: &Attempt| Some(attempt.number) == *sound_from && attempt.is_trusted();
        let next = running.iter().position(has_turn).or_else(|| {
            let others = running.iter().enumerate().filter(|(_, attempt)| !attempt.sound.is_empty());
            others.min_by_key(|(_, attempt)| !attempt.is_trusted()).map(|(index, _)| index)
        });
        let Some(attempt) = next.and_then(|index| running.get_mut(index)) else { return };
        *sound_from = Some(attempt.number);
        while let Some(unit) = attempt.sound.pop_front() {
            let Some(init) = attempt.init(Output::Audio).cloned() else { return };
            let Ok(configuration) = configuration(&init) else { return };
            if inits.get(&Output::Audio) != Some(&init.segment) {
                audio.configure(configuration);
            }
            if let Some(place) = audio.offer(unit.presentation_time) {
                commit_init(inits, &init, commands);
                commands.push_back(Command::Commit(Commit::Audio { place, data: unit.data }));
                committed = Some(attempt.number);
            }
        }
        // What the others have of it is there already.
        for attempt in running {
            while attempt.sound.front().is_some_and(|unit| audio.has(unit.presentation_time)) {
                attempt.sound.pop_front();
            }
        }
        if let Some(number) = committed.filter(|_| self.tracks == Tracks::Audio) {
            self.note_commit(number, now);
        }
    }

    fn handle_ended(&mut self, number: u32, end: AttemptEnd, section: &Section, now: Instant) -> Outcome {
        let finished = self.attempt(number).is_some_and(|attempt| attempt.stage == Stage::Finishing);
        if end.reason == Reason::Completed && finished {
            self.sound_from = Some(number);
            if let Some(attempt) = self.attempt(number) {
                attempt.trust = crate::stream::attempt::Trust::Trusted;
            }
            self.take_sound(now);
            self.running.retain(|attempt| attempt.number != number);
            self.stop(Reason::Superseded);
            self.ledgers.iter_mut().for_each(|ledger| ledger.settle_section(section.source_end));
            return Outcome::SectionDone;
        }
        // FFmpeg that ends well in the middle of its input has not done what it was asked for.
        let reason = if end.reason == Reason::Completed { Reason::FfmpegExited } else { end.reason };
        self.drop_attempt(number, reason, end.detail, now);
        Outcome::Continue
    }
}

/// Where `fragment` ends.
///
/// # Errors
/// What of it cannot be.
fn end_of(fragment: &Fragment, attempt: &Attempt, section: &Section) -> Result<Ticks, &'static str> {
    let end = match fragment.end {
        Some(end) => end,
        None if attempt.stage == Stage::Finishing => {
            section.source_end.max(fragment.last_presentation + Ticks(1))
        }
        None => return Err("last fragment before the end of input"),
    };
    if end > section.source_end + MAX_CLAIM {
        return Err("fragment ends after its source");
    }
    let (first, last) = (fragment.first_presentation, fragment.last_presentation);
    if first + MAX_CLAIM < fragment.position || last < first || last > end + MAX_CLAIM {
        return Err("pictures of a fragment lie outside of it");
    }
    if fragment.access_units as usize > MAX_FRAGMENT_ACCESS_UNITS {
        return Err("fragment with too many access units");
    }
    Ok(end)
}

fn configuration(init: &OutputInit) -> Result<&AudioConfiguration, &'static str> {
    let OutputConfiguration::Audio(configuration) = &init.configuration else {
        return Err("audio with a video configuration");
    };
    if configuration.sample_rate == 0 || configuration.samples_per_access_unit == 0 {
        return Err("audio without samples");
    }
    Ok(configuration)
}

/// Announces the configuration of an output if it is not the one that its committed output has.
fn commit_init(inits: &mut BTreeMap<Output, Bytes>, init: &OutputInit, commands: &mut VecDeque<Command>) {
    if inits.get(&init.output) != Some(&init.segment) {
        inits.insert(init.output, init.segment.clone());
        commands.push_back(Command::Commit(Commit::Init(init.clone())));
    }
}
