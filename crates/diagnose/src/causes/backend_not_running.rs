use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// Nothing listens at the dialled address, because the service that should is stopped, disabled or absent.
    ///
    /// ## What you see
    /// `111: Connection refused` on TCP, `2: No such file or directory` or `111` on a unix socket, for every request, and
    /// 502 for the clients.
    ///
    /// ## How we know
    /// No process has the dialled address open. The service that is set up to listen there is inactive, and nobody but
    /// an operator (or a boot without `enable`) ended it; or nothing on this host is set up to listen there at all.
    ///
    /// ## What to do
    /// Start the service, and enable it so that it also comes up after the next boot. If nothing is defined for that
    /// address, ask where the backend is meant to be.
    ///
    /// ## Not to be confused with
    /// `backend-start-failed`: there the service was started and did not come up. `backend-crashed` and
    /// `backend-oom-killed`: there it ran and was ended by a fault. `wrong-upstream-port` and `unix-socket-wrong-path`:
    /// there it runs, elsewhere.
    "backend-not-running",
    explains: [ConnectRefused, ConnectSocketMissing, ConnectTimeout],
    leads_to: ["passive-health-ejection", "auth-subrequest-failed"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    if let Some(there) = &backend.listening {
        return Ok(match case.group.symptom {
            Symptom::ConnectTimeout => Verdict::NotIt,
            _ => Verdict::ruled_out(format!("{} is listening now", there.address)),
        });
    }
    if case.group.symptom == Symptom::ConnectTimeout {
        return Ok(Verdict::NotIt);
    }
    let nothing = nothing_listens(case)?;
    match outage::of(case)? {
        Outage::Stopped { unit, fact, at } => {
            let since = at.map(|it| format!(" since {}", case.scene.clock(it))).unwrap_or_default();
            let summary = format!("{} is stopped{since}: nothing listens at {}", unit.name, case.peer_name());
            let mut found = confirmed(summary).decisive(nothing).decisive(fact);
            if let Some(meant) = &backend.meant {
                found = found.supporting(meant.fact.clone());
            }
            let command = if unit.active_state == "active" { "restart" } else { "start" };
            let mut start = Fix::repair(format!("Start {}", unit.name));
            if unit.file_state == "masked" || unit.load_state == "masked" {
                start = start.run(format!("systemctl unmask {}", unit.name));
            }
            start = start.run(format!("systemctl {command} {}", unit.name));
            let mut found = found.supporting(case.failures_fact()).fix(start);
            if unit.file_state == "disabled" {
                found = found.fix(
                    Fix::repair("Let it come up after a boot as well").run(format!("systemctl enable {}", unit.name)),
                );
            }
            Ok(found
                .verify(format!("systemctl is-active {}", unit.name))
                .verify(case.verify_command())
                .prevent(format!("Alert when {} is not active", unit.name))
                .into())
        }
        Outage::Undefined => {
            let others = elsewhere(case.scene, &backend.peer, &case.group.scheme)?;
            if let Some(there) = others.iter().find(|it| !it.dialled_otherwise) {
                return Ok(Verdict::ruled_out(format!("{} listens at {}", there.name(), there.at)));
            }
            let summary = format!("nothing listens at {}, and no service of this host is set up to", case.peer_name());
            Ok(likely(summary)
                .confidence(0.8)
                .supporting(nothing)
                .supporting(case.failures_fact())
                .fix(Fix::repair("Start the backend, or let nginx dial where it is"))
                .verify(case.verify_command())
                .into())
        }
        Outage::None if backend.meant.as_ref().is_some_and(|it| it.unit.is_some()) => {
            let unit = backend.meant.as_ref().and_then(|it| it.unit).map_or("", |it| it.name.as_str());
            Ok(Verdict::ruled_out(format!("{unit} is running")))
        }
        Outage::Remote => Ok(Verdict::NotIt),
        other => Ok(Verdict::ruled_out(outage::why_not(&other))),
    }
}

/// That nobody listens where nginx dials, with the reading that shows it.
pub fn nothing_listens(case: &Case) -> Result<Fact, Blind> {
    let says = format!("nothing listens at {}", case.peer_name());
    Ok(match case.peer() {
        Some(Peer::Unix(_)) => case.scene.unix_listeners()?.fact("socket", says),
        _ => case.scene.listeners()?.fact("socket", says),
    })
}
