//! headgate: a live-ingest media proxy and FFmpeg load balancer.

pub mod base;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod ffmpeg;
pub mod hls;
pub mod media;
pub mod node;
pub mod placement;
pub mod proxy;
pub mod rtmp;
pub mod stream;
pub mod wire;
