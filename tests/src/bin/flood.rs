//! Opens thousands of connections to one address: `flood ADDRESS COUNT SOURCE`. Each requests a WebSocket, then neither reads nor
//! closes. Prints the number of open connections when all connects were tried, and ends at the end of its input.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notification_hub_tests::bench::machine;
use notification_hub_tests::http;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use uuid::Uuid;

/// The timeout of all connects.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The interval between two attempts to write the requests.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("usage: flood ADDRESS COUNT SOURCE");
    let (address, count, source): (SocketAddr, usize, IpAddr) =
        (argument()?.parse()?, argument()?.parse()?, argument()?.parse()?);
    machine::raise_descriptor_limit(count)?;
    let mut connecting: Vec<TcpStream> = (0..count).map(|_| connect(address, source)).collect::<Result<_>>()?;
    let mut open = Vec::new();
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    while !connecting.is_empty() && Instant::now() < deadline {
        for mut stream in std::mem::take(&mut connecting) {
            let target = format!("/anonymous-hub?Token={}", Uuid::new_v4());
            match stream.write(http::upgrade_request(&target, "hub", "").as_bytes()) {
                Ok(_) => open.push(stream),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    connecting.push(stream);
                }
                // The connect was refused.
                Err(_) => {}
            }
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    println!("{}", serde_json::json!({ "open": open.len() }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(address: SocketAddr, source: IpAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error.into()),
        _ => Ok(socket.into()),
    }
}
