//! The one place that spawns a task.

use tokio_util::task::AbortOnDropHandle;

/// Spawns a task that its owner either awaits or ends by dropping the handle.
pub(crate) fn spawn_owned<F>(future: F) -> AbortOnDropHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "the handle is kept: whoever drops it ends the task")]
    let task = tokio::task::spawn(future);
    AbortOnDropHandle::new(task)
}
