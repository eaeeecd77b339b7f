//! Which logs nginx writes, and how its access logs look.

use std::path::{Path, PathBuf};

use crate::location::LocationId;
use crate::tree::{Directive, Span};

/// One destination of an `error_log` or `access_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    pub to: LogDestination,
    /// Of an error log: `error` where none is written. Empty for access logs.
    pub level: String,
    /// Of an access log: the name of its format, `combined` where none is written. Empty for error logs.
    pub format: String,
    /// Lines reach the file late: `buffer=` or `gzip=`.
    pub buffered: bool,
    pub gzip: bool,
    /// The `if=` of an access log.
    pub condition: Option<String>,
    /// `None` for the destination that is compiled in, in force because nothing else is configured.
    pub span: Option<Span>,
    pub context: LogContext,
    /// Index into [`crate::View::servers`], for `Server` and `Location`.
    pub server: Option<usize>,
    pub location: Option<LocationId>,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDestination {
    /// Resolved against nginx's prefix.
    File(PathBuf),
    /// What follows `syslog:`.
    Syslog(String),
    Stderr,
    /// The cyclic memory buffer of `memory:`.
    Memory,
    /// `access_log off`, or /dev/null.
    Off,
    /// A path with variables, as written.
    Variable(String),
}

/// The block that a log directive stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogContext {
    Main,
    Http,
    Stream,
    Mail,
    Server,
    Location,
}

/// A `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// All strings of the directive joined, as nginx does.
    pub text: String,
    pub escape: Escape,
    /// `None` for the predefined `combined`.
    pub span: Option<Span>,
}

/// How a log format writes special characters of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `\xHH`, an absent value being `-`.
    Default,
    Json,
    None,
}

impl LogFormat {
    /// Source: nginx ngx_http_combined_fmt.
    pub(crate) fn combined() -> LogFormat {
        LogFormat {
            text: "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                   \"$http_referer\" \"$http_user_agent\""
                .to_owned(),
            escape: Escape::Default,
            span: None,
        }
    }

    /// The name and the format of a directive.
    pub(crate) fn parse(directive: &Directive) -> Option<(&str, LogFormat)> {
        let (name, mut parts) = directive.args.split_first()?;
        let mut escape = Escape::Default;
        if let Some(mode) = parts.first().and_then(|arg| arg.text.strip_prefix("escape=")) {
            escape = match mode {
                "json" => Escape::Json,
                "none" => Escape::None,
                _ => Escape::Default,
            };
            parts = &parts[1..];
        }
        let text = parts.iter().map(|arg| arg.text.as_str()).collect();
        Some((&name.text, LogFormat { text, escape, span: Some(directive.span) }))
    }
}

impl LogDestination {
    /// Source: nginx ngx_log_set_log and ngx_http_log_set_log.
    pub(crate) fn parse(text: &str, prefix: &Path) -> LogDestination {
        if let Some(rest) = text.strip_prefix("syslog:") {
            LogDestination::Syslog(rest.to_owned())
        } else if text.starts_with("memory:") {
            LogDestination::Memory
        } else if text == "stderr" {
            LogDestination::Stderr
        } else if text == "/dev/null" {
            LogDestination::Off
        } else if text.contains('$') {
            LogDestination::Variable(text.to_owned())
        } else {
            LogDestination::File(prefix.join(text))
        }
    }
}

impl LogTarget {
    /// One that is compiled in.
    pub(crate) fn built_in(to: &str, prefix: &Path, context: LogContext) -> LogTarget {
        LogTarget {
            to: LogDestination::parse(to, prefix),
            level: String::new(),
            format: String::new(),
            buffered: false,
            gzip: false,
            condition: None,
            span: None,
            context,
            server: None,
            location: None,
        }
    }

    pub(crate) fn error(directive: &Directive, prefix: &Path, context: LogContext) -> Option<LogTarget> {
        let mut target = LogTarget::built_in(directive.arg(0)?, prefix, context);
        target.level = directive.arg(1).unwrap_or("error").to_owned();
        target.span = Some(directive.span);
        Some(target)
    }

    pub(crate) fn access(directive: &Directive, prefix: &Path, context: LogContext) -> Option<LogTarget> {
        let to = directive.arg(0)?;
        let mut target = LogTarget::built_in(to, prefix, context);
        target.span = Some(directive.span);
        if to == "off" {
            target.to = LogDestination::Off;
            return Some(target);
        }
        target.format = "combined".to_owned();
        for (position, arg) in directive.args.iter().enumerate().skip(1) {
            match arg.text.split_once('=') {
                Some(("if", condition)) => target.condition = Some(condition.to_owned()),
                Some(("buffer", _)) => target.buffered = true,
                Some(("gzip", _)) => (target.buffered, target.gzip) = (true, true),
                Some(("flush", _)) => {}
                _ if arg.text == "gzip" => (target.buffered, target.gzip) = (true, true),
                _ if position == 1 => target.format = arg.text.to_string(),
                _ => {}
            }
        }
        Some(target)
    }
}
