use crate::failure::Notice;
use crate::reload::{brief, place_in};
use crate::rule::*;
use nginx_logs::error::Level;
use snapshot::Nginx;

cause! {
    /// nginx does not run.
    ///
    /// ## What you see
    /// Clients get no answer at all (connection refused), or the answer of another program that took nginx's port.
    ///
    /// ## How we know
    /// nginx is installed and there is no master process. Its unit, its journal and the configuration files say why: stopped
    /// by somebody, refused its configuration, its port was taken, or killed.
    ///
    /// ## What to do
    /// Remove the reason that is named, then start nginx.
    ///
    /// ## Not to be confused with
    /// `config-reload-failed`: there nginx goes on with its old configuration. `nginx-worker-crash`: there the master
    /// replaces workers that die.
    "nginx-not-running",
    explains: [],
    leads_to: ["nginx-worker-crash"],
    judge: Judge::Host(judge),
}

fn judge(scene: &Scene) -> Result<Verdict, Blind> {
    if scene.snapshot.is_of_logs() {
        return Ok(from_lines(scene).map_or(Verdict::NotIt, Verdict::from));
    }
    let all = Blind::of("nginx processes", &scene.snapshot.nginx)?;
    let Some((nginx, asked_about)) = down(scene, &all.value) else { return Ok(Verdict::NotIt) };
    let unit = nginx.unit.as_deref().and_then(|it| scene.unit(it)).or_else(|| scene.unit("nginx.service"));
    let unit_name = unit.map_or("nginx.service", |it| it.name.as_str());
    let none =
        all.fact("process", format!("{} is installed, and no nginx master process runs", nginx.binary));
    let state = unit.map(|it| crate::outage::state_fact(scene, it));
    let start = match unit {
        Some(unit) => format!("systemctl start {}", unit.name),
        None => nginx.binary.clone(),
    };
    // The logs and the files are those of the instance that was asked about.
    let emergency = emergency(scene, unit).filter(|_| asked_about);
    let verify = format!("systemctl is-active {unit_name} || pgrep -x nginx");
    let found = match emergency {
        Some((notice, fact)) if is_taken(notice) => {
            let port = port_of(&notice.message);
            let (holder, held) = port.map(|it| holder(scene, it)).transpose()?.flatten().unzip();
            let who = holder.clone().unwrap_or_else(|| "another process".to_owned());
            let where_ = port.map_or_else(|| "its address".to_owned(), |it| format!("port {it}"));
            let fix = match &holder {
                Some(holder) => {
                    Fix::repair(format!("Stop {holder} or move it off {where_}, then start nginx"))
                        .risk(format!("whatever {holder} serves there goes away"))
                        .run(start.clone())
                }
                None => Fix::repair(format!("Free {where_}, then start nginx")).run(start.clone()),
            };
            confirmed(format!("nginx does not run: {where_} is taken by {who}, so it could not start"))
                .decisive(none)
                .decisive(fact)
                .supporting_each(held)
                .fix(fix)
        }
        Some((Notice { message, .. }, fact)) => {
            let (place, message) = (place_in(message), brief(message));
            let fix = match place {
                Some(place) => Fix::repair(format!("Mend {place} ({message}), then start nginx")),
                None => Fix::repair(format!("Mend what nginx complains of ({message}), then start it")),
            };
            confirmed(format!("nginx does not run: it refused to start: {message}"))
                .decisive(none)
                .decisive(fact)
                .supporting_each(
                    scene.config.problems.first().map(|it| Fact::new("config", scene.problem(it))),
                )
                .fix(fix.run(format!("nginx -t && {start}")))
        }
        None => stopped(scene, unit, none, &start, asked_about),
    };
    Ok(found
        .supporting_each(state)
        .verify(verify)
        .prevent(format!("Alert when {unit_name} is not active"))
        .into())
}

