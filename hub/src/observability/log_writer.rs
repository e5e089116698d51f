//! Writes log lines on the thread `log`, so that no other thread waits for the reader of the log. Lines that exceed the queue
//! are dropped and counted.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// The most lines in the queue.
const MAX_QUEUED_LINES: usize = 8192;

/// The longest time that a flush takes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Counts the lines that were dropped because the log was not read fast enough.
pub(super) static DROPPED_LINES: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Log lines that were dropped because the log was not read fast enough.";
    IntCounter::new("log_lines_dropped_total", help).expect("a valid name")
});

enum LogEntry {
    Line(Vec<u8>),
    /// Notifies the sender after all earlier lines are written.
    Flush(SyncSender<()>),
}

/// The sending side of the queue to the thread.
#[derive(Clone)]
pub(super) struct LogWriter {
    entries: SyncSender<LogEntry>,
}

impl LogWriter {
    /// Starts the thread, which writes to `output`.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<LogWriter> {
        let (entries, receiver) = mpsc::sync_channel(MAX_QUEUED_LINES);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || run_writer(&receiver, output))?;
        Ok(LogWriter { entries })
    }

    /// Waits until the lines before this call are written, for at most one second.
    pub(super) fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        let mut flush = LogEntry::Flush(done);
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while let Err(TrySendError::Full(full)) = self.entries.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            flush = full;
            std::thread::sleep(Duration::from_millis(1));
        }
        // If the log is not read in time, its last lines are lost.
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Write for LogWriter {
    /// Queues one complete line. `tracing_subscriber` calls it once for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(LogEntry::Line(line.to_owned())).is_err() {
            DROPPED_LINES.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        self.clone()
    }
}

/// Writes the queued entries until all senders are dropped.
fn run_writer(entries: &Receiver<LogEntry>, mut output: impl Write) {
    for entry in entries {
        // Errors are ignored: they cannot be logged, and the process continues without a log.
        match entry {
            LogEntry::Line(line) => _ = output.write_all(&line),
            LogEntry::Flush(done) => {
                let _ = output.flush();
                let _ = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// An output that waits for a message of its reader before each line.
    struct Pipe {
        read: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.read.recv();
            self.written.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_writer_stalled_reader_counts_dropped_lines_without_blocking() {
        let (reader, read) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut writer = LogWriter::start(Pipe { read, written: written.clone() }).expect("a thread");
        let before = DROPPED_LINES.get();
        for _ in 0..MAX_QUEUED_LINES + 100 {
            writer.write_all(b"x\n").expect("it never fails");
        }
        // The thread may have taken one line out of the queue.
        assert!((99..=100).contains(&(DROPPED_LINES.get() - before)));
        drop(reader);
        LogWriter::flush(&writer);
        assert!(written.lock().expect("no panic").len() >= 2 * MAX_QUEUED_LINES);
    }
}
