use crate::rule::*;
use crate::vitals;

/// A backlog up to this is one that a burst of ordinary size fills: Linux's own limit (net.core.somaxconn) before 5.4.
/// A longer queue fills only when nobody takes connections for a while, and then that is the cause.
const SHORT_BACKLOG: u32 = 128;
/// A backend whose slowest answer took no longer is a quick one, its waiting in the queue included.
const QUICK_SECONDS: f64 = 2.0;
/// What nginx itself asks for, and enough for most.
const USUAL_BACKLOG: u32 = 511;

cause! {
    /// The accept queue of the backend's socket is too short for the bursts of connections that it gets.
    ///
    /// ## What you see
    /// In bursts only: on a unix socket `11: Resource temporarily unavailable` while connecting (502); on TCP the kernel
    /// drops the SYN and connecting takes a second or more, or times out (504). In between, answers are quick.
    ///
    /// ## How we know
    /// The socket's backlog is short (sock_diag), the backend is neither stuck nor out of workers, it answered other
    /// requests quickly at the same time, and for TCP the kernel has counted overflows.
    ///
    /// ## What to do
    /// Ask for a longer backlog where the backend listens, and raise `net.core.somaxconn`, which limits it. Keep-alive
    /// connections from nginx make bursts smaller.
    ///
    /// ## Not to be confused with
    /// `php-fpm-pool-exhausted` and `worker-pool-exhausted`: there the queue is full because all workers are busy.
    /// `backend-hung`: there nobody takes connections any more. `firewall-drop`: there a rule drops the SYN.
    "listen-queue-overflow",
    explains: [ConnectAgain, ConnectTimeout],
    leads_to: ["passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::SynFlooding { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    let Some(there) = backend.listening.as_ref().filter(|_| backend.local) else { return Ok(Verdict::NotIt) };
    let unix = matches!(backend.peer, Peer::Unix(_));
    if unix != (case.group.symptom == Symptom::ConnectAgain) {
        return Ok(Verdict::NotIt);
    }
    let Some(backlog) = there.backlog else {
        return Err(Blind {
            what: format!("the backlog of {}", there.address),
            why: "not available here".into(),
            remedy: "ss -lnx; ss -lnt".into(),
        });
    };
    if let Some(state) = vitals::stuck(case, backend).first().map(|it| it.state) {
        return Ok(Verdict::ruled_out(format!(
            "its processes are stuck (state {state}), so that nobody empties the queue"
        )));
    }
    if there.waiting.is_some_and(|it| it >= backlog.max(1)) && vitals::answers_greeting(case) != Some(true) {
        return Ok(Verdict::ruled_out("its queue is still full: nobody takes connections from it"));
    }
    if let Some((_, pool)) = backend.pool
        && let Some(full) = vitals::pool_full_event(case, &pool.name)
    {
        return Ok(Verdict::ruled_out(format!("the pool was full: {}", full.text.trim())));
    }
    if !unix
        && scene
            .sight(&backend.peer)
            .and_then(|it| it.filter.value())
            .is_some_and(|it| it.action != FilterAction::Accept)
    {
        return Ok(Verdict::ruled_out("a packet-filter rule stops the packets before they reach the queue"));
    }
    let overflows = if unix { None } else { Some(overflows(case)?) };
    if overflows.as_ref().is_some_and(|it| it.is_none()) {
        return Ok(Verdict::ruled_out(
            "the kernel has counted no overflow of a listen queue (TcpExtListenDrops is 0)",
        ));
    }
    if backlog > SHORT_BACKLOG && overflows.is_none() {
        return Ok(Verdict::ruled_out(format!(
            "its queue holds {backlog}: it fills only when nobody takes connections"
        )));
    }
    let slowest = slowest(case);
    if let Some(slow) = slowest.filter(|it| *it > QUICK_SECONDS) {
        return Ok(Verdict::ruled_out(format!(
            "answers took up to {slow:.1} s: its workers were busy, the queue is a consequence"
        )));
    }
    let name = backend.name(scene);
    let how = if unix { "the kernel turned connections away" } else { "the kernel dropped connections" };
    let holds = plural(u64::from(backlog), "connection");
    let summary = format!(
        "the accept queue of {name} at {} holds {holds}; in bursts it overflowed and {how}",
        there.address
    );
    let mut length = there.fact.clone();
    length.says = format!("{} listens with a backlog of {backlog}", there.address);
    let overflowed = overflows.flatten();
    let meanwhile = vitals::answered_meanwhile(case);
    let sure = backlog <= SHORT_BACKLOG && slowest.is_some() && !meanwhile.is_empty();
    let found = if sure { confirmed(summary).decisive(length) } else { likely(summary).supporting(length) };
    let quick = slowest.map(|it| {
        let says = format!(
            "{} were answered meanwhile, the slowest in {it:.2} s",
            plural(meanwhile.len() as u64, "request")
        );
        Fact::new("access-log", says).at(meanwhile.last().map(|it| it.at))
    });
    let said = scene.events.iter().rev().find(|it| match &it.kind {
        EventKind::ListenQueueFull { .. } => backend.unit(scene).is_some_and(|unit| unit.name == it.unit),
        EventKind::SynFlooding { port } => backend.dialled.iter().any(|dialled| dialled.port() == *port),
        _ => false,
    });
    Ok(found
        .supporting_each(overflowed)
        .supporting_each(quick)
        .supporting_each(said.map(|it| it.fact()))
        .supporting(case.failures_fact())
        .fix(longer(case, backend, &name, backlog))
        .fix_maybe(limit(case, backlog))
        .fix(Fix::mitigate("Let nginx keep idle connections to it open (`keepalive` in the upstream block), so that bursts connect less"))
        .verify(if unix { "ss -lnx | grep -F .sock".to_owned() } else { "nstat -az TcpExtListenOverflows TcpExtListenDrops".to_owned() })
        .verify(case.verify_command())
        .prevent("Alert when TcpExtListenOverflows grows, or when connections wait in the queue of a unix socket")
        .into())
}

/// What the kernel has counted, as a fact; none when it counted nothing.
fn overflows(case: &Case) -> Result<Option<Fact>, Blind> {
    let net = &case.scene.snapshot.net;
    let counters = Blind::of("the kernel's network counters", &net.counters)?;
    let counted = ["TcpExtListenOverflows", "TcpExtListenDrops"].map(|it| net.counter(it).unwrap_or(0));
    let [overflows, drops] = counted;
    let says = format!(
        "since its start this host has counted {overflows} overflows of listen queues and {drops} dropped connections"
    );
    Ok((overflows + drops > 0).then(|| counters.fact("kernel", says)))
}

/// The slowest answer of that peer, in seconds.
fn slowest(case: &Case) -> Option<f64> {
    let peer = case.peer_name();
    let all = case.scene.successes().filter(|it| it.upstream == peer).filter_map(|it| it.slowest_seconds);
    all.reduce(f64::max)
}

fn wanted(backlog: u32) -> u32 {
    backlog.saturating_mul(4).max(USUAL_BACKLOG)
}

fn longer(case: &Case, backend: &Backend, name: &str, backlog: u32) -> Fix {
    let to = wanted(backlog);
    let how = match backend.kind {
        AppKind::Gunicorn => format!("--backlog {to}"),
        AppKind::Uwsgi => format!("listen = {to}"),
        AppKind::Uvicorn => format!("--backlog {to}"),
        AppKind::Node => format!("server.listen({{…, backlog: {to} }})"),
        AppKind::Java => format!("acceptCount=\"{to}\" (server.tomcat.accept-count)"),
        AppKind::Ruby => format!("bind …?backlog={to} (Puma)"),
        AppKind::PhpFpm => format!("listen.backlog = {to}"),
        AppKind::Haproxy => format!("backlog {to}"),
        AppKind::Nginx => format!("listen … backlog={to}"),
        AppKind::Apache => format!("ListenBacklog {to}"),
        _ => format!("listen(fd, {to})"),
    };
    let mut fix = Fix::repair(format!("Let {name} ask for a longer queue: {how}"))
        .because("the queue has to hold what arrives while the backend is busy with the requests before")
        .risk(format!("restarts {name}"));
    if let Some((_, pool)) = backend.pool
        && let Some(line) = pool.line_of("listen.backlog")
    {
        let old = format!("listen.backlog = {backlog}");
        fix = fix.edit(&pool.file, line, old, format!("listen.backlog = {to}"));
    }
    match backend.unit(case.scene) {
        Some(unit) => fix.run(format!("systemctl restart {}", unit.name)),
        None => fix,
    }
}

/// The kernel cuts every backlog down to somaxconn.
fn limit(case: &Case, backlog: u32) -> Option<Fix> {
    let limit: u32 = case.scene.snapshot.net.setting("net.core.somaxconn")?.parse().ok()?;
    let to = wanted(backlog);
    (limit < to).then(|| {
        Fix::repair(format!("Raise net.core.somaxconn from {limit} to {to}"))
            .run(format!("sysctl -w net.core.somaxconn={to}"))
            .because("the kernel cuts every backlog down to it, at the time of listen(): restart the backend afterwards")
    })
}

fn from_lines(case: &Case) -> Option<Found> {
    let flooded =
        lines::told(case, SignedDuration::from_secs(60), |it| matches!(it, EventKind::SynFlooding { .. }));
    let confidence = match (case.group.symptom, lines::place(case)) {
        _ if lines::pool_full(case).is_some() => 0.1,
        _ if flooded.is_some() => 0.7,
        (Symptom::ConnectAgain, _) => 0.35,
        (_, lines::Place::Here) => 0.4,
        _ => 0.05,
    };
    let peer = case.peer_name();
    let summary = format!("the accept queue of the backend's socket at {peer} is full");
    Some(
        fits(case, confidence, summary)
            .supporting_each(flooded.map(|it| it.event.fact()))
            .fix(
                Fix::mitigate("Raise the backlog of the backend and net.core.somaxconn")
                    .run("ss -ltn; sysctl net.core.somaxconn"),
            )
            .fix(Fix::repair("Find out why it takes connections later than they come"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Snapshot, Successes};

    /// A quick node application whose socket overflowed.
    fn overflowing(backlog: u32, slowest_seconds: f64) -> Snapshot {
        let message = "connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable)";
        let line = failed(message, "connecting to upstream", "http://unix:/run/app.sock:/cart");
        let host = passing_to("proxy_pass http://unix:/run/app.sock")
            .with(|it| sight(it, "unix:/run/app.sock", |_| {}))
            .with(|it| serving(it, 500, "/usr/bin/node app.js", "unix:/run/app.sock"));
        let host = logged(host, &[&line]);
        let good = ("GET /cart HTTP/1.1", 200, "unix:/run/app.sock", "200", "0.010");
        requested(host, &[good, good, good]).with(|it| {
            if let Reading::Seen(sockets) = &mut it.net.unix_listeners {
                sockets.value[0].backlog = Some(backlog);
            }
            let at = it.collected_at;
            for log in &mut it.logs {
                if let (snapshot::LogKind::Access { .. }, Reading::Seen(lines)) = (&log.kind, &mut log.lines)
                {
                    lines.value.successes.push(Successes {
                        upstream: "unix:/run/app.sock".into(),
                        path: "/cart".into(),
                        server: String::new(),
                        count: 3,
                        first_at: Some(at),
                        last_at: Some(at),
                        slowest_seconds: Some(slowest_seconds),
                    });
                }
            }
        })
    }

    #[test]
    fn a_short_queue_of_a_quick_backend_overflows_in_bursts() {
        check(&overflowing(2, 0.05), "listen-queue-overflow: confirmed");
    }

    #[test]
    fn a_long_queue_fills_only_when_nobody_takes_connections() {
        let report = crate::diagnose(&overflowing(2048, 0.05));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "listen-queue-overflow"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_slow_backend_is_another_cause() {
        let report = crate::diagnose(&overflowing(2, 5.0));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "listen-queue-overflow"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_backlog_we_may_not_see_is_a_blind_spot() {
        let host = overflowing(2, 0.05).with(|it| {
            if let Reading::Seen(sockets) = &mut it.net.unix_listeners {
                sockets.value[0].backlog = None;
            }
        });
        check_blind(&host, "listen-queue-overflow", "the backlog of unix:/run/app.sock");
    }
}
