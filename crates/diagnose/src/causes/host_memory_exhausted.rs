use crate::edits::Edits;
use crate::events::Event;
use crate::failure::Failure;
use crate::rule::*;
use nginx_conf::{Directive, units};

cause! {
    /// The host, or the control group that nginx runs in, has no memory left, and the kernel kills nginx's own workers.
    ///
    /// ## What you see
    /// Clients lose their connections without any status, now and then, on any URL. The access log knows nothing of it; the
    /// error log has `worker process N exited on signal 9` (level alert), and the master starts another worker. Or they get
    /// 500, with `malloc(N) failed (12: Cannot allocate memory)`.
    ///
    /// ## How we know
    /// The kernel's line about the kill names the worker, or nginx's control group, at the second at which the master says
    /// that the worker is gone; it also tells whose limit was reached. Kills of other services are not counted.
    ///
    /// ## What to do
    /// Raise the limit that was reached, or let nginx keep less in memory: buffers count for each request in flight. Where
    /// the whole host is short of memory, find who takes it, and keep nginx out of the killer's choice.
    ///
    /// ## Not to be confused with
    /// `backend-oom-killed`: there the backend is the victim. `nginx-worker-crash`: there the workers die of their own fault
    /// (signal 11).
    "host-memory-exhausted",
    explains: [WorkerExit],
    leads_to: ["nginx-worker-crash"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// SIGKILL, which the OOM killer sends.
const KILLED: i32 = 9;

/// ENOMEM.
const NO_MEMORY: i32 = 12;

/// The kernel says it before the worker is gone, the master after; both stamps are whole seconds in the worst case, and a
/// process with much memory takes a while to end.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// Buffers smaller than this for a request are not what fills the memory.
const LARGE_BUFFER_BYTES: u64 = 1 << 20;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    if let Some(verdict) = refused(case) {
        return Ok(verdict);
    }
    let ends: Vec<(u32, &Failure)> =
        case.entries().filter_map(|it| Some((killed_worker(&it.message)?, it))).collect();
    let Some((_, last)) = ends.last() else { return Ok(Verdict::NotIt) };
    let unit = scene.nginx_unit();
    let killed: Vec<&Event> = ends.iter().filter_map(|(pid, end)| kill_of(scene, *pid, end, unit)).collect();
    let cgroup = unit.and_then(|it| scene.cgroup(&it.cgroup));
    let counted = cgroup.filter(|it| it.oom_kills_total.is_some_and(|it| it > 0));
    let count = ends.len() as u64;
    let says = format!("\"{}\", {}", last.message, times(count));
    let exits = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let counter = counted.map(|it| {
        let says = format!("{} counts {}", it.path, plural(it.oom_kills_total.unwrap_or(0), "OOM kill"));
        scene.snapshot.cgroups.fact("cgroup", says)
    });
    let Some(kill) = killed.last() else {
        if counter.is_some() {
            return Ok(advise(
                case,
                likely(format!("nginx's workers were killed {}, for memory as it seems", times(count))),
                unit,
                None,
            )
            .supporting(exits)
            .supporting_each(counter)
            .into());
        }
        // Without the kernel log and the journal, a kill leaves no trace.
        if scene.snapshot.kernel.value().is_none() {
            scene.journal()?;
        }
        return Ok(Verdict::ruled_out(
            "neither the kernel nor systemd tells of an OOM kill when the workers ended",
        ));
    };
    let limited = limited_by(scene, kill);
    let why = match &limited {
        Limited::Host => match scene.snapshot.host.memory_total_bytes {
            Some(total) => format!("the host's {} MiB are used up", total >> 20),
            None => "the host's memory is used up".to_owned(),
        },
        Limited::Group { name, bytes: Some(bytes) } => format!("{name} may use {} MiB", bytes >> 20),
        Limited::Group { name, .. } => format!("{name} reached its limit"),
        Limited::Unknown => "it or its control group reached the limit".to_owned(),
    };
    let found = confirmed(format!(
        "the kernel kills nginx's own workers for want of memory, {} in the window: {why}",
        times(count)
    ))
    .decisive(kill.fact())
    .supporting(exits)
    .supporting_each(counter);
    Ok(advise(case, found, unit, Some(limited)).into())
}

/// Allocations that the kernel refused to a worker that lives on.
fn refused(case: &Case) -> Option<Verdict> {
    let last = case.entries().next_back().filter(|it| it.errno == Some(NO_MEMORY))?;
    let number = |text: &str| {
        text.split(|it: char| !it.is_ascii_digit()).find(|it| !it.is_empty())?.parse::<u64>().ok()
    };
    let largest = case.entries().filter_map(|it| number(&it.message)).max().unwrap_or(0);
    let says = format!("\"{NO_MEMORY}: {}\", {}", last.message, times(case.group.count));
    let found = confirmed(format!(
        "nginx gets no memory for {}: the kernel refuses its workers up to {} at once",
        plural(case.group.count, "request"),
        if largest >> 20 > 0 { format!("{} MiB", largest >> 20) } else { format!("{largest} bytes") },
    ))
    .decisive(Fact::new("error-log", says).reference(last.reference.clone()).at(last.at));
    let room = case.scene.snapshot.host.memory_available_bytes;
    let room = room.map(|it| Fact::new("memory", format!("{} MiB of the host are available now", it >> 20)));
    let pid =
        case.scene.nginx.and_then(|it| it.master.as_ref()).map_or("PID".to_owned(), |it| it.pid.to_string());
    let fix = Fix::repair("See which limit it is: LimitAS of the unit, or overcommit that is off")
        .run(format!("grep 'Max address space' /proc/{pid}/limits; sysctl vm.overcommit_memory"));
    Some(advise(case, found.supporting_each(room), case.scene.nginx_unit(), None).fix(fix).into())
}

/// The pid in "worker process 123 exited on signal 9".
fn killed_worker(message: &str) -> Option<u32> {
    let (process, rest) = message.split_once(" exited on signal ")?;
    let signal = rest.split(|it: char| !it.is_ascii_digit()).next()?.parse::<i32>().ok()?;
    (signal == KILLED).then(|| process.rsplit(' ').next()?.parse().ok())?
}

/// The kill that ended a worker. The kernel may see it under another pid than nginx does, in a container.
fn kill_of<'s>(scene: &'s Scene, pid: u32, end: &Failure, unit: Option<&Unit>) -> Option<&'s Event> {
    let ours = |cgroup: &str| unit.is_some_and(|unit| cgroup.split('/').any(|it| it == unit.name));
    let near = scene.events.iter().filter(|it| it.near(end.at, SAME_MOMENT));
    let fits = |it: &&Event| match &it.kind {
        EventKind::OomKill { cgroup: Some(cgroup), .. } => it.pid == Some(pid) || ours(cgroup),
        EventKind::OomKill { comm, .. } => it.pid == Some(pid) || comm == "nginx",
        EventKind::UnitOomKill { unit: name } => unit.is_some_and(|it| it.name == *name),
        _ => false,
    };
    // The line with the control group tells most, systemd's least.
    let rank = |it: &&Event| match &it.kind {
        EventKind::OomKill { cgroup: Some(_), .. } => 0,
        EventKind::OomKill { .. } => 1,
        _ => 2,
    };
    near.filter(fits).min_by_key(rank)
}

