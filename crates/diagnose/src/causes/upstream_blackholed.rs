use crate::packet_filter;
use crate::rule::*;

cause! {
    /// Connections to the backend's host time out, and nothing on this host explains it.
    ///
    /// ## What you see
    /// Connecting takes as long as the connect timeout and ends with `110: Connection timed out`; clients get 504. Nobody
    /// refuses: the packets vanish.
    ///
    /// ## How we know
    /// The route is there, the neighbour answers, the packet filter of this host lets the packets through, and our own
    /// connection attempt gets no answer either.
    ///
    /// ## What to do
    /// Look at the other side: the firewall of the backend's host, a security group, a router between. See there with
    /// tcpdump whether the SYN arrives.
    ///
    /// ## Not to be confused with
    /// `firewall-drop`: there a rule of this host drops the packets. `no-route-to-upstream`: there the neighbour does not
    /// answer. `dns-stale`: there the name has another address by now.
    "upstream-blackholed",
    explains: [ConnectTimeout, ClientClosed],
    leads_to: ["passive-health-ejection", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(Peer::Tcp(peer)) = case.peer() else { return Ok(Verdict::NotIt) };
    let backend = case.backend()?;
    if backend.local {
        return Ok(Verdict::NotIt);
    }
    let Some(sight) = case.sight() else { return Ok(Verdict::NotIt) };
    let route = Blind::of("the route to the backend", &sight.route)?;
    if route.value.kind != "unicast" {
        return Ok(Verdict::ruled_out(format!(
            "this host has no usable route there: {}",
            route.value.text.trim()
        )));
    }
    let neighbour = sight.neighbour.value().and_then(Option::as_ref);
    if let Some(gone) = neighbour.filter(|it| matches!(it.state.as_str(), "failed" | "incomplete")) {
        return Ok(Verdict::ruled_out(format!("the neighbour {} does not answer", gone.ip)));
    }
    let filter = packet_filter::verdict(case);
    let passes = match &filter {
        Ok(verdict) if verdict.value.action != FilterAction::Accept => {
            return Ok(Verdict::ruled_out(format!(
                "a rule of this host stops the packets ({})",
                verdict.value.chain
            )));
        }
        Ok(verdict) => verdict.value.not_understood.is_empty(),
        Err(_) => false,
    };
    if super::conntrack_full::is_full(case.scene) {
        return Ok(Verdict::ruled_out("the connection-tracking table of this host is full"));
    }
    let interface = &route.value.interface;
    let vanish = format!(
        "connections to {peer} vanish: this host sends them out on {interface}, and nothing comes back"
    );
    let mut found = match sight.connect.value() {
        Some(ConnectOutcome::TimedOut { after_millis }) if passes => {
            confirmed(vanish).decisive(sight.connect.fact(
                "probe",
                format!("our own connection to {peer} got no answer within {after_millis} ms"),
            ))
        }
        Some(ConnectOutcome::TimedOut { after_millis }) => {
            likely(vanish).supporting(sight.connect.fact(
                "probe",
                format!("our own connection to {peer} got no answer within {after_millis} ms"),
            ))
        }
        Some(ConnectOutcome::Connected { .. }) => {
            possible(format!("connections to {peer} got no answer for a while; now they do"))
                .contradicting(sight.connect.fact("probe", format!("our own connection to {peer} succeeded")))
        }
        Some(ConnectOutcome::Failed { .. }) | None => likely(vanish).confidence(0.6),
    };
    found = found.supporting(route.fact("route", route.value.text.trim().to_owned()));
    if let Some(neighbour) = neighbour {
        let gateway = if neighbour.ip == peer.ip() { "the backend's host" } else { "the gateway" };
        found =
            found.supporting(sight.neighbour.fact(
                "neighbour",
                format!("{gateway} {} is {} on {interface}", neighbour.ip, neighbour.state),
            ));
    }
    match filter {
        Ok(verdict) => {
            let says = format!("no rule of this host stops packets to {peer}");
            found = found.supporting(verdict.fact("packet-filter", says));
            for rule in verdict.value.not_understood.iter().take(2) {
                found = found
                    .contradicting(verdict.fact("packet-filter", format!("could not be evaluated: {rule}")));
            }
        }
        Err(blind) => {
            found = found.contradicting(Fact::new("packet-filter", format!("{}: {}", blind.what, blind.why)))
        }
    }
    Ok(found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!("Let the backend's side accept port {} from this host: its firewall, a security group, a router between", peer.port()))
                .run(format!("tcpdump -ni any host {} and tcp port {}", peer.ip(), peer.port())),
        )
        .fix(Fix::mitigate("Until then, mark the server `down`, or lower the connect timeout so that the next server is tried sooner"))
        .verify(format!("timeout 3 bash -c '</dev/tcp/{}/{}' && echo open", peer.ip(), peer.port()))
        .verify(case.verify_command())
        .into())
}

