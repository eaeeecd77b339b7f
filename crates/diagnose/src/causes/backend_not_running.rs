use crate::fate::{self, Fate};
use crate::networks;
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// Nothing listens at the dialled address, because the service that should is stopped, disabled or absent.
    ///
    /// ## What you see
    /// `111: Connection refused` on TCP, `2: No such file or directory` or `111` on a unix socket, for every request, and
    /// 502 for the clients.
    ///
    /// ## How we know
    /// No process has the dialled address open. The service that is set up to listen there is inactive, and nobody but
    /// an operator (or a boot without `enable`) ended it; or nothing on this host is set up to listen there at all.
    ///
    /// ## What to do
    /// Start the service, and enable it so that it also comes up after the next boot. If nothing is defined for that
    /// address, ask where the backend is meant to be.
    ///
    /// ## Not to be confused with
    /// `backend-start-failed`: there the service was started and did not come up. `backend-crashed` and
    /// `backend-oom-killed`: there it ran and was ended by a fault. `wrong-upstream-port` and `unix-socket-wrong-path`:
    /// there it runs, elsewhere.
    "backend-not-running",
    explains: [ConnectRefused, ConnectSocketMissing, ConnectTimeout],
    leads_to: ["passive-health-ejection", "auth-subrequest-failed"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    if let Some(there) = &backend.listening {
        return Ok(match case.group.symptom {
            Symptom::ConnectTimeout => Verdict::NotIt,
            _ => Verdict::ruled_out(format!("{} is listening now", there.address)),
        });
    }
    if case.group.symptom == Symptom::ConnectTimeout {
        return Ok(Verdict::NotIt);
    }
    let nothing = nothing_listens(case)?;
    match outage::of(case)? {
        Outage::Stopped { unit, fact, at } => {
            let since = at.map(|it| format!(" since {}", case.scene.clock(it))).unwrap_or_default();
            let summary = format!("{} is stopped{since}: nothing listens at {}", unit.name, case.peer_name());
            let mut found = confirmed(summary).decisive(nothing).decisive(fact);
            if let Some(meant) = &backend.meant {
                found = found.supporting(meant.fact.clone());
            }
            let command = if unit.active_state == "active" { "restart" } else { "start" };
            let mut start = Fix::repair(format!("Start {}", unit.name));
            if unit.file_state == "masked" || unit.load_state == "masked" {
                start = start.run(format!("systemctl unmask {}", unit.name));
            }
            start = start.run(format!("systemctl {command} {}", unit.name));
            let mut found = found.supporting(case.failures_fact()).fix(start);
            if unit.file_state == "disabled" {
                found = found.fix(
                    Fix::repair("Let it come up after a boot as well")
                        .run(format!("systemctl enable {}", unit.name)),
                );
            }
            Ok(found
                .verify(format!("systemctl is-active {}", unit.name))
                .verify(case.verify_command())
                .prevent(format!("Alert when {} is not active", unit.name))
                .into())
        }
        Outage::Undefined => {
            if let Ok(found) = crate::dial::instead(case, backend)? {
                return Ok(Verdict::ruled_out(format!("{} listens at {}", found.name, found.there.at)));
            }
            let summary =
                format!("nothing listens at {}, and no service of this host is set up to", case.peer_name());
            Ok(likely(summary)
                .confidence(0.8)
                .supporting(nothing)
                .supporting(case.failures_fact())
                .fix(Fix::repair("Start the backend, or let nginx dial where it is"))
                .verify(case.verify_command())
                .into())
        }
        Outage::None if backend.meant.as_ref().is_some_and(|it| it.unit.is_some()) => {
            let unit = backend.meant.as_ref().and_then(|it| it.unit).map_or("", |it| it.name.as_str());
            Ok(Verdict::ruled_out(format!("{unit} is running")))
        }
        Outage::Remote => Ok(refused_by_its_host(case)),
        other => Ok(Verdict::ruled_out(outage::why_not(&other))),
    }
}

