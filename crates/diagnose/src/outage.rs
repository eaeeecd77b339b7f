//! Why nobody took the connection: one classification that the causes of the backend's process share, so that exactly
//! one of them claims an outage.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Symptom;
use nginx_logs::backend::EventKind;
use snapshot::{ConnectOutcome, Peer, Process, Unit};

use crate::app::AppKind;
use crate::case::{Blind, Case};
use crate::events::{self, Event};
use crate::failure::{Access, Failure};
use crate::groups;
use crate::scene::Scene;
use crate::story::{self, How, Life};
use crate::verdict::{Fact, Factual};
use crate::vitals;

/// A process that ends sooner than this after its start, without having answered anything, did not get through its
/// start. Longer than the start of slow frameworks, shorter than the life of what serves.
const STARTING: SignedDuration = SignedDuration::from_secs(20);
/// Programs that retry a bind do so once a second and give up within this time, as a rule; the others end at once.
const BINDING: SignedDuration = SignedDuration::from_secs(6);
/// A failure this close to the end or start of a run belongs to it.
pub const NEAR: SignedDuration = SignedDuration::from_secs(3);

/// What became of the backend.
#[derive(Debug, Clone)]
pub enum Outage<'s, 'a> {
    /// It listens, and nothing was seen to interrupt it.
    None,
    /// It is not this host's.
    Remote,
    /// Nothing is defined to listen there.
    Undefined,
    /// Its unit is not running, and nobody but an operator ended it.
    Stopped {
        /// The unit.
        unit: &'a Unit,
        /// That it does not run.
        fact: Fact,
        /// When it was stopped, if that is known.
        at: Option<Timestamp>,
    },
    /// Its start fails.
    StartFails {
        /// The unit.
        unit: &'a Unit,
        /// That it fails.
        fact: Fact,
        /// What the program itself said.
        words: Vec<Fact>,
        /// How many starts failed in the window.
        attempts: usize,
        /// Whether it is known that it had not served.
        sure: bool,
    },
    /// Somebody else holds its address.
    AddressTaken {
        /// The unit that should listen.
        unit: &'a Unit,
        /// Who listens instead, if anybody does.
        holder: Option<&'a Process>,
        /// That binding failed.
        fact: Fact,
    },
    /// It had served, and died by itself.
    Died {
        /// The unit.
        unit: &'a Unit,
        /// The last such end.
        fact: Fact,
        /// What the program said.
        words: Vec<Fact>,
        /// How often in the window.
        deaths: usize,
        /// Whether it is known that it had served.
        sure: bool,
    },
    /// The OOM killer took it.
    OomKilled {
        /// The unit.
        unit: &'a Unit,
        /// The line.
        fact: Fact,
    },
    /// It was started or restarted at the time of the failures, and is fine outside of them.
    Restarting {
        /// The unit.
        unit: &'a Unit,
        /// The starts near failures.
        starts: Vec<&'s Event>,
        /// Share of the failures that lie around them.
        covered: f64,
    },
}

/// Classifies the outage that a group of refused or unconnectable attempts shows.
pub fn of<'s, 'a>(case: &Case<'s, 'a>) -> Result<Outage<'s, 'a>, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local {
        return Ok(Outage::Remote);
    }
    let meant = backend.meant.as_ref().and_then(|it| it.unit).filter(|it| !rested(case, it));
    let serving = backend.processes.iter().find_map(|it| it.unit.as_deref()).and_then(|it| scene.unit(it));
    if let (Some(meant), Some(holder)) = (meant, backend.processes.first())
        && serving.is_none_or(|it| it.name != meant.name)
        && backend.meant.as_ref().is_some_and(|it| it.defined)
    {
        if let Some(taken) = bind_failure(scene, meant) {
            return Ok(Outage::AddressTaken { unit: meant, holder: Some(holder), fact: taken });
        }
        // Why it does not run, its own lines would say.
        if meant.active_state != "active" {
            scene.journal()?;
        }
    }
    let Some(unit) = serving.or(meant).or_else(|| silent_unit(case)) else {
        // Units that may not be seen could well define it.
        if backend.listening.is_none() && scene.snapshot.host.systemd {
            scene.units()?;
        }
        return Ok(if backend.listening.is_some() { Outage::None } else { Outage::Undefined });
    };
    // It listens, and yet our own attempt fails: something between nginx and it is at work, not its process.
    let refused_now = |it: &ConnectOutcome| !matches!(it, ConnectOutcome::Connected { .. });
    if serving.is_some() && case.sight().and_then(|it| it.connect.value()).is_some_and(refused_now) {
        return Ok(Outage::None);
    }
    let lives = story::lives(scene, &unit.name);
    if let Some(kill) = oom_kill(scene, unit, &lives, case.group.first) {
        return Ok(Outage::OomKilled { unit, fact: kill });
    }
    if backend.listening.is_some() && serving.is_some() {
        // It was started after the first failure: who did that, and what came before, only the journal tells.
        if unit.main_started_at.is_some_and(|it| it > case.group.first) {
            scene.journal()?;
        }
        return Ok(interrupted(case, unit, lives));
    }
    down(case, unit, &lives)
}

