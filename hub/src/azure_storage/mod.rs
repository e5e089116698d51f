//! Azure Storage queues, for the queue source and for senders: an account with its credential, and a queue of it. No error text
//! and no log line contains a key, a signature or a token.

mod account;
mod connection_string;
mod error;
mod queue;
mod queue_name;
mod signing;
mod transport;

pub use account::{Account, AccountUrlError, Credential};
pub use connection_string::ConnectionStringError;
pub use error::QueueError;
pub use queue::{DequeuedMessage, MAX_MESSAGE_BYTES, Queue, TimeToLive};
pub use queue_name::QueueName;
