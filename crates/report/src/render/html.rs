//! The Report as one HTML file that needs nothing else: no script, no network, no font, no picture. It is read on a wall,
//! on a phone at night, on paper, and years later. What the host says is text in it and nothing more.

mod chart;
mod sums;

use std::borrow::Cow;
use std::fmt::Write;

use diagnose::{Check, CheckState, Edit, Finding, Fix, Report, RuledOut, Verdict, Weight};

use crate::visible::{visible, visible_lines};
use crate::words::{self, Clock, Piece};

const STYLE: &str = include_str!("html/style.css");
/// Nothing may be loaded or run, and of styles only [`STYLE`], which is known by its SHA-256; a test computes it.
const POLICY: &str = "default-src 'none'; style-src 'sha256-fdT9L+leb9aWY5sws4m1y7HaxLVHGakGj4t+jGdbuPQ='; base-uri 'none'; form-action 'none'";

/// Of each list of sums, unless asked otherwise.
const ROWS_SHOWN: usize = 20;
/// Findings after the first are unfolded as long as they are that few.
const UNFOLDED_FINDINGS: usize = 3;

/// The Report as a document of HTML.
pub fn render(report: &Report, top: Option<usize>) -> String {
    let mut out = String::with_capacity(32 << 10);
    let clock = Clock::of(report);
    let verdict = words::verdict(report.verdict);
    let title = format!("{verdict}: {} - {}", report.summary, whose(report));
    _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body class=\"{}\">\n",
        escaped(&title),
        verdict.to_lowercase()
    );
    let (found, preface) = words::findings(report);
    header(&mut out, report, found, preface, clock);
    out.push_str("<main>\n");
    if report.verdict == Verdict::Inconclusive {
        undecided(&mut out, report, clock);
    }
    if let Some(traffic) = &report.traffic {
        sums::over_time(&mut out, report, traffic, clock);
    } else {
        chart::section(&mut out, report, clock);
    }
    for (index, it) in found.iter().enumerate() {
        let number = if found.len() > 1 { format!("{}. ", index + 1) } else { String::new() };
        finding(&mut out, it, &number, index < UNFOLDED_FINDINGS, report, clock);
    }
    match &report.traffic {
        Some(traffic) => {
            sums::tables(&mut out, report, traffic, clock, top.unwrap_or(ROWS_SHOWN));
            notes(&mut out, report);
        }
        None => {
            notes(&mut out, report);
            checks(&mut out, report);
        }
    }
    out.push_str("</main>\n");
    _ = write!(
        out,
        "<footer>\n<p>why502 {}, collected in {:.2} s. Times are the host's own.</p>\n</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        report.elapsed_seconds
    );
    out
}

fn header(out: &mut String, report: &Report, found: &[Finding], preface: Option<&str>, clock: Clock) {
    let verdict = words::verdict(report.verdict);
    _ = write!(
        out,
        "<header>\n<p class=\"verdict\"><span class=\"badge\">{verdict}</span> <b>{}</b></p>\n<h1>{}</h1>\n",
        escaped(&whose(report)),
        prose(&report.summary)
    );
    if let Some(preface) = preface {
        paragraph(out, "said", preface);
    }
    if let Some(partial) = report.traffic.as_ref().and_then(crate::sums::partial) {
        paragraph(out, "said", &partial);
    }
    if found.len() > 1 {
        out.push_str("<ol class=\"overview\" start=\"2\">\n");
        for (number, it) in (2..).zip(&found[1..]) {
            let certainty = words::certainty(it.certainty);
            _ = writeln!(out, "<li><b>{number}.</b> {} ({certainty})</li>", prose(&it.summary));
        }
        out.push_str("</ol>\n");
    }
    out.push_str("<dl class=\"meta\">\n");
    let mut fact = |name: &str, value: &str| {
        _ = writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(value));
    };
    if report.traffic.is_some() {
        fact("until", &clock.date_and_time(report.collected_at));
        out.push_str("</dl>\n</header>\n");
        return;
    }
    fact("seen", &clock.date_and_time(report.collected_at));
    fact("window", &format!("{} to {}", clock.time(report.window.from), clock.time(report.window.to)));
    fact("nginx", report.nginx.as_deref().unwrap_or("none found"));
    let container = if report.container { ", in a container" } else { "" };
    fact("kernel", &format!("{}{container}", report.kernel));
    out.push_str("</dl>\n</header>\n");
}

/// The host, or the logs where nobody looked at one.
fn whose(report: &Report) -> String {
    report.traffic.as_ref().map_or_else(|| report.host.clone(), crate::sums::of_logs)
}

