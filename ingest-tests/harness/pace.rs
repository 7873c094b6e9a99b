//! Publishes tags by hand at their times: what encoders at hand would not send, as fast as an encoder would send it.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::Tag;
use super::rtmp::{Client, Message, Style, chunks_of};

/// How a take ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With `deleteStream`, as FFmpeg does.
    Orderly,
    /// The connection is reset.
    Reset,
}

/// A tag, and when it is sent after the beginning of the first take.
#[derive(Clone, Debug)]
pub struct Timed {
    pub at: Duration,
    pub tag: Tag,
}

/// What is published on one connection.
#[derive(Clone, Debug)]
pub struct Take {
    pub tags: Vec<Timed>,
    pub end: End,
}

/// What a publisher by hand did.
#[derive(Clone, Debug)]
pub struct Published {
    /// When the first key frame was sent.
    pub first_key_frame: Option<Instant>,
    /// When the end was told.
    pub ended_at: Instant,
    /// What went wrong.
    pub findings: Vec<String>,
}

/// Publishes takes one after the other in a thread of its own.
pub fn publish(takes: Vec<Take>, address: String, name: String) -> JoinHandle<Published> {
    std::thread::spawn(move || {
        let started = Instant::now();
        let mut published = Published { first_key_frame: None, ended_at: started, findings: Vec::new() };
        for take in &takes {
            if let Err(error) = send(take, started, (&address, &name), &mut published) {
                published.findings.push(format!("publishing by hand: {error}"));
            }
        }
        published
    })
}

fn send(
    take: &Take,
    started: Instant,
    (address, name): (&str, &str),
    published: &mut Published,
) -> std::io::Result<()> {
    let wait_until = |at: Duration| std::thread::sleep(at.saturating_sub(started.elapsed()));
    wait_until(take.tags.first().map_or(Duration::ZERO, |first| first.at));
    let mut client = Client::open(address, Style::default());
    client.publish("live", name);
    for Timed { at, tag } in &take.tags {
        wait_until(*at);
        client.send(chunks_of(tag), &Message::of_tag(tag, 0))?;
        if tag.is_key_frame() {
            published.first_key_frame.get_or_insert_with(Instant::now);
        }
    }
    published.ended_at = Instant::now();
    match take.end {
        End::Orderly => client.finish(),
        End::Reset => client.reset(),
    }
    Ok(())
}
