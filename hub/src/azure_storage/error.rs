//! Why a request to a queue failed.

use std::error::Error;

use azure_core::error::ErrorKind;

/// Why a request to a queue failed. No text of it holds a credential: the service's own explanations, which repeat
/// signatures, are left out, and so are addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is no such queue.
    #[error("the queue does not exist")]
    Missing,
    /// The credential is not good for this.
    #[error("the storage account refuses the credential ({status} {code}): is it right, and is this machine's clock?")]
    Refused {
        /// The status.
        status: u16,
        /// The service's name for the error.
        code: String,
    },
    /// The message is deleted, or its visibility ran out and somebody else has received it.
    #[error("the message is no longer held ({code})")]
    LeaseLost {
        /// The service's name for the error.
        code: String,
    },
    /// The text is too long.
    #[error("the text is too long for a queue's message, which has at most 65536 bytes")]
    TooLarge,
    /// Another answer than that of success.
    #[error("the storage account answers {status} {code}")]
    Answered {
        /// The status.
        status: u16,
        /// The service's name for the error.
        code: String,
    },
    /// No connection, or no answer.
    #[error("the storage account cannot be reached: {0}")]
    Unreachable(String),
    /// No token.
    #[error("the workload's identity gives no token: {0}")]
    Identity(String),
    /// The crate could not make the request or read the answer.
    #[error("the storage account's answer makes no sense: {0}")]
    InvalidResponse(String),
}

impl QueueError {
    /// A word for logs and for telling kinds of errors apart.
    pub fn category(&self) -> &'static str {
        match self {
            QueueError::Missing => "missing",
            QueueError::Refused { .. } => "refused",
            QueueError::LeaseLost { .. } => "lost",
            QueueError::TooLarge => "too_large",
            QueueError::Answered { .. } => "answered",
            QueueError::Unreachable(_) => "unreachable",
            QueueError::Identity(_) => "identity",
            QueueError::InvalidResponse(_) => "senseless",
        }
    }

    fn answered(status: u16, code: &str) -> QueueError {
        // A word of the service; whatever else stands there is not ours to repeat.
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        match (status, code.as_str()) {
            (404, "QueueNotFound") => QueueError::Missing,
            (404, "MessageNotFound") | (400, "PopReceiptMismatch") => QueueError::LeaseLost { code },
            (413, _) | (400, "MessageTooLarge") => QueueError::TooLarge,
            (401 | 403, _) => QueueError::Refused { status, code },
            _ => QueueError::Answered { status, code },
        }
    }
}

impl From<azure_core::Error> for QueueError {
    fn from(error: azure_core::Error) -> QueueError {
        match error.kind() {
            ErrorKind::HttpResponse { status, error_code, .. } => {
                QueueError::answered(u16::from(*status), error_code.as_deref().unwrap_or_default())
            }
            ErrorKind::Connection | ErrorKind::Io => QueueError::Unreachable(innermost(&error)),
            ErrorKind::Credential => QueueError::Identity(innermost(&error)),
            _ => QueueError::InvalidResponse(innermost(&error)),
        }
    }
}

/// What is at the bottom of an error, unless that would print an address or parts of an answer, such as a token.
fn innermost(error: &azure_core::Error) -> String {
    let mut innermost: &(dyn Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<serde_json::Error>() {
        Some(error) => format!("it is malformed (see line {}, column {})", error.line(), error.column()),
        None if innermost.is::<reqwest::Error>() => "the answer broke off".to_owned(),
        None => innermost.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_error_category_follows_status_and_code() {
        for (status, code, category) in [
            (404, "QueueNotFound", "missing"),
            (404, "MessageNotFound", "lost"),
            (400, "PopReceiptMismatch", "lost"),
            (413, "RequestBodyTooLarge", "too_large"),
            (403, "AuthenticationFailed", "refused"),
            (503, "ServerBusy", "answered"),
            (404, "", "answered"),
        ] {
            assert_eq!(QueueError::answered(status, code).category(), category, "{status} {code}");
        }
        let told = QueueError::answered(500, "a b\n<c>?sig=x").to_string();
        assert_eq!(told, "the storage account answers 500 abcsigx");
    }

    #[test]
    fn queue_error_malformed_json_is_not_quoted() {
        let malformed = serde_json::from_str::<u64>("\"SECRET\"").expect_err("no number");
        let error = azure_core::Error::new(ErrorKind::Credential, malformed);
        let error = QueueError::from(error.with_context("no token"));
        assert_eq!(error.to_string(), "the workload's identity gives no token: it is malformed (see line 1, column 8)");
    }

    #[test]
    fn queue_error_message_ends_with_the_root_cause() {
        let error = azure_core::Error::with_message(ErrorKind::Connection, "connection refused");
        let error = QueueError::from(error.with_context("retry policy expired"));
        assert_eq!(error.to_string(), "the storage account cannot be reached: connection refused");
    }
}
