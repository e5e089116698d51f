//! A TCP load balancer, as a Service is one: each new connection goes to the next of the servers that it knows.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A balancer that lasts as long as the process.
pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// Starts one that knows nobody yet.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let balancer = Self { address: listener.local_addr()?, servers: Arc::default() };
        let servers = balancer.servers.clone();
        std::thread::spawn(move || {
            for (turn, client) in listener.incoming().flatten().enumerate() {
                let servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(server) = servers.get(turn % servers.len().max(1)).copied() else { continue };
                // A connection that fails is closed: its client sees that.
                std::thread::spawn(move || _ = join(&client, server));
            }
        });
        Ok(balancer)
    }

    /// Sends new connections to these servers from now on.
    pub fn lead_to(&self, servers: Vec<SocketAddr>) {
        *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = servers;
    }
}

fn join(client: &TcpStream, server: SocketAddr) -> Result<()> {
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    std::thread::scope(|scope| {
        // Fails only where an end has been seen.
        scope.spawn(|| {
            let _ = copy(&mut &server, &mut &*client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let _ = copy(&mut &*client, &mut &server);
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}