/// Whose memory is used up.
enum Limited {
    Host,
    Group {
        /// `nginx.service`, `frontend.slice`.
        name: String,
        bytes: Option<u64>,
    },
    Unknown,
}

fn limited_by(scene: &Scene, kill: &Event) -> Limited {
    let EventKind::OomKill { constraint, .. } = &kill.kind else { return Limited::Unknown };
    if constraint.as_deref().is_some_and(|it| it != "CONSTRAINT_MEMCG") {
        return Limited::Host;
    }
    // Source: mem_cgroup_print_oom_context() in mm/memcontrol.c.
    let Some((_, rest)) = kill.text.split_once("oom_memcg=") else { return Limited::Unknown };
    let path = rest.split(',').next().unwrap_or(rest);
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.is_empty() {
        return Limited::Host;
    }
    // A container's control groups are seen below another root from inside.
    let named = |it: &&snapshot::Cgroup| it.path.rsplit('/').next() == Some(name);
    let cgroup = scene.snapshot.cgroups.value().into_iter().flatten().find(named);
    let of_unit = || scene.unit(name).and_then(|it| it.memory_max_bytes);
    Limited::Group {
        name: name.to_owned(),
        bytes: cgroup.and_then(|it| it.memory_max_bytes).or_else(of_unit),
    }
}

