//! What people type. Each verb's help ends with examples.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use collect::Url;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use traffic::StatusFilter;

use crate::moment::{self, Moment, Since};
use crate::statuses;

/// Says why nginx answers 502, 503 or 504 on this host: the root cause, its proof, the fix.
///
/// It only reads. As root it sees more; without root it says what it could not see.
#[derive(Debug, Parser)]
#[command(name = "why502", version, args_conflicts_with_subcommands = true, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,

    #[command(flatten)]
    pub diagnose: Diagnose,
}

const EXAMPLES: &str = "\
Examples:
  why502                            what is wrong now
  why502 --since 14:30              what went wrong since half past two
  why502 logs error.log access.log  the same question, from logs alone
  why502 explain connect-refused    what a log line, a cause, an errno means
  why502 demo                       what a diagnosis looks like

Exit status: 0 healthy or degraded, 1 a cause was found, 2 wrong usage,
3 inconclusive.";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Names what is wrong on this host, or in a captured bundle (the default verb)
    #[command(after_help = DIAGNOSE_EXAMPLES)]
    Diagnose(Diagnose),

    /// Names what failed, where, since when and because of what, from logs alone
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(Logs),

    /// Prints every record of logs, with all fields typed: JSON Lines or CSV
    #[command(after_help = PARSE_EXAMPLES)]
    Parse(Parse),

    /// Explains a cause, a symptom, an errno, a status, a reason code or a pasted log line
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),

    /// Shows the diagnosis of a recorded incident; needs neither nginx nor root
    #[command(
        after_help = "Examples:\n  why502 demo\n  why502 demo --format json | jq .causes[0].id\n  why502 demo --format html > demo.html"
    )]
    Demo(ShowReport),

    /// Writes everything that diagnose looks at to one file, for diagnose --bundle
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture(Capture),

    /// Breaks a throw-away nginx host in a real way, to practise on or to test with
    #[command(subcommand, after_help = LAB_EXAMPLES)]
    Lab(Lab),

    /// Prints the completions of a shell
    #[command(after_help = "Examples:\n  why502 completions bash > /etc/bash_completion.d/why502")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const DIAGNOSE_EXAMPLES: &str = "\
Examples:
  why502 diagnose --since 2h
  why502 diagnose --url https://shop.example.com/cart
  why502 diagnose --server shop.example.com --format json
  why502 diagnose --bundle why502-web-1.json.gz
  why502 diagnose --format html > outage.html";

