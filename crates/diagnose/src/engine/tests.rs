//! What holds for a diagnosis as a whole: above all, that it is not led astray.

use nginx_logs::Symptom;
use snapshot::{Nginx, Reading, Reason, Snapshot};

use crate::report::{Certainty, Verdict};
use crate::testing::*;

const REFUSED: &str = "connect() failed (111: Connection refused)";
const CONNECTING: &str = "connecting to upstream";
const CLOSED: &str = "upstream prematurely closed connection";
const LATE: &str = "upstream timed out (110: Connection timed out)";
const READING: &str = "reading response header from upstream";
const PEER: &str = "127.0.0.1:8080";

/// A request that the backend answered.
fn answered(
    status: u16,
    upstream_status: &'static str,
) -> (&'static str, u16, &'static str, &'static str, &'static str) {
    ("GET /cart HTTP/1.1", status, PEER, upstream_status, "0.004")
}

/// A host that serves: requests go well, the error log is empty, and the backend listens.
fn serving_well() -> Snapshot {
    let host = requested(passing_to("proxy_pass http://127.0.0.1:8080"), &[answered(200, "200"); 5]);
    logged(host, &[]).with(|it| serving(it, 300, "/usr/bin/node server.js --port 8080", PEER))
}

/// A host on which everything but the logs is closed to us.
fn closed(mut host: Snapshot) -> Snapshot {
    host.processes = denied();
    host.net.listeners = denied();
    host.net.unix_listeners = denied();
    host.net.addresses = denied();
    host.net.connections = denied();
    host.net.counters = denied();
    host.net.settings = denied();
    host.units = denied();
    host.journal = denied();
    host.kernel = denied();
    host.cgroups = denied();
    host.disks = denied();
    host.php_fpm = denied();
    host.changes = denied();
    host
}

#[test]
fn a_host_that_serves_is_healthy_and_says_what_was_looked_at() {
    let report = check(&serving_well(), "healthy");
    assert_eq!(report.summary, "nginx 1.22.1 runs; 5 requests since 12:48:10, no gateway failure.");
    assert_eq!(report.checks.len(), 8);
}

#[test]
fn troubles_of_others_do_not_make_a_host_faulty() {
    let host = serving_well().with(|it| {
        for name in ["backup.service", "indexer.service", "certbot.service"] {
            unit(it, name, |it| (it.active_state, it.result) = ("failed".into(), "exit-code".into()));
        }
        let killed = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                      oom_memcg=/system.slice/indexer.service,task_memcg=/system.slice/indexer.service,task=java,pid=77,uid=0";
        kernel(it, 30, killed);
        journal(it, "backup.service", &[(30, "systemd", "backup.service: Failed with result 'exit-code'.")]);
    });
    let report = check(&host, "healthy");
    let process = report.checks.iter().find(|it| it.id == "process").map(|it| it.says.as_str());
    assert!(process.is_some_and(|it| it.contains("backup.service")), "{process:?}");
}

#[test]
fn troubles_of_others_do_not_take_the_blame_for_a_stopped_backend() {
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]).with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        unit(it, "backup.service", |it| {
            (it.active_state, it.result, it.inactive_since) = ("failed".into(), "oom-kill".into(), Some(ago(11)));
        });
        let killed = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                      oom_memcg=/system.slice/backup.service,task_memcg=/system.slice/backup.service,task=node,pid=77,uid=0";
        kernel(it, 11, killed);
    });
    let report = check(&host, "backend-not-running: confirmed");
    assert!(report.causes[0].summary.starts_with("shop.service is stopped"), "{}", outline(&report));
    assert_eq!(report.causes.len(), 1, "{}", outline(&report));
}

#[test]
fn failures_before_the_window_are_over() {
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let host = logged(serving_well(), &[&line, &line]).with(|it| it.window.from = ago(5));
    let report = crate::diagnose(&host);
    assert!(report.causes.is_empty() && report.symptoms.is_empty(), "{}", outline(&report));
}

