//! Records of any bytes, below any carrier and of any kind: each is a line of valid JSON, and no line is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nginx_logs::access::Format;
use nginx_logs::records::{Form, Memory, Options, Part, Printer};
use nginx_logs::{Block, Carrier, Kind, Program, Shape};

const TRIES: &str = "$remote_addr [$time_local] \"$request\" $status \"$upstream_addr\" \"$upstream_status\" \
    \"$upstream_response_time\" $request_time";

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (carrier, kind, log) = input;
    let kinds = match kind % 6 {
        0 => vec![Kind::Error],
        1 => vec![Kind::Access(Format::combined())],
        2 => vec![Kind::Access(Format::compile(TRIES, Default::default()))],
        3 => vec![Kind::Program(Program::PhpFpm)],
        4 => vec![Kind::Access(Format::combined()), Kind::Error, Kind::Program(Program::App)],
        _ => Shape::detect(log, &[]).kinds,
    };
    let shape = Shape { carrier: Carrier::ALL[usize::from(carrier) % Carrier::ALL.len()], kinds };
    let options = Options {
        form: Form::JsonLines,
        raw: kind & 64 != 0,
        zone: jiff::tz::TimeZone::UTC,
        now: jiff::Timestamp::UNIX_EPOCH,
        since: None,
        until: None,
    };
    let mut part = Part::default();
    let printer = Printer::new("a.log", &shape, &options);
    printer.print(&Block { source: 0, index: 0, offset: 0, bytes: log }, &mut Memory::new(&options), &mut part);
    let mut bytes = Vec::new();
    part.write_to(Some(1), &mut bytes);

    let text = std::str::from_utf8(&bytes).expect("records are UTF-8");
    for record in text.lines() {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(record).expect(record);
    }
    let counts = &part.counts;
    let line_count = log.split_inclusive(|it| *it == b'\n').count() as u64;
    assert_eq!(counts.lines, line_count);
    assert_eq!(counts.lines, counts.blank + counts.record_lines);
    assert_eq!(text.lines().count() as u64, counts.records.iter().sum::<u64>());
});
