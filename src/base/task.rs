//! The only place that spawns. Every task belongs to a group, and a group can be waited for.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// A group of tasks. Cheap to clone; all clones are the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `future` as a task of this group. A panic in it ends that task alone.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Runs `work` on a thread for what may block, as a task of this group. It must end by itself: nothing can cancel it,
    /// and the group and the runtime wait for it.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.tracker.spawn_blocking(work)
    }

    /// Waits until every task of the group has ended. Nothing may be spawned afterwards.
    pub async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How many tasks are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }
}

/// Runs `work` on a thread of its own that nobody waits for and that ends with the process: for calls of a foreign library
/// that may never return.
///
/// # Errors
/// When the system has no room for another thread.
pub fn detach(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_is_finished_when_all_its_tasks_are() {
        let tasks = Tasks::new();
        let (release, released) = tokio::sync::oneshot::channel();
        let task = tasks.clone().spawn(async { released.await.unwrap_or(0) });
        assert_eq!(tasks.running(), 1);
        let finished = tasks.finish();
        tokio::pin!(finished);
        let early =
            tokio::select! { biased; () = &mut finished => true, () = std::future::ready(()) => false };
        assert!(!early, "one still runs");
        release.send(7).expect("it waits");
        finished.await;
        assert_eq!((tasks.running(), task.await.unwrap()), (0, 7));
    }

    #[tokio::test]
    async fn a_panic_ends_its_task_alone() {
        let tasks = Tasks::new();
        let panics = tasks.spawn(async { panic!("as it should") });
        let lives = tasks.spawn(async { 7 });
        assert!(panics.await.expect_err("it panicked").is_panic());
        assert_eq!(lives.await.unwrap(), 7);
        tasks.finish().await;
    }

    #[tokio::test]
    async fn blocking_work_is_a_task_of_the_group_and_a_detached_thread_is_not() {
        let tasks = Tasks::new();
        assert_eq!(tasks.spawn_blocking(|| 7).await.unwrap(), 7);
        let (told, tells) = tokio::sync::oneshot::channel();
        let (_held, holds) = std::sync::mpsc::sync_channel::<()>(0);
        let work = move || {
            let _ = told.send(std::thread::current().name().map(str::to_owned));
            let _ = holds.recv();
        };
        detach("apart", work).unwrap();
        assert_eq!(tells.await.unwrap().as_deref(), Some("apart"));
        tasks.finish().await;
    }
}
