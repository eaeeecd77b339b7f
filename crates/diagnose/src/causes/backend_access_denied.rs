use crate::rule::*;
use crate::{tiers, vitals};

cause! {
    /// The backend's own access list turns nginx away.
    ///
    /// ## What you see
    /// Every connection is taken and closed at once: "upstream prematurely closed connection" or `104: Connection reset
    /// by peer`, whatever the URL, and the backend's application log shows no request.
    ///
    /// ## How we know
    /// The backend says so (PHP-FPM: "Connection disallowed: IP address … has been dropped"), or its settings name
    /// allowed clients and nginx's address is not among them.
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
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
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
    let answered = crate::outage::good_answers(case).next().is_some();
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

/// The address that nginx dials from: the one the kernel chooses for that destination.
/// Whether it is nginx that was turned away, and not a stranger.
fn may_be_nginx(case: &Case, ip: &str) -> bool {
    match (source_address(case), ip.parse::<IpAddr>()) {
        (Some(source), Ok(ip)) => source.to_canonical() == ip.to_canonical(),
        _ => true,
    }
}

fn source_address(case: &Case) -> Option<IpAddr> {
    let dialled = case.backend.as_ref().ok()?.dialled.first()?.ip();
    let routed = case.sight().and_then(|it| it.route.value()).and_then(|it| it.source);
    routed.or(dialled.is_loopback().then_some(dialled))
}
