//! Access logs by their `log_format`.

use nginx_logs::access::{Attempt, Escape, Format, recognise, unescape};

const UPSTREAM: &str = "$remote_addr [$time_local] \"$request\" $status $upstream_addr $upstream_status $upstream_connect_time \
                        $upstream_header_time $upstream_response_time $request_time";

fn attempt(addr: &str, status: Option<u16>, times: [Option<f64>; 3], group: usize) -> Attempt {
    let [connect_time, header_time, response_time] = times;
    Attempt { addr: Some(addr.to_owned()), status, connect_time, header_time, response_time, group }
}

/// The tries of a line whose lists are these.
#[track_caller]
fn tries(lists: &str, expected: &[Attempt]) {
    let line = format!("10.0.0.9 [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 502 {lists} 0.003");
    let format = Format::compile(UPSTREAM, Escape::Default);
    let record = format.parse(line.as_bytes()).expect(&line);
    assert_eq!(record.upstreams(), expected, "{line}");
    assert_eq!(record.request_time(), Some(0.003));
}

#[test]
fn combined_is_read_by_name() {
    let format = Format::combined();
    let line = b"10.0.0.9 - joe smith [20/Nov/2026:15:00:00 +0100] \"GET /a?b=1 HTTP/1.1\" 502 157 \"-\" \"curl/8 \\x22x\\x22\"";
    let record = format.parse(line).unwrap();
    assert_eq!(record.status(), Some(502));
    assert_eq!(record.time(), "2026-11-20T14:00:00Z".parse().ok());
    assert_eq!(record.get("remote_user").as_deref(), Some("joe smith"));
    assert_eq!(record.get("http_referer"), None);
    assert_eq!(record.raw("http_referer"), Some(b"-".as_slice()));
    assert_eq!(record.get("http_user_agent").as_deref(), Some("curl/8 \"x\""));
    let request = record.request();
    assert_eq!(request.method.as_deref(), Some("GET"));
    assert_eq!(request.path.as_deref(), Some("/a?b=1"));
    assert_eq!(request.protocol.as_deref(), Some("HTTP/1.1"));
    assert_eq!(record.values().count(), 7);
}

#[test]
fn one_try_is_one_attempt() {
    tries(
        "127.0.0.1:8080 502 0.001 - 0.002",
        &[attempt("127.0.0.1:8080", Some(502), [Some(0.001), None, Some(0.002)], 0)],
    );
}

#[test]
fn retries_are_separated_by_commas_even_without_quotes() {
    tries(
        "127.0.0.1:8080, unix:/run/b.sock 502, 200 0.001, 0.000 -, 0.004 0.002, 0.005",
        &[
            attempt("127.0.0.1:8080", Some(502), [Some(0.001), None, Some(0.002)], 0),
            attempt("unix:/run/b.sock", Some(200), [Some(0.0), Some(0.004), Some(0.005)], 0),
        ],
    );
}

#[test]
fn redirects_are_separated_by_colons() {
    tries(
        "127.0.0.1:1 : [::1]:2 200 : 502 0.001 : 0.002 0.001 : - 0.001 : 0.003",
        &[
            attempt("127.0.0.1:1", Some(200), [Some(0.001), Some(0.001), Some(0.001)], 0),
            attempt("[::1]:2", Some(502), [Some(0.002), None, Some(0.003)], 1),
        ],
    );
}

#[test]
fn a_group_without_a_peer_leaves_a_trailing_colon() {
    tries(
        "127.0.0.1:1 :  200 :  0.001 :  0.001 :  0.001 : ",
        &[attempt("127.0.0.1:1", Some(200), [Some(0.001), Some(0.001), Some(0.001)], 0)],
    );
}

#[test]
fn a_request_without_upstream_has_no_attempts() {
    tries("- - - - -", &[]);
}

#[test]
fn a_try_without_verdict_has_no_status() {
    tries(
        "127.0.0.1:8080 - 0.000 - 1.000",
        &[attempt("127.0.0.1:8080", None, [Some(0.0), None, Some(1.0)], 0)],
    );
}

