//! One lease in its slot: one FFmpeg, one connection to the proxy, and the bytes between them.
//!
//! Input waits when FFmpeg is slow: TCP then holds the proxy back, and its cursor in the GOP log tells. Output never
//! waits: every pipe is read at all times into the [`Outbox`], and when the link cannot take it the attempt ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::ability::{self, Failure};
use super::connection::{Connection, ConnectionError, FrameReader, FrameWriter, Proxy};
use super::load::Gauge;
use super::outbox::{Outbox, Waiting};
use super::output::OutputReader;
use super::process::Process;
use super::words::LastWords;
use crate::base::clock;
use crate::base::reason::Reason;
use crate::base::shutdown::CancellationToken;
use crate::base::task::Tasks;
use crate::ffmpeg::attempt::AttemptSpec;
use crate::ffmpeg::diagnosis::{self, Course, Diagnosis};
use crate::ffmpeg::progress::{ProgressReader, Report};
use crate::wire::codec::Message;
use crate::wire::message::{AttemptEnd, LEASE_PATH, LEASE_SECRET_HEADER, LeaseInput, LeaseOutput, LeaseSpec};

/// Bytes of a read from a pipe; a pipe of the system holds as many.
const READ_BYTES: usize = 64 * 1024;
/// How often the connection is looked at while FFmpeg does not take input.
const CLOSED_CHECK: Duration = Duration::from_millis(250);
/// How long FFmpeg may take nothing of its input: then it hangs. It bounds the case too that the proxy cannot be heard,
/// because what it said last stands behind input that nobody takes.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last frames may take to leave after the attempt has ended.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a lease needs of its node.
pub(super) struct Around {
    /// Where its connection goes.
    pub(super) proxy: Proxy,
    /// Where its tasks belong.
    pub(super) tasks: Tasks,
    /// What is told of it with each heartbeat.
    pub(super) gauge: Arc<Gauge>,
}

/// Runs a lease whose FFmpeg was started, until it ends or `stop` says why it shall end. Nothing of it is left then. The
/// encoders by which it failed.
pub(super) async fn run(
    spec: LeaseSpec,
    mut process: Process,
    around: Around,
    stop: oneshot::Receiver<Reason>,
) -> Vec<Failure> {
    let Around { proxy, tasks, gauge } = around;
    let begun = clock::now();
    let mut stop = std::pin::pin!(async { stop.await.unwrap_or(Reason::Shutdown) });
    let dialled = tokio::select! {
        reason = &mut stop => Err(AttemptEnd { reason, detail: String::new() }),
        dialled = proxy.dial(LEASE_PATH, Some((LEASE_SECRET_HEADER, &spec.secret))) => {
            dialled.map_err(|error| AttemptEnd { reason: Reason::ConnectionLost, detail: error.to_string() })
        }
    };
    let (end, failures) = match dialled {
        Ok(connection) => Slot::new(&spec.attempt, process, tasks, gauge).run(connection, stop).await,
        Err(end) => {
            process.end().await;
            gauge.ended();
            (end, Vec::new())
        }
    };
    let seconds = clock::now().saturating_duration_since(begun).as_secs_f64();
    tracing::info!(reason = %end.reason, detail = end.detail, seconds, "lease ended");
    failures
}

/// What is alike for the futures that move a lease's bytes.
struct Slot<'a> {
    attempt: &'a AttemptSpec,
    process: Process,
    tasks: Tasks,
    outbox: Arc<Outbox>,
    gauge: Arc<Gauge>,
    /// Encoders by which the attempt failed.
    failures: Vec<Failure>,
}

/// Whether the connection can still say how an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Whole,
    Lost,
}

/// Why FFmpeg gets no more input, other than by its end.
#[derive(Debug, thiserror::Error)]
enum SupplyError {
    #[error("{0}")]
    Lost(#[from] ConnectionError),
    #[error("FFmpeg took no input for {STALL_TIMEOUT:?}")]
    Stalled,
}

impl SupplyError {
    fn ending(&self) -> (AttemptEnd, Link) {
        let (reason, link) = match self {
            Self::Lost(_) => (Reason::ConnectionLost, Link::Lost),
            Self::Stalled => (Reason::Stalled, Link::Whole),
        };
        (AttemptEnd { reason, detail: self.to_string() }, link)
    }
}

/// How the reading of one output ended.
struct PipeEnd {
    /// Whether FFmpeg ever began it.
    begun: bool,
    /// The last fragment, to be sent if FFmpeg ended in order.
    last: Option<LeaseOutput>,
    /// What ended it before its end.
    failure: Option<AttemptEnd>,
}

impl<'a> Slot<'a> {
    fn new(attempt: &'a AttemptSpec, process: Process, tasks: Tasks, gauge: Arc<Gauge>) -> Self {
        let outbox = Arc::new(Outbox::default());
        Self { attempt, process, tasks, outbox, gauge, failures: Vec::new() }
    }

