//! `push`: composes a push, or takes one as it is, and sends it.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use notification_hub::auth::bearer::BearerToken;
use notification_hub::azure_storage::{Account, QueueName};
use notification_hub::sender::{HttpSender, InternalToken, PushFormat, PushSpec, QueueSender, Sender, TokenClient};
use uuid::Uuid;

use super::{Usage, runtime};

/// The service as which an identity server knows the command.
const PROJECT: &str = "NotificationHub";

/// Options of `push`.
#[derive(Debug, Args)]
#[command(after_help = "Without --type the whole notification is read as JSON from standard input.")]
#[command(group = clap::ArgGroup::new("where").required(true).args(["url", "queue"]))]
pub(crate) struct Push {
    /// The hub's internal port, a base: /send is appended unless it ends so
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// An internal token
    #[arg(long, value_name = "TOKEN", hide_env_values = true, env = "NOTIFICATION_HUB_TOKEN")]
    token: Option<String>,
    /// An identity server, a base, that gives the token instead
    #[arg(long, value_name = "URL", requires = "client_secret")]
    identity: Option<String>,
    /// The secret for the identity server
    #[arg(long, value_name = "SECRET", hide_env_values = true, env = "NOTIFICATION_HUB_CLIENT_SECRET")]
    client_secret: Option<String>,
    /// Instead of a hub, a queue from which hubs receive: the connection string of its storage account
    #[arg(long, value_name = "CONNECTION-STRING", conflicts_with = "identity")]
    queue: Option<String>,
    /// The queue's name
    #[arg(long, value_name = "NAME", default_value_t, value_parser = queue_name)]
    queue_name: QueueName,
    /// The type, by name or number
    #[arg(long = "type", value_name = "NAME-OR-NUMBER")]
    kind: Option<String>,
    /// To the connections of this user
    #[arg(long, value_name = "UUID", requires = "kind")]
    user: Option<Uuid>,
    /// To the members of this organisation
    #[arg(long, value_name = "UUID", requires = "kind")]
    organization: Option<Uuid>,
    /// To everybody, if the hub serves this installation
    #[arg(long, value_name = "UUID", requires = "kind")]
    installation: Option<Uuid>,
    /// To this kind of client only: All, Web, Browser, Desktop, Mobile, Cli
    #[arg(long, value_name = "NAME", requires = "kind")]
    client_type: Option<String>,
    /// The device that caused it and will ignore it
    #[arg(long, value_name = "ID", requires = "kind")]
    context_id: Option<String>,
    /// Members of the payload; what else the type needs is made up
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

fn sender(arguments: &Push) -> anyhow::Result<Sender> {
    if let Some(text) = &arguments.queue {
        let account = Account::parse(&text.as_str().into()).map_err(|error| Usage::new(format!("--queue: {error}")))?;
        return Ok(Sender::Queue(QueueSender::new(&account, &arguments.queue_name)?));
    }
    let url = arguments.url.as_deref().unwrap_or_default();
    let token = match (&arguments.identity, &arguments.client_secret, &arguments.token) {
        (Some(identity), Some(secret), _) => {
            InternalToken::Fetched(TokenClient::new(identity, PROJECT, secret.as_str().into()))
        }
        (_, _, Some(token)) => InternalToken::Static(BearerToken::from(token.as_str())),
        _ => return Err(Usage::new("--url needs --token, or --identity with --client-secret").into()),
    };
    Ok(Sender::Direct(HttpSender::new(url, token)))
}

fn queue_name(text: &str) -> Result<QueueName, String> {
    QueueName::new(text).ok_or_else(|| "has to be 3 to 63 lower-case letters, digits and single hyphens".to_owned())
}

fn compose(kind: &str, arguments: &Push) -> anyhow::Result<PushSpec> {
    let payload = arguments.payload.as_deref().map(serde_json::from_str).transpose();
    let payload = payload.map_err(|error| Usage::new(format!("--payload: {error}")))?;
    let push = PushSpec {
        kind: kind.to_owned(),
        user: arguments.user,
        organization: arguments.organization,
        installation: arguments.installation,
        client_type: arguments.client_type.clone(),
        context_id: arguments.context_id.clone(),
        payload,
    };
    // What can't be composed is wrong usage, whoever it would be sent to.
    push.to_json(PushFormat::Send).map_err(|error| Usage::new(error.to_string()))?;
    Ok(push)
}
