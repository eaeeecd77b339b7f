//! The Report as JSON, schema `why502.report/1`. The types are of its own, so that the inner ones stay free to change:
//! here fields may be added, never renamed or dropped. `docs/report.schema.json` is made from them.

mod traffic;

use std::collections::BTreeMap;

use diagnose as inner;
use jiff::Timestamp;
use jiff::tz::Offset;
use schemars::JsonSchema;
use serde::Serialize;

use crate::visible::{visible, visible_lines};
use crate::words;

pub use traffic::*;

/// The name of this form.
pub const SCHEMA: &str = "why502.report/1";

/// The Report as one JSON document that ends in a line feed.
pub fn render(report: &inner::Report) -> String {
    let mut text = serde_json::to_string_pretty(&Report::from(report))
        .expect("these types have string keys and no failing parts");
    text.push('\n');
    text
}

/// The JSON Schema of what [`render`] gives.
pub fn schema() -> String {
    let mut text =
        serde_json::to_string_pretty(&schemars::schema_for!(Report)).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// What why502 found on a host. Times are RFC 3339 with the host's offset, durations are seconds, sizes are bytes;
/// control characters in any text are spelled out, as `\x1b`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Always `why502.report/1`.
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// The host.
    pub host: Host,
    /// When the evidence was collected.
    pub collected_at: String,
    /// How long the collection took, in seconds.
    pub elapsed: f64,
    /// The span of time that was looked at.
    pub window: Window,
    /// The answer in one word.
    pub verdict: Verdict,
    /// The answer in one sentence.
    pub summary: String,
    /// Root causes, what to act on first in front.
    pub causes: Vec<Finding>,
    /// The same for failures that retries hid from every client.
    pub hidden: Vec<Finding>,
    /// Every kind of failure that was seen, explained or not.
    pub symptoms: Vec<Symptom>,
    /// The operators' checklist.
    pub checks: Vec<Check>,
    /// What could not be seen.
    pub blind_spots: Vec<BlindSpot>,
    /// Where no cause was found: those that it can still be, the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Where no cause was found, or only a possible one: a command that makes the next observation.
    pub next_look: Option<String>,
    /// Things worth knowing that are no failure.
    pub notes: Vec<String>,
    /// The sums over all lines, where logs alone were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

/// A program and its version.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tool {
    /// `why502`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its kernel release.
    pub kernel: String,
    /// nginx's version; null when there is no nginx.
    pub nginx: Option<String>,
    /// Whether it is a container.
    pub container: bool,
}

/// A span of time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Window {
    /// Its beginning.
    pub from: String,
    /// Its end.
    pub to: String,
}

/// The answer in one word.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Looked, found nothing.
    Healthy,
    /// A peer fails, but retries hid every failure from the clients; see `hidden`.
    Degraded,
    /// At least one cause was found.
    Faulty,
    /// Something failed and no cause was found, or too little could be seen.
    Inconclusive,
}

/// How sure a cause is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Something decisive was seen.
    Confirmed,
    /// It fits better than anything else.
    Likely,
    /// It fits; others fit as well.
    Possible,
}

/// One root cause.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// Its stable id.
    pub id: String,
    /// The id in words.
    pub title: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// The same as a probability.
    pub confidence: f64,
    /// One sentence with this host's names and numbers.
    pub summary: String,
    /// Whom nginx was talking to; null where no peer has a part in it.
    pub upstream: Option<Upstream>,
    /// What it did to clients.
    pub impact: Impact,
    /// What says so, the decisive first.
    pub evidence: Vec<Evidence>,
    /// Which other causes it is not.
    pub ruled_out: Vec<RuledOut>,
    /// Causes that it brought about.
    pub consequences: Vec<String>,
    /// What to do.
    pub fix: Vec<Fix>,
    /// Commands that show whether it helped.
    pub verify: Vec<String>,
    /// How to keep it from coming back.
    pub prevent: Vec<String>,
}

/// The upstream side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Upstream {
    /// The address dialled.
    pub peer: String,
    /// The `upstream` block it belongs to.
    pub group: Option<String>,
    /// `http`, `fastcgi` …
    pub scheme: Option<String>,
    /// First name of the `server`.
    pub server: Option<String>,
    /// The location, as written.
    pub location: Option<String>,
    /// `file:line` of the pass directive.
    pub config: Option<String>,
}

/// What a fault did to clients.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Impact {
    /// Failed requests; entries of the error log where no access log counts them.
    pub requests: u64,
    /// Their share of all requests; null without an access log.
    pub share: Option<f64>,
    /// By status given to the client.
    pub statuses: BTreeMap<String, u64>,
    /// The first failure.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
    /// Whether it goes on.
    pub ongoing: bool,
    /// Of logs alone, the stretch of time in which most failed; null where that is all of them, and on a live host.
    pub worst: Option<Stretch>,
    /// Whether it fails here and there all the time, a few of many requests.
    pub background: bool,
}

