//! The Report for somebody who was just woken up: the cause on the first line, then what it did, what proves it, what to
//! type, what was not seen. Plain ASCII around the host's own text, since rescue consoles know nothing else.

use diagnose::{BlindSpot, Check, CheckState, Edit, Finding, Fix, Report, SymptomLine, Verdict, Weight};

use snapshot::Traffic;

use crate::page::{BOLD, Colour, DIM, GREEN, PLAIN, Page, RED, WIDTH, YELLOW, columns};
use crate::sums::{self, Table};
use crate::timeline::{Bar, Timeline};
use crate::visible::visible_lines;
use crate::words::{self, Clock};

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
const QUESTIONS_SHOWN: usize = 6;
const BLIND_SPOTS_SHOWN: usize = 8;
const NOTES_SHOWN: usize = 5;

/// Of each list of sums, unless asked otherwise.
pub(super) const ROWS_SHOWN: usize = 5;
/// Half a terminal, so that the causes above do not scroll away.
pub(super) const MOST_BARS: usize = 16;
const BAR_COLUMNS: usize = 24;
/// Of the findings of logs alone; the others are listed.
pub(super) const FINDINGS_TOLD: usize = 3;

/// The Report as text. `top` says how many rows of each list of sums are shown.
pub fn render(report: &Report, colour: Colour, top: Option<usize>) -> String {
    let mut page = Page::new(colour);
    let clock = Clock::of(report);
    let accent = match report.verdict {
        Verdict::Healthy => GREEN,
        Verdict::Faulty => RED,
        Verdict::Degraded | Verdict::Inconclusive => YELLOW,
    };
    page.put_led(("why502: ", accent.bold()), &report.summary, BOLD);
    let (found, preface) = words::findings(report);
    if let Some(preface) = preface {
        page.put("        ", preface, PLAIN);
    }
    if let Some(partial) = report.traffic.as_ref().and_then(sums::partial) {
        page.put("        ", &partial, YELLOW);
    }
    if report.verdict == Verdict::Inconclusive {
        symptoms(&mut page, &report.symptoms, clock);
        candidates(&mut page, report);
    }
    // Logs of months can hold a dozen faults, and their sums are to be found behind them.
    let told = if report.traffic.is_some() { FINDINGS_TOLD } else { found.len() };
    findings(&mut page, found, told, &report.summary, clock);
    if report.verdict != Verdict::Inconclusive && report.next_look.is_some() {
        look_next(&mut page, report);
    }
    if let Some(traffic) = &report.traffic {
        let top = top.unwrap_or(ROWS_SHOWN);
        sums(&mut page, traffic, clock, top);
        examples(&mut page, report, top);
        sources(&mut page, traffic, top);
    }
    notes(&mut page, &report.notes);
    blind_spots(&mut page, &report.blind_spots);
    // The checklist is that of a host.
    if report.traffic.is_none() {
        checks(&mut page, &report.checks, report.verdict == Verdict::Healthy);
    }
    page.finish()
}

fn findings(page: &mut Page, findings: &[Finding], told: usize, said: &str, clock: Clock) {
    if let [only] = findings {
        page.blank();
        finding(page, only, said, clock, &IN_FULL);
        return;
    }
    if !findings.is_empty() {
        page.heading(&format!("{} causes, what to act on first in front", findings.len()));
    }
    for (number, it) in (1..).zip(findings) {
        let lead = format!("  {number}. [{}] ", words::certainty(it.certainty));
        page.put(&lead, &it.summary, PLAIN);
    }
    for (number, it) in (1..).zip(findings.iter().take(told)) {
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
    let certainty = words::certainty(it.certainty);
    let cause = ("cause", format!("{}, {certainty} ({:.2})", it.cause.id, it.confidence));
    for (name, value) in [cause].into_iter().chain(words::facts(it, clock)) {
        page.put_led((&format!("  {name:<11}"), DIM), &value, PLAIN);
    }
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
        page.put_with_origin(mark, &it.says, &words::origin(it, clock));
    }
    more(page, it.evidence.len(), limit);
}

