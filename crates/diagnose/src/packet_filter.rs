//! What the packet filter's verdict means for a failed connection; shared by the causes of rejected and dropped packets.

use snapshot::{ConnectOutcome, FilterAction, FilterVerdict, Peer, Seen};

use crate::case::{Blind, Case};
use crate::report::Fix;
use crate::service::Backend;
use crate::verdict::{Factual, Found, Verdict, confirmed, likely};

/// The verdict on the packets to the group's peer, or the blind spot.
pub fn verdict<'a>(case: &Case<'_, 'a>) -> Result<&'a Seen<FilterVerdict>, Blind> {
    match case.sight() {
        Some(sight) => Blind::of("the packet filter's verdict", &sight.filter),
        None => Err(Blind {
            what: "the packet filter's verdict".into(),
            why: "not looked at".into(),
            remedy: "run with --probe full".into(),
        }),
    }
}

/// The finding that a rule stops the packets, with the wording of its effect; or what excludes it.
pub fn stopped_by(case: &Case, action: FilterAction, does: &str) -> Result<Verdict, Blind> {
    let seen = verdict(case)?;
    let FilterVerdict { rule, chain, not_understood, counter_moved, .. } = &seen.value;
    let peer = case.peer_name();
    if seen.value.action == FilterAction::Accept
        && let Some(rule) = not_understood.iter().find(|it| may(it, action))
    {
        return Ok(by_circumstances(case, seen, rule, does));
    }
    if seen.value.action != action {
        return Ok(Verdict::ruled_out(match (seen.value.action, not_understood.len()) {
            (FilterAction::Accept, 0) => {
                format!("the packet filter of this host lets packets to {peer} through")
            }
            (FilterAction::Accept, unsure) => {
                format!("no rule that could be understood stops packets to {peer} ({unsure} could not)")
            }
            (FilterAction::Drop, _) => format!("the packets are dropped, not rejected ({chain})"),
            (FilterAction::Reject, _) => format!("the packets are rejected, not dropped ({chain})"),
        }));
    }
    let connect = case.sight().and_then(|it| it.connect.value());
    let connected = matches!(connect, Some(ConnectOutcome::Connected { .. }));
    // A rule that asks for the sending user stops nginx's worker and not our own probe.
    let asks_for_user = ["skuid", "skgid", "uid-owner", "gid-owner"].iter().any(|it| rule.contains(it));
    let summary = format!(
        "a packet-filter rule of this host {does} nginx's connections to {peer}: {rule} (in {chain})"
    );
    let stops = seen.fact("packet-filter", format!("{chain}: {rule} {does} this very packet"));
    let contradicted = connected && !asks_for_user;
    let mut found = if not_understood.is_empty() && !contradicted {
        confirmed(summary).decisive(stops)
    } else {
        likely(summary).supporting(stops)
    };
    if *counter_moved == Some(true) {
        found = found.decisive(
            seen.fact("packet-filter", "that rule's counter moved with our own connection attempt"),
        );
    }
    if contradicted {
        found = found.contradicting(seen.fact("probe", format!("our own connection to {peer} succeeded")));
    }
    for rule in not_understood.iter().take(2) {
        found = found.contradicting(
            seen.fact("packet-filter", format!("on the way there, this could not be evaluated: {rule}")),
        );
    }
    if let Some(listening) = case.backend.as_ref().ok().and_then(|it| it.listening.as_ref()) {
        found = found.supporting(listening.fact.clone());
    }
    Ok(finish(case, found, chain))
}

/// Whether a rule that could not be evaluated would do that if it fitted, and is not known to have never fitted.
fn may(rule: &str, action: FilterAction) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let unused = words.windows(3).any(|it| it == ["counter", "packets", "0"]);
    let ends = match action {
        FilterAction::Drop => {
            words.last() == Some(&"drop") || words.windows(2).any(|it| it == ["-j", "DROP"])
        }
        FilterAction::Reject => {
            words.contains(&"reject") || words.windows(2).any(|it| it == ["-j", "REJECT"])
        }
        FilterAction::Accept => false,
    };
    ends && !unused
}

