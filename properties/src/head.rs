//! Checks the request head on the public port.

use notification_hub::http::request_head::MAX_HEAD_BYTES;
use notification_hub::http::request_kind::{self, RequestKind};

use crate::splits::prefixes;

/// Checks that a prefix of a head is incomplete or has the kind of the whole head. An upgrade must have what the hub relies on,
/// and bytes behind its head must not change it.
pub(crate) fn check(input: &[u8]) {
    let kind = request_kind::classify(input);
    let described = describe(&kind);
    for prefix in prefixes(input) {
        let part = request_kind::classify(prefix);
        if !matches!(part, RequestKind::Incomplete) {
            assert_eq!(describe(&part), described, "{} bytes", prefix.len());
        }
    }
    let origin = request_kind::origin(input);
    match kind {
        RequestKind::Incomplete => assert!(input.len() < MAX_HEAD_BYTES),
        RequestKind::Plain(request) => assert!(request.length.is_none_or(|length| length > 0)),
        RequestKind::ProxyHeader => panic!("a PROXY header is read before the head"),
        RequestKind::Reject(error_response) => assert!(matches!(error_response.status, 400 | 426 | 431 | 501 | 505)),
        RequestKind::Upgrade(upgrade) => {
            let head = &input[..upgrade.length];
            assert!(head.ends_with(b"\n") && head.trim_ascii_start().starts_with(b"GET "));
            assert_eq!(describe(&request_kind::classify(&[head, b"\x81\x80\r\n\r\nGET"].concat())), described);
            assert_eq!(upgrade.accept.len(), 28);
            assert_eq!(upgrade.origin, origin);
            assert!(upgrade.token.is_none_or(|token| !token.reveal().is_empty()));
        }
    }
}

fn describe(head: &RequestKind) -> String {
    let token = match head {
        RequestKind::Upgrade(upgrade) => upgrade.token.as_ref().map(|token| token.reveal()),
        _ => None,
    };
    format!("{head:?} with {token:?}")
}
