//! What a request of our own showed, through nginx and straight to its peers: a failure where no log tells of it, and
//! evidence beside what the logs tell.

use jiff::{SignedDuration, Timestamp};
use nginx_conf::{Pass, View};
use nginx_logs::Symptom;
use nginx_logs::access::Attempt;
use snapshot::{ConnectOutcome, Exchange, Outcome, Peer, Snapshot, Trial};

use crate::case::Case;
use crate::failure::{Access, Failures};
use crate::report::CheckState;
use crate::scene::Scene;
use crate::silence;
use crate::verdict::Fact;

/// How far apart our clock and nginx's lines about the same request may be: they have whole seconds.
const SAME_REQUEST: SignedDuration = SignedDuration::from_secs(2);
/// The status of a request that got none.
const NO_STATUS: u16 = 0;

/// Adds the trial to the requests that failed, unless a log has it.
pub fn add(all: &mut Failures, snapshot: &Snapshot) {
    let Some(trial) = snapshot.trial.value() else { return };
    let Some(status) = failed_with(trial) else { return };
    let request = format!("GET {} HTTP/1.1", trial.target);
    let end = end(&trial.through);
    // Where we lost patience before nginx did, nginx says of us that we hung up.
    let logged_status = if status == NO_STATUS { 499 } else { status };
    let same = |it: &Access| {
        it.request == request && it.status == logged_status && it.at.duration_since(end).abs() <= SAME_REQUEST
    };
    let logged = all.accesses.iter().rposition(same);
    if logged.is_some() && status != NO_STATUS {
        return;
    }
    let logged = logged.map(|it| all.accesses.remove(it));
    let path = crate::failure::path_of(&trial.target);
    all.accesses.push(Access {
        at: end,
        status,
        request,
        method: "GET".into(),
        path,
        client: "127.0.0.1".into(),
        host: host(trial),
        request_time: Some(trial.through.seconds),
        attempts: match logged {
            Some(logged) if !logged.attempts.is_empty() => logged.attempts,
            _ => blamed(trial).map(|it| attempt(it, status)).into_iter().collect(),
        },
        tells_upstream: true,
        tells_times: false,
        reference: format!("GET {}", trial.url),
        line: line(trial),
        explained: false,
        log: usize::MAX,
        passes: Vec::new(),
        trial: true,
    });
}

/// The status of a request that failed; none when it went well, or when nginx could not be asked at all.
fn failed_with(trial: &Trial) -> Option<u16> {
    match &trial.through.outcome {
        Outcome::Answered(it) => Some(it.status).filter(|it| *it >= 500 || *it == 413),
        Outcome::Silent => Some(NO_STATUS),
        _ => None,
    }
}

fn end(exchange: &Exchange) -> Timestamp {
    let took = SignedDuration::try_from_secs_f64(exchange.seconds).unwrap_or_default();
    exchange.sent_at.checked_add(took).unwrap_or(exchange.sent_at)
}

/// The name without a port, as `$host` has it.
fn host(trial: &Trial) -> String {
    match trial.host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => host.to_owned(),
        _ => trial.host.clone(),
    }
}

/// The peer that nginx must have met: the one that fails us as well, else the only one.
fn blamed(trial: &Trial) -> Option<&Exchange> {
    let fails = |it: &&Exchange| it.answered().is_none_or(|it| it.status >= 500);
    match trial.straight.as_slice() {
        [only] => Some(only),
        several => several.iter().find(fails),
    }
}

fn attempt(exchange: &Exchange, status: u16) -> Attempt {
    let same = exchange.answered().filter(|it| it.status == status);
    Attempt {
        addr: Some(exchange.to.to_string()),
        status: same.map(|it| it.status),
        connect_time: None,
        header_time: same.map(|it| it.header_seconds),
        response_time: None,
        group: 0,
    }
}

