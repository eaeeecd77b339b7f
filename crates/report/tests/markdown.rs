//! What is pasted into a ticket.

mod common;

use common::*;
use diagnose::{Report, Verdict};

fn render(report: &Report) -> String {
    report::render::markdown::render(report, None)
}

#[test]
fn a_fault_makes_a_ticket() {
    insta::assert_snapshot!(render(&faulty()));
}

#[test]
fn logs_make_a_ticket() {
    insta::assert_snapshot!(render(&of_logs()));
}

#[test]
fn further_faults_are_folded() {
    let text = render(&faulty_twice());
    let (_, second) =
        text.split_once("<summary>2. PHP-FPM pool exhausted (possible, 0.40)</summary>\n\n").unwrap();
    assert!(second.contains("- **impact** 1 failure logged"), "{second}");
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
}

#[test]
fn without_a_cause_the_candidates_are_listed() {
    let text = render(&inconclusive());
    assert!(
        text.contains("\n### It could be, and this would decide\n\n- php-fpm-pool-exhausted: "),
        "{text}"
    );
    assert!(text.contains("\n```sh\nwhy502 diagnose --url http://shop.example.com/cart\n```\n"), "{text}");
}

#[test]
fn hidden_failures_are_told_as_hidden() {
    assert!(
        render(&degraded()).contains("\nRetries on other servers hid these failures from every client.\n")
    );
}

/// The text without code spans and fences, read as a Markdown renderer reads it; these are inert.
fn outside_of_code(text: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) => {
                if ticks.len() >= open.len() && line == ticks {
                    fence = None;
                }
                continue;
            }
            None if ticks.len() >= 3 && !line[ticks.len()..].contains('`') => {
                fence = Some(ticks);
                continue;
            }
            None => {}
        }
        let mut rest = line;
        while let Some(start) = rest.find('`') {
            out.push_str(&rest[..start]);
            let after = rest[start..].trim_start_matches('`');
            let length = rest.len() - start - after.len();
            let mut inside = after;
            // The span ends at the next run of as many ticks.
            let end = loop {
                let at = inside.find('`').unwrap_or_else(|| panic!("a span without an end: {line}"));
                let run = inside[at..].len() - inside[at..].trim_start_matches('`').len();
                inside = &inside[at + run..];
                if run == length {
                    break inside;
                }
            };
            out.push('\u{25a1}');
            rest = end;
        }
        out.push_str(rest);
        out.push('\n');
    }
    assert_eq!(fence, None, "a fence without an end");
    out
}

#[test]
fn nothing_that_the_host_says_is_mark_up() {
    for report in [hostile(), of_hostile_logs(), Report { verdict: Verdict::Inconclusive, ..hostile() }] {
        let text = render(&report);
        assert!(!text.contains(|it: char| it != '\n' && it.is_control() || it == '\u{202e}'), "{text}");
        let outside = outside_of_code(&text);
        for mark_up in
            ["<script", "</pre", "</title", "onload", "evil", "](", "@", "#12", "|", "&", "-->", "\\"]
        {
            assert!(!outside.contains(mark_up), "{mark_up} in:\n{outside}");
        }
        assert!(!outside.lines().any(|it| it == "Fix" || it.starts_with("# ")), "{outside}");
        assert_eq!(outside.matches("<details>").count(), outside.matches("</details>").count());
    }
}
