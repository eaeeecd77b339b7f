//! Reads logs and does nothing with them but counting lines: what the input alone costs.
//!
//! `input NAME… [--since TIME] [--until TIME]`

use std::time::Instant;

use collect::input::{Ask, Progress, open};
use jiff::tz::TimeZone;

fn main() {
    let mut ask =
        Ask { names: Vec::new(), since: None, until: None, formats: Vec::new(), zone: TimeZone::UTC };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut time = || arguments.next().and_then(|it| it.parse().ok());
        match argument.as_str() {
            "--since" => ask.since = time(),
            "--until" => ask.until = time(),
            _ => ask.names.push(argument),
        }
    }
    let start = Instant::now();
    let (input, unreadable) = open(&ask);
    let opened = start.elapsed();
    let mut lines = vec![0; input.sources().len()];
    let count =
        |_: &mut (), block: &nginx_logs::Block<'_>| memchr::memchr_iter(b'\n', block.bytes).count() as u64;
    let (ends, _) = input.read(&Progress::default(), || (), count, |source, _, more| lines[source] += more);
    for (index, (source, end)) in input.sources().iter().zip(ends).enumerate() {
        let kinds: Vec<_> = source.shape.kinds.iter().map(|it| it.name()).collect();
        println!("{} {:?} {kinds:?}: {} lines, {end:?}", source.name, source.packing, lines[index]);
    }
    for it in input.passed_over() {
        println!("passed over {}: {}", it.name, it.why);
    }
    for it in unreadable {
        println!("{}: {}; {:?}", it.name, it.error, it.advice);
    }
    eprintln!("opened after {opened:?}, read after {:?}", start.elapsed());
}