fn fix(page: &mut Page, number: usize, it: &Fix) {
    page.put(&format!("  {number}. "), &format!("{} [{}]", it.title, words::effect(it)), PLAIN);
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
    page.verbatim("     ", &words::place(it), DIM);
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
        page.put_with_origin(("  ", PLAIN), &words::symptom(it, clock), &it.sample_reference);
        if !it.sample_line.is_empty() {
            page.put("    ", &words::shortened(&it.sample_line), DIM);
        }
    }
    more(page, symptoms.len(), SYMPTOMS_SHOWN);
}

fn candidates(page: &mut Page, report: &Report) {
    let questions = words::open_questions(report);
    if !questions.is_empty() {
        page.heading("It could be, and this would decide");
        for (number, (causes, decides)) in (1..).zip(questions.iter().take(QUESTIONS_SHOWN)) {
            for (index, it) in causes.iter().enumerate() {
                let lead = if index == 0 { format!("  {number}. ") } else { "     ".to_owned() };
                page.put(&lead, it, PLAIN);
            }
            page.put("     > ", decides, DIM);
        }
        more(page, questions.len(), QUESTIONS_SHOWN);
    }
    if !report.ruled_out.is_empty() {
        page.heading("Ruled out");
        for it in report.ruled_out.iter().take(IN_FULL.ruled_out) {
            page.put("  ", &format!("{}: {}", it.id, it.because), PLAIN);
        }
        more(page, report.ruled_out.len(), IN_FULL.ruled_out);
    }
    look_next(page, report);
}

fn look_next(page: &mut Page, report: &Report) {
    let (look, command) = words::next_looks(report);
    if look.is_some() || command.is_some() {
        page.heading("Look there next");
    }
    if let Some(look) = look {
        page.put("  ", &look, PLAIN);
    }
    if let Some(command) = command {
        page.put("  ", words::second_look(report), PLAIN);
        page.verbatim("  $ ", command, BOLD);
    }
}

fn sums(page: &mut Page, traffic: &Traffic, clock: Clock, top: usize) {
    page.heading("In sum");
    for (name, value) in sums::facts(traffic, clock) {
        page.put_led((&format!("  {name:<11}"), DIM), &value, PLAIN);
    }
    for it in sums::asked(traffic, clock, top) {
        page.heading(&it.title);
        table(page, &it);
    }
    if let Some(all) = Timeline::of(traffic, clock, MOST_BARS).filter(Timeline::has_failures) {
        page.heading(&sums::over_time(&all));
        timeline(page, &all, clock);
        if let Some(worst) = all.worst(traffic, clock, MOST_BARS) {
            page.heading(&sums::worst(&worst));
            timeline(page, &worst, clock);
        }
    }
    for it in sums::tables(traffic, clock, top) {
        page.heading(&it.title);
        table(page, &it);
    }
}

/// A bar for each step.
pub(super) fn timeline(page: &mut Page, it: &Timeline, clock: Clock) {
    let times: Vec<String> = it.bars.iter().map(|it| clock.minute(it.at)).collect();
    let numbers = |of: fn(&Bar) -> u64| it.bars.iter().map(of).max().unwrap_or(0).to_string().len();
    let time_columns = times.iter().map(|it| columns(it)).max().unwrap_or(0);
    let (request_columns, failed_columns) =
        (numbers(|it| it.requests).max(8), numbers(|it| it.failed).max(6));
    let highest = it.bars.iter().map(|it| it.failed).max().unwrap_or(0).max(1);
    let requests = |text: String| match it.of_requests {
        true => format!("  {text:>request_columns$}"),
        false => String::new(),
    };
    let head =
        format!("  {:<time_columns$}{}  {:>failed_columns$}", "from", requests("requests".into()), "failed");
    page.verbatim("", &head, DIM);
    for (bar, time) in it.bars.iter().zip(times) {
        let lead = format!(
            "  {time:<time_columns$}{}  {:>failed_columns$}",
            requests(bar.requests.to_string()),
            bar.failed
        );
        // A single failure among thousands must not vanish.
        let length = (bar.failed * BAR_COLUMNS as u64).div_ceil(highest) as usize;
        let most = bar.most();
        let room = WIDTH.saturating_sub(columns(&lead) + 2 + BAR_COLUMNS + 2);
        let most = if columns(&most) > room { String::new() } else { most };
        page.bar(&lead, &"#".repeat(length), BAR_COLUMNS, &most);
    }
}

