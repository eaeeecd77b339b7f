use super::backend_not_running::nothing_listens;
use crate::deaths::{self, Death};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend's start fails, once or in a loop, so nothing listens at the dialled address.
    ///
    /// ## What you see
    /// Connections are refused (or the unix socket is missing) since a deployment, an edit or a restart. The unit is
    /// `failed`, or `activating (auto-restart)` again and again.
    ///
    /// ## How we know
    /// systemd's result for the unit and the program's own last lines: a syntax error, a missing module, file, user or
    /// directory. It ended within seconds of its start and answered nothing in between.
    ///
    /// ## What to do
    /// Read the quoted line, mend what it names (or go back to the version before), and start the unit.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there it had served requests before it died. `backend-port-conflict`: there the start fails
    /// because something else holds the address. `backend-not-running`: there nobody tried.
    "backend-start-failed",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset],
    leads_to: ["backend-not-running", "passive-health-ejection", "auth-subrequest-failed", "unix-socket-wrong-path"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    // A server that listens before it loads the application takes connections that it then drops.
    let dropped = matches!(case.group.symptom, Symptom::PrematureClose | Symptom::ReadReset);
    if dropped && deaths::near(case)?.is_none_or(|it| it.death != Death::Crash) {
        return Ok(Verdict::NotIt);
    }
    let (unit, fact, words, attempts) = match outage::of(case)? {
        Outage::StartFails { unit, fact, words, attempts } => (unit, fact, words, attempts),
        Outage::None | Outage::Remote | Outage::Undefined => return Ok(Verdict::NotIt),
        other => return Ok(Verdict::ruled_out(outage::why_not(&other))),
    };
    let reason = words.last().map(|it| format!(": {}", shortened(&it.says))).unwrap_or_default();
    let tried = if attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
    let found = confirmed(format!("{} does not come up{tried}{reason}", unit.name)).decisive(fact).supporting_each(words);
    let found = match case.backend()?.listening {
        None => found.supporting(nothing_listens(case)?),
        Some(_) => found,
    };
    let unit_file = if unit.fragment_path.is_empty() { String::new() } else { format!(" ({})", unit.fragment_path) };
    Ok(found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!("Mend what {} says at its start, then start it{unit_file}", unit.name))
                .run(format!("journalctl -u {} -n 50 --no-pager", unit.name))
                .run(format!("systemctl reset-failed {0} && systemctl restart {0}", unit.name)),
        )
        .verify(format!("systemctl is-active {}", unit.name))
        .verify(case.verify_command())
        .prevent("Check a new version before it replaces the running one (php-fpm -t, gunicorn --check-config, a start on another port)")
        .into())
}

/// A program's line, short enough for a headline.
pub fn shortened(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