/// What nginx met in the trial, as far as the same request without nginx tells. Where no error log speaks, that holds for
/// other requests of that path that ended alike; none for all others.
pub fn symptom(
    access: &Access,
    peer: Option<&Peer>,
    pass: Option<&Pass>,
    snapshot: &Snapshot,
    error_log_speaks: bool,
) -> Option<(Symptom, Option<i32>)> {
    let trial = snapshot.trial.value()?;
    let alike = || {
        access.method == "GET"
            && failed_with(trial) == Some(access.status)
            && access.path == crate::failure::path_of(&trial.target)
            // With a header time it was the backend that answered so.
            && access.last_attempt().is_none_or(|it| it.header_time.is_none())
    };
    if !access.trial && (error_log_speaks || !alike()) {
        return None;
    }
    let straight = trial.straight.iter().find(|it| Some(&it.to) == peer)?;
    Some(match &straight.outcome {
        Outcome::NotConnected(outcome) => silence::of_connect(outcome)?,
        Outcome::NoHandshake(_) => (Symptom::SslHandshake, None),
        Outcome::Closed { .. } => (Symptom::PrematureClose, None),
        Outcome::Reset => (Symptom::ReadReset, Some(104)),
        Outcome::Silent => (Symptom::ReadTimeout, Some(110)),
        Outcome::SpokeOther(_) => (Symptom::HeaderInvalid, None),
        Outcome::NotAsked => return None,
        Outcome::Answered(it) if it.status == access.status => (Symptom::UpstreamStatus, None),
        Outcome::Answered(it) => {
            let settings = &pass?.settings;
            if access.status == 502 && it.header_bytes > settings.buffer_size_bytes.value {
                (Symptom::HeaderTooBig, None)
            } else if it.header_seconds > settings.read_timeout.value.as_secs_f64() {
                (Symptom::ReadTimeout, Some(110))
            } else {
                return None;
            }
        }
    })
}

/// The same request straight to the peer of a case, where the trial is one of its failures.
pub fn straight<'a>(case: &Case<'_, 'a>) -> Option<&'a Exchange> {
    let trial = concerned(case)?;
    trial.straight.iter().find(|it| Some(&it.to) == case.peer())
}

fn concerned<'a>(case: &Case<'_, 'a>) -> Option<&'a Trial> {
    let trial = case.scene.snapshot.trial.value()?;
    failed_with(trial)?;
    let path = crate::failure::path_of(&trial.target);
    let of_the_group = case.group.paths.iter().any(|(it, _)| *it == path);
    let at_its_end = case.group.last.duration_since(end(&trial.through)).abs() <= SAME_REQUEST;
    (of_the_group && at_its_end).then_some(trial)
}

/// That the trial failed, and how it went without nginx.
pub fn fact(case: &Case) -> Option<Fact> {
    let trial = concerned(case)?;
    Some(Fact::new("probe", line(trial)).reference(format!("GET {}", trial.url)).at(trial.through.sent_at))
}

/// Whether the very same request went well without nginx.
pub fn went_well_without_nginx(case: &Case) -> bool {
    straight(case).and_then(Exchange::answered).is_some_and(|it| it.status < 500)
}

/// For the checklist.
pub fn step(scene: &Scene) -> Option<(CheckState, String)> {
    let trial = match &scene.snapshot.trial {
        snapshot::Reading::Seen(seen) => &seen.value,
        snapshot::Reading::Unread(unread) if unread.reason == snapshot::Reason::NotAsked => return None,
        snapshot::Reading::Unread(unread) => {
            return Some((CheckState::Skipped, format!("{}: {}", unread.source, unread.detail)));
        }
    };
    let state = match trial.through.answered().map(|it| it.status) {
        Some(100..400) => CheckState::Ok,
        Some(400..500) => CheckState::Warn,
        _ => CheckState::Fail,
    };
    let remark = if trial.remark.is_empty() { String::new() } else { format!(" ({})", trial.remark) };
    Some((state, format!("{}{remark}", line(trial))))
}

/// Why the host cannot be called healthy although no cause was found and no log tells of a failure: the trial failed,
/// and no backend said so itself.
pub fn unanswered(scene: &Scene) -> Option<String> {
    let trial = scene.snapshot.trial.value()?;
    let status = trial.through.answered().map(|it| it.status);
    let fine = status.is_some_and(|it| it < 500);
    (!fine && own_answer(trial).is_none()).then(|| line(trial))
}

