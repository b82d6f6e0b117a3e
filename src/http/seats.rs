//! How many answers are computed at once, and how many may wait.

use std::sync::Arc;
use tokio::{runtime::Handle, sync::Semaphore};

/// Bounds what is computed, whoever asks and on whichever runtime.
#[derive(Debug)]
pub(crate) struct Seats {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// Why something was not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// All places are taken.
    Full,
    /// There is no runtime to compute it on, or it is being shut down.
    Stopped,
    /// It panicked.
    Panicked,
}

impl Seats {
    /// Computes `at_once` at the same time, and lets the rest of `places` wait.
    pub(crate) fn new(at_once: usize, places: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Runs `work` on a thread that may block, when it is its turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refused::Full)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Refused::Stopped)?;
        let runtime = Handle::try_current().map_err(|_| Refused::Stopped)?;
        let job = runtime.spawn_blocking(move || {
            // Held by the work and not by who asked: it goes on when a client hangs up.
            let _held = (place, turn);
            work()
        });
        job.await.map_err(|error| {
            if error.is_panic() {
                Refused::Panicked
            } else {
                Refused::Stopped
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn whoever_finds_no_place_is_refused() {
        let seats = Arc::new(Seats::new(1, 2));
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let busy = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move {
                let work = move || {
                    begun.send(()).ok();
                    released.recv().ok();
                };
                seats.run(work).await
            }
        });
        has_begun.await.unwrap();
        let mut waiting = Box::pin(seats.run(|| 2));
        assert!(
            futures_util::poll!(&mut waiting).is_pending(),
            "the second one waits for its turn"
        );
        assert_eq!(seats.run(|| 3).await, Err(Refused::Full));
        release.send(()).unwrap();
        assert_eq!(waiting.await, Ok(2));
        assert_eq!(busy.await.unwrap(), Ok(()));
        assert_eq!(seats.run(|| 4).await, Ok(4), "the places are free again");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_gives_the_place_back() {
        let seats = Seats::new(1, 1);
        let (release, released) = mpsc::channel::<()>();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let mut asking = Box::pin(seats.run(move || {
            released.recv().ok();
            done.send(()).ok();
        }));
        assert!(futures_util::poll!(&mut asking).is_pending());
        drop(asking);
        assert_eq!(
            seats.run(|| ()).await,
            Err(Refused::Full),
            "what nobody waits for is still being computed"
        );
        release.send(()).unwrap();
        is_done.await.unwrap();
        while seats.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_told_apart() {
        let seats = Seats::new(1, 1);
        let panicked = seats.run(|| panic!("in the work")).await;
        assert_eq!(panicked, Err::<(), _>(Refused::Panicked));
        assert_eq!(seats.run(|| 1).await, Ok(1));
    }

    #[test]
    fn without_a_runtime_nothing_panics() {
        let seats = Seats::new(1, 1);
        let refused = futures_util::FutureExt::now_or_never(seats.run(|| 1));
        assert_eq!(refused, Some(Err(Refused::Stopped)));
    }
}
