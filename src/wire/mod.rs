//! What proxy and node say to each other. The two never import each other; they meet here.
//!
//! A connection to the fleet port begins as an HTTP/1.1 upgrade (`GET /fleet/v1/control` or `/fleet/v1/lease`), so that
//! a wrong token or version is refused with a status and a text. From then on both sides send frames ([`codec`]) that
//! carry [`message`]s. What a node says of itself is in [`report`], what an attempt needs of it in [`cost`].

pub mod codec;
pub mod cost;
pub mod message;
pub mod report;
