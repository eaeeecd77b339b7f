//! Real files, really rotated. Nothing sleeps for a fixed time: each test waits for what it wants to see.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::testing::Folder;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A follower, and what it gave out.
struct Reader {
    follower: Follower,
    lines: Vec<String>,
    happened: Vec<Happening>,
}

impl Reader {
    fn new(folder: &Folder, names: &[&str]) -> Reader {
        Reader::with(folder, names, |_| {})
    }

    #[track_caller]
    fn with(folder: &Folder, names: &[&str], change: impl FnOnce(&mut Options)) -> Reader {
        let names = names.iter().map(|it| folder.path().join(it).to_str().unwrap().to_owned()).collect();
        let mut options = Options { pace: Duration::ZERO, ..Options::new(names) };
        change(&mut options);
        let follower = Follower::open(options, &mut end_of_lines).unwrap();
        Reader { follower, lines: Vec::new(), happened: Vec::new() }
    }

    /// With a state in `folder/state`; what no state knows begins at its beginning.
    #[track_caller]
    fn resuming(folder: &Folder, names: &[&str]) -> Reader {
        let mut begin = |_: &mut File| Ok(Begin::At(0));
        let names = names.iter().map(|it| folder.path().join(it).to_str().unwrap().to_owned()).collect();
        let state = Some(folder.path().join("state"));
        let options = Options { pace: Duration::ZERO, state, ..Options::new(names) };
        let follower = Follower::open(options, &mut begin).unwrap();
        Reader { follower, lines: Vec::new(), happened: Vec::new() }
    }

    fn turn(&mut self, most: Duration) -> Turn {
        let Reader { follower, lines, happened } = self;
        let turn = follower.wait(most, &mut |event| match event {
            Event::Lines(it) => {
                assert!(it.block.bytes.ends_with(b"\n") == it.whole, "{:?}", it.block.bytes);
                let text = String::from_utf8_lossy(it.block.bytes);
                lines.extend(text.lines().map(ToOwned::to_owned));
            }
            Event::Happened(_, what) => happened.push(what),
        });
        turn.unwrap()
    }

    #[track_caller]
    fn until(&mut self, wanted: impl Fn(&Reader) -> bool) {
        let started = Instant::now();
        while !wanted(self) {
            assert!(
                started.elapsed() < PATIENCE,
                "so far {:?} {:?}",
                self.lines.last(),
                self.happened.last()
            );
            self.turn(Duration::from_millis(20));
        }
    }

    /// Waits for the lines that have not been asked for yet, then looks that there are no others.
    #[track_caller]
    fn gives(&mut self, expected: &[&str]) {
        self.until(|it| it.lines.len() >= expected.len());
        self.settle();
        assert_eq!(self.lines, expected);
        self.lines.clear();
    }

    /// Takes what is there already.
    fn settle(&mut self) {
        self.follower.logs.iter_mut().for_each(|it| it.look_at = Instant::now());
        while self.turn(Duration::ZERO) == Turn::Given {}
    }

    #[track_caller]
    fn sees(&mut self, what: Happening) {
        self.until(|it| it.happened.contains(&what));
        self.happened.clear();
    }
}

