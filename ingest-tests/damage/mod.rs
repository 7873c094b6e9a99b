//! What the test of damaged input has of its own: its sources, and how what comes out of them is judged.

pub mod source;
pub mod verdict;
