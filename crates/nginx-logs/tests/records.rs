//! What `why502 parse` prints.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use nginx_logs::access::{Escape, Format};
use nginx_logs::records::{
    Counts, Form, LONGEST_LINE_BYTES, Memory, Options, Part, Printer, Why, csv_header,
};
use nginx_logs::{Block, Carrier, Kind, Shape};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const TIMED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_user_agent\" \
                     rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
                     urt=\"$upstream_response_time\" ua=\"$upstream_addr\" us=\"$upstream_status\"";

fn options() -> Options {
    Options {
        form: Form::JsonLines,
        raw: false,
        zone: TimeZone::fixed(Offset::constant(1)),
        now: "2027-01-01T00:00:00Z".parse().unwrap(),
        since: None,
        until: None,
    }
}

fn print_with(options: &Options, shape: &Shape, log: &[u8]) -> (String, Counts) {
    let printer = Printer::new("a.log", shape, options);
    let mut part = Part::default();
    printer.print(
        &Block { source: 0, index: 0, offset: 0, bytes: log },
        &mut Memory::new(options),
        &mut part,
    );
    let mut bytes = Vec::new();
    part.write_to(Some(1), &mut bytes);
    (String::from_utf8(bytes).expect("records are UTF-8"), part.counts)
}

fn of_kind(kind: Kind) -> Shape {
    Shape { carrier: Carrier::None, kinds: vec![kind] }
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|it| serde_json::from_str(it).unwrap_or_else(|error| panic!("{error}: {it}"))).collect()
}

/// The records of a log that is recognised, without the fields that say where they stand.
fn records(log: &str) -> Vec<Value> {
    let shape = Shape::detect(log.as_bytes(), &[Format::compile(TIMED, Escape::Default)]);
    let mut records = objects(&print_with(&options(), &shape, log.as_bytes()).0);
    for it in &mut records {
        let it = it.as_object_mut().expect("an object");
        for place in ["file", "line", "offset"] {
            it.remove(place).expect("every record has its place");
        }
    }
    records
}

#[test]
fn an_access_line_has_typed_fields_tries_and_a_reason_for_each_failure() {
    let line = "10.0.0.9 - - [20/Nov/2026:15:00:00 -0130] \"GET /a?b=1 HTTP/1.1\" 502 157 \"curl \\x22x\\x22\" rt=0.004 uct=\"-, \
                0.001 : -\" uht=\"-, 0.002 : -\" urt=\"0.000, 0.003 : 0.000\" ua=\"10.0.0.1:80, 10.0.0.2:80 : pool\" us=\"502, 200 \
                : 502\"\n";
    assert_eq!(
        records(line),
        [json!({
            "kind": "access",
            "time": "2026-11-20T15:00:00-01:30",
            "remote_addr": "10.0.0.9",
            "time_local": "20/Nov/2026:15:00:00 -0130",
            "request": "GET /a?b=1 HTTP/1.1",
            "status": 502,
            "body_bytes_sent": 157,
            "http_user_agent": "curl \"x\"",
            "request_time": 0.004,
            "method": "GET",
            "path": "/a?b=1",
            "protocol": "HTTP/1.1",
            "upstreams": [
                {"addr": "10.0.0.1:80", "status": 502, "response_time": 0.0, "reason": "KC"},
                {"addr": "10.0.0.2:80", "status": 200, "connect_time": 0.001, "header_time": 0.002, "response_time": 0.003},
                {"addr": "pool", "status": 502, "response_time": 0.0, "group": 1, "reason": "LP"},
            ],
            "reason": "LP",
        })]
    );
}