fn finding(out: &mut String, it: &Finding, number: &str, open: bool, report: &Report, clock: Clock) {
    let certainty = words::certainty(it.certainty);
    let title = format!("<h2>{number}{}</h2>", escaped(&it.cause.title()));
    let badge =
        format!("<span class=\"badge {certainty}\">{certainty}, {:.0} %</span>", it.confidence * 100.0);
    if open {
        _ = writeln!(out, "<section>\n<div class=\"title\">{title} {badge}</div>");
    } else {
        _ = writeln!(out, "<section>\n<details><summary>{title} {badge}</summary>");
    }
    if it.summary != report.summary {
        paragraph(out, "said", &it.summary);
    }
    out.push_str("<dl>\n");
    _ = writeln!(out, "<dt>cause</dt><dd><code>{}</code></dd>", escaped(it.cause.id));
    for (name, value) in words::facts(it, clock) {
        _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", prose(&value));
    }
    out.push_str("</dl>\n");
    evidence(out, it, clock);
    fixes(out, it);
    if !it.verify.is_empty() {
        out.push_str("<h3>Check that it helped</h3>\n");
        commands(out, &it.verify);
    }
    if !it.prevent.is_empty() {
        out.push_str("<h3>Keep it from coming back</h3>\n");
        list(out, &it.prevent);
    }
    ruled_out(out, &it.ruled_out);
    about(out, it);
    out.push_str(if open { "</section>\n" } else { "</details>\n</section>\n" });
}

fn evidence(out: &mut String, it: &Finding, clock: Clock) {
    if it.evidence.is_empty() {
        return;
    }
    out.push_str("<h3>Evidence</h3>\n<ul class=\"evidence\">\n");
    for it in &it.evidence {
        let class = match it.weight {
            Weight::Decisive => "decides",
            Weight::Supporting => "fits",
            Weight::Contradicting => "speaks",
        };
        _ = writeln!(
            out,
            "<li class=\"{class}\"><span class=\"weight\">{}</span><p>{}</p><p class=\"origin\">{}</p></li>",
            words::weight(it.weight),
            prose(&it.says),
            escaped(&words::origin(it, clock))
        );
    }
    out.push_str("</ul>\n");
}

fn fixes(out: &mut String, it: &Finding) {
    if it.fixes.is_empty() {
        return;
    }
    out.push_str("<h3>Fix</h3>\n<ol class=\"fixes\">\n");
    for (number, it) in (1..).zip(&it.fixes) {
        fix(out, number, it);
    }
    out.push_str("</ol>\n");
}

fn fix(out: &mut String, number: usize, it: &Fix) {
    _ = writeln!(out, "<li><h4><span class=\"step\">{number}.</span> {}</h4>", prose(&it.title));
    paragraph(out, "soft", &words::effect(it));
    if !it.why.is_empty() {
        paragraph(out, "", &it.why);
    }
    for it in &it.edits {
        change(out, it);
    }
    if !it.commands.is_empty() {
        commands(out, &it.commands);
    }
    out.push_str("</li>\n");
}

fn change(out: &mut String, it: &Edit) {
    _ = write!(out, "<pre class=\"change\"><span>{}</span>", escaped(&words::place(it)));
    for (element, mark, text) in [("del", '-', &it.old), ("ins", '+', &it.new)] {
        for line in visible_lines(text).lines() {
            _ = write!(out, "<{element}>{mark} {}</{element}>", escaped(line.trim_end()));
        }
    }
    out.push_str("</pre>\n");
}

/// A click selects a whole command, without its prompt.
fn commands(out: &mut String, commands: &[String]) {
    out.push_str("<pre class=\"commands\">");
    for it in commands {
        _ = write!(out, "<code>{}</code>", escaped(it));
    }
    out.push_str("</pre>\n");
}

/// The page of the cause, for those who get the report without the program.
fn about(out: &mut String, it: &Finding) {
    _ = writeln!(out, "<details><summary>About this cause</summary>");
    let mut paragraph = String::new();
    for line in it.cause.page.lines().map(str::trim).chain([""]) {
        let title = line.strip_prefix("## ");
        if (line.is_empty() || title.is_some()) && !paragraph.is_empty() {
            _ = writeln!(out, "<p>{}</p>", marked(&paragraph));
            paragraph.clear();
        }
        match title {
            Some(title) => _ = writeln!(out, "<h4>{}</h4>", escaped(title)),
            None if line.is_empty() => {}
            None => {
                paragraph.push_str(line);
                paragraph.push(' ');
            }
        }
    }
    out.push_str("</details>\n");
}

/// Our own words, in which names stand between backticks.
fn marked(text: &str) -> String {
    let mut out = String::new();
    for (number, part) in text.trim().split('`').enumerate() {
        let part = escaped(part);
        if number % 2 == 0 { out.push_str(&part) } else { _ = write!(out, "<code>{part}</code>") }
    }
    out
}

