//! Media: what a publisher's bytes mean, and the boxes that players read. Pure: no I/O, no clock.

pub mod aac;
pub mod access_unit;
pub mod audio;
pub mod flv;
pub mod fmp4;
pub mod fragment;
pub mod fragmenter;
pub mod gop;
pub mod h264;
pub mod mp3;
pub mod time;
pub mod track;
pub mod video;
