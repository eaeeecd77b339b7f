use crate::edits::Edits;
use crate::rule::*;
use crate::{said, tiers};
use nginx_conf::{Module, Pass};

cause! {
    /// One side sends or expects the PROXY protocol header, and the other does not.
    ///
    /// ## What you see
    /// The backend hangs up on every request (`prematurely closed connection`, `104: Connection reset by peer`), though it
    /// lives. Or, with `proxy_protocol` on nginx's own `listen`: `broken header … while reading PROXY protocol`, and clients
    /// that get no answer.
    ///
    /// ## How we know
    /// The backend hangs up on a plain greeting and answers the same one behind a PROXY header; or it, or nginx, complains
    /// of the header in its log.
    ///
    /// ## What to do
    /// Switch the header on or off on both sides. nginx sends it to backends from `stream` only (`proxy_protocol on`); in
    /// `http` the backend has to do without it (haproxy: no `accept-proxy`) and take X-Forwarded-For.
    ///
    /// ## Not to be confused with
    /// `protocol-mismatch`, `tls-plaintext-mismatch`: there the conversation itself is in another protocol.
    "proxy-protocol-mismatch",
    explains: [PrematureClose, ReadReset, HeaderInvalid, ResponseInvalid, SendFailed, SslHandshake, ProxyHeaderBroken],
    leads_to: ["backend-aborts-request", "keepalive-race", "protocol-mismatch", "invalid-response"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if case.group.symptom == Symptom::ProxyHeaderBroken {
        return Ok(own_listener(case));
    }
    let own = case.scene.pass(case.group).filter(|it| it.scheme.module() == Module::Stream);
    if let Some(pass) = own.filter(|it| it.settings.proxy_protocol.value) {
        return Ok(unasked_for(case, pass, case.backend()?));
    }
    // The stream server of this nginx between it and the backend may see nothing that is worth a line.
    if let Some(pass) = case.peer().and_then(|it| tiers::stream_at(case.scene, it))
        && pass.settings.proxy_protocol.value
        && let [behind] = pass.addresses(case.scene.view).as_slice()
    {
        let behind: Peer = behind.address.parse().unwrap_or_else(|never| match never {});
        if case.scene.groups.iter().any(|it| it.peer.as_ref() == Some(&behind)) {
            return Ok(Verdict::NotIt);
        }
        return Ok(unasked_for(case, pass, &Backend::of(case.scene, &behind)?));
    }
    let Some(sight) = case.sight() else { return Ok(Verdict::NotIt) };
    let spoken = |it: &&snapshot::Greeting| it.answer == Answer::Spoken;
    let behind = sight.greetings.iter().filter(spoken).find(|it| it.protocol == Protocol::ProxyProtocol);
    let words = said::near(case, |text| {
        let text = text.to_ascii_lowercase();
        let header = text.contains("broken header")
            || text.contains("proxy protocol")
            || text.contains("proxy header");
        header && !text.contains("enabled")
    });
    if behind.is_none() && (words.is_none() || sight.greetings.iter().any(|it| it.answer == Answer::Spoken)) {
        return Ok(Verdict::NotIt);
    }
    let peer = case.peer_name();
    let who = case.backend().ok().filter(|it| it.unit(case.scene).is_some()).map(|it| it.name(case.scene));
    let named = who.map_or_else(|| peer.clone(), |it| format!("{it} at {peer}"));
    let heard = behind.map(|it| {
        let detail = if it.detail.is_empty() { String::new() } else { format!(" ({})", it.detail) };
        Fact::new(
            "probe",
            format!("{peer} hangs up on a plain request and answers one behind a PROXY header{detail}"),
        )
    });
    let summary = format!(
        "{named} expects a PROXY protocol header, which nginx does not send: it hangs up on every request"
    );
    let found = match heard {
        Some(heard) => confirmed(summary).decisive(heard).supporting_each(words),
        None => confirmed(summary).confidence(0.9).decisive_each(words),
    };
    Ok(found
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!(
            "Let {named} do without it (haproxy: remove accept-proxy from the bind line; nginx: proxy_protocol from listen)"
        )))
        .fix(Fix::repair("Or proxy to it from nginx's stream block with `proxy_protocol on`: in http nginx cannot send the header"))
        .verify(case.verify_command())
        .into())
}

/// nginx's stream sends the header. Who is known to take none hangs up on it.
fn unasked_for(case: &Case, pass: &Pass, backend: &Backend) -> Verdict {
    let told = |it: &&Process| it.arguments.iter().any(|it| it.contains("proxy-protocol"));
    // PHP-FPM cannot be told to take it; the others can, and their own files may do so.
    let never = backend.kind == AppKind::PhpFpm;
    let seldom = matches!(backend.kind, AppKind::Gunicorn | AppKind::Uwsgi | AppKind::Node);
    if !(never || seldom) || backend.processes.iter().any(told) {
        return Verdict::NotIt;
    }
    let name = backend.name(case.scene);
    let kind = backend.kind.name();
    let summary = format!(
        "nginx's stream sends {name} a PROXY protocol header, which it takes for a broken request: it hangs up"
    );
    let span = pass.settings.proxy_protocol.from.unwrap_or(pass.span);
    let config = Fact::new("config", "proxy_protocol on, in the stream server that passes to it")
        .reference(case.scene.place(span));
    let found = if never {
        confirmed(summary)
            .decisive(config)
            .decisive(Fact::new("process", format!("{name} is {kind}, which knows no such header")))
    } else {
        likely(summary).supporting(config).supporting(Fact::new(
            "process",
            format!("{name} is {kind}, which takes such a header only when it is told to"),
        ))
    };
    let mut edits = Edits::new(case.scene);
    let off = edits.replace(span, "proxy_protocol off;");
    found
        .supporting(case.failures_fact())
        .fix_maybe(off.and_then(|()| edits.into_fix(Fix::repair("Send no PROXY header to it"))))
        .verify(case.verify_command())
        .into()
}

