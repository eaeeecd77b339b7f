//! What the sums over whole logs say of groups of failures: of a long log only some lines of each sort are kept, while every
//! line was counted. How many failed, how they lie in time, and whether that is an incident or what fails every day.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Symptom;
use snapshot::{LogKind, Peer, Snapshot, Traffic};

use crate::failure::{Access, Failure};
use crate::groups::FailureGroup;
use crate::report::Stretch;
use crate::scene::Scene;

/// Failures further apart are not of one stretch.
const APART_SECONDS: i64 = 300;
/// A stretch of fewer failures is what networks do by themselves.
const FEW: u64 = 3;
/// What fails here and there fails as much in many stretches: the worst has less than this part of all.
const SCATTERED_ONE_IN: u64 = 4;
/// More than one request in that many is no background noise, however it is spread.
const NOISE_ONE_IN: u64 = 100;

/// The sums, by what lines and counts have in common.
pub struct Sums<'s, 'a> {
    scene: &'s Scene<'a>,
    traffic: Option<&'a Traffic>,
    /// Requests that a kept one stands for, by the address of the last try and the status.
    requests: HashMap<(String, u16), f64>,
    /// Entries that a kept one stands for.
    entries: HashMap<(Symptom, String), f64>,
    /// Of requests that went well after another try: as many as the entry stands for that tells of it.
    retried: HashMap<usize, f64>,
    /// How many entries were counted in each step, by symptom and by upstream as entries name it.
    logged: HashMap<(&'a str, String), Vec<(Timestamp, u64)>>,
    /// The same for requests, by the address of the last try and the status.
    answered: HashMap<(&'a str, u16), Vec<(Timestamp, u64)>>,
}

impl<'s, 'a> Sums<'s, 'a> {
    /// Of logs alone; where a host was looked at, each line stands for itself.
    pub fn of(scene: &'s Scene<'a>) -> Sums<'s, 'a> {
        let traffic = scene.snapshot.traffic.as_ref().filter(|_| scene.snapshot.is_of_logs());
        let mut sums = Sums {
            scene,
            traffic,
            requests: HashMap::new(),
            entries: HashMap::new(),
            retried: HashMap::new(),
            logged: HashMap::new(),
            answered: HashMap::new(),
        };
        let Some(traffic) = traffic else { return sums };
        let mut names: HashMap<&str, String> = HashMap::new();
        for step in &traffic.steps {
            for (symptom, upstream, count) in &step.symptoms {
                let name = names.entry(upstream).or_insert_with(|| name(upstream)).clone();
                sums.logged.entry((symptom.as_str(), name)).or_default().push((step.at, *count));
            }
            for (address, status, count) in &step.errors {
                sums.answered.entry((address.as_str(), *status)).or_default().push((step.at, *count));
            }
        }
        let mut kept: HashMap<(String, u16), u64> = HashMap::new();
        for it in scene.failures.accesses.iter().filter(|it| it.failed()) {
            *kept.entry(of_access(it)).or_default() += 1;
        }
        for upstream in &traffic.upstreams {
            for (status, count) in &upstream.finals {
                let key = (upstream.address.clone(), *status);
                if let Some(kept) = kept.get(&key) {
                    sums.requests.insert(key, (*count as f64 / *kept as f64).max(1.0));
                }
            }
        }
        let mut kept: HashMap<(Symptom, String), u64> = HashMap::new();
        for it in &scene.failures.entries {
            *kept.entry(of_entry(it)).or_default() += 1;
        }
        for it in &traffic.symptoms {
            let Ok(symptom) = it.symptom.parse() else { continue };
            let key = (symptom, name(&it.upstream));
            if let Some(kept) = kept.get(&key) {
                sums.entries.insert(key, (it.count as f64 / *kept as f64).max(1.0));
            }
        }
        for entry in &scene.failures.entries {
            if let Some(request) = entry.access {
                let count = sums.entry(entry);
                let known = sums.retried.entry(request).or_insert(count);
                *known = known.max(count);
            }
        }
        sums
    }

    /// How many requests a kept one stands for. One that went well after another try is counted by what the error log says.
    pub fn request(&self, index: usize) -> f64 {
        let access = &self.scene.failures.accesses[index];
        if access.failed() {
            return self.requests.get(&of_access(access)).copied().unwrap_or(1.0);
        }
        self.retried.get(&index).copied().unwrap_or(1.0)
    }

    /// Whether more requests failed like these than were kept: then an entry without a request may be of one that was not.
    pub fn leave_out(&self, accesses: &BTreeSet<usize>) -> bool {
        accesses.iter().any(|it| self.request(*it) > 1.0)
    }

    /// How many entries a kept one stands for.
    pub fn entry(&self, entry: &Failure) -> f64 {
        self.entries.get(&of_entry(entry)).copied().unwrap_or(1.0)
    }

    /// The stretches of time in which these groups failed, in their order.
    pub fn stretches(&self, groups: &BTreeSet<usize>) -> Vec<Stretch> {
        let Some(traffic) = self.traffic else { return Vec::new() };
        let groups: Vec<&FailureGroup> = groups.iter().map(|it| &self.scene.groups[*it]).collect();
        let mut moments = self.counted(&groups);
        if moments.is_empty() {
            moments = self.kept(&groups);
        }
        moments.sort_by_key(|it| it.0);
        let width = SignedDuration::from_secs(i64::from(traffic.step_seconds.max(1)));
        let apart = SignedDuration::from_secs(APART_SECONDS).max(width + width);
        let mut stretches: Vec<Stretch> = Vec::new();
        for (at, count) in moments {
            match stretches.last_mut().filter(|it| at.duration_since(it.to) <= apart) {
                Some(it) => (it.to, it.failed) = (it.to.max(at), it.failed + count),
                None => stretches.push(Stretch { from: at, to: at, failed: count, requests: 0 }),
            }
        }
        let begin_of = |at: Timestamp| traffic.steps.partition_point(|it| it.at + width <= at);
        for it in &mut stretches {
            let steps = &traffic.steps[begin_of(it.from)..];
            it.requests = steps.iter().take_while(|step| step.at <= it.to).map(|it| it.requests).sum();
            // A step is told by its beginning.
            it.to = it.to.checked_add(width).unwrap_or(it.to).min(self.scene.snapshot.window.to);
        }
        stretches
    }

    /// By the sums: each step with as many failures as were counted in it.
    fn counted(&self, groups: &[&FailureGroup]) -> Vec<(Timestamp, u64)> {
        let logged: BTreeSet<(&str, String)> = groups
            .iter()
            .filter(|it| !it.entries.is_empty())
            .map(|it| (it.symptom.id(), it.peer.as_ref().map(Peer::to_string).unwrap_or_default()))
            .collect();
        let silent = groups.iter().filter(|it| it.entries.is_empty()).flat_map(|it| &it.accesses);
        let answered: BTreeSet<(String, u16)> =
            silent.map(|it| of_access(&self.scene.failures.accesses[*it])).collect();
        let entries = logged.iter().filter_map(|it| self.logged.get(it));
        let requests = answered.iter().filter_map(|it| self.answered.get(&(it.0.as_str(), it.1)));
        let mut moments: BTreeMap<Timestamp, u64> = BTreeMap::new();
        for (at, count) in entries.chain(requests).flatten() {
            *moments.entry(*at).or_default() += count;
        }
        moments.into_iter().filter(|it| it.1 > 0).collect()
    }

    /// By the lines that are kept, where no step tells.
    fn kept(&self, groups: &[&FailureGroup]) -> Vec<(Timestamp, u64)> {
        let failures = &self.scene.failures;
        let mut moments: Vec<(Timestamp, u64)> = Vec::new();
        for group in groups {
            moments.extend(group.entries.iter().map(|it| (failures.entries[*it].at, 1)));
            let alone = group.accesses.iter().filter(|it| !failures.accesses[**it].explained);
            moments.extend(alone.map(|it| (failures.accesses[*it].at, self.request(*it) as u64)));
        }
        moments
    }
}

/// Whether the error log told of a request whose entry was not kept: in that minute it told of as many failures at the same
/// server as requests failed there.
pub fn is_told(access: &Access, snapshot: &Snapshot) -> bool {
    let Some(traffic) = snapshot.traffic.as_ref().filter(|_| snapshot.is_of_logs()) else { return false };
    let errors = snapshot.logs.iter().filter(|it| it.kind == LogKind::Error);
    if errors.filter_map(|it| it.lines.value()).all(|it| it.left_out_total == 0) {
        return false;
    }
    let (address, status) = of_access(access);
    let width = SignedDuration::from_secs(i64::from(traffic.step_seconds.max(1)));
    let begin = traffic.steps.partition_point(|it| it.at + width <= access.at);
    let Some(step) = traffic.steps.get(begin).filter(|it| it.at <= access.at) else { return false };
    let failed: u64 = step.errors.iter().filter(|it| it.0 == address && it.1 == status).map(|it| it.2).sum();
    let peer = if address == "-" { String::new() } else { name(&address) };
    let told = step.symptoms.iter().filter(|it| it.0 != "other" && name(&it.1) == peer);
    failed > 0 && told.map(|it| it.2).sum::<u64>() >= failed
}

/// Entries of a group's symptom at its peer, of which only some are kept.
pub fn logged(snapshot: &Snapshot, group: &FailureGroup) -> u64 {
    let Some(traffic) = snapshot.traffic.as_ref().filter(|_| snapshot.is_of_logs()) else { return 0 };
    let peer = group.peer.as_ref().map(Peer::to_string).unwrap_or_default();
    let same =
        traffic.symptoms.iter().filter(|it| it.symptom == group.symptom.id() && name(&it.upstream) == peer);
    same.map(|it| it.count).sum()
}

/// The stretch in which most failed.
pub fn worst(stretches: &[Stretch]) -> Option<&Stretch> {
    stretches.iter().max_by_key(|it| it.failed)
}

/// Whether failures come here and there all the time, a few of many requests, and never many at once.
pub fn is_scattered(stretches: &[Stretch], total: Option<u64>) -> bool {
    let all: u64 = stretches.iter().map(|it| it.failed).sum();
    let Some(worst) = worst(stretches) else { return false };
    stretches.len() > 1
        && total.is_some_and(|total| all * NOISE_ONE_IN < total)
        && (worst.failed <= FEW || worst.failed * SCATTERED_ONE_IN <= all)
}

/// How much it did to clients: of the same count, what comes at once and hits most of the requests weighs more.
pub fn severity(stretches: &[Stretch]) -> f64 {
    stretches.iter().map(|it| it.failed as f64 * it.share().unwrap_or(1.0).sqrt()).sum()
}

/// Whether both failed at the same time, as far as the worst of each goes.
pub fn at_once(one: &[Stretch], other: &[Stretch]) -> bool {
    let Some((one, other)) = worst(one).zip(worst(other)) else { return false };
    one.from <= other.to && other.from <= one.to
}

fn of_access(access: &Access) -> (String, u16) {
    let address = access.last_attempt().and_then(|it| it.addr.clone());
    (address.unwrap_or_else(|| "-".to_owned()), access.status)
}

fn of_entry(entry: &Failure) -> (Symptom, String) {
    (entry.symptom, entry.peer.as_ref().map(Peer::to_string).unwrap_or_default())
}

/// An upstream as entries of error logs name it.
fn name(upstream: &str) -> String {
    if upstream.is_empty() { String::new() } else { Peer::from(upstream.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stretch that begins at that minute.
    fn stretch(minute: i64, failed: u64, requests: u64) -> Stretch {
        let from = Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
        Stretch { from, to: from + SignedDuration::from_secs(60), failed, requests }
    }

    #[test]
    fn a_few_failures_now_and_then_are_no_incident() {
        let now_and_then: Vec<Stretch> = (0..30).map(|it| stretch(it * 45, 2, 60)).collect();
        assert!(is_scattered(&now_and_then, Some(80_000)));
        assert!(!is_scattered(&now_and_then, Some(2_000)), "three of a hundred requests are many");
        let with_outage: Vec<Stretch> = now_and_then.into_iter().chain([stretch(2000, 40, 60)]).collect();
        assert!(!is_scattered(&with_outage, Some(80_000)));
    }

    #[test]
    fn what_hits_most_requests_at_once_weighs_more_than_as_many_over_the_day() {
        let at_once = [stretch(0, 50, 60)];
        let over_the_day: Vec<Stretch> = (0..25).map(|it| stretch(it * 50, 2, 60)).collect();
        assert!(severity(&at_once) > 2.0 * severity(&over_the_day));
    }
}
