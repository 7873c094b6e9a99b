//! Plays a stream as a player would while it is live: the multivariant playlist, then every media playlist at once.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clip::Clip;
use super::http::{Answer, Client};
use super::playlist::{Attributes, Multivariant, resolve};
use super::track::{Follower, Kind, Track};
use super::wait_for;

/// Video segments of one number begin together, to a millisecond.
const VIDEO_TOLERANCE_US: i64 = 1_000;
/// Audio is cut at the video's positions: at most one access unit of 1024 samples beside them.
const AUDIO_TOLERANCE_US: i64 = 22_000;

/// How often a stream that does not play yet is asked for.
const ASK_EVERY: Duration = Duration::from_millis(80);

/// A player at work in a thread of its own.
pub struct Player {
    thread: JoinHandle<Recording>,
}

/// What a stream must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Media playlists of pictures.
    pub videos: usize,
    /// Media playlists of sound.
    pub audios: usize,
    /// Discontinuities, in each of them.
    pub discontinuities: usize,
    /// How far sound may begin beside the picture, at first and after a discontinuity, in microseconds.
    pub uneven_us: i64,
    /// How far pictures of one rendition may be cut beside those of another, in microseconds: a picture of a frame-rate filter.
    pub cut_us: i64,
    /// Segments that may be missing, if they are listed as such.
    pub gaps: Gaps,
}

/// Where `EXT-X-GAP` may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// Nowhere.
    None,
    /// Where the source has no sound.
    Sound,
    /// Anywhere: something was lost.
    Anywhere,
}

impl Gaps {
    fn may_be_in(self, kind: Kind) -> bool {
        match self {
            Self::None => false,
            Self::Sound => kind == Kind::Audio,
            Self::Anywhere => true,
        }
    }
}

/// What a player got.
#[derive(Default)]
pub struct Recording {
    /// One for each media playlist.
    pub tracks: Vec<Track>,
    /// What was wrong with the multivariant playlist.
    findings: Vec<String>,
}

impl Player {
    /// Plays `url`, a multivariant playlist that may not exist yet, into `folder`, until it ends, for at most `bound`.
    pub fn start(url: String, folder: PathBuf, bound: Duration) -> Self {
        let deadline = Instant::now() + bound;
        Self { thread: std::thread::spawn(move || play(&url, &folder, deadline)) }
    }

    /// Waits for the end.
    pub fn finish(self) -> Recording {
        self.thread.join().expect("the player does not panic")
    }
}

impl Recording {
    /// Everything that a player, or one who counts frames, finds wrong with this recording of `clip`.
    pub fn judge(&self, clip: &Clip, renditions: usize) -> Vec<String> {
        let mut findings = self.judge_delivery(renditions);
        for track in &self.tracks {
            let (of, found) = match track.kind {
                Kind::Video => (&track.url, clip.judge_video(&track.file)),
                Kind::Audio => (&track.url, clip.judge_audio(&track.file)),
            };
            findings.extend(found.into_iter().map(|finding| format!("{of}: {finding}")));
        }
        if let (Some(video), Some(audio)) = (self.of(Kind::Video).next(), self.of(Kind::Audio).next()) {
            findings.extend(clip.judge_sync(&video.file, &audio.file));
        }
        findings
    }

    /// What a player finds wrong, whatever the stream shows.
    pub fn judge_delivery(&self, renditions: usize) -> Vec<String> {
        let (uneven_us, gaps) = (AUDIO_TOLERANCE_US, Gaps::None);
        self.judge_delivery_of(Delivery {
            videos: renditions,
            audios: 1,
            discontinuities: 0,
            uneven_us,
            cut_us: VIDEO_TOLERANCE_US,
            gaps,
        })
    }

    /// The same for a stream of other tracks, or one whose tracks change.
    pub fn judge_delivery_of(&self, expected: Delivery) -> Vec<String> {
        let mut findings = self.findings.clone();
        findings.extend(self.tracks.iter().flat_map(|track| track.findings.clone()));
        let counts = (self.of(Kind::Video).count(), self.of(Kind::Audio).count());
        if counts != (expected.videos, expected.audios) {
            let (videos, audios) = counts;
            findings.push(format!("{videos} playlists of pictures and {audios} of sound, not {expected:?}"));
        }
        for track in &self.tracks {
            if !expected.gaps.may_be_in(track.kind) {
                let one = |at: &u64| format!("{}: segment {at} is a gap", track.url);
                findings.extend(track.gaps.iter().map(one));
            }
            if track.discontinuities.len() != expected.discontinuities {
                let one = |at: &u64| format!("{}: segment {at} has a discontinuity", track.url);
                findings.extend(track.discontinuities.iter().map(one));
                let (count, wanted) = (track.discontinuities.len(), expected.discontinuities);
                findings.push(format!("{}: {count} discontinuities, not {wanted}", track.url));
            }
        }
        findings.extend(self.compare_numbering(&expected));
        findings
    }

