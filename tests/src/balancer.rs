//! A TCP load balancer, like a Service. Each new connection goes to the next of its servers, in turn.

use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// A running balancer. Its threads end with the process.
pub struct Balancer {
    /// The address that it listens at.
    pub address: SocketAddr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// Starts a balancer without servers.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let balancer = Self { address: listener.local_addr()?, servers: Arc::default() };
        let servers = balancer.servers.clone();
        std::thread::spawn(move || {
            for (turn, client) in listener.incoming().flatten().enumerate() {
                let servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(server) = servers.get(turn % servers.len().max(1)).copied() else { continue };
                // A failed connection is closed, which its client notices.
                std::thread::spawn(move || _ = forward(&client, server));
            }
        });
        Ok(balancer)
    }

    /// Replaces the servers for new connections.
    pub fn set_servers(&self, servers: Vec<SocketAddr>) {
        *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = servers;
    }
}

/// Forwards bytes in both directions until one side ends.
fn forward(client: &TcpStream, server: SocketAddr) -> Result<()> {
    let server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    std::thread::scope(|scope| {
        // These fail if one side has ended.
        scope.spawn(|| {
            let _ = copy(&mut &server, &mut &*client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let _ = copy(&mut &*client, &mut &server);
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}
