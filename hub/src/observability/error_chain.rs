//! Displays errors with all their causes. No I/O.

use std::error::Error;
use std::fmt;

/// Displays an error and its causes, separated by colons. Skips a cause that the text before contains, because many errors
/// display their cause themselves.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = self.0.to_string();
        let mut error = self.0;
        while let Some(cause) = error.source() {
            let text = cause.to_string();
            if !chain.contains(&text) {
                chain = format!("{chain}: {text}");
            }
            error = cause;
        }
        formatter.write_str(&chain)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("it failed: {0}")]
        WithCause(#[source] Box<dyn Error + Send + Sync>),
        #[error("the request failed")]
        WithoutCause(#[source] Box<dyn Error + Send + Sync>),
    }

    #[test]
    fn error_chain_contains_each_cause_once() {
        let refused = || io::Error::other("connection refused");
        let chain = |error: Failure| ErrorChain(&error).to_string();
        assert_eq!(chain(Failure::WithCause(refused().into())), "it failed: connection refused");
        assert_eq!(chain(Failure::WithoutCause(refused().into())), "the request failed: connection refused");
        let nested = || Box::new(Failure::WithoutCause(refused().into()));
        assert_eq!(chain(Failure::WithCause(nested())), "it failed: the request failed: connection refused");
    }
}
