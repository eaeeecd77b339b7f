//! Any `log_format`, and lines of any bytes: values lie in the line, in their order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nginx_logs::access::{Escape, Format, recognise};

fuzz_target!(|input: (&str, u8, &[u8])| {
    let (text, escape, log) = input;
    let escape = [Escape::Default, Escape::Json, Escape::None][usize::from(escape) % 3];
    let recognised = recognise(log.split(|it| *it == b'\n'));
    for format in [Format::compile(text, escape), Format::combined()].iter().chain(&recognised) {
        for line in log.split(|it| *it == b'\n') {
            if let Some(record) = format.parse(line) {
                let _ = (record.status(), record.time(), record.request(), record.upstreams());
                assert!(record.values().count() <= format.variables().count());
            }
        }
        // What a format says of itself means the same.
        assert_eq!(Format::compile(&format.text(), format.escape()).text(), format.text());
    }
});
