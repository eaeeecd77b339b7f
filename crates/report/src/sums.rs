//! What there is to say about the sums over logs, in one place: each form lays out the same facts and tables.

use std::fmt::Write;

use diagnose::{Report, SymptomLine};
use jiff::Timestamp;
use nginx_logs::access::Format;
use nginx_logs::reason::{Reason, fails};
use snapshot::{Breakdown, LogSource, Quantiles, Row, SymptomCount, Traffic, UpstreamTraffic};

use crate::timeline::{OTHER, Timeline, failures_logged};
use crate::words::{Clock, percent};

/// More statuses than these in a row are said to be some more.
const STATUSES_SHOWN: usize = 4;
/// So much of a log_format shows which one it is.
const FORMAT_CHARS: usize = 60;
/// Lines that fit no format, of each log.
const UNPARSED_SHOWN: usize = 2;

/// Numbers in front, and at the end of each row what they are about.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    /// The heading of the last column.
    pub(crate) about: &'static str,
    pub(crate) rows: Vec<TableRow>,
    /// What is not in the rows; empty where everything is.
    pub(crate) left_out: String,
}

/// One row.
pub(crate) struct TableRow {
    pub(crate) cells: Vec<String>,
    /// What somebody else may have written.
    pub(crate) about: String,
    /// More on it; empty where there is no more.
    pub(crate) note: String,
}

/// One log that was read.
pub(crate) struct SourceWords {
    pub(crate) name: String,
    pub(crate) says: String,
    /// Lines that fit no format, with their places.
    pub(crate) unparsed: Vec<String>,
}

/// The sums in sentences: name and value.
pub(crate) fn facts(traffic: &Traffic, clock: Clock) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match (traffic.first_at, traffic.last_at) {
        (Some(first), Some(last)) => {
            let long = span(last.duration_since(first).as_secs());
            facts.push(("logged", format!("{}, {long}", clock.span(first, last))));
        }
        _ => facts.push(("logged", "no line with a time lies in the window".to_owned())),
    }
    if traffic.requests > 0 {
        facts.push(("requests", requests(traffic)));
    }
    if let Some(words) = failing(traffic, clock) {
        facts.push(("failing", words));
    }
    if traffic.hidden > 0 {
        let were = if traffic.hidden == 1 { "request" } else { "requests" };
        facts.push((
            "hidden",
            format!("{} {were} went well after a failed try: no client noticed", traffic.hidden),
        ));
    }
    if let Some(it) = &traffic.request_time {
        facts.push(("took", quantiles(it)));
    }
    if !traffic.levels.is_empty() {
        let total: u64 = traffic.levels.values().sum();
        let mut levels: Vec<_> = traffic.levels.iter().collect();
        levels.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let levels: Vec<String> = levels.iter().map(|(level, count)| format!("{count} {level}")).collect();
        facts.push(("error logs", format!("{total} entries: {}", levels.join(", "))));
    }
    facts
}

fn requests(traffic: &Traffic) -> String {
    let total = traffic.requests;
    let sent = match traffic.body_bytes {
        0 => String::new(),
        bytes => format!("; {} of bodies sent", size(bytes)),
    };
    if traffic.failed == 0 {
        return format!("{total}, none of them failed{sent}");
    }
    let share = percent(traffic.failed as f64 / total as f64);
    let failed = traffic.statuses.iter().filter(|(status, _)| fails(**status));
    let statuses = most_frequent(failed.map(|(status, count)| (*status, *count)));
    format!("{total}, {} of them failed ({share}): {statuses}{sent}", traffic.failed)
}

/// Since when, until when, how often.
fn failing(traffic: &Traffic, clock: Clock) -> Option<String> {
    let of_requests = traffic.requests > 0;
    let count = |it: &snapshot::Step| if of_requests { it.failed } else { failures_logged(it) };
    let failing: Vec<_> = traffic.steps.iter().filter(|it| count(it) > 0).collect();
    let (first, last) = (failing.first()?, failing.last()?);
    let worst = failing.iter().rev().max_by_key(|it| count(it))?;
    let step = match traffic.step_seconds {
        60 => "minute".to_owned(),
        seconds => span(seconds.into()),
    };
    let worst_words = match of_requests {
        true => {
            let share = percent(worst.failed as f64 / worst.requests.max(1) as f64);
            format!("{} of {} requests ({share})", worst.failed, worst.requests)
        }
        false => format!("{} failures logged", count(worst)),
    };
    Some(if failing.len() == 1 {
        format!("within one {step}, at {}: {worst_words}", clock.minute(worst.at))
    } else {
        format!(
            "from {} to {}; the worst {step} was at {}: {worst_words}",
            clock.minute(first.at),
            clock.minute(last.at),
            clock.minute(worst.at)
        )
    })
}

