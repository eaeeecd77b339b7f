//! The Report for a ticket or a chat, in GitHub's Markdown. What a stranger may have written stands in code spans and
//! fences only, where nothing is a link, a mention, an image or HTML.

use std::fmt::Write;

use diagnose::{CheckState, Finding, Fix, Report, RuledOut, Verdict};

use snapshot::Traffic;

use super::text::{self, FINDINGS_TOLD, MOST_BARS, ROWS_SHOWN};
use crate::page::{Colour, Page};
use crate::sums;
use crate::timeline::Timeline;
use crate::visible::{visible, visible_lines};
use crate::words::{self, Clock, Piece};

/// A ticket is read from above: the other findings are there to be unfolded.
const UNFOLDED_FINDINGS: usize = 1;

/// The Report as Markdown.
pub fn render(report: &Report, top: Option<usize>) -> String {
    let mut out = String::new();
    let clock = Clock::of(report);
    line(&mut out, &format!("## {}: {}", words::verdict(report.verdict), inline(&report.summary)));
    let nginx = report.nginx.as_ref().filter(|it| !it.is_empty());
    let nginx = nginx.map(|it| format!(", nginx {it}")).unwrap_or_default();
    let (from, to) = (clock.time(report.window.from), clock.time(report.window.to));
    let seen = clock.date_and_time(report.collected_at);
    match &report.traffic {
        Some(it) => line(&mut out, &format!("Of the logs {}, until {seen}", code(&sums::of_logs(it)))),
        None => {
            paragraph(
                &mut out,
                &format!("Host {}{nginx}, seen at {seen}, window {from} to {to}", report.host),
            );
        }
    }
    let (found, preface) = words::findings(report);
    if let Some(preface) = preface {
        paragraph(&mut out, preface);
    }
    if let Some(partial) = report.traffic.as_ref().and_then(sums::partial) {
        paragraph(&mut out, &partial);
    }
    if report.verdict == Verdict::Inconclusive {
        symptoms(&mut out, report, clock);
        candidates(&mut out, report);
    }
    if found.len() > 1 {
        for (number, it) in (1..).zip(found) {
            _ = writeln!(out, "{number}. {}: {}", words::certainty(it.certainty), inline_after(&it.summary));
        }
        out.push('\n');
    }
    let told = if report.traffic.is_some() { FINDINGS_TOLD } else { found.len() };
    for (number, it) in (1..).zip(found.iter().take(told)) {
        let number_shown = if found.len() > 1 { format!("{number}. ") } else { String::new() };
        let certainty = words::certainty(it.certainty);
        // Words of ours alone: Markdown means nothing inside a summary, and HTML all the more.
        let title = format!("{number_shown}{} ({certainty}, {:.2})", it.cause.title(), it.confidence);
        let said = if found.len() > 1 { &it.summary } else { &report.summary };
        if number > UNFOLDED_FINDINGS {
            folded(&mut out, &title, |out| finding(out, it, said, clock));
        } else {
            line(&mut out, &format!("### {title}"));
            finding(&mut out, it, said, clock);
        }
    }
    if report.verdict != Verdict::Inconclusive && report.next_look.is_some() {
        look_next(&mut out, report);
    }
    if let Some(traffic) = &report.traffic {
        let top = top.unwrap_or(ROWS_SHOWN);
        sums_of(&mut out, traffic, clock, top);
        examples(&mut out, report, top);
        sources(&mut out, traffic, top);
    }
    if !report.notes.is_empty() {
        line(&mut out, "### Worth knowing");
        list(&mut out, &report.notes);
    }
    not_seen(&mut out, report);
    if report.traffic.is_none() {
        checks(&mut out, report);
    }
    let version = env!("CARGO_PKG_VERSION");
    paragraph(&mut out, &format!("Made by why502 {version}; times are the host's own."));
    // One empty line at the end belongs to nobody.
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn finding(out: &mut String, it: &Finding, said: &str, clock: Clock) {
    if it.summary != said {
        paragraph(out, &it.summary);
    }
    let cause = ("cause", it.cause.id.to_owned());
    for (name, value) in [cause].into_iter().chain(words::facts(it, clock)) {
        _ = writeln!(out, "- **{name}** {}", inline_after(&value));
    }
    out.push('\n');
    if !it.evidence.is_empty() {
        line(out, "#### Evidence");
        for it in &it.evidence {
            let origin = code(&words::origin(it, clock));
            _ = writeln!(out, "- **{}**: {} ({origin})", words::weight(it.weight), inline_after(&it.says));
        }
        out.push('\n');
    }
    ruled_out(out, "####", &it.ruled_out);
    if !it.fixes.is_empty() {
        line(out, "#### Fix");
        for (number, it) in (1..).zip(&it.fixes) {
            fix(out, number, it);
        }
    }
    if !it.verify.is_empty() {
        line(out, "#### Check that it helped");
        fence(out, "sh", &it.verify);
    }
    if !it.prevent.is_empty() {
        line(out, "#### Keep it from coming back");
        list(out, &it.prevent);
    }
}

fn fix(out: &mut String, number: usize, it: &Fix) {
    line(out, &format!("**{number}.** {} ({})", inline_after(&it.title), inline_after(&words::effect(it))));
    if !it.why.is_empty() {
        paragraph(out, &it.why);
    }
    for edit in &it.edits {
        let marked = |mark: char, text: &str| {
            let text = visible_lines(text);
            text.lines().map(|line| format!("{mark} {}", line.trim_end())).collect::<Vec<_>>()
        };
        let mut lines = vec![format!("# {}", words::place(edit))];
        lines.extend(marked('-', &edit.old));
        lines.extend(marked('+', &edit.new));
        fence(out, "diff", &lines);
    }
    if !it.commands.is_empty() {
        fence(out, "sh", &it.commands);
    }
}

fn sums_of(out: &mut String, traffic: &Traffic, clock: Clock, top: usize) {
    line(out, "### In sum");
    for (name, value) in sums::facts(traffic, clock) {
        _ = writeln!(out, "- **{name}** {}", inline_after(&value));
    }
    out.push('\n');
    for it in sums::asked(traffic, clock, top) {
        block(out, &it.title, |page| text::table(page, &it));
    }
    if let Some(all) = Timeline::of(traffic, clock, MOST_BARS).filter(Timeline::has_failures) {
        block(out, &sums::over_time(&all), |page| text::timeline(page, &all, clock));
        if let Some(worst) = all.worst(traffic, clock, MOST_BARS) {
            block(out, &sums::worst(&worst), |page| text::timeline(page, &worst, clock));
        }
    }
    for it in sums::tables(traffic, clock, top) {
        block(out, &it.title, |page| text::table(page, &it));
    }
}

/// Columns, as the text has them: inert, and straight wherever it is pasted.
fn block(out: &mut String, title: &str, write: impl FnOnce(&mut Page)) {
    line(out, &format!("#### {title}"));
    let mut page = Page::new(Colour::Off);
    write(&mut page);
    let lines: Vec<String> = page.finish().lines().map(str::to_owned).collect();
    fence(out, "", &lines);
}

fn examples(out: &mut String, report: &Report, top: usize) {
    let examples = sums::examples(report);
    if examples.is_empty() {
        return;
    }
    line(out, "### Examples");
    for it in examples.iter().take(top) {
        _ = writeln!(out, "- {} ({})", inline_after(&sums::example(it)), code(&it.sample_reference));
        _ = writeln!(out, "  - {}", code(&words::both_ends(&it.sample_line)));
        if let Some(request) = &it.sample_request {
            let line = code(&words::both_ends(&request.line));
            _ = writeln!(out, "  - its request ({}): {line}", code(&request.reference));
        }
    }
    more(out, examples.len(), top);
}

fn sources(out: &mut String, traffic: &Traffic, top: usize) {
    line(out, "### What was read");
    for it in sums::sources(traffic).iter().take(top) {
        _ = writeln!(out, "- {}: {}", code(&it.name), inline_after(&it.says));
        for line in &it.unparsed {
            _ = writeln!(out, "  - {}", code(&words::shortened(line)));
        }
    }
    more(out, traffic.sources.len(), top);
}

/// Says how much of a list was left out, and ends it.
fn more(out: &mut String, total: usize, shown: usize) {
    if total > shown {
        _ = writeln!(out, "- {} more", total - shown);
    }
    out.push('\n');
}

fn symptoms(out: &mut String, report: &Report, clock: Clock) {
    if report.symptoms.is_empty() {
        return;
    }
    line(out, "### What failed");
    for it in &report.symptoms {
        _ = writeln!(out, "- {} ({})", inline_after(&words::symptom(it, clock)), code(&it.sample_reference));
        if !it.sample_line.is_empty() {
            _ = writeln!(out, "  - {}", code(&words::shortened(&it.sample_line)));
        }
    }
    out.push('\n');
}

fn candidates(out: &mut String, report: &Report) {
    let questions = words::open_questions(report);
    if !questions.is_empty() {
        line(out, "### It could be, and this would decide");
        for (causes, decides) in questions {
            for it in causes {
                _ = writeln!(out, "- {}", inline(&it));
            }
            _ = writeln!(out, "  - {}", inline(&decides));
        }
        out.push('\n');
    }
    ruled_out(out, "###", &report.ruled_out);
    look_next(out, report);
}

fn look_next(out: &mut String, report: &Report) {
    let (look, command) = words::next_looks(report);
    if look.is_some() || command.is_some() {
        line(out, "### Look there next");
    }
    if let Some(look) = look {
        paragraph(out, &look);
    }
    if let Some(command) = command {
        paragraph(out, words::second_look(report));
        fence(out, "sh", &[command.to_owned()]);
    }
}

fn ruled_out(out: &mut String, level: &str, ruled_out: &[RuledOut]) {
    if ruled_out.is_empty() {
        return;
    }
    line(out, &format!("{level} Ruled out"));
    for it in ruled_out {
        _ = writeln!(out, "- {}: {}", code(it.id), inline_after(&it.because));
    }
    out.push('\n');
}

fn not_seen(out: &mut String, report: &Report) {
    if report.blind_spots.is_empty() {
        return;
    }
    line(out, "### Not seen");
    for (remedy, spots) in words::not_seen(&report.blind_spots) {
        for it in spots {
            _ = writeln!(out, "- {}", inline(&it));
        }
        if !remedy.is_empty() {
            _ = writeln!(out, "  - try: {}", inline_after(remedy));
        }
    }
    out.push('\n');
}

fn checks(out: &mut String, report: &Report) {
    if report.checks.is_empty() {
        return;
    }
    let wrong = report.checks.iter().filter(|it| matches!(it.state, CheckState::Warn | CheckState::Fail));
    let title = format!("Checklist: {} of {} deserve a look", wrong.count(), report.checks.len());
    folded(out, &title, |out| {
        for it in &report.checks {
            _ = writeln!(out, "- **{}** {}: {}", words::state(it.state), code(it.id), inline_after(&it.says));
        }
        out.push('\n');
    });
}

/// A block that is shown when somebody clicks its title, which is ours.
fn folded(out: &mut String, title: &str, write: impl FnOnce(&mut String)) {
    _ = write!(out, "<details>\n<summary>{title}</summary>\n\n");
    write(out);
    out.push_str("</details>\n\n");
}

pub(crate) fn line(out: &mut String, markdown: &str) {
    out.push_str(markdown);
    out.push_str("\n\n");
}

pub(crate) fn paragraph(out: &mut String, text: &str) {
    line(out, &inline(text));
}

fn list(out: &mut String, items: &[String]) {
    for it in items {
        _ = writeln!(out, "- {}", inline(it));
    }
    out.push('\n');
}

/// Lines that are there to be copied.
fn fence(out: &mut String, language: &str, lines: &[String]) {
    let lines: Vec<_> = lines.iter().map(|it| visible(it)).collect();
    let ticks = "`".repeat(lines.iter().map(|it| longest_run_of_ticks(it) + 1).max().unwrap_or(0).max(3));
    _ = writeln!(out, "{ticks}{language}");
    for it in lines {
        _ = writeln!(out, "{it}");
    }
    _ = write!(out, "{ticks}\n\n");
}

/// A sentence that begins a paragraph or an item of a list.
fn inline(text: &str) -> String {
    spans(words::pieces(text))
}

/// A sentence with something before it on its line, where no list can begin.
fn inline_after(text: &str) -> String {
    spans(words::pieces_after(text))
}

fn spans(pieces: Vec<Piece>) -> String {
    let span = |it: Piece| match it {
        Piece::Prose(it) => it,
        Piece::Name(it) => code(&it),
    };
    pieces.into_iter().map(span).collect()
}

/// A code span that its text cannot end.
pub(crate) fn code(text: &str) -> String {
    let text = visible(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(match longest_run_of_ticks(&text) {
        0 => 1,
        longest => longest + 1,
    });
    // The spaces keep a tick at either end from joining the marks; a renderer takes them away again.
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

fn longest_run_of_ticks(text: &str) -> usize {
    text.split(|it| it != '`').map(str::len).max().unwrap_or(0)
}
