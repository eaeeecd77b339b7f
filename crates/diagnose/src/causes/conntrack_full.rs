use crate::rule::*;

/// The kernel drops new flows when the table is full; it frees entries as they expire, so that the count swings a
/// little below the limit.
const FULL_SHARE: f64 = 0.95;
/// What the kernel says belongs to failures this close.
const NEAR: SignedDuration = SignedDuration::from_secs(60);

cause! {
    /// The connection-tracking table of this host is full, and the kernel drops the packets of new connections.
    ///
    /// ## What you see
    /// Connecting times out, now and then or always, to any address that a stateful rule looks at; the kernel log says
    /// `nf_conntrack: table full, dropping packet`. Connections that exist go on.
    ///
    /// ## How we know
    /// The number of tracked connections is at its limit (net.netfilter.nf_conntrack_max), or the kernel said so at the
    /// time of the failures.
    ///
    /// ## What to do
    /// Raise nf_conntrack_max, which costs about 300 bytes of kernel memory per entry, and find out what fills the table.
    ///
    /// ## Not to be confused with
    /// `firewall-drop`: there a rule drops the packets. `upstream-blackholed`: there this host sends them and nothing
    /// comes back.
    "conntrack-full",
    explains: [ConnectTimeout, ResolveTimeout],
    leads_to: ["upstream-blackholed", "dns-resolver-unreachable", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::ConntrackFull,
}

/// Tracked connections and their limit.
fn table(scene: &Scene) -> Option<(u64, u64)> {
    let of = |name| scene.snapshot.net.setting(name)?.parse().ok();
    Some((of("net.netfilter.nf_conntrack_count")?, of("net.netfilter.nf_conntrack_max")?))
}

/// Whether the table is full now.
pub fn is_full(scene: &Scene) -> bool {
    table(scene).is_some_and(|(count, max)| max > 0 && count as f64 >= max as f64 * FULL_SHARE)
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let settings = Blind::of("network settings", &scene.snapshot.net.settings)?;
    let said = scene.events.iter().rev().find(|it| {
        it.kind == EventKind::ConntrackFull
            && it.at >= case.group.first - NEAR
            && it.at <= case.group.last + NEAR
    });
    let table = table(scene);
    if !is_full(scene) && said.is_none() {
        return Ok(match table {
            Some((count, max)) => Verdict::ruled_out(format!("{count} of {max} connections are tracked")),
            None => Verdict::NotIt,
        });
    }
    let (count, max) = table.unwrap_or_default();
    let state = match table {
        Some(_) if is_full(scene) => {
            format!("the connection-tracking table is full ({count} of {max} entries)")
        }
        _ => "the connection-tracking table was full".to_owned(),
    };
    let summary = format!("{state}: the kernel drops nginx's new connections to {}", case.peer_name());
    let counted = settings.fact("kernel", format!("{count} connections are tracked, {max} can be"));
    // The kernel log is shared by all containers of a host: its word alone may be about another one.
    let mut found = if is_full(scene) {
        confirmed(summary).decisive(counted.reference("sysctl net.netfilter.nf_conntrack_count"))
    } else {
        likely(summary)
    };
    found = found.supporting_each(said.map(|it| it.fact())).supporting(case.failures_fact());
    let to = (max * 2).max(262_144);
    Ok(found
        .fix(
            Fix::mitigate(format!("Raise the limit to {to}"))
                .run(format!("sysctl -w net.netfilter.nf_conntrack_max={to}"))
                .because(format!(
                    "{} MiB of kernel memory at about 300 bytes for each entry",
                    to * 300 / (1 << 20)
                ))
                .risk("none for connections that exist"),
        )
        .fix(
            Fix::repair("Find out what fills the table, and do not track what needs no tracking (`notrack`)")
                .run("conntrack -L -o extended | awk '{print $3, $7}' | sort | uniq -c | sort -rn | head"),
        )
        .verify("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max")
        .verify(case.verify_command())
        .prevent("Alert when nf_conntrack_count is above 80 % of nf_conntrack_max")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Some(told) = lines::told(case, NEAR, |it| *it == EventKind::ConntrackFull) {
        let summary = format!(
            "the connection-tracking table is full, and the kernel drops packets to {}",
            case.peer_name()
        );
        return Some(
            confirmed(summary)
                .decisive(told.event.fact())
                .supporting(case.failures_fact())
                .only_likely_if(told.share() < 0.5)
                .fix(
                    Fix::mitigate("Raise net.netfilter.nf_conntrack_max")
                        .run("sysctl net.netfilter.nf_conntrack_max net.netfilter.nf_conntrack_count"),
                )
                .verify(case.verify_command()),
        );
    }
    let course = course::of(case);
    let here = lines::place(case) == lines::Place::Here;
    let confidence = if course.between > 0 || course.since {
        0.15
    } else if here {
        0.04
    } else {
        0.08
    };
    let summary = "the connection-tracking table may be full".to_owned();
    Some(
        fits(case, confidence, summary)
            .fix(Fix::mitigate("Look for it in the kernel log").run("dmesg | grep conntrack"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn tracking(count: &str) -> Snapshot {
        let message = "upstream timed out (110: Connection timed out)";
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        logged(passing_to("proxy_pass http://10.0.0.7:8080"), &[&line]).with(|it| {
            let setting = |name: &str, value: &str| (format!("net.netfilter.{name}"), value.to_owned());
            it.net.settings =
                seen(vec![setting("nf_conntrack_count", count), setting("nf_conntrack_max", "1000")]);
        })
    }

    #[test]
    fn a_table_at_its_limit_drops_new_connections() {
        let report = check(&tracking("1000"), "conntrack-full: confirmed");
        assert!(report.causes[0].summary.contains("1000 of 1000"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_table_with_room_is_no_cause() {
        let report = crate::diagnose(&tracking("300"));
        assert!(report.causes.iter().all(|it| it.cause.id != "conntrack-full"), "{}", outline(&report));
    }

    #[test]
    fn settings_we_may_not_see_are_a_blind_spot() {
        check_blind(
            &tracking("300").with(|it| it.net.settings = denied()),
            "conntrack-full",
            "network settings",
        );
    }
}