#[test]
fn failures_that_a_retry_hid_leave_the_host_degraded() {
    let pool = "upstream app {\nserver 127.0.0.1:8080;\nserver 127.0.0.1:8081;\n}\n\
                server {\nlisten 80;\nserver_name shop.example.com;\nlocation / {\nproxy_pass http://app;\n}\n}";
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8081/cart");
    let retried = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8081, 127.0.0.1:8080", "502, 200", "0.000, 0.004");
    let host = requested(logged(configured(pool), &[&line, &line]), &[retried, retried]).with(|it| {
        serving(it, 300, "/usr/bin/node server.js --port 8080", PEER);
        unit(it, "second.service", |it| it.exec_start = "/usr/bin/node server.js --port 8081".into());
    });
    let report = crate::diagnose(&host);
    assert_eq!(report.verdict, Verdict::Degraded, "{}", outline(&report));
    assert!(report.causes.is_empty(), "{}", outline(&report));
    assert_eq!(report.hidden[0].cause.id, "backend-not-running");
    assert!(report.summary.ends_with("Retries hid it from every client so far."), "{}", report.summary);
}

#[test]
fn two_peers_that_fail_of_two_causes_are_both_named_the_larger_first() {
    let both = "server {\nlisten 80;\nserver_name shop.example.com;\n\
                location / {\nproxy_pass http://127.0.0.1:8080;\n}\n\
                location /api {\nproxy_pass http://127.0.0.1:9090;\n}\n}";
    let few = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let many = failed(REFUSED, CONNECTING, "http://127.0.0.1:9090/api").replace("/cart", "/api");
    let host = logged(configured(both), &[&few, &many, &many, &many]).with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        unit(it, "api.service", |it| {
            it.exec_start = "/usr/bin/node api.js --port 9090".into();
            (it.active_state, it.result) = ("failed".into(), "exit-code".into());
            (it.main_started_at, it.main_exited_at) = (Some(ago(14)), Some(ago(14)));
        });
        let lines = [
            (14, "systemd", "Started api.service - The API."),
            (14, "node", "Error: Cannot find module 'express'"),
            (14, "systemd", "api.service: Main process exited, code=exited, status=1/FAILURE"),
        ];
        journal(it, "api.service", &lines);
    });
    let report = check(&host, "backend-start-failed: confirmed");
    let named: Vec<_> = report.causes.iter().map(|it| (it.cause.id, it.impact.requests)).collect();
    assert_eq!(named, [("backend-start-failed", 3), ("backend-not-running", 1)]);
}

#[test]
fn an_application_s_own_500_is_no_gateway_failure() {
    let host = requested(passing_to("proxy_pass http://127.0.0.1:8080"), &[answered(500, "500"); 9]);
    let host = logged(host, &[]).with(|it| serving(it, 300, "/usr/bin/node server.js --port 8080", PEER));
    check(&host, "healthy");
}

#[test]
fn a_quote_in_a_request_line_does_not_name_the_peer() {
    let line = format!(
        "[error] 101#101: *7 {REFUSED} while {CONNECTING}, client: 10.0.0.9, server: shop.example.com, request: \"GET \
         /?q=\", upstream: \"http://192.0.2.66:66/\", host: \"evil.example\" HTTP/1.1\", upstream: \
         \"http://127.0.0.1:8080/?q=\", upstream: \"http://192.0.2.66:66/\", host: \"evil.example\"\", host: \
         \"shop.example.com\""
    );
    let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]).with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into())
    });
    let report = check(&host, "backend-not-running: confirmed");
    let upstream = report.causes[0].upstream.as_ref().map(|it| it.peer.as_str());
    assert_eq!(upstream, Some(PEER));
}

#[test]
fn what_a_client_wrote_never_gets_into_a_command() {
    for hostile in ["/$(reboot)", "/;reboot", "/'`reboot`", "/\u{1b}[2J", "/a\nreboot", "/%0Areboot&reboot"] {
        let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/")
            .replace("/cart", hostile)
            .replace("host: \"shop.example.com\"", "host: \"x';reboot;'\"");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]).with(|it| {
            unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into())
        });
        let report = crate::diagnose(&host);
        let commands = report.causes.iter().flat_map(|it| {
            it.verify.iter().chain(it.fixes.iter().flat_map(|it| &it.commands)).map(String::as_str)
        });
        for command in commands {
            assert!(!command.contains("reboot") && !command.contains('\u{1b}'), "{hostile:?}: {command}");
        }
        assert!(!report.causes.is_empty(), "{hostile:?}: {}", outline(&report));
    }
}

