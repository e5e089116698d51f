//! Further controls of the benchmark, built from common libraries. `tokio` has a task for each connection and `try_write` for
//! each delivery. `axum` has axum's WebSocket with default buffers and a broadcast channel, and `axum-small` the same with small
//! buffers.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use axum::{Router, serve};
use notification_hub_tests::bench::control::{self, Frame, HANDSHAKE_RESPONSE, PUSH_RESPONSE, UPGRADE_RESPONSE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::{LocalSet, spawn_local};

/// The size of each buffer of a connection with `axum-small`.
const SMALL_BUFFER_BYTES: usize = 1024;

/// The capacity of the broadcast channel.
const CHANNEL_CAPACITY: usize = 16;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, peer, frame, length] = arguments.as_slice() else { bail!("{USAGE}") };
    if mode != "--mode" || frame != "--frame" {
        bail!("{USAGE}");
    }
    let frame = Frame::new(length.parse().context(USAGE)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match peer.as_str() {
            "tokio" => serve_tokio(frame).await,
            "axum" => serve_axum(frame, false).await,
            "axum-small" => serve_axum(frame, true).await,
            _ => bail!("{USAGE}"),
        }
    })
}

const USAGE: &str = "usage: bench-peers --mode tokio|axum|axum-small --frame BYTES";

async fn listen() -> Result<(TcpListener, TcpListener)> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (public, internal) = (TcpListener::bind(any).await?, TcpListener::bind(any).await?);
    println!("{}", control::listening_line(public.local_addr()?, internal.local_addr()?));
    Ok((public, internal))
}

/// Calls `push` for each request of each sender.
async fn serve_senders(listener: TcpListener, push: impl Fn() + Clone + 'static) -> Result<()> {
    loop {
        let (mut sender, _) = listener.accept().await?;
        sender.set_nodelay(true)?;
        let push = push.clone();
        spawn_local(async move {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = sender.read(&mut buffer).await {
                let mut bytes = &buffer[..read];
                while let Ok(Some(_)) = control::next_request(&mut bytes) {
                    push();
                    if sender.write_all(PUSH_RESPONSE).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// The state that all tasks of `tokio` share.
struct Shared {
    clients: RefCell<Vec<Option<Rc<TcpStream>>>>,
    buffer: RefCell<Vec<u8>>,
}

async fn serve_tokio(frame: Frame) -> Result<()> {
    let (public, internal) = listen().await?;
    let shared = Rc::new(Shared { clients: RefCell::default(), buffer: RefCell::new(vec![0; 64 * 1024]) });
    let own = Rc::clone(&shared);
    spawn_local(serve_senders(internal, move || {
        for client in own.clients.borrow_mut().iter_mut() {
            let Some(stream) = client else { continue };
            if !stream.try_write(frame.bytes()).is_ok_and(|written| written == frame.bytes().len()) {
                *client = None;
            }
        }
    }));
    loop {
        let (stream, _) = public.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(serve_client(Rc::new(stream), Rc::clone(&shared)));
    }
}

async fn serve_client(stream: Rc<TcpStream>, shared: Rc<Shared>) {
    let slot = shared.clients.borrow().len();
    shared.clients.borrow_mut().push(Some(Rc::clone(&stream)));
    while stream.readable().await.is_ok() {
        let mut buffer = shared.buffer.borrow_mut();
        let answer = match stream.try_read(&mut buffer) {
            Ok(1..) if buffer[0] == b'G' => UPGRADE_RESPONSE,
            Ok(1..) => HANDSHAKE_RESPONSE,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            _ => break,
        };
        if !stream.try_write(answer).is_ok_and(|written| written == answer.len()) {
            break;
        }
    }
    shared.clients.borrow_mut()[slot] = None;
}

async fn serve_axum(frame: Frame, small: bool) -> Result<()> {
    let (public, internal) = listen().await?;
    let (pushes, _) = broadcast::channel::<Bytes>(CHANNEL_CAPACITY);
    let payload = Bytes::copy_from_slice(frame.payload());
    let sender = pushes.clone();
    spawn_local(serve_senders(internal, move || {
        // Fails if no client is connected.
        let _ = sender.send(payload.clone());
    }));
    let upgrade = move |request: WebSocketUpgrade| accept(request, pushes.subscribe(), small);
    let public = public.tap_io(|stream| {
        // Fails if the connection has ended.
        let _ = stream.set_nodelay(true);
    });
    Ok(serve(public, Router::new().route("/hub", any(upgrade))).await?)
}

async fn accept(request: WebSocketUpgrade, pushes: broadcast::Receiver<Bytes>, small: bool) -> Response {
    let request = match small {
        true => {
            request.read_buffer_size(SMALL_BUFFER_BYTES).write_buffer_size(0).max_write_buffer_size(SMALL_BUFFER_BYTES)
        }
        false => request,
    };
    request.on_upgrade(|socket| serve_socket(socket, pushes))
}

async fn serve_socket(mut socket: WebSocket, mut pushes: broadcast::Receiver<Bytes>) {
    let answer = Bytes::from_static(&HANDSHAKE_RESPONSE[2..]);
    loop {
        let message = tokio::select! {
            read = socket.recv() => match read {
                Some(Ok(Message::Binary(_))) => answer.clone(),
                Some(Ok(_)) => continue,
                _ => return,
            },
            push = pushes.recv() => match push {
                Ok(payload) => payload,
                Err(_) => return,
            },
        };
        if socket.send(Message::Binary(message)).await.is_err() {
            return;
        }
    }
}
