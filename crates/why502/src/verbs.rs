//! One function for each verb.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use collect::{ProbeLevel, Request, Span};
use jiff::Timestamp;
use report::{explain, narrow, render};
use snapshot::{Snapshot, read_capture, write_capture};

use crate::arguments::{
    Capture, Cli, Diagnose, Explain, Look, PageFormat, Probe, ReportFormat, ShowReport, Verb,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{lab, logs, output, parse};

/// How far back to look, unless asked otherwise.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// How long looking may take, unless asked otherwise.
const USUAL: Duration = Duration::from_secs(3);
/// The same with a request of our own, which may have to wait for an answer.
const WITH_A_TRIAL: Duration = Duration::from_secs(12);
/// The longest line that is worth explaining: nginx cuts its own at 2 KiB, other programs are more talkative.
const LINE_MAX_BYTES: u64 = 64 << 10;
/// The recorded incident of `why502 demo`.
const INCIDENT: &[u8] = include_bytes!("../demo/incident.json.gz");

/// Does what was asked.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.verb {
        None => diagnose(cli.diagnose),
        Some(Verb::Diagnose(it)) => diagnose(it),
        Some(Verb::Logs(it)) => logs::logs(&it),
        Some(Verb::Parse(it)) => parse::parse(&it),
        Some(Verb::Explain(it)) => explain(&it),
        Some(Verb::Demo(it)) => demo(&it),
        Some(Verb::Capture(it)) => capture(it),
        Some(Verb::Lab(it)) => lab::lab(it),
        Some(Verb::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "why502", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Fine)
        }
    }
}

fn diagnose(asked: Diagnose) -> Result<Exit, Failure> {
    let snapshot = match &asked.bundle {
        Some(path) => bundle(path)?,
        None => collect::collect(&request(asked.look, asked.peer.clone())?),
    };
    let report = narrow(diagnose::diagnose(&snapshot), asked.server.as_deref(), asked.peer.as_deref());
    show(&report, &asked.show, None)
}

fn demo(asked: &ShowReport) -> Result<Exit, Failure> {
    let snapshot = read_capture(INCIDENT).expect("a test reads the embedded incident");
    eprintln!("why502 demo: a recorded incident, with the times and names of then.");
    eprintln!("Nothing on this host was looked at.");
    eprintln!();
    show(&diagnose::diagnose(&snapshot), asked, None)?;
    // The demonstration succeeded, whatever was wrong on that host.
    Ok(Exit::Fine)
}

/// Prints a report. `top` says how many rows of the lists of sums are shown, if somebody asked.
pub fn show(report: &diagnose::Report, asked: &ShowReport, top: Option<usize>) -> Result<Exit, Failure> {
    let text = match asked.format {
        ReportFormat::Text => render::text::render(report, output::colour(asked.color), top),
        ReportFormat::Json => render::json_v1::render(report),
        ReportFormat::Markdown => render::markdown::render(report, top),
        ReportFormat::Html => render::html::render(report, top),
    };
    output::print(&text)?;
    Ok(Exit::of(report.verdict))
}

fn bundle(path: &Path) -> Result<Snapshot, Failure> {
    let failed = || Failure::new("the bundle cannot be read").at(path.display());
    let file = File::open(path).map_err(|error| failed().because(error))?;
    read_capture(BufReader::new(file))
        .map_err(|error| failed().because(error).advise("a file that why502 capture wrote"))
}

fn request(look: Look, peer: Option<String>) -> Result<Request, Failure> {
    let span = match (look.since, look.until) {
        (None, None) => Span::Last(WINDOW),
        (Some(from), to) => Span::Between(from, to),
        (None, Some(to)) => Span::Between(to - WINDOW, Some(to)),
    };
    if let Span::Between(from, to) = span
        && from >= to.unwrap_or_else(Timestamp::now)
    {
        return Err(Failure::new("the window ends before it begins")
            .at("--since, --until")
            .advise("a --since that is earlier than --until and than now"));
    }
    Ok(Request {
        span,
        pid: look.pid,
        config: look.config,
        prefix: look.prefix,
        probe: match look.probe {
            Probe::Full => ProbeLevel::Full,
            Probe::Connect => ProbeLevel::Connect,
            Probe::None => ProbeLevel::None,
        },
        deadline: match (look.timeout, &look.url) {
            (Some(timeout), _) => timeout.unsigned_abs(),
            (None, Some(_)) => WITH_A_TRIAL,
            (None, None) => USUAL,
        },
        peer,
        url: look.url,
    })
}

fn explain(asked: &Explain) -> Result<Exit, Failure> {
    let colour = output::colour(asked.color);
    let text = if asked.list {
        match asked.format {
            PageFormat::Text => explain::render_list(colour),
            PageFormat::Json => explain::render_list_json(),
            PageFormat::Markdown => explain::render_list_markdown(),
        }
    } else {
        let what = match asked.what.as_slice() {
            [only] if only == "-" => pasted()?,
            words => words.join(" "),
        };
        let explained = explain::explain(&what)
            .map_err(|unknown| Failure::new(unknown.to_string()).advise(unknown.advice()))?;
        match asked.format {
            PageFormat::Text => explain::render(&explained, colour),
            PageFormat::Json => explain::render_json(&explained),
            PageFormat::Markdown => explain::render_markdown(&explained),
        }
    };
    output::print(&text)?;
    Ok(Exit::Fine)
}

/// A log line from standard input, where the shell does not meddle with its quotes.
fn pasted() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(LINE_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new("the line cannot be read").at("standard input").because(error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn capture(asked: Capture) -> Result<Exit, Failure> {
    let snapshot = collect::collect(&request(asked.look, None)?);
    let path = asked.output.unwrap_or_else(|| default_name(&snapshot));
    let failed = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AlreadyExists => "another name with -o; nothing is overwritten",
            _ => "another place with -o",
        };
        Failure::new("the capture cannot be written").at(path.display()).because(error).advise(advice)
    };
    if path == Path::new("-") {
        write_capture(&snapshot, io::stdout().lock()).map_err(failed)?;
    } else {
        // Log lines hold addresses and URLs of people: the file is for its owner alone, and never written through
        // somebody else's link.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        write_capture(&snapshot, file).map_err(failed)?;
        output::print(&format!("{}\n", path.display()))?;
    }
    eprintln!("why502 capture: it holds log lines and configuration of this host as they are.");
    eprintln!("Look before you share it.");
    Ok(Exit::Fine)
}

fn default_name(snapshot: &Snapshot) -> PathBuf {
    let host: String = snapshot
        .host
        .name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() || it == '-' { it } else { '_' })
        .collect();
    PathBuf::from(format!("why502-{host}-{}.json.gz", snapshot.collected_at.strftime("%Y%m%dT%H%M%SZ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_incident_reads() {
        read_capture(INCIDENT).unwrap();
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
