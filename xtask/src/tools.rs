//! What the commands share: running cargo, and counting.

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many tests of any kind passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// One more test.
    pub fn count(&mut self, passed: bool) {
        *if passed { &mut self.passed } else { &mut self.failed } += 1;
    }

    pub fn all_passed(self) -> bool {
        self.failed == 0
    }
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// The cargo that runs us, in the repository's root.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds the program as it is shipped, linked statically, and says where it lies.
pub fn build_release() -> Result<PathBuf> {
    let triple = host()?;
    let built = cargo()
        .args(["build", "--release", "--package", "why502", "--target", &triple])
        // With --target the flags are for the program alone; procedural macros cannot be linked so.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status();
    ensure!(built.context("cannot start cargo")?.success(), "why502 does not build");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root().join(target).join(triple).join("release/why502"))
}

/// The target that this toolchain builds for by default, as `rustc -vV` names it.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|it| it.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}
