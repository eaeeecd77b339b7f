use crate::packet_filter::stopped_by;
use crate::rule::*;

cause! {
    /// A packet-filter rule of this host drops the packets to the backend, or those that come back.
    ///
    /// ## What you see
    /// Connecting takes as long as the connect timeout and ends with `110: Connection timed out`; clients get 504. The
    /// backend sees nothing, and logs nothing.
    ///
    /// ## How we know
    /// The rules of nftables and iptables are asked about nginx's very packet and the answer to it: addresses, port,
    /// interface and user. The rule or policy that decides drops it, and its counter moves with our own attempt.
    ///
    /// ## What to do
    /// Let that connection pass before the rule, and change the rules where they are kept.
    ///
    /// ## Not to be confused with
    /// `upstream-blackholed`: there the packets leave this host and nothing comes back. `listen-queue-overflow`: there the
    /// kernel drops connections because the backend's queue is full. `conntrack-full`: there no rule drops them.
    "firewall-drop",
    explains: [ConnectTimeout, ClientClosed],
    leads_to: ["upstream-blackholed", "passive-health-ejection", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if matches!(case.peer(), None | Some(Peer::Unix(_) | Peer::Group(_))) {
        return Ok(Verdict::NotIt);
    }
    stopped_by(case, FilterAction::Drop, "drops")
}

fn summary_of(case: &Case) -> String {
    format!("a packet filter may drop the packets to {}", case.peer_name())
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let confidence = match (case.group.symptom, lines::place(case)) {
        (Symptom::ClientClosed, _) => {
            return super::upstream_blackholed::unconnected(case).then(|| fits(case, 0.25, summary_of(case)));
        }
        (_, lines::Place::Here) => 0.18,
        _ if course.between > 0 => 0.2,
        _ => 0.32,
    };
    Some(
        fits(case, confidence, summary_of(case))
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::repair("Look which rule drops, here and on the backend's host").run("nft list ruleset"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{FilterVerdict, Snapshot};

    fn timed_out(action: FilterAction) -> Snapshot {
        let verdict = FilterVerdict {
            action,
            rule: "policy drop".into(),
            chain: "inet filter output".into(),
            not_understood: Vec::new(),
            counter_moved: Some(true),
        };
        let message = "upstream timed out (110: Connection timed out)";
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        let host = passing_to("proxy_pass http://10.0.0.7:8080")
            .with(|it| sight(it, "10.0.0.7:8080", |it| it.filter = seen(verdict)));
        logged(host, &[&line])
    }

    #[test]
    fn a_policy_that_drops_this_very_packet_is_named() {
        let report = check(&timed_out(FilterAction::Drop), "firewall-drop: confirmed");
        assert!(report.causes[0].summary.contains("inet filter output"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_filter_that_lets_it_pass_is_no_cause() {
        let report = crate::diagnose(&timed_out(FilterAction::Accept));
        assert!(report.causes.iter().all(|it| it.cause.id != "firewall-drop"), "{}", outline(&report));
    }

    /// One rule on the way was not understood.
    fn unsure(rule: &str) -> Snapshot {
        timed_out(FilterAction::Accept).with(|it| {
            sight(it, "10.0.0.7:8080", |it| {
                let Reading::Seen(filter) = &mut it.filter else { return };
                filter.value.not_understood = vec![rule.into()];
            });
        })
    }

    #[test]
    fn a_rule_that_goes_by_number_is_likely_to_drop_what_times_out() {
        let rule = "-A INPUT -p tcp --dport 8080 -m connlimit --connlimit-above 3 -j DROP";
        check(&unsure(rule), "firewall-drop: likely");
        check(
            &unsure("tcp dport 8080 ct count over 3 counter packets 7 bytes 420 drop"),
            "firewall-drop: likely",
        );
    }

    #[test]
    fn a_rule_that_never_fitted_or_lets_pass_drops_nothing() {
        check_not(&unsure("tcp dport 8080 ct count over 3 counter packets 0 bytes 0 drop"), "firewall-drop");
        check_not(&unsure("tcp dport 8080 ct count over 3 accept"), "firewall-drop");
    }

    #[test]
    fn rules_we_may_not_see_are_a_blind_spot() {
        let host =
            timed_out(FilterAction::Drop).with(|it| sight(it, "10.0.0.7:8080", |it| it.filter = denied()));
        check_blind(&host, "firewall-drop", "the packet filter's verdict");
    }
}
