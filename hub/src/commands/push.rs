//! `push`: composes a push, or takes one as it is, and sends it.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use notification_hub::auth::bearer::Bearer;
use notification_hub::sender::{Direct, Push as Composed};
use uuid::Uuid;

use super::{Usage, runtime};

/// Options of `push`.
#[derive(Debug, Args)]
#[command(after_help = "Without --type the whole notification is read as JSON from standard input.")]
pub(crate) struct Push {
    /// The hub's internal port, a base: /send is appended unless it ends so
    #[arg(long, value_name = "URL")]
    url: String,
    /// An internal token
    #[arg(long, value_name = "TOKEN", hide_env_values = true, env = "NOTIFICATION_HUB_TOKEN")]
    token: String,
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
    let text = match &arguments.kind {
        Some(kind) => compose(kind, arguments)?,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            text
        }
    };
    let sender = Direct::new(&arguments.url, Bearer::from(arguments.token.as_str()));
    runtime()?.block_on(sender.send(text))?;
    Ok(())
}

fn compose(kind: &str, arguments: &Push) -> anyhow::Result<String> {
    let payload = arguments.payload.as_deref().map(serde_json::from_str).transpose();
    let payload = payload.map_err(|error| Usage(format!("--payload: {error}")))?;
    let push = Composed {
        kind: kind.to_owned(),
        user: arguments.user,
        organization: arguments.organization,
        installation: arguments.installation,
        client_type: arguments.client_type.clone(),
        context_id: arguments.context_id.clone(),
        payload,
    };
    Ok(push.text().map_err(|error| Usage(error.to_string()))?)
}
