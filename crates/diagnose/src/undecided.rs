//! What remains to be said of failures that nothing explains: which causes they can have, and what would decide.

use snapshot::{LogFile, LogKind};

use crate::case::Blind;
use crate::cause::Cause;
use crate::causes::CAUSES;
use crate::report::{BlindSpot, Candidate, RuledOut};
use crate::scene::Scene;
use crate::{silence, trial};

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
    pub fn candidates(&self, scene: &Scene, unexplained: &[usize], spots: &[BlindSpot]) -> Vec<Candidate> {
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
        let excluded = self.ruled_out(unexplained);
        for spot in spots.iter().filter(|it| !it.remedy.is_empty() && self.of(unexplained).next().is_some()) {
            let open = |cause: &&&Cause| {
                spot.costs.contains(&cause.id) && !excluded.iter().any(|it| it.id == cause.id)
            };
            for cause in CAUSES.iter().filter(open) {
                add(Candidate { cause, decides: spot.remedy.clone() });
            }
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

/// That silence says little where nginx keeps no log, with the request that would say more.
pub fn without_logs(scene: &Scene) -> Option<String> {
    let passes = scene.view.passes();
    let speaks = passes.iter().any(|it| silence::error_log_speaks(scene.view, scene.snapshot, Some(it)));
    let of_requests = |it: &LogFile| matches!(it.kind, LogKind::Access { .. }) && it.lines.value().is_some();
    let read = speaks || passes.is_empty() || scene.snapshot.logs.iter().any(of_requests);
    let command = next_look(scene, &[]).filter(|_| !read)?;
    Some(format!("no log of nginx tells of failures here; one request does: {command}"))
}

/// The command that makes one request and so shows what logs did not: for one that failed and can be repeated, else
/// for anything that nginx serves. None where it was made.
pub fn next_look(scene: &Scene, unexplained: &[usize]) -> Option<String> {
    if scene.snapshot.trial.value().is_some() || !scene.nginx_runs() {
        return None;
    }
    let failures = &scene.failures;
    // Where something was found, if only a guess, any of the failures will do.
    let all = 0..scene.groups.len();
    let groups = || {
        all.clone()
            .filter(|it| unexplained.is_empty() || unexplained.contains(it))
            .map(|it| &scene.groups[it])
    };
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

#[cfg(test)]
mod tests {
    use crate::report::{Report, Verdict};
    use crate::testing::*;
    use snapshot::{LogKind, Snapshot};

    /// A page that gets 502 without a word in the error log, as the access log tells.
    fn unexplained() -> Report {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[]);
        let report =
            crate::diagnose(&requested(host, &[("GET /cart HTTP/1.1", 504, "127.0.0.1:8080", "-", "-")]));
        assert_eq!(report.verdict, Verdict::Inconclusive, "{}", outline(&report));
        report
    }

    #[test]
    fn what_was_excluded_is_no_candidate() {
        let report = unexplained();
        assert!(!report.candidates.is_empty());
        let excluded = |id: &str| report.ruled_out.iter().any(|it| it.id == id);
        assert!(!report.candidates.iter().any(|it| excluded(it.cause.id)), "{report:?}");
    }

    #[test]
    fn the_request_that_failed_is_the_one_to_try() {
        let command = "why502 diagnose --url http://shop.example.com/cart";
        assert_eq!(unexplained().next_look.as_deref(), Some(command));
    }

    #[test]
    fn that_nothing_is_logged_is_said_of_a_host_that_seems_well() {
        let quiet =
            passing_to("proxy_pass http://127.0.0.1:8080").with(|it| sight(it, "127.0.0.1:8080", |_| {}));
        let told = |host: &Snapshot| {
            crate::diagnose(host).notes.iter().any(|it| it.contains("no log of nginx tells"))
        };
        assert!(told(&quiet));
        let requests = requested(quiet, &[]);
        assert!(requests.logs.iter().any(|it| matches!(it.kind, LogKind::Access { .. })));
        assert!(!told(&requests));
    }
}
