use crate::members;
use crate::rule::*;

/// nginx's own `fail_timeout`, and a sensible one.
const DEFAULT_FAIL_TIMEOUT_SECONDS: u64 = 10;

cause! {
    /// nginx keeps the servers of the group out for `fail_timeout` after failures, although they work again.
    ///
    /// ## What you see
    /// `no live upstreams while connecting to upstream` and 502 at once, for a while after the servers were mended. With
    /// the level `warn` in its error log nginx also says `upstream server temporarily disabled`.
    ///
    /// ## How we know
    /// Each server of the group failed `max_fails` times before, accepts connections now, and the time since its last
    /// failure was within its `fail_timeout` when requests were still turned away.
    ///
    /// ## What to do
    /// Reload nginx, which forgets the failures. A shorter `fail_timeout` lets servers come back sooner.
    ///
    /// ## Not to be confused with
    /// `backend-not-running` and others: while the servers still fail, whatever makes them fail is the cause, and this
    /// its consequence. `upstream-servers-all-down`: there the configuration says `down`.
    "passive-health-ejection",
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
    // The only server of a group is never put aside.
    if up.len() == 1 && members::peers(scene, up[0]).len() < 2 {
        return Ok(Verdict::ruled_out(format!(
            "{} is the only server of its group, which nginx never puts aside",
            up[0].address
        )));
    }
    let mut last_failure: Option<Timestamp> = None;
    let mut facts = Vec::new();
    let mut unknown = None;
    for server in &up {
        let failures = members::failures(scene, server);
        let Some(last) = failures.last() else {
            return Ok(Verdict::ruled_out(format!("{} did not fail before", server.address)));
        };
        last_failure = last_failure.max(Some(last.at));
        match members::works_now(scene, server) {
            Some(false) => {
                return Ok(Verdict::ruled_out(format!(
                    "{} does not accept connections now either",
                    server.address
                )));
            }
            Some(true) => {
                facts.push(Fact::new("probe", format!("{} accepts connections now", server.address)))
            }
            None => unknown = Some(server.address.clone()),
        }
        facts.push(
            Fact::new(
                "error-log",
                format!(
                    "{} failed {}, the last time at {}",
                    server.address,
                    times(failures.len() as u64),
                    scene.clock(last.at)
                ),
            )
            .reference(last.reference.clone())
            .at(last.at),
        );
    }
    let Some(failed_at) = last_failure else { return Ok(Verdict::NotIt) };
    let longest = up.iter().map(|it| it.fail_timeout).max().unwrap_or_default();
    let turned_away = members::last_refusal(case);
    let held = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
    if turned_away.duration_since(failed_at) > held + SignedDuration::from_secs(2) {
        return Ok(Verdict::ruled_out(format!(
            "the last failure of a server was longer ago than fail_timeout={}s",
            longest.as_secs()
        )));
    }
    let place = scene.place(group.span);
    let list: Vec<&str> = up.iter().map(|it| it.address.as_str()).collect();
    let summary = format!(
        "nginx keeps all servers of {} ({}) out for fail_timeout={}s after failures at {}, although they accept connections again",
        group.name,
        list.join(", "),
        longest.as_secs(),
        scene.clock(failed_at)
    );
    let set = Fact::new(
        "config",
        format!("{place}: max_fails={} fail_timeout={}s", up[0].max_fails, longest.as_secs()),
    )
    .reference(place);
    let after = turned_away.duration_since(failed_at);
    let mut found = match unknown {
        // Turned away at the very moment of the failures says little: they were down themselves.
        None if after > SignedDuration::from_secs(1) => {
            let mut found = confirmed(summary);
            for fact in facts {
                found = if fact.source == "probe" { found.decisive(fact) } else { found.supporting(fact) };
            }
            found
        }
        None => likely(summary).confidence(0.6).supporting_each(facts),
        Some(server) => {
            possible(format!("{summary} (whether {server} does was not looked at)")).supporting_each(facts)
        }
    };
    for event in
        scene.failures.entries.iter().filter(|it| it.symptom == Symptom::UpstreamDisabled).rev().take(1)
    {
        found = found.supporting(
            Fact::new("error-log", event.message.clone()).reference(event.reference.clone()).at(event.at),
        );
    }
    found = found.supporting(set).supporting(case.failures_fact()).fix(
        Fix::mitigate("Reload nginx: the new workers know of no failures")
            .run("nginx -t && nginx -s reload")
            .risk("reloads nginx; requests in flight are not interrupted"),
    );
    let mut fix = Fix::repair(format!("Let servers come back after {DEFAULT_FAIL_TIMEOUT_SECONDS} seconds"))
        .run("nginx -t && nginx -s reload");
    for server in up.iter().filter(|it| it.fail_timeout.as_secs() > DEFAULT_FAIL_TIMEOUT_SECONDS) {
        let Some((file, line, old)) = scene.line_at(server.span) else { continue };
        if let Some(new) = shorter(&old) {
            fix = fix.edit(file, line, old.trim(), new.trim());
        }
    }
    if !fix.edits.is_empty() {
        found = found.fix(fix.because("fail_timeout is both the time in which failures are counted and the time for which the server is out"));
    }
    Ok(found
        .verify(case.verify_command())
        .prevent(
            "Keep fail_timeout short, and let a restart of a shared dependency not reach all servers at once",
        )
        .into())
}

