//! An HTTP answer on the public way, and what it says about the server that gave it. No I/O.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, LOCATION, SERVER, WWW_AUTHENTICATE};
use jiff::Timestamp;
use reqwest::Url;

use super::report::Advice;

const PROXIES: &str = "docs/proxies.md";
const NGINX: &str = "docs/proxies.md#nginx";

/// An answer, with at most the first part of its body.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// The certificate of the server, or `None` without TLS.
    pub(super) certificate: Option<Vec<u8>>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) seen: String,
    pub(super) advice: Advice,
}

impl Fault {
    pub(super) fn new(
        seen: impl Into<String>,
        meaning: &'static str,
        remedy: &'static str,
        page: &'static str,
    ) -> Fault {
        Fault { seen: seen.into(), advice: Advice { meaning, remedy, page } }
    }
}

impl HttpAnswer {
    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns whether a hub refused the request for its token.
    pub(super) fn is_refusal_of_hub(&self) -> bool {
        self.status == 401 && self.header(WWW_AUTHENTICATE).starts_with("Bearer")
    }

    /// Returns the message of a hub's error, if the body has one.
    pub(super) fn hub_message(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get("message")?.as_str().map(str::to_owned)
    }

    /// Returns the hub's time from its answer to `/alive` or `/now`.
    ///
    /// # Errors
    /// Who answered instead.
    pub(super) fn hub_time(&self) -> Result<Timestamp, Fault> {
        let text = serde_json::from_str::<String>(&self.body).ok().filter(|_| self.status == 200);
        match text.and_then(|text| text.parse().ok()) {
            Some(time) => Ok(time),
            None => Err(self.wrong_responder()),
        }
    }

    /// Returns the fault that another server than a hub answered, or that a proxy did.
    pub(super) fn wrong_responder(&self) -> Fault {
        let (status, server) = (self.status, self.header(SERVER));
        match status {
            300..400 => self.redirect(),
            401 | 403 | 407 => Fault::new(
                format!("status {status} from {}", name(server)),
                "a proxy asks for a login before the hub, and clients cannot give one",
                "exempt the hub's path from the proxy's login: the hub checks tokens itself",
                PROXIES,
            ),
            502..=504 => Fault::new(
                format!("status {status} from {}", name(server)),
                "the proxy does not reach the hub",
                "compare the address of the hub in the proxy with listen.public, and check that the hub runs",
                NGINX,
            ),
            _ if server.starts_with("Rocket") => Fault::new(
                format!("status {status} from {}", name(server)),
                "Vaultwarden answers, which has a hub of its own",
                "forward the path /notifications to the hub",
                NGINX,
            ),
            400 if self.body.contains("plain HTTP request was sent to HTTPS port") => Fault::new(
                "the port expects TLS",
                "clients cannot connect by http",
                "begin the URL with https",
                PROXIES,
            ),
            404 => Fault::new(
                format!("status 404 from {}", name(server)),
                "the path does not lead to the hub",
                "forward the path /notifications to the hub, or give the hub's path in --url",
                NGINX,
            ),
            200 => self.foreign_page(),
            _ => Fault::new(
                format!("status {status} from {}", name(server)),
                "no hub answered",
                "read the log of the proxy",
                PROXIES,
            ),
        }
    }

    fn redirect(&self) -> Fault {
        let location = self.header(LOCATION);
        // The query may hold a token.
        let target = location.split(['?', '#']).next().unwrap_or_default();
        let host = Url::parse(target).ok().and_then(|url| url.host_str().map(str::to_owned));
        let seen = format!("status {} to {target:?}", self.status);
        let is_login = ["login", "auth", "oauth2", "signin", "sso"].iter().any(|word| target.contains(word));
        if is_login {
            return Fault::new(
                seen,
                "a proxy sends clients to a login page, which they cannot open",
                "exempt the hub's path from the proxy's login: the hub checks tokens itself",
                PROXIES,
            );
        }
        let remedy = match host {
            Some(_) => "give clients the URL that the redirect names, or forward the path instead of a redirect",
            None => "forward the path /notifications to the hub instead of a redirect",
        };
        Fault::new(seen, "clients do not follow redirects for WebSockets", remedy, PROXIES)
    }

