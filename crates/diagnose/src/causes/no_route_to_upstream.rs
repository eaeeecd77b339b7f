use crate::rule::*;

cause! {
    /// This host has no way to the backend's address: no route, no local address to dial from, or no answer from its neighbour.
    ///
    /// ## What you see
    /// Connecting fails with `113: No route to host`, `101: Network is unreachable`, `13: Permission denied` (a prohibit
    /// route), `22: Invalid argument` (a blackhole route), `bind(…) failed (99: Cannot assign requested address)`, or a time-out while the neighbour is asked for.
    ///
    /// ## How we know
    /// The kernel is asked for the route to that very address, for the entry of the neighbour behind it, for the addresses
    /// of the interfaces and whether they are up.
    ///
    /// ## What to do
    /// Bring the interface or route back, remove the route that forbids it, start the backend's host, or correct
    /// `proxy_bind`.
    ///
    /// ## Not to be confused with
    /// `firewall-reject`: a rule can answer with the same errors, while route and neighbour are fine.
    /// `upstream-ipv6-mismatch`: there an IPv6 address is dialled without any IPv6. `ephemeral-ports-exhausted`: there
    /// `99` comes from connect(), not from bind().
    "no-route-to-upstream",
    explains: [ConnectNoRoute, ConnectNetUnreachable, ConnectPermission, ConnectNoAddress, ConnectTimeout, ConnectRefused],
    leads_to: ["upstream-blackholed", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(Peer::Tcp(peer)) = case.peer() else { return Ok(Verdict::NotIt) };
    if case.group.symptom == Symptom::ConnectNoAddress {
        return missing_source(case);
    }
    if case.backend.as_ref().is_ok_and(|it| it.local) {
        return Ok(Verdict::NotIt);
    }
    let sight = case.sight();
    // Behind a blackhole route connect() fails at once with EINVAL: in the access log alone that looks like a refusal.
    let refused = case.group.symptom == Symptom::ConnectRefused;
    if refused && sight.and_then(|it| it.connect.value()) != Some(&ConnectOutcome::Failed { errno: 22 }) {
        return Ok(Verdict::NotIt);
    }
    let unseen = Reading::not_asked();
    let route = Blind::of("the route to the backend", sight.map_or(&unseen, |it| &it.route))?;
    let (kind, text) = (route.value.kind.as_str(), route.value.text.trim());
    let explanation = match kind {
        "none" => "this host has no route to it".to_owned(),
        "unreachable" | "prohibit" | "blackhole" | "throw" => format!("a route forbids it ({text})"),
        _ if refused => return Ok(Verdict::NotIt),
        _ => return neighbour(case, *peer),
    };
    // Without any IPv6 the missing route is not the point.
    if peer.is_ipv6() && kind == "none" && !has_ipv6(case)? {
        return Ok(Verdict::ruled_out("this host has no IPv6 at all"));
    }
    let down = interface_down(case, peer.ip());
    let because = down.as_ref().map(|it| format!(": the interface {it} is down")).unwrap_or_default();
    let mut found = confirmed(format!("nginx cannot reach {peer}: {explanation}{because}"))
        .decisive(
            route
                .fact(
                    "route",
                    if text.is_empty() { format!("no route to {}", peer.ip()) } else { text.to_owned() },
                )
                .reference(format!("ip route get {}", peer.ip())),
        )
        .supporting(case.failures_fact());
    if let Some(interface) = &down {
        found = found
            .supporting(
                case.scene
                    .addresses()?
                    .fact("route", format!("{interface}, which leads to its network, is down")),
            )
            .fix(Fix::repair(format!("Bring {interface} up")).run(format!("ip link set {interface} up")));
    } else if kind == "none" {
        found = found.fix(
            Fix::repair(format!("Add the route to {}, or the default route that is missing", peer.ip()))
                .run(format!("ip route get {}", peer.ip()))
                .run("ip route show")
                .because("the gateway cannot be known from here: compare with a host of the same network"),
        );
    } else {
        found = found.fix(
            Fix::repair(format!("Remove the {kind} route, once it is clear who wanted it"))
                .run(removal(text, kind, peer.ip()))
                .risk("somebody may have blocked that network on purpose"),
        );
    }
    Ok(found
        .fix(Fix::mitigate("Until then, mark the server `down`, or let nginx dial another one"))
        .verify(format!("ip route get {}", peer.ip()))
        .verify(case.verify_command())
        .into())
}

/// The route is there: does anybody answer at its end?
fn neighbour(case: &Case, peer: SocketAddr) -> Result<Verdict, Blind> {
    let Some(sight) = case.sight() else { return Ok(Verdict::NotIt) };
    let timed_out = case.group.symptom == Symptom::ConnectTimeout;
    if case.group.symptom == Symptom::ConnectPermission {
        return Ok(Verdict::ruled_out(format!("the route to {} is open", peer.ip())));
    }
    let route = sight.route.value();
    let entry = match &sight.neighbour {
        Reading::Seen(seen) => seen.value.as_ref().map(|it| (seen, it)),
        Reading::Unread(unread) if !timed_out => {
            return Err(Blind::from_unread("the neighbour's entry", unread));
        }
        Reading::Unread(_) => None,
    };
    let connected = matches!(sight.connect.value(), Some(ConnectOutcome::Connected { .. }));
    if let Some((seen, entry)) = entry.filter(|(_, it)| matches!(it.state.as_str(), "failed" | "incomplete"))
    {
        let gateway = entry.ip != peer.ip();
        let interface = route.map(|it| it.interface.as_str()).unwrap_or_default();
        let who = if gateway { format!("the gateway {}", entry.ip) } else { format!("{} itself", entry.ip) };
        let summary = format!(
            "nginx cannot reach {peer}: {who} does not answer on the local network ({interface}); its host is off or gone"
        );
        let fact = seen.fact(
            "neighbour",
            format!("{} on {interface} is {}: nobody answers for it", entry.ip, entry.state),
        );
        let found = if connected {
            likely(summary)
                .supporting(fact)
                .contradicting(Fact::new("probe", format!("our own connection to {peer} succeeded")))
        } else {
            confirmed(summary).decisive(fact.reference(format!("ip neighbour show {}", entry.ip)))
        };
        return Ok(found
            .supporting(case.failures_fact())
            .fix(Fix::repair(format!(
                "Start the host of {}, or correct the address in nginx if it moved",
                entry.ip
            )))
            .fix(Fix::mitigate("Until then, mark the server `down`, so that no request waits for it"))
            .verify(format!("ping -c 1 {}", entry.ip))
            .verify(case.verify_command())
            .into());
    }
    if timed_out {
        return Ok(Verdict::ruled_out(format!("the route to {} and its neighbour are fine", peer.ip())));
    }
    if connected {
        return Ok(possible(format!(
            "{peer} could not be reached then (no route or no neighbour); now it can"
        ))
        .contradicting(Fact::new("probe", format!("our own connection to {peer} succeeded")))
        .supporting(case.failures_fact())
        .verify(case.verify_command())
        .into());
    }
    // The errno came from the network: a router that knows no way, or a filter of another host that says so.
    let through = route.and_then(|it| it.gateway).map(|it| format!(" (behind {it})")).unwrap_or_default();
    let summary = format!(
        "something between this host and {peer}{through} answers that it cannot be reached: a router without a route, or a filter there"
    );
    Ok(likely(summary)
        .confidence(0.6)
        .supporting_each(route.map(|it| sight.route.fact("route", it.text.trim().to_owned())))
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Ask the routers on the way, and the filter of the backend's host")
                .run(format!("tracepath -n {}", peer.ip())),
        )
        .verify(case.verify_command())
        .into())
}