#[test]
fn an_error_entry_has_its_fields_as_written_its_symptom_and_reason() {
    let entry = "2026/11/20 15:00:00 [error] 21#22: *345 connect() failed (111: Connection refused) while connecting to upstream, \
                 client: 10.0.0.9, server: , request: \"GET /\\x22 HTTP/1.1\", upstream: \"http://unix:/run/a.sock:/\\x22\", \
                 host: \"a\"\n";
    assert_eq!(
        records(entry),
        [json!({
            "kind": "error",
            "time": "2026-11-20T15:00:00+01:00",
            "level": "error",
            "pid": 21,
            "tid": 22,
            "connection": 345,
            "message": "connect() failed",
            "errno": 111,
            "errno_text": "Connection refused",
            "action": "connecting to upstream",
            "client": "10.0.0.9",
            "request": "GET /\\x22 HTTP/1.1",
            "method": "GET",
            "path": "/\\x22",
            "protocol": "HTTP/1.1",
            "upstream": "http://unix:/run/a.sock:/\\x22",
            "scheme": "http",
            "peer": "unix:/run/a.sock",
            "host": "a",
            "symptom": "connect-refused",
            "reason": "KC",
        })]
    );
}

#[test]
fn an_entry_of_several_lines_is_one_record() {
    let log = "2026/11/20 15:00:00 [error] 1#1: *3 FastCGI sent in stderr: \"PHP message: a\nb\" while reading response header from \
               upstream, client: 10.0.0.9, server: _, request: \"GET / HTTP/1.1\"\n\
               2026/11/20 15:00:01 [notice] 1#1: reconfiguring\n";
    let records = records(log);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["message"], "FastCGI sent in stderr: \"PHP message: a\nb\"");
    assert_eq!(records[1]["message"], "reconfiguring");
}

#[test]
fn a_container_s_streams_are_told_apart_and_their_entries_put_together() {
    let wrap = |stream: &str, text: &str| {
        let time = "2026-11-20T14:00:00.5Z";
        format!("{}\n", json!({"log": format!("{text}\n"), "stream": stream, "time": time}))
    };
    let log = [
        wrap("stdout", "10.0.0.9 - - [20/Nov/2026:15:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\""),
        wrap("stderr", "2026/11/20 15:00:00 [error] 1#1: *3 FastCGI sent in stderr: \"PHP message: a"),
        wrap("stderr", "b\" while reading upstream, client: ::1, server: _, request: \"GET / HTTP/1.1\""),
        wrap("stderr", "2026/11/20 15:00:01 [notice] 1#1: signal process started"),
    ]
    .concat();
    let records = records(&log);
    let told: Vec<_> = records.iter().map(|it| (&it["kind"], &it["stream"], &it["message"])).collect();
    assert_eq!(
        told,
        [
            (&json!("access"), &json!("stdout"), &Value::Null),
            (&json!("error"), &json!("stderr"), &json!("FastCGI sent in stderr: \"PHP message: a\nb\"")),
            (&json!("error"), &json!("stderr"), &json!("signal process started")),
        ]
    );
}

#[test]
fn a_program_s_line_tells_its_event_and_its_own_time() {
    let log = "[20-Nov-2026 15:00:00] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it\n";
    assert_eq!(
        records(log),
        [json!({
            "kind": "php-fpm",
            "time": "2026-11-20T15:00:00+01:00",
            "level": "WARNING",
            "message": "[pool www] server reached pm.max_children setting (5), consider raising it",
            "event": "max-children-reached",
            "pool": "www",
            "limit": 5,
        })]
    );
}

#[test]
fn what_an_event_tells_is_told_with_it() {
    let log = "[20-Nov-2026 15:00:00] WARNING: [pool www] child 4242 exited on signal 11 (SIGSEGV) after 12.500000 seconds \
               from start\n\
               [Tue Nov 18 10:00:00 2025] Out of memory: Killed process 4711 (java) total-vm:1kB, anon-rss:1kB\n\
               type=AVC msg=audit(1777723200.123:456): avc:  denied  { name_connect } for  pid=7 comm=\"nginx\" dest=8080 \
               scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:http_cache_port_t:s0 tclass=tcp_socket \
               permissive=0\n";
    let records = records(log);
    let told = |index: usize, names: &[&str]| -> Vec<Value> {
        names.iter().map(|it| records[index][*it].clone()).collect()
    };
    let signalled = told(0, &["event", "event_pid", "pool", "signal", "after_seconds"]);
    assert_eq!(json!(signalled), json!(["child-signalled", 4242, "www", 11, 12.5]));
    assert_eq!(json!(told(1, &["event", "event_pid", "comm"])), json!(["oom-kill", 4711, "java"]));
    let denied = told(2, &["event", "permissions", "comm", "port", "permissive"]);
    assert_eq!(json!(denied), json!(["avc-denied", ["name_connect"], "nginx", 8080, null]));
}

