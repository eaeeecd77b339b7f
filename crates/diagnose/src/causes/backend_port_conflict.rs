use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend cannot bind its address because another process holds it; that process answers nginx instead, or
    /// nobody does.
    ///
    /// ## What you see
    /// Errors that do not fit the application: a foreign 503 or 404 page, "unsupported FastCGI protocol version", a
    /// closed connection; or a refused connection. It began with a restart of the backend or a new program on the host.
    ///
    /// ## How we know
    /// The backend's log says "Address already in use" (EADDRINUSE), and the dialled address is held by a process that
    /// does not belong to the service defined for it.
    ///
    /// ## What to do
    /// Stop or move the other program, then start the backend; or give the backend another port and let nginx dial that.
    ///
    /// ## Not to be confused with
    /// `protocol-mismatch`, its consequence when the other program speaks another protocol. `backend-start-failed`: there
    /// the start fails for another reason.
    "backend-port-conflict",
    explains: [
        ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset, ReadTimeout, ResponseInvalid, HeaderInvalid,
        UpstreamStatus, SslHandshake, SendFailed, HeaderTooBig,
    ],
    leads_to: [
        "backend-not-running", "protocol-mismatch", "tls-plaintext-mismatch", "invalid-response", "upstream-returned-error",
        "backend-start-failed", "backend-aborts-request", "backend-hung", "wrong-upstream-port", "proxy-loop",
    ],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if case.peer().is_none() {
        return Ok(Verdict::NotIt);
    }
    let (unit, holder, fact) = match outage::of(case)? {
        Outage::AddressTaken { unit, holder, fact } => (unit, holder, fact),
        Outage::StartFails { .. } | Outage::Stopped { .. } => {
            return Ok(match case.backend()?.processes.first() {
                Some(holder) => Verdict::ruled_out(format!("{} holds the address, but nobody else claims it", holder.name)),
                None => Verdict::NotIt,
            });
        }
        _ => return Ok(Verdict::NotIt),
    };
    let peer = case.peer_name();
    let who = holder.map(|it| match &it.unit {
        Some(unit) => format!("{} ({unit})", it.name),
        None => format!("{} (pid {})", it.name, it.pid),
    });
    let summary = match &who {
        Some(who) => format!("{} cannot bind {peer}: {who} holds it and answers nginx instead", unit.name),
        None => format!("{} cannot bind its address, so nothing listens at {peer}", unit.name),
    };
    let mut found = confirmed(summary).decisive(fact);
    if let (Some(who), Some(there)) = (&who, &case.backend()?.listening) {
        let mut held = there.fact.clone();
        held.says = format!("{} is held by {who}", there.address);
        found = found.decisive(held);
    }
    let mut move_away = Fix::repair(match &who {
        Some(who) => format!("Stop or move {who}, then start {}", unit.name),
        None => format!("Free the address, then start {}", unit.name),
    });
    if let Some(other) = holder.and_then(|it| it.unit.as_deref()) {
        move_away = move_away.run(format!("systemctl stop {other}")).risk(format!("{other} is down until it gets another address"));
    }
    Ok(found
        .supporting_each(case.backend()?.meant.as_ref().map(|it| it.fact.clone()))
        .supporting(outage::state_fact(case.scene, unit))
        .supporting(case.failures_fact())
        .fix(move_away.run(format!("systemctl restart {}", unit.name)))
        .verify(format!("systemctl is-active {}", unit.name))
        .verify(case.verify_command())
        .prevent("Give each service a port of its own in one list, or let them listen on unix sockets")
        .into())
}
