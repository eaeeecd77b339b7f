use crate::members;
use crate::rule::*;

cause! {
    /// Every server of the upstream group is marked `down` in the configuration, or the group has none.
    ///
    /// ## What you see
    /// `no live upstreams while connecting to upstream` and 502 at once for every request; no connection is attempted.
    ///
    /// ## How we know
    /// The group's `server` lines say so.
    ///
    /// ## What to do
    /// Take `down` away from the servers that are to serve again, and reload.
    ///
    /// ## Not to be confused with
    /// `passive-health-ejection`: there nginx itself put the servers aside after failures. `upstream-max-conns-reached`:
    /// there they are at their limit of connections.
    "upstream-servers-all-down",
    explains: [NoLiveUpstreams],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::NoServerAvailable { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let nginx = scene.nginx.map_or(Reading::not_asked(), |it| it.config.clone());
    Blind::of("nginx's configuration", &nginx)?;
    let Some(group) = members::group_of(case) else { return Ok(Verdict::NotIt) };
    let up: Vec<&str> = group.servers.iter().filter(|it| !it.down).map(|it| it.address.as_str()).collect();
    if !up.is_empty() {
        return Ok(Verdict::ruled_out(format!("{} of {} is not marked down", up.join(", "), group.name)));
    }
    let place = scene.place(group.span);
    let list: Vec<&str> = group.servers.iter().map(|it| it.address.as_str()).collect();
    let summary = match list.len() {
        0 => format!("the upstream group {} ({place}) has no server", group.name),
        1 => format!(
            "the only server of the upstream group {}, {}, is marked down ({place})",
            group.name, list[0]
        ),
        count => format!(
            "all {count} servers of the upstream group {} are marked down ({place}): {}",
            group.name,
            list.join(", ")
        ),
    };
    let mut found = confirmed(summary.clone())
        .decisive(
            Fact::new("config", format!("{}: each server of {} says `down`", place, group.name))
                .reference(place.clone()),
        )
        .supporting(case.failures_fact());
    let working = |it: &&nginx_conf::UpstreamServer| members::works_now(scene, it) != Some(false);
    let mut fix =
        Fix::repair("Take `down` away from the servers that work").run("nginx -t && nginx -s reload");
    for server in group.servers.iter().filter(working) {
        let Some((file, line, old)) = scene.line_at(server.span) else { continue };
        if let Some(new) = without_down(&old) {
            fix = fix.edit(file, line, old.trim(), new.trim());
        }
        if members::works_now(scene, server) == Some(true) {
            found = found.supporting(Fact::new("probe", format!("{} accepts connections", server.address)));
        }
    }
    Ok(found
        .fix(fix.risk("find out first why they were taken out"))
        .verify(case.verify_command())
        .prevent("Alert on \"no live upstreams\": it never mends itself here")
        .into())
}

/// The line without its parameter `down`.
fn without_down(line: &str) -> Option<String> {
    [" down;", " down "]
        .iter()
        .find(|it| line.contains(**it))
        .map(|it| line.replacen(it, &it.replace(" down", ""), 1))
}

fn from_lines(case: &Case) -> Option<Found> {
    let confidence = match lines::ejected_by(case) {
        Some(_) => return None,
        None if course::of(case).between > 0 => 0.1,
        None => 0.4,
    };
    let summary = format!("every server of {} may be marked down, or it has none", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::repair("Look at the servers of that upstream block")
                    .run("nginx -T | grep -n -A9 '^ *upstream '"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn group(servers: &str) -> Snapshot {
        let line = failed("no live upstreams", "connecting to upstream", "http://cluster/cart");
        let http = format!(
            "upstream cluster {{\n{servers}\n}}\nserver {{ listen 80; server_name shop.example.com; location / {{ proxy_pass http://cluster; }} }}"
        );
        logged(configured(&http), &[&line])
    }

    #[test]
    fn a_group_whose_servers_all_say_down_is_named() {
        let host = group("server 127.0.0.1:8081 down;\nserver 127.0.0.1:8082 down weight=2;");
        let report = check(&host, "upstream-servers-all-down: confirmed");
        let edits = &report.causes[0].fixes[0].edits;
        assert_eq!(
            (edits[0].new.as_str(), edits[1].new.as_str()),
            ("server 127.0.0.1:8081;", "server 127.0.0.1:8082 weight=2;")
        );
    }

    #[test]
    fn a_server_that_is_not_marked_is_another_cause() {
        let report = crate::diagnose(&group("server 127.0.0.1:8081 down;\nserver 127.0.0.1:8082;"));
        assert!(
            report.causes.iter().all(|it| it.cause.id != "upstream-servers-all-down"),
            "{}",
            outline(&report)
        );
    }
}
