//! One walk over the tree that collects what [`View`] answers from.
//!
//! Linear in the size of the configuration: each block's directives are looked at a fixed number of times, and
//! settings are worked out only where a pass needs them.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::address;
use crate::answers::{self, Answer, LimitStatuses};
use crate::config::Config;
use crate::location::{Location, LocationId};
use crate::logs::{LogContext, LogFormat, LogTarget};
use crate::names::NameIndex;
use crate::pass::{Destination, Module, Pass, Scheme, Target};
use crate::server::{Listen, Server};
use crate::settings::{LazySettings, Prefixes, Settings};
use crate::tree::Directive;
use crate::upstream::Upstream;
use crate::variables::{self, Sets};
use crate::version::Version;
use crate::view::{BuiltIn, Groups, View};

impl<'c> View<'c> {
    /// The effective view for a version of nginx, with the paths of the official packages.
    pub fn new(config: &'c Config, version: Version) -> View<'c> {
        View::with_built_in(config, version, BuiltIn::default())
    }

    /// The effective view for an nginx with these paths compiled in.
    pub fn with_built_in(config: &'c Config, version: Version, built_in: BuiltIn) -> View<'c> {
        let view = View {
            config,
            version,
            built_in,
            servers: Vec::new(),
            locations: Vec::new(),
            upstreams: Vec::new(),
            passes: Vec::new(),
            answers: Vec::new(),
            error_logs: Vec::new(),
            access_logs: Vec::new(),
            http_formats: HashMap::from([("combined".to_owned(), LogFormat::combined())]),
            stream_formats: HashMap::new(),
            index_files: Vec::new(),
            names: NameIndex::default(),
            groups: Groups::default(),
        };
        let main = config.files.first().and_then(|file| file.path.parent());
        let conf_prefix = main.unwrap_or(Path::new("")).to_path_buf();
        let prefixes = Arc::new(Prefixes { prefix: view.built_in.prefix.clone(), conf_prefix });
        Builder {
            view,
            blocks: Vec::new(),
            found: Vec::new(),
            settings: HashMap::new(),
            prefixes,
            takes_over: Vec::new(),
        }
        .build()
    }
}

/// How many characters of a condition are kept.
const LONGEST_CONDITION: usize = 200;

/// A block whose directives are inherited by those inside it.
struct Block<'c> {
    directives: &'c [Directive],
    around: Option<usize>,
    sets: Sets<'c>,
}

/// A pass directive in force at a block; settings and target are filled in when all groups are known.
struct FoundPass<'c> {
    directive: &'c Directive,
    module: Module,
    block: usize,
    server: usize,
    location: Option<LocationId>,
    condition: Option<&'c Directive>,
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct Place<'c> {
    protocol: LogContext,
    block: usize,
    server: Option<usize>,
    location: Option<LocationId>,
    /// The innermost `if` or `limit_except`.
    condition: Option<&'c Directive>,
    limits: LimitStatuses,
}

struct Builder<'c> {
    view: View<'c>,
    blocks: Vec<Block<'c>>,
    found: Vec<FoundPass<'c>>,
    settings: HashMap<(usize, Module), LazySettings<'c>>,
    prefixes: Arc<Prefixes>,
    /// The `if` and `limit_except` blocks of locations that have no pass of their own.
    takes_over: Vec<Place<'c>>,
}