    /// Moves bytes until one of four things ends the attempt, ends FFmpeg, and says to the proxy how it went.
    async fn run(
        mut self,
        connection: Connection,
        stop: impl Future<Output = Reason>,
    ) -> (AttemptEnd, Vec<Failure>) {
        let (mut reader, writer) = connection;
        let outbox = Arc::clone(&self.outbox);
        let mut delivery = std::pin::pin!(deliver(&outbox, writer));
        let input = self.process.input.take();
        let gauge = Arc::clone(&self.gauge);
        let reading = CancellationToken::new();
        // Whether the proxy said that there is no more input.
        let input_ended = AtomicBool::new(false);
        let (end, link) = tokio::select! {
            biased;
            reason = stop => (ended(reason), Link::Whole),
            end = self.produce(&reading, &input_ended) => (end, Link::Whole),
            error = supply(&mut reader, input, &input_ended, &gauge) => error.ending(),
            result = &mut delivery => SupplyError::from(result.err().unwrap_or(ConnectionError::Closed)).ending(),
        };
        // FFmpeg gets no one to write to any more, so it cannot wait for us while it ends.
        reading.cancel();
        self.process.end().await;
        self.gauge.ended();
        if link == Link::Whole {
            let waiting = if end.reason == Reason::LinkSlow { Waiting::Discard } else { Waiting::Deliver };
            outbox.finish(LeaseOutput::Ended(end.clone()).encode().ok(), waiting);
            if tokio::time::timeout(DELIVERY_TIMEOUT, delivery).await.is_err() {
                tracing::info!("the link did not take an attempt's last frames");
            }
        }
        (end, self.failures)
    }

    /// Reads everything that FFmpeg writes until it has ended by itself, or an output fails.
    async fn produce(&mut self, reading: &CancellationToken, input_ended: &AtomicBool) -> AttemptEnd {
        let words = self.process.words.take().map(|words| self.tasks.spawn(LastWords::read(words)));
        let progress = self.process.progress.take();
        let progress = progress
            .map(|pipe| self.tasks.spawn(last_report(pipe, reading.clone(), Arc::clone(&self.gauge))));
        let ends = match self.read_outputs(reading).await {
            Ok(ends) => ends,
            Err(failure) => return failure,
        };
        let exit = match self.process.ended().await {
            Ok(exit) => exit,
            Err(error) => return AttemptEnd { reason: Reason::Internal, detail: error.to_string() },
        };
        self.gauge.ended();
        let lines = finished(words).await.unwrap_or_default().into_lines();
        let course = match (input_ended.load(Ordering::Relaxed), ends.iter().all(|end| end.begun)) {
            (false, _) => Course::InputOpen,
            (true, true) => Course::InputEnded,
            (true, false) => Course::OutputMissing,
        };
        let speed = finished(progress).await.flatten().and_then(|report| report.speed);
        tracing::debug!(?exit, ?course, speed, "FFmpeg ended");
        let Diagnosis { reason, detail } = diagnosis::diagnose(exit, course, &lines);
        if reason == Reason::EncoderUnusable {
            let fault = diagnosis::encoder_fault(&detail);
            let blamed = diagnosis::blamed(&self.process.encoders, &lines);
            let failure = |usable| Failure { on: ability::on(usable), detail: detail.clone(), fault };
            self.failures = blamed.into_iter().map(failure).collect();
        }
        if reason == Reason::Completed {
            // A GOP that FFmpeg did not end in order is no fragment: another attempt will make it whole.
            for last in ends.into_iter().filter_map(|end| end.last) {
                if let Err(failure) = push(&self.outbox, &last) {
                    return failure;
                }
            }
        }
        AttemptEnd { reason, detail }
    }