/// `half within 0.022 s, 90 % 0.12 s, 99 % 1.20 s, the longest 60.0 s`.
fn quantiles(it: &Quantiles) -> String {
    format!(
        "half of them up to {} s, 90 % {} s, 99 % {} s, the longest {} s",
        seconds(it.p50),
        seconds(it.p90),
        seconds(it.p99),
        seconds(it.max)
    )
}

/// Breakdowns of all requests, which somebody asked for.
pub(crate) fn asked(traffic: &Traffic, clock: Clock, top: usize) -> Vec<Table> {
    let asked = traffic.breakdowns.iter().filter(|it| it.of_all);
    asked.filter_map(|it| breakdown(it, traffic, clock, top)).collect()
}

/// Where and how requests failed.
pub(crate) fn tables(traffic: &Traffic, clock: Clock, top: usize) -> Vec<Table> {
    // The table of upstreams says more of them, and the method alone says little; JSON has both.
    let told = |it: &&Breakdown| !it.of_all && it.by != "upstream" && it.by != "method";
    let failed = traffic.breakdowns.iter().filter(told);
    let mut tables: Vec<Table> = Vec::new();
    tables.extend(symptoms(traffic, clock, top));
    tables.extend(upstreams(traffic, clock, top));
    tables.extend(failed.filter_map(|it| breakdown(it, traffic, clock, top)));
    tables.extend(events(traffic, clock, top));
    tables
}

fn breakdown(it: &Breakdown, traffic: &Traffic, clock: Clock, top: usize) -> Option<Table> {
    if it.rows.is_empty() {
        return None;
    }
    let row = |row: &Row| {
        let whole = if it.of_all { row.requests } else { traffic.failed };
        let mut cells = vec![row.failed.to_string(), percent(row.failed as f64 / whole.max(1) as f64)];
        if it.of_all {
            cells.insert(0, row.requests.to_string());
        }
        if it.by != "minute" {
            cells.extend(times(row.first_at, row.last_at, clock));
        }
        let statuses = || most_frequent(row.statuses.iter().map(|(status, count)| (*status, *count)));
        let note = match it.by.as_str() {
            "status" => String::new(),
            "reason" => reason(&row.key),
            _ => statuses(),
        };
        TableRow { cells, about: row.key.clone(), note }
    };
    let hidden_rows = it.rows.len().saturating_sub(top) as u64 + it.left_out;
    let mut left_out = more(hidden_rows);
    if it.not_told_apart > 0 {
        let and = if left_out.is_empty() { "" } else { ", and " };
        _ = write!(left_out, "{and}{} requests of others, too many to be told apart", it.not_told_apart);
    }
    let (title, mut columns) = if it.of_all {
        (
            format!("Requests by {}", property(&it.by)),
            vec!["requests", "failed", "share", "first failed", "last failed"],
        )
    } else {
        (
            format!("Failed requests by {}", property(&it.by)),
            vec!["failed", "share", "first failed", "last failed"],
        )
    };
    if it.by == "minute" {
        columns.truncate(columns.len() - 2);
    }
    let rows = it.rows.iter().take(top).map(row).collect();
    Some(Table { title, columns, about: about(&it.by), rows, left_out })
}

/// What a two-letter code stands for: who ended the request, and in which phase.
fn reason(code: &str) -> String {
    match Reason::from_code(code) {
        Some(it) => format!("{}; {}", it.who(), it.phase()),
        None => String::new(),
    }
}

/// As a heading says it.
fn property(by: &str) -> &str {
    match by {
        "url" => "URL",
        "reason" => "reason",
        "upstream" => "upstream asked last",
        other => other,
    }
}

fn about(by: &str) -> &'static str {
    match by {
        "url" => "URL pattern",
        "client" => "client",
        "server" => "server",
        "location" => "location",
        "status" => "status",
        "upstream" => "upstream",
        "reason" => "reason",
        "method" => "method",
        "minute" => "minute",
        "symptom" => "symptom",
        _ => "",
    }
}