/// Whether the unit was at rest while the peer still answered: then it was another that served, whatever this one's
/// command line says of the address. A check or a client names it as well.
fn rested(case: &Case, unit: &Unit) -> bool {
    let ends = story::lives(case.scene, &unit.name).into_iter().filter_map(|it| it.end).map(|it| it.at).max();
    let ended = unit.main_exited_at.max(unit.inactive_since).max(ends);
    // Without upstream fields, the answers of a group are anybody's.
    let alone = case.scene.pass(case.group).is_some_and(|it| it.addresses(case.scene.view).len() == 1);
    let own = good_answers(case).filter(|it| alone || it.tells_upstream).map(|it| it.at);
    let answered = own.filter(|at| *at < case.group.first).max();
    matches!(unit.active_state.as_str(), "inactive" | "failed")
        && ended.zip(answered).is_some_and(|(ended, answered)| ended + NEAR < answered)
}

/// It does not listen: why?
fn down<'s, 'a>(case: &Case<'s, 'a>, unit: &'a Unit, lives: &[Life<'s>]) -> Result<Outage<'s, 'a>, Blind> {
    let scene = case.scene;
    let state = state_fact(scene, unit);
    let troubled = unit.active_state == "failed"
        || unit.sub_state == "auto-restart"
        || unit.active_state != "active" && unit.result != "success" && !unit.result.is_empty();
    let last_end = lives.iter().rev().find_map(|it| it.end.as_ref());
    if !troubled && unit.active_state == "active" {
        // It runs but does not listen there: it is just starting, or its address is not what its definition says.
        return match lives.last().and_then(|it| it.started_at) {
            Some(started)
                if scene.now().duration_since(started) < STARTING && lives.iter().any(Life::died) =>
            {
                died_or_failed(case, unit, lives, state)
            }
            _ => Ok(given_up(case, unit).unwrap_or(Outage::None)),
        };
    }
    if !troubled && last_end.is_none_or(|it| it.how == How::Stopped) {
        let at = last_end.map(|it| it.at).or(unit.inactive_since);
        return Ok(Outage::Stopped { unit, fact: state, at });
    }
    // Nobody else holds the address, so that what answered since was this unit.
    let served_since = |at: Timestamp| {
        lives.iter().any(|it| it.started_at > Some(at) && has_served(case, it, lives) == Some(true))
    };
    if let Some(taken) = bind_failure(scene, unit).filter(|it| !it.at.is_some_and(served_since)) {
        return Ok(Outage::AddressTaken { unit, holder: None, fact: taken });
    }
    died_or_failed(case, unit, lives, state)
}

/// A supervisor that is well, of which one program has said that it listens there, and then that it cannot start.
fn given_up<'s, 'a>(case: &Case<'s, 'a>, unit: &'a Unit) -> Option<Outage<'s, 'a>> {
    let meant = case.backend.as_ref().ok()?.meant.as_ref()?;
    let announced = meant.fact.at.filter(|_| !meant.defined)?;
    let gave_up = case.scene.events.iter().rev().find(|it| {
        it.unit == unit.name
            && matches!(it.kind, EventKind::StartFailed { .. } | EventKind::UncaughtError { .. })
            && it.at >= announced
            && it.at.duration_since(announced) < STARTING
    })?;
    let words = story::last_words(case.scene, &unit.name, gave_up.at);
    // Lines of its other programs stand between: which of them spoke is a guess.
    Some(Outage::StartFails { unit, fact: gave_up.fact(), words, attempts: 1, sure: false })
}

