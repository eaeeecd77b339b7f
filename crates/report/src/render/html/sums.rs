//! The sums over logs: facts and charts above the findings, tables below them.

use std::fmt::Write;

use diagnose::Report;
use snapshot::Traffic;

use super::{chart, escaped, prose};
use crate::sums::{self, Table};
use crate::words::{self, Clock};

/// The facts, and what happened when.
pub(super) fn over_time(out: &mut String, report: &Report, traffic: &Traffic, clock: Clock) {
    out.push_str("<section>\n<h2>In sum</h2>\n<dl>\n");
    for (name, value) in sums::facts(traffic, clock) {
        _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", prose(&value));
    }
    out.push_str("</dl>\n</section>\n");
    chart::of_logs(out, report, traffic, clock);
}

/// Where and how requests failed, and what was read.
pub(super) fn tables(out: &mut String, report: &Report, traffic: &Traffic, clock: Clock, top: usize) {
    for it in sums::asked(traffic, clock, top).iter().chain(&sums::tables(traffic, clock, top)) {
        table(out, it);
    }
    examples(out, report, top);
    sources(out, traffic, top);
}

/// What the numbers are about stands in front here: a phone shows it above them.
fn table(out: &mut String, it: &Table) {
    _ = write!(
        out,
        "<section>\n<h2>{}</h2>\n<table class=\"sums\">\n<tr><th>{}</th>",
        escaped(&it.title),
        it.about
    );
    for name in &it.columns {
        _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>\n");
    for row in &it.rows {
        _ = write!(out, "<tr><td><code>{}</code>", escaped(&words::shortened(&row.about)));
        if !row.note.is_empty() {
            _ = write!(out, "<p class=\"soft\">{}</p>", prose(&row.note));
        }
        out.push_str("</td>");
        for (name, cell) in it.columns.iter().zip(&row.cells) {
            _ = write!(out, "<td data-name=\"{name}\">{}</td>", escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    if !it.left_out.is_empty() {
        _ = writeln!(out, "<p class=\"soft\">and {}</p>", escaped(&it.left_out));
    }
    out.push_str("</section>\n");
}

fn examples(out: &mut String, report: &Report, top: usize) {
    let examples = sums::examples(report);
    if examples.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Examples</h2>\n<ul class=\"plain\">\n");
    for it in examples.iter().take(top) {
        _ = write!(out, "<li>{}", prose(&sums::example(it)));
        line(out, &it.sample_reference, &it.sample_line);
        if let Some(request) = &it.sample_request {
            out.push_str("<p class=\"soft\">its request</p>");
            line(out, &request.reference, &request.line);
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
    more(out, examples.len(), top);
    out.push_str("</section>\n");
}

fn line(out: &mut String, reference: &str, line: &str) {
    _ = write!(
        out,
        "<p class=\"origin\">{}</p><pre class=\"sample\">{}</pre>",
        escaped(reference),
        escaped(&words::both_ends(line))
    );
}

fn sources(out: &mut String, traffic: &Traffic, top: usize) {
    out.push_str("<section>\n<h2>What was read</h2>\n<ul class=\"plain\">\n");
    for it in sums::sources(traffic).iter().take(top) {
        _ = write!(out, "<li><code>{}</code>: {}", escaped(&it.name), prose(&it.says));
        for line in &it.unparsed {
            _ = write!(out, "<pre class=\"sample\">{}</pre>", escaped(&words::shortened(line)));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
    more(out, traffic.sources.len(), top);
    out.push_str("</section>\n");
}

/// Says how much of a list was left out.
fn more(out: &mut String, total: usize, shown: usize) {
    if total > shown {
        _ = writeln!(out, "<p class=\"soft\">and {} more</p>", total - shown);
    }
}
