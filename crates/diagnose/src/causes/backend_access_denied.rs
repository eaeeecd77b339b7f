use crate::rule::*;
use crate::{outage, said, tiers, vitals};

cause! {
    /// The backend's own access list turns nginx away.
    ///
    /// ## What you see
    /// Every connection is taken and closed at once: "upstream prematurely closed connection" or `104: Connection reset
    /// by peer`, whatever the URL, and the backend's application log shows no request.
    ///
    /// ## How we know
    /// The backend says so (PHP-FPM: "Connection disallowed: IP address … has been dropped"; an application: that it
    /// rejects this address, or the `Host` that nginx sends), or its settings name allowed clients and nginx's address
    /// is not among them.
    ///
    /// ## What to do
    /// Add the address that nginx dials from to the list.
    ///
    /// ## Not to be confused with
    /// `backend-aborts-request`: there only particular requests are dropped. `firewall-reject`: there the connection is
    /// not made at all.
    "backend-access-denied",
    explains: [PrematureClose, ReadReset, SendFailed, SslHandshake],
    leads_to: ["backend-aborts-request", "passive-health-ejection", "protocol-mismatch", "tls-plaintext-mismatch", "proxy-protocol-mismatch"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::AccessDisallowed { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
    }
    if let Some(line) = told(case) {
        return Ok(own_words(case, line).into());
    }
    if vitals::answers_greeting(case) == Some(true) {
        return Ok(Verdict::ruled_out("it answers a greeting from this host"));
    }
    let unit = backend.unit(scene);
    let refused = scene.events.iter().rev().find(|it| {
        matches!(&it.kind, EventKind::AccessDisallowed { ip } if may_be_nginx(case, ip))
            && it.at >= case.group.first - SignedDuration::from_secs(5)
            && unit.is_none_or(|unit| unit.name == it.unit || it.unit.is_empty())
    });
    let name = backend.name(scene);
    if let Some(event) = refused {
        let ip = match &event.kind {
            EventKind::AccessDisallowed { ip } => ip.as_str(),
            _ => "",
        };
        let mut found = confirmed(format!("{name} does not let {ip} in, and drops each connection of nginx"))
            .decisive(event.fact());
        if let Some((_, pool)) = backend.pool
            && let (Some(allowed), Some(line)) =
                (pool.setting("listen.allowed_clients"), pool.line_of("listen.allowed_clients"))
        {
            let says = format!("listen.allowed_clients = {allowed}");
            found = found
                .supporting(Fact::new("php-fpm", says.clone()).reference(format!("{}:{line}", pool.file)))
                .fix(
                    Fix::repair(format!("Let {ip} in"))
                        .edit(&pool.file, line, says.clone(), format!("{says},{ip}"))
                        .run(format!("systemctl reload {}", unit.map_or("php-fpm", |it| it.name.as_str()))),
                );
        }
        return Ok(found.supporting(case.failures_fact()).verify(case.verify_command()).into());
    }
    // PHP-FPM does not always log whom it drops; its pool file says whom it would.
    if let Some((_, pool)) = backend.pool
        && let (Some(allowed), Some(line)) =
            (pool.setting("listen.allowed_clients"), pool.line_of("listen.allowed_clients"))
        && let Some(source) = source_address(case)
        && !allowed.trim().is_empty()
        && !allowed.split(',').any(|it| it.trim().parse() == Ok(source))
    {
        let says = format!("listen.allowed_clients = {allowed}");
        let place = format!("{}:{line}", pool.file);
        let summary = format!("{name} lets only {allowed} in, and nginx comes from {source}");
        // What runs may be older than the file: only a door shut in our own face shows that it is in force.
        let shut =
            vitals::greeting(case).is_some_and(|it| matches!(it.answer, Answer::Closed | Answer::Reset));
        return Ok(confirmed(summary)
            .only_likely_if(!shut)
            .decisive(Fact::new("php-fpm", says.clone()).reference(place))
            .supporting(case.failures_fact())
            .fix(
                Fix::repair(format!("Let {source} in"))
                    .edit(&pool.file, line, says.clone(), format!("{says},{source}"))
                    .run(format!("systemctl reload {}", unit.map_or("php-fpm", |it| it.name.as_str()))),
            )
            .verify(case.verify_command())
            .into());
    }
    // A proxy in front of the application can be told to drop by source; it then closes whatever is said to it.
    let Some(sight) = case.sight() else { return Ok(Verdict::NotIt) };
    let heard = sight.greetings.iter().filter(|it| it.answer != Answer::NotConnected);
    let deaf = heard.clone().count() >= 2
        && heard.clone().all(|it| matches!(it.answer, Answer::Closed | Answer::Reset));
    let answered = outage::good_answers(case).next().is_some();
    if let Some(behind) = case.peer().and_then(|it| tiers::stream_at(scene, it)) {
        return Ok(Verdict::ruled_out(format!(
            "it is nginx's own stream server, which passes on to {}",
            behind.written
        )));
    }
    if !deaf
        || answered
        || !matches!(
            backend.kind,
            AppKind::Haproxy | AppKind::Nginx | AppKind::Apache | AppKind::Varnish | AppKind::Other
        )
    {
        return Ok(Verdict::NotIt);
    }
    let summary = format!(
        "{name} takes each connection from this host and closes it, whatever is said: its own rules turn nginx away"
    );
    let fact = Fact::new(
        "probe",
        format!(
            "{} closes every connection at once, in each of {} protocols",
            case.peer_name(),
            heard.count()
        ),
    );
    Ok(likely(summary)
        .supporting(fact.at(scene.now()))
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!(
            "Look for rules by source address in the configuration of {name}, and let nginx's address in"
        )))
        .verify(case.verify_command())
        .into())
}

