//! The head of a request on the public port.

use notification_hub::http::request_head::MAX_HEAD_BYTES;
use notification_hub::http::request_kind::{self, RequestKind};

use crate::cuts::beginnings;

/// A beginning of a head is awaited or has the verdict of the whole; an upgrade has all that the hub will rely on, and what is
/// behind its head is none of it.
pub(crate) fn check(input: &[u8]) {
    let verdict = request_kind::classify(input);
    let shown = show(&verdict);
    for beginning in beginnings(input) {
        let part = request_kind::classify(beginning);
        if !matches!(part, RequestKind::Incomplete) {
            assert_eq!(show(&part), shown, "{} bytes", beginning.len());
        }
    }
    let origin = request_kind::origin(input);
    match verdict {
        RequestKind::Incomplete => assert!(input.len() < MAX_HEAD_BYTES),
        RequestKind::Plain(request) => assert!(request.length.is_none_or(|length| length > 0)),
        RequestKind::ProxyHeader => panic!("that is read before"),
        RequestKind::Reject(error_response) => assert!(matches!(error_response.status, 400 | 426 | 431 | 501 | 505)),
        RequestKind::Upgrade(upgrade) => {
            let head = &input[..upgrade.length];
            assert!(head.ends_with(b"\n") && head.trim_ascii_start().starts_with(b"GET "));
            assert_eq!(show(&request_kind::classify(&[head, b"\x81\x80\r\n\r\nGET"].concat())), shown);
            assert_eq!(upgrade.accept.len(), 28);
            assert_eq!(upgrade.origin, origin);
            assert!(upgrade.token.is_none_or(|token| !token.reveal().is_empty()));
        }
    }
}

fn show(head: &RequestKind) -> String {
    let token = match head {
        RequestKind::Upgrade(upgrade) => upgrade.token.as_ref().map(|token| token.reveal()),
        _ => None,
    };
    format!("{head:?} with {token:?}")
}
