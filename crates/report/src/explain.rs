//! What `why502 explain` answers: the page of a cause, what a symptom, an errno, a status or a reason code means, what a
//! pasted log line says. It knows nothing of any host; the causes' own pages and the catalogue of messages are all that it draws on.

mod json;
mod line;
mod markdown;
mod text;
mod vocabulary;

use std::fmt;

use diagnose::Cause;
use nginx_logs::Symptom;
use nginx_logs::errno::{Errno, errno};
use nginx_logs::reason::Reason;

pub use json::{render as render_json, render_list as render_list_json};
pub use line::Line;
pub use markdown::{render as render_markdown, render_list as render_list_markdown};
pub use text::{render, render_list};

/// The page of all reason codes.
const REASON_CODES: &str = "reason-codes";

/// What was asked about.
#[derive(Debug)]
pub enum Explained {
    /// A root cause.
    Cause(&'static Cause),
    /// Something that nginx sees.
    Symptom(Symptom),
    /// An errno of Linux.
    Errno(Errno),
    /// An HTTP status: number, name, meaning.
    Status(u16, &'static str, &'static str),
    /// A reason code.
    Reason(Reason),
    /// All reason codes, and their letters.
    ReasonCodes,
    /// A line of a log.
    Line(Box<Line>),
}

/// Nothing is known by that name.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What was asked.
    pub what: String,
    /// Ids that look alike, the nearest first.
    pub nearest: Vec<&'static str>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = crate::visible(&self.what);
        match what.chars().count() {
            0..=60 => write!(f, "nothing is known about \"{what}\""),
            _ => write!(f, "nothing is known about \"{} ...\"", what.chars().take(60).collect::<String>()),
        }
    }
}

impl std::error::Error for Unknown {}

impl Unknown {
    /// What to ask instead.
    pub fn advice(&self) -> String {
        match self.nearest.as_slice() {
            [] => "why502 explain --list, which names everything that it can explain".to_owned(),
            nearest => format!("why502 explain {}", nearest.join(", or ")),
        }
    }
}

/// Finds out what is asked about. A log line may still have what syslog, the journal or a container put around it.
pub fn explain(what: &str) -> Result<Explained, Unknown> {
    let what = what.trim();
    let id = what.to_lowercase().replace(['_', ' '], "-");
    if let Some(cause) = cause(&id) {
        return Ok(Explained::Cause(cause));
    }
    if let Ok(symptom) = id.parse() {
        return Ok(Explained::Symptom(symptom));
    }
    if let Some(reason) = Reason::from_code(what) {
        return Ok(Explained::Reason(reason));
    }
    if matches!(id.as_str(), REASON_CODES | "reason-code" | "reasons" | "reason") {
        return Ok(Explained::ReasonCodes);
    }
    if let Some(errno) = errno_of(what) {
        return Ok(Explained::Errno(errno));
    }
    if let Some((number, name, meaning)) = what.parse().ok().and_then(vocabulary::status) {
        return Ok(Explained::Status(number, name, meaning));
    }
    if let Some(line) = line::read(what) {
        return Ok(Explained::Line(Box::new(line)));
    }
    Err(Unknown { what: what.to_owned(), nearest: nearest(&id) })
}

fn cause(id: &str) -> Option<&'static Cause> {
    diagnose::causes().iter().copied().find(|it| it.id == id)
}

/// By number (`111`, `errno 111`) or by name.
fn errno_of(what: &str) -> Option<Errno> {
    let what = what.to_uppercase();
    let word = what.strip_prefix("ERRNO").map_or(what.as_str(), |it| it.trim_start_matches([' ', '=', ':']));
    match word.parse() {
        Ok(number) => errno(number),
        // Linux's numbers end at 133; those of the other systems have no names of their own.
        Err(_) => (1..=133).filter_map(errno).find(|it| it.name == word),
    }
}

/// The causes with these ids, in their order.
fn causes_named(ids: &[&str]) -> Vec<&'static Cause> {
    ids.iter().filter_map(|it| cause(it)).collect()
}

/// The causes that can bring a symptom about, in the order in which an operator looks: the backend's process first.
fn causes_of(symptom: Symptom) -> Vec<&'static Cause> {
    vocabulary::chapters()
        .into_iter()
        .flat_map(|(_, it)| it)
        .filter(|it| it.explains.contains(&symptom))
        .collect()
}

/// The causes that a reason code can stand for, in the same order.
fn causes_of_reason(reason: Reason) -> Vec<&'static Cause> {
    let is_among = |it: &&Cause| match (reason.code(), it.id) {
        // An answer of the configuration's own shows as a status without any entry, as one of the backend's does.
        ("AH", id) => id == "upstream-returned-error",
        ("NP", "nginx-returned-error") => true,
        _ => reason.symptoms().any(|symptom| it.explains.contains(&symptom)),
    };
    vocabulary::chapters().into_iter().flat_map(|(_, it)| it).filter(is_among).collect()
}

