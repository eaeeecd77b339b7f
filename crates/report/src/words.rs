//! What there is to say about a Report, in one place: each form lays out the same words.

use std::fmt::Write;

use diagnose::{
    BlindSpot, Candidate, Cause, Certainty, CheckState, Edit, Evidence, Finding, Fix, FixKind, Impact,
    Report, SymptomLine, Verdict, Weight,
};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::explain::how_we_know;
use crate::visible::visible;

const COSTS_SHOWN: usize = 4;
/// More candidates than these are told by their ids alone.
const CANDIDATES_IN_WORDS: usize = 3;
/// Log lines are at most 2 KiB long; this much shows what kind of line it is.
const SAMPLE_CHARS: usize = 240;

/// Says times as the host's clocks show them, with the day only where it is another one.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    offset: Offset,
    now: Timestamp,
}

impl Clock {
    pub(crate) fn of(report: &Report) -> Clock {
        let offset = Offset::from_seconds(report.utc_offset_seconds).unwrap_or(Offset::UTC);
        Clock { offset, now: report.collected_at }
    }

    pub(crate) fn time(self, at: Timestamp) -> String {
        let (at, now) = (self.offset.to_datetime(at), self.offset.to_datetime(self.now));
        let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.strftime(format).to_string()
    }

    /// As narrow as a column of a table should be: without the year and the seconds of another day.
    pub(crate) fn short(self, at: Timestamp) -> String {
        let (at, now) = (self.offset.to_datetime(at), self.offset.to_datetime(self.now));
        let format = match () {
            () if at.date() == now.date() => "%H:%M:%S",
            () if at.year() == now.year() => "%m-%d %H:%M",
            () => "%Y-%m-%d",
        };
        at.strftime(format).to_string()
    }

    /// Of a step of whole minutes.
    pub(crate) fn minute(self, at: Timestamp) -> String {
        let (at, now) = (self.offset.to_datetime(at), self.offset.to_datetime(self.now));
        let format = match () {
            () if at.date() == now.date() => "%H:%M",
            () if at.year() == now.year() => "%m-%d %H:%M",
            () => "%Y-%m-%d %H:%M",
        };
        at.strftime(format).to_string()
    }

    /// The beginning of the step of that many seconds that a moment falls into; days begin at this clock's midnight.
    pub(crate) fn step(self, at: Timestamp, seconds: i64) -> Timestamp {
        let offset = i64::from(self.offset.seconds());
        let begin = (at.as_second() + offset).div_euclid(seconds) * seconds - offset;
        Timestamp::from_second(begin).unwrap_or(at)
    }

