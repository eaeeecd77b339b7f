//! How a reading went. "I looked and there is none" is a seen empty value, never an unread one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A value from outside, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// It was read.
    Seen(Seen<T>),
    /// It was not.
    Unread(Unread),
}

/// A value with its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen<T> {
    /// What was read.
    pub value: T,
    /// Where from: a path, a system call, a command line, a probe.
    pub source: String,
    /// When.
    pub at: Timestamp,
}

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The kind of obstacle.
    pub reason: Reason,
    /// What was to be read: a path, a command, a probe.
    pub source: String,
    /// The error's own words.
    pub detail: String,
}

/// The kinds of obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Permission was missing.
    Denied,
    /// It did not answer before the deadline.
    TimedOut,
    /// This host has no such thing: no systemd, no such tool, an old kernel.
    Unsupported,
    /// What came could not be understood.
    Malformed,
    /// Nobody asked: probes were switched off, or nothing made it necessary.
    NotAsked,
}

impl<T> Reading<T> {
    /// A value that was read.
    pub fn seen(value: T, source: impl Into<String>, at: Timestamp) -> Self {
        Reading::Seen(Seen { value, source: source.into(), at })
    }

    /// A value that was not.
    pub fn unread(reason: Reason, source: impl Into<String>, detail: impl Into<String>) -> Self {
        Reading::Unread(Unread { reason, source: source.into(), detail: detail.into() })
    }

    /// Nobody asked.
    pub fn not_asked() -> Self {
        Reading::unread(Reason::NotAsked, "", "")
    }

    /// The value, if it was read. A rule that must not take "not read" for "none" uses `require`.
    pub fn value(&self) -> Option<&T> {
        match self {
            Reading::Seen(seen) => Some(&seen.value),
            Reading::Unread(_) => None,
        }
    }

    /// The value with its source, or what stood in the way.
    pub fn require(&self) -> Result<&Seen<T>, &Unread> {
        match self {
            Reading::Seen(seen) => Ok(seen),
            Reading::Unread(unread) => Err(unread),
        }
    }

    /// The obstacle, if there was one.
    pub fn obstacle(&self) -> Option<&Unread> {
        self.require().err()
    }
}

impl Reason {
    /// As it is said to people.
    pub fn words(self) -> &'static str {
        match self {
            Reason::Denied => "permission denied",
            Reason::TimedOut => "no answer in time",
            Reason::Unsupported => "not available here",
            Reason::Malformed => "not understood",
            Reason::NotAsked => "not looked at",
        }
    }
}
