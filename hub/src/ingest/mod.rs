//! Where pushes come from: `direct`, by `POST /send`, or `azure_queue`. A hub has one of them.

pub mod azure_queue;
mod pipeline;
pub mod send_endpoint;

pub use pipeline::{IngestError, PushPipeline};

use std::io;
use std::net::{SocketAddr, TcpListener};

use self::azure_queue::AzureQueueSource;

/// A source that does not give pushes yet.
pub enum Source {
    /// The internal port.
    Direct(TcpListener),
    /// A consumer.
    AzureQueue(Box<AzureQueueSource>),
}

impl Source {
    /// The address of the internal port, if there is one.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Source::Direct(listener) => listener.local_addr().map(Some),
            Source::AzureQueue(_) => Ok(None),
        }
    }
}
