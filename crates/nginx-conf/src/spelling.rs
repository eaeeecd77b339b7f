//! Names of directives that nginx will most likely not know because they are misspelt.
//!
//! An unknown name alone says nothing: it may belong to a module from elsewhere. One that is a letter or two away
//! from a name of nginx's own, and is none itself, stopped more than one restart.

use std::collections::{HashMap, HashSet};

use crate::config::Config;
use crate::tree::{Directive, Span};

/// All names of the modules in nginx's own sources, releases 1.18 to 1.31, one to a line.
/// Source: the `ngx_command_t` tables.
const NAMES: &str = include_str!("directives.txt");

/// Blocks in which names are directives; in others (`map`, `types`, those of unknown modules) they are data.
const BLOCKS: [&str; 9] =
    ["http", "stream", "mail", "events", "server", "upstream", "location", "if", "limit_except"];

/// How many unknown names are compared with all known ones; more are not names.
const MOST_UNKNOWN: usize = 500;

/// A name with what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelling {
    pub written: String,
    pub meant: &'static str,
    /// The directive.
    pub span: Span,
}

impl Config {
    /// Directives whose names look like misspelt ones of nginx's own. nginx refuses a configuration with an unknown
    /// directive.
    pub fn misspelled(&self) -> Vec<Misspelling> {
        let mut search = Search { known: NAMES.lines().collect(), meant: HashMap::new(), found: Vec::new() };
        search.walk(&self.root);
        search.found
    }
}

struct Search<'c> {
    known: HashSet<&'static str>,
    /// What each unknown name was found to mean.
    meant: HashMap<&'c str, Option<&'static str>>,
    found: Vec<Misspelling>,
}

impl<'c> Search<'c> {
    fn walk(&mut self, directives: &'c [Directive]) {
        for directive in directives {
            let name = directive.name.as_str();
            let may_look = self.meant.len() < MOST_UNKNOWN || self.meant.contains_key(name);
            if !self.known.contains(name)
                && may_look
                && let Some(meant) = *self.meant.entry(name).or_insert_with(|| nearest(name))
            {
                self.found.push(Misspelling { written: name.to_owned(), meant, span: directive.span });
            }
            if BLOCKS.contains(&name) {
                self.walk(directive.children());
            }
        }
    }
}

/// The known name that differs by the least, if that is little enough for the length.
fn nearest(name: &str) -> Option<&'static str> {
    let most = match name.len() {
        5..=8 => 1,
        9..=50 => 2,
        _ => return None,
    };
    let close = NAMES.lines().filter(|known| known.len().abs_diff(name.len()) <= most);
    let (edits, meant) = close.map(|known| (edits(name, known), known)).min()?;
    (edits <= most).then_some(meant)
}

/// How many letters must be changed, added, left out or swapped with their neighbour.
fn edits(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for row in 1..=from.len() {
        let mut this = vec![row; to.len() + 1];
        for column in 1..=to.len() {
            let differs = usize::from(from[row - 1] != to[column - 1]);
            let mut best = (last[column - 1] + differs).min(last[column] + 1).min(this[column - 1] + 1);
            let swapped =
                row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1];
            if swapped {
                best = best.min(before_last[column - 2] + 1);
            }
            this[column] = best;
        }
        before_last = std::mem::replace(&mut last, this);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn means(name: &str, expected: Option<&str>) {
        let known = NAMES.lines().any(|known| known == name);
        assert_eq!(if known { None } else { nearest(name) }, expected, "{name}");
    }

    #[test]
    fn a_letter_or_two_away_is_a_misspelling() {
        means("proxy_read_timeot", Some("proxy_read_timeout"));
        means("porxy_pass", Some("proxy_pass"));
        means("server_nam", Some("server_name"));
        means("lisen", Some("listen"));
        means("client_max_bodysize", Some("client_max_body_size"));
    }

    #[test]
    fn names_of_other_modules_are_left_alone() {
        for name in [
            "proxy_pass",
            "more_set_headers",
            "brotli_types",
            "lua_package_path",
            "geoip2",
            "js_import",
            "state",
            "queue",
            "match",
            "vhost_traffic_status_zone",
            "auth_jwt",
            "auth_ldap",
            "check",
            "sticky",
            "x",
            "content_by_lua_block",
            "set_by_lua",
            "echo",
            "upload_pass",
            "pagespeed",
            "naxsi",
            "modsecurity",
            "passenger_enabled",
            "status_zone",
            "health_check",
            "least_time",
            "ntlm",
            "fair",
            "nchan_pub",
            "rtmp",
            "proxy_cache_purge",
            "zstd_types",
            "opentracing",
            "otel_trace",
            "acme_issuer",
        ] {
            means(name, None);
        }
    }

    #[test]
    fn a_table_of_data_is_not_looked_into() {
        let text = b"http { map $a $b { lisen x; } server { lisen 80; } }".to_vec();
        let config = crate::load(&crate::MemoryFiles([("/n".into(), text)].into()), "/n".as_ref());
        let found = config.misspelled();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].written.as_str(), found[0].meant), ("lisen", "listen"));
    }
}