#[test]
fn what_fits_no_format_is_unparsed_and_nothing_is_lost() {
    let log = b"10.0.0.9 - - [20/Nov/2026:15:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\r\n\n\0\0\0\0\0\0\0\0\0\n\xff\"torn\n\
                2026/11/20 15:00:00 [notice] 1#1: started\n10.0.0.9 - - [20/Nov/2026:15:0";
    let (text, counts) = print_with(&options(), &of_kind(Kind::Access(Format::combined())), log);
    let records = objects(&text);
    let told: Vec<_> =
        records.iter().map(|it| (it["line"].as_u64().unwrap(), it["kind"].as_str().unwrap())).collect();
    assert_eq!(told, [(1, "access"), (4, "unparsed"), (5, "error"), (6, "unparsed")]);
    assert_eq!(records[1]["message"], "\u{fffd}\"torn");
    assert_eq!(records[1]["offset"], 85);
    assert_eq!((counts.lines, counts.blank, counts.record_lines), (6, 2, 4));
    assert_eq!(counts.unparsed[Why::NotTheFormat as usize], 2);
}

#[test]
fn a_line_without_end_is_cut_and_marked() {
    let line = vec![b'a'; LONGEST_LINE_BYTES + 7];
    let (text, counts) = print_with(&options(), &of_kind(Kind::Error), &line);
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["message"].as_str().unwrap().len(), LONGEST_LINE_BYTES);
    assert_eq!((&record["truncated"], &record["bytes"]), (&json!(true), &json!(LONGEST_LINE_BYTES + 7)));
    assert_eq!(counts.unparsed[Why::TooLong as usize], 1);
}

#[test]
fn a_variable_named_like_a_field_of_its_own_keeps_its_sign() {
    let format = Format::compile("$kind $line $status", Escape::Default);
    let (text, _) = print_with(&options(), &of_kind(Kind::Access(format)), b"a 7 200\n");
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&record["kind"], &record["$kind"]), (&json!("access"), &json!("a")));
    assert_eq!((&record["line"], &record["$line"]), (&json!(1), &json!("7")));
}

#[test]
fn a_window_leaves_out_what_is_outside_and_what_has_no_time() {
    let at = |it: &str| Some(it.parse::<Timestamp>().unwrap());
    let options =
        Options { since: at("2026-11-20T14:00:01Z"), until: at("2026-11-20T14:00:02Z"), ..options() };
    let mut log = String::from("torn\n");
    for second in 0..4 {
        _ = writeln!(log, "2026/11/20 15:00:0{second} [notice] 1#1: {second}");
    }
    let (text, counts) = print_with(&options, &of_kind(Kind::Error), log.as_bytes());
    let messages: Vec<_> = objects(&text).iter().map(|it| it["message"].clone()).collect();
    assert_eq!(messages, ["1", "2"]);
    assert_eq!((counts.outside, counts.untimed, counts.record_lines, counts.lines), (2, 1, 2, 5));
}

#[test]
fn raw_keeps_the_line() {
    let options = Options { raw: true, ..options() };
    let (text, _) =
        print_with(&options, &of_kind(Kind::Error), b"2026/11/20 15:00:00 [notice] 1#1: a\tb\r\n");
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["raw"], "2026/11/20 15:00:00 [notice] 1#1: a\tb");
}