fn append(folder: &Folder, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.path().join(name);
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

fn rename(folder: &Folder, from: &str, to: &str) {
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
}

fn pack(folder: &Folder, name: &str) {
    let path = folder.path().join(name);
    let mut packed =
        GzEncoder::new(File::create(folder.path().join(format!("{name}.gz"))).unwrap(), Compression::fast());
    packed.write_all(&fs::read(&path).unwrap()).unwrap();
    let packed = packed.finish().unwrap();
    packed.set_modified(path.metadata().unwrap().modified().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn what_is_there_already_is_not_given_and_half_a_line_waits_for_its_end() {
    let folder = Folder::new().file("a.log", "old\nha");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", "lf\r\nnext\nand");
    reader.gives(&["half", "next"]);
}

#[test]
fn half_a_line_is_given_after_a_while_and_its_end_as_a_line_of_its_own() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::with(&folder, &["a.log"], |it| it.half_line = Duration::from_millis(1));
    append(&folder, "a.log", "ha");
    reader.gives(&["ha"]);
    append(&folder, "a.log", "lf\n");
    reader.gives(&["lf"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_also_what_is_written_to_it_later() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", "1\n");
    rename(&folder, "a.log", "a.log.1");
    append(&folder, "a.log.1", "2\n");
    append(&folder, "a.log", "3\n");
    reader.gives(&["1", "2", "3"]);
    append(&folder, "a.log.1", "late\n");
    reader.gives(&["late"]);
    append(&folder, "a.log", "4\n");
    reader.gives(&["4"]);
    reader.sees(Happening::Rotated);
}

#[test]
fn files_that_were_rotated_twice_between_two_looks_are_read_in_their_order() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", "1\n");
    rename(&folder, "a.log", "a.log.1");
    append(&folder, "a.log", "2\n");
    rename(&folder, "a.log.1", "a.log.2");
    rename(&folder, "a.log", "a.log.1");
    append(&folder, "a.log", "3\n");
    reader.gives(&["1", "2", "3"]);
}

#[test]
fn a_copied_and_emptied_file_is_read_on_in_the_copy_and_from_its_beginning() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", "1\n");
    reader.gives(&["1"]);
    append(&folder, "a.log", "2\n");
    fs::copy(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
    File::create(folder.path().join("a.log")).unwrap();
    append(&folder, "a.log", "3\n");
    reader.gives(&["2", "3"]);
    reader.sees(Happening::Truncated);
}

#[test]
fn a_file_that_was_emptied_and_has_its_old_size_again_is_read_anew() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", "one\n");
    reader.gives(&["one"]);
    File::create(folder.path().join("a.log")).unwrap();
    append(&folder, "a.log", "two\n");
    reader.gives(&["two"]);
    File::create(folder.path().join("a.log")).unwrap();
    append(&folder, "a.log", "three and more\n");
    reader.gives(&["three and more"]);
}

#[test]
fn a_writer_that_goes_on_at_its_old_offset_leaves_a_hole_that_is_passed_over() {
    let folder = Folder::new();
    let mut file = File::create(folder.path().join("a.log")).unwrap();
    let mut reader = Reader::new(&folder, &["a.log"]);
    file.write_all(b"one\n").unwrap();
    reader.gives(&["one"]);
    file.set_len(0).unwrap();
    file.write_all(b"two\n").unwrap();
    reader.gives(&["two"]);
    reader.sees(Happening::Hole(4));
}

#[test]
fn a_deleted_file_is_let_go_of_once_it_is_quiet_and_a_new_one_begins() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::with(&folder, &["a.log"], |it| it.linger = Duration::from_millis(1));
    let mut writer = OpenOptions::new().append(true).open(folder.path().join("a.log")).unwrap();
    fs::remove_file(folder.path().join("a.log")).unwrap();
    writer.write_all(b"last words\n").unwrap();
    reader.gives(&["last words"]);
    reader.until(|it| it.follower.logs[0].parts.is_empty());
    drop(writer);
    // Nobody holds the old one any more, so that its inode number is free.
    append(&folder, "a.log", "new\n");
    reader.gives(&["new"]);
}

#[test]
fn files_and_folders_may_appear_later() {
    let folder = Folder::new();
    let mut reader = Reader::new(&folder, &["logs/deep/a.log", "b.log"]);
    reader.sees(Happening::Missing);
    append(&folder, "b.log", "b\n");
    reader.gives(&["b"]);
    fs::create_dir_all(folder.path().join("logs/deep")).unwrap();
    append(&folder, "logs/deep/a.log", "a\n");
    reader.gives(&["a"]);
    // The whole folder is moved away, and another one takes its place.
    rename(&folder, "logs", "logs.old");
    fs::create_dir_all(folder.path().join("logs/deep")).unwrap();
    append(&folder, "logs/deep/a.log", "a2\n");
    reader.gives(&["a2"]);
}

#[test]
fn logs_of_a_folder_are_followed_without_those_rotated() {
    let folder = Folder::new().file("logs/a.log", "").file("logs/a.log.1", "x\n").file("logs/.hidden", "");
    let mut reader = Reader::new(&folder, &["logs"]);
    append(&folder, "logs/new.log", "new\n");
    append(&folder, "logs/a.log", "a\n");
    append(&folder, "logs/a.log.1", "rotated\n");
    reader.until(|it| it.lines.len() == 2);
    reader.lines.sort();
    reader.gives(&["a", "new"]);
}

#[test]
fn a_link_that_is_switched_leads_to_the_new_file() {
    let folder = Folder::new().file("x/1.txt", "").file("y/2.txt", "").link("a.log", "x/1.txt");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "x/1.txt", "one\n");
    reader.gives(&["one"]);
    symlink("y/2.txt", folder.path().join("new")).unwrap();
    append(&folder, "y/2.txt", "two\n");
    rename(&folder, "new", "a.log");
    reader.gives(&["two"]);
}

