//! Signs requests with an account key ("Shared Key"). The crate `azure_storage_queue` leaves this to its users. The policy itself does no I/O.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, Url};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The headers whose values are signed between the verb and the length of the body, in this order.
const BEFORE_LENGTH: [&str; 2] = ["content-encoding", "content-language"];
/// The headers whose values are signed after the length of the body, in this order.
const AFTER_LENGTH: [&str; 8] = [
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// A pipeline policy that signs each attempt, because the signature covers its date.
pub(super) struct SharedKey {
    account: String,
    key: hmac::Key,
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedKey(***)")
    }
}

impl SharedKey {
    /// Creates a policy from the name and the decoded key of the account.
    pub(super) fn new(account: &str, key: &[u8]) -> SharedKey {
        SharedKey { account: account.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// Returns the value of the header `Authorization` for a string to sign.
    fn authorization(&self, text: &str) -> String {
        let signature = BASE64_STANDARD.encode(hmac::sign(&self.key, text.as_bytes()));
        format!("SharedKey {}:{signature}", self.account)
    }
}

#[async_trait]
impl Policy for SharedKey {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let length = request.body().len().unwrap_or(0);
        let text = string_to_sign(request.method().as_str(), request.url(), request.headers(), length, &self.account);
        request.insert_header("authorization", self.authorization(&text));
        match next {
            [first, rest @ ..] => first.send(context, request, rest).await,
            [] => {
                Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "no policy sends the request"))
            }
        }
    }
}

/// Returns the string to sign, by Azure's rule for the queue service.
fn string_to_sign(verb: &str, url: &Url, headers: &Headers, length: u64, account: &str) -> String {
    let value = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name)).unwrap_or_default();
    let length = if length == 0 { String::new() } else { length.to_string() };
    let mut text = String::new();
    let mut line = |value: &str| {
        text.push_str(value);
        text.push('\n');
    };
    line(verb);
    BEFORE_LENGTH.into_iter().for_each(|name| line(value(name)));
    line(&length);
    AFTER_LENGTH.into_iter().for_each(|name| line(value(name)));
    let mut extensions: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().trim())).collect();
    extensions.retain(|(name, _)| name.starts_with("x-ms-"));
    extensions.sort_unstable();
    extensions.iter().for_each(|(name, value)| line(&format!("{name}:{value}")));
    text.push_str(&format!("/{account}{}", url.path()));
    let mut query: Vec<_> = url.query_pairs().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    query.sort_unstable();
    query.iter().for_each(|(name, value)| text.push_str(&format!("\n{name}:{value}")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        let mut headers = Headers::new();
        headers.insert("x-ms-version", "2026-04-06");
        headers.insert("content-type", "application/xml");
        headers.insert("x-ms-date", "Thu, 01 Jan 2026 00:00:00 GMT");
        headers.insert("accept", "application/xml");
        headers
    }

    #[test]
    fn string_to_sign_contains_every_field_in_order() {
        let url = "http://127.0.0.1:1/acc/notifications/messages/7?visibilitytimeout=30&PopReceipt=a%2Bb%3D";
        assert_eq!(
            string_to_sign("PUT", &Url::parse(url).expect("a URL"), &headers(), 12, "acc"),
            "PUT\n\n\n12\n\napplication/xml\n\n\n\n\n\n\n\
             x-ms-date:Thu, 01 Jan 2026 00:00:00 GMT\nx-ms-version:2026-04-06\n\
             /acc/acc/notifications/messages/7\npopreceipt:a+b=\nvisibilitytimeout:30"
        );
    }

    #[test]
    fn string_to_sign_empty_body_omits_content_length() {
        let url = Url::parse("https://acc.queue.core.windows.net/q").expect("a URL");
        let text = string_to_sign("GET", &url, &Headers::new(), 0, "acc");
        assert_eq!(text, format!("GET{}/acc/q", "\n".repeat(12)));
    }

    #[test]
    fn shared_key_signs_with_hmac_and_debug_hides_key() {
        // RFC 4231, test case 2.
        let signer = SharedKey::new("acc", b"Jefe");
        assert_eq!(
            signer.authorization("what do ya want for nothing?"),
            "SharedKey acc:W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
        assert_eq!(format!("{signer:?}"), "SharedKey(***)");
    }
}
