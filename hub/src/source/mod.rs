//! Where pushes come from: `direct`, by `POST /send`, or `azure_queue`. A hub has one of them.

pub mod azure_queue;
pub mod direct;
mod intake;

pub use intake::{Intake, Refused};

use std::io;
use std::net::{SocketAddr, TcpListener};

use self::azure_queue::AzureQueue;
use crate::azure::QueueError;
use crate::config;

/// A source that does not give pushes yet.
pub enum Source {
    /// The internal port.
    Direct(TcpListener),
    /// A consumer.
    AzureQueue(Box<AzureQueue>),
}

impl Source {
    /// The source that the configuration names, of a hub that is `alone` or has a backplane; `bind` opens the internal port, if
    /// it is needed.
    ///
    /// # Errors
    /// If the port can't be had, or the workload has no identity for the queue.
    pub fn open<E: From<QueueError>>(
        config: &config::Source,
        alone: bool,
        bind: impl FnOnce() -> Result<TcpListener, E>,
    ) -> Result<Source, E> {
        match config {
            config::Source::Direct => bind().map(Source::Direct),
            config::Source::AzureQueue(settings) => {
                Ok(Source::AzureQueue(Box::new(AzureQueue::open(settings, alone)?)))
            }
        }
    }

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
