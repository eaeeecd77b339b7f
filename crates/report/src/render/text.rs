//! The Report for somebody who was just woken up: the cause on the first line, then what it did, what proves it, what to
//! type, what was not seen. Plain ASCII around the host's own text, since rescue consoles know nothing else.

use std::fmt::Write;

use diagnose::{
    BlindSpot, Cause, Certainty, Check, CheckState, Edit, Finding, Fix, FixKind, Impact, Report, SymptomLine,
    Verdict, Weight,
};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::page::{BOLD, Colour, DIM, GREEN, PLAIN, Page, RED, YELLOW};
use crate::visible::visible_lines;

/// How much of each list is shown. What is left out is counted on the page, and `--format json` has all of it.
struct Limits {
    evidence: usize,
    ruled_out: usize,
    fixes: usize,
    prevent: usize,
}

/// Of the cause to act on first.
const IN_FULL: Limits = Limits { evidence: 10, ruled_out: 6, fixes: 4, prevent: 3 };
/// Of the others.
const IN_BRIEF: Limits = Limits { evidence: 3, ruled_out: 0, fixes: 1, prevent: 0 };
const SYMPTOMS_SHOWN: usize = 6;
const CANDIDATES_SHOWN: usize = 6;
const BLIND_SPOTS_SHOWN: usize = 8;
const COSTS_SHOWN: usize = 4;
const NOTES_SHOWN: usize = 5;
/// Log lines are at most 2 KiB long; this much shows what kind of line it is.
const SAMPLE_CHARS: usize = 240;

/// The Report as text.
pub fn render(report: &Report, colour: Colour) -> String {
    let mut page = Page::new(colour);
    let clock = Clock::of(report);
    let accent = match report.verdict {
        Verdict::Healthy => GREEN,
        Verdict::Faulty => RED,
        Verdict::Degraded | Verdict::Inconclusive => YELLOW,
    };
    page.put_led(("why502: ", accent.bold()), &report.summary, BOLD);
    match report.verdict {
        Verdict::Healthy => {}
        Verdict::Faulty => findings(&mut page, &report.causes, &report.summary, clock),
        Verdict::Degraded => {
            page.put("        ", "Retries on other servers hid these failures from every client.", PLAIN);
            findings(&mut page, &report.hidden, &report.summary, clock);
        }
        Verdict::Inconclusive => {
            symptoms(&mut page, &report.symptoms, clock);
            candidates(&mut page, report);
            findings(&mut page, &report.causes, &report.summary, clock);
        }
    }
    notes(&mut page, &report.notes);
    blind_spots(&mut page, &report.blind_spots);
    checks(&mut page, &report.checks, report.verdict == Verdict::Healthy);
    page.finish()
}

fn findings(page: &mut Page, findings: &[Finding], said: &str, clock: Clock) {
    if let [only] = findings {
        page.blank();
        finding(page, only, said, clock, &IN_FULL);
        return;
    }
    if !findings.is_empty() {
        page.heading(&format!("{} causes, what to act on first in front", findings.len()));
    }
    for (number, it) in (1..).zip(findings) {
        page.put(&format!("  {number}. "), &it.summary, PLAIN);
    }
    for (number, it) in (1..).zip(findings) {
        page.heading(&format!("{number}. {}", it.cause.title()));
        let limits = if number == 1 { &IN_FULL } else { &IN_BRIEF };
        // The list above has said it; here it would be the third time for the first cause.
        finding(page, it, &it.summary, clock, limits);
    }
}

