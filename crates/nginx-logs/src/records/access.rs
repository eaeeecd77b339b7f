//! Lines of access logs: the variables of their format by name, and what follows from them.

use super::clock::Writing;
use super::out::{Key, keys};
use super::{ACCESS, Place, Writer};
use crate::access::{Escape, Format, attempts, unescape_into};
use crate::bytes::number;
use crate::fields::split_request;
use crate::reason::{Reason, Signs, Try};

keys! {
    METHOD = "method";
    PATH = "path";
    PROTOCOL = "protocol";
    REASON = "reason";
    PID = "pid";
    GROUP = "group";
}

/// Lists in `$upstream_*` that hold one entry for each try, and its name there. The first five tell the reason.
const LISTS: [(&str, &str); 11] = [
    ("upstream_addr", "addr"),
    ("upstream_status", "status"),
    ("upstream_connect_time", "connect_time"),
    ("upstream_header_time", "header_time"),
    ("upstream_response_time", "response_time"),
    ("upstream_queue_time", "queue_time"),
    ("upstream_first_byte_time", "first_byte_time"),
    ("upstream_session_time", "session_time"),
    ("upstream_response_length", "response_length"),
    ("upstream_bytes_received", "bytes_received"),
    ("upstream_bytes_sent", "bytes_sent"),
];

/// Names of fields that records have by themselves. A variable of the same name keeps its `$`.
const OWN: [&str; 20] = [
    "kind",
    "file",
    "line",
    "offset",
    "time",
    "raw",
    "upstreams",
    "reason",
    "method",
    "path",
    "protocol",
    "source",
    "stream",
    "unit",
    "program",
    "message",
    "truncated",
    "symptom",
    "level",
    "event",
];

/// Variables that are numbers. Addresses, times and lists are not.
const NUMBERS: [&str; 14] = [
    "status",
    "body_bytes_sent",
    "bytes_sent",
    "bytes_received",
    "request_time",
    "request_length",
    "session_time",
    "connection",
    "connection_requests",
    "connection_time",
    "msec",
    "pid",
    "server_port",
    "remote_port",
];

#[derive(Debug)]
enum Role {
    Text,
    Number,
    /// One of `LISTS`.
    List,
    /// It stands in the format once more.
    Again,
}

/// What to do with the variables of one format.
#[derive(Debug)]
pub(super) struct Plan {
    escape: Escape,
    fields: Vec<(Key, Role)>,
    time: Option<(Writing, usize)>,
    status: Option<usize>,
    has_pid: bool,
    request: Option<usize>,
    /// `$request_method`, `$request_uri` and `$server_protocol`, where there is no `$request`.
    parts: [Option<usize>; 3],
    /// By `LISTS`: its name in a try, and its place.
    lists: Vec<(Key, usize)>,
    signs: [Option<usize>; 5],
}

impl Plan {
    pub fn new(format: &Format) -> Plan {
        let names: Vec<&str> = format.variables().collect();
        let place = |name: &str| names.iter().position(|it| *it == name);
        let field = |(index, name): (usize, &&str)| {
            let role = match *name {
                _ if names[..index].contains(name) => Role::Again,
                it if LISTS.iter().any(|list| list.0 == it) => Role::List,
                it if NUMBERS.contains(&it) => Role::Number,
                _ => Role::Text,
            };
            let key = if OWN.contains(name) { Key::new(&format!("${name}")) } else { Key::new(name) };
            (key, role)
        };
        let time =
            [("time_iso8601", Writing::Iso8601), ("time_local", Writing::Local), ("msec", Writing::Msec)];
        let list = |(variable, name): &(&str, &str)| Some((Key::new(name), place(variable)?));
        Plan {
            escape: format.escape(),
            fields: names.iter().enumerate().map(field).collect(),
            time: time.iter().find_map(|(name, writing)| Some((*writing, place(name)?))),
            status: place("status"),
            has_pid: names.contains(&"pid"),
            request: place("request"),
            parts: [
                place("request_method"),
                place("request_uri").or_else(|| place("uri")),
                place("server_protocol"),
            ],
            lists: LISTS.iter().filter_map(list).collect(),
            signs: std::array::from_fn(|it| place(LISTS[it].0)),
        }
    }

    /// Undefined values are `-` or empty, as the format's escaping writes them.
    fn is_undefined(&self, value: &[u8]) -> bool {
        value.is_empty() || self.escape == Escape::Default && value == b"-"
    }

