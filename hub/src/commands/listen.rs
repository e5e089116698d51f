//! `listen`: connects as a client and prints what the hub calls, a line each.

use clap::Args;
use notification_hub::auth::bearer::Bearer;
use notification_hub::client::Client;
use notification_hub::protocol::Protocol;
use notification_hub::shutdown;

use super::{Usage, runtime};

/// Options of `listen`.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// The hub, a base: /hub is appended unless it ends so
    #[arg(long, value_name = "URL")]
    url: String,
    /// A user's token
    #[arg(long, value_name = "TOKEN", hide_env_values = true, env = "NOTIFICATION_HUB_TOKEN")]
    token: String,
    /// json or messagepack
    #[arg(long, value_name = "NAME", default_value = "messagepack")]
    protocol: String,
}

/// Listens until the hub closes the connection, or until a signal.
pub(crate) fn run(arguments: &Listen) -> anyhow::Result<()> {
    let protocol = Protocol::named(&arguments.protocol)
        .ok_or_else(|| Usage(format!("--protocol: {:?} is neither json nor messagepack", arguments.protocol)))?;
    runtime()?.block_on(listen(&arguments.url, &Bearer::from(arguments.token.as_str()), protocol))
}

async fn listen(url: &str, token: &Bearer, protocol: Protocol) -> anyhow::Result<()> {
    let stopping = shutdown::signals()?;
    let mut client = Client::connect(url, token, protocol).await?;
    eprintln!("connected");
    loop {
        let call = tokio::select! {
            call = client.next() => call?,
            () = shutdown::asked(stopping.clone()) => break,
        };
        match call {
            Some(call) => {
                let line = serde_json::json!({ "target": call.target, "arguments": call.arguments });
                println!("{line}");
            }
            None => anyhow::bail!("the hub has closed the connection"),
        }
    }
    // The hub may be gone already.
    let _ = client.close().await;
    Ok(())
}
