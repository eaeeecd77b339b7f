//! The effective configuration: what holds where.
//!
//! Built once, in one walk over the tree (`build.rs`); everything here is a look-up.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::answers::Answer;
use crate::config::Config;
use crate::location::{self, Location, LocationId};
use crate::logs::{LogContext, LogFormat, LogTarget};
use crate::main_settings::Main;
use crate::names::NameIndex;
use crate::pass::Pass;
use crate::server::Server;
use crate::upstream::Upstream;
use crate::version::Version;

/// What is compiled into an nginx binary, or given with `-p`. The default is that of the official packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIn {
    /// `--prefix` or `-p`: relative log, pid and temporary paths begin here.
    pub prefix: PathBuf,
    /// `--error-log-path`, as written there; may be `stderr`.
    pub error_log: String,
    /// `--http-log-path`.
    pub access_log: String,
    /// `--pid-path`.
    pub pid: String,
    /// `--user`.
    pub user: String,
}

impl Default for BuiltIn {
    fn default() -> Self {
        BuiltIn {
            prefix: PathBuf::from("/etc/nginx"),
            error_log: "/var/log/nginx/error.log".to_owned(),
            access_log: "/var/log/nginx/access.log".to_owned(),
            pid: "/run/nginx.pid".to_owned(),
            user: "nobody".to_owned(),
        }
    }
}

/// The effective view of a configuration.
#[derive(Debug)]
pub struct View<'c> {
    pub(crate) config: &'c Config,
    pub(crate) version: Version,
    pub(crate) built_in: BuiltIn,
    pub(crate) servers: Vec<Server>,
    pub(crate) locations: Vec<Location>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) passes: Vec<Pass<'c>>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) error_logs: Vec<LogTarget>,
    pub(crate) access_logs: Vec<LogTarget>,
    pub(crate) http_formats: HashMap<String, LogFormat>,
    pub(crate) stream_formats: HashMap<String, LogFormat>,
    /// What `index` names anywhere.
    pub(crate) index_files: Vec<String>,
    pub(crate) names: NameIndex,
    pub(crate) groups: Groups,
}

/// Groups by name: those of `http` and of `stream` do not see each other.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    http: HashMap<String, usize>,
    stream: HashMap<String, usize>,
}

impl Groups {
    pub fn new(upstreams: &[Upstream]) -> Groups {
        let mut groups = Groups::default();
        for (index, upstream) in upstreams.iter().enumerate() {
            let map = if upstream.stream { &mut groups.stream } else { &mut groups.http };
            map.entry(upstream.name.to_ascii_lowercase()).or_insert(index);
        }
        groups
    }

    pub fn find(&self, name: &str, stream: bool) -> Option<usize> {
        let map = if stream { &self.stream } else { &self.http };
        if map.is_empty() { None } else { map.get(&name.to_ascii_lowercase()).copied() }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Route<'v> {
    /// Index into [`View::servers`].
    pub server: usize,
    /// `None` when no location matches, so that the server itself answers.
    pub location: Option<LocationId>,
    /// The unconditional pass of that location; passes inside its `if` blocks are
    /// [`Location::conditional_passes`].
    pub pass: Option<&'v Pass<'v>>,
    /// Where `try_files` ends when no file is found; else where the `index` of a directory leads, if that is passed on.
    pub fallback: Option<(LocationId, Option<&'v Pass<'v>>)>,
    /// nginx answers 301 to the same path with a slash at its end.
    pub redirects: bool,
    /// A location with a regular expression that could not be judged here; it may have matched before.
    pub unsure: Option<LocationId>,
}

impl<'c> View<'c> {
    pub fn config(&self) -> &'c Config {
        self.config
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn built_in(&self) -> &BuiltIn {
        &self.built_in
    }

    /// Servers of `http`, `stream` and `mail`, in the order of the files.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Locations of all servers, outer ones before those inside them.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// One entry for each place where a pass is in force.
    pub fn passes(&self) -> &[Pass<'c>] {
        &self.passes
    }

    /// Every `return`, `error_page`, `limit_req`, `limit_conn` and `auth_request`.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// Every error log, and the compiled-in one when none stands at the main level.
    pub fn error_logs(&self) -> &[LogTarget] {
        &self.error_logs
    }

    /// Every access log of `http` and `stream`, and the compiled-in one when some http server has none else.
    pub fn access_logs(&self) -> &[LogTarget] {
        &self.access_logs
    }

    /// A log format of `http`; `combined` is predefined.
    pub fn log_format(&self, name: &str) -> Option<&LogFormat> {
        self.http_formats.get(name)
    }

