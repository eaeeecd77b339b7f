//! An explanation as text.

use diagnose::Cause;
use nginx_logs::Symptom;
use nginx_logs::errno::Errno;
use nginx_logs::reason::{PHASES, Reason, WHO};

use super::{
    Explained, Line, REASON_CODES, causes_of, causes_of_reason, how_we_know, symptoms_of, vocabulary,
};
use crate::page::{BOLD, Colour, DIM, PLAIN, Page};

/// The explanation as text.
pub fn render(explained: &Explained, colour: Colour) -> String {
    let mut page = Page::new(colour);
    match explained {
        Explained::Cause(it) => cause(&mut page, it),
        Explained::Symptom(it) => {
            page.put("", it.id(), BOLD);
            symptom(&mut page, *it);
        }
        Explained::Errno(it) => errno(&mut page, *it),
        Explained::Status(number, name, meaning) => {
            page.put("", &format!("{number} {name}"), BOLD);
            page.put("  ", meaning, PLAIN);
        }
        Explained::Reason(it) => reason(&mut page, *it),
        Explained::ReasonCodes => reason_codes(&mut page),
        Explained::Line(it) => line(&mut page, it),
    }
    page.finish()
}

/// Everything that can be explained, by chapter.
pub fn render_list(colour: Colour) -> String {
    let mut page = Page::new(colour);
    for (title, causes) in vocabulary::chapters() {
        page.heading(title);
        for it in causes {
            page.put(&format!("  {:<25} ", it.id), it.headline(), PLAIN);
        }
    }
    page.heading("Symptoms: what nginx saw, as one log line tells");
    let ids: Vec<&str> = Symptom::ALL.iter().map(|it| it.id()).collect();
    page.put("  ", &ids.join(", "), PLAIN);
    page.heading("Reason codes: who ended a failed request, and in which phase");
    let codes: Vec<&str> = Reason::ALL.iter().map(|it| it.0.code()).collect();
    page.put("  ", &format!("{}; {REASON_CODES} is the page of all of them", codes.join(", ")), PLAIN);
    // The first heading's empty line would stand above everything.
    page.finish().trim_start_matches('\n').to_owned()
}

fn cause(page: &mut Page, it: &Cause) {
    page.put("", it.id, BOLD);
    markdown(page, it.page);
    if !it.explains.is_empty() {
        page.heading("Shows as");
        let ids: Vec<&str> = it.explains.iter().map(|it| it.id()).collect();
        page.put("  ", &ids.join(", "), PLAIN);
    }
    if !it.leads_to.is_empty() {
        page.heading("Leads to");
        page.put("  ", &it.leads_to.join(", "), PLAIN);
    }
}

fn symptom(page: &mut Page, it: Symptom) {
    page.put("  ", it.meaning(), PLAIN);
    let causes = causes_of(it);
    if !causes.is_empty() {
        candidates(page, &causes);
    }
}

fn reason(page: &mut Page, it: Reason) {
    page.put("", it.code(), BOLD);
    page.put("  Ended by:  ", it.who(), PLAIN);
    page.put("  In phase:  ", it.phase(), PLAIN);
    page.blank();
    page.put("  ", it.meaning(), PLAIN);
    let symptoms: Vec<&str> = it.symptoms().map(|it| it.id()).collect();
    if !symptoms.is_empty() {
        page.heading("In the error log");
        page.put("  ", &symptoms.join(", "), PLAIN);
    }
    let causes = causes_of_reason(it);
    if !causes.is_empty() {
        candidates(page, &causes);
    }
}

fn reason_codes(page: &mut Page) {
    page.put("", REASON_CODES, BOLD);
    page.put("  ", "Two letters stand before each failed request: who ended it, and in which phase.", PLAIN);
    for (title, letters) in [("First letter: who", WHO), ("Second letter: in which phase", PHASES)] {
        page.heading(title);
        for (letter, meaning) in letters {
            page.put(&format!("  {}  ", char::from(letter)), meaning, PLAIN);
        }
    }
    page.heading("Codes");
    for (it, meaning) in Reason::ALL {
        page.put_led((&format!("  {}  ", it.code()), BOLD), meaning, PLAIN);
    }
    page.blank();
    page.put("", "What usually causes one of them: why502 explain KC, and so on.", PLAIN);
}

