//! `healthcheck`: checks the health of a running hub, in containers without a shell or curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use notification_hub::observability::error_chain::ErrorChain;

use super::{ConfigSources, UsageError, output, runtime};

/// The time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of `healthcheck`.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// Base URL of the admin port [default: the port of listen.admin on this machine]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    sources: ConfigSources,
}

/// Prints one line. Fails unless the hub is healthy.
pub(crate) fn run(arguments: &Healthcheck) -> anyhow::Result<()> {
    let bases = match &arguments.url {
        Some(url) => vec![url.trim_end_matches('/').to_owned()],
        None => local_urls(&arguments.sources.load()?.listen.admin)
            .ok_or_else(|| UsageError::new("listen.admin: port 0 is chosen by the system; set --url"))?,
    };
    runtime()?.block_on(check_health(&bases))?;
    output::print_line("healthy")
}

/// Requests `/healthz` at each base URL until one answers.
async fn check_health(bases: &[String]) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build()?;
    let mut failures = Vec::new();
    for base in bases {
        let url = format!("{base}/healthz");
        match client.get(&url).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status().as_u16();
                anyhow::bail!("{url} answered {status}: {}", response.text().await.unwrap_or_default().trim())
            }
            Err(error) => failures.push(format!("{url}: {}", ErrorChain(&error.without_url()))),
        }
    }
    anyhow::bail!(failures.join("; "))
}

/// Returns the base URLs of a hub on this machine with this `listen.admin`, or `None` if the system chose the port.
fn local_urls(address: &str) -> Option<Vec<String>> {
    let Ok(address) = address.parse::<SocketAddr>() else { return Some(vec![format!("http://{address}")]) };
    let hosts: Vec<IpAddr> = match address.ip() {
        host if !host.is_unspecified() => vec![host],
        IpAddr::V4(_) => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
    };
    let urls = hosts.into_iter().map(|host| format!("http://{}", SocketAddr::new(host, address.port())));
    (address.port() != 0).then(|| urls.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_urls_of_wildcard_address_are_loopback() {
        let urls = |address: &str| local_urls(address).map(|urls| urls.join(" "));
        assert_eq!(urls("0.0.0.0:9090").as_deref(), Some("http://127.0.0.1:9090"));
        assert_eq!(urls("[::]:9090").as_deref(), Some("http://127.0.0.1:9090 http://[::1]:9090"));
        assert_eq!(urls("10.0.0.1:1").as_deref(), Some("http://10.0.0.1:1"));
        assert_eq!(urls("hub:1").as_deref(), Some("http://hub:1"));
        assert_eq!(urls("127.0.0.1:0"), None);
    }
}
