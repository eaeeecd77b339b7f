use crate::edits::Edits;
use crate::failure::Access;
use crate::rule::*;
use crate::service::Backend;
use crate::{deaths, heard, idle, outage, vitals};

cause! {
    /// nginx reused an idle connection at the very moment when the backend closed it.
    ///
    /// ## What you see
    /// A few 502s at random, at any URL: `prematurely closed connection` or `104: Connection reset by peer`, at once, mostly
    /// for POST (nginx repeats a GET by itself, then the access log shows `502, 200`). Other requests are fine.
    ///
    /// ## How we know
    /// nginx keeps connections to this backend, the same URLs succeed otherwise, and no process of the backend ended near the
    /// failures. They came within milliseconds, or after just the pause after which the backend closes idle connections,
    /// and none came after a shorter one.
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
    from_lines: from_lines,
}

/// A request that the backend never read fails within a round trip; one that it did read takes the application's time.
const AT_ONCE_SECONDS: f64 = 0.25;

/// A server that closes idle connections from a thread of its own comes round that late.
const LATE_CLOSE_SECONDS: f64 = 1.0;

/// How far from the backend's idle timeout the pause before a failure may be: access logs know whole seconds only.
const EARLY_SECONDS: f64 = 1.0;
/// Servers look for idle connections once a second, and are late when they are busy: Node.js takes a second more by design.
const LATE_SECONDS: f64 = 2.5;
/// So few failures may have met that moment by chance.
const ENOUGH: usize = 3;

/// After which time the backend closes an idle connection.
struct Idle {
    seconds: u64,
    /// Who says so.
    from: String,
}

/// What servers close idle connections after by default, in seconds.
///
/// Source: gunicorn's `keepalive`, Node's `server.keepAliveTimeout`, uvicorn's `--timeout-keep-alive`, Tomcat's
/// `connectionTimeout`, Puma's `persistent_timeout`, Apache's `KeepAliveTimeout`, Varnish's `timeout_idle`.
fn default_seconds(kind: AppKind) -> Option<u64> {
    Some(match kind {
        AppKind::Gunicorn => 2,
        AppKind::Node | AppKind::Uvicorn | AppKind::Apache | AppKind::Varnish => 5,
        AppKind::Java => 20,
        AppKind::Ruby => 30,
        _ => return None,
    })
}

/// What the backend itself announces or was started with, else the default of its kind.
fn idle_of(case: &Case, backend: &Backend) -> Option<Idle> {
    let said = vitals::greeting(case).and_then(|it| it.detail.split_once("keep-alive: timeout="));
    let digits = |it: &str| it.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok();
    if let Some(seconds) = said.and_then(|(_, it)| digits(it)) {
        return Some(Idle { seconds, from: format!("it announces \"Keep-Alive: timeout={seconds}\"") });
    }
    let names: &[&str] = match backend.kind {
        AppKind::Gunicorn => &["--keep-alive"],
        AppKind::Uvicorn => &["--timeout-keep-alive", "--keep-alive"],
        AppKind::Uwsgi => &["--http-keepalive"],
        _ => &[],
    };
    let given = backend.processes.iter().find_map(|it| vitals::option(&it.arguments, names)?.parse().ok());
    if let (Some(seconds), Some(name)) = (given, names.first()) {
        return Some(Idle { seconds, from: format!("{name} {seconds}") });
    }
    Some(Idle { seconds: default_seconds(backend.kind)?, from: "by default".to_owned() })
}

/// What the pauses before the requests say of them.
struct Timing {
    fact: Fact,
    /// Whether it can hardly be chance: enough failures after the very pause that the backend waits, and requests after
    /// shorter ones went well.
    telling: bool,
}

