use crate::rule::*;

/// Below that share of throttled periods a quota is felt, but does not decide.
const THROTTLED_SHARE: f64 = 0.3;

cause! {
    /// The backend's cgroup CPU quota holds it back.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header` under load, though the host's CPUs are idle and each
    /// page needs little CPU time.
    ///
    /// ## How we know
    /// The cgroup has a quota (`cpu.max`), and the kernel counts the periods in which it ran out (`nr_throttled`).
    ///
    /// ## What to do
    /// Raise `CPUQuota=` of the unit (or the container's CPU limit), or use less CPU per request.
    ///
    /// ## Not to be confused with
    /// `host-cpu-saturated`: there the whole host is busy. `backend-slow`: there the time goes elsewhere.
    "backend-cpu-throttled",
    explains: [ReadTimeout, ConnectTimeout, ConnectAgain],
    leads_to: ["backend-slow", "backend-hung", "worker-pool-exhausted", "php-fpm-pool-exhausted", "listen-queue-overflow", "passive-health-ejection", "backend-worker-timeout"],
    judge: Judge::Group(judge),
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
    let (periods, throttled) = match cgroup.throttled_now {
        Some(now) if now.throttled > 0 => (now.periods, now.throttled),
        _ => (cgroup.periods_total.unwrap_or(0), cgroup.throttled_periods_total.unwrap_or(0)),
    };
    let share = if periods == 0 { 0.0 } else { throttled as f64 / periods as f64 };
    if share < THROTTLED_SHARE {
        return Ok(Verdict::ruled_out(format!(
            "its quota of {quota:.0} % ran out in {throttled} of {periods} periods only"
        )));
    }
    let name = backend.name(scene);
    let summary = format!("{name} may use {quota:.0} % of a CPU only, and is held back most of the time");
    let says =
        format!("{}: the quota ran out in {throttled} of {periods} periods (nr_throttled)", cgroup.path);
    let unit = backend.unit(scene).map(|it| it.name.clone()).unwrap_or_default();
    let raised = (quota * 4.0).max(100.0);
    Ok(confirmed(summary)
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
