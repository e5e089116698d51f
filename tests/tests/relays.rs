//! Hostile clients without a WebSocket: their cost is bounded, and they leave no resources behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::bench::{machine, memory};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::NegotiatedClient;
use notification_hub_tests::raw_client::{HANDSHAKE, SocketClose, close_socket};
use notification_hub_tests::{descriptors, wait};
use rustix::process::Signal;
use uuid::Uuid;

const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum number of clients of a hub without a WebSocket.
const MAX_RELAYS: usize = 1024;

/// The number of threads that connect clients.
const THREADS: usize = 8;

/// A limit of descriptors with which a hub reaches `MAX_RELAYS`.
const DESCRIPTORS: usize = 14_000;

/// Negotiates on the anonymous hub, and returns the target of further requests.
fn anonymous(hub: &LocalHub) -> Result<String> {
    let target = format!("/anonymous-hub/negotiate?negotiateVersion=1&Token={}", Uuid::new_v4());
    let offer = http::request(hub.public, "POST", &target, &[], b"")?.json()?;
    let token = offer["connectionToken"].as_str().with_context(|| format!("no token: {offer}"))?;
    Ok(format!("/anonymous-hub?id={token}"))
}

/// Calls a function `count` times from several threads, and returns the results.
fn run_parallel<T: Send>(count: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    let work = &work;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            threads.push(scope.spawn(move || (0..count / THREADS).map(|_| work()).collect::<Result<Vec<T>>>()));
        }
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        Ok(all)
    })
}

fn get(hub: &LocalHub, target: &str) -> Result<Connection> {
    let mut connection = Connection::open(hub.public)?;
    connection.write(format!("GET {target} HTTP/1.1\r\nHost: hub\r\n\r\n").as_bytes())?;
    Ok(connection)
}

#[test]
fn waiting_polls_above_limit_are_answered_503() -> Result<()> {
    machine::raise_descriptor_limit(DESCRIPTORS)?;
    let hub = LocalHub::start("")?;
    ensure!(http::get(hub.public, "/alive")?.status == 200);
    let before = wait::settled("its descriptors", WAIT_TIMEOUT, || descriptors::count(hub.process.id()))?;
    let waiting = run_parallel(MAX_RELAYS, || {
        let target = anonymous(&hub)?;
        ensure!(get(&hub, &target)?.response()?.status == 200);
        get(&hub, &target)
    })?;
    wait::until("the polls wait", WAIT_TIMEOUT, || {
        ensure!(http::get(hub.public, "/alive")?.status == 200);
        Ok(())
    })?;
    let above = anonymous(&hub).context("negotiation failed above the limit")?;
    let refused = get(&hub, &above)?.response()?;
    ensure!((refused.status, refused.header("retry-after")) == (503, Some("5")), "{refused:?}");
    // The limit does not apply to WebSockets.
    ensure!(hub.upgrade(Some(&hub.token(&Uuid::new_v4().to_string(), &[])?))?.0.status == 101);
    for (number, poll) in waiting.into_iter().enumerate() {
        close_socket(poll.into_parts().0, SocketClose::ALL[number % 2])?;
    }
    // A client that stops polling is removed after some time, with all its resources.
    wait::until("all resources are released", WAIT_TIMEOUT, || {
        let open = descriptors::count(hub.process.id())?;
        ensure!(open <= before, "{open} descriptors instead of {before}");
        Ok(())
    })?;
    ensure!(get(&hub, &anonymous(&hub)?)?.response()?.status == 200);
    Ok(())
}

#[test]
fn poll_limit_holds_for_simultaneous_clients() -> Result<()> {
    machine::raise_descriptor_limit(DESCRIPTORS)?;
    let hub = LocalHub::start("reactors = 2")?;
    let clients = run_parallel(MAX_RELAYS + 200, || {
        let target = anonymous(&hub)?;
        get(&hub, &target)
    })?;
    let mut inside = 0;
    for mut client in clients {
        inside += usize::from(client.response()?.status == 200);
    }
    ensure!(inside <= MAX_RELAYS, "{inside} clients are connected");
    Ok(())
}

#[test]
fn superseded_polls_end_without_losing_pushes() -> Result<()> {
    let hub = LocalHub::start("signalr.poll_timeout = '2s'")?;
    let client = NegotiatedClient::new(&hub)?.connect_polling()?;
    let polls = run_parallel(400, || {
        let mut connection = Connection::open(hub.public)?;
        connection.write(client.head("GET", "").as_bytes())?;
        Ok(connection)
    })?;
    for _ in 0..20 {
        hub.log_out(&client.user)?;
    }
    let mut received = 0;
    for mut poll in polls {
        let response = poll.response()?;
        ensure!(matches!(response.status, 200 | 204), "{response:?}");
        received += response.text().matches("\"type\":11").count();
    }
    hub.log_out(&client.user)?;
    while received < 21 {
        received += client.poll()?.matches("\"type\":11").count();
    }
    ensure!(received == 21, "{received}");
    Ok(())
}

