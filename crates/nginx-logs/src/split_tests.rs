//! That splitting and parsing agree, whatever the line.

use proptest::prelude::*;

use crate::access::{Escape, Format, Shape};
use crate::split::{MOST_FIELDS, Scratch, Splitter};

const MAIN: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
    \"$http_user_agent\" rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
    urt=\"$upstream_response_time\" ua=\"$upstream_addr\" us=\"$upstream_status\"";
const JSON: &str = "{\"time\":\"$time_iso8601\",\"addr\":\"$remote_addr\",\"request\":\"$request\",\"status\":$status,\
    \"rt\":$request_time,\"upstream_addr\":\"$upstream_addr\",\"upstream_status\":\"$upstream_status\"}";

fn formats() -> Vec<Format> {
    [
        (Format::COMBINED, Escape::Default),
        (MAIN, Escape::Default),
        (JSON, Escape::Json),
        (JSON, Escape::None),
        ("$time_iso8601|$status|$request|$upstream_addr|$request_time", Escape::Default),
        ("[$msec] $status $upstream_addr $upstream_status $request", Escape::Default),
        ("\"$request\"$status", Escape::Default),
        ("$request_time$status \"$request", Escape::None),
        ("x $http_x a $http_x a $status \"$request\" end", Escape::Default),
        ("$request_method\t$status\t$upstream_response_time\t", Escape::None),
    ]
    .map(|(text, escape)| Format::compile(text, escape))
    .into()
}

/// What a variable may hold, and what it may not.
fn value(variable: &str) -> BoxedStrategy<Vec<u8>> {
    let usual: &[&str] = match variable {
        "status" => &["200", "502", "009", "-", ""],
        "time_local" => &["02/May/2026:12:00:00 +0000", "-"],
        "time_iso8601" => &["2026-05-02T12:00:00+00:00", ""],
        "msec" => &["1777723200.123"],
        "remote_addr" => &["10.0.0.1", "2001:db8::1234:5678:9abc"],
        "request_time" | "body_bytes_sent" => &["0.000", "17", "123456789.5", ""],
        "upstream_addr" => &["10.0.0.1:80", "-", "", "10.0.0.1:80, unix:/a.sock : [::1]:1", "a : "],
        name if name.starts_with("upstream_") => &["0.001", "-", "", "0.001, -", "502, 200", "1 : 2"],
        _ => &["GET /a?b HTTP/1.1", "-", "", "a [b", "x - y", "\\x22", "\\\"", "\\\\", "] \"", " a "],
    };
    let usual = proptest::sample::select(usual.to_vec()).prop_map(|it| it.as_bytes().to_vec());
    let hostile = proptest::collection::vec(
        prop_oneof![
            proptest::sample::select(b"\"\\\r, :-=|\t[]{}09a.".to_vec()),
            any::<u8>().prop_filter("a line has no line feed", |it| *it != b'\n'),
        ],
        0..12,
    );
    prop_oneof![12 => usual, 1 => hostile].boxed()
}

fn line(format: &Format) -> BoxedStrategy<Vec<u8>> {
    let mut parts: Vec<BoxedStrategy<Vec<u8>>> = Vec::new();
    for part in &format.parts {
        let mut broken = part.literal.clone();
        broken.pop();
        parts.push(prop_oneof![40 => Just(part.literal.clone()), 1 => Just(broken)].boxed());
        if let Some(name) = &part.variable {
            parts.push(value(name));
        }
    }
    let end = prop_oneof![8 => Just(b"".to_vec()), 1 => Just(b"\r".to_vec()), 1 => Just(b" ".to_vec())];
    parts.push(end.boxed());
    parts.prop_map(|it| it.concat()).boxed()
}

fn block() -> impl Strategy<Value = (Format, Vec<u8>)> {
    proptest::sample::select(formats()).prop_flat_map(|format| {
        let lines = proptest::collection::vec(line(&format), 1..8);
        let end = prop_oneof![Just(b"\n".to_vec()), Just(b"".to_vec())];
        (Just(format), lines, end)
            .prop_map(|(format, lines, end)| (format, [lines.join(&b'\n'), end].concat()))
    })
}

#[track_caller]
fn agree(format: &Format, bytes: &[u8], asked: &[&str], own: usize) -> (u64, u64) {
    let splitter = Splitter::new(format, asked, own).expect("these formats can be split");
    let shape = |name: &str| {
        format.parts.iter().find(|it| it.variable.as_deref() == Some(name)).map_or(Shape::Any, |it| it.shape)
    };
    let (mut seen, mut split) = (Vec::new(), 0);
    let lines = splitter.each_line(bytes, &mut Scratch::default(), |bytes, whole, fields| {
        let line = whole.of(bytes);
        seen.push(line.to_vec());
        let Some(fields) = fields else { return };
        let value = |index: usize| fields.get(index).of(bytes);
        let fits = asked.iter().enumerate().take(own).all(|(index, name)| shape(name).fits(value(index)));
        if !fits {
            return;
        }
        split += 1;
        let Some(record) = format.parse(line) else {
            panic!("{:?} was split, but does not parse", String::from_utf8_lossy(line));
        };
        for (index, name) in asked.iter().enumerate() {
            let expected = record.raw(name).unwrap_or_default();
            assert_eq!(value(index), expected, "${name} of {:?}", String::from_utf8_lossy(line));
        }
    });
    let mut expected: Vec<&[u8]> = bytes.split(|it| *it == b'\n').collect();
    if expected.last().is_some_and(|it| it.is_empty()) {
        expected.pop();
    }
    assert_eq!(seen, expected);
    assert_eq!(lines, expected.len() as u64);
    (lines, split)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_split_is_what_would_be_parsed((format, bytes) in block(), every in any::<bool>(), own in 0_usize..3) {
        let all: Vec<&str> = format.variables().take(MOST_FIELDS).collect();
        let mut asked = all.clone();
        asked.dedup();
        let some = ["status", "upstream_addr", "http_absent", "request_time"];
        agree(&format, &bytes, if every { &asked } else { &some }, own);
    }
}

#[test]
fn usual_lines_are_split() {
    let usual = b"10.0.0.1 - - [02/May/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 17 \"-\" \"a\" rt=0.010 uct=\"0.001\" \
        uht=\"0.009\" urt=\"0.010\" ua=\"10.0.0.1:80\" us=\"200\"\n";
    let bytes = usual.repeat(1000);
    let asked = ["time_local", "status", "upstream_addr"];
    assert_eq!(agree(&Format::compile(MAIN, Escape::Default), &bytes, &asked, 1), (1000, 1000));
    let usual = b"{\"time\":\"2026-05-02T12:00:00+00:00\",\"addr\":\"::1\",\"request\":\"GET /\\\"a\\\\\",\"status\":200,\
        \"rt\":0.001,\"upstream_addr\":\"\",\"upstream_status\":\"\"}\r\n";
    let bytes = usual.repeat(1000);
    assert_eq!(agree(&Format::compile(JSON, Escape::Json), &bytes, &asked, 1), (1000, 1000));
}

#[test]
fn a_line_longer_than_a_window_is_left_to_the_parser() {
    let long = format!(
        "10.0.0.1 - - [02/May/2026:12:00:00 +0000] \"GET /{} HTTP/1.1\" 200 17 \"-\" \"a\"\n",
        "a".repeat(40_000)
    );
    let short = "10.0.0.1 - - [02/May/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 17 \"-\" \"a\"\n";
    let bytes = [short, &long, short, short].concat();
    assert_eq!(agree(&Format::combined(), bytes.as_bytes(), &["status"], 1), (4, 3));
}
