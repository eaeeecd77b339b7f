use super::backend_not_running::nothing_listens;
use crate::deaths::{self, Death};
use crate::fate::{self, Fate};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend's start fails, once or in a loop, so nothing listens at the dialled address.
    ///
    /// ## What you see
    /// Connections are refused (or the unix socket is missing) since a deployment, an edit or a restart. The unit is
    /// `failed`, or `activating (auto-restart)` again and again.
    ///
    /// ## How we know
    /// systemd's result for the unit and the program's own last lines: a syntax error, a missing module, file, user or
    /// directory. It ended within seconds of its start and answered nothing in between.
    ///
    /// ## What to do
    /// Read the quoted line, mend what it names (or go back to the version before), and start the unit.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there it had served requests before it died. `backend-port-conflict`: there the start fails
    /// because something else holds the address. `backend-not-running`: there nobody tried.
    "backend-start-failed",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset],
    leads_to: ["backend-not-running", "passive-health-ejection", "auth-subrequest-failed", "unix-socket-wrong-path"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::StartFailed { .. } | EventKind::StartLimitHit { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    // A server that listens before it loads the application takes connections that it then drops.
    let dropped = matches!(case.group.symptom, Symptom::PrematureClose | Symptom::ReadReset);
    if dropped && deaths::near(case)?.is_none_or(|it| it.death != Death::Crash) {
        return Ok(Verdict::NotIt);
    }
    let (unit, fact, words, attempts, sure) = match outage::of(case)? {
        Outage::StartFails { unit, fact, words, attempts, sure } => (unit, fact, words, attempts, sure),
        Outage::None | Outage::Remote | Outage::Undefined => return Ok(Verdict::NotIt),
        other => return Ok(Verdict::ruled_out(outage::why_not(&other))),
    };
    let reason = words.last().map(|it| format!(": {}", shortened(&it.says))).unwrap_or_default();
    let tried = if attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
    let what = if unit.active_state == "active" && !dropped { "a program of " } else { "" };
    let found = confirmed(format!("{what}{} does not come up{tried}{reason}", unit.name))
        .decisive(fact)
        .supporting_each(words);
    let found = found.only_likely_if(outage::by_timing(case) || !sure);
    let found = match case.backend()?.listening {
        None => found.supporting(nothing_listens(case)?),
        Some(_) => found,
    };
    let unit_file =
        if unit.fragment_path.is_empty() { String::new() } else { format!(" ({})", unit.fragment_path) };
    Ok(found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!("Mend what {} says at its start, then start it{unit_file}", unit.name))
                .run(format!("journalctl -u {} -n 50 --no-pager", unit.name))
                .run(format!("systemctl reset-failed {0} && systemctl restart {0}", unit.name)),
        )
        .verify(format!("systemctl is-active {}", unit.name))
        .verify(case.verify_command())
        .prevent("Check a new version before it replaces the running one (php-fpm -t, gunicorn --check-config, a start on another port)")
        .into())
}

