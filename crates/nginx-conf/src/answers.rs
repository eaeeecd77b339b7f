//! What nginx answers by itself, without or instead of a backend.

use crate::location::LocationId;
use crate::tree::{Directive, Span};
use crate::units;

/// A place of the configuration that makes nginx answer with a status of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the client sees. 0 for an `error_page` with a bare `=`, whose page decides.
    pub status: u16,
    pub kind: AnswerKind,
    /// Index into [`crate::View::servers`]; `None` for what stands in `http` and holds for all.
    pub server: Option<usize>,
    pub location: Option<LocationId>,
    /// The text of the innermost `if` around it.
    pub condition: Option<String>,
    pub span: Span,
}

/// Why it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerKind {
    /// `return`, with its text or URL.
    Return {
        text: Option<String>,
    },
    /// One entry for each status of an `error_page`.
    ErrorPage {
        for_status: u16,
        uri: String,
    },
    LimitReq {
        zone: String,
    },
    LimitConn {
        zone: String,
    },
    /// The last argument of a `try_files`: no file was there.
    TryFiles,
    /// A subrequest decides; any failure of it is a 500.
    AuthRequest {
        uri: String,
    },
}

/// The statuses of `limit_req` and `limit_conn` in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitStatuses {
    pub req: u16,
    pub conn: u16,
}

impl Default for LimitStatuses {
    fn default() -> Self {
        LimitStatuses { req: 503, conn: 503 }
    }
}

/// The answers of one directive: status and kind.
pub(crate) fn of_directive(directive: &Directive, limits: LimitStatuses) -> Vec<(u16, AnswerKind)> {
    let first = directive.arg(0).unwrap_or_default();
    match directive.name.as_str() {
        "return" => match (status(first), directive.arg(1)) {
            (Some(status), text) => vec![(status, AnswerKind::Return { text: text.map(str::to_owned) })],
            // `return URL` is a temporary redirect.
            (None, _) => vec![(302, AnswerKind::Return { text: Some(first.to_owned()) })],
        },
        "error_page" => error_page(directive),
        "limit_req" => {
            let zone = first.strip_prefix("zone=").unwrap_or(first).to_owned();
            vec![(limits.req, AnswerKind::LimitReq { zone })]
        }
        "limit_conn" => vec![(limits.conn, AnswerKind::LimitConn { zone: first.to_owned() })],
        "try_files" => {
            let last = directive.args.last().and_then(|it| status(it.text.strip_prefix('=')?));
            last.map(|status| (status, AnswerKind::TryFiles)).into_iter().collect()
        }
        "auth_request" if first != "off" => vec![(500, AnswerKind::AuthRequest { uri: first.to_owned() })],
        _ => Vec::new(),
    }
}

fn error_page(directive: &Directive) -> Vec<(u16, AnswerKind)> {
    let Some((uri, statuses)) = directive.args.split_last() else { return Vec::new() };
    let (statuses, response) = match statuses.split_last() {
        Some((last, rest)) if last.text.starts_with('=') => {
            (rest, Some(status(&last.text[1..]).unwrap_or(0)))
        }
        _ => (statuses, None),
    };
    let entry = |for_status| {
        (response.unwrap_or(for_status), AnswerKind::ErrorPage { for_status, uri: uri.text.to_string() })
    };
    statuses.iter().filter_map(|arg| status(&arg.text)).map(entry).collect()
}

pub(crate) fn status(text: &str) -> Option<u16> {
    units::number(text).and_then(|status| u16::try_from(status).ok()).filter(|status| *status < 1000)
}