fn died_or_failed<'s, 'a>(
    case: &Case<'s, 'a>,
    unit: &'a Unit,
    lives: &[Life<'s>],
    state: Fact,
) -> Result<Outage<'s, 'a>, Blind> {
    let scene = case.scene;
    let deaths: Vec<&Life> = lives.iter().filter(|it| it.died()).collect();
    let end_at = deaths.last().and_then(|it| it.end.as_ref()).map(|it| it.at);
    let at = end_at.or(unit.main_exited_at).or(unit.inactive_since).unwrap_or(case.group.last);
    let words = story::last_words(scene, &unit.name, at);
    let fact = deaths.last().and_then(|it| it.end.as_ref()).map_or(state, |it| it.event.fact());
    if deaths.is_empty() {
        // It ended before the journal's window, or the journal may not be seen: systemd still knows its last run.
        return Ok(match (unit.main_started_at, unit.main_exited_at) {
            (Some(started), Some(ended)) if served_between(case, started, ended) == Some(true) => {
                Outage::Died { unit, fact, words, deaths: 1, sure: true }
            }
            _ => {
                scene.journal()?;
                Outage::StartFails { unit, fact, words, attempts: 1, sure: true }
            }
        });
    }
    let known: Vec<bool> = deaths.iter().filter_map(|it| has_served(case, it, lives)).collect();
    let most = known.iter().filter(|it| **it).count() * 2 > known.len();
    // What matters is whether the last run got through; where the clock of the log cannot tell, the others speak for it.
    let last = deaths.last().and_then(|it| has_served(case, it, lives));
    let sure = last.is_some() || !known.is_empty();
    Ok(if last.unwrap_or(most) {
        Outage::Died { unit, fact, words, deaths: deaths.len(), sure }
    } else {
        Outage::StartFails { unit, fact, words, attempts: deaths.len(), sure }
    })
}

/// Whether a run answered requests, as `served_between`; a run that began before the window did.
fn has_served(case: &Case, life: &Life, lives: &[Life]) -> Option<bool> {
    let Some(end) = &life.end else { return Some(true) };
    match life.started_at {
        _ if end.how == How::NeverBegan => Some(false),
        None => Some(true),
        // It answered nothing, and yet ends as it is asked, while it turns nobody away: it got through its start.
        Some(_) if was_cut(case, end.at) && !refuses(case) => Some(true),
        Some(started) => served_between(case, started, end.at).or_else(|| {
            let answered = was_cut(case, end.at) || only_one(case, life, lives);
            (answered || follows_another(started, lives)).then_some(answered)
        }),
    }
}

/// Whether another run had ended just before this one began: then the answers of that second are its.
fn follows_another(started: Timestamp, lives: &[Life]) -> bool {
    let mut ends = lives.iter().filter_map(|it| it.end.as_ref()).map(|it| it.at);
    ends.any(|at| at <= started && started.duration_since(at) < NEAR)
}

/// Whether the backend hung up on a request as that run ended: then it had taken one. Some servers take connections before
/// they load the application, so that says nothing about them.
fn was_cut(case: &Case, ended: Timestamp) -> bool {
    let cut = |it: &&Failure| {
        it.peer.as_ref() == case.peer()
            && matches!(it.symptom, Symptom::PrematureClose | Symptom::ReadReset)
            && it.at.duration_since(ended).abs() < NEAR
    };
    case.backend.as_ref().is_ok_and(|it| !vitals::is_pool(it.kind))
        && case.scene.failures.entries.iter().any(|it| cut(&it))
}

/// Whether connections to the peer were refused: then it is down for a while between its runs, or does not get that far.
fn refuses(case: &Case) -> bool {
    let refused = |it: &&Failure| {
        it.peer.as_ref() == case.peer()
            && matches!(it.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing)
    };
    case.scene.failures.entries.iter().any(|it| refused(&it))
}

/// Whether no other run can have given the answers of this peer: it is the first that is known of, and the group has no
/// other server.
fn only_one(case: &Case, life: &Life, lives: &[Life]) -> bool {
    let alone = case.scene.pass(case.group).is_some_and(|it| it.addresses(case.scene.view).len() == 1);
    let first = lives.first().is_some_and(|it| it.started_at.is_some() && it.started_at == life.started_at);
    first && (alone || good_answers(case).all(|it| it.tells_upstream))
}

/// Whether a run between these moments answered requests: some went well during it, or, where no log tells, it was long
/// enough. None when it began in the very second of an answer, which the run before may have given.
fn served_between(case: &Case, started: Timestamp, ended: Timestamp) -> Option<bool> {
    if ended.duration_since(started) > STARTING {
        return Some(true);
    }
    let answers: Vec<Timestamp> = good_answers(case).map(|it| it.at).filter(|at| *at <= ended).collect();
    // Log stamps are whole seconds, rounded down.
    let second = SignedDuration::from_secs(1);
    match answers.iter().max() {
        Some(last) if *last >= started => Some(true),
        Some(last) if *last + second > started => None,
        _ => Some(false),
    }
}

/// Requests that this peer answered well, among those that the Snapshot keeps.
pub fn good_answers<'s>(case: &Case<'s, '_>) -> impl Iterator<Item = &'s Access> + use<'s> {
    good_answers_of(case.scene, case.peer())
}