/// That the request was answered, by whomever and with whatever, but not by a gateway's error: in a sentence.
pub fn went_well(scene: &Scene) -> Option<String> {
    let trial = scene.snapshot.trial.value()?;
    let status = trial.through.answered()?.status;
    let fine = status < 500 || own_answer(trial).is_some_and(|_| !matches!(status, 502..=504));
    fine.then(|| format!("GET {} gets {status} through nginx", trial.url))
}

/// An error that a backend answers by itself, in a sentence: nginx only passes it on.
pub fn passed_on(scene: &Scene) -> Option<String> {
    let trial = scene.snapshot.trial.value()?;
    let own = own_answer(trial)?;
    Some(format!("{} answers {} to GET {} itself; nginx only passes it on", own.0, own.1, trial.url))
}

fn own_answer(trial: &Trial) -> Option<(&Peer, u16)> {
    let status = trial.through.answered().map(|it| it.status).filter(|it| *it >= 500)?;
    let own = trial.straight.iter().find(|it| it.answered().is_some_and(|it| it.status == status))?;
    Some((&own.to, status))
}

fn line(trial: &Trial) -> String {
    let mut line = format!("GET {} through nginx: {}", trial.url, words(&trial.through));
    for it in &trial.straight {
        line.push_str(&format!("; straight to {}: {}", it.to, words(it)));
    }
    line
}

fn words(it: &Exchange) -> String {
    let after = format!("{:.3} s", it.seconds);
    match &it.outcome {
        Outcome::Answered(answered) => {
            let location = match answered.location.as_str() {
                "" => String::new(),
                there => format!(" to {there}"),
            };
            format!("status {}{location} after {:.3} s", answered.status, answered.header_seconds)
        }
        Outcome::NotConnected(ConnectOutcome::Failed { errno }) => {
            let words =
                nginx_logs::errno::errno(*errno).map_or_else(String::new, |it| format!(": {}", it.text));
            format!("no connection ({errno}{words})")
        }
        Outcome::NotConnected(_) => format!("no connection within {after}"),
        Outcome::NoHandshake(why) => format!("no TLS handshake ({why})"),
        Outcome::Closed { .. } => format!("closed without a response header after {after}"),
        Outcome::Reset => format!("reset without a response header after {after}"),
        Outcome::Silent => format!("no answer within {after}"),
        Outcome::SpokeOther(bytes) => format!("an answer that is not {}: {bytes}", it.scheme),
        Outcome::NotAsked => "not asked".into(),
    }
}

