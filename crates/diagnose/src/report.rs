//! The Report: what a diagnosis says. Renderers are in the `report` crate; its JSON has types of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nginx_logs::Symptom;
use snapshot::{Traffic, Window};

use crate::cause::Cause;

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The host's name.
    pub host: String,
    /// Its kernel.
    pub kernel: String,
    /// nginx's version; none when there is no nginx.
    pub nginx: Option<String>,
    /// Whether the host is a container.
    pub container: bool,
    /// The host's zone, in seconds east of UTC: times are shown in it.
    pub utc_offset_seconds: i32,
    /// When the evidence was collected.
    pub collected_at: Timestamp,
    /// How long that took.
    pub elapsed_seconds: f64,
    /// The span of time that was looked at.
    pub window: Window,
    /// The one-word answer.
    pub verdict: Verdict,
    /// The one-sentence answer.
    pub summary: String,
    /// Root causes, what to act on first in front.
    pub causes: Vec<Finding>,
    /// The same for failures that retries hid from every client.
    pub hidden: Vec<Finding>,
    /// Every kind of failure that was seen, explained or not.
    pub symptoms: Vec<SymptomLine>,
    /// Where no cause was found: those that it can still be, the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Where no cause was found: those that it is not.
    pub ruled_out: Vec<RuledOut>,
    /// Where no cause was found, or only a possible one: a command that makes the next observation.
    pub next_look: Option<String>,
    /// What happened around the failures, in the order of time.
    pub moments: Vec<Moment>,
    /// The operators' checklist.
    pub checks: Vec<Check>,
    /// What could not be seen, and what that costs.
    pub blind_spots: Vec<BlindSpot>,
    /// Things worth knowing that are no failure: a limit that was reached in reading, a problem in a file.
    pub notes: Vec<String>,
    /// The sums over all lines, where logs alone were read.
    pub traffic: Option<Traffic>,
}

/// The one-word answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Looked, found nothing.
    Healthy,
    /// A peer fails, but retries hid every failure from the clients.
    Degraded,
    /// At least one cause was found.
    Faulty,
    /// Something failed and no cause was found, or too little could be seen.
    Inconclusive,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It fits; other causes fit as well.
    Possible,
    /// It fits better than anything else.
    Likely,
    /// Something decisive was seen.
    Confirmed,
}

/// One root cause with its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which one.
    pub cause: &'static Cause,
    /// How sure.
    pub certainty: Certainty,
    /// The same as a probability, 0 to 1.
    pub confidence: f64,
    /// One sentence with this host's names and numbers.
    pub summary: String,
    /// Whom nginx was talking to.
    pub upstream: Option<Upstream>,
    /// What it did to clients.
    pub impact: Impact,
    /// What says so, the decisive first.
    pub evidence: Vec<Evidence>,
    /// Which other causes it is not.
    pub ruled_out: Vec<RuledOut>,
    /// Causes and symptoms that this one brought about.
    pub consequences: Vec<String>,
    /// What to do, what helps soonest first.
    pub fixes: Vec<Fix>,
    /// Commands that show whether it helped.
    pub verify: Vec<String>,
    /// How to keep it from happening again.
    pub prevent: Vec<String>,
}

/// The upstream side of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Impact {
    /// Failed requests; error-log entries where no access log counts them.
    pub requests: u64,
    /// Their share of all requests in the window; none without an access log.
    pub share: Option<f64>,
    /// By status given to the client.
    pub statuses: BTreeMap<u16, u64>,
    /// The first failure.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// Whether it goes on, as far as the evidence tells.
    pub ongoing: bool,
    /// Of logs alone, the stretch of time in which most failed, where that is not all of them.
    pub worst: Option<Stretch>,
    /// It fails here and there all the time, a few of many requests: no incident.
    pub background: bool,
}

/// Failures that follow each other within minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// The beginning of it.
    pub from: Timestamp,
    /// The end of it.
    pub to: Timestamp,
    /// How many failures: entries of the error log, of which a request can have one for each try, or else requests.
    pub failed: u64,
    /// How many requests came meanwhile; 0 without an access log.
    pub requests: u64,
}

impl Stretch {
    /// How many of the requests a failure concerned, at most; none without an access log.
    pub fn share(&self) -> Option<f64> {
        (self.requests > 0).then(|| (self.failed as f64 / self.requests as f64).min(1.0))
    }
}

/// How much a piece of evidence weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It alone decides.
    Decisive,
    /// It fits.
    Supporting,
    /// It speaks against.
    Contradicting,
}

/// One piece of evidence: a sentence bound to the reading it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Kind of source: `error-log`, `access-log`, `socket`, `unit`, `journal`, `kernel`, `php-fpm-log`, `config`, `probe` …
    pub source: String,
    /// The sentence.
    pub says: String,
    /// `file:line`, a command or a system call.
    pub reference: Option<String>,
    /// When it was so.
    pub at: Option<Timestamp>,
    /// Its weight.
    pub weight: Weight,
}

/// A cause that it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuledOut {
    /// The cause.
    pub id: &'static str,
    /// The evidence against it, as a sentence.
    pub because: String,
}

/// One way to mend it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fix {
    /// What to do, in the imperative.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FixKind {
    /// Helps within minutes.
    #[default]
    Mitigate,
    /// Removes the cause.
    Repair,
    /// Keeps it from coming back.
    Prevent,
}

/// One changed line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// The file.
    pub file: String,
    /// The line, 1-based.
    pub line: u32,
    /// What stands there.
    pub old: String,
    /// What should.
    pub new: String,
}

/// One kind of failure at one peer.
#[derive(Debug, Clone, PartialEq)]
pub struct SymptomLine {
    /// What nginx saw.
    pub symptom: Symptom,
    /// Where, if a peer was chosen.
    pub peer: Option<String>,
    /// How often.
    pub count: u64,
    /// First time.
    pub first: Option<Timestamp>,
    /// Last time.
    pub last: Option<Timestamp>,
    /// Each of them, in no order.
    pub failed_at: Vec<Timestamp>,
    /// `file:line` of an example.
    pub sample_reference: String,
    /// The example itself.
    pub sample_line: String,
    /// The request that an example of an error log was about, as the access log has it.
    pub sample_request: Option<Quote>,
}

/// A log line and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// `file:line`.
    pub reference: String,
    /// The line.
    pub line: String,
}

/// A cause that may be, and that nothing seen speaks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which one.
    pub cause: &'static Cause,
    /// What would decide; empty where that is what the page of the cause says.
    pub decides: String,
}

/// Something that happened, such as a restart or a change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, in one line.
    pub says: String,
}

/// One step of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `backend-process`, `backend-port` …
    pub id: &'static str,
    /// Its place in the list, from 1.
    pub step: u8,
    /// How it went.
    pub state: CheckState,
    /// One line.
    pub says: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckState {
    /// Nothing wrong there.
    Ok,
    /// Worth a look.
    Warn,
    /// Wrong.
    Fail,
    /// Not looked at, or not possible here.
    Skipped,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindSpot {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// Causes that it could hide.
    pub costs: Vec<&'static str>,
    /// What would settle it.
    pub remedy: String,
}