/// Failures that follow each other within minutes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stretch {
    /// When it begins.
    pub from: String,
    /// When it ends.
    pub to: String,
    /// How many failures: entries of the error log, of which a request can have one for each try, or else requests.
    pub failed: u64,
    /// How many requests came meanwhile; 0 without an access log.
    pub requests: u64,
}

/// How much a piece of evidence weighs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// It alone decides.
    Decisive,
    /// It fits.
    Supporting,
    /// It speaks against.
    Contradicting,
}

/// One piece of evidence.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Kind of source.
    pub source: String,
    /// What it says.
    pub says: String,
    /// `file:line`, a command or a system call.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Its weight.
    pub weight: Weight,
}

/// A cause that it is not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuledOut {
    /// The cause.
    pub id: String,
    /// The evidence against it.
    pub because: String,
}

/// One way to mend it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fix {
    /// What to do.
    pub title: String,
    /// Which kind of help it is.
    pub kind: FixKind,
    /// What it interrupts or endangers; empty when nothing.
    pub risk: String,
    /// Changes of files.
    pub edits: Vec<Edit>,
    /// Commands to run, in order.
    pub commands: Vec<String>,
    /// Why these values.
    pub why: String,
}

/// Kinds of help.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixKind {
    /// Helps within minutes.
    Mitigate,
    /// Removes the cause.
    Repair,
    /// Keeps it from coming back.
    Prevent,
}

/// One changed line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Edit {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What stands there.
    pub old: String,
    /// What should.
    pub new: String,
}

/// One kind of failure at one peer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Symptom {
    /// What nginx saw.
    pub id: String,
    /// Where; null when no peer was chosen.
    pub peer: Option<String>,
    /// How often.
    pub count: u64,
    /// First time.
    pub first: Option<String>,
    /// Last time.
    pub last: Option<String>,
    /// One of the lines.
    pub sample: Sample,
    /// The request that a line of an error log was about, as an access log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_request: Option<Sample>,
}

/// A log line and its place.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sample {
    /// `file:line`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The line.
    pub line: String,
}

/// One step of the checklist.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// Its id.
    pub id: String,
    /// Its place, from 1.
    pub step: u8,
    /// How it went.
    pub state: CheckState,
    /// One line.
    pub says: String,
}

/// How a check went.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Nothing wrong there.
    Ok,
    /// Worth a look.
    Warn,
    /// Wrong.
    Fail,
    /// Not looked at.
    Skipped,
}

/// A cause that may be, and that nothing seen speaks for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Candidate {
    /// The cause.
    pub id: String,
    /// What would decide.
    pub decides: String,
}

/// Something that could not be seen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BlindSpot {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// Causes that it could hide.
    pub costs: Vec<String>,
    /// What would settle it.
    pub remedy: String,
}

