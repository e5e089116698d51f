//! Plays a recorded case: its steps in order, on its own connections.

use std::collections::HashMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::exchange::{Exchange, Part};
use super::http::{Request, Response, TIMEOUT};
use super::hub::Hub;
use super::socket::Socket;
use super::text::{expand, is_utc_time};
use super::{issuer, negotiation, overrides};
use crate::contract::{hex, text};

/// Maximum difference between the times of a Close and the recorded one, in seconds.
const TIME_TOLERANCE: f64 = 3.0;

/// How long upstream waits for the answer to its Close before it ends the connection, in seconds. The client never answers.
const CLOSE_TIMEOUT: f64 = 5.0;

/// The state that the steps of a case share.
#[derive(Default)]
struct CaseState {
    socket: Option<Socket>,
    /// The connection token of the last negotiation.
    id: String,
    exchanges: HashMap<String, Exchange>,
}

/// A case and the hub that it is played against.
pub(crate) struct Player<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) tokens: &'a Value,
    pub(crate) group: &'a str,
    pub(crate) case: &'a str,
    /// The factor by which the timers of the hub are faster than those of upstream.
    pub(crate) speed: u32,
}

impl Player<'_> {
    pub(crate) fn play(&self, steps: &Value) -> Result<()> {
        let mut state = CaseState::default();
        for (number, step) in steps.as_array().context("steps")?.iter().enumerate() {
            let mut step = step.clone();
            if let Some(path) = step["path"].as_str() {
                step["path"] = json!(path.replace("{id}", &state.id));
            }
            self.play_step(&step, &mut state).with_context(|| format!("step {}", number + 1))?;
        }
        Ok(())
    }

    fn play_step(&self, step: &Value, state: &mut CaseState) -> Result<()> {
        let answer = &step["answer"];
        match step["do"].as_str().unwrap_or_default() {
            "negotiate" => {
                let path = format!("{{hub}}/negotiate?negotiateVersion={}", step["version"]);
                let step = json!({"method": "POST", "token": "user", "body": ""});
                let (_, response) = self.request(&step, &path)?.exchange(self.hub.public)?;
                let offer: Value = serde_json::from_slice(&response.body)?;
                let token = offer.get("connectionToken").unwrap_or(&offer["connectionId"]);
                state.id = token.as_str().context("a token")?.to_owned();
                Ok(())
            }
            "request" => {
                let path = text(step, "path");
                let address = if path == "{send}" { self.hub.internal } else { self.hub.public };
                let (_, response) = self.request(step, path)?.exchange(address)?;
                compare(&overrides::expected_response(self.group, self.case, answer), &response)
            }
            "push" => {
                let step = json!({"method": "POST", "token": "internal", "body": step["body"]});
                let (_, response) = self.request(&step, "{send}")?.exchange(self.hub.internal)?;
                compare(answer, &response)
            }
            "socket" => {
                let (stream, response) = self.upgrade(step, text(step, "path"))?;
                let mut upgraded = Socket::new(stream);
                match step["handshake"].as_str() {
                    Some(protocol) => {
                        ensure!(response.status == 101, "{response:?}");
                        upgraded.perform_handshake(protocol)?;
                    }
                    None => compare(&overrides::expected_response(self.group, self.case, answer), &response)?,
                }
                state.socket = Some(upgraded);
                Ok(())
            }
            "frames" => {
                let socket = state.socket.as_mut().context("a socket")?;
                step["frames"].as_array().context("frames")?.iter().try_for_each(|frame| socket.send(frame))
            }
            "watch" => {
                let expected = overrides::expected_frames(self.group, self.case, &answer["seen"]);
                let silence = match self.group {
                    "timers" => Duration::from_secs_f64(step["seconds"].as_f64().unwrap_or(1.5)) / self.speed,
                    _ => Duration::ZERO,
                };
                let socket = state.socket.as_mut().context("a socket")?;
                let begun = Instant::now();
                let seen = socket.watch(expected.len(), silence, step["pings"] == true)?;
                ensure!(seen == expected, "seen:\n    {}\n  expected:\n    {}", json!(seen), json!(expected));
                if let Some(end) = answer["after_s"].as_f64().filter(|_| self.group == "timers" && self.speed == 1) {
                    let (after, recorded) = (begun.elapsed().as_secs_f64(), end - CLOSE_TIMEOUT);
                    ensure!(
                        (after - recorded).abs() <= TIME_TOLERANCE,
                        "the Close came after {after} s, not {recorded} s"
                    );
                }
                Ok(())
            }
            "open" => {
                let mut step = step.clone();
                step["method"] = json!("GET");
                let stream = self.request(&step, text(&step, "path"))?.send(self.hub.public)?;
                state.exchanges.insert(text(&step, "name").to_owned(), Exchange::new(stream));
                Ok(())
            }
            "read" => {
                let exchange = state.exchanges.get_mut(text(step, "name")).context("an exchange")?;
                let mut answers = vec![answer.clone()];
                answers.extend(overrides::alternative(self.group, self.case, step));
                let matches = |part: &Part, answer: &Value| {
                    let mut answer = answer.clone();
                    if answer.get("status").is_none() {
                        answer["status"] = json!(0);
                    }
                    answer["ended"] == part.ended && compare(&answer, &part.response).is_ok()
                };
                let part = exchange.read(TIMEOUT, |part| answers.iter().any(|answer| matches(part, answer)))?;
                ensure!(
                    answers.iter().any(|answer| matches(&part, answer)),
                    "expected {}, got {part:?}",
                    json!(answers)
                );
                Ok(())
            }
            "wait" => {
                std::thread::sleep(Duration::from_secs_f64(step["seconds"].as_f64().context("seconds")?));
                Ok(())
            }
            other => bail!("an unknown step: {other}"),
        }
    }

    pub(crate) fn upgrade(&self, step: &Value, path: &str) -> Result<(TcpStream, Response)> {
        let mut upgrade = json!({
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        });
        for (name, value) in step["headers"].as_object().into_iter().flatten() {
            upgrade[name] = value.clone();
        }
        let mut step = step.clone();
        step["method"] = json!("GET");
        step["headers"] = upgrade;
        step["body"] = Value::Null;
        self.request(&step, path)?.exchange(self.hub.public)
    }

    pub(crate) fn request(&self, step: &Value, path: &str) -> Result<Request> {
        let mut target = path
            .replace("{hub}", "/hub")
            .replace("{anonymous}", "/anonymous-hub")
            .replace("{HUB}", "/HUB")
            .replace("{send}", "/send");
        ensure!(!target.contains('{'), "an unknown path: {path}");
        let mut headers = vec![("Host".to_owned(), "localhost".to_owned())];
        if let Some(token) = step.get("token") {
            let token = issuer::token(token, self.tokens)?;
            match step["token_in"].as_str() {
                None => {
                    let scheme = step["scheme"].as_str().unwrap_or("Bearer");
                    headers.push(("Authorization".to_owned(), format!("{scheme} {token}")));
                }
                Some(key) => {
                    let key = if key == "query" { "access_token" } else { key };
                    target = format!("{target}{}{key}={token}", if target.contains('?') { '&' } else { '?' });
                }
            }
        }
        let body = match &step["body"] {
            Value::String(text) => Some(expand(text).into_bytes()),
            Value::Object(body) => Some(hex(&expand(body["hex"].as_str().context("hex")?))),
            _ => None,
        };
        let method = step["method"].as_str().context("a method")?.to_owned();
        let mut request = Request { method, target, headers, body };
        for (name, value) in step["headers"].as_object().into_iter().flatten() {
            request.set(name, value.as_str().context("a header's value")?);
        }
        Ok(request)
    }
}