    fn signs<'a>(&self, values: &[&'a [u8]]) -> Signs<'a> {
        let value = |it: Option<usize>| it.map_or(b"".as_slice(), |it| values[it]);
        let [upstream_addr, upstream_status, connect_time, header_time, response_time] =
            self.signs.map(value);
        Signs {
            status: number(value(self.status)).unwrap_or_default(),
            tells_upstream: self.signs[0].is_some() || self.signs[1].is_some(),
            upstream_addr,
            upstream_status,
            connect_time,
            header_time,
            response_time,
        }
    }
}

/// The value without nginx's escapes.
fn decoded<'v>(value: &'v [u8], escape: Escape, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    if unescape_into(value, escape, scratch) { scratch } else { value }
}

impl Writer<'_, '_> {
    pub(super) fn access(&mut self, plan: &Plan, place: &Place<'_>, values: &[&[u8]]) {
        let moment = plan.time.and_then(|(writing, index)| self.clock.read(writing, values[index]));
        if !self.begin(ACCESS, place, moment) {
            return;
        }
        if !plan.has_pid
            && let Some(pid) = place.carried.and_then(|it| it.pid)
        {
            self.out.integer(&PID, pid.into());
        }
        for ((key, role), value) in plan.fields.iter().zip(values) {
            if plan.is_undefined(value) {
                continue;
            }
            match role {
                Role::Number => self.out.number(key, value),
                Role::Text => self.out.text(key, decoded(value, plan.escape, self.scratch)),
                Role::List if !self.out.is_json() => self.out.text(key, value),
                Role::List | Role::Again => {}
            }
        }
        self.request(plan, values);
        let signs = plan.signs(values);
        if self.out.is_json() {
            self.tries(plan, &signs, values);
        }
        if let Some(reason) = Reason::of(&signs) {
            self.out.text(&REASON, reason.code().as_bytes());
        }
        self.end(place);
    }

    fn request(&mut self, plan: &Plan, values: &[&[u8]]) {
        let value = |it: Option<usize>| it.map(|it| values[it]).filter(|it| !plan.is_undefined(it));
        let Some(request) = plan.request else {
            for (key, index) in [METHOD, PATH, PROTOCOL].iter().zip(plan.parts) {
                let value = value(index).unwrap_or_default();
                self.out.text(key, decoded(value, plan.escape, self.scratch));
            }
            return;
        };
        let Some(line) = value(Some(request)) else { return };
        let parts = split_request(decoded(line, plan.escape, self.scratch));
        self.out.maybe(&METHOD, parts.method);
        self.out.maybe(&PATH, parts.path);
        self.out.maybe(&PROTOCOL, parts.protocol);
    }

    /// The tries of a request, each with what the lists hold of it and, where it failed, the reason.
    fn tries(&mut self, plan: &Plan, signs: &Signs<'_>, values: &[&[u8]]) {
        if plan.lists.iter().all(|it| matches!(values[it.1], b"" | b"-")) {
            return;
        }
        let mut lists: [_; LISTS.len()] = std::array::from_fn(|it| {
            let list = plan.lists.get(it).map_or(b"".as_slice(), |it| values[it.1]);
            attempts(list).filter(|it| !it.text.is_empty())
        });
        let mut reasons = signs.tries();
        let mut count = 0;
        loop {
            let mut group = None;
            let start = self.out.bytes.len();
            self.out.bytes.extend_from_slice(if count == 0 { b",\"upstreams\":[" } else { b"," });
            let first = self.out.bytes.len();
            for (list, (key, _)) in lists.iter_mut().zip(&plan.lists) {
                let Some(entry) = list.next() else { continue };
                group = group.or(Some(entry.group));
                if entry.text != b"-" {
                    self.out.number(key, decoded(entry.text, plan.escape, self.scratch));
                }
            }
            let Some(group) = group else {
                self.out.bytes.truncate(start);
                break;
            };
            if group > 0 {
                self.out.integer(&GROUP, group as u64);
            }
            let reason = reasons.next().and_then(|it: Try<'_>| Reason::of_try(&it, signs.status));
            if let Some(reason) = reason {
                self.out.text(&REASON, reason.code().as_bytes());
            }
            // Members begin with a comma: the first one's becomes the brace.
            match self.out.bytes.get_mut(first) {
                Some(comma) => *comma = b'{',
                None => self.out.bytes.push(b'{'),
            }
            self.out.bytes.push(b'}');
            count += 1;
        }
        if count > 0 {
            self.out.bytes.push(b']');
        }
    }
}