    /// When every track had its first segment.
    pub fn playable_at(&self) -> Option<Instant> {
        self.tracks.iter().map(|track| track.first_at).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When the last track had ended.
    pub fn ended_at(&self) -> Option<Instant> {
        self.tracks.iter().map(|track| track.ended_at).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The longest that any track stood still.
    pub fn longest_wait(&self) -> Duration {
        self.tracks.iter().map(|track| track.longest_wait).max().unwrap_or_default()
    }

    /// The tracks of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(move |track| track.kind == kind)
    }

    /// Segments of one number must be the same piece of the timeline in every track.
    fn compare_numbering(&self, expected: &Delivery) -> Vec<String> {
        let any = self.of(Kind::Video).chain(&self.tracks).next();
        let Some(first) = any else { return vec!["no media playlist".to_owned()] };
        let mut findings = Vec::new();
        for track in &self.tracks {
            if !track.segments.keys().eq(first.segments.keys()) {
                let numbers = |track: &Track| format!("{:?}", track.segments.keys().collect::<Vec<_>>());
                findings.push(format!(
                    "{} has {}, {} has {}",
                    track.url,
                    numbers(track),
                    first.url,
                    numbers(first)
                ));
            }
            let begins =
                |at: &u64| track.segments.keys().next() == Some(at) || track.discontinuities.contains(at);
            for (sequence, segment) in &track.segments {
                let tolerance = match (track.kind == first.kind, begins(sequence)) {
                    (true, _) => VIDEO_TOLERANCE_US.max(expected.cut_us),
                    (false, true) => expected.uneven_us.max(AUDIO_TOLERANCE_US + expected.cut_us),
                    (false, false) => AUDIO_TOLERANCE_US + expected.cut_us,
                };
                let other = first.segments.get(sequence).and_then(|other| other.date_us);
                if let (Some(date), Some(other)) = (segment.date_us, other)
                    && (date - other).abs() > tolerance
                {
                    findings.push(format!("{}: segment {sequence} is {} us beside", track.url, date - other));
                }
            }
        }
        findings
    }
}

fn play(url: &str, folder: &std::path::Path, deadline: Instant) -> Recording {
    let client = Client::new();
    let bound = deadline.saturating_duration_since(Instant::now());
    let listed = |answer: Answer| (answer.status == 200).then(|| answer.text());
    let ask = || {
        std::thread::sleep(ASK_EVERY);
        client.get(url).ok().and_then(listed)
    };
    let Some(text) = wait_for(bound, ask) else {
        return Recording { findings: vec![format!("{url} never answered 200")], ..Recording::default() };
    };
    let multivariant = match Multivariant::parse(&text) {
        Ok(multivariant) => multivariant,
        Err(error) => return Recording { findings: vec![format!("{url}: {error}")], ..Recording::default() },
    };
    let followers = media_playlists(&multivariant).into_iter().enumerate().map(|(at, (kind, uri))| {
        let file = folder.join(format!("{at}.mp4"));
        let follower = Follower::new(kind, resolve(url, &uri), file);
        std::thread::spawn(move || follower.follow(deadline))
    });
    let threads: Vec<JoinHandle<Track>> = followers.collect();
    let tracks =
        threads.into_iter().map(|thread| thread.join().expect("a follower does not panic")).collect();
    Recording { tracks, findings: check(&multivariant) }
}

/// The media playlists of a multivariant one: its variants, and their group of sound.
fn media_playlists(multivariant: &Multivariant) -> Vec<(Kind, String)> {
    let variants = multivariant.variants.iter().map(|(uri, attributes)| (kind_of(attributes), uri.clone()));
    let mut playlists: Vec<(Kind, String)> = variants.collect();
    for uri in multivariant.media.iter().filter_map(|media| media.get("URI")) {
        // A variant of sound alone may be the group too.
        if playlists.iter().all(|(_, known)| known != uri) {
            playlists.push((Kind::Audio, uri.clone()));
        }
    }
    playlists
}

/// A variant that says neither how large nor how fast its pictures are has none.
fn kind_of(variant: &Attributes) -> Kind {
    let has_pictures = ["RESOLUTION", "FRAME-RATE"].iter().any(|name| variant.contains_key(*name));
    if has_pictures { Kind::Video } else { Kind::Audio }
}

/// What DESIGN promises of every multivariant playlist.
fn check(multivariant: &Multivariant) -> Vec<String> {
    let mut findings = Vec::new();
    if !multivariant.independent_segments {
        findings.push("no EXT-X-INDEPENDENT-SEGMENTS".to_owned());
    }
    for (uri, attributes) in &multivariant.variants {
        let mut needed = vec!["BANDWIDTH", "CODECS"];
        if kind_of(attributes) == Kind::Video {
            needed.extend(["RESOLUTION", "FRAME-RATE"]);
            needed.extend((!multivariant.media.is_empty()).then_some("AUDIO"));
        }
        for name in needed {
            if attributes.get(name).is_none_or(|value| value.is_empty() || value == "0") {
                findings.push(format!("variant {uri} has no {name}"));
            }
        }
        let group = attributes.get("AUDIO");
        if group.is_some() && !multivariant.media.iter().any(|media| media.get("GROUP-ID") == group) {
            findings.push(format!("variant {uri} names the audio group {group:?}, which there is not"));
        }
    }
    findings
}
