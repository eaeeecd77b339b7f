//! What the TLS causes share: the alert that a backend sent, the name that nginx sends, the command that shows it all.

use nginx_conf::{Pass, Scheme, Settings};
use snapshot::{Answer, Certificate, Greeting, Peer, Protocol, TlsFlight};

use crate::case::{Case, times};
use crate::failure::Failure;
use crate::verdict::Fact;

/// What a failed handshake says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Alert 112: the peer does not know the name, or got none.
    UnrecognizedName,
    /// Alert 70, or our own library found no version in common.
    NoCommonVersion,
    /// Our own library, or the peer, found no cipher (or no key size, no curve) in common.
    NoCommonCipher,
    /// Alert 116: the peer demands a client certificate.
    CertificateRequired,
    /// Alerts 42 to 46, 48 and 49: the peer does not accept the client certificate that it got, or an empty one.
    CertificateRefused,
    /// Alert 40, which a peer sends for any of these reasons.
    HandshakeFailure,
    /// Alert 80 and others that tell nothing.
    OtherAlert,
}

/// Reads it from a message, such as `SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake
/// failure:SSL alert number 40)`.
///
/// Source: OpenSSL's ssl/ssl_err.c for the words, RFC 8446 section 6 and RFC 6066 for the numbers.
pub fn trouble(message: &str) -> Option<Trouble> {
    let has = |words: &[&str]| words.iter().any(|it| message.contains(it));
    if !message.contains("SSL") {
        return None;
    }
    Some(if has(&["alert unrecognized name", "SSL alert number 112"]) {
        Trouble::UnrecognizedName
    } else if has(&["alert certificate required", "SSL alert number 116"]) {
        Trouble::CertificateRequired
    } else if has(&[
        "alert protocol version",
        "SSL alert number 70",
        "unsupported protocol",
        "no protocols available",
        "version too low",
        "version too high",
    ]) {
        Trouble::NoCommonVersion
    } else if has(&[
        "no shared cipher",
        "no ciphers available",
        "insufficient security",
        "dh key too small",
        "ee key too small",
        "ca md too weak",
        "no suitable key share",
        "no suitable signature algorithm",
        "unsafe legacy renegotiation disabled",
        "SSL alert number 71",
    ]) {
        Trouble::NoCommonCipher
    } else if has(&[
        "alert bad certificate",
        "alert unsupported certificate",
        "alert certificate revoked",
        "alert certificate expired",
        "alert certificate unknown",
        "alert unknown ca",
        "alert access denied",
    ]) {
        Trouble::CertificateRefused
    } else if has(&["alert handshake failure", "SSL alert number 40"]) {
        Trouble::HandshakeFailure
    } else if has(&["SSL alert number"]) {
        Trouble::OtherAlert
    } else {
        return None;
    })
}

/// The last entry of the group that says what the trouble is, and that as a fact.
pub fn told<'s>(case: &Case<'s, '_>) -> Option<(Trouble, &'s Failure, Fact)> {
    let (entry, trouble) = case.entries().rev().find_map(|it| Some((it, trouble(&it.message)?)))?;
    let says = format!("\"{}\", {}", entry.message, times(case.group.count));
    Some((trouble, entry, Fact::new("error-log", says).reference(entry.reference.clone()).at(entry.at)))
}

/// The answer to our TLS greeting, which carries the same server name as nginx sends there, if any, and every usual
/// version and cipher.
pub fn greeting<'a>(case: &Case<'_, 'a>) -> Option<&'a Greeting> {
    case.sight()?.greetings.iter().find(|it| it.protocol == Protocol::Tls)
}

/// Whether the peer took our own hello: it chose a version and a cipher, and did not mind the name.
pub fn took_our_hello(case: &Case) -> Option<bool> {
    let greeting = greeting(case)?;
    match greeting.answer {
        Answer::Spoken => Some(greeting.detail.starts_with("ServerHello")),
        _ => None,
    }
}

/// What the peer shows in the open of its handshake, if it was asked.
pub fn flight<'a>(case: &Case<'_, 'a>) -> Option<&'a TlsFlight> {
    case.sight()?.tls_flight.as_ref()
}