    /// A log format of `stream`.
    pub fn stream_log_format(&self, name: &str) -> Option<&LogFormat> {
        self.stream_formats.get(name)
    }

    pub fn main(&self) -> Main {
        Main::new(self)
    }

    pub fn location(&self, id: LocationId) -> Option<&Location> {
        self.locations.get(id.0)
    }

    /// The error logs in force at a place: those of the innermost block that has any.
    pub fn error_logs_at(&self, server: Option<usize>, location: Option<LocationId>) -> Vec<&LogTarget> {
        self.innermost(&self.error_logs, server, location)
    }

    /// The access logs in force at a place.
    pub fn access_logs_at(&self, server: Option<usize>, location: Option<LocationId>) -> Vec<&LogTarget> {
        self.innermost(&self.access_logs, server, location)
    }

    fn innermost<'v>(
        &'v self,
        logs: &'v [LogTarget],
        server: Option<usize>,
        location: Option<LocationId>,
    ) -> Vec<&'v LogTarget> {
        let having =
            |keep: &dyn Fn(&LogTarget) -> bool| logs.iter().filter(|log| keep(log)).collect::<Vec<_>>();
        let mut around = location;
        while let Some(id) = around {
            let found = having(&|log| log.location == Some(id));
            if !found.is_empty() {
                return found;
            }
            around = self.location(id).and_then(|location| location.parent);
        }
        let block = match server.and_then(|server| self.servers.get(server)) {
            Some(server) if server.stream => LogContext::Stream,
            Some(server) if server.mail => LogContext::Mail,
            _ => LogContext::Http,
        };
        let of_server = |log: &LogTarget| server.is_some() && log.server == server && log.location.is_none();
        let of_block = |log: &LogTarget| server.is_some() && log.context == block;
        let of_main = |log: &LogTarget| log.context == LogContext::Main;
        let levels: [&dyn Fn(&LogTarget) -> bool; 3] = [&of_server, &of_block, &of_main];
        levels.into_iter().map(having).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The http server for a host name, as nginx chooses it among those that listen on a port. Where several
    /// addresses share the port, the address is not taken into account.
    pub fn server_for(&self, host: &str, listen_port: Option<u16>) -> Option<usize> {
        self.names.find(&self.servers, host, listen_port)
    }

    /// Where nginx sends a request, by the `Host` header, the port it came in on, and the path of the request line
    /// (arguments and escapes may be left in).
    pub fn route(&self, host: &str, listen_port: Option<u16>, uri_path: &str) -> Option<Route<'_>> {
        Some(self.route_in(self.server_for(host, listen_port)?, uri_path))
    }

    /// Like [`View::route`], in a server that is known already.
    pub fn route_in(&self, server: usize, uri_path: &str) -> Route<'_> {
        let top = self.servers.get(server).map_or(&[][..], |server| &server.locations);
        let found = location::find(&self.locations, top, &location::normal_path(uri_path));
        let pass = found.location.filter(|_| !found.redirects).and_then(|id| self.pass_of(id));
        Route {
            server,
            location: found.location,
            pass,
            fallback: found
                .location
                .and_then(|id| self.fallback(server, id))
                .or_else(|| self.index_of(top, uri_path).filter(|_| pass.is_none())),
            redirects: found.redirects,
            unsure: found.unsure,
        }
    }

    fn pass_of(&self, id: LocationId) -> Option<&Pass<'_>> {
        self.passes.get(self.location(id)?.pass?)
    }

    /// The location that the last argument of `try_files` leads to.
    fn fallback(&self, server: usize, id: LocationId) -> Option<(LocationId, Option<&Pass<'_>>)> {
        let last = self.location(id)?.try_files.last()?;
        let top = &self.servers.get(server)?.locations;
        let target = if last.starts_with('@') {
            top.iter().copied().find(|id| self.locations[id.0].path == *last)?
        } else if last.starts_with('/') && !last.split('?').next().unwrap_or_default().contains('$') {
            location::find(&self.locations, top, &location::normal_path(last)).location?
        } else {
            return None;
        };
        Some((target, self.pass_of(target)))
    }

    /// The pass that a directory's `index` leads to. Which of them exist is not known here, nor needed: the others are
    /// files that nginx serves itself.
    fn index_of(&self, top: &[LocationId], uri_path: &str) -> Option<(LocationId, Option<&Pass<'_>>)> {
        let files = self.index_files.iter().filter(|_| uri_path.ends_with('/'));
        let target = |file: &String| {
            let path = location::normal_path(&format!("{uri_path}{file}"));
            location::find(&self.locations, top, &path).location
        };
        files.filter_map(target).find_map(|id| Some((id, Some(self.pass_of(id)?))))
    }
}
