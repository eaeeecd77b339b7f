//! Every upstream-related message that nginx can write, against the symptom that it must have.
//!
//! `fixtures/messages.tsv` holds one row per message, level and action: level, context, action, errno,
//! message, symptom. `<str>`, `<num>`, `<hex>`, `<addr>` and `<call>` stand for what nginx fills in.

use nginx_logs::error::parse;

/// An entry as nginx would write it.
fn entry(level: &str, context: &str, action: &str, errno: &str, template: &str) -> String {
    let message = template
        .replace("<str>", "example")
        .replace("<num>", "17")
        .replace("<hex>", "1f")
        .replace("<char>", "x")
        .replace("<ptr>", "00005581")
        .replace("<addr>", "127.0.0.1:8080")
        .replace("<call>", "open()");
    let connection = if matches!(context, "none" | "resolver" | "syslog") { "" } else { "*5 " };
    let mut entry = format!("2026/11/20 15:00:00 [{level}] 7#7: {connection}{message}");
    if let Ok(number) = errno.parse() {
        let text = nginx_logs::errno::errno(number).map_or("Unknown error", |it| it.text);
        entry += &format!(" ({number}: {text})");
    }
    if action != "-" {
        entry += &format!(" while {action}");
    }
    entry += match context {
        "http" => {
            ", client: 10.0.0.9, server: a.example, request: \"GET /x HTTP/1.1\", upstream: \
             \"http://127.0.0.1:8080/x\", host: \"a.example\""
        }
        "stream" => {
            ", client: 10.0.0.9, server: 0.0.0.0:5432, upstream: \"127.0.0.1:8080\", bytes from/to client:0/0, bytes \
             from/to upstream:0/0"
        }
        "mail" => ", client: 10.0.0.9, server: 0.0.0.0:143, login: \"joe\", upstream: 127.0.0.1:8080",
        "resolver" => ", resolver: 127.0.0.1:53",
        "ocsp" => ", responder: ocsp.example, peer: 127.0.0.1:80",
        "syslog" => ", server: 127.0.0.1:514",
        _ => "",
    };
    entry
}

#[test]
fn every_message_has_the_symptom_of_its_row() {
    let mut wrong = Vec::new();
    for row in include_str!("fixtures/messages.tsv").lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [level, context, action, errno, template, expected] = columns[..] else {
            panic!("bad row: {row}")
        };
        let entry = entry(level, context, action, errno, template);
        let found = parse(entry.as_bytes()).expect(&entry).symptom().map_or("-", |it| it.id());
        if found != expected {
            wrong.push(format!("{found} instead of {expected}: {entry}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
