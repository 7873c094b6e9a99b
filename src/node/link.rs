//! The control connection: dial, say hello, send a heartbeat at every interval, take leases; dial again when it breaks.
//! Leases have connections of their own and go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::ability::{Ability, Proved};
use super::connection::{Connection, ConnectionError, DialError, FrameWriter, Proxy};
use super::load::Measured;
use super::slots::{Refusal, Slots};
use crate::base::clock;
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::wire::message::{CONTROL_PATH, NodeMessage, ProxyMessage};
use crate::wire::report::{Heartbeat, NodeHello};

/// The first wait before dialling again; it doubles from time to time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait. A proxy that refuses us, or that we do not trust, is asked that slowly from the first time on.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long the proxy may take to answer the hello, and a message to leave.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Heartbeat intervals that a proxy may ask for, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 20..=10_000;

/// The control side of a node.
pub(super) struct Link {
    /// Where to dial, and what to present there.
    pub(super) proxy: Proxy,
    /// Who this node is. Its capabilities are those of the start: what is said is `ability`'s.
    pub(super) hello: NodeHello,
    /// What heartbeats tell.
    pub(super) measured: Measured,
    /// What it can do now.
    pub(super) ability: Ability,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

/// What the proxy wants of its nodes.
#[derive(Clone, Copy, Debug)]
struct Welcome {
    /// How often to send a heartbeat.
    heartbeat: Duration,
    /// How far it fills a node.
    headroom: f64,
}

/// Why a control connection is over.
#[derive(Debug, thiserror::Error)]
enum ControlEnd {
    #[error("the node is stopping")]
    Stopped,
    #[error("{0}")]
    NotDialled(#[from] DialError),
    #[error("{0}")]
    Lost(#[from] ConnectionError),
    #[error("the proxy does not answer")]
    Silent,
    #[error("the proxy refuses this node ({0}): {1}")]
    Refused(Reason, String),
    #[error("the proxy says what is out of order here")]
    OutOfOrder,
}

impl ControlEnd {
    /// Why the proxy refuses this node or this node the proxy, if one does: then trying again soon would only annoy, because
    /// someone must change a token, a certificate, a version or a name first.
    fn refusal(&self) -> Option<Reason> {
        match self {
            Self::Refused(reason, _) => Some(*reason),
            Self::NotDialled(DialError::Refused { status, .. }) => match *status {
                StatusCode::UNAUTHORIZED => Some(Reason::WrongToken),
                StatusCode::UPGRADE_REQUIRED => Some(Reason::WrongVersion),
                StatusCode::CONFLICT => Some(Reason::NameTaken),
                _ => None,
            },
            Self::NotDialled(DialError::WantsTls(_)) => Some(Reason::TlsFailed),
            Self::NotDialled(DialError::Tls(error)) => error.is_lasting().then_some(Reason::TlsFailed),
            Self::Stopped | Self::NotDialled(_) | Self::Lost(_) | Self::Silent | Self::OutOfOrder => None,
        }
    }

    /// As the log and the proxy name it.
    fn reason(&self) -> Reason {
        self.refusal().unwrap_or(match self {
            Self::Stopped => Reason::Shutdown,
            Self::OutOfOrder => Reason::ProtocolViolation,
            Self::NotDialled(_) | Self::Lost(_) | Self::Silent | Self::Refused(..) => Reason::ConnectionLost,
        })
    }
}

impl Link {
    /// Keeps the node connected until it is told to stop.
    pub(super) async fn run(&self, slots: &mut Slots) {
        let mut backoff = Backoff::default();
        loop {
            let end = self.control(slots, &mut backoff).await;
            if matches!(end, ControlEnd::Stopped) {
                return;
            }
            let (proxy, reason) = (&self.proxy.address, end.reason());
            let wait = match end.refusal() {
                Some(_) => LONGEST_WAIT,
                None => backoff.next(getrandom::u32().unwrap_or_default()),
            };
            if end.refusal().is_some() {
                tracing::warn!(proxy, %reason, error = %end, retry_in = ?wait, "this node and the proxy do not agree");
            } else {
                tracing::info!(proxy, %reason, error = %end, retry_in = ?wait, "not connected to the proxy");
            }
            if self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// One connection, from the dial to its end.
    async fn control(&self, slots: &mut Slots, backoff: &mut Backoff) -> ControlEnd {
        // What changes from here on is not in the hello.
        let mut changes = self.ability.changes();
        let connecting = async {
            let mut connection = self.proxy.dial(CONTROL_PATH, None).await?;
            let welcome = self.greet(&mut connection).await?;
            Ok((connection, welcome))
        };
        match self.stop.run_until_cancelled(connecting).await {
            None => ControlEnd::Stopped,
            Some(Err(end)) => end,
            Some(Ok(((reader, writer), Welcome { heartbeat, headroom }))) => {
                *backoff = Backoff::default();
                slots.set_headroom(headroom);
                match self.serve(slots, &mut changes, &mut (reader, writer), heartbeat).await {
                    Ok(never) => match never {},
                    Err(end) => end,
                }
            }
        }
    }

    /// Says who we are and waits to be welcome.
    async fn greet(&self, (reader, writer): &mut Connection) -> Result<Welcome, ControlEnd> {
        let capabilities = self.ability.current().capabilities.clone();
        let hello = NodeHello { capabilities, ..self.hello.clone() };
        send(writer, &NodeMessage::Hello(Box::new(hello))).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, reader.next()).await;
        match answer.map_err(|_| ControlEnd::Silent)?? {
            ProxyMessage::Welcome { proxy, heartbeat_ms, headroom } => {
                tracing::info!(proxy, address = self.proxy.address, "connected to the proxy");
                let millis = heartbeat_ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
                Ok(Welcome { heartbeat: Duration::from_millis(millis), headroom })
            }
            ProxyMessage::Refused { reason, detail } => Err(ControlEnd::Refused(reason, detail)),
            ProxyMessage::Lease(_) | ProxyMessage::Prove | ProxyMessage::Cancel { .. } => {
                Err(ControlEnd::OutOfOrder)
            }
        }
    }

    /// Heartbeats up, leases down. Ends by an error only.
    async fn serve(
        &self,
        slots: &mut Slots,
        changes: &mut watch::Receiver<Arc<Proved>>,
        (reader, writer): &mut Connection,
        heartbeat: Duration,
    ) -> Result<std::convert::Infallible, ControlEnd> {
        let mut beats = tokio::time::interval(heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Told to stop, nothing else matters; leases before heartbeats, as they may wait for each other.
                biased;
                () = self.stop.cancelled() => {
                    send(writer, &NodeMessage::Leaving).await?;
                    return Err(ControlEnd::Stopped);
                }
                message = reader.next() => {
                    if let Some(answer) = self.handle(slots, message?)? {
                        send(writer, &answer).await?;
                    }
                }
                Ok(()) = changes.changed() => {
                    let capabilities = changes.borrow_and_update().capabilities.clone();
                    send(writer, &NodeMessage::Capabilities(Box::new(capabilities))).await?;
                }
                _ = beats.tick() => {
                    let beat = Heartbeat { load: self.measured.load(), leases: slots.held() };
                    slots.handle_load(&beat, clock::now());
                    send(writer, &NodeMessage::Heartbeat(beat)).await?;
                }
            }
        }
    }

    /// Does what the proxy says; the answer, where there is one.
    fn handle(&self, slots: &mut Slots, message: ProxyMessage) -> Result<Option<NodeMessage>, ControlEnd> {
        match message {
            ProxyMessage::Lease(spec) => {
                let lease = spec.lease;
                let refused = slots.take(*spec).err();
                Ok(refused.map(|Refusal { reason, detail }| NodeMessage::LeaseRefused {
                    lease,
                    reason,
                    detail,
                }))
            }
            ProxyMessage::Cancel { lease, reason } => {
                slots.stop(lease, reason);
                Ok(None)
            }
            // The answer comes when all is proved.
            ProxyMessage::Prove => {
                self.ability.prove();
                Ok(None)
            }
            ProxyMessage::Refused { reason, detail } => Err(ControlEnd::Refused(reason, detail)),
            ProxyMessage::Welcome { .. } => Err(ControlEnd::OutOfOrder),
        }
    }
}

/// Sends, or gives the connection up: a proxy that takes nothing for so long is not there.
async fn send(writer: &mut FrameWriter, message: &NodeMessage) -> Result<(), ControlEnd> {
    let sent = tokio::time::timeout(ANSWER_TIMEOUT, writer.send(message)).await;
    Ok(sent.map_err(|_| ControlEnd::Silent)??)
}

/// Waits between attempts to connect: doubled each time, and spread, so that a fleet does not return as one.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    wait: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: FIRST_WAIT }
    }
}

impl Backoff {
    /// Between half of the wait and all of it, by `random`.
    fn next(&mut self, random: u32) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread() {
        let (mut low, mut high) = (Backoff::default(), Backoff::default());
        let waits: Vec<_> =
            (0..8).map(|_| (low.next(0).as_millis(), high.next(u32::MAX).as_millis())).collect();
        let expected = [(50, 100), (100, 200), (200, 400), (400, 800), (800, 1600), (1600, 3200)];
        assert_eq!(waits[..6], expected);
        assert_eq!(waits[6..], [(2500, 5000), (2500, 5000)]);
    }

    #[test]
    fn only_what_someone_must_change_is_a_refusal() {
        let dial = |status| ControlEnd::NotDialled(DialError::Refused { status, text: String::new() });
        assert_eq!(dial(StatusCode::UNAUTHORIZED).refusal(), Some(Reason::WrongToken));
        assert_eq!(dial(StatusCode::SERVICE_UNAVAILABLE).refusal(), None);
        assert_eq!(dial(StatusCode::SERVICE_UNAVAILABLE).reason(), Reason::ConnectionLost);
        let wants_tls = ControlEnd::NotDialled(DialError::WantsTls(String::new()));
        assert_eq!((wants_tls.refusal(), wants_tls.reason()), (Some(Reason::TlsFailed), Reason::TlsFailed));
        let taken = ControlEnd::Refused(Reason::NameTaken, String::new());
        assert_eq!(taken.refusal(), Some(Reason::NameTaken));
        assert_eq!(ControlEnd::Silent.refusal(), None);
    }
}
