use crate::dial::{dial_instead, instead};
use crate::fate;
use crate::past;
use crate::rule::*;
use crate::scene::canonical;

cause! {
    /// nginx dials a unix socket that does not exist; the backend meant listens at another path.
    ///
    /// ## What you see
    /// Every connection fails with `2: No such file or directory` (or `111: Connection refused`, when the file of an
    /// earlier run was left behind), while the application is up.
    ///
    /// ## How we know
    /// No process listens at the dialled path and nothing on this host is set up to; a backend that speaks the same
    /// protocol listens at another path. Or the backend answered at the dialled path until it was started again, and
    /// listens elsewhere since. Or it listens at that very path, but in a /tmp or /run of its own.
    ///
    /// ## What to do
    /// Let nginx dial the path at which the backend listens, or give the backend the path that nginx expects.
    ///
    /// ## Not to be confused with
    /// `backend-not-running`: there the service that belongs to the dialled path is down. `unix-socket-permission`: there
    /// the socket exists and denies the worker (`13: Permission denied`).
    "unix-socket-wrong-path",
    explains: [ConnectSocketMissing, ConnectRefused],
    leads_to: ["backend-not-running"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(Peer::Unix(path)) = case.peer() else { return Ok(Verdict::NotIt) };
    let backend = case.backend()?;
    if let Some(there) = &backend.listening {
        return Ok(Verdict::ruled_out(format!("{} is listening now", there.address)));
    }
    let sockets = scene.unix_listeners()?;
    let hidden =
        sockets.value.iter().find(|it| canonical(&it.path) == canonical(path) && it.reachable == Some(false));
    if let Some(hidden) = hidden {
        return Ok(out_of_sight(
            case,
            path,
            &hidden.pids,
            sockets.fact("socket", format!("a socket is bound as {path}")),
        ));
    }
    let found = match instead(case, backend)? {
        Ok(found) => found,
        Err(because) => return Ok(Verdict::ruled_out(because)),
    };
    let (who, at) = (&found.name, &found.there.at);
    let dials = past::dials(scene, case.group);
    let summary = format!("nginx {dials} {path}, which no process listens at; {who} listens on {at}");
    let nothing = sockets.fact("socket", format!("no process listens at {path}"));
    let there = sockets.fact("socket", format!("{who} listens on {at}"));
    let verdict = if found.sure {
        confirmed(summary).decisive(nothing).decisive(there)
    } else {
        likely(summary).supporting(nothing).supporting(there)
    };
    Ok(verdict
        .supporting_each(found.facts)
        .supporting(case.failures_fact())
        .fix_maybe(dial_instead(case, &at.to_string()))
        .fix(Fix::repair(format!("Or let {who} listen at {path}")).risk(format!("restarts {who}")))
        .verify(case.verify_command())
        .prevent(
            "Use a path without a version in it, so that an update of the backend does not move its socket",
        )
        .into())
}

/// The backend is bound to that path, but the file that nginx would open is not its socket.
fn out_of_sight(case: &Case, path: &str, pids: &[u32], bound: Fact) -> Verdict {
    let process = pids.iter().find_map(|pid| case.scene.process(*pid));
    let unit = process.and_then(|it| it.unit.as_deref()).filter(|it| it.ends_with(".service"));
    let who = unit.or(process.map(|it| it.name.as_str())).unwrap_or("another process");
    if path.starts_with("/tmp/") || path.starts_with("/var/tmp/") {
        let summary = format!(
            "{who} listens at {path}, but in a /tmp of its own (PrivateTmp=), which nginx does not see"
        );
        let folder = unit.and_then(|it| it.strip_suffix(".service")).unwrap_or("app");
        let mut fix =
            Fix::repair(format!("Move the socket to a directory that both see, such as /run/{folder}"))
                .because("RuntimeDirectory= makes that directory at each start");
        if let Some(unit) = unit {
            fix = fix
                .run(format!("systemctl edit {unit}   # RuntimeDirectory={folder}"))
                .risk(format!("restarts {unit}"));
        }
        return likely(summary)
            .confidence(0.85)
            .supporting(bound)
            .supporting(case.failures_fact())
            .fix(fix)
            .verify(case.verify_command())
            .into();
    }
    let summary =
        format!("{who} still holds a socket that was bound as {path}, but the file is gone or was replaced");
    let restart = match unit {
        Some(unit) => Fix::repair(format!("Restart {unit}, which makes the file again"))
            .run(format!("systemctl restart {unit}")),
        None => Fix::repair(format!("Restart {who}, which makes the file again")),
    };
    likely(summary)
        .supporting(bound)
        .supporting(case.failures_fact())
        .fix(restart)
        .verify(case.verify_command())
        .prevent("Look for what removes the file: a clean-up job, a second start of the same service, systemd-tmpfiles")
        .into()
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let confidence = match case.group.symptom {
        Symptom::ConnectSocketMissing if fate::of(case).is_some() => 0.06,
        Symptom::ConnectSocketMissing if course.before || course.since => 0.04,
        Symptom::ConnectSocketMissing => 0.35,
        _ if matches!(case.peer(), Some(Peer::Unix(_))) => 0.06,
        _ => return None,
    };
    let summary = format!("{} is not there: the backend may listen at another path", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::repair("Let nginx dial the path that the backend listens at").run("ss -lxp"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx dials that path, which does not exist, on a host where these processes listen.
    fn dialling(path: &str, listening: &[(&str, &str)]) -> Snapshot {
        let message = format!("connect() to unix:{path} failed (2: No such file or directory)");
        let line = failed(&message, "connecting to upstream", &format!("fastcgi://unix:{path}:"));
        let mut host = passing_to(&format!("fastcgi_pass unix:{path}"))
            .with(|it| sight(it, &format!("unix:{path}"), |_| {}));
        for (index, (command, address)) in listening.iter().enumerate() {
            host = host.with(|it| serving(it, 500 + index as u32, command, address));
        }
        logged(host, &[&line])
    }

    const FPM: &str = "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)";

    #[test]
    fn the_socket_of_the_next_version_is_the_one_meant() {
        let host = dialling("/run/php/php8.1-fpm.sock", &[(FPM, "unix:/run/php/php8.2-fpm.sock")]);
        let report = check(&host, "unix-socket-wrong-path: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "fastcgi_pass unix:/run/php/php8.2-fpm.sock;");
    }

    #[test]
    fn of_two_pools_none_is_certain() {
        let pools = [(FPM, "unix:/run/php/choir.sock"), (FPM, "unix:/run/php/organ.sock")];
        check(&dialling("/run/php/php8.2-fpm.sock", &pools), "unix-socket-wrong-path: likely");
    }

    #[test]
    fn a_backend_that_runs_nowhere_is_another_cause() {
        let host = dialling("/run/php/php8.1-fpm.sock", &[]);
        check(&host, "backend-not-running: likely");
        check_ruled_out(&host, "unix-socket-wrong-path", "no other backend listens");
    }

    #[test]
    fn a_socket_in_a_private_tmp_is_out_of_sight() {
        let host = dialling("/tmp/app.sock", &[(FPM, "unix:/tmp/app.sock")]).with(|it| {
            if let Reading::Seen(sockets) = &mut it.net.unix_listeners {
                sockets.value[0].reachable = Some(false);
            }
        });
        check(&host, "unix-socket-wrong-path: likely");
    }

    #[test]
    fn sockets_we_may_not_see_are_a_blind_spot() {
        let host = dialling("/run/php/php8.1-fpm.sock", &[]).with(|it| it.net.unix_listeners = denied());
        check_blind(&host, "unix-socket-wrong-path", "listening unix sockets");
    }
}
