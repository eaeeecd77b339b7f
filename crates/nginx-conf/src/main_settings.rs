//! The settings of nginx as a whole.

use std::path::{Path, PathBuf};

use crate::server::Listen;
use crate::settings::Setting;
use crate::tree::Directive;
use crate::units;
use crate::view::View;

/// What stands outside of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// The user of the workers, when the master runs as root.
    pub user: Setting<String>,
    /// `None` is the group of the user's name.
    pub group: Option<String>,
    pub pid: Setting<PathBuf>,
    /// `None` is `auto`: one for each CPU.
    pub worker_processes: Setting<Option<u32>>,
    /// For each worker, with connections to backends counted.
    pub worker_connections: Setting<u32>,
    /// `None` leaves the limit that nginx was started with.
    pub worker_rlimit_nofile: Setting<Option<u64>>,
    pub worker_shutdown_timeout: Setting<Option<std::time::Duration>>,
    pub daemon: Setting<bool>,
    pub master_process: Setting<bool>,
    /// Configured directories for temporary files, by directive, wherever they stand in `http`.
    pub temp_paths: Vec<(String, PathBuf)>,
    /// Of all servers.
    pub listens: Vec<Listen>,
}

impl Main {
    pub(crate) fn new(view: &View) -> Main {
        let built_in = &view.built_in;
        let mut main = Main {
            user: Setting::default_of(built_in.user.clone()),
            group: None,
            pid: Setting::default_of(built_in.prefix.join(&built_in.pid)),
            worker_processes: Setting::default_of(Some(1)),
            worker_connections: Setting::default_of(512),
            worker_rlimit_nofile: Setting::default_of(None),
            worker_shutdown_timeout: Setting::default_of(None),
            daemon: Setting::default_of(true),
            master_process: Setting::default_of(true),
            temp_paths: Vec::new(),
            listens: view.servers.iter().flat_map(|server| server.listens.iter().cloned()).collect(),
        };
        for directive in &view.config.root {
            main.apply(directive, &built_in.prefix);
        }
        for http in view.config.root.iter().filter(|directive| directive.name == "http") {
            add_temp_paths(http, &built_in.prefix, &mut main.temp_paths);
        }
        main
    }

    fn apply(&mut self, directive: &Directive, prefix: &Path) {
        let first = directive.arg(0).unwrap_or_default();
        let span = directive.span;
        match directive.name.as_str() {
            "user" => {
                self.user.set(Some(first.to_owned()), span);
                self.group = directive.arg(1).map(str::to_owned);
            }
            "pid" => self.pid.set(Some(prefix.join(first)), span),
            "worker_processes" if first == "auto" => self.worker_processes.set(Some(None), span),
            "worker_processes" => {
                let count = units::number(first).and_then(|count| u32::try_from(count).ok());
                self.worker_processes.set(count.map(Some), span);
            }
            "worker_rlimit_nofile" => self.worker_rlimit_nofile.set(units::number(first).map(Some), span),
            "worker_shutdown_timeout" => {
                self.worker_shutdown_timeout.set(units::duration(first).map(Some), span);
            }
            "daemon" => self.daemon.set(units::switch(first), span),
            "master_process" => self.master_process.set(units::switch(first), span),
            "events" => {
                for event in directive.children().iter().filter(|it| it.name == "worker_connections") {
                    let count =
                        event.arg(0).and_then(units::number).and_then(|count| u32::try_from(count).ok());
                    self.worker_connections.set(count, event.span);
                }
            }
            _ => {}
        }
    }
}

fn add_temp_paths(block: &Directive, prefix: &Path, into: &mut Vec<(String, PathBuf)>) {
    for directive in block.children() {
        if directive.name.ends_with("_temp_path")
            && let Some(path) = directive.arg(0)
        {
            into.push((directive.name.to_string(), prefix.join(path)));
        }
        add_temp_paths(directive, prefix, into);
    }
}