fn finding(page: &mut Page, it: &Finding, said: &str, clock: Clock, limits: &Limits) {
    if it.summary != said {
        page.put("  ", &it.summary, PLAIN);
    }
    facts(page, it, clock);
    evidence(page, it, clock, limits.evidence);
    if !it.ruled_out.is_empty() && limits.ruled_out > 0 {
        page.heading("Ruled out");
        for it in it.ruled_out.iter().take(limits.ruled_out) {
            page.put("  ", &format!("{}: {}", it.id, it.because), PLAIN);
        }
        more(page, it.ruled_out.len(), limits.ruled_out);
    }
    if !it.fixes.is_empty() {
        page.heading("Fix");
        for (number, it) in (1..).zip(it.fixes.iter().take(limits.fixes)) {
            fix(page, number, it);
        }
        more(page, it.fixes.len(), limits.fixes);
    }
    if !it.verify.is_empty() {
        page.heading("Check that it helped");
        for command in &it.verify {
            page.verbatim("  $ ", command, PLAIN);
        }
    }
    if !it.prevent.is_empty() && limits.prevent > 0 {
        page.heading("Keep it from coming back");
        for advice in it.prevent.iter().take(limits.prevent) {
            page.put("  - ", advice, PLAIN);
        }
    }
}

/// The block of short facts under the headline.
fn facts(page: &mut Page, it: &Finding, clock: Clock) {
    let mut fact = |name: &str, value: &str| page.put_led((&format!("  {name:<11}"), DIM), value, PLAIN);
    fact("cause", &format!("{}, {} ({:.2})", it.cause.id, certainty(it.certainty), it.confidence));
    if let Some(upstream) = &it.upstream {
        let scheme = upstream.scheme.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        let group = upstream.group.as_ref().map(|it| format!(", of upstream {it}")).unwrap_or_default();
        fact("backend", &format!("{}{scheme}{group}", upstream.peer));
        let server = upstream.server.clone();
        let location = upstream.location.as_ref().map(|it| format!("location {it}"));
        let place: Vec<String> = [server, location].into_iter().flatten().collect();
        match (&upstream.config, place.is_empty()) {
            (Some(config), false) => fact("for", &format!("{} ({config})", place.join(", "))),
            (Some(config), true) => fact("for", config),
            (None, false) => fact("for", &place.join(", ")),
            (None, true) => {}
        }
    }
    if let Some(words) = impact(&it.impact, clock) {
        fact("impact", &words);
    }
    if !it.consequences.is_empty() {
        fact("leads to", &it.consequences.join(", "));
    }
}

fn certainty(it: Certainty) -> &'static str {
    match it {
        Certainty::Possible => "possible",
        Certainty::Likely => "likely",
        Certainty::Confirmed => "confirmed",
    }
}

/// `512 requests failed (31 %) since 15:02:04 and go on failing: 455 with 502, 57 with 504`. None when none was counted.
fn impact(it: &Impact, clock: Clock) -> Option<String> {
    if it.requests == 0 {
        return None;
    }
    // Without an access log, what was counted are entries of the error log, and a request can leave several.
    let counted_in_access_log = it.share.is_some() || !it.statuses.is_empty();
    let mut words = match (counted_in_access_log, it.requests) {
        (true, 1) => "1 request failed".to_owned(),
        (true, count) => format!("{count} requests failed"),
        (false, 1) => "1 failure logged".to_owned(),
        (false, count) => format!("{count} failures logged"),
    };
    if let Some(share) = it.share {
        let percent = share * 100.0;
        match percent {
            _ if percent < 0.1 => words.push_str(" (less than 0.1 %)"),
            _ if percent < 10.0 => _ = write!(words, " ({percent:.1} %)"),
            _ => _ = write!(words, " ({percent:.0} %)"),
        }
    }
    match (it.first, it.last, it.ongoing) {
        (Some(first), _, true) => _ = write!(words, " since {}, still going on", clock.time(first)),
        (None, _, true) => words.push_str(", still going on"),
        (Some(first), Some(last), false) if first != last => {
            _ = write!(words, " from {} to {}", clock.time(first), clock.time(last));
        }
        (Some(at), _, false) | (None, Some(at), false) => _ = write!(words, " at {}", clock.time(at)),
        (None, None, false) => {}
    }
    let statuses: Vec<String> =
        it.statuses.iter().map(|(status, count)| format!("{count} with {status:03}")).collect();
    if !statuses.is_empty() {
        _ = write!(words, ": {}", statuses.join(", "));
    }
    Some(words)
}

