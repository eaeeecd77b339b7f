//! Counts logs with several threads and prints the sums as JSON: `count [--threads N] [--format TEXT] [--urls] [--methods]
//! [--quiet] FILE…`.
#![expect(clippy::disallowed_methods, reason = "the crate opens no file, but this program does")]

use std::env::args;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use nginx_logs::access::{Escape, Format};
use nginx_logs::error::time_of_line;
use nginx_logs::{Block, Kind, Shape};
use traffic::{By, Options, Scanner, Tally};

const BLOCK_BYTES: usize = 256 << 10;

fn main() -> std::io::Result<()> {
    let (mut threads, mut names, mut quiet, mut options) = (2, Vec::new(), false, Options::default());
    let mut formats = Vec::new();
    let mut arguments = args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => threads = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(1),
            "--format" => {
                formats.extend(arguments.next().map(|it| Format::compile(&it, Escape::Default)));
            }
            "--quiet" => quiet = true,
            "--urls" => options.by.push(By::Url),
            "--methods" => options.by.push(By::Method),
            _ => names.push(argument),
        }
    }
    let mut all = Tally::new(&options);
    for (source, name) in names.iter().enumerate() {
        let file = File::open(name)?;
        let mut sample = vec![0; 64 << 10];
        let length = file.read_at(&mut sample, 0)?;
        let shape = Shape::detect(&sample[..length], &formats);
        let errors = shape.kinds.contains(&Kind::Error);
        let scanner = Scanner::new(shape, &options);
        let size = file.metadata()?.len();
        let next = AtomicU64::new(0);
        let tallies = std::thread::scope(|scope| {
            let work = || count(&file, (size, errors), source, &scanner, &next, &options);
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
        });
        tallies.into_iter().for_each(|it| all.merge(it));
    }
    let (traffic, kept) = all.finish(|_, _| 0);
    if quiet {
        println!(
            "{} requests, {} kept",
            traffic.requests,
            kept.iter().map(|it| it.lines.lines.len()).sum::<usize>()
        );
    } else {
        println!("{}", serde_json::to_string(&traffic)?);
    }
    Ok(())
}

/// The first beginning of a line behind a place; in an error log, of one that begins an entry.
fn begin_of_line(bytes: &[u8], from: usize, errors: bool) -> usize {
    let feeds = (from..bytes.len()).filter(|it| bytes[*it] == b'\n').map(|it| it + 1);
    let mut begins =
        feeds.filter(|it| !errors || *it == bytes.len() || time_of_line(&bytes[*it..]).is_some());
    begins.next().unwrap_or(bytes.len())
}

/// Takes one part after the other. A line belongs to the part that it begins in.
fn count(
    file: &File,
    (size, errors): (u64, bool),
    source: usize,
    scanner: &Scanner,
    next: &AtomicU64,
    options: &Options,
) -> Tally {
    let mut tally = Tally::new(options);
    let mut buffer = vec![0; BLOCK_BYTES + (16 << 10)];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let from = index * BLOCK_BYTES as u64;
        if from >= size {
            return tally;
        }
        // One byte earlier, to see whether a line begins here.
        let begin = from.saturating_sub(1);
        let mut length = 0;
        while let Ok(read @ 1..) = file.read_at(&mut buffer[length..], begin + length as u64) {
            length += read;
        }
        let read = &buffer[..length];
        let skipped = if from == 0 { 0 } else { begin_of_line(read, 0, errors) };
        let to = (from + BLOCK_BYTES as u64 - begin) as usize;
        let end = if length > to { begin_of_line(read, to - 1, errors) } else { length };
        let bytes = buffer.get(skipped..end).unwrap_or_default();
        scanner.scan(&Block { source, index, offset: begin + skipped as u64, bytes }, &mut tally);
    }
}
