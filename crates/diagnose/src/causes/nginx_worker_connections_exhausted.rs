use crate::edits::Edits;
use crate::rule::*;

cause! {
    /// All of a worker's connections (worker_connections) are in use.
    ///
    /// ## What you see
    /// `N worker_connections are not enough`; clients get 500, or wait, or are dropped.
    ///
    /// ## How we know
    /// nginx says so, with the number. Clients and backends count together: a proxied request takes two connections.
    ///
    /// ## What to do
    /// Raise `worker_connections`, and `worker_rlimit_nofile` to at least twice that. If connections pile up because the
    /// backend is slow, that is the thing to mend.
    ///
    /// ## Not to be confused with
    /// `nginx-fd-exhausted`: there the kernel's limit is reached. `proxy-loop`: there nginx is its own client, and any number
    /// is used up.
    "nginx-worker-connections-exhausted",
    explains: [WorkerConnections],
    leads_to: ["passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// What is proposed at least: twice this is still below the descriptors that systemd lets a service raise itself to.
const GENEROUS_CONNECTIONS: u32 = 4096;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let scene = case.scene;
    let main = scene.view.main();
    let number: Option<u32> = last.message.split(' ').next().and_then(|it| it.parse().ok());
    let used = number.unwrap_or(main.worker_connections.value);
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let place = match main.worker_connections.from {
        Some(span) => scene.place(span),
        None => "nginx's default".to_owned(),
    };
    let configured =
        Fact::new("config", format!("worker_connections {} ({place})", main.worker_connections.value));
    let configured = match main.worker_connections.from {
        Some(span) => configured.reference(scene.place(span)),
        None => configured,
    };
    let slow = scene.successes().filter_map(|it| it.slowest_seconds).fold(0.0, f64::max);
    let slow = (slow >= 1.0).then(|| {
        Fact::new(
            "access-log",
            format!("requests take up to {slow:.1} s, and hold two connections for that long"),
        )
    });
    let wanted = GENEROUS_CONNECTIONS.max(used.saturating_mul(4));
    let found =
        confirmed(format!("nginx's workers use all of their {used} connections (worker_connections)"))
            .decisive(fact)
            .supporting(configured)
            .supporting_each(slow)
            .fix_maybe(raise(scene, wanted))
            .verify(case.verify_command())
            .prevent("Watch stub_status: active connections against worker_processes × worker_connections");
    Ok(found.into())
}

fn raise(scene: &Scene, wanted: u32) -> Option<Fix> {
    let main = scene.view.main();
    let mut edits = Edits::new(scene);
    let workers =
        scene.nginx.and_then(|it| it.master.as_ref()).map(|it| it.workers.as_slice()).unwrap_or_default();
    let limit = workers.iter().filter_map(|it| it.open_files_limit).min().unwrap_or(1024);
    let span = main.worker_connections.from?;
    edits.replace(span, &format!("worker_connections {wanted};"))?;
    let files = u64::from(wanted) * 2;
    let mut fix = Fix::repair(format!("Raise worker_connections to {wanted}"));
    if limit < files {
        let place =
            [main.worker_rlimit_nofile.from, main.worker_processes.from, main.pid.from, main.user.from];
        let set = place.into_iter().flatten().next().and_then(|place| {
            edits.set(&main.worker_rlimit_nofile, &format!("worker_rlimit_nofile {files};"), place)
        });
        fix = fix.because(match set {
            Some(()) => format!(
                "each worker may open {limit} files now, and two connections of a request are two files"
            ),
            None => {
                format!("set worker_rlimit_nofile {files} as well: each worker may open {limit} files now")
            }
        });
    }
    edits.into_fix(fix)
}

fn from_lines(case: &Case) -> Option<Found> {
    match judge(case) {
        Ok(Verdict::Found(found)) if super::proxy_loop::own_requests(case.scene).is_some() => {
            Some(Found { certainty: crate::Certainty::Possible, confidence: 0.15, ..*found })
        }
        Ok(Verdict::Found(found)) => Some(*found),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn the_number_is_named_and_raised_with_the_descriptors() {
        let line = "[alert] 101#101: *7 25 worker_connections are not enough while connecting to upstream, client: 10.0.0.9, \
            server: shop.example.com, request: \"GET /cart HTTP/1.1\", upstream: \"http://127.0.0.1:8000/cart\", host: \"shop\"";
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]).with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            let Reading::Seen(config) = &mut nginx.value[0].config else { return };
            let text = &mut config.value.files[0].text;
            *text = text.replace("events {}", "worker_processes 1;\nevents { worker_connections 25; }");
        });
        let report = check(&host, "nginx-worker-connections-exhausted: confirmed");
        let edits: Vec<&str> = report.causes[0].fixes[0].edits.iter().map(|it| it.new.as_str()).collect();
        assert_eq!(
            edits,
            ["events { worker_connections 4096; }", "worker_processes 1; worker_rlimit_nofile 8192;"]
        );
    }

    #[test]
    fn a_lack_of_descriptors_is_another_cause() {
        let line = "[crit] 101#101: accept4() failed (24: Too many open files)";
        let report = crate::diagnose(&logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]));
        let named = report.causes.iter().any(|it| it.cause.id == "nginx-worker-connections-exhausted");
        assert!(!named, "{}", outline(&report));
    }
}
