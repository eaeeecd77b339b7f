//! `why502 logs`: what failed, where, since when and because of what, from logs alone.

use collect::{LogRequest, read_logs};
use traffic::By;

use crate::arguments::{Field, Logs, ReportFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Follow, follow};
use crate::output;
use crate::progress;
use crate::verbs::{WINDOW, show};
use crate::which_logs::{cannot_read, nothing_named};

/// Does what `logs` was asked.
pub fn logs(asked: &Logs) -> Result<Exit, Failure> {
    if asked.follow {
        return followed(asked);
    }
    let request = request(asked)?;
    let read = progress::with(false, |it| read_logs(&request, it));
    for it in &read.unreadable {
        eprint!("{}", cannot_read(it));
    }
    let traffic = read.snapshot.traffic.as_ref();
    if traffic.is_none_or(|it| it.sources.is_empty()) {
        let nothing = Failure::new("there is no log to read");
        return Err(match (asked.which.names.is_empty(), read.unreadable.is_empty()) {
            (true, true) => nothing
                .at("the configuration of this host's nginx")
                .advise("the files by name, a directory, journal:nginx.service, or - with a pipe"),
            (_, false) => nothing,
            (false, true) => nothing.at(asked.which.names.join(", ")),
        });
    }
    let mut report = diagnose::diagnose(&read.snapshot);
    report.notes.extend(read.unreadable.iter().map(|it| format!("{} was not read: {}", it.name, it.error)));
    show(&report, &asked.show, asked.top.map(|it| it as usize))
}

/// The same question, answered as lines come.
fn followed(asked: &Logs) -> Result<Exit, Failure> {
    let json = match asked.show.format {
        ReportFormat::Text => false,
        ReportFormat::Json => true,
        _ => {
            return Err(
                Failure::new("what is followed has no end, and no page").advise("--format text or json")
            );
        }
    };
    if asked.which.names.is_empty() {
        return Err(nothing_named());
    }
    let (since, _) = asked.which.window(|_| None)?;
    follow(Follow {
        names: asked.which.names.clone(),
        since,
        state: asked.state.clone(),
        formats: asked.which.formats()?,
        statuses: asked.status.clone(),
        zone: asked.which.zone(),
        json,
        colour: output::colour(asked.show.color),
    })
}

fn request(asked: &Logs) -> Result<LogRequest, Failure> {
    // What somebody named is what somebody wants to know about.
    let (since, until) = asked.which.window(|end| asked.which.names.is_empty().then(|| end - WINDOW))?;
    Ok(LogRequest {
        names: asked.which.names.clone(),
        since,
        until,
        config: asked.which.config.clone(),
        formats: asked.which.formats()?,
        zone: asked.which.timezone.clone(),
        by: asked.by.iter().filter_map(|it| by(*it)).collect(),
        statuses: asked.status.clone(),
    })
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
