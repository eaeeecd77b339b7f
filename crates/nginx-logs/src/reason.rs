//! Why a request failed, in two letters: who ended it, and in which phase.
//!
//! A line of an access log tells much of that by which of its upstream times were reached. An entry of the error log tells
//! it exactly, so the code of an entry refines the code of the request that it belongs to. What the letters and the codes
//! mean stands here once ([`WHO`], [`PHASES`], [`Reason::ALL`]); which causes lie behind a code is not known here.
//!
//! Source of what each combination means: ngx_http_upstream_next(), ngx_http_upstream_finalize_request(),
//! ngx_http_upstream_addr_variable() and ngx_http_upstream_response_time_variable().

use std::fmt;

use crate::Symptom;
use crate::access::{Listed, attempts};
use crate::action::plain;
use crate::bytes::small_number;
use crate::error::ErrorRecord;

/// A reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reason(pub [u8; 2]);

/// What a line of an access log says about how a request ended: the values as logged, lists with one entry for each try.
/// Empty is what the format does not have; nginx writes `-` for what was not reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signs<'a> {
    pub status: u16,
    /// Whether the format tells about upstreams at all.
    pub tells_upstream: bool,
    pub upstream_addr: &'a [u8],
    pub upstream_status: &'a [u8],
    pub connect_time: &'a [u8],
    pub header_time: &'a [u8],
    pub response_time: &'a [u8],
}

/// One try of a request: its entries of the lists, as logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Try<'a> {
    /// The peer, or the group's name where no server was eligible.
    pub addr: &'a [u8],
    pub status: &'a [u8],
    pub connect_time: &'a [u8],
    pub header_time: &'a [u8],
    pub response_time: &'a [u8],
    /// Counts the internal redirects before this try.
    pub group: usize,
}

/// The first letter: who ended it.
pub const WHO: [(u8, &str); 8] = [
    (b'B', "the backend closed, reset or answered wrongly"),
    (b'N', "nginx itself: a rule, a limit, a buffer, its configuration"),
    (b'K', "the kernel or the network refused: an errno without an answer of the backend"),
    (b'T', "a timeout of nginx's ran out"),
    (b'C', "the client"),
    (b'A', "the application's own answer, passed on"),
    (b'L', "nobody: no live peer was left to choose"),
    (b'-', "not told by the line"),
];

/// The second letter: in which phase.
pub const PHASES: [(u8, &str); 8] = [
    (b'P', "before any peer: reading the request, choosing, queueing, a sub-request"),
    (b'D', "name resolution"),
    (b'C', "connecting"),
    (b'S', "the TLS handshake"),
    (b'W', "writing the request"),
    (b'H', "waiting for the response header"),
    (b'R', "reading the response body"),
    (b'-', "not told by the line"),
];

