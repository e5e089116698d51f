//! `dev`: runs a hub for development. It generates keys, and prints the URLs and tokens to connect and to push.

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

/// The lifetime of the printed tokens.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Options of `dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Listen for clients on this address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen_public: String,
    /// Keep keys and user id in this folder [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs a hub for development.
pub(crate) fn run(arguments: &Dev) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = arguments.state.as_deref().unwrap_or(temporary.path());
    let keys = folder.join("keys");
    fs::create_dir_all(&keys).with_context(|| format!("{}", keys.display()))?;
    // Absolute, so that the printed commands work in any folder.
    let key = ensure_key_file(&keys.canonicalize()?)?;
    let config = configure(arguments, &keys)?;
    let level = start_logs(&config.log, LogTarget::Stderr)?;
    let user = ensure_user(folder)?;
    let issuer = TokenIssuer::from_file(&key)?;
    let user_token = issuer.issue(&TokenSpec { expires_in: TOKEN_LIFETIME, ..TokenSpec::user(user) })?;
    let internal_token = issuer.issue(&TokenSpec { expires_in: TOKEN_LIFETIME, ..TokenSpec::internal() })?;
    runtime()?
        .block_on(serve(config, level, |hub| describe(hub, arguments.json, user, &user_token, &internal_token, &key)))
}

/// Builds the configuration.
fn configure(arguments: &Dev, keys: &Path) -> anyhow::Result<Config> {
    let flags = [
        ("listen.public", arguments.listen_public.clone()),
        ("listen.internal", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("auth.keys", keys.display().to_string()),
        ("log.level", "warn".to_owned()),
    ];
    Config::parse(Layers { flags: &flags, ..Layers::default() })
        .map_err(|problems| super::UsageError::from_problems(problems.iter()).into())
}

/// Returns the path of the private key in a folder. Creates the key if it does not exist.
fn ensure_key_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("dev.pem");
    if !path.exists() {
        write(&path, token_issuer::generate_key()?.as_bytes())?;
    }
    Ok(path)
}

/// Returns the user id in a folder. Creates one if it does not exist.
fn ensure_user(folder: &Path) -> anyhow::Result<Uuid> {
    let path = folder.join("user");
    if let Ok(text) = fs::read_to_string(&path) {
        return text.trim().parse().with_context(|| format!("{}: not a user id; delete the file", path.display()));
    }
    let user = Uuid::new_v4();
    write(&path, user.to_string().as_bytes())?;
    Ok(user)
}

/// Creates a file that only its owner can read.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).with_context(|| format!("{}", path.display()))
}

/// Returns the text or JSON that tells how to connect and push.
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
        format!("http://{}", addresses.internal.context("no internal port")?),
        format!("http://{}", addresses.admin),
    );
    if json {
        let json = serde_json::json!({
            "url": url, "sendUrl": send, "adminUrl": admin, "user": user.to_string(),
            "userToken": user_token, "internalToken": internal_token, "keyFile": key,
        });
        return Ok(json.to_string());
    }
    let program = std::env::current_exe().ok();
    let program = program.as_deref().map_or_else(|| "notification-hub".to_owned(), |path| path.display().to_string());
    Ok(format!(
        "public port     {url}\n\
         internal port   {send}\n\
         metrics         {admin}/metrics\n\
         user            {user}\n\
         user token      {user_token}\n\
         internal token  {internal_token}\n\
         key file        {}\n\n\
         Connect as the user:\n  {program} listen --url {url} --token {user_token}\n\
         Push to the user:\n  {program} push --url {send} --token {internal_token} --type SyncVault --user {user}\n",
        key.display()
    ))
}
