//! What a rule says about one group of failures, and the facts that it says it with.

use jiff::Timestamp;
use snapshot::{Reading, Seen};

use crate::report::{Certainty, Edit, Evidence, Fix, FixKind, RuledOut, Weight};

/// A rule's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The evidence has nothing to do with this cause; not worth a line in the report.
    NotIt,
    /// It could have been this cause, but this was seen.
    RuledOut(String),
    /// It is, or may be, this cause.
    Found(Box<Found>),
}

impl Verdict {
    /// Says what excludes the cause.
    pub fn ruled_out(because: impl Into<String>) -> Verdict {
        Verdict::RuledOut(because.into())
    }
}

impl From<Found> for Verdict {
    fn from(found: Found) -> Verdict {
        Verdict::Found(Box::new(found))
    }
}

/// A finding in the making. Built in one expression: `confirmed("…").decisive(fact).fix(…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// How sure.
    pub certainty: Certainty,
    /// The same as a probability.
    pub confidence: f64,
    /// One sentence with names and numbers.
    pub summary: String,
    /// What says so.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub fixes: Vec<Fix>,
    /// How to see that it helped.
    pub verify: Vec<String>,
    /// How to keep it away.
    pub prevent: Vec<String>,
    /// What else it brought about, besides the cause's own `leads_to`.
    pub consequences: Vec<String>,
    /// What this finding itself excludes.
    pub ruled_out: Vec<RuledOut>,
}

/// Found, and something decisive was seen.
pub fn confirmed(summary: impl Into<String>) -> Found {
    Found::new(Certainty::Confirmed, 0.97, summary)
}

/// Found, and it fits better than anything else.
pub fn likely(summary: impl Into<String>) -> Found {
    Found::new(Certainty::Likely, 0.75, summary)
}

/// Found, among others that fit as well.
pub fn possible(summary: impl Into<String>) -> Found {
    Found::new(Certainty::Possible, 0.4, summary)
}

impl Found {
    fn new(certainty: Certainty, confidence: f64, summary: impl Into<String>) -> Found {
        Found {
            certainty,
            confidence,
            summary: summary.into(),
            evidence: Vec::new(),
            fixes: Vec::new(),
            verify: Vec::new(),
            prevent: Vec::new(),
            consequences: Vec::new(),
            ruled_out: Vec::new(),
        }
    }

    fn evidence(mut self, fact: Fact, weight: Weight) -> Found {
        self.evidence.push(Evidence {
            source: fact.source,
            says: fact.says,
            reference: fact.reference,
            at: fact.at,
            weight,
        });
        self
    }

    /// Adds what alone decides.
    pub fn decisive(self, fact: Fact) -> Found {
        self.evidence(fact, Weight::Decisive)
    }

    /// Adds what alone decides, where there is such a thing.
    pub fn decisive_each(self, facts: impl IntoIterator<Item = Fact>) -> Found {
        facts.into_iter().fold(self, Found::decisive)
    }

    /// Adds what fits.
    pub fn supporting(self, fact: Fact) -> Found {
        self.evidence(fact, Weight::Supporting)
    }

    /// Adds what fits, where there is such a thing.
    pub fn supporting_each(self, facts: impl IntoIterator<Item = Fact>) -> Found {
        facts.into_iter().fold(self, Found::supporting)
    }

    /// Adds what speaks against.
    pub fn contradicting(self, fact: Fact) -> Found {
        self.evidence(fact, Weight::Contradicting)
    }

    /// Sets the probability, where the default of its certainty is not right.
    pub fn confidence(mut self, confidence: f64) -> Found {
        self.confidence = confidence;
        self
    }

    /// Takes the certainty back to `likely` where that holds.
    pub fn only_likely_if(mut self, doubtful: bool) -> Found {
        if doubtful && self.certainty == Certainty::Confirmed {
            self.certainty = Certainty::Likely;
            self.confidence = self.confidence.min(0.7);
        }
        self
    }

    /// Adds a way to mend it.
    pub fn fix(mut self, fix: Fix) -> Found {
        self.fixes.push(fix);
        self
    }

    /// Adds a way to mend it, where there is one.
    pub fn fix_maybe(mut self, fix: Option<Fix>) -> Found {
        self.fixes.extend(fix);
        self
    }

    /// Adds a command that shows whether it helped.
    pub fn verify(mut self, command: impl Into<String>) -> Found {
        self.verify.push(command.into());
        self
    }

    /// Adds advice against the next time.
    pub fn prevent(mut self, advice: impl Into<String>) -> Found {
        self.prevent.push(advice.into());
        self
    }

    /// Says of another cause, one that people expect here, why it is not that.
    pub fn not(mut self, id: &'static str, because: impl Into<String>) -> Found {
        self.ruled_out.push(RuledOut { id, because: because.into() });
        self
    }

    /// Adds another consequence.
    pub fn brought_about(mut self, id: impl Into<String>) -> Found {
        self.consequences.push(id.into());
        self
    }
}

impl Fix {
    /// Helps within minutes.
    pub fn mitigate(title: impl Into<String>) -> Fix {
        Fix { title: title.into(), kind: FixKind::Mitigate, ..Fix::default() }
    }

    /// Removes the cause.
    pub fn repair(title: impl Into<String>) -> Fix {
        Fix { title: title.into(), kind: FixKind::Repair, ..Fix::default() }
    }

    /// Adds a command.
    pub fn run(mut self, command: impl Into<String>) -> Fix {
        self.commands.push(command.into());
        self
    }

    /// Adds a changed line.
    pub fn edit(
        mut self,
        file: impl Into<String>,
        line: u32,
        old: impl Into<String>,
        new: impl Into<String>,
    ) -> Fix {
        self.edits.push(Edit { file: file.into(), line, old: old.into(), new: new.into() });
        self
    }

    /// Says what it interrupts.
    pub fn risk(mut self, risk: impl Into<String>) -> Fix {
        self.risk = risk.into();
        self
    }

    /// Says why these values.
    pub fn because(mut self, why: impl Into<String>) -> Fix {
        self.why = why.into();
        self
    }
}

/// A sentence bound to where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Kind of source, as in the report: `socket`, `unit`, `error-log` …
    pub source: String,
    /// The sentence.
    pub says: String,
    /// `file:line`, a command or a system call.
    pub reference: Option<String>,
    /// When it was so.
    pub at: Option<Timestamp>,
}

impl Fact {
    /// A fact from one place.
    pub fn new(source: impl Into<String>, says: impl Into<String>) -> Fact {
        Fact { source: source.into(), says: says.into(), reference: None, at: None }
    }

    /// Names the place.
    pub fn reference(mut self, reference: impl Into<String>) -> Fact {
        self.reference = Some(reference.into()).filter(|it| !it.is_empty());
        self
    }

    /// Names the time.
    pub fn at(mut self, at: impl Into<Option<Timestamp>>) -> Fact {
        self.at = at.into();
        self
    }
}

/// Sentences about something that was read, with its source as their reference.
pub trait Factual {
    /// `kind` is the kind of source as the report names it.
    fn fact(&self, kind: &str, says: impl Into<String>) -> Fact;
}

impl<T> Factual for Seen<T> {
    fn fact(&self, kind: &str, says: impl Into<String>) -> Fact {
        Fact::new(kind, says).reference(self.source.clone()).at(self.at)
    }
}

impl<T> Factual for Reading<T> {
    fn fact(&self, kind: &str, says: impl Into<String>) -> Fact {
        match self {
            Reading::Seen(seen) => seen.fact(kind, says),
            Reading::Unread(unread) => Fact::new(kind, says).reference(unread.source.clone()),
        }
    }
}
