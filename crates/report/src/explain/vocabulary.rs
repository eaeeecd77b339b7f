//! The closed vocabulary of root causes, by chapter. An id is listed only once the engine knows its cause.

use diagnose::Cause;

/// Chapters in the order in which an operator looks: the process, the address, what is said, what runs out, the way, nginx.
const CHAPTERS: &[(&str, &[&str])] = &[
    (
        "The backend process",
        &[
            "backend-not-running",
            "backend-start-failed",
            "backend-port-conflict",
            "backend-crashed",
            "backend-oom-killed",
            "backend-restarting",
            "backend-hung",
            "backend-slow",
            "backend-worker-timeout",
            "backend-worker-recycled",
            "backend-access-denied",
            "backend-aborts-request",
        ],
    ),
    (
        "The address nginx dials",
        &[
            "wrong-upstream-port",
            "upstream-address-mismatch",
            "upstream-ipv6-mismatch",
            "unix-socket-wrong-path",
            "unix-socket-permission",
            "protocol-mismatch",
            "tls-plaintext-mismatch",
            "proxy-protocol-mismatch",
            "proxy-loop",
            "dns-unresolvable",
            "dns-resolver-unreachable",
            "dns-stale",
        ],
    ),
    (
        "TLS to the backend",
        &[
            "tls-verify-failed",
            "tls-name-mismatch",
            "tls-sni-required",
            "tls-version-mismatch",
            "tls-client-cert-required",
        ],
    ),
    (
        "The exchange",
        &[
            "response-header-too-big",
            "request-header-too-big",
            "upgrade-header-mismatch",
            "proxy-temp-file-limit",
            "invalid-response",
            "request-body-too-large",
            "request-body-rejected",
            "keepalive-race",
        ],
    ),
    (
        "Capacity",
        &[
            "php-fpm-pool-exhausted",
            "worker-pool-exhausted",
            "listen-queue-overflow",
            "backend-fd-exhausted",
            "nginx-fd-exhausted",
            "nginx-worker-connections-exhausted",
            "ephemeral-ports-exhausted",
            "upstream-max-conns-reached",
            "host-memory-exhausted",
            "backend-cpu-throttled",
            "host-cpu-saturated",
            "disk-full",
            "temp-path-permission",
            "conntrack-full",
        ],
    ),
    (
        "The network between",
        &[
            "firewall-reject",
            "firewall-drop",
            "no-route-to-upstream",
            "upstream-blackholed",
            "selinux-denied",
            "apparmor-denied",
        ],
    ),
    (
        "nginx itself",
        &[
            "nginx-not-running",
            "config-not-reloaded",
            "config-reload-failed",
            "nginx-worker-crash",
            "upstream-servers-all-down",
            "passive-health-ejection",
            "upstream-returned-error",
            "nginx-returned-error",
            "rate-limited",
            "auth-subrequest-failed",
            "client-aborted",
        ],
    ),
];

/// The statuses that people ask about, and what each says and does not say.
const STATUSES: &[(u16, &str, &str)] = &[
    (
        499,
        "Client Closed Request",
        "nginx's own number, seen in its access log only: the client went away before the response. Nothing is wrong \
         upstream for this reason alone; many of them often mean a slow backend.",
    ),
    (
        500,
        "Internal Server Error",
        "Either the backend's own answer ($upstream_status says so), or nginx could not do something itself: no free file \
         descriptor, worker_connections used up, an auth_request subrequest that failed.",
    ),
    (
        502,
        "Bad Gateway",
        "nginx got no usable answer: the connection was refused or impossible, the backend hung up, or what it said was no \
         valid response. The status alone holds no reason; the error log's line for the same request does.",
    ),
    (
        503,
        "Service Unavailable",
        "Either the backend's own answer ($upstream_status says so), or nginx refused the request by a rule: limit_req, \
         limit_conn, or a `return 503`.",
    ),
    (
        504,
        "Gateway Timeout",
        "A timeout of nginx's ran out: while connecting, while sending the request, or while waiting for the response. \
         The phase after \"while\" in the error log says which one.",
    ),
];

/// The causes that the engine knows, by chapter.
pub(super) fn chapters() -> Vec<(&'static str, Vec<&'static Cause>)> {
    let known = |ids: &[&str]| ids.iter().filter_map(|id| super::cause(id)).collect::<Vec<_>>();
    CHAPTERS
        .iter()
        .map(|(title, ids)| (*title, known(ids)))
        .filter(|(_, causes)| !causes.is_empty())
        .collect()
}

/// Name and meaning of a status.
pub(super) fn status(number: i32) -> Option<(u16, &'static str, &'static str)> {
    STATUSES.iter().copied().find(|it| i32::from(it.0) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_of_the_engine_has_its_chapter() {
        for cause in diagnose::causes() {
            let chapters = CHAPTERS.iter().filter(|(_, ids)| ids.contains(&cause.id)).count();
            assert_eq!(chapters, 1, "{}", cause.id);
        }
    }
}