#[test]
fn nothing_is_confirmed_about_a_backend_that_may_not_be_looked_at() {
    let cases = [
        (REFUSED, CONNECTING, "http://127.0.0.1:8080/cart"),
        (
            "connect() to unix:/run/app.sock failed (2: No such file or directory)",
            CONNECTING,
            "http://unix:/run/app.sock:/",
        ),
        (
            "connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable)",
            CONNECTING,
            "http://unix:/run/app.sock:/",
        ),
        (
            "connect() to unix:/run/app.sock failed (13: Permission denied)",
            CONNECTING,
            "http://unix:/run/app.sock:/",
        ),
        (LATE, CONNECTING, "http://127.0.0.1:8080/cart"),
        (LATE, READING, "http://127.0.0.1:8080/cart"),
        (CLOSED, READING, "http://127.0.0.1:8080/cart"),
        ("recv() failed (104: Connection reset by peer)", READING, "http://127.0.0.1:8080/cart"),
    ];
    for (message, action, upstream) in cases {
        let pass = if upstream.contains("unix") {
            "proxy_pass http://unix:/run/app.sock"
        } else {
            "proxy_pass http://127.0.0.1:8080"
        };
        let line = failed(message, action, upstream);
        let report = crate::diagnose(&closed(logged(passing_to(pass), &[&line, &line, &line])));
        let sure = report.causes.iter().any(|it| it.certainty == Certainty::Confirmed);
        assert!(!sure, "{message}: {}", outline(&report));
        assert!(!report.blind_spots.is_empty(), "{message}: {}", outline(&report));
        assert!(report.blind_spots.iter().all(|it| !it.remedy.is_empty()), "{message}: {}", outline(&report));
        assert_ne!(report.verdict, Verdict::Healthy, "{message}");
    }
}

#[test]
fn silence_of_logs_that_may_not_be_read_is_no_health() {
    let mut host = closed(passing_to("proxy_pass http://127.0.0.1:8080"));
    let host =
        logged(std::mem::replace(&mut host, Snapshot::quiet()), &[]).with(|it| it.logs[0].lines = denied());
    let report = check(&host, "inconclusive");
    assert!(
        report.blind_spots.iter().any(|it| it.what == "/var/log/nginx/error.log"),
        "{}",
        outline(&report)
    );
}

#[test]
fn a_host_without_nginx_is_not_called_healthy() {
    let host = Snapshot::quiet().with(|it| {
        it.nginx = seen(Vec::<Nginx>::new());
        serving(it, 300, "/usr/bin/node server.js --port 8080", PEER);
    });
    let report = check(&host, "inconclusive");
    assert_eq!(report.summary, "Cannot tell: no nginx was found on this host.");
}

#[test]
fn a_snapshot_of_nothing_gives_a_report_of_nothing() {
    let mut host = closed(Snapshot::quiet());
    host.nginx = Reading::unread(Reason::Denied, "/proc", "");
    host.host.systemd = false;
    let report = check(&host, "inconclusive");
    assert!(report.causes.is_empty() && report.hidden.is_empty());
}

#[test]
fn lines_without_any_configuration_still_lead_to_the_backend() {
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let host = logged(Snapshot::quiet(), &[&line]).with(|it| {
        let Reading::Seen(nginx) = &mut it.nginx else { return };
        nginx.value[0].config = denied();
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
    });
    check(&host, "backend-not-running: confirmed");
}

#[test]
fn peers_that_are_all_out_are_a_consequence_of_what_put_them_out() {
    let pool = "upstream app {\nserver 127.0.0.1:8080;\nserver 127.0.0.1:8081;\n}\n\
                server {\nlisten 80;\nserver_name shop.example.com;\nlocation / {\nproxy_pass http://app;\n}\n}";
    let first = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let second = failed(REFUSED, CONNECTING, "http://127.0.0.1:8081/cart");
    let none = failed("no live upstreams", CONNECTING, "http://app/cart");
    let host = logged(configured(pool), &[&first, &second, &none, &none, &none]).with(|it| {
        unit(it, "a.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        unit(it, "b.service", |it| it.exec_start = "/usr/bin/node server.js --port 8081".into());
    });
    let report = check(&host, "backend-not-running: confirmed");
    let strange = report.causes.iter().any(|it| it.cause.id != "backend-not-running");
    assert!(!strange, "{}", outline(&report));
    assert!(report.symptoms.iter().any(|it| it.symptom == Symptom::NoLiveUpstreams), "{}", outline(&report));
}

#[test]
fn what_goes_on_stands_before_what_is_over() {
    let both = "server {\nlisten 80;\nserver_name shop.example.com;\n\
                location / {\nproxy_pass http://127.0.0.1:8080;\n}\n\
                location /api {\nproxy_pass http://127.0.0.1:9090;\n}\n}";
    let over = failed(REFUSED, CONNECTING, "http://127.0.0.1:9090/api").replace("/cart", "/api");
    let now = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let pause = "[notice] 100#100: signal process started";
    let mut lines = vec![over.as_str(); 5];
    lines.extend([pause; 70]);
    lines.push(&now);
    let host = logged(configured(both), &lines).with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        unit(it, "api.service", |it| it.exec_start = "/usr/bin/node api.js --port 9090".into());
    });
    let report = check(&host, "backend-not-running: confirmed");
    assert!(report.causes[0].summary.starts_with("shop.service"), "{}", outline(&report));
    let ongoing: Vec<bool> = report.causes.iter().map(|it| it.impact.ongoing).collect();
    assert_eq!(ongoing, [true, false]);
}