/// A program's line, short enough for a headline.
pub fn shortened(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let told = fate::of(case);
    let course = course::of(case);
    let (confidence, event) = match told {
        Some((Fate::StartFails, event)) if refused => (0.8, Some(event)),
        Some((Fate::StartFails, event)) if lines::told_near(case, event) && !lines::ever_answered(case) => {
            (0.8, Some(event))
        }
        _ if !refused => return None,
        Some((Fate::Died | Fate::AddressTaken, _)) => (0.08, None),
        Some(_) => (0.03, None),
        None if course.since => (0.04, None),
        // What has never answered was set up wrongly rather than broken since.
        None if course.seen && !course.before => (0.13, None),
        None => (0.18, None),
    };
    let peer = case.peer_name();
    let summary = match event {
        Some(event) => format!("the backend at {peer} does not come up: {}", lines::quote(event)),
        None => format!("the backend at {peer} may have been started and did not come up"),
    };
    Some(
        fits(case, confidence, summary)
            .supporting_each(event.map(|it| it.fact()))
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair("Read what its last start said, mend that, and start it")
                    .run("journalctl -p err --since -1h"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::shortened;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// Refused connections to the port of shop.service, which failed with status 1.
    fn failed_unit() -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8000/cart",
        );
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line, &line]).with(|it| {
            unit(it, "shop.service", |it| {
                it.exec_start = "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app".into();
                (it.active_state, it.sub_state) = ("failed".into(), "failed".into());
                (it.result, it.exit_code, it.exit_status) = ("exit-code".into(), "exited".into(), 3);
            });
        })
    }

    /// What systemd 252 and gunicorn 20.1 write when the application cannot be imported.
    fn import_error(host: &mut Snapshot, seconds: i64) {
        let lines = [
            (seconds, "systemd", "Started shop.service - The shop."),
            (
                seconds - 1,
                "gunicorn",
                "[2026-05-02 13:02:00 +0000] [900] [INFO] Listening at: http://127.0.0.1:8000 (900)",
            ),
            (seconds - 1, "gunicorn", "ModuleNotFoundError: No module named 'flask'"),
            (seconds - 1, "gunicorn", "[2026-05-02 13:02:00 +0000] [901] [INFO] Worker exiting (pid: 901)"),
            (
                seconds - 1,
                "systemd",
                "shop.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED",
            ),
            (seconds - 1, "systemd", "shop.service: Failed with result 'exit-code'."),
        ];
        journal(host, "shop.service", &lines);
    }

    #[test]
    fn a_module_that_is_missing_is_quoted() {
        let report = check(&failed_unit().with(|it| import_error(it, 60)), "backend-start-failed: confirmed");
        let summary = &report.causes[0].summary;
        assert_eq!(summary, "shop.service does not come up: ModuleNotFoundError: No module named 'flask'");
    }

    #[test]
    fn starts_that_fail_again_and_again_are_counted() {
        let host = failed_unit().with(|it| {
            unit(it, "shop.service", |it| {
                (it.active_state, it.sub_state) = ("activating".into(), "auto-restart".into())
            });
            for seconds in [60, 50, 40] {
                import_error(it, seconds);
                let again = format!(
                    "shop.service: Scheduled restart job, restart counter is at {}.",
                    7 - seconds / 10
                );
                journal(it, "shop.service", &[(seconds - 2, "systemd", &again)]);
            }
        });
        let report = check(&host, "backend-start-failed: confirmed");
        assert!(report.causes[0].summary.contains("(3 attempts)"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_program_that_is_not_there_never_began() {
        let host = failed_unit().with(|it| {
            let lines = [
                (60, "systemd", "Starting shop.service - The shop..."),
                (
                    60,
                    "systemd",
                    "shop.service: Failed at step EXEC spawning /usr/bin/gunicorn: No such file or directory",
                ),
                (60, "systemd", "shop.service: Main process exited, code=exited, status=203/EXEC"),
                (60, "systemd", "shop.service: Failed with result 'exit-code'."),
            ];
            journal(it, "shop.service", &lines);
        });
        let report = check(&host, "backend-start-failed: confirmed");
        assert!(
            report.causes[0].summary.contains("/usr/bin/gunicorn: No such file"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn a_pool_file_that_php_fpm_refuses_is_quoted() {
        let line = failed(
            "connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory)",
            "connecting to upstream",
            "fastcgi://unix:/run/php/php8.2-fpm.sock:",
        );
        let host = logged(passing_to("fastcgi_pass unix:/run/php/php8.2-fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/php8.2-fpm.sock", &[], "");
            unit(it, "php8.2-fpm.service", |it| {
                it.exec_start = "/usr/sbin/php-fpm8.2 --nodaemonize".into();
                (it.active_state, it.result) = ("failed".into(), "exit-code".into());
            });
            let entry = "[02-May-2026 13:02:20] ERROR: [/etc/php/8.2/fpm/pool.d/www.conf:22] unknown entry 'pm.max_childern'";
            let lines = [
                (50, "systemd", "Starting php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager..."),
                (50, "php-fpm8.2", entry),
                (50, "php-fpm8.2", "[02-May-2026 13:02:20] ERROR: FPM initialization failed"),
                (50, "systemd", "php8.2-fpm.service: Main process exited, code=exited, status=78/CONFIG"),
                (50, "systemd", "php8.2-fpm.service: Failed with result 'exit-code'."),
                (50, "systemd", "Failed to start php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager."),
            ];
            journal(it, "php8.2-fpm.service", &lines);
        });
        let report = check(&host, "backend-start-failed: confirmed");
        let evidence: Vec<&str> = report.causes[0].evidence.iter().map(|it| it.says.as_str()).collect();
        assert!(evidence.iter().any(|it| it.contains("www.conf:22")), "{evidence:?}");
    }

    #[test]
    fn a_service_that_had_run_for_long_crashed() {
        let host = failed_unit().with(|it| {
            let lines = [
                (60, "gunicorn", "MemoryError: out of luck"),
                (60, "systemd", "shop.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED"),
                (60, "systemd", "shop.service: Failed with result 'exit-code'."),
            ];
            journal(it, "shop.service", &lines);
        });
        check(&host, "backend-crashed: confirmed");
        check_ruled_out(&host, "backend-start-failed", "shop.service had served and died");
    }

    #[test]
    fn a_life_that_only_systemd_s_own_times_tell_of_counts_as_well() {
        let lived = |seconds: i64| {
            failed_unit().with(|it| {
                unit(it, "shop.service", |it| {
                    it.main_started_at = Some(ago(7200 + seconds));
                    it.main_exited_at = Some(ago(7200));
                });
            })
        };
        check(&lived(1), "backend-start-failed: confirmed");
        check(&lived(86_400), "backend-crashed: confirmed");
    }

    #[test]
    fn a_journal_that_we_may_not_see_is_a_blind_spot() {
        check_blind(&failed_unit().with(|it| it.journal = denied()), "backend-start-failed", "journal");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(shortened(&"ß".repeat(200)).chars().count(), 121);
        assert_eq!(shortened("  short "), "short");
    }
}
