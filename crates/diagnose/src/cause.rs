//! What a root cause is made of: its page, the symptoms it explains, its rule.

use nginx_logs::Symptom;
use nginx_logs::backend::EventKind;

use crate::case::{Blind, Case};
use crate::scene::Scene;
use crate::verdict::{Found, Verdict};

/// One root cause of the vocabulary.
pub struct Cause {
    /// Its stable id, in kebab-case.
    pub id: &'static str,
    /// Its page, in Markdown, as `explain` prints it: a sentence, then four headings.
    pub page: &'static str,
    /// Symptoms that it can bring about; its rule is asked only about those.
    pub explains: &'static [Symptom],
    /// Causes that it brings about in turn: where both hold, those are its consequences.
    pub leads_to: &'static [&'static str],
    /// Its rule.
    pub judge: Judge,
    /// What log lines alone say for it, asked instead of the rule where nothing else was read. How sure it is stands in the
    /// confidence: a probability beside the other causes of the same failures, whose sum the engine keeps below one. Without
    /// one the rule itself is asked, and what it misses is nothing that anybody could have looked at.
    pub from_lines: Option<fn(&Case) -> Option<Found>>,
    /// Which events in the logs of other programs tell of it by themselves, where no line of nginx was given.
    pub told_by: Option<fn(&EventKind) -> bool>,
}

/// Rules are functions of the evidence alone.
pub enum Judge {
    /// Asked about each group of failures with a symptom that the cause explains.
    Group(fn(&Case) -> Result<Verdict, Blind>),
    /// Asked once, about the host: for faults that leave no failed request in a log.
    Host(fn(&Scene) -> Result<Verdict, Blind>),
}

impl Cause {
    /// The first sentence of the page: what is wrong.
    pub fn headline(&self) -> &'static str {
        self.page.trim().lines().next().unwrap_or("").trim()
    }

    /// The id as words: `PHP-FPM pool exhausted`.
    pub fn title(&self) -> String {
        let words = self.id.replace('-', " ");
        let mut title = words
            .replace("php fpm", "PHP-FPM")
            .replace("dns", "DNS")
            .replace("tls", "TLS")
            .replace("ipv6", "IPv6")
            .replace("oom", "OOM")
            .replace("cpu", "CPU")
            .replace("sni", "SNI")
            .replace("selinux", "SELinux")
            .replace("apparmor", "AppArmor");
        if !title.starts_with("nginx") {
            title[..1].make_ascii_uppercase();
        }
        title
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        self.id == other.id
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// Declares the cause of a file. The doc comment is its page.
#[macro_export]
macro_rules! cause {
    (
        $(#[doc = $page:literal])*
        $id:literal,
        explains: [$($symptom:ident),* $(,)?],
        leads_to: [$($consequence:literal),* $(,)?],
        judge: $judge:expr,
        $(from_lines: $lines:expr,)?
        $(told_by: $event:pat,)?
    ) => {
        $(#[doc = $page])*
        pub static CAUSE: $crate::Cause = $crate::Cause {
            id: $id,
            page: concat!($($page, "\n"),*),
            explains: &[$(nginx_logs::Symptom::$symptom),*],
            leads_to: &[$($consequence),*],
            judge: $judge,
            from_lines: $crate::cause!(@optional $($lines)?),
            told_by: $crate::cause!(@told $($event)?),
        };
    };
    (@told) => { None };
    (@told $event:pat) => { Some(|it: &nginx_logs::backend::EventKind| matches!(it, $event)) };
    (@optional) => { None };
    (@optional $lines:expr) => { Some($lines) };
}
