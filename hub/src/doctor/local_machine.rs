//! Checks this machine: the ports, and the limit of open files.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::report::{Advice, Finding, Report};
use crate::config::{Config, SourceConfig};
use crate::http::headers::SERVER;
use crate::server::fd_budget::FdBudget;
use crate::server::listener;

/// The timeout of a request to a port on this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of clients below which the limit of open files is too small for production.
const MIN_SOCKETS: usize = 1000;

/// Who has a port.
#[derive(Debug)]
enum PortState {
    Free,
    /// A hub, which may be the one that is checked.
    ServedByHub,
    Unusable(io::Error),
}

/// Checks that each port is free, or that a hub serves it.
pub(super) async fn check_ports(config: &Config, report: &mut Report<'_>) {
    let internal =
        matches!(config.source, SourceConfig::Direct).then_some(("listen.internal", &config.listen.internal));
    let ports =
        [Some(("listen.public", &config.listen.public)), internal, Some(("listen.admin", &config.listen.admin))];
    for (key, address) in ports.into_iter().flatten() {
        let state = match listener::listen(address, REQUEST_TIMEOUT) {
            Ok(_) => PortState::Free,
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_hub(address).await => PortState::ServedByHub,
            Err(error) => PortState::Unusable(error),
        };
        report.add(describe_port(key, address, state));
    }
}

/// Returns whether a hub answers at an address of this machine: on any of its ports, by the name in `Server` or its metrics.
async fn is_hub(address: &str) -> bool {
    let Some(mut address) = address.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()) else {
        return false;
    };
    if address.ip().is_unspecified() {
        address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build();
    let Ok(client) = client else { return false };
    let Ok(answer) = client.get(format!("http://{address}/metrics")).send().await else { return false };
    let product = |server: &str| server.split('/').next() == SERVER.split('/').next();
    let server = answer.headers().get(reqwest::header::SERVER);
    server.and_then(|value| value.to_str().ok()).is_some_and(product)
        || answer.text().await.is_ok_and(|metrics| metrics.contains("notification_hub_"))
}

fn describe_port(key: &'static str, address: &str, state: PortState) -> Finding {
    match state {
        PortState::Free => Finding::ok("port", format!("{key}: {address} is free")),
        PortState::ServedByHub => Finding::ok("port", format!("{key}: a hub serves {address}")),
        PortState::Unusable(error) => {
            let remedy = match error.kind() {
                ErrorKind::AddrInUse => "stop the other program, or set another port",
                ErrorKind::PermissionDenied => "set a port from 1024 up, or permit the port",
                _ => "set an address of this machine",
            };
            let page = "docs/troubleshooting.md#a-hub-that-does-not-start";
            let advice = Advice { meaning: "the hub does not start", remedy, page };
            Finding::fail("port", format!("{key}: cannot listen on {address}: {error}"), advice)
        }
    }
}

/// Compares the limit of open files with the limit of connections.
pub(super) fn check_descriptors(config: &Config) -> Finding {
    describe_descriptors(FdBudget::from_rlimit().sockets, config.limits.max_connections)
}

fn describe_descriptors(sockets: usize, max_connections: usize) -> Finding {
    let seen = format!("the limit of open files leaves room for {sockets} clients");
    let advice = |meaning| Advice {
        meaning,
        remedy: "raise the limit (ulimit -n)",
        page: "docs/troubleshooting.md#log-lines-of-the-hub",
    };
    if max_connections > sockets {
        let seen = format!("{seen}, and limits.max_connections is {max_connections}");
        Finding::warn("descriptors", seen, advice("the hub refuses clients before it reaches its limit"))
    } else if max_connections == 0 && sockets < MIN_SOCKETS {
        Finding::warn("descriptors", seen, advice("the hub refuses further clients"))
    } else {
        Finding::ok("descriptors", seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::CheckStatus;

    #[test]
    fn descriptor_limit_below_the_limit_of_connections_is_a_warning() {
        for (sockets, max_connections, status) in [
            (683, 0, CheckStatus::Warn),
            (683, 500, CheckStatus::Ok),
            (683, 684, CheckStatus::Warn),
            (100_000, 0, CheckStatus::Ok),
        ] {
            assert_eq!(describe_descriptors(sockets, max_connections).status, status, "{sockets} {max_connections}");
        }
    }

    #[test]
    fn port_finding_names_key_and_remedy() {
        let refused = |kind: ErrorKind| describe_port("listen.admin", "[::]:90", PortState::Unusable(kind.into()));
        let taken = refused(ErrorKind::AddrInUse).to_string();
        assert!(taken.starts_with("FAIL  port: listen.admin: cannot listen on [::]:90: "), "{taken}");
        assert!(taken.contains("stop the other program"), "{taken}");
        assert!(refused(ErrorKind::PermissionDenied).to_string().contains("from 1024 up"));
        assert_eq!(describe_port("listen.admin", "a:1", PortState::ServedByHub).status, CheckStatus::Ok);
    }
}
