//! Reports to render: one of each verdict.
#![allow(dead_code, reason = "each test file uses some of them")]

use std::collections::BTreeMap;

use diagnose::*;
use jiff::Timestamp;
use nginx_logs::Symptom;
use snapshot::{
    Breakdown, EventCount, LogSource, Quantiles, Row, Step, SymptomCount, Traffic, UpstreamTraffic, Window,
};

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
    from_lines: None,
    told_by: None,
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
                worst: None,
                background: false,
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

/// Logs alone: the pool is full from 15:02 on, and one of two other peers is refused now and then, which retries hide.
pub fn of_logs() -> Report {
    let mut report = faulty();
    let socket = "unix:/run/php/php8.2-fpm.sock".to_owned();
    let other = "10.0.0.5:8080".to_owned();
    report.host.clear();
    report.nginx = None;
    report.checks.clear();
    report.collected_at = at("13:04:59");
    report.window = Window { from: at("12:20:00"), to: at("13:04:59") };
    report.symptoms[0].sample_request = Some(Quote {
        reference: "/var/log/nginx/access.log:9120".into(),
        line: "10.0.0.1 - - [02/May/2026:15:02:04 +0200] \"GET /cart HTTP/1.1\" 504 167 \"-\" \"curl/8\""
            .into(),
    });
    let step =
        |minute: u32, requests, failed, errors: &[(&str, u16, u64)], symptoms: &[(&str, &str, u64)]| Step {
            at: at(&format!("{}:{:02}:00", 12 + minute / 60, minute % 60)),
            requests,
            failed,
            errors: errors
                .iter()
                .map(|(address, status, count)| ((*address).to_owned(), *status, *count))
                .collect(),
            symptoms: symptoms
                .iter()
                .map(|(id, at, count)| ((*id).to_owned(), (*at).to_owned(), *count))
                .collect(),
        };
    let mut steps: Vec<Step> = (20..62).map(|it| step(it, 30, 0, &[], &[("other", "", 1)])).collect();
    steps[10] = step(30, 31, 1, &[], &[("connect-refused", &other, 2)]);
    steps.push(step(
        62,
        110,
        60,
        &[(&socket, 502, 50), (&socket, 504, 10)],
        &[("read-timeout", &socket, 10)],
    ));
    steps.push(step(63, 90, 80, &[(&socket, 502, 75), (&socket, 504, 5)], &[("read-timeout", &socket, 5)]));
    steps.push(step(64, 40, 3, &[("-", 503, 1)], &[("limiting", "", 1)]));
    let row = |key: &str, requests, failed, statuses: &[(u16, u64)]| Row {
        key: key.to_owned(),
        requests,
        failed,
        statuses: statuses.iter().copied().collect(),
        first_at: (failed > 0).then(|| at("13:02:04")),
        last_at: (failed > 0).then(|| at("13:03:09")),
    };
    let failed_by = |by: &str, rows: Vec<Row>| Breakdown {
        by: by.to_owned(),
        of_all: false,
        rows,
        left_out: 3,
        not_told_apart: 0,
    };
    report.traffic = Some(Traffic {
        sources: vec![
            LogSource {
                name: "/var/log/nginx/access.log".into(),
                kind: "access".into(),
                packing: "gzip".into(),
                format: Some("$remote_addr $status".into()),
                bytes: 1_234_567,
                lines: 1504,
                records: 1502,
                unparsed: 2,
                unparsed_samples: vec![(17, "\0\0\0".into()), (0, "half a li".into())],
                partial: Some("unexpected end of file".into()),
                ..LogSource::default()
            },
            LogSource {
                name: "/var/log/nginx/error.log".into(),
                kind: "error".into(),
                carrier: "syslog".into(),
                bytes: 999,
                lines: 60,
                records: 60,
                ..LogSource::default()
            },
        ],
        first_at: Some(at("12:20:00")),
        last_at: Some(at("13:04:59")),
        requests: 1502,
        failed: 144,
        hidden: 2,
        statuses: BTreeMap::from([(200, 1350), (404, 8), (499, 3), (502, 125), (503, 1), (504, 15)]),
        body_bytes: 70_000_000,
        request_time: Some(quantiles(1502)),
        levels: BTreeMap::from([("error".to_owned(), 18), ("warn".to_owned(), 42)]),
        step_seconds: 60,
        steps,
        upstreams: vec![
            UpstreamTraffic {
                address: other.clone(),
                tries: BTreeMap::from([(200, 400), (502, 2)]),
                finals: BTreeMap::from([(200, 400)]),
                hidden: 2,
                failed_at: Some((at("12:30:10"), at("12:30:10"))),
                ..UpstreamTraffic::default()
            },
            UpstreamTraffic {
                address: socket.clone(),
                tries: BTreeMap::from([(0, 3), (200, 950), (502, 125), (504, 15)]),
                response_time: Some(quantiles(1093)),
                failed_at: Some((at("13:02:04"), at("13:03:09"))),
                ..UpstreamTraffic::default()
            },
            UpstreamTraffic {
                address: "-".into(),
                finals: BTreeMap::from([(503, 1)]),
                ..UpstreamTraffic::default()
            },
        ],
        symptoms: vec![
            SymptomCount {
                symptom: "other".into(),
                upstream: String::new(),
                count: 42,
                first_at: at("12:20:00"),
                last_at: at("13:01:00"),
            },
            SymptomCount {
                symptom: "read-timeout".into(),
                upstream: socket,
                count: 15,
                first_at: at("13:02:04"),
                last_at: at("13:03:09"),
            },
            SymptomCount {
                symptom: "connect-refused".into(),
                upstream: other,
                count: 2,
                first_at: at("12:30:10"),
                last_at: at("12:30:10"),
            },
        ],
        events: vec![EventCount {
            event: "max-children-reached".into(),
            source: "php-fpm".into(),
            count: 14,
            first_at: Some(at("13:02:03")),
            last_at: None,
        }],
        breakdowns: vec![
            Breakdown {
                by: "method".into(),
                of_all: true,
                rows: vec![row("GET", 1400, 140, &[(502, 125), (504, 15)]), row("POST", 102, 0, &[])],
                left_out: 0,
                not_told_apart: 7,
            },
            failed_by(
                "url",
                vec![
                    row("/cart", 120, 120, &[(502, 110), (504, 10)]),
                    row("/product/{id}/a-very-long-name-of-a-product-that-fits-no-line", 9, 9, &[(502, 9)]),
                ],
            ),
            failed_by("reason", vec![row("TH", 15, 15, &[(504, 15)])]),
            failed_by("status", vec![row("502", 125, 125, &[(502, 125)])]),
        ],
    });
    report
}