/// Numbers in columns, and behind them what they are about.
pub(super) fn table(page: &mut Page, table: &Table) {
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table.rows.iter().map(|it| columns(&it.cells[column]));
            cells.chain([columns(table.columns[column])]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| -> String {
        cells.zip(&widths).map(|(cell, &width)| format!("  {cell:>width$}")).collect()
    };
    page.verbatim(&line(&mut table.columns.iter().copied()), &format!("  {}", table.about), DIM);
    for row in &table.rows {
        let cells = line(&mut row.cells.iter().map(String::as_str));
        let about = words::shortened(&row.about);
        if columns(&cells) + 2 + columns(&about) <= WIDTH {
            page.verbatim(&format!("{cells}  "), &about, PLAIN);
        } else {
            page.verbatim(&cells, "", PLAIN);
            page.verbatim("      ", &about, PLAIN);
        }
        if !row.note.is_empty() {
            page.put("      ", &row.note, DIM);
        }
    }
    if !table.left_out.is_empty() {
        page.put("  ", &format!("... {}", table.left_out), DIM);
    }
}

fn examples(page: &mut Page, report: &Report, top: usize) {
    let examples = sums::examples(report);
    if examples.is_empty() {
        return;
    }
    page.heading("Examples");
    for it in examples.iter().take(top) {
        page.put_with_origin(("  ", PLAIN), &sums::example(it), &it.sample_reference);
        page.put("    ", &words::both_ends(&it.sample_line), DIM);
        if let Some(request) = &it.sample_request {
            page.put_with_origin(("    ", PLAIN), "its request", &request.reference);
            page.put("    ", &words::both_ends(&request.line), DIM);
        }
    }
    more(page, examples.len(), top);
}

fn sources(page: &mut Page, traffic: &Traffic, top: usize) {
    page.heading("What was read");
    for it in sums::sources(traffic).iter().take(top) {
        page.put("  ", &format!("{}: {}", it.name, it.says), PLAIN);
        for line in &it.unparsed {
            page.put("    ", &words::shortened(line), DIM);
        }
    }
    more(page, traffic.sources.len(), top);
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

fn blind_spots(page: &mut Page, blind_spots: &[BlindSpot]) {
    if blind_spots.is_empty() {
        return;
    }
    page.heading("Not seen");
    let shown = &blind_spots[..blind_spots.len().min(BLIND_SPOTS_SHOWN)];
    for (remedy, spots) in words::not_seen(shown) {
        for it in spots {
            page.put("  ", &it, PLAIN);
        }
        if !remedy.is_empty() {
            page.put("    try: ", remedy, PLAIN);
        }
    }
    more(page, blind_spots.len(), BLIND_SPOTS_SHOWN);
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
        let style = match it.state {
            CheckState::Ok => GREEN,
            CheckState::Warn => YELLOW,
            CheckState::Fail => RED,
            CheckState::Skipped => DIM,
        };
        let state = words::state(it.state);
        page.put_led((&format!("  {state:<4}  {:<id_columns$}  ", it.id), style), &it.says, PLAIN);
    }
}

/// Says how much of a list was left out.
fn more(page: &mut Page, total: usize, shown: usize) {
    if total > shown {
        page.put("  ", &format!("... and {} more, with --format json", total - shown), DIM);
    }
}
