use std::net::SocketAddr;

use crate::dial::dial_instead;
use crate::fate;
use crate::networks;
use crate::rule::*;
use crate::service::Backend;

cause! {
    /// The port is right, but the backend is bound to another address of this host.
    ///
    /// ## What you see
    /// Every connection to the backend is refused (`111: Connection refused`), although `curl` to another address of the
    /// same host, such as 127.0.0.1, gets an answer.
    ///
    /// ## How we know
    /// Nothing accepts connections at the address that nginx dials; the same port is open on another address of this host.
    ///
    /// ## What to do
    /// Bind the backend to the address that is dialled, or let nginx dial the one it is bound to. A backend that only
    /// nginx talks to is best bound to 127.0.0.1; but 127.0.0.1 inside a container is that container alone: dial the other
    /// container by its name, or the host by its address.
    ///
    /// ## Not to be confused with
    /// `wrong-upstream-port`: there the port differs. `upstream-ipv6-mismatch`: there the two addresses are of different
    /// families. `backend-not-running`: there nothing listens anywhere.
    "upstream-address-mismatch",
    explains: [ConnectRefused],
    leads_to: ["backend-not-running"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    let Some(dialled) = backend.dialled.first().copied() else { return Ok(Verdict::NotIt) };
    if let Some(found) = across(case, backend, dialled)? {
        return Ok(found);
    }
    if !backend.local {
        return Ok(Verdict::NotIt);
    }
    if let Some(there) = &backend.listening {
        return Ok(Verdict::ruled_out(format!("{} accepts connections to it", there.address)));
    }
    let listeners = case.scene.listeners()?;
    let same_port =
        |it: &&Listener| it.address.port() == dialled.port() && it.address.is_ipv4() == dialled.is_ipv4();
    let Some(there) = listeners.value.iter().find(same_port) else {
        return Ok(Verdict::ruled_out(format!("nothing listens on port {} at all", dialled.port())));
    };
    let process = there.pids.iter().find_map(|pid| case.scene.process(*pid));
    let unit = process.and_then(|it| it.unit.as_deref());
    let who = unit.or(process.map(|it| it.name.as_str())).unwrap_or("another process");
    let summary = format!(
        "nginx dials {dialled}, but {who} listens on {} only: each connection is refused",
        there.address
    );
    let found =
        confirmed(summary)
            .decisive(listeners.fact("socket", format!("only {} has port {}", there.address, dialled.port())))
            .supporting(case.failures_fact())
            .fix_maybe(dial_instead(case, &there.address.to_string()))
            .fix(Fix::repair(format!("Bind {who} to {} (or to all addresses)", dialled.ip())).risk(format!(
                "restarts {who}; every network that reaches {} can then talk to it",
                dialled.ip()
            )))
            .verify(case.verify_command());
    Ok(found.into())
}

/// The backend is in another network of this machine: 127.0.0.1 in a container is the container itself, and what is bound
/// to a container's loopback cannot be reached from outside it.
fn across(case: &Case, backend: &Backend, dialled: SocketAddr) -> Result<Option<Verdict>, Blind> {
    let scene = case.scene;
    if backend.listening.is_some() || backend.meant.as_ref().is_some_and(|it| it.defined && !runs(it.unit)) {
        return Ok(None);
    }
    let listeners = scene.listeners()?;
    let here = |it: &Listener| it.address.port() == dialled.port();
    if dialled.ip().is_loopback() && listeners.value.iter().any(here) {
        return Ok(None);
    }
    let Some(there) = networks::same_port(case, dialled) else { return Ok(None) };
    let (who, whose, bound) = (&there.who, &there.network.name, there.listener.address);
    let summary = if dialled.ip().is_loopback() {
        let own = networks::own_network(scene);
        format!("nginx dials {dialled} in {own}, but {who} listens on {bound} in the network of {whose}")
    } else {
        format!("{who} listens on {bound} in {whose} only: from outside, {dialled} is refused")
    };
    let nothing = listeners.fact("socket", format!("nothing that nginx reaches listens at {dialled}"));
    let found = if there.sure {
        confirmed(summary).decisive(nothing).decisive(there.fact(scene))
    } else {
        likely(summary).supporting(nothing).supporting(there.fact(scene))
    };
    let bind =
        Fix::repair(format!("Bind {who} to an address of {whose} that nginx reaches, such as 0.0.0.0"))
            .risk(format!("restarts {who}; every network that reaches {whose} can then talk to it"));
    let found = match there.reached_at {
        Some(address) => found.fix_maybe(dial_instead(case, &address.to_string())),
        None => found.fix(bind),
    };
    Ok(Some(
        found
            .supporting(case.failures_fact())
            .verify(case.verify_command())
            .prevent("Let containers that belong together share a network, and dial each other by name")
            .into(),
    ))
}

fn runs(unit: Option<&Unit>) -> bool {
    unit.is_none_or(|it| it.active_state == "active")
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let answered = course.before || course.since || course.between > 0;
    let confidence = match lines::place(case) {
        _ if answered || fate::of(case).is_some() => 0.02,
        lines::Place::Near => 0.25,
        lines::Place::Here if course.seen => 0.15,
        lines::Place::Here | lines::Place::Far => 0.08,
    };
    let peer = case.peer_name();
    let not_once = course.seen && !course.before && !course.since && course.between == 0;
    let has = if not_once { "has not answered once" } else { "refuses connections" };
    let summary = format!("{peer} {has}: the backend may be bound to another address");
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair("Bind the backend to the dialled address, or dial the one that it is bound to")
                    .run("ss -ltnp"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx dials 10.0.0.5:8080 on a host that has this one listener.
    fn listening_on(address: &str) -> Snapshot {
        let listener = Listener {
            address: address.parse().unwrap(),
            v6_only: Some(false),
            waiting: 0,
            backlog: Some(128),
            pids: Vec::new(),
            inode: 1,
            uid: 33,
        };
        let host = passing_to("proxy_pass http://10.0.0.5:8080");
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://10.0.0.5:8080/cart",
        );
        logged(host, &[&line]).with(|it| it.net.listeners = seen(vec![listener]))
    }

    #[test]
    fn a_backend_on_loopback_only_is_named() {
        let report = check(&listening_on("127.0.0.1:8080"), "upstream-address-mismatch: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass http://127.0.0.1:8080;");
    }

    #[test]
    fn another_port_is_another_cause() {
        check_ruled_out(
            &listening_on("127.0.0.1:9000"),
            "upstream-address-mismatch",
            "nothing listens on port 8080",
        );
    }

    #[test]
    fn listeners_we_may_not_see_are_a_blind_spot() {
        let host = listening_on("127.0.0.1:8080").with(|it| it.net.listeners = denied());
        check_blind(&host, "upstream-address-mismatch", "listening sockets");
    }
}