/// Compares an answer with the members of the expected one.
fn compare(expected: &Value, response: &Response) -> Result<()> {
    ensure!(expected["status"] == response.status, "expected {expected}, got {response:?}");
    if let Some(headers) = expected["headers"].as_array() {
        let same = headers.len() == response.headers.len()
            && headers.iter().zip(&response.headers).all(|(expected, (name, value))| {
                expected[0] == *name && is_same_value(expected[1].as_str().unwrap_or_default(), value)
            });
        ensure!(same, "expected {expected}, got {response:?}");
    }
    let body = String::from_utf8_lossy(&response.body);
    let same = match &expected["body"] {
        Value::Null => true,
        Value::String(text) if text == "\"NOW\"" => is_utc_time(body.trim_matches('"')),
        Value::String(text) if text == "<negotiate 1>" => negotiation::is_ours(1, &body),
        Value::String(text) if text.contains("ID22") => negotiation::is_ours(0, &body),
        Value::String(text) => *text == body,
        Value::Object(body) if body.contains_key("hex") => hex(text(&expected["body"], "hex")) == response.body,
        // An error as in `decisions.md` 2 whose message contains this text.
        expected => {
            let error: Value = serde_json::from_str(&body).unwrap_or_default();
            let contains = |message: &str| message.contains(expected["error"].as_str().unwrap_or("?"));
            error["message"].as_str().is_some_and(contains) && error.get("validationErrors") == Some(&Value::Null)
        }
    };
    ensure!(same, "expected the body {}, got {body}", expected["body"]);
    Ok(())
}

/// Returns whether two values of a header are equal. The text after `error="invalid_token"` may differ.
fn is_same_value(expected: &str, value: &str) -> bool {
    const INVALID: &str = "Bearer error=\"invalid_token\"";
    if expected.starts_with(INVALID) { value.starts_with(INVALID) } else { value == expected }
}
