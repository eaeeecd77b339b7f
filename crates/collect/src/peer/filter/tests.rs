//! Verdicts of rules that the real tools printed: nft 1.0.6 and iptables 1.8.9. `fixtures/nft.json` has every kind of
//! statement once and is cut down here to the rule in question.

use serde_json::{Value as Json, json};

use super::*;

const NFT: &str = include_str!("fixtures/nft.json");
const NFT_TEXT: &str = include_str!("fixtures/nft.txt");
const IPTABLES: &str = include_str!("fixtures/iptables-save.txt");

/// nginx's www-data, by loopback or from 10.0.0.5 by eth0.
fn packet(to: &str) -> Packet {
    let to: SocketAddr = to.parse().unwrap();
    let local = to.ip().is_loopback();
    let source = match to.ip() {
        it if local => it,
        IpAddr::V4(_) => "10.0.0.5".parse().unwrap(),
        IpAddr::V6(_) => "2001:db8::5".parse().unwrap(),
    };
    Packet::syn(to, source, if local { "lo" } else { "eth0" }, local, Some((33, 33)), 32768..=60999)
}

/// As `drop by rule 20 of inet fw out`; `unsure` when rules were not understood.
fn words(decision: &Decision) -> String {
    let verdict = &decision.verdict;
    let mut words = match verdict.action {
        FilterAction::Accept => "accept".to_owned(),
        FilterAction::Drop => format!("drop by {} in {}", verdict.rule, verdict.chain),
        FilterAction::Reject => format!("reject by {} in {}", verdict.rule, verdict.chain),
    };
    if !verdict.not_understood.is_empty() {
        words.push_str(", unsure");
    }
    words
}

/// The recorded ruleset with only these rules left.
fn nft_with(handles: &[u64]) -> Rules {
    let mut json: Json = serde_json::from_str(NFT).unwrap();
    json["nftables"].as_array_mut().unwrap().retain(|item| {
        let handle = item["rule"]["handle"].as_u64();
        handle.is_none_or(|it| handles.contains(&it))
    });
    rules(&json)
}

fn rules(json: &Json) -> Rules {
    let nft = nft::Ruleset::parse(json.to_string().as_bytes()).ok().unwrap();
    Rules { nft: Some(nft), iptables: Vec::new(), source: String::new() }
}

/// What the recorded rule does with the packet of www-data to that address.
#[track_caller]
fn rule_does(handle: u64, to: &str, expected: &str) {
    let decision = nft_with(&[handle]).judge(&packet(to));
    let expected = expected.replace(" it ", &format!(" by rule {handle} of inet fw out in inet fw out "));
    assert_eq!(words(&decision), expected.trim_end());
}

#[track_caller]
fn iptables_does(text: &str, to: &str, expected: &str) {
    let iptables = vec![iptables::Rules::parse(text, to.starts_with('['))];
    let decision = Rules { nft: None, iptables, source: String::new() }.judge(&packet(to));
    assert_eq!(words(&decision), expected);
}

/// One filter table with these lines.
fn filter_table(lines: &str) -> String {
    format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{lines}\nCOMMIT\n")
}

#[test]
fn a_rule_for_another_port_is_no_evidence() {
    rule_does(26, "10.77.0.2:8080", "reject it ");
    rule_does(26, "10.77.0.2:8081", "accept");
    rule_does(26, "10.77.0.3:8080", "accept");
    rule_does(20, "10.77.0.2:1", "drop it ");
    rule_does(57, "10.77.0.2:53", "accept");
}

#[test]
fn named_sets_and_concatenations_are_looked_up() {
    rule_does(27, "10.77.0.2:5432", "drop it ");
    rule_does(27, "192.168.1.9:8080", "drop it ");
    rule_does(27, "192.168.1.10:8080", "accept");
    rule_does(28, "10.77.0.2:8080", "drop it ");
    rule_does(28, "10.77.0.2:8081", "accept");
    rule_does(59, "10.0.2.3:80", "drop it ");
    rule_does(59, "10.0.3.3:80", "accept");
}

#[test]
fn verdict_maps_lead_to_their_verdicts() {
    rule_does(29, "10.77.0.2:9000", "drop it ");
    rule_does(29, "10.77.0.2:9002", "accept");
    let jump = nft_with(&[29, 13]).judge(&packet("10.77.0.2:9001"));
    assert_eq!(words(&jump), "reject by rule 13 of inet fw sub in inet fw out → sub");
    rule_does(31, "10.77.0.2:24", "accept");
}

#[test]
fn users_ranges_and_comparisons_are_understood() {
    rule_does(34, "10.77.0.2:8080", "drop it ");
    rule_does(34, "10.77.0.2:80", "accept");
    rule_does(37, "10.77.0.2:80", "drop it ");
    rule_does(39, "10.77.0.2:150", "drop it ");
    rule_does(40, "10.77.0.2:1000", "drop it ");
    rule_does(43, "10.77.0.2:80", "accept");
    rule_does(48, "10.77.0.2:80", "drop it ");
    rule_does(50, "10.77.0.2:80", "drop it ");
}

