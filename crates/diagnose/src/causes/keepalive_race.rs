use crate::edits::Edits;
use crate::rule::*;
use crate::{deaths, heard, outage};

cause! {
    /// nginx reused an idle connection at the very moment when the backend closed it.
    ///
    /// ## What you see
    /// A few 502s at random, at any URL: `prematurely closed connection` or `104: Connection reset by peer`, at once, mostly
    /// for POST (nginx repeats a GET by itself, then the access log shows `502, 200`). Other requests are fine.
    ///
    /// ## How we know
    /// nginx keeps connections to this backend, the failures came within milliseconds, the same URLs succeed otherwise, and
    /// no process of the backend ended near them.
    ///
    /// ## What to do
    /// Let nginx drop idle connections before the backend does: `keepalive_timeout` in the `upstream` block shorter than the
    /// backend's idle timeout (gunicorn 2 s, Node.js and uvicorn 5 s, Tomcat 20 s), `keepalive_requests` below its cap.
    ///
    /// ## Not to be confused with
    /// `backend-aborts-request`: there particular requests fail. `backend-worker-recycled`: there a worker that reached its
    /// quota ends.
    "keepalive-race",
    explains: [PrematureClose, ReadReset, SendFailed],
    leads_to: ["backend-aborts-request", "passive-health-ejection"],
    judge: Judge::Group(judge),
}

/// A request that the backend never read fails within a round trip; one that it did read takes the application's time.
const AT_ONCE_SECONDS: f64 = 0.25;

/// What servers close idle connections after by default, in seconds.
///
/// Source: gunicorn's `keepalive`, Node's `server.keepAliveTimeout`, uvicorn's `--timeout-keep-alive`, Tomcat's
/// `connectionTimeout`, Puma's `persistent_timeout`, Apache's `KeepAliveTimeout`.
fn idle_seconds(kind: AppKind) -> Option<u64> {
    Some(match kind {
        AppKind::Gunicorn => 2,
        AppKind::Node | AppKind::Uvicorn | AppKind::Apache => 5,
        AppKind::Java => 20,
        AppKind::Ruby => 30,
        _ => return None,
    })
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(pass) = scene.pass(case.group) else { return Ok(Verdict::NotIt) };
    if !pass.keeps_connections(scene.view) {
        return Ok(Verdict::ruled_out("nginx opens a new connection for each request there"));
    }
    if let heard::Heard::Other(protocol, _) = heard::heard(case) {
        return Ok(Verdict::ruled_out(format!("the peer speaks {}", heard::name(protocol))));
    }
    let backend = case.backend()?;
    if backend.local && backend.listening.is_none() {
        return Ok(Verdict::ruled_out("nothing listens there any more"));
    }
    if let Some(deaths) = deaths::near(case)? {
        let says = deaths.fact().map(|it| it.says).unwrap_or_default();
        return Ok(Verdict::ruled_out(format!("a worker ended at that moment: {says}")));
    }
    let waits: Vec<f64> = case
        .accesses()
        .flat_map(|it| &it.attempts)
        .filter(|it| it.header_time.is_none() && it.status.is_none_or(|it| it == 502))
        .filter_map(|it| it.response_time)
        .collect();
    if !waits.is_empty() && !waits.iter().all(|it| *it < AT_ONCE_SECONDS) {
        return Ok(Verdict::ruled_out("the backend took its time before it hung up"));
    }
    let good: Vec<_> = outage::good_answers(case).collect();
    let also_good = case.group.paths.iter().any(|(path, _)| good.iter().any(|it| it.path == *path));
    if good.is_empty() {
        return Ok(Verdict::ruled_out("no request to it succeeded"));
    }
    let name = backend.name(scene);
    let group = pass.group(scene.view);
    let idle = group.map(|it| it.keepalive_timeout.value.as_secs());
    let theirs = idle_seconds(backend.kind);
    let compare = match (idle, theirs) {
        (Some(idle), Some(theirs)) if theirs < idle => {
            format!(
                ": nginx keeps it for {idle} s, {} closes it after {theirs} s by default",
                backend.kind.name()
            )
        }
        (Some(idle), _) => format!(" (nginx keeps it for {idle} s)"),
        _ => String::new(),
    };
    let summary = format!("nginx reuses idle connections that {name} is just closing{compare}");
    let at_once = waits.iter().copied().reduce(f64::max).map(|longest| {
        Fact::new("access-log", format!("the failed attempts ended within {:.0} ms", longest * 1000.0))
    });
    let keeps = group.map(|it| {
        let says = format!("upstream {} keeps {} idle connections per worker", it.name, it.keepalive.value);
        Fact::new("config", says).reference(scene.place(it.keepalive.from.unwrap_or(it.span)))
    });
    let others = good.last().map(|it| {
        let says = format!("{} to it went well", plural(good.len() as u64, "other request"));
        Fact::new("access-log", says).reference(it.reference.clone()).at(it.at)
    });
    let found = if also_good && at_once.is_some() {
        likely(summary).confidence(0.85)
    } else if also_good {
        likely(summary)
    } else {
        possible(summary)
    };
    Ok(found
        .supporting_each(at_once)
        .supporting_each(keeps)
        .supporting_each(others)
        .supporting(case.failures_fact())
        .fix_maybe(shorten(case, theirs))
        .fix(Fix::repair(format!("Or let {name} keep idle connections longer than nginx does, and end none without announcing it")))
        .verify(case.verify_command())
        .prevent("Repeat requests that are safe to repeat: proxy_next_upstream error timeout non_idempotent, where they are")
        .into())
}