#[test]
fn a_file_with_two_names_is_read_once() {
    let folder = Folder::new().file("a.log", "").link("linked.log", "a.log");
    fs::hard_link(folder.path().join("a.log"), folder.path().join("hard.log")).unwrap();
    let mut reader = Reader::new(&folder, &["a.log", "hard.log", "linked.log"]);
    append(&folder, "hard.log", "one\n");
    reader.gives(&["one"]);
}

#[test]
fn rotated_files_that_a_pattern_of_the_shell_named_as_well_are_not_followed_apart() {
    let folder = Folder::new().file("a.log", "").file("a.log.1", "old\n");
    let mut reader = Reader::new(&folder, &["a.log", "a.log.1"]);
    append(&folder, "a.log", "1\n");
    rename(&folder, "a.log", "a.log.1");
    append(&folder, "a.log", "2\n");
    reader.gives(&["1", "2"]);
}

#[test]
fn a_packed_file_is_refused_with_the_reason() {
    let folder = Folder::new().file("old", "x\n");
    pack(&folder, "old");
    let mut reader = Reader::new(&folder, &["old.gz"]);
    reader.sees(Happening::Unreadable("it is packed, and so it does not grow".to_owned()));
}

#[test]
fn a_pipe_is_read_through_several_writers_and_its_half_line_is_given_at_the_end() {
    let folder = Folder::new();
    let path = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let mut reader = Reader::new(&folder, &["pipe"]);
    for text in ["one\nha", "two\n"] {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        let expected: Vec<&str> = text.lines().collect();
        reader.gives(&expected);
    }
}

#[test]
fn a_line_without_an_end_is_cut_and_memory_stays_small() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    append(&folder, "a.log", vec![b'x'; 3 << 20]);
    append(&folder, "a.log", "\nnext\n");
    reader.until(|it| it.lines.last().is_some_and(|it| it == "next"));
    assert_eq!(reader.lines.len(), 2);
    assert_eq!(reader.lines[0].len(), lines::LONGEST_LINE_BYTES);
    let passed: u64 =
        reader.happened.iter().map(|it| if let Happening::Cut(it) = it { *it } else { 0 }).sum();
    assert_eq!(passed, (3 << 20) + 1 - lines::LONGEST_LINE_BYTES as u64);
}

#[test]
fn a_log_with_very_much_does_not_keep_others_waiting_and_says_how_far_it_is_behind() {
    let folder = Folder::new().file("big.log", "").file("small.log", "");
    let mut reader = Reader::new(&folder, &["big.log", "small.log"]);
    append(&folder, "big.log", "a line of thirty-two characters\n".repeat(1 << 18));
    append(&folder, "small.log", "small\n");
    reader.until(|it| it.lines.iter().any(|it| it == "small"));
    assert!(reader.lines.len() < 1 << 17, "{}", reader.lines.len());
    assert!(reader.follower.lag_bytes() > 4 << 20);
    reader.until(|it| it.lines.len() == (1 << 18) + 1);
    assert_eq!(reader.follower.lag_bytes(), 0);
}

#[test]
fn the_state_brings_back_what_was_not_committed_and_nothing_else() {
    let folder = Folder::new().file("a.log", "1\n2\n");
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    reader.gives(&["1", "2"]);
    reader.follower.commit().unwrap();
    append(&folder, "a.log", "3\n");
    reader.gives(&["3"]);
    // Killed here.
    drop(reader);
    append(&folder, "a.log", "4\n");
    Reader::resuming(&folder, &["a.log"]).gives(&["3", "4"]);
}