/// What failed, what it could be and where to look, when nothing says why.
fn undecided(out: &mut String, report: &Report, clock: Clock) {
    let questions = words::open_questions(report);
    let (look, command) = words::next_looks(report);
    if report.symptoms.is_empty() && questions.is_empty() && look.is_none() && command.is_none() {
        return;
    }
    out.push_str("<section>\n<h2>What is known</h2>\n");
    if !report.symptoms.is_empty() {
        out.push_str("<h3>What failed</h3>\n<ul class=\"plain\">\n");
        for it in &report.symptoms {
            _ = write!(out, "<li>{}", prose(&words::symptom(it, clock)));
            _ = write!(out, "<p class=\"origin\">{}</p>", escaped(&it.sample_reference));
            if !it.sample_line.is_empty() {
                _ = write!(
                    out,
                    "<pre class=\"sample\">{}</pre>",
                    escaped(&words::shortened(&it.sample_line))
                );
            }
            out.push_str("</li>\n");
        }
        out.push_str("</ul>\n");
    }
    look_next(out, report);
    if !questions.is_empty() {
        out.push_str("<h3>It could be, and this would decide</h3>\n<ol class=\"plain\">\n");
        for (causes, decides) in questions {
            out.push_str("<li>");
            for it in causes {
                _ = write!(out, "<p>{}</p>", prose(&it));
            }
            _ = writeln!(out, "<p class=\"soft\">{}</p></li>", prose(&decides));
        }
        out.push_str("</ol>\n");
    }
    ruled_out(out, &report.ruled_out);
    out.push_str("</section>\n");
}

fn look_next(out: &mut String, report: &Report) {
    let (look, command) = words::next_looks(report);
    if look.is_some() || command.is_some() {
        out.push_str("<h3>Look there next</h3>\n");
    }
    if let Some(look) = look {
        paragraph(out, "", &look);
    }
    if let Some(command) = command {
        paragraph(out, "", words::second_look(report));
        commands(out, &[command.to_owned()]);
    }
}

fn ruled_out(out: &mut String, ruled_out: &[RuledOut]) {
    if ruled_out.is_empty() {
        return;
    }
    out.push_str("<h3>Ruled out</h3>\n<ul class=\"plain\">\n");
    for it in ruled_out {
        _ = writeln!(out, "<li><code>{}</code>: {}</li>", escaped(it.id), prose(&it.because));
    }
    out.push_str("</ul>\n");
}

fn notes(out: &mut String, report: &Report) {
    let look = report.verdict != Verdict::Inconclusive && report.next_look.is_some();
    if report.notes.is_empty() && report.blind_spots.is_empty() && !look {
        return;
    }
    out.push_str("<section>\n<h2>What else there is to know</h2>\n");
    if look {
        look_next(out, report);
    }
    if !report.notes.is_empty() {
        list(out, &report.notes);
    }
    if !report.blind_spots.is_empty() {
        out.push_str("<h3>Not seen</h3>\n<ul class=\"plain\">\n");
        for (remedy, spots) in words::not_seen(&report.blind_spots) {
            let (last, others) = spots.split_last().expect("a remedy is that of something");
            for it in others {
                _ = writeln!(out, "<li>{}</li>", prose(it));
            }
            _ = write!(out, "<li>{}", prose(last));
            if !remedy.is_empty() {
                _ = write!(out, "<p class=\"soft\">try: {}</p>", prose(remedy));
            }
            out.push_str("</li>\n");
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
}

fn checks(out: &mut String, report: &Report) {
    if report.checks.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Checklist</h2>\n<ul class=\"checks\">\n");
    for Check { id, state, says, .. } in &report.checks {
        let (class, word) = match state {
            CheckState::Ok => ("ok", "ok"),
            CheckState::Warn => ("warn", "look"),
            CheckState::Fail => ("fail", "wrong"),
            CheckState::Skipped => ("skipped", "-"),
        };
        _ = writeln!(
            out,
            "<li><span class=\"badge {class}\">{word}</span> <b>{}</b> <span>{}</span></li>",
            escaped(&id.replace('-', " ")),
            prose(says)
        );
    }
    out.push_str("</ul>\n</section>\n");
}

fn paragraph(out: &mut String, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    _ = writeln!(out, "<p{class}>{}</p>", prose(text));
}

fn list(out: &mut String, items: &[String]) {
    out.push_str("<ul class=\"plain\">\n");
    for it in items {
        _ = writeln!(out, "<li>{}</li>", prose(it));
    }
    out.push_str("</ul>\n");
}

/// A sentence, with names set apart.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for it in words::pieces_after(text) {
        match it {
            Piece::Prose(it) => out.push_str(&escaped(&it)),
            Piece::Name(it) => _ = write!(out, "<code>{}</code>", escaped(&it)),
        }
    }
    out
}

/// Text as text: in an element as well as in a quoted attribute.
fn escaped(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(it),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_knows_the_style() {
        let hash = base64(&hmac_sha256::Hash::hash(STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{hash}'")), "the policy must name sha256-{hash}");
    }

    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for three in bytes.chunks(3) {
            let number = (0..3).fold(0_usize, |sum, it| sum << 8 | usize::from(*three.get(it).unwrap_or(&0)));
            for place in 0..4 {
                let letter = char::from(LETTERS[number >> (18 - 6 * place) & 63]);
                out.push(if place <= three.len() { letter } else { '=' });
            }
        }
        out
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("<a href='x'>&\"\x1b"), r"&lt;a href=&#39;x&#39;&gt;&amp;&quot;\x1b");
    }
}