/// Another host answers that nobody listens there. Its packet filter can answer the same, and from here the two look alike.
fn refused_by_its_host(case: &Case) -> Verdict {
    let Some(Peer::Tcp(peer)) = case.peer().filter(|_| case.group.symptom == Symptom::ConnectRefused) else {
        return Verdict::NotIt;
    };
    if let Some((there, nothing)) = networks::nobody_there(case, *peer) {
        let summary = format!("nothing listens at {peer}, which is {} on this machine", there.name);
        return likely(summary)
            .confidence(0.8)
            .supporting(nothing)
            .supporting(case.failures_fact())
            .fix(Fix::repair(format!("Start the backend in {}", there.name)))
            .verify(case.verify_command())
            .into();
    }
    let Some(sight) = case.sight() else { return Verdict::NotIt };
    if sight.filter.value().is_some_and(|it| it.action != FilterAction::Accept) {
        return Verdict::NotIt;
    }
    let (ip, port) = (peer.ip(), peer.port());
    let summary =
        format!("{ip}, which is another host, refuses connections to port {port}: nothing listens there");
    let found = match sight.connect.value() {
        Some(ConnectOutcome::Failed { errno: 111 }) => likely(summary).confidence(0.7).supporting(
            sight.connect.fact("probe", format!("our own connection to {peer} is refused as well")),
        ),
        Some(_) => return Verdict::ruled_out(format!("{peer} refuses no connection now")),
        None => possible(summary),
    };
    found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!("On {ip}, start the service that should listen at port {port}"))
                .run(format!("ss -ltnp 'sport = :{port}'"))
                .because("the command, run there, shows who listens; if somebody does, a packet filter of that host refuses"),
        )
        .verify(case.verify_command())
        .into()
}

/// That nobody listens where nginx dials, with the reading that shows it.
pub fn nothing_listens(case: &Case) -> Result<Fact, Blind> {
    let says = format!("nothing listens at {}", case.peer_name());
    Ok(match case.peer() {
        Some(Peer::Unix(_)) => case.scene.unix_listeners()?.fact("socket", says),
        _ => case.scene.listeners()?.fact("socket", says),
    })
}

