//! What an operator reads.

mod common;

use common::*;
use diagnose::Report;
use jiff::Timestamp;
use report::Colour;
use report::render::text::render;
use snapshot::Step;

fn plain(report: &Report) -> String {
    render(report, Colour::Off, None)
}

#[test]
fn a_fault_is_named_on_the_first_line() {
    insta::assert_snapshot!(plain(&faulty()));
}

#[test]
fn of_two_faults_the_first_is_told_in_full_and_the_second_in_brief() {
    insta::assert_snapshot!(plain(&faulty_twice()));
}

#[test]
fn a_healthy_host_gets_one_line_and_its_warnings() {
    insta::assert_snapshot!(plain(&healthy()));
}

#[test]
fn hidden_failures_are_told_as_hidden() {
    insta::assert_snapshot!(plain(&degraded()).lines().take(4).collect::<Vec<_>>().join("\n"));
}

#[test]
fn without_a_cause_the_candidates_and_the_next_look_are_named() {
    let text = plain(&inconclusive());
    insta::assert_snapshot!(text);
}

#[test]
fn logs_are_told_with_their_sums() {
    insta::assert_snapshot!(plain(&of_logs()));
}

#[test]
fn quiet_logs_get_a_short_answer() {
    insta::assert_snapshot!(plain(&of_quiet_logs()));
}

#[test]
fn forged_times_do_no_harm() {
    let mut report = of_logs();
    let traffic = report.traffic.as_mut().expect("it has sums");
    let far = |at| Step { at, requests: 1, failed: 1, errors: vec![], symptoms: vec![] };
    traffic.steps.insert(0, far(Timestamp::MIN));
    traffic.steps.push(far(Timestamp::MAX));
    (traffic.first_at, traffic.last_at) = (Some(Timestamp::MIN), Some(Timestamp::MAX));
    let text = plain(&report::by_minute(report.clone()));
    // What really happened is found between the two.
    assert!(text.contains("  15:03        90      80  ######"), "{text}");
    report::render::html::render(&report, None);
}

#[test]
fn top_limits_each_list_and_what_is_left_out_is_counted() {
    let text = render(&of_logs(), Colour::Off, Some(1));
    assert!(text.contains("  /cart\n") && !text.contains("/product/{id}"), "{text}");
    assert!(text.contains("  ... 4 more\n"), "{text}");
}

#[test]
fn no_line_is_longer_than_80_columns_unless_it_is_there_to_be_copied() {
    for report in
        [healthy(), faulty(), faulty_twice(), degraded(), inconclusive(), of_logs(), of_quiet_logs()]
    {
        for line in plain(&report).lines().filter(|it| !it.trim_start().starts_with(['$', '+'])) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_host_cannot_drive_the_terminal() {
    for report in
        [hostile(), of_hostile_logs(), Report { verdict: diagnose::Verdict::Inconclusive, ..hostile() }]
    {
        let text = plain(&report);
        let controls: Vec<char> =
            text.chars().filter(|&it| it != '\n' && (it.is_control() || it == '\u{202e}')).collect();
        assert_eq!(controls, [], "{text}");
        assert!(text.lines().all(|it| it != "Fix\n  $ rm"), "{text}");
        assert!(text.contains(r"\x1b[2J"), "{text}");
    }
}

#[test]
fn colour_says_nothing_that_the_words_do_not_say() {
    let coloured = render(&faulty(), Colour::On, None);
    let mut bare = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        bare.push_str(before);
        rest = after.split_once('m').expect("every sequence is a colour").1;
    }
    assert_eq!(bare + rest, plain(&faulty()));
}
