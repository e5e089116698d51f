//! Checks name resolution and TCP, for each address of the host.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::public_url::PublicUrl;
use super::report::{Advice, Finding, Report};

/// The timeout of a name resolution and of a connection attempt.
const TIMEOUT: Duration = Duration::from_secs(5);

const PAGE: &str = "docs/troubleshooting.md#clients";

/// Returns the addresses of the host that accept a connection.
pub(super) async fn check(url: &PublicUrl, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let host = (url.host.trim_matches(['[', ']']), url.port);
    let found = match timeout(TIMEOUT, lookup_host(host)).await {
        Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<SocketAddr>>()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let addresses = match found {
        Ok(mut addresses) => {
            addresses.sort();
            addresses.dedup();
            addresses
        }
        Err(error) => {
            let advice =
                Advice { meaning: "clients do not find the host", remedy: "correct the DNS record", page: PAGE };
            report.add(Finding::fail("dns", format!("{}: {error}", url.host), advice));
            return Vec::new();
        }
    };
    let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    report.add(Finding::ok("dns", format!("{} is {}", url.host, texts.join(", "))));
    let mut attempts = Vec::new();
    for address in addresses {
        let connected = match timeout(TIMEOUT, TcpStream::connect(address)).await {
            Ok(connected) => connected.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        attempts.push((address, connected));
    }
    let is_reachable = attempts.iter().any(|(_, result)| result.is_ok());
    for (address, result) in &attempts {
        report.add(describe(*address, result, is_reachable));
    }
    attempts.into_iter().filter(|(_, result)| result.is_ok()).map(|(address, _)| address).collect()
}

/// Returns the finding about one address. `is_reachable` tells whether any address accepts connections.
fn describe(address: SocketAddr, result: &io::Result<()>, is_reachable: bool) -> Finding {
    let Err(error) = result else { return Finding::ok("tcp", format!("{address} accepts connections")) };
    let seen = format!("{address}: {error}");
    if is_reachable {
        let advice = Advice {
            meaning: "clients that try this address first wait, or fail",
            remedy: "open the port at this address, or remove the DNS record. Ignore this if this machine lacks IPv6",
            page: PAGE,
        };
        return Finding::warn("tcp", seen, advice);
    }
    let advice = Advice {
        meaning: "clients cannot connect",
        remedy: "start the proxy, open its port in the firewall, or correct the DNS record",
        page: PAGE,
    };
    Finding::fail("tcp", seen, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::CheckStatus;

    #[test]
    fn address_that_refuses_is_a_failure_only_if_all_do() {
        let address = ([127, 0, 0, 1], 443).into();
        let refused = || Err(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(describe(address, &Ok(()), true).status, CheckStatus::Ok);
        assert_eq!(describe(address, &refused(), true).status, CheckStatus::Warn);
        assert_eq!(describe(address, &refused(), false).status, CheckStatus::Fail);
    }
}