fn summary_of(case: &Case) -> String {
    format!("nothing comes back from {}: the host is down, or packets are lost on the way", case.peer_name())
}

fn host_of(case: &Case) -> String {
    match case.peer() {
        Some(Peer::Tcp(it)) => it.ip().to_string(),
        Some(Peer::Name { host, .. }) => host.clone(),
        _ => String::new(),
    }
}

/// Whether clients hung up while nginx was still connecting.
pub fn unconnected(case: &Case) -> bool {
    let waited = |it: &crate::failure::Access| it.request_time.is_none_or(|it| it >= 1.0);
    let mut told = case.accesses().filter(|it| it.tells_times && waited(it)).peekable();
    told.peek().is_some() && told.all(|it| it.last_attempt().is_some_and(|it| it.connect_time.is_none()))
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let answers = course.between > 0;
    let confidence = match (case.group.symptom, lines::place(case)) {
        (Symptom::ClientClosed, _) => return unconnected(case).then(|| fits(case, 0.3, summary_of(case))),
        (_, lines::Place::Here) => 0.08,
        _ if answers => 0.25,
        _ => 0.42,
    };
    Some(
        fits(case, confidence, summary_of(case))
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair("Find out whether that host is up, and who drops the packets on the way")
                    .run(format!("ping -c 3 {}", host_of(case))),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{FilterVerdict, Route, Snapshot};

    fn silent(action: FilterAction) -> Snapshot {
        let verdict = FilterVerdict {
            action,
            rule: "drop".into(),
            chain: "inet filter output".into(),
            not_understood: Vec::new(),
            counter_moved: None,
        };
        let route = Route {
            kind: "unicast".into(),
            interface: "eth0".into(),
            gateway: None,
            source: None,
            text: "10.0.0.7 dev eth0 src 10.0.0.5".into(),
        };
        let message = "upstream timed out (110: Connection timed out)";
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        let host = passing_to("proxy_pass http://10.0.0.7:8080").with(|it| {
            sight(it, "10.0.0.7:8080", |it| {
                it.filter = seen(verdict);
                it.route = seen(route);
                it.neighbour = seen(None);
                it.connect = seen(ConnectOutcome::TimedOut { after_millis: 700 });
            });
        });
        logged(host, &[&line])
    }

    #[test]
    fn packets_that_leave_and_never_come_back_are_named() {
        check(&silent(FilterAction::Accept), "upstream-blackholed: confirmed");
    }

    #[test]
    fn a_rule_of_this_host_is_another_cause() {
        check(&silent(FilterAction::Drop), "firewall-drop: confirmed");
        check_ruled_out(
            &silent(FilterAction::Drop),
            "upstream-blackholed",
            "a rule of this host stops the packets",
        );
    }

    #[test]
    fn rules_we_may_not_see_leave_a_doubt() {
        let host =
            silent(FilterAction::Accept).with(|it| sight(it, "10.0.0.7:8080", |it| it.filter = denied()));
        check(&host, "upstream-blackholed: likely");
    }

    #[test]
    fn a_route_we_may_not_see_is_a_blind_spot() {
        let host =
            silent(FilterAction::Accept).with(|it| sight(it, "10.0.0.7:8080", |it| it.route = denied()));
        check_blind(&host, "upstream-blackholed", "the route to the backend");
    }
}
