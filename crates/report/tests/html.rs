//! What is opened in a browser.

mod common;

use std::ops::Range;

use common::*;
use diagnose::{Report, Verdict};

fn render(report: &Report) -> String {
    report::render::html::render(report, None)
}

fn every_report() -> [Report; 10] {
    let undecided = Report { verdict: Verdict::Inconclusive, ..hostile() };
    [
        healthy(),
        faulty(),
        faulty_twice(),
        degraded(),
        inconclusive(),
        hostile(),
        undecided,
        of_logs(),
        of_quiet_logs(),
        of_hostile_logs(),
    ]
}

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "line", "circle", "rect"];

/// Reads a document of ours as a parser does and returns its tags; a tag that is not closed in order fails the test.
#[track_caller]
fn tags(html: &str) -> Vec<&str> {
    let style = style(html);
    let mut tags = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for part in [&html[..style.start], &html[style.end..]] {
        let mut rest = part;
        while let Some(start) = rest.find('<') {
            let end = start + rest[start..].find('>').expect("every tag ends");
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            match tag {
                _ if tag.starts_with('!') => continue,
                _ if tag.starts_with('/') => {
                    assert_eq!(open.pop(), Some(name), "near {}", &rest[..60.min(rest.len())])
                }
                _ if tag.ends_with('/') || VOID[..1].contains(&name) => {}
                _ => open.push(name),
            }
            tags.push(tag);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    tags
}

fn style(html: &str) -> Range<usize> {
    let start = html.find("<style>").unwrap() + "<style>".len();
    start..html.find("</style>").unwrap()
}

#[test]
fn every_element_is_closed_and_known() {
    const KNOWN: &[&str] = &[
        "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "details",
        "summary", "h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "dl", "dt", "dd", "div", "span", "b",
        "code", "pre", "del", "ins", "time", "table", "tr", "th", "td", "figure", "svg", "rect", "line",
        "circle", "text",
    ];
    for report in every_report() {
        for tag in tags(&render(&report)) {
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            assert!(KNOWN.contains(&name), "{tag}");
        }
    }
}

#[test]
fn nothing_is_loaded_and_nothing_runs() {
    for report in every_report() {
        let html = render(&report);
        for tag in tags(&html) {
            for attribute in [" src", " href", " style=", " on", " action", " xlink", " srcset"] {
                assert!(!tag.contains(attribute), "{tag}");
            }
        }
        let style = &html[style(&html)];
        assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("</"), "{style}");
        let policy = html.split_once("Content-Security-Policy\" content=\"").unwrap().1;
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
}

#[test]
fn nothing_that_the_host_says_is_mark_up() {
    for report in [hostile(), of_hostile_logs()] {
        let html = render(&report);
        assert!(!html.contains(|it: char| it != '\n' && it.is_control() || it == '\u{202e}'));
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        assert!(!html.contains("onload='"), "{html}");
    }
}

#[test]
fn a_fault_makes_a_page() {
    let html = render(&faulty());
    let body = &html[html.find("<body").unwrap()..];
    insta::assert_snapshot!(body);
}

#[test]
fn logs_make_a_page() {
    let html = render(&of_logs());
    let body = &html[html.find("<body").unwrap()..];
    insta::assert_snapshot!(body);
}

/// What the lab recorded: a full pool, a crash, two dead servers, failures that nobody noticed, a nginx that is down.
const RECORDED: [&[u8]; 5] = [
    include_bytes!("../../../tests/captures/php-fpm-pool-exhausted-unix/capture.json.gz"),
    include_bytes!("../../../tests/captures/backend-crashed-node-exception/capture.json.gz"),
    include_bytes!("../../../tests/captures/backend-not-running-both-servers/capture.json.gz"),
    include_bytes!("../../../tests/captures/healthy-retry-hides-a-peer/capture.json.gz"),
    include_bytes!("../../../tests/captures/nginx-not-running-bad-config/capture.json.gz"),
];

#[test]
fn recorded_incidents_make_whole_pages_with_every_failure_in_the_chart() {
    for capture in RECORDED {
        let report = diagnose::diagnose(&snapshot::read_capture(capture).unwrap());
        let html = render(&report);
        tags(&html);
        for it in &report.symptoms {
            assert_eq!(it.failed_at.len() as u64, it.count, "{}", it.symptom.id());
            let in_legend = format!("<span>{} x {} at ", it.count, it.symptom.id());
            assert!(html.contains(&in_legend), "{in_legend}");
        }
        let within = |it: &diagnose::Moment| report.window.contains(it.at);
        assert!(report.moments.iter().all(within) && report.moments.is_sorted_by_key(|it| it.at));
    }
}

#[test]
fn the_stop_of_a_backend_is_marked_before_its_failures() {
    let report = diagnose::diagnose(&snapshot::read_capture(RECORDED[2]).unwrap());
    let stopped = report.moments.iter().find(|it| it.says.starts_with("Stopped shop-a.service")).unwrap();
    let last = report.symptoms.iter().flat_map(|it| &it.failed_at).max().unwrap();
    // The error log has whole seconds.
    assert!(stopped.at.as_second() <= last.as_second());
}

#[test]
fn a_healthy_host_has_no_chart() {
    assert!(!render(&healthy()).contains("<svg"));
}

#[test]
fn without_a_cause_the_page_says_what_is_known() {
    let html = render(&inconclusive());
    for heading in ["What is known", "Look there next", "It could be, and this would decide", "Not seen"] {
        assert!(html.contains(&format!(">{heading}</h")), "{heading}");
    }
}
