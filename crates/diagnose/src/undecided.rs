//! What remains to be said of failures that nothing explains: which causes they can have, and what would decide.

use crate::case::Blind;
use crate::cause::Cause;
use crate::causes::CAUSES;
use crate::report::{Candidate, RuledOut};
use crate::scene::Scene;
use crate::trial;

/// What the rules said about groups of which none found anything.
#[derive(Default)]
pub struct Undecided {
    groups: Vec<Silent>,
}

struct Silent {
    group: usize,
    blind: Vec<(&'static Cause, Blind)>,
    ruled_out: Vec<RuledOut>,
}

impl Undecided {
    /// Remembers a group that no rule found anything for.
    pub fn note(&mut self, group: usize, blind: &[(&'static Cause, Blind)], ruled_out: &[RuledOut]) {
        self.groups.push(Silent { group, blind: blind.to_vec(), ruled_out: ruled_out.to_vec() });
    }

    /// The causes that the groups can have. First those that something unseen may hide, with what would show it; only
    /// where there is none of them, those that show the same symptom and were not excluded.
    pub fn candidates(&self, scene: &Scene, unexplained: &[usize]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut add = |it: Candidate| {
            if !candidates.iter().any(|there| there.cause == it.cause) {
                candidates.push(it);
            }
        };
        for (cause, blind) in self.of(unexplained).flat_map(|it| &it.blind) {
            let remedy = if blind.remedy.is_empty() { "look" } else { &blind.remedy };
            add(Candidate { cause, decides: format!("{remedy}, to see this: {}", blind.what) });
        }
        if candidates.is_empty() {
            for it in self.of(unexplained) {
                let symptom = scene.groups[it.group].symptom;
                let excluded = |cause: &Cause| it.ruled_out.iter().any(|it| it.id == cause.id);
                let open =
                    CAUSES.iter().filter(|cause| cause.explains.contains(&symptom) && !excluded(cause));
                for cause in open {
                    if !candidates.iter().any(|there| there.cause == *cause) {
                        candidates.push(Candidate { cause, decides: String::new() });
                    }
                }
            }
        }
        candidates
    }

    /// What was excluded for each of the groups that it could have explained.
    pub fn ruled_out(&self, unexplained: &[usize]) -> Vec<RuledOut> {
        let mut all: Vec<RuledOut> = Vec::new();
        for it in self.of(unexplained).flat_map(|it| &it.ruled_out) {
            let elsewhere = self.of(unexplained).flat_map(|it| &it.blind).any(|(cause, _)| cause.id == it.id);
            if !elsewhere && !all.iter().any(|there| there.id == it.id) {
                all.push(it.clone());
            }
        }
        all
    }

    fn of<'s>(&'s self, unexplained: &'s [usize]) -> impl Iterator<Item = &'s Silent> {
        self.groups.iter().filter(|it| unexplained.contains(&it.group))
    }
}

/// The command that makes one request and so shows what logs did not: for one that failed and can be repeated, else
/// for anything that nginx serves. None where it was made.
pub fn next_look(scene: &Scene, unexplained: &[usize]) -> Option<String> {
    if scene.snapshot.trial.value().is_some() || !scene.nginx_runs() {
        return None;
    }
    let failures = &scene.failures;
    let groups = || unexplained.iter().map(|it| &scene.groups[*it]);
    let entries = groups().flat_map(|it| &it.entries).map(|it| &failures.entries[*it]);
    let of_entries = entries
        .filter(|it| it.method == "GET")
        .map(|it| (if it.host.is_empty() { &it.server } else { &it.host }, &it.path));
    let accesses = groups().flat_map(|it| &it.accesses).map(|it| &failures.accesses[*it]);
    let of_accesses = accesses.filter(|it| it.method == "GET").map(|it| (&it.host, &it.path));
    let failed = of_entries.chain(of_accesses).next();
    let failed = failed.map(|(host, path)| (host.split(':').next().unwrap_or_default(), path.as_str()));
    trial::proposal(scene.view, failed)
}