/// The same for any peer; none are known of a peer that is not.
pub fn good_answers_of<'s>(
    scene: &'s Scene,
    peer: Option<&Peer>,
) -> impl Iterator<Item = &'s Access> + use<'s> {
    let name = peer.map(Peer::to_string);
    let leading: Vec<usize> = peer.map_or_else(Vec::new, |peer| {
        let passes = scene.view.passes().iter().enumerate();
        passes
            .filter(|(_, it)| groups::leads_to(it, peer, scene.view, scene.snapshot))
            .map(|(index, _)| index)
            .collect()
    });
    scene.failures.accesses.iter().filter(move |it| {
        let by = it.last_attempt().and_then(|it| it.addr.as_deref());
        let ours = if it.tells_upstream {
            by.is_some() && by == name.as_deref()
        } else {
            it.passes.iter().any(|pass| leading.contains(pass))
        };
        ours && (100..500).contains(&it.status) && it.status != 499
    })
}

/// Whether the failures go by what is asked for: a few paths fail, and none of them was answered well.
pub fn particular(case: &Case) -> bool {
    let paths = &case.group.paths;
    let few = paths.len() <= 3 || (paths.len() as u64) * 2 <= case.group.count;
    let good: Vec<&Access> = good_answers(case).collect();
    few && !paths.is_empty()
        && !good.is_empty()
        && paths.iter().all(|(path, _)| !good.iter().any(|it| it.path == *path))
}

/// It listens now: was it interrupted at the time of the failures?
fn interrupted<'s, 'a>(case: &Case<'s, 'a>, unit: &'a Unit, lives: Vec<Life<'s>>) -> Outage<'s, 'a> {
    let deaths: Vec<&Life> = lives
        .iter()
        .filter(|it| it.died())
        .filter(|it| it.end.as_ref().is_some_and(|end| belongs(case, end.at)))
        .collect();
    if let Some(end) = deaths.last().and_then(|it| it.end.as_ref())
        && around_deaths(case, &deaths, &lives)
    {
        let words = story::last_words(case.scene, &unit.name, end.at);
        let served: Vec<Option<bool>> = deaths.iter().map(|it| has_served(case, it, &lives)).collect();
        if served.iter().any(|it| *it != Some(false)) {
            let sure = served.contains(&Some(true));
            return Outage::Died { unit, fact: end.event.fact(), words, deaths: deaths.len(), sure };
        }
        return Outage::StartFails {
            unit,
            fact: end.event.fact(),
            words,
            attempts: deaths.len(),
            sure: true,
        };
    }
    let cut = is_cut(case);
    let starts: Vec<&Event> = case
        .scene
        .events
        .iter()
        .filter(|it| it.unit == unit.name)
        .filter(|it| match it.kind {
            // A reload keeps the socket; what it can do is to end workers in the middle of a request.
            EventKind::UnitReloading { .. } => cut && it.source == "journal",
            EventKind::UnitStarting { .. }
            | EventKind::UnitStarted { .. }
            | EventKind::UnitStopping { .. } => it.source == "journal",
            EventKind::WorkerStarted => it.source == events::PROCESS,
            _ => false,
        })
        .collect();
    let first = lives.first().and_then(|it| it.started_at);
    let (around, all) = around_starts(case, unit, &starts, first);
    if around > 0 {
        return Outage::Restarting { unit, starts, covered: around as f64 / all.max(1) as f64 };
    }
    Outage::None
}

