//! Serves one request whose head was read before, with axum on the tokio worker. The caller gets the connection back, and reads
//! the head of the next request itself.

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

/// A connection with one request whose head was read.
pub struct HttpExchange {
    /// The connection.
    pub socket: TcpStream,
    /// The bytes that were read: the head, and possibly the bytes after it.
    pub read: Vec<u8>,
    /// The properties of the request, from its head.
    pub request: PlainRequest,
}

/// The state of a connection after an exchange.
pub enum ExchangeOutcome {
    /// The connection can serve another request. The bytes are those that were read of it.
    KeepAlive(TcpStream, Vec<u8>),
    /// The last response is written. The caller closes the connection with a linger.
    Close(TcpStream),
    /// The deadline has passed, and the connection is dropped.
    TimedOut,
}

impl HttpExchange {
    /// Serves the request within its budget.
    pub async fn serve(self, router: Router, budget: RequestBudget) -> ExchangeOutcome {
        tokio::select! {
            outcome = self.respond(router, budget.clone()) => outcome,
            () = budget.expired() => ExchangeOutcome::TimedOut,
        }
    }

    async fn respond(self, router: Router, budget: RequestBudget) -> ExchangeOutcome {
        let HttpExchange { socket, read, request } = self;
        let progress = Arc::new(ResponseProgress::default());
        let (watched, tracked) = (progress.clone(), progress.clone());
        let service = router
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(budget.clone());
                request
            })
            .map_response(move |response: Response<Body>| {
                let progress = tracked.clone();
                response.map(|body| TrackedBody { body, progress })
            });
        let stream = RequestStream { socket, read, consumed: 0, remaining: request.length, progress };
        let mut connection = http1::Builder::new()
            .keep_alive(!request.is_last)
            // A client that waits for messages of a hub and closes its half is gone. Others may still read their response.
            .half_close(!request.is_for_hub)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut polled_again = false;
        let ended = std::future::poll_fn(|context| {
            loop {
                match Pin::new(&mut connection).poll(context) {
                    // hyper has also written its response to an invalid request.
                    Poll::Ready(_) => return Poll::Ready(true),
                    Poll::Pending if !watched.is_written() => return Poll::Pending,
                    // A request body that the response did not wait for may still end the connection.
                    Poll::Pending if !std::mem::replace(&mut polled_again, true) => {}
                    Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await;
        let parts = connection.into_parts();
        let stream = parts.io.into_inner();
        if ended || stream.remaining.is_some_and(|remaining| remaining > 0) {
            return ExchangeOutcome::Close(stream.socket);
        }
        let rest = [&parts.read_buf, &stream.read[stream.consumed..]].concat();
        ExchangeOutcome::KeepAlive(stream.socket, rest)
    }
}

/// The progress of a response. Used by one task only, so relaxed ordering suffices.
#[derive(Default)]
struct ResponseProgress {
    /// The body is complete.
    produced: AtomicBool,
    /// The whole response is written to the socket.
    written: AtomicBool,
}

impl ResponseProgress {
    fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }
}

/// The body of a response. Its drop marks the response as produced.
struct TrackedBody {
    body: Body,
    progress: Arc<ResponseProgress>,
}

impl HttpBody for TrackedBody {
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

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.progress.produced.store(true, Ordering::Relaxed);
    }
}

/// The stream that hyper reads. It ends with the request, unless the body is chunked.
struct RequestStream {
    socket: TcpStream,
    read: Vec<u8>,
    /// The number of bytes of `read` that hyper has consumed.
    consumed: usize,
    /// The number of bytes of the request that hyper has not consumed. `None` if the body is chunked.
    remaining: Option<u64>,
    progress: Arc<ResponseProgress>,
}

impl AsyncRead for RequestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let remaining = this.remaining.map_or(usize::MAX, |remaining| usize::try_from(remaining).unwrap_or(usize::MAX));
        let max_bytes = remaining.min(buffer.remaining());
        if max_bytes == 0 {
            // The next request is not read here, but a closed connection is noticed.
            return match this.socket.poll_peek(context, &mut ReadBuf::new(&mut [0])) {
                Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
            };
        }
        let before = buffer.filled().len();
        let read_ahead = &this.read[this.consumed..];
        if read_ahead.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(max_bytes));
            let result = Pin::new(&mut this.socket).poll_read(context, &mut part);
            let count = part.filled().len();
            buffer.advance(count);
            if !matches!(result, Poll::Ready(Ok(()))) {
                return result;
            }
        } else {
            let count = max_bytes.min(read_ahead.len());
            buffer.put_slice(&read_ahead[..count]);
            this.consumed += count;
        }
        let count = buffer.filled().len() - before;
        this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(count as u64));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RequestStream {
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

    /// Marks the response as written. hyper calls it after it has written all bytes that it has.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.produced.load(Ordering::Relaxed) {
            self.progress.written.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the caller of the exchange gets the connection back and closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
