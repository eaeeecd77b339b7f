//! Lines of access logs: the variables of their format by name, and what follows from them.

use super::clock::Writing;
use super::out::{Key, keys, push_short};
use super::{ACCESS, LONGEST_LINE_BYTES, Place, Writer, lines};
use crate::access::{Escape, Format, attempts, unescape_into};
use crate::bytes::small_number;
use crate::carrier::tidy;
use crate::fields::split_request;
use crate::reason::{Reason, Signs, Try};
use crate::split::Splitter;

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

/// Finds the fields of lines that are as usual, and where among them each variable stands.
#[derive(Debug)]
struct Fast {
    splitter: Splitter,
    places: Vec<usize>,
    /// A `$time_local`, whose values only we see.
    time: Option<usize>,
}

impl Fast {
    fn new(format: &Format) -> Option<Fast> {
        // The time comes first: it is read in any case, and so need not be checked twice.
        let mut asked: Vec<&str> = format.variables().filter(|it| *it == "time_local").take(1).collect();
        let own = asked.len();
        for name in format.variables() {
            if !asked.contains(&name) {
                asked.push(name);
            }
        }
        let place = |name: &str| asked.iter().position(|it| *it == name);
        Some(Fast {
            splitter: Splitter::new(format, &asked, own)?,
            places: format.variables().filter_map(place).collect(),
            time: format.variables().position(|it| it == "time_local"),
        })
    }
}

/// What to do with the variables of one format.
#[derive(Debug)]
pub(super) struct Plan {
    fast: Option<Fast>,
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
            fast: Fast::new(format),
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
            status: small_number(value(self.status)).unwrap_or_default(),
            tells_upstream: self.signs[0].is_some() || self.signs[1].is_some(),
            upstream_addr,
            upstream_status,
            connect_time,
            header_time,
            response_time,
        }
    }
}

impl<'b> Writer<'_, 'b> {
    /// A log that holds nothing but lines of one format: the common case, and the fast one.
    pub(super) fn access_log(&mut self, format: &Format, plan: &Plan) {
        let mut values = Vec::with_capacity(32);
        let bytes = self.block.bytes;
        let Some(fast) = &plan.fast else {
            return lines(bytes).for_each(|line| self.access_line(format, plan, line, &mut values));
        };
        let mut marks = std::mem::take(self.marks);
        fast.splitter.each_line(bytes, &mut marks, |rest, line, fields| {
            let line = line.of(rest);
            let Some(fields) = fields.filter(|_| tidy(line).len() == line.len()) else {
                return self.access_line(format, plan, line, &mut values);
            };
            values.clear();
            values.extend(fast.places.iter().map(|it| fields.get(*it).of(rest)));
            if let Some(value) = fast.time.map(|it| values[it])
                && value.len() > 1
                && self.clock.read(Writing::Local, value).is_none()
            {
                return self.access_line(format, plan, line, &mut values);
            }
            if let Some(place) = self.place(line, 1) {
                self.access(plan, &place, &values);
            }
        });
        *self.marks = marks;
    }

    fn access_line(&mut self, format: &Format, plan: &Plan, line: &'b [u8], values: &mut Vec<&'b [u8]>) {
        let Some(place) = self.place(line, 1) else { return };
        if place.raw.len() <= LONGEST_LINE_BYTES && format.split(place.raw, values) {
            self.access(plan, &place, values);
        } else {
            self.any(&place, place.raw, None);
        }
    }

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
                Role::Text => self.out.escaped(key, value, plan.escape, self.scratch),
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
            for (key, index) in [&METHOD, &PATH, &PROTOCOL].into_iter().zip(plan.parts) {
                self.out.escaped(key, value(index).unwrap_or_default(), plan.escape, self.scratch);
            }
            return;
        };
        let Some(line) = value(Some(request)) else { return };
        let line =
            if unescape_into(line, plan.escape, self.scratch) { self.scratch.as_slice() } else { line };
        let parts = split_request(line);
        self.out.maybe(&METHOD, parts.method);
        self.out.maybe(&PATH, parts.path);
        self.out.maybe(&PROTOCOL, parts.protocol);
    }

    /// The tries of a request, each with what the lists hold of it and, where it failed, the reason.
    fn tries(&mut self, plan: &Plan, signs: &Signs<'_>, values: &[&[u8]]) {
        let defined = |it: &&(Key, usize)| !matches!(values[it.1], b"" | b"-");
        if !plan.lists.iter().any(|it| defined(&it)) {
            return;
        }
        push_short(self.out.bytes, b",\"upstreams\":[");
        // Most requests need one try.
        if !plan.lists.iter().any(|it| values[it.1].contains(&b' ')) {
            let start = self.out.bytes.len();
            for (key, index) in plan.lists.iter().filter(defined) {
                self.out.number(key, values[*index]);
            }
            let it = Try {
                addr: signs.upstream_addr,
                status: signs.upstream_status,
                connect_time: signs.connect_time,
                header_time: signs.header_time,
                response_time: signs.response_time,
                group: 0,
            };
            self.end_of_try(start, &it, signs.status);
            return self.out.bytes.push(b']');
        }
        let mut lists: [_; LISTS.len()] = std::array::from_fn(|it| {
            let list = plan.lists.get(it).map_or(b"".as_slice(), |it| values[it.1]);
            attempts(list).filter(|it| !it.text.is_empty())
        });
        let mut reasons = signs.tries();
        for count in 0.. {
            let start = self.out.bytes.len() + usize::from(count > 0);
            let mut group = None;
            for (list, (key, _)) in lists.iter_mut().zip(&plan.lists) {
                let Some(entry) = list.next() else { continue };
                if group.is_none() && count > 0 {
                    self.out.bytes.push(b',');
                }
                group = group.or(Some(entry.group));
                if entry.text != b"-" {
                    self.out.number(key, entry.text);
                }
            }
            if group.is_none() {
                break;
            }
            self.end_of_try(start, &reasons.next().unwrap_or_default(), signs.status);
        }
        self.out.bytes.push(b']');
    }

    /// Ends the object of a try, whose members begin at `start`.
    fn end_of_try(&mut self, start: usize, it: &Try<'_>, request_status: u16) {
        if it.group > 0 {
            self.out.integer(&GROUP, it.group as u64);
        }
        if let Some(reason) = Reason::of_try(it, request_status) {
            self.out.text(&REASON, reason.code().as_bytes());
        }
        // Members begin with a comma: the first one's becomes the brace.
        match self.out.bytes.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.out.bytes.push(b'{'),
        }
        self.out.bytes.push(b'}');
    }
}