fn from_lines(case: &Case) -> Option<Found> {
    if case.group.symptom == Symptom::ConnectTimeout {
        return None;
    }
    let course = course::of(case);
    let told = fate::of(case);
    let confidence = match &told {
        Some((Fate::Stopped, _)) => 0.8,
        Some(_) => 0.05,
        None if course.since => 0.08,
        None if course.before => 0.35,
        None => 0.4,
    };
    let peer = case.peer_name();
    let first = case.scene.clock(case.group.first);
    let summary = match (course.seen, course.before, course.since || course.between > 0) {
        (true, _, true) => format!("nothing listened at {peer} for a while, first at {first}"),
        (true, true, false) => format!("nothing has listened at {peer} since {first}"),
        (true, false, false) => format!("nothing listens at {peer}, as far as the logs go back"),
        (false, ..) => format!("nothing listens at {peer}"),
    };
    let stopped = told.filter(|(fate, _)| *fate == Fate::Stopped).map(|(_, event)| event.fact());
    Some(
        fits(case, confidence, summary)
            .supporting_each(stopped)
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair(format!("Start the service that should listen at {peer}"))
                    .run(lines::who_listens(case)),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{ConnectOutcome, Snapshot};

    /// Refused connections to the port that shop.service is set up for.
    fn refused() -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line, &line]).with(|it| {
            unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        })
    }

    #[test]
    fn a_stopped_service_is_named_with_the_time_of_its_stop() {
        let host = refused().with(|it| {
            let lines = [
                (20, "systemd", "Stopping shop.service - The shop..."),
                (20, "systemd", "shop.service: Deactivated successfully."),
                (20, "systemd", "Stopped shop.service - The shop."),
            ];
            journal(it, "shop.service", &lines);
        });
        let report = check(&host, "backend-not-running: confirmed");
        let found = &report.causes[0];
        assert_eq!(
            found.summary,
            "shop.service is stopped since 13:02:50: nothing listens at 127.0.0.1:8080"
        );
        assert!(
            found.fixes[0].commands.contains(&"systemctl start shop.service".to_owned()),
            "{:?}",
            found.fixes
        );
    }

    #[test]
    fn a_disabled_service_is_also_to_be_enabled() {
        let host = refused().with(|it| unit(it, "shop.service", |it| it.file_state = "disabled".into()));
        let report = check(&host, "backend-not-running: confirmed");
        let commands: Vec<&String> = report.causes[0].fixes.iter().flat_map(|it| &it.commands).collect();
        assert!(commands.contains(&&"systemctl enable shop.service".to_owned()), "{commands:?}");
    }

    #[test]
    fn a_masked_service_is_unmasked_before_it_is_started() {
        let host = refused().with(|it| unit(it, "shop.service", |it| it.file_state = "masked".into()));
        let report = check(&host, "backend-not-running: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands[0], "systemctl unmask shop.service");
    }

    #[test]
    fn a_missing_socket_of_a_stopped_php_fpm_leads_to_its_unit() {
        let line = failed(
            "connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory)",
            "connecting to upstream",
            "fastcgi://unix:/run/php/php8.2-fpm.sock:",
        );
        let host = logged(passing_to("fastcgi_pass unix:/run/php/php8.2-fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/php8.2-fpm.sock", &[], "");
            unit(it, "php8.2-fpm.service", |it| it.exec_start = "/usr/sbin/php-fpm8.2 --nodaemonize".into());
        });
        let report = check(&host, "backend-not-running: confirmed");
        assert!(
            report.causes[0].summary.starts_with("php8.2-fpm.service is stopped"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn an_address_that_nobody_is_set_up_for_is_no_certainty() {
        let host = refused().with(|it| it.units = seen(Vec::new()));
        check(&host, "backend-not-running: likely");
    }

    #[test]
    fn a_service_that_does_not_come_up_was_not_merely_stopped() {
        let host = refused().with(|it| {
            unit(it, "shop.service", |it| {
                (it.active_state, it.result) = ("failed".into(), "exit-code".into())
            });
            let lines = [
                (40, "systemd", "Started shop.service - The shop."),
                (39, "node", "Error: Cannot find module 'express'"),
                (39, "systemd", "shop.service: Main process exited, code=exited, status=1/FAILURE"),
                (39, "systemd", "shop.service: Failed with result 'exit-code'."),
            ];
            journal(it, "shop.service", &lines);
        });
        check(&host, "backend-start-failed: confirmed");
        check_ruled_out(&host, "backend-not-running", "shop.service was started and did not come up");
    }

    #[test]
    fn a_backend_on_another_port_is_a_wrong_port() {
        let host = refused().with(|it| {
            it.units = seen(Vec::new());
            serving(it, 300, "/usr/bin/node server.js --port 8081", "127.0.0.1:8081");
        });
        check_ruled_out(&host, "backend-not-running", "node-300.service listens at 127.0.0.1:8081");
        let report = crate::diagnose(&host);
        assert!(first(&report).starts_with("wrong-upstream-port"), "{}", outline(&report));
    }

    #[test]
    fn a_backend_that_listens_since_long_was_not_down() {
        let host =
            refused().with(|it| serving(it, 300, "/usr/bin/node server.js --port 8080", "127.0.0.1:8080"));
        check(&host, "inconclusive");
    }

    /// The same from another host.
    fn refused_far_away(connect: Option<ConnectOutcome>) -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://10.0.0.7:8080/cart",
        );
        logged(passing_to("proxy_pass http://10.0.0.7:8080"), &[&line]).with(|it| {
            sight(it, "10.0.0.7:8080", |it| {
                if let Some(connect) = connect {
                    it.connect = seen(connect);
                }
            });
        })
    }

    #[test]
    fn a_refusal_of_another_host_is_likely_for_want_of_a_listener_there() {
        check(&refused_far_away(Some(ConnectOutcome::Failed { errno: 111 })), "backend-not-running: likely");
        check(&refused_far_away(None), "backend-not-running: possible");
    }

    #[test]
    fn another_host_that_refuses_no_more_is_not_said_to_be_down() {
        check_not(&refused_far_away(Some(ConnectOutcome::Connected { micros: 90 })), "backend-not-running");
    }

    #[test]
    fn units_we_may_not_see_are_a_blind_spot() {
        check_blind(&refused().with(|it| it.units = denied()), "backend-not-running", "systemd units");
    }

    #[test]
    fn sockets_we_may_not_see_are_a_blind_spot() {
        check_blind(
            &refused().with(|it| it.net.listeners = denied()),
            "backend-not-running",
            "listening sockets",
        );
    }
}
