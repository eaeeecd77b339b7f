//! How the program says that it cannot go on: what happened, where, why, what to do, one line each.

use std::error::Error;
use std::fmt;

use report::visible;

/// Why there is no result.
#[derive(Debug)]
pub struct Failure {
    what: String,
    place: Option<String>,
    why: Option<Box<dyn Error + Send + Sync>>,
    advice: Option<String>,
}

impl Failure {
    /// What could not be done, as a lower-case fragment.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), place: None, why: None, advice: None }
    }

    /// The file or argument that it is about.
    pub fn at(mut self, place: impl fmt::Display) -> Failure {
        self.place = Some(place.to_string());
        self
    }

    /// The error underneath; its own sources are printed as well.
    pub fn because(mut self, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        self.why = Some(why.into());
        self
    }

    /// What may help.
    pub fn advise(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", visible(&self.what))?;
        if let Some(place) = &self.place {
            writeln!(f, "  where: {}", visible(place))?;
        }
        let mut reasons: Vec<String> = Vec::new();
        let mut next = self.why.as_deref().map(|it| it as &dyn Error);
        while let Some(reason) = next {
            reasons.push(reason.to_string());
            next = reason.source();
        }
        if !reasons.is_empty() {
            writeln!(f, "  why:   {}", visible(&reasons.join(": ")))?;
        }
        if let Some(advice) = &self.advice {
            writeln!(f, "  try:   {}", visible(advice))?;
        }
        Ok(())
    }
}
