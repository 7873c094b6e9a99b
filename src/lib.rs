//! headgate: a live-ingest media proxy and FFmpeg load balancer.
//!
//! Encoders publish to a **proxy**. It keeps each stream's last GOPs, has an FFmpeg on some **node** transcode them, and
//! commits what comes back exactly once. When a node dies, another one goes on from the GOP log: no frame is lost and
//! none is shown twice.
//!
//! # The rooms
//!
//! | room | what it is | may import |
//! |---|---|---|
//! | [`base`] | names, units, reasons, secrets; the only places that read the clock and that spawn; sockets with TLS or without | nothing of ours |
//! | *decide* | no tokio, no I/O, no clock: `now` is an argument | |
//! | [`media`] | access units, the GOP log, time, FLV and its AMF0, fragmented MP4, codec configurations | `base` |
//! | [`rtmp`] | a publisher's RTMP connection: bytes in; bytes, requests and media out | `base`, `media` |
//! | [`ffmpeg`] | the ladder, FFmpeg's arguments, what its progress and last words mean | `base`, `media` |
//! | [`wire`] | what proxy and node say to each other | `base`, `media`, `ffmpeg` |
//! | [`placement`] | the fleet's membership, and **which node gets a stream** ([`placement::place`]) | `base`, `ffmpeg`, `wire` |
//! | [`stream`] | the life of one live stream: takes, attempts, commits, failover | `base`, `media`, `ffmpeg`, `wire` |
//! | [`hls`] | committed media becomes segments and playlists | `base`, `media`, `ffmpeg`, `wire` |
//! | *act* | thin loops around the above | |
//! | [`proxy`] | front doors, stream tasks, fleet link, origin, API | everything but `node`, `cmd` |
//! | [`node`] | its link, its slots, its FFmpeg processes | everything but `proxy`, `cmd`, `config` |
//! | [`config`], [`cli`], [`cmd`] | what is configured, what is asked for, a file for each subcommand | compose |
//!
//! `proxy` and `node` never import each other: they meet in `wire`. There are no cycles. The test `tidy` keeps all this.
//!
//! # One access unit's walk
//!
//! 1. `proxy::ingest::rtmp` reads bytes from an encoder, with TLS or without, into a buffer that its thread's connections
//!    share, and gives them to [`rtmp::Session`], which answers with an FLV tag.
//! 2. `proxy::stream::task` hands the tag to [`stream::Stream`]. [`stream::take`] puts it on the stream's timeline, as a
//!    [`media::access_unit::AccessUnit`], and it enters the [`media::gop::GopLog`].
//! 3. The stream wants an attempt: `proxy::fleet` asks [`placement::place`] for a node and offers it the lease. The node
//!    (`node::slot`) dials back and starts FFmpeg (`node::process`, [`ffmpeg::args`]).
//! 4. [`stream::attempt`] reads the log at its cursor and feeds the tag over the lease's connection into FFmpeg's input.
//! 5. The node reads FFmpeg's pipes ([`media::fmp4`]), cuts fragments at random access points ([`media::fragmenter`])
//!    and sends them back.
//! 6. [`stream::commit`] accepts what continues the committed output and discards what is there already. The GOPs that
//!    every output has leave the log ([`stream::resume`]).
//! 7. [`hls::Window`] makes segments of it, and `proxy::origin` serves them to players.
//!
//! # Where is it decided ...
//!
//! * *which node gets a stream*, and which encoder on which GPU makes each rendition there: [`placement::place`]; *what of a
//!   node is free*: [`placement::room`]
//! * *what a stream will need*: [`placement::cost`], from what [`stream::source`] knows of it; `proxy::fleet::learned` keeps
//!   what was learnt
//! * *whose stream gets room when it is short*, and what a tenant may have: [`placement::tenancy`]
//! * *what happens to the GOP log when a node dies*: [`stream::resume`] says where the next attempt begins;
//!   [`stream::delivery`] starts it; the log itself does not notice
//! * *how an encoder is run*: [`ffmpeg::args`]; *where one is added*: a row of [`ffmpeg::encoder`]; *whether it works on a
//!   node*: [`ffmpeg::proof`] judges, `node::ability` has it proved; *where a codec is added*:
//!   [`media::track`] names it, [`media::flv`] recognises it, [`media::video`] or [`media::audio`] reads its configuration,
//!   [`ffmpeg::capability`] says which FFmpeg reads it, [`media::fmp4`] boxes it
//! * *which node may join, and which proxy a node believes*: `proxy::fleet::admission` by token and version,
//!   [`placement::fleet`] by name, `node::tls` by certificate; *what an operator may order, and from where*: [`proxy::api::guard`]
//! * *when an attempt is suspected*: [`stream::pulse`] says what it owes, [`stream::patience`] how long it may; *which attempts
//!   run beside each other, and which one is ended*: `stream::delivery::attempts`; *which one keeps up*: [`stream::pace`]
//! * *when a failing stream is held back*: [`stream::backoff`]
//! * *what is counted as lost*: [`stream::commit::Ledger`]
//! * *what a stranger may cost, and who is let in*: [`rtmp::session::Limits`] for one connection, `proxy::ingest::limits` and
//!   `proxy::ingest::admission` for all of them
//! * *which of several tracks is taken*: `stream::take::selection`; *which FFmpeg reads a codec*: [`ffmpeg::capability`]
//!
//! # What experience changed in the design
//!
//! * An encoder proves itself by a whole attempt over 90 pictures with times of no frame rate and with scene cuts. One whose times
//!   come out wrong with B-frames alone goes without them. `libopenh264` begins GOPs at scene cuts of its own, which no option
//!   stops; they are accepted, because they depend on the source's pictures alone ([`ffmpeg::encoder`]).
//! * An encoder that fails under an attempt for a reason that may be the stream's is proved before it is taken off
//!   (`node::ability`): a publisher must not be able to take encoders off a fleet.
//! * A *section* ([`stream::section`]) is a stretch of a take with one codec configuration. Sections are put out one after
//!   the other, each by attempts of its own; so a late track or a new resolution is a new section.
//! * A fragment of one picture does not join the next one: in a source of random access points only, pairs would depend on
//!   where an attempt began, and two attempts would not agree on positions.
//! * What FFmpeg reads is not always what the encoder sent: of several tracks in a message the followed one's share is
//!   written as a body of its own, and H.264, AAC and MP3 that Enhanced RTMP names by a FourCC are written as FLV 10.1
//!   has them ([`media::flv::tracks()`]), so that every FFmpeg reads them. Where an intra refresh begins, an attempt that has
//!   read a GOP before is told that all is whole there (`media::h264::refresh`). All other bodies are carried untouched.
//! * `audio = "copy"` copies AAC. Any other audio is encoded to AAC ([`ffmpeg::ladder`]), because HLS players play little else.
//! * Audio alone is a stream too: its sections have no video, a GOP of it is a second, and its playlists are cut at its own
//!   access units ([`stream::take`], [`hls::Window`]). Video that shows later is a new section.
//! * `takeover = "refuse"` keeps a stream for a publisher that sends: one that has been silent for 3 s is replaced, or an
//!   encoder whose connection hangs could not come back.
//! * The sender's clock is not believed (`stream::take::clock`): a step that neither the other track nor the time of
//!   arrival explains is a jump and moves both tracks, no two pictures are shown at one time, and sound
//!   is laid end to end by its samples, which stamps only correct.
//! * FFmpeg's time zero is a multiple of 1001 s ([`ffmpeg::attempt::BASE_SECONDS`]): the grids of frame rates and of samples
//!   are the timeline's own, in every attempt. Encoded audio begins on the grid of the source's samples (`ffmpeg::filters`),
//!   so it is the same to the sample wherever an attempt begins.
//! * What FFmpeg holds back of audio that pauses is given to the next attempt again ([`stream::unheard`]).
//! * Whether audio has fallen silent is judged by the source ([`stream::delivery`]), not by how far its output is behind.
//! * Suspicion is not of silence but of a debt: the oldest input without an answer, for each rendition. A publisher that pauses,
//!   or a frame rate of 1, is no fault of a node. How long an answer may take is what TCP grants (RFC 6298: mean and four
//!   deviations, of this stream's own answers), and `suspect_after` at least.
//! * Where two attempts run, audio is taken from one of them as long as that one brings it: encoded access units overlap with
//!   the ones before, so those of two encoders do not go side by side.
//! * A second attempt starts only where it continues the committed output: one that began later would win a gap.
//! * Failures are remembered by time and by node ([`stream::backoff`]), not only counted until the next commit, and no wait
//!   is longer than a sixth of what the GOP log holds.

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
