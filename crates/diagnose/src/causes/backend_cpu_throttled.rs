use crate::outage;
use crate::rule::*;

/// Below that share of throttled periods a quota is felt, but does not decide.
const THROTTLED_SHARE: f64 = 0.3;
/// Length of a period of the CPU controller: the kernel's default and systemd's.
const PERIOD_SECONDS: f64 = 0.1;

cause! {
    /// The backend's cgroup CPU quota holds it back.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header` under load, though the host's CPUs are idle and each
    /// page needs little CPU time.
    ///
    /// ## How we know
    /// The cgroup has a quota (`cpu.max`), and the kernel counts the periods in which it ran out (`nr_throttled`): while
    /// requests wait, that is sure. Later it is likely, if the count is more than what the start of the service took.
    ///
    /// ## What to do
    /// Raise `CPUQuota=` of the unit (or the container's CPU limit), or use less CPU per request.
    ///
    /// ## Not to be confused with
    /// `host-cpu-saturated`: there the whole host is busy. `backend-slow`: there the time goes elsewhere.
    "backend-cpu-throttled",
    explains: [ReadTimeout, ConnectTimeout, ConnectAgain, ClientClosed],
    leads_to: ["backend-slow", "backend-hung", "worker-pool-exhausted", "php-fpm-pool-exhausted", "listen-queue-overflow", "passive-health-ejection", "backend-worker-timeout", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
    }
    let cgroups = scene.cgroups()?;
    let Some(own) = backend.processes.first().map(|it| it.cgroup.as_str()) else { return Ok(Verdict::NotIt) };
    let above = |path: &str| own == path || own.starts_with(&format!("{}/", path.trim_end_matches('/')));
    let limited = cgroups.value.iter().filter(|it| above(&it.path)).find(|it| it.cpu_quota_pct.is_some());
    let Some(cgroup) = limited else { return Ok(Verdict::NotIt) };
    let quota = cgroup.cpu_quota_pct.unwrap_or_default();
    let now = cgroup.throttled_now.filter(|it| it.throttled > 0 && case.group.ongoing(scene.now()));
    let (periods, throttled) = match now {
        Some(now) => (now.periods, now.throttled),
        None => (cgroup.periods_total.unwrap_or(0), cgroup.throttled_periods_total.unwrap_or(0)),
    };
    let share = if periods == 0 { 0.0 } else { throttled as f64 / periods as f64 };
    if share < THROTTLED_SHARE {
        return Ok(Verdict::ruled_out(format!(
            "its quota of {quota:.0} % ran out in {throttled} of {periods} periods only"
        )));
    }
    // The counters are as old as the service: much of them may be its start, which nobody waited for.
    let felt = starting_seconds(case) + waiting_seconds(case) * THROTTLED_SHARE;
    if now.is_none() && throttled as f64 * PERIOD_SECONDS < felt {
        return Ok(Verdict::ruled_out(format!(
            "its quota of {quota:.0} % ran out {}, which is too seldom to be felt apart from its start",
            times(throttled)
        )));
    }
    let name = backend.name(scene);
    let summary = format!("{name} may use {quota:.0} % of a CPU only, and is held back most of the time");
    let says =
        format!("{}: the quota ran out in {throttled} of {periods} periods (nr_throttled)", cgroup.path);
    let unit = backend.unit(scene).map(|it| it.name.clone()).unwrap_or_default();
    let raised = (quota * 4.0).max(100.0);
    let found = if now.is_some() { confirmed(summary) } else { likely(summary) };
    Ok(found
        .decisive(cgroups.fact("cgroup", says).reference(format!("/sys/fs/cgroup{}/cpu.stat", cgroup.path)))
        .supporting(case.failures_fact())
        .fix(
            Fix::mitigate(format!("Raise its quota to {raised:.0} %"))
                .run(format!("systemctl set-property {unit} CPUQuota={raised:.0}%"))
                .risk("it may take that much CPU from others"),
        )
        .verify(format!("cat /sys/fs/cgroup{}/cpu.stat", cgroup.path))
        .verify(case.verify_command())
        .prevent("Alert when nr_throttled grows faster than 10 % of nr_periods")
        .into())
}

/// From the backend's start to the first request that is known of, where that start lies in the window.
fn starting_seconds(case: &Case) -> f64 {
    let processes = case.backend.as_ref().map_or(&[][..], |it| &it.processes);
    let started = processes.iter().filter_map(|it| it.started_at).min();
    let Some(started) = started.filter(|it| case.scene.snapshot.window.contains(*it)) else { return 0.0 };
    let answered = outage::good_answers(case).map(|it| it.at).filter(|it| *it > started).min();
    let asked = answered.map_or(case.group.first, |it| it.min(case.group.first));
    asked.duration_since(started).as_secs_f64().max(0.0)
}

/// How long clients waited in vain in all, as far as they did not wait side by side.
fn waiting_seconds(case: &Case) -> f64 {
    let limit = case.scene.pass(case.group).map_or(0.0, |it| it.settings.read_timeout.value.as_secs_f64());
    let span = case.group.last.duration_since(case.group.first).as_secs_f64() + limit;
    span.min(limit * case.group.count as f64)
}

fn from_lines(case: &Case) -> Option<Found> {
    let particular = lines::spread(case) == lines::Spread::Particular;
    let confidence = match case.group.symptom {
        Symptom::ReadTimeout if !particular && lines::pool_full(case).is_none() => 0.08,
        Symptom::ReadTimeout => 0.04,
        _ => return None,
    };
    let summary = format!("a CPU quota may hold the backend at {} back", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(Fix::mitigate("Raise the quota, if there is one").run("grep . /sys/fs/cgroup/*/*/cpu.stat"))
            .verify(case.verify_command()),
    )
}