    /// With day and zone, for a document that is read elsewhere and later.
    pub(crate) fn date_and_time(self, at: Timestamp) -> String {
        format!("{} {}", self.offset.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S"), self.zone())
    }

    /// Without a zone, in a list of such times.
    pub(crate) fn date_and_minute(self, at: Timestamp) -> String {
        self.offset.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// `2026-05-02 14:20:00 to 15:04:59 UTC`, with the second day only where it is another one.
    pub(crate) fn span(self, first: Timestamp, last: Timestamp) -> String {
        let (first, last) = (self.offset.to_datetime(first), self.offset.to_datetime(last));
        let format = if first.date() == last.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        format!("{} to {} {}", first.strftime("%Y-%m-%d %H:%M:%S"), last.strftime(format), self.zone())
    }

    fn zone(self) -> String {
        match self.offset.seconds() / 60 {
            0 => "UTC".to_owned(),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}

/// A sentence falls into prose and into names: what is there to be copied, or may hold anything.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Prose(String),
    Name(String),
}

/// Tells prose and names apart, by the look of each word. Of a stranger's text nothing but plain words counts as prose,
/// so that no mark-up, address or mention hides in it.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    cut(text, begins_a_list)
}

/// Likewise for a sentence that something stands before on its line, where no list can begin.
pub(crate) fn pieces_after(text: &str) -> Vec<Piece> {
    cut(text, |_| false)
}

fn cut(text: &str, is_name_in_front: fn(&str) -> bool) -> Vec<Piece> {
    let text = visible(text);
    let mut pieces: Vec<Piece> = Vec::new();
    let prose = |pieces: &mut Vec<Piece>, it: &str| match pieces.last_mut() {
        Some(Piece::Prose(there)) => there.push_str(it),
        _ if it.is_empty() => {}
        _ => pieces.push(Piece::Prose(it.to_owned())),
    };
    for (number, word) in text.split_whitespace().enumerate() {
        let (before, core, after) = trimmed(word);
        let plain = is_plain(core) && !(number == 0 && is_name_in_front(word));
        let space = if number == 0 { "" } else { " " };
        match pieces.last_mut() {
            _ if plain => prose(&mut pieces, &format!("{space}{word}")),
            Some(Piece::Name(there)) if before.is_empty() => {
                there.push_str(space);
                there.push_str(core);
                prose(&mut pieces, after);
            }
            _ => {
                prose(&mut pieces, &format!("{space}{before}"));
                pieces.push(Piece::Name(core.to_owned()));
                prose(&mut pieces, after);
            }
        }
    }
    pieces
}

/// A word without the marks of the sentence around it.
fn trimmed(word: &str) -> (&str, &str, &str) {
    let core = word.trim_start_matches(['(', '"', '\'']);
    let before = &word[..word.len() - core.len()];
    let mut rest = core;
    while let Some(last) = rest.chars().next_back().filter(|it| ",.;:!?)\"'".contains(*it)) {
        // The parentheses of `connect()` are its own.
        if last == ')' && rest.contains('(') {
            break;
        }
        rest = &rest[..rest.len() - 1];
    }
    (before, rest, &core[rest.len()..])
}

fn is_plain(word: &str) -> bool {
    // A name as short as this is a number with its unit; a longer mixture is an id of something.
    const MIXTURE_CHARS: usize = 7;
    let mut previous = ' ';
    let (mut letters, mut digits, mut dots, mut hyphens, mut colons) = (0, 0, 0, 0, 0);
    for it in word.chars() {
        match it {
            _ if it.is_alphabetic() && previous == '.' => return false,
            _ if it.is_alphabetic() => letters += 1,
            _ if it.is_numeric() => digits += 1,
            '.' => dots += 1,
            '-' => hyphens += 1,
            ':' => colons += 1,
            '=' if word.len() == 1 => {}
            '%' | '\'' => {}
            _ => return false,
        }
        previous = it;
    }
    let clock_time = colons == 0 || letters + dots + hyphens == 0 && !word.starts_with(':');
    let mixture = letters > 0 && digits > 0 && (letters + digits >= MIXTURE_CHARS || hyphens > 0);
    // An option of a command is there to be copied; a dash is a dash.
    let option = word.starts_with('-') && letters + digits > 0;
    clock_time && !mixture && !option && dots < 3
}

/// Whether a word at the beginning of a paragraph would make a list of it.
fn begins_a_list(word: &str) -> bool {
    let number = word.trim_start_matches(|it: char| it.is_ascii_digit());
    word.bytes().all(|it| matches!(it, b'-' | b'='))
        || number.len() < word.len() && matches!(number, "." | ")")
}

/// The answer in one word.
pub(crate) fn verdict(it: Verdict) -> &'static str {
    match it {
        Verdict::Healthy => "Healthy",
        Verdict::Degraded => "Degraded",
        Verdict::Faulty => "Faulty",
        Verdict::Inconclusive => "Inconclusive",
    }
}

/// What was found, and what must be said before it.
pub(crate) fn findings(report: &Report) -> (&[Finding], Option<&'static str>) {
    match report.verdict {
        Verdict::Healthy => (&[], None),
        Verdict::Degraded => {
            (&report.hidden, Some("Retries on other servers hid these failures from every client."))
        }
        Verdict::Faulty | Verdict::Inconclusive => (&report.causes, None),
    }
}

pub(crate) fn certainty(it: Certainty) -> &'static str {
    match it {
        Certainty::Possible => "possible",
        Certainty::Likely => "likely",
        Certainty::Confirmed => "confirmed",
    }
}

/// The short facts under a headline: name and value.
pub(crate) fn facts(it: &Finding, clock: Clock) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(upstream) = &it.upstream {
        let scheme = upstream.scheme.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        let group = upstream.group.as_ref().map(|it| format!(", of upstream {it}")).unwrap_or_default();
        facts.push(("backend", format!("{}{scheme}{group}", upstream.peer)));
        let server = upstream.server.clone();
        let location = upstream.location.as_ref().map(|it| format!("location {it}"));
        let place: Vec<String> = [server, location].into_iter().flatten().collect();
        match (&upstream.config, place.is_empty()) {
            (Some(config), false) => facts.push(("for", format!("{} ({config})", place.join(", ")))),
            (Some(config), true) => facts.push(("for", config.clone())),
            (None, false) => facts.push(("for", place.join(", "))),
            (None, true) => {}
        }
    }
    if let Some(words) = impact(&it.impact, clock) {
        facts.push(("impact", words));
    }
    if !it.consequences.is_empty() {
        facts.push(("leads to", it.consequences.join(", ")));
    }
    facts
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
        _ = write!(words, " ({})", percent(share));
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
    if it.background {
        words.push_str("; here and there, never many at once");
    } else if let Some(worst) = &it.worst {
        let (from, to) = (clock.time(worst.from), clock.time(worst.to));
        // A request can fail at several servers, so that this is no part of the requests.
        let failures = if worst.failed == 1 { "failure" } else { "failures" };
        _ = write!(words, "; the worst of it from {from} to {to}: {} {failures}", worst.failed);
        if worst.requests > 0 {
            _ = write!(words, " while {} requests came", worst.requests);
        }
    }
    Some(words)
}

