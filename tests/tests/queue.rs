//! The Azure Storage queue as a source, with Azurite: messages of .NET's sender are delivered, also with faults.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use notification_hub_tests::azurite::Azurite;
use notification_hub_tests::bench::client::HANDSHAKE;
use notification_hub_tests::http::Connection;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::proxy::Proxy;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::storage_queue::{QueueMessage, StorageQueue};
use notification_hub_tests::{programs, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a hub that receives from the queue `notifications` of an account.
fn hub(connection_string: &str) -> Result<LocalHub> {
    LocalHub::start(&settings(connection_string))
}

fn settings(connection_string: &str) -> String {
    format!(
        "catch_up.enabled = false\nsource.kind = 'azure_queue'\n\
         source.azure_queue.connection_string = '{connection_string}'\n"
    )
}

/// Starts an Azurite with an empty queue, and a hub that receives from it.
fn start() -> Result<(Azurite, StorageQueue, LocalHub)> {
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let hub = hub(&azurite.connection_string(azurite.port()))?;
    Ok((azurite, queue, hub))
}

fn connect(hub: &LocalHub) -> Result<Listener> {
    Listener::connect(Command::new("node"), &hub.url(), &hub.token(USER, &[])?, "messagepack", &[])
}

/// Returns the push of a folder with a number.
fn folder(number: usize) -> String {
    let id = Uuid::from_u128(number as u128).to_string();
    json!({ "Type": 7, "Payload": { "Id": id, "UserId": USER, "RevisionDate": "2026-01-02T03:04:05Z" } }).to_string()
}

/// Returns the numbers of the folders that a client received, in order.
fn numbers(client: &Listener) -> Vec<usize> {
    let id = |line: Value| line["arguments"][0]["Payload"]["Id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
    let ids = client.lines().into_iter().filter_map(|line| id(serde_json::from_str(&line).ok()?));
    ids.map(|id| id.as_u128() as usize).collect()
}

/// Waits until clients together have received the expected folders, and fails unless each was received once.
fn wait_received_once(clients: &[&Listener], expected: std::ops::Range<usize>) -> Result<()> {
    wait::until("all pushes", WAIT_TIMEOUT, || {
        let count: usize = clients.iter().map(|client| numbers(client).len()).sum();
        ensure!(count >= expected.len(), "{count} of {}", expected.len());
        Ok(())
    })?;
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    clients.iter().flat_map(|client| numbers(client)).for_each(|number| *times.entry(number).or_default() += 1);
    ensure!(times.keys().copied().eq(expected), "others than expected: {times:?}");
    ensure!(times.values().all(|times| *times == 1), "duplicates: {times:?}");
    Ok(())
}

/// Fails if a hub's log contains the name of a credential. The secrets themselves are searched for in all output.
fn check_no_credentials(hub: &LocalHub) -> Result<()> {
    let printed = hub.process.printed();
    for trace in ["AccountKey", "SharedAccessSignature", "sig=", "SharedKey"] {
        ensure!(!printed.contains(trace), "{trace:?} is in the log:\n{printed}");
    }
    Ok(())
}

/// Whether a line of a hub's log is about a failed operation of the queue.
fn is_failure(line: &str, operation: &str) -> bool {
    line.contains("queue operation failed") && line.contains(operation)
}

/// Returns the text of a queue message and its frame, from the catalog of push types.
fn cataloged(name: &str, variant: &str) -> Result<(String, Vec<u8>)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/contract/push-types.json");
    let catalogue: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let kind = catalogue["types"].as_array().and_then(|types| types.iter().find(|kind| kind["name"] == name));
    let variants = kind.and_then(|kind| kind["variants"].as_array());
    let variant = variants.and_then(|all| all.iter().find(|one| one["name"] == variant)).context("no such variant")?;
    let frame = variant["superset"].as_object().map_or(&variant["emitted"], |_| &variant["superset"]);
    let hex = frame["msgpack_ws_hex"].as_str().context("no frame")?.replace(' ', "");
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    Ok((variant["queue_json"].as_str().context("no text")?.to_owned(), bytes.collect::<Result<_, _>>()?))
}

#[test]
fn dotnet_queue_message_is_delivered_as_the_cataloged_frame() -> Result<()> {
    let (_azurite, queue, hub) = start()?;
    let (response, mut connection) = hub.upgrade(Some(&hub.token(USER, &[])?))?;
    ensure!(response.status == 101, "{}", response.status);
    connection.write(HANDSHAKE)?;
    let (mut socket, mut received) = connection.into_parts();
    socket.set_read_timeout(Some(WAIT_TIMEOUT))?;
    for (name, variant) in [("SyncCipherUpdate", "personal"), ("LogOut", "key_rotation")] {
        let (text, frame) = cataloged(name, variant)?;
        for text in [BASE64_STANDARD.encode(&text), text] {
            received.clear();
            queue.put(&[text])?;
            while !received.windows(frame.len()).any(|received| received == frame) {
                let mut buffer = [0; 4096];
                let count = socket.read(&mut buffer).with_context(|| format!("no frame in {received:x?}"))?;
                ensure!(count > 0, "the hub hung up");
                received.extend_from_slice(&buffer[..count]);
            }
        }
    }
    queue.wait_empty(WAIT_TIMEOUT)?;
    ensure!(hub.internal == hub.public, "a hub with a queue has an internal port");
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="delivered",type="0"}"#)? == 2.0);
    check_no_credentials(&hub)
}

