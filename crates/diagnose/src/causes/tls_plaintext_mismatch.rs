use crate::edits::Edits;
use crate::heard::{self, Heard, heard};
use crate::rule::*;
use nginx_conf::{Pass, Scheme, Target};

cause! {
    /// nginx speaks TLS to a plain-text port, or plain text to a TLS port.
    ///
    /// ## What you see
    /// TLS to plain text: `SSL_do_handshake() failed … wrong version number`, or a timeout `while SSL handshaking to
    /// upstream`. Plain text to TLS: the backend hangs up without an answer, or answers 400 "The plain HTTP request was sent
    /// to HTTPS port". Connecting works in both cases, and no request ever succeeds.
    ///
    /// ## How we know
    /// The port answers a greeting in plain HTTP and none in TLS, or the other way round; or OpenSSL says that the answer
    /// to its hello is no TLS record.
    ///
    /// ## What to do
    /// Write `https://` in the pass for a TLS port and `http://` for a plain one; or dial the other port of the backend.
    ///
    /// ## Not to be confused with
    /// `tls-version-mismatch`: there both sides speak TLS, but no common version. `protocol-mismatch`: there neither side
    /// speaks TLS. `backend-hung`: there no greeting at all is answered.
    "tls-plaintext-mismatch",
    explains: [
        SslHandshake, SslTimeout, PrematureClose, ReadReset, ResponseInvalid, HeaderInvalid, HeaderTooBig, ReadTimeout,
        SendFailed, BodyShort, UpstreamStatus,
    ],
    leads_to: [
        "invalid-response", "backend-aborts-request", "upstream-returned-error", "backend-hung", "backend-slow",
        "tls-version-mismatch", "tls-sni-required", "protocol-mismatch", "worker-pool-exhausted", "upstream-blackholed",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scheme = case.group.scheme.as_str();
    if scheme.is_empty() {
        return Ok(Verdict::NotIt);
    }
    let tls = heard::expected(scheme) == Some(Protocol::Tls);
    let (spoken, fact) = match heard(case) {
        Heard::AsConfigured(fact) => return Ok(Verdict::ruled_out(fact.says)),
        Heard::Other(spoken, fact) => (spoken, fact),
        Heard::Nothing => return Ok(Verdict::NotIt),
    };
    let peer = case.peer_name();
    let summary = match (tls, spoken) {
        (true, Protocol::Http | Protocol::Http2 | Protocol::Uwsgi | Protocol::Fastcgi) => match spoken {
            Protocol::Http | Protocol::Http2 => {
                format!("nginx speaks TLS to {peer}, which speaks plain {}", heard::name(spoken))
            }
            _ => format!("nginx speaks TLS to {peer}, which speaks {} without it", heard::name(spoken)),
        },
        (false, Protocol::Tls) => {
            format!("nginx speaks plain {} to {peer}, which wants TLS", heard::scheme_name(scheme))
        }
        _ => return Ok(Verdict::NotIt),
    };
    let place = case.scene.pass(case.group).map(|pass| {
        let says = format!("{}pass {}", pass.scheme.module().prefix(), pass.written);
        Fact::new("config", says).reference(case.scene.place(pass.span))
    });
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting_each(place)
        .supporting(case.failures_fact())
        .fix_maybe(rewrite(case, tls))
        .verify(case.verify_command())
        .into())
}

/// The pass with the other scheme.
fn rewrite(case: &Case, tls: bool) -> Option<Fix> {
    let scene = case.scene;
    let pass = scene.pass(case.group).filter(|_| case.group.peer_in_files)?;
    let (scheme, title) = match (pass.scheme, tls) {
        (Scheme::Https, true) => ("http", "Speak plain HTTP to it"),
        (Scheme::Grpcs, true) => ("grpc", "Speak plain gRPC to it"),
        (Scheme::Http, false) => ("https", "Speak TLS to it"),
        (Scheme::Grpc, false) => ("grpcs", "Speak TLS to it"),
        _ => return None,
    };
    let mut edits = Edits::new(scene);
    let written = target(pass);
    edits.replace(pass.span, &format!("{}pass {scheme}://{written};", pass.scheme.module().prefix()))?;
    let fix = match tls {
        true => Fix::repair(title).because("the backend has no TLS on this port"),
        false => Fix::repair(title).because(
            "a backend chosen by name also needs `proxy_ssl_server_name on;`, and `proxy_ssl_verify on;` to be sure of it",
        ),
    };
    edits.into_fix(fix)
}