/// `12 %`, `1.2 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent <= 0.0 => "0 %".to_owned(),
        _ if percent < 0.1 => "less than 0.1 %".to_owned(),
        _ if percent < 10.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

pub(crate) fn weight(it: Weight) -> &'static str {
    match it {
        Weight::Decisive => "decides",
        Weight::Supporting => "fits",
        Weight::Contradicting => "speaks against",
    }
}

/// When it was so, and where it is seen.
pub(crate) fn origin(it: &Evidence, clock: Clock) -> String {
    let place = it.reference.as_deref().unwrap_or(&it.source);
    match it.at {
        Some(at) => format!("{} {place}", clock.time(at)),
        None => place.to_owned(),
    }
}

/// `helps at once; restarts PHP-FPM`.
pub(crate) fn effect(it: &Fix) -> String {
    let helps = match it.kind {
        FixKind::Mitigate => "helps at once",
        FixKind::Repair => "removes the cause",
        FixKind::Prevent => "keeps it away",
    };
    if it.risk.is_empty() { helps.to_owned() } else { format!("{helps}; {}", it.risk) }
}

/// Where the change is to be made.
pub(crate) fn place(it: &Edit) -> String {
    if it.line == 0 { it.file.clone() } else { format!("{}:{}", it.file, it.line) }
}

/// `57 x read-timeout at unix:/run/app.sock, 15:02:04 to 15:03:09`.
pub(crate) fn symptom(it: &SymptomLine, clock: Clock) -> String {
    let peer = it.peer.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
    let times = match (it.first, it.last) {
        (Some(first), Some(last)) if first != last => {
            format!(", {} to {}", clock.time(first), clock.time(last))
        }
        (Some(at), _) | (None, Some(at)) => format!(", {}", clock.time(at)),
        (None, None) => String::new(),
    };
    format!("{} x {}{peer}{times}", it.count, it.symptom.id())
}

/// The beginning of a log line.
pub(crate) fn shortened(line: &str) -> String {
    match line.char_indices().nth(SAMPLE_CHARS) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_owned(),
    }
}

/// The beginning and the end of a line: an access log tells of the request in front, and of its tries at the end.
pub(crate) fn both_ends(line: &str) -> String {
    /// Longer than that, the middle is left out.
    const MOST_CHARS: usize = 2 * SAMPLE_CHARS;
    let count = line.chars().count();
    if count <= MOST_CHARS {
        return line.to_owned();
    }
    let half = SAMPLE_CHARS / 2;
    let head: String = line.chars().take(half).collect();
    let tail: String = line.chars().skip(count - half).collect();
    format!("{head} ... {tail}")
}

/// Where no cause was found: what it can still be, what that means, and what would decide.
pub(crate) fn candidates(report: &Report) -> Vec<(&'static Cause, String)> {
    let decides = |it: &Candidate| match it.decides.as_str() {
        "" => how_we_know(it.cause).replace('`', ""),
        decides => decides.to_owned(),
    };
    report.candidates.iter().map(|it| (it.cause, decides(it))).collect()
}

/// The same in lines: what one observation would decide is told together, in words only where it is little.
pub(crate) fn open_questions(report: &Report) -> Vec<(Vec<String>, String)> {
    let mut by_decision: Vec<(String, Vec<&Cause>)> = Vec::new();
    for (cause, decides) in candidates(report) {
        match by_decision.iter_mut().find(|(it, _)| *it == decides) {
            Some((_, causes)) => causes.push(cause),
            None => by_decision.push((decides, vec![cause])),
        }
    }
    let lines = |causes: Vec<&Cause>| match causes.len() {
        0..=CANDIDATES_IN_WORDS => {
            causes.iter().map(|it| format!("{}: {}", it.id, it.headline().replace('`', ""))).collect()
        }
        _ => vec![causes.iter().map(|it| it.id).collect::<Vec<_>>().join(", ")],
    };
    by_decision.into_iter().map(|(decides, causes)| (lines(causes), decides)).collect()
}

