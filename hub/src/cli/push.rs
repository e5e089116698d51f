//! `push`: composes a push, or reads one from standard input, and sends it.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use notification_hub::auth::bearer::BearerToken;
use notification_hub::azure_storage::{Account, QueueName};
use notification_hub::sender::{HttpSender, InternalToken, PushFormat, PushSpec, QueueSender, Sender, TokenClient};
use uuid::Uuid;

use super::{UsageError, runtime};

/// The name of the service in requests to the identity server.
const SERVICE_NAME: &str = "NotificationHub";

/// Options of `push`.
#[derive(Debug, Args)]
#[command(after_help = "Without --type, the command reads the push as JSON from standard input.")]
#[command(group = clap::ArgGroup::new("destination").required(true).args(["url", "queue"]))]
pub(crate) struct Push {
    /// Base URL of the internal port; /send is appended if it is missing
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Token with the scope internal
    #[arg(long, value_name = "TOKEN", hide_env_values = true, env = "NOTIFICATION_HUB_TOKEN")]
    token: Option<String>,
    /// Base URL of an identity server to get the token from
    #[arg(long, value_name = "URL", requires = "client_secret")]
    identity: Option<String>,
    /// Client secret for the identity server
    #[arg(long, value_name = "SECRET", hide_env_values = true, env = "NOTIFICATION_HUB_CLIENT_SECRET")]
    client_secret: Option<String>,
    /// Send to a queue of the storage account with this connection string, not to a hub
    #[arg(long, value_name = "CONNECTION-STRING", conflicts_with = "identity")]
    queue: Option<String>,
    /// Name of the queue
    #[arg(long, value_name = "NAME", default_value_t, value_parser = queue_name)]
    queue_name: QueueName,
    /// Type of the push
    #[arg(long = "type", value_name = "NAME-OR-NUMBER")]
    kind: Option<String>,
    /// Send to this user
    #[arg(long, value_name = "UUID", requires = "kind")]
    user: Option<Uuid>,
    /// Send to the members of this organization
    #[arg(long, value_name = "UUID", requires = "kind")]
    organization: Option<Uuid>,
    /// Send to all clients of hubs with this installation.id
    #[arg(long, value_name = "UUID", requires = "kind")]
    installation: Option<Uuid>,
    /// Send only to clients of this type: All, Web, Browser, Desktop, Mobile or Cli
    #[arg(long, value_name = "NAME", requires = "kind")]
    client_type: Option<String>,
    /// Device that caused the push, which ignores it
    #[arg(long, value_name = "ID", requires = "kind")]
    context_id: Option<String>,
    /// Members of the payload; the command generates the others that the type needs
    #[arg(long, value_name = "JSON", requires = "kind")]
    payload: Option<String>,
}

/// Sends a push.
pub(crate) fn run(arguments: &Push) -> anyhow::Result<()> {
    let sender = sender(arguments)?;
    let push = arguments.kind.as_deref().map(|kind| compose(kind, arguments)).transpose()?;
    let mut text = String::new();
    if push.is_none() {
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
    }
    runtime()?.block_on(async {
        match &push {
            Some(push) => sender.push(push).await,
            None => sender.send(text).await,
        }
    })?;
    Ok(())
}

/// Returns the sender to the hub or the queue.
fn sender(arguments: &Push) -> anyhow::Result<Sender> {
    if let Some(text) = &arguments.queue {
        let account =
            Account::parse(&text.as_str().into()).map_err(|error| UsageError::new(format!("--queue: {error}")))?;
        return Ok(Sender::Queue(QueueSender::new(&account, &arguments.queue_name)?));
    }
    let url = arguments.url.as_deref().unwrap_or_default();
    let token = match (&arguments.identity, &arguments.client_secret, &arguments.token) {
        (Some(identity), Some(secret), _) => {
            InternalToken::Fetched(TokenClient::new(identity, SERVICE_NAME, secret.as_str().into()))
        }
        (_, _, Some(token)) => InternalToken::Static(BearerToken::from(token.as_str())),
        _ => return Err(UsageError::new("--url needs --token, or --identity with --client-secret").into()),
    };
    Ok(Sender::Direct(HttpSender::new(url, token)))
}

/// Parses the name of a queue.
fn queue_name(text: &str) -> Result<QueueName, String> {
    QueueName::new(text).ok_or_else(|| "use 3 to 63 lowercase letters, digits and single hyphens".to_owned())
}

/// Composes a push from the arguments.
fn compose(kind: &str, arguments: &Push) -> anyhow::Result<PushSpec> {
    let payload = arguments.payload.as_deref().map(serde_json::from_str).transpose();
    let payload = payload.map_err(|error| UsageError::new(format!("--payload: {error}")))?;
    let push = PushSpec {
        kind: kind.to_owned(),
        user: arguments.user,
        organization: arguments.organization,
        installation: arguments.installation,
        client_type: arguments.client_type.clone(),
        context_id: arguments.context_id.clone(),
        payload,
    };
    // A push that cannot be encoded is a usage error, for a hub and for a queue.
    push.to_json(PushFormat::Send).map_err(|error| UsageError::new(error.to_string()))?;
    Ok(push)
}
