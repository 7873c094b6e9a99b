//! The model's file: JSON with a version. Who runs headgate may read it, edit it and throw it away, and a disk may damage it:
//! what is out of bounds is refused as a whole.

use serde::{Deserialize, Serialize};

use super::CostModel;
use super::average::{Average, Averages};
use super::key::MAX_KEY_BYTES;
use super::remembered::Remembered;

/// The version that is written and read.
const VERSION: u32 = 1;

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Another version's.
    #[error("learned costs of version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// More entries than there is room for.
    #[error("{found} entries under `{list}`, there is room for {most}")]
    TooMany {
        /// The list.
        list: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A key that none is as long as; this is its length in bytes.
    #[error("a key of {0} bytes, the longest has {MAX_KEY_BYTES}")]
    LongKey(usize),
    /// Figures that no measurement gives.
    #[error("impossible figures of `{0}`")]
    Impossible(String),
}

/// The file's content. In each list the entry that was learnt of last comes last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    version: u32,
    works: Vec<Entry>,
    encoders: Vec<Entry>,
    classes: Vec<Entry>,
}

/// What is known of one key: for each dimension the mean of measured over estimated, and how many samples it stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    of: String,
    #[serde(default, skip_serializing_if = "is_nothing")]
    cpu: Average,
    #[serde(default, skip_serializing_if = "is_nothing")]
    memory: Average,
    #[serde(default, skip_serializing_if = "is_nothing")]
    encoder: Average,
    #[serde(default, skip_serializing_if = "is_nothing")]
    decoder: Average,
    #[serde(default, skip_serializing_if = "is_nothing")]
    gpu_memory: Average,
}

fn is_nothing(average: &Average) -> bool {
    average.known().is_none()
}

impl From<CostModel> for File {
    fn from(model: CostModel) -> Self {
        let [works, encoders, classes] = [&model.works, &model.encoders, &model.classes].map(written);
        Self { version: VERSION, works, encoders, classes }
    }
}

impl TryFrom<File> for CostModel {
    type Error = FileError;

    fn try_from(file: File) -> Result<Self, FileError> {
        if file.version != VERSION {
            return Err(FileError::Version(file.version));
        }
        Ok(Self {
            works: read("works", Self::MAX_WORKS, file.works)?,
            encoders: read("encoders", Self::MAX_ENCODER_SETS, file.encoders)?,
            classes: read("classes", Self::MAX_CLASSES, file.classes)?,
            lessons: 0,
        })
    }
}

fn written(level: &Remembered) -> Vec<Entry> {
    let entry = |(key, averages): (&String, &Averages)| Entry {
        of: key.clone(),
        cpu: averages.cpu,
        memory: averages.memory,
        encoder: averages.encoder,
        decoder: averages.decoder,
        gpu_memory: averages.gpu_memory,
    };
    level.in_order().into_iter().map(entry).collect()
}

/// A key that comes twice is known as it is said last.
fn read(list: &'static str, most: usize, entries: Vec<Entry>) -> Result<Remembered, FileError> {
    let found = entries.len();
    if found > most {
        return Err(FileError::TooMany { list, found, most });
    }
    let mut level = Remembered::new(most);
    for Entry { of, cpu, memory, encoder, decoder, gpu_memory } in entries {
        if of.len() > MAX_KEY_BYTES {
            return Err(FileError::LongKey(of.len()));
        }
        if ![cpu, memory, encoder, decoder, gpu_memory].into_iter().all(Average::is_sound) {
            return Err(FileError::Impossible(of));
        }
        level.insert(&of, Averages { cpu, memory, encoder, decoder, gpu_memory });
    }
    Ok(level)
}

#[cfg(test)]
mod tests;
