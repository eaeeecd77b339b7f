//! The little that reading a broken file must know about particular directives.
//!
//! nginx itself learns of a missing `;` only when a directive has too many arguments. To go on after one, it must
//! be known which words are names of directives and how many arguments their neighbours can take.

/// How many arguments at most: for directives where a missing `;` is likely and costly.
/// Source: the command tables of nginx's modules.
const MOST_ARGS: &[(&str, usize)] = &[
    ("access_log", usize::MAX),
    ("add_header", 3),
    ("alias", 1),
    ("allow", 1),
    ("auth_basic", 1),
    ("auth_request", 1),
    ("autoindex", 1),
    ("charset", 1),
    ("client_body_buffer_size", 1),
    ("client_body_timeout", 1),
    ("client_max_body_size", 1),
    ("daemon", 1),
    ("default_type", 1),
    ("deny", 1),
    ("error_log", 2),
    ("error_page", usize::MAX),
    ("events", 0),
    ("expires", 2),
    ("fastcgi_buffer_size", 1),
    ("fastcgi_buffers", 2),
    ("fastcgi_connect_timeout", 1),
    ("fastcgi_index", 1),
    ("fastcgi_intercept_errors", 1),
    ("fastcgi_keep_conn", 1),
    ("fastcgi_next_upstream", usize::MAX),
    ("fastcgi_param", 3),
    ("fastcgi_pass", 1),
    ("fastcgi_read_timeout", 1),
    ("fastcgi_send_timeout", 1),
    ("fastcgi_split_path_info", 1),
    ("geo", 2),
    ("grpc_pass", 1),
    ("grpc_read_timeout", 1),
    ("grpc_set_header", 2),
    ("gzip", 1),
    ("gzip_types", usize::MAX),
    ("http", 0),
    ("http2", 1),
    ("if", usize::MAX),
    ("include", 1),
    ("index", usize::MAX),
    ("internal", 0),
    ("ip_hash", 0),
    ("keepalive", 2),
    ("keepalive_requests", 1),
    ("keepalive_timeout", 2),
    ("least_conn", 0),
    ("limit_conn", 2),
    ("limit_req", 4),
    ("limit_req_zone", 4),
    ("listen", usize::MAX),
    ("load_module", 1),
    ("location", 2),
    ("log_format", usize::MAX),
    ("map", 2),
    ("pid", 1),
    ("proxy_bind", 2),
    ("proxy_buffer_size", 1),
    ("proxy_buffering", 1),
    ("proxy_buffers", 2),
    ("proxy_busy_buffers_size", 1),
    ("proxy_cache", 1),
    ("proxy_connect_timeout", 1),
    ("proxy_hide_header", 1),
    ("proxy_http_version", 1),
    ("proxy_ignore_headers", usize::MAX),
    ("proxy_intercept_errors", 1),
    ("proxy_max_temp_file_size", 1),
    ("proxy_next_upstream", usize::MAX),
    ("proxy_next_upstream_timeout", 1),
    ("proxy_next_upstream_tries", 1),
    ("proxy_pass", 1),
    ("proxy_pass_request_body", 1),
    ("proxy_read_timeout", 1),
    ("proxy_redirect", 2),
    ("proxy_request_buffering", 1),
    ("proxy_send_timeout", 1),
    ("proxy_set_header", 2),
    ("proxy_ssl_certificate", 1),
    ("proxy_ssl_certificate_key", 1),
    ("proxy_ssl_ciphers", 1),
    ("proxy_ssl_name", 1),
    ("proxy_ssl_protocols", usize::MAX),
    ("proxy_ssl_server_name", 1),
    ("proxy_ssl_trusted_certificate", 1),
    ("proxy_ssl_verify", 1),
    ("proxy_ssl_verify_depth", 1),
    ("proxy_temp_path", 4),
    ("proxy_timeout", 1),
    ("real_ip_header", 1),
    ("resolver", usize::MAX),
    ("resolver_timeout", 1),
    ("return", 2),
    ("rewrite", 3),
    ("root", 1),
    ("scgi_param", 3),
    ("scgi_pass", 1),
    ("send_timeout", 1),
    ("sendfile", 1),
    ("server", usize::MAX),
    ("server_name", usize::MAX),
    ("server_tokens", 1),
    ("set", 2),
    ("set_real_ip_from", 1),
    ("ssl_certificate", 1),
    ("ssl_certificate_key", 1),
    ("ssl_ciphers", 1),
    ("ssl_dhparam", 1),
    ("ssl_prefer_server_ciphers", 1),
    ("ssl_protocols", usize::MAX),
    ("ssl_session_cache", 2),
    ("ssl_session_timeout", 1),
    ("stream", 0),
    ("sub_filter", 2),
    ("tcp_nodelay", 1),
    ("tcp_nopush", 1),
    ("try_files", usize::MAX),
    ("types_hash_max_size", 1),
    ("upstream", 1),
    ("user", 2),
    ("uwsgi_param", 3),
    ("uwsgi_pass", 1),
    ("uwsgi_read_timeout", 1),
    ("worker_connections", 1),
    ("worker_processes", 1),
    ("worker_rlimit_nofile", 1),
    ("zone", 2),
];

/// Names without an underscore that are hardly ever a value, so that they end even a directive that takes any
/// number of arguments.
const NEVER_A_VALUE: [&str; 5] = ["listen", "location", "upstream", "return", "rewrite"];

fn most_args(name: &str) -> Option<usize> {
    MOST_ARGS.binary_search_by_key(&name, |(name, _)| *name).ok().map(|at| MOST_ARGS[at].1)
}

/// Whether `word`, the first on its line, starts a directive of its own although `name` was not ended: because
/// `name` can take no more, or because the word is hardly ever a value.
pub(crate) fn begins_new_directive(name: &str, args_so_far: usize, word: &str) -> bool {
    let Some(most) = most_args(name) else { return false };
    if most_args(word).is_none() || name == "if" || name == "log_format" {
        return false;
    }
    if most != usize::MAX {
        return args_so_far >= most.max(1);
    }
    args_so_far > 0 && (word.contains('_') || NEVER_A_VALUE.contains(&word))
}

/// Whether nginx never takes the directive inside such a block.
pub(crate) fn cannot_be_inside(name: &str, block: &str) -> bool {
    match name {
        "http" | "events" | "stream" | "mail" => true,
        "server" | "upstream" | "map" | "geo" | "split_clients" | "log_format" | "limit_req_zone" => {
            matches!(block, "location" | "if" | "limit_except" | "events")
                || (block == "server" || block == "upstream" && name != "server")
        }
        "location" => {
            matches!(block, "if" | "limit_except" | "upstream" | "events" | "map" | "geo" | "types")
        }
        "listen" | "server_name" => matches!(block, "location" | "if" | "limit_except" | "upstream"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(MOST_ARGS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn a_full_directive_is_ended_by_the_name_of_another() {
        assert!(begins_new_directive("proxy_pass", 1, "proxy_set_header"));
        assert!(begins_new_directive("server_name", 1, "location"));
        assert!(!begins_new_directive("proxy_set_header", 1, "server"));
        assert!(!begins_new_directive("index", 1, "index"));
        assert!(!begins_new_directive("my_module", 9, "proxy_pass"));
    }
}