#[test]
fn a_run_that_committed_nothing_is_begun_again_where_it_began() {
    let folder = Folder::new().file("a.log", "old\n");
    let state = folder.path().join("state");
    let mut reader = Reader::with(&folder, &["a.log"], |it| it.state = Some(state.clone()));
    append(&folder, "a.log", "1\n");
    reader.gives(&["1"]);
    drop(reader);
    Reader::resuming(&folder, &["a.log"]).gives(&["1"]);
}

#[track_caller]
fn after_a_restart(rotate: impl FnOnce(&Folder), expected: &[&str]) {
    let folder = Folder::new().file("a.log", "1\n");
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    reader.gives(&["1"]);
    reader.follower.commit().unwrap();
    drop(reader);
    append(&folder, "a.log", "2\n");
    rotate(&folder);
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    reader.gives(expected);
    // What was found is not given again after another restart.
    reader.follower.commit().unwrap();
    drop(reader);
    append(&folder, "a.log", "last\n");
    Reader::resuming(&folder, &["a.log"]).gives(&["last"]);
}

#[test]
fn a_file_that_was_renamed_meanwhile_is_found_again() {
    after_a_restart(
        |folder| {
            rename(folder, "a.log", "a.log.1");
            append(folder, "a.log", "3\n");
        },
        &["2", "3"],
    );
}

#[test]
fn files_that_came_and_went_meanwhile_are_read_whole() {
    after_a_restart(
        |folder| {
            rename(folder, "a.log", "a.log-20260501");
            append(folder, "a.log", "3\n");
            rename(folder, "a.log", "a.log-20260502");
            append(folder, "a.log", "4\n");
        },
        &["2", "3", "4"],
    );
}

#[test]
fn a_file_that_was_packed_meanwhile_is_read_on_at_its_unpacked_offset() {
    after_a_restart(
        |folder| {
            rename(folder, "a.log", "a.log.2");
            pack(folder, "a.log.2");
            append(folder, "a.log.1", "3\n");
            append(folder, "a.log", "4\n");
        },
        &["2", "3", "4"],
    );
}

