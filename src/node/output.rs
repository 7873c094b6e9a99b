//! One output of FFmpeg: the bytes of its pipe in, what the proxy gets out. Decides only; [`super::slot`] moves bytes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::reason::Reason;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::ladder::{AudioOutput, Output, VideoOutput};
use crate::media::aac::{self, AacError};
use crate::media::fmp4::read::{self, AccessUnit, Event, Reader};
use crate::media::fmp4::{SampleEntry, TrackHeader, write};
use crate::media::fragmenter::{self, Fragmenter, Picture};
use crate::media::time::Ticks;
use crate::media::track::VideoConfiguration;
use crate::media::video::{self, RandomAccess, VideoError};
use crate::wire::message::{AudioUnit, LeaseOutput, OutputConfiguration, OutputInit, Progress};

#[cfg(test)]
mod tests;

/// The least time between two [`Progress`] messages of an output.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Why an output cannot be understood. The attempt is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    /// It is no fragmented MP4 of one track.
    #[error("{0}")]
    Container(#[from] read::Error),
    /// Its video configuration is broken.
    #[error("the video configuration: {0}")]
    Video(#[from] VideoError),
    /// Its audio configuration is broken.
    #[error("the audio configuration: {0}")]
    Audio(#[from] AacError),
    /// No init segment can be written for it.
    #[error("the init segment: {0}")]
    Init(#[from] write::Error),
    /// It has no random access point for too long.
    #[error("{0}")]
    Fragment(#[from] fragmenter::Error),
    /// Sound where pictures are wanted, or the other way round.
    #[error("the wrong kind of track came out")]
    WrongTrack,
}

impl OutputError {
    /// The error as log, metric and API name it.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Container(read::Error::UnsupportedCodec { .. }) => Reason::UnsupportedCodec,
            Self::Fragment(_) => Reason::LimitExceeded,
            Self::Container(_) | Self::Video(_) | Self::Audio(_) | Self::Init(_) | Self::WrongTrack => {
                Reason::OutputUnreadable
            }
        }
    }
}

/// The sample entry with what its configuration says. Where no sound came while FFmpeg probed, it copies AAC under the rate
/// and the channels of the FLV tag's header, which are always 44.1 kHz and stereo (FLV 10.1 E.4.2.1), and another attempt of the
/// same source writes others.
fn as_configured(entry: &SampleEntry, configuration: &OutputConfiguration) -> SampleEntry {
    match (entry, configuration) {
        (SampleEntry::Aac { configuration: specific, .. }, OutputConfiguration::Audio(audio)) => {
            let (sample_rate, channels) = (audio.sample_rate, audio.channels);
            SampleEntry::Aac { sample_rate, channels, configuration: specific.clone() }
        }
        (SampleEntry::Aac { .. } | SampleEntry::Video { .. }, _) => entry.clone(),
    }
}

/// Bytes in with [`Self::handle_bytes`], messages out with [`Self::next_message`] until there is none.
///
/// Holds at most a box of FFmpeg's output, one fragment that is not whole yet, and three messages.
pub(super) struct OutputReader {
    output: Output,
    /// FFmpeg's time zero on the stream's timeline.
    base: Ticks,
    /// Of copied pictures: how they are read.
    copied: Option<VideoConfiguration>,
    /// Whether pictures are copied.
    copies: bool,
    /// Encoded audio before this sample is warm-up.
    first_sample: Option<i64>,
    timescale: u32,
    reader: Reader,
    fragmenter: Fragmenter,
    ready: VecDeque<LeaseOutput>,
    begun: bool,
    /// Of the last access unit that came out.
    position: Option<Ticks>,
    progress_sent: Option<Instant>,
    /// Progress that has not been told, because the last was told just before.
    untold: Option<Ticks>,
}

impl OutputReader {
    /// For one output of `attempt`.
    pub(super) fn new(output: Output, attempt: &AttemptSpec) -> Self {
        let encoded = matches!(attempt.ladder.audio, AudioOutput::Aac { .. });
        let (rendition, first_sample) = match output {
            Output::Rendition(index) => (index, None),
            Output::Audio => (0, encoded.then_some(attempt.audio_start.first_sample)),
        };
        let wanted = attempt.ladder.renditions.get(usize::from(rendition));
        let copies = wanted.is_some_and(|rendition| rendition.video == VideoOutput::Copy);
        Self {
            output,
            base: attempt.base,
            copied: None,
            copies,
            first_sample,
            timescale: 1,
            reader: Reader::new(),
            fragmenter: Fragmenter::new(rendition),
            ready: VecDeque::new(),
            begun: false,
            position: None,
            progress_sent: None,
            untold: None,
        }
    }

    /// Takes what was read from the pipe.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// The next message, or `None` when more bytes are needed.
    pub(super) fn next_message(&mut self, now: Instant) -> Result<Option<LeaseOutput>, OutputError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            match self.reader.next_event()? {
                None => return Ok(self.take_untold(now)),
                Some(Event::Header(header)) => self.handle_header(&header)?,
                Some(Event::AccessUnit(unit)) => self.handle_access_unit(unit, now)?,
            }
        }
    }

    /// The last fragment, once FFmpeg has ended in order.
    pub(super) fn finish(&mut self) -> Option<LeaseOutput> {
        self.fragmenter.finish().map(LeaseOutput::Fragment)
    }

    /// Whether FFmpeg has begun this output.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Which output this is, and the presentation time of the last access unit that came out.
    pub(super) fn position(&self) -> Option<(Output, Ticks)> {
        self.position.map(|position| (self.output, position))
    }

    fn handle_header(&mut self, header: &TrackHeader) -> Result<(), OutputError> {
        let configuration = match (&header.entry, self.output) {
            (SampleEntry::Video { codec, width, height, configuration, .. }, Output::Rendition(_)) => {
                // The size is the sample entry's: the record of VP9 has none.
                let (width, height) = (u32::from(*width), u32::from(*height));
                let read = video::read_configuration(*codec, configuration)?;
                let configuration = VideoConfiguration { width, height, ..read };
                self.copied = self.copies.then(|| configuration.clone());
                OutputConfiguration::Video(configuration)
            }
            (SampleEntry::Aac { configuration, .. }, Output::Audio) => {
                OutputConfiguration::Audio(aac::read_configuration(configuration)?)
            }
            (SampleEntry::Video { .. } | SampleEntry::Aac { .. }, _) => return Err(OutputError::WrongTrack),
        };
        let segment = write::init_segment(&as_configured(&header.entry, &configuration))?;
        self.timescale = header.timescale;
        self.begun = true;
        let init = OutputInit { output: self.output, configuration, segment };
        self.ready.push_back(LeaseOutput::Init(init));
        Ok(())
    }

    fn handle_access_unit(&mut self, unit: AccessUnit, now: Instant) -> Result<(), OutputError> {
        let presentation_time = self.base + Ticks::from_samples(unit.presentation_time, self.timescale);
        match self.output {
            Output::Rendition(_) => {
                let random_access = self.random_access(&unit);
                let data = match &self.copied {
                    Some(copied) => video::unmarked(copied, unit.data),
                    None => unit.data,
                };
                let picture = Picture { presentation_time, random_access, data };
                let fragment = self.fragmenter.push(picture)?;
                self.ready.extend(fragment.map(LeaseOutput::Fragment));
            }
            Output::Audio if self.is_warm_up(unit.presentation_time) => {}
            Output::Audio => {
                // The slice would keep its neighbours alive in the queue; a frame of a few hundred bytes is cheap to copy.
                let data = Bytes::copy_from_slice(&unit.data);
                self.ready.push_back(LeaseOutput::AudioUnit(AudioUnit { presentation_time, data }));
            }
        }
        self.position = Some(presentation_time);
        self.tell_progress(presentation_time, now);
        Ok(())
    }

    /// What kind of random access point a picture is. FFmpeg only says that it is one; of pictures that it made itself it is
    /// an IDR picture, of copied ones they tell it themselves. One that is flagged and does not tell it is taken for an open
    /// GOP's, after which nothing is certain.
    fn random_access(&self, unit: &AccessUnit) -> RandomAccess {
        if !unit.random_access {
            return RandomAccess::None;
        }
        let Some(configuration) = &self.copied else { return RandomAccess::Idr };
        match video::random_access(configuration, &unit.data) {
            RandomAccess::Idr => RandomAccess::Idr,
            RandomAccess::RecoveryPoint { .. } | RandomAccess::None => {
                RandomAccess::RecoveryPoint { recovery_frame_count: 0 }
            }
        }
    }

    /// Whether encoded audio at `time` comes before the first sample that is wanted: the encoder's delay. A timescale other
    /// than the 48 kHz that the position is in is compared as time.
    fn is_warm_up(&self, time: i64) -> bool {
        let at = Ticks::from_samples(time, self.timescale);
        self.first_sample.is_some_and(|first| at < Ticks::from_samples(first, 48_000))
    }

    fn tell_progress(&mut self, position: Ticks, now: Instant) {
        self.untold = Some(position);
        let told = self.take_untold(now);
        self.ready.extend(told);
    }

    fn take_untold(&mut self, now: Instant) -> Option<LeaseOutput> {
        let due = self.progress_sent.is_none_or(|sent| sent + PROGRESS_INTERVAL <= now);
        let position = self.untold.take_if(|_| due)?;
        self.progress_sent = Some(now);
        Some(LeaseOutput::Progress(Progress { output: self.output, position }))
    }

    /// When there is progress to be told, should nothing more come: [`Self::next_message`] gives it then. The last access unit
    /// before a pause must be told too, or the proxy waits for it.
    pub(super) fn progress_due(&self) -> Option<Instant> {
        self.untold.and(self.progress_sent).map(|sent| sent + PROGRESS_INTERVAL)
    }
}
