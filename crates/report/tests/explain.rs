//! What `explain` says about lines that people paste.

use report::Colour;
use report::explain::{Explained, explain, render, render_json, render_markdown};
use serde_json::Value;

const REFUSED: &str = "2026/05/02 15:02:04 [error] 7#7: *12 connect() failed (111: Connection refused) while connecting to \
    upstream, client: 10.0.0.1, server: shop.example.com, request: \"GET /a HTTP/1.1\", upstream: \
    \"http://127.0.0.1:8080/a\", host: \"shop.example.com\"";

#[track_caller]
fn json(what: &str) -> Value {
    serde_json::from_str(&render_json(&explain(what).expect("it is known"))).expect("it is JSON")
}

#[track_caller]
fn ids(value: &Value) -> Vec<String> {
    value["causes"]
        .as_array()
        .expect("causes")
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_pasted_line_gives_its_fields_and_its_symptom() {
    let line = json(REFUSED);
    assert_eq!(line["symptom"], "connect-refused");
    assert_eq!(line["fields"]["peer"], "127.0.0.1:8080");
    assert_eq!(line["errno"]["name"], "ECONNREFUSED");
    assert!(ids(&line).contains(&"wrong-upstream-port".to_owned()));
}

#[test]
fn what_carriers_put_before_a_line_does_not_matter() {
    let plain = json(REFUSED);
    for carrier in ["<187>May  2 15:02:04 web-1 nginx: ", "May 02 15:02:04 web-1 nginx[7]: "] {
        assert_eq!(json(&format!("{carrier}{REFUSED}")), plain, "{carrier}");
    }
}

#[test]
fn a_line_of_any_carrier_is_understood() {
    let plain = json(REFUSED);
    let in_json = REFUSED.replace('"', "\\\"");
    for line in [
        format!(r#"{{"log":"{in_json}\n","stream":"stderr","time":"2026-05-02T13:02:04.5Z"}}"#),
        format!("web-1  | {REFUSED}"),
        format!("2026-05-02T13:02:04.123456789Z stderr F {REFUSED}"),
        format!("[pod/web-0/nginx] {REFUSED}"),
        format!("<187>1 2026-05-02T13:02:04Z web-1 nginx 7 - - {REFUSED}"),
        format!(
            r#"{{"__REALTIME_TIMESTAMP":"1777726924000000","SYSLOG_IDENTIFIER":"nginx","MESSAGE":"{in_json}"}}"#
        ),
    ] {
        assert_eq!(json(&line), plain, "{line}");
    }
}

#[test]
fn a_line_of_a_backend_gives_its_event_and_its_causes() {
    for (line, log, event, cause) in [
        (
            "[02-May-2026 15:02:03] WARNING: [pool www] server reached pm.max_children setting (50), consider raising it",
            "php-fpm",
            "max-children-reached",
            "php-fpm-pool-exhausted",
        ),
        (
            "May 02 15:02:03 web-1 kernel: Out of memory: Killed process 123 (php-fpm8.2) total-vm:512000kB",
            "kernel",
            "oom-kill",
            "backend-oom-killed",
        ),
        (
            "app-1  | [2026-05-02 15:02:03 +0000] [21] [CRITICAL] WORKER TIMEOUT (pid:107)",
            "gunicorn",
            "worker-timeout",
            "backend-worker-timeout",
        ),
        (
            "Error: listen EADDRINUSE: address already in use :::3000",
            "app",
            "bind-failed",
            "backend-port-conflict",
        ),
    ] {
        let shown = json(line);
        assert_eq!((&shown["log"], &shown["event"]["event"]), (&log.into(), &event.into()), "{shown}");
        assert_eq!(shown["fields"]["event"], event);
        assert!(ids(&shown).contains(&cause.to_owned()), "{shown}");
    }
}

#[test]
fn a_unix_socket_has_no_wrong_port() {
    let line = json(&REFUSED.replace("127.0.0.1:8080/a", "unix:/run/app.sock:/a"));
    assert_eq!(line["fields"]["peer"], "unix:/run/app.sock");
    assert!(!ids(&line).contains(&"wrong-upstream-port".to_owned()), "{line}");
}

#[test]
fn a_line_of_an_access_log_gives_its_status() {
    let line = r#"10.0.0.1 - - [02/May/2026:15:02:04 +0200] "GET /a HTTP/1.1" 502 552 "-" "curl/8.5""#;
    for more in ["", r#" "10.9.9.9""#] {
        let line = json(&format!("{line}{more}"));
        assert_eq!(line["log"], "access-log");
        assert_eq!(line["status"], 502);
        assert_eq!(line["fields"]["request"], "GET /a HTTP/1.1");
    }
}

#[test]
fn nginxs_own_words_at_start_are_understood() {
    let line = json("nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/conf.d/app.conf:3");
    assert_eq!(line["symptom"], "config-emerg");
    assert_eq!(line["fields"]["file"], "/etc/nginx/conf.d/app.conf");
}

#[test]
fn the_words_of_a_page_keep_their_headings() {
    let page = render(&explain("wrong-upstream-port").expect("it is known"), Colour::Off);
    for heading in ["What you see", "How we know", "What to do", "Not to be confused with"] {
        assert!(page.contains(&format!("\n\n{heading}\n  ")), "{page}");
    }
    assert!(page.lines().all(|it| it.chars().count() <= 80), "{page}");
}

#[test]
fn a_hostile_line_cannot_drive_the_terminal() {
    let hostile = REFUSED.replace("GET /a", "GET /\x1b]0;owned\x07\u{202e}");
    let text = render(&explain(&hostile).expect("it is known"), Colour::Off);
    assert!(text.contains(r"\x1b]0;owned\x07\u{202e}"), "{text}");
    assert!(!text.contains(|it: char| it.is_control() && it != '\n'), "{text}");
    let shown = json(&hostile)["fields"]["request"].to_string();
    assert!(shown.contains(r"\\x1b]0;owned"), "{shown}");
}

#[test]
fn no_beginning_of_a_line_makes_it_panic() {
    for end in 0..=REFUSED.len() {
        if let Ok(Explained::Line(line)) = explain(&REFUSED[..end]) {
            assert!(!line.fields.is_empty());
        }
    }
}

#[test]
fn as_markdown_a_pasted_line_stays_in_code_spans() {
    let hostile = REFUSED.replace("GET /a", "GET /`<img src=x>`@all");
    let page = render_markdown(&explain(&hostile).expect("it is known"));
    assert!(page.starts_with("# connect-refused\n"), "{page}");
    assert!(page.contains("- request: ``GET /`<img src=x>`@all HTTP/1.1``\n"), "{page}");
    assert!(page.contains("- `wrong-upstream-port`: "), "{page}");
}

#[test]
fn as_markdown_a_cause_is_its_own_page() {
    let page = render_markdown(&explain("keepalive-race").expect("it is known"));
    assert!(page.starts_with("# keepalive-race\n\nnginx reused "), "{page}");
    assert!(page.contains("\n## Shows as\n\n`premature-close`, "), "{page}");
}

#[test]
fn a_message_without_its_time_is_understood() {
    for (text, symptom) in [
        ("connect() failed (111: Connection refused) while connecting to upstream", "connect-refused"),
        ("connect() to unix:/run/a.sock failed (2: No such file or directory)", "-"),
        ("[error] 7#7: *12 upstream prematurely closed connection while reading upstream", "body-short"),
        ("worker process 4242 exited on signal 11", "worker-exit"),
        (
            "upstream timed out (110: Connection timed out) while reading response header from upstream, client: \
             x.x.x.x, server: , request: \"GET / HTTP/1.1\", upstream: \"http://10.0.0.5:80/\"",
            "read-timeout",
        ),
    ] {
        match explain(text) {
            Ok(it) => {
                let line: Value = serde_json::from_str(&render_json(&it)).unwrap();
                assert_eq!(line["symptom"], symptom, "{text}");
                assert_eq!((&line["fields"]["time"], &line["fields"]["pid"]), (&Value::Null, &Value::Null));
            }
            Err(_) => assert_eq!(symptom, "-", "{text}"),
        }
    }
    assert!(explain("while connecting to upstream").is_err());
}

#[test]
fn a_failed_request_gives_its_reason_code_and_the_causes_of_that() {
    let line = json(
        "10.0.0.9 - - [20/Nov/2025:15:00:00 +0100] \"GET / HTTP/1.1\" 504 167 \"-\" \"curl/8\" rt=60.001 ua=\"127.0.0.1:8080\" \
         us=\"504\" uct=\"0.000\" uht=\"-\" urt=\"60.000\"",
    );
    assert_eq!((&line["status"], &line["reason"]), (&Value::from(504), &Value::from("TH")));
    assert!(ids(&line).contains(&"backend-slow".to_owned()));
}
