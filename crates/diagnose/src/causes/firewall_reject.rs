use crate::fate;
use crate::packet_filter::stopped_by;
use crate::rule::*;

cause! {
    /// A packet-filter rule of this host rejects nginx's connections to the backend.
    ///
    /// ## What you see
    /// Connecting fails at once, with `111: Connection refused` although the backend listens, or with `113: No route to
    /// host`, `101: Network is unreachable` or `13: Permission denied`: which one depends on how the rule rejects.
    ///
    /// ## How we know
    /// The rules of nftables and iptables are asked about nginx's very packet: its addresses, port, interface and user.
    /// The rule that decides rejects it, and its counter moves with our own attempt.
    ///
    /// ## What to do
    /// Let that connection pass before the rule, and change the rules where they are kept.
    ///
    /// ## Not to be confused with
    /// `backend-not-running`: there nobody listens. `no-route-to-upstream`: there the route or the neighbour is missing.
    /// A rule on the backend's own host cannot be seen from here and looks like one of these.
    "firewall-reject",
    explains: [ConnectRefused, ConnectNoRoute, ConnectNetUnreachable, ConnectPermission],
    leads_to: ["no-route-to-upstream", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if matches!(case.peer(), None | Some(Peer::Unix(_) | Peer::Group(_))) {
        return Ok(Verdict::NotIt);
    }
    // Nobody listens: that alone explains a refusal.
    if case.group.symptom == Symptom::ConnectRefused
        && let Ok(backend) = case.backend
        && backend.local
        && backend.listening.is_none()
    {
        return Ok(Verdict::NotIt);
    }
    stopped_by(case, FilterAction::Reject, "rejects")
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let told = fate::of(case).is_some();
    let confidence = match (case.group.symptom, lines::place(case)) {
        (Symptom::ConnectNoRoute, _) => 0.3,
        (Symptom::ConnectNetUnreachable, _) => 0.12,
        (Symptom::ConnectPermission, _) if matches!(case.peer(), Some(Peer::Unix(_))) => return None,
        (Symptom::ConnectPermission, _) => 0.15,
        _ if told || matches!(case.peer(), Some(Peer::Unix(_))) => 0.01,
        (_, lines::Place::Here) if course.before && !course.since => 0.06,
        (_, lines::Place::Here) => 0.05,
        _ if course.since => 0.06,
        _ if course.before => 0.2,
        _ => 0.15,
    };
    let summary = format!("a packet filter may reject connections to {}", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair("Look which rule rejects, and let nginx's connections through")
                    .run("nft list ruleset"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{FilterVerdict, Snapshot};

    fn refused(action: FilterAction, not_understood: &[&str]) -> Snapshot {
        let verdict = FilterVerdict {
            action,
            rule: "tcp dport 8080 reject with tcp reset".into(),
            chain: "inet fw out".into(),
            not_understood: not_understood.iter().map(|it| (*it).to_owned()).collect(),
            counter_moved: None,
        };
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/",
        );
        let host = passing_to("proxy_pass http://127.0.0.1:8080")
            .with(|it| serving(it, 500, "/usr/bin/node app.js", "127.0.0.1:8080"))
            .with(|it| sight(it, "127.0.0.1:8080", |it| it.filter = seen(verdict)));
        logged(host, &[&line])
    }

    #[test]
    fn a_rule_that_rejects_this_very_packet_is_named() {
        let report = check(&refused(FilterAction::Reject, &[]), "firewall-reject: confirmed");
        let command = &report.causes[0].fixes[0].commands[0];
        assert_eq!(command, "nft insert rule inet fw out ip daddr 127.0.0.1 tcp dport 8080 accept");
    }

    #[test]
    fn rules_that_cannot_be_evaluated_leave_a_doubt() {
        check(&refused(FilterAction::Reject, &["ct mark 7 return"]), "firewall-reject: likely");
    }

    #[test]
    fn a_filter_that_lets_it_pass_is_no_cause() {
        let report = crate::diagnose(&refused(FilterAction::Accept, &[]));
        assert!(report.causes.iter().all(|it| it.cause.id != "firewall-reject"), "{}", outline(&report));
    }

    #[test]
    fn rules_we_may_not_see_are_a_blind_spot() {
        let host = refused(FilterAction::Reject, &[])
            .with(|it| sight(it, "127.0.0.1:8080", |it| it.filter = denied()));
        check_blind(&host, "firewall-reject", "the packet filter's verdict");
    }
}