/// The line with nginx's own fail_timeout.
fn shorter(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fail_timeout=")?;
    let end = after.find([' ', ';', '\t'])?;
    Some(format!("{before}fail_timeout={DEFAULT_FAIL_TIMEOUT_SECONDS}s{}", &after[end..]))
}

fn from_lines(case: &Case) -> Option<Found> {
    let earlier = lines::ejected_by(case);
    let warned = case.scene.failures.entries.iter().any(|it| it.symptom == Symptom::UpstreamDisabled);
    let confidence = match earlier {
        Some((_, gap)) if gap >= SignedDuration::from_secs(2) => 0.6,
        // Servers that failed a moment ago are down, and nginx is right to leave them alone.
        Some(_) => return None,
        None if warned => 0.6,
        None => 0.25,
    };
    let summary = match earlier {
        Some((it, _)) => format!(
            "nginx keeps the servers of {} out for a while after they failed, the last time at {} ({})",
            case.peer_name(),
            case.scene.clock(it.at),
            it.symptom.id()
        ),
        None => format!("nginx keeps the servers of {} out after they failed", case.peer_name()),
    };
    let fact = |it: &crate::failure::Failure| {
        Fact::new("error-log", it.message.clone()).reference(it.reference.clone()).at(it.at)
    };
    Some(
        fits(case, confidence, summary)
            .supporting_each(earlier.map(|(it, _)| fact(it)))
            .fix(
                Fix::mitigate("Reload nginx: the new workers know of no failures")
                    .run("nginx -t && nginx -s reload"),
            )
            .fix(Fix::repair("Let servers come back sooner (fail_timeout), and mend what made them fail"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// Both servers failed twelve seconds before requests were still turned away; now connecting to them ends like this.
    fn after_a_blip(now: ConnectOutcome) -> Snapshot {
        let refused = |port: u16| {
            failed(
                "connect() failed (111: Connection refused)",
                "connecting to upstream",
                &format!("http://10.0.0.7:{port}/cart"),
            )
        };
        let none = failed("no live upstreams", "connecting to upstream", "http://cluster/cart");
        let lines = [refused(8081), refused(8082), none.clone(), none.clone(), none.clone(), none];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let servers = "server 10.0.0.7:8081 fail_timeout=300s;\nserver 10.0.0.7:8082 fail_timeout=300s;";
        let http = format!(
            "upstream cluster {{\n{servers}\n}}\nserver {{ listen 80; server_name shop.example.com; location / {{ proxy_pass http://cluster; }} }}"
        );
        logged(configured(&http), &lines).with(|it| {
            sight(it, "10.0.0.7:8081", |it| it.connect = seen(ConnectOutcome::Connected { micros: 90 }));
            sight(it, "10.0.0.7:8082", |it| it.connect = seen(now));
        })
    }

    #[test]
    fn servers_that_work_again_and_are_still_out_are_named() {
        let host = after_a_blip(ConnectOutcome::Connected { micros: 90 });
        let report = crate::diagnose(&host);
        let found = report.causes.iter().find(|it| it.cause.id == "passive-health-ejection");
        let found = found.unwrap_or_else(|| panic!("{}", outline(&report)));
        assert_eq!(found.fixes[1].edits[0].new, "server 10.0.0.7:8081 fail_timeout=10s;");
    }

    #[test]
    fn a_server_that_still_fails_is_another_cause() {
        let report = crate::diagnose(&after_a_blip(ConnectOutcome::Failed { errno: 111 }));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "passive-health-ejection"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_name_with_two_addresses_is_a_group_of_two() {
        let refused = |address: &str| {
            failed(
                "connect() failed (111: Connection refused)",
                "connecting to upstream",
                &format!("http://{address}:80/cart"),
            )
        };
        let none = failed("no live upstreams", "connecting to upstream", "http://localhost/cart");
        let lines = [refused("[::1]"), refused("127.0.0.1"), none.clone(), none.clone(), none];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let host = logged(passing_to("proxy_pass http://localhost:80"), &lines).with(|it| {
            for address in ["[::1]:80", "127.0.0.1:80"] {
                sight(it, address, |it| it.connect = seen(ConnectOutcome::Connected { micros: 90 }));
            }
        });
        let report = crate::diagnose(&host);
        assert!(
            report.causes.iter().any(|it| it.cause.id == "passive-health-ejection"),
            "{}",
            outline(&report)
        );
    }
}