#[test]
fn the_other_family_is_not_meant() {
    rule_does(45, "[2001:db8::7]:80", "accept");
    rule_does(46, "[2001:db8::7]:80", "drop it ");
    rule_does(46, "10.77.0.2:80", "accept");
}

#[test]
fn what_cannot_be_evaluated_decides_nothing_and_is_named() {
    rule_does(60, "10.77.0.2:80", "accept, unsure");
    rule_does(62, "10.77.0.2:80", "accept, unsure");
    rule_does(63, "10.77.0.2:80", "accept, unsure");
    rule_does(42, "10.77.0.2:7", "accept, unsure");
    // The port rules it out before the limit matters.
    rule_does(42, "10.77.0.2:80", "accept");
}

#[test]
fn a_redirected_packet_is_followed_no_further() {
    let decision = nft_with(&[68, 65]).judge(&packet("10.77.0.2:81"));
    assert_eq!(words(&decision), "accept, unsure");
    assert_eq!(decision.verdict.not_understood, ["it goes elsewhere: rule 68 of inet fw nat"]);
    assert_eq!(
        words(&nft_with(&[68, 65]).judge(&packet("10.77.0.2:82"))),
        "drop by rule 65 of inet fw out in inet fw out"
    );
}

#[test]
fn accepting_in_one_chain_does_not_save_from_the_next() {
    let chain = |name: &str, priority: i64, policy: &str| {
        json!({"chain": {"family": "inet", "table": "t", "name": name, "handle": 1, "type": "filter",
            "hook": "output", "prio": priority, "policy": policy}})
    };
    let accept = json!({"rule": {"family": "inet", "table": "t", "chain": "first", "handle": 2,
        "expr": [{"accept": null}]}});
    let both = rules(&json!({"nftables": [chain("second", 10, "drop"), chain("first", 0, "drop"), accept]}));
    assert_eq!(words(&both.judge(&packet("10.77.0.2:80"))), "drop by policy drop in inet t second");
}

#[test]
fn the_answer_of_a_local_peer_meets_the_rules_as_well() {
    // Rule 18 lets established connections pass, the policy of input drops the rest.
    let input = |expression: Json| {
        rules(&json!({"nftables": [
            {"chain": {"family": "inet", "table": "t", "name": "in", "handle": 1, "type": "filter", "hook": "input",
                "prio": 0, "policy": "drop"}},
            {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 2, "expr": [
                expression, {"accept": null}]}},
        ]}))
    };
    let port = |name: &str, right: Json| json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": name}}, "right": right}});
    let state =
        json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}});
    let at = "127.0.0.1:8080";
    assert_eq!(
        words(&input(port("dport", json!(8080))).judge(&packet(at))),
        "drop by policy drop in inet t in"
    );
    assert_eq!(words(&input(state.clone()).judge(&packet(at))), "drop by policy drop in inet t in");
    assert_eq!(words(&input(state).judge(&packet("10.77.0.2:8080"))), "accept");
    // The kernel chooses the answer's port: all that it can choose from have to be let in.
    let ephemeral = port("dport", json!({"range": [1024, 65535]}));
    assert_eq!(words(&input(ephemeral).judge(&packet("10.77.0.2:8080"))), "accept");
}

#[test]
fn rules_are_quoted_as_the_tool_prints_them() {
    let lines = nft::lines(NFT_TEXT);
    assert_eq!(
        lines[&nft::reference("inet", "fw", "out", 26)],
        "ip daddr 10.77.0.2 tcp dport { 5432, 8080 } counter packets 0 bytes 0 reject with tcp reset"
    );
    assert_eq!(lines[&nft::reference("inet", "fw", "sub2", 14)], "return");
}

#[test]
fn a_counter_that_moved_is_seen_in_the_second_reading() {
    let with = |packets: u64| {
        let text = NFT
            .replace("{\"packets\": 0, \"bytes\": 0}", &format!("{{\"packets\": {packets}, \"bytes\": 0}}"));
        let mut json: Json = serde_json::from_str(&text).unwrap();
        json["nftables"]
            .as_array_mut()
            .unwrap()
            .retain(|it| it["rule"]["handle"].as_u64().is_none_or(|it| it == 26));
        rules(&json)
    };
    let mut decision = with(7).judge(&packet("10.77.0.2:8080"));
    with(9).compare(&mut decision);
    assert_eq!(decision.verdict.counter_moved, Some(true));
    with(7).compare(&mut decision);
    assert_eq!(decision.verdict.counter_moved, Some(false));
}