/// The address of a pass, with the port written out where the scheme implied it.
fn target(pass: &Pass) -> String {
    let written = pass.written.rsplit_once("://").map_or(pass.written.as_str(), |(_, it)| it);
    let Target::Address(address) = &pass.target else { return written.to_owned() };
    let (host, uri) = written.split_at(written.find('/').unwrap_or(written.len()));
    match address.strip_prefix(host) {
        Some(port) if port.starts_with(':') => format!("{host}{port}{uri}"),
        _ => written.to_owned(),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    if lines::is_late(case) && case.group.symptom != Symptom::BodyShort {
        return None;
    }
    let course = course::of(case);
    let answers = lines::ever_answered(case);
    let port = match case.peer() {
        Some(Peer::Tcp(it)) => it.port(),
        Some(Peer::Name { port, .. }) => *port,
        _ => 0,
    };
    let secure = port % 1000 == 443;
    let confidence = match (case.group.symptom, case.group.scheme.as_str()) {
        (Symptom::PrematureClose | Symptom::ReadReset, _)
            if answers && !course.since && lines::reloaded_before(case).is_some() =>
        {
            0.2
        }
        _ if answers => 0.02,
        (Symptom::SslHandshake, _) => 0.12,
        (Symptom::SslTimeout, _) => 0.3,
        (_, "http" | "grpc" | "uwsgi" | "") if secure => 0.6,
        (Symptom::HeaderInvalid | Symptom::ResponseInvalid, "http") => 0.15,
        (Symptom::PrematureClose | Symptom::ReadReset | Symptom::SendFailed, "http" | "grpc")
            if course.seen =>
        {
            0.2
        }
        (Symptom::PrematureClose | Symptom::ReadReset, "http" | "grpc") => 0.06,
        (Symptom::UpstreamStatus, _) if case.group.statuses.contains_key(&400) => 0.3,
        _ => return None,
    };
    let peer = case.peer_name();
    let summary = match case.group.symptom {
        Symptom::SslHandshake | Symptom::SslTimeout => {
            format!("nginx speaks TLS to {peer}, which may speak plain text")
        }
        _ => format!("nginx speaks plain text to {peer}, which may want TLS"),
    };
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::repair("Let nginx speak as the backend does: https:// or http:// in the pass")
                    .run(format!("openssl s_client -connect {peer}")),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, PeerSight, Snapshot};

    /// nginx fails that way with a peer that gives these answers to these greetings.
    fn greeted(pass: &str, line: &str, answers: &[(Protocol, Answer)]) -> Snapshot {
        logged(passing_to(pass), &[line]).with(|it| {
            let mut sight = PeerSight::new("127.0.0.1:8443".parse().unwrap());
            let greeting = |&(protocol, answer)| Greeting { protocol, answer, detail: String::new() };
            sight.greetings = answers.iter().map(greeting).collect();
            it.peers.push(sight);
        })
    }

    #[test]
    fn plain_text_to_a_tls_port_is_named() {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "http://127.0.0.1:8443/",
        );
        let answers = [(Protocol::Http, Answer::Closed), (Protocol::Tls, Answer::Spoken)];
        let report = check(
            &greeted("proxy_pass http://127.0.0.1:8443", &line, &answers),
            "tls-plaintext-mismatch: confirmed",
        );
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass https://127.0.0.1:8443;");
    }

    #[test]
    fn a_handshake_that_times_out_at_a_plain_port_is_named() {
        let line = failed(
            "upstream timed out (110: Connection timed out)",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/",
        );
        let answers = [(Protocol::Tls, Answer::Silent), (Protocol::Http, Answer::Spoken)];
        check(
            &greeted("proxy_pass https://127.0.0.1:8443", &line, &answers),
            "tls-plaintext-mismatch: confirmed",
        );
    }

    #[test]
    fn openssl_s_wrong_version_number_is_enough() {
        let line = failed(
            "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/",
        );
        check(&greeted("proxy_pass https://127.0.0.1:8443", &line, &[]), "tls-plaintext-mismatch: confirmed");
    }

    #[test]
    fn a_tls_port_that_says_so_with_400_is_named() {
        let answers = [(Protocol::Http, Answer::SpokeTls), (Protocol::Tls, Answer::Spoken)];
        let host = passing_to("proxy_pass http://127.0.0.1:8443");
        let host =
            requested(host, &[("GET /cart HTTP/1.1", 400, "127.0.0.1:8443", "400", "0.001")]).with(|it| {
                sight(it, "127.0.0.1:8443", |it| {
                    let greeting = |&(protocol, answer)| Greeting { protocol, answer, detail: String::new() };
                    it.greetings = answers.iter().map(greeting).collect();
                });
            });
        check(&host, "tls-plaintext-mismatch: confirmed");
        let spoken =
            host.with(|it| sight(it, "127.0.0.1:8443", |it| it.greetings[0].answer = Answer::Spoken));
        check(&spoken, "healthy");
    }

    #[test]
    fn a_peer_that_speaks_tls_has_another_trouble() {
        let line = failed(
            "SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version)",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/",
        );
        let host = greeted("proxy_pass https://127.0.0.1:8443", &line, &[(Protocol::Tls, Answer::Spoken)]);
        let report = crate::diagnose(&host);
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "tls-plaintext-mismatch"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_silent_peer_is_not_accused() {
        let line = failed(
            "upstream timed out (110: Connection timed out)",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/",
        );
        let silent = [Protocol::Tls, Protocol::Http, Protocol::Fastcgi].map(|it| (it, Answer::Silent));
        let report = crate::diagnose(&greeted("proxy_pass https://127.0.0.1:8443", &line, &silent));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "tls-plaintext-mismatch"),
            "{}",
            outline(&report)
        );
    }
}
