use crate::edits::Edits;
use crate::rule::*;
use crate::{deaths, heard, outage, said};
use nginx_conf::Pass;

cause! {
    /// The backend gets Upgrade and Connection headers that do not fit the request.
    ///
    /// ## What you see
    /// Missing: the WebSocket's URL fails, everything else works. Forced (`Upgrade websocket` or `Connection "upgrade"` for a
    /// whole server): ordinary pages fail, the WebSocket works. The backend hangs up without an answer.
    ///
    /// ## How we know
    /// The configuration of that location, the kind of URL that fails, and what the backend says about it.
    ///
    /// ## What to do
    /// In the WebSocket's location: `proxy_http_version 1.1`, `proxy_set_header Upgrade $http_upgrade` and
    /// `proxy_set_header Connection $connection_upgrade`, with a `map` that gives `upgrade` for an upgrade and an empty value
    /// otherwise. Elsewhere: neither.
    ///
    /// ## Not to be confused with
    /// `backend-aborts-request`: there the headers are right. `keepalive-race`: there any URL fails now and then.
    "upgrade-header-mismatch",
    explains: [PrematureClose, ReadReset, ReadTimeout, UpstreamStatus],
    leads_to: ["backend-aborts-request", "keepalive-race", "upstream-returned-error"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// Pieces of paths at which WebSockets usually are: their frameworks' defaults.
const SOCKET_PATHS: &[&str] = &[
    "ws",
    "wss",
    "websocket",
    "websockets",
    "socket.io",
    "sockjs",
    "cable",
    "hub",
    "hubs",
    "signalr",
    "socket",
    "live",
    "_ws",
];

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(pass) = scene.pass(case.group) else { return Ok(Verdict::NotIt) };
    if !matches!(pass.scheme.name(), "http" | "https") {
        return Ok(Verdict::NotIt);
    }
    if matches!(heard::heard(case), heard::Heard::Other(..)) || deaths::near(case)?.is_some() {
        return Ok(Verdict::NotIt);
    }
    let upgrade = pass.settings.header("Upgrade").map(|it| it.value.as_str()).filter(|it| !it.is_empty());
    let connection = pass.settings.header("Connection").map(|it| it.value.to_ascii_lowercase());
    let forced = connection.as_deref().is_some_and(|it| it.contains("upgrade") && !it.contains('$'));
    let words = said::near(case, |text| {
        let text = text.to_ascii_lowercase();
        // Programs ask to be upgraded, too.
        let about = [
            "header",
            "connection",
            "required",
            "expected",
            "handshake",
            "protocol",
            "request",
            "refused",
            "reject",
            "invalid",
            "without",
            "missing",
        ];
        text.contains("websocket")
            || text.starts_with("ws:")
            || text.contains("upgrade") && about.iter().any(|it| text.contains(it))
    });
    let sockets = case.group.paths.iter().filter(|(path, _)| is_socket_path(path)).count();
    let name = case.backend()?.name(scene);
    let good: Vec<_> = outage::good_answers(case).collect();
    let found = if forced && sockets < case.group.paths.len() {
        // An empty `$http_upgrade` is not sent at all, and most backends ignore a Connection header alone.
        let literal = upgrade.is_some_and(|it| !it.contains('$'));
        let summary = format!(
            "nginx asks {name} for an upgrade on every request ({}), and it hangs up on ordinary ones",
            if literal { "Upgrade and Connection are fixed" } else { "Connection \"upgrade\" is fixed" }
        );
        let header = pass.settings.header("Connection").map(|it| {
            let says = format!("proxy_set_header Connection \"{}\" holds for every request there", it.value);
            Fact::new("config", says).reference(scene.place(it.span))
        });
        let found = match words {
            Some(words) => confirmed(summary).decisive(words),
            None if literal => likely(summary),
            None => possible(summary),
        };
        found.supporting_each(header).fix_maybe(unforce(case, pass))
    } else if upgrade.is_none() && (sockets > 0 || words.is_some()) {
        let paths: Vec<&str> = case.group.paths.iter().map(|(path, _)| path.as_str()).take(3).collect();
        let particular = !case.group.paths.iter().any(|(path, _)| good.iter().any(|it| it.path == *path));
        if good.is_empty() || !particular {
            return Ok(Verdict::NotIt);
        }
        let summary = format!(
            "nginx does not pass the Upgrade header on to {name}, which expects a WebSocket at {}",
            paths.join(", ")
        );
        let config = Fact::new("config", "no proxy_set_header Upgrade applies to this pass")
            .reference(scene.place(pass.span));
        let found = match words {
            Some(words) => confirmed(summary).decisive(words).supporting(config),
            None if case.group.symptom == Symptom::UpstreamStatus => return Ok(Verdict::NotIt),
            None => likely(summary).supporting(config),
        };
        found.fix_maybe(pass_on(case, pass))
    } else {
        return Ok(Verdict::NotIt);
    };
    let others = good.last().map(|it| {
        let says = format!("{} to it went well", plural(good.len() as u64, "other request"));
        Fact::new("access-log", says).reference(it.reference.clone()).at(it.at)
    });
    Ok(found.supporting_each(others).supporting(case.failures_fact()).verify(case.verify_command()).into())
}

/// Whether WebSockets alone fail, and nginx does not pass their Upgrade header on: then that may well be why.
pub fn may_be(case: &Case) -> bool {
    let passed_on = |it: &Pass| it.settings.header("Upgrade").is_some_and(|it| !it.value.is_empty());
    let http = case.scene.pass(case.group).filter(|it| matches!(it.scheme.name(), "http" | "https"));
    http.is_some_and(|it| !passed_on(it))
        && !case.group.paths.is_empty()
        && case.group.paths.iter().all(|(path, _)| is_socket_path(path))
}

fn is_socket_path(path: &str) -> bool {
    path.split('/').any(|it| SOCKET_PATHS.contains(&it.to_ascii_lowercase().as_str()))
}

/// The headers only when the client asked for an upgrade. `$http_connection` gives what the client sent.
fn unforce(case: &Case, pass: &Pass) -> Option<Fix> {
    let mut edits = Edits::new(case.scene);
    let upgrade = pass.settings.header("Upgrade");
    let connection = pass.settings.header("Connection")?;
    if let Some(upgrade) = upgrade.filter(|it| !it.value.contains('$')) {
        edits.replace(upgrade.span, "proxy_set_header Upgrade $http_upgrade;")?;
    }
    edits.replace(connection.span, "proxy_set_header Connection $http_connection;")?;
    let fix = Fix::repair("Pass the client's own Upgrade and Connection headers on instead of fixed ones");
    edits.into_fix(fix.because(
        "a map from $http_upgrade to \"upgrade\" or \"\" does the same and also lets nginx keep connections to the backend",
    ))
}

/// The headers for a WebSocket.
fn pass_on(case: &Case, pass: &Pass) -> Option<Fix> {
    let mut edits = Edits::new(case.scene);
    let mut directives = String::new();
    if pass.settings.http_version.value != "1.1" {
        directives += "proxy_http_version 1.1; ";
    }
    directives += "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";
    // Headers set in an outer block are no longer inherited as soon as one is set here: nginx takes all or none.
    let outer: Vec<String> = pass
        .settings
        .set_headers
        .value
        .iter()
        .filter(|it| !it.name.eq_ignore_ascii_case("Upgrade") && !it.name.eq_ignore_ascii_case("Connection"))
        .filter(|_| pass.settings.set_headers.from.is_some_and(|it| !same_block(case, it, pass)))
        .map(|it| format!("proxy_set_header {} \"{}\";", it.name, it.value.replace('"', "\\\"")))
        .collect();
    if !outer.is_empty() {
        directives = format!("{directives} {}", outer.join(" "));
    }
    edits.append(pass.span, &directives)?;
    edits.into_fix(Fix::repair("Pass Upgrade and Connection on in that location").because(
        "without them the backend gets an ordinary request; a location of its own for the WebSocket keeps them off other pages",
    ))
}

/// Whether a directive stands in the same location as the pass.
fn same_block(case: &Case, span: nginx_conf::Span, pass: &Pass) -> bool {
    let location = pass.location.and_then(|it| case.scene.view.location(it));
    location
        .is_some_and(|it| it.span.file == span.file && it.span.start <= span.start && span.end <= it.span.end)
}

fn from_lines(case: &Case) -> Option<Found> {
    const SOCKETS: &[&str] =
        &["socket", "/ws", "websocket", "/hub", "/cable", "/live", "signalr", "/stream", "/sockjs"];
    let paths: Vec<&str> = case.group.paths.iter().map(|(it, _)| it.as_str()).collect();
    let all = !paths.is_empty() && paths.iter().all(|path| SOCKETS.iter().any(|it| path.contains(it)));
    let status = case.group.statuses.keys().any(|it| matches!(it, 400 | 426));
    if lines::is_late(case) && case.group.symptom != Symptom::BodyShort {
        return None;
    }
    let course = course::of(case);
    let confidence = match case.group.symptom {
        Symptom::UpstreamStatus if !status => return None,
        _ if all && case.group.symptom != Symptom::ReadTimeout => 0.55,
        _ if all => 0.4,
        Symptom::ReadTimeout | Symptom::UpstreamStatus => return None,
        _ if lines::reloaded_before(case).is_some() && !course.since => 0.25,
        _ if course.seen && !course.before && course.between == 0 => 0.1,
        _ => 0.04,
    };
    let on = case.paths().unwrap_or_else(|| "such requests".to_owned());
    let summary = format!(
        "{on} may want the Upgrade and Connection headers that nginx sends only when told to, or gets them unasked"
    );
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Pass the headers where WebSockets are served, and only there: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{JournalEntry, Snapshot};

    fn refusing(location: &str, path: &str, says: &str) -> Snapshot {
        let message = "upstream prematurely closed connection";
        let line =
            failed(message, "reading response header from upstream", &format!("http://127.0.0.1:3000{path}"));
        let line = line.replace("GET /cart", &format!("GET {path}"));
        let http = format!(
            "server {{\nlisten 80;\nserver_name shop.example.com;\nlocation / {{\n{location}\nproxy_pass http://127.0.0.1:3000;\n}}\n}}"
        );
        let mut host = logged(configured(&http), &[&line]);
        serving(&mut host, 700, "/usr/bin/node app.js", "127.0.0.1:3000");
        let entry = JournalEntry {
            at: host.collected_at - SignedDuration::from_secs(10),
            unit: "node-700.service".into(),
            identifier: "node".into(),
            pid: 700,
            priority: 6,
            message: says.into(),
        };
        let host = host.with(|it| it.journal = seen(vec![entry]));
        requested(host, &[("GET /other HTTP/1.1", 200, "127.0.0.1:3000", "200", "0.01")])
    }

    #[test]
    fn headers_that_are_missing_for_a_websocket_are_named() {
        let host =
            refusing("proxy_http_version 1.1;", "/chat/ws", "plain GET refused, a websocket is expected");
        let report = check(&host, "upgrade-header-mismatch: confirmed");
        let new = &report.causes[0].fixes[0].edits[0].new;
        assert!(new.contains("proxy_set_header Upgrade $http_upgrade;"), "{new}");
    }

    #[test]
    fn headers_that_are_forced_on_ordinary_pages_are_named() {
        let forced = "proxy_set_header Upgrade websocket;\nproxy_set_header Connection \"upgrade\";";
        check(&refusing(forced, "/cart", "upgrade of /cart refused"), "upgrade-header-mismatch: confirmed");
    }

    #[test]
    fn a_program_that_wants_to_be_upgraded_itself_says_nothing_of_headers() {
        let forced = "proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection \"upgrade\";";
        let host = refusing(forced, "/cart", "warning: please upgrade pdfkit to 0.15");
        check(&host, "backend-aborts-request: confirmed");
    }

    #[test]
    fn an_ordinary_page_without_such_headers_is_another_cause() {
        let report = crate::diagnose(&refusing("", "/cart", "boom"));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "upgrade-header-mismatch"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_backend_that_silently_closes_websockets_without_the_header_is_likely() {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "http://127.0.0.1:8080/ws",
        )
        .replace("GET /cart", "GET /ws");
        let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line, &line]);
        serving(&mut host, 700, "/usr/bin/node app.js", "127.0.0.1:8080");
        let host = requested(host, &[("GET / HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.01")]);
        check(&host, "upgrade-header-mismatch: likely");
    }
}