#[test]
fn a_file_that_was_copied_and_emptied_meanwhile_is_found_in_its_copy() {
    after_a_restart(
        |folder| {
            fs::copy(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
            File::create(folder.path().join("a.log")).unwrap();
            append(folder, "a.log", "3\n");
        },
        &["2", "3"],
    );
}

#[test]
fn a_file_whose_name_leads_nowhere_after_a_restart_is_read_under_its_new_one() {
    after_a_restart(|folder| rename(folder, "a.log", "a.log.1"), &["2"]);
}

#[test]
fn a_file_that_nobody_finds_again_is_said_to_be_lost_and_its_inode_is_not_taken_for_it() {
    let folder = Folder::new().file("a.log", "1\n");
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    reader.gives(&["1"]);
    reader.follower.commit().unwrap();
    drop(reader);
    fs::remove_file(folder.path().join("a.log")).unwrap();
    // Most file systems give the same inode number again.
    append(&folder, "a.log", "another\n");
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    reader.gives(&["another"]);
    reader.sees(Happening::Lost);
}

#[test]
fn a_foreign_state_file_is_refused() {
    let folder = Folder::new().file("a.log", "").file("state", "server {}");
    let options = Options { state: Some(folder.path().join("state")), ..Options::new(vec!["x".to_owned()]) };
    assert!(Follower::open(options, &mut end_of_lines).is_err());
    assert_eq!(fs::read(folder.path().join("state")).unwrap(), b"server {}");
}

#[test]
fn a_file_before_the_beginning_is_asked_about_as_well() {
    let folder = Folder::new().file("a.log", "3\n").file("a.log.1", "1\n2\n").file("a.log.2", "0\n");
    let names = vec![folder.path().join("a.log").to_str().unwrap().to_owned()];
    let mut answers = [Begin::Earlier, Begin::At(2)].into_iter();
    let options = Options { pace: Duration::ZERO, ..Options::new(names) };
    let follower = Follower::open(options, &mut |_| Ok(answers.next().unwrap())).unwrap();
    let mut reader = Reader { follower, lines: Vec::new(), happened: Vec::new() };
    reader.gives(&["2", "3"]);
}

#[test]
fn a_descriptor_ends_the_waiting() {
    let folder = Folder::new().file("a.log", "");
    let mut reader = Reader::new(&folder, &["a.log"]);
    let stop = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    reader.follower.stop_on(stop.try_clone().unwrap());
    let stopper = thread::spawn(move || rustix::io::write(&stop, &1u64.to_ne_bytes()));
    let started = Instant::now();
    while reader.turn(PATIENCE) != Turn::Stopped {
        assert!(started.elapsed() < PATIENCE);
    }
    stopper.join().unwrap().unwrap();
}

#[test]
fn a_file_in_another_root_is_followed_there() {
    let folder = Folder::new().file("a.log", "").link("absolute.log", "/a.log");
    let root = format!("/proc/{}/root", std::process::id());
    let below = folder.path().join("a.log");
    let name = format!("{root}{}", below.display());
    let options = Options { pace: Duration::ZERO, ..Options::new(vec![name]) };
    let follower = Follower::open(options, &mut end_of_lines).unwrap();
    let mut reader = Reader { follower, lines: Vec::new(), happened: Vec::new() };
    append(&folder, "a.log", "1\n");
    rename(&folder, "a.log", "a.log.1");
    append(&folder, "a.log", "2\n");
    reader.gives(&["1", "2"]);
}

/// Numbers that are as random as the test needs, and the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A thread writes numbered lines as nginx does, and rotates; the follower is dropped and begun again at random, with and
/// without a commit. What it gave out since the last commit is forgotten then, as by a program that was killed.
fn every_number_comes_once(copy: bool, seed: u64) {
    let folder = Folder::new().file("a.log", "");
    let path = folder.path().join("a.log");
    let (writes, mut random) = (400, Random(seed));
    let writer = thread::spawn({
        let (folder, mut random) = (folder.path().to_owned(), Random(seed + 1));
        move || {
            let log = folder.join("a.log");
            let reopen = || OpenOptions::new().append(true).create(true).open(&log).unwrap();
            let mut file = reopen();
            let (mut number, mut kept) = (0, 0);
            for _ in 0..writes {
                let count = 1 + random.below(50);
                let text: String = (number..number + count)
                    .map(|it| format!("{it} {}\n", "x".repeat(it as usize % 90)))
                    .collect();
                let (half, rest) = text.as_bytes().split_at(random.below(text.len() as u64) as usize);
                file.write_all(half).unwrap();
                file.write_all(rest).unwrap();
                number += count;
                if random.below(10) == 0 {
                    for at in (1..=kept).rev() {
                        let name = |at| folder.join(format!("a.log.{at}"));
                        fs::rename(name(at), name(at + 1)).unwrap();
                    }
                    kept += 1;
                    if copy {
                        fs::copy(&log, folder.join("a.log.1")).unwrap();
                        file.set_len(0).unwrap();
                    } else {
                        fs::rename(&log, folder.join("a.log.1")).unwrap();
                        if random.below(2) == 0 {
                            // nginx has not opened its logs anew yet.
                            writeln!(file, "{number} late").unwrap();
                            number += 1;
                        }
                        file = reopen();
                    }
                }
                if random.below(4) == 0 {
                    thread::sleep(Duration::from_micros(300));
                }
            }
            number
        }
    });
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut reader = Reader::resuming(&folder, &["a.log"]);
    let (mut total, started) = (None, Instant::now());
    let mut writer = Some(writer);
    while total != Some(seen.len() as u64) || !reader.lines.is_empty() {
        let missing = || (0..).find(|it| !seen.contains_key(it));
        assert!(
            started.elapsed() < PATIENCE,
            "seed {seed}: {} of {total:?}, without {:?}",
            seen.len(),
            missing()
        );
        reader.turn(Duration::from_millis(5));
        if writer.as_ref().is_some_and(|it| it.is_finished()) {
            total = writer.take().map(|it| it.join().unwrap());
        }
        if random.below(3) == 0 || total.is_some() {
            for line in std::mem::take(&mut reader.lines) {
                *seen.entry(line.split(' ').next().unwrap().parse().unwrap()).or_default() += 1;
            }
            reader.follower.commit().unwrap();
        }
        if random.below(8) == 0 {
            drop(reader);
            reader = Reader::resuming(&folder, &["a.log"]);
        }
    }
    reader.settle();
    assert_eq!(reader.lines, [""; 0]);
    let twice: Vec<_> = seen.iter().filter(|it| *it.1 > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (0..seen.len() as u64).collect::<Vec<_>>());
    assert!(path.exists());
}

#[test]
fn every_line_comes_once_through_renames_and_restarts() {
    (1..=4).for_each(|seed| every_number_comes_once(false, seed * 1000));
}

#[test]
fn every_line_comes_once_through_copies_and_restarts() {
    (1..=4).for_each(|seed| every_number_comes_once(true, seed * 1000));
}

#[test]
fn a_file_that_was_packed_between_two_runs_is_read_on_and_not_anew() {
    for extension in ["gz", "zst"] {
        let pack = |text: &[u8]| match extension {
            "gz" => crate::input::tests::gzip(text),
            _ => zstd::encode_all(text, 1).unwrap(),
        };
        let folder = Folder::new().file("a.log", "");
        let mut reader = Reader::resuming(&folder, &["a.log"]);
        append(&folder, "a.log", "1\n2\n");
        reader.gives(&["1", "2"]);
        reader.follower.commit().unwrap();
        drop(reader);
        append(&folder, "a.log", "3\n");
        rename(&folder, "a.log", "a.log.1");
        append(&folder, "a.log", "4\n");
        // This run reads both files, and while it lasts the older one is packed.
        let mut reader = Reader::resuming(&folder, &["a.log"]);
        reader.gives(&["3", "4"]);
        rename(&folder, "a.log", "b");
        let text = fs::read(folder.path().join("a.log.1")).unwrap();
        fs::write(folder.path().join(format!("a.log.2.{extension}")), pack(&text)).unwrap();
        fs::remove_file(folder.path().join("a.log.1")).unwrap();
        rename(&folder, "b", "a.log.1");
        append(&folder, "a.log", "5\n");
        reader.gives(&["5"]);
        reader.follower.commit().unwrap();
        drop(reader);
        append(&folder, "a.log", "6\n");
        let mut reader = Reader::resuming(&folder, &["a.log"]);
        reader.gives(&["6"]);
    }
}

#[test]
fn logrotate_loses_nothing_and_doubles_nothing() {
    for how in
        ["create\ncompress\ndelaycompress", "copytruncate\ncompress", "dateext\ndateformat -%s\nnocompress"]
    {
        let folder = Folder::new().file("a.log", "");
        let path = folder.path().join("a.log");
        let text = format!("{} {{\n rotate 9\n size 1\n nomail\n{how}\n}}\n", path.display());
        fs::write(folder.path().join("rotate.conf"), text).unwrap();
        // False where there is no logrotate. Twice in one second it refuses to rotate to a name with the time.
        let rotate = || {
            let state = folder.path().join("rotate.state");
            let mut command = Command::new("logrotate");
            command.arg("--force").arg("--state").arg(state).arg(folder.path().join("rotate.conf"));
            command.stderr(std::process::Stdio::null());
            let started = Instant::now();
            loop {
                match command.status() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
                    Err(error) => panic!("{error}"),
                    Ok(status) if status.success() => return true,
                    Ok(_) => assert!(started.elapsed() < PATIENCE),
                }
            }
        };
        let mut reader = Reader::resuming(&folder, &["a.log"]);
        for round in 0..4 {
            append(&folder, "a.log", format!("{round} read\n"));
            reader.gives(&[&format!("{round} read")]);
            reader.follower.commit().unwrap();
            if round == 2 {
                drop(reader);
                append(&folder, "a.log", format!("{round} while nobody reads\n"));
                if !rotate() {
                    return;
                }
                reader = Reader::resuming(&folder, &["a.log"]);
            } else {
                append(&folder, "a.log", format!("{round} while nobody reads\n"));
                if !rotate() {
                    return;
                }
            }
            append(&folder, "a.log", format!("{round} new\n"));
            reader.gives(&[&format!("{round} while nobody reads"), &format!("{round} new")]);
            reader.follower.commit().unwrap();
        }
    }
}
