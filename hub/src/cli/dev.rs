//! `dev`: a hub that needs nothing else. It makes its own keys and prints what one needs to connect and to push.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use notification_hub::auth::token_issuer::{self, TokenIssuer, TokenSpec};
use notification_hub::config::{Config, Layers};
use notification_hub::observability::{LogTarget, start_logs};
use notification_hub::server::Server;
use uuid::Uuid;

use super::runtime;
use super::serve::serve;

/// How long the printed tokens are good for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Options of `dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Address for clients
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Folder for the keys, kept from run to run [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs a hub for trying things out.
pub(crate) fn run(arguments: &Dev) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.state.as_deref().unwrap_or(temporary.path());
    let keys = folder.join("keys");
    fs::create_dir_all(&keys).with_context(|| format!("{}", keys.display()))?;
    // The command that is printed has to work from any folder.
    let key = key_file(&keys.canonicalize()?)?;
    let config = configure(arguments, &keys)?;
    let level = start_logs(&config.log, LogTarget::Stderr)?;
    let user = user_of(folder)?;
    let issuer = TokenIssuer::from_file(&key)?;
    let user_token = issuer.issue(&TokenSpec { expires_in: TOKEN_LIFETIME, ..TokenSpec::user(user) })?;
    let internal_token = issuer.issue(&TokenSpec { expires_in: TOKEN_LIFETIME, ..TokenSpec::internal() })?;
    runtime()?
        .block_on(serve(config, level, |hub| describe(hub, arguments.json, user, &user_token, &internal_token, &key)))
}

fn configure(arguments: &Dev, keys: &Path) -> anyhow::Result<Config> {
    let flags = [
        ("listen.public", arguments.listen.clone()),
        ("listen.internal", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("auth.keys", keys.display().to_string()),
        ("log.level", "warn".to_owned()),
    ];
    Config::parse(Layers { flags: &flags, ..Layers::default() })
        .map_err(|problems| super::Usage::from_problems(problems.iter()).into())
}

/// The private key in a folder, made anew unless it is there.
fn key_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("dev.pem");
    if !path.exists() {
        write(&path, token_issuer::generate_key()?.as_bytes())?;
    }
    Ok(path)
}

/// The user for whom the token is: the same as long as the folder is the same.
fn user_of(folder: &Path) -> anyhow::Result<Uuid> {
    let path = folder.join("user");
    if let Ok(text) = fs::read_to_string(&path) {
        return text.trim().parse().with_context(|| format!("{} holds no user id", path.display()));
    }
    let user = Uuid::new_v4();
    write(&path, user.to_string().as_bytes())?;
    Ok(user)
}

/// Writes a new file that only its owner can read.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).with_context(|| format!("{}", path.display()))
}

fn describe(
    hub: &Server,
    json: bool,
    user: Uuid,
    user_token: &str,
    internal_token: &str,
    key: &Path,
) -> anyhow::Result<String> {
    let addresses = hub.addresses()?;
    let (url, send, admin) = (
        format!("http://{}", addresses.public),
        format!("http://{}", addresses.internal.context("the source is no port")?),
        format!("http://{}", addresses.admin),
    );
    if json {
        let all = serde_json::json!({
            "url": url, "sendUrl": send, "adminUrl": admin, "user": user.to_string(),
            "userToken": user_token, "internalToken": internal_token, "keyFile": key,
        });
        return Ok(all.to_string());
    }
    let this = std::env::current_exe().ok();
    let this = this.as_deref().map_or_else(|| "notification-hub".to_owned(), |path| path.display().to_string());
    Ok(format!(
        "clients connect to {url}, senders post to {send}, metrics are at {admin}/metrics\n\
         user      {user}\n\
         its token {user_token}\n\
         internal  {internal_token}\n\
         key       {}\n\n\
         listen as that user:\n  {this} listen --url {url} --token {user_token}\n\
         push to it:\n  {this} push --url {send} --token {internal_token} --type SyncVault --user {user}\n",
        key.display()
    ))
}
