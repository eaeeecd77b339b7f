use std::io::Write;

use proptest::prelude::*;
use std::sync::atomic::Ordering;

use super::*;
use crate::testing::Folder;

fn ask(names: &[String]) -> Ask {
    Ask { names: names.to_vec(), since: None, until: None, formats: Vec::new(), zone: TimeZone::UTC }
}

/// Everything that is read of some names, as one text for each source; and how each ended.
fn read_all(ask: &Ask) -> (Vec<(String, Vec<u8>)>, Vec<End>) {
    let (mut input, unreadable) = open(ask);
    assert!(unreadable.is_empty(), "{unreadable:?}");
    input.cache = None;
    let mut texts: Vec<(String, Vec<u8>)> =
        input.sources().iter().map(|it| (it.name.clone(), Vec::new())).collect();
    let work = |_: &mut (), block: &Block<'_>| (block.offset, block.bytes.to_vec());
    let (ends, _) = input.read(
        &Progress::default(),
        || (),
        work,
        |source, _, (offset, bytes)| {
            let text = &mut texts[source].1;
            assert!(text.is_empty() || text.ends_with(b"\n"), "a block ends inside of a line");
            assert_eq!(offset, text.len() as u64, "blocks follow each other");
            text.extend(bytes);
        },
    );
    (texts, ends)
}

fn path(folder: &Folder, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[track_caller]
fn text_of(name: String) -> (Vec<u8>, Option<String>) {
    let (mut texts, mut ends) = read_all(&ask(&[name]));
    assert_eq!(texts.len(), 1);
    assert_eq!(ends[0].bytes, texts[0].1.len() as u64);
    (texts.remove(0).1, ends.remove(0).partial)
}

/// More than some blocks of lines of different lengths.
fn long_log() -> Vec<u8> {
    let line = |number: usize| format!("10.0.0.{} {}\n", number, "x".repeat(number * 7919 % 300));
    (0..20_000).flat_map(|it| line(it).into_bytes()).collect()
}

/// Lines that hardly become shorter when they are packed.
fn noise() -> Vec<u8> {
    let line = |it: u64| format!("{:x}\n", u128::from(it.wrapping_mul(0x9e37_79b9_7f4a_7c15)).pow(2));
    (1..20_000).flat_map(|it| line(it).into_bytes()).collect()
}

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_packing_gives_the_same_text() {
    let text = long_log();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&text).unwrap();
    let half = text.len() / 2;
    let utf16 = String::from_utf8(text.clone()).unwrap();
    let units: Vec<u16> = "\u{feff}".encode_utf16().chain(utf16.encode_utf16()).collect();
    let packed: [(&str, Vec<u8>); 8] = [
        ("plain", text.clone()),
        ("gzip", gzip(&text)),
        ("gzip of two members", [gzip(&text[..half]), gzip(&text[half..]), vec![0; 512]].concat()),
        ("zstd", zstd::encode_all(text.as_slice(), 1).unwrap()),
        (
            "zstd of two frames",
            [zstd::encode_all(&text[..half], 1), zstd::encode_all(&text[half..], 1)]
                .map(Result::unwrap)
                .concat(),
        ),
        ("bzip2", bzip2.finish().unwrap()),
        ("utf-16le", units.iter().flat_map(|it| it.to_le_bytes()).collect()),
        ("utf-16be without a mark", units[1..].iter().flat_map(|it| it.to_be_bytes()).collect()),
    ];
    for (name, bytes) in packed {
        let folder = Folder::new().file("log", bytes);
        let (read, partial) = text_of(path(&folder, "log"));
        assert!(read == text && partial.is_none(), "{name}: {partial:?}");
    }
}

/// What xz 5.4 makes of `one` and `two`, each on a line.
const XZ: &[u8] = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x07one\ntwo\n\0Q\xab\x9e\xafWupI\0\x01 \x08\xbb\x19\xd9\xbb\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

#[test]
fn xz_is_unpacked_stream_after_stream() {
    let folder = Folder::new().file("log", [XZ, XZ].concat());
    assert_eq!(text_of(path(&folder, "log")), (b"one\ntwo\none\ntwo\n".to_vec(), None));
}

#[test]
fn half_a_compressed_file_gives_its_lines_and_says_so() {
    let text = noise();
    for packing in 1..4 {
        let packed = packed_as(packing, &text);
        let folder = Folder::new().file("log", &packed[..packed.len() / 2]);
        let (read, partial) = text_of(path(&folder, "log"));
        assert!(text.starts_with(&read) && read.len() > text.len() / 3, "{packing}: {}", read.len());
        assert_eq!(partial.as_deref(), Some("the compressed data ends in the middle"), "{packing}");
    }
}

