//! The proxy role: the front doors, the streams and the HTTP server.

pub mod api;
pub mod origin;