impl From<&inner::Report> for Report {
    fn from(report: &inner::Report) -> Report {
        let zone = Zone::of(report);
        Report {
            schema: SCHEMA.to_owned(),
            tool: Tool { name: "why502".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            host: Host {
                name: shown(&report.host),
                kernel: shown(&report.kernel),
                nginx: report.nginx.as_deref().map(shown),
                container: report.container,
            },
            collected_at: zone.time(report.collected_at),
            elapsed: (report.elapsed_seconds * 1000.0).round() / 1000.0,
            window: Window { from: zone.time(report.window.from), to: zone.time(report.window.to) },
            verdict: match report.verdict {
                inner::Verdict::Healthy => Verdict::Healthy,
                inner::Verdict::Degraded => Verdict::Degraded,
                inner::Verdict::Faulty => Verdict::Faulty,
                inner::Verdict::Inconclusive => Verdict::Inconclusive,
            },
            summary: shown(&report.summary),
            causes: report.causes.iter().map(|it| finding(it, zone)).collect(),
            hidden: report.hidden.iter().map(|it| finding(it, zone)).collect(),
            symptoms: report.symptoms.iter().map(|it| symptom(it, zone)).collect(),
            checks: report.checks.iter().map(check).collect(),
            blind_spots: report.blind_spots.iter().map(blind_spot).collect(),
            candidates: words::candidates(report)
                .into_iter()
                .map(|(cause, decides)| Candidate { id: cause.id.to_owned(), decides: shown(&decides) })
                .collect(),
            next_look: report.next_look.as_deref().map(shown),
            notes: all_shown(&report.notes),
            traffic: report.traffic.as_ref().map(|it| Traffic::of(it, zone)),
        }
    }
}

fn finding(it: &inner::Finding, zone: Zone) -> Finding {
    Finding {
        id: it.cause.id.to_owned(),
        title: it.cause.title(),
        certainty: match it.certainty {
            inner::Certainty::Confirmed => Certainty::Confirmed,
            inner::Certainty::Likely => Certainty::Likely,
            inner::Certainty::Possible => Certainty::Possible,
        },
        confidence: it.confidence,
        summary: shown(&it.summary),
        upstream: it.upstream.as_ref().map(|it| Upstream {
            peer: shown(&it.peer),
            group: it.group.as_deref().map(shown),
            scheme: it.scheme.as_deref().map(shown),
            server: it.server.as_deref().map(shown),
            location: it.location.as_deref().map(shown),
            config: it.config.as_deref().map(shown),
        }),
        impact: Impact {
            requests: it.impact.requests,
            share: it.impact.share,
            statuses: it.impact.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            first: it.impact.first.map(|it| zone.time(it)),
            last: it.impact.last.map(|it| zone.time(it)),
            ongoing: it.impact.ongoing,
            worst: it.impact.worst.as_ref().map(|it| Stretch {
                from: zone.time(it.from),
                to: zone.time(it.to),
                failed: it.failed,
                requests: it.requests,
            }),
            background: it.impact.background,
        },
        evidence: it.evidence.iter().map(|it| evidence(it, zone)).collect(),
        ruled_out: it
            .ruled_out
            .iter()
            .map(|it| RuledOut { id: it.id.to_owned(), because: shown(&it.because) })
            .collect(),
        consequences: all_shown(&it.consequences),
        fix: it.fixes.iter().map(fix).collect(),
        verify: all_shown(&it.verify),
        prevent: all_shown(&it.prevent),
    }
}

fn evidence(it: &inner::Evidence, zone: Zone) -> Evidence {
    Evidence {
        source: shown(&it.source),
        says: shown(&it.says),
        reference: it.reference.as_deref().map(shown),
        at: it.at.map(|it| zone.time(it)),
        weight: match it.weight {
            inner::Weight::Decisive => Weight::Decisive,
            inner::Weight::Supporting => Weight::Supporting,
            inner::Weight::Contradicting => Weight::Contradicting,
        },
    }
}

fn fix(it: &inner::Fix) -> Fix {
    Fix {
        title: shown(&it.title),
        kind: match it.kind {
            inner::FixKind::Mitigate => FixKind::Mitigate,
            inner::FixKind::Repair => FixKind::Repair,
            inner::FixKind::Prevent => FixKind::Prevent,
        },
        risk: shown(&it.risk),
        edits: it
            .edits
            .iter()
            .map(|it| Edit {
                file: shown(&it.file),
                line: it.line,
                old: visible_lines(&it.old).into_owned(),
                new: visible_lines(&it.new).into_owned(),
            })
            .collect(),
        commands: all_shown(&it.commands),
        why: shown(&it.why),
    }
}

fn symptom(it: &inner::SymptomLine, zone: Zone) -> Symptom {
    Symptom {
        id: it.symptom.id().to_owned(),
        peer: it.peer.as_deref().map(shown),
        count: it.count,
        first: it.first.map(|it| zone.time(it)),
        last: it.last.map(|it| zone.time(it)),
        sample: Sample { reference: shown(&it.sample_reference), line: shown(&it.sample_line) },
        sample_request: it
            .sample_request
            .as_ref()
            .map(|it| Sample { reference: shown(&it.reference), line: shown(&it.line) }),
    }
}

fn check(it: &inner::Check) -> Check {
    Check {
        id: it.id.to_owned(),
        step: it.step,
        state: match it.state {
            inner::CheckState::Ok => CheckState::Ok,
            inner::CheckState::Warn => CheckState::Warn,
            inner::CheckState::Fail => CheckState::Fail,
            inner::CheckState::Skipped => CheckState::Skipped,
        },
        says: shown(&it.says),
    }
}

fn blind_spot(it: &inner::BlindSpot) -> BlindSpot {
    BlindSpot {
        what: shown(&it.what),
        why: shown(&it.why),
        costs: it.costs.iter().map(|&it| it.to_owned()).collect(),
        remedy: shown(&it.remedy),
    }
}

fn shown(text: impl AsRef<str>) -> String {
    visible(text.as_ref()).into_owned()
}

fn all_shown(texts: &[String]) -> Vec<String> {
    texts.iter().map(shown).collect()
}

/// The host's zone, in which every time is written.
#[derive(Clone, Copy)]
struct Zone(Offset);

impl Zone {
    fn of(report: &inner::Report) -> Zone {
        Zone(Offset::from_seconds(report.utc_offset_seconds).unwrap_or(Offset::UTC))
    }

    /// RFC 3339, to the millisecond: no log that is read here knows more.
    fn time(self, at: Timestamp) -> String {
        let at = at.round(jiff::Unit::Millisecond).unwrap_or(at);
        at.display_with_offset(self.0).to_string()
    }
}
