use crate::fate::{self, Fate};
use crate::outage::{self, Outage};
use crate::rule::*;
use crate::said;

cause! {
    /// Requests fail only in short windows around starts or restarts of the backend; outside of them it is fine.
    ///
    /// ## What you see
    /// Bursts of `111: Connection refused` (or a missing socket) of a few seconds, at deployments, at boot, or at
    /// nightly restarts, and nothing in between.
    ///
    /// ## How we know
    /// systemd's lines about starts, stops and reloads that somebody asked for lie at the very seconds of the failures; the
    /// backend answers before and after.
    ///
    /// ## What to do
    /// Restart without a gap: a graceful reload where the server has one, a socket unit (systemd keeps the socket open
    /// and connections wait), two instances behind one upstream, or nginx started after the backend.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there nobody asked for the restart. `backend-not-running`: there it does not come back.
    "backend-restarting",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset],
    leads_to: ["backend-not-running", "passive-health-ejection", "backend-aborts-request"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Outage::Restarting { unit, starts, covered } = outage::of(case)? else { return Ok(Verdict::NotIt) };
    let scene = case.scene;
    let stops = starts.iter().filter(|it| matches!(it.kind, EventKind::UnitStopping { .. })).count();
    let begun = starts.iter().filter(|it| matches!(it.kind, EventKind::UnitStarted { .. })).count();
    let reloads = starts.iter().filter(|it| matches!(it.kind, EventKind::UnitReloading { .. })).count();
    let reloaded = stops == 0 && reloads > 0;
    let what = match (reloaded, stops) {
        (true, _) => "was reloaded",
        (false, 0) => "was starting",
        _ => "was restarted",
    };
    let begun = if reloaded { reloads } else { begun };
    let often = if begun > 1 { format!(", {}", times(begun as u64)) } else { String::new() };
    let summary = format!("{} {what} when the requests failed{often}; it answers now", unit.name);
    let share = format!("{:.0} % of the failures lie in the gaps around its starts", covered * 100.0);
    let last = starts.iter().rev().find(|it| !reloaded || matches!(it.kind, EventKind::UnitReloading { .. }));
    let last = last.map(|it| it.fact()).unwrap_or_else(|| outage::state_fact(scene, unit));
    let found =
        if covered >= 0.8 { confirmed(summary).decisive(last) } else { possible(summary).supporting(last) };
    // A supervisor may have replaced a program that crashed; systemd would say so.
    let found = found.only_likely_if(starts.iter().any(|it| it.source == crate::events::PROCESS));
    // Most reloads are graceful, and a request may have failed at that time for another reason.
    let found = found.only_likely_if(reloaded);
    let php = case.backend().is_ok_and(|it| it.pool.is_some());
    let fix = if reloaded && php {
        Fix::repair("Let a reload of PHP-FPM wait for running requests: process_control_timeout = 30s in php-fpm.conf")
            .because("it is 0 by default, so that a reload ends its children at once")
    } else if reloaded {
        Fix::repair(format!("Let {} finish running requests when it is reloaded", unit.name))
    } else {
        Fix::repair(format!("Restart {} without closing its socket", unit.name))
            .because("a socket unit keeps the address open while the service is replaced; a reload replaces workers one by one")
    };
    let again = if reloaded { "reload" } else { "restart" };
    Ok(found
        .supporting(Fact::new("journal", share))
        .supporting(case.failures_fact())
        .fix(fix)
        .verify(format!("systemctl {again} {} and meanwhile: {}", unit.name, case.verify_command()))
        .prevent("Order nginx after the backend (After=) where failures come at boot; add a second server to the upstream group")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let course = course::of(case);
    let peer = case.peer_name();
    let told = fate::of(case).filter(|(fate, _)| *fate == Fate::Restarted).map(|(_, event)| event);
    let short = course.longest() <= SignedDuration::from_secs(90);
    let reloads = said::near(case, |it| it.contains("Reloading in progress"));
    let confidence = match told {
        _ if reloads.is_some() && !refused => 0.8,
        Some(event) if refused || fate::stops(event) && lines::told_near(case, event) => 0.8,
        _ if !refused => 0.06,
        _ if course.mixed => 0.04,
        _ if course.since && short && course.outages.len() == 1 => 0.5,
        _ if course.since && short => 0.35,
        _ if course.since => 0.2,
        _ => 0.06,
    };
    let summary = match told {
        Some(event) => format!("the backend at {peer} was restarted: {}", lines::quote(event)),
        None => format!("{peer} was away for a short while: it may have been restarted"),
    };
    Some(
        fits(case, confidence, summary)
            .supporting_each(told.map(|it| it.fact()))
            .supporting_each(reloads)
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::repair(
                "Restart it without a gap: by a socket that stays, or one server after the other",
            ))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    const OK: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.010");
    const BAD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "0.000");

    /// A request every second, the last one ten seconds before the collection; the sixth to the fourth before the end
    /// were refused. A program listens at the dialled address.
    fn a_gap() -> Snapshot {
        let host = passing_to("proxy_pass http://127.0.0.1:8080");
        let host = requested(host, &[OK, OK, OK, OK, BAD, BAD, BAD, OK, OK, OK]);
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        // `logged` ends ten seconds before the collection: three seconds after the last refusal.
        let unrelated = "[notice] 100#100: signal process started";
        let host = logged(host, &[&line, &line, &line, unrelated, unrelated, unrelated]);
        host.with(|it| {
            serving(it, 300, "/usr/bin/node server.js --port 8080", "127.0.0.1:8080");
            process(it, 300, |it| it.started_at = Some(ago(14)));
            unit(it, "node-300.service", |it| it.main_started_at = Some(ago(14)));
        })
    }

    #[test]
    fn a_restart_that_somebody_asked_for_is_named() {
        let host = a_gap().with(|it| {
            let lines = [
                (16, "systemd", "Stopping node-300.service - The shop..."),
                (16, "systemd", "node-300.service: Deactivated successfully."),
                (16, "systemd", "Stopped node-300.service - The shop."),
                (14, "systemd", "Started node-300.service - The shop."),
            ];
            journal(it, "node-300.service", &lines);
        });
        let report = check(&host, "backend-restarting: confirmed");
        let expected = "node-300.service was restarted when the requests failed; it answers now";
        assert_eq!(report.causes[0].summary, expected);
    }

    #[test]
    fn a_first_start_that_nginx_did_not_wait_for_is_named() {
        let host = a_gap().with(|it| {
            journal(it, "node-300.service", &[(14, "systemd", "Started node-300.service - The shop.")])
        });
        let report = check(&host, "backend-restarting: confirmed");
        assert!(report.causes[0].summary.contains("was starting when"), "{}", report.causes[0].summary);
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_a_crash() {
        let host = a_gap().with(|it| {
            let lines = [
                (16, "node", "Error: out of luck"),
                (16, "systemd", "node-300.service: Main process exited, code=exited, status=1/FAILURE"),
                (16, "systemd", "node-300.service: Failed with result 'exit-code'."),
                (15, "systemd", "node-300.service: Scheduled restart job, restart counter is at 1."),
                (14, "systemd", "Started node-300.service - The shop."),
            ];
            journal(it, "node-300.service", &lines);
        });
        check(&host, "backend-crashed: confirmed");
        check_not(&host, "backend-restarting");
    }

    #[test]
    fn a_reload_that_ends_children_in_the_middle_of_a_request_is_likely() {
        let reset = "recv() failed (104: Connection reset by peer)";
        let line =
            failed(reset, "reading response header from upstream", "fastcgi://unix:/run/php/fpm.sock:");
        let host = |reloaded: i64| {
            logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line, &line]).with(|it| {
                php_fpm(it, "unix:/run/php/fpm.sock", &[("pm", "static"), ("pm.max_children", "2")], "ii");
                let says = "Reloading php-fpm-500.service - The PHP 8.2 FastCGI Process Manager...";
                journal(it, "php-fpm-500.service", &[(reloaded, "systemd", says)]);
            })
        };
        let report = check(&host(11), "backend-restarting: likely");
        let found = &report.causes[0];
        assert_eq!(
            found.summary,
            "php-fpm-500.service was reloaded when the requests failed; it answers now"
        );
        assert!(found.fixes[0].title.contains("process_control_timeout"), "{}", outline(&report));
        check_not(&host(300), "backend-restarting");
        // Other pages go well, since it is the long ones that are cut.
        let good = ("GET / HTTP/1.1", 200, "unix:/run/php/fpm.sock", "200", "0.010");
        let host = requested(host(11), &[good, good]);
        check(&host, "backend-restarting: likely");
    }

    #[test]
    fn a_restart_at_another_time_explains_nothing() {
        let host = a_gap().with(|it| {
            process(it, 300, |it| it.started_at = Some(ago(600)));
            unit(it, "node-300.service", |it| it.main_started_at = Some(ago(600)));
            journal(it, "node-300.service", &[(600, "systemd", "Started node-300.service - The shop.")]);
        });
        check_not(&host, "backend-restarting");
    }

    #[test]
    fn a_journal_that_we_may_not_see_is_a_blind_spot() {
        check_blind(&a_gap().with(|it| it.journal = denied()), "backend-restarting", "journal");
    }
}
