use super::dns_unresolvable::{host_of, servers, unresolved};
use crate::rule::*;

cause! {
    /// nginx needs a name looked up while serving, and its resolver does not answer, or none is configured.
    ///
    /// ## What you see
    /// `NAME could not be resolved (110: Operation timed out)`, or `recv() failed (111: Connection refused) while
    /// resolving`, or `no resolver defined to resolve NAME`; 502 for each request that needs the name.
    ///
    /// ## How we know
    /// The log says that no answer came. We ask the same servers the same question: silence or a refusal confirms it. If
    /// they answer us, nginx's own long-lived socket is the suspect: connection tracking can pin it to a server that is gone.
    ///
    /// ## What to do
    /// Start the name server, or name one in `resolver` that answers. nginx does not use /etc/resolv.conf for that.
    ///
    /// ## Not to be confused with
    /// `dns-unresolvable`: there the server answers, and says that the name does not exist. The 110 in this message is a
    /// resolver's code and has nothing to do with the backend.
    "dns-resolver-unreachable",
    explains: [NoResolver, ResolveTimeout, ResolveFailed],
    leads_to: ["dns-unresolvable"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let logged = Fact::new("error-log", last.message.clone()).reference(last.reference.clone()).at(last.at);
    if case.group.symptom == Symptom::NoResolver {
        return Ok(none_configured(case, logged));
    }
    let timed_out = match unresolved(&last.message) {
        Some((_, 110)) => true,
        Some(_) => return Ok(Verdict::NotIt),
        None => false,
    };
    // A line of the socket alone says less than those about the names that were asked for.
    let named = |it: &crate::groups::FailureGroup| it.symptom == Symptom::ResolveTimeout && it.peer.is_some();
    if case.peer().is_none() && case.scene.groups.iter().any(named) {
        return Ok(Verdict::NotIt);
    }
    let servers = servers(case);
    let asked =
        if servers.is_empty() { "the resolver of the configuration".to_owned() } else { servers.join(", ") };
    let what = match unresolved(&last.message) {
        Some((name, _)) => name.to_owned(),
        None => "names".to_owned(),
    };
    let resolution = case.sight().and_then(|it| it.resolution.value());
    let now = resolution.map(|it| it.resolvers.as_slice()).unwrap_or_default();
    let place = scene_place(case);
    let dead = now.iter().find_map(|(server, it)| match it {
        Lookup::TimedOut => Some((server, format!("{server} does not answer us either"))),
        Lookup::Unreachable(words) => Some((server, format!("{server} cannot be asked: {words}"))),
        _ => None,
    });
    let answers = now.iter().find(|(_, it)| matches!(it, Lookup::Found(_) | Lookup::NotFound));
    let how = if timed_out { "does not answer" } else { "cannot be asked" };
    let summary = format!("nginx's resolver {asked}{place} {how}, so that {what} cannot be looked up");
    let mut found = match (dead, answers) {
        (Some((server, says)), None) => confirmed(summary)
            .decisive(Fact::new("probe", says).reference(format!("dig @{} {what}", host_of(server))))
            .supporting(logged),
        (Some((server, says)), Some((other, _))) => {
            likely(format!("{summary}; {other} answers, {server} does not"))
                .confidence(0.8)
                .supporting(Fact::new("probe", says))
                .supporting(logged)
        }
        (None, Some((server, _))) if timed_out => {
            let summary = format!(
                "nginx gets no answer from its resolver {server}{place} for {what}, although the server answers us: nginx's \
                 long-lived socket is stuck with a server that is gone, or the server was away"
            );
            likely(summary)
                .supporting(Fact::new("probe", format!("{server} answers a new socket at once")).reference(format!("dig @{} {what}", host_of(server))))
                .supporting(logged)
                .fix(
                    Fix::mitigate("Let nginx open new sockets to its resolver")
                        .run("nginx -s reload")
                        .run(format!("conntrack -D -p udp -d {} --dport 53", host_of(server)))
                        .because("each worker keeps one UDP socket per name server; a tracked flow (NAT, a virtual address) goes on to the old server for as long as packets keep it alive")
                        .risk("reloads nginx; requests in flight are not interrupted"),
                )
        }
        _ => likely(summary).supporting(logged),
    };
    let server = servers.first().map(|it| format!(" @{}", host_of(it))).unwrap_or_default();
    found = found.fix(
        Fix::repair(format!("Start the name server at {asked}, or name one in `resolver` that answers"))
            .run(format!("dig{server} {what}"))
            .run("grep nameserver /etc/resolv.conf"),
    );
    Ok(found
        .supporting(case.failures_fact())
        .verify(format!("dig +short{server} {what}"))
        .verify(case.verify_command())
        .prevent("Name two servers in `resolver`, and keep answers for a while with `valid=`")
        .into())
}

fn scene_place(case: &Case) -> String {
    let pass = case.scene.pass(case.group);
    let span = pass.and_then(|it| it.settings.resolver.from);
    span.map(|it| format!(" ({})", case.scene.place(it))).unwrap_or_default()
}

fn none_configured(case: &Case, logged: Fact) -> Verdict {
    let scene = case.scene;
    let pass = scene.pass(case.group);
    let name = match case.peer() {
        Some(Peer::Name { host, .. }) => host.clone(),
        _ => "the name".to_owned(),
    };
    if let Some(span) = pass.and_then(|it| it.settings.resolver.from) {
        return Verdict::ruled_out(format!("the files have a resolver for it, in {}", scene.place(span)));
    }
    let place = pass.map(|it| format!(" in {}", scene.place(it.span))).unwrap_or_default();
    let summary = format!(
        "the pass{place} needs {name} looked up while serving, and no `resolver` is configured there"
    );
    let mut found = confirmed(summary).decisive(logged);
    if let Some(pass) = pass {
        found = found.supporting(
            Fact::new("config", format!("`{}` holds a variable, and no resolver is in force", pass.written))
                .reference(scene.place(pass.span)),
        );
    }
    let known = case.sight().and_then(|it| it.resolution.value()).and_then(|it| match &it.system {
        Lookup::Found(addresses) => addresses.first().copied(),
        _ => None,
    });
    if let Some(address) = known {
        let says =
            format!("this host itself resolves {name} to {address}; nginx does not ask it while serving");
        found = found.supporting(Fact::new("probe", says).reference(format!("getent ahosts {name}")));
    }
    found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Name a resolver in that server: `resolver ADDRESS valid=30s;` with a nameserver of /etc/resolv.conf")
                .run("grep nameserver /etc/resolv.conf")
                .run("nginx -t && nginx -s reload")
                .because("a pass with a variable is looked up for each request, by nginx's own resolver, which reads neither /etc/resolv.conf nor /etc/hosts"),
        )
        .fix(
            Fix::repair(format!("Or write {name} without a variable"))
                .because("nginx then looks it up once, at start, as the rest of the system does (/etc/hosts included)"),
        )
        .verify(case.verify_command())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Resolution, Snapshot};

    fn asking(resolver: &str, message: &str) -> Snapshot {
        let line = format!(
            "[error] 101#101: *7 {message}, client: 10.0.0.9, server: shop.example.com, request: \"GET /cart HTTP/1.1\", \
             host: \"shop.example.com\""
        );
        logged(
            passing_to(&format!("{resolver}set $shop shop.internal;\nproxy_pass http://$shop:8080")),
            &[&line],
        )
    }

    fn heard(host: Snapshot, server: Lookup) -> Snapshot {
        let resolvers = vec![("10.0.0.2:53".to_owned(), server)];
        let resolution = Resolution { name: "shop.internal".into(), system: Lookup::NotAsked, resolvers };
        host.with(|it| sight(it, "shop.internal:8080", |it| it.resolution = seen(resolution)))
    }

    const TIMED_OUT: &str = "shop.internal could not be resolved (110: Operation timed out)";

    #[test]
    fn a_server_that_is_silent_to_us_as_well_is_confirmed() {
        check(
            &heard(asking("resolver 10.0.0.2;\n", TIMED_OUT), Lookup::TimedOut),
            "dns-resolver-unreachable: confirmed",
        );
    }

    #[test]
    fn a_server_that_answers_us_leaves_nginxs_own_socket() {
        let answer = Lookup::Found(vec!["10.0.0.7".parse().unwrap()]);
        check(&heard(asking("resolver 10.0.0.2;\n", TIMED_OUT), answer), "dns-resolver-unreachable: likely");
    }

    #[test]
    fn a_missing_resolver_is_confirmed_by_the_log_alone() {
        check(
            &asking("", "no resolver defined to resolve shop.internal"),
            "dns-resolver-unreachable: confirmed",
        );
    }

    #[test]
    fn a_server_that_knows_no_such_name_is_another_cause() {
        let host = asking("resolver 10.0.0.2;\n", "shop.internal could not be resolved (3: Host not found)");
        let report = crate::diagnose(&host);
        assert!(
            report.causes.iter().all(|it| it.cause.id != "dns-resolver-unreachable"),
            "{}",
            outline(&report)
        );
    }
}
