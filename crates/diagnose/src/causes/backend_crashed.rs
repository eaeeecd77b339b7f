use super::backend_start_failed::shortened;
use crate::deaths::{self, Death};
use crate::fate::{self, Fate};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend, or the worker that served the request, died by itself while serving.
    ///
    /// ## What you see
    /// "upstream prematurely closed connection" or `104: Connection reset by peer` at the moment of the crash, then
    /// `111: Connection refused` until something starts it again; perhaps only on one URL, perhaps again and again.
    ///
    /// ## How we know
    /// At the second of the failure a process of this backend ended with a fatal signal, an uncaught error or an exit
    /// status that is not 0, and neither the OOM killer nor the server's own watchdog did it. It had served before.
    ///
    /// ## What to do
    /// Find the failing request (the report names its path) and mend the code or the extension that dies. Until then let
    /// the service manager restart it at once, and take the URL out of service if it is only one.
    ///
    /// ## Not to be confused with
    /// `backend-start-failed`: it never got as far as serving. `backend-oom-killed`: the kernel killed it for memory.
    /// `backend-worker-timeout`: its own manager killed it. `backend-aborts-request`: nobody died.
    "backend-crashed",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset, SendFailed, BodyShort],
    leads_to: ["backend-not-running", "passive-health-ejection", "backend-aborts-request", "invalid-response", "auth-subrequest-failed", "backend-restarting", "keepalive-race"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::Segfault { .. } | EventKind::ChildSignalled { signal: 4 | 6..=11, .. } | EventKind::WorkerDied { signal: Some(4 | 6..=11), .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    if matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing) {
        return match outage::of(case)? {
            Outage::Died { unit, fact, words, deaths, sure } => {
                let reason = words.last().map(|it| format!(": {}", shortened(&it.says))).unwrap_or_default();
                let summary = format!("{} died {} while it served{reason}", unit.name, times(deaths as u64));
                let found = confirmed(summary)
                    .decisive(fact)
                    .supporting_each(words)
                    .only_likely_if(outage::by_timing(case) || !sure);
                Ok(advice(case, found, Some(unit)).into())
            }
            Outage::None | Outage::Remote | Outage::Undefined => Ok(Verdict::NotIt),
            other => Ok(Verdict::ruled_out(outage::why_not(&other))),
        };
    }
    // Where the journal may not be seen, processes may still tell.
    if let Ok(other @ (Outage::StartFails { .. } | Outage::OomKilled { .. } | Outage::AddressTaken { .. })) =
        outage::of(case)
    {
        return Ok(Verdict::ruled_out(outage::why_not(&other)));
    }
    let unit = backend.unit(case.scene);
    let Some(deaths) = deaths::near(case)? else {
        if let (Err(_), Some(fact)) = (deaths::would_be_seen(case), deaths::replaced(case)) {
            let summary = format!(
                "a process of {} ended as requests failed; how, only its log tells",
                backend.name(case.scene)
            );
            let found = possible(summary).confidence(0.5).supporting(fact);
            return Ok(advice(case, found, unit).into());
        }
        deaths::would_be_seen(case)?;
        return Ok(Verdict::ruled_out("no process of the backend ended when the requests failed"));
    };
    if !matches!(deaths.death, Death::Crash | Death::Replaced) {
        let by = match deaths.death {
            Death::Oom => "the OOM killer",
            Death::Watchdog => "the backend's own watchdog",
            _ => "the backend's own recycling of workers",
        };
        return Ok(Verdict::ruled_out(format!("{by} ended the worker")));
    }
    let Some(fact) = deaths.fact() else { return Ok(Verdict::NotIt) };
    let words = unit
        .zip(fact.at)
        .map(|(unit, at)| crate::story::last_words(case.scene, &unit.name, at))
        .unwrap_or_default();
    let on = match case.group.paths.as_slice() {
        [(path, _)] => format!(" on {path}"),
        _ => String::new(),
    };
    let summary = format!("{} dies while it serves{on}: {}", backend.name(case.scene), shortened(&fact.says));
    // A crash now and then beside many failures that have none near is not their cause; and that somebody else serves now
    // does not tell how the one before ended.
    let found = if deaths.explain() { confirmed(summary) } else { possible(summary) };
    let found = found.only_likely_if(deaths.death == Death::Replaced);
    let counted = Fact::new(
        "journal",
        format!("{} of {} failures have such an end within 3 s", deaths.covered, deaths.looked_at),
    );
    let words = words.into_iter().filter(|it| it.says != fact.says);
    let found = found.decisive(fact.clone()).supporting(counted).supporting_each(words);
    Ok(advice(case, found, unit).into())
}

