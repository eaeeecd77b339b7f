use crate::rule::*;

cause! {
    /// The name of the backend does not resolve.
    ///
    /// ## What you see
    /// `NAME could not be resolved (3: Host not found)`, and 502 for each request that needs the name. With a name that is
    /// fixed in the configuration, nginx instead refuses to start or reload: `host not found in upstream`.
    ///
    /// ## How we know
    /// nginx's resolver got an answer, and the answer was that there is no such name, or no address of the families asked
    /// for. We ask the same servers the same question.
    ///
    /// ## What to do
    /// Correct the name, or add the record. nginx's `resolver` reads neither /etc/hosts nor the search domains of
    /// /etc/resolv.conf: a name that works in a shell may be unknown to it.
    ///
    /// ## Not to be confused with
    /// `dns-resolver-unreachable`: there the name server does not answer at all, or none is configured. `dns-stale`: there
    /// the name resolves, and nginx uses an older address.
    "dns-unresolvable",
    explains: [ResolveFailed],
    leads_to: ["backend-not-running"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let Some((name, code)) = unresolved(&last.message) else { return Ok(Verdict::NotIt) };
    let words = match code {
        1 => "that the question is malformed (FORMERR)",
        2 => "that it failed itself (SERVFAIL)",
        3 => "that there is no such name",
        4 => "that it cannot answer such questions (NOTIMP)",
        5 => "that it refuses to answer (REFUSED)",
        _ => return Ok(Verdict::NotIt),
    };
    let scene = case.scene;
    let resolution = case.sight().and_then(|it| it.resolution.value());
    let servers = servers(case);
    let asked = if servers.is_empty() { "nginx's resolver".to_owned() } else { servers.join(", ") };
    let place = scene.pass(case.group).map(|it| format!(" in {}", scene.place(it.span))).unwrap_or_default();
    let summary = match code {
        3 => format!("the name {name}{place} does not resolve: {asked} says that there is no such name"),
        _ => format!("the name {name}{place} does not resolve: {asked} says {words}"),
    };
    let logged = Fact::new("error-log", format!("the name server answered {words}: {}", last.message))
        .reference(last.reference.clone())
        .at(last.at);
    let now = resolution.map(|it| it.resolvers.as_slice()).unwrap_or_default();
    let found_now = now.iter().find(|(_, it)| matches!(it, Lookup::Found(_)));
    let mut found = match (code, found_now) {
        (3, None) => confirmed(summary).decisive(logged),
        (3, Some((server, _))) => likely(format!("{summary}; now it does"))
            .supporting(logged)
            .contradicting(Fact::new("probe", format!("{server} resolves {name} now"))),
        _ => likely(summary).supporting(logged),
    };
    for (server, lookup) in now {
        let says = match lookup {
            Lookup::NotFound => format!("{server} answers that {name} does not exist"),
            Lookup::Failed(code) => format!("{server} answers {code} for {name}"),
            _ => continue,
        };
        found =
            found.supporting(Fact::new("probe", says).reference(format!("dig @{} {name}", host_of(server))));
    }
    let system = resolution.and_then(|it| match &it.system {
        Lookup::Found(addresses) => addresses.first(),
        _ => None,
    });
    if let Some(address) = system {
        let says = format!(
            "this host itself resolves {name} to {address}, by /etc/hosts or a search domain, which nginx's resolver does not use"
        );
        found = found
            .supporting(Fact::new("probe", says).reference(format!("getent ahosts {name}")))
            .fix(Fix::repair(format!("Add {name} to the zone that {asked} serves, with {address}")));
    }
    let server = servers.first().map(|it| format!(" @{}", host_of(it))).unwrap_or_default();
    found = found.fix(
        Fix::repair(format!("Correct the name in the configuration, or add a record for {name}"))
            .run(format!("dig{server} {name}"))
            .because(if name.contains('.') {
                "nginx asks for exactly this name"
            } else {
                "nginx asks for exactly this name, without the search domains of /etc/resolv.conf: write it in full"
            }),
    );
    Ok(found
        .supporting(case.failures_fact())
        .verify(format!("dig +short{server} {name}"))
        .verify(case.verify_command())
        .into())
}

/// The name and the resolver's code in `NAME could not be resolved (3: Host not found)`.
pub fn unresolved(message: &str) -> Option<(&str, u32)> {
    let (before, after) = message.split_once(" could not be resolved (")?;
    let name = before.split_whitespace().next_back()?;
    let code = after.split(':').next()?.parse().ok()?;
    Some((name, code))
}

/// The name servers that the pass's `resolver` names.
pub fn servers(case: &Case) -> Vec<String> {
    let of_pass = case.scene.pass(case.group).and_then(|it| it.settings.resolver.value.as_ref());
    of_pass.map(|it| it.addresses.clone()).unwrap_or_default()
}

/// A server's address without the usual port, as dig(1) takes it.
pub fn host_of(server: &str) -> &str {
    server.strip_suffix(":53").unwrap_or(server).trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Resolution, Snapshot};

    fn resolving(reason: &str) -> Snapshot {
        let message = format!("shop.internal could not be resolved ({reason})");
        let line = format!(
            "[error] 101#101: *7 {message}, client: 10.0.0.9, server: shop.example.com, request: \"GET /cart HTTP/1.1\", \
             host: \"shop.example.com\""
        );
        logged(
            passing_to("resolver 10.0.0.2;\nset $shop shop.internal;\nproxy_pass http://$shop:8080"),
            &[&line],
        )
    }

    fn answering(host: Snapshot, server: Lookup, system: Lookup) -> Snapshot {
        let resolution = Resolution {
            name: "shop.internal".into(),
            system,
            resolvers: vec![("10.0.0.2:53".into(), server)],
        };
        host.with(|it| sight(it, "shop.internal:8080", |it| it.resolution = seen(resolution)))
    }

    #[test]
    fn a_name_that_does_not_exist_is_confirmed_by_the_log_alone() {
        let report = check(&resolving("3: Host not found"), "dns-unresolvable: confirmed");
        assert!(report.causes[0].summary.contains("shop.internal"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_name_in_the_hosts_file_is_unknown_to_the_resolver() {
        let system = Lookup::Found(vec!["10.0.0.7".parse().unwrap()]);
        let report = check(
            &answering(resolving("3: Host not found"), Lookup::NotFound, system),
            "dns-unresolvable: confirmed",
        );
        assert!(
            report.causes[0].evidence.iter().any(|it| it.says.contains("/etc/hosts")),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_name_that_resolves_again_is_likely_only() {
        let there = Lookup::Found(vec!["10.0.0.7".parse().unwrap()]);
        check(&answering(resolving("3: Host not found"), there.clone(), there), "dns-unresolvable: likely");
    }

    #[test]
    fn silence_of_the_server_is_another_cause() {
        let report = crate::diagnose(&resolving("110: Operation timed out"));
        assert!(report.causes.iter().all(|it| it.cause.id != "dns-unresolvable"), "{}", outline(&report));
    }
}
