//! A broken host to practise on: somebody looks around in it, and then compares with what the program said.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{ask, install, prepare};
use crate::{Case, Host};

/// A host in which a case's fault shows. Dropping it ends the host.
pub struct Exercise {
    host: Host,
    /// What its clients got, and how often; curl's `000` stands for no answer.
    pub statuses: BTreeMap<String, u32>,
    /// What the program said of it, as text.
    pub said: String,
}

impl Exercise {
    /// Boots a host, breaks it, and asks `binary` (with these further arguments) before anybody else can change it.
    ///
    /// # Errors
    /// When the case is broken or no host can be had.
    pub fn begin(case: &Case, binary: &Path, arguments: &str) -> Result<Self> {
        let (host, proof) = prepare(case)?;
        install(&host, binary)?;
        let said = ask(&host, case, arguments)?.stdout;
        std::fs::remove_file(host.path("/lab/case.sh")).context("cannot hide the answer")?;
        Ok(Self { host, statuses: proof.statuses, said })
    }

    /// Opens an interactive shell in the host and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started. How it ends is no error.
    pub fn shell(&self) -> Result<()> {
        shell(&self.host)
    }
}

/// An interactive root shell in a host. It has a terminal of its own there (that is what `script` is for), so that job
/// control, `less` and `Ctrl-C` work as they do after a login, and none of it reaches this process.
pub(crate) fn shell(host: &Host) -> Result<()> {
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let mut command = host.enter("root");
    command.arg(format!("TERM={terminal}")).arg(r"PS1=\u@\h:\w\$ ");
    command.args(["script", "--quiet", "--command", "cd; exec bash --norc -i", "/dev/null"]);
    command.status().context("cannot start nsenter")?;
    Ok(())
}
