//! Tries everything that the backplane does with Redis, for the command `doctor`. Leaves nothing behind: its key expires after a
//! second, and its channel is that of a user that does not exist.

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Msg, RedisResult, Value};
use tokio::time::timeout;
use uuid::Uuid;

use super::connector::{Connected, Connector};
use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};
use super::records::{self, RecordKeys};
use super::sentinel;
use super::wire::channel::Channels;
use crate::config::{CatchUpConfig, RedisConfig};
use crate::delivery::Audience;
use crate::notification::ClientType;

/// The lifetime of the key, in milliseconds.
const KEY_LIFETIME_MS: u64 = 1000;

/// What a hub finds at Redis.
#[derive(Debug)]
pub struct RedisDiagnosis {
    /// `HOST:PORT` of the server: the only one, or the master.
    pub server: String,
    /// The commands that Redis refused.
    pub refused: Vec<RefusedCommand>,
    /// Whether a published message arrived. `None` if that was not tried, because a command for it was refused.
    pub is_delivered: Option<bool>,
    /// Whether Redis may evict keys. `None` if `INFO` was refused.
    pub may_evict: Option<bool>,
    /// The value of `client-output-buffer-limit`. `None` if `CONFIG GET` was refused, as with the documented rights.
    pub output_buffer_limits: Option<String>,
}

/// A command that Redis refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCommand {
    /// The name of the command.
    pub name: &'static str,
    /// The error of Redis.
    pub error: String,
}

/// The answer of a Sentinel.
#[derive(Debug)]
pub struct SentinelAnswer {
    /// `HOST:PORT` of the Sentinel.
    pub sentinel: String,
    /// `HOST:PORT` of the master, or `None` if the Sentinel does not know the service.
    pub master: Result<Option<String>, RedisLinkError>,
}

/// Asks each Sentinel for the master. Returns nothing if `settings` name no Sentinels.
pub async fn ask_sentinels(settings: &RedisConfig) -> Vec<SentinelAnswer> {
    // Sentinels have no records.
    let (connector, mut answers) = (Connector { settings: settings.clone(), record_key: String::new() }, Vec::new());
    let Some(service) = &settings.service else { return answers };
    for address in &settings.servers {
        let client = |server: &_, login| connector.client(server, login);
        let master = sentinel::ask_with_timeout(settings, service, address, REQUEST_TIMEOUT, client).await;
        let master = master.map(|master| master.map(|(host, port)| format!("{host}:{port}")));
        answers.push(SentinelAnswer { sentinel: format!("{}:{}", address.0, address.1), master });
    }
    answers
}

/// Connects and runs each command of the backplane.
///
/// # Errors
/// If Redis cannot be reached, refuses the login, or ends the connection.
pub async fn diagnose(
    settings: &RedisConfig,
    channel_prefix: &str,
    catch_up: &CatchUpConfig,
) -> Result<RedisDiagnosis, RedisLinkError> {
    let records = RecordKeys::new(channel_prefix, catch_up.window, catch_up.enabled);
    let connector = Connector { settings: settings.clone(), record_key: records.response_key(Uuid::nil()) };
    let Connected { mut connection, server } = connector.multiplexed().await?;
    let (host, port) = server.address;
    let mut refused = Vec::new();
    let info: Option<String> = run("INFO", &redis::cmd("INFO"), &mut connection, &mut refused).await?;
    let id = Uuid::new_v4();
    let run_keys = info.as_deref().and_then(|info| records.run(info));
    let key = run_keys.map_or_else(|| records.response_key(id), |run| run.user_key(id));
    for (name, command) in record_commands(&key) {
        run::<Value>(name, &command, &mut connection, &mut refused).await?;
    }
    let channels = Channels::new(channel_prefix);
    let channel = channels.name_for(Audience::User(id, ClientType::All)).unwrap_or_default();
    let is_delivered = publish_and_receive(&connector, &mut connection, &channel, &mut refused).await?;
    let mut limits = redis::cmd("CONFIG");
    let limits = limits.arg("GET").arg("client-output-buffer-limit");
    // The documented rights do not permit this, so a refusal is no finding.
    let limits: Option<Vec<String>> = run("CONFIG", limits, &mut connection, &mut Vec::new()).await?;
    Ok(RedisDiagnosis {
        server: format!("{host}:{port}"),
        refused,
        is_delivered,
        may_evict: info.as_deref().map(records::may_evict),
        output_buffer_limits: limits.and_then(|values| values.into_iter().nth(1)),
    })
}

/// Returns the commands for health checks and records, with a key that expires.
fn record_commands(key: &str) -> Vec<(&'static str, Cmd)> {
    let command = |name: &'static str, arguments: &[&str]| {
        let mut command = redis::cmd(name);
        command.arg(arguments);
        (name, command)
    };
    vec![
        command("PING", &[]),
        command("TIME", &[]),
        command("SET", &[key, "doctor", "PX", &KEY_LIFETIME_MS.to_string()]),
        command("GET", &[key]),
        command("MGET", &[key]),
        command("EVAL", &["return 1", "1", key]),
        command("DEL", &[key]),
    ]
}

/// Subscribes to a channel, publishes and waits for the message. Returns whether it arrived, or `None` if a command was refused.
async fn publish_and_receive(
    connector: &Connector,
    connection: &mut MultiplexedConnection,
    channel: &str,
    refused: &mut Vec<RefusedCommand>,
) -> Result<Option<bool>, RedisLinkError> {
    let (mut sink, mut stream) = connector.pubsub().await?.connection.split();
    let subscribed = timeout(REQUEST_TIMEOUT, sink.subscribe(channel)).await?;
    let subscribed = command_result("SUBSCRIBE", subscribed, refused)?;
    let mut publish = redis::cmd("PUBLISH");
    let published: Option<Value> = run("PUBLISH", publish.arg(channel).arg("doctor"), connection, refused).await?;
    if subscribed.is_none() || published.is_none() {
        return Ok(None);
    }
    let message: Option<Msg> = timeout(REQUEST_TIMEOUT, stream.next()).await.ok().flatten();
    let unsubscribed = timeout(REQUEST_TIMEOUT, sink.unsubscribe(channel)).await?;
    command_result("UNSUBSCRIBE", unsubscribed, refused)?;
    Ok(Some(message.is_some()))
}

/// Runs a command. Returns `None` and records the error if Redis refuses it.
async fn run<T: redis::FromRedisValue>(
    name: &'static str,
    command: &Cmd,
    connection: &mut MultiplexedConnection,
    refused: &mut Vec<RefusedCommand>,
) -> Result<Option<T>, RedisLinkError> {
    command_result(name, timeout(REQUEST_TIMEOUT, command.query_async(connection)).await?, refused)
}

/// Returns the value of a result, or `None` after recording that Redis refused the command.
fn command_result<T>(
    name: &'static str,
    result: RedisResult<T>,
    refused: &mut Vec<RefusedCommand>,
) -> Result<Option<T>, RedisLinkError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code().is_some() => {
            refused.push(RefusedCommand { name, error: error.to_string() });
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