/// nginx's own listener expects the header, and clients send none.
fn own_listener(case: &Case) -> Verdict {
    let Some(last) = case.entries().next_back() else { return Verdict::NotIt };
    let listens = case.scene.view.servers().iter().flat_map(|it| &it.listens).find(|it| it.proxy_protocol);
    let place = listens.map(|it| {
        Fact::new("config", format!("listen {} has proxy_protocol", it.address))
            .reference(case.scene.place(it.span))
    });
    let at = listens.map(|it| format!(" ({})", it.address)).unwrap_or_default();
    confirmed(format!(
        "nginx expects a PROXY protocol header{at}, and {} came without a valid one",
        plural(case.group.count, "connection")
    ))
    .decisive(
        Fact::new("error-log", format!("\"{}\", {}", last.message.escape_default(), times(case.group.count)))
            .reference(last.reference.clone())
            .at(last.at),
    )
    .supporting_each(place)
    .fix(Fix::repair(
        "Let the load balancer in front send the header, or remove proxy_protocol from that listen",
    ))
    .into()
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let course = course::of(case);
    let answers = lines::ever_answered(case);
    let confidence = match case.group.symptom {
        Symptom::ProxyHeaderBroken => 0.9,
        _ if answers => 0.01,
        Symptom::SslHandshake => 0.08,
        _ if lines::is_stream(case) => 0.3,
        _ if course.seen => 0.15,
        _ => 0.05,
    };
    let peer = case.peer_name();
    let summary =
        format!("one of nginx and {peer} may send or expect the PROXY protocol's header, and the other not");
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Switch proxy_protocol on at both sides, or at neither"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, Snapshot};

    fn greeted(answers: &[(Protocol, Answer)]) -> Snapshot {
        let message = "upstream prematurely closed connection";
        let line = failed(message, "reading response header from upstream", "http://127.0.0.1:8080/cart");
        let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        serving(&mut host, 700, "/usr/sbin/haproxy -db", "127.0.0.1:8080");
        sight(&mut host, "127.0.0.1:8080", |it| {
            let greeting = |&(protocol, answer)| Greeting { protocol, answer, detail: String::new() };
            it.greetings = answers.iter().map(greeting).collect();
        });
        host
    }

    #[test]
    fn a_peer_that_answers_behind_a_header_only_is_named() {
        let answers = [
            (Protocol::Http, Answer::Closed),
            (Protocol::Tls, Answer::Closed),
            (Protocol::ProxyProtocol, Answer::Spoken),
        ];
        check(&greeted(&answers), "proxy-protocol-mismatch: confirmed");
    }

    #[test]
    fn a_peer_that_speaks_plain_http_is_another_cause() {
        let report = crate::diagnose(&greeted(&[(Protocol::Http, Answer::Spoken)]));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "proxy-protocol-mismatch"),
            "{}",
            outline(&report)
        );
    }

    /// The stream server in front of a program hands it a header, and is hung up on.
    fn streamed_to(command: &str, name: &str) -> Snapshot {
        let line = "[error] 101#101: *3 recv() failed (104: Connection reset by peer) while proxying and reading from upstream, \
            client: 127.0.0.1, server: 127.0.0.1:9001, upstream: \"127.0.0.1:9000\", bytes from/to client:528/0, bytes \
            from/to upstream:0/571";
        let server = "server {\nlisten 127.0.0.1:9001;\nproxy_protocol on;\nproxy_pass 127.0.0.1:9000;\n}";
        // It begins in the http block.
        let mut host = logged(configured(&format!("}}\nstream {{\n{server}")), &[line]);
        serving(&mut host, 700, command, "127.0.0.1:9000");
        process(&mut host, 700, |it| it.name = name.into());
        host
    }

    #[test]
    fn a_header_for_php_fpm_is_one_too_many() {
        check(&streamed_to("php-fpm: master process", "php-fpm8.2"), "proxy-protocol-mismatch: confirmed");
        let gunicorn = "/usr/bin/python3 /usr/bin/gunicorn shop:app";
        check(&streamed_to(gunicorn, "gunicorn"), "proxy-protocol-mismatch: likely");
        check_not(
            &streamed_to(&format!("{gunicorn} --proxy-protocol"), "gunicorn"),
            "proxy-protocol-mismatch",
        );
    }

    #[test]
    fn clients_without_the_header_at_nginx_s_own_port_are_named() {
        let line = "[error] 101#101: *3 broken header: \"GET / HTTP/1.1\" while reading PROXY protocol, client: 10.0.0.9, \
            server: 0.0.0.0:80";
        let host = logged(configured("server {\nlisten 80 proxy_protocol;\n}"), &[line]);
        check(&host, "proxy-protocol-mismatch: confirmed");
    }
}
