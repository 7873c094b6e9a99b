//! Every shape of source comes out right: a table of which each row is a source, the FFmpeg of the nodes, and a fault. Each test
//! is one source and runs its rows at once; each row says its figures:
//!
//! ```text
//! cargo test --test source_test -- --nocapture | grep '^row'
//! ```

mod harness;
mod sources;
