//! The file in which the proxy keeps what it has learnt of costs ([`CostModel`]): read at start, written at most once a minute
//! when something was learnt, and at the end. One that cannot be read is kept aside and begun anew; without a place to write
//! to the proxy goes on without. It costs nothing but learning again.
//!
//! Writing is done by a thread of its own: a disk that hangs stops neither dispatch nor the process.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::base::task;
use crate::placement::cost::CostModel;

/// The shortest time between two saves.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// How long the last save may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest file that is read, in bytes: as many entries as a model has, each with the longest key, are below.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Saves that wait for the disk. When there is one already, the next is left out: it comes again in a minute.
const QUEUE_CAPACITY: usize = 1;

/// Looks after the file.
#[derive(Debug)]
pub(super) struct Learned {
    /// `None` where nothing is kept.
    saves: Option<SyncSender<Save>>,
    /// How much the model had learnt when it was last saved.
    saved: u64,
    due: Instant,
}

/// One order to write.
#[derive(Debug)]
struct Save {
    costs: CostModel,
    /// Told when it is done, whatever came of it.
    done: Option<oneshot::Sender<()>>,
}

/// Why a file is not taken, and whether it is moved out of the way.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    /// A folder or a device: a slip in the configuration, and nothing of ours to be moved.
    #[error("it is no regular file")]
    NoFile,
    /// More than [`MAX_FILE_BYTES`].
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// The system's.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No model.
    #[error("{0}")]
    Broken(#[from] serde_json::Error),
}

impl Learned {
    /// Reads what was learnt before. Without a `file` nothing is kept. Waits for the disk, so it is called before dispatch
    /// runs.
    pub(super) fn open(file: Option<PathBuf>, now: Instant) -> (CostModel, Self) {
        let nothing = Self { saves: None, saved: 0, due: now };
        let Some(file) = file else { return (CostModel::default(), nothing) };
        let Some(costs) = load_or_begin(&file) else { return (CostModel::default(), nothing) };
        let (saves, orders) = sync_channel(QUEUE_CAPACITY);
        match task::detach("learned", move || write_all(&file, &orders)) {
            Ok(()) => {
                (costs.clone(), Self { saves: Some(saves), saved: costs.lessons(), due: now + SAVE_INTERVAL })
            }
            Err(error) => {
                warn!(%error, "what is learnt of costs is not kept: no thread to write it");
                (costs, nothing)
            }
        }
    }

    /// Saves the model if it has changed and the last time is long enough ago. Never waits.
    pub(super) fn save(&mut self, costs: &CostModel, now: Instant) {
        if self.next_deadline(costs).is_some_and(|due| due <= now) {
            self.due = now + SAVE_INTERVAL;
            self.order(costs, None);
        }
    }

    /// When [`Learned::save`] has something to do next.
    pub(super) fn next_deadline(&self, costs: &CostModel) -> Option<Instant> {
        (self.saves.is_some() && self.saved != costs.lessons()).then_some(self.due)
    }

    /// Saves what has changed since and waits for it, but not for long.
    pub(super) async fn finish(mut self, costs: &CostModel) {
        if self.next_deadline(costs).is_none() {
            return;
        }
        let (done, is_done) = oneshot::channel();
        self.order(costs, Some(done));
        // An answer that never comes is no better than a late one: the queue was full, because the disk hangs.
        if !matches!(tokio::time::timeout(FINISH_TIMEOUT, is_done).await, Ok(Ok(()))) {
            warn!("what was learnt of costs last was not written in time");
        }
    }

    /// Hands a copy of the model to the thread, if there is room in its queue; otherwise it counts as not saved.
    fn order(&mut self, costs: &CostModel, done: Option<oneshot::Sender<()>>) {
        let Some(saves) = &self.saves else { return };
        if saves.try_send(Save { costs: costs.clone(), done }).is_ok() {
            self.saved = costs.lessons();
        }
    }
}

/// The thread: writes what it is told to until nobody can tell it any more. A failure is told once, until it is over.
fn write_all(file: &Path, orders: &Receiver<Save>) {
    let mut failing = false;
    while let Ok(Save { costs, done }) = orders.recv() {
        let written = write(file, &costs);
        match (&written, failing) {
            (Ok(()), false) => debug!(file = %file.display(), "learned costs written"),
            (Ok(()), true) => info!(file = %file.display(), "learned costs are written again"),
            (Err(error), false) => warn!(file = %file.display(), %error, "learned costs cannot be written"),
            (Err(error), true) => {
                debug!(file = %file.display(), %error, "learned costs still cannot be written")
            }
        }
        failing = written.is_err();
        if let Some(done) = done {
            // Whoever waited may have given up.
            let _ = done.send(());
        }
    }
}

/// Writes the whole model beside the file and puts it in its place, so that there is a whole one at any time.
fn write(file: &Path, costs: &CostModel) -> io::Result<()> {
    let text = serde_json::to_vec(costs)?;
    // Two proxies may share a file by mistake; they do not share what they are writing.
    let new = beside(file, &format!("{}.new", std::process::id()));
    let written = write_new(&new, &text).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // What is half written is of no use to anyone.
        let _ = fs::remove_file(&new);
        return written;
    }
    // The new name must be on the disk too, or a power cut brings the old file back.
    File::open(folder(file))?.sync_all()
}

/// Writes and waits until it is on the disk: renamed before that, a power cut could leave an empty file.
fn write_new(new: &Path, text: &[u8]) -> io::Result<()> {
    let mut out = File::create(new)?;
    out.write_all(text)?;
    out.sync_all()
}

/// What the file says, or an empty model; `None` where there is no place for one.
fn load_or_begin(file: &Path) -> Option<CostModel> {
    let error = match load(file) {
        Ok(costs) => return Some(costs),
        Err(LoadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::create_dir_all(folder(file)) {
                Ok(()) => Some(CostModel::default()),
                Err(error) => {
                    let file = file.display();
                    warn!(%file, %error, "what is learnt of costs is not kept: its folder cannot be made");
                    None
                }
            };
        }
        Err(error) => error,
    };
    let aside = beside(file, "broken");
    let moved = match error {
        LoadError::NoFile => Err(io::ErrorKind::InvalidInput.into()),
        LoadError::TooLarge | LoadError::Io(_) | LoadError::Broken(_) => fs::rename(file, &aside),
    };
    match moved {
        Ok(()) => {
            let (file, aside) = (file.display(), aside.display());
            warn!(%file, %error, kept = %aside, "learned costs cannot be read and are learnt anew");
            Some(CostModel::default())
        }
        Err(_) => {
            warn!(file = %file.display(), %error, "learned costs can neither be read nor put aside, and are not kept");
            None
        }
    }
}

/// What the file says, within bounds.
fn load(file: &Path) -> Result<CostModel, LoadError> {
    // Asked first: opening a pipe would wait for its writer.
    if !fs::metadata(file)?.is_file() {
        return Err(LoadError::NoFile);
    }
    let mut text = Vec::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge);
    }
    Ok(serde_json::from_slice(&text)?)
}

/// A file in the same folder: `costs.json.broken`.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// The folder that the file is in; a bare name is in the working folder.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
