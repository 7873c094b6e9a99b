//! Follows one media playlist while it is live: fetches each init segment and each segment once, writes them to one file for
//! each init segment, and checks on the way what a player relies on (RFC 8216 §6.2.1 and §6.3).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::http::Client;
use super::playlist::{Media, Segment, resolve};

/// How often a playlist is asked for again.
const POLL_EVERY: Duration = Duration::from_millis(300);
/// Dates and durations of neighbours may differ by this much, in microseconds.
const DATE_TOLERANCE_US: i64 = 1_000;
/// After this many findings there is nothing more to learn.
const MAX_FINDINGS: usize = 30;

/// What a media playlist carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A variant's pictures.
    Video,
    /// The group's sound.
    Audio,
}

/// What was recorded of one media playlist.
pub struct Track {
    /// Pictures or sound.
    pub kind: Kind,
    /// Its address.
    pub url: String,
    /// The first init segment and all segments up to the next one, concatenated.
    pub file: PathBuf,
    /// A file for each init segment, `file` first.
    pub parts: Vec<PathBuf>,
    /// The numbers of the segments with `EXT-X-DISCONTINUITY`.
    pub discontinuities: Vec<u64>,
    /// The numbers of the segments with `EXT-X-GAP`, which are not there to be fetched.
    pub gaps: Vec<u64>,
    /// `EXT-X-TARGETDURATION`, in microseconds.
    pub target_duration_us: Option<i64>,
    /// The segments, by media sequence number.
    pub segments: BTreeMap<u64, Segment>,
    /// When the first segment had been fetched.
    pub first_at: Option<Instant>,
    /// The longest time without a new segment, before the end.
    pub longest_wait: Duration,
    /// When `EXT-X-ENDLIST` was seen.
    pub ended_at: Option<Instant>,
    /// What a player would have stumbled over.
    pub findings: Vec<String>,
}

/// The state of following one playlist.
pub struct Follower {
    client: Client,
    out: File,
    map: String,
    last_new: Option<Instant>,
    track: Track,
}

impl Follower {
    pub fn new(kind: Kind, url: String, file: PathBuf) -> Self {
        let out = File::create(&file).expect("a temporary folder can be written");
        let (segments, findings) = (BTreeMap::new(), Vec::new());
        let track = Track {
            kind,
            url,
            parts: vec![file.clone()],
            file,
            discontinuities: Vec::new(),
            gaps: Vec::new(),
            target_duration_us: None,
            segments,
            first_at: None,
            longest_wait: Duration::ZERO,
            ended_at: None,
            findings,
        };
        Self { client: Client::new(), out, map: String::new(), last_new: None, track }
    }

    /// Polls until the playlist has ended, for at most until `deadline`.
    pub fn follow(mut self, deadline: Instant) -> Track {
        while self.track.ended_at.is_none() && self.track.findings.len() < MAX_FINDINGS {
            if Instant::now() >= deadline {
                self.find("no EXT-X-ENDLIST before the deadline".to_owned());
                break;
            }
            if let Err(finding) = self.poll() {
                self.find(finding);
            }
            if self.track.ended_at.is_none() {
                std::thread::sleep(POLL_EVERY);
            }
        }
        self.track
    }

    fn poll(&mut self) -> Result<(), String> {
        let answer = self.client.get(&self.track.url)?;
        if answer.status != 200 {
            return Err(format!("the playlist answers {}", answer.status));
        }
        let playlist = Media::parse(&answer.text())?;
        self.check_header(&playlist);
        for segment in &playlist.segments {
            match self.track.segments.get(&segment.sequence) {
                None => self.take(segment)?,
                Some(known) if known == segment || same_but_carried(known, segment) => {}
                Some(known) => {
                    let finding = format!("segment {} changed: {known:?}, now {segment:?}", segment.sequence);
                    self.find(finding);
                }
            }
        }
        if playlist.ended {
            self.track.ended_at = Some(Instant::now());
        }
        Ok(())
    }