#[test]
fn of_a_log_and_its_packed_copy_one_is_read() {
    let line = "2026/05/02 12:00:00 [error] 7#7: *1 something\n";
    let folder = Folder::new()
        .file("error.log", line.repeat(3))
        .file("error.log.gz", gzip(line.repeat(2).as_bytes()))
        .file("old.log", line)
        .file("old.log.gz", gzip(line.replace("12:", "11:").as_bytes()));
    let names = |names: &[&str]| {
        let (input, _) = open(&ask(&names.iter().map(|it| path(&folder, it)).collect::<Vec<_>>()));
        (input.sources().len(), input.passed_over().len())
    };
    assert_eq!(names(&["error.log"]), (1, 1));
    assert_eq!(names(&["error.log", "error.log.gz"]), (1, 1));
    assert_eq!(names(&["error.log.gz"]), (1, 0));
    // What was packed before the log began anew is no copy.
    assert_eq!(names(&["old.log"]), (2, 0));
    assert_eq!(names(&[""]), (3, 1));
}

#[test]
fn a_line_longer_than_many_blocks_stays_whole() {
    let text = [b"short\n".to_vec(), vec![b'x'; 5 << 20], b"\nlast".to_vec()].concat();
    for bytes in [text.clone(), gzip(&text)] {
        let folder = Folder::new().file("log", bytes);
        assert_eq!(text_of(path(&folder, "log")), (text.clone(), None));
    }
}

#[test]
fn a_rotated_set_is_found_from_one_name_and_read_once_in_the_order_of_time() {
    let line = |hour: u32| format!("2026/05/02 {hour:02}:00:00 [error] 7#7: *1 something\n");
    let folder = Folder::new()
        .file("error.log", line(12))
        .file("error.log.1", line(11))
        .file("error.log.2.gz", gzip(line(10).as_bytes()))
        .file("other.log", line(9))
        .link("same.log", "error.log");
    let names = |names: &[&str]| {
        let (texts, _) = read_all(&ask(&names.iter().map(|it| path(&folder, it)).collect::<Vec<_>>()));
        let texts: Vec<String> = texts.into_iter().map(|it| String::from_utf8(it.1).unwrap()).collect();
        texts.concat()
    };
    let all = [line(10), line(11), line(12)].concat();
    assert_eq!(names(&["error.log"]), all);
    assert_eq!(names(&["error.log.1"]), line(11));
    assert_eq!(names(&["error.log", "error.log.1", "error.log.2.gz", "same.log"]), all);
    assert_eq!(names(&["error.log.1", "error.log.2.gz"]), [line(10), line(11)].concat());
}

#[test]
fn a_stop_ends_early_and_says_so() {
    let folder = Folder::new().file("log", long_log());
    let (input, _) = open(&ask(&[path(&folder, "log")]));
    let progress = Progress::default();
    progress.stop.store(true, Ordering::Relaxed);
    let (ends, _) = input.read(&progress, || (), |_, _| (), |_, _, ()| {});
    assert_eq!(ends, [End { begins_at: 0, bytes: 0, partial: Some("it was stopped".to_owned()) }]);
}

#[test]
fn what_cannot_be_read_is_named_with_advice() {
    let folder = Folder::new().file("x.bin", (0..=255u8).collect::<Vec<_>>()).file("empty/.hidden", "");
    let names: Vec<String> = ["x.bin", "empty", "absent"].map(|it| path(&folder, it)).to_vec();
    let (input, unreadable) = open(&ask(&names));
    assert!(input.sources().is_empty());
    let mut said: Vec<String> = unreadable.iter().map(|it| it.error.to_string()).collect();
    said.sort();
    assert_eq!(
        said,
        [
            "No such file or directory (os error 2)",
            "it is a binary file, not a log",
            "no log lies in that directory"
        ]
    );
}