#[test]
fn invalid_queue_message_moves_to_poison_queue_with_reason() -> Result<()> {
    let (azurite, queue, hub) = start()?;
    let client = connect(&hub)?;
    // ASCII, because Azurite miscounts letters of several bytes that it reads in two parts.
    let long = "x".repeat(65_536);
    queue.put(&["garbage <&>", r#"{"Type":11,"Payload":{}}"#, " ", &long, &folder(0)])?;
    wait_received_once(&[&client], 0..1)?;
    queue.wait_empty(WAIT_TIMEOUT)?;
    let mut poison = azurite.queue("notifications-poison")?.peek()?;
    poison.sort_by_key(String::len);
    ensure!(poison.len() == 3, "{poison:?}");
    ensure!(poison[0].starts_with("push: expected value") && poison[0].ends_with("\ngarbage <&>"), "{}", poison[0]);
    ensure!(
        poison[1] == "push.Payload.UserId: must be a GUID with hyphens\n{\"Type\":11,\"Payload\":{}}",
        "{}",
        poison[1]
    );
    ensure!(poison[2].len() == 65_536 && poison[2].ends_with("xx\n[shortened]"));
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="poisoned",type="none"}"#)? == 3.0);
    check_no_credentials(&hub)
}

#[test]
fn queue_outage_loses_and_duplicates_no_message() -> Result<()> {
    let mut azurite = Azurite::start_on_disk()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let hub = hub(&azurite.sas_connection_string()?)?;
    let client = connect(&hub)?;
    queue.put(&[folder(0)])?;
    wait_received_once(&[&client], 0..1)?;
    azurite.stop()?;
    hub.process.line("word of the outage", WAIT_TIMEOUT, |line| is_failure(line, "receive messages").then_some(()))?;
    azurite.restart()?;
    queue.put(&(1..40).map(folder).collect::<Vec<_>>())?;
    wait_received_once(&[&client], 0..40)?;
    queue.wait_empty(WAIT_TIMEOUT)?;
    let is_recovery = |line: &str| line.contains("queue operation recovered") && line.contains("receive messages");
    hub.process.line("word of its end", WAIT_TIMEOUT, |line| is_recovery(line).then_some(()))?;
    ensure!(numbers(&client) == (0..40).collect::<Vec<_>>(), "out of order: {:?}", numbers(&client));
    check_no_credentials(&hub)
}

#[test]
fn wrong_key_or_missing_queue_is_logged_once() -> Result<()> {
    let azurite = Azurite::start()?;
    let wrong = BASE64_STANDARD.encode("another key");
    let text = azurite.connection_string(azurite.port()).replace(azurite.key(), &wrong);
    let refused = hub(&text)?;
    let failure = |hub: &LocalHub, error: &str| {
        let is_it = |line: &str| is_failure(line, "receive messages") && line.contains(error);
        hub.process.line(error, WAIT_TIMEOUT, |line| is_it(line).then(|| line.to_owned()))
    };
    let line = failure(&refused, "the storage account refused the credential (403 AuthenticationFailed)")?;
    ensure!(line.contains("WARN"), "{line}");
    ensure!(!refused.process.printed().contains(&wrong));

    let waiting = hub(&azurite.connection_string(azurite.port()))?;
    let client = connect(&waiting)?;
    failure(&waiting, "the queue does not exist")?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    queue.put(&[folder(0)])?;
    wait_received_once(&[&client], 0..1)?;
    for hub in [&refused, &waiting] {
        ensure!(notification_hub_tests::http::get(hub.admin, "/readyz")?.status == 200);
        let failures = hub.process.stdout().iter().filter(|line| is_failure(line, "receive messages")).count();
        ensure!(failures == 1, "{failures} failures are logged");
        check_no_credentials(hub)?;
    }
    Ok(())
}

#[test]
fn hubs_with_backplane_share_one_queue() -> Result<()> {
    let (azurite, redis) = (Azurite::start()?, Redis::start()?);
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let settings = settings(&azurite.connection_string(azurite.port())) + &redis.settings();
    let first = LocalHub::start(&settings)?;
    let mut second = LocalHub::start_replica(&first, &settings)?;
    for hub in [&first, &second] {
        wait::until("the replicas are connected to Redis", WAIT_TIMEOUT, || {
            ensure!(hub.metric("notification_hub_backplane_up")? == 1.0);
            Ok(())
        })?;
    }
    let (left, right) = (connect(&first)?, connect(&second)?);
    let mut put = 0;
    let mut more = || -> Result<usize> {
        queue.put(&(put..put + 40).map(folder).collect::<Vec<_>>())?;
        put += 40;
        Ok(put)
    };
    wait::until("both hubs have received messages", WAIT_TIMEOUT, || {
        more()?;
        for hub in [&first, &second] {
            ensure!(hub.metric(r#"notification_hub_pushes_total{stage="received",type="7"}"#)? > 0.0);
        }
        Ok(())
    })?;
    // A draining hub finishes its leased messages, and the other continues.
    let put = more()?;
    second.process.signal(Signal::TERM)?;
    ensure!(second.process.wait(WAIT_TIMEOUT)?.success());
    ensure!(second.process.printed().contains("no message is in flight"), "{}", second.process.printed());
    wait_received_once(&[&left], 0..put)?;
    ensure!(numbers(&right).len() <= put);
    queue.wait_empty(WAIT_TIMEOUT)
}

/// Like a rollout: the new hub is ready while clients are still connected to the old one.
#[test]
fn hubs_without_backplane_take_turns_without_losing_messages() -> Result<()> {
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let settings = settings(&azurite.connection_string(azurite.port())) + "drain.delay = '2s'";
    let mut old = LocalHub::start(&settings)?;
    let left = connect(&old)?;
    queue.put(&(0..40).map(folder).collect::<Vec<_>>())?;
    wait_received_once(&[&left], 0..40)?;
    let mut new = LocalHub::start_replica(&old, &settings)?;
    let right = connect(&new)?;
    queue.put(&(40..120).map(folder).collect::<Vec<_>>())?;
    wait_received_once(&[&left], 0..120)?;

    // The old hub receives no more messages, and the new one none until the clients of the old one are closed.
    old.process.signal(Signal::TERM)?;
    old.process
        .line("the source's end", WAIT_TIMEOUT, |line| line.contains("no message is in flight").then_some(()))?;
    let at_end = numbers(&left).len();
    queue.put(&(120..160).map(folder).collect::<Vec<_>>())?;
    left.wait_closed()?;
    ensure!(numbers(&left).len() == at_end && numbers(&right).is_empty());
    ensure!(old.process.wait(WAIT_TIMEOUT)?.success());
    wait_received_once(&[&left, &right], 0..160)?;
    ensure!(numbers(&right) == (120..160).collect::<Vec<_>>());

    // The next hub takes the turn of a killed one. Messages that this one has not deleted yet would stay hidden.
    queue.wait_empty(WAIT_TIMEOUT)?;
    new.process.signal(Signal::KILL)?;
    new.process.wait(WAIT_TIMEOUT)?;
    let next = LocalHub::start_replica(&new, &settings)?;
    let client = connect(&next)?;
    queue.put(&(160..200).map(folder).collect::<Vec<_>>())?;
    wait_received_once(&[&client], 160..200)?;
    queue.wait_empty(WAIT_TIMEOUT)?;
    [&old, &new, &next].into_iter().try_for_each(check_no_credentials)
}

#[test]
fn queue_turn_deleted_is_recreated() -> Result<()> {
    let (azurite, queue, hub) = start()?;
    let client = connect(&hub)?;
    queue.put(&[folder(0)])?;
    wait_received_once(&[&client], 0..1)?;
    // The container of the turn is deleted.
    azurite.queue("notifications-turns")?.remove()?;
    hub.process.line("word of it", WAIT_TIMEOUT, |line| line.contains("turn lease lost").then_some(()))?;
    queue.put(&[folder(1)])?;
    wait_received_once(&[&client], 0..2)?;
    check_no_credentials(&hub)
}

#[test]
fn queue_without_turn_rights_is_still_received() -> Result<()> {
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let hub = hub(&azurite.sas_connection_string_with("raup")?)?;
    let client = connect(&hub)?;
    queue.put(&[folder(0)])?;
    wait_received_once(&[&client], 0..1)?;
    hub.process.line("word of it", WAIT_TIMEOUT, |line| is_failure(line, "acquire the turn lease").then_some(()))?;
    check_no_credentials(&hub)
}

#[test]
fn push_command_writes_the_same_queue_text_as_dotnet() -> Result<()> {
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let text = azurite.connection_string(azurite.port());
    let push = |more: &[&str], input: &str| -> Result<std::process::Output> {
        let mut command = Command::new(programs::find("notification-hub")?);
        command.args(["push", "--queue"]).args(more).env_remove("NOTIFICATION_HUB_TOKEN");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn()?;
        // A command that fails early does not read its input.
        let _ = child.stdin.take().context("no input")?.write_all(input.as_bytes());
        Ok(child.wait_with_output()?)
    };
    let output = push(&[&text, "--type", "LogOut", "--user", USER, "--context-id", "it's"], "")?;
    ensure!(output.status.success(), "{output:?}");
    let (sent, _) = cataloged("LogOut", "key_rotation")?;
    ensure!(push(&[&text], &sent)?.status.success());
    let expected = format!(r#"{{"Type":11,"Payload":{{"UserId":"{USER}"}},"ContextId":"it\u0027s"}}"#);
    ensure!(queue.peek()? == [expected, sent], "{:?}", queue.peek()?);

    let output = push(&[&text], &"x".repeat(65_537))?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1) && stderr.contains("the maximum is 65536 bytes"), "{output:?}");
    let output = push(&["AccountName=a;AccountKey=?SECRET", "--type", "5"], "")?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2) && stderr.contains("--queue: AccountKey is not Base64"), "{output:?}");
    ensure!(!stderr.contains("SECRET"), "{stderr}");
    let output = push(&[&text, "--queue-name", "nowhere", "--type", "5", "--user", USER], "")?;
    ensure!(String::from_utf8_lossy(&output.stderr).contains("the queue does not exist"), "{output:?}");

    let hub = hub(&text)?;
    let client = connect(&hub)?;
    let output = push(&[&text, "--type", "SyncVault", "--user", USER], "")?;
    ensure!(output.status.success(), "{output:?}");
    client.notification(|push| push["Type"] == 5)?;
    check_no_credentials(&hub)
}

