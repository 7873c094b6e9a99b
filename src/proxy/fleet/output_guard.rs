//! What a node may say on a lease's connection, beyond what a frame can tell: only of outputs that the attempt has, and
//! in the order that the wire promises. A stream may then index its renditions without a check of its own.

use std::collections::BTreeSet;

use crate::ffmpeg::ladder::Output;
use crate::wire::message::{AttemptSpec, LeaseOutput};

/// What a node did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// An output that the attempt does not have.
    #[error("the attempt has no output {0:?}")]
    UnknownOutput(Output),
    /// A second init segment.
    #[error("a second init segment for {0:?}")]
    SecondInit(Output),
    /// Media before the init segment.
    #[error("media of {0:?} before its init segment")]
    NoInit(Output),
    /// A fragment or access unit without bytes.
    #[error("nothing in a fragment or access unit of {0:?}")]
    Empty(Output),
}

/// Watches the outputs of one attempt.
#[derive(Debug)]
pub(super) struct OutputGuard {
    renditions: usize,
    has_audio: bool,
    /// Outputs whose init segment has come; at most as many as the attempt has.
    begun: BTreeSet<Output>,
}

impl OutputGuard {
    pub(super) fn new(attempt: &AttemptSpec) -> Self {
        let renditions = if attempt.has_video { attempt.ladder.renditions.len() } else { 0 };
        Self { renditions, has_audio: attempt.has_audio, begun: BTreeSet::new() }
    }

    /// Takes note of what the node says.
    ///
    /// # Errors
    /// When the node may not say it; the lease is of no further use then.
    pub(super) fn check(&mut self, said: &LeaseOutput) -> Result<(), Violation> {
        match said {
            LeaseOutput::Init(init) => {
                self.known(init.output)?;
                if self.begun.insert(init.output) { Ok(()) } else { Err(Violation::SecondInit(init.output)) }
            }
            LeaseOutput::Fragment(fragment) => {
                self.media(Output::Rendition(fragment.rendition), fragment.data.is_empty())
            }
            LeaseOutput::AudioUnit(unit) => self.media(Output::Audio, unit.data.is_empty()),
            LeaseOutput::Progress(progress) => self.known(progress.output),
            LeaseOutput::Ended(_) => Ok(()),
        }
    }

    fn media(&self, output: Output, empty: bool) -> Result<(), Violation> {
        self.known(output)?;
        if !self.begun.contains(&output) {
            return Err(Violation::NoInit(output));
        }
        if empty { Err(Violation::Empty(output)) } else { Ok(()) }
    }

    fn known(&self, output: Output) -> Result<(), Violation> {
        let known = match output {
            Output::Rendition(index) => usize::from(index) < self.renditions,
            Output::Audio => self.has_audio,
        };
        if known { Ok(()) } else { Err(Violation::UnknownOutput(output)) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::tests::script::{attempt, audio_unit, fragment, init};
    use super::*;
    use crate::base::reason::Reason;
    use crate::media::time::Ticks;
    use crate::wire::message::{AttemptEnd, Progress};

    fn check(said: &[LeaseOutput], expected: Result<(), Violation>) {
        let mut guard = OutputGuard::new(&attempt());
        let checked = said.iter().try_for_each(|said| guard.check(said));
        assert_eq!(checked, expected);
    }

    #[test]
    fn what_the_wire_promises_passes() {
        let progress = Progress { output: Output::Rendition(0), position: Ticks(0) };
        let end = AttemptEnd { reason: Reason::Completed, detail: String::new() };
        let all = [
            LeaseOutput::Progress(progress),
            init(Output::Rendition(0)),
            fragment(0, b"moof"),
            fragment(0, b"moof"),
            LeaseOutput::Ended(end),
        ];
        check(&all, Ok(()));
    }

    #[test]
    fn an_output_that_was_not_asked_for_is_a_violation() {
        check(&[init(Output::Rendition(1))], Err(Violation::UnknownOutput(Output::Rendition(1))));
        check(&[fragment(255, b"moof")], Err(Violation::UnknownOutput(Output::Rendition(255))));
        check(&[audio_unit(b"aac")], Err(Violation::UnknownOutput(Output::Audio)));
        let progress = Progress { output: Output::Audio, position: Ticks(0) };
        check(&[LeaseOutput::Progress(progress)], Err(Violation::UnknownOutput(Output::Audio)));
    }

    #[test]
    fn order_and_substance_are_kept() {
        let output = Output::Rendition(0);
        check(&[fragment(0, b"moof")], Err(Violation::NoInit(output)));
        check(&[init(output), init(output)], Err(Violation::SecondInit(output)));
        check(&[init(output), fragment(0, &Bytes::new())], Err(Violation::Empty(output)));
    }
}