/// What a connection attempt that fails with that errno shows as, on TCP and on a unix socket.
fn symptoms_of(errno: Errno) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    for peer in ["127.0.0.1:8080", "unix:/run/app.sock"] {
        let entry = format!(
            "2026/01/01 00:00:00 [error] 1#1: *1 connect() to {peer} failed ({}: {}) while connecting to upstream, client: \
             127.0.0.1, server: _, request: \"GET / HTTP/1.1\", upstream: \"http://{peer}/\"",
            errno.number, errno.text
        );
        let symptom = nginx_logs::error::parse(entry.as_bytes()).and_then(|it| it.symptom());
        symptoms.extend(symptom.filter(|it| !symptoms.contains(it)));
    }
    symptoms
}

/// One part of a cause's page, by its heading.
fn section(cause: &Cause, heading: &str) -> Option<&'static str> {
    let (_, after) = cause.page.split_once(&format!("## {heading}\n"))?;
    Some(after.split("## ").next().unwrap_or(after).trim())
}

/// What decides that it is this cause: the first sentence of "How we know".
pub(crate) fn how_we_know(cause: &Cause) -> String {
    let paragraph = section(cause, "How we know").unwrap_or("").lines().map(str::trim);
    let paragraph: Vec<&str> = paragraph.take_while(|it| !it.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    match paragraph.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => paragraph,
    }
}

/// At most three ids that look like the one asked for.
fn nearest(asked: &str) -> Vec<&'static str> {
    let ids = diagnose::causes().iter().map(|it| it.id).chain(Symptom::ALL.iter().map(|it| it.id()));
    let ids = ids.chain([REASON_CODES]);
    nearest_of(asked, ids)
}

/// At most three of some ids, those that look most like the one asked for, the nearest first.
pub fn nearest_of<'a>(asked: &str, ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    // A third of the letters may differ: more, and the proposal is noise.
    let tolerance = (asked.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = ids
        .map(|id| if asked.len() > 3 && id.contains(asked) { (1, id) } else { (distance(asked, id), id) })
        .filter(|(distance, _)| *distance <= tolerance)
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, id)| id).collect()
}

/// Levenshtein's distance: letters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    // A pasted page is no misspelled id, and the table below would be large.
    if one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, it) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *it);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_id_gets_the_right_one() {
        let unknown = explain("wrong-upsteam-prot").unwrap_err();
        assert_eq!(unknown.nearest, ["wrong-upstream-port"]);
        assert_eq!(unknown.advice(), "why502 explain wrong-upstream-port");
    }

    #[test]
    fn a_part_of_an_id_is_near_to_it() {
        assert!(nearest("header-too").contains(&"header-too-big"));
    }

    #[test]
    fn nonsense_is_near_to_nothing() {
        assert_eq!(nearest("supercalifragilistic"), Vec::<&str>::new());
    }

    #[test]
    fn an_id_may_be_written_in_words() {
        assert!(matches!(explain("Connect Refused"), Ok(Explained::Symptom(Symptom::ConnectRefused))));
    }

    #[test]
    fn an_errno_is_known_by_number_and_by_name() {
        for asked in ["111", "ECONNREFUSED", "econnrefused", "errno 111"] {
            assert!(matches!(explain(asked), Ok(Explained::Errno(it)) if it.number == 111), "{asked}");
        }
    }

    #[test]
    fn an_errno_leads_to_what_nginx_sees() {
        assert_eq!(symptoms_of(errno(111).unwrap()), [Symptom::ConnectRefused]);
        assert!(symptoms_of(errno(11).unwrap()).contains(&Symptom::ConnectAgain));
    }

    #[test]
    fn a_reason_code_leads_to_its_causes() {
        let causes = |code: &str| match explain(code) {
            Ok(Explained::Reason(it)) => causes_of_reason(it).iter().map(|it| it.id).collect::<Vec<_>>(),
            other => panic!("{code}: {other:?}"),
        };
        assert!(causes("kc").contains(&"backend-not-running"));
        assert!(causes("TH").contains(&"backend-slow") && !causes("TH").contains(&"backend-not-running"));
        assert_eq!(causes("AH"), ["upstream-returned-error"]);
        assert!(causes("NP").contains(&"nginx-returned-error") && causes("NP").contains(&"rate-limited"));
        assert!(matches!(explain("reason codes"), Ok(Explained::ReasonCodes)));
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")), (3, 2, 0));
    }
}
