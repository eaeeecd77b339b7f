//! What the values of lines of one format are.

use super::names::{self, Said};
use super::tokens::Value;
use crate::access_time::{msec, time_iso8601, time_local};
use crate::bytes::{find, rsplit_byte, split_byte};

/// The values that stand at one place in several lines.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub before: &'a [u8],
    parent: &'a [u8],
    key: &'a [u8],
    quoted: bool,
    texts: Vec<&'a [u8]>,
}

impl<'a> Column<'a> {
    pub(super) fn new(first: &Value<'a>, texts: impl Iterator<Item = &'a [u8]>) -> Column<'a> {
        Column {
            before: first.before,
            parent: first.parent,
            key: first.key,
            quoted: first.quoted,
            texts: texts.collect(),
        }
    }

    /// The key with its parent's, as variables are written.
    fn name(&self) -> String {
        match names::plain_name(self.parent) {
            parent if parent.is_empty() => names::plain_name(self.key),
            parent => format!("{parent}_{}", names::plain_name(self.key)),
        }
    }

    /// The values that are there.
    fn defined(&self) -> impl Iterator<Item = &'a [u8]> {
        self.texts.iter().copied().filter(|it| !is_undefined(it))
    }

    fn is_undefined(&self) -> bool {
        self.defined().next().is_none()
    }

    fn has_undefined(&self) -> bool {
        self.texts.iter().any(|it| is_undefined(it))
    }

    /// Whether there are values, and each of them is like that.
    fn all(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        !self.is_undefined() && self.defined().all(is)
    }

    /// Whether most values are like that. Clients send all kinds of garbage.
    fn mostly(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        let (mut yes, mut total) = (0, 0);
        for text in self.defined() {
            yes += usize::from(is(text));
            total += 1;
        }
        total > 0 && yes * 2 > total
    }

    fn is_list(&self) -> bool {
        self.defined().any(|it| items(it).count() > 1)
    }

    /// Whether the values can be that variable's. Where none is there, any variable can be undefined.
    fn suits(&self, variable: &str) -> bool {
        if self.is_undefined() {
            return !matches!(variable, "status" | "request" | "request_uri" | "request_method");
        }
        match variable {
            "status" => self.all(is_status) && !self.has_undefined(),
            "request" => self.mostly(is_request_line),
            "request_uri" => self.mostly(|it| it.starts_with(b"/") || it.starts_with(b"http")),
            "request_method" => self.all(|it| it.iter().all(|it| it.is_ascii_uppercase() || *it == b'_')),
            "server_protocol" => self.all(|it| it.starts_with(b"HTTP/")),
            "remote_addr" => self.all(|it| is_address(it) || it == b"unix:"),
            "request_time" => self.all(is_seconds) && !self.is_list(),
            "upstream_response_time" | "upstream_connect_time" | "upstream_header_time" => {
                self.all(|it| items(it).all(|it| is_undefined(it) || is_seconds(it)))
            }
            "upstream_status" => self.all(|it| items(it).all(|it| is_undefined(it) || is_status(it))),
            "upstream_response_length" => {
                self.all(|it| items(it).all(|it| is_undefined(it) || is_digits(it)))
            }
            // A group's name can stand for its servers, and a name of one server for its address.
            "upstream_addr" => {
                self.all(|it| {
                    items(it).all(|it| !it.iter().any(|it| matches!(it, b' ' | b'/' | b',')) || is_peer(it))
                }) && self.defined().flat_map(items).any(is_peer)
            }
            "body_bytes_sent"
            | "bytes_sent"
            | "request_length"
            | "connection"
            | "connection_requests"
            | "pid"
            | "server_port" => self.all(is_digits),
            "gzip_ratio" => self.all(|it| it.iter().all(|it| it.is_ascii_digit() || *it == b'.')),
            "host" | "http_host" | "server_name" | "scheme" | "server_addr" | "request_id" | "pipe" => {
                self.all(|it| !it.contains(&b' '))
            }
            "upstream_cache_status" => self.all(is_cache_status),
            _ => true,
        }
    }

    /// The variable of a time of that shape.
    fn time(&self) -> Option<&'static str> {
        if self.has_undefined() {
            return None;
        }
        let is = |read: fn(&[u8]) -> Option<jiff::Timestamp>| self.all(|it| read(it).is_some());
        if is(time_local) {
            Some("time_local")
        } else if is(time_iso8601) {
            Some("time_iso8601")
        } else {
            (is(msec) && self.all(|it| it.len() == 14)).then_some("msec")
        }
    }
}

