//! One encoder's proof, carried out: an FFmpeg as an attempt starts it, the proof's input in, its output judged.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;

use super::roster::Candidate;
use crate::ffmpeg::args::Equipment;
use crate::ffmpeg::diagnosis::{self, Course, Exit};
use crate::ffmpeg::encoder::{Device, Encoder, Reordering, Usable};
use crate::ffmpeg::ladder::Latency;
use crate::ffmpeg::proof;
use crate::node::process::{Process, StartError};
use crate::node::words::LastWords;

/// How long one run may take; a GPU's driver may need seconds to load, and the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why an encoder did not prove itself.
enum Failed {
    /// FFmpeg did not come to its end.
    Run(String),
    /// What it made is wrong.
    Judged(proof::Flaw),
}

impl Failed {
    fn into_text(self) -> String {
        match self {
            Self::Run(text) => text,
            Self::Judged(flaw) => flaw.to_string(),
        }
    }
}

/// Has an encoder prove itself on the first of its devices where it can.
///
/// # Errors
/// In a line, why it could not on the last of them.
pub(super) async fn prove(ffmpeg: &Path, cores: u32, candidate: &Candidate) -> Result<Usable, String> {
    let mut why = "there is no /dev/dri/renderD* here".to_owned();
    for device in &candidate.devices {
        match on_device(ffmpeg, cores, candidate.encoder, device).await {
            Ok(usable) => return Ok(usable),
            Err(failed) => why = failed.into_text(),
        }
    }
    Err(why)
}

/// Proves both latencies. Where the pictures or times come out wrong with B-frames, it may go without.
async fn on_device(ffmpeg: &Path, cores: u32, encoder: Encoder, device: &Device) -> Result<Usable, Failed> {
    let with = |reordering| Usable { encoder, device: device.clone(), reordering };
    let mut usable = with(if encoder.reorders() { Reordering::BFrames } else { Reordering::None });
    match run(ffmpeg, cores, &usable, Latency::Normal).await {
        Err(Failed::Judged(flaw)) if encoder.reorders() => {
            tracing::info!(encoder = encoder.name(), ?device, %flaw, "an encoder is tried without B-frames");
            usable = with(Reordering::None);
            run(ffmpeg, cores, &usable, Latency::Normal).await?;
        }
        other => other?,
    }
    run(ffmpeg, cores, &usable, Latency::Low).await?;
    Ok(usable)
}

async fn run(ffmpeg: &Path, cores: u32, usable: &Usable, latency: Latency) -> Result<(), Failed> {
    let attempt = proof::attempt(usable.encoder, latency);
    let equipment = Equipment { encoders: vec![Some(usable.clone())], cores };
    let mut process = Process::start(ffmpeg, &attempt, &equipment)
        .map_err(|error: StartError| Failed::Run(error.to_string()))?;
    let ended = tokio::time::timeout(TIMEOUT, carry_out(&mut process)).await;
    process.end().await;
    let written = ended.unwrap_or_else(|_| Err(format!("it did not end within {TIMEOUT:?}")));
    proof::judge(usable.encoder, &written.map_err(Failed::Run)?).map_err(Failed::Judged)
}

/// Gives FFmpeg all of the input and takes all that it writes, until it has ended in order.
async fn carry_out(process: &mut Process) -> Result<Vec<u8>, String> {
    let (input, words, progress) = (process.input.take(), process.words.take(), process.progress.take());
    let output = process.outputs.pop();
    let feeding = async {
        if let Some(mut input) = input {
            // One that ends before says why in its last words.
            let _ = input.write_all(proof::INPUT).await;
        }
    };
    let listening = async {
        match words {
            Some(words) => LastWords::read(words).await.into_lines(),
            None => Vec::new(),
        }
    };
    let taking = async {
        match output {
            Some((_, pipe)) => read(pipe, proof::MAX_OUTPUT_BYTES).await,
            None => Vec::new(),
        }
    };
    let ignoring = async {
        if let Some(pipe) = progress {
            read(pipe, 1 << 20).await;
        }
    };
    let ((), lines, written, ()) = tokio::join!(feeding, listening, taking, ignoring);
    let exit = process.ended().await.map_err(|error| error.to_string())?;
    if exit == Exit::Code(0) {
        return Ok(written);
    }
    Err(diagnosis::diagnose(exit, Course::InputOpen, &lines).detail)
}

/// What a pipe gives, at most so many bytes; FFmpeg is stopped by a pipe that closes before.
async fn read(pipe: Receiver, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What is cut by an error is found out by the judge.
    let _ = pipe.take(most as u64).read_to_end(&mut bytes).await;
    bytes
}
