//! Connections by the thousand to one address, each of which asks for a WebSocket and then is neither read nor closed:
//! `flood ADDRESS COUNT SOURCE`. It says when all of them have been tried, and ends with its input.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use notification_hub_tests::bench::machine;
use notification_hub_tests::http;
use socket2::{Domain, Socket, Type};
use uuid::Uuid;

/// How long one connection may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("usage: flood ADDRESS COUNT SOURCE");
    let (address, count, source): (SocketAddr, usize, IpAddr) =
        (argument()?.parse()?, argument()?.parse()?, argument()?.parse()?);
    machine::allow(count)?;
    let open: Vec<TcpStream> = (0..count).filter_map(|_| connect(address, source).ok()).collect();
    println!("{}", serde_json::json!({ "open": open.len() }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(address: SocketAddr, source: IpAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    let target = format!("/anonymous-hub?Token={}", Uuid::new_v4());
    stream.write_all(http::upgrade(&target, "hub", "").as_bytes())?;
    Ok(stream)
}