/// Whether the unplanned ends of runs explain most of the failures: those from shortly before an end until the backend was
/// seen to be back, or was given up.
fn around_deaths(case: &Case, deaths: &[&Life], lives: &[Life]) -> bool {
    let mut back: Vec<Timestamp> = good_answers(case).map(|it| it.at).collect();
    back.sort();
    let gaps = deaths.iter().filter_map(|it| it.end.as_ref()).map(|end| {
        let next = lives.iter().filter_map(|it| it.started_at).find(|at| *at >= end.at);
        let since = next.unwrap_or(end.at) + SignedDuration::from_secs(1);
        let until = back.iter().copied().find(|it| *it >= since);
        (end.at - NEAR, until.map_or(since + STARTING, |it| it.min(since + STARTING)))
    });
    let gaps: Vec<(Timestamp, Timestamp)> = gaps.collect();
    let times: Vec<Timestamp> = case.entries().map(|it| it.at).collect();
    let inside = times.iter().filter(|at| gaps.iter().any(|(from, to)| **at >= *from && **at <= *to)).count();
    times.is_empty() || inside * 2 >= times.len()
}

/// Whether running connections were cut, which a stop does and a start does not.
fn is_cut(case: &Case) -> bool {
    !matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing)
}

/// How many failures lie in the gap around a start: from a little before it until the backend is seen to be back. A start
/// after which nothing shows that it is back says nothing about where its gap ends, and is not counted. Log stamps are whole
/// seconds, rounded down: an answer in the second of the `first` start, before which nothing ran, came after it.
fn around_starts(case: &Case, unit: &Unit, starts: &[&Event], first: Option<Timestamp>) -> (usize, usize) {
    let times: Vec<Timestamp> = case.entries().map(|it| it.at).collect();
    let mut back: Vec<Timestamp> = good_answers(case).map(|it| it.at).collect();
    let listening = |it: &&Event| it.unit == unit.name && matches!(it.kind, EventKind::Listening { .. });
    back.extend(case.scene.events.iter().filter(listening).map(|it| it.at));
    back.sort();
    let cut = is_cut(case);
    let in_gap = |at: Timestamp| {
        starts.iter().any(|start| {
            let stop = matches!(start.kind, EventKind::UnitStopping { .. } | EventKind::UnitReloading { .. });
            if cut {
                return stop && start.near(at, NEAR);
            }
            if first != Some(start.at) {
                let end = back.iter().copied().find(|it| *it > start.at);
                return end.is_some_and(|end| at >= start.at - NEAR && at <= end);
            }
            // What failed in the second of the first answer may as well have failed after it, for another reason.
            let end = back.iter().copied().find(|it| *it + SignedDuration::from_secs(1) > start.at);
            end.is_some_and(|end| at >= start.at - NEAR && at < end)
        })
    };
    (times.iter().filter(|it| in_gap(**it)).count(), times.len())
}

/// Whether a moment lies in the span of the failures.
fn belongs(case: &Case, at: Timestamp) -> bool {
    at >= case.group.first - NEAR - SignedDuration::from_secs(7) && at <= case.group.last + NEAR
}

/// Whether the unit was found by the time of its trouble alone: then nothing about it is certain.
pub fn by_timing(case: &Case) -> bool {
    case.backend.as_ref().is_ok_and(|it| it.meant.is_none() && it.processes.is_empty())
}

/// A failed unit without any word about its address, whose trouble begins when the failures do: nothing else explains
/// it, and the timing does. Only for a peer that answered before.
fn silent_unit<'a>(case: &Case<'_, 'a>) -> Option<&'a Unit> {
    let scene = case.scene;
    let backend = case.backend.as_ref().ok()?;
    if backend.listening.is_some() {
        return None;
    }
    let last_good = good_answers(case).map(|it| it.at).filter(|at| *at <= case.group.first).max();
    let first = case.group.first;
    let ended = |unit: &Unit| unit.main_exited_at.or(unit.inactive_since);
    let units = scene
        .snapshot
        .units
        .value()?
        .iter()
        .filter(|it| it.name.ends_with(".service") && it.load_state == "loaded");
    let mut close: Vec<(SignedDuration, &Unit)> = units
        .filter(|it| {
            // A job that is done ends as well, but nobody stops it.
            let stopped = || {
                story::lives(scene, &it.name).last().and_then(|it| it.end.as_ref()).map(|it| &it.how)
                    == Some(&How::Stopped)
            };
            it.active_state == "failed"
                || it.sub_state == "auto-restart"
                || it.active_state == "inactive" && stopped()
        })
        .filter(|it| AppKind::of_command(&it.exec_start) != AppKind::NoBackend)
        .filter_map(|it| {
            let ended = ended(it)?;
            let in_time = ended <= first + NEAR && last_good.is_none_or(|good| ended >= good - NEAR);
            in_time.then(|| (first.duration_since(ended).abs(), it))
        })
        .collect();
    close.sort_by_key(|(distance, _)| *distance);
    let window = SignedDuration::from_secs(60);
    close.first().filter(|(distance, _)| last_good.is_some() && *distance <= window).map(|(_, it)| *it)
}

