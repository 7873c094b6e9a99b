//! What this node's FFmpeg can do, found out once at start: its version, and the encoders that really encode.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use super::process;
use crate::ffmpeg::args::Encoder;
use crate::ffmpeg::capability::{self, Carriage};
use crate::ffmpeg::diagnosis::Exit;

/// How long FFmpeg may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an encoder may take to prove itself; a GPU's driver may need seconds to load.
const PROOF_TIMEOUT: Duration = Duration::from_secs(30);

/// What FFmpeg can do here.
#[derive(Clone, Debug)]
pub(super) struct Ability {
    /// Its version as it prints it.
    pub(super) version: String,
    /// What it reads from FLV.
    pub(super) reads: Vec<Carriage>,
    /// Encoders that encoded a picture.
    pub(super) encoders: Vec<Encoder>,
}

/// Asks `ffmpeg` and has its encoders prove themselves.
///
/// # Errors
/// When it cannot be started, is no FFmpeg, or is too old.
pub(super) async fn probe(ffmpeg: &Path) -> anyhow::Result<Ability> {
    let capability::Build { version, reads } = build(ffmpeg).await?;
    let mut encoders = Vec::new();
    for &encoder in Encoder::ALL {
        if encodes(ffmpeg, encoder).await {
            encoders.push(encoder);
        } else {
            tracing::debug!(encoder = encoder.name(), "not in this FFmpeg, or it does not work here");
        }
    }
    Ok(Ability { version, reads, encoders })
}

/// Asks `ffmpeg` what it is.
///
/// # Errors
/// When it cannot be started, is no FFmpeg, or is too old.
pub(super) async fn build(ffmpeg: &Path) -> anyhow::Result<capability::Build> {
    let shown = ffmpeg.display();
    let (exit, answer) = process::answer(ffmpeg, &["-version".to_owned()], VERSION_TIMEOUT)
        .await
        .with_context(|| format!("FFmpeg ({shown}) cannot be started"))?;
    if exit != Exit::Code(0) {
        bail!("FFmpeg ({shown}) does not say its version: {exit:?}");
    }
    capability::read(&String::from_utf8_lossy(&answer))
        .with_context(|| format!("FFmpeg ({shown}) cannot be used"))
}

async fn encodes(ffmpeg: &Path, encoder: Encoder) -> bool {
    match process::answer(ffmpeg, &capability::proof(encoder), PROOF_TIMEOUT).await {
        Ok((exit, written)) => exit == Exit::Code(0) && capability::is_proven(&written),
        Err(error) => {
            tracing::debug!(encoder = encoder.name(), %error, "an encoder could not be tried");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ffmpeg_at_hand_encodes_h264() {
        let ability = probe(Path::new("ffmpeg")).await.unwrap();
        assert_eq!(ability.encoders, [Encoder::Libx264]);
        assert!(
            [Carriage::H264, Carriage::Aac, Carriage::Mp3]
                .iter()
                .all(|wanted| ability.reads.contains(wanted))
        );
    }

    #[tokio::test]
    async fn a_missing_ffmpeg_and_another_program_are_refused_clearly() {
        let missing = format!("{:#}", probe(Path::new("/nonexistent/ffmpeg")).await.unwrap_err());
        assert!(missing.starts_with("FFmpeg (/nonexistent/ffmpeg) cannot be started: "), "{missing}");
        let other = format!("{:#}", probe(Path::new("echo")).await.unwrap_err());
        assert_eq!(other, "FFmpeg (echo) cannot be used: it does not say its version as FFmpeg does");
    }
}
