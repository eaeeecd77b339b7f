//! `cargo xtask bench`: how long the program takes for logs, beside what people use today.
//!
//! Every row runs the program and its peers in turn, several rounds, and shows ratios of the medians: a machine's speed
//! drifts, but it drifts for both. A peer that is not installed is left out and named. Before anything is timed, the
//! program's sums are compared with those that were counted while the logs were written.

mod generate;
mod measure;
mod truth;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{Counts, build_release, root};
use generate::{COMBINED, ERROR, JSON, MAIN};
use measure::{Run, median};

/// Rounds, of which the first does not count: it brings the files into memory.
const ROUNDS: usize = 6;
const USUAL_MB: u64 = 500;

/// One comparison: `{}` is the file, `why502` the program.
struct Row {
    what: &'static str,
    file: &'static str,
    ours: &'static str,
    /// What the ratios are taken of, and what else is shown.
    yardstick: &'static str,
    peers: &'static [(&'static str, &'static str)],
    /// CPU on one core and wall on two that the project aims at, as ratios; none where there is no aim.
    aims: (Option<f64>, Option<f64>),
}

const MAWK_MAIN: &str = "mawk -F'\"' '{split($3,s,\" \"); n=split($14,u,/, | : /); k=substr($1,index($1,\"[\")+1,17); \
    c[k \" \" u[n] \" \" s[1]]++} END{for(k in c) print k, c[k]}' {}";
const MAWK_COMBINED: &str = "mawk -F'\"' '{split($3,s,\" \"); c[substr($1,index($1,\"[\")+1,17) \" \" s[1]]++} END{for(k in c) print k, c[k]}' {}";
const MAWK_ERROR: &str = "mawk '{k=substr($0,1,16); p=match($0,/upstream: \"[^\"]*\"/); \
    c[k substr($0,RSTART,RLENGTH)]++} END{for(k in c) print k, c[k]}' {}";

const ROWS: &[Row] = &[
    Row {
        what: "logs, main: minute x upstream x status, tries, quantiles",
        file: MAIN,
        ours: "why502 logs {} --format json",
        yardstick: "wc -l {}",
        peers: &[
            ("mawk, without quantiles", MAWK_MAIN),
            (
                "goaccess",
                "goaccess {} --log-format='%h - %^ [%d:%t %^] \"%r\" %s %b \"%R\" \"%u\" rt=%T %^' --date-format=%d/%b/%Y --time-format=%T -o json",
            ),
        ],
        aims: (Some(3.2), Some(1.8)),
    },
    Row {
        what: "logs, combined: statuses by minute",
        file: COMBINED,
        ours: "why502 logs {} --format json",
        yardstick: "wc -l {}",
        peers: &[("mawk", MAWK_COMBINED), ("goaccess", "goaccess {} --log-format=COMBINED -o json")],
        aims: (Some(2.1), Some(1.25)),
    },
    Row {
        what: "logs, combined: the same, and URL patterns of all requests",
        file: COMBINED,
        ours: "why502 logs {} --by url --format json",
        yardstick: "wc -l {}",
        peers: &[],
        aims: (Some(3.1), None),
    },
    Row {
        what: "logs, JSON",
        file: JSON,
        ours: "why502 logs {} --format json",
        yardstick: "wc -l {}",
        peers: &[("jq", "jq -r '[.upstream_addr,.status]|@tsv' {} | sort | uniq -c")],
        aims: (Some(3.4), Some(1.9)),
    },
    Row {
        what: "logs, error log: peer x symptom x minute",
        file: ERRORS,
        ours: "why502 logs {} --format json",
        yardstick: "wc -l {}",
        peers: &[("mawk", MAWK_ERROR)],
        aims: (Some(4.0), Some(2.5)),
    },
    Row {
        what: "logs, gzip",
        file: GZIP,
        ours: "why502 logs {} --format json",
        yardstick: "gzip -dc {} | wc -l",
        peers: &[],
        aims: (None, Some(0.33)),
    },
    Row {
        what: "logs, from a pipe",
        file: MAIN,
        ours: "cat {} | why502 logs - --format json",
        yardstick: "cat {} | wc -l",
        peers: &[],
        aims: (None, Some(1.4)),
    },
    Row {
        what: "logs, the last 15 minutes",
        file: MAIN,
        ours: "why502 logs {} --since 2026-01-15T23:45:00Z --format json",
        // Whoever has seen enough closes the pipe, and tac says so.
        yardstick: "(tac {} || true) | mawk '$4 < \"[15/Jan/2026:23:45\" {exit} {n++} END{print n}'",
        peers: &[],
        aims: (None, None),
    },
    Row {
        what: "parse to JSON lines",
        file: MAIN,
        ours: "why502 parse {}",
        yardstick: "wc -l {}",
        peers: &[],
        aims: (None, None),
    },
    Row {
        what: "start of the program",
        file: MAIN,
        ours: "why502 --version",
        yardstick: "true",
        peers: &[],
        aims: (None, None),
    },
];

/// Twenty error logs in one, since a log of failures is short beside that of all requests.
const ERRORS: &str = "errors.log";
const GZIP: &str = "access.main.log.gz";

