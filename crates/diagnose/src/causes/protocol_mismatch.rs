use crate::edits::Edits;
use crate::heard::{self, Heard, heard};
use crate::rule::*;

cause! {
    /// nginx speaks one protocol to the backend, and the backend speaks another.
    ///
    /// ## What you see
    /// Every request to this backend fails, from the first one on: `upstream prematurely closed connection`, a reset,
    /// `unsupported FastCGI protocol version: 72`, `too large http2 frame: 4740180`, a read timeout, or a strange status
    /// such as 009. Connecting works, and the backend's own log shows bad requests or nothing.
    ///
    /// ## How we know
    /// The backend does not answer a greeting in the protocol that nginx is configured for, and does answer one in
    /// another; or nginx's own complaint names the first bytes of the answer as a number (72 is "H", 4740180 is "HTT").
    ///
    /// ## What to do
    /// Use the directive of the backend's protocol (`fastcgi_pass`, `uwsgi_pass`, `grpc_pass`, `proxy_pass`), or dial the
    /// port or socket on which the backend speaks the configured one.
    ///
    /// ## Not to be confused with
    /// `tls-plaintext-mismatch`: there one side speaks TLS. `backend-port-conflict`: there a stranger has the port, and the
    /// backend that is meant cannot bind it. `backend-hung`: there no greeting at all is answered.
    "protocol-mismatch",
    explains: [
        PrematureClose, ReadReset, ResponseInvalid, HeaderInvalid, HeaderTooBig, ReadTimeout, SendFailed, SendTimeout,
        BodyShort, UpstreamStatus,
    ],
    leads_to: [
        "invalid-response", "backend-aborts-request", "upstream-returned-error", "backend-hung", "backend-slow",
        "request-header-too-big", "request-body-rejected", "response-header-too-big", "keepalive-race", "worker-pool-exhausted",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scheme = case.group.scheme.as_str();
    if scheme.is_empty() || scheme.starts_with("stream") {
        return Ok(Verdict::NotIt);
    }
    let (spoken, fact, sure) = match heard(case) {
        Heard::AsConfigured(fact) => return Ok(Verdict::ruled_out(fact.says)),
        Heard::Other(spoken, fact) => (spoken, fact, true),
        Heard::Nothing => match by_kind(case)? {
            Some((spoken, fact, sure)) => (spoken, fact, sure),
            None => return Ok(Verdict::NotIt),
        },
    };
    let expected = heard::expected(scheme);
    // TLS against plain text has its own page, except where the plain text is no HTTP: then TLS alone would not help.
    let plain_for_tls = expected == Some(Protocol::Tls) && matches!(spoken, Protocol::Http | Protocol::Http2);
    if Some(spoken) == expected || spoken == Protocol::Tls || plain_for_tls {
        return Ok(Verdict::NotIt);
    }
    let summary = format!(
        "nginx speaks {} to {}, but what listens there speaks {}",
        heard::scheme_name(scheme),
        named(case),
        heard::name(spoken)
    );
    let found = if sure { confirmed(summary).decisive(fact) } else { likely(summary).supporting(fact) };
    Ok(found
        .supporting_each(configured(case))
        .supporting(case.failures_fact())
        .fix_maybe(speak(case, spoken))
        .fix_maybe(dial_who_speaks(case)?)
        .verify(case.verify_command())
        .into())
}

/// The peer, with the name of the server behind it where that is known.
fn named(case: &Case) -> String {
    match &case.backend {
        Ok(backend) if !backend.processes.is_empty() || backend.pool.is_some() => {
            format!("{} ({})", case.peer_name(), backend.name(case.scene))
        }
        _ => case.peer_name(),
    }
}

/// The pass that makes nginx speak so.
fn configured(case: &Case) -> Option<Fact> {
    let pass = case.scene.pass(case.group)?;
    let module = pass.scheme.module().prefix();
    Some(Fact::new("config", format!("{module}pass {}", pass.written)).reference(case.scene.place(pass.span)))
}

/// What the program that listens there is known to speak, where no greeting could tell. PHP-FPM has only FastCGI; the
/// others could be configured otherwise, so they are no proof.
fn by_kind(case: &Case) -> Result<Option<(Protocol, Fact, bool)>, Blind> {
    let backend = case.backend()?;
    let Some(listening) = &backend.listening else { return Ok(None) };
    // A backend that hangs is silent on everything; what it would speak is not the point then.
    if heard::silent_on_all(case) {
        return Ok(None);
    }
    let scheme = case.group.scheme.as_str();
    let (spoken, sure) = match backend.kind {
        AppKind::PhpFpm if scheme != "fastcgi" => (Protocol::Fastcgi, true),
        AppKind::Gunicorn | AppKind::Uvicorn | AppKind::Node | AppKind::Ruby
            if matches!(scheme, "fastcgi" | "uwsgi" | "suwsgi" | "scgi") =>
        {
            (Protocol::Http, false)
        }
        _ => return Ok(None),
    };
    let says = format!(
        "{} listens at {} and speaks {}",
        backend.name(case.scene),
        listening.address,
        heard::name(spoken)
    );
    let mut fact = listening.fact.clone();
    fact.says = says;
    Ok(Some((spoken, fact, sure)))
}

/// The pass, written for the protocol that the backend speaks.
fn speak(case: &Case, spoken: Protocol) -> Option<Fix> {
    let scene = case.scene;
    let pass = scene.pass(case.group).filter(|_| case.group.peer_in_files)?;
    let target = pass.written.rsplit("://").next()?.trim_end_matches('/');
    let (directives, title) = match spoken {
        Protocol::Http => (format!("proxy_pass http://{target};"), "Speak HTTP to it"),
        Protocol::Http2 => (format!("grpc_pass grpc://{target};"), "Speak gRPC to it"),
        Protocol::Fastcgi => (
            format!(
                "include fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass {target};"
            ),
            "Speak FastCGI to it",
        ),
        Protocol::Uwsgi => {
            (format!("include uwsgi_params; uwsgi_pass {target};"), "Speak the uwsgi protocol to it")
        }
        Protocol::Tls | Protocol::ProxyProtocol => return None,
    };
    let mut edits = Edits::new(scene);
    edits.replace(pass.span, &directives)?;
    let why = match spoken {
        Protocol::Fastcgi => {
            "FastCGI needs the script's path; check `root`, and that only scripts match this location"
        }
        _ => {
            "directives of the old protocol in this location have no effect on the new one: carry timeouts and headers over"
        }
    };
    edits.into_fix(Fix::repair(title).because(why))
}

/// Another listener of this host that speaks what nginx is configured to speak.
fn dial_who_speaks(case: &Case) -> Result<Option<Fix>, Blind> {
    let Some(peer) = case.peer() else { return Ok(None) };
    let scheme = case.group.scheme.as_str();
    let fits = |it: &Elsewhere| {
        let by_kind = matches!((it.kind, scheme), (AppKind::PhpFpm, "fastcgi") | (AppKind::Uwsgi, "uwsgi"));
        !it.dialled_otherwise && (it.speaks == Some(true) || by_kind)
    };
    let others = elsewhere(case.scene, peer, scheme)?;
    Ok(others.iter().find(|it| fits(it)).map(|it| {
        Fix::repair(format!("Or dial {}, where {} speaks {}", it.at, it.name(), heard::scheme_name(scheme)))
    }))
}

fn from_lines(case: &Case) -> Option<Found> {
    let found = judge(case).ok();
    if let Some(Verdict::Found(found)) = found {
        return Some(*found);
    }
    if lines::is_late(case) && case.group.symptom != Symptom::BodyShort {
        return None;
    }
    let course = course::of(case);
    let answers = lines::ever_answered(case);
    let peer = case.peer_name();
    let invalid = matches!(case.group.symptom, Symptom::HeaderInvalid | Symptom::ResponseInvalid);
    let confidence = match case.group.symptom {
        Symptom::PrematureClose | Symptom::ReadReset
            if answers && !course.since && lines::reloaded_before(case).is_some() =>
        {
            0.2
        }
        _ if answers => 0.02,
        // The first bytes of an answer are no header of the protocol that nginx speaks.
        _ if invalid
            && lines::says(
                case,
                &[
                    "no valid HTTP",
                    "unsupported FastCGI",
                    "invalid frame",
                    "too large frame",
                    "invalid http2",
                ],
            ) =>
        {
            0.75
        }
        _ if invalid => 0.25,
        Symptom::HeaderTooBig | Symptom::BodyShort => 0.06,
        Symptom::UpstreamStatus if case.group.statuses.keys().all(|it| *it < 100) => 0.6,
        Symptom::UpstreamStatus => return None,
        Symptom::ReadTimeout if course.seen => 0.22,
        Symptom::ReadTimeout => 0.08,
        _ if course.seen => 0.4,
        _ => 0.12,
    };
    let speaks = heard::scheme_name(&case.group.scheme);
    let summary =
        format!("nginx speaks {speaks} to {peer}, which may speak something else: it has answered nothing");
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Let nginx speak what the backend does: proxy_pass, fastcgi_pass, uwsgi_pass or grpc_pass").run(lines::who_listens(case)))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, PeerSight, Snapshot};

    /// nginx fails that way with a peer that gives these answers to these greetings.
    fn greeted(pass: &str, message: &str, upstream: &str, answers: &[(Protocol, Answer)]) -> Snapshot {
        let line = failed(message, "reading response header from upstream", upstream);
        logged(passing_to(pass), &[&line]).with(|it| {
            let mut sight = PeerSight::new("127.0.0.1:9000".parse().unwrap());
            let greeting = |&(protocol, answer)| Greeting { protocol, answer, detail: String::new() };
            sight.greetings = answers.iter().map(greeting).collect();
            it.peers.push(sight);
        })
    }

    const CLOSED: &str = "upstream prematurely closed connection";

    #[test]
    fn http_to_a_fastcgi_port_is_named() {
        let answers = [(Protocol::Http, Answer::Closed), (Protocol::Fastcgi, Answer::Spoken)];
        let host = greeted("proxy_pass http://127.0.0.1:9000", CLOSED, "http://127.0.0.1:9000/", &answers);
        let report = check(&host, "protocol-mismatch: confirmed");
        let edit = &report.causes[0].fixes[0].edits[0];
        assert!(edit.new.contains("fastcgi_pass 127.0.0.1:9000;"), "{edit:?}");
    }

    #[test]
    fn what_nginx_could_not_read_names_it_without_a_probe() {
        let message = "upstream sent unsupported FastCGI protocol version: 72";
        let host = greeted("fastcgi_pass 127.0.0.1:9000", message, "fastcgi://127.0.0.1:9000", &[]);
        let report = check(&host, "protocol-mismatch: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass http://127.0.0.1:9000;");
    }

    #[test]
    fn a_peer_that_speaks_as_configured_is_another_cause() {
        let answers = [(Protocol::Http, Answer::Spoken)];
        let host = greeted("proxy_pass http://127.0.0.1:9000", CLOSED, "http://127.0.0.1:9000/", &answers);
        let report = crate::diagnose(&host);
        assert!(!report.causes.iter().any(|it| it.cause.id == "protocol-mismatch"), "{}", outline(&report));
    }

    #[test]
    fn a_peer_that_is_silent_on_everything_is_no_mismatch() {
        let silent = [Protocol::Http, Protocol::Fastcgi, Protocol::Uwsgi, Protocol::Tls]
            .map(|it| (it, Answer::Silent));
        let message = "upstream timed out (110: Connection timed out)";
        let host = greeted("uwsgi_pass 127.0.0.1:9000", message, "uwsgi://127.0.0.1:9000", &silent);
        let report = crate::diagnose(&host);
        assert!(!report.causes.iter().any(|it| it.cause.id == "protocol-mismatch"), "{}", outline(&report));
    }

    #[test]
    fn listeners_we_may_not_see_are_a_blind_spot() {
        let host = greeted("proxy_pass http://127.0.0.1:9000", CLOSED, "http://127.0.0.1:9000/", &[]);
        let host = host.with(|it| it.net.listeners = denied());
        check_blind(&host, "protocol-mismatch", "listening sockets");
    }
}