impl<'c> Builder<'c> {
    fn build(mut self) -> View<'c> {
        let root = &self.view.config.root;
        let main = self.enter(root, None);
        for directive in root {
            let protocol = match directive.name.as_str() {
                "http" => LogContext::Http,
                "stream" => LogContext::Stream,
                "mail" => LogContext::Mail,
                "error_log" => {
                    let target = LogTarget::error(directive, &self.view.built_in.prefix, LogContext::Main);
                    self.view.error_logs.extend(target);
                    continue;
                }
                _ => continue,
            };
            let block = self.enter(directive.children(), Some(main));
            let place = Place {
                protocol,
                block,
                server: None,
                location: None,
                condition: None,
                limits: LimitStatuses::default(),
            };
            self.walk(place);
        }
        self.take_over();
        self.add_built_in_logs();
        self.view.groups = Groups::new(&self.view.upstreams);
        self.view.names = NameIndex::new(&self.view.servers);
        for found in std::mem::take(&mut self.found) {
            let pass = self.pass(&found);
            self.view.passes.push(pass);
        }
        self.view
    }

    fn enter(&mut self, directives: &'c [Directive], around: Option<usize>) -> usize {
        self.blocks.push(Block { directives, around, sets: Sets::default() });
        self.blocks.len() - 1
    }

    fn walk(&mut self, mut place: Place<'c>) {
        let directives = self.blocks[place.block].directives;
        // Statuses count for the whole block, wherever in it they stand.
        for directive in directives {
            let status = directive.arg(0).and_then(answers::status);
            match (directive.name.as_str(), status) {
                ("limit_req_status", Some(status)) => place.limits.req = status,
                ("limit_conn_status", Some(status)) => place.limits.conn = status,
                _ => {}
            }
        }
        for directive in directives {
            self.directive(directive, place);
        }
    }

    fn directive(&mut self, directive: &'c Directive, place: Place<'c>) {
        let is_http = place.protocol == LogContext::Http;
        match directive.name.as_str() {
            "server" if place.server.is_none() => self.server(directive, place),
            "upstream" if place.server.is_none() => {
                let stream = place.protocol == LogContext::Stream;
                self.view.upstreams.push(Upstream::parse(directive, stream, self.view.version));
            }
            "location" if is_http && place.server.is_some() => self.location(directive, place),
            "if" | "limit_except" if directive.block.is_some() => self.conditional(directive, place),
            "set" => self.blocks[place.block].sets.add(directive, false),
            "error_log" | "access_log" => self.log(directive, place),
            "log_format" => {
                if let Some((name, format)) = LogFormat::parse(directive) {
                    let formats =
                        if is_http { &mut self.view.http_formats } else { &mut self.view.stream_formats };
                    formats.insert(name.to_owned(), format);
                }
            }
            "listen" | "server_name" | "internal" => self.attribute(directive, place),
            "try_files" => {
                self.attribute(directive, place);
                self.answers(directive, place);
            }
            "index" => {
                let files = directive.args.iter().map(|arg| arg.text.to_string());
                self.view.index_files.extend(files.filter(|it| !it.contains('$')));
            }
            name => {
                if let Some(module) = Module::of_pass(name, place.protocol == LogContext::Stream) {
                    self.found_pass(directive, module, place);
                } else if is_http {
                    self.answers(directive, place);
                }
            }
        }
    }

    fn server(&mut self, directive: &'c Directive, place: Place<'c>) {
        let number = self.view.servers.len();
        self.view.servers.push(Server {
            listens: Vec::new(),
            names: Vec::new(),
            stream: place.protocol == LogContext::Stream,
            mail: place.protocol == LogContext::Mail,
            locations: Vec::new(),
            span: directive.span,
        });
        let block = self.enter(directive.children(), Some(place.block));
        self.walk(Place { block, server: Some(number), ..place });
        let server = &mut self.view.servers[number];
        if server.listens.is_empty() && place.protocol == LogContext::Http {
            server.listens.push(Listen::implicit(directive.span));
        }
        // Until nginx 1.25.1 there was `ssl on;` for all sockets of a server.
        if directive.children().iter().any(|it| it.name == "ssl" && it.arg(0) == Some("on")) {
            server.listens.iter_mut().for_each(|listen| listen.ssl = true);
        }
    }

    fn location(&mut self, directive: &'c Directive, place: Place<'c>) {
        let Some(server) = place.server else { return };
        let id = LocationId(self.view.locations.len());
        self.view.locations.push(Location::new(directive, server, place.location));
        match place.location {
            Some(around) => self.view.locations[around.0].children.push(id),
            None => self.view.servers[server].locations.push(id),
        }
        let block = self.enter(directive.children(), Some(place.block));
        self.walk(Place { block, location: Some(id), condition: None, ..place });
    }

    /// An `if` or `limit_except`: a block of its own that takes over the pass of the location around it.
    fn conditional(&mut self, directive: &'c Directive, place: Place<'c>) {
        for inner in directive.children().iter().filter(|inner| inner.name == "set") {
            self.blocks[place.block].sets.add(inner, true);
        }
        let block = self.enter(directive.children(), Some(place.block));
        self.walk(Place { block, condition: Some(directive), ..place });
        let own_pass = |inner: &Directive| Module::of_pass(&inner.name, false).is_some();
        if place.location.is_none() || directive.children().iter().any(own_pass) {
            return;
        }
        self.takes_over.push(Place { block, condition: Some(directive), ..place });
    }

    /// The passes that conditional blocks take over from their location, where they change its settings.
    fn take_over(&mut self) {
        for place in std::mem::take(&mut self.takes_over) {
            let pass = place.location.and_then(|id| self.found.get(self.view.locations[id.0].pass?));
            if let Some(FoundPass { directive, module, .. }) = pass
                && Settings::touched_by(*module, self.blocks[place.block].directives)
            {
                self.found_pass(directive, *module, place);
            }
        }
    }

    fn attribute(&mut self, directive: &'c Directive, place: Place<'c>) {
        let Some(server) = place.server else { return };
        match (directive.name.as_str(), place.location) {
            ("listen", None) => {
                let default_port = (place.protocol == LogContext::Http).then_some(80);
                self.view.servers[server].listens.extend(Listen::parse(directive, default_port));
            }
            ("server_name", None) => {
                let names = directive.args.iter().map(|arg| arg.text.to_string());
                self.view.servers[server].names.extend(names);
            }
            ("try_files", Some(id)) => {
                self.view.locations[id.0].try_files =
                    directive.args.iter().map(|arg| arg.text.to_string()).collect();
            }
            ("internal", Some(id)) => self.view.locations[id.0].internal = true,
            _ => {}
        }
    }

    fn log(&mut self, directive: &'c Directive, place: Place<'c>) {
        let context = match (place.server, place.location) {
            (_, Some(_)) => LogContext::Location,
            (Some(_), None) => LogContext::Server,
            (None, None) => place.protocol,
        };
        let prefix = &self.view.built_in.prefix;
        let (target, logs) = match directive.name.as_str() {
            "error_log" => (LogTarget::error(directive, prefix, context), &mut self.view.error_logs),
            _ => (LogTarget::access(directive, prefix, context), &mut self.view.access_logs),
        };
        if let Some(mut target) = target {
            target.server = place.server;
            target.location = place.location;
            if let Some(condition) = place.condition {
                target.condition.get_or_insert_with(|| condition_text(condition));
            }
            logs.push(target);
        }
    }

    fn answers(&mut self, directive: &'c Directive, place: Place<'c>) {
        for (status, kind) in answers::of_directive(directive, place.limits) {
            self.view.answers.push(Answer {
                status,
                kind,
                server: place.server,
                location: place.location,
                condition: place.condition.map(condition_text),
                span: directive.span,
            });
        }
    }

    fn found_pass(&mut self, directive: &'c Directive, module: Module, place: Place<'c>) {
        let Some(server) = place.server else { return };
        if directive.args.is_empty() {
            return;
        }
        let number = self.found.len();
        if let Some(id) = place.location {
            let location = &mut self.view.locations[id.0];
            match place.condition {
                None => location.pass = Some(number),
                Some(_) => location.conditional_passes.push(number),
            }
        }
        self.found.push(FoundPass {
            directive,
            module,
            block: place.block,
            server,
            location: place.location,
            condition: place.condition,
        });
    }

    /// Source: nginx ngx_log_open_default and ngx_http_log_merge_loc_conf.
    fn add_built_in_logs(&mut self) {
        let BuiltIn { prefix, error_log, access_log, .. } = &self.view.built_in;
        if !self.view.error_logs.iter().any(|log| log.context == LogContext::Main) {
            let mut target = LogTarget::built_in(error_log, prefix, LogContext::Main);
            target.level = "error".to_owned();
            self.view.error_logs.push(target);
        }
        let logs = &self.view.access_logs;
        let for_all = logs.iter().any(|log| log.context == LogContext::Http);
        let of_servers: HashSet<Option<usize>> =
            logs.iter().filter(|log| log.context == LogContext::Server).map(|log| log.server).collect();
        let lacks = |(number, server): (usize, &Server)| {
            !server.stream && !server.mail && !of_servers.contains(&Some(number))
        };
        if !for_all && self.view.servers.iter().enumerate().any(lacks) {
            let mut target = LogTarget::built_in(access_log, prefix, LogContext::Http);
            target.format = "combined".to_owned();
            self.view.access_logs.push(target);
        }
    }

    fn settings(&mut self, block: usize, module: Module) -> LazySettings<'c> {
        if let Some(settings) = self.settings.get(&(block, module)) {
            return settings.clone();
        }
        let around = match self.blocks[block].around {
            Some(around) => self.settings(around, module),
            None => LazySettings::defaults(module, self.view.version, &self.prefixes),
        };
        let settings = around.inside(self.blocks[block].directives);
        self.settings.insert((block, module), settings.clone());
        settings
    }

    fn pass(&mut self, found: &FoundPass<'c>) -> Pass<'c> {
        let settings = self.settings(found.block, found.module);
        let stream = found.module == Module::Stream;
        let written = found.directive.arg(0).unwrap_or_default();
        let mut destination = Destination::parse(written, found.module);
        let mut constant = None;
        let mut constant_group = None;
        let expanded;
        let target = if written.contains('$') {
            expanded = self.expand(written, found.block);
            let known = Destination::parse(&expanded.text, found.module);
            let is_whole = match &expanded.stopped_by {
                None => true,
                Some(variable) => known.uri.is_some() || variables::begins_uri(variable),
            };
            if is_whole && !known.address.is_empty() {
                constant_group = self.view.groups.find(known.address, stream);
                constant = Some(address::with_port(known.address, known.scheme.default_port()));
                destination.scheme = known.scheme;
            }
            Target::Variable(written.to_owned())
        } else {
            match self.view.groups.find(destination.address, stream) {
                Some(group) => Target::Group(group),
                None => Target::Address(address::with_port(
                    destination.address,
                    destination.scheme.default_port(),
                )),
            }
        };
        let scheme = match destination.scheme {
            Scheme::Stream if settings.ssl.value => Scheme::StreamTls,
            scheme => scheme,
        };
        Pass {
            scheme,
            target,
            constant,
            constant_group,
            uri: destination.uri.map(str::to_owned),
            written: written.to_owned(),
            server: found.server,
            location: found.location,
            condition: found.condition.map(condition_text),
            span: found.directive.span,
            settings,
        }
    }

    fn expand(&self, text: &str, block: usize) -> variables::Expanded {
        let mut sets = Vec::new();
        let mut around = Some(block);
        while let Some(block) = around {
            sets.push(&self.blocks[block].sets);
            around = self.blocks[block].around;
        }
        variables::expand(text, &sets)
    }
}

/// `if ($x = y)` or `limit_except GET POST`, as written but not without end: it is held once for each directive
/// inside.
fn condition_text(directive: &Directive) -> String {
    let text = format!("{} {}", directive.name, directive.args_joined());
    match text.char_indices().nth(LONGEST_CONDITION) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
