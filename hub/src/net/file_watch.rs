//! Reloads files when they change, without a restart or a disconnect (`decisions.md` 7).

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The default interval of checks. The files are few and small. Reading them detects every change, also of the links of a
/// mounted Secret and on a network file system, which sends no notifications.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

/// Triggers checks of files: at an interval, and immediately on SIGHUP.
pub struct ReloadTrigger {
    sighup: Signal,
    interval: Duration,
}

impl ReloadTrigger {
    /// Installs a handler for SIGHUP, which then no longer ends the process.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub fn on_sighup() -> io::Result<ReloadTrigger> {
        Ok(ReloadTrigger { sighup: signal(SignalKind::hangup())?, interval: DEFAULT_INTERVAL })
    }

    /// Returns the trigger with another interval.
    pub fn with_interval(self, interval: Duration) -> ReloadTrigger {
        ReloadTrigger { interval, ..self }
    }

    /// Waits for the next check. Returns `true` if SIGHUP triggered it.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.sighup.recv() => true,
            () = sleep(self.interval) => false,
        }
    }
}

/// Checks files until the task is dropped. `read` loads them on a blocking thread; its argument is `true` after SIGHUP. If the
/// result differs from `contents`, which is in use, `apply` puts it into use. An error of either keeps the contents in use. It is
/// logged and `failed` is called, once for each error and again after SIGHUP. `files` names the files in the log.
pub async fn watch_files<C, E>(
    files: &'static str,
    mut trigger: ReloadTrigger,
    mut contents: C,
    read: impl Fn(bool) -> Result<C, E> + Send + Sync + 'static,
    mut apply: impl FnMut(&C) -> Result<(), E>,
    failed: impl Fn(),
) where
    C: PartialEq + Send + 'static,
    E: Display + Send + 'static,
{
    let read = Arc::new(read);
    let mut last_error = String::new();
    loop {
        let requested = trigger.next().await;
        if requested {
            tracing::info!(files, "SIGHUP received, reading files again");
            last_error.clear();
        }
        let read = read.clone();
        // A file system that hangs must not block the runtime.
        let Ok(loaded) = spawn_blocking(move || read(requested)).await else { continue };
        let applied = loaded.and_then(|loaded| {
            if loaded != contents {
                apply(&loaded)?;
                contents = loaded;
            }
            Ok(())
        });
        match applied {
            Ok(()) => last_error.clear(),
            Err(error) => {
                let text = error.to_string();
                if text != last_error {
                    tracing::warn!(files, %error, "changed files rejected; the previous contents stay in use");
                    failed();
                    last_error = text;
                }
            }
        }
    }
}