/// bind() failed: the address of `proxy_bind` is not this host's.
fn missing_source(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let logged = case.entries().find_map(|it| {
        let (address, _) = it.message.strip_prefix("bind(")?.split_once(')')?;
        Some(address.to_owned())
    });
    let Some(written) = logged else {
        return Ok(Verdict::ruled_out("connect() failed, not bind(): the local address exists"));
    };
    let Some(ip) = ip_of(&written) else { return Ok(Verdict::NotIt) };
    let addresses = scene.addresses()?;
    if scene.is_ours(ip)? {
        return Ok(Verdict::ruled_out(format!("{ip}, which nginx binds to, is an address of this host")));
    }
    let pass = scene.pass(case.group);
    let directive = pass.map_or("proxy_", |it| it.scheme.module().prefix());
    let peer = case.peer_name();
    let mut found = confirmed(format!(
        "nginx is told to dial {peer} from {ip} ({directive}bind), which is no address of this host"
    ))
    .decisive(
        addresses.fact("socket", format!("no interface of this host has {ip}")).reference("ip address show"),
    )
    .supporting(case.failures_fact());
    let span = pass.and_then(|it| it.settings.bind.from);
    if let Some((file, line, old)) = span.and_then(|it| scene.line_at(it)) {
        let other = addresses
            .value
            .iter()
            .find(|it| it.up && !it.ip.is_loopback() && it.ip.is_ipv4() == ip.is_ipv4());
        let statement = format!("{directive}bind {written};");
        let without = old.replacen(&statement, "", 1);
        if without != old {
            found = found.fix(
                Fix::repair(format!(
                    "Remove {directive}bind: the kernel then chooses the address that leads to {peer}"
                ))
                .edit(&file, line, old.trim(), without.trim())
                .run("nginx -t && nginx -s reload")
                .risk("the backend sees another source address; its own filter may have to allow that one"),
            );
        }
        if let Some(other) = other {
            found = found.fix(
                Fix::repair(format!("Or dial from {} ({})", other.ip, other.interface))
                    .edit(&file, line, old.trim(), old.replacen(&written, &other.ip.to_string(), 1).trim())
                    .run("nginx -t && nginx -s reload"),
            );
        }
    }
    Ok(found
        .fix(
            Fix::repair(format!("Or give {ip} to this host again"))
                .run(format!("ip address add {ip} dev INTERFACE")),
        )
        .verify(case.verify_command())
        .into())
}