/// nginx writes undefined values as `-`, or not at all; some map them to `null`.
fn is_undefined(text: &[u8]) -> bool {
    matches!(text, b"" | b"-" | b"null")
}

/// The entries of a list with one for each try.
fn items(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|it| *it == b',').flat_map(|it| {
        // ` : ` stands between groups; a colon without spaces belongs to an address.
        let it = it.trim_ascii();
        match find(it, b" : ") {
            Some(at) => [Some(&it[..at]), Some(it[at + 3..].trim_ascii())],
            None => [Some(it.strip_suffix(b" :").unwrap_or(it)), None],
        }
        .into_iter()
        .flatten()
    })
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// A status that nginx gives or passes on; 009 is a reply that was no HTTP, 000 one that never came.
fn is_status(text: &[u8]) -> bool {
    text.len() == 3 && is_digits(text) && (matches!(text[0], b'1'..=b'5') || text == b"009" || text == b"000")
}

/// Three digits behind the point: all times of nginx have that.
fn is_seconds(text: &[u8]) -> bool {
    split_byte(text, b'.').is_some_and(|(whole, rest)| {
        is_digits(whole) && whole.len() <= 7 && is_digits(rest) && rest.len() == 3
    })
}

fn is_request_line(text: &[u8]) -> bool {
    let Some((method, rest)) = split_byte(text, b' ') else { return false };
    // Without a protocol where a format puts method and URI together.
    if is_method(method) && rest.starts_with(b"/") {
        return true;
    }
    !method.is_empty()
        && method.iter().all(|it| it.is_ascii_uppercase() || *it == b'_')
        && find(rest, b" HTTP/").is_some()
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|it| it.parse::<std::net::IpAddr>().is_ok())
}

/// `10.0.0.9:8080`, `[::1]:8080`, `unix:/run/a.sock`, `app:8080`.
fn is_peer(text: &[u8]) -> bool {
    if text.starts_with(b"unix:/") {
        return true;
    }
    let Some((host, port)) = rsplit_byte(text, b':') else { return false };
    let is_name = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_');
    let inner = host.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
    let is_host = !host.is_empty() && host.iter().all(is_name) || inner.is_some_and(is_address);
    is_host && is_digits(port) && port.len() <= 5
}

/// A name that can be in a Host header: letters, with a point between them.
fn is_host_name(text: &[u8]) -> bool {
    text == b"localhost"
        || find(text, b".").is_some()
            && text.iter().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_'))
            && text.iter().any(u8::is_ascii_alphabetic)
            && text.last().is_some_and(u8::is_ascii_alphabetic)
}

fn is_cache_status(text: &[u8]) -> bool {
    [b"HIT".as_slice(), b"MISS", b"BYPASS", b"EXPIRED", b"STALE", b"UPDATING", b"REVALIDATED", b"SCARCE"]
        .contains(&text)
}

fn is_agent(text: &[u8]) -> bool {
    let known = [b"Mozilla/".as_slice(), b"curl/", b"Go-http-client", b"Wget", b"kube-probe", b"python-"];
    known.iter().any(|it| text.starts_with(it)) || {
        let (product, version) = split_byte(text, b'/').unwrap_or((b"", b""));
        !product.is_empty()
            && product.iter().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b' ' | b'.'))
            && product[0].is_ascii_alphabetic()
            && version.first().is_some_and(u8::is_ascii_digit)
            && product != b"HTTP"
    }
}

fn is_link(text: &[u8]) -> bool {
    text.starts_with(b"http://") || text.starts_with(b"https://") || text.starts_with(b"android-app://")
}

/// What to write for a column in the format.
#[derive(Debug)]
pub(super) enum Name {
    Variable(String),
    /// The same text in every line: the `-` behind the client's address.
    Literal,
}

/// A name for each column; `None` where time, status and request are not certain.
pub(super) fn names(columns: &[Column<'_>]) -> Option<Vec<Name>> {
    let mut guess = Guess { columns, names: vec![None; columns.len()] };
    let of_application = |it: &Column<'_>| {
        names::said(&it.name()) == Some(Said::Application) || it.key.is_empty() && it.all(is_level)
    };
    if columns.iter().any(of_application) {
        return None;
    }
    guess.by_key(names::said);
    guess.by_key(names::said_by_end);
    guess.host_of_ltsv();
    guess.by_shape();
    // Behind a request with its own status it is the upstream's.
    guess.by_key(|name| (name == "st").then_some(Said::OneOf(&["status", "upstream_status"])));
    if guess.is_of_php_fpm() {
        return None;
    }
    let has = |name: &str| guess.names.iter().flatten().any(|it| *it == name);
    let timed = ["time_local", "time_iso8601", "msec"].iter().any(|it| has(it));
    let certain = timed && has("status") && (has("request") || has("request_uri"));
    certain.then(|| guess.finish())
}

