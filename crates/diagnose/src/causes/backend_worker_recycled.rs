use crate::deaths::{self, Death};
use crate::rule::*;

cause! {
    /// Connections end unanswered when workers of the backend reach their request quota and are replaced.
    ///
    /// ## What you see
    /// Now and then "upstream prematurely closed connection" or `104: Connection reset by peer`, on any URL, more often
    /// under load, mostly on POSTs (nginx retries GETs that fail on a kept connection).
    ///
    /// ## How we know
    /// At the seconds of the failures the application server's log says that a worker reached its quota and was
    /// replaced (gunicorn "Autorestarting worker", uWSGI's and PHP-FPM's ends of a worker), and nothing died.
    /// It meets any page: where one page alone always fails, it is not this.
    ///
    /// ## What to do
    /// Raise the quota or switch it off, add jitter so that workers do not end together, give the old worker time to
    /// finish (a graceful timeout), or let nginx not keep connections to this backend.
    ///
    /// ## Not to be confused with
    /// `keepalive-race`: there an idle connection is closed for its time, not because its worker ends. `backend-crashed`:
    /// there the worker died of a fault.
    "backend-worker-recycled",
    explains: [PrematureClose, ReadReset, SendFailed],
    leads_to: ["backend-aborts-request", "keepalive-race", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    let Some(deaths) = deaths::near(case)?.filter(|it| it.death == Death::Recycled) else {
        return Ok(Verdict::NotIt);
    };
    let Some(fact) = deaths.fact() else { return Ok(Verdict::NotIt) };
    let name = backend.name(case.scene);
    let summary =
        format!("{name} replaces workers that reached their request quota, and drops what they still hold");
    let counted = Fact::new(
        "journal",
        format!("{} of {} failures have a worker's replacement near", deaths.covered, deaths.looked_at),
    );
    let found = if deaths.share() >= 0.6 {
        confirmed(summary).decisive(fact)
    } else {
        likely(summary).supporting(fact)
    };
    let unit = backend.unit(case.scene).map(|it| it.name.clone()).unwrap_or_default();
    Ok(found
        .supporting(counted)
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Raise the quota (max_requests, max-requests, pm.max_requests), with jitter")
                .run(format!("systemctl edit --full {unit}"))
                .risk(format!("restarts {name}")),
        )
        .fix(
            Fix::mitigate("Let nginx open a new connection for each request to this backend")
                .because("then no request is sent on a connection of a worker that is about to end"),
        )
        .verify(case.verify_command())
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let told = deaths::by_lines(case).filter(|it| it.death == Death::Recycled);
    let peer = case.peer_name();
    let Some(told) = told else {
        if lines::spread(case) == lines::Spread::Particular || !course::of(case).before {
            return None;
        }
        let summary = format!("the backend at {peer} may cut requests as its workers reach their quota");
        let confidence = if lines::in_rows(case, 3) { 0.04 } else { 0.13 };
        return Some(fits(case, confidence, summary).verify(case.verify_command()));
    };
    let summary = format!("the backend at {peer} cut requests as its workers reached their quota");
    Some(
        fits(case, 0.3 + 0.5 * told.share(), summary)
            .supporting_each(told.fact())
            .fix(Fix::repair("Let workers end between requests, or raise their quota"))
            .verify(case.verify_command()),
    )
}
