//! The checks of the way that clients take, in the order in which they depend on each other. The first that fails names the hop.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::http_answer::{Fault, HttpAnswer};
use super::http_probe::HttpProbe;
use super::public_url::PublicUrl;
use super::report::{Advice, Finding, Report};
use super::websocket::{self, hub_path, token_fault};
use super::{clock, dns, tls};
use crate::auth::bearer::BearerToken;
use crate::http::server_sent_events::PREAMBLE;

/// The tolerated difference from the hub's clock, as `auth.clock_skew` is unless set.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

/// The time within which the first event of a stream has to arrive.
const FIRST_EVENT_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks the way to a hub. With `idle`, it also waits for idle timeouts, for up to five minutes.
pub async fn check(url: &PublicUrl, token: Option<&BearerToken>, idle: bool, report: &mut Report<'_>) {
    let mut reached = None;
    for address in dns::check(url, report).await {
        let answered = match HttpProbe::new(url, address) {
            Ok(probe) => probe.request(Method::GET, "/alive", HeaderMap::new()).await.map(|answer| (probe, answer)),
            Err(fault) => Err(fault),
        };
        match answered {
            Ok((probe, answer)) => {
                if let Some(certificate) = &answer.certificate {
                    report.add(tls::check_expiry(&address.to_string(), certificate, Timestamp::now()));
                }
                reached = reached.or(Some((probe, answer)));
            }
            Err(Fault { seen, advice }) => {
                let check = if url.is_https { "tls" } else { "http" };
                report.add(Finding::fail(check, format!("{address}: {seen}"), advice));
            }
        }
    }
    let Some((probe, answer)) = reached else { return };
    if report.add(check_alive(url, &answer)) {
        check_clock(&probe, report).await;
        check_negotiation(&probe, token, report).await;
        websocket::check(&probe, token, idle, report).await;
        report.add(check_send(&probe).await);
    }
}

fn failure(check: &'static str, Fault { seen, advice }: Fault) -> Finding {
    Finding::fail(check, seen, advice)
}

fn check_alive(url: &PublicUrl, answer: &HttpAnswer) -> Finding {
    match answer.hub_time() {
        Ok(_) => Finding::ok("alive", format!("a hub answers at {url}")),
        Err(fault) => failure("alive", fault),
    }
}

async fn check_clock(probe: &HttpProbe, report: &mut Report<'_>) {
    let answer = probe.request(Method::GET, "/now", HeaderMap::new()).await;
    match answer.and_then(|answer| answer.hub_time()) {
        Ok(time) => _ = report.add(clock::compare("clock", "the hub", time, Timestamp::now(), MAX_CLOCK_DIFFERENCE)),
        Err(fault) => _ = report.add(failure("now", fault)),
    }
}

/// Negotiates, and opens a stream of Server-Sent Events with the connection token.
async fn check_negotiation(probe: &HttpProbe, token: Option<&BearerToken>, report: &mut Report<'_>) {
    let (path, query, mut headers) = hub_path(token);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let separator = if query.is_empty() { '?' } else { '&' };
    let target = format!("{path}/negotiate{query}{separator}negotiateVersion=1");
    let answer = probe.request(Method::POST, &target, headers).await;
    let connection = match answer.and_then(|answer| connection_token(&answer)) {
        Ok(connection) => connection,
        Err(fault) => {
            report.add(failure("negotiate", fault));
            return;
        }
    };
    report.add(Finding::ok("negotiate", format!("the hub issues a connection token at {path}")));
    let (_, _, mut headers) = hub_path(token);
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let target = format!("{path}{query}{separator}id={connection}");
    let first = match probe.send(Method::GET, &target, headers).await {
        Ok(response) => first_event(response).await,
        Err(_) => FirstEvent::Late,
    };
    report.add(describe_events(&first));
}

/// Returns the connection token of a negotiation.
fn connection_token(answer: &HttpAnswer) -> Result<String, Fault> {
    if answer.is_refusal_of_hub() {
        return Err(token_fault(answer));
    }
    let body: Option<Value> = serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200);
    let token = body.and_then(|body| body.get("connectionToken")?.as_str().map(str::to_owned));
    token.ok_or_else(|| answer.wrong_responder())
}

/// The begin of a stream of Server-Sent Events.
#[derive(Debug, PartialEq, Eq)]
enum FirstEvent {
    Arrived,
    Late,
    Refused(u16),
}

async fn first_event(mut response: Response) -> FirstEvent {
    if !response.status().is_success() {
        return FirstEvent::Refused(response.status().as_u16());
    }
    match timeout(FIRST_EVENT_TIMEOUT, response.chunk()).await {
        Ok(Ok(Some(chunk))) if chunk.starts_with(&PREAMBLE[..1]) => FirstEvent::Arrived,
        _ => FirstEvent::Late,
    }
}

fn describe_events(first: &FirstEvent) -> Finding {
    let advice = |meaning, remedy, page| Advice { meaning, remedy, page };
    match first {
        FirstEvent::Arrived => Finding::ok("server-sent events", "the first event arrives at once"),
        FirstEvent::Late => Finding::warn(
            "server-sent events",
            "no event arrives",
            advice(
                "the proxy buffers responses, so clients with Server-Sent Events receive nothing",
                "set proxy_buffering off",
                "docs/proxies.md#nginx",
            ),
        ),
        FirstEvent::Refused(status) => Finding::warn(
            "server-sent events",
            format!("status {status}"),
            advice(
                "the request reached another replica than the negotiation",
                "let each client stay at one replica (ip_hash), and give all replicas one connection_token_key_file",
                "docs/proxies.md#several-replicas",
            ),
        ),
    }
}

/// Checks that senders' path is not forwarded.
async fn check_send(probe: &HttpProbe) -> Finding {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let answer = probe.request(Method::POST, "/send", headers).await;
    match answer {
        Ok(answer) if answer.is_refusal_of_hub() => Finding::warn(
            "send",
            "a hub answers at /send",
            Advice {
                meaning: "only a token with the scope internal protects the path of senders",
                remedy: "do not forward /send, or set listen.send_on_public to false",
                page: "docs/proxies.md",
            },
        ),
        Ok(answer) => Finding::ok("send", format!("not reachable from here (status {})", answer.status)),
        Err(_) => Finding::ok("send", "not reachable from here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::CheckStatus;

    #[test]
    fn connection_token_is_read_from_a_negotiation() {
        let read = |recorded: &str| connection_token(&HttpAnswer::from_recorded(recorded));
        let answer = "HTTP/1.1 200 OK\n\n{\"negotiateVersion\":1,\"connectionId\":\"a\",\"connectionToken\":\"b\"}";
        assert_eq!(read(answer), Ok("b".to_owned()));
        let meaning = |recorded: &str| read(recorded).expect_err(recorded).advice.meaning;
        assert!(
            meaning("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer\n\n").contains("did not receive the token")
        );
        assert!(meaning("HTTP/1.1 200 OK\n\n{}").contains("answers every path"));
    }

    #[test]
    fn late_or_refused_events_are_a_warning() {
        assert_eq!(describe_events(&FirstEvent::Arrived).status, CheckStatus::Ok);
        for first in [FirstEvent::Late, FirstEvent::Refused(404)] {
            assert_eq!(describe_events(&first).status, CheckStatus::Warn, "{first:?}");
        }
    }
}
