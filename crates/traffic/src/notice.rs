//! The failures in the lines of a log, as they come: failed requests, and entries of error logs that are a symptom.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memrchr;
use nginx_logs::access::AccessRecord;
use nginx_logs::error::{ErrorRecord, Level, parse};
use nginx_logs::reason::{Reason, Signs, fails};
use nginx_logs::split::{Scratch, Splitter};
use nginx_logs::split_error::each_entry;
use nginx_logs::{Kind, Shape};

use crate::number::status;
use crate::{StatusFilter, tidy};

/// One failure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notice<'a> {
    /// `access` or `error`.
    pub kind: &'static str,
    /// Where its line begins in the file.
    pub offset: u64,
    pub at: Option<Timestamp>,
    /// What the client got.
    pub status: Option<u16>,
    /// The reason code of a request.
    pub reason: Option<Reason>,
    /// The symptom of an entry, or its level where it is a serious one without a symptom.
    pub symptom: Option<&'static str>,
    /// The address that was asked last.
    pub upstream: Option<Cow<'a, str>>,
    pub server: Option<Cow<'a, str>>,
    pub method: Option<Cow<'a, str>>,
    pub path: Option<Cow<'a, str>>,
    pub client: Option<Cow<'a, str>>,
    /// Seconds.
    pub request_time: Option<f64>,
    /// The entry's text, where no symptom says it.
    pub message: Option<Cow<'a, str>>,
}

/// What a block of lines held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub requests: u64,
    pub failed: u64,
    pub entries: u64,
    /// Lines that are of no kind that the log was found to hold.
    pub unknown: u64,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.entries += other.entries;
        self.unknown += other.unknown;
    }
}

/// Knows the lines of one log.
#[derive(Debug)]
pub struct Reader {
    shape: Shape,
    /// Finds the status of a line, so that the others need not be read; where the lines are all of one format.
    splitter: Option<Splitter>,
    scratch: Scratch,
    wanted: Option<StatusFilter>,
    zone: TimeZone,
}

impl Reader {
    pub fn new(shape: Shape, wanted: Option<StatusFilter>, zone: TimeZone) -> Reader {
        let splitter = match shape.plain() {
            Some(Kind::Access(format)) => Splitter::new(format, &["status"], 1),
            _ => None,
        };
        Reader { shape, splitter, scratch: Scratch::default(), wanted, zone }
    }

    /// Whether it is known what the lines are.
    pub fn knows(&self) -> bool {
        !self.shape.kinds.is_empty()
    }

