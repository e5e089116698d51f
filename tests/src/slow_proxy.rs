//! A TCP proxy that holds back whatever a client says for a while: a server that is far away.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Result;

/// Starts a proxy in front of a port of this machine, which lasts as long as the process; its address. Every request is
/// `late` by so much, however many connections there are.
pub fn start(port: u16, late: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that fails is closed: its client sees that.
            std::thread::spawn(move || _ = join(client, port, late));
        }
    });
    Ok(address)
}

fn join(client: TcpStream, port: u16, late: Duration) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_server, to_client) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || copy(from_server, to_client, Duration::ZERO));
    copy(client, server, late);
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, late: Duration) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !late.is_zero() {
            std::thread::sleep(late);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Both fail only where the end has been seen.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
