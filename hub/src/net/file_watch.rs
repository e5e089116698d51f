//! Files that are taken over when they change, without a restart and without a disconnect (`decisions.md` 7).

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often the files are looked at. They are few and small, and reading them tells every kind of change: of a file, of
/// the links of a mounted Secret, of a network file system that notifies nobody.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

/// Triggers a check of files: at an interval, and at once on SIGHUP.
pub struct ReloadTrigger {
    asked: Signal,
    interval: Duration,
}

impl ReloadTrigger {
    /// Begins to listen for SIGHUP, which does not end the process from now on.
    ///
    /// # Errors
    /// If the system does not let it listen.
    pub fn on_sighup() -> io::Result<ReloadTrigger> {
        Ok(ReloadTrigger { asked: signal(SignalKind::hangup())?, interval: DEFAULT_INTERVAL })
    }

    /// Sets the interval.
    pub fn with_interval(self, interval: Duration) -> ReloadTrigger {
        ReloadTrigger { interval, ..self }
    }

    /// Waits for the next one; true if somebody has asked for it.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.asked.recv() => true,
            () = sleep(self.interval) => false,
        }
    }
}

/// Looks at files for ever. `read` is told whether somebody has asked for the look. What it gives goes to `take` when it
/// differs from `contents`, what was taken over last. What one of them refuses leaves the old contents in force; it is told
/// once, and again when somebody asks, and `failed` is called.
pub async fn watch_files<C, E>(
    what: &'static str,
    mut trigger: ReloadTrigger,
    mut contents: C,
    read: impl Fn(bool) -> Result<C, E> + Send + Sync + 'static,
    mut take: impl FnMut(&C) -> Result<(), E>,
    failed: impl Fn(),
) where
    C: PartialEq + Send + 'static,
    E: Display + Send + 'static,
{
    let read = Arc::new(read);
    let mut last_error = String::new();
    loop {
        let asked = trigger.next().await;
        if asked {
            tracing::info!(what, "SIGHUP: files are read again");
            last_error.clear();
        }
        let read = read.clone();
        // A file system that hangs must not hold up everything else.
        let Ok(read) = spawn_blocking(move || read(asked)).await else { continue };
        let taken = read.and_then(|read| {
            if read != contents {
                take(&read)?;
                contents = read;
            }
            Ok(())
        });
        match taken {
            Ok(()) => last_error.clear(),
            Err(error) => {
                let complaint = error.to_string();
                if complaint != last_error {
                    tracing::warn!(what, %error, "what has changed can't be taken over; the old stays");
                    failed();
                    last_error = complaint;
                }
            }
        }
    }
}