/// The instance that should run and does not, and whether it is the one that was asked about: that one, or another that ran
/// in the window. One that is merely installed is nobody's trouble while another runs.
fn down<'a>(scene: &Scene, all: &'a [Nginx]) -> Option<(&'a Nginx, bool)> {
    let first = all.first()?;
    let another_runs = all.iter().any(|it| it.master.is_some());
    let failed = |unit: &str| scene.unit(unit).is_some_and(|it| it.active_state == "failed");
    if first.master.is_none() && (!another_runs || first.unit.as_deref().is_some_and(failed)) {
        return Some((first, true));
    }
    let ended = |unit: &str| {
        let ends = scene.events.iter().filter(|it| it.unit == unit && it.source == "journal");
        let mut ends =
            ends.filter(|it| matches!(it.kind, EventKind::UnitStopped { .. } | EventKind::UnitFailed { .. }));
        ends.next().is_some()
    };
    let mut others = all.iter().filter(|it| it.master.is_none());
    others.find(|it| it.unit.as_deref().is_some_and(ended)).map(|it| (it, std::ptr::eq(it, first)))
}

/// The last emergency of nginx, if it came at its last start and nothing of a later end is known.
fn emergency<'s>(scene: &'s Scene, unit: Option<&Unit>) -> Option<(&'s Notice, Fact)> {
    let last = scene
        .failures
        .notices
        .iter()
        .rev()
        .find(|it| it.level == Level::Emerg && !it.message.starts_with("still could not"));
    let last = last?;
    // An older emergency says nothing about a stop that somebody asked for afterwards.
    let ended = unit
        .filter(|it| it.active_state == "inactive" && it.result == "success")
        .and_then(|it| it.inactive_since);
    if ended.is_some_and(|at| at > last.at + SignedDuration::from_secs(5)) {
        return None;
    }
    let errno = last
        .errno
        .filter(|it| !last.message.contains(&format!("({it}: ")))
        .map(|it| format!(" (errno {it})"));
    let says = format!("nginx: [emerg] {}{}", last.message, errno.unwrap_or_default());
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    Some((last, fact))
}

/// EADDRINUSE.
fn is_taken(notice: &Notice) -> bool {
    notice.message.starts_with("bind() to ") && notice.errno == Some(98)
}

