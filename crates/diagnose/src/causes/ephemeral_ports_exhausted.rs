use crate::rule::*;

/// With this share of the ports in use when we look, the lack of them is seen. They come free within a minute
/// (TIME_WAIT), so that a later look finds fewer.
const USED_SHARE: f64 = 0.8;
/// The range that hosts with many outgoing connections are given.
const WIDE_RANGE: &str = "1024 65535";

cause! {
    /// No local port is left for another connection to that backend.
    ///
    /// ## What you see
    /// `connect() … failed (99: Cannot assign requested address)`, at many requests per second, in waves of a minute.
    ///
    /// ## How we know
    /// The error comes from connect(), not from bind(), and the connections to that one address, those in TIME_WAIT
    /// included, use up the range of local ports (net.ipv4.ip_local_port_range).
    ///
    /// ## What to do
    /// Keep connections open (`keepalive` in the upstream block, HTTP/1.1, an empty Connection header), widen the range,
    /// or give the backend more addresses: the limit holds for each address and port of the backend.
    ///
    /// ## Not to be confused with
    /// `no-route-to-upstream`: there bind() fails, since the address of `proxy_bind` is gone. `upstream-ipv6-mismatch`:
    /// there the same error means that this host has no IPv6 address to dial from.
    "ephemeral-ports-exhausted",
    explains: [ConnectNoAddress],
    leads_to: ["passive-health-ejection"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(Peer::Tcp(peer)) = case.peer() else { return Ok(Verdict::NotIt) };
    let scene = case.scene;
    if case.entries().any(|it| it.message.starts_with("bind(") && it.errno == Some(99)) {
        return Ok(Verdict::ruled_out(
            "bind() failed, not connect(): it is the address that is missing, not a port",
        ));
    }
    if peer.is_ipv6() {
        let reaches = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if peer.ip().is_loopback() || !ip.is_loopback() && !ip.is_unicast_link_local());
        if !scene.addresses()?.value.iter().any(|it| reaches(it.ip)) {
            return Ok(Verdict::ruled_out(
                "this host has no IPv6 address to dial from, so that no port is the point",
            ));
        }
    }
    let settings = Blind::of("network settings", &scene.snapshot.net.settings)?;
    let range = scene.snapshot.net.setting("net.ipv4.ip_local_port_range").unwrap_or("32768 60999");
    let ports = size_of(range).unwrap_or(28_232);
    let connections = Blind::of("TCP connections", &scene.snapshot.net.connections)?;
    let to_peer = || connections.value.iter().filter(|it| it.outgoing && it.address == *peer);
    let used: u32 = to_peer().map(|it| it.count).sum();
    let waiting: u32 = to_peer().filter(|it| it.state == "time-wait").map(|it| it.count).sum();
    let share = f64::from(used) / f64::from(ports.max(1));
    let pass = scene.pass(case.group);
    let keeps = pass.is_some_and(|it| it.keeps_connections(scene.view));
    let summary = format!(
        "no local port was left for connections to {peer}: {used} of {ports} are in use, {waiting} of them in TIME_WAIT"
    );
    let counted = connections
        .fact("socket", format!("{used} connections to {peer}, {waiting} in TIME_WAIT"))
        .reference(format!("ss -tan dst {peer}"));
    let found = if share >= USED_SHARE {
        confirmed(summary).decisive(counted)
    } else {
        likely(format!("no local port was left for connections to {peer} ({ports} in all)"))
            .confidence(0.8)
            .supporting(counted)
    };
    let mut found = found
        .supporting(settings.fact("kernel", format!("net.ipv4.ip_local_port_range = {range}: {ports} ports")))
        .supporting(case.failures_fact());
    if !keeps && waiting > used / 2 {
        let place = pass.map(|it| scene.place(it.span)).unwrap_or_default();
        found = found
            .supporting(Fact::new("config", "each connection to this backend serves one request and is closed by nginx").reference(place))
            .fix(
                Fix::repair("Keep connections open: `keepalive 32;` in the upstream block, with `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`")
                    .because("a connection that nginx closes holds its port for another minute")
                    .run("nginx -t && nginx -s reload"),
            );
    }
    if size_of(WIDE_RANGE).is_some_and(|wide| wide > ports) {
        found = found.fix(
            Fix::mitigate(format!("Widen the range of local ports from {range} to {WIDE_RANGE}"))
                .run(format!("sysctl -w net.ipv4.ip_local_port_range=\"{WIDE_RANGE}\""))
                .risk("a service that starts later may find its port taken: list such ports in net.ipv4.ip_local_reserved_ports"),
        );
    }
    Ok(found
        .fix(
            Fix::mitigate("Let connections take over ports that are in TIME_WAIT")
                .run("sysctl -w net.ipv4.tcp_tw_reuse=1")
                .because("safe for outgoing connections with TCP timestamps, which are on by default"),
        )
        .verify(format!("ss -Htan dst {peer} | wc -l"))
        .verify(case.verify_command())
        .prevent(format!("Alert when the connections to one backend use more than half of the {ports} ports"))
        .into())
}

/// How many ports a range such as `32768 60999` holds.
fn size_of(range: &str) -> Option<u32> {
    let mut ends = range.split_whitespace().map(|it| it.parse::<u32>().ok());
    let (low, high) = (ends.next()??, ends.next()??);
    Some(high.checked_sub(low)? + 1)
}

fn from_lines(case: &Case) -> Option<Found> {
    let confidence = if lines::says(case, &["bind("]) { 0.12 } else { 0.85 };
    let peer = case.peer_name();
    let summary = format!("no local port is left for connections to {peer}");
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Keep connections to the backend open (keepalive in the upstream block)"))
            .fix(
                Fix::mitigate("Widen the range of local ports")
                    .run("sysctl net.ipv4.ip_local_port_range; ss -s"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Connections, Snapshot};

    fn using(ports: u32, message: &str) -> Snapshot {
        let line = failed(message, "connecting to upstream", "http://10.0.0.7:8080/");
        logged(passing_to("proxy_pass http://10.0.0.7:8080"), &[&line]).with(|it| {
            it.net.settings = seen(vec![("net.ipv4.ip_local_port_range".into(), "50000 50059".into())]);
            it.net.connections = seen(vec![Connections {
                address: "10.0.0.7:8080".parse().unwrap(),
                outgoing: true,
                state: "time-wait".into(),
                count: ports,
            }]);
        })
    }

    const NO_PORT: &str = "connect() to 10.0.0.7:8080 failed (99: Cannot assign requested address)";

    #[test]
    fn ports_that_are_all_in_time_wait_are_counted() {
        let report = check(&using(60, NO_PORT), "ephemeral-ports-exhausted: confirmed");
        assert!(report.causes[0].summary.contains("60 of 60"), "{}", report.causes[0].summary);
    }

    #[test]
    fn ports_that_came_free_again_leave_it_likely() {
        check(&using(3, NO_PORT), "ephemeral-ports-exhausted: likely");
    }

    #[test]
    fn an_address_that_bind_does_not_find_is_another_cause() {
        let host = using(3, "bind(10.0.0.40) failed (99: Cannot assign requested address)");
        check(&host, "no-route-to-upstream: confirmed");
        check_ruled_out(&host, "ephemeral-ports-exhausted", "bind() failed");
    }

    #[test]
    fn connections_we_may_not_see_are_a_blind_spot() {
        let host = using(60, NO_PORT).with(|it| it.net.connections = denied());
        check_blind(&host, "ephemeral-ports-exhausted", "TCP connections");
    }
}