/// Reads CSV after RFC 4180.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(it) = characters.next() {
        match it {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            it => cell.push(it),
        }
    }
    assert!(!quoted && row.is_empty() && cell.is_empty(), "{text}");
    rows
}

#[test]
fn a_row_has_a_cell_for_each_column() {
    let options = Options { form: Form::Csv, ..options() };
    let log = "10.0.0.9 - - [20/Nov/2026:15:00:00 +0000] \"GET /a,b HTTP/1.1\" 502 1 \"a \\x22 b\" rt=0.1 uct=\"-\" uht=\"-\" \
               urt=\"0.000\" ua=\"10.0.0.1:80\" us=\"502\"\n2026/11/20 15:00:00 [notice] 1#1: a\n";
    let shape = of_kind(Kind::Access(Format::compile(TIMED, Escape::Default)));
    let (text, _) = print_with(&options, &shape, log.as_bytes());
    let rows = rows(&(csv_header() + &text));
    let cell = |row: usize, name: &str| {
        assert_eq!(rows[row].len(), rows[0].len());
        rows[row][rows[0].iter().position(|it| it == name).expect(name)].as_str()
    };
    let names = ["kind", "line", "client", "path", "status", "reason", "upstream_addr", "user_agent"];
    assert_eq!(
        names.map(|it| cell(1, it)),
        ["access", "1", "10.0.0.9", "/a,b", "502", "KC", "10.0.0.1:80", "a \" b"]
    );
    assert_eq!(["kind", "line", "level", "message"].map(|it| cell(2, it)), ["error", "2", "notice", "a"]);
}

/// What nginx writes for a value: ngx_http_log_escape() and ngx_escape_json().
fn escaped(value: &[u8], escape: Escape) -> Vec<u8> {
    let mut line = Vec::new();
    for byte in value {
        match (escape, byte) {
            (Escape::None, _) => line.push(*byte),
            (Escape::Default, b'"' | b'\\' | 0..0x20 | 0x7f..) => {
                line.extend(format!("\\x{byte:02X}").bytes())
            }
            (Escape::Json, b'"' | b'\\') => line.extend([b'\\', *byte]),
            (Escape::Json, b'\n') => line.extend(b"\\n"),
            (Escape::Json, b'\r') => line.extend(b"\\r"),
            (Escape::Json, b'\t') => line.extend(b"\\t"),
            (Escape::Json, 0..0x20) => line.extend(format!("\\u00{byte:02X}").bytes()),
            _ => line.push(*byte),
        }
    }
    line
}

/// A value that a client chose.
fn chosen() -> impl Strategy<Value = Vec<u8>> {
    let likely = prop::sample::select(b"a/\"\\ x22,:-{}[]\xc3\xa9".to_vec());
    prop::collection::vec(prop_oneof![3 => likely, 1 => any::<u8>()], 1..40)
}

/// What could end a value where nothing is escaped.
fn is_harmless(value: &[u8], escape: Escape) -> bool {
    escape != Escape::None || !value.iter().any(|it| matches!(it, b'"' | b'\n' | b'\r' | 0))
}