    /// Returns the fault of an answer with status 200 that is not a hub's.
    fn foreign_page(&self) -> Fault {
        let body = self.body.to_ascii_lowercase();
        if body.contains("welcome to nginx") {
            return Fault::new(
                "the default page of nginx",
                "nginx has no server for this host, or its files are not included",
                "name the host in server_name, and remove the default server",
                NGINX,
            );
        }
        if body.contains("type=\"password\"") || body.contains("type='password'") {
            return Fault::new(
                "a login page",
                "a proxy asks for a login before the hub, and clients cannot give one",
                "exempt the hub's path from the proxy's login: the hub checks tokens itself",
                PROXIES,
            );
        }
        let kind = self.header(CONTENT_TYPE).split(';').next().unwrap_or_default();
        Fault::new(
            format!("status 200 with {} of {} instead of a time", name(kind), name(self.header(SERVER))),
            "another server answers every path, such as the web vault",
            "forward the path /notifications to the hub, before all other rules",
            NGINX,
        )
    }
}

fn name(header: &str) -> &str {
    if header.is_empty() { "an unnamed server" } else { header }
}

#[cfg(test)]
impl HttpAnswer {
    /// Parses a recorded answer.
    pub(super) fn from_recorded(text: &str) -> HttpAnswer {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let text = text.replace('\n', "\r\n");
        let httparse::Status::Complete(length) = head.parse(text.as_bytes()).expect("a head") else {
            panic!("an incomplete head")
        };
        let mut answer = HttpAnswer { status: head.code.expect("a status"), ..HttpAnswer::default() };
        for field in head.headers.iter() {
            let name = http::HeaderName::from_bytes(field.name.as_bytes()).expect("a name");
            answer.headers.append(name, http::HeaderValue::from_bytes(field.value).expect("a value"));
        }
        answer.body = text[length..].to_owned();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_time_is_read_from_the_body() {
        let answer = HttpAnswer::from_recorded(
            "HTTP/1.1 200 OK\nServer: nginx/1.22.1\nContent-Type: application/json; charset=utf-8\n\n\"2026-12-01T12:00:00.1234567Z\"",
        );
        assert_eq!(answer.hub_time().expect("a time").as_second(), 1_796_126_400);
    }

    #[test]
    fn other_responders_are_recognized() {
        for (recorded, expected) in [
            ("HTTP/1.1 301 Moved Permanently\nServer: nginx\nLocation: https://www.example.com/\n\n", "redirects"),
            ("HTTP/1.1 302 Found\nLocation: https://sso.example.com/oauth2/start?rd=SECRET\n\n", "login page"),
            ("HTTP/1.1 200 OK\nServer: nginx\n\n<h1>Welcome to nginx!</h1>", "no server for this host"),
            ("HTTP/1.1 200 OK\n\n<form><input type=\"password\"></form>", "asks for a login"),
            ("HTTP/1.1 200 OK\nContent-Type: text/html\n\n<title>Bitwarden Web Vault</title>", "answers every path"),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "answers every path"),
            ("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=\"x\"\n\n", "asks for a login"),
            ("HTTP/1.1 404 Not Found\nServer: Rocket\n\n", "Vaultwarden"),
            ("HTTP/1.1 404 Not Found\nServer: nginx\n\n", "does not lead to the hub"),
            ("HTTP/1.1 502 Bad Gateway\nServer: nginx\n\n", "does not reach the hub"),
            ("HTTP/1.1 400 Bad Request\n\nThe plain HTTP request was sent to HTTPS port", "cannot connect by http"),
            ("HTTP/1.1 500 Oops\n\n", "no hub answered"),
        ] {
            let fault = HttpAnswer::from_recorded(recorded).hub_time().expect_err(recorded);
            assert!(fault.advice.meaning.contains(expected), "{recorded}: {fault:?}");
            assert!(!fault.seen.contains("SECRET"), "{fault:?}");
        }
    }
}
