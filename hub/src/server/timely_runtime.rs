//! A tokio runtime on its own thread, for tasks with deadlines set by other servers: pings of Redis, and renewals of leased
//! messages. Requests and tokens are processed on other threads, so their computations delay no deadline.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A single-threaded runtime. Dropping it cancels its tasks.
pub struct TimelyRuntime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl TimelyRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the runtime or its thread cannot be created.
    pub fn start() -> io::Result<TimelyRuntime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel::<()>());
        thread::Builder::new().name("timely".into()).spawn(move || _ = runtime.block_on(stopped))?;
        Ok(TimelyRuntime { handle, _stop: stop })
    }

    /// Calls `spawn` in the context of the runtime, so that the tasks that it spawns run there.
    pub fn within<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let _entered = self.handle.enter();
        spawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test]
    async fn timely_runtime_keeps_deadlines_while_others_are_busy() {
        let runtime = TimelyRuntime::start().expect("a thread");
        let (done_tx, done_rx) = mpsc::channel();
        let ping = async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            done_tx.send(thread::current().name().map(str::to_owned))
        };
        runtime.within(|| tokio::spawn(ping));
        // The runtime of this test has this thread only, which blocks here.
        let name = done_rx.recv_timeout(Duration::from_secs(30)).expect("the ping runs on its own thread");
        assert_eq!(name.as_deref(), Some("timely"));
    }

    #[tokio::test]
    async fn timely_runtime_dropped_cancels_its_tasks() {
        let runtime = TimelyRuntime::start().expect("a thread");
        let endless = runtime.within(|| tokio::spawn(std::future::pending::<()>()));
        drop(runtime);
        assert!(endless.await.expect_err("canceled").is_cancelled());
    }
}