fn ip_of(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

fn has_ipv6(case: &Case) -> Result<bool, Blind> {
    let reaches =
        |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if !ip.is_loopback() && !ip.is_unicast_link_local());
    Ok(case.scene.addresses()?.value.iter().any(|it| reaches(it.ip)))
}

/// An interface that is down and whose network the address is in.
fn interface_down(case: &Case, ip: IpAddr) -> Option<String> {
    let addresses = case.scene.snapshot.net.addresses.value()?;
    addresses.iter().find(|it| !it.up && within(ip, it.ip, it.prefix_length)).map(|it| it.interface.clone())
}

fn within(ip: IpAddr, network: IpAddr, length: u8) -> bool {
    let (difference, bits) = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return false,
    };
    difference.checked_shr(bits - u32::from(length).min(bits)).unwrap_or(0) == 0
}

/// `unreachable 10.88.0.0/24 metric 5` as the command that removes it.
fn removal(text: &str, kind: &str, ip: IpAddr) -> String {
    let mut words = text.split_whitespace();
    let family = if ip.is_ipv6() { "-6 " } else { "" };
    match (words.next(), words.next()) {
        (Some(first), Some(network)) if first == kind => format!("ip {family}route del {kind} {network}"),
        _ => format!("ip {family}route show table all type {kind}"),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    let binding = lines::says(case, &["bind("]);
    let v6 = matches!(case.peer(), Some(Peer::Tcp(it)) if it.is_ipv6());
    let confidence = match case.group.symptom {
        Symptom::ConnectNoAddress if binding => 0.85,
        Symptom::ConnectNoAddress => 0.12,
        Symptom::ConnectNoRoute => 0.5,
        Symptom::ConnectNetUnreachable => {
            if v6 {
                0.35
            } else {
                0.7
            }
        }
        Symptom::ConnectPermission if matches!(case.peer(), Some(Peer::Unix(_))) => return None,
        Symptom::ConnectPermission => 0.3,
        Symptom::ConnectTimeout if lines::place(case) == lines::Place::Here => return None,
        Symptom::ConnectTimeout => 0.1,
        _ => return None,
    };
    let peer = case.peer_name();
    let ip = match case.peer() {
        Some(Peer::Tcp(it)) => it.ip().to_string(),
        _ => peer.clone(),
    };
    let summary = match binding {
        true => format!("the local address that nginx dials {peer} from (proxy_bind) is not on this host"),
        false => format!("there is no way to {peer}: no route, or no answer of the host in the same network"),
    };
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(
                Fix::repair("Mend the route, or bring the host up")
                    .run(format!("ip route get {ip}; ip neigh show {ip}")),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{FilterVerdict, Neighbour, Route, Snapshot};

    fn route(kind: &str, text: &str) -> Route {
        Route { kind: kind.into(), interface: "eth0".into(), gateway: None, source: None, text: text.into() }
    }

    fn unreachable(message: &str, change: impl FnOnce(&mut PeerSight)) -> Snapshot {
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        let accepts = FilterVerdict {
            action: FilterAction::Accept,
            rule: String::new(),
            chain: String::new(),
            not_understood: Vec::new(),
            counter_moved: None,
        };
        let host = passing_to("proxy_pass http://10.0.0.7:8080").with(|it| {
            sight(it, "10.0.0.7:8080", |it| {
                it.filter = seen(accepts);
                change(it);
            });
        });
        logged(host, &[&line])
    }

    const NO_ROUTE: &str = "connect() failed (113: No route to host)";

    #[test]
    fn a_route_that_forbids_it_is_removed() {
        let host = unreachable("connect() to 10.0.0.7:8080 failed (13: Permission denied)", |it| {
            it.route = seen(route("prohibit", "prohibit 10.0.0.7"));
        });
        let report = check(&host, "no-route-to-upstream: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands[0], "ip route del prohibit 10.0.0.7");
    }

    #[test]
    fn a_blackhole_route_shows_in_the_access_log_alone() {
        let host = passing_to("proxy_pass http://10.0.0.7:8080").with(|it| {
            sight(it, "10.0.0.7:8080", |it| {
                it.route = seen(route("blackhole", "blackhole 10.0.0.7"));
                it.connect = seen(ConnectOutcome::Failed { errno: 22 });
            });
        });
        let host = requested(host, &[("GET /cart HTTP/1.1", 502, "10.0.0.7:8080", "502", "-")]);
        check(&host, "no-route-to-upstream: confirmed");
    }

    #[test]
    fn a_missing_route_behind_an_interface_that_is_down_names_the_interface() {
        let host = unreachable("connect() failed (101: Network is unreachable)", |it| {
            it.route = seen(route("none", ""))
        })
        .with(|it| {
            if let Reading::Seen(addresses) = &mut it.net.addresses {
                addresses.value.iter_mut().filter(|it| it.interface == "eth0").for_each(|it| it.up = false);
            }
        });
        let report = check(&host, "no-route-to-upstream: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands[0], "ip link set eth0 up");
    }

    #[test]
    fn a_neighbour_that_does_not_answer_is_named() {
        let neighbour = Neighbour { ip: "10.0.0.7".parse().unwrap(), state: "failed".into() };
        let host = unreachable(NO_ROUTE, |it| {
            it.route = seen(route("unicast", "10.0.0.7 dev eth0"));
            it.neighbour = seen(Some(neighbour));
        });
        check(&host, "no-route-to-upstream: confirmed");
    }

    #[test]
    fn a_rule_that_rejects_goes_before_the_route() {
        let rejects = FilterVerdict {
            action: FilterAction::Reject,
            rule: "reject with icmp admin-prohibited".into(),
            chain: "inet fw out".into(),
            not_understood: Vec::new(),
            counter_moved: None,
        };
        let neighbour = Neighbour { ip: "10.0.0.7".parse().unwrap(), state: "reachable".into() };
        let host = unreachable(NO_ROUTE, |it| {
            it.route = seen(route("unicast", "10.0.0.7 dev eth0"));
            it.neighbour = seen(Some(neighbour));
            it.filter = seen(rejects);
        });
        check(&host, "firewall-reject: confirmed");
    }

    #[test]
    fn an_address_to_dial_from_that_is_gone_is_named() {
        let message = "bind(10.0.0.40) failed (99: Cannot assign requested address)";
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        let host = logged(passing_to("proxy_bind 10.0.0.40;\nproxy_pass http://10.0.0.7:8080"), &[&line]);
        let report = check(&host, "no-route-to-upstream: confirmed");
        assert!(report.causes[0].summary.contains("10.0.0.40"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_route_we_may_not_see_is_a_blind_spot() {
        let host = unreachable(NO_ROUTE, |it| it.route = denied());
        check_blind(&host, "no-route-to-upstream", "the route to the backend");
    }
}