#[test]
fn posts_before_connecting_use_bounded_memory() -> Result<()> {
    let hub = LocalHub::start("")?;
    let target = anonymous(&hub)?;
    let before = memory::settled_bytes(hub.process.id())?;
    let post = |body: &'static [u8]| http::request(hub.public, "POST", &target, &[], body);
    // Fewer bytes than a message may have on the anonymous hub.
    run_parallel(800, || {
        ensure!(post(b" ")?.status == 200);
        ensure!(post(b"")?.status == 200);
        Ok(())
    })?;
    let after = memory::settled_bytes(hub.process.id())?;
    ensure!(after < before + (8 << 20), "{before} bytes have become {after}");
    // A post above the limit is rejected, and earlier posts are kept.
    ensure!(http::request(hub.public, "POST", &target, &[], &[b' '; 32 * 1024])?.status == 503);
    ensure!(post(HANDSHAKE)?.status == 200);
    ensure!(get(&hub, &target)?.response()?.status == 200);
    ensure!(get(&hub, &target)?.response()?.text() == "{}\u{1e}");
    Ok(())
}

#[test]
fn unfinished_post_bodies_use_bounded_memory() -> Result<()> {
    const SENDERS: usize = 800;
    const EACH: usize = 900 * 1024;
    machine::raise_descriptor_limit(DESCRIPTORS)?;
    let hub = LocalHub::start("")?;
    let target = anonymous(&hub)?;
    let before = memory::anonymous_bytes(hub.process.id())?;
    let senders = run_parallel(SENDERS, || {
        let mut connection = Connection::open(hub.public)?;
        let head = format!("POST {target} HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n", EACH + 1);
        connection.write(head.as_bytes())?;
        // The write fails if the hub stops reading.
        let _ = connection.write(&vec![b' '; EACH]);
        Ok(connection)
    })?;
    let taken = memory::settled_bytes(hub.process.id())?.saturating_sub(before);
    ensure!(taken < 200 << 20, "the hub used {taken} bytes");
    drop(senders);
    Ok(())
}

#[test]
fn oversized_posts_affect_no_other_client() -> Result<()> {
    let hub = LocalHub::start("reactors = 1")?;
    let (flooder, other) =
        (NegotiatedClient::new(&hub)?.connect_polling()?, NegotiatedClient::new(&hub)?.connect_polling()?);
    for _ in 0..20 {
        ensure!(matches!(flooder.request("POST", &vec![b' '; 1 << 20])?.status, 200 | 404 | 413));
    }
    hub.log_out(&other.user)?;
    ensure!(other.poll()?.contains("\"type\":11"));
    Ok(())
}

#[test]
fn connection_id_of_an_ended_connection_is_rejected() -> Result<()> {
    let hub = LocalHub::start("")?;
    for end in ["DELETE", "Close", "hang up"] {
        let client = NegotiatedClient::new(&hub)?;
        match end {
            "hang up" => drop(client.connect_events()?),
            "DELETE" => {
                ensure!(client.poll()?.is_empty());
                ensure!(client.request("DELETE", b"")?.status == 202);
            }
            _ => {
                ensure!(client.poll()?.is_empty());
                client.post(&[HANDSHAKE, b"{\"type\":7}\x1e"].concat())?;
                while client.request("GET", b"")?.status == 200 {}
            }
        }
        wait::until("the connection has ended", WAIT_TIMEOUT, || {
            for method in ["GET", "POST", "DELETE"] {
                let status = client.request(method, HANDSHAKE)?.status;
                // For an event stream client, a poll is a wrong transport.
                ensure!(matches!(status, 404) || (end == "hang up" && matches!(status, 400)), "{method}: {status}");
            }
            Ok(())
        })
        .context(end)?;
        let (response, _) = client.open_events()?;
        ensure!(matches!(response.status, 400 | 404), "{end}: {response:?}");
    }
    ensure!(hub.metric_sum("notification_hub_connections")? == 0.0);
    Ok(())
}

#[test]
fn event_stream_clients_disconnecting_at_once_are_removed() -> Result<()> {
    let mut hub = LocalHub::start("reactors = 2")?;
    for round in 0..200 {
        let target = anonymous(&hub)?;
        for _ in 0..round % 3 {
            http::request(hub.public, "POST", &target, &[], b" ")?;
        }
        let mut connection = Connection::open(hub.public)?;
        connection
            .write(format!("GET {target} HTTP/1.1\r\nHost: hub\r\nAccept: text/event-stream\r\n\r\n").as_bytes())?;
    }
    hub.process.signal(Signal::TERM)?;
    let status = hub.process.wait(WAIT_TIMEOUT)?;
    ensure!(status.success(), "{status}");
    ensure!(hub.process.printed().contains("all clients disconnected"), "{}", hub.process.printed());
    Ok(())
}
