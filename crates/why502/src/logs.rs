//! `why502 logs`: what failed, where, since when and because of what, from logs alone.

use std::sync::Mutex;

use collect::input::{self, Ask, Progress, Unreadable};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use snapshot::{Snapshot, Window};
use traffic::{By, Options, Scanner, Tally};

use crate::arguments::{Field, Logs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::moment::{Moment, Since};
use crate::verbs::show;

/// Does what `logs` was asked.
pub fn logs(asked: &Logs) -> Result<Exit, Failure> {
    if asked.names.is_empty() {
        return Err(Failure::new("no log was named")
            .advise("the files, a directory such as /var/log/nginx, - or journal:nginx.service"));
    }
    let zone = asked.timezone.clone().unwrap_or_else(TimeZone::system);
    let window = window(asked.since, asked.until, &Timestamp::now().to_zoned(zone.clone()))?;
    let by: Vec<By> = asked.by.iter().filter_map(|it| by(*it)).collect();
    let options =
        Options { window, zone: zone.clone(), by, statuses: asked.status.clone(), ..Options::default() };
    let ask = Ask {
        names: asked.names.clone(),
        since: window.map(|it| it.from),
        until: window.map(|it| it.to),
        formats: Vec::new(),
        zone,
    };
    let (snapshot, unreadable) = read(&ask, &options);
    for it in &unreadable {
        eprint!("{}", cannot_read(it));
    }
    if unreadable.len() == asked.names.len() {
        return Err(Failure::new("no log could be read"));
    }
    let mut report = diagnose::diagnose(&snapshot);
    report.notes.extend(unreadable.iter().map(|it| format!("{} was not read: {}", it.name, it.error)));
    show(&report, &asked.show, asked.top.map(|it| it as usize))
}

pub fn cannot_read(it: &Unreadable) -> Failure {
    let failure = Failure::new("a log cannot be read").at(&it.name).because(it.error.to_string());
    match &it.advice {
        Some(advice) => failure.advise(advice.as_str()),
        None => failure,
    }
}

/// None where everything was asked for.
pub fn window(since: Option<Since>, until: Option<Moment>, now: &Zoned) -> Result<Option<Window>, Failure> {
    let at = |it: Moment, option: &str| {
        it.resolve(now).map_err(|why| Failure::new("that is no time").at(option).because(why))
    };
    let from = match since {
        None | Some(Since::All) => None,
        Some(Since::At(it)) => Some(at(it, "--since")?),
    };
    let to = until.map(|it| at(it, "--until")).transpose()?;
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let window = Window { from: from.unwrap_or(Timestamp::MIN), to: to.unwrap_or(Timestamp::MAX) };
    if window.from >= window.to {
        return Err(Failure::new("the window ends before it begins")
            .at("--since, --until")
            .advise("a --since that is earlier than --until"));
    }
    Ok(Some(window))
}

fn by(field: Field) -> Option<By> {
    Some(match field {
        Field::Url => By::Url,
        Field::Client => By::Client,
        Field::Server => By::Server,
        Field::Location => By::Location,
        Field::Status => By::Status,
        Field::Upstream => By::Upstream,
        Field::Reason => By::Reason,
        Field::Method => By::Method,
        Field::Symptom => By::Symptom,
        Field::Minute => return None,
    })
}

fn read(ask: &Ask, options: &Options) -> (Snapshot, Vec<Unreadable>) {
    let (input, unreadable) = input::open(ask);
    let scanners: Vec<Scanner> =
        input.sources().iter().map(|it| Scanner::new(it.shape.clone(), options)).collect();
    let counted = Mutex::new(0);
    let (_, tallies) = input.read(
        &Progress::default(),
        || Tally::new(options),
        |tally, block| *counted.lock().expect("nothing panics") += scanners[block.source].scan(block, tally),
        |_, _, ()| {},
    );
    let mut all = Tally::new(options);
    tallies.into_iter().for_each(|it| all.merge(it));
    let (traffic, _) = all.finish(|_, _| 0);
    let first = traffic.first_at.unwrap_or(Timestamp::UNIX_EPOCH);
    let last = traffic.last_at.unwrap_or(Timestamp::UNIX_EPOCH);
    (Snapshot::of_logs(Window { from: first, to: last }, traffic, Vec::new(), Vec::new()), unreadable)
}