fn advice(case: &Case, found: Found, unit: Option<&Unit>) -> Found {
    let mut found = found.supporting(case.failures_fact());
    if let Some(unit) = unit {
        if unit.active_state != "active" {
            found = found.fix(
                Fix::mitigate(format!("Start {} again", unit.name))
                    .run(format!("systemctl reset-failed {0}; systemctl start {0}", unit.name)),
            );
        }
        if unit.restart == "no" || unit.restart.is_empty() {
            found =
                found.fix(Fix::mitigate(format!("Let systemd restart {} when it dies", unit.name)).run(
                    format!("systemctl edit {}   # [Service] Restart=on-failure, RestartSec=1", unit.name),
                ));
        }
        found = found.verify(format!("systemctl show -p NRestarts,ActiveState {}", unit.name));
    }
    if let Some(paths) = case.paths().filter(|_| case.group.symptom != Symptom::ConnectRefused) {
        found = found.fix(Fix::repair(format!("Mend what dies on {paths}")));
    }
    found
        .verify(case.verify_command())
        .prevent("Alert on every unplanned end of the service, not only on 502s")
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let peer = case.peer_name();
    if refused {
        let course = course::of(case);
        let told = fate::of(case);
        let cut = lines::cut_before(case);
        let confidence = match &told {
            Some((Fate::Died, _)) => 0.8,
            Some((Fate::OomKilled | Fate::StartFails, _)) => 0.12,
            Some(_) => 0.04,
            None if cut => 0.6,
            None if course.outages.len() > 1 && course.between > 0 => 0.35,
            None if course.before => 0.2,
            None => 0.06,
        };
        let event = told.filter(|(fate, _)| *fate == Fate::Died).map(|(_, event)| event);
        let summary = match event {
            Some(event) => format!("the backend at {peer} died: {}", lines::quote(event)),
            None if course.before => {
                format!("the backend at {peer} had answered and then was gone: it may have died")
            }
            None => format!("the backend at {peer} may have died"),
        };
        let hung_up =
            cut.then(|| lines::course_fact(case, format!("{peer} hung up on a request just before")));
        return Some(
            fits(case, confidence, summary)
                .supporting_each(event.map(|it| it.fact()))
                .supporting_each(hung_up)
                .supporting_each(lines::course_of_answers(case))
                .fix(
                    Fix::repair("Find out what it died of, in its own log and the kernel's")
                        .run("journalctl --since -1h"),
                )
                .verify(case.verify_command()),
        );
    }
    let deaths = deaths::by_lines(case).filter(|it| it.death == Death::Crash);
    let then_refused = lines::refused_after(case);
    let (confidence, event) = match &deaths {
        Some(it) => (0.3 + 0.6 * it.share(), it.events.last()),
        None if then_refused => (0.6, None),
        None => (0.2, None),
    };
    let on = case.paths().map(|it| format!(" on {it}")).unwrap_or_default();
    let summary = match event {
        Some(event) => format!("the backend at {peer}, or a worker of it, died{on}: {}", lines::quote(event)),
        None => format!("the backend at {peer}, or a worker of it, may have died{on}"),
    };
    let gone = then_refused
        .then(|| lines::course_fact(case, format!("{peer} refused connections right afterwards")));
    Some(
        fits(case, confidence, summary)
            .supporting_each(event.map(|it| it.fact()))
            .supporting_each(gone)
            .fix(
                Fix::repair("Find out what it died of, in its own log and the kernel's")
                    .run("journalctl --since -1h"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    const REFUSED: &str = "connect() failed (111: Connection refused)";
    const CLOSED: &str = "upstream prematurely closed connection";
    const READING: &str = "reading response header from upstream";

    /// shop.service, a Node program, had run for a day; it is down since an error that nobody caught.
    fn dead_node() -> Snapshot {
        let line = failed(REFUSED, "connecting to upstream", "http://127.0.0.1:3000/cart");
        logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line, &line]).with(|it| {
            unit(it, "shop.service", |it| {
                it.exec_start = "/usr/bin/node server.js --port 3000".into();
                (it.active_state, it.sub_state) = ("failed".into(), "failed".into());
                (it.result, it.exit_code, it.exit_status) = ("exit-code".into(), "exited".into(), 1);
                (it.main_started_at, it.main_exited_at) = (Some(ago(86_400)), Some(ago(30)));
            });
        })
    }

    fn uncaught(host: &mut Snapshot) {
        let lines = [
            (30, "node", "/srv/shop/server.js:12"),
            (30, "node", "TypeError: Cannot read properties of undefined (reading 'id')"),
            (30, "node", "    at Server.<anonymous> (/srv/shop/server.js:12:7)"),
            (30, "node", "Node.js v18.19.0"),
            (30, "systemd", "shop.service: Main process exited, code=exited, status=1/FAILURE"),
            (30, "systemd", "shop.service: Failed with result 'exit-code'."),
        ];
        journal(host, "shop.service", &lines);
    }

    #[test]
    fn an_error_that_nobody_caught_is_quoted() {
        let report = check(&dead_node().with(uncaught), "backend-crashed: confirmed");
        let found = &report.causes[0];
        let expected = "shop.service died once while it served: TypeError: Cannot read properties of undefined (reading 'id')";
        assert_eq!(found.summary, expected);
        let commands: Vec<&String> = found.fixes.iter().flat_map(|it| &it.commands).collect();
        assert!(commands.iter().any(|it| it.contains("Restart=on-failure")), "{commands:?}");
    }

    #[test]
    fn a_crash_is_known_without_the_journal_from_systemd_s_own_record() {
        check(&dead_node().with(|it| it.journal = denied()), "backend-crashed: confirmed");
    }

    #[test]
    fn a_start_that_never_got_through_is_no_crash() {
        let host = dead_node().with(|it| {
            unit(it, "shop.service", |it| it.main_started_at = Some(ago(31)));
            journal(it, "shop.service", &[(31, "systemd", "Started shop.service - The shop.")]);
            uncaught(it);
        });
        check(&host, "backend-start-failed: confirmed");
        check_ruled_out(&host, "backend-crashed", "shop.service was started and did not come up");
    }

    #[test]
    fn a_stop_by_an_operator_is_no_crash() {
        let host = dead_node().with(|it| {
            unit(it, "shop.service", |it| {
                (it.active_state, it.result) = ("inactive".into(), "success".into())
            });
            let lines = [
                (30, "systemd", "Stopping shop.service - The shop..."),
                (30, "systemd", "shop.service: Main process exited, code=killed, status=15/TERM"),
                (30, "systemd", "Stopped shop.service - The shop."),
            ];
            journal(it, "shop.service", &lines);
        });
        check(&host, "backend-not-running: confirmed");
        check_ruled_out(&host, "backend-crashed", "shop.service was stopped, it did not fail");
    }

    /// A pool of PHP-FPM that runs; nginx was hung up on twice, 11 and 10 seconds before the collection.
    fn php_hung_up() -> Snapshot {
        let reset = "recv() failed (104: Connection reset by peer)";
        let line =
            failed(reset, READING, "fastcgi://unix:/run/php/fpm.sock:").replace("/cart", "/export.php");
        logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line, &line])
            .with(|it| php_fpm(it, "unix:/run/php/fpm.sock", &[("pm.max_children", "5")], "ii"))
    }

    #[test]
    fn a_child_of_php_fpm_that_segfaults_is_named_with_its_path() {
        let host = php_hung_up().with(|it| {
            let segv = "[02-May-2026 13:03:00] WARNING: [pool www] child 501 exited on signal 11 (SIGSEGV) after 61.5 seconds \
                        from start";
            php_log(it, &[(11, segv), (10, segv)]);
        });
        let report = check(&host, "backend-crashed: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.starts_with("PHP-FPM pool www dies while it serves on /export.php: "), "{summary}");
        assert!(summary.contains("signal 11 (SIGSEGV)"), "{summary}");
    }

    #[test]
    fn a_child_of_another_pool_is_not_this_backend_s() {
        let host = php_hung_up().with(|it| {
            let segv = "[02-May-2026 13:03:00] WARNING: [pool blog] child 909 exited on signal 11 (SIGSEGV) after 1 seconds \
                        from start";
            php_log(it, &[(11, segv), (10, segv)]);
        });
        check_not(&host, "backend-crashed");
    }

    #[test]
    fn a_child_that_was_told_to_end_did_not_crash() {
        let host = php_hung_up().with(|it| {
            let quota = "[02-May-2026 13:03:00] NOTICE: [pool www] child 501 exited with code 0 after 61.5 seconds from start";
            php_log(it, &[(11, quota), (10, quota)]);
        });
        check_not(&host, "backend-crashed");
    }

    #[test]
    fn a_crash_far_from_the_failures_is_not_their_cause() {
        let host = php_hung_up().with(|it| {
            let segv = "[02-May-2026 12:58:10] WARNING: [pool www] child 499 exited on signal 11 (SIGSEGV) after 9 seconds \
                        from start";
            php_log(it, &[(300, segv)]);
        });
        check_not(&host, "backend-crashed");
    }

    #[test]
    fn one_crash_beside_many_failures_is_only_possible() {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/cart");
        let lines = [line.as_str(); 20];
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &lines).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
            worker(it, 300, 301, 'S');
            worker(it, 300, 302, 'S');
            let died = "[2026-05-02 13:02:41 +0000] [300] [WARNING] Worker with pid 301 was terminated due to signal 11";
            journal(it, "gunicorn-300.service", &[(32, "gunicorn", died)]);
        });
        let report = crate::diagnose(&host);
        let crash = report.causes.iter().find(|it| it.cause.id == "backend-crashed");
        assert_ne!(crash.map(|it| it.certainty), Some(crate::Certainty::Confirmed), "{}", outline(&report));
    }

    #[test]
    fn without_the_journal_a_worker_s_end_may_have_gone_unseen() {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
            worker(it, 300, 301, 'S');
            it.journal = denied();
        });
        // Where every worker is older than the failures, none of them was replaced.
        check_not(&host, "backend-crashed");
        let host = host.with(|it| process(it, 301, |it| it.started_at = Some(ago(9))));
        check(&host, "backend-crashed: possible");
        check_blind(&host, "backend-worker-timeout", "journal");
    }

    #[test]
    fn what_ends_on_another_host_is_a_blind_spot() {
        let line = failed(CLOSED, READING, "http://10.0.0.7:8000/cart");
        let host = logged(passing_to("proxy_pass http://10.0.0.7:8000"), &[&line]);
        check_blind(&host, "backend-crashed", "the backend's host");
    }
}
