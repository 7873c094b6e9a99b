//! Reads `/api/v1/stats`, once or all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::Client;
use super::server::Server;
use super::wait_for;

/// A reader of one server's stats.
#[derive(Clone)]
pub struct Stats {
    client: Client,
    url: String,
}

impl Stats {
    pub fn of(server: &Server) -> Self {
        Self { client: Client::new(), url: server.http_url("/api/v1/stats") }
    }

    /// All of it; `None` if it cannot be had.
    pub fn read(&self) -> Option<Value> {
        let answer = self.client.get(&self.url).ok()?;
        (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok())?
    }

    /// The entry of `TENANT/STREAM` under `streams`.
    pub fn stream(&self, stream: &str) -> Option<Value> {
        find_stream(&self.read()?, stream)
    }

    /// Waits until `count` nodes are alive. Each has its encoders proved first, on a machine that may be busy with other tests.
    #[track_caller]
    pub fn wait_for_nodes(&self, count: u64) {
        let alive = |stats: Value| (stats["fleet"]["alive"].as_u64() >= Some(count)).then_some(());
        let found = wait_for(Duration::from_secs(90), || self.read().and_then(alive));
        assert!(
            found.is_some(),
            "{count} nodes should be alive: {:?}",
            self.read().map(|stats| stats["fleet"].clone())
        );
    }

    /// The name of the node that carries `stream`, which `streams[].node` gives by name or by id.
    pub fn carrier(&self, stream: &str) -> Option<String> {
        let stats = self.read()?;
        let carrier = find_stream(&stats, stream)?["node"].as_str()?.to_owned();
        let nodes = stats["nodes"].as_array()?;
        let node = nodes.iter().find(|node| node["name"] == *carrier || node["id"] == *carrier)?;
        Some(node["name"].as_str()?.to_owned())
    }
}

/// The entry of `TENANT/STREAM` in one answer.
pub fn find_stream(stats: &Value, stream: &str) -> Option<Value> {
    let (tenant, name) = stream.split_once('/')?;
    let streams = stats["streams"].as_array()?;
    streams.iter().find(|entry| entry["tenant"] == tenant && entry["name"] == name).cloned()
}

/// Keeps the last entry of a stream, which is gone when the stream is.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    last: Option<Value>,
    first_frame: Option<Instant>,
    first_commit: Option<Instant>,
}

impl Seen {
    fn note(&mut self, entry: Value) {
        let is_some = |count: &Value| count.as_u64() > Some(0);
        if is_some(&entry["source"]["frames"]) {
            self.first_frame.get_or_insert_with(Instant::now);
        }
        if is_some(&entry["committed"]["fragments"]) || is_some(&entry["committed"]["frames"]) {
            self.first_commit.get_or_insert_with(Instant::now);
        }
        self.last = Some(entry);
    }
}

impl Watch {
    /// Reads every 100 ms in a thread of its own.
    pub fn start(stats: Stats, stream: &str) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (stream, kept, stopped) = (stream.to_owned(), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(entry) = stats.stream(&stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).note(entry);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// The last entry seen.
    pub fn last(&self) -> Option<Value> {
        self.look(|seen| seen.last.clone())
    }

    /// When the source's first frame was seen there, to 100 ms.
    pub fn first_frame(&self) -> Option<Instant> {
        self.look(|seen| seen.first_frame)
    }

    /// When the first committed output was seen there, to 100 ms.
    pub fn first_commit(&self) -> Option<Instant> {
        self.look(|seen| seen.first_commit)
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is wrong with the counters of a stream of which nothing may be lost.
pub fn judge_counters(entry: Option<&Value>) -> Vec<String> {
    let Some(entry) = entry else { return vec!["the stream was never in stats".to_owned()] };
    let wrong = |name: &&str| entry[*name].as_u64() != Some(0);
    let counters = ["frames_lost", "frames_duplicated", "frames_undecodable"];
    counters.into_iter().filter(wrong).map(|name| format!("{name} is {}", entry[name])).collect()
}
