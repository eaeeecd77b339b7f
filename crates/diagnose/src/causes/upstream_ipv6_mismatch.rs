use nginx_conf::Target;

use crate::dial::dial_instead;
use crate::rule::*;

cause! {
    /// nginx dials the backend over one address family, and the backend or this host serves only the other.
    ///
    /// ## What you see
    /// A part of the requests fails, or each needs a second try: `localhost` and many names are two peers, `::1` and
    /// `127.0.0.1`, taken in turn. One of them is refused (`111`), or cannot be dialled at all (`101: Network is
    /// unreachable`, `99: Cannot assign requested address`).
    ///
    /// ## How we know
    /// The dialled address has no listener while the same port is open in the other family; or the dialled address is an
    /// IPv6 one and this host has IPv6 switched off, or no IPv6 address to dial from.
    ///
    /// ## What to do
    /// Write the address instead of the name (`127.0.0.1` instead of `localhost`), let the backend listen on both, or tell
    /// nginx's resolver not to ask for IPv6 (`resolver … ipv6=off`).
    ///
    /// ## Not to be confused with
    /// `upstream-address-mismatch`: there both addresses are of the same family. `no-route-to-upstream`: there this host
    /// speaks that family, and the way to the network is missing.
    "upstream-ipv6-mismatch",
    explains: [ConnectRefused, ConnectNetUnreachable, ConnectNoAddress, ConnectNoRoute],
    leads_to: ["backend-not-running", "passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(Peer::Tcp(dialled)) = case.peer() else { return Ok(Verdict::NotIt) };
    if case.group.symptom != Symptom::ConnectRefused {
        return without_ipv6(case, *dialled);
    }
    let backend = case.backend()?;
    if !backend.local {
        return Ok(Verdict::NotIt);
    }
    if let Some(there) = &backend.listening {
        return Ok(Verdict::ruled_out(format!("{} accepts {dialled}", there.address)));
    }
    let listeners = case.scene.listeners()?;
    let other_family = |it: &&Listener| {
        it.address.port() == dialled.port()
            && if dialled.is_ipv6() {
                it.address.is_ipv4()
            } else {
                it.address.is_ipv6() && it.address.ip().to_canonical().is_ipv6()
            }
    };
    let Some(there) = listeners.value.iter().find(other_family) else {
        return Ok(Verdict::ruled_out(format!(
            "port {} is not open in the other address family either",
            dialled.port()
        )));
    };
    let process = there.pids.iter().find_map(|pid| case.scene.process(*pid));
    let unit = process.and_then(|it| it.unit.as_deref()).filter(|it| it.ends_with(".service"));
    let who = unit.or(process.map(|it| it.name.as_str())).unwrap_or("the backend");
    let (theirs, wanted) = if dialled.is_ipv6() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    let by_name = name_in_config(case);
    let through = by_name.as_ref().map(|it| format!(" ({it} is both)")).unwrap_or_default();
    let summary =
        format!("nginx dials {dialled}{through}, but {who} listens on {theirs} only, at {}", there.address);
    let instead = crate::dial::reachable(there.address, !dialled.is_ipv6());
    Ok(confirmed(summary)
        .decisive(
            listeners
                .fact("socket", format!("only {} has port {}, not {dialled}", there.address, dialled.port())),
        )
        .supporting_each(
            by_name.map(|it| Fact::new("config", format!("nginx is told {it}, which has {wanted} as well"))),
        )
        .supporting(case.failures_fact())
        .fix_maybe(dial_instead(case, &instead.to_string()))
        .fix(
            Fix::repair(format!("Or let {who} listen on {dialled} as well"))
                .because("one socket on [::] with IPV6_V6ONLY off takes both families")
                .risk(format!("restarts {who}")),
        )
        .verify(case.verify_command())
        .prevent("Write 127.0.0.1 rather than localhost for backends on the same host")
        .into())
}

/// An IPv6 address was dialled from a host that has no IPv6.
fn without_ipv6(case: &Case, dialled: SocketAddr) -> Result<Verdict, Blind> {
    if !dialled.is_ipv6() {
        return Ok(Verdict::NotIt);
    }
    // EADDRNOTAVAIL of bind() is about proxy_bind.
    if case.entries().any(|it| it.message.starts_with("bind(")) {
        return Ok(Verdict::NotIt);
    }
    let scene = case.scene;
    let net = &scene.snapshot.net;
    let loopback = dialled.ip().is_loopback();
    let interface = if loopback { "lo" } else { "all" };
    let setting = format!("net.ipv6.conf.{interface}.disable_ipv6");
    let off = ["net.ipv6.conf.all.disable_ipv6", setting.as_str()]
        .into_iter()
        .find(|it| net.setting(it) == Some("1"));
    let addresses = scene.addresses()?;
    let usable = |ip: IpAddr| match ip {
        IpAddr::V6(ip) if loopback => ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    if off.is_none()
        && let Some(ours) = addresses.value.iter().find(|it| usable(it.ip))
    {
        return Ok(Verdict::ruled_out(format!(
            "this host has the IPv6 address {} ({})",
            ours.ip, ours.interface
        )));
    }
    // An interface that went down takes its IPv6 addresses with it.
    if off.is_none()
        && let Some(served) = crate::story::served_before(case)
    {
        return Ok(Verdict::ruled_out(format!("{}, so IPv6 worked then", served.says)));
    }
    let name = name_in_config(case);
    let why = match off {
        Some(setting) => format!("IPv6 is switched off on this host ({setting} = 1)"),
        None => "this host has no IPv6 address to dial from".to_owned(),
    };
    let through = name.as_ref().map(|it| format!(", an address of {it}")).unwrap_or_default();
    let fact = match off {
        Some(setting) => {
            net.settings.fact("kernel", format!("{setting} = 1")).reference(format!("sysctl {setting}"))
        }
        None => addresses
            .fact("socket", "no interface has an IPv6 address that reaches further than its own link"),
    };
    let mut found = confirmed(format!("nginx dials {dialled}{through}, but {why}"))
        .decisive(fact)
        .supporting(case.failures_fact())
        .fix_maybe(resolver_without_ipv6(case));
    if let Some(other) = other_address(case, dialled) {
        found = found.fix_maybe(dial_instead(case, &other.to_string()));
    }
    Ok(found
        .fix(Fix::repair("Or give this host IPv6: an address and a route, and no disable_ipv6"))
        .verify(case.verify_command())
        .prevent("Publish AAAA records only for clients that can use them, or set ipv6=off where nginx resolves names")
        .into())
}

/// The name that the configuration has for this peer, when it has no address.
fn name_in_config(case: &Case) -> Option<String> {
    let scene = case.scene;
    if let Some(name) = case.sight().and_then(|it| it.name.clone()) {
        return Some(name.split(':').next().unwrap_or_default().to_owned());
    }
    let pass = scene.pass(case.group)?;
    let named = pass.addresses(scene.view).into_iter().find_map(|it| match it.address.parse() {
        Ok(Peer::Name { host, port }) => {
            let same = crate::groups::same_peer(
                &Peer::Name { host: host.clone(), port },
                case.peer()?,
                scene.snapshot,
            );
            (same || pass.addresses(scene.view).len() == 1).then_some(host)
        }
        _ => None,
    });
    named.or_else(|| matches!(pass.target, Target::Variable(_)).then(|| "the name".to_owned()))
}

/// The IPv4 address of the same name, if there is just one.
fn other_address(case: &Case, dialled: SocketAddr) -> Option<SocketAddr> {
    if dialled.ip().is_loopback() {
        return Some(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), dialled.port()));
    }
    let resolution = case.sight()?.resolution.value()?;
    let Lookup::Found(all) = &resolution.system else { return None };
    let mut four = all.iter().filter(|it| it.is_ipv4());
    let only = *four.next()?;
    four.next().is_none().then(|| SocketAddr::new(only, dialled.port()))
}

