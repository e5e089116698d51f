//! What an error of TLS and a certificate mean. No I/O.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::{CertificateError, Error};

use super::http_answer::Fault;
use super::report::{Advice, Finding};

const PAGE: &str = "docs/proxies.md";

/// The remaining validity below which a certificate should have been renewed.
const RENEWAL: Duration = Duration::from_secs(14 * 24 * 3600);

/// Returns the fault of an error of TLS.
pub(super) fn describe_error(error: &Error) -> Fault {
    use CertificateError as Certificate;
    let seen = error.to_string();
    let (meaning, remedy) = match error {
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            ("the certificate has expired, and clients refuse it", "renew the certificate, and reload the proxy")
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            ("the certificate is not valid yet", "compare the clocks of this machine and of the authority")
        }
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            ("the certificate is for another host", "give the proxy a certificate for this host, and check server_name")
        }
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => (
            "no trusted authority signed the certificate, or the proxy leaves out intermediate certificates",
            "give the proxy the full chain. For an authority of your own, set SSL_CERT_FILE for this command",
        ),
        Error::InvalidMessage(_) => {
            ("the port does not speak TLS", "let the proxy listen with TLS on this port, or begin the URL with http")
        }
        Error::AlertReceived(_) => {
            ("the server ended TLS", "check server_name, the protocols and the client certificates of the proxy")
        }
        _ => ("clients cannot connect", "read the log of the proxy"),
    };
    Fault::new(seen, meaning, remedy, PAGE)
}

/// Returns the finding about the end of a certificate's validity.
pub(super) fn check_expiry(server: &str, certificate: &[u8], now: Timestamp) -> Finding {
    let Some(end) = not_after(certificate) else { return Finding::ok("tls", format!("{server}: trusted certificate")) };
    let left = end.duration_since(now);
    let seen = format!("{server}: trusted certificate, valid for {} days", left.as_secs() / (24 * 3600));
    if left > SignedDuration::try_from(RENEWAL).unwrap_or_default() {
        return Finding::ok("tls", seen);
    }
    let advice = Advice {
        meaning: "clients will refuse it soon",
        remedy: "check why the certificate is not renewed",
        page: PAGE,
    };
    Finding::warn("tls", seen, advice)
}

/// Returns the end of the validity of a certificate in DER, or `None` if it is malformed.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The serial number, the algorithm, the issuer and the validity follow the optional version.
    let (mut tag, mut value, rest) = element(fields)?;
    fields = rest;
    for _ in 0..if tag == VERSION { 4 } else { 3 } {
        (tag, value, fields) = element(fields)?;
    }
    let (_, _, rest) = element(value).filter(|_| tag == SEQUENCE)?;
    let (tag, end, _) = element(rest)?;
    parse_time(tag, std::str::from_utf8(end).ok()?)
}

/// Splits the first element of DER into its tag, its value and the bytes behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let (digits, behind) = rest.split_at_checked(length - 0x80).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    let (value, behind) = rest.split_at_checked(length)?;
    Some((*tag, value, behind))
}

/// Parses a `UTCTime`, whose years are from 1950 to 2049, or a `GeneralizedTime`.
fn parse_time(tag: u8, text: &str) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    let century = match text.get(..2)?.parse::<u8>().ok()? {
        _ if tag != UTC_TIME => "",
        50.. => "19",
        _ => "20",
    };
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", format!("{century}{text}")).ok()?;
    jiff::tz::Offset::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::doctor::report::CheckStatus;

    /// A self-signed certificate for `CN=a` that was valid until 2020-02-01.
    const CERTIFICATE: &str = "\
        MIIBEjCBuQIUeR68AigC6AuWoaKm5uJLJWq95s4wCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBYTAeFw0yMDAxMDEw\
        MDAwMDBaFw0yMDAyMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATvGHqR\
        tutXjavYMA/CrOHJlaz9G2r7QKssrhEh69AhM2Ut+TWtZ7/G00IO9+Vlwks1Cg+rX/xuJXdG8uDIiuKQMAoGCCqG\
        SM49BAMCA0gAMEUCIEmdJ5aA2Wo/lIyZzC35z6yC8xfPyUwuytT2J7O1Hx59AiEAmsQh3bO8a7BoiXIo4E9VoCjE\
        XZ6r/QfRJOynrmpwV1k=";

    #[test]
    fn certificate_end_of_validity_is_read() {
        let certificate = BASE64_STANDARD.decode(CERTIFICATE).expect("Base64");
        let end: Timestamp = "2020-02-01T00:00:00Z".parse().expect("a time");
        assert_eq!(not_after(&certificate), Some(end));
        let status = |days: i64| check_expiry("a", &certificate, end - SignedDuration::from_hours(24 * days)).status;
        assert_eq!((status(20), status(13), status(-1)), (CheckStatus::Ok, CheckStatus::Warn, CheckStatus::Warn));
        for length in 0..60 {
            assert_eq!(not_after(&certificate[..length]), None, "{length}");
        }
        assert_eq!(parse_time(0x18, "20500101000000Z"), "2050-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn tls_errors_name_their_cause() {
        for (error, expected) in [
            (Error::InvalidCertificate(CertificateError::Expired), "expired"),
            (Error::InvalidCertificate(CertificateError::NotValidForName), "another host"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "no trusted authority"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "does not speak TLS"),
            (Error::AlertReceived(rustls::AlertDescription::HandshakeFailure), "ended TLS"),
            (Error::DecryptError, "cannot connect"),
        ] {
            assert!(describe_error(&error).advice.meaning.contains(expected), "{error}");
        }
    }
}
