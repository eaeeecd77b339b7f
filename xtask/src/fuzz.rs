//! `cargo xtask fuzz`: each fuzz target for a while, from seeds that are real lines.
//!
//! It needs `cargo install cargo-fuzz`. The sanitizer's flags are unstable, and RUSTC_BOOTSTRAP lets the one stable
//! toolchain take them; nothing that is shipped is built so.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{cargo, root};

const USUAL_SECONDS: u64 = 60;
/// nginx cuts an entry at 2 KiB; several of them show how they follow each other.
const MOST_BYTES: u64 = 8 << 10;

pub fn run(options: &[&str]) -> Result<bool> {
    let (seconds, only) = match options {
        [] => (USUAL_SECONDS, None),
        ["--seconds", seconds] => (seconds.parse().context("--seconds takes a number")?, None),
        ["--seconds", seconds, only] => (seconds.parse().context("--seconds takes a number")?, Some(*only)),
        _ => bail!("cargo xtask fuzz knows --seconds N and, behind it, the name of one target"),
    };
    let installed = Command::new("cargo-fuzz").arg("--version").output().is_ok();
    ensure!(installed, "cargo-fuzz is not installed: cargo install cargo-fuzz");
    let mut all_well = true;
    for target in targets()? {
        if only.is_some_and(|it| it != target) {
            continue;
        }
        let corpus = root().join("fuzz/corpus").join(&target);
        seed(&corpus)?;
        let status = cargo()
            .args(["fuzz", "run", "--sanitizer", "none", &target, "--"])
            .args([format!("-max_total_time={seconds}"), format!("-max_len={MOST_BYTES}")])
            .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"])
            .env("RUSTC_BOOTSTRAP", "1")
            .status()
            .context("cannot start cargo fuzz")?;
        println!("{} {target}, {seconds} s", if status.success() { "ok  " } else { "BAD " });
        all_well &= status.success();
    }
    Ok(all_well)
}

fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// The recorded lines of the parsers' own tests, to begin from something that is understood.
fn seed(corpus: &Path) -> Result<()> {
    fs::create_dir_all(corpus)?;
    let fixtures = root().join("crates/nginx-logs/tests/fixtures");
    let Ok(found) = fs::read_dir(&fixtures) else { return Ok(()) };
    for entry in found {
        let entry = entry?;
        let text = fs::read(entry.path())?;
        for (number, part) in text.chunks(MOST_BYTES as usize).take(200).enumerate() {
            fs::write(corpus.join(format!("{}-{number}", entry.file_name().to_string_lossy())), part)?;
        }
    }
    Ok(())
}
