//! `why502 logs`: what failed, where, since when and because of what, from logs alone.

use collect::{LogRequest, read_logs};
use jiff::Timestamp;
use report::by_minute;
use traffic::By;

use crate::arguments::{Field, Logs, ReportFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Follow, follow};
use crate::output;
use crate::progress;
use crate::verbs::{WINDOW, show};
use crate::which_logs::{cannot_read, nothing_to_read};

/// Does what `logs` was asked.
pub fn logs(asked: &Logs) -> Result<Exit, Failure> {
    if asked.follow {
        return followed(asked);
    }
    let request = request(asked)?;
    let read = progress::with(false, |it| read_logs(&request, it));
    let nothing_read = read.snapshot.traffic.as_ref().is_none_or(|it| it.sources.is_empty());
    let mut failures: Vec<Failure> = read.unreadable.iter().map(cannot_read).collect();
    let last = if nothing_read { failures.pop() } else { None };
    for it in failures {
        eprint!("{it}");
    }
    if nothing_read {
        return Err(last.unwrap_or_else(|| nothing_to_read(&asked.which.names, &read.passed_over)));
    }
    let mut report = diagnose::diagnose(&read.snapshot);
    report.notes.extend(read.unreadable.iter().map(|it| format!("{} was not read: {}", it.name, it.error)));
    if asked.by.contains(&Field::Minute) {
        report = by_minute(report);
    }
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
    let (since, _) = asked.which.window(Timestamp::now(), |_| None)?;
    let (names, formats, zone) = asked.which.logs()?;
    follow(Follow {
        names,
        since,
        state: asked.state.clone(),
        formats,
        statuses: asked.status.clone(),
        zone,
        json,
        colour: output::colour(asked.show.color),
    })
}

fn request(asked: &Logs) -> Result<LogRequest, Failure> {
    // What somebody named is what somebody wants to know about.
    let formats = asked.which.formats()?;
    let now = asked.which.end(&formats);
    let (since, until) = asked.which.window(now, |end| asked.which.names.is_empty().then(|| end - WINDOW))?;
    Ok(LogRequest {
        names: asked.which.names.clone(),
        since,
        until,
        config: asked.which.config.clone(),
        formats,
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
        Field::Status => By::Status,
        Field::Upstream => By::Upstream,
        Field::Reason => By::Reason,
        Field::Method => By::Method,
        Field::Symptom => By::Symptom,
        // It needs nothing of the lines: the steps are counted anyway.
        Field::Minute => return None,
    })
}