/// The same where nothing failed.
pub fn of_quiet_logs() -> Report {
    let mut report = of_logs();
    report.verdict = Verdict::Healthy;
    report.summary = "1502 requests from 14:20:00 to 15:04:59, no gateway failure.".into();
    report.causes.clear();
    report.symptoms.clear();
    report.moments.clear();
    report.blind_spots.clear();
    let traffic = report.traffic.as_mut().expect("it has sums");
    traffic.failed = 0;
    traffic.hidden = 0;
    traffic.statuses = BTreeMap::from([(200, 1502)]);
    traffic.steps.truncate(5);
    traffic.upstreams.truncate(1);
    traffic.upstreams[0].tries = BTreeMap::from([(200, 400)]);
    traffic.upstreams[0].failed_at = None;
    traffic.upstreams[0].hidden = 0;
    traffic.symptoms.truncate(1);
    traffic.events.clear();
    traffic.breakdowns.clear();
    report
}

fn quantiles(count: u64) -> Quantiles {
    Quantiles {
        count,
        min: 0.001,
        p50: 0.022,
        p90: 0.2,
        p95: 0.4,
        p99: 12.25,
        p999: 59.0,
        max: 600.2,
        relative_error: 0.01,
    }
}

/// Logs in which every text tries to be something else.
pub fn of_hostile_logs() -> Report {
    let mut report = hostile();
    let evil = report.summary.clone();
    report.symptoms[0].sample_request = Some(Quote { reference: evil.clone(), line: evil.clone() });
    let mut traffic = of_logs().traffic.expect("it has sums");
    let source = &mut traffic.sources[0];
    for text in [&mut source.name, &mut source.kind, &mut source.packing, &mut source.carrier] {
        text.clone_from(&evil);
    }
    source.format = Some(evil.clone());
    source.partial = Some(evil.clone());
    source.unparsed_samples[0].1.clone_from(&evil);
    traffic.levels = BTreeMap::from([(evil.clone(), 3)]);
    for it in &mut traffic.steps {
        it.errors = vec![(evil.clone(), 502, it.failed)];
        it.symptoms = vec![(evil.clone(), evil.clone(), 1)];
    }
    traffic.upstreams[0].address.clone_from(&evil);
    traffic.symptoms[1].symptom.clone_from(&evil);
    traffic.symptoms[1].upstream.clone_from(&evil);
    traffic.events[0].event.clone_from(&evil);
    traffic.events[0].source.clone_from(&evil);
    for it in &mut traffic.breakdowns {
        it.rows[0].key.clone_from(&evil);
    }
    report.traffic = Some(traffic);
    report
}
