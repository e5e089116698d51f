//! The negotiate responses of this hub: its own form of ids, and the transports that it offers (`decisions.md` 9).

use serde_json::Value;

/// Returns whether a body is a negotiate response of this hub for a version, with the members of upstream in their order.
pub(crate) fn is_ours(version: u8, body: &str) -> bool {
    let offer: Value = serde_json::from_str(body).unwrap_or_default();
    let is_id =
        |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let ids = match (offer["connectionId"].as_str(), offer["connectionToken"].as_str(), version) {
        (Some(id), Some(token), 1) if id.len() == 22 && token.len() > 22 && is_id(id) && is_id(token) => {
            format!(r#""connectionId":"{id}","connectionToken":"{token}""#)
        }
        (Some(token), None, 0) if token.len() > 22 && is_id(token) => format!(r#""connectionId":"{token}""#),
        _ => return false,
    };
    let transports = r#"[{"transport":"WebSockets","transferFormats":["Text","Binary"]},{"transport":"ServerSentEvents","transferFormats":["Text"]},{"transport":"LongPolling","transferFormats":["Text","Binary"]}]"#;
    body == format!(r#"{{"negotiateVersion":{version},{ids},"availableTransports":{transports}}}"#)
}