impl Reason {
    /// Every code that can occur, with what it says of a request and how it shows.
    pub const ALL: &[(Reason, &str)] = &[
        (
            Reason(*b"KC"),
            "The connection was refused or impossible: nobody listens there, no route, no permission, no socket \
            file, no free port or descriptor. 502 with $upstream_connect_time `-`; the errno stands in the error log. A failed \
            TLS handshake looks the same in the access log.",
        ),
        (
            Reason(*b"TC"),
            "Nobody answered the connection attempt in time. 504 with $upstream_connect_time `-`. A TLS handshake \
            that hangs looks the same in the access log.",
        ),
        (Reason(*b"BC"), "The backend's side reset the connection while it was being made."),
        (
            Reason(*b"NC"),
            "nginx could not even begin to connect: worker_connections were used up, or no socket was to be had. \
            500, with an empty $upstream_addr and $upstream_status `-`.",
        ),
        (
            Reason(*b"CC"),
            "The client went away while nginx was still connecting. 499 with $upstream_connect_time `-`.",
        ),
        (
            Reason(*b"LP"),
            "Every server of the group was ejected, marked down or at its max_conns, so that none was dialled. 502 \
            at once, with the group's name in $upstream_addr. Why they were ejected is told by earlier failures.",
        ),
        (
            Reason(*b"KD"),
            "The upstream's name could not be resolved: no such name, or the name server failed or refused. 502 \
            without $upstream_addr.",
        ),
        (
            Reason(*b"TD"),
            "The name server did not answer within resolver_timeout. 502 without $upstream_addr.",
        ),
        (
            Reason(*b"ND"),
            "A name had to be resolved while serving, and no `resolver` is configured. 502 without $upstream_addr.",
        ),
        (
            Reason(*b"BS"),
            "The TLS handshake with the backend failed: a plain-text port, no common version, a missing certificate \
            or server name. 502.",
        ),
        (Reason(*b"NS"), "nginx did not accept the backend's certificate: its chain or its name. 502."),
        (Reason(*b"TS"), "The TLS handshake with the backend did not end in time. 504."),
        (Reason(*b"CS"), "The client went away during the TLS handshake with the backend. 499."),
        (
            Reason(*b"BW"),
            "The backend closed or reset the connection before it had taken the whole request. 502.",
        ),
        (Reason(*b"TW"), "The backend stopped taking the request until the send timeout ran out. 504."),
        (Reason(*b"CW"), "The client went away while the request was being sent to the backend. 499."),
        (
            Reason(*b"BH"),
            "The backend took the connection and closed or reset it before a response header, or sent something \
            that is none. 502 with a $upstream_connect_time and $upstream_header_time `-`; or nginx's 009 for a reply that is \
            not HTTP.",
        ),
        (
            Reason(*b"NH"),
            "The response header does not fit into nginx's buffer. 502; in the access log it looks like BH.",
        ),
        (
            Reason(*b"TH"),
            "The backend took the request and sent nothing until the read timeout ran out. 504 with a \
            $upstream_connect_time and $upstream_header_time `-`.",
        ),
        (
            Reason(*b"CH"),
            "The client went away while nginx waited for the backend's answer. 499 with a $upstream_connect_time \
            and $upstream_header_time `-`. Many of them often mean a slow backend.",
        ),
        (
            Reason(*b"AH"),
            "The error status is the backend's own answer, which nginx passed on: $upstream_status is the same, and \
            $upstream_header_time was reached.",
        ),
        (
            Reason(*b"BR"),
            "The backend closed or reset the connection in the middle of the response, or broke its protocol. The \
            header was sent, so the status stays and the body is cut.",
        ),
        (
            Reason(*b"NR"),
            "nginx gave up a response whose header it had: an error of its own while reading the body.",
        ),
        (
            Reason(*b"TR"),
            "The backend stopped sending in the middle of the response until the read timeout ran out. The status \
            stays and the body is cut.",
        ),
        (
            Reason(*b"KR"),
            "nginx could not write a part of the response to its temporary files. The body is cut.",
        ),
        (Reason(*b"CR"), "The client went away while it was being sent the response."),
        (
            Reason(*b"NP"),
            "nginx answered by itself, without any backend: a limit, a body that is too large, a failed auth_request, \
            `return`, an internal error. It has no $upstream_addr. A name that could not be resolved looks the same in the \
            access log, with 502.",
        ),
        (
            Reason(*b"KP"),
            "nginx could not read or write a file, or get a descriptor, before a backend was chosen. 500, or 403.",
        ),
        (
            Reason(*b"CP"),
            "The client went away, or sent something broken, before a backend was chosen. 499 without $upstream_addr.",
        ),
        (
            Reason(*b"B-"),
            "The backend refused, closed or answered wrongly; without $upstream_connect_time in the log_format the \
            phase is not known, and without $upstream_header_time it can be the backend's own answer. 502.",
        ),
        (
            Reason(*b"T-"),
            "A timeout, and without $upstream_connect_time in the log_format the phase is not known. 504.",
        ),
        (
            Reason(*b"C-"),
            "The client went away; the log_format does not tell how far the request had come. 499.",
        ),
        (
            Reason(*b"N-"),
            "nginx ended the request by an error of its own; the log_format does not tell how far it had come. 500.",
        ),
        (
            Reason(*b"--"),
            "The line does not tell: its log_format has no $upstream_ variables. The error log does, or a log_format \
            with $upstream_addr, $upstream_status, $upstream_connect_time, $upstream_header_time and $upstream_response_time.",
        ),
    ];

