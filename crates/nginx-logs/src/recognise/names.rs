//! The names under which formats log nginx's variables.

/// What a key says that its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// That variable, if the values have its shape.
    Variable(&'static str),
    /// The time; its shape says which variable.
    Time,
    /// One of several variables; the first whose shape the values have.
    OneOf(&'static [&'static str]),
    /// An application's own record: no access log has that.
    Application,
}

use Said::{Application, OneOf, Time, Variable};

/// Keys in lower case, with `_` for anything else than letters and digits.
const NAMES: &[(&str, Said)] = &[
    ("time", Time),
    ("timestamp", Time),
    ("ts", Time),
    ("t", Time),
    ("date", Time),
    ("datetime", Time),
    ("date_time", Time),
    ("time_local", Time),
    ("timelocal", Time),
    ("local_time", Time),
    ("time_iso8601", Time),
    ("time_iso", Time),
    ("iso8601", Time),
    ("msec", Time),
    ("time_msec", Time),
    ("time_unix", Time),
    ("request_timestamp", Time),
    ("event_time", Time),
    ("nginx_timestamp", Time),
    ("status", Variable("status")),
    ("status_code", Variable("status")),
    ("statuscode", Variable("status")),
    ("http_status", Variable("status")),
    ("http_status_code", Variable("status")),
    ("response_status", Variable("status")),
    ("response_code", Variable("status")),
    ("resp_status", Variable("status")),
    ("sc_status", Variable("status")),
    ("code", Variable("status")),
    ("response", Variable("status")),
    ("request", OneOf(&["request", "request_uri"])),
    ("req", OneOf(&["request", "request_uri"])),
    ("request_line", Variable("request")),
    ("http_request", Variable("request")),
    ("request_uri", Variable("request_uri")),
    ("requesturi", Variable("request_uri")),
    ("uri", Variable("request_uri")),
    ("url", Variable("request_uri")),
    ("url_path", Variable("request_uri")),
    ("url_original", Variable("request_uri")),
    ("path", Variable("request_uri")),
    ("request_path", Variable("request_uri")),
    ("http_path", Variable("request_uri")),
    ("cs_uri_stem", Variable("request_uri")),
    ("method", Variable("request_method")),
    ("verb", Variable("request_method")),
    ("reqmethod", Variable("request_method")),
    ("request_method", Variable("request_method")),
    ("http_method", Variable("request_method")),
    ("cs_method", Variable("request_method")),
    ("protocol", Variable("server_protocol")),
    ("proto", Variable("server_protocol")),
    ("server_protocol", Variable("server_protocol")),
    ("http_version", Variable("server_protocol")),
    ("request_proto", Variable("server_protocol")),
    ("args", Variable("args")),
    ("query", Variable("args")),
    ("query_string", Variable("args")),
    ("scheme", Variable("scheme")),
    ("remote_addr", Variable("remote_addr")),
    ("remoteaddr", Variable("remote_addr")),
    ("remote_address", Variable("remote_addr")),
    ("remote_ip", Variable("remote_addr")),
    ("remote_host", Variable("remote_addr")),
    ("remote", Variable("remote_addr")),
    ("client", Variable("remote_addr")),
    ("client_ip", Variable("remote_addr")),
    ("clientip", Variable("remote_addr")),
    ("client_addr", Variable("remote_addr")),
    ("client_address", Variable("remote_addr")),
    ("source_ip", Variable("remote_addr")),
    ("ip", Variable("remote_addr")),
    ("c_ip", Variable("remote_addr")),
    ("remote_user", Variable("remote_user")),
    ("user", Variable("remote_user")),
    ("body_bytes_sent", Variable("body_bytes_sent")),
    ("bytes_sent", Variable("bytes_sent")),
    ("bytes", Variable("body_bytes_sent")),
    ("body_bytes", Variable("body_bytes_sent")),
    ("size", Variable("body_bytes_sent")),
    ("length", Variable("body_bytes_sent")),
    ("bbs", Variable("body_bytes_sent")),
    ("response_size", Variable("body_bytes_sent")),
    ("response_bytes", Variable("body_bytes_sent")),
    ("response_body_bytes", Variable("body_bytes_sent")),
    ("body_size", Variable("body_bytes_sent")),
    ("request_length", Variable("request_length")),
    ("request_time", Variable("request_time")),
    ("requesttime", Variable("request_time")),
    ("request_duration", Variable("request_time")),
    ("reqtime", Variable("request_time")),
    ("req_time", Variable("request_time")),
    ("rt", Variable("request_time")),
    ("duration", Variable("request_time")),
    ("responsetime", Variable("request_time")),
    ("response_time", Variable("request_time")),
    ("time_taken", Variable("request_time")),
    ("elapsed", Variable("request_time")),
    ("latency", Variable("request_time")),
    ("up", Variable("upstream_addr")),
    ("upstream_addr", Variable("upstream_addr")),
    ("upstreamaddr", Variable("upstream_addr")),
    ("upstream_address", Variable("upstream_addr")),
    ("upstream_host", Variable("upstream_addr")),
    ("upstreamhost", Variable("upstream_addr")),
    ("upstream_ip", Variable("upstream_addr")),
    ("upstream_server", Variable("upstream_addr")),
    ("upstream", Variable("upstream_addr")),
    ("backend", Variable("upstream_addr")),
    ("proxy_addr", Variable("upstream_addr")),
    ("up_addr", Variable("upstream_addr")),
    ("uaddr", Variable("upstream_addr")),
    ("uadd", Variable("upstream_addr")),
    ("to", Variable("upstream_addr")),
    ("ua", OneOf(&["upstream_addr", "http_user_agent"])),
    ("upstream_status", Variable("upstream_status")),
    ("upstreamstatus", Variable("upstream_status")),
    ("upstream_status_code", Variable("upstream_status")),
    ("backend_status", Variable("upstream_status")),
    ("up_status", Variable("upstream_status")),
    ("ustatus", Variable("upstream_status")),
    ("us", Variable("upstream_status")),
    ("ust", OneOf(&["upstream_status", "upstream_response_time"])),
    ("upstream_response_time", Variable("upstream_response_time")),
    ("upstreamresponsetime", Variable("upstream_response_time")),
    ("upstream_time", Variable("upstream_response_time")),
    ("upstreamtime", Variable("upstream_response_time")),
    ("upstream_duration", Variable("upstream_response_time")),
    ("upstream_latency", Variable("upstream_response_time")),
    ("upstream_resp_time", Variable("upstream_response_time")),
    ("upstream_rt", Variable("upstream_response_time")),
    ("up_resp_time", Variable("upstream_response_time")),
    ("backend_time", Variable("upstream_response_time")),
    ("backend_response_time", Variable("upstream_response_time")),
    ("urt", Variable("upstream_response_time")),
    // LTSV.
    ("apptime", Variable("upstream_response_time")),
    ("ut", Variable("upstream_response_time")),
    ("upstream_connect_time", Variable("upstream_connect_time")),
    ("upstreamconnecttime", Variable("upstream_connect_time")),
    ("upstream_connect", Variable("upstream_connect_time")),
    ("up_conn_time", Variable("upstream_connect_time")),
    ("connect_time", Variable("upstream_connect_time")),
    ("uct", Variable("upstream_connect_time")),
    ("upstream_header_time", Variable("upstream_header_time")),
    ("upstreamheadertime", Variable("upstream_header_time")),
    ("upstream_header", Variable("upstream_header_time")),
    ("up_head_time", Variable("upstream_header_time")),
    ("header_time", Variable("upstream_header_time")),
    ("uht", Variable("upstream_header_time")),
    ("upstream_response_length", Variable("upstream_response_length")),
    ("ul", Variable("upstream_response_length")),
    ("url_length", Variable("upstream_response_length")),
    ("upstream_cache_status", Variable("upstream_cache_status")),
    ("cache_status", Variable("upstream_cache_status")),
    ("cache", Variable("upstream_cache_status")),
    ("cs", Variable("upstream_cache_status")),
    ("ucs", Variable("upstream_cache_status")),
    ("host", Variable("host")),
    ("http_host", Variable("http_host")),
    ("vhost", Variable("host")),
    ("domain", Variable("host")),
    ("virtual_host", Variable("host")),
    ("server_name", Variable("server_name")),
    ("servername", Variable("server_name")),
    ("sn", Variable("server_name")),
    ("server", Variable("server_name")),
    ("server_port", Variable("server_port")),
    ("server_addr", Variable("server_addr")),
    ("http_referer", Variable("http_referer")),
    ("http_referrer", Variable("http_referer")),
    ("referer", Variable("http_referer")),
    ("referrer", Variable("http_referer")),
    ("http_user_agent", Variable("http_user_agent")),
    ("user_agent", Variable("http_user_agent")),
    ("user_agent_original", Variable("http_user_agent")),
    ("useragent", Variable("http_user_agent")),
    ("agent", Variable("http_user_agent")),
    ("http_x_forwarded_for", Variable("http_x_forwarded_for")),
    ("x_forwarded_for", Variable("http_x_forwarded_for")),
    ("forwardedfor", Variable("http_x_forwarded_for")),
    ("xff", Variable("http_x_forwarded_for")),
    ("forwarded_for", Variable("http_x_forwarded_for")),
    ("request_id", Variable("request_id")),
    ("req_id", Variable("request_id")),
    ("requestid", Variable("request_id")),
    ("connection", Variable("connection")),
    ("connection_requests", Variable("connection_requests")),
    ("ssl_protocol", Variable("ssl_protocol")),
    ("ssl_cipher", Variable("ssl_cipher")),
    ("request_completion", Variable("request_completion")),
    ("pid", Variable("pid")),
    ("pipe", Variable("pipe")),
    ("gzip_ratio", Variable("gzip_ratio")),
    ("level", Application),
    ("severity", Application),
    ("loglevel", Application),
    ("log_level", Application),
    ("levelname", Application),
    ("lvl", Application),
    ("logger", Application),
    ("msg", Application),
    ("message", Application),
];

/// Whether a format without the variable tells less about failures.
pub(super) fn matters(variable: &str) -> bool {
    variable.starts_with("upstream_") || matches!(variable, "request_time" | "remote_addr" | "host")
}

/// What a key says, by its whole text.
pub(super) fn said(name: &str) -> Option<Said> {
    NAMES.iter().find(|it| it.0 == name).map(|it| it.1)
}

/// What the end of a key says: `nginx_upstream_addr`, `http.response.status_code`.
pub(super) fn said_by_end(name: &str) -> Option<Said> {
    let mut rest = name.split_once('_')?.1;
    loop {
        if let Some(said) = said(rest).filter(|it| *it != Application) {
            return Some(said);
        }
        rest = rest.split_once('_')?.1;
    }
}

/// `upstreamAddr`, `@timestamp`, `http.status` as variables are written.
pub(super) fn plain_name(key: &[u8]) -> String {
    let mut name = String::new();
    for byte in key {
        match byte {
            b'A'..=b'Z' => {
                let after_small = name.ends_with(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
                if after_small {
                    name.push('_');
                }
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(*byte)),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    name
}
