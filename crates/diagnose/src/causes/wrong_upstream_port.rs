use super::upstream_address_mismatch::dial_instead;
use crate::rule::*;

cause! {
    /// nginx dials a port where nothing listens; the backend meant listens on another one.
    ///
    /// ## What you see
    /// Every connection is refused (`111: Connection refused`), while the application is up and answers on its own port.
    ///
    /// ## How we know
    /// Nothing listens on the dialled port and nothing on this host is set up to; a backend that speaks the same protocol,
    /// and that no other pass of nginx leads to, listens on another port.
    ///
    /// ## What to do
    /// Let nginx dial the port on which the backend listens, or start the backend on the port that nginx expects.
    ///
    /// ## Not to be confused with
    /// `backend-not-running`: there the service that belongs to the dialled port is down. `config-not-reloaded`: there the
    /// files already name the right port.
    "wrong-upstream-port",
    explains: [ConnectRefused],
    leads_to: ["backend-not-running"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if backend.dialled.is_empty() || !backend.local {
        return Ok(Verdict::NotIt);
    }
    if let Some(there) = &backend.listening {
        return Ok(Verdict::ruled_out(format!("{} is listening on the dialled port", there.address)));
    }
    let port = backend.dialled[0].port();
    let listeners = scene.listeners()?;
    if listeners.value.iter().any(|it| it.address.port() == port) {
        return Ok(Verdict::ruled_out(format!("port {port} is open, on another address")));
    }
    let others = elsewhere(scene, &backend.peer, &case.group.scheme)?;
    let Some(candidate) = others.iter().find(|it| matches!(it.at, Peer::Tcp(_)) && !it.dialled_otherwise) else {
        return Ok(Verdict::ruled_out(match others.first() {
            Some(it) => format!("the only other backend, at {}, is dialled by another pass", it.at),
            None => "no other backend listens on this host".to_owned(),
        }));
    };
    if let Some(meant) = &backend.meant
        && !crate::story::moved_to(scene, meant, candidate)
    {
        return Ok(Verdict::ruled_out(meant.fact.says.clone()));
    }
    let rivals = others.iter().filter(|it| matches!(it.at, Peer::Tcp(_)) && !it.dialled_otherwise).count();
    let who = candidate.name();
    let summary = format!("nginx dials {}, where nothing listens; {who} listens on {}", backend.peer, candidate.at);
    let nothing = listeners.fact("socket", format!("nothing listens on port {port}"));
    let there = listeners.fact("socket", format!("{who} listens on {}", candidate.at));
    let heard = candidate
        .speaks
        .filter(|it| *it)
        .map(|_| Fact::new("probe", format!("{} answers as {}", candidate.at, case.group.scheme)));
    let served = crate::story::served_before(case);
    let found = if rivals == 1 && served.is_none() {
        confirmed(summary).decisive(nothing).decisive(there)
    } else {
        likely(summary).supporting(nothing).supporting(there)
    };
    Ok(found
        .supporting_each(heard)
        .supporting(case.failures_fact())
        .fix_maybe(dial_instead(case, &candidate.at.to_string()))
        .fix(Fix::repair(format!("Or let {who} listen on port {port}")).risk(format!("restarts {who}")))
        .verify(case.verify_command())
        .into())
}
