//! The head of a request on the public port.

use notification_hub::transport::front_door::{self, Head};
use notification_hub::transport::request_head::MAX_HEAD_BYTES;

use crate::cuts::beginnings;

/// A beginning of a head is awaited or has the verdict of the whole; an upgrade has all that the hub will rely on, and what is
/// behind its head is none of it.
pub(crate) fn check(input: &[u8]) {
    let verdict = front_door::read(input);
    let shown = show(&verdict);
    for beginning in beginnings(input) {
        let part = front_door::read(beginning);
        if !matches!(part, Head::Partial) {
            assert_eq!(show(&part), shown, "{} bytes", beginning.len());
        }
    }
    let origin = front_door::origin(input);
    match verdict {
        Head::Partial => assert!(input.len() < MAX_HEAD_BYTES),
        Head::Plain(request) => assert!(request.length.is_none_or(|length| length > 0)),
        Head::ProxyHeader => panic!("that is read before"),
        Head::Refuse(refusal) => assert!(matches!(refusal.status, 400 | 426 | 431 | 501 | 505)),
        Head::Upgrade(upgrade) => {
            let head = &input[..upgrade.length];
            assert!(head.ends_with(b"\n") && head.trim_ascii_start().starts_with(b"GET "));
            assert_eq!(show(&front_door::read(&[head, b"\x81\x80\r\n\r\nGET"].concat())), shown);
            assert_eq!(upgrade.accept.len(), 28);
            assert_eq!(upgrade.origin, origin);
            assert!(upgrade.token.is_none_or(|token| !token.reveal().is_empty()));
        }
    }
}

fn show(head: &Head) -> String {
    let token = match head {
        Head::Upgrade(upgrade) => upgrade.token.as_ref().map(|token| token.reveal()),
        _ => None,
    };
    format!("{head:?} with {token:?}")
}