#[test]
fn iptables_chains_of_the_users_own_are_followed() {
    let hardened = filter_table(
        ":HARDEN - [0:0]\n[1:60] -A INPUT -p tcp -m multiport --dports 3000,5432,6379:6400 -j HARDEN\n\
         [0:0] -A HARDEN -s 10.0.0.0/8 -j ACCEPT\n[1:60] -A HARDEN -j DROP",
    );
    iptables_does(&hardened, "127.0.0.1:3000", "drop by -A HARDEN -j DROP in iptables INPUT → HARDEN");
    iptables_does(&hardened, "127.0.0.1:6399", "drop by -A HARDEN -j DROP in iptables INPUT → HARDEN");
    iptables_does(&hardened, "127.0.0.1:3001", "accept");
    // INPUT is on the way of the answer only, and that goes to another port.
    iptables_does(&hardened, "10.77.0.2:3000", "accept");
}

#[test]
fn iptables_options_are_understood_with_their_negations() {
    let rejected = "reject by -A OUTPUT ! -d 127.0.0.0/8 -p tcp -m tcp --dport 8080 -j REJECT --reject-with \
        icmp-admin-prohibited in iptables OUTPUT";
    iptables_does(IPTABLES, "10.77.0.2:8080", rejected);
    let by_user = "reject by -A OUTPUT -p tcp -m tcp ! --dport 1:1023 -m owner --uid-owner 33 -j REJECT --reject-with \
        tcp-reset in iptables OUTPUT";
    iptables_does(IPTABLES, "10.77.0.2:8081", by_user);
    let syn =
        "drop by -A OUTPUT -o eth+ -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP in iptables OUTPUT";
    iptables_does(IPTABLES, "10.77.0.2:443", syn);
    // Port 80 is redirected before the filter sees it.
    iptables_does(IPTABLES, "10.77.0.2:80", "accept, unsure");
}

#[test]
fn the_user_who_answers_is_not_known() {
    let by_user = filter_table("-A OUTPUT -m owner --uid-owner 33 -p tcp -m tcp --sport 8080 -j DROP");
    iptables_does(&by_user, "127.0.0.1:8080", "accept, unsure");
    iptables_does(&by_user, "127.0.0.1:8081", "accept");
}

#[test]
fn iptables_policies_and_unknown_matches_are_told() {
    let policy = filter_table("").replace(":OUTPUT ACCEPT", ":OUTPUT DROP");
    iptables_does(&policy, "10.77.0.2:80", "drop by -P OUTPUT DROP in iptables OUTPUT");
    let set = filter_table("-A OUTPUT -m set --match-set blocked dst -j DROP");
    iptables_does(&set, "10.77.0.2:80", "accept, unsure");
    let log = filter_table("-A OUTPUT -m limit --limit 3/sec -j LOG --log-prefix \"x: \"");
    iptables_does(&log, "10.77.0.2:80", "accept");
}

#[test]
fn a_dropped_answer_of_another_host_is_told() {
    let closed = filter_table("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT")
        .replace(":INPUT ACCEPT", ":INPUT DROP");
    iptables_does(&closed, "10.77.0.2:80", "drop by -P INPUT DROP in iptables INPUT");
    let open = closed.replace(
        "-A INPUT -i lo",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo",
    );
    iptables_does(&open, "10.77.0.2:80", "accept");
    iptables_does(&closed, "127.0.0.1:80", "accept");
}

#[test]
fn every_prefix_of_the_tools_output_is_survived() {
    for end in (0..NFT.len()).step_by(7).filter(|it| NFT.is_char_boundary(*it)) {
        let _ = nft::Ruleset::parse(&NFT.as_bytes()[..end]);
    }
    for end in (0..IPTABLES.len()).filter(|it| IPTABLES.is_char_boundary(*it)) {
        iptables::Rules::parse(&IPTABLES[..end], false);
    }
    for end in (0..NFT_TEXT.len()).filter(|it| NFT_TEXT.is_char_boundary(*it)).step_by(11) {
        nft::lines(&NFT_TEXT[..end]);
    }
}

#[test]
fn a_packet_passes_thousands_of_rules_for_others() {
    let mut items =
        vec![json!({"chain": {"family": "inet", "table": "t", "name": "out", "handle": 1, "type": "filter",
        "hook": "output", "prio": 0, "policy": "accept"}})];
    for handle in 2..5000 {
        items.push(
            json!({"rule": {"family": "inet", "table": "t", "chain": "out", "handle": handle, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
                "right": {"prefix": {"addr": format!("10.{}.{}.0", handle / 256, handle % 256), "len": 24}}}},
            {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}]}}),
        );
    }
    let rules = rules(&json!({"nftables": items}));
    assert_eq!(words(&rules.judge(&packet("192.0.2.1:80"))), "accept");
}

#[test]
fn networks_are_compared_by_their_prefix() {
    let within =
        |ip: &str, network: &str, length| within(ip.parse().unwrap(), network.parse().unwrap(), length);
    assert!(within("10.1.2.3", "10.0.0.0", 8));
    assert!(!within("11.1.2.3", "10.0.0.0", 8));
    assert!(within("11.1.2.3", "0.0.0.0", 0));
    assert!(within("2001:db8::1", "::", 0));
    assert!(!within("2001:db8::1", "2001:db8::2", 128));
    assert!(!within("10.1.2.3", "::", 0));
}
