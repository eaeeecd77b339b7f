use crate::dial::{dial_instead, instead};
use crate::fate;
use crate::networks::{self, Across};
use crate::past;
use crate::rule::*;

cause! {
    /// nginx dials a port where nothing listens; the backend meant listens on another one.
    ///
    /// ## What you see
    /// Every connection is refused (`111: Connection refused`), while the application is up and answers on its own port.
    ///
    /// ## How we know
    /// Nothing listens on the dialled port and nothing on this host is set up to; a backend that speaks the same protocol,
    /// and that no other pass of nginx leads to, listens on another port. Or the backend answered on the dialled port
    /// until it was started again, and listens elsewhere since.
    ///
    /// ## What to do
    /// Let nginx dial the port on which the backend listens, or start the backend on the port that nginx expects.
    ///
    /// ## Not to be confused with
    /// `backend-not-running`: there the service that belongs to the dialled port is down. `config-not-reloaded`: there the
    /// files already name the right port.
    "wrong-upstream-port",
    explains: [ConnectRefused],
    leads_to: ["backend-not-running"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local
        && let Some(there) = backend.dialled.first().and_then(|it| networks::other_port(case, *it))
    {
        return Ok(in_another_network(case, &there));
    }
    if backend.dialled.is_empty() || !backend.local {
        return Ok(Verdict::NotIt);
    }
    if let Some(there) = &backend.listening {
        return Ok(Verdict::ruled_out(format!("{} is listening on the dialled port", there.address)));
    }
    let port = backend.dialled[0].port();
    let listeners = scene.listeners()?;
    if listeners.value.iter().any(|it| it.address.port() == port) {
        return Ok(Verdict::ruled_out(format!("port {port} is open, on another address")));
    }
    let found = match instead(case, backend)? {
        Ok(found) => found,
        Err(because) => return Ok(Verdict::ruled_out(because)),
    };
    let (who, at) = (&found.name, &found.there.at);
    let dials = past::dials(scene, case.group);
    let summary = format!("nginx {dials} {}, where nothing listens; {who} listens on {at}", backend.peer);
    let nothing = listeners.fact("socket", format!("nothing listens on port {port}"));
    let there = listeners.fact("socket", format!("{who} listens on {at}"));
    let verdict = if found.sure {
        confirmed(summary).decisive(nothing).decisive(there)
    } else {
        likely(summary).supporting(nothing).supporting(there)
    };
    Ok(verdict
        .supporting_each(found.facts)
        .supporting(case.failures_fact())
        .fix_maybe(dial_instead(case, &at.to_string()))
        .fix(Fix::repair(format!("Or let {who} listen on port {port}")).risk(format!("restarts {who}")))
        .verify(case.verify_command())
        .prevent("Write the port down once: an `upstream` block that every pass uses, next to the application's own setting")
        .into())
}

/// The address is a container's of this machine, and what runs in it listens on another port.
fn in_another_network(case: &Case, there: &Across) -> Verdict {
    let (peer, who, whose) = (case.peer_name(), &there.who, &there.network.name);
    let at = there.listener.address;
    let summary = format!("nginx dials {peer}, where nothing listens; {who} in {whose} listens on {at}");
    let address = there.reached_at.map(|it| it.to_string());
    likely(summary)
        .confidence(0.85)
        .supporting(there.fact(case.scene))
        .supporting(case.failures_fact())
        .fix_maybe(address.and_then(|it| dial_instead(case, &it)))
        .verify(case.verify_command())
        .into()
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let told = fate::of(case).is_some();
    let confidence = match (course.seen, course.before || course.since || course.between > 0) {
        _ if told => 0.04,
        // It answered until nginx loaded another configuration.
        _ if lines::reloaded_before(case).is_some() && !course.since => 0.4,
        (true, true) => 0.02,
        (true, false) => 0.28,
        (false, _) => 0.15,
    };
    let peer = case.peer_name();
    let not_once = course.seen && !course.before && !course.since && course.between == 0;
    let has = if not_once { "has not answered once" } else { "refuses connections" };
    let summary = format!("{peer} {has}: the backend may listen on another port");
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .supporting_each(lines::reload_fact(case))
            .fix(Fix::repair("Let nginx dial the port that the backend listens on").run("ss -ltnp"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx dials 127.0.0.1:9000 on a host where these processes listen: `(command, address)`, each in a unit of its own.
    fn host(pass: &str, upstream: &str, listening: &[(&str, &str)]) -> Snapshot {
        let line = failed("connect() failed (111: Connection refused)", "connecting to upstream", upstream);
        let mut host = logged(passing_to(pass), &[&line]);
        for (index, (command, address)) in listening.iter().enumerate() {
            host = host.with(|it| serving(it, 500 + index as u32, command, address));
        }
        host
    }

    #[test]
    fn the_only_backend_of_that_protocol_is_the_one_meant() {
        let pool = ("php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "127.0.0.1:9001");
        let metrics = ("/usr/bin/python3 metrics.py", "127.0.0.1:9100");
        let host = host("fastcgi_pass 127.0.0.1:9000", "fastcgi://127.0.0.1:9000", &[pool, metrics]);
        let report = check(&host, "wrong-upstream-port: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "fastcgi_pass 127.0.0.1:9001;");
    }

    #[test]
    fn a_port_that_is_mistyped_in_one_location_is_likely_the_other_one() {
        let mistyped = |dialled: u16| {
            let pass = format!(
                "proxy_pass http://127.0.0.1:{dialled};\n}}\nlocation /api/ {{\nproxy_pass http://127.0.0.1:8080"
            );
            let upstream = format!("http://127.0.0.1:{dialled}/");
            host(&pass, &upstream, &[("/usr/bin/node a.js", "127.0.0.1:8080")])
        };
        let report = check(&mistyped(8008), "wrong-upstream-port: likely");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass http://127.0.0.1:8080;");
        // A neighbour is another server of the same kind.
        check(&mistyped(8081), "backend-not-running: likely");
        // Where a service of this host waits to be started, that one was meant.
        let idle = mistyped(8008).with(|it| {
            unit(it, "search.service", |it| {
                it.exec_start = "/usr/bin/node search.js".into();
                it.fragment_path = "/etc/systemd/system/search.service".into();
                (it.active_state, it.file_state) = ("inactive".into(), "enabled".into());
            });
        });
        check_not(&idle, "wrong-upstream-port");
    }

    #[test]
    fn of_several_backends_none_is_certain() {
        let (one, two) = (("/usr/bin/node a.js", "127.0.0.1:3001"), ("/usr/bin/node b.js", "127.0.0.1:3002"));
        let host = host("proxy_pass http://127.0.0.1:3000", "http://127.0.0.1:3000/", &[one, two]);
        check(&host, "wrong-upstream-port: likely");
    }

    #[test]
    fn a_stopped_unit_that_names_the_port_is_not_running() {
        let other = ("/usr/bin/node b.js", "127.0.0.1:3002");
        let host = host("proxy_pass http://127.0.0.1:3000", "http://127.0.0.1:3000/", &[other]).with(|it| {
            let unit = Unit {
                name: "shop.service".into(),
                load_state: "loaded".into(),
                active_state: "inactive".into(),
                sub_state: "dead".into(),
                exec_start: "/usr/bin/node a.js --port 3000".into(),
                ..Unit::default()
            };
            if let Reading::Seen(units) = &mut it.units {
                units.value.push(unit);
            }
        });
        check(&host, "backend-not-running: confirmed");
        check_ruled_out(&host, "wrong-upstream-port", "shop.service");
    }

    #[test]
    fn listeners_we_may_not_see_are_a_blind_spot() {
        let host = host("proxy_pass http://127.0.0.1:3000", "http://127.0.0.1:3000/", &[])
            .with(|it| it.net.listeners = denied());
        check_blind(&host, "wrong-upstream-port", "listening sockets");
    }
}
