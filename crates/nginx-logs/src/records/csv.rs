//! CSV after RFC 4180: fixed columns, so that logs of several kinds fit into one table.

/// The columns, in their order. The first five are those of every record.
const COLUMNS: [&str; 41] = [
    "kind",
    "file",
    "line",
    "offset",
    "time",
    "source",
    "stream",
    "unit",
    "program",
    "level",
    "pid",
    "tid",
    "connection",
    "client",
    "server",
    "host",
    "method",
    "path",
    "protocol",
    "status",
    "reason",
    "request_time",
    "body_bytes_sent",
    "upstream",
    "peer",
    "upstream_addr",
    "upstream_status",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_response_time",
    "referrer",
    "user_agent",
    "symptom",
    "event",
    "errno",
    "errno_text",
    "action",
    "subrequest",
    "message",
    "truncated",
    "raw",
];
const FIRST_CELL: usize = 5;

/// Variables of access logs that have another name in the table, so that they share a column with entries of error logs.
const SAME: [(&str, &str); 4] = [
    ("remote_addr", "client"),
    ("server_name", "server"),
    ("http_referer", "referrer"),
    ("http_user_agent", "user_agent"),
];

/// The first line of the table, with its line feed.
pub fn header() -> String {
    format!("{}\n", COLUMNS.join(","))
}

/// The column of a field; none where the table does not have it.
pub(super) const fn column(name: &str) -> Option<usize> {
    let mut wanted = name;
    let mut at = 0;
    while at < SAME.len() {
        if equal(SAME[at].0, name) {
            wanted = SAME[at].1;
        }
        at += 1;
    }
    at = FIRST_CELL;
    while at < COLUMNS.len() {
        if equal(COLUMNS[at], wanted) {
            return Some(at - FIRST_CELL);
        }
        at += 1;
    }
    None
}

const fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The cells of a row behind the first columns, while it is being filled in any order.
#[derive(Debug, Default)]
pub(super) struct Cells {
    text: Vec<u8>,
    /// Where in `text` each of them is; empty ones are nowhere.
    ranges: Vec<(usize, usize)>,
}

impl Cells {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ranges.clear();
        self.ranges.resize(COLUMNS.len() - FIRST_CELL, (0, 0));
    }

    /// The first value of a cell stays.
    pub fn set(&mut self, column: Option<usize>, value: &[u8]) {
        let Some(column) = column.filter(|it| self.ranges[*it] == (0, 0)) else { return };
        let start = self.text.len();
        push(&mut self.text, value);
        self.ranges[column] = (start, self.text.len());
    }

    /// Adds the row, with its line feed.
    pub fn write_to(&self, to: &mut Vec<u8>) {
        for (start, end) in &self.ranges {
            to.push(b',');
            to.extend_from_slice(&self.text[*start..*end]);
        }
        to.push(b'\n');
    }
}

/// One value. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn push(to: &mut Vec<u8>, value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    if !text.bytes().any(|it| matches!(it, b'"' | b',' | b'\r' | b'\n')) {
        return to.extend_from_slice(text.as_bytes());
    }
    to.push(b'"');
    for (number, piece) in text.split('"').enumerate() {
        if number > 0 {
            to.extend_from_slice(b"\"\"");
        }
        to.extend_from_slice(piece.as_bytes());
    }
    to.push(b'"');
}