/// The port of "bind() to 0.0.0.0:80 failed (98: …)".
fn port_of(message: &str) -> Option<u16> {
    let address = message.strip_prefix("bind() to ")?.split(' ').next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// Who listens on that port now.
fn holder(scene: &Scene, port: u16) -> Result<Option<(String, Fact)>, Blind> {
    let listeners = scene.listeners()?;
    let Some(listener) = listeners.value.iter().find(|it| it.address.port() == port) else { return Ok(None) };
    let process = listener.pids.iter().find_map(|pid| scene.process(*pid));
    let name = match process {
        Some(process) => match &process.unit {
            Some(unit) => format!("{unit} ({}, pid {})", process.name, process.pid),
            None => format!("{} (pid {})", process.name, process.pid),
        },
        None => format!("a process of uid {}", listener.uid),
    };
    let fact = listeners.fact("socket", format!("{} is held by {name}", listener.address));
    Ok(Some((name, fact)))
}

/// nginx is down and did not complain: somebody stopped it, something killed it, or the files would not be accepted.
fn stopped(scene: &Scene, unit: Option<&Unit>, none: Fact, start: &str, asked_about: bool) -> Found {
    let name = unit.map_or("", |it| it.name.as_str());
    let ends = scene.events.iter().rev().filter(|it| it.unit == name && it.source == "journal");
    let asked = ends
        .filter(|it| matches!(it.kind, EventKind::UnitStopped { .. } | EventKind::UnitStarted { .. }))
        .find(|_| !name.is_empty())
        .filter(|it| matches!(it.kind, EventKind::UnitStopped { .. }));
    let since = asked.map(|it| it.at).or(unit.and_then(|it| it.inactive_since));
    let since = since.map(|at| format!(" since {}", scene.clock(at))).unwrap_or_default();
    if let Some(unit) = unit.filter(|it| {
        it.active_state == "failed" && matches!(it.result.as_str(), "signal" | "oom-kill" | "core-dump")
    }) {
        let how = if unit.result == "oom-kill" {
            "by the OOM killer".to_owned()
        } else {
            format!("by signal {}", unit.exit_status)
        };
        return confirmed(format!("nginx does not run{since}: it was killed {how}"))
            .decisive(none)
            .fix(Fix::mitigate("Start nginx").run(start));
    }
    if let Some(problem) = scene.config.problems.first().filter(|_| asked_about) {
        let text = scene.problem(problem);
        return confirmed(format!(
            "nginx does not run{since}, and its configuration would be refused: {text}"
        ))
        .decisive(none)
        .supporting(Fact::new("config", text.clone()))
        .fix(
            Fix::repair(format!("Mend {text}, then start nginx"))
                .because(problem.advice.clone())
                .run(format!("nginx -t && {start}")),
        );
    }
    let why = match unit {
        Some(unit) if unit.active_state == "failed" => format!("its unit failed ({})", unit.result),
        Some(unit) if unit.load_state == "masked" => "its unit is masked".to_owned(),
        Some(unit) if asked.is_none() && unit.file_state == "disabled" && unit.inactive_since.is_none() => {
            "its unit is disabled, and nothing started it".to_owned()
        }
        _ if asked.is_some()
            || unit.is_some_and(|it| it.inactive_since.is_some() && it.result == "success") =>
        {
            "somebody stopped it, and its configuration has no fault that could be seen".to_owned()
        }
        _ => "nothing that could be seen says why, and its configuration has no fault".to_owned(),
    };
    let words = asked.map(|it| it.fact());
    confirmed(format!("nginx does not run{since}: {why}")).decisive(none).supporting_each(words).fix(
        Fix::mitigate("Start nginx").run(format!("nginx -t && {start}")).because("its configuration parses"),
    )
}

/// What lines alone say: the last word about nginx is its end, or that it could not start, and no request came since.
fn from_lines(scene: &Scene) -> Option<Found> {
    let of_nginx = |it: &&crate::events::Event| it.unit == "nginx.service";
    let ended = scene.events.iter().filter(of_nginx).rfind(|it| {
        matches!(
            it.kind,
            EventKind::UnitStarted { .. }
                | EventKind::UnitStopped { .. }
                | EventKind::UnitFailed { .. }
                | EventKind::StartFailed { .. }
        )
    });
    let ended = ended.filter(|it| !matches!(it.kind, EventKind::UnitStarted { .. }));
    let notices = scene.failures.notices.iter();
    let refusal =
        notices.clone().rfind(|it| it.level == Level::Emerg && !it.message.starts_with("still could not"));
    // A refused reload leaves the running nginx as it is; one that could not have its address was starting.
    let starting = notices.clone().any(|it| it.message.starts_with("still could not bind"));
    let said = notices.clone().rfind(|it| it.message == "exit" || it.message.ends_with(", exiting"));
    let at =
        ended.map(|it| it.at).max(said.map(|it| it.at)).max(refusal.filter(|_| starting).map(|it| it.at))?;
    let second = SignedDuration::from_secs(1);
    let active =
        scene.failures.accesses.iter().map(|it| it.at).chain(scene.failures.entries.iter().map(|it| it.at));
    let lives = active.max().is_some_and(|last| last > at + second)
        || notices.rev().any(|it| it.at > at + second && it.message.starts_with("start worker process"));
    if lives {
        return None;
    }
    let refusal = refusal.filter(|it| it.at + second >= at || starting);
    let summary = match refusal {
        Some(it) => format!("nginx does not run: it refused to start: {}", brief(&it.message)),
        None => format!("nginx ended at {}, and nothing tells of a start since", scene.clock(at)),
    };
    let refused = refusal
        .map(|it| Fact::new("error-log", it.message.clone()).reference(it.reference.clone()).at(it.at));
    let end =
        said.map(|it| Fact::new("error-log", it.message.clone()).reference(it.reference.clone()).at(it.at));
    Some(
        likely(summary)
            .supporting_each(refused)
            .supporting_each(ended.map(|it| it.fact()))
            .supporting_each(end)
            .fix(Fix::repair("Start nginx").run("nginx -t && systemctl start nginx"))
            .verify("systemctl is-active nginx || pgrep -x nginx"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    fn down(host: Snapshot) -> Snapshot {
        host.with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[0].master = None;
        })
    }

    #[test]
    fn a_stopped_nginx_is_named() {
        let host = down(passing_to("proxy_pass http://127.0.0.1:8080")).with(|it| {
            it.units = seen(vec![Unit {
                name: "nginx.service".into(),
                load_state: "loaded".into(),
                active_state: "inactive".into(),
                result: "success".into(),
                inactive_since: Some(it.collected_at - SignedDuration::from_secs(60)),
                ..Unit::default()
            }]);
        });
        let report = check(&host, "nginx-not-running: confirmed");
        assert!(report.causes[0].summary.contains("somebody stopped it"), "{}", report.causes[0].summary);
    }

    #[test]
    fn nobody_is_blamed_for_a_stop_that_nothing_shows() {
        let host = down(passing_to("proxy_pass http://127.0.0.1:8080"));
        let report = check(&host, "nginx-not-running: confirmed");
        assert!(!report.causes[0].summary.contains("somebody"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_port_that_is_taken_is_the_reason_with_its_holder() {
        let line = "[emerg] 300#300: bind() to 0.0.0.0:80 failed (98: Address already in use)";
        let mut host = logged(down(passing_to("proxy_pass http://127.0.0.1:8080")), &[line]);
        serving(&mut host, 400, "/usr/sbin/haproxy -db", "0.0.0.0:80");
        let report = check(&host, "nginx-not-running: confirmed");
        assert!(
            report.causes[0].summary.contains("port 80 is taken by haproxy"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn a_refused_configuration_is_the_reason_with_its_place() {
        let line = "[emerg] 300#300: unknown directive \"proxy_red\" in /etc/nginx/nginx.conf:5";
        let report = check(
            &logged(down(passing_to("proxy_pass http://127.0.0.1:1")), &[line]),
            "nginx-not-running: confirmed",
        );
        assert!(
            report.causes[0].fixes[0].title.contains("/etc/nginx/nginx.conf:5"),
            "{:?}",
            report.causes[0].fixes
        );
    }

    #[test]
    fn an_nginx_that_runs_is_another_cause() {
        check(&passing_to("proxy_pass http://127.0.0.1:8080"), "inconclusive");
    }

    #[test]
    fn one_that_was_stopped_is_named_beside_another_that_runs() {
        let mut host = passing_to("proxy_pass http://127.0.0.1:8080").with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            let mut edge = nginx.value[0].clone();
            (edge.master, edge.unit) = (None, Some("nginx-edge.service".into()));
            nginx.value.push(edge);
        });
        let quiet = crate::diagnose(&host);
        assert!(quiet.causes.is_empty(), "{}", outline(&quiet));
        journal(
            &mut host,
            "nginx-edge.service",
            &[(30, "systemd", "Stopped nginx-edge.service - the edge.")],
        );
        check(&host, "nginx-not-running: confirmed");
    }

    #[test]
    fn without_any_nginx_nothing_is_accused() {
        let host = Snapshot::quiet().with(|it| it.nginx = seen(Vec::new()));
        let report = crate::diagnose(&host);
        assert!(report.causes.is_empty(), "{}", outline(&report));
    }
}
