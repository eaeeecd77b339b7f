//! An explanation for a runbook or a ticket, in GitHub's Markdown.

use std::fmt::Write;

use diagnose::Cause;
use nginx_logs::Symptom;
use nginx_logs::reason::{PHASES, Reason, WHO};

use super::{
    Explained, Line, REASON_CODES, causes_of, causes_of_reason, how_we_know, symptoms_of, vocabulary,
};
use crate::render::markdown::{code, line, paragraph};

/// The explanation as Markdown.
pub fn render(explained: &Explained) -> String {
    let mut out = String::new();
    match explained {
        Explained::Cause(it) => cause(&mut out, it),
        Explained::Symptom(it) => {
            title(&mut out, it.id());
            symptom(&mut out, *it);
        }
        Explained::Errno(it) => {
            title(&mut out, &format!("{} {}: {}", it.number, it.name, it.text));
            paragraph(&mut out, it.meaning);
            for symptom_of in symptoms_of(*it) {
                line(&mut out, &format!("## When nginx connects to a backend: {}", symptom_of.id()));
                symptom(&mut out, symptom_of);
            }
        }
        Explained::Status(number, name, meaning) => {
            title(&mut out, &format!("{number} {name}"));
            paragraph(&mut out, meaning);
        }
        Explained::Reason(it) => reason(&mut out, *it),
        Explained::ReasonCodes => reason_codes(&mut out),
        Explained::Line(it) => log_line(&mut out, it),
    }
    finish(out)
}

/// Everything that can be explained, by chapter.
pub fn render_list() -> String {
    let mut out = String::new();
    for (chapter, causes) in vocabulary::chapters() {
        line(&mut out, &format!("## {chapter}"));
        for it in causes {
            _ = writeln!(out, "- {}: {}", code(it.id), it.headline());
        }
        out.push('\n');
    }
    line(&mut out, "## Symptoms: what nginx saw, as one log line tells");
    line(&mut out, &ids(Symptom::ALL.iter().map(|it| it.id())));
    line(&mut out, "## Reason codes: who ended a failed request, and in which phase");
    line(&mut out, &ids(Reason::ALL.iter().map(|it| it.0.code())));
    finish(out)
}

fn cause(out: &mut String, it: &Cause) {
    title(out, it.id);
    // A doc comment: each line begins with the space after its slashes.
    for text in it.page.lines() {
        _ = writeln!(out, "{}", text.strip_prefix(' ').unwrap_or(text).trim_end());
    }
    out.push('\n');
    if !it.explains.is_empty() {
        line(out, "## Shows as");
        line(out, &ids(it.explains.iter().map(|it| it.id())));
    }
    if !it.leads_to.is_empty() {
        line(out, "## Leads to");
        line(out, &ids(it.leads_to.iter().copied()));
    }
}

fn symptom(out: &mut String, it: Symptom) {
    paragraph(out, it.meaning());
    candidates(out, &causes_of(it));
}

fn reason(out: &mut String, it: Reason) {
    title(out, it.code());
    _ = writeln!(out, "- Ended by: {}\n- In phase: {}\n", it.who(), it.phase());
    paragraph(out, it.meaning());
    if it.symptoms().next().is_some() {
        line(out, "## In the error log");
        line(out, &ids(it.symptoms().map(Symptom::id)));
    }
    candidates(out, &causes_of_reason(it));
}

fn reason_codes(out: &mut String) {
    title(out, REASON_CODES);
    paragraph(out, "Two letters stand before each failed request: who ended it, and in which phase.");
    for (title, letters) in [("First letter: who", WHO), ("Second letter: in which phase", PHASES)] {
        line(out, &format!("## {title}"));
        for (letter, meaning) in letters {
            _ = writeln!(out, "- {}: {meaning}", code(&char::from(letter).to_string()));
        }
        out.push('\n');
    }
    line(out, "## Codes");
    for (it, meaning) in Reason::ALL {
        _ = writeln!(out, "- {}: {meaning}", code(it.code()));
    }
}

fn candidates(out: &mut String, causes: &[&Cause]) {
    if causes.is_empty() {
        return;
    }
    line(out, "### What can bring it about, and what decides");
    for it in causes {
        _ = writeln!(out, "- {}: {}", code(it.id), how_we_know(it));
    }
    out.push('\n');
}

fn log_line(out: &mut String, it: &Line) {
    let status = it.status.and_then(|it| vocabulary::status(it.into()));
    match (it.symptom, status) {
        (Some(it), _) => {
            title(out, it.id());
            paragraph(out, it.meaning());
        }
        (None, Some((number, name, meaning))) => {
            title(out, &format!("{number} {name}"));
            paragraph(out, meaning);
        }
        (None, None) => {
            title(out, it.event.as_ref().map_or("no failure of an upstream by itself", |it| it.kind.name()))
        }
    }
    if let Some(it) = it.reason {
        paragraph(out, &format!("{}: {}", it.code(), it.meaning()));
    }
    if let Some(it) = it.errno {
        paragraph(out, &format!("{} {}: {}", it.number, it.name, it.meaning));
    }
    line(out, "## What the line says");
    for (name, value) in &it.fields {
        // A stranger wrote it: only a code span keeps it from being Markdown.
        _ = writeln!(out, "- {name}: {}", code(value));
    }
    out.push('\n');
    candidates(out, &it.causes());
}

fn title(out: &mut String, text: &str) {
    line(out, &format!("# {text}"));
}

fn ids(ids: impl Iterator<Item = &'static str>) -> String {
    ids.map(code).collect::<Vec<_>>().join(", ")
}

fn finish(out: String) -> String {
    format!("{}\n", out.trim_end())
}