/// An object without the fields that were not in the line.
fn only(object: &Value, names: &[&str]) -> Map<String, Value> {
    let object = object.as_object().expect("an object");
    object
        .iter()
        .filter(|it| names.contains(&it.0.as_str()))
        .map(|(name, it)| (name.clone(), it.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_an_access_line_says_comes_back_from_its_record(
        agent in chosen(),
        referer in chosen(),
        status in 0_u16..1000,
        bytes in any::<u32>(),
        milliseconds in 0_u32..100_000,
        tries in prop::collection::vec((1_u8..255, 100_u16..600, prop::option::of(0_u16..9999)), 0..4),
        escape in prop::sample::select(vec![Escape::Default, Escape::Json, Escape::None]),
    ) {
        prop_assume!(is_harmless(&agent, escape) && is_harmless(&referer, escape));
        // What nginx writes for an undefined value.
        let undefined = if escape == Escape::Default { "-" } else { "" };
        prop_assume!([&agent, &referer].iter().all(|it| it.as_slice() != undefined.as_bytes()));
        let join = |values: Vec<String>| if values.is_empty() { undefined.to_owned() } else { values.join(", ") };
        let seconds = |it: u32| format!("{}.{:03}", it / 1000, it % 1000);
        let addresses = join(tries.iter().map(|it| format!("10.0.0.{}:80", it.0)).collect());
        let statuses = join(tries.iter().map(|it| it.1.to_string()).collect());
        let times = join(tries.iter().map(|it| it.2.map_or("-".to_owned(), |it| seconds(it.into()))).collect());
        let mut line = b"\"".to_vec();
        line.extend(escaped(&agent, escape));
        line.extend(b"\" \"");
        line.extend(escaped(&referer, escape));
        line.extend(format!("\" {status:03} {bytes} {} \"{addresses}\" \"{statuses}\" \"{times}\"\n", seconds(milliseconds)).bytes());
        let format = Format::compile(
            "\"$http_user_agent\" \"$http_referer\" $status $body_bytes_sent $request_time \"$upstream_addr\" \
             \"$upstream_status\" \"$upstream_connect_time\"",
            escape,
        );
        let (text, counts) = print_with(&options(), &of_kind(Kind::Access(format)), &line);
        prop_assert_eq!(counts.records[0], 1);
        let record: Value = serde_json::from_str(&text).unwrap();
        let number = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let mut expected = json!({
            "http_user_agent": String::from_utf8_lossy(&agent),
            "http_referer": String::from_utf8_lossy(&referer),
            "status": status,
            "body_bytes_sent": bytes,
            "request_time": number(seconds(milliseconds)),
        });
        if !tries.is_empty() {
            let tries = tries.iter().map(|(address, status, time)| {
                let mut it = json!({"addr": format!("10.0.0.{address}:80"), "status": status});
                if let Some(time) = time {
                    it["connect_time"] = number(seconds((*time).into()));
                }
                it
            });
            expected["upstreams"] = tries.collect();
        }
        let mut record = Value::Object(only(
            &record,
            &["http_user_agent", "http_referer", "status", "body_bytes_sent", "request_time", "upstreams"],
        ));
        for it in record["upstreams"].as_array_mut().into_iter().flatten() {
            it.as_object_mut().unwrap().remove("reason");
        }
        if tries.is_empty() {
            record.as_object_mut().unwrap().remove("upstreams");
        }
        prop_assert_eq!(record, expected);
    }

    #[test]
    fn what_an_error_entry_says_comes_back_from_its_record(
        message in "[a-zA-Z(): ]{1,40}[a-z]",
        path in "[!-~é]{1,60}",
        host in "[a-z0-9.-]{1,20}",
        pid in any::<u32>(),
        connection in any::<u64>(),
        errno in 1_i32..130,
    ) {
        prop_assume!(!path.contains('"') && !message.contains(" while "));
        let entry = format!(
            "2026/11/20 15:00:00 [crit] {pid}#{pid}: *{connection} {message} ({errno}: Text) while sending to client, client: ::1, \
             server: _, request: \"GET {path} HTTP/1.1\", host: \"{host}\"\n"
        );
        let (text, _) = print_with(&options(), &of_kind(Kind::Error), entry.as_bytes());
        let record: Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "level": "crit", "pid": pid, "connection": connection, "message": message, "errno": errno, "errno_text": "Text",
            "action": "sending to client", "client": "::1", "server": "_", "path": path, "host": host,
        });
        let names: Vec<&str> = expected.as_object().unwrap().keys().map(String::as_str).collect();
        prop_assert_eq!(Value::Object(only(&record, &names)), expected);
    }

    #[test]
    fn any_bytes_are_whole_records_and_the_counts_add_up(
        lines in prop::collection::vec(line(), 0..12),
        carrier in prop::sample::select(Carrier::ALL.to_vec()),
        kinds in prop::sample::subsequence(kinds(), 0..3),
        form in prop::sample::select(vec![Form::JsonLines, Form::Csv]),
        raw in any::<bool>(),
        window in any::<bool>(),
    ) {
        let log = lines.concat();
        let since = window.then(|| "2026-11-20T14:00:00Z".parse().unwrap());
        let options = Options { form, raw, since, ..options() };
        let (text, counts) = print_with(&options, &Shape { carrier, kinds }, &log);
        let count = match form {
            Form::JsonLines => objects(&text).len(),
            Form::Csv => rows(&text).len(),
        };
        prop_assert_eq!(count as u64, counts.records.iter().sum::<u64>());
        let line_count = log.split_inclusive(|it| *it == b'\n').count() as u64;
        prop_assert_eq!(counts.lines, line_count);
        prop_assert_eq!(counts.blank + counts.record_lines + counts.outside + counts.untimed, line_count);
    }

    #[test]
    fn where_a_log_is_cut_into_blocks_does_not_show(lines in prop::collection::vec(line(), 1..12), cut in any::<prop::sample::Index>()) {
        let shape = of_kind(Kind::Access(Format::combined()));
        let log = lines.concat();
        let ends: Vec<usize> = (0..log.len()).filter(|it| log[*it] == b'\n').map(|it| it + 1).chain([0]).collect();
        let at = ends[cut.index(ends.len())];
        // An entry of several lines is whole in its block.
        prop_assume!(!log.windows(3).any(|it| it == b"/20"));
        let options = options();
        let printer = Printer::new("a.log", &shape, &options);
        let (mut memory, mut bytes, mut first) = (Memory::new(&options), Vec::new(), 1);
        let mut part = Part::default();
        for (offset, bytes_of) in [(0, &log[..at]), (at, &log[at..])] {
            let block = Block { source: 0, index: 0, offset: offset as u64, bytes: bytes_of };
            printer.print(&block, &mut memory, &mut part);
            part.write_to(Some(first), &mut bytes);
            first += part.counts.lines;
        }
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), print_with(&options, &shape, &log).0);
    }
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind::Access(Format::combined()),
        Kind::Access(Format::compile(
            "{\"s\":\"$status\",\"r\":\"$request\",\"u\":\"$upstream_addr\"}",
            Escape::Json,
        )),
        Kind::Error,
        Kind::Program(nginx_logs::Program::App),
    ]
}

