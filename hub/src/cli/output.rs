//! Output of commands. Unlike `println!` and `eprintln!`, these functions do not panic if the reader is gone.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// The reader of standard output is gone, such as `head`. The command ends with exit status 0.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Writes a line to standard output.
pub(crate) fn print_line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => written.context("standard output"),
    }
}

/// Writes a line to standard error. Ignores errors.
pub(crate) fn print_notice(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
