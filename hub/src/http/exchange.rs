//! One request whose head has been read, and its answer, by axum. A connection that may go on comes back, so that whoever reads heads
//! reads the next one too.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::request_budget::RequestBudget;
use super::request_head::PlainRequest;

/// A connection with one request on it.
pub struct Exchange {
    /// The connection.
    pub socket: TcpStream,
    /// What was read of it: the head, and perhaps what follows.
    pub read: Vec<u8>,
    /// What the head says.
    pub request: PlainRequest,
}

/// What to do with a connection after a response.
pub enum Outcome {
    /// Keep it; these bytes of the next request were read.
    KeepAlive(TcpStream, Vec<u8>),
    /// Close it with a linger: its last response is written.
    LastAnswered(TcpStream),
    /// Drop it: the deadline has passed.
    TimedOut,
}

impl Exchange {
    /// Serves the request within its budget.
    pub async fn serve(self, router: Router, budget: RequestBudget) -> Outcome {
        tokio::select! {
            outcome = self.answer(router, budget.clone()) => outcome,
            () = budget.expired() => Outcome::TimedOut,
        }
    }

    async fn answer(self, router: Router, budget: RequestBudget) -> Outcome {
        let Exchange { socket, read, request } = self;
        let progress = Arc::new(Progress::default());
        let (watched, noted) = (progress.clone(), progress.clone());
        let service = router
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(budget.clone());
                request
            })
            .map_response(move |response: Response<Body>| {
                let progress = noted.clone();
                response.map(|body| Noted { body, progress })
            });
        let stream = Stream { socket, read, at: 0, left: request.length, progress };
        let mut connection = http1::Builder::new()
            .keep_alive(!request.is_last)
            // Who waits for what a hub says and closes its half has gone; others may still read their answer.
            .half_close(!request.on_hub)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut looked = false;
        let ended = std::future::poll_fn(|context| {
            loop {
                match Pin::new(&mut connection).poll(context) {
                    // Also an error of the request has its answer.
                    Poll::Ready(_) => return Poll::Ready(true),
                    Poll::Pending if !watched.is_over() => return Poll::Pending,
                    // What the answer did not wait for may still make an end of the connection.
                    Poll::Pending if !std::mem::replace(&mut looked, true) => {}
                    Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await;
        let parts = connection.into_parts();
        let stream = parts.io.into_inner();
        if ended || stream.left.is_some_and(|left| left > 0) {
            return Outcome::LastAnswered(stream.socket);
        }
        let rest = [&parts.read_buf, &stream.read[stream.at..]].concat();
        Outcome::KeepAlive(stream.socket, rest)
    }
}

/// How far an answer is.
#[derive(Default)]
struct Progress {
    /// All of it has been made.
    made: AtomicBool,
    /// All of it has been written.
    written: AtomicBool,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }
}

/// The body of an answer, which notes when nothing more comes.
struct Noted {
    body: Body,
    progress: Arc<Progress>,
}

impl HttpBody for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.progress.made.store(true, Ordering::Relaxed);
    }
}

/// The connection as hyper sees it: behind the request there is nothing, unless it comes in chunks.
struct Stream {
    socket: TcpStream,
    read: Vec<u8>,
    /// How many bytes of those hyper has got.
    at: usize,
    /// How many bytes of the request hyper has not got; `None` if it comes in chunks.
    left: Option<u64>,
    progress: Arc<Progress>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let most =
            this.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)).min(buffer.remaining());
        if most == 0 {
            // The next request is not read here, but its sender may hang up.
            return match this.socket.poll_peek(context, &mut ReadBuf::new(&mut [0])) {
                Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
            };
        }
        let before = buffer.filled().len();
        let kept = &this.read[this.at..];
        if kept.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            let result = Pin::new(&mut this.socket).poll_read(context, &mut part);
            let count = part.filled().len();
            buffer.advance(count);
            if !matches!(result, Poll::Ready(Ok(()))) {
                return result;
            }
        } else {
            let count = most.min(kept.len());
            buffer.put_slice(&kept[..count]);
            this.at += count;
        }
        let count = buffer.filled().len() - before;
        this.left = this.left.map(|left| left.saturating_sub(count as u64));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Called by hyper once it has written everything that it has.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.made.load(Ordering::Relaxed) {
            self.progress.written.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    /// Called once everything is written: who gets the connection back closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
