//! A future that runs to its end even if nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs a future where it is awaited, without a task of its own. If the caller goes away in the middle, the rest runs
/// on a task of `tracker`, whose owner waits for it.
pub(crate) fn to_its_end<F>(tracker: &TaskTracker, future: F) -> ToItsEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    ToItsEnd { future: Some(Box::pin(future)), tracker: tracker.clone() }
}

/// See [`to_its_end`].
pub(crate) struct ToItsEnd<F: Future<Output: Send> + Send + 'static> {
    /// Gone when it has ended.
    future: Option<Pin<Box<F>>>,
    tracker: TaskTracker,
}

impl<F: Future<Output: Send> + Send + 'static> Future for ToItsEnd<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.future.as_mut().expect("a future is not polled after its end");
        let output = ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for ToItsEnd<F> {
    fn drop(&mut self) {
        // Without a runtime the worker is gone, too, and there is nothing left to put in order.
        if let (Some(rest), Ok(runtime)) = (self.future.take(), Handle::try_current()) {
            self.tracker.spawn_on(
                async move {
                    drop(rest.await);
                },
                &runtime,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_goes_away_does_not_stop_it() {
        let tracker = TaskTracker::new();
        assert_eq!(to_its_end(&tracker, async { 7 }).await, 7);
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut rest = Box::pin(to_its_end(&tracker, async move {
            gone.await.unwrap();
            tell.send("done").unwrap();
        }));
        assert!(futures_util::poll!(rest.as_mut()).is_pending());
        assert!(tracker.is_empty());
        drop(rest);
        go.send(()).unwrap();
        assert_eq!(told.await.unwrap(), "done");
        tracker.close();
        tracker.wait().await;
    }
}
