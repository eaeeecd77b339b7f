use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// Requests fail only in short windows around starts or restarts of the backend; outside of them it is fine.
    ///
    /// ## What you see
    /// Bursts of `111: Connection refused` (or a missing socket) of a few seconds, at deployments, at boot, or at
    /// nightly restarts, and nothing in between.
    ///
    /// ## How we know
    /// systemd's lines about starts and stops that somebody asked for lie at the very seconds of the failures; the
    /// backend answers before and after.
    ///
    /// ## What to do
    /// Restart without a gap: a graceful reload where the server has one, a socket unit (systemd keeps the socket open
    /// and connections wait), two instances behind one upstream, or nginx started after the backend.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there nobody asked for the restart. `backend-not-running`: there it does not come back.
    "backend-restarting",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset],
    leads_to: ["backend-not-running", "passive-health-ejection", "backend-aborts-request"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Outage::Restarting { unit, starts, covered } = outage::of(case)? else { return Ok(Verdict::NotIt) };
    let scene = case.scene;
    let stops = starts.iter().filter(|it| matches!(it.kind, EventKind::UnitStopping { .. })).count();
    let begun = starts.iter().filter(|it| matches!(it.kind, EventKind::UnitStarted { .. })).count();
    let what = if stops == 0 { "was starting" } else { "was restarted" };
    let often = if begun > 1 { format!(", {}", times(begun as u64)) } else { String::new() };
    let summary = format!("{} {what} when the requests failed{often}; it answers now", unit.name);
    let share = format!("{:.0} % of the failures lie in the gaps around its starts", covered * 100.0);
    let last = starts.last().map(|it| it.fact()).unwrap_or_else(|| outage::state_fact(scene, unit));
    let found = if covered >= 0.8 { confirmed(summary).decisive(last) } else { possible(summary).supporting(last) };
    Ok(found
        .supporting(Fact::new("journal", share))
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!("Restart {} without closing its socket", unit.name))
                .because("a socket unit keeps the address open while the service is replaced; a reload replaces workers one by one"),
        )
        .verify(format!("systemctl restart {} and meanwhile: {}", unit.name, case.verify_command()))
        .prevent("Order nginx after the backend (After=) where failures come at boot; add a second server to the upstream group")
        .into())
}
