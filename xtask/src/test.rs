//! Everything that can be tested on this machine, and one line at the end that says how it went.

use crate::lab::Mode;
use crate::tools::{Counts, build_release, cargo};
use crate::{bench, check, lab as lab_command};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Installs what the lab's hosts are made of. Debian starts a service as soon as it is installed unless policy-rc.d
/// forbids it; for as long as this takes there is one that does, and afterwards the machine's own one again.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
[ -e "$policy" ] && mv "$policy" "$policy.why502"
trap 'rm -f "$policy"; [ -e "$policy.why502" ] && mv "$policy.why502" "$policy"' EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update && apt-get -q install -y --no-install-recommends "$@"
"#;

/// Logs in which each sum of the program is compared with the exact one.
const SUMS_MB: u64 = 5;

pub fn run(with_lab: bool) -> Result<bool> {
    let mut counts = Counts::default();
    // First, so that a machine without the packages is not only found out after all the rest.
    if with_lab && lab::is_root() && !lab::missing_packages().is_empty() {
        let installed = install(&lab::missing_packages());
        if let Err(error) = &installed {
            eprintln!("error: {error:#}");
        }
        counts.count(installed.is_ok());
    }
    counts.add(check::run()?);
    counts.add(cargo_test(&["--workspace", "--no-fail-fast"])?);
    counts.add(bench::sums(&build_release()?, SUMS_MB)?.1);

    let cases: Vec<&lab::Case> = lab::cases().iter().collect();
    let missing = lab::missing_requirements();
    let obstacle = if with_lab { missing.join("; ") } else { "--no-lab was given".to_owned() };
    if obstacle.is_empty() {
        counts.add(cargo_test(&["--package", "lab", "--test", "host", "--", "--ignored"])?);
        counts.add(lab_command::run_cases(&cases, Mode::Run)?);
    } else {
        println!(
            "skipped: the {} cases of the lab and the tests of its hosts, since {obstacle}",
            cases.len()
        );
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    Ok(counts.all_passed())
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(" "));
    let status = Command::new("bash").args(["-c", INSTALL, "install"]).args(packages).status();
    ensure!(status.context("cannot start bash")?.success(), "apt-get could not install them");
    Ok(())
}

/// `cargo test` with these arguments, shown as cargo shows it, and counted.
fn cargo_test(arguments: &[&str]) -> Result<Counts> {
    let mut child =
        cargo().arg("test").args(arguments).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("its output is piped")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        counts.add(result_line(&line).unwrap_or_default());
    }
    // What does not even compile reports no failed test.
    if !child.wait()?.success() && counts.all_passed() {
        counts.count(false);
    }
    Ok(counts)
}

/// The numbers in cargo's `test result: ok. 7 passed; 0 failed; 0 ignored; …`.
fn result_line(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        let part = numbers.split(';').find_map(|part| part.trim().strip_suffix(what));
        part.and_then(|it| it.trim().parse().ok())
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_own_summary_is_counted() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(result_line(line), Some(Counts { passed: 7, failed: 2 }));
    }

    #[test]
    fn other_lines_are_not_counted() {
        assert_eq!(result_line("test a_backend_is_named ... ok"), None);
        assert_eq!(result_line("test result: what a test may print"), None);
    }
}
