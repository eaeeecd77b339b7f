//! What a peer was heard to speak: by our greetings, and by what nginx itself could not make sense of.

use jiff::SignedDuration;
use nginx_logs::backend::EventKind;
use snapshot::{Answer, Greeting, Protocol};

use crate::case::{Case, times};
use crate::verdict::Fact;

/// How far apart a request's line in nginx's log and in the backend's may be.
const SAME_REQUEST: SignedDuration = SignedDuration::from_secs(5);

/// What a peer speaks, compared with what nginx is configured to speak to it.
pub enum Heard {
    /// The same.
    AsConfigured(Fact),
    /// Something else.
    Other(Protocol, Fact),
    /// Nothing was heard: nobody asked, or it was silent on everything.
    Nothing,
}

/// The protocol that a pass with that scheme begins with; none for those that have no greeting (scgi, memcached, stream).
pub fn expected(scheme: &str) -> Option<Protocol> {
    Some(match scheme {
        "http" => Protocol::Http,
        "https" | "grpcs" | "suwsgi" | "stream-tls" => Protocol::Tls,
        "fastcgi" => Protocol::Fastcgi,
        "uwsgi" => Protocol::Uwsgi,
        "grpc" => Protocol::Http2,
        _ => return None,
    })
}

/// Its name in sentences.
pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Fastcgi => "FastCGI",
        Protocol::Http => "HTTP",
        Protocol::Uwsgi => "the uwsgi protocol",
        Protocol::Tls => "TLS",
        Protocol::Http2 => "HTTP/2",
        Protocol::ProxyProtocol => "HTTP behind a PROXY protocol header",
    }
}

/// What a scheme is called in sentences.
pub fn scheme_name(scheme: &str) -> &'static str {
    match scheme {
        "http" => "HTTP",
        "https" => "HTTPS",
        "grpc" => "gRPC (HTTP/2)",
        "grpcs" => "gRPC over TLS",
        "fastcgi" => "FastCGI",
        "uwsgi" => "the uwsgi protocol",
        "suwsgi" => "the uwsgi protocol over TLS",
        "scgi" => "SCGI",
        "memcached" => "the memcached protocol",
        "stream-tls" => "TLS",
        _ => "its protocol",
    }
}

/// What the peer of a case speaks.
pub fn heard(case: &Case) -> Heard {
    let expected = expected(&case.group.scheme);
    let greetings = case.sight().map(|it| it.greetings.as_slice()).unwrap_or_default();
    if let Some(it) = greetings.iter().find(|it| Some(it.protocol) == expected && it.answer == Answer::Spoken)
    {
        return Heard::AsConfigured(greeting_fact(case, it));
    }
    let spoken = |it: &&Greeting| it.answer == Answer::Spoken && it.protocol != Protocol::ProxyProtocol;
    if let Some(it) = greetings.iter().find(spoken) {
        return Heard::Other(it.protocol, greeting_fact(case, it));
    }
    let told = greetings.iter().find_map(|it| Some((it, told(it.answer)?)));
    if let Some((greeting, protocol)) = told.filter(|(_, protocol)| Some(*protocol) != expected) {
        return Heard::Other(protocol, greeting_fact(case, greeting));
    }
    let decoded = decoded(case).or_else(|| refused_by_uwsgi(case));
    decoded.map_or(Heard::Nothing, |(protocol, fact)| Heard::Other(protocol, fact))
}

/// Whether the peer took our connections and said nothing at all, to no greeting.
pub fn silent_on_all(case: &Case) -> bool {
    let Some(sight) = case.sight() else { return false };
    !sight.greetings.is_empty() && sight.greetings.iter().all(|it| it.answer == Answer::Silent)
}

/// The protocol that an answer gives away.
fn told(answer: Answer) -> Option<Protocol> {
    Some(match answer {
        Answer::SpokeHttp => Protocol::Http,
        Answer::SpokeTls => Protocol::Tls,
        Answer::SpokeFastcgi => Protocol::Fastcgi,
        Answer::SpokeHttp2 => Protocol::Http2,
        _ => return None,
    })
}

fn greeting_fact(case: &Case, greeting: &Greeting) -> Fact {
    let peer = case.peer_name();
    let asked = name(greeting.protocol);
    let detail = if greeting.detail.is_empty() { String::new() } else { format!(": {}", greeting.detail) };
    let says = match greeting.answer {
        Answer::Spoken => format!("{peer} speaks {asked}{detail}"),
        answer => {
            let told = told(answer).map_or("something else", name);
            format!("{peer} answers a greeting in {asked} with {told}{detail}")
        }
    };
    Fact::new("probe", says)
}