struct Guess<'a> {
    columns: &'a [Column<'a>],
    names: Vec<Option<&'static str>>,
}

impl Guess<'_> {
    fn is_taken(&self, name: &str) -> bool {
        self.names.iter().flatten().any(|it| *it == name)
    }

    /// Names a column, if it is free, nothing else has that name and the values suit.
    fn name(&mut self, index: usize, name: &'static str) -> bool {
        let possible = self.names[index].is_none() && !self.is_taken(name) && self.columns[index].suits(name);
        if possible {
            self.names[index] = Some(name);
        }
        possible
    }

    /// Names the first free column without a key for which this holds.
    fn name_first(&mut self, name: &'static str, is: impl Fn(&Column<'_>) -> bool) -> Option<usize> {
        (0..self.columns.len()).find(|index| {
            let column = &self.columns[*index];
            column.key.is_empty() && self.names[*index].is_none() && is(column) && self.name(*index, name)
        })
    }

    fn by_key(&mut self, said: impl Fn(&str) -> Option<Said>) {
        for index in 0..self.columns.len() {
            let column = &self.columns[index];
            if column.key.is_empty() || self.names[index].is_some() {
                continue;
            }
            match said(&column.name()) {
                Some(Said::Variable(name)) => {
                    self.name(index, name);
                }
                Some(Said::OneOf(several)) => {
                    // Only a value that is there tells which.
                    if !column.is_undefined() {
                        let _ = several.iter().find(|it| self.name(index, it));
                    }
                }
                Some(Said::Time) => {
                    if let Some(name) = column.time() {
                        self.name(index, name);
                    }
                }
                Some(Said::Application) | None => {}
            }
        }
    }

    /// LTSV calls the client `host`.
    fn host_of_ltsv(&mut self) {
        if let Some(host) = self.names.iter().position(|it| *it == Some("host"))
            && !self.is_taken("remote_addr")
            && self.columns[host].all(is_address)
        {
            self.names[host] = Some("remote_addr");
        }
    }

    /// Values without a key, and those whose key says nothing, by their shape and their place.
    fn by_shape(&mut self) {
        let columns = self.columns;
        for name in ["time_local", "time_iso8601", "msec"] {
            self.name_first(name, |it| it.time() == Some(name));
        }
        let request = self
            .name_first("request", |it| it.mostly(is_request_line))
            .or_else(|| self.names.iter().position(|it| *it == Some("request")));
        if request.is_none() {
            self.name_first("request_method", |it| it.all(is_method));
            self.name_first("request_uri", |it| it.mostly(|it| it.starts_with(b"/")));
            self.name_first("server_protocol", |it| it.all(|it| it.starts_with(b"HTTP/")));
        }
        let status = self.status(request);
        if let Some(status) = status {
            if columns.get(status + 1).is_some_and(|it| it.key.is_empty() && !it.quoted) {
                self.name(status + 1, "body_bytes_sent");
            }
            self.referer_and_agent(status);
        }
        self.name_first("remote_addr", |it| it.all(is_address));
        if let Some(address) = self.names.iter().position(|it| *it == Some("remote_addr")) {
            // `10.0.0.9 - user [`.
            let ident = columns.get(address + 1).is_some_and(|it| it.key.is_empty() && it.is_undefined());
            if ident && columns.get(address + 2).is_some_and(|it| it.key.is_empty() && !it.quoted) {
                self.name(address + 2, "remote_user");
            }
        }
        self.name_first("upstream_cache_status", |it| it.all(is_cache_status));
        self.name_first("scheme", |it| it.all(|it| matches!(it, b"http" | b"https")));
        self.name_first("ssl_protocol", |it| {
            it.all(|it| it.starts_with(b"TLSv1") || it.starts_with(b"SSLv"))
        });
        self.name_first("request_id", |it| {
            it.all(|it| it.len() == 32 && it.iter().all(u8::is_ascii_hexdigit))
        });
        if let Some(status) = status {
            self.upstreams(status);
        }
        self.name_first("http_x_forwarded_for", |it| it.quoted && it.all(|it| items(it).all(is_address)));
        self.name_first("host", |it| it.all(is_host_name));
    }

    /// The status follows the request; elsewhere it is certain only where nothing else could be it.
    fn status(&mut self, request: Option<usize>) -> Option<usize> {
        let named = self.names.iter().position(|it| *it == Some("status"));
        if named.is_some() {
            return named;
        }
        let can_be = |index: &usize| {
            let column = &self.columns[*index];
            column.key.is_empty()
                && self.names[*index].is_none()
                && column.suits("status")
                && !column.is_list()
        };
        let behind_request = request.map(|it| it + 1).filter(|it| *it < self.columns.len() && can_be(it));
        let candidates: Vec<usize> = (0..self.columns.len()).filter(can_be).collect();
        let index = match (behind_request, candidates.as_slice()) {
            (Some(index), _) => index,
            (None, [only]) => *only,
            // The same in every line: then it does not matter.
            (None, [first, rest @ ..])
                if rest.iter().all(|it| self.columns[*it].texts == self.columns[*first].texts) =>
            {
                *first
            }
            _ => return None,
        };
        self.name(index, "status").then_some(index)
    }

    /// Referer and agent stand behind the status, quoted, in that order unless they say otherwise.
    fn referer_and_agent(&mut self, status: usize) {
        let quoted: Vec<usize> = (0..self.columns.len())
            .filter(|it| {
                self.columns[*it].quoted && self.columns[*it].key.is_empty() && self.names[*it].is_none()
            })
            .collect();
        let agent = quoted.iter().copied().find(|it| self.columns[*it].mostly(is_agent));
        let link = quoted.iter().copied().find(|it| self.columns[*it].mostly(is_link));
        match agent {
            Some(agent) => {
                self.name(agent, "http_user_agent");
            }
            // Where values are separated by more than spaces, they need no quotes.
            None => {
                self.name_first("http_user_agent", |it| it.mostly(is_agent));
            }
        }
        let referer = link.or_else(|| {
            // Undefined in all lines: it is known by its place.
            let agent = agent?;
            let before =
                agent.checked_sub(1).filter(|it| quoted.contains(it) && self.columns[*it].is_undefined());
            before.filter(|it| *it > status)
        });
        if let Some(referer) = referer {
            self.name(referer, "http_referer");
        } else {
            self.name_first("http_referer", |it| it.mostly(is_link));
        }
        if let (None, None, [first, second, ..]) = (agent, link, quoted.as_slice())
            && *first > status
            && *second == first + 1
            && self.columns[*first].is_undefined()
            && self.columns[*second].is_undefined()
        {
            self.name(*first, "http_referer");
            self.name(*second, "http_user_agent");
        }
    }

    /// Address, status and times of upstreams stand behind the client's status.
    fn upstreams(&mut self, status: usize) {
        let free: Vec<usize> = (0..self.columns.len())
            .filter(|it| *it != status && self.columns[*it].key.is_empty() && self.names[*it].is_none())
            .collect();
        let columns = self.columns;
        let peers: Vec<usize> = free
            .iter()
            .copied()
            .filter(|it| columns[*it].suits("upstream_addr") && !columns[*it].is_undefined())
            .collect();
        // nginx's own address is there in every line; an upstream's is not, or it is one of several.
        let certain = |it: &&usize| {
            let column = &columns[**it];
            column.has_undefined() || column.is_list() || column.defined().any(|it| it.starts_with(b"unix:"))
        };
        let behind: Vec<usize> = peers.iter().copied().filter(|it| *it > status).collect();
        let peer = peers.iter().find(certain).copied().or(match behind.as_slice() {
            [only] => Some(*only),
            _ => None,
        });
        if let Some(peer) = peer {
            self.name(peer, "upstream_addr");
        }
        let statuses: Vec<usize> = free
            .iter()
            .copied()
            .filter(|it| columns[*it].suits("upstream_status") && !columns[*it].is_undefined())
            .collect();
        let has_address = self.is_taken("upstream_addr");
        let of_tries = statuses.iter().find(|it| columns[**it].has_undefined() || columns[**it].is_list());
        let next_to_peer = peer.and_then(|peer| statuses.iter().find(|it| it.abs_diff(peer) == 1));
        if let Some(index) =
            of_tries.or(next_to_peer).or(statuses.first().filter(|_| has_address && statuses.len() == 1))
        {
            self.name(*index, "upstream_status");
        }
        self.times();
    }

    /// Times in seconds: that of the request is never undefined and no list; of the others, connecting ends first and the
    /// response last.
    fn times(&mut self) {
        let columns = self.columns;
        let times: Vec<usize> = (0..columns.len())
            .filter(|it| {
                columns[*it].key.is_empty()
                    && self.names[*it].is_none()
                    && columns[*it].suits("upstream_response_time")
                    && !columns[*it].is_undefined()
            })
            .collect();
        let whole = |it: &&usize| !columns[**it].has_undefined() && !columns[**it].is_list();
        if !self.is_taken("request_time")
            && let Some(index) = times.iter().find(whole)
        {
            self.name(*index, "request_time");
        }
        let rest: Vec<usize> = times.into_iter().filter(|it| self.names[*it].is_none()).collect();
        if self.is_taken("upstream_response_time") {
            return;
        }
        match rest.as_slice() {
            [only] => {
                self.name(*only, "upstream_response_time");
            }
            [first, second] => {
                // One of them ends earlier; whether it is connecting or the header, only a key would tell.
                if self.ends_before(*first, *second) {
                    self.name(*second, "upstream_response_time");
                } else if self.ends_before(*second, *first) {
                    self.name(*first, "upstream_response_time");
                }
            }
            [first, second, third] => {
                let mut order = [*first, *second, *third];
                order.sort_by(|a, b| match (self.ends_before(*a, *b), self.ends_before(*b, *a)) {
                    (true, false) => std::cmp::Ordering::Less,
                    (false, true) => std::cmp::Ordering::Greater,
                    _ => a.cmp(b),
                });
                if self.ends_before(order[0], order[1]) && self.ends_before(order[1], order[2]) {
                    self.name(order[0], "upstream_connect_time");
                    self.name(order[1], "upstream_header_time");
                    self.name(order[2], "upstream_response_time");
                }
            }
            _ => {}
        }
    }

    /// Whether no value of one column is larger than that of the other.
    fn ends_before(&self, earlier: usize, later: usize) -> bool {
        let seconds = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
        let (earlier, later) = (&self.columns[earlier].texts, &self.columns[later].texts);
        earlier.iter().zip(later).all(|(earlier, later)| {
            items(earlier).zip(items(later)).all(|(earlier, later)| {
                match (seconds(earlier), seconds(later)) {
                    (Some(earlier), Some(later)) => earlier <= later,
                    _ => true,
                }
            })
        })
    }

    /// The access log of PHP-FPM: `127.0.0.1 -  20/Nov/2026:15:00:00 +0000 "GET /a.php" 200`. Its requests have no protocol.
    fn is_of_php_fpm(&self) -> bool {
        let at = |name| self.names.iter().position(|it| *it == Some(name));
        let bare_time = at("time_local").is_some_and(|it| it > 0 && self.columns[it].before.ends_with(b" "));
        let request =
            at("request").is_some_and(|it| self.columns[it].all(|it| find(it, b" HTTP/").is_none()));
        bare_time && request && at("remote_addr") == Some(0) && self.columns[1].is_undefined()
    }

    /// Names that are left are those of the keys, if no variable has them, or just numbers.
    fn finish(self) -> Vec<Name> {
        let mut used: Vec<String> = self.names.iter().flatten().map(|it| (*it).to_owned()).collect();
        let mut all = Vec::with_capacity(self.columns.len());
        for (index, (column, name)) in self.columns.iter().zip(&self.names).enumerate() {
            let is_ident = name.is_none()
                && index > 0
                && self.names[index - 1] == Some("remote_addr")
                && self.names.get(index + 1) == Some(&Some("remote_user"));
            if is_ident && column.texts.iter().all(|it| *it == b"-") {
                all.push(Name::Literal);
                continue;
            }
            let name = name.map(str::to_owned).unwrap_or_else(|| {
                let own = column.name();
                let is_other = names::said(&own).is_some() || own.starts_with("upstream_") || own.is_empty();
                let free =
                    !is_other && !own.starts_with(|it: char| it.is_ascii_digit()) && !used.contains(&own);
                let name = if free { own } else { format!("field_{}", index + 1) };
                used.push(name.clone());
                name
            });
            all.push(Name::Variable(name));
        }
        all
    }
}

fn is_level(text: &[u8]) -> bool {
    let known = [
        b"INFO".as_slice(),
        b"WARN",
        b"WARNING",
        b"ERROR",
        b"DEBUG",
        b"TRACE",
        b"FATAL",
        b"CRITICAL",
        b"NOTICE",
    ];
    known.iter().any(|it| text.eq_ignore_ascii_case(it))
}

fn is_method(text: &[u8]) -> bool {
    [
        b"GET".as_slice(),
        b"POST",
        b"HEAD",
        b"PUT",
        b"DELETE",
        b"OPTIONS",
        b"PATCH",
        b"CONNECT",
        b"TRACE",
        b"PROPFIND",
    ]
    .contains(&text)
}