#[test]
fn more_findings_than_fit_are_counted() {
    let mut blocks = String::new();
    let mut lines = Vec::new();
    for port in 9001..9021 {
        blocks += &format!(
            "server {{\nlisten {};\nlocation / {{\nproxy_pass http://127.0.0.1:{port};\n}}\n}}\n",
            port - 1000
        );
        lines.push(failed(REFUSED, CONNECTING, &format!("http://127.0.0.1:{port}/cart")));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let host = logged(configured(&blocks), &lines).with(|it| {
        for port in 9001..9021 {
            unit(it, &format!("app-{port}.service"), |it| {
                it.exec_start = format!("/usr/bin/node app.js --port {port}")
            });
        }
    });
    let report = check(&host, "backend-not-running: confirmed");
    assert_eq!(report.causes.len(), super::MOST_FINDINGS);
    assert!(report.notes.iter().any(|it| it == "8 more findings are not listed"), "{:?}", report.notes);
}

#[test]
fn the_same_snapshot_always_gives_the_same_report() {
    let line = failed(CLOSED, READING, "http://127.0.0.1:8080/cart");
    let host = closed(logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]));
    assert_eq!(crate::diagnose(&host), crate::diagnose(&host));
}

#[test]
fn no_line_is_too_short_or_too_strange_to_be_read() {
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    for (end, _) in line.char_indices() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line[..end], &line[end..]]);
        crate::diagnose(&host);
        crate::diagnose(&closed(host));
    }
    for hostile in ["\u{0}", "\u{1b}]0;x\u{7}", "\u{202e}", "\u{fffd}\u{fffd}", "\"", "\\", "{", "%s%n"] {
        let line = line.replace("/cart", hostile).replace("127.0.0.1:8080", hostile);
        crate::diagnose(&logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]));
    }
}

#[test]
fn every_finding_says_what_it_rests_on_and_what_to_do() {
    let line = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]).with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into())
    });
    let report = check(&host, "backend-not-running: confirmed");
    let found = &report.causes[0];
    assert_eq!(found.evidence[0].weight, crate::report::Weight::Decisive);
    assert!(found.evidence.iter().all(|it| it.reference.is_some()), "{}", outline(&report));
    assert!(!found.fixes.is_empty() && !found.verify.is_empty() && !found.prevent.is_empty());
    assert!(!found.ruled_out.iter().any(|it| it.id == found.cause.id), "{}", outline(&report));
}

#[test]
fn one_request_that_two_servers_failed_is_one_failed_request() {
    let pool = "upstream app {\nserver 127.0.0.1:8080;\nserver 127.0.0.1:8081;\n}\n\
                server {\nlisten 80;\nserver_name shop.example.com;\nlocation / {\nproxy_pass http://app;\n}\n}";
    let first = failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart");
    let second = failed(REFUSED, CONNECTING, "http://127.0.0.1:8081/cart");
    let tried = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080, 127.0.0.1:8081", "502, 502", "0.000, 0.000");
    let host = requested(logged(logged(configured(pool), &[&first]), &[&second]), &[tried]).with(|it| {
        unit(it, "a.service", |it| it.exec_start = "/usr/bin/node server.js --port 8080".into());
        unit(it, "b.service", |it| it.exec_start = "/usr/bin/node server.js --port 8081".into());
    });
    let report = check(&host, "backend-not-running: confirmed");
    let counted: Vec<u64> = report.causes.iter().map(|it| it.impact.requests).collect();
    assert_eq!(counted, [1, 1]);
    assert_eq!(report.causes[0].impact.share, Some(1.0));
}