/// `ipv6=off` in the resolver that the pass uses, when its name is looked up while serving.
fn resolver_without_ipv6(case: &Case) -> Option<Fix> {
    let scene = case.scene;
    let pass = scene.pass(case.group)?;
    if !matches!(pass.target, Target::Variable(_)) {
        return None;
    }
    let (file, line, old) = scene.line_at(pass.settings.resolver.from?)?;
    let old = old.trim();
    if !old.starts_with("resolver ") || !old.ends_with(';') {
        return None;
    }
    let new = format!("{} ipv6=off;", old.trim_end_matches(';'));
    Some(
        Fix::repair("Do not let nginx ask for IPv6 addresses")
            .edit(file, line, old, new)
            .run("nginx -t && nginx -s reload")
            .risk("reloads nginx; requests in flight are not interrupted"),
    )
}

fn from_lines(case: &Case) -> Option<Found> {
    let Some(Peer::Tcp(dialled)) = case.peer() else { return None };
    let twin = |it: &SocketAddr| it.port() == dialled.port() && it.is_ipv4() != dialled.is_ipv4();
    let answered =
        case.scene.failures.accesses.iter().flat_map(|it| &it.attempts).any(|it| {
            let addr = it.addr.as_deref().and_then(|it| it.parse::<SocketAddr>().ok());
            addr.is_some_and(|it| twin(&it)) && it.status.is_some_and(|it| (100..500).contains(&it))
        }) || case.scene.successes().any(|it| it.upstream.parse::<SocketAddr>().is_ok_and(|it| twin(&it)));
    let tried = case.scene.failures.entries.iter().any(
        |it| matches!(&it.peer, Some(Peer::Tcp(other)) if twin(other) && it.symptom == case.group.symptom),
    );
    let course = course::of(case);
    let confidence = match (answered, dialled.is_ipv6()) {
        _ if course.since || course.between > 0 => 0.03,
        // Every other request is answered: `localhost` is two addresses.
        _ if course.mixed && dialled.ip().is_loopback() => 0.45,
        (true, true) => 0.9,
        (true, false) => 0.5,
        // Both families fail alike: nothing listens at all.
        (false, _) if tried => 0.03,
        (false, true) => 0.5,
        (false, false) => return None,
    };
    let summary = match answered {
        true => format!(
            "{dialled} fails while the other address of the same name answers: the backend listens on one family"
        ),
        false => format!("nginx dials {dialled}, and the backend may listen on IPv4 alone"),
    };
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair(
                "Write the address that the backend listens on instead of the name, or let it listen on both",
            ))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn localhost(dialled: &str, listening: &str) -> Snapshot {
        let upstream = format!("http://{dialled}/cart");
        let line = failed("connect() failed (111: Connection refused)", "connecting to upstream", &upstream);
        let host = passing_to("proxy_pass http://localhost:3000");
        logged(host, &[&line]).with(|it| serving(it, 500, "/usr/bin/node app.js", listening))
    }

    #[test]
    fn localhost_is_two_peers_and_the_backend_serves_one() {
        let report = check(&localhost("[::1]:3000", "127.0.0.1:3000"), "upstream-ipv6-mismatch: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "proxy_pass http://127.0.0.1:3000;");
    }

    #[test]
    fn the_other_way_round_as_well() {
        check(&localhost("127.0.0.1:3000", "[::1]:3000"), "upstream-ipv6-mismatch: confirmed");
    }

    #[test]
    fn another_address_of_the_same_family_is_another_cause() {
        let host = localhost("127.0.0.1:3000", "10.0.0.5:3000");
        check(&host, "upstream-address-mismatch: confirmed");
        check_ruled_out(&host, "upstream-ipv6-mismatch", "port 3000 is not open in the other address family");
    }

    fn without_ipv6() -> Snapshot {
        let message = "connect() to [2001:db8::7]:8080 failed (101: Network is unreachable)";
        let line = failed(message, "connecting to upstream", "http://[2001:db8::7]:8080/cart");
        logged(
            passing_to("resolver 127.0.0.1;\nset $api api.internal;\nproxy_pass http://$api:8080"),
            &[&line],
        )
    }

    #[test]
    fn a_host_without_ipv6_cannot_dial_an_aaaa() {
        let report = check(&without_ipv6(), "upstream-ipv6-mismatch: confirmed");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "resolver 127.0.0.1 ipv6=off;");
    }

    #[test]
    fn addresses_we_may_not_see_are_a_blind_spot() {
        let host = without_ipv6().with(|it| it.net.addresses = denied());
        check_blind(&host, "upstream-ipv6-mismatch", "addresses of this host");
    }
}
