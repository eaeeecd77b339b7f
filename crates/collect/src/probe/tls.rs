//! A TLS ClientHello, just enough to hear whether TLS is spoken. No handshake is completed, no certificate is judged.

use std::net::IpAddr;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

/// Cipher suites of TLS 1.3, then those of 1.2 that servers have; the last one says that renegotiation is safe.
const CIPHERS: [u16; 16] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009c, 0x009d, 0xc013, 0xc014,
    0x002f, 0x0035, 0x00ff,
];
const GROUPS: [u16; 3] = [0x001d, 0x0017, 0x0018];
const SIGNATURES: [u16; 9] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201];
const VERSIONS: [u16; 4] = [0x0304, 0x0303, 0x0302, 0x0301];

/// The newest version that a hello offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newest {
    Tls12,
    Tls13,
}

/// The hello with every usual version.
pub(super) fn greeting(name: Option<&str>) -> Vec<u8> {
    hello(name, Newest::Tls13)
}

/// A hello. Without a key share a TLS 1.3 server asks for one (HelloRetryRequest), which is answer enough.
pub(super) fn hello(name: Option<&str>, newest: Newest) -> Vec<u8> {
    let mut extensions = Vec::new();
    let named = name.filter(|it| !it.is_empty() && it.len() < 256 && it.parse::<IpAddr>().is_err());
    if let Some(name) = named {
        extension(&mut extensions, 0, &sized16(&[&[0][..], &sized16(name.as_bytes())].concat()));
    }
    extension(&mut extensions, 10, &sized16(&words(&GROUPS)));
    extension(&mut extensions, 11, &[1, 0]);
    extension(&mut extensions, 13, &sized16(&words(&SIGNATURES)));
    if newest == Newest::Tls13 {
        let versions = words(&VERSIONS);
        extension(&mut extensions, 43, &[&[versions.len() as u8][..], &versions].concat());
        extension(&mut extensions, 51, &[0, 0]);
    }

    let mut hello = vec![3, 3];
    // The random bytes protect a session, and there will be none.
    hello.extend(*b"why502 probe: no session follows");
    hello.push(0);
    hello.extend(sized16(&words(&CIPHERS)));
    hello.extend([1, 0]);
    hello.extend(sized16(&extensions));

    let mut handshake = vec![1, 0];
    handshake.extend(sized16(&hello));
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(sized16(&handshake));
    record
}

fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|it| it.to_be_bytes()).collect()
}

fn sized16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn extension(to: &mut Vec<u8>, kind: u16, body: &[u8]) {
    to.extend(kind.to_be_bytes());
    to.extend(sized16(body));
}

/// Whether a record begins here that a server may send first.
pub(super) fn answers(bytes: &[u8]) -> bool {
    matches!(bytes, [ALERT | HANDSHAKE, 3, 0..=4, ..])
}

/// Whether the first record is whole.
pub(super) fn complete(bytes: &[u8]) -> bool {
    record(bytes).is_some_and(|(_, whole)| whole)
}

fn record(bytes: &[u8]) -> Option<(&[u8], bool)> {
    let (header, body) = bytes.split_at_checked(5)?;
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    Some((&body[..body.len().min(length)], body.len() >= length))
}

/// `ServerHello, TLS 1.2`, `alert: protocol_version`.
pub(super) fn detail(bytes: &[u8]) -> String {
    let body = record(bytes).map(|(body, _)| body).unwrap_or_default();
    match (bytes.first(), body) {
        (Some(&ALERT), [_, code, ..]) => format!("alert: {}", alert(*code)),
        (Some(&HANDSHAKE), [SERVER_HELLO, _, _, _, hello @ ..]) => match version(hello) {
            Some(version) => format!("ServerHello, {version}"),
            None => "ServerHello".into(),
        },
        _ => "a TLS record".into(),
    }
}

/// The version that the server chose: in TLS 1.3 an extension says it (RFC 8446, 4.1.3), before that the hello itself.
fn version(hello: &[u8]) -> Option<&'static str> {
    let legacy = hello.get(..2)?;
    let session = usize::from(*hello.get(34)?);
    let mut extensions = hello.get(35 + session + 3 + 2..).unwrap_or_default();
    let mut chosen = [legacy[0], legacy[1]];
    while let [a, b, c, d, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        let Some((body, after)) = rest.split_at_checked(length) else { break };
        if let ([0, 43], [major, minor]) = ([*a, *b], body) {
            chosen = [*major, *minor];
        }
        extensions = after;
    }
    Some(match chosen {
        [3, 4] => "TLS 1.3",
        [3, 3] => "TLS 1.2",
        [3, 2] => "TLS 1.1",
        [3, 1] => "TLS 1.0",
        [3, 0] => "SSL 3",
        _ => return None,
    })
}

/// Names of RFC 8446, section 6, and RFC 6066.
fn alert(code: u8) -> String {
    let name = match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        47 => "illegal_parameter",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return format!("number {code}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_named() {
        assert_eq!(detail(&[21, 3, 3, 0, 2, 2, 40]), "alert: handshake_failure");
        assert!(complete(&[21, 3, 3, 0, 2, 2, 40]));
    }

    #[test]
    fn the_version_of_a_hello_is_read_and_every_prefix_is_survived() {
        let mut hello = vec![3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0x13, 1, 0]);
        hello.extend(sized16(&[0, 43, 0, 2, 3, 4]));
        let mut handshake = vec![SERVER_HELLO, 0];
        handshake.extend(sized16(&hello));
        let mut message = vec![HANDSHAKE, 3, 3];
        message.extend(sized16(&handshake));
        assert_eq!(detail(&message), "ServerHello, TLS 1.3");
        for end in 0..message.len() {
            let _ = (answers(&message[..end]), complete(&message[..end]), detail(&message[..end]));
        }
        // TLS 1.2 has no such extension, and maybe none at all.
        let without = [&message[..5], &message[5..message.len() - 8]].concat();
        assert_eq!(detail(&without), "ServerHello, TLS 1.2");
    }

    #[test]
    fn an_address_is_not_sent_as_a_name() {
        assert_eq!(greeting(Some("10.0.0.5")), greeting(None));
        assert!(greeting(Some("app.example.com")).windows(15).any(|it| it == b"app.example.com"));
    }
}