/// A rule that stops some packets and lets others pass: by rate, by number, by what came before.
fn by_circumstances(case: &Case, seen: &Seen<FilterVerdict>, rule: &str, does: &str) -> Verdict {
    let peer = case.peer_name();
    let summary =
        format!("a packet-filter rule of this host {does} some of nginx's connections to {peer}: {rule}");
    let fact = seen
        .fact("packet-filter", format!("it fits some packets, not all (a rate, a number, a list): {rule}"));
    let listening = case.backend.as_ref().ok().and_then(|it| it.listening.as_ref());
    likely(summary)
        .confidence(0.7)
        .supporting(fact)
        .supporting_each(listening.map(|it| it.fact.clone()))
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Exempt the backend's address from that rule, or allow it more")
                .run("nft list ruleset")
                .run("iptables-save -c")
                .because("the rule's counter shows whether it stops packets"),
        )
        .verify(case.verify_command())
        .into()
}

fn finish(case: &Case, found: Found, chain: &str) -> Verdict {
    let local = case.backend.as_ref().is_ok_and(|it: &Backend| it.local);
    let mut found = found.supporting(case.failures_fact());
    if let Some(Peer::Tcp(peer)) = case.peer()
        && let Some(command) = allow(chain, *peer, local)
    {
        found = found.fix(
            Fix::repair(format!("Let connections to {peer} pass, before the rule that stops them"))
                .run(command)
                .because("a rule at the chain's beginning is asked first")
                .risk("opens that one port to this host itself"),
        );
    }
    found
        .fix(Fix::repair(format!(
            "Then change the rules where they are kept ({}), or the next load brings the rule back",
            kept(chain)
        )))
        .verify(case.verify_command())
        .prevent("Test a new rule set with a request through nginx before it is made permanent")
        .into()
}

/// The command that lets the packets pass. `chain` is as the verdict words it: `inet filter output → deny` or
/// `iptables INPUT → HARDEN`.
fn allow(chain: &str, peer: std::net::SocketAddr, local: bool) -> Option<String> {
    let first = chain.split(" → ").next()?;
    let words: Vec<&str> = first.split(' ').collect();
    let base = words.last()?;
    // On the way back from another host, the packets come in with the peer's port as their source.
    let lower = base.to_ascii_lowercase();
    let back = !local && (lower.contains("input") || lower.contains("prerouting"));
    let (ip, port) = (peer.ip(), peer.port());
    if words[0].contains("tables") {
        let (tool, options) = words.split_first()?;
        let (_, table) = options.split_last()?;
        let table = if table.is_empty() { String::new() } else { format!(" {}", table.join(" ")) };
        let packet = if back {
            format!("-p tcp -s {ip} --sport {port} -m conntrack --ctstate ESTABLISHED")
        } else {
            format!("-p tcp -d {ip} --dport {port}")
        };
        return Some(format!("{tool}{table} -I {base} {packet} -j ACCEPT"));
    }
    let [_, _, _] = words[..] else { return None };
    let family = if ip.is_ipv4() { "ip" } else { "ip6" };
    let packet = if back {
        format!("{family} saddr {ip} tcp sport {port} ct state established")
    } else {
        format!("{family} daddr {ip} tcp dport {port}")
    };
    Some(format!("nft insert rule {first} {packet} accept"))
}

/// Where rules of that kind usually come from.
fn kept(chain: &str) -> &'static str {
    if chain.contains("firewalld") {
        "firewalld's zones"
    } else if chain.contains("ufw") {
        "ufw's rules"
    } else if chain.starts_with("ip") && chain.contains("tables ") {
        "/etc/iptables, or the script that sets them"
    } else {
        "/etc/nftables.conf, or the script that sets them"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn allowed(chain: &str, peer: &str, local: bool, expected: &str) {
        assert_eq!(allow(chain, peer.parse().unwrap(), local).as_deref(), Some(expected));
    }

    #[test]
    fn the_way_there_is_opened_in_the_base_chain() {
        allowed(
            "inet filter output → deny",
            "10.0.0.7:8080",
            false,
            "nft insert rule inet filter output ip daddr 10.0.0.7 tcp dport 8080 accept",
        );
        allowed(
            "iptables INPUT → HARDEN",
            "127.0.0.1:3000",
            true,
            "iptables -I INPUT -p tcp -d 127.0.0.1 --dport 3000 -j ACCEPT",
        );
        allowed(
            "ip6tables -t mangle OUTPUT",
            "[::1]:3000",
            true,
            "ip6tables -t mangle -I OUTPUT -p tcp -d ::1 --dport 3000 -j ACCEPT",
        );
    }

    #[test]
    fn the_way_back_is_opened_for_answers_only() {
        allowed(
            "iptables INPUT",
            "10.0.0.7:8080",
            false,
            "iptables -I INPUT -p tcp -s 10.0.0.7 --sport 8080 -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        );
    }
}
