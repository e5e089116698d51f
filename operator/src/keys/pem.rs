//! Encodes and decodes PEM. No I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{PemObject, SectionKind};

/// Length of a PEM line, in characters (RFC 7468).
const LINE_CHARS: usize = 64;

/// Encodes a PKCS#8 key in DER as PEM.
pub(super) fn encode_private_key(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

/// Returns the first section of a PEM in DER, or `None` unless it is a PKCS#8 key.
pub(super) fn decode_private_key(pem: &[u8]) -> Option<Vec<u8>> {
    match first_section(pem)? {
        (SectionKind::PrivateKey, der) => Some(der),
        _ => None,
    }
}

/// Returns the kind and content of the first known section, or `None` if there is none.
pub(super) fn first_section(pem: &[u8]) -> Option<(SectionKind, Vec<u8>)> {
    <(SectionKind, Vec<u8>)>::from_pem_slice(pem).ok()
}

/// Checks that a PEM begins with a certificate. The error is for a message about the PEM.
pub fn check_certificates(pem: &[u8]) -> Result<(), &'static str> {
    match first_section(pem) {
        Some((SectionKind::Certificate, _)) => Ok(()),
        _ => Err("not a certificate in PEM"),
    }
}