/// That a unit does not run, in systemd's words.
pub fn state_fact(scene: &Scene, unit: &Unit) -> Fact {
    let mut says = format!("{} is {} ({})", unit.name, unit.active_state, unit.sub_state);
    if !unit.result.is_empty() && unit.result != "success" {
        says += &format!(", result {}", unit.result);
    }
    if unit.file_state == "disabled" {
        says += ", and not enabled";
    } else if unit.file_state == "masked" || unit.load_state == "masked" {
        says += ", masked";
    }
    if let Some(since) = unit.inactive_since.filter(|_| unit.active_state != "active") {
        says += &format!(", since {}", scene.clock(since));
    }
    scene.snapshot.units.fact("unit", says).reference(format!("systemctl status {}", unit.name))
}

/// The unit's last failure to bind its address, if it came after its last start.
fn bind_failure(scene: &Scene, unit: &Unit) -> Option<Fact> {
    let of_unit = |it: &&Event| it.unit == unit.name;
    let event = scene
        .events
        .iter()
        .rev()
        .filter(of_unit)
        .find(|it| matches!(it.kind, EventKind::BindFailed { .. }))?;
    // A start that got through afterwards has settled it: it says so, or it ran on for a while.
    let said = scene
        .events
        .iter()
        .any(|it| it.unit == unit.name && it.at > event.at && matches!(it.kind, EventKind::Listening { .. }));
    let ran = |it: &Life| {
        let until = it.end.as_ref().map_or(scene.now(), |it| it.at);
        it.started_at.is_some_and(|at| at > event.at && until.duration_since(at) > BINDING)
    };
    let settled = said || story::lives(scene, &unit.name).iter().any(ran);
    (!settled).then(|| event.fact())
}

/// The OOM kill of a process of this unit around the failures, from the kernel, systemd or the unit's own result.
pub fn oom_kill(scene: &Scene, unit: &Unit, lives: &[Life], first: Timestamp) -> Option<Fact> {
    let since = first - SignedDuration::from_secs(30);
    let inside = |cgroup: &str| {
        let below = cgroup.strip_prefix(unit.cgroup.as_str()).filter(|_| !unit.cgroup.is_empty());
        below.is_some_and(|it| it.is_empty() || it.starts_with('/'))
            || cgroup.split('/').any(|it| it == unit.name)
    };
    // A service outlives the kill of a worker: the end of a run that came with it shows that this one did not.
    let ended = |at: Timestamp| {
        let mut ends = lives.iter().filter_map(|it| it.end.as_ref());
        scene.snapshot.journal.value().is_none()
            || ends.any(|it| it.how != How::Stopped && it.at.duration_since(at).abs() < NEAR)
    };
    let kernel = scene.events.iter().filter(|it| it.at >= since).find(|it| match &it.kind {
        EventKind::OomKill { cgroup: Some(cgroup), .. } => inside(cgroup) && ended(it.at),
        EventKind::UnitOomKill { unit: name } => *name == unit.name && ended(it.at),
        EventKind::UnitFailed { unit: name, result } => *name == unit.name && result == "oom-kill",
        _ => false,
    });
    if let Some(event) = kernel {
        return Some(event.fact());
    }
    if unit.result == "oom-kill" && lives.is_empty() {
        return Some(state_fact(scene, unit));
    }
    None
}

/// What else became of the backend, as a reason.
pub fn why_not(outage: &Outage) -> String {
    match outage {
        Outage::None => "the backend listens, and nothing interrupted it".to_owned(),
        Outage::Remote => "the backend is on another host".to_owned(),
        Outage::Undefined => "nothing on this host is set up to listen there".to_owned(),
        Outage::Stopped { unit, .. } => format!("{} was stopped, it did not fail", unit.name),
        Outage::StartFails { unit, .. } => format!("{} was started and did not come up", unit.name),
        Outage::AddressTaken { unit, .. } => format!("{} could not bind its address", unit.name),
        Outage::Died { unit, .. } => format!("{} had served and died", unit.name),
        Outage::OomKilled { unit, .. } => format!("the OOM killer took {}", unit.name),
        Outage::Restarting { unit, .. } => format!("{} was (re)started at that time", unit.name),
    }
}

#[cfg(test)]
mod tests;
