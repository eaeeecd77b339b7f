//! Reports to render: one of each verdict.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::collections::BTreeMap;

use diagnose::*;
use jiff::Timestamp;
use nginx_logs::Symptom;
use snapshot::Window;

fn at(time: &str) -> Timestamp {
    format!("2026-05-02T{time}Z").parse().expect("a constant")
}

/// A cause of the tests' own, so that a change of its page in the engine changes no rendering here.
static POOL_EXHAUSTED: Cause = Cause {
    id: "php-fpm-pool-exhausted",
    page: "Every child that the pool allows is busy.",
    explains: &[Symptom::ReadTimeout],
    leads_to: &["listen-queue-overflow"],
    judge: Judge::Host(|_| unreachable!("rendering judges nothing")),
};

/// Nothing wrong.
pub fn healthy() -> Report {
    Report {
        host: "web-1".into(),
        kernel: "6.1.0".into(),
        nginx: Some("1.22.1".into()),
        container: false,
        utc_offset_seconds: 7200,
        collected_at: at("13:03:10"),
        elapsed_seconds: 0.2141,
        window: Window { from: at("12:48:10"), to: at("13:03:10") },
        verdict: Verdict::Healthy,
        summary: "nginx 1.22.1 answers; 1234 requests since 14:48:10, no gateway failure.".into(),
        causes: vec![],
        hidden: vec![],
        symptoms: vec![],
        candidates: vec![],
        ruled_out: vec![],
        next_look: None,
        moments: vec![],
        checks: vec![
            Check { id: "backend-process", step: 1, state: CheckState::Ok, says: "php8.2-fpm runs".into() },
            Check { id: "resources", step: 6, state: CheckState::Warn, says: "/var is 96 % full".into() },
        ],
        blind_spots: vec![],
        notes: vec![],
        traffic: None,
    }
}

/// A full PHP-FPM pool.
pub fn faulty() -> Report {
    let socket = "unix:/run/php/php8.2-fpm.sock".to_owned();
    let evidence = |source: &str, says: &str, reference: Option<&str>, time: Option<&str>, weight| Evidence {
        source: source.into(),
        says: says.into(),
        reference: reference.map(str::to_owned),
        at: time.map(at),
        weight,
    };
    Report {
        verdict: Verdict::Faulty,
        summary: "PHP-FPM pool www is out of children: all 50 are busy and 129 connections wait.".into(),
        causes: vec![Finding {
            cause: &POOL_EXHAUSTED,
            certainty: Certainty::Confirmed,
            confidence: 0.98,
            summary: "All 50 children of pool www are busy and 129 connections wait in its queue.".into(),
            upstream: Some(Upstream {
                peer: socket.clone(),
                group: None,
                scheme: Some("fastcgi".into()),
                server: Some("shop.example.com".into()),
                location: Some(r"~ \.php$".into()),
                config: Some("/etc/nginx/sites-enabled/shop:12".into()),
            }),
            impact: Impact {
                requests: 512,
                share: Some(0.31),
                statuses: BTreeMap::from([(502, 455), (504, 57)]),
                first: Some(at("13:02:04")),
                last: Some(at("13:03:09")),
                ongoing: true,
            },
            evidence: vec![
                evidence(
                    "php-fpm-log",
                    "server reached pm.max_children setting (50), 14 times",
                    Some("/var/log/php8.2-fpm.log:2211"),
                    Some("13:02:03"),
                    Weight::Decisive,
                ),
                evidence(
                    "socket",
                    "129 connections wait to be accepted (backlog 511)",
                    None,
                    None,
                    Weight::Supporting,
                ),
                evidence(
                    "error-log",
                    "110 while reading response header, 57 times",
                    Some("/var/log/nginx/error.log:88120"),
                    None,
                    Weight::Supporting,
                ),
            ],
            ruled_out: vec![RuledOut {
                id: "backend-hung",
                because: "children answer: 41 requests finished in the last minute".into(),
            }],
            consequences: vec!["listen-queue-overflow".into()],
            fixes: vec![Fix {
                title: "Raise pm.max_children to 120".into(),
                kind: FixKind::Mitigate,
                risk: "restarts PHP-FPM".into(),
                edits: vec![Edit {
                    file: "/etc/php/8.2/fpm/pool.d/www.conf".into(),
                    line: 22,
                    old: "pm.max_children = 50".into(),
                    new: "pm.max_children = 120".into(),
                }],
                commands: vec!["systemctl reload php8.2-fpm".into()],
                why: "4.0 GiB are free and a child takes 31 MiB".into(),
            }],
            verify: vec!["curl -fsS -o /dev/null http://127.0.0.1/".into()],
            prevent: vec!["Alert when active/max stays above 0.8 for 1 minute".into()],
        }],
        symptoms: vec![SymptomLine {
            symptom: Symptom::ReadTimeout,
            peer: Some(socket),
            count: 57,
            first: Some(at("13:02:04")),
            last: Some(at("13:03:09")),
            failed_at: (4..=57).map(|it| at(&format!("13:02:{it:02}"))).chain([at("13:03:09"); 3]).collect(),
            sample_reference: "/var/log/nginx/error.log:88120".into(),
            sample_line: "2026/05/02 15:02:04 [error] 7#7: *1 upstream timed out (110: Connection timed out)"
                .into(),
            sample_request: None,
        }],
        moments: vec![Moment { at: at("13:02:01"), says: "/etc/php/8.2/fpm/pool.d/www.conf changed".into() }],
        blind_spots: vec![BlindSpot {
            what: "kernel log".into(),
            why: "permission denied".into(),
            costs: vec!["backend-oom-killed"],
            remedy: "run as root".into(),
        }],
        ..healthy()
    }
}

