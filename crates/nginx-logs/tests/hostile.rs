//! No bytes make a parser panic, and no prefix of a valid line does.

use nginx_logs::access::{Escape, Format, recognise, unescape};
use nginx_logs::{backend, error};
use proptest::prelude::*;

const ENTRIES: [&str; 6] = [
    "2026/11/20 15:00:00 [error] 21#22: *345 connect() failed (111: Connection refused) while connecting to upstream, client: \
     10.0.0.9, server: a, request: \"GET /a HTTP/1.1\", subrequest: \"/s\", upstream: \"http://unix:/run/a.sock:/a\", host: \
     \"a\", referrer: \"r\"",
    "2026/11/20 15:00:00 [error] 1#1: *1 connect() failed (111: x) while connecting to upstream, udp client: ::1, server: \
     0.0.0.0:53, upstream: \"127.0.0.1:53\", bytes from/to client:12/0, bytes from/to upstream:0/12",
    "2026/11/20 15:00:00 [info] 1#1: *1 upstream timed out (110: x) while proxying, client: ::1 using starttls, server: x, login: \
     \"a\", upstream: 127.0.0.1:1",
    "2026/11/20 15:00:00 [error] 1#1: recv() failed (111: x) while resolving, resolver: 127.0.0.1:53",
    "2026/11/20 15:00:00 [emerg] 1#1: open() \"/a\" failed (2: No such file) in /etc/x.conf:7",
    "2026/11/20 15:00:00 [error] 1#1: *1 FastCGI sent in stderr: \"a\nb\" while reading upstream, client: ::1, server: _, request: \
     \"GET / HTTP/1.1\"",
];

/// Runs every parser of error-log bytes.
fn read_all(bytes: &[u8]) {
    if let Some(record) = error::parse(bytes) {
        let _ = (record.symptom(), record.client_side(), record.peer_among(&["/run/a.sock"]));
    }
    let _ = error::parse_stderr(bytes);
    let _ = error::strip_carrier(bytes);
    let mut covered = 0;
    for entry in error::entries(bytes) {
        assert_eq!(entry.offset, covered);
        covered += entry.bytes.len() + 1;
        let _ = error::parse(entry.bytes);
    }
    assert!(covered == bytes.len() || covered == bytes.len() + 1);
}

fn read_access(bytes: &[u8]) {
    for (text, escape) in [
        (Format::COMBINED, Escape::Default),
        ("{\"a\":\"$request\",\"u\":\"$upstream_addr\"}", Escape::Json),
        ("$upstream_addr, $upstream_status $a$b", Escape::None),
    ] {
        let format = Format::compile(text, escape);
        if let Some(record) = format.parse(bytes) {
            let _ = (
                record.status(),
                record.time(),
                record.request(),
                record.upstreams(),
                record.values().count(),
            );
        }
        let _ = unescape(bytes, escape);
    }
    let _ = recognise([bytes]);
}

fn read_backend(text: &str) {
    let _ = backend::event(text);
    let _ = backend::time_of_kernel_line(text);
}

#[test]
fn every_prefix_of_an_entry_is_read_without_a_panic() {
    for entry in ENTRIES {
        for end in 0..=entry.len() {
            read_all(&entry.as_bytes()[..end]);
        }
    }
}

#[test]
fn every_prefix_of_an_access_line_is_read_without_a_panic() {
    let line = b"10.0.0.9 - - [20/Nov/2026:15:00:00 +0100] \"GET / HTTP/1.1\" 502 157 \"-\" \"\\x22\" 127.0.0.1:1, a : b";
    for end in 0..=line.len() {
        read_access(&line[..end]);
    }
}

#[test]
fn a_line_full_of_separators_is_given_up_soon() {
    let format = Format::compile("$a $b $c $d $e $f $g $h $i $j!", Escape::Default);
    assert_eq!(format.parse(" ".repeat(10_000).as_bytes()), None);
}

/// Words that the grammars know, in any order, with bytes between.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "2026/11/20 15:00:00 [error] 1#1: *1 ",
        "FastCGI sent in stderr: \"",
        "connect() failed",
        " (111: Connection refused)",
        " while connecting to upstream",
        " while resolving, resolver: ",
        ", client: ",
        ", server: ",
        ", request: \"",
        "\", upstream: \"",
        "http://unix:/run/a.sock:/",
        "\", host: \"",
        "\", referrer: \"",
        "GET / HTTP/1.1",
        ", bytes from/to client:",
        "\n",
        "\"",
        "[pool www] child 1",
        " exited on signal ",
        "oom-kill:constraint=,task=,pid=,uid=",
        "app.service: ",
        "Nov 20 15:00:00 h kernel: [1.234567] ",
        "[20/Nov/2026:15:00:00 +0100]",
        "{\"status\": 502, \"request\": \"",
        "é\\u00e9\\x2",
    ]);
    let piece = prop_oneof![
        3 => known.prop_map(|it| it.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), pieces()]) {
        read_all(&bytes);
        read_access(&bytes);
        read_backend(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_a_path_holds_never_moves_the_peer(path in "[ -~]{0,80}") {
        let path = path.replace(' ', "");
        let entry = format!(
            "2026/11/20 15:00:00 [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to upstream, client: \
             10.0.0.9, server: _, request: \"GET /{path} HTTP/1.1\", upstream: \"http://127.0.0.1:8080/{path}\", host: \"h\", \
             referrer: \"{path}\""
        );
        let record = error::parse(entry.as_bytes()).unwrap();
        prop_assert_eq!(record.peer.as_deref(), Some("127.0.0.1:8080"));
        prop_assert_eq!(record.host, Some(b"h".as_slice()));
    }
}