/// The backend's line, near the failures, that it does not take nginx's address or the `Host` that nginx sends.
pub fn told(case: &Case) -> Option<Fact> {
    let answers = vitals::answers_greeting(case) == Some(true);
    let line = said::near(case, |text| denies_host(text) || (!answers && denies_source(case, text)))?;
    (!passed_on_a_refusal(case)).then_some(line)
}

/// An application's own check of who asks, told in its own words.
fn own_words(case: &Case, line: Fact) -> Found {
    let name = case.backend_name();
    let (summary, repair) = if denies_host(&line.says) {
        (
            format!("{name} hangs up on requests for a host that it does not take, and says so"),
            "Send the Host that it expects (proxy_set_header Host), or let this one in there",
        )
    } else {
        (
            format!("{name} turns nginx's address away, and says so"),
            "Let nginx's address in where it lists who may connect",
        )
    };
    // Its words are free: they may be about another request of that second.
    likely(summary)
        .supporting(line)
        .supporting(case.failures_fact())
        .fix(Fix::repair(repair))
        .verify(case.verify_command())
}

/// Whether a line tells that the `Host` of a request is not taken.
fn denies_host(text: &str) -> bool {
    let text = text.to_lowercase();
    let host = ["host header", "http_host", "disallowedhost", "host not allowed", "host is not allowed"];
    host.iter().any(|it| text.contains(it)) && (refuses(&text) || text.contains("invalid"))
}

/// Whether a line tells that nginx's own address is not let in; not that the backend itself was turned away elsewhere.
fn denies_source(case: &Case, text: &str) -> bool {
    let text = text.to_lowercase();
    let elsewhere = ["user", "database", "password", "connect to", "connecting to", "econnrefused"];
    let names_us = source_address(case).is_some_and(|us| {
        text.split(|it: char| !it.is_ascii_hexdigit() && it != '.' && it != ':').any(|word| {
            let word = word.trim_matches(|it| matches!(it, ':' | '.'));
            let bare = word.rsplit_once(':').map_or(word, |(host, _)| host);
            [word, bare].iter().any(|it| it.parse::<IpAddr>().is_ok_and(|it| it.to_canonical() == us))
        })
    });
    names_us && refuses(&text) && !elsewhere.iter().any(|it| text.contains(it))
}

fn refuses(text: &str) -> bool {
    let words = [
        "denied",
        "deny",
        "disallowed",
        "not allowed",
        "rejected",
        "rejecting",
        "forbidden",
        "not permitted",
        "blocked",
        "not in the allow",
        "not in allow",
    ];
    words.iter().any(|it| text.contains(it))
}

