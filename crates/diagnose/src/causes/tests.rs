//! What holds for every cause, whoever writes it.

use std::collections::BTreeSet;

use super::CAUSES;

/// The closed vocabulary of root causes: ids are stable, and a page may name one whose file is still to come.
const VOCABULARY: &[&str] = &[
    "apparmor-denied",
    "auth-subrequest-failed",
    "backend-aborts-request",
    "backend-access-denied",
    "backend-cpu-throttled",
    "backend-crashed",
    "backend-fd-exhausted",
    "backend-hung",
    "backend-not-running",
    "backend-oom-killed",
    "backend-port-conflict",
    "backend-restarting",
    "backend-slow",
    "backend-start-failed",
    "backend-worker-recycled",
    "backend-worker-timeout",
    "client-aborted",
    "config-not-reloaded",
    "config-reload-failed",
    "conntrack-full",
    "disk-full",
    "dns-resolver-unreachable",
    "dns-stale",
    "dns-unresolvable",
    "ephemeral-ports-exhausted",
    "firewall-drop",
    "firewall-reject",
    "host-cpu-saturated",
    "host-memory-exhausted",
    "invalid-response",
    "keepalive-race",
    "listen-queue-overflow",
    "nginx-fd-exhausted",
    "nginx-not-running",
    "nginx-returned-error",
    "nginx-worker-connections-exhausted",
    "nginx-worker-crash",
    "no-route-to-upstream",
    "passive-health-ejection",
    "php-fpm-pool-exhausted",
    "protocol-mismatch",
    "proxy-loop",
    "proxy-protocol-mismatch",
    "proxy-temp-file-limit",
    "rate-limited",
    "request-body-rejected",
    "request-body-too-large",
    "request-header-too-big",
    "response-header-too-big",
    "selinux-denied",
    "temp-path-permission",
    "tls-client-cert-required",
    "tls-name-mismatch",
    "tls-plaintext-mismatch",
    "tls-sni-required",
    "tls-verify-failed",
    "tls-version-mismatch",
    "unix-socket-permission",
    "unix-socket-wrong-path",
    "upgrade-header-mismatch",
    "upstream-address-mismatch",
    "upstream-blackholed",
    "upstream-ipv6-mismatch",
    "upstream-max-conns-reached",
    "upstream-returned-error",
    "upstream-servers-all-down",
    "worker-pool-exhausted",
    "wrong-upstream-port",
];

const HEADINGS: [&str; 4] = ["What you see", "How we know", "What to do", "Not to be confused with"];

/// The ids of the list, as it declares its modules.
fn modules() -> Vec<String> {
    let declared = include_str!("mod.rs").lines().filter_map(|it| it.strip_prefix("mod ")?.strip_suffix(';'));
    declared.filter(|it| *it != "tests").map(|it| it.replace('_', "-")).collect()
}

/// The part of a page under a heading.
fn part<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("## {heading}\n")).unwrap_or_default();
    rest.split("\n ##").next().unwrap_or_default()
}

/// Words in backticks that look like the id of a cause.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let kebab =
        |it: &&str| it.contains('-') && it.chars().all(|it| it.is_ascii_lowercase() || "-46".contains(it));
    quoted.filter(kebab).filter(|it| it.starts_with(|first: char| first.is_ascii_lowercase()))
}

#[test]
fn the_list_is_sorted_and_names_each_cause_once() {
    let listed: Vec<&str> = CAUSES.iter().map(|it| it.id).collect();
    let sorted: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed, Vec::from_iter(sorted));
}

#[test]
fn a_cause_is_in_the_file_of_its_name() {
    assert_eq!(modules(), CAUSES.iter().map(|it| it.id).collect::<Vec<_>>());
}

#[test]
fn every_id_is_in_the_vocabulary() {
    let strange: Vec<&str> = CAUSES.iter().map(|it| it.id).filter(|it| !VOCABULARY.contains(it)).collect();
    assert_eq!(strange, [""; 0]);
}

#[test]
fn a_page_says_in_its_first_line_what_is_wrong() {
    for cause in CAUSES {
        let headline = cause.headline();
        assert!(headline.ends_with('.') && headline.len() > 10, "{}: {headline:?} is no sentence", cause.id);
        assert_eq!(
            cause.page.lines().nth(1),
            Some(""),
            "{}: the headline goes on in the next line",
            cause.id
        );
    }
}

#[test]
fn a_page_has_the_four_headings_in_their_order() {
    for cause in CAUSES {
        let headings: Vec<&str> = cause.page.lines().filter_map(|it| it.trim().strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{}", cause.id);
        for heading in HEADINGS {
            assert!(part(cause.page, heading).trim().len() > 20, "{}: nothing under {heading:?}", cause.id);
        }
    }
}

#[test]
fn what_a_cause_brings_about_and_is_confused_with_is_in_the_vocabulary() {
    for cause in CAUSES {
        let confused = ids(part(cause.page, "Not to be confused with"));
        for id in cause.leads_to.iter().copied().chain(confused) {
            assert!(VOCABULARY.contains(&id), "{}: {id} is no cause", cause.id);
            assert_ne!(id, cause.id, "{} names itself", cause.id);
        }
    }
}

#[test]
fn every_page_names_a_look_alike() {
    for cause in CAUSES {
        let confused = part(cause.page, "Not to be confused with");
        assert!(ids(confused).next().is_some(), "{}: {confused}", cause.id);
    }
}

#[test]
fn nothing_brings_itself_about_on_any_way() {
    for cause in CAUSES {
        let mut below: BTreeSet<&str> = cause.leads_to.iter().copied().collect();
        for _ in CAUSES {
            let further = CAUSES.iter().filter(|it| below.contains(it.id)).flat_map(|it| it.leads_to);
            let further: Vec<&str> = further.copied().collect();
            below.extend(further);
        }
        let back: Vec<&str> =
            CAUSES.iter().filter(|it| it.leads_to.contains(&cause.id)).map(|it| it.id).collect();
        assert!(!below.contains(cause.id), "{} comes back to itself through one of {back:?}", cause.id);
    }
}

#[test]
fn the_vocabulary_is_sorted_too() {
    assert!(VOCABULARY.is_sorted());
}
