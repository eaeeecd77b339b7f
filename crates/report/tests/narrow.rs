//! A Report of one server or one backend.

mod common;

use common::*;
use diagnose::{Report, Verdict};
use report::narrow;

/// The pool of shop.example.com is full, and a second finding concerns another server.
fn two_servers() -> Report {
    let mut report = faulty_twice();
    let other = report.causes[1].upstream.as_mut().expect("it has one");
    other.server = Some("admin.example.com".into());
    other.peer = "127.0.0.1:9000".into();
    report
}

#[test]
fn of_two_servers_the_one_asked_about_is_told() {
    let report = narrow(two_servers(), Some("admin.example.com"), None);
    assert_eq!(report.verdict, Verdict::Faulty);
    assert_eq!(report.summary, "Pool admin may be out of children as well.");
    assert_eq!(report.causes.len(), 1);
    assert!(report.symptoms.is_empty(), "the read timeouts are those of the shop");
}

#[test]
fn what_was_left_out_is_said() {
    let report = narrow(two_servers(), Some("shop.exmaple.com"), None);
    assert_eq!(report.verdict, Verdict::Healthy);
    let note = "left out, because only shop.exmaple.com was asked about: admin.example.com, shop.example.com";
    assert_eq!(report.notes, [note]);
}

#[test]
fn a_cause_of_the_whole_host_concerns_every_server() {
    let mut report = two_servers();
    report.causes[0].upstream = None;
    assert_eq!(narrow(report, Some("admin.example.com"), None).causes.len(), 2);
}

#[test]
fn failures_without_a_cause_are_not_called_healthy() {
    let mut report = two_servers();
    report.symptoms[0].peer = Some("127.0.0.1:7000".into());
    assert_eq!(narrow(report, None, Some("127.0.0.1:7000")).verdict, Verdict::Inconclusive);
}

#[test]
fn asked_about_nothing_in_particular_all_is_told() {
    assert_eq!(narrow(two_servers(), None, None), two_servers());
}