/// An access log of a day, with a line every second.
fn day() -> (Vec<u8>, Format) {
    let midnight: Timestamp = "2026-05-02T00:00:00Z".parse().unwrap();
    let text: String = (0..86_400)
        .map(|second| {
            let at = (midnight + jiff::SignedDuration::from_secs(second)).to_zoned(TimeZone::UTC);
            let time = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
            let path = (second as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!("10.0.0.1 - - [{time}] \"GET /{path:x}/{:x} HTTP/1.1\" 200 1 \"-\" \"-\"\n", !path)
        })
        .collect();
    (text.into_bytes(), Format::combined())
}

#[test]
fn of_a_span_every_line_is_read_and_little_else() {
    let (text, format) = day();
    let folder = Folder::new().file("day.log", &text).file("day2.log.gz", gzip(&text));
    let mut unpacked = Vec::new();
    // The second time of the packed one an index is there.
    for name in ["day.log", "day2.log.gz", "day2.log.gz"] {
        let mut ask = ask(&[path(&folder, name)]);
        ask.formats = vec![format.clone()];
        ask.since = "2026-05-02T18:00:00Z".parse().ok();
        ask.until = "2026-05-02T18:15:00Z".parse().ok();
        let (mut input, _) = open(&ask);
        input.cache = Some(folder.path().join("cache"));
        let work = |_: &mut (), block: &Block<'_>| {
            block
                .bytes
                .split(|it| *it == b'\n')
                .filter(|it| !it.is_empty())
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        let mut lines = Vec::new();
        let (ends, _) = input.read(&Progress::default(), || (), work, |_, _, more| lines.extend(more));
        unpacked.push(ends[0].bytes);
        let inside = lines.iter().filter_map(|it| format.parse(it)?.time());
        let inside = inside.filter(|it| ask.since.unwrap() <= *it && *it <= ask.until.unwrap()).count();
        assert_eq!(inside, 901, "{name}");
        assert!(lines.len() < 40_000, "{name}: {}", lines.len());
    }
    assert!(unpacked[2] * 2 < unpacked[1], "{unpacked:?}");
}

#[test]
fn parts_of_a_set_that_are_outside_of_the_span_are_passed_over() {
    let line = |hour: u32| format!("2026/05/02 {hour:02}:00:00 [error] 7#7: *1 something\n");
    let folder =
        Folder::new().file("error.log", line(12)).file("error.log.1", line(11)).file("error.log.2", line(1));
    let two_days_before: Timestamp = "2026-04-30T10:00:00Z".parse().unwrap();
    let file = File::options().write(true).open(folder.path().join("error.log.2")).unwrap();
    file.set_modified(two_days_before.into()).unwrap();
    let ask = Ask { since: "2026-05-02T11:30:00Z".parse().ok(), ..ask(&[path(&folder, "error.log")]) };
    let (input, _) = open(&ask);
    let why: Vec<_> = input.passed_over().iter().map(|it| it.why).collect();
    assert_eq!(why, ["it was last written before the time in question"]);
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let text = noise();
    let folder = Folder::new();
    for packing in 0..4 {
        let bytes = packed_as(packing, &text);
        let fifo = folder.path().join(packing.to_string());
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let there = fifo.clone();
        let writer = std::thread::spawn(move || std::fs::write(there, bytes).unwrap());
        assert_eq!(text_of(fifo.display().to_string()), (text.clone(), None));
        writer.join().unwrap();
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_partial() {
    let folder = Folder::new().file("log", long_log());
    let (input, _) = open(&ask(&[path(&folder, "log")]));
    let file = File::options().write(true).open(folder.path().join("log")).unwrap();
    file.set_len(100).unwrap();
    let bytes = AtomicU64::new(0);
    let work = |_: &mut (), block: &Block<'_>| {
        bytes.fetch_add(block.bytes.len() as u64, Ordering::Relaxed);
    };
    let (ends, _) = input.read(&Progress::default(), || (), work, |_, _, ()| {});
    assert!(ends[0].partial.is_some() && ends[0].bytes == bytes.into_inner(), "{ends:?}");
}

#[test]
fn a_directory_gives_its_logs_and_passes_over_the_rest() {
    let folder = Folder::new()
        .file("nginx/error.log", "2026/05/02 12:00:00 [error] 7#7: *1 something\n")
        .file("nginx/old/error.log.1.gz", gzip(b"2026/05/01 12:00:00 [error] 7#7: *1 something\n"))
        .file("wtmp", (0..=255u8).collect::<Vec<_>>())
        .link("loop", ".");
    let (input, unreadable) = open(&ask(&[folder.path().display().to_string()]));
    assert_eq!((input.sources().len(), input.passed_over().len(), unreadable.len()), (2, 1, 0));
}

fn packed_as(packing: usize, text: &[u8]) -> Vec<u8> {
    match packing {
        0 => text.to_vec(),
        1 => gzip(text),
        2 => zstd::encode_all(text, 1).unwrap(),
        _ => {
            let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(3));
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_in_any_packing_and_any_blocks_is_read_once(
        lines in prop::collection::vec(prop::collection::vec(b' '..=b'~', 0..2000), 1..100),
        ends_with_line in any::<bool>(),
        packing in 0..4usize,
        block_bytes in 64..20_000usize,
        threads in 1..4usize,
    ) {
        let mut text = lines.join(&b'\n');
        text.extend(ends_with_line.then_some(b'\n'));
        let folder = Folder::new().file("log", packed_as(packing, &text));
        let (mut input, _) = open(&ask(&[path(&folder, "log")]));
        input.block_bytes = block_bytes;
        input.cache = None;
        let mut read = Vec::new();
        let work = |_: &mut (), block: &Block<'_>| block.bytes.to_vec();
        let progress = Progress::default();
        let (ends, states) =
            threads::read(&input, threads, &progress, || (), work, |_, _, part| read.extend(part));
        prop_assert_eq!(read, text.clone());
        prop_assert_eq!((ends[0].bytes, states.len()), (text.len() as u64, threads));
        // Results that own no memory can be handed over by several files at once; their order is the same.
        let mut numbers = Vec::new();
        let work = |_: &mut (), block: &Block<'_>| block.bytes.len();
        threads::read(&input, threads, &progress, || (), work, |_, index, length| numbers.push((index, length)));
        prop_assert!(numbers.iter().map(|it| it.0).eq(0..numbers.len() as u64));
        prop_assert_eq!(numbers.iter().map(|it| it.1).sum::<usize>(), text.len());
    }
}