    /// Goes through the lines of a block that begins at `offset`, and hands out what failed.
    pub fn read(&mut self, block: &[u8], offset: u64, give: &mut dyn FnMut(Notice<'_>)) -> Counts {
        let mut counts = Counts::default();
        let mut scratch = std::mem::take(&mut self.scratch);
        match (&self.splitter, self.shape.plain()) {
            (Some(splitter), Some(Kind::Access(format))) => {
                counts.requests = splitter.each_line(block, &mut scratch, |rest, line, fields| {
                    let status = fields.and_then(|it| status(rest, it.get(0)));
                    if status.is_some_and(|it| !self.is_wanted(it)) {
                        return;
                    }
                    let Some(record) = format.parse(tidy(line.of(rest))) else {
                        counts.unknown += 1;
                        return;
                    };
                    if let Some(notice) = self.request(&record) {
                        counts.failed += 1;
                        let start = block.len() - rest.len() + line.start as usize;
                        give(Notice { offset: offset + start as u64, ..notice });
                    }
                });
            }
            (_, Some(Kind::Error)) => {
                each_entry(block, &mut scratch, |entry, _, quick| {
                    counts.entries += 1;
                    if quick.is_some_and(|it| it.level > Level::Crit && it.symptom(block).is_none()) {
                        return;
                    }
                    match parse(tidy(entry.of(block))) {
                        Some(record) => self.entry(&record, offset + u64::from(entry.start), give),
                        None => counts.unknown += 1,
                    }
                });
            }
            _ => self.read_slowly(block, offset, &mut counts, give),
        }
        self.scratch = scratch;
        counts
    }

    fn is_wanted(&self, status: u16) -> bool {
        match &self.wanted {
            Some(filter) => filter.0.iter().any(|it| (it.0..=it.1).contains(&status)),
            None => fails(status),
        }
    }

    /// The same for lines that a carrier wraps, and for logs of several kinds.
    fn read_slowly(
        &self,
        block: &[u8],
        mut offset: u64,
        counts: &mut Counts,
        give: &mut dyn FnMut(Notice<'_>),
    ) {
        for line in block.split_inclusive(|it| *it == b'\n') {
            let start = offset;
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let (carried, kind) = self.shape.open(line);
            match kind {
                Some(Kind::Access(format)) => {
                    counts.requests += 1;
                    match format.parse(&carried.text) {
                        Some(record) => {
                            if let Some(notice) = self.request(&record) {
                                counts.failed += 1;
                                give(Notice { offset: start, at: notice.at.or(carried.at), ..notice });
                            }
                        }
                        None => counts.unknown += 1,
                    }
                }
                Some(Kind::Error) => {
                    counts.entries += 1;
                    if let Some(record) = parse(&carried.text) {
                        self.entry(&record, start, give);
                    }
                }
                Some(Kind::Program(_)) => counts.entries += 1,
                None => counts.unknown += 1,
            }
        }
    }

    fn request<'a>(&self, record: &AccessRecord<'a>) -> Option<Notice<'a>> {
        let status = record.status()?;
        if !self.is_wanted(status) {
            return None;
        }
        let raw = |name: &str| record.raw(name).unwrap_or_default();
        let signs = Signs {
            status,
            tells_upstream: record.raw("upstream_addr").or(record.raw("upstream_status")).is_some(),
            upstream_addr: raw("upstream_addr"),
            upstream_status: raw("upstream_status"),
            connect_time: raw("upstream_connect_time"),
            header_time: raw("upstream_header_time"),
            response_time: raw("upstream_response_time"),
        };
        let last = memrchr(b' ', signs.upstream_addr)
            .map_or(signs.upstream_addr, |at| &signs.upstream_addr[at + 1..]);
        let request = record.request();
        Some(Notice {
            kind: "access",
            at: record.time(),
            status: Some(status),
            reason: Reason::of(&signs),
            upstream: (!last.is_empty() && last != b"-").then(|| String::from_utf8_lossy(last)),
            server: record.get("host").or_else(|| record.get("server_name")),
            method: request.method,
            path: request.path,
            client: record.get("remote_addr"),
            request_time: record.request_time(),
            ..Notice::default()
        })
    }

