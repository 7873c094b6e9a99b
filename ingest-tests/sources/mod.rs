//! The sources, by what is unusual about them.

mod audio;
mod rates;
mod row;
mod source;
