//! When segments are listed, and when an undisturbed run would list them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::harness::http::Client;
use super::harness::playlist::{Media, Multivariant, resolve};
use super::harness::wait_for;

/// How often a playlist is read.
const READ_EVERY: Duration = Duration::from_millis(10);
/// A segment that is listed less than this after its time is not late: undisturbed ones differ by some milliseconds.
const LATE: Duration = Duration::from_millis(60);
/// From the last picture of a GOP until it is listed, about: faults are placed by the publisher's GOPs, not by ours.
const DELAY: Duration = Duration::from_millis(300);

/// How many segments say what the rhythm is: of late, because clocks drift.
const REMEMBERED: usize = 24;
/// The fewest of them.
const ENOUGH: usize = 3;

/// Segments by their numbers, each with when it was listed in all playlists.
type Listed = BTreeMap<u64, Vec<Instant>>;

/// A reader of a stream's playlists of pictures.
pub struct Rhythm {
    listed: Arc<Mutex<Listed>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    playlists: usize,
    gop: Duration,
}

impl Rhythm {
    pub fn listen(url: &str, gop: Duration) -> Self {
        let client = Client::new();
        let ask =
            || Multivariant::parse(&client.get(url).ok().filter(|answer| answer.status == 200)?.text()).ok();
        let multivariant = wait_for(Duration::from_secs(30), ask).expect("the stream plays");
        let urls: Vec<String> = multivariant.variants.iter().map(|(uri, _)| resolve(url, uri)).collect();
        let (listed, stop) = (Arc::<Mutex<Listed>>::default(), Arc::new(AtomicBool::new(false)));
        let playlists = urls.len();
        let threads = urls.into_iter().map(|url| {
            let (listed, stop) = (Arc::clone(&listed), Arc::clone(&stop));
            std::thread::spawn(move || read(&url, &listed, &stop))
        });
        let threads = threads.collect();
        Self { listed, stop, threads, playlists, gop }
    }

    /// When each segment was there in every playlist.
    fn times(&self) -> BTreeMap<u64, Instant> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = listed.iter().filter(|(_, times)| times.len() == self.playlists);
        whole.filter_map(|(&number, times)| Some((number, *times.iter().max()?))).collect()
    }

    /// When segment `number` is listed in an undisturbed run: the middle of what those say that were.
    fn due(&self, number: u64, times: &BTreeMap<u64, Instant>) -> Option<Instant> {
        let said = |(&of, &at): (&u64, &Instant)| {
            let steps = u32::try_from(number.abs_diff(of)).unwrap_or(0);
            if of <= number { at + self.gop * steps } else { at - self.gop * steps }
        };
        let mut said: Vec<Instant> = times.iter().rev().take(REMEMBERED).map(said).collect();
        said.sort_unstable();
        // Disturbed ones are late, so the undisturbed are the earlier half.
        said.get(said.len() / 4).copied()
    }

    /// Waits for the next segment that is in time.
    pub fn wait_for_quiet(&self) {
        let known = self.times().last_key_value().map(|(number, _)| *number);
        let quiet = || {
            let times = self.times();
            let (&last, &at) = times.last_key_value()?;
            (times.len() >= ENOUGH && Some(last) > known && at <= self.due(last, &times)? + LATE)
                .then_some(())
        };
        wait_for(self.gop * 30, quiet).expect("the stream goes on undisturbed");
    }

    /// The next moment that is so many percent into a GOP of the publisher.
    pub fn moment(&self, percent: u32) -> Instant {
        let times = self.times();
        let last = *times.last_key_value().expect("segments are listed").0;
        let due = self.due(last, &times).expect("it was listed");
        let mut at = due - DELAY + self.gop * percent / 100;
        while at < Instant::now() {
            at += self.gop;
        }
        at
    }

    /// How long after `fault` the last segment was listed that was late for it.
    pub fn recovery(&self, fault: Instant, bound: Duration) -> Option<Duration> {
        let before: BTreeMap<u64, Instant> = self.times().into_iter().filter(|(_, at)| *at < fault).collect();
        let (&last, _) = before.last_key_value()?;
        let mut recovered = Duration::ZERO;
        let mut in_time = 0;
        let mut next = last + 1;
        // Two in time, one after the other: the rhythm is as before. A GOP of 10 s leaves time enough for one.
        let enough = if self.gop > Duration::from_secs(5) { 1 } else { 2 };
        while in_time < enough {
            let at = wait_for(bound, || self.times().get(&next).copied())?;
            if at > self.due(next, &before)? + LATE {
                recovered = at.saturating_duration_since(fault);
                in_time = 0;
            } else {
                in_time += 1;
            }
            next += 1;
        }
        Some(recovered)
    }
}

fn read(url: &str, listed: &Mutex<Listed>, stop: &AtomicBool) {
    let client = Client::new();
    let mut last = None;
    while !stop.load(Ordering::Relaxed) {
        let text = client.get(url).ok().filter(|answer| answer.status == 200).map(|answer| answer.text());
        let now = Instant::now();
        if let Some(media) = text.and_then(|text| Media::parse(&text).ok()) {
            let news = media.segments.iter().map(|segment| segment.sequence).filter(|at| last < Some(*at));
            let news: Vec<u64> = news.collect();
            let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
            news.iter().for_each(|&number| listed.entry(number).or_default().push(now));
            last = last.max(news.last().copied());
        }
        std::thread::sleep(READ_EVERY);
    }
}

impl Drop for Rhythm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