fn symptoms(traffic: &Traffic, clock: Clock, top: usize) -> Option<Table> {
    let failures: Vec<_> = traffic.symptoms.iter().filter(|it| it.symptom != OTHER).collect();
    if failures.is_empty() {
        return None;
    }
    let row = |it: &&SymptomCount| {
        let mut cells = vec![it.count.to_string()];
        cells.extend(times(Some(it.first_at), Some(it.last_at), clock));
        let at = if it.upstream.is_empty() { String::new() } else { format!(" at {}", it.upstream) };
        TableRow { cells, about: format!("{}{at}", it.symptom), note: String::new() }
    };
    Some(Table {
        title: "What the error logs say".to_owned(),
        columns: vec!["entries", "first", "last"],
        about: "symptom",
        rows: failures.iter().take(top).map(row).collect(),
        left_out: more(failures.len().saturating_sub(top) as u64),
    })
}

fn events(traffic: &Traffic, clock: Clock, top: usize) -> Option<Table> {
    let rows = traffic.events.iter().take(top).map(|it| {
        let mut cells = vec![it.count.to_string()];
        cells.extend(times(it.first_at, it.last_at, clock));
        TableRow { cells, about: format!("{}, by {}", it.event, it.source), note: String::new() }
    });
    (!traffic.events.is_empty()).then(|| Table {
        title: "What other programs say".to_owned(),
        columns: vec!["entries", "first", "last"],
        about: "event",
        rows: rows.collect(),
        left_out: more(traffic.events.len().saturating_sub(top) as u64),
    })
}

fn upstreams(traffic: &Traffic, clock: Clock, top: usize) -> Option<Table> {
    let mut upstreams: Vec<_> = traffic.upstreams.iter().filter(|it| it.address != "-").collect();
    if upstreams.is_empty() {
        return None;
    }
    upstreams.sort_by_key(|it| std::cmp::Reverse((failed_tries(it), it.tries.values().sum::<u64>())));
    let timed = upstreams.iter().any(|it| it.response_time.is_some());
    let hidden = upstreams.iter().any(|it| it.hidden > 0);
    let row = |it: &&UpstreamTraffic| {
        let mut cells = vec![it.tries.values().sum::<u64>().to_string(), failed_tries(it).to_string()];
        if hidden {
            cells.push(it.hidden.to_string());
        }
        if timed {
            let time = |of: fn(&Quantiles) -> f64| it.response_time.as_ref().map(of).map(seconds);
            let times = [time(|it| it.p50), time(|it| it.p90), time(|it| it.p99), time(|it| it.max)];
            cells.extend(times.into_iter().map(Option::unwrap_or_default));
        }
        let failed_at = match it.failed_at {
            Some((first, last)) if first != last => {
                format!(", from {} to {}", clock.short(first), clock.short(last))
            }
            Some((at, _)) => format!(", at {}", clock.short(at)),
            None => String::new(),
        };
        let statuses =
            most_frequent(it.tries.iter().filter(|(it, _)| fails(**it)).map(|(it, count)| (*it, *count)));
        let note = if statuses.is_empty() { statuses } else { format!("failed: {statuses}{failed_at}") };
        TableRow { cells, about: it.address.clone(), note }
    };
    let mut columns = vec!["tries", "failed"];
    if hidden {
        columns.push("hidden");
    }
    if timed {
        columns.extend(["p50 s", "p90 s", "p99 s", "max s"]);
    }
    Some(Table {
        title: "Upstreams".to_owned(),
        columns,
        about: "address",
        rows: upstreams.iter().take(top).map(row).collect(),
        left_out: more(upstreams.len().saturating_sub(top) as u64),
    })
}

fn failed_tries(it: &UpstreamTraffic) -> u64 {
    it.tries.iter().filter(|(status, _)| fails(**status)).map(|(_, count)| count).sum()
}

/// Empty where everything is shown.
fn more(count: u64) -> String {
    if count == 0 { String::new() } else { format!("{count} more") }
}

/// The first and the last time, in two cells.
fn times(first: Option<Timestamp>, last: Option<Timestamp>, clock: Clock) -> [String; 2] {
    [first, last].map(|it| it.map(|it| clock.short(it)).unwrap_or_default())
}