fn advise(case: &Case, mut found: Found, unit: Option<&Unit>, limited: Option<Limited>) -> Found {
    let scene = case.scene;
    let service = unit.map_or("nginx.service", |it| it.name.as_str());
    let room = scene.snapshot.host.memory_available_bytes;
    let limit = match &limited {
        Some(Limited::Group { bytes, .. }) => *bytes,
        _ => None,
    };
    if let Some(Limited::Group { name, bytes: Some(bytes) }) = &limited
        && (name.ends_with(".service") || name.ends_with(".slice"))
    {
        let new = (bytes * 2).min(bytes + room.unwrap_or(u64::MAX / 4) / 2).max(bytes + (bytes >> 2));
        let mut fix = Fix::mitigate(format!("Raise MemoryMax of {name} to {} MiB", new >> 20))
            .run(format!("systemctl set-property {name} MemoryMax={}M", new >> 20))
            .because("twice the limit that was reached, as far as the host has room");
        if let Some(room) = room {
            fix = fix.risk(format!("{} MiB of the host's memory are available now", room >> 20));
        }
        found = found.fix(fix);
    }
    if matches!(limited, Some(Limited::Host)) {
        let says = heaviest(scene).map(|it| format!(": {it}")).unwrap_or_default();
        found = found
            .fix(
                Fix::repair(format!("Find who takes the memory{says}"))
                    .run("ps -eo pid,rss,comm,args --sort=-rss | head"),
            )
            .fix(
                Fix::mitigate("Let the killer choose others before nginx: OOMScoreAdjust=-600 in [Service]")
                    .run(format!("systemctl edit {service}"))
                    .run(format!("systemctl restart {service}"))
                    .risk("something else is killed instead; the restart ends the running requests"),
            );
    }
    if let Some((buffer, bytes)) = largest_buffer(scene) {
        let place = scene.place(buffer.span);
        let written = format!("{} {}", buffer.name, buffer.args_joined());
        let enough = limit.map(|it| {
            format!(", and {} fill the {} MiB", plural(it.div_ceil(bytes).max(1), "request"), it >> 20)
        });
        let says = format!(
            "{written}: each request may hold {} MiB of memory{}",
            bytes >> 20,
            enough.unwrap_or_default()
        );
        found = found.supporting(Fact::new("config", says).reference(place.clone()));
        let fix = Fix::repair(format!(
            "Let nginx keep less of each request in memory ({place}); larger bodies go to a file"
        ));
        let mut edits = Edits::new(scene);
        let smaller = smaller(buffer).and_then(|new| edits.replace(buffer.span, &new));
        found = found.fix(smaller.and_then(|()| edits.into_fix(fix.clone())).unwrap_or(fix));
    }
    found
        .verify(format!("systemctl show {service} -p MemoryCurrent -p MemoryMax"))
        .verify("journalctl -k --since -10min | grep -i oom")
        .prevent("Alert when memory.current of nginx's control group stays above 80 % of memory.max")
}

/// The process that holds most memory now.
fn heaviest(scene: &Scene) -> Option<String> {
    let processes = scene.snapshot.processes.value()?;
    let most = processes.iter().max_by_key(|it| it.resident_bytes)?;
    let bytes = most.resident_bytes.filter(|it| *it > 0)?;
    Some(format!("{} (pid {}) holds {} MiB now", most.name, most.pid, bytes >> 20))
}

/// The directive that lets a request hold most memory, and how much, if that is much.
fn largest_buffer<'s>(scene: &'s Scene) -> Option<(&'s Directive, u64)> {
    let mut largest: Option<(&Directive, u64)> = None;
    let mut open: Vec<&Directive> = scene.config.root.iter().collect();
    while let Some(directive) = open.pop() {
        open.extend(directive.children());
        if let Some(bytes) = held(directive).filter(|it| *it >= LARGE_BUFFER_BYTES)
            && largest.is_none_or(|(_, most)| bytes > most)
        {
            largest = Some((directive, bytes));
        }
    }
    largest
}

/// What a directive lets each request hold.
fn held(directive: &Directive) -> Option<u64> {
    let size = |index: usize| directive.arg(index).and_then(units::size_bytes);
    match directive.name.as_str() {
        "client_body_buffer_size" | "subrequest_output_buffer_size" => size(0),
        name if name.ends_with("_buffer_size") => size(0),
        name if name.ends_with("_buffers") => units::number(directive.arg(0)?)?.checked_mul(size(1)?),
        _ => None,
    }
}