#[test]
fn json_is_read_through_its_escapes() {
    let format = Format::compile(
        r#"{"t":"$time_iso8601","r":"$request_uri","s":$status,"u":"$upstream_addr","ua":"$http_user_agent"}"#,
        Escape::Json,
    );
    let line = br#"{"t":"2026-11-20T15:00:00+01:00","r":"/a\",\"s\":200","s":502,"u":"","ua":"x\\\u001by"}"#;
    let record = format.parse(line).unwrap();
    assert_eq!(record.status(), Some(502));
    assert_eq!(record.get("request_uri").as_deref(), Some(r#"/a","s":200"#));
    assert_eq!(record.get("http_user_agent").as_deref(), Some("x\\\u{1b}y"));
    assert_eq!(record.get("upstream_addr"), None);
    assert_eq!(record.time(), "2026-11-20T14:00:00Z".parse().ok());
    assert_eq!(record.upstreams(), []);
}

#[test]
fn an_undefined_number_in_json_is_empty() {
    let format = Format::compile(r#"{"s":$status,"t":$upstream_response_time}"#, Escape::Json);
    let record = format.parse(br#"{"s":404,"t":}"#).unwrap();
    assert_eq!((record.status(), record.get("upstream_response_time")), (Some(404), None));
}

#[test]
fn names_in_braces_and_lone_dollars_are_understood() {
    let format = Format::compile("${status}s $", Escape::Default);
    assert_eq!(format.variables().collect::<Vec<_>>(), ["status"]);
    assert_eq!(format.parse(b"200s $").unwrap().status(), Some(200));
}

#[test]
fn extra_spaces_are_tolerated_and_broken_lines_are_not() {
    let format = Format::combined();
    let line = b"10.0.0.9  -  -  [20/Nov/2026:15:00:00 +0100]  \"GET / HTTP/1.1\"  502 157 \"-\" \"x\"  ";
    assert_eq!(format.parse(line).unwrap().status(), Some(502));
    for broken in
        ["", "10.0.0.9 - - [20/Nov/2026:15:00:00 +0100] \"GET / HT", "2026/11/20 15:00:00 [error] 1#1: x"]
    {
        assert_eq!(format.parse(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn milliseconds_are_preferred_for_the_time() {
    let format = Format::compile("$msec [$time_local]", Escape::Default);
    let record = format.parse(b"1795183200.123 [20/Nov/2026:15:00:00 +0100]").unwrap();
    assert_eq!(record.time().map(|it| it.as_millisecond()), Some(1_795_183_200_123));
}

#[test]
fn each_kind_of_escape_is_undone() {
    assert_eq!(&*unescape(b"a\\x22\\x5C\\xff", Escape::Default), b"a\"\\\xff");
    assert_eq!(&*unescape(b"a\\\"\\n\\u0001\\/", Escape::Json), b"a\"\n\x01/");
    assert_eq!(&*unescape(b"a\\x22", Escape::None), b"a\\x22");
    // What nginx does not write stays.
    assert_eq!(&*unescape(b"\\", Escape::Default), b"\\");
    assert_eq!(&*unescape(b"\\xZZ \\q", Escape::Default), b"\\xZZ \\q");
    assert_eq!(&*unescape(b"\\u12", Escape::Json), b"\\u12");
}

#[track_caller]
fn recognised(line: &str, status: u16, variable: &str, expected: &str) {
    let format = recognise([line.as_bytes()]).expect(line);
    let record = format.parse(line.as_bytes()).unwrap();
    assert_eq!(record.status(), Some(status));
    assert_eq!(record.get(variable).as_deref(), Some(expected), "{line}");
}

#[test]
fn common_formats_are_recognised() {
    let combined = "10.0.0.9 - - [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 502 157 \"-\" \"curl/8\"";
    recognised(combined, 502, "http_user_agent", "curl/8");
    recognised(&format!("{combined} \"10.1.1.1\""), 502, "http_x_forwarded_for", "10.1.1.1");
    recognised(&format!("{combined} 0.003 0.002, 0.001"), 502, "upstream_response_time", "0.002, 0.001");
    recognised(&format!("shop.example:443 {combined}"), 502, "host", "shop.example");
    recognised(
        &format!("{combined} 500 0.003 [default-web-80] [] 10.0.0.1:80 0 0.003 502 abc123"),
        502,
        "upstream_addr",
        "10.0.0.1:80",
    );
    recognised(&format!("{combined} something=else"), 502, "something", "else");
    recognised(
        r#"{"time": "2026-11-20T15:00:00+01:00", "remote_addr": "10.0.0.9", "status": 502, "path": "/a", "x-y": "z"}"#,
        502,
        "request_uri",
        "/a",
    );
}

#[test]
fn other_logs_are_not_recognised() {
    let lines = ["2026/11/20 15:00:00 [error] 1#1: x", "[20-Nov-2026 15:00:00] NOTICE: x", "{}", "{\"a\":1}"];
    for line in lines {
        assert_eq!(recognise([line.as_bytes()]), None, "{line}");
    }
    assert_eq!(recognise([]), None);
}

#[test]
fn the_text_of_a_format_reads_as_it_was_written() {
    for text in [Format::COMBINED, "$remote_addr ${status}ms $request_time", "${host}_x=$uri"] {
        let format = Format::compile(text, Escape::Default);
        assert_eq!(format.text(), text);
    }
    assert_eq!(Format::compile("${host}: $uri", Escape::Default).text(), "$host: $uri");
}
