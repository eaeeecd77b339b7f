use nginx_conf::{Pass, Target};

use crate::rule::*;

cause! {
    /// The backend's name points elsewhere now, and nginx still dials the address that it had before.
    ///
    /// ## What you see
    /// Connecting fails (`111`, `113`, or a time-out), since the old address is gone, while `curl` to the same name works.
    /// nginx looks a fixed name up once, when it loads its configuration.
    ///
    /// ## How we know
    /// The configuration has a name where nginx dials an address, and that address is not among those that the name has
    /// now. It is sure where the new address takes connections: names whose servers take turns change as well.
    ///
    /// ## What to do
    /// Reload nginx, which looks all names up again. To have it follow changes, use `server NAME resolve;` with a `zone`
    /// and a `resolver` (open source since 1.27.3), or a variable in the pass.
    ///
    /// ## Not to be confused with
    /// `backend-not-running`: there the name still leads to that address. `dns-unresolvable`: there the name has no
    /// address at all.
    "dns-stale",
    explains: [ConnectRefused, ConnectTimeout, ConnectNoRoute, ConnectNetUnreachable, ReadTimeout, PrematureClose, ReadReset],
    leads_to: [
        "no-route-to-upstream", "upstream-blackholed", "backend-not-running", "firewall-reject", "firewall-drop",
        "passive-health-ejection", "wrong-upstream-port", "backend-hung",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let (Some(Peer::Tcp(dialled)), Some(pass)) = (case.peer(), scene.pass(case.group)) else {
        return Ok(Verdict::NotIt);
    };
    let Some((host, span)) = name_behind(case, pass, *dialled) else { return Ok(Verdict::NotIt) };
    let name = Peer::Name { host: host.clone(), port: dialled.port() };
    let unseen = Reading::not_asked();
    let of_name = scene.sight(&name).map(|it| &it.resolution).filter(|it| it.value().is_some());
    let resolution = Blind::of(
        "what the backend's name means now",
        of_name.or(case.sight().map(|it| &it.resolution)).unwrap_or(&unseen),
    )?;
    if resolution.value.name != host {
        return Ok(Verdict::NotIt);
    }
    // A name in a variable is looked up by nginx's resolver, a fixed one by the system, at start.
    let variable = matches!(pass.target, Target::Variable(_)) && pass.group(scene.view).is_none();
    let lookup =
        match resolution.value.resolvers.iter().map(|(_, it)| it).find(|it| matches!(it, Lookup::Found(_))) {
            Some(found) if variable => found,
            _ if variable => return Ok(Verdict::NotIt),
            _ => &resolution.value.system,
        };
    let Lookup::Found(now) = lookup else {
        return Ok(Verdict::ruled_out(format!(
            "{host} does not resolve now, so that nothing can be compared"
        )));
    };
    if now.contains(&dialled.ip()) {
        return Ok(Verdict::ruled_out(format!("{host} still resolves to {}", dialled.ip())));
    }
    let list = now.iter().take(3).map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let loaded = scene.loaded_at().map(|it| format!(" since {}", scene.clock(it))).unwrap_or_default();
    let keeps = if variable {
        String::new()
    } else {
        format!(", which it looked up when it loaded its configuration{}", loaded)
    };
    let summary = format!("{host} is {list} now, but nginx still dials {}{keeps}", dialled.ip());
    // Only a failed connection shows that the old address is gone; a reply that broke off may have other reasons.
    let connecting = matches!(
        case.group.symptom,
        Symptom::ConnectRefused
            | Symptom::ConnectTimeout
            | Symptom::ConnectNoRoute
            | Symptom::ConnectNetUnreachable
    );
    let differs = resolution
        .fact("probe", format!("{host} resolves to {list}, not to {}", dialled.ip()))
        .reference(format!("getent ahosts {host}"));
    let new_works = now.iter().find_map(|ip| {
        let sight = scene.sight(&Peer::Tcp(SocketAddr::new(*ip, dialled.port())))?;
        matches!(sight.connect.value(), Some(ConnectOutcome::Connected { .. }))
            .then(|| sight.connect.fact("probe", format!("{} accepts connections", sight.peer)))
    });
    // A name whose servers take turns in the answers changes as well; then it is down here or there.
    let found = match (connecting, &new_works) {
        (true, Some(_)) => confirmed(summary).decisive(differs),
        (true, None) => likely(summary).supporting(differs),
        (false, _) => likely(summary).confidence(0.6).supporting(differs),
    };
    let mut found = found
        .supporting(
            Fact::new("config", format!("{} names {host}", scene.place(span))).reference(scene.place(span)),
        )
        .supporting_each(new_works)
        .supporting(case.failures_fact());
    if let Some(change) = hosts_change(scene) {
        found = found.supporting(change);
    }
    Ok(found
        .fix(
            Fix::repair("Reload nginx: it looks all names up again")
                .run("nginx -t && nginx -s reload")
                .risk("reloads nginx; requests in flight are not interrupted"),
        )
        .fix(
            Fix::repair(format!("Let nginx follow the name: `server {host}:{} resolve;` with `zone` and `resolver`", dialled.port()))
                .because("open source nginx has `resolve` since 1.27.3; before that, a variable in the pass does the same"),
        )
        .verify(format!("getent ahosts {host}"))
        .verify(case.verify_command())
        .prevent("Reload nginx from whatever changes the records of its backends")
        .into())
}

/// The name in the configuration that gave the dialled address. None where the address itself stands there.
fn name_behind(case: &Case, pass: &Pass, dialled: SocketAddr) -> Option<(String, nginx_conf::Span)> {
    let addresses = pass.addresses(case.scene.view);
    if addresses.iter().any(|it| it.address.parse() == Ok(Peer::Tcp(dialled))) {
        return None;
    }
    let mut named = addresses.iter().filter_map(|it| match it.address.parse() {
        Ok(Peer::Name { host, port }) if port == dialled.port() && host != "localhost" => {
            Some((host, it.span))
        }
        _ => None,
    });
    let first = named.next()?;
    let known = case.sight().and_then(|it| it.name.as_deref());
    match named.next() {
        None => Some(first),
        // Of several names with that port, the one that the collection found out.
        Some(second) => {
            [first, second].into_iter().chain(named).find(|(host, _)| Some(host.as_str()) == known)
        }
    }
}

fn hosts_change(scene: &Scene) -> Option<Fact> {
    let changes = scene.snapshot.changes.value()?;
    let change = changes.iter().find(|it| it.path == "/etc/hosts")?;
    Some(
        Fact::new("config", format!("/etc/hosts changed at {}", scene.clock(change.at)))
            .reference("/etc/hosts")
            .at(change.at),
    )
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    if lines::place(case) == lines::Place::Here || !matches!(case.peer(), Some(Peer::Tcp(_))) {
        return None;
    }
    let confidence = match case.group.symptom {
        _ if course.since => 0.02,
        Symptom::ConnectNoRoute => 0.2,
        Symptom::ConnectTimeout | Symptom::ConnectRefused if course.before || !course.seen => 0.15,
        Symptom::ConnectTimeout | Symptom::ConnectRefused => 0.1,
        Symptom::ConnectNetUnreachable => 0.05,
        _ => return None,
    };
    let peer = case.peer_name();
    let summary = format!("nginx may dial {peer} for a name that points elsewhere now");
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::mitigate("If the upstream is given by name, let nginx look it up again")
                    .run("nginx -s reload"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Resolution, Snapshot};

    /// nginx dials 10.0.0.7, which app.internal was; now it is this.
    fn pointing_to(now: &str) -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://10.0.0.7:8080/",
        );
        let system = Lookup::Found(vec![now.parse().unwrap()]);
        let resolution = Resolution { name: "app.internal".into(), system, resolvers: Vec::new() };
        let host = passing_to("proxy_pass http://app.internal:8080").with(|it| {
            sight(it, "app.internal:8080", |it| it.resolution = seen(resolution.clone()));
            sight(it, "10.0.0.7:8080", |it| {
                it.name = Some("app.internal".into());
                it.resolution = seen(resolution);
            });
        });
        logged(host, &[&line])
    }

    #[test]
    fn a_name_that_moved_since_the_start_is_named() {
        let there = |it: &mut Snapshot| {
            sight(it, "10.0.0.8:8080", |it| it.connect = seen(ConnectOutcome::Connected { micros: 90 }));
        };
        let report = check(&pointing_to("10.0.0.8").with(there), "dns-stale: confirmed");
        assert!(
            report.causes[0].summary.contains("app.internal is 10.0.0.8 now"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn a_name_whose_other_address_is_not_seen_to_work_may_just_take_turns() {
        check(&pointing_to("10.0.0.8"), "dns-stale: likely");
    }

    #[test]
    fn a_name_that_still_means_the_dialled_address_is_another_cause() {
        let report = crate::diagnose(&pointing_to("10.0.0.7"));
        assert!(report.causes.iter().all(|it| it.cause.id != "dns-stale"), "{}", outline(&report));
    }

    #[test]
    fn a_name_we_may_not_look_up_is_a_blind_spot() {
        let host =
            pointing_to("10.0.0.8").with(|it| it.peers.iter_mut().for_each(|it| it.resolution = denied()));
        check_blind(&host, "dns-stale", "what the backend's name means now");
    }
}