/// nginx's own default, where nothing else hangs on the value.
fn smaller(directive: &Directive) -> Option<String> {
    (directive.name == "client_body_buffer_size").then(|| "client_body_buffer_size 16k;".to_owned())
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let killed = lines::says(case, &["on signal 9"]);
    killed.then(|| {
        fits(case, 0.5, "nginx's own workers were killed, as the OOM killer does")
            .fix(Fix::mitigate("Look for the kill").run("dmesg -T | grep -i oom"))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Cgroup, Snapshot};

    const EXIT: &str = "[alert] 100#100: worker process 4711 exited on signal 9";
    const KILL: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                        oom_memcg=/frontend.slice/nginx.service,task_memcg=/frontend.slice/nginx.service,task=nginx,\
                        pid=4711,uid=33";

    /// A worker of nginx.service was killed just now; its unit may use 24 MiB.
    fn killed() -> Snapshot {
        let host = configured(
            "client_body_buffer_size 16m;\nserver { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }",
        );
        logged(host, &[EXIT]).with(|it| {
            unit(it, "nginx.service", |it| it.cgroup = "/frontend.slice/nginx.service".into());
            let cgroup = Cgroup {
                path: "/frontend.slice/nginx.service".into(),
                memory_max_bytes: Some(24 << 20),
                ..Cgroup::default()
            };
            add(&mut it.cgroups, cgroup);
        })
    }

    #[test]
    fn a_worker_that_the_kernel_killed_is_named_with_the_limit_and_the_buffers() {
        let report = check(&killed().with(|it| kernel(it, 10, KILL)), "host-memory-exhausted: confirmed");
        let cause = &report.causes[0];
        assert!(cause.summary.ends_with("nginx.service may use 24 MiB"), "{}", cause.summary);
        assert_eq!(cause.fixes[0].commands, ["systemctl set-property nginx.service MemoryMax=48M"]);
        assert_eq!(cause.fixes[1].edits[0].new, "client_body_buffer_size 16k;");
        assert!(outline(&report).contains("2 requests fill the 24 MiB"), "{}", outline(&report));
    }

    #[test]
    fn a_host_without_memory_is_named_as_such() {
        let kill =
            "Out of memory: Killed process 4711 (nginx) total-vm:90000kB, anon-rss:60000kB, file-rss:0kB";
        let report = check(&killed().with(|it| kernel(it, 10, kill)), "host-memory-exhausted: confirmed");
        assert!(
            report.causes[0].summary.ends_with("the host's 8192 MiB are used up"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn systemd_s_word_counts_as_well() {
        let says = "nginx.service: A process of this unit has been killed by the OOM killer.";
        let host = killed().with(|it| journal(it, "nginx.service", &[(10, "systemd", says)]));
        check(&host, "host-memory-exhausted: confirmed");
    }

    #[test]
    fn a_kill_of_somebody_else_or_at_another_time_is_no_reason() {
        let other = KILL.replace("nginx", "mysqld").replace("4711", "5");
        for (seconds, line) in [(10, other.as_str()), (300, KILL)] {
            check_not(&killed().with(|it| kernel(it, seconds, line)), "host-memory-exhausted");
        }
    }

    #[test]
    fn a_kill_that_only_the_counter_tells_of_is_likely() {
        let host = killed().with(|it| {
            let snapshot::Reading::Seen(cgroups) = &mut it.cgroups else { return };
            cgroups.value[0].oom_kills_total = Some(1);
        });
        check(&host, "host-memory-exhausted: likely");
    }

    #[test]
    fn a_worker_that_crashed_is_another_cause() {
        let host =
            logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&EXIT.replace("signal 9", "signal 11")]);
        check_not(&host, "host-memory-exhausted");
    }

    #[test]
    fn without_kernel_log_and_journal_it_is_a_blind_spot() {
        let host = killed().with(|it| (it.kernel, it.journal) = (denied(), denied()));
        check_blind(&host, "host-memory-exhausted", "journal");
    }

    #[test]
    fn an_allocation_that_the_kernel_refuses_is_named_with_its_size() {
        let line = "[emerg] 101#101: *7 malloc(209715200) failed (12: Cannot allocate memory), client: 10.0.0.9, server: \
            shop.example.com, request: \"POST /cart HTTP/1.1\", host: \"shop.example.com\"";
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line]);
        let report = check(&host, "host-memory-exhausted: confirmed");
        assert!(report.causes[0].summary.contains("up to 200 MiB"), "{}", report.causes[0].summary);
    }
}
