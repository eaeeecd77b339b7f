//! nginx's variables, as far as a request of our own decides them.

use std::net::SocketAddr;

use super::url::Url;

/// What a request to one peer is about.
pub(super) struct Variables<'a> {
    pub(super) url: &'a Url,
    /// Path as it stands after internal redirects.
    pub(super) path: &'a str,
    /// The arguments.
    pub(super) arguments: &'a str,
    /// Name and port as the pass is written.
    pub(super) pass_host: &'a str,
    /// First name of the server.
    pub(super) server_name: &'a str,
    /// The listener that the request comes in on.
    pub(super) listener: SocketAddr,
    /// The directory that `root` names.
    pub(super) root: Option<&'a str>,
    /// What `fastcgi_index` adds to a path that ends in a slash.
    pub(super) index: &'a str,
    /// nginx's version.
    pub(super) version: &'a str,
}

pub(super) const USER_AGENT: &str = concat!("why502/", env!("CARGO_PKG_VERSION"));

impl Variables<'_> {
    /// The text with its variables replaced; none when one of them is unknown here.
    pub(super) fn expand(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let (name, behind) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}')?,
                None => {
                    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
                    after.split_at(after.find(|it| !is_name(it)).unwrap_or(after.len()))
                }
            };
            out.push_str(&self.value(name)?);
            rest = behind;
        }
        out.push_str(rest);
        // A value with a line break in it would write headers.
        (!out.contains(['\r', '\n', '\0'])).then_some(out)
    }

    fn value(&self, name: &str) -> Option<String> {
        let script = || {
            if self.path.ends_with('/') {
                format!("{}{}", self.path, self.index)
            } else {
                self.path.to_owned()
            }
        };
        Some(match name {
            "host" => self.url.host.clone(),
            "http_host" => self.url.host_header(),
            "proxy_host" => self.pass_host.to_owned(),
            "remote_addr" | "proxy_add_x_forwarded_for" | "realip_remote_addr" => "127.0.0.1".into(),
            "remote_port" => "0".into(),
            "scheme" | "request_scheme" => self.url.scheme().into(),
            "https" => {
                if self.url.tls {
                    "on".into()
                } else {
                    String::new()
                }
            }
            "request_method" => "GET".into(),
            "request_uri" => self.url.target.clone(),
            "uri" | "document_uri" => self.path.to_owned(),
            "args" | "query_string" => self.arguments.to_owned(),
            "is_args" => {
                if self.arguments.is_empty() {
                    String::new()
                } else {
                    "?".into()
                }
            }
            "server_name" => self.server_name.to_owned(),
            "server_port" => self.listener.port().to_string(),
            "server_addr" => self.listener.ip().to_string(),
            "server_protocol" => "HTTP/1.1".into(),
            "nginx_version" => self.version.to_owned(),
            "document_root" | "realpath_root" => self.root?.to_owned(),
            "request_filename" => format!("{}{}", self.root?, self.path),
            "fastcgi_script_name" => script(),
            "http_user_agent" => USER_AGENT.into(),
            "request_id" => "0".repeat(32),
            "content_type" | "content_length" | "fastcgi_path_info" | "remote_user" => String::new(),
            _ if name.starts_with("http_")
                || name.starts_with("cookie_")
                || name.starts_with("ssl_client_") =>
            {
                String::new()
            }
            _ => return None,
        })
    }
}
