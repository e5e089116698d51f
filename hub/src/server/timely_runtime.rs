//! Owns a thread with a tokio runtime for work that has deadlines towards other servers: pings of Redis and their answers,
//! renewals of the queue's messages. Requests and tokens are seen to on another one, however much there is to compute.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The runtime. Its tasks end when it is dropped.
pub struct TimelyRuntime {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl TimelyRuntime {
    /// Starts its thread.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start() -> io::Result<TimelyRuntime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel::<()>());
        thread::Builder::new().name("timely".into()).spawn(move || _ = runtime.block_on(ended))?;
        Ok(TimelyRuntime { handle, _end: end })
    }

    /// Does something by which tasks are spawned: there, and so are those that they spawn.
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
        let (done, is_done) = mpsc::channel();
        let ping = async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            done.send(thread::current().name().map(str::to_owned))
        };
        runtime.within(|| tokio::spawn(ping));
        // The runtime of this test has no other thread, which is busy for as long as this waits.
        let name = is_done.recv_timeout(Duration::from_secs(30)).expect("it does not wait for this thread");
        assert_eq!(name.as_deref(), Some("timely"));
    }

    #[tokio::test]
    async fn timely_runtime_ends_its_tasks_when_it_is_dropped() {
        let runtime = TimelyRuntime::start().expect("a thread");
        let endless = runtime.within(|| tokio::spawn(std::future::pending::<()>()));
        drop(runtime);
        assert!(endless.await.expect_err("it was ended").is_cancelled());
    }
}