fn candidates(page: &mut Page, causes: &[&Cause]) {
    page.heading("What can bring it about, and what decides");
    for cause in causes {
        page.put_led(("  ", PLAIN), cause.id, BOLD);
        page.put("    ", &how_we_know(cause), PLAIN);
    }
}

fn errno(page: &mut Page, it: Errno) {
    page.put("", &format!("{} {}: {}", it.number, it.name, it.text), BOLD);
    page.put("  ", it.meaning, PLAIN);
    for it in symptoms_of(it) {
        page.heading(&format!("When nginx connects to a backend: {}", it.id()));
        symptom(page, it);
    }
}

fn line(page: &mut Page, it: &Line) {
    let status = it.status.and_then(|it| vocabulary::status(it.into()));
    match (it.symptom, status) {
        (Some(it), _) => {
            page.put("", it.id(), BOLD);
            page.put("  ", it.meaning(), PLAIN);
        }
        (None, Some((number, name, meaning))) => {
            page.put("", &format!("{number} {name}"), BOLD);
            page.put("  ", meaning, PLAIN);
        }
        (None, None) => match &it.event {
            Some(event) => {
                page.put("", event.kind.name(), BOLD);
                page.put("  ", &format!("told by a line of {}", it.kind), PLAIN);
            }
            None => page.put("", "no failure of an upstream by itself", BOLD),
        },
    }
    if let Some(it) = it.reason {
        page.put(&format!("  {}: ", it.code()), it.meaning(), PLAIN);
    }
    if let Some(it) = it.errno {
        page.put(&format!("  {} {}: ", it.number, it.name), it.meaning, PLAIN);
    }
    page.heading("What the line says");
    // A format can hold long names; a few of them do not push all values to the right.
    let width = it.fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).clamp(10, 22);
    for (name, value) in &it.fields {
        page.put_led((&format!("  {name:<width$}  "), DIM), value, PLAIN);
    }
    if it.truncated {
        page.put("  ", "(nginx cut the line at its limit, so its end is missing)", DIM);
    }
    let causes = it.causes();
    if !causes.is_empty() {
        candidates(page, &causes);
        page.blank();
        page.put("", "On the host itself, why502 tells which of them it is.", PLAIN);
    }
}

/// The Markdown that the pages use: headings, paragraphs, lists, fenced blocks.
fn markdown(page: &mut Page, text: &str) {
    let mut open = Block::default();
    let mut fenced = false;
    for line in text.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        if line.trim_start().starts_with("```") {
            open.close(page);
            fenced = !fenced;
        } else if fenced {
            page.verbatim("      ", line, PLAIN);
        } else if let Some(title) = line.strip_prefix("## ") {
            open.close(page);
            page.heading(title);
        } else if line.trim().is_empty() {
            open.close(page);
        } else {
            if let Some((mark, rest)) = list_item(line) {
                open.close(page);
                open = Block { lead: format!("  {mark} "), words: rest.to_owned() };
            } else {
                open.words.push(' ');
                open.words.push_str(line.trim());
            }
        }
    }
    open.close(page);
}

/// A paragraph or list item that is being read.
struct Block {
    lead: String,
    words: String,
}

impl Default for Block {
    fn default() -> Block {
        Block { lead: "  ".to_owned(), words: String::new() }
    }
}

impl Block {
    fn close(&mut self, page: &mut Page) {
        let block = std::mem::take(self);
        if !block.words.is_empty() {
            page.put(&block.lead, &block.words, PLAIN);
        }
    }
}

/// `- words`, `* words` or `1. words`.
fn list_item(line: &str) -> Option<(&str, &str)> {
    let (mark, rest) = line.trim_start().split_once(' ')?;
    let numbered =
        mark.strip_suffix('.').is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()));
    (mark == "-" || mark == "*" || numbered).then_some((mark, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_markdown_of_a_page_becomes_plain_paragraphs() {
        let mut page = Page::new(Colour::Off);
        markdown(&mut page, " One\n two.\n\n ## Head\n - a\n   b\n - c\n ```\n $  x\n ```\n");
        assert_eq!(page.finish(), "  One two.\n\nHead\n  - a b\n  - c\n      $  x\n");
    }
}
