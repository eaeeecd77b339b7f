use crate::edits::Edits;
use crate::rule::*;

cause! {
    /// An nginx worker (or the whole host) is out of file descriptors.
    ///
    /// ## What you see
    /// `24: Too many open files` from `socket()`, `accept4()` or `open()`, and 500 rather than 502; under load only.
    ///
    /// ## How we know
    /// The kernel said so to nginx. The limit of the running workers is in /proc/PID/limits; each request that is passed on
    /// takes two descriptors, a file or a temporary file one more.
    ///
    /// ## What to do
    /// Raise `worker_rlimit_nofile` to at least twice `worker_connections`, and the unit's LimitNOFILE if it is lower.
    ///
    /// ## Not to be confused with
    /// `nginx-worker-connections-exhausted`: there nginx's own count is used up. `backend-fd-exhausted`: there the backend is
    /// out of them.
    "nginx-fd-exhausted",
    explains: [SocketFdLimit],
    leads_to: ["passive-health-ejection", "nginx-worker-connections-exhausted", "upstream-servers-all-down"],
    judge: Judge::Group(judge),
}

/// ENFILE: the whole host is out of descriptors.
const HOST_FULL: i32 = 23;

/// nginx's packages and most guides use this; it costs a few kilobytes of kernel memory for each that is open.
const GENEROUS_LIMIT: u64 = 65536;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let scene = case.scene;
    let errno = last.errno.map(|it| format!("{it}: ")).unwrap_or_default();
    let says = format!("\"{errno}{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    if last.errno == Some(HOST_FULL) {
        return Ok(confirmed("The whole host is out of file descriptors (fs.file-max)")
            .decisive(fact)
            .fix(
                Fix::mitigate("Raise fs.file-max")
                    .run("sysctl fs.file-nr")
                    .run("sysctl -w fs.file-max=2097152"),
            )
            .fix(Fix::repair("Find who holds them: lsof, or the largest /proc/PID/fd"))
            .verify(case.verify_command())
            .into());
    }
    let main = scene.view.main();
    let workers =
        scene.nginx.and_then(|it| it.master.as_ref()).map(|it| it.workers.as_slice()).unwrap_or_default();
    let limit = workers.iter().filter_map(|it| it.open_files_limit).min();
    let connections = u64::from(main.worker_connections.value);
    let at = limit.map(|it| format!(" ({it} each)")).unwrap_or_default();
    let summary = format!(
        "nginx's workers are out of file descriptors{at}, so they cannot open connections to backends"
    );
    let of_workers = limit.map(|limit| {
        let open = workers.iter().filter_map(|it| it.open_files).max();
        let open = open.map(|it| format!(", {it} are open now")).unwrap_or_default();
        let pid = workers.first().map_or(0, |it| it.pid);
        Fact::new("process", format!("the limit of a worker is {limit} descriptors{open}"))
            .reference(format!("/proc/{pid}/limits"))
    });
    let config = main.worker_rlimit_nofile.value.zip(main.worker_rlimit_nofile.from).map(|(value, span)| {
        Fact::new("config", format!("worker_rlimit_nofile {value}")).reference(scene.place(span))
    });
    let wanted = GENEROUS_LIMIT.max(connections * 4).max(limit.unwrap_or(0) * 4);
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting_each(of_workers)
        .supporting_each(config)
        .fix_maybe(raise(scene, wanted))
        .verify(case.verify_command())
        .prevent("Watch the open descriptors of the workers against their limit")
        .into())
}

fn raise(scene: &Scene, wanted: u64) -> Option<Fix> {
    let main = scene.view.main();
    let directive = format!("worker_rlimit_nofile {wanted};");
    let fix = Fix::repair(format!("Raise worker_rlimit_nofile to {wanted}"));
    let fix = fix.because("a proxied request takes two descriptors, more with temporary files");
    let mut edits = Edits::new(scene);
    let before = [main.worker_rlimit_nofile.from, main.worker_processes.from, main.pid.from, main.user.from];
    let place = before.into_iter().flatten().next()?;
    edits.set(&main.worker_rlimit_nofile, &directive, place)?;
    edits.into_fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn line(error: &str) -> String {
        format!(
            "[alert] 101#101: *7 socket() failed ({error}) while connecting to upstream, client: 10.0.0.9, server: \
             shop.example.com, request: \"GET /cart HTTP/1.1\", upstream: \"http://127.0.0.1:8000/cart\", host: \"shop.example.com\""
        )
    }

    #[test]
    fn the_limit_of_the_workers_is_named_and_raised() {
        let host =
            logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line("24: Too many open files")]).with(
                |it| {
                    let Reading::Seen(nginx) = &mut it.nginx else { return };
                    let Reading::Seen(config) = &mut nginx.value[0].config else { return };
                    config.value.files[0].text.insert_str(0, "worker_rlimit_nofile 40;\n");
                },
            );
        let report = check(&host, "nginx-fd-exhausted: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "worker_rlimit_nofile 65536;");
        assert!(report.causes[0].summary.contains("(1024 each)"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_host_without_descriptors_is_told_apart() {
        let host = logged(
            passing_to("proxy_pass http://127.0.0.1:8000"),
            &[&line("23: Too many open files in system")],
        );
        let report = check(&host, "nginx-fd-exhausted: confirmed");
        assert!(report.causes[0].summary.contains("whole host"), "{}", report.causes[0].summary);
    }
}
