use super::backend_start_failed::shortened;
use crate::deaths::{self, Death};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend, or the worker that served the request, died by itself while serving.
    ///
    /// ## What you see
    /// "upstream prematurely closed connection" or `104: Connection reset by peer` at the moment of the crash, then
    /// `111: Connection refused` until something starts it again; perhaps only on one URL, perhaps again and again.
    ///
    /// ## How we know
    /// At the second of the failure a process of this backend ended with a fatal signal, an uncaught error or an exit
    /// status that is not 0, and neither the OOM killer nor the server's own watchdog did it. It had served before.
    ///
    /// ## What to do
    /// Find the failing request (the report names its path) and mend the code or the extension that dies. Until then let
    /// the service manager restart it at once, and take the URL out of service if it is only one.
    ///
    /// ## Not to be confused with
    /// `backend-start-failed`: it never got as far as serving. `backend-oom-killed`: the kernel killed it for memory.
    /// `backend-worker-timeout`: its own manager killed it. `backend-aborts-request`: nobody died.
    "backend-crashed",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset, SendFailed, BodyShort],
    leads_to: ["backend-not-running", "passive-health-ejection", "backend-aborts-request", "invalid-response", "auth-subrequest-failed", "backend-restarting", "keepalive-race"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    if matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing) {
        return match outage::of(case)? {
            Outage::Died { unit, fact, words, deaths } => {
                let reason = words.last().map(|it| format!(": {}", shortened(&it.says))).unwrap_or_default();
                let summary = format!("{} died {} while it served{reason}", unit.name, times(deaths as u64));
                let found = confirmed(summary).decisive(fact).supporting_each(words).only_likely_if(outage::by_timing(case));
                Ok(advice(case, found, Some(unit)).into())
            }
            Outage::None | Outage::Remote | Outage::Undefined => Ok(Verdict::NotIt),
            other => Ok(Verdict::ruled_out(outage::why_not(&other))),
        };
    }
    if let other @ (Outage::StartFails { .. } | Outage::OomKilled { .. } | Outage::AddressTaken { .. }) = outage::of(case)? {
        return Ok(Verdict::ruled_out(outage::why_not(&other)));
    }
    let unit = backend.unit(case.scene);
    let Some(deaths) = deaths::near(case)? else {
        return Ok(Verdict::ruled_out("no process of the backend ended when the requests failed"));
    };
    if deaths.death != Death::Crash {
        let by = match deaths.death {
            Death::Oom => "the OOM killer",
            Death::Watchdog => "the backend's own watchdog",
            _ => "the backend's own recycling of workers",
        };
        return Ok(Verdict::ruled_out(format!("{by} ended the worker")));
    }
    let Some(fact) = deaths.fact() else { return Ok(Verdict::NotIt) };
    let words = unit.zip(fact.at).map(|(unit, at)| crate::story::last_words(case.scene, &unit.name, at)).unwrap_or_default();
    let on = match case.group.paths.as_slice() {
        [(path, _)] => format!(" on {path}"),
        _ => String::new(),
    };
    let summary = format!("{} dies while it serves{on}: {}", backend.name(case.scene), shortened(&fact.says));
    // A crash now and then beside many failures that have none near is not their cause.
    let found = if deaths.share() >= 0.5 || deaths.covered >= 3 { confirmed(summary) } else { possible(summary) };
    let counted = Fact::new("journal", format!("{} of {} failures have such an end within 3 s", deaths.covered, deaths.looked_at));
    let words = words.into_iter().filter(|it| it.says != fact.says);
    let found = found.decisive(fact.clone()).supporting(counted).supporting_each(words);
    Ok(advice(case, found, unit).into())
}

fn advice(case: &Case, found: Found, unit: Option<&Unit>) -> Found {
    let mut found = found.supporting(case.failures_fact());
    if let Some(unit) = unit {
        if unit.active_state != "active" {
            found = found.fix(
                Fix::mitigate(format!("Start {} again", unit.name))
                    .run(format!("systemctl reset-failed {0}; systemctl start {0}", unit.name)),
            );
        }
        if unit.restart == "no" || unit.restart.is_empty() {
            found = found.fix(
                Fix::mitigate(format!("Let systemd restart {} when it dies", unit.name))
                    .run(format!("systemctl edit {}   # [Service] Restart=on-failure, RestartSec=1", unit.name)),
            );
        }
        found = found.verify(format!("systemctl show -p NRestarts,ActiveState {}", unit.name));
    }
    let paths: Vec<&str> = case.group.paths.iter().take(3).map(|(path, _)| path.as_str()).collect();
    if !paths.is_empty() && case.group.symptom != Symptom::ConnectRefused {
        found = found.fix(Fix::repair(format!("Mend what dies on {}", paths.join(", "))));
    }
    found.verify(case.verify_command()).prevent("Alert on every unplanned end of the service, not only on 502s")
}