/// A backend that answers those whom it does not take does not hang up on them: its words are about somebody else.
fn passed_on_a_refusal(case: &Case) -> bool {
    outage::good_answers(case).any(|it| matches!(it.status, 400 | 403 | 421))
}

/// Whether it is nginx that was turned away, and not a stranger.
fn may_be_nginx(case: &Case, ip: &str) -> bool {
    match (source_address(case), ip.parse::<IpAddr>()) {
        (Some(source), Ok(ip)) => source.to_canonical() == ip.to_canonical(),
        _ => true,
    }
}

/// The address that nginx dials from: the one the kernel chooses for that destination.
fn source_address(case: &Case) -> Option<IpAddr> {
    let dialled = case.backend.as_ref().ok()?.dialled.first()?.ip();
    let routed = case.sight().and_then(|it| it.route.value()).and_then(|it| it.source);
    routed.or(dialled.is_loopback().then_some(dialled))
}

fn from_lines(case: &Case) -> Option<Found> {
    let event = lines::told(case, SignedDuration::from_secs(3), |it| {
        matches!(it, EventKind::AccessDisallowed { .. })
    });
    if lines::is_late(case) && case.group.symptom != Symptom::BodyShort {
        return None;
    }
    let answers = lines::ever_answered(case);
    let peer = case.peer_name();
    if let Some(told) = event {
        let summary = format!("the backend at {peer} turns nginx away: {}", lines::quote(told.event));
        return Some(
            confirmed(summary)
                .decisive(told.event.fact())
                .supporting(case.failures_fact())
                .only_likely_if(told.share() < 0.5)
                .fix(Fix::repair("Add nginx's address to the backend's access list (listen.allowed_clients)"))
                .verify(case.verify_command()),
        );
    }
    if answers || case.group.symptom == Symptom::SslHandshake {
        return None;
    }
    let confidence = if case.group.scheme == "fastcgi" { 0.2 } else { 0.06 };
    let summary = format!("the backend at {peer} may turn nginx away by an access list of its own");
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair(
                "Look at the backend's own access list (listen.allowed_clients of a PHP-FPM pool)",
            ))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Answer, Protocol, Snapshot};

    const PEER: &str = "127.0.0.1:3000";

    /// Hung up on twice; the backend said this at that moment.
    fn hung_up(says: &str, greeting: Answer) -> Snapshot {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "http://127.0.0.1:3000/export",
        );
        let line = line.replace("/cart", "/export");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line, &line]);
        let bad = ("GET /export HTTP/1.1", 502, PEER, "502", "0.010");
        let good = ("GET / HTTP/1.1", 200, PEER, "200", "0.004");
        requested(host, &[good, bad, bad]).with(|it| {
            serving(it, 300, "/usr/bin/node server.js --port 3000", PEER);
            greeted(it, PEER, Protocol::Http, greeting);
            journal(it, "node-300.service", &[(10, "node", says)]);
        })
    }

    #[test]
    fn an_application_that_says_whose_host_or_address_it_denies_is_believed() {
        let host = hung_up("DisallowedHost: Invalid HTTP_HOST header: 'shop_pool'", Answer::Spoken);
        check(&host, "backend-access-denied: likely");
        let host = hung_up("connection from ('127.0.0.1', 40112) denied by allow list", Answer::Closed);
        check(&host, "backend-access-denied: likely");
        // Now it lets this host in, so the list is no reason.
        check_not(
            &hung_up("connection from 127.0.0.1:40112 denied by allow list", Answer::Spoken),
            "backend-access-denied",
        );
    }

    #[test]
    fn a_database_or_a_stranger_that_is_turned_away_says_nothing_about_nginx() {
        for says in [
            "Access denied for user 'shop'@'127.0.0.1' (using password: YES)",
            "connection from 203.0.113.9 denied by allow list",
            "listening on 127.0.0.1:3000",
        ] {
            check_not(&hung_up(says, Answer::Closed), "backend-access-denied");
        }
    }
}
