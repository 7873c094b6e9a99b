//! Many publishers on a few threads, each paced by the clock as an encoder is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clip::{self, Clip, Unit};
use super::rtmp;

const THREADS: usize = 4;
/// How often a thread looks what is due.
const TICK: Duration = Duration::from_millis(4);

/// Publishers that have been accepted and have sent nothing.
pub struct Publishers {
    sockets: Vec<TcpStream>,
}

/// Publishers that send.
pub struct Running {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// One publisher's place in the clip.
struct Publisher {
    socket: TcpStream,
    /// When its clip begins: publishers are spread over one picture's time, and their GOPs over all of a GOP.
    begun: Instant,
    next: usize,
    rounds: u32,
}

impl Publishers {
    /// Publishes `live/p0` and so on.
    pub fn connect(server: SocketAddr, count: usize) -> Self {
        let publish = |number| rtmp::publish(server, "live", &format!("p{number}"));
        Self { sockets: (0..count).map(publish).collect() }
    }

    pub fn start(self, clip: &Clip) -> Running {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let now = Instant::now();
        let spread = Duration::from_secs(2) / u32::try_from(self.sockets.len()).expect("some hundreds");
        let mut shares: Vec<Vec<Publisher>> = (0..THREADS).map(|_| Vec::new()).collect();
        for (number, mut socket) in (0..).zip(self.sockets) {
            socket.write_all(&clip.first).expect("the server reads");
            let publisher = Publisher { socket, begun: now + spread * number, next: 0, rounds: 0 };
            shares[number as usize % THREADS].push(publisher);
        }
        let start = |mut share: Vec<Publisher>| {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            let (bytes, units) = (clip.bytes(), clip.units());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for publisher in &mut share {
                        sent.fetch_add(publisher.send_due(&bytes, &units), Ordering::Relaxed);
                    }
                    std::thread::sleep(TICK);
                }
            })
        };
        let threads = shares.into_iter().map(start).collect();
        Running { sent, stop, threads }
    }
}

impl Running {
    /// What all of them have sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no publisher was cut off");
        }
    }
}

impl Publisher {
    /// Sends what is due by now. A server that cannot keep up slows its publishers down: what counts is what it takes.
    fn send_due(&mut self, bytes: &[u8], units: &[Unit]) -> u64 {
        let mut sent = 0;
        while self.begun + clip::LENGTH * self.rounds + units[self.next].due <= Instant::now() {
            let message = &bytes[units[self.next].bytes.clone()];
            self.socket.write_all(message).expect("the server takes what it accepted to take");
            sent += message.len() as u64;
            self.next += 1;
            if self.next == units.len() {
                self.next = 0;
                self.rounds += 1;
                self.drop_answers();
            }
        }
        sent
    }

    /// Acknowledgements, a few bytes now and then: they would fill the socket in the end.
    fn drop_answers(&mut self) {
        let mut buffer = [0; 4096];
        self.socket.set_nonblocking(true).expect("a socket of ours");
        while matches!(self.socket.read(&mut buffer), Ok(read) if read > 0) {}
        self.socket.set_nonblocking(false).expect("a socket of ours");
    }
}
