//! An explanation as JSON, for scripts.

use diagnose::Cause;
use nginx_logs::Symptom;
use nginx_logs::errno::Errno;
use nginx_logs::reason::{PHASES, Reason, WHO};
use serde_json::{Map, Value, json};

use super::{Explained, Line, causes_of, causes_of_reason, how_we_know, section, symptoms_of, vocabulary};
use crate::visible::visible;

/// The explanation as one JSON document that ends in a line feed. `kind` says of what kind it is.
pub fn render(explained: &Explained) -> String {
    pretty(&match explained {
        Explained::Cause(it) => cause(it),
        Explained::Symptom(it) => symptom(*it),
        Explained::Errno(it) => errno(*it),
        Explained::Status(number, name, meaning) => {
            json!({"kind": "status", "status": number, "name": name, "meaning": meaning})
        }
        Explained::Reason(it) => reason(*it),
        Explained::ReasonCodes => {
            let letters = |letters: &[(u8, &str)]| -> Map<String, Value> {
                letters.iter().map(|(letter, it)| (char::from(*letter).to_string(), json!(it))).collect()
            };
            let codes: Vec<Value> = Reason::ALL.iter().map(|it| reason(it.0)).collect();
            json!({"kind": "reason-codes", "who": letters(&WHO), "phases": letters(&PHASES), "codes": codes})
        }
        Explained::Line(it) => line(it),
    })
}

/// Everything that can be explained.
pub fn render_list() -> String {
    let causes: Vec<Value> = vocabulary::chapters()
        .into_iter()
        .flat_map(|(chapter, causes)| {
            causes
                .into_iter()
                .map(move |it| json!({"id": it.id, "chapter": chapter, "summary": it.headline()}))
        })
        .collect();
    let symptoms: Vec<Value> =
        Symptom::ALL.iter().map(|it| json!({"id": it.id(), "meaning": it.meaning()})).collect();
    let reasons: Vec<Value> =
        Reason::ALL.iter().map(|(it, meaning)| json!({"code": it.code(), "meaning": meaning})).collect();
    pretty(&json!({"causes": causes, "symptoms": symptoms, "reasons": reasons}))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn cause(it: &Cause) -> Value {
    json!({
        "kind": "cause",
        "id": it.id,
        "title": it.title(),
        "summary": it.headline(),
        "what_you_see": plain(it, "What you see"),
        "how_we_know": plain(it, "How we know"),
        "what_to_do": plain(it, "What to do"),
        "not_to_be_confused_with": plain(it, "Not to be confused with"),
        "explains": it.explains.iter().map(|it| it.id()).collect::<Vec<_>>(),
        "leads_to": it.leads_to,
    })
}

/// A section with the comment's indentation taken off.
fn plain(cause: &Cause, heading: &str) -> Option<String> {
    let lines = section(cause, heading)?.lines().map(|it| it.strip_prefix(' ').unwrap_or(it));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn symptom(it: Symptom) -> Value {
    json!({"kind": "symptom", "id": it.id(), "meaning": it.meaning(), "causes": candidates(&causes_of(it))})
}

fn reason(it: Reason) -> Value {
    json!({
        "kind": "reason",
        "code": it.code(),
        "who": it.who(),
        "phase": it.phase(),
        "meaning": it.meaning(),
        "symptoms": it.symptoms().map(Symptom::id).collect::<Vec<_>>(),
        "causes": candidates(&causes_of_reason(it)),
    })
}

fn candidates(causes: &[&Cause]) -> Vec<Value> {
    causes.iter().map(|it| json!({"id": it.id, "how_we_know": how_we_know(it)})).collect()
}

fn errno(it: Errno) -> Value {
    let symptoms: Vec<Value> = symptoms_of(it).into_iter().map(symptom).collect();
    json!({
        "kind": "errno", "errno": it.number, "name": it.name, "text": it.text, "meaning": it.meaning, "symptoms": symptoms
    })
}

fn line(it: &Line) -> Value {
    let fields: Map<String, Value> =
        it.fields.iter().map(|(name, value)| (name.clone(), json!(visible(value)))).collect();
    json!({
        "kind": "line",
        "log": it.kind,
        "fields": fields,
        "truncated": it.truncated,
        "symptom": it.symptom.map(Symptom::id),
        "meaning": it.symptom.map(Symptom::meaning),
        "reason": it.reason.as_ref().map(Reason::code),
        "event": it.event,
        "status": it.status,
        "errno": it.errno.map(|it| json!({"errno": it.number, "name": it.name, "meaning": it.meaning})),
        "causes": candidates(&it.causes()),
    })
}