/// nginx drops idle connections sooner than the backend.
fn shorten(case: &Case, theirs: Option<u64>) -> Option<Fix> {
    let group = case.scene.pass(case.group)?.group(case.scene.view)?;
    let wanted = theirs.map_or(1, |it| (it / 2).max(1));
    let mut edits = Edits::new(case.scene);
    let directive = format!("keepalive_timeout {wanted}s;");
    match (group.keepalive_timeout.from, group.keepalive.from) {
        (Some(from), _) => edits.replace(from, &directive)?,
        (None, Some(keepalive)) => edits.append(keepalive, &directive)?,
        (None, None) => return None,
    }
    let fix = Fix::repair(format!("Let nginx close idle connections to it after {wanted} s"));
    edits.into_fix(fix.because("the side that sends the next request must be the one that closes first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    fn closing(keepalive: &str, failed_after: &str) -> Snapshot {
        let message = "upstream prematurely closed connection";
        let line = failed(message, "reading response header from upstream", "http://127.0.0.1:3000/cart");
        let http = format!(
            "upstream app {{\nserver 127.0.0.1:3000;\n{keepalive}\n}}\nserver {{\nlisten 80;\nserver_name \
             shop.example.com;\nlocation / {{\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_pass \
             http://app;\n}}\n}}"
        );
        let mut host = logged(configured(&http), &[&line]);
        serving(&mut host, 700, "/usr/bin/node app.js", "127.0.0.1:3000");
        let ok = ("GET /cart HTTP/1.1", 200, "127.0.0.1:3000", "200", "0.01");
        let mut host =
            requested(host, &[ok, ("GET /cart HTTP/1.1", 502, "127.0.0.1:3000", "502", failed_after)]);
        let snapshot::LogFile { lines: Reading::Seen(lines), .. } = &mut host.logs[1] else { return host };
        for line in &mut lines.value.lines {
            line.text = line.text.replace(&format!("uht=\"{failed_after}\""), "uht=\"-\"");
        }
        host
    }

    #[test]
    fn a_reused_connection_that_fails_at_once_is_a_race() {
        let report = check(&closing("keepalive 16;", "0.001"), "keepalive-race: likely");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "keepalive 16; keepalive_timeout 2s;");
    }

    #[test]
    fn without_kept_connections_there_is_no_race() {
        let report = crate::diagnose(&closing("", "0.001"));
        assert!(!report.causes.iter().any(|it| it.cause.id == "keepalive-race"), "{}", outline(&report));
    }

    #[test]
    fn a_backend_that_worked_on_the_request_was_no_race() {
        let report = crate::diagnose(&closing("keepalive 16;", "1.500"));
        assert!(!report.causes.iter().any(|it| it.cause.id == "keepalive-race"), "{}", outline(&report));
    }
}