const LOGS_EXAMPLES: &str = "\
Examples:
  why502 logs
  why502 logs error.log access.log --since 14:30
  why502 logs /var/log/nginx/ --by url --status 5xx
  kubectl logs deploy/web | why502 logs -
  why502 logs --follow --since 10m /var/log/nginx/*.log
  why502 logs journal:nginx.service error.log.*.gz --format html > outage.html

What each log is, is found from its lines: nginx's access and error logs, those
of PHP-FPM, gunicorn, uWSGI, Tomcat, HAProxy, the kernel and the journal; packed
with gzip, zstd, xz or bzip2; as syslog, Docker, containerd and kubectl wrap them.

Exit status: 0 no failure that clients noticed, 1 a cause was found, 2 wrong
usage or nothing could be read, 3 inconclusive.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  why502 explain backend-oom-killed
  why502 explain premature-close
  why502 explain 111
  why502 explain KC
  why502 explain --list
  tail -1 /var/log/nginx/error.log | why502 explain -";

const PARSE_EXAMPLES: &str = "\
Examples:
  why502 parse access.log | jq -r 'select(.status == 502) | .path'
  why502 parse --config /etc/nginx/nginx.conf access.log error.log
  why502 parse --log-format '$remote_addr $status $request_time' access.log
  why502 parse --format csv --since 1h /var/log/nginx/*.log > records.csv
  docker logs web 2>&1 | why502 parse -

Lines that fit no format are records of the kind \"unparsed\"; a summary on
standard error counts everything.

Exit status: 0 every file was read, 2 wrong usage, or some could not be read.";

const CAPTURE_EXAMPLES: &str = "\
Examples:
  why502 capture -o incident.json.gz
  why502 diagnose --bundle incident.json.gz";

const LAB_EXAMPLES: &str = "\
Examples:
  why502 lab list
  why502 lab try
  why502 lab run 'backend-*'

A host is a handful of namespaces over this machine's own files and ends with
the command; it needs root and the packages of the stacks. Its faults fill
memory, CPU and tables of the kernel: use a machine that serves nobody.";

/// The verbs of `lab`.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Lists the cases, by the cause that each of them is about
    #[command(
        after_help = "Examples:\n  why502 lab list\n  why502 lab list --format json | jq -r .cases[].id"
    )]
    List(LabList),

    /// Breaks a host for each case, diagnoses it, and says whether the answer is right
    #[command(after_help = LAB_RUN_EXAMPLES)]
    Run(LabRun),

    /// Breaks a host, shows you what its clients see, and lets you look for the cause
    #[command(after_help = "Examples:\n  why502 lab try\n  why502 lab try backend-hung-node-loop")]
    Try(LabTry),
}

const LAB_RUN_EXAMPLES: &str = "\
Examples:
  why502 lab run backend-hung-node-loop
  why502 lab run 'firewall-*' healthy-messy-host
  why502 lab run '*' --format json

Exit status: 0 every case passed, 1 some did not.";

#[derive(Debug, Args)]
pub struct LabList {
    /// The form of the result
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct LabRun {
    /// Names of cases; * in quotes stands for anything
    #[arg(required = true, value_name = "CASE")]
    pub cases: Vec<String>,

    /// The form of the result
    #[arg(long, default_value = "text")]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct LabTry {
    /// The case [default: any, and you are not told which]
    #[arg(value_name = "CASE")]
    pub case: Option<String>,

    /// Whether text has colour; auto obeys NO_COLOR
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

#[derive(Debug, Args)]
pub struct Diagnose {
    #[command(flatten)]
    pub look: Look,

    /// Reads what `why502 capture` wrote, instead of this host
    #[arg(long, value_name = "FILE", conflicts_with_all = ["since", "until", "pid", "config", "prefix", "url"])]
    pub bundle: Option<PathBuf>,

    /// Tells only of that server, by the first name in its server_name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub server: Option<String>,

    /// Tells only of that backend, such as 127.0.0.1:8080 or unix:/run/app.sock
    #[arg(long, value_name = "ADDR", value_parser = NonEmptyStringValueParser::new())]
    pub peer: Option<String>,

    #[command(flatten)]
    pub show: ShowReport,
}

/// Where and how to look.
#[derive(Debug, Args)]
pub struct Look {
    /// Where the window begins: 15m, 2h30m, 1d (ago), 14:30, or RFC 3339 [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub since: Option<Timestamp>,

    /// Where the window ends, in the same forms [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub until: Option<Timestamp>,

    /// The pid of the nginx master to look at, where several run
    #[arg(long, value_name = "MASTER", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,

    /// nginx's main configuration file [default: as nginx was started]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// nginx's prefix, for relative paths [default: as nginx was built or started]
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<PathBuf>,

    /// Whether to greet the backends (which runs no application code), only to connect, or neither
    #[arg(long, value_name = "HOW", default_value = "full")]
    pub probe: Probe,

    /// Really asks for that URL: one GET request through this host's nginx, the same straight from its backends
    #[arg(long, value_name = "URL", value_parser = Url::from_str, conflicts_with = "until")]
    pub url: Option<Url>,

    /// How long looking may take [default: 3s; with --url 12s]
    #[arg(long, value_name = "TIME", value_parser = moment::timeout)]
    pub timeout: Option<SignedDuration>,
}

/// How a report looks.
#[derive(Debug, Args)]
pub struct ShowReport {
    /// The form of the report: html is one file that needs nothing else, markdown is for tickets and chats
    #[arg(long, default_value = "text")]
    pub format: ReportFormat,

    /// Whether text has colour; auto obeys NO_COLOR
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// Which logs, and which part of them.
#[derive(Debug, Args)]
pub struct WhichLogs {
    /// Files, directories, - for standard input, journal:UNIT [default: the logs that this host's nginx writes]
    #[arg(value_name = "FILE")]
    pub names: Vec<String>,

    /// Where the window begins: 15m, 2h30m, 1d (before the end of the logs), 14:30, RFC 3339, or all [default: all; of this host's 15m]
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,

    /// Where the window ends, in the same forms [default: with the last line]
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// The configuration whose log formats and locations belong to the logs
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The log_format of access logs: its text, the whole directive, or its name [default: recognised]
    #[arg(long, value_name = "STR", value_parser = NonEmptyStringValueParser::new())]
    pub log_format: Option<String>,

    /// The zone of logs that name none, and of the times shown: Europe/Berlin, +02:00, UTC [default: this host's]
    #[arg(long, value_name = "ZONE", value_parser = moment::zone)]
    pub timezone: Option<TimeZone>,
}

#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub which: WhichLogs,

    /// Counts all requests by that property as well, the most failures first; may be given several times
    #[arg(long, value_name = "FIELD")]
    pub by: Vec<Field>,

    /// Counts only requests with these statuses: 502, 5xx, 500-504, or several with commas
    #[arg(long, value_name = "STATUS", value_parser = statuses::parse)]
    pub status: Option<StatusFilter>,

    /// Goes on: prints each failure as it is logged, and a summary each minute; without --since only what comes
    #[arg(short, long, conflicts_with_all = ["until", "by", "top"])]
    pub follow: bool,

    /// Where positions in the logs are kept, so that the next run goes on where this one ended
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub state: Option<PathBuf>,

    /// How many rows of each list are shown [default: 5, on a page of HTML 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub top: Option<u32>,

    #[command(flatten)]
    pub show: ShowReport,
}

/// A property of requests to count them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Field {
    /// The path, with numbers, ids and hashes folded
    Url,
    /// The client's address
    Client,
    /// The server, as far as logs name it
    Server,
    /// The status that the client got
    Status,
    /// The address that was asked last
    Upstream,
    /// Why a request failed, as a two-letter code
    Reason,
    /// GET, POST and so on
    Method,
    /// What nginx saw, by its error log
    Symptom,
    /// Time, by the minute
    Minute,
}

#[derive(Debug, Args)]
pub struct Parse {
    #[command(flatten)]
    pub which: WhichLogs,

    /// The form of the records: csv has fixed columns
    #[arg(long, default_value = "jsonl")]
    pub format: RecordFormat,

    /// Adds to each record its line as it was
    #[arg(long)]
    pub raw: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// An id, an errno, a status, a log line in quotes, or - to read a line from standard input
    #[arg(required_unless_present = "list", value_name = "WHAT", num_args = 1..)]
    pub what: Vec<String>,

    /// Lists everything that can be explained
    #[arg(long, conflicts_with = "what")]
    pub list: bool,

    /// The form of the explanation: markdown is for runbooks and tickets
    #[arg(long, default_value = "text")]
    pub format: PageFormat,

    /// Whether text has colour; auto obeys NO_COLOR
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

#[derive(Debug, Args)]
pub struct Capture {
    /// The file to write, which must not exist; - for standard output [default: why502-HOST-TIME.json.gz]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub look: Look,
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Forms of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    Jsonl,
    Csv,
}

/// Forms of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    Text,
    Json,
    Markdown,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
    Markdown,
    Html,
}

/// When text has colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// How to ask the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    Full,
    Connect,
    None,
}