/// The same found twice, the second time at another peer.
pub fn faulty_twice() -> Report {
    let mut report = faulty();
    let mut second = report.causes[0].clone();
    second.certainty = Certainty::Possible;
    second.confidence = 0.4;
    second.summary = "Pool admin may be out of children as well.".into();
    second.impact = Impact { requests: 1, first: Some(at("13:03:00")), ..Impact::default() };
    report.causes.push(second);
    report
}

/// Retries hid the failures.
pub fn degraded() -> Report {
    let mut report = faulty();
    report.verdict = Verdict::Degraded;
    report.hidden = std::mem::take(&mut report.causes);
    report
}

/// Something failed, and what would say why could not be read.
pub fn inconclusive() -> Report {
    let mut report = faulty();
    report.verdict = Verdict::Inconclusive;
    report.summary = "57 requests failed, and too little could be seen to say why.".into();
    report.causes.clear();
    report.symptoms[0].symptom = Symptom::ConnectRefused;
    report.candidates = vec![Candidate {
        cause: &POOL_EXHAUSTED,
        decides: "run as root, to see this: listening sockets".into(),
    }];
    report.ruled_out = vec![RuledOut { id: "backend-hung", because: "children answer".into() }];
    report.next_look = Some("why502 diagnose --url http://shop.example.com/cart".into());
    report.blind_spots.push(BlindSpot {
        what: "listening sockets".into(),
        why: "permission denied".into(),
        costs: vec!["wrong-upstream-port"],
        remedy: "run as root".into(),
    });
    report
}

/// Every text of the host tries to drive the terminal.
pub fn hostile() -> Report {
    let evil = "a\x1b[2J\u{9b}31m\r\nFix\n  $ rm -rf /\u{202e}<script>\n```\n# `x` ``` </details></pre></title>\" \
                onload='x' | [a](http://evil.example) ![b](//evil.example) www.evil.example @everyone #12 &lt; -->"
        .to_owned();
    let mut report = faulty_twice();
    report.host.clone_from(&evil);
    report.summary.clone_from(&evil);
    report.notes = vec![evil.clone()];
    report.moments[0].says.clone_from(&evil);
    report.symptoms[0].sample_line.clone_from(&evil);
    report.symptoms[0].peer = Some(evil.clone());
    report.checks[0].says.clone_from(&evil);
    report.candidates = vec![Candidate { cause: &POOL_EXHAUSTED, decides: evil.clone() }];
    report.ruled_out = vec![RuledOut { id: "backend-hung", because: evil.clone() }];
    report.next_look = Some(evil.clone());
    report.blind_spots[0].what.clone_from(&evil);
    report.blind_spots[0].remedy.clone_from(&evil);
    for finding in &mut report.causes {
        finding.summary.clone_from(&evil);
        finding.verify = vec![evil.clone()];
        finding.prevent = vec![evil.clone()];
        finding.consequences = vec![evil.clone()];
        finding.ruled_out[0].because.clone_from(&evil);
        finding.evidence[0].says.clone_from(&evil);
        finding.evidence[0].reference = Some(evil.clone());
        finding.upstream = Some(Upstream {
            peer: evil.clone(),
            group: Some(evil.clone()),
            scheme: Some(evil.clone()),
            server: Some(evil.clone()),
            location: Some(evil.clone()),
            config: Some(evil.clone()),
        });
        let fix = &mut finding.fixes[0];
        fix.title.clone_from(&evil);
        fix.risk.clone_from(&evil);
        fix.why.clone_from(&evil);
        fix.commands = vec![evil.clone()];
        fix.edits[0] = Edit { file: evil.clone(), line: 1, old: evil.clone(), new: evil.clone() };
    }
    report
}
