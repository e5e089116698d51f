//! Writes log lines on a thread of its own: whoever logs never waits for whoever reads the log. What does not fit in between is dropped
//! and counted.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait for their reader.
const MAX_WAITING_LINES: usize = 8192;

/// How long the process waits at its end for the last lines to be read.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines that were dropped because the log was not read fast enough.
pub(super) static DROPPED_LINES: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Log lines that were dropped because the log was not read fast enough.";
    IntCounter::new("log_lines_dropped_total", help).expect("a valid name")
});

enum LogEntry {
    Line(Vec<u8>),
    /// Tell once everything before is written.
    Flush(SyncSender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct LogWriter {
    entries: SyncSender<LogEntry>,
}

impl LogWriter {
    /// Starts the thread, which writes to `output`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<LogWriter> {
        let (entries, lines) = mpsc::sync_channel(MAX_WAITING_LINES);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, output))?;
        Ok(LogWriter { entries })
    }

    /// Waits until the lines before this call are written, for a second at most.
    pub(super) fn flush(&self) {
        let (done, written) = mpsc::sync_channel(1);
        let mut flush = LogEntry::Flush(done);
        let deadline = Instant::now() + LAST_LINES_TIMEOUT;
        while let Err(TrySendError::Full(full)) = self.entries.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            flush = full;
            std::thread::sleep(Duration::from_millis(1));
        }
        // Who does not read the log by then does not read its end.
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Write for LogWriter {
    /// Takes one whole line: that is how it is called.
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

/// The work of the thread, as long as anybody may log.
fn write(entries: &Receiver<LogEntry>, mut output: impl Write) {
    for entry in entries {
        // A log that cannot be written is no reason to end, and there is nowhere to say so.
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

    /// An output that waits for its reader before each line.
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
        for _ in 0..MAX_WAITING_LINES + 100 {
            writer.write_all(b"x\n").expect("it never fails");
        }
        // One line may be with the thread already.
        assert!((99..=100).contains(&(DROPPED_LINES.get() - before)));
        drop(reader);
        LogWriter::flush(&writer);
        assert!(written.lock().expect("no panic").len() >= 2 * MAX_WAITING_LINES);
    }
}