#[test]
fn idle_queue_message_is_delivered_within_1500_ms() -> Result<()> {
    let (_azurite, queue, hub) = start()?;
    let client = connect(&hub)?;
    let mut longest = Duration::ZERO;
    for number in 0..4 {
        // By then the poll interval has reached its maximum.
        let idle = Instant::now() + Duration::from_millis(2500 + 217 * number as u64);
        wait::until("an idle hub", WAIT_TIMEOUT, || {
            ensure!(Instant::now() > idle);
            Ok(())
        })?;
        queue.put(&[folder(number)])?;
        let since = Instant::now();
        client.notification(|push| push["Payload"]["Id"] == Uuid::from_u128(number as u128).to_string())?;
        longest = longest.max(since.elapsed());
    }
    println!("queue_idle_wait_ms {}", longest.as_millis());
    ensure!(longest < Duration::from_millis(1500), "{longest:?}");
    Ok(())
}

#[test]
fn undeletable_message_stays_hidden_and_is_not_redelivered() -> Result<()> {
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let proxy = Proxy::start(azurite.port(), Duration::ZERO)?;
    let hub = hub(&azurite.connection_string(proxy.address.port()))?;
    let client = connect(&hub)?;
    proxy.set_reject_deletes(true);
    // One renewal of a lease is never answered.
    proxy.drop_puts("/notifications/messages/", 1);
    queue.put(&(0..3).map(folder).collect::<Vec<_>>())?;
    wait_received_once(&[&client], 0..3)?;
    // Without a renewal, messages would be visible again after 30 seconds.
    let end = Instant::now() + Duration::from_secs(34);
    wait::until("35 seconds", Duration::from_secs(60), || {
        ensure!(queue.peek()?.is_empty(), "a message is visible");
        ensure!(Instant::now() > end);
        Ok(())
    })?;
    ensure!(queue.peek()?.is_empty(), "a message is visible");
    ensure!((queue.depth()?, proxy.puts_to_drop()) == (3, 0));
    proxy.set_reject_deletes(false);
    queue.wait_empty(WAIT_TIMEOUT)?;
    wait_received_once(&[&client], 0..3)?;
    let count = hub.process.stdout().iter().filter(|line| is_failure(line, "delete messages")).count();
    ensure!(count == 1, "logged {count} times");
    check_no_credentials(&hub)
}