    /// Of a request; none where it did not fail.
    pub fn of(signs: &Signs<'_>) -> Option<Reason> {
        if !fails(signs.status) {
            return None;
        }
        if signs.status == 9 {
            return Some(Reason(*b"BH"));
        }
        if !signs.tells_upstream {
            return Some(Reason(match signs.status {
                499 => *b"C-",
                504 => *b"T-",
                _ => *b"--",
            }));
        }
        let mut last = Try::default();
        let mut failed = None;
        for it in signs.tries() {
            last = it;
            failed = Reason::of_try(&it, signs.status).or(failed);
        }
        let no_peer = last == Try::default() || ends_without_peer(signs.upstream_addr);
        // A try that was begun and has no peer.
        let was_begun =
            !last.status.is_empty() || signs.upstream_addr.is_empty() && signs.upstream_status == b"-";
        let verdict = small_number(last.status);
        Some(match signs.status {
            499 if no_peer => Reason(*b"CP"),
            500 if no_peer && was_begun => Reason(*b"NC"),
            _ if no_peer => Reason(*b"NP"),
            413 if verdict != Some(413) => Reason(*b"NP"),
            499 if verdict != Some(499) => Reason([b'C', last.phase()]),
            // Where the last try went well, an error_page kept the status of an earlier one.
            _ => failed.unwrap_or(Reason(*b"NP")),
        })
    }

    /// Of one try of a request that ended with that status; none where the try did not fail.
    pub fn of_try(it: &Try<'_>, request_status: u16) -> Option<Reason> {
        if it.no_live_peer() {
            return Some(Reason(*b"LP"));
        }
        let verdict = match it.status {
            // The format does not have it: the last try's status is that of the request.
            b"" => Some(request_status),
            text => small_number(text),
        };
        let phase = it.phase();
        Some(Reason(match verdict {
            // nginx sets these two itself where no header came. Other statuses come with a header, from the backend.
            Some(502) if phase != b'R' => match phase {
                b'C' => *b"KC",
                phase => [b'B', phase],
            },
            Some(504) if phase != b'R' => [b'T', phase],
            Some(status) if fails(status) => *b"AH",
            Some(_) => return None,
            None if request_status == 499 => [b'C', phase],
            None if fails(request_status) => [b'N', phase],
            None => *b"--",
        }))
    }

    /// Of what an entry of the error log says; none for entries that end no request.
    pub fn of_entry(record: &ErrorRecord<'_>) -> Option<Reason> {
        Reason::of_symptom(record.symptom()?, record.action)
    }

    /// Of a symptom, with what nginx was doing then (what follows ` while `); none for symptoms that end no request.
    pub fn of_symptom(symptom: Symptom, action: Option<&[u8]>) -> Option<Reason> {
        let phase = action.and_then(phase_of);
        // A backend can fail while the client still sends the body: nginx was then sending the request.
        let in_phase = |who: u8, usual: u8| match phase {
            Some(b'P') if who != b'C' => [who, b'W'],
            phase => [who, phase.unwrap_or(usual)],
        };
        Some(Reason(match symptom {
            Symptom::ConnectRefused
            | Symptom::ConnectNoRoute
            | Symptom::ConnectNetUnreachable
            | Symptom::ConnectPermission
            | Symptom::ConnectSocketMissing
            | Symptom::ConnectAgain
            | Symptom::ConnectNoAddress => *b"KC",
            Symptom::ConnectTimeout => *b"TC",
            Symptom::SocketFdLimit if phase == Some(b'C') => *b"KC",
            Symptom::SocketFdLimit | Symptom::PermissionDenied => *b"KP",
            Symptom::WorkerConnections if phase == Some(b'C') => *b"NC",
            Symptom::WorkerConnections => *b"NP",
            Symptom::NoLiveUpstreams => *b"LP",
            Symptom::ResolveFailed => *b"KD",
            Symptom::ResolveTimeout => *b"TD",
            Symptom::NoResolver => *b"ND",
            Symptom::SslHandshake => *b"BS",
            Symptom::SslVerify | Symptom::SslName => *b"NS",
            Symptom::SslTimeout => *b"TS",
            Symptom::SendTimeout => *b"TW",
            Symptom::SendFailed => *b"BW",
            Symptom::ReadTimeout => in_phase(b'T', b'H'),
            Symptom::ReadReset | Symptom::PrematureClose => in_phase(b'B', b'H'),
            Symptom::HeaderTooBig => *b"NH",
            Symptom::HeaderInvalid => *b"BH",
            Symptom::ResponseInvalid => in_phase(b'B', b'R'),
            Symptom::BodyShort => *b"BR",
            Symptom::TempWrite if phase == Some(b'R') => *b"KR",
            Symptom::TempWrite => *b"KP",
            Symptom::ClientClosed => in_phase(b'C', b'P'),
            Symptom::ProxyHeaderBroken => *b"CP",
            Symptom::BodyTooLarge | Symptom::Limiting | Symptom::AuthUnexpected => *b"NP",
            Symptom::UpstreamStatus => *b"AH",
            Symptom::WorkerExit
            | Symptom::ConfigEmerg
            | Symptom::FastcgiStderr
            | Symptom::UpstreamDisabled => {
                return None;
            }
        }))
    }

