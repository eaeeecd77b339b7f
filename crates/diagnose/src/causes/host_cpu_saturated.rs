use crate::rule::*;
use crate::vitals;

/// From that share on the CPUs have nothing left to give.
const BUSY_PCT: f64 = 90.0;
/// Less than that share of a CPU is what an idle server uses.
const WANTS_PCT: f64 = 5.0;

cause! {
    /// The CPUs of the host are saturated by something other than the backend's own slow code.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header` on pages that are quick at other times, on every
    /// backend of this host, while the load is high.
    ///
    /// ## How we know
    /// The CPUs were busy all through the collection, the pressure on them is high (`/proc/pressure/cpu`), and most of
    /// the time went to processes that do not belong to the backend; the report names them.
    ///
    /// ## What to do
    /// Stop, move or limit what eats the CPUs (`CPUQuota=`, `CPUWeight=`, nice), or add CPUs.
    ///
    /// ## Not to be confused with
    /// `backend-cpu-throttled`: there the host has idle CPUs and a quota holds the backend back. `backend-slow`: there
    /// the backend itself does the work.
    "host-cpu-saturated",
    explains: [ReadTimeout, ConnectTimeout, ConnectAgain, SslTimeout],
    leads_to: ["backend-slow", "backend-hung", "worker-pool-exhausted", "php-fpm-pool-exhausted", "listen-queue-overflow", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    let host = &scene.snapshot.host;
    let Some(busy) = host.cpu_busy_pct else { return Ok(Verdict::NotIt) };
    if !backend.local || busy < BUSY_PCT || !vitals::stuck(case, backend).is_empty() {
        return Ok(Verdict::NotIt);
    }
    let processes = scene.processes()?;
    let family: Vec<u32> = backend.family(scene).iter().map(|it| it.pid).collect();
    let share = |it: &&Process| it.cpu_now_pct.unwrap_or(0.0);
    let mine: f64 = processes.value.iter().filter(|it| family.contains(&it.pid)).map(|it| share(&it)).sum();
    let mut others: Vec<&Process> = processes.value.iter().filter(|it| !family.contains(&it.pid)).collect();
    others.sort_by(|a, b| share(b).total_cmp(&share(a)));
    let theirs: f64 = others.iter().map(share).sum();
    let most: Vec<String> = others
        .iter()
        .filter(|it| share(it) > 10.0)
        .take(3)
        .map(|it| match &it.unit {
            Some(unit) => format!("{} of {unit} ({:.0} %)", it.name, share(it)),
            None => format!("{} (pid {}, {:.0} %)", it.name, it.pid, share(it)),
        })
        .collect();
    // One CPU's worth of foreign work on a host with several is not what starves the backend.
    let all = f64::from(host.cpus) * 100.0;
    // Inside a container, processes that take the time may be out of sight: then what is missing tells of them.
    let unseen = (all * busy / 100.0 - theirs - mine).max(0.0);
    let named = !most.is_empty() && theirs >= mine && theirs >= all * 0.25 && theirs + unseen >= all * 0.6;
    // What waits for a CPU is ready to run; what waits for a database sleeps.
    let wants = mine >= WANTS_PCT || backend.family(scene).iter().any(|it| it.state == 'R');
    if !named && (unseen < all * 0.5 || !wants) {
        return Ok(Verdict::ruled_out("it is not the CPU that the backend waits for"));
    }
    let whom = if named { most.join(", ") } else { "something that cannot be seen from here".to_owned() };
    let summary = format!(
        "the host's CPUs are saturated ({busy:.0} % busy) by {whom}; {} gets too little of them",
        backend.name(scene)
    );
    let fact = Fact::new("host", format!("{busy:.0} % of all CPU time was used during the collection"))
        .reference("/proc/stat")
        .at(scene.now());
    let taken = processes
        .fact("process", format!("{whom} and others use {theirs:.0} % of a CPU, the backend {mine:.0} %"));
    let pressure = host.cpu_pressure_pct.map(|it| {
        Fact::new("host", format!("some task waited for a CPU {it:.0} % of the last 10 s"))
            .reference("/proc/pressure/cpu")
    });
    let unit = others.first().and_then(|it| it.unit.clone());
    let fix = Fix::mitigate(format!("Limit or stop {}", most.first().map_or("it", String::as_str)));
    let fix = match unit {
        Some(unit) => fix.run(format!("systemctl set-property --runtime {unit} CPUQuota=50%")),
        None => fix,
    };
    let found = match scene.now().duration_since(case.group.last) < SignedDuration::from_secs(120) {
        true if named && wants => confirmed(summary).decisive(taken),
        true => likely(summary).supporting(taken),
        // What saturates now need not have saturated then.
        false => possible(summary).supporting(taken),
    };
    Ok(found
        .supporting(fact)
        .supporting_each(pressure)
        .supporting(case.failures_fact())
        .fix(fix)
        .verify("cat /proc/pressure/cpu".to_owned())
        .verify(case.verify_command())
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let particular = lines::spread(case) == lines::Spread::Particular;
    let peers: std::collections::BTreeSet<&Peer> = case
        .scene
        .groups
        .iter()
        .filter(|it| it.symptom == case.group.symptom)
        .filter_map(|it| it.peer.as_ref())
        .collect();
    let confidence = match case.group.symptom {
        Symptom::ReadTimeout if peers.len() > 1 => 0.2,
        Symptom::ReadTimeout if !particular && lines::pool_full(case).is_none() => 0.1,
        Symptom::SslTimeout => 0.1,
        _ => return None,
    };
    let summary = "the CPUs of the backend's host may be saturated".to_owned();
    Some(
        fits(case, confidence, summary)
            .fix(Fix::mitigate("Look what takes the CPU").run("top -b -n 1 | head -20"))
            .verify(case.verify_command()),
    )
}