fn timing(case: &Case, theirs: Option<&Idle>) -> Option<Timing> {
    let pauses = idle::pauses(case);
    let failed: Vec<f64> = pauses.iter().filter(|it| it.failed).map(|it| it.seconds).collect();
    // A timeout that nobody tells cannot be longer than the shortest pause before a failure.
    let untold = || failed.iter().copied().reduce(f64::min).filter(|it| *it > 2.0 * EARLY_SECONDS);
    let timeout = theirs.map(|it| it.seconds as f64).or_else(untold)?;
    let expected = timeout - EARLY_SECONDS..=timeout + LATE_SECONDS;
    let met: Vec<f64> = failed.iter().copied().filter(|it| expected.contains(it)).collect();
    let sooner = pauses.iter().filter(|it| !it.failed && it.seconds < *expected.start()).count();
    let shortest = met.iter().copied().reduce(f64::min)?;
    let longest = met.iter().copied().reduce(f64::max)?;
    let span = if longest - shortest < 0.1 {
        format!("{longest:.1} s")
    } else {
        format!("{shortest:.1} to {longest:.1} s")
    };
    let when = match theirs {
        Some(it) => format!("when the backend closes idle connections ({} s, {})", it.seconds, it.from),
        None => "which may be the backend's idle timeout".to_owned(),
    };
    let says = format!(
        "{} of {} came {span} after the answer before, {when}; {} after a shorter pause went well",
        met.len(),
        plural(failed.len() as u64, "failed request"),
        plural(sooner as u64, "request"),
    );
    let telling = met.len() >= ENOUGH && met.len() == failed.len() && sooner >= ENOUGH;
    Some(Timing { fact: Fact::new("access-log", says), telling: telling && theirs.is_some() })
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
    if let Some(deaths) = deaths::near(case)?.filter(|it| it.explain()) {
        let says = deaths.fact().map(|it| it.says).unwrap_or_default();
        return Ok(Verdict::ruled_out(format!("a worker ended at that moment: {says}")));
    }
    let waits: Vec<f64> = case
        .accesses()
        .flat_map(|it| &it.attempts)
        .filter(|it| it.header_time.is_none() && it.status.is_none_or(|it| it == 502))
        .filter_map(|it| it.response_time)
        .collect();
    let theirs = idle_of(case, backend);
    let timing = timing(case, theirs.as_ref());
    let telling = timing.as_ref().is_some_and(|it| it.telling);
    let good: Vec<_> = outage::good_answers(case).collect();
    // A busy server may let a request wait on a connection that it closes then. That it read none of them is believable
    // when each goes well another time.
    let goes_well = |bad: &Access| good.iter().any(|it| it.method == bad.method && it.path == bad.path);
    let longest = if case.accesses().all(goes_well) { LATE_CLOSE_SECONDS } else { AT_ONCE_SECONDS };
    if !telling && !waits.is_empty() && !waits.iter().all(|it| *it < longest) {
        return Ok(Verdict::ruled_out("the backend took its time before it hung up"));
    }
    let also_good = case.group.paths.iter().any(|(path, _)| good.iter().any(|it| it.path == *path));
    if good.is_empty() {
        return Ok(Verdict::ruled_out("no request to it succeeded"));
    }
    let name = backend.name(scene);
    let group = pass.group(scene.view);
    let idle = group.map(|it| it.keepalive_timeout.value.as_secs());
    let compare = match (idle, &theirs) {
        (Some(idle), Some(theirs)) if theirs.seconds < idle => {
            let (seconds, from) = (theirs.seconds, &theirs.from);
            format!(
                ": nginx keeps it for {idle} s, {} closes it after {seconds} s ({from})",
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
    let outlives = idle.zip(theirs.as_ref()).is_some_and(|(ours, theirs)| ours > theirs.seconds);
    // A method that never went well may be what the backend does not like.
    let same_methods = case.accesses().all(|bad| good.iter().any(|it| it.method == bad.method));
    let seen = telling && same_methods && deaths::would_be_seen(case).is_ok();
    let soon = !waits.is_empty() && waits.iter().all(|it| *it < AT_ONCE_SECONDS);
    let found = if also_good && seen && outlives {
        confirmed(summary)
    } else if also_good && soon {
        likely(summary).confidence(0.85)
    } else if also_good {
        likely(summary)
    } else {
        possible(summary)
    };
    let found = match timing {
        Some(Timing { fact, telling: true }) => found.decisive(fact),
        timing => found.supporting_each(timing.map(|it| it.fact)),
    };
    Ok(found
        .supporting_each(at_once)
        .supporting_each(keeps)
        .supporting_each(others)
        .supporting(case.failures_fact())
        .fix_maybe(shorten(case, theirs.map(|it| it.seconds)))
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

fn from_lines(case: &Case) -> Option<Found> {
    if lines::is_late(case) || lines::is_stream(case) {
        return None;
    }
    let course = course::of(case);
    let peer = case.peer_name();
    let times = lines::durations(case);
    let first_tries = case.accesses().filter_map(|it| it.attempts.first()?.response_time);
    let at_once = first_tries.chain(times.first().copied()).all(|it| it < 0.1);
    let retried = case.accesses().any(|it| {
        let [first, second, ..] = it.attempts.as_slice() else { return false };
        first.addr == second.addr && second.status.is_some_and(|it| (100..500).contains(&it))
    });
    let rare = course.between + u64::from(course.before) + u64::from(course.since) >= 2;
    let confidence = match lines::spread(case) {
        _ if !at_once || lines::refused_after(case) || deaths::by_lines(case).is_some() => 0.03,
        _ if retried => 0.75,
        _ if lines::after_pauses(case) && course.since => 0.55,
        // It hits one request here and there.
        _ if lines::in_rows(case, 3) && course.seen => 0.05,
        lines::Spread::Particular => 0.06,
        lines::Spread::General if rare => 0.45,
        _ if course.seen => 0.04,
        _ => 0.2,
    };
    let summary = format!("{peer} may close idle connections just as nginx reuses them");
    let again =
        retried.then(|| lines::course_fact(case, format!("a second try at {peer} was answered at once")));
    Some(
        fits(case, confidence, summary)
            .supporting_each(again)
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::repair("Let the backend keep idle connections longer than nginx does (keepalive_timeout of the upstream)"))
            .verify(case.verify_command()),
    )
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
        let bad = ("GET /cart HTTP/1.1", 502, "127.0.0.1:3000", "502", failed_after);
        without_header(requested(host, &[ok, bad]), failed_after)
    }

    /// No response header came for the requests that took that long.
    fn without_header(mut host: Snapshot, took: &str) -> Snapshot {
        let snapshot::LogFile { lines: Reading::Seen(lines), .. } = &mut host.logs[1] else { return host };
        for line in &mut lines.value.lines {
            line.text = line.text.replace(&format!("uht=\"{took}\""), "uht=\"-\"");
        }
        host
    }

    #[test]
    fn a_reused_connection_that_fails_at_once_is_a_race() {
        let report = check(&closing("keepalive 16;", "0.001"), "keepalive-race: likely");
        assert_eq!(report.causes[0].fixes[0].edits[0].new, "keepalive 16; keepalive_timeout 2s;");
    }

    /// Five requests in a row, then three that fail, each six seconds after the one before; and one that fails sooner.
    fn paused(one_sooner: bool) -> Snapshot {
        let get = |status, upstream, took| ("GET /cart HTTP/1.1", status, "127.0.0.1:3000", upstream, took);
        let (ok, bad) = (get(200, "200", "0.01"), get(502, "502", "0.3"));
        let elsewhere = ("GET / HTTP/1.1", 200, "127.0.0.1:9", "200", "0.01");
        let mut requests = vec![ok; 5];
        for _ in 0..3 {
            requests.extend([elsewhere; 5]);
            requests.extend([bad, ok]);
        }
        requests.extend(one_sooner.then_some(bad));

        let mut host = closing("keepalive 16;", "0.3");
        let line = host.logs[0].lines.value().map(|it| it.lines[0].text.clone()).unwrap_or_default();
        let line = line.split_once(' ').and_then(|it| it.1.split_once(' ')).map_or("", |it| it.1);
        host.logs.clear();
        let quiet = "[notice] 101#101: signal 29 (SIGIO) received";
        let lines: Vec<&str> = requests.iter().map(|it| if *it == bad { line } else { quiet }).collect();
        without_header(requested(logged(host, &lines), &requests), "0.3")
    }

    #[test]
    fn failures_after_just_the_pause_that_the_backend_waits_are_decisive() {
        let report = check(&paused(false), "keepalive-race: confirmed");
        let says = &report.causes[0].evidence[0].says;
        assert!(says.starts_with("3 of 3 failed requests came 5.7 s after"), "{says}");
    }

    #[test]
    fn a_failure_after_a_shorter_pause_contradicts_that() {
        let report = crate::diagnose(&paused(true));
        assert!(!first(&report).contains("keepalive-race: confirmed"), "{}", outline(&report));
    }

    #[test]
    fn without_kept_connections_there_is_no_race() {
        let report = crate::diagnose(&closing("", "0.001"));
        assert!(!report.causes.iter().any(|it| it.cause.id == "keepalive-race"), "{}", outline(&report));
    }

    #[test]
    fn a_server_that_closes_late_is_believed_where_the_same_request_goes_well_otherwise() {
        check(&closing("keepalive 16;", "0.400"), "keepalive-race: likely");
        let mut host = closing("keepalive 16;", "0.400");
        // The POST never went well, the GET did.
        let snapshot::LogFile { lines: Reading::Seen(lines), .. } = &mut host.logs[1] else { return };
        lines.value.lines[1].text = lines.value.lines[1].text.replace("GET", "POST");
        let snapshot::LogFile { lines: Reading::Seen(lines), .. } = &mut host.logs[0] else { return };
        lines.value.lines[0].text = lines.value.lines[0].text.replace("GET", "POST");
        check_ruled_out(&host, "keepalive-race", "the backend took its time");
    }

    #[test]
    fn a_backend_that_worked_on_the_request_was_no_race() {
        let report = crate::diagnose(&closing("keepalive 16;", "1.500"));
        assert!(!report.causes.iter().any(|it| it.cause.id == "keepalive-race"), "{}", outline(&report));
    }
}
