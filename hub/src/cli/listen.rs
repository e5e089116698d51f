//! `listen`: connects as a client and prints each invocation of the hub as one line.

use clap::Args;
use notification_hub::auth::bearer::BearerToken;
use notification_hub::client::{Client, ClientIdentity};
use notification_hub::server::shutdown;
use notification_hub::signalr::protocol::Protocol;
use uuid::Uuid;

use super::{UsageError, output, runtime};

/// Options of `listen`.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Base URL of the hub; /hub is appended if it is missing
    #[arg(long, value_name = "URL")]
    url: String,
    /// Token of a user
    #[arg(
        long,
        value_name = "TOKEN",
        hide_env_values = true,
        env = "NOTIFICATION_HUB_TOKEN",
        required_unless_present = "anonymous"
    )]
    token: Option<String>,
    /// Wait for the response to this login request, on the anonymous hub
    #[arg(long, value_name = "REQUEST-ID")]
    anonymous: Option<Uuid>,
    /// SignalR protocol: json or messagepack
    #[arg(long, value_name = "NAME", default_value = "messagepack")]
    protocol: String,
}

/// Prints invocations until a signal, or fails when the hub closes the connection.
pub(crate) fn run(arguments: &Listen) -> anyhow::Result<()> {
    let protocol = Protocol::from_name(&arguments.protocol).ok_or_else(|| {
        UsageError::new(format!("--protocol: unknown protocol {:?}; use json or messagepack", arguments.protocol))
    })?;
    let identity = match (arguments.anonymous, &arguments.token) {
        (Some(request), _) => ClientIdentity::Anonymous(request.to_string()),
        (None, token) => ClientIdentity::User(BearerToken::from(token.as_deref().unwrap_or_default())),
    };
    runtime()?.block_on(listen(&arguments.url, &identity, protocol))
}

/// Connects and prints invocations.
async fn listen(url: &str, identity: &ClientIdentity, protocol: Protocol) -> anyhow::Result<()> {
    let stopping = shutdown::install_signal_handlers()?;
    let mut client = Client::connect(url, identity, protocol).await?;
    output::print_notice("connected");
    loop {
        let call = tokio::select! {
            call = client.next() => call?,
            () = shutdown::requested(stopping.clone()) => break,
        };
        match call {
            Some(call) => {
                output::print_line(serde_json::json!({ "target": call.target, "arguments": call.arguments }))?;
            }
            None => anyhow::bail!("the hub closed the connection"),
        }
    }
    // The hub may have closed the connection already.
    let _ = client.close().await;
    Ok(())
}