    /// The code that people write, in any case; none where there is no such code.
    pub fn from_code(code: &str) -> Option<Reason> {
        Reason::ALL.iter().map(|it| it.0).find(|it| it.code().eq_ignore_ascii_case(code))
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("--")
    }

    /// Who ended it.
    pub fn who(self) -> &'static str {
        WHO.iter().find(|it| it.0 == self.0[0]).map_or("", |it| it.1)
    }

    /// In which phase.
    pub fn phase(self) -> &'static str {
        PHASES.iter().find(|it| it.0 == self.0[1]).map_or("", |it| it.1)
    }

    /// What the code says of a request, and how it shows.
    pub fn meaning(self) -> &'static str {
        Reason::ALL.iter().find(|it| it.0 == self).map_or("", |it| it.1)
    }

    /// The symptoms that have this code, in some phase.
    pub fn symptoms(self) -> impl Iterator<Item = Symptom> {
        let actions = || ACTIONS.iter().map(|it| Some(it.0)).chain([None]);
        Symptom::ALL
            .iter()
            .copied()
            .filter(move |it| actions().any(|action| Reason::of_symptom(*it, action) == Some(self)))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether a request with that status failed; 9 is nginx's `009` for a reply that is not HTTP.
pub fn fails(status: u16) -> bool {
    status >= 500 || matches!(status, 9 | 413 | 499)
}

/// What nginx was doing, and the phase that this is.
const ACTIONS: [(&[u8], u8); 9] = [
    (b"connecting to upstream", b'C'),
    (b"SSL handshaking to upstream", b'S'),
    (b"sending request to upstream", b'W'),
    (b"reading response header from upstream", b'H'),
    (b"reading upstream", b'R'),
    (b"sending to client", b'R'),
    (b"proxying upgraded connection", b'R'),
    (b"proxying connection", b'R'),
    (b"reading client request body", b'P'),
];

fn phase_of(action: &[u8]) -> Option<u8> {
    let action = plain(action);
    ACTIONS.iter().find(|it| it.0 == action).map(|it| it.1)
}

/// Whether the list of addresses ends in a group that never chose a peer; a carrier may have trimmed its last space.
fn ends_without_peer(addresses: &[u8]) -> bool {
    addresses.ends_with(b" : ") || addresses.ends_with(b" :")
}

impl<'a> Signs<'a> {
    /// The tries in their order; none where there was no upstream.
    pub fn tries(&self) -> impl Iterator<Item = Try<'a>> {
        let lists = [
            self.upstream_addr,
            self.upstream_status,
            self.connect_time,
            self.header_time,
            self.response_time,
        ];
        let defined = lists.iter().any(|it| !matches!(*it, b"" | b"-"));
        // A group that never chose a peer leaves an empty entry in each of them.
        let mut lists = lists
            .map(|it| attempts(if defined { it } else { b"" }).filter(|it: &Listed| !it.text.is_empty()));
        std::iter::from_fn(move || {
            let entries = lists.each_mut().map(Iterator::next);
            let group = entries.iter().flatten().next()?.group;
            let [addr, status, connect_time, header_time, response_time] =
                entries.map(|it| it.map_or(b"".as_slice(), |it| it.text));
            Some(Try { addr, status, connect_time, header_time, response_time, group })
        })
    }
}

