//! What a test logs, to be looked at.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;

thread_local! {
    /// Where this thread's lines go.
    static WRITTEN: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// The lines of this thread, from where it is made until it is dropped. A test's tasks run on its thread unless it asks for
/// more of them.
pub(crate) struct Captured {
    written: Written,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to whoever captures on this thread.
struct ToThread;

impl MakeWriter<'_> for ToThread {
    type Writer = Written;

    fn make_writer(&self) -> Written {
        WRITTEN.with_borrow(|written| written.clone().unwrap_or_default())
    }
}

impl Captured {
    /// Lines of INFO and above, without colours.
    pub(crate) fn start() -> Self {
        static SUBSCRIBER: Once = Once::new();
        // One for the whole process: whether a line is of interest is remembered for all threads, and one that was first
        // reached on a thread without a subscriber would be of interest to none.
        SUBSCRIBER.call_once(|| {
            let captures = dynamic_filter_fn(|_, _| WRITTEN.with_borrow(Option::is_some));
            let lines = fmt::layer().with_ansi(false).with_writer(ToThread);
            let lines = lines
                .with_filter(captures.with_max_level_hint(LevelFilter::INFO))
                .with_filter(LevelFilter::INFO);
            let subscriber = tracing_subscriber::registry().with(lines);
            tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
        });
        let written = Written::default();
        WRITTEN.set(Some(written.clone()));
        Self { written }
    }

    /// All lines until now.
    pub(crate) fn text(&self) -> String {
        self.written.text()
    }

    /// The first line that has all of these, as soon as there is one.
    pub(crate) async fn line(&self, parts: &[&str]) -> String {
        let found = async {
            loop {
                let text = self.written.text();
                if let Some(line) = text.lines().find(|line| parts.iter().all(|part| line.contains(part))) {
                    return line.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), found).await;
        waited.unwrap_or_else(|_| panic!("no line with {parts:?} in\n{}", self.written.text()))
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}