/// A command that makes the trial which would decide: for a path that failed, else for the first server with a name.
pub fn proposal(view: &View, failed: Option<(&str, &str)>) -> Option<String> {
    let (host, path) = failed.unwrap_or_default();
    let index = view.server_for(host, None).filter(|_| !host.is_empty());
    let usable = |it: &usize| view.servers().get(*it).is_some_and(|it| !it.stream && !it.mail);
    let index = index.filter(usable).or_else(|| (0..view.servers().len()).find(usable))?;
    let server = &view.servers()[index];
    let listen = server.listens.iter().filter(|it| !it.udp && !it.quic).find(|it| it.port.is_some())?;
    let plain = |it: &&str| {
        !it.is_empty() && *it != "_" && it.chars().all(|it| it.is_ascii_alphanumeric() || ".-".contains(it))
    };
    let name =
        [host].into_iter().chain(server.names.iter().map(String::as_str)).find(plain).unwrap_or("127.0.0.1");
    let port = listen.port.filter(|it| *it != if listen.ssl { 443 } else { 80 });
    let port = port.map(|it| format!(":{it}")).unwrap_or_default();
    let safe = |it: char| it.is_ascii_alphanumeric() || "/._-~%".contains(it);
    let path = if path.starts_with('/') && path.chars().all(safe) { path } else { "/" };
    Some(format!("why502 diagnose --url {}://{name}{port}{path}", if listen.ssl { "https" } else { "http" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, Verdict, Weight};
    use crate::testing::*;
    use snapshot::{Answered, Reading};

    const PEER: &str = "127.0.0.1:8080";
    const REFUSED: Outcome = Outcome::NotConnected(ConnectOutcome::Failed { errno: 111 });

    fn status(status: u16, header_seconds: f64, header_bytes: u64) -> Outcome {
        Outcome::Answered(Answered {
            status,
            header_seconds,
            header_bytes,
            body_bytes: 0,
            server: String::new(),
            location: String::new(),
        })
    }

    fn exchange(to: &str, outcome: Outcome) -> Exchange {
        let seconds = outcome_seconds(&outcome);
        let to = to.parse().unwrap();
        Exchange { to, scheme: "http".into(), sent_at: ago(5), seconds, outcome }
    }

    fn outcome_seconds(outcome: &Outcome) -> f64 {
        match outcome {
            Outcome::Answered(it) => it.header_seconds,
            _ => 0.001,
        }
    }

    /// A host without any log on which /cart was tried.
    fn tried(pass: &str, through: Outcome, straight: Outcome) -> Snapshot {
        passing_to(pass).with(|it| {
            it.trial = seen(Trial {
                url: "http://shop.example.com/cart?x=1".into(),
                host: "shop.example.com".into(),
                target: "/cart?x=1".into(),
                through: exchange("127.0.0.1:80", through),
                straight: vec![exchange(PEER, straight)],
                remark: String::new(),
            });
        })
    }

    const PASS: &str = "proxy_pass http://127.0.0.1:8080";

    fn evidence(report: &Report, weight: Weight) -> Vec<&str> {
        let all = report.causes.iter().flat_map(|it| &it.evidence);
        all.filter(|it| it.weight == weight).map(|it| it.says.as_str()).collect()
    }

    #[test]
    fn a_refusal_is_diagnosed_though_no_log_tells_of_it() {
        let report = check(&tried(PASS, status(502, 0.001, 100), REFUSED), "backend-not-running: likely");
        let says = "GET http://shop.example.com/cart?x=1 through nginx: status 502 after 0.001 s; straight to \
                    127.0.0.1:8080: no connection (111: Connection refused)";
        assert!(evidence(&report, Weight::Supporting).contains(&says), "{}", outline(&report));
        assert_eq!(report.causes[0].impact.statuses, [(502, 1)].into());
        assert_eq!(report.symptoms[0].symptom, Symptom::ConnectRefused);
    }

    #[test]
    fn a_header_that_does_not_fit_is_measured() {
        let host = tried(PASS, status(502, 0.001, 100), status(200, 0.002, 9000));
        let report = check(&host, "response-header-too-big: confirmed");
        let says = "straight from 127.0.0.1:8080 the response header of the same request has 9000 bytes";
        assert_eq!(evidence(&report, Weight::Decisive), [says]);
    }

    #[test]
    fn an_answer_that_takes_longer_than_nginx_waits_is_slow() {
        let pass = "proxy_pass http://127.0.0.1:8080;\nproxy_read_timeout 2s";
        let host = tried(pass, status(504, 2.001, 100), status(200, 3.5, 200))
            .with(|it| serving(it, 300, "/usr/bin/node server.js --port 8080", PEER));
        check(&host, "backend-slow: confirmed");
    }

    #[test]
    fn a_program_that_answers_us_late_does_not_hang_though_it_leaves_a_greeting_unread() {
        let pass = "proxy_pass http://127.0.0.1:8080;\nproxy_read_timeout 2s";
        let host = tried(pass, status(504, 2.001, 100), status(200, 3.5, 200)).with(|it| {
            serving(it, 300, "/usr/bin/python3 shop.py --port 8080", PEER);
            greeted(it, PEER, snapshot::Protocol::Http, snapshot::Answer::Silent);
        });
        check(&host, "backend-slow: likely");
        check_ruled_out(&host, "backend-hung", "it answered the same request without nginx, after 3.5 s");
    }

    #[test]
    fn a_gateway_status_that_the_backend_sends_is_its_own() {
        let host = tried(PASS, status(503, 0.004, 100), status(503, 0.003, 100));
        check(&host, "upstream-returned-error: confirmed");
    }

    #[test]
    fn an_application_s_own_500_is_told_and_is_no_gateway_failure() {
        let report = check(&tried(PASS, status(500, 0.004, 100), status(500, 0.003, 100)), "healthy");
        let says = "127.0.0.1:8080 answers 500 to GET http://shop.example.com/cart?x=1 itself; nginx only passes it on";
        assert_eq!(report.notes, [says]);
    }

    #[test]
    fn a_request_that_fails_through_nginx_alone_is_inconclusive() {
        for failing in [502, 500] {
            let report = crate::diagnose(&tried(PASS, status(failing, 0.001, 100), status(200, 0.002, 200)));
            assert_eq!(report.verdict, Verdict::Inconclusive, "{}", outline(&report));
            assert_eq!(report.next_look, None, "it was made");
        }
    }

    #[test]
    fn a_request_that_went_well_is_a_line_of_the_checklist() {
        let report = check(&tried(PASS, status(200, 0.002, 100), status(200, 0.001, 100)), "healthy");
        let line = report.checks.last().unwrap();
        assert_eq!((line.id, line.step, line.state), ("url", 9, CheckState::Ok));
        let end = "GET http://shop.example.com/cart?x=1 gets 200 through nginx.";
        assert!(report.summary.ends_with(end), "{}", report.summary);
    }

    #[test]
    fn that_it_went_well_without_nginx_speaks_against_the_backend() {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "http://127.0.0.1:8080/cart",
        );
        let host = tried(PASS, status(502, 0.001, 100), status(200, 0.001, 100));
        let host = logged(host, &[&line]).with(|it| {
            let Reading::Seen(trial) = &mut it.trial else { return };
            trial.value.through.sent_at = ago(10);
        });
        let report = crate::diagnose(&host);
        let against = evidence(&report, Weight::Contradicting);
        let of_backend = report.causes.iter().any(|it| it.cause.id.starts_with("backend-"));
        assert_eq!(
            against.iter().any(|it| it.starts_with("GET http://shop")),
            of_backend,
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_request_that_a_log_tells_of_is_counted_once() {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        )
        .replace("GET /cart ", "GET /cart?x=1 ");
        let host = logged(tried(PASS, status(502, 0.001, 100), REFUSED), &[&line]);
        let host = requested(host, &[("GET /cart?x=1 HTTP/1.1", 502, PEER, "502", "0.000")]).with(|it| {
            let Reading::Seen(trial) = &mut it.trial else { return };
            trial.value.through.sent_at = ago(10);
        });
        let report = check(&host, "backend-not-running: likely");
        assert_eq!(report.causes[0].impact.requests, 1);
    }

    #[test]
    fn without_an_error_log_the_trial_tells_of_its_like() {
        let closed = Outcome::Closed { received_bytes: 0 };
        let host = tried(PASS, status(502, 0.001, 100), closed);
        let of = |request| (request, 502, PEER, "502", "-");
        let cart = of("GET /cart HTTP/1.1");
        let report = crate::diagnose(&requested(host, &[cart, cart, of("GET /other HTTP/1.1")]));
        let closed = report.symptoms.iter().find(|it| it.symptom == Symptom::PrematureClose).unwrap();
        // Two of the log, and the trial itself, which no log tells of.
        assert_eq!(closed.count, 3, "{}", outline(&report));
    }

    #[test]
    fn the_proposed_request_is_one_that_failed_and_can_be_typed() {
        let host = passing_to("proxy_pass http://127.0.0.1:8080");
        let proposed = |failed| with_scene(&host, |scene| proposal(scene.view, failed)).unwrap();
        assert_eq!(
            proposed(Some(("shop.example.com", "/cart"))),
            "why502 diagnose --url http://shop.example.com/cart"
        );
        assert_eq!(proposed(Some(("$(rm -rf)", "/';x"))), "why502 diagnose --url http://shop.example.com/");
        assert_eq!(proposed(None), "why502 diagnose --url http://shop.example.com/");
    }
}