    /// What must hold between any two answers.
    fn check_header(&mut self, playlist: &Media) {
        let first_target = *self.track.target_duration_us.get_or_insert(playlist.target_duration_us);
        if playlist.target_duration_us != first_target {
            self.find(format!("EXT-X-TARGETDURATION changed to {} us", playlist.target_duration_us));
        }
        let gone = self.track.discontinuities.iter().filter(|&&at| at < playlist.sequence).count() as u64;
        if playlist.discontinuity_sequence != gone {
            let said = playlist.discontinuity_sequence;
            self.find(format!("EXT-X-DISCONTINUITY-SEQUENCE is {said}, after {gone} discontinuities"));
        }
        let (Some(&first), Some(&last)) =
            (self.track.segments.keys().next(), self.track.segments.keys().last())
        else {
            return;
        };
        if playlist.sequence < first {
            self.find(format!("the media sequence went back to {}, before {first}", playlist.sequence));
        }
        let listed_last = playlist.sequence + playlist.segments.len() as u64;
        if listed_last <= last {
            self.find(format!("the playlist ends before segment {last}, which it had listed"));
        }
    }

    /// Checks a segment that is new, fetches it, and its init segment where that is new.
    fn take(&mut self, segment: &Segment) -> Result<(), String> {
        self.check_neighbours(segment);
        if segment.gap {
            // Players do not ask for it (RFC 8216bis §4.4.4.7).
            self.track.segments.insert(segment.sequence, segment.clone());
            return Ok(());
        }
        if segment.map != self.map {
            if !self.map.is_empty() {
                self.begin_part(segment)?;
            }
            self.fetch(&segment.map)?;
            self.map.clone_from(&segment.map);
        }
        self.fetch(&segment.uri)?;
        let now = Instant::now();
        self.track.first_at.get_or_insert(now);
        if let Some(before) = self.last_new.replace(now) {
            self.track.longest_wait = self.track.longest_wait.max(now - before);
        }
        self.track.segments.insert(segment.sequence, segment.clone());
        Ok(())
    }

    /// Another init segment needs a discontinuity before it (§4.3.2.3), and a file of its own: players of one file read one.
    fn begin_part(&mut self, segment: &Segment) -> Result<(), String> {
        if !segment.discontinuity {
            self.find(format!("segment {} has another init segment", segment.sequence));
        }
        let file = self.track.file.with_extension(format!("{}.mp4", self.track.parts.len()));
        self.out = File::create(&file).map_err(|error| error.to_string())?;
        self.track.parts.push(file);
        Ok(())
    }

    fn check_neighbours(&mut self, segment: &Segment) {
        let sequence = segment.sequence;
        if segment.discontinuity {
            self.track.discontinuities.push(sequence);
        }
        if Some(segment.duration_us) > self.track.target_duration_us || segment.duration_us <= 0 {
            self.find(format!("segment {sequence} lasts {} us", segment.duration_us));
        }
        if segment.gap {
            self.track.gaps.push(sequence);
        }
        if segment.date_us.is_none() {
            self.find(format!("segment {sequence} has no EXT-X-PROGRAM-DATE-TIME"));
        }
        let Some((&before, last)) = self.track.segments.last_key_value() else { return };
        let expected = last.date_us.map(|date| date + last.duration_us);
        if sequence != before + 1 {
            self.find(format!("segments {} to {} were never listed", before + 1, sequence.saturating_sub(1)));
        } else if let (Some(expected), Some(date)) = (expected, segment.date_us)
            && (date - expected).abs() > DATE_TOLERANCE_US
        {
            self.find(format!("segment {sequence} begins {} us after the end of the last", date - expected));
        }
    }

    /// Appends what is at `uri` to the file.
    fn fetch(&mut self, uri: &str) -> Result<(), String> {
        let url = resolve(&self.track.url, uri);
        let answer = self.client.get(&url)?;
        if answer.status != 200 || answer.body.is_empty() {
            return Err(format!("{url} answers {} with {} bytes", answer.status, answer.body.len()));
        }
        self.out.write_all(&answer.body).map_err(|error| error.to_string())
    }

    fn find(&mut self, finding: String) {
        self.track.findings.push(format!("{}: {finding}", self.track.url));
    }
}

/// A date that is carried on from another first segment may be rounded differently.
fn same_but_carried(known: &Segment, listed: &Segment) -> bool {
    let near = match (known.date_us, listed.date_us) {
        (Some(known), Some(listed)) => (known - listed).abs() <= DATE_TOLERANCE_US,
        _ => false,
    };
    near && *known == Segment { date_us: known.date_us, ..listed.clone() }
}