/// The peer's own certificate, as it shows it now.
pub fn certificate<'a>(case: &Case<'_, 'a>) -> Option<&'a Certificate> {
    flight(case)?.certificates.first()
}

/// That certificate in a sentence.
pub fn certificate_fact(case: &Case) -> Option<Fact> {
    let it = certificate(case)?;
    let own = if it.subject == it.issuer { " (self-signed)" } else { "" };
    let names = if it.names.is_empty() { "no name but that".to_owned() } else { it.names.join(", ") };
    let day = |at: jiff::Timestamp| at.strftime("%Y-%m-%d").to_string();
    let says = format!(
        "{} shows a certificate of {}, signed by {}{own}, for {names}, valid from {} to {}",
        case.peer_name(),
        it.subject,
        it.issuer,
        day(it.not_before),
        day(it.not_after),
    );
    Some(Fact::new("probe", says).at(case.scene.now()))
}

/// The name that nginx sends to the peer of a pass (SNI); none when it sends none.
pub fn sent_name(pass: &Pass) -> Option<String> {
    let settings: &Settings = &pass.settings;
    if !settings.ssl_server_name.value {
        return None;
    }
    let name = settings.ssl_name.value.clone().unwrap_or_else(|| host_of(pass));
    // nginx sends no address as a name: RFC 6066 does not allow it.
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    (bare.parse::<std::net::IpAddr>().is_err() && !bare.is_empty()).then_some(name)
}

/// The host as it stands in the pass, which is `$proxy_host` without its port: a group's name counts as well.
pub fn host_of(pass: &Pass) -> String {
    let written = pass.written.rsplit_once("://").map_or(pass.written.as_str(), |(_, it)| it);
    let host = written.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => host.to_owned(),
        _ => host.to_owned(),
    }
}

/// Whether a host of a pass could be the name in a certificate.
pub fn is_dns_name(host: &str) -> bool {
    host.contains('.')
        && host.parse::<std::net::IpAddr>().is_err()
        && host.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'.' || it == b'-')
}

/// `proxy_ssl_`, `grpc_ssl_`, `uwsgi_ssl_`.
pub fn prefix(pass: &Pass) -> &'static str {
    match pass.scheme {
        Scheme::Grpcs | Scheme::Grpc => "grpc_ssl_",
        Scheme::Suwsgi | Scheme::Uwsgi => "uwsgi_ssl_",
        _ => "proxy_ssl_",
    }
}

/// The command that shows the backend's certificates and what it asks for.
pub fn show(case: &Case, name: Option<&str>) -> String {
    let name = name.filter(|it| it.bytes().all(|it| it.is_ascii_alphanumeric() || b".-_".contains(&it)));
    let server_name = name.map_or_else(|| " -noservername".to_owned(), |it| format!(" -servername {it}"));
    match case.peer() {
        Some(Peer::Unix(path)) => format!("openssl s_client -unix {path}{server_name} -showcerts </dev/null"),
        _ => format!("openssl s_client -connect {}{server_name} -showcerts </dev/null", case.peer_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(message: &str, expected: Option<Trouble>) {
        assert_eq!(trouble(message), expected, "{message}");
    }

    #[test]
    fn alerts_and_openssl_s_own_words_are_told_apart() {
        let failed =
            |reason: &str| format!("SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::{reason})");
        says(&failed("sslv3 alert handshake failure:SSL alert number 40"), Some(Trouble::HandshakeFailure));
        says(&failed("tlsv1 unrecognized name:SSL alert number 112"), Some(Trouble::UnrecognizedName));
        says(&failed("tlsv1 alert protocol version:SSL alert number 70"), Some(Trouble::NoCommonVersion));
        says(
            &failed("tlsv13 alert certificate required:SSL alert number 116"),
            Some(Trouble::CertificateRequired),
        );
        says(&failed("tlsv1 alert unknown ca:SSL alert number 48"), Some(Trouble::CertificateRefused));
        says(&failed("unsupported protocol"), Some(Trouble::NoCommonVersion));
        says(&failed("wrong version number"), None);
        says("upstream timed out", None);
    }
}