impl Try<'_> {
    /// nginx writes an address with its port, and the name of the group where none of its servers was eligible.
    fn no_live_peer(&self) -> bool {
        if matches!(self.addr, b"" | b"-") || self.addr.starts_with(b"unix:") {
            return false;
        }
        let digits = self.addr.iter().rev().take_while(|it| it.is_ascii_digit()).count();
        let has_port = digits > 0 && self.addr[..self.addr.len() - digits].ends_with(b":");
        !has_port
    }

    /// How far it came.
    fn phase(&self) -> u8 {
        let reached = |time: &[u8]| time.first().is_some_and(u8::is_ascii_digit);
        if reached(self.header_time) {
            b'R'
        } else if reached(self.connect_time) {
            b'H'
        } else if self.connect_time == b"-" {
            b'C'
        } else {
            b'-'
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of a request whose lists are these, in the order addr, status, connect, header, response.
    #[track_caller]
    fn code(status: u16, lists: [&str; 5], expected: &str) {
        let [addr, upstream_status, connect, header, response] = lists.map(str::as_bytes);
        let signs = Signs {
            status,
            tells_upstream: true,
            upstream_addr: addr,
            upstream_status,
            connect_time: connect,
            header_time: header,
            response_time: response,
        };
        let reason = Reason::of(&signs);
        assert_eq!(reason.as_ref().map_or("none", Reason::code), expected, "{status} {lists:?}");
    }

    #[test]
    fn a_502_without_a_connection_was_refused() {
        code(502, ["10.0.0.1:80", "502", "-", "-", "0.000"], "KC");
        code(502, ["unix:/run/a.sock", "502", "-", "-", "0.000"], "KC");
    }

    #[test]
    fn a_502_with_a_connection_was_closed_by_the_backend() {
        code(502, ["[::1]:80", "502", "0.001", "-", "0.020"], "BH");
        code(9, ["10.0.0.1:80", "200", "0.001", "0.002", "0.020"], "BH");
    }

    #[test]
    fn a_504_tells_by_its_connection_which_timeout_ran_out() {
        code(504, ["10.0.0.1:80", "504", "-", "-", "60.000"], "TC");
        code(504, ["10.0.0.1:80", "504", "0.001", "-", "60.000"], "TH");
    }

    #[test]
    fn a_name_of_a_group_means_that_no_server_was_live() {
        code(502, ["backend", "502", "-", "-", "0.000"], "LP");
        code(502, ["10.0.0.1:80, backend", "502, 502", "-, -", "-, -", "0.000, 0.000"], "LP");
    }

    #[test]
    fn a_status_that_came_with_a_header_is_the_backends_own() {
        code(503, ["10.0.0.1:80", "503", "0.001", "0.002", "0.020"], "AH");
        code(502, ["10.0.0.1:80", "502", "0.001", "0.002", "0.020"], "AH");
        code(413, ["10.0.0.1:80", "413", "0.001", "0.002", "0.020"], "AH");
        // nginx gives no try a 500 of its own.
        code(500, ["10.0.0.1:80", "500", "", "", ""], "AH");
    }

    #[test]
    fn without_an_upstream_nginx_answered_itself() {
        for undefined in ["-", ""] {
            code(503, [undefined; 5], "NP");
            code(413, [undefined; 5], "NP");
            code(499, [undefined; 5], "CP");
            code(500, [undefined; 5], "NP");
        }
        code(413, ["10.0.0.1:80", "502", "0.001", "-", "0.020"], "NP");
    }

    #[test]
    fn a_try_without_a_peer_never_had_a_socket() {
        code(500, ["", "-", "-", "-", "0.000"], "NC");
        code(500, ["10.0.0.1:80 : ", "502 : ", "- : ", "- : ", "0.000 : "], "NC");
        code(502, ["10.0.0.1:80 : ", "200 : ", "0.001 : ", "0.001 : ", "0.001 : "], "NP");
    }

    #[test]
    fn a_client_that_leaves_does_so_in_a_phase() {
        code(499, ["10.0.0.1:80", "-", "-", "-", "1.000"], "CC");
        code(499, ["10.0.0.1:80", "-", "0.001", "-", "1.000"], "CH");
        code(499, ["10.0.0.1:80, 10.0.0.2:80", "502, -", "-, 0.001", "-, -", "0.000, 1.000"], "CH");
        code(499, ["10.0.0.1:80", "-", "", "", "1.000"], "C-");
    }

    #[test]
    fn the_last_try_decides_and_each_has_its_own_code() {
        let lists = [
            "10.0.0.1:80, 10.0.0.2:80 : unix:/run/b.sock, c",
            "502, 504 : 200, 502",
            "-, 0.001 : 0.000, -",
            "-, - : 0.010, -",
            "0.000, 60.000 : 0.010, 0.000",
        ];
        code(502, lists, "LP");
        let [addr, status, connect, header, response] = lists.map(str::as_bytes);
        let signs = Signs {
            status: 502,
            tells_upstream: true,
            upstream_addr: addr,
            upstream_status: status,
            connect_time: connect,
            header_time: header,
            response_time: response,
        };
        let codes: Vec<_> =
            signs.tries().map(|it| (it.group, Reason::of_try(&it, 502).map(|it| it.to_string()))).collect();
        let some = |it: &str| Some(it.to_owned());
        assert_eq!(codes, [(0, some("KC")), (0, some("TH")), (1, None), (1, some("LP"))]);
    }

    #[test]
    fn an_error_page_from_another_backend_keeps_the_first_failure() {
        code(
            502,
            ["10.0.0.1:80 : 10.0.0.2:80", "502 : 200", "- : 0.001", "- : 0.001", "0.000 : 0.001"],
            "KC",
        );
    }

    #[test]
    fn a_format_that_tells_less_gives_a_code_that_says_so() {
        code(502, ["10.0.0.1:80", "502", "", "", "0.000"], "B-");
        code(504, ["", "504", "", "", "60.000"], "T-");
        let combined = |status| Reason::of(&Signs { status, ..Signs::default() }).map(|it| it.to_string());
        assert_eq!(combined(502).as_deref(), Some("--"));
        assert_eq!(combined(499).as_deref(), Some("C-"));
        assert_eq!(combined(404), None);
    }

    #[test]
    fn a_request_that_went_well_has_no_code() {
        code(200, ["10.0.0.1:80, 10.0.0.2:80", "502, 200", "-, 0.001", "-, 0.001", "0.000, 0.002"], "none");
        code(404, ["-"; 5], "none");
    }

    #[test]
    fn an_entry_refines_what_the_access_line_tells() {
        let of = |symptom, action: &str| {
            Reason::of_symptom(symptom, Some(action.as_bytes())).map(|it| it.to_string())
        };
        assert_eq!(of(Symptom::SslVerify, "SSL handshaking to upstream").as_deref(), Some("NS"));
        assert_eq!(of(Symptom::ReadTimeout, "reading upstream").as_deref(), Some("TR"));
        assert_eq!(of(Symptom::ReadReset, "sending request to upstream").as_deref(), Some("BW"));
        assert_eq!(of(Symptom::FastcgiStderr, "reading upstream"), None);
    }

    #[test]
    fn every_code_that_can_occur_is_described() {
        let described = |it: Reason| assert!(!it.meaning().is_empty(), "{it}");
        for symptom in Symptom::ALL {
            for action in ACTIONS.iter().map(|it| Some(it.0)).chain([None]) {
                Reason::of_symptom(*symptom, action).into_iter().for_each(described);
            }
        }
        let values =
            ["", "-", "0.001", "0.001, -", "- : ", "a", "10.0.0.1:80", "502", "504, 200", "500", "499"];
        for status in [9, 200, 413, 499, 500, 502, 503, 504] {
            for number in 0..values.len().pow(4) {
                let value = |place: u32| values[number / values.len().pow(place) % values.len()].as_bytes();
                let signs = Signs {
                    status,
                    tells_upstream: true,
                    upstream_addr: value(0),
                    upstream_status: value(1),
                    connect_time: value(2),
                    header_time: value(3),
                    response_time: b"",
                };
                Reason::of(&signs).into_iter().for_each(described);
                signs.tries().filter_map(|it| Reason::of_try(&it, status)).for_each(described);
            }
        }
        for (reason, _) in Reason::ALL {
            assert!(!reason.who().is_empty() && !reason.phase().is_empty(), "{reason}");
            assert_eq!(Reason::from_code(&reason.code().to_lowercase()), Some(*reason));
        }
    }
}