/// What to do next where no cause was found: what settles most of the candidates, and one more request.
pub(crate) fn next_looks(report: &Report) -> (Option<String>, Option<&str>) {
    let settles = |it: &BlindSpot| {
        let open = it.costs.iter().filter(|&id| report.candidates.iter().any(|it| it.cause.id == *id));
        (open.count(), it.costs.len())
    };
    let best = report.blind_spots.iter().filter(|it| !it.remedy.is_empty()).max_by_key(|it| settles(it));
    let next = report.next_look.as_deref();
    let other = best.filter(|it| next.is_none_or(|next| !it.remedy.contains(next)));
    (other.map(|it| format!("{}, to see this: {}", it.remedy, it.what)), next)
}

/// What the command of the second look does, for those who are about to run it.
pub(crate) fn second_look(report: &Report) -> &'static str {
    match report.traffic {
        None => {
            "This makes one real GET request, through nginx and straight from its backend, and tells them apart:"
        }
        Some(_) => "Logs tell no more than that. This looks at the host itself, and is to be run there:",
    }
}

/// What was not seen, by what would settle it: one remedy, usually "run as root", often opens several eyes.
pub(crate) fn not_seen(blind_spots: &[BlindSpot]) -> Vec<(&str, Vec<String>)> {
    let mut by_remedy: Vec<(&str, Vec<String>)> = Vec::new();
    for it in blind_spots {
        let words = format!("{}: {}{}", it.what, it.why, costs(&it.costs));
        match by_remedy.iter_mut().find(|(remedy, _)| *remedy == it.remedy) {
            Some((_, there)) => there.push(words),
            None => by_remedy.push((&it.remedy, vec![words])),
        }
    }
    by_remedy
}

fn costs(ids: &[&str]) -> String {
    match ids.len() {
        0 => String::new(),
        count if count <= COSTS_SHOWN => format!("; could hide {}", ids.join(", ")),
        count => format!("; could hide {} and {} more", ids[..COSTS_SHOWN].join(", "), count - COSTS_SHOWN),
    }
}

pub(crate) fn state(it: CheckState) -> &'static str {
    match it {
        CheckState::Ok => "ok",
        CheckState::Warn => "warn",
        CheckState::Fail => "FAIL",
        CheckState::Skipped => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names stand in angle brackets.
    #[track_caller]
    fn falls_into(text: &str, expected: &str) {
        let shown: String = pieces(text)
            .iter()
            .map(|it| match it {
                Piece::Prose(it) => it.clone(),
                Piece::Name(it) => format!("<{it}>"),
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn addresses_paths_and_directives_are_names() {
        falls_into(
            "17 connections wait at unix:/run/php/shop.sock (backlog 16).",
            "17 connections wait at <unix:/run/php/shop.sock> (backlog 16).",
        );
        falls_into("pm.max_children = 10, since 15:02:04", "<pm.max_children> = 10, since 15:02:04");
        falls_into("dialled [::1]:80 and 10.0.0.5:80", "dialled <[::1]:80> and <10.0.0.5:80>");
        falls_into("connect() failed (111: refused)", "<connect()> failed (111: refused)");
        falls_into("runs gunicorn -b x --workers 2", "runs gunicorn <-b> x <--workers> 2");
        falls_into("nginx 1.22.1 is PHP-FPM's peer, 31 %", "nginx 1.22.1 is PHP-FPM's peer, 31 %");
    }

    #[test]
    fn neighbouring_names_are_one() {
        falls_into("location ~ \\.php$ (/etc/shop:12)", "location <~ \\.php$> (</etc/shop:12>)");
    }

    #[test]
    fn whatever_could_be_mark_up_is_a_name() {
        for word in
            ["*a*", "_a_", "`a`", "<b>", "@all", "#12", "a|b", "~~a~~", "$x$", "&lt;", "[a](b)", ":tada:"]
        {
            assert_eq!(pieces(word)[0], Piece::Name(word.trim_end_matches([':', ';']).to_owned()), "{word}");
        }
        for word in
            ["http://a", "www.a.example", "a@b.example", "GH-12", "3f2a9c1d0", "a\\b", "\u{ff20}all", "x\x1b"]
        {
            assert!(matches!(pieces(word)[0], Piece::Name(_)), "{word}");
        }
    }

    #[test]
    fn no_sentence_begins_a_list_or_a_heading() {
        for word in ["-", "+", "1.", "1)", "#", "=", ">", "---"] {
            assert!(matches!(pieces(&format!("{word} x"))[0], Piece::Name(_)), "{word}");
        }
        falls_into("1.5 s", "1.5 s");
    }
}