    fn entry(&self, record: &ErrorRecord<'_>, offset: u64, give: &mut dyn FnMut(Notice<'_>)) {
        let symptom = record.symptom();
        // What is serious is shown without a symptom as well; `error` is mostly files that are not there.
        if symptom.is_none() && record.level > Level::Crit {
            return;
        }
        give(Notice {
            kind: "error",
            offset,
            at: self.zone.to_timestamp(record.time).ok(),
            reason: Reason::of_entry(record),
            symptom: Some(symptom.map_or(record.level.name(), |it| it.id())),
            upstream: record.peer.as_ref().map(|it| it.to_string().into()),
            server: record.server.map(String::from_utf8_lossy),
            method: record.method.map(String::from_utf8_lossy),
            path: record.path.map(String::from_utf8_lossy),
            client: record.client.map(String::from_utf8_lossy),
            message: symptom.is_none().then(|| String::from_utf8_lossy(record.message)),
            ..Notice::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use nginx_logs::access::Format;

    use super::*;

    #[track_caller]
    fn reads(log: &str, expected: &[&str]) -> Counts {
        let mut reader = Reader::new(Shape::detect(log.as_bytes(), &[]), None, TimeZone::UTC);
        let mut seen = Vec::new();
        let counts = reader.read(log.as_bytes(), 0, &mut |it| {
            let words = [
                it.at.map(|it| it.strftime("%H:%M:%S").to_string()),
                it.status.map(|it| it.to_string()),
                it.reason.map(|it| it.code().to_owned()),
                it.symptom.map(ToOwned::to_owned),
                it.upstream.map(|it| it.into_owned()),
                it.path.map(|it| it.into_owned()),
                it.client.map(|it| it.into_owned()),
            ];
            seen.push(words.into_iter().flatten().collect::<Vec<_>>().join(" "));
        });
        assert_eq!(seen, expected);
        counts
    }

    const FINE: &str =
        "203.0.113.9 - - [02/May/2026:12:00:00 +0000] \"GET /500 HTTP/1.1\" 200 502 \"-\" \"curl\"\n";

    #[test]
    fn failed_requests_are_found_among_those_that_went_well() {
        let failed = FINE.replace(" 200 ", " 502 ");
        let closed = FINE.replace(" 200 ", " 499 ");
        let not_found = FINE.replace(" 200 ", " 404 ");
        let log = [FINE, FINE, FINE, &failed, &not_found, FINE, &closed].concat();
        let counts = reads(&log, &["12:00:00 502 -- /500 203.0.113.9", "12:00:00 499 C- /500 203.0.113.9"]);
        assert_eq!((counts.requests, counts.failed), (7, 2));
    }

    #[test]
    fn the_last_address_of_a_retried_request_is_told_with_the_reason() {
        let line = FINE.replace(" 200 ", " 504 ").replace("\"curl\"", "\"curl\" rt=60.0 uct=\"0.001, 0.001\" uht=\"-, -\" urt=\"30.0, 30.0\" us=\"504, 504\" ua=\"10.0.0.5:80, 10.0.0.6:80\"");
        let format = format!(
            "{} rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" urt=\"$upstream_response_time\" us=\"$upstream_status\" ua=\"$upstream_addr\"",
            Format::COMBINED
        );
        let format = Format::compile(&format, nginx_logs::access::Escape::Default);
        let shape = Shape::detect(line.as_bytes(), &[format]);
        let mut reader = Reader::new(shape, None, TimeZone::UTC);
        let mut seen = Vec::new();
        reader.read(line.as_bytes(), 7, &mut |it| {
            seen.push((it.reason.unwrap().code().to_owned(), it.upstream.unwrap().into_owned(), it.offset));
        });
        assert_eq!(seen, [("TH".to_owned(), "10.0.0.6:80".to_owned(), 7)]);
    }

    #[test]
    fn entries_of_an_error_log_are_told_by_their_symptom() {
        let log = "2026/05/02 12:00:01 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.9, server: shop, request: \"GET /x HTTP/1.1\", upstream: \"http://10.0.0.5:8080/x\", host: \"shop\"\n2026/05/02 12:00:02 [notice] 7#7: signal process started\n2026/05/02 12:00:03 [alert] 7#7: something never seen\n";
        let counts =
            reads(log, &["12:00:01 KC connect-refused 10.0.0.5:8080 /x 203.0.113.9", "12:00:03 alert"]);
        assert_eq!(counts.entries, 3);
    }

    #[test]
    fn lines_with_a_carrier_are_read_as_well() {
        let log: String = [FINE.to_owned(), FINE.replace(" 200 ", " 502 ")]
            .iter()
            .map(|it| format!("web-1  | {it}"))
            .collect();
        let counts = reads(&log, &["12:00:00 502 -- /500 203.0.113.9"]);
        assert_eq!(counts.requests, 2);
    }

    #[test]
    fn what_is_found_fast_is_what_is_found_slowly() {
        let formats = [
            Format::COMBINED.to_owned(),
            "$status $request".to_owned(),
            "[$time_local] s=${status} \"$request\"".to_owned(),
            "{\"status\":$status,\"uri\":\"$request_uri\"}".to_owned(),
            "$remote_addr $status $request_time".to_owned(),
        ];
        for text in formats {
            let format = Format::compile(&text, nginx_logs::access::Escape::Default);
            let log: String = (0..1000)
                .map(|status| {
                    let line =
                        text.replace("${status}", "$status").replace("$status", &format!("{status:03}"));
                    let line = line
                        .replace("$time_local", "02/May/2026:12:00:00 +0000")
                        .replace("$request_time", "0.502");
                    let line = line.replace("$remote_addr", "10.0.0.5").replace("$body_bytes_sent", "599");
                    format!("{}\n", line.replace("$request_uri", "/").replace("$request", "GET / HTTP/1.1"))
                })
                .collect();
            let shape = Shape { carrier: nginx_logs::Carrier::None, kinds: vec![Kind::Access(format)] };
            let all = StatusFilter(vec![(9, 9), (413, 413), (499, 499), (500, 999)]);
            for wanted in [None, Some(all)] {
                let mut fast = Reader::new(shape.clone(), wanted.clone(), TimeZone::UTC);
                let mut slow = Reader { splitter: None, ..Reader::new(shape.clone(), wanted, TimeZone::UTC) };
                let counts = fast.read(log.as_bytes(), 0, &mut |_| {});
                assert_eq!(counts, slow.read(log.as_bytes(), 0, &mut |_| {}), "{text}");
                assert_eq!((counts.requests, counts.failed), (1000, 503), "{text}");
            }
        }
    }
}