pub fn run(options: &[&str]) -> Result<bool> {
    let (mut megabytes, mut only) = (USUAL_MB, None);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match (*option, rest.next()) {
            ("--size-mb", Some(number)) => megabytes = number.parse().context("--size-mb takes a number")?,
            ("--only", Some(words)) => only = Some(*words),
            _ => bail!("cargo xtask bench knows --size-mb N and --only WORDS, not {option}"),
        }
    }
    let binary = build_release()?;
    let (folder, counts) = sums(&binary, megabytes)?;
    for row in ROWS.iter().filter(|it| only.is_none_or(|words| it.what.contains(words))) {
        println!();
        compare(row, &binary, &folder)?;
    }
    Ok(counts.all_passed())
}

/// Writes logs of that size, and compares what the program counts in each with what was counted while they were written.
pub fn sums(binary: &Path, megabytes: u64) -> Result<(PathBuf, Counts)> {
    let folder = root().join("target/bench").join(format!("{megabytes}-mb"));
    let truth = logs(&folder, megabytes)?;
    let mut counts = Counts::default();
    for file in [MAIN, COMBINED, JSON, ERROR, GZIP] {
        let differences = truth::compare(binary, &folder, file, &truth)?;
        println!("{} sums of {file}", if differences.is_empty() { "ok  " } else { "BAD " });
        differences.iter().for_each(|it| println!("     {it}"));
        counts.count(differences.is_empty());
    }
    Ok((folder, counts))
}

/// The logs of that size: written anew each time, since only then their sums are known.
fn logs(folder: &Path, megabytes: u64) -> Result<generate::Truth> {
    println!("writing logs of {megabytes} MB into {}", folder.display());
    let truth = generate::write(folder, megabytes * 1_000_000)?;
    // Nothing large is held in memory: the peak of a new process begins with that of its parent.
    let mut many = File::create(folder.join(ERRORS))?;
    for _ in 0..20 {
        io::copy(&mut File::open(folder.join(ERROR))?, &mut many)?;
    }
    let packed = Command::new("gzip").args(["-kf", "-6"]).arg(folder.join(MAIN)).status();
    ensure!(packed.context("cannot start gzip")?.success(), "gzip failed");
    Ok(truth)
}

fn compare(row: &Row, binary: &Path, folder: &Path) -> Result<()> {
    let file: PathBuf = folder.join(row.file);
    let command = |text: &str| {
        let text = text.replace("why502 ", &format!("{} ", binary.display()));
        text.replace("{}", &file.display().to_string())
    };
    let installed = |name: &str| {
        let program = name.split([',', ' ']).next().unwrap_or(name);
        Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|it| it.status.success())
    };
    type Peers = Vec<(&'static str, &'static str)>;
    let (peers, missing): (Peers, Peers) = row.peers.iter().copied().partition(|it| installed(it.0));
    let mut all = vec![("why502", row.ours), (row.yardstick, row.yardstick)];
    all.extend(peers);
    let bytes = fs::metadata(&file)?.len() as f64;
    println!("{} ({:.0} MB)", row.what, bytes / 1e6);
    let mut runs: Vec<[Vec<Run>; 2]> = all.iter().map(|_| Default::default()).collect();
    for round in 0..ROUNDS {
        for (own, (_, text)) in runs.iter_mut().zip(&all) {
            // A slow peer is shown, not waited for.
            if round > 1 && own[0].iter().any(|it| it.wall > Duration::from_secs(10)) {
                continue;
            }
            for cores in [1, 2] {
                let run = measure::run(&command(text), cores)?;
                if round > 0 {
                    own[cores - 1].push(run);
                }
            }
        }
    }
    let cpu = |own: &[Vec<Run>; 2]| median(own[0].iter().map(|it| it.cpu).collect()).as_secs_f64();
    let wall = |own: &[Vec<Run>; 2]| median(own[1].iter().map(|it| it.wall).collect()).as_secs_f64();
    let peak = |own: &[Vec<Run>; 2]| own.iter().flatten().map(|it| it.peak_bytes).max().unwrap_or(0);
    let aim = |it: Option<f64>| it.map(|it| format!(" (aim {it})")).unwrap_or_default();
    for (index, (own, (name, _))) in runs.iter().zip(&all).enumerate() {
        let ratios = format!(
            "{:>7.2}{} CPU {:>7.2}{} wall of the second",
            cpu(own) / cpu(&runs[1]).max(1e-4),
            if index == 0 { aim(row.aims.0) } else { String::new() },
            wall(own) / wall(&runs[1]).max(1e-4),
            if index == 0 { aim(row.aims.1) } else { String::new() },
        );
        println!(
            "  {name:.50}: one core {:.3} s CPU, two cores {:.3} s wall ({:.0} MB/s), {:.0} MiB; {ratios}",
            cpu(own),
            wall(own),
            bytes / 1e6 / wall(own).max(1e-4),
            peak(own) as f64 / f64::from(1 << 20),
        );
    }
    if !missing.is_empty() {
        println!("  not installed: {}", missing.iter().map(|it| it.0).collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
