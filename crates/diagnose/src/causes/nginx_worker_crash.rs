use crate::rule::*;

cause! {
    /// nginx's workers die on a signal.
    ///
    /// ## What you see
    /// `worker process N exited on signal 11` in the error log (level alert). The clients of that worker lose their
    /// connection without any status; the master starts another worker, so it may go unnoticed.
    ///
    /// ## How we know
    /// The master says so; the kernel log has a line about the fault.
    ///
    /// ## What to do
    /// Look at what was added to nginx: third-party and dynamic modules, Lua, a library that was upgraded below it. Take the
    /// last one out, or upgrade nginx and its modules together. `worker_rlimit_core` and a core dump name the place.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there the backend's process dies. `host-memory-exhausted`: there the kernel kills workers for want
    /// of memory (signal 9).
    "nginx-worker-crash",
    explains: [WorkerExit],
    leads_to: ["client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// Signals that a faulty program brings upon itself: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
const FAULTS: &[i32] = &[4, 5, 6, 7, 8, 11, 31];

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let signals: Vec<(i32, &crate::failure::Failure)> =
        case.entries().filter_map(|it| Some((signal(&it.message)?, it))).collect();
    let faults: Vec<_> = signals.iter().filter(|(it, _)| FAULTS.contains(it)).collect();
    let Some((signal, last)) = faults.last() else { return Ok(other_end(case, &signals)) };
    let name = signal_name(*signal);
    let kernel = scene.events.iter().rev().find(|it| {
        matches!(&it.kind, EventKind::Segfault { comm } if comm == "nginx")
            && it.near(last.at, SignedDuration::from_secs(5))
    });
    let modules = loaded_modules(scene);
    let with = match modules.as_slice() {
        [] => String::new(),
        some => {
            format!("; it has loaded {}", some.iter().map(|it| it.0.as_str()).collect::<Vec<_>>().join(", "))
        }
    };
    let count = faults.len() as u64;
    let summary =
        format!("nginx's own workers die on signal {signal} ({name}), {} in the window{with}", times(count));
    let says = format!("\"{}\", {}", last.message, times(count));
    let found = confirmed(summary)
        .decisive(Fact::new("error-log", says).reference(last.reference.clone()).at(last.at))
        .supporting_each(kernel.map(|it| it.fact()))
        .supporting_each(modules.iter().take(3).map(|(module, place)| {
            Fact::new("config", format!("load_module {module}")).reference(place.clone())
        }))
        .fix(
            Fix::repair("Take out the module that was added or upgraded last, or upgrade nginx and its modules together")
                .run("nginx -V 2>&1 | tr ' ' '\\n' | grep -E 'version|module'"),
        )
        .fix(
            Fix::mitigate("Keep a core dump of the next one: it names the place")
                .run("coredumpctl info nginx")
                .because("with worker_rlimit_core 512m; and working_directory /var/tmp; in the main context"),
        )
        .verify("grep 'exited on signal' /var/log/nginx/error.log | tail");
    Ok(found.into())
}

/// Workers that ended otherwise: killed from outside, or with an exit code.
fn other_end(case: &Case, signals: &[(i32, &crate::failure::Failure)]) -> Verdict {
    let Some(last) = case.entries().rfind(|it| it.message.contains(" exited ")) else {
        return Verdict::NotIt;
    };
    if signals.iter().any(|(it, _)| *it == 9) {
        let near = |it: &&crate::events::Event| it.near(last.at, SignedDuration::from_secs(10));
        let oom = case
            .scene
            .events
            .iter()
            .filter(near)
            .find(|it| matches!(&it.kind, EventKind::OomKill { comm, .. } if comm == "nginx"));
        if let Some(oom) = oom {
            return Verdict::ruled_out(format!(
                "the kernel killed the worker for want of memory: {}",
                oom.text.trim()
            ));
        }
    }
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    likely(format!("nginx's own workers end unasked: {}", last.message))
        .supporting(Fact::new("error-log", says).reference(last.reference.clone()).at(last.at))
        .fix(
            Fix::repair(
                "Read what stands before that line in the error log, and the kernel log of that minute",
            )
            .run("journalctl -k --since -1h"),
        )
        .into()
}

/// The number in "worker process 123 exited on signal 11 (core dumped)".
fn signal(message: &str) -> Option<i32> {
    let (_, rest) = message.split_once(" exited on signal ")?;
    rest.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => "SIGILL, an illegal instruction",
        5 => "SIGTRAP",
        6 => "SIGABRT, it gave itself up",
        7 => "SIGBUS",
        8 => "SIGFPE",
        11 => "SIGSEGV, a memory fault",
        _ => "SIGSYS, a forbidden system call",
    }
}

/// Dynamic modules, with the place that loads them.
fn loaded_modules(scene: &Scene) -> Vec<(String, String)> {
    let loads = scene.config.root.iter().filter(|it| it.name == "load_module");
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    loads.filter_map(|it| Some((name(it.arg(0)?), scene.place(it.span)))).collect()
}

fn from_lines(case: &Case) -> Option<Found> {
    let Ok(Verdict::Found(found)) = judge(case) else { return None };
    // Nobody but the OOM killer, or an operator, sends signal 9.
    let killed = lines::says(case, &["on signal 9"]);
    Some(if killed && found.certainty != crate::Certainty::Confirmed {
        Found { confidence: 0.35, ..*found }
    } else {
        *found
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    #[test]
    fn a_worker_that_dies_on_a_memory_fault_is_named() {
        let line = "[alert] 100#100: worker process 4711 exited on signal 11 (core dumped)";
        let report = check(
            &logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]),
            "nginx-worker-crash: confirmed",
        );
        assert!(report.causes[0].summary.contains("signal 11"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_worker_that_was_killed_is_not_called_a_crash_for_sure() {
        let line = "[alert] 100#100: worker process 4711 exited on signal 9";
        check(&logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]), "nginx-worker-crash: likely");
    }
}