    /// Reads every output to its end, each in a task of its own: one that waits must not hold up another.
    async fn read_outputs(&mut self, reading: &CancellationToken) -> Result<Vec<PipeEnd>, AttemptEnd> {
        let outputs = std::mem::take(&mut self.process.outputs);
        // Room for all of them, so that none waits here.
        let (sender, mut receiver) = mpsc::channel(outputs.len().max(1));
        for (output, pipe) in outputs {
            let reader = OutputReader::new(output, self.attempt);
            let (outbox, gauge, sender) = (Arc::clone(&self.outbox), Arc::clone(&self.gauge), sender.clone());
            let read = reading.clone().run_until_cancelled_owned(read_output(pipe, reader, outbox, gauge));
            self.tasks.spawn(async move {
                if let Some(end) = read.await {
                    // Nobody listens any more when another output has failed before.
                    let _ = sender.send(end).await;
                }
            });
        }
        drop(sender);
        let mut ends = Vec::new();
        while let Some(end) = receiver.recv().await {
            match end.failure {
                Some(failure) => return Err(failure),
                None => ends.push(end),
            }
        }
        Ok(ends)
    }
}

/// Gives FFmpeg what the proxy sends, for as long as the connection lives and FFmpeg takes it.
async fn supply(
    reader: &mut FrameReader,
    mut input: Option<ChildStdin>,
    input_ended: &AtomicBool,
    gauge: &Gauge,
) -> SupplyError {
    loop {
        match next_input(reader, gauge).await {
            Ok(LeaseInput::Media(media)) => {
                let Some(pipe) = &mut input else { continue };
                let bytes = media.into_bytes();
                match write(pipe, bytes.clone(), reader).await {
                    Ok(Taken::All) => gauge.given(&bytes),
                    // Its exit will say why.
                    Ok(Taken::NoMore) => input = None,
                    Err(error) => return error,
                }
            }
            Ok(LeaseInput::EndOfInput) => {
                input_ended.store(true, Ordering::Relaxed);
                input = None;
            }
            Err(error) => return error.into(),
        }
    }
}

/// What the proxy sends next. The gauge hears whether it was there already, or had to be waited for.
async fn next_input(reader: &mut FrameReader, gauge: &Gauge) -> Result<LeaseInput, ConnectionError> {
    let mut next = std::pin::pin!(reader.next());
    let waiting = async {
        gauge.waiting(clock::now());
        std::future::pending::<()>().await;
    };
    let input = tokio::select! {
        biased;
        input = &mut next => input,
        // Looked at only if the first is not ready.
        () = waiting => next.await,
    };
    gauge.input(clock::now());
    input
}

/// What FFmpeg did with its input.
enum Taken {
    All,
    /// It has closed its input.
    NoMore,
}

/// Writes to FFmpeg. While it takes nothing nobody reads the connection, so that is looked at from time to time.
async fn write(pipe: &mut ChildStdin, mut bytes: Bytes, reader: &FrameReader) -> Result<Taken, SupplyError> {
    let mut waited = Duration::ZERO;
    while bytes.has_remaining() {
        match tokio::time::timeout(CLOSED_CHECK, pipe.write_buf(&mut bytes)).await {
            Ok(Ok(_)) => waited = Duration::ZERO,
            Ok(Err(_)) => return Ok(Taken::NoMore),
            Err(_) if reader.is_closed().await => return Err(ConnectionError::Closed.into()),
            Err(_) if waited >= STALL_TIMEOUT => return Err(SupplyError::Stalled),
            Err(_) => waited += CLOSED_CHECK,
        }
    }
    Ok(Taken::All)
}

/// Sends what waits until the last frame is out.
async fn deliver(outbox: &Outbox, mut writer: FrameWriter) -> Result<(), ConnectionError> {
    while let Some(frame) = outbox.next().await {
        writer.send_frame(frame).await?;
    }
    writer.finish().await
}

/// Reads one output to its end.
async fn read_output(
    mut pipe: Receiver,
    mut reader: OutputReader,
    outbox: Arc<Outbox>,
    gauge: Arc<Gauge>,
) -> PipeEnd {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = tokio::select! {
            read = pipe.read(&mut buffer) => read,
            () = clock::until(reader.progress_due()) => {
                if let Err(failure) = send_ready(&mut reader, &outbox) {
                    return failed(failure);
                }
                continue;
            }
        };
        let count = match read {
            Ok(0) => return PipeEnd { begun: reader.begun(), last: reader.finish(), failure: None },
            Ok(count) => count,
            Err(error) => return failed(AttemptEnd { reason: Reason::Internal, detail: error.to_string() }),
        };
        reader.handle_bytes(&buffer[..count]);
        if let Err(failure) = send_ready(&mut reader, &outbox) {
            return failed(failure);
        }
        if let Some((output, position)) = reader.position() {
            gauge.made(output, position);
        }
    }
}

fn failed(failure: AttemptEnd) -> PipeEnd {
    PipeEnd { begun: true, last: None, failure: Some(failure) }
}

fn send_ready(reader: &mut OutputReader, outbox: &Outbox) -> Result<(), AttemptEnd> {
    let now = clock::now();
    loop {
        match reader.next_message(now) {
            Ok(Some(message)) => push(outbox, &message)?,
            Ok(None) => return Ok(()),
            Err(error) => return Err(AttemptEnd { reason: error.reason(), detail: error.to_string() }),
        }
    }
}

fn push(outbox: &Outbox, message: &LeaseOutput) -> Result<(), AttemptEnd> {
    let frame = message
        .encode()
        .map_err(|error| AttemptEnd { reason: Reason::LimitExceeded, detail: error.to_string() })?;
    outbox.push(frame).map_err(|full| AttemptEnd { reason: Reason::LinkSlow, detail: full.to_string() })
}

/// FFmpeg's last progress report; the gauge hears each. The pipe is read to its end, so that FFmpeg never waits for us.
async fn last_report(mut pipe: Receiver, reading: CancellationToken, gauge: Arc<Gauge>) -> Option<Report> {
    let (mut reader, mut last, mut buffer) = (ProgressReader::default(), None, [0; 4096]);
    while let Some(Ok(count @ 1..)) = reading.run_until_cancelled(pipe.read(&mut buffer)).await {
        let report = reader.push(&buffer[..count]);
        if let Some(report) = &report {
            gauge.report(report, clock::now());
        }
        last = report.or(last);
    }
    last
}

/// What a task made, if it was started and did not panic.
async fn finished<T>(task: Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => None,
    }
}

fn ended(reason: Reason) -> AttemptEnd {
    AttemptEnd { reason, detail: String::new() }
}
