//! Root causes, one file each. The list is sorted by id; `cargo xtask new-cause` keeps it so.

use crate::cause::Cause;

mod apparmor_denied;
mod auth_subrequest_failed;
mod backend_aborts_request;
mod backend_access_denied;
mod backend_cpu_throttled;
mod backend_crashed;
mod backend_fd_exhausted;
mod backend_hung;
mod backend_not_running;
mod backend_oom_killed;
mod backend_port_conflict;
mod backend_restarting;
mod backend_slow;
mod backend_start_failed;
mod backend_worker_recycled;
mod backend_worker_timeout;
mod client_aborted;
mod config_not_reloaded;
mod config_reload_failed;
mod conntrack_full;
mod disk_full;
mod dns_resolver_unreachable;
mod dns_stale;
mod dns_unresolvable;
mod ephemeral_ports_exhausted;
mod firewall_drop;
mod firewall_reject;
mod host_cpu_saturated;
mod host_memory_exhausted;
mod invalid_response;
mod keepalive_race;
mod listen_queue_overflow;
mod nginx_fd_exhausted;
mod nginx_not_running;
mod nginx_returned_error;
mod nginx_worker_connections_exhausted;
mod nginx_worker_crash;
mod no_route_to_upstream;
mod passive_health_ejection;
mod php_fpm_pool_exhausted;
mod protocol_mismatch;
mod proxy_loop;
mod proxy_protocol_mismatch;
mod proxy_temp_file_limit;
mod rate_limited;
mod request_body_rejected;
mod request_body_too_large;
mod request_header_too_big;
mod response_header_too_big;
mod selinux_denied;
mod temp_path_permission;
mod tls_client_cert_required;
mod tls_name_mismatch;
mod tls_plaintext_mismatch;
mod tls_sni_required;
mod tls_verify_failed;
mod tls_version_mismatch;
mod unix_socket_permission;
mod unix_socket_wrong_path;
mod upgrade_header_mismatch;
mod upstream_address_mismatch;
mod upstream_blackholed;
mod upstream_ipv6_mismatch;
mod upstream_max_conns_reached;
mod upstream_returned_error;
mod upstream_servers_all_down;
mod worker_pool_exhausted;
mod wrong_upstream_port;

/// Every cause, sorted by id.
pub static CAUSES: &[&Cause] = &[
    &apparmor_denied::CAUSE,
    &auth_subrequest_failed::CAUSE,
    &backend_aborts_request::CAUSE,
    &backend_access_denied::CAUSE,
    &backend_cpu_throttled::CAUSE,
    &backend_crashed::CAUSE,
    &backend_fd_exhausted::CAUSE,
    &backend_hung::CAUSE,
    &backend_not_running::CAUSE,
    &backend_oom_killed::CAUSE,
    &backend_port_conflict::CAUSE,
    &backend_restarting::CAUSE,
    &backend_slow::CAUSE,
    &backend_start_failed::CAUSE,
    &backend_worker_recycled::CAUSE,
    &backend_worker_timeout::CAUSE,
    &client_aborted::CAUSE,
    &config_not_reloaded::CAUSE,
    &config_reload_failed::CAUSE,
    &conntrack_full::CAUSE,
    &disk_full::CAUSE,
    &dns_resolver_unreachable::CAUSE,
    &dns_stale::CAUSE,
    &dns_unresolvable::CAUSE,
    &ephemeral_ports_exhausted::CAUSE,
    &firewall_drop::CAUSE,
    &firewall_reject::CAUSE,
    &host_cpu_saturated::CAUSE,
    &host_memory_exhausted::CAUSE,
    &invalid_response::CAUSE,
    &keepalive_race::CAUSE,
    &listen_queue_overflow::CAUSE,
    &nginx_fd_exhausted::CAUSE,
    &nginx_not_running::CAUSE,
    &nginx_returned_error::CAUSE,
    &nginx_worker_connections_exhausted::CAUSE,
    &nginx_worker_crash::CAUSE,
    &no_route_to_upstream::CAUSE,
    &passive_health_ejection::CAUSE,
    &php_fpm_pool_exhausted::CAUSE,
    &protocol_mismatch::CAUSE,
    &proxy_loop::CAUSE,
    &proxy_protocol_mismatch::CAUSE,
    &proxy_temp_file_limit::CAUSE,
    &rate_limited::CAUSE,
    &request_body_rejected::CAUSE,
    &request_body_too_large::CAUSE,
    &request_header_too_big::CAUSE,
    &response_header_too_big::CAUSE,
    &selinux_denied::CAUSE,
    &temp_path_permission::CAUSE,
    &tls_client_cert_required::CAUSE,
    &tls_name_mismatch::CAUSE,
    &tls_plaintext_mismatch::CAUSE,
    &tls_sni_required::CAUSE,
    &tls_verify_failed::CAUSE,
    &tls_version_mismatch::CAUSE,
    &unix_socket_permission::CAUSE,
    &unix_socket_wrong_path::CAUSE,
    &upgrade_header_mismatch::CAUSE,
    &upstream_address_mismatch::CAUSE,
    &upstream_blackholed::CAUSE,
    &upstream_ipv6_mismatch::CAUSE,
    &upstream_max_conns_reached::CAUSE,
    &upstream_returned_error::CAUSE,
    &upstream_servers_all_down::CAUSE,
    &worker_pool_exhausted::CAUSE,
    &wrong_upstream_port::CAUSE,
];

#[cfg(test)]
mod tests;