fn delete(queue: &StorageQueue, messages: &[QueueMessage]) -> Result<()> {
    let mut connection = Connection::open(queue.address())?;
    messages.iter().try_for_each(|message| queue.delete(&mut connection, message))
}

/// Empties a queue, and returns how many messages per second it deletes with 32 connections.
fn deletions(queue: &StorageQueue) -> Result<f64> {
    let mut connection = Connection::open(queue.address())?;
    let mut messages = Vec::new();
    loop {
        let batch = queue.receive(&mut connection, 32)?;
        if batch.is_empty() {
            break;
        }
        messages.extend(batch);
    }
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let shares = messages.chunks(messages.len().div_ceil(32));
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || delete(queue, share))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread failed"))?)
    })?;
    Ok(messages.len() as f64 / begin.elapsed().as_secs_f64())
}

#[test]
fn remote_queue_is_drained_completely_and_measured() -> Result<()> {
    const PUSHES: usize = 500;
    const SAMPLE: usize = 40;
    let azurite = Azurite::start()?;
    let proxy = Proxy::start(azurite.port(), Duration::from_millis(20))?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;

    queue.put(&(0..SAMPLE).map(folder).collect::<Vec<_>>())?;
    let remote = queue.with_address(proxy.address);
    let mut connection = Connection::open(proxy.address)?;
    let begin = Instant::now();
    while let [message] = remote.receive(&mut connection, 1)?.as_slice() {
        remote.delete(&mut connection, message)?;
    }
    let one_by_one = SAMPLE as f64 / begin.elapsed().as_secs_f64();

    queue.put(&(0..PUSHES).map(folder).collect::<Vec<_>>())?;
    println!("queue_azurite_deletions_per_second {:.0}", deletions(&queue)?);
    queue.put(&(0..PUSHES).map(folder).collect::<Vec<_>>())?;
    let hub = hub(&azurite.connection_string(proxy.address.port()))?;
    let begin = Instant::now();
    while queue.depth()? > 0 && begin.elapsed() < WAIT_TIMEOUT {
        std::thread::sleep(Duration::from_millis(10));
    }
    let ours = PUSHES as f64 / begin.elapsed().as_secs_f64();
    queue.wait_empty(Duration::ZERO)?;
    println!("queue_drain_per_second {ours:.0}, one by one {one_by_one:.1}: {:.1} times", ours / one_by_one);
    let taken = hub.metric(r#"notification_hub_pushes_total{stage="no_recipient",type="7"}"#)?;
    ensure!(taken == PUSHES as f64, "{taken}");
    ensure!(hub.metric("notification_hub_queue_depth")? > 0.0, "the queue was not measured");
    ensure!(hub.metric("notification_hub_queue_oldest_message_age_seconds")? >= 0.0);
    Ok(())
}