fn evidence(page: &mut Page, it: &Finding, clock: Clock, limit: usize) {
    if it.evidence.is_empty() {
        return;
    }
    page.heading("Evidence (! decides, + fits, - speaks against)");
    for it in it.evidence.iter().take(limit) {
        let mark = match it.weight {
            Weight::Decisive => ("  ! ", RED.bold()),
            Weight::Supporting => ("  + ", PLAIN),
            Weight::Contradicting => ("  - ", YELLOW),
        };
        let place = it.reference.as_deref().unwrap_or(&it.source);
        let origin = match it.at {
            Some(at) => format!("{} {place}", clock.time(at)),
            None => place.to_owned(),
        };
        page.put_with_origin(mark, &it.says, &origin);
    }
    more(page, it.evidence.len(), limit);
}

fn fix(page: &mut Page, number: usize, it: &Fix) {
    let helps = match it.kind {
        FixKind::Mitigate => "helps at once",
        FixKind::Repair => "removes the cause",
        FixKind::Prevent => "keeps it away",
    };
    let risk = if it.risk.is_empty() { String::new() } else { format!("; {}", it.risk) };
    page.put(&format!("  {number}. "), &format!("{} [{helps}{risk}]", it.title), PLAIN);
    if !it.why.is_empty() {
        page.put("     ", &it.why, DIM);
    }
    for it in &it.edits {
        edit(page, it);
    }
    for command in &it.commands {
        page.verbatim("     $ ", command, BOLD);
    }
}

fn edit(page: &mut Page, it: &Edit) {
    let place = if it.line == 0 { it.file.clone() } else { format!("{}:{}", it.file, it.line) };
    page.verbatim("     ", &place, DIM);
    for line in visible_lines(&it.old).lines() {
        page.verbatim("     - ", line.trim_end(), RED);
    }
    for line in visible_lines(&it.new).lines() {
        page.verbatim("     + ", line.trim_end(), GREEN);
    }
}

fn symptoms(page: &mut Page, symptoms: &[SymptomLine], clock: Clock) {
    if symptoms.is_empty() {
        return;
    }
    page.heading("What failed");
    for it in symptoms.iter().take(SYMPTOMS_SHOWN) {
        let peer = it.peer.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
        let times = match (it.first, it.last) {
            (Some(first), Some(last)) if first != last => {
                format!(", {} to {}", clock.time(first), clock.time(last))
            }
            (Some(at), _) | (None, Some(at)) => format!(", {}", clock.time(at)),
            (None, None) => String::new(),
        };
        page.put_with_origin(
            ("  ", PLAIN),
            &format!("{} x {}{peer}{times}", it.count, it.symptom.id()),
            &it.sample_reference,
        );
        if !it.sample_line.is_empty() {
            page.put("    ", &shortened(&it.sample_line), DIM);
        }
    }
    more(page, symptoms.len(), SYMPTOMS_SHOWN);
}

/// Where no cause was found: which ones fit what was seen, those first that a blind spot may hide; and the observation
/// that settles most of them.
fn candidates(page: &mut Page, report: &Report) {
    let hidden_by_blind_spots =
        |cause: &Cause| report.blind_spots.iter().any(|it| it.costs.contains(&cause.id));
    let mut fitting: Vec<&Cause> = diagnose::causes()
        .iter()
        .copied()
        .filter(|cause| report.symptoms.iter().any(|it| cause.explains.contains(&it.symptom)))
        .collect();
    fitting.sort_by_key(|it| !hidden_by_blind_spots(it));
    if !fitting.is_empty() {
        page.heading("It could be");
        for (number, it) in (1..).zip(fitting.iter().take(CANDIDATES_SHOWN)) {
            page.put(&format!("  {number}. "), &format!("{}: {}", it.id, it.headline()), PLAIN);
        }
        more(page, fitting.len(), CANDIDATES_SHOWN);
    }
    let settles = |it: &BlindSpot| {
        let of_the_fitting =
            it.costs.iter().filter(|&id| fitting.iter().any(|cause| cause.id == *id)).count();
        (of_the_fitting, it.costs.len())
    };
    let best = report.blind_spots.iter().filter(|it| !it.remedy.is_empty()).max_by_key(|it| settles(it));
    if let Some(best) = best {
        page.heading("Look there next");
        page.put("  ", &format!("{}, to see this: {}", best.remedy, best.what), PLAIN);
    }
}