/// What nginx's own complaint gives away: it names the first bytes of the answer as a number of its own protocol.
///
/// Source: ngx_http_fastcgi_process_record() prints the first byte as the version; ngx_http_grpc_parse_frame() prints the
/// first three as the frame's length; OpenSSL's ssl3_get_record() and tls_get_record_header() say "wrong version number"
/// for a record that is no TLS record.
fn decoded(case: &Case) -> Option<(Protocol, Fact)> {
    let (entry, (protocol, meaning)) =
        case.entries().rev().find_map(|it| Some((it, decode(&it.message)?)))?;
    let says = format!("\"{}\" ({meaning}), {}", short(&entry.message), times(case.group.count));
    Some((protocol, Fact::new("error-log", says).reference(entry.reference.clone()).at(entry.at)))
}

/// uWSGI takes the second and third byte of what it is sent for the size of a block. Of an HTTP request they are letters of
/// its method: 21573 is "ET". Source: uwsgi_proto_uwsgi_parser() ("invalid request block size").
fn refused_by_uwsgi(case: &Case) -> Option<(Protocol, Fact)> {
    if !matches!(case.group.scheme.as_str(), "http" | "grpc") {
        return None;
    }
    let any = case.scene.snapshot.is_of_logs();
    let unit = case.backend.as_ref().ok().and_then(|it| it.unit(case.scene)).filter(|_| !any);
    if unit.is_none() && !any {
        return None;
    }
    let event = case.scene.events.iter().rev().find(|it| {
        let letters = |size: u64| matches!(size.to_le_bytes(), [b'A'..=b'Z', b'A'..=b'Z', 0, ..]);
        let of_text = matches!(it.kind, EventKind::RequestTooLarge { size_bytes, .. } if letters(size_bytes));
        of_text && unit.is_none_or(|unit| it.unit == unit.name) && it.near(case.group.last, SAME_REQUEST)
    })?;
    let mut fact = event.fact();
    fact.says = format!("{} (that size is letters of an HTTP method)", fact.says);
    Some((Protocol::Uwsgi, fact))
}

fn decode(message: &str) -> Option<(Protocol, &'static str)> {
    let number = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<u64>().ok()
    };
    match number("upstream sent unsupported FastCGI protocol version: ") {
        Some(72) => return Some((Protocol::Http, "72 is the \"H\" of \"HTTP/1.1\"")),
        Some(21 | 22) => return Some((Protocol::Tls, "that is the first byte of a TLS record")),
        _ => {}
    }
    match number("upstream sent too large http2 frame: ") {
        Some(0x48_5454) => {
            return Some((Protocol::Http, "that number is \"HTT\", the beginning of \"HTTP/1.1\""));
        }
        Some(0x15_0300..=0x15_0304 | 0x16_0300..=0x16_0304) => {
            return Some((Protocol::Tls, "that number is the beginning of a TLS record"));
        }
        _ => {}
    }
    let no_tls = message.contains("SSL_do_handshake() failed") && message.contains("wrong version number");
    no_tls.then_some((Protocol::Http, "the answer to the TLS hello is no TLS record"))
}

/// A message without the tail that differs from request to request.
fn short(message: &str) -> String {
    message.chars().take(140).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn decodes(message: &str, expected: Option<Protocol>) {
        assert_eq!(decode(message).map(|it| it.0), expected, "{message}");
    }

    #[test]
    fn numbers_in_nginx_s_complaints_give_the_protocol_away() {
        decodes("upstream sent unsupported FastCGI protocol version: 72", Some(Protocol::Http));
        decodes("upstream sent unsupported FastCGI protocol version: 21", Some(Protocol::Tls));
        decodes("upstream sent unsupported FastCGI protocol version: 7", None);
        decodes("upstream sent too large http2 frame: 4740180", Some(Protocol::Http));
        decodes("upstream sent too large http2 frame: 1377027", Some(Protocol::Tls));
        decodes("upstream sent too large http2 frame: 16777215", None);
        decodes(
            "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)",
            Some(Protocol::Http),
        );
        decodes(
            "SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure)",
            None,
        );
    }
}