/// A line, or a piece of one, in any wrapping.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "10.0.0.9 - - [20/Nov/2026:15:00:00 +0000] \"GET / HTTP/1.1\" 502 1 \"-\" \"-\"",
        "{\"s\":\"502\",\"r\":\"GET \\\\ \\u0000\",\"u\":\"a, : b\"}",
        "2026/11/20 15:00:00 [error] 1#1: *3 FastCGI sent in stderr: \"a",
        "2026/11/20 13:00:00 [error] 1#1: *3 a, client: ::1, server: _, request: \"GET / HTTP/1.1\"",
        "\" while reading upstream, client: ::1, server: _",
        "{\"log\":\"2026/11/20 15:00:00 [error] 1#1: a\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-20T14:00:00Z\"}",
        "{\"log\":\"half",
        "web_1  | 2026/11/20 15:00:00 [error] 1#1: a",
        "2026-11-20T14:00:00.5Z stderr P a",
        "2026-11-20T14:00:00.5Z stderr F b",
        "<187>Nov 20 15:00:00 host nginx: 2026/11/20 15:00:00 [error] 1#1: a",
        "[20-Nov-2026 15:00:00] WARNING: [pool www] a",
        "MESSAGE=a",
        "nginx: [emerg] a in /etc/nginx/nginx.conf:3",
        "",
    ]);
    let text = prop_oneof![
        3 => known.prop_map(|it| it.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => Just(vec![0; 20]),
    ];
    (text, prop::sample::select(vec!["\n", "\n", "\r\n", ""]))
        .prop_map(|(text, end)| [text, end.as_bytes().to_vec()].concat())
}