fn notes(page: &mut Page, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    page.heading("Worth knowing");
    for it in notes.iter().take(NOTES_SHOWN) {
        page.put("  - ", it, PLAIN);
    }
    more(page, notes.len(), NOTES_SHOWN);
}

/// One remedy, usually "run as root", often opens several eyes: it is said once, under all of them.
fn blind_spots(page: &mut Page, blind_spots: &[BlindSpot]) {
    if blind_spots.is_empty() {
        return;
    }
    page.heading("Not seen");
    let mut remedies: Vec<&str> = Vec::new();
    for it in blind_spots.iter().take(BLIND_SPOTS_SHOWN) {
        if !remedies.contains(&it.remedy.as_str()) {
            remedies.push(&it.remedy);
        }
    }
    for remedy in remedies {
        for it in blind_spots.iter().take(BLIND_SPOTS_SHOWN).filter(|it| it.remedy == remedy) {
            page.put("  ", &format!("{}: {}{}", it.what, it.why, costs(&it.costs)), PLAIN);
        }
        if !remedy.is_empty() {
            page.put("    try: ", remedy, PLAIN);
        }
    }
    more(page, blind_spots.len(), BLIND_SPOTS_SHOWN);
}

fn costs(ids: &[&str]) -> String {
    match ids.len() {
        0 => String::new(),
        count if count <= COSTS_SHOWN => format!("; could hide {}", ids.join(", ")),
        count => format!("; could hide {} and {} more", ids[..COSTS_SHOWN].join(", "), count - COSTS_SHOWN),
    }
}

fn checks(page: &mut Page, checks: &[Check], only_what_is_wrong: bool) {
    let shown: Vec<&Check> = checks
        .iter()
        .filter(|it| !only_what_is_wrong || matches!(it.state, CheckState::Warn | CheckState::Fail))
        .collect();
    if shown.is_empty() {
        return;
    }
    page.heading("Checklist");
    let id_columns = shown.iter().map(|it| it.id.len()).max().unwrap_or(0);
    for it in shown {
        let (state, style) = match it.state {
            CheckState::Ok => ("ok", GREEN),
            CheckState::Warn => ("warn", YELLOW),
            CheckState::Fail => ("FAIL", RED),
            CheckState::Skipped => ("-", DIM),
        };
        page.put_led((&format!("  {state:<4}  {:<id_columns$}  ", it.id), style), &it.says, PLAIN);
    }
}

/// Says how much of a list was left out.
fn more(page: &mut Page, total: usize, shown: usize) {
    if total > shown {
        page.put("  ", &format!("... and {} more, with --format json", total - shown), DIM);
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(SAMPLE_CHARS) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Says times as the host's clocks show them, with the day only where it is another one.
#[derive(Clone, Copy)]
struct Clock {
    offset: Offset,
    now: Timestamp,
}

impl Clock {
    fn of(report: &Report) -> Clock {
        let offset = Offset::from_seconds(report.utc_offset_seconds).unwrap_or(Offset::UTC);
        Clock { offset, now: report.collected_at }
    }

    fn time(self, at: Timestamp) -> String {
        let (at, now) = (self.offset.to_datetime(at), self.offset.to_datetime(self.now));
        let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.strftime(format).to_string()
    }
}