/// `800 with 502, 400 with 504, 12 with others`.
fn most_frequent(statuses: impl Iterator<Item = (u16, u64)>) -> String {
    let mut statuses: Vec<(u16, u64)> = statuses.collect();
    statuses.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest: u64 = statuses.iter().skip(STATUSES_SHOWN).map(|(_, count)| count).sum();
    let mut words: Vec<String> = statuses
        .iter()
        .take(STATUSES_SHOWN)
        .map(|(status, count)| match status {
            0 => format!("{count} without a status"),
            _ => format!("{count} with {status:03}"),
        })
        .collect();
    if rest > 0 {
        words.push(format!("{rest} with others"));
    }
    words.join(", ")
}

/// The heading of a timeline.
pub(crate) fn over_time(it: &Timeline) -> String {
    format!("Failures over time, {} a line", span(it.width_seconds))
}

/// The title of its worst part.
pub(crate) const WORST: &str = "The worst of it";

/// The heading of that.
pub(crate) fn worst(it: &Timeline) -> String {
    format!("{WORST}, {} a line", span(it.width_seconds))
}

/// Which logs a report is of, where a host would be named.
pub(crate) fn of_logs(traffic: &Traffic) -> String {
    match traffic.sources.as_slice() {
        [] => "no logs".to_owned(),
        [only] => only.name.clone(),
        [first, others @ ..] => format!("{} and {} more", first.name, others.len()),
    }
}

/// An example of each symptom: the entry and its request, each with its place.
pub(crate) fn examples(report: &Report) -> Vec<&SymptomLine> {
    let mut examples: Vec<&SymptomLine> = Vec::new();
    for it in report.symptoms.iter().filter(|it| !it.sample_line.is_empty()) {
        match examples.iter_mut().find(|there| there.symptom == it.symptom) {
            // Both sides of a failure say more than one.
            Some(there) if there.sample_request.is_none() && it.sample_request.is_some() => *there = it,
            Some(_) => {}
            None => examples.push(it),
        }
    }
    examples
}

/// What is read in an example, in front of the line itself.
pub(crate) fn example(it: &SymptomLine) -> String {
    let peer = it.peer.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
    format!("{}{peer}", it.symptom.id())
}

/// Said before everything else where a part of the logs is missing in all sums.
pub(crate) fn partial(traffic: &Traffic) -> Option<String> {
    let mut partial = traffic.sources.iter().filter_map(|it| Some((it, it.partial.as_deref()?)));
    let (first, why) = partial.next()?;
    let others = match partial.count() {
        0 => String::new(),
        1 => ", nor one other log".to_owned(),
        others => format!(", nor {others} other logs"),
    };
    Some(format!("This is a partial answer: {} was not read to its end{others}: {why}.", first.name))
}

/// The logs that were read, and what they turned out to be.
pub(crate) fn sources(traffic: &Traffic) -> Vec<SourceWords> {
    traffic.sources.iter().map(source).collect()
}

fn source(it: &LogSource) -> SourceWords {
    let mut says = it.kind.clone();
    let format = match it.format.as_deref() {
        Some(Format::COMBINED) => "combined".to_owned(),
        Some(format) => cut(format, FORMAT_CHARS),
        None => String::new(),
    };
    for (word, text) in [("as", &format), ("in", &it.carrier), ("in", &it.packing)] {
        if !text.is_empty() {
            _ = write!(says, " {word} {text}");
        }
    }
    _ = write!(says, ", {} lines, {}", it.lines, size(it.bytes));
    if it.unparsed > 0 {
        _ = write!(says, "; {} of them fit no format", it.unparsed);
    }
    if let Some(why) = &it.partial {
        _ = write!(says, "; not all of it: {why}");
    }
    let unparsed = it.unparsed_samples.iter().take(UNPARSED_SHOWN).map(|(line, text)| match line {
        0 => text.clone(),
        line => format!("line {line}: {text}"),
    });
    SourceWords { name: it.name.clone(), says, unparsed: unparsed.collect() }
}

/// The beginning of a text that may be of any length.
fn cut(text: &str, most_chars: usize) -> String {
    match text.char_indices().nth(most_chars) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// As precise as it matters.
fn seconds(it: f64) -> String {
    match it {
        _ if it < 10.0 => format!("{it:.3}"),
        _ if it < 100.0 => format!("{it:.1}"),
        _ => format!("{it:.0}"),
    }
}

/// `2 h 30 min`, in the two largest units.
pub(crate) fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    let mut words = format!("{} {name}", seconds / unit);
    if let Some((smaller, name)) = UNITS.get(first + 1)
        && seconds % unit / smaller > 0
    {
        _ = write!(words, " {} {name}", seconds % unit / smaller);
    }
    words
}

/// `25.8 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
