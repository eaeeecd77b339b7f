//! Which server a request's host belongs to.

use std::collections::HashMap;

use crate::location::Pattern;
use crate::server::{Listen, Server};

/// The names of all http servers, for a look-up that does not walk the servers.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    exact: HashMap<String, Vec<Entry>>,
    /// `*.example.com`, by `.example.com`.
    by_suffix: HashMap<String, Vec<Entry>>,
    /// `mail.*`, by `mail.`.
    by_prefix: HashMap<String, Vec<Entry>>,
    regexes: Vec<(usize, String, Pattern)>,
}

/// A server with one of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    server: usize,
    /// The name is `.example.com`, which stands both for itself and for what is below it.
    dotted: bool,
}

impl NameIndex {
    pub fn new(servers: &[Server]) -> NameIndex {
        let mut index = NameIndex::default();
        for (number, server) in
            servers.iter().enumerate().filter(|(_, server)| !server.stream && !server.mail)
        {
            if server.names.is_empty() {
                index.add(number, "");
            }
            for name in &server.names {
                index.add(number, name);
            }
        }
        index
    }

    /// Source: nginx ngx_http_core_server_name and ngx_http_add_wildcard_key.
    fn add(&mut self, server: usize, name: &str) {
        if let Some(expression) = name.strip_prefix('~') {
            self.regexes.push((server, expression.to_owned(), Pattern::default()));
            return;
        }
        let name = name.to_ascii_lowercase();
        let mut entry = Entry { server, dotted: false };
        let (map, key) = if let Some(suffix) = name.strip_prefix('*') {
            (&mut self.by_suffix, suffix)
        } else if let Some(prefix) = name.strip_suffix('*') {
            (&mut self.by_prefix, prefix)
        } else if let Some(bare) = name.strip_prefix('.') {
            entry.dotted = true;
            self.exact.entry(bare.to_owned()).or_default().push(entry);
            (&mut self.by_suffix, name.as_str())
        } else {
            (&mut self.exact, name.as_str())
        };
        map.entry(key.to_owned()).or_default().push(entry);
    }

    /// The server for a host, among those that listen on the port; without a match the default server.
    pub fn find(&self, servers: &[Server], host: &str, port: Option<u16>) -> Option<usize> {
        let host = normal_host(host);
        let fits = |listen: &Listen| port.is_none_or(|port| listen.has_port(port));
        let listens = |server: &Server| server.listens.iter().any(fits);
        let first = |entries: Option<&Vec<Entry>>| {
            entries?.iter().copied().find(|entry| listens(&servers[entry.server]))
        };
        if let Some(entry) = first(self.exact.get(&host)) {
            return Some(entry.server);
        }
        // The longest wildcard first; a name of more labels than any real one is not searched to its end.
        let dots: Vec<usize> = host.match_indices('.').map(|(at, _)| at).take(128).collect();
        let above = |dot: &usize| {
            let suffix = &host[*dot..];
            let entry = first(self.by_suffix.get(suffix))?;
            // Where the bare name belongs to somebody before, nginx ignores `.example.com` altogether.
            (!entry.dotted || first(self.exact.get(&suffix[1..])) == Some(entry)).then_some(entry.server)
        };
        if let Some(server) = dots.iter().find_map(above) {
            return Some(server);
        }
        let below = |dot: &usize| first(self.by_prefix.get(&host[..=*dot])).map(|entry| entry.server);
        if let Some(server) = dots.iter().rev().find_map(below) {
            return Some(server);
        }
        for (server, expression, pattern) in &self.regexes {
            if listens(&servers[*server]) && pattern.matches(expression, true, &host) == Some(true) {
                return Some(*server);
            }
        }
        let is_http = |server: &Server| !server.stream && !server.mail;
        let eligible = |server: &Server| is_http(server) && listens(server);
        let is_default = |server: &Server| server.listens.iter().any(|it| it.default_server && fits(it));
        servers
            .iter()
            .position(|server| eligible(server) && is_default(server))
            .or_else(|| servers.iter().position(eligible))
    }
}

/// Lower case, without the port and a last dot.
fn normal_host(host: &str) -> String {
    let (host, _) = crate::address::split_port(host.trim());
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}
