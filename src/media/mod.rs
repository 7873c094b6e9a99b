//! Media: what a publisher's bytes mean, and the boxes that players read. Pure: no I/O, no clock.

pub mod aac;
pub mod ac3;
pub mod access_unit;
pub mod amf0;
pub mod audio;
pub mod av1;
pub mod bits;
pub mod flac;
pub mod flv;
pub mod fmp4;
pub mod fragment;
pub mod fragmenter;
pub mod gop;
pub mod h264;
pub mod hevc;
pub mod mp3;
pub mod nal;
pub mod opus;
pub mod time;
pub mod track;
pub mod video;
pub mod vp9;
