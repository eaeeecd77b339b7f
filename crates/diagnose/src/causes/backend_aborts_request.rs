use super::{backend_access_denied, request_body_rejected, upgrade_header_mismatch};
use crate::deaths;
use crate::outage::{self, Outage};
use crate::rule::*;
use crate::vitals;

cause! {
    /// The backend and its workers stay alive, but close or reset the connection on particular requests without an answer.
    ///
    /// ## What you see
    /// "upstream prematurely closed connection" or `104: Connection reset by peer` on some requests, usually of one URL,
    /// while the same backend answers others.
    ///
    /// ## How we know
    /// The process that answers now is the one that ran before the failures, no worker ended near them, it answers a
    /// greeting in the protocol that nginx speaks, and it answered other requests in between.
    ///
    /// ## What to do
    /// Look at what the application does on the named URLs: a socket destroyed on purpose, an error path that closes, a
    /// limit of its own, a proxy in front of it that drops. Its log at the named second helps.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there a process died. `keepalive-race`: there only reused idle connections fail, on any URL.
    /// `tls-plaintext-mismatch` and `protocol-mismatch`: there every request fails.
    "backend-aborts-request",
    explains: [PrematureClose, ReadReset],
    leads_to: ["passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if vitals::speaks_otherwise(case) {
        return Ok(Verdict::ruled_out("it speaks another protocol than nginx"));
    }
    if backend.local && backend.listening.is_none() {
        return Ok(Verdict::ruled_out("nothing listens there any more"));
    }
    let ended = deaths::near(case)?;
    if let Some(deaths) = ended.as_ref().filter(|it| it.explain()) {
        let says = deaths.fact().map(|it| it.says).unwrap_or_default();
        return Ok(Verdict::ruled_out(format!("a worker ended at that moment: {says}")));
    }
    let good: Vec<_> = outage::good_answers(case).collect();
    let oldest = backend.processes.iter().filter_map(|it| it.started_at).min();
    // Log stamps are whole seconds, rounded down.
    let same = oldest.is_some_and(|it| it < case.group.first + SignedDuration::from_secs(1));
    let name = case.backend_name();
    let on = case.paths().unwrap_or_else(|| "some requests".to_owned());
    // A path that also succeeds speaks for something that is not in the request: timing, a reused connection, a limit.
    let particular = outage::particular(case);
    let keeps = scene.pass(case.group).is_some_and(|it| it.keeps_connections(scene.view));
    let unseen = deaths::would_be_seen(case).is_err();
    let summary = if unseen {
        format!("{name} hangs up without an answer on {on}, and answers other requests")
    } else {
        format!("{name} hangs up without an answer on {on}; it lives and answers other requests")
    };
    let alive =
        backend.processes.iter().min_by_key(|it| it.started_at).zip(oldest).map(|(process, since)| {
            let says = format!(
                "{} (pid {}) runs since {}, before the first failure",
                process.name,
                process.pid,
                scene.clock(since)
            );
            scene.snapshot.processes.fact("process", says).reference(format!("/proc/{}/stat", process.pid))
        });
    let others = good.last().map(|last| {
        let says = format!("{} to it went well, on other paths", plural(good.len() as u64, "request"));
        Fact::new("access-log", says).reference(last.reference.clone()).at(last.at)
    });
    let found = match (particular, others) {
        (true, Some(others)) if same && ended.is_none() && !unseen => {
            confirmed(summary).decisive(others).confidence(if keeps { 0.9 } else { 0.95 }).only_likely_if(
                upgrade_header_mismatch::may_be(case)
                    || request_body_rejected::left_unread(case)
                    || backend_access_denied::told(case).is_some()
                    // What is under way when somebody restarts or reloads it is cut, and long requests above all.
                    || matches!(outage::of(case)?, Outage::Restarting { .. }),
            )
        }
        // Whether it lives, or is merely there again, could not be seen.
        (true, Some(others)) if backend.local && unseen => possible(summary).supporting(others),
        (true, Some(others)) => likely(summary).supporting(others),
        (false, Some(others)) => possible(summary).supporting(others),
        (_, None) => possible(format!("{name} hangs up without an answer")),
    };
    Ok(found
        .supporting_each(alive.filter(|_| same))
        .supporting_each(vitals::greeting_fact(case))
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!("Look at what the application does on {on}")).run(
            match backend.unit(scene) {
                Some(unit) => {
                    format!("journalctl -u {} --since '{}'", unit.name, scene.clock(case.group.first))
                }
                None => "look into the application's own log at those seconds".to_owned(),
            },
        ))
        .verify(case.verify_command())
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let answers = course.before || course.since || course.between > 0;
    let quick = lines::durations(case).last().is_none_or(|it| *it < 5.0);
    let confidence = match lines::spread(case) {
        _ if lines::is_late(case) => 0.1,
        _ if !quick || lines::refused_after(case) || deaths::by_lines(case).is_some() => 0.06,
        lines::Spread::Particular => 0.4,
        lines::Spread::FewPaths if !course.seen => 0.25,
        _ if answers => 0.12,
        _ => 0.15,
    };
    let on = case.paths().unwrap_or_else(|| "some requests".to_owned());
    let summary = format!("{} hangs up on {on} without an answer", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::repair(format!("Find out in the backend's own log why it hangs up on {on}")))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Answer, Protocol, Snapshot};

    const CLOSED: &str = "upstream prematurely closed connection";
    const READING: &str = "reading response header from upstream";
    const PEER: &str = "127.0.0.1:3000";

    /// Hung up on /export twice, while / went well; the program runs since three hours.
    fn hung_up() -> Snapshot {
        let line = failed(CLOSED, READING, "http://127.0.0.1:3000/export").replace("/cart", "/export");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line, &line]);
        let bad = ("GET /export HTTP/1.1", 502, PEER, "502", "0.010");
        let good = ("GET / HTTP/1.1", 200, PEER, "200", "0.004");
        requested(host, &[good, good, bad, bad]).with(|it| {
            serving(it, 300, "/usr/bin/node server.js --port 3000", PEER);
            greeted(it, PEER, Protocol::Http, Answer::Spoken);
        })
    }

    #[test]
    fn a_living_backend_that_hangs_up_on_one_page_is_named_with_it() {
        let report = check(&hung_up(), "backend-aborts-request: confirmed");
        let expected = "node-300.service (Node.js) hangs up without an answer on /export; it lives and answers other requests";
        assert_eq!(report.causes[0].summary, expected);
        check_ruled_out(&hung_up(), "backend-crashed", "no process of the backend ended");
    }

    #[test]
    fn a_process_that_died_then_did_crash() {
        let host = hung_up().with(|it| {
            process(it, 300, |it| it.started_at = Some(ago(9)));
            unit(it, "node-300.service", |it| it.main_started_at = Some(ago(9)));
            let lines = [
                (11, "node", "Error: out of luck"),
                (11, "systemd", "node-300.service: Main process exited, code=exited, status=1/FAILURE"),
                (11, "systemd", "node-300.service: Failed with result 'exit-code'."),
                (9, "systemd", "Started node-300.service - The shop."),
            ];
            journal(it, "node-300.service", &lines);
        });
        check(&host, "backend-crashed: confirmed");
        check_ruled_out(&host, "backend-aborts-request", "a worker ended at that moment");
    }

    #[test]
    fn a_page_that_also_succeeds_is_no_particular_one() {
        let line = failed(CLOSED, READING, "http://127.0.0.1:3000/");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line]);
        let bad = ("GET /cart HTTP/1.1", 502, PEER, "502", "0.010");
        let good = ("GET /cart HTTP/1.1", 200, PEER, "200", "0.004");
        let host = requested(host, &[good, bad])
            .with(|it| serving(it, 300, "/usr/bin/node server.js --port 3000", PEER));
        check(&host, "backend-aborts-request: possible");
    }

    #[test]
    fn a_backend_of_another_protocol_is_a_mismatch() {
        let host = hung_up().with(|it| {
            sight(it, PEER, |it| it.greetings.clear());
            greeted(it, PEER, Protocol::Http, Answer::Closed);
            greeted(it, PEER, Protocol::Tls, Answer::Spoken);
        });
        check_ruled_out(&host, "backend-aborts-request", "it speaks another protocol than nginx");
    }

    #[test]
    fn without_the_journal_a_worker_that_was_replaced_has_more_likely_died() {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/export").replace("/cart", "/export");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]);
        let bad = ("GET /export HTTP/1.1", 502, "127.0.0.1:8000", "502", "0.010");
        let good = ("GET / HTTP/1.1", 200, "127.0.0.1:8000", "200", "0.004");
        let host = requested(host, &[good, bad]).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
            worker(it, 300, 302, 'S');
            process(it, 302, |it| it.started_at = Some(ago(9)));
            it.journal = denied();
        });
        let report = check(&host, "backend-crashed: possible");
        assert!(
            report.blind_spots.iter().any(|it| it.costs.contains(&"backend-worker-timeout")),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_host_that_may_not_be_looked_at_is_a_blind_spot() {
        check_blind(
            &hung_up().with(|it| it.net.listeners = denied()),
            "backend-aborts-request",
            "listening sockets",
        );
    }
}
