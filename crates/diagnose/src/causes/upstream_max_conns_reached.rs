use crate::members;
use crate::rule::*;

cause! {
    /// Every server of the upstream group has as many connections as its `max_conns` allows.
    ///
    /// ## What you see
    /// `no live upstreams while connecting to upstream` and 502 under load, while all servers work and no failure of
    /// theirs was logged before.
    ///
    /// ## How we know
    /// Each server of the group has a `max_conns`, nginx holds that many connections to each, or no server had a failure
    /// for which nginx would have put it aside.
    ///
    /// ## What to do
    /// Raise `max_conns` as far as the servers bear it, add servers, or make the requests that hold the connections
    /// faster. Without a `zone`, the limit holds for each worker process by itself.
    ///
    /// ## Not to be confused with
    /// `passive-health-ejection`: there the servers are out after failures. `upstream-servers-all-down`: there they are
    /// marked `down`.
    "upstream-max-conns-reached",
    explains: [NoLiveUpstreams],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(group) = members::group_of(case) else { return Ok(Verdict::NotIt) };
    let up: Vec<_> = group.servers.iter().filter(|it| !it.down).collect();
    if up.is_empty() {
        return Ok(Verdict::NotIt);
    }
    if let Some(free) = up.iter().find(|it| it.max_conns == 0) {
        return Ok(Verdict::ruled_out(format!("{} has no max_conns", free.address)));
    }
    let ejected = |it: &&&nginx_conf::UpstreamServer| {
        it.max_fails > 0
            && members::failures(scene, it).len() as u32 >= it.max_fails
            && group.servers.len() > 1
    };
    let out: Vec<&str> = up.iter().filter(ejected).map(|it| it.address.as_str()).collect();
    if out.len() == up.len() {
        return Ok(Verdict::ruled_out(format!(
            "{} failed before, for which nginx puts them aside",
            out.join(", ")
        )));
    }
    let connections = Blind::of("TCP connections", &scene.snapshot.net.connections)?;
    let held: Vec<(u32, u32, &str)> = up
        .iter()
        .filter(|it| !out.contains(&it.address.as_str()))
        .map(|it| (members::connections(scene, it).unwrap_or(0), it.max_conns, it.address.as_str()))
        .collect();
    let full = held.iter().all(|(count, max, _)| count >= max);
    let limits: Vec<String> =
        held.iter().map(|(_, max, address)| format!("{address} (max_conns={max})")).collect();
    let per = if group.zone.is_some() { "" } else { " in each worker" };
    let summary = format!(
        "every server of the upstream group {} is at its limit of connections{per}: {}",
        group.name,
        limits.join(", ")
    );
    let counts: Vec<String> =
        held.iter().map(|(count, _, address)| format!("{count} to {address}")).collect();
    let counted = connections
        .fact("socket", format!("connections now: {}", counts.join(", ")))
        .reference("ss -tn state established");
    let place = scene.place(group.span);
    let set = Fact::new("config", format!("{place}: max_conns of {}", limits.join(", "))).reference(place);
    let mut found = if full {
        confirmed(summary).decisive(counted).supporting(set)
    } else {
        likely(summary).supporting(set).supporting(counted)
    };
    if out.is_empty() {
        found = found.supporting(Fact::new(
            "error-log",
            "no server of the group failed before, so that none was put aside",
        ));
    }
    let mut fix = Fix::mitigate("Raise max_conns")
        .run("nginx -t && nginx -s reload")
        .risk("the servers get more requests at a time");
    for server in &up {
        let Some((file, line, old)) = scene.line_at(server.span) else { continue };
        let written = format!("max_conns={}", server.max_conns);
        if old.contains(&written) {
            let new = old.replacen(&written, &format!("max_conns={}", server.max_conns.saturating_mul(4)), 1);
            fix = fix.edit(file, line, old.trim(), new.trim());
        }
    }
    Ok(found
        .supporting(case.failures_fact())
        .fix(fix)
        .fix(Fix::repair("Find out which requests hold the connections, and make them faster or give them servers of their own"))
        .verify(case.verify_command())
        .prevent("Let requests wait instead of failing: a limit in the application with a queue, or `queue` in nginx Plus")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    // A full server takes others as soon as it has answered: some requests get through all the time.
    let confidence = match (lines::ejected_by(case), lines::answered_meanwhile(case)) {
        (Some(_), _) => return None,
        (None, true) => 0.6,
        (None, false) => 0.25,
    };
    let summary = format!("every server of {} may be at its max_conns", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::mitigate("Raise max_conns of the servers, or queue requests")
                    .run("nginx -T | grep -n max_conns"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Connections, Snapshot};

    fn holding(servers: &str, count: u32) -> Snapshot {
        let line = failed("no live upstreams", "connecting to upstream", "http://cluster/cart");
        let http = format!(
            "upstream cluster {{\nzone cluster 64k;\n{servers}\n}}\nserver {{ listen 80; server_name shop.example.com; location / {{ proxy_pass http://cluster; }} }}"
        );
        logged(configured(&http), &[&line]).with(|it| {
            let to = |port: u16| Connections {
                address: SocketAddr::from(([10, 0, 0, 7], port)),
                outgoing: true,
                state: "established".into(),
                count,
            };
            it.net.connections = seen(vec![to(8081), to(8082)]);
        })
    }

    const TWO: &str = "server 10.0.0.7:8081 max_conns=2;\nserver 10.0.0.7:8082 max_conns=2;";

    #[test]
    fn servers_that_hold_as_many_as_they_may_are_named() {
        check(&holding(TWO, 2), "upstream-max-conns-reached: confirmed");
    }

    #[test]
    fn a_limit_without_any_failure_before_is_likely_when_the_load_is_over() {
        check(&holding(TWO, 0), "upstream-max-conns-reached: likely");
    }

    #[test]
    fn a_server_without_a_limit_is_another_cause() {
        let report = crate::diagnose(&holding("server 10.0.0.7:8081 max_conns=2;\nserver 10.0.0.7:8082;", 2));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "upstream-max-conns-reached"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn connections_we_may_not_see_are_a_blind_spot() {
        check_blind(
            &holding(TWO, 2).with(|it| it.net.connections = denied()),
            "upstream-max-conns-reached",
            "TCP connections",
        );
    }
}
