//! Reads `/api/v1/stats`, once or all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

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

    /// Waits until `count` nodes are alive.
    #[track_caller]
    pub fn wait_for_nodes(&self, count: u64) {
        let alive = |stats: Value| (stats["fleet"]["alive"].as_u64() >= Some(count)).then_some(());
        let found = wait_for(Duration::from_secs(30), || self.read().and_then(alive));
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
    last: Arc<Mutex<Option<Value>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Reads every 100 ms in a thread of its own.
    pub fn start(stats: Stats, stream: &str) -> Self {
        let (last, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (stream, kept, stopped) = (stream.to_owned(), Arc::clone(&last), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(entry) = stats.stream(&stream) {
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { last, stop, thread: Some(thread) }
    }

    /// The last entry seen.
    pub fn last(&self) -> Option<Value> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
