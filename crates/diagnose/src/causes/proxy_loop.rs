use nginx_conf::{LocationKind, Pass, Scheme};

use crate::groups;
use crate::rule::*;

/// A chain of proxies through one nginx is never longer than this, unless it is a loop.
const MOST_HOPS: usize = 20;

cause! {
    /// nginx passes the request to itself, again and again.
    ///
    /// ## What you see
    /// One request fills the access log with requests that come from this host itself; `worker_connections are not
    /// enough`, `Too many open files`, 500, 502 or 504; or 400, once a header such as X-Forwarded-For has grown too large.
    ///
    /// ## How we know
    /// The dialled address is one that this very nginx listens on, and a request with the Host header and path that it
    /// sends there meets the same pass again.
    ///
    /// ## What to do
    /// Let the pass dial the application. If it dials a name, that name resolves to this host: give the origin a name of
    /// its own. More worker_connections only make the loop longer.
    ///
    /// ## Not to be confused with
    /// `nginx-worker-connections-exhausted`: there the connections are those of clients. A pass to another server of the
    /// same nginx is no loop, if that one answers by itself.
    "proxy-loop",
    explains: [
        WorkerConnections, UpstreamStatus, ReadTimeout, PrematureClose, ReadReset, SocketFdLimit, HeaderTooBig, ConnectTimeout,
        ConnectNoAddress, SendFailed, NoLiveUpstreams,
    ],
    leads_to: [
        "nginx-worker-connections-exhausted", "nginx-fd-exhausted", "ephemeral-ports-exhausted", "upstream-returned-error",
        "backend-slow", "backend-hung", "backend-aborts-request", "backend-restarting", "worker-pool-exhausted", "listen-queue-overflow", "passive-health-ejection",
        "request-header-too-big", "upstream-max-conns-reached",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(Peer::Tcp(_) | Peer::Name { .. } | Peer::Group(_)) = case.peer() else {
        return Ok(Verdict::NotIt);
    };
    let Some(pass) = scene.pass(case.group).filter(|it| speaks_http(it)) else { return Ok(Verdict::NotIt) };
    if case.backend.as_ref().is_ok_and(|it| !it.local) && !matches!(case.peer(), Some(Peer::Group(_))) {
        return Ok(Verdict::NotIt);
    }
    let Some(first) = own_address(scene, pass, case.peer())? else { return Ok(Verdict::NotIt) };
    let entry = case.entries().next_back();
    let named = |index: usize| {
        scene.view.servers().get(index).and_then(|it| it.names.first().cloned()).unwrap_or_default()
    };
    let host = match entry.map(|it| it.host.as_str()).filter(|it| !it.is_empty()) {
        Some(host) => host.to_owned(),
        None if case.group.server.is_empty() => named(pass.server),
        None => case.group.server.clone(),
    };
    let path = case.group.paths.first().map_or("/", |(path, _)| path.as_str()).to_owned();
    let listeners = scene.listeners()?;
    let listener = scene.listener_at(first)?;
    let who = listener
        .map_or_else(|| "nginx itself".to_owned(), |it| format!("nginx itself listens on {}", it.address));
    let way = match follow(scene, pass, first, &host, &path)? {
        Way::Loops(way) => way,
        Way::Ends(place) => {
            return Ok(Verdict::ruled_out(format!(
                "{first} is another server of this nginx, and the way goes on from there: {place}"
            )));
        }
    };
    let places: Vec<String> = way.iter().map(|it| scene.place(it.span)).collect();
    let site = if host.is_empty() { String::new() } else { format!("{host}{path} ") };
    let chain =
        if places.len() == 1 { format!("by {}", places[0]) } else { format!("by {}", places.join(" and ")) };
    let by_name = case
        .sight()
        .and_then(|it| it.name.clone())
        .filter(|it| it.parse::<IpAddr>().is_err() && it != "localhost");
    let through = by_name.as_ref().map(|it| format!(" ({it} resolves to it)")).unwrap_or_default();
    let summary = format!(
        "nginx passes {site}to itself {chain}: {first}{through} is its own address, and the request comes back to the same place"
    );
    let own = own_clients(case);
    let mut found = confirmed(summary)
        .decisive(listeners.fact("socket", who))
        .decisive(
            Fact::new(
                "config",
                format!("a request for {site}at {first} meets the same pass again: {}", places.join(" → ")),
            )
            .reference(places[0].clone()),
        )
        .supporting_each(own)
        .supporting(case.failures_fact());
    if let Some(name) = &by_name {
        found = found
            .supporting(
                Fact::new("probe", format!("{name} resolves to {}, an address of this host", first.ip()))
                    .reference(format!("getent ahosts {name}")),
            )
            .fix(
                Fix::repair(format!(
                    "Let {name} resolve to the origin, or give the origin another name for nginx to dial"
                ))
                .run(format!("getent ahosts {name}"))
                .run("grep -n . /etc/hosts"),
            );
    }
    Ok(found
        .fix(
            Fix::repair(format!("Let the pass at {} dial the application instead of {first}", places[0]))
                .because("raising worker_connections or timeouts only makes the loop longer"),
        )
        .verify(case.verify_command())
        .prevent("Give backends ports of their own, and names that never point to the proxy")
        .into())
}

fn speaks_http(pass: &Pass) -> bool {
    matches!(pass.scheme, Scheme::Http | Scheme::Https | Scheme::Grpc | Scheme::Grpcs)
}

/// The address at which this pass dials nginx itself: the peer of the failures, else one of the pass.
fn own_address(scene: &Scene, pass: &Pass, peer: Option<&Peer>) -> Result<Option<SocketAddr>, Blind> {
    if let Some(Peer::Tcp(address)) = peer {
        return Ok(is_nginx(scene, *address)?.then_some(*address));
    }
    for configured in pass.addresses(scene.view) {
        for address in addresses_of(scene, &configured.address) {
            if is_nginx(scene, address)? {
                return Ok(Some(address));
            }
        }
    }
    Ok(None)
}

/// A configured address as socket addresses, names as they resolve here.
fn addresses_of(scene: &Scene, configured: &str) -> Vec<SocketAddr> {
    let peer: Peer = configured.parse().unwrap_or(Peer::Group(String::new()));
    match &peer {
        Peer::Tcp(address) => vec![*address],
        Peer::Name { host, port } => {
            let known = scene.snapshot.peers.iter().filter_map(|it| match &it.peer {
                Peer::Tcp(address) if groups::same_peer(&peer, &it.peer, scene.snapshot) => Some(*address),
                _ => None,
            });
            let mut all: Vec<SocketAddr> = known.collect();
            if let Some(Lookup::Found(found)) =
                scene.sight(&peer).and_then(|it| it.resolution.value()).map(|it| &it.system)
            {
                all.extend(found.iter().map(|ip| SocketAddr::new(*ip, *port)));
            }
            if host == "localhost" {
                all.push(SocketAddr::from(([127, 0, 0, 1], *port)));
            }
            all
        }
        Peer::Unix(_) | Peer::Group(_) => Vec::new(),
    }
}

/// Whether this nginx listens there.
fn is_nginx(scene: &Scene, address: SocketAddr) -> Result<bool, Blind> {
    if !scene.is_ours(address.ip())? {
        return Ok(false);
    }
    let Some(listener) = scene.listener_at(address)? else { return Ok(false) };
    let Some(master) = scene.nginx.and_then(|it| it.master.as_ref()) else { return Ok(false) };
    let own = |pid: &u32| *pid == master.pid || master.workers.iter().any(|it| it.pid == *pid);
    if !listener.pids.is_empty() {
        return Ok(listener.pids.iter().any(own));
    }
    // Who holds it may not be seen without root: then the configuration tells.
    let listens = scene.view.servers().iter().filter(|it| !it.stream && !it.mail).flat_map(|it| &it.listens);
    Ok(listens.into_iter().any(|it| {
        it.has_port(address.port()) && it.ip.is_none_or(|ip| ip == address.ip() || ip.is_unspecified())
    }))
}

enum Way<'s, 'a> {
    /// It comes back to the first of these.
    Loops(Vec<&'s Pass<'a>>),
    /// It ends, or leaves this nginx, there.
    Ends(String),
}

/// Follows a request from pass to pass through this nginx.
fn follow<'s, 'a>(
    scene: &'s Scene<'a>,
    first: &'s Pass<'a>,
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<Way<'s, 'a>, Blind> {
    let mut way: Vec<&Pass> = vec![first];
    let (mut pass, mut address, mut host, mut path) = (first, address, host.to_owned(), path.to_owned());
    for _ in 0..MOST_HOPS {
        host = host_sent(scene, pass, &host);
        path = path_sent(scene, pass, &path);
        let name = host
            .rsplit_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .map_or(host.as_str(), |(name, _)| name);
        let Some(route) = scene.view.route(name, Some(address.port()), &path) else {
            return Ok(Way::Ends("no server listens there".into()));
        };
        let next = route.pass.or_else(|| route.fallback.and_then(|(_, pass)| pass));
        let Some(next) = next.filter(|it| speaks_http(it)) else {
            let place = route.location.and_then(|it| scene.view.location(it)).map(|it| it.span);
            let place = place.or(scene.view.servers().get(route.server).map(|it| it.span));
            return Ok(Way::Ends(
                place.map_or_else(|| "it answers by itself".to_owned(), |it| scene.place(it)),
            ));
        };
        if let Some(begin) = way.iter().position(|it| std::ptr::eq(*it, next)) {
            way.drain(..begin);
            return Ok(Way::Loops(way));
        }
        let Some(there) = own_address(scene, next, None)? else {
            return Ok(Way::Ends(scene.place(next.span)));
        };
        way.push(next);
        (pass, address) = (next, there);
    }
    Ok(Way::Ends("a chain of many servers".into()))
}

/// The Host header that a pass sends, given the one that came in.
fn host_sent(scene: &Scene, pass: &Pass, host: &str) -> String {
    let authority = || {
        let written = pass.written.split_once("://").map_or(pass.written.as_str(), |(_, rest)| rest);
        written.split('/').next().unwrap_or_default().to_owned()
    };
    let Some(header) = pass.settings.header("Host") else { return authority() };
    match header.value.as_str() {
        "$host" | "$http_host" | "$host:$server_port" | "$host:$proxy_port" => host.to_owned(),
        "$proxy_host" | "$proxy_host:$proxy_port" => authority(),
        "$server_name" => {
            scene.view.servers().get(pass.server).and_then(|it| it.names.first().cloned()).unwrap_or_default()
        }
        // What another variable holds is not known; most often it is some form of the name that came in.
        value if value.contains('$') => host.to_owned(),
        value => value.to_owned(),
    }
}

/// The path that a pass asks for: a URI in the pass replaces what the location matched.
fn path_sent(scene: &Scene, pass: &Pass, path: &str) -> String {
    let Some(uri) = pass.uri.as_deref().filter(|it| !it.contains('$')) else { return path.to_owned() };
    let location = pass.location.and_then(|it| scene.view.location(it));
    match location {
        Some(it)
            if matches!(
                it.kind,
                LocationKind::Prefix | LocationKind::PrefixNoRegex | LocationKind::Exact
            ) =>
        {
            format!("{uri}{}", path.strip_prefix(it.path.as_str()).unwrap_or_default())
        }
        _ => uri.to_owned(),
    }
}

/// Requests whose client is this host itself.
fn own_clients(case: &Case) -> Option<Fact> {
    let scene = case.scene;
    let ours = |client: &str| client.parse().is_ok_and(|ip: IpAddr| scene.is_ours(ip) == Ok(true));
    let own: Vec<_> = case.accesses().filter(|it| ours(&it.client)).collect();
    let last = own.last()?;
    let says = format!("{} of the failed requests came from {}, this host itself", own.len(), last.client);
    Some(Fact::new("access-log", says).reference(last.reference.clone()).at(last.at))
}

/// The address under which nginx meets itself, as lines tell: requests to it come from the very same address.
pub fn own_requests(scene: &Scene) -> Option<(SocketAddr, Fact)> {
    let entries = scene.failures.entries.iter().rev();
    let mut own = entries.filter_map(|it| match &it.peer {
        Some(Peer::Tcp(peer)) if it.client.parse() == Ok(peer.ip()) => Some((*peer, it)),
        _ => None,
    });
    // Whoever asks on the host itself comes from loopback as well; a loop fills the workers.
    let full = scene.failures.entries.iter().any(|it| it.symptom == Symptom::WorkerConnections);
    let (peer, entry) = own.find(|(peer, _)| full || !peer.ip().is_loopback())?;
    let says = format!("a request from {} was passed to {peer}, the same address", entry.client);
    Some((peer, Fact::new("error-log", says).reference(entry.reference.clone()).at(entry.at)))
}

fn from_lines(case: &Case) -> Option<Found> {
    let Some(Peer::Tcp(peer)) = case.peer() else {
        // The workers' connections are used up by requests that nginx sends to itself.
        let own = own_requests(case.scene)?;
        let looped = case.scene.groups.iter().find(|it| it.peer.as_ref() == Some(&Peer::Tcp(own.0)))?;
        let summary =
            format!("nginx passes requests to itself at {}: they come back from its own address", own.0);
        return Some(fits(case, 0.8, summary).supporting(own.1).supporting(lines::course_fact(
            case,
            format!("{} failed the same way", plural(looped.count, "request")),
        )));
    };
    let (looping, fact) = own_requests(case.scene)?;
    if looping != *peer {
        return None;
    }
    let summary = format!("nginx passes requests to itself at {peer}: they come back from its own address");
    Some(
        fits(case, 0.8, summary)
            .supporting(fact)
            .fix(Fix::repair("Let the pass lead to the backend, and not to a name or address of this nginx"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx listens on port 80 and runs out of connections while it dials its own address.
    fn looping(servers: &str) -> Snapshot {
        let line = failed(
            "768 worker_connections are not enough",
            "connecting to upstream",
            "http://127.0.0.1:80/cart",
        );
        logged(configured(servers), &[&line.replace("[error]", "[alert]")]).with(|it| {
            it.net.listeners = seen(vec![Listener {
                address: "0.0.0.0:80".parse().unwrap(),
                v6_only: Some(false),
                waiting: 0,
                backlog: Some(511),
                pids: vec![100, 101],
                inode: 1,
                uid: 0,
            }]);
        })
    }

    #[test]
    fn a_pass_to_its_own_port_comes_back_to_the_same_place() {
        let host = looping(
            "server { listen 80; server_name shop.example.com; location / {\nproxy_pass http://127.0.0.1:80; proxy_set_header Host $host; } }",
        );
        let report = check(&host, "proxy-loop: confirmed");
        assert!(report.causes[0].summary.contains("/etc/nginx/nginx.conf:"), "{}", report.causes[0].summary);
    }

    #[test]
    fn two_servers_may_pass_requests_to_one_another() {
        let host = looping(
            "server { listen 80; server_name shop.example.com; location / { proxy_pass http://127.0.0.1:80; proxy_set_header Host b; } }
             server { listen 80; server_name b; location / { proxy_pass http://127.0.0.1; proxy_set_header Host shop.example.com; } }",
        );
        check(&host, "proxy-loop: confirmed");
    }

    #[test]
    fn a_server_behind_the_same_nginx_that_answers_is_no_loop() {
        let host = looping(
            "server { listen 80; server_name shop.example.com; location / { proxy_pass http://127.0.0.1:80; proxy_set_header Host b; } }
             server { listen 80; server_name b; location / { root /srv/www; } }",
        );
        let report = crate::diagnose(&host);
        assert!(report.causes.iter().all(|it| it.cause.id != "proxy-loop"), "{}", outline(&report));
    }

    #[test]
    fn listeners_we_may_not_see_are_a_blind_spot() {
        let host = looping("server { listen 80; server_name shop.example.com; location / { proxy_pass http://127.0.0.1:80; } }")
            .with(|it| it.net.listeners = denied());
        check_blind(&host, "proxy-loop", "listening sockets");
    }
}
