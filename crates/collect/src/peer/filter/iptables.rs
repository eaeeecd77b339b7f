//! The rules of iptables, old and new, as `iptables-save -c` prints them.

use std::net::IpAddr;

use snapshot::FilterAction;

use super::{At, DEEPEST_JUMP, Fate, Holds, Hook, Place, Stop, within};

/// One family's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    v6: bool,
    tables: Vec<Table>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: String,
    chains: Vec<Chain>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    name: String,
    /// `ACCEPT` or `DROP`; `-` for a chain of the user's own.
    policy: String,
    policy_packets: Option<u64>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// As it is printed, without its counters.
    text: String,
    packets: Option<u64>,
    conditions: Vec<Condition>,
    target: Option<Target>,
}

/// An option with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    option: String,
    negated: bool,
    values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    /// `-g`: the chain does not come back here.
    goto: bool,
}

/// How a chain was left.
enum Step {
    End,
    Accept,
    Fate(Fate),
}

struct Way<'a> {
    at: &'a At<'a>,
    path: Vec<&'a str>,
    asked_for_user: bool,
    not_understood: &'a mut Vec<String>,
}

impl Rules {
    /// Reads the tool's output; a line that is no rule is passed over.
    pub(super) fn parse(text: &str, v6: bool) -> Rules {
        let mut tables: Vec<Table> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                tables.push(Table { name: name.trim().to_owned(), chains: Vec::new() });
                continue;
            }
            let Some(table) = tables.last_mut() else { continue };
            if let Some(chain) = line.strip_prefix(':') {
                let mut words = chain.split_whitespace();
                let (Some(name), Some(policy)) = (words.next(), words.next()) else { continue };
                table.chains.push(Chain {
                    name: name.to_owned(),
                    policy: policy.to_owned(),
                    policy_packets: words.next().and_then(packets_of),
                    rules: Vec::new(),
                });
            } else if let Some((chain, rule)) = parse_rule(line)
                && let Some(chain) = table.chains.iter_mut().find(|it| it.name == chain)
            {
                chain.rules.push(rule);
            }
        }
        Rules { v6, tables }
    }

    /// The names of the tables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|it| it.name.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The tables that see the packet there, with their priorities (linux/netfilter_ipv4.h).
    pub(super) fn tables(&self, at: &At) -> impl Iterator<Item = (i64, &str)> {
        let mine = self.v6 == at.packet.destination.is_ipv6();
        // Address translation is decided for the first packet, on its way out; later ones follow that decision.
        let translated = at.packet.reply || !at.hook.leaving();
        self.tables.iter().filter(move |_| mine).filter_map(move |table| {
            let priority = match (table.name.as_str(), at.hook) {
                ("raw", _) => -300,
                ("mangle", _) => -150,
                ("nat", _) if translated => return None,
                ("nat", Hook::Postrouting) => 100,
                ("nat", _) => -100,
                ("filter", _) => 0,
                ("security", _) => 50,
                _ => return None,
            };
            Some((priority, table.name.as_str()))
        })
    }

    /// What a table does with the packet. `set` tells these rules from those of another kind of iptables.
    pub(super) fn table(&self, set: usize, table: &str, at: &At, not_understood: &mut Vec<String>) -> Fate {
        let hook = match at.hook {
            Hook::Output => "OUTPUT",
            Hook::Postrouting => "POSTROUTING",
            Hook::Prerouting => "PREROUTING",
            Hook::Input => "INPUT",
        };
        let Some(table) = self.tables.iter().find(|it| it.name == table) else { return Fate::Pass };
        let Some(chain) = table.chains.iter().find(|it| it.name == hook) else { return Fate::Pass };
        let mut way = Way { at, path: Vec::new(), asked_for_user: false, not_understood };
        match self.chain(set, table, chain, &mut way) {
            Step::Accept => Fate::Pass,
            Step::Fate(fate) => fate,
            Step::End if chain.policy == "DROP" => Fate::Stopped(Stop {
                action: FilterAction::Drop,
                rule: format!("-P {hook} DROP"),
                chain: self.words(table, &[hook]),
                place: Place::Iptables { set, table: table.name.clone(), chain: hook.into(), rule: None },
                packets: chain.policy_packets,
                asks_for_user: false,
            }),
            Step::End => Fate::Pass,
        }
    }

    /// `iptables INPUT → HARDEN`, `ip6tables -t raw OUTPUT`.
    fn words(&self, table: &Table, path: &[&str]) -> String {
        let tool = if self.v6 { "ip6tables" } else { "iptables" };
        match table.name.as_str() {
            "filter" => format!("{tool} {}", path.join(" → ")),
            other => format!("{tool} -t {other} {}", path.join(" → ")),
        }
    }

    fn chain<'a>(&'a self, set: usize, table: &'a Table, chain: &'a Chain, way: &mut Way<'a>) -> Step {
        if way.path.len() > DEEPEST_JUMP {
            way.not_understood.push(format!("jumps too deep at {}", chain.name));
            return Step::End;
        }
        way.path.push(&chain.name);
        let step = self.rules(set, table, chain, way);
        way.path.pop();
        step
    }

    fn rules<'a>(&'a self, set: usize, table: &'a Table, chain: &'a Chain, way: &mut Way<'a>) -> Step {
        for (index, rule) in chain.rules.iter().enumerate() {
            let Some(target) = &rule.target else { continue };
            // Such a target goes on to the next rule whatever the packet is.
            if !is_terminal(&target.name) && !table.chains.iter().any(|it| it.name == target.name) {
                continue;
            }
            match rule.holds(way.at) {
                Holds::No => continue,
                Holds::Unknown => {
                    way.not_understood.push(rule.text.clone());
                    continue;
                }
                Holds::Yes => {}
            }
            let asks = rule.conditions.iter().any(|it| it.option.ends_with("-owner"));
            let action = match target.name.as_str() {
                "ACCEPT" | "SNAT" | "MASQUERADE" | "NETMAP" => return Step::Accept,
                "RETURN" => return Step::End,
                "DROP" => FilterAction::Drop,
                "REJECT" => FilterAction::Reject,
                "DNAT" | "REDIRECT" | "TPROXY" => return Step::Fate(Fate::Redirected(rule.text.clone())),
                name => {
                    let Some(next) = table.chains.iter().find(|it| it.name == name) else {
                        way.not_understood.push(rule.text.clone());
                        continue;
                    };
                    let asked = way.asked_for_user;
                    way.asked_for_user |= asks;
                    let step = self.chain(set, table, next, way);
                    way.asked_for_user = asked;
                    match step {
                        Step::End if target.goto => return Step::End,
                        Step::End => continue,
                        left => return left,
                    }
                }
            };
            return Step::Fate(Fate::Stopped(Stop {
                action,
                rule: rule.text.clone(),
                chain: self.words(table, &way.path),
                place: Place::Iptables {
                    set,
                    table: table.name.clone(),
                    chain: chain.name.clone(),
                    rule: Some(index),
                },
                packets: rule.packets,
                asks_for_user: asks || way.asked_for_user,
            }));
        }
        Step::End
    }

    /// The counter of a rule, or of a chain's policy.
    pub(super) fn packets(&self, table: &str, chain: &str, rule: Option<usize>) -> Option<u64> {
        let table = self.tables.iter().find(|it| it.name == table)?;
        let chain = table.chains.iter().find(|it| it.name == chain)?;
        match rule {
            Some(index) => chain.rules.get(index)?.packets,
            None => chain.policy_packets,
        }
    }
}

impl Rule {
    fn holds(&self, at: &At) -> Holds {
        self.conditions.iter().fold(Holds::Yes, |holds, it| match holds {
            Holds::No => Holds::No,
            holds => holds.and(it.holds(at)),
        })
    }
}

impl Condition {
    fn holds(&self, at: &At) -> Holds {
        let packet = at.packet;
        let value = self.values.first().map(String::as_str).unwrap_or_default();
        let holds = match self.option.as_str() {
            // `-m` only names the module of the options that follow; these modules have none.
            "-m" | "--match" => match value {
                "tcp" | "multiport" | "comment" | "conntrack" | "state" | "owner" | "addrtype" | "limit"
                | "mark" | "connmark" | "set" | "recent" | "iprange" | "hashlimit" | "connlimit"
                | "string" | "time" | "statistic" | "cgroup" | "physdev" | "mac" | "length" | "ttl"
                | "hl" | "tos" | "dscp" | "pkttype" | "rpfilter" | "socket" | "bpf" | "geoip" | "helper"
                | "icmp" | "icmp6" | "udp" => return Holds::Yes,
                _ => return Holds::Unknown,
            },
            "--comment" => return Holds::Yes,
            "-p" | "--protocol" => Holds::of(matches!(value, "tcp" | "6" | "all" | "0")),
            "-s" | "--source" => network(packet.source, value),
            "-d" | "--destination" => network(packet.destination, value),
            "-i" | "--in-interface" => interface(at.in_interface(), value),
            "-o" | "--out-interface" => interface(at.out_interface(), value),
            "--sport" | "--sports" | "--source-port" | "--source-ports" => ports(&packet.source_ports, value),
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
                ports(&packet.destination_ports, value)
            }
            "--ports" => {
                Holds::any([ports(&packet.source_ports, value), ports(&packet.destination_ports, value)])
            }
            "--src-range" => range(packet.source, value),
            "--dst-range" => range(packet.destination, value),
            "--ctstate" | "--state" => {
                let state = if packet.reply { "ESTABLISHED" } else { "NEW" };
                Holds::of(value.split(',').any(|it| it == state))
            }
            "--ctdir" => Holds::of((value == "REPLY") == packet.reply),
            "--uid-owner" => owner(at, packet.user.map(|(uid, _)| uid), value),
            "--gid-owner" => owner(at, packet.user.map(|(_, gid)| gid), value),
            "--socket-exists" => Holds::of(at.hook.leaving()),
            "--syn" => Holds::of(!packet.reply),
            "--tcp-flags" => {
                tcp_flags(packet.reply, value, self.values.get(1).map(String::as_str).unwrap_or_default())
            }
            "--src-type" => address_type(packet.local || at.hook.leaving(), value),
            "--dst-type" => address_type(packet.local || !at.hook.leaving(), value),
            // Its packets came in by no bridge port and carry no mark of another machine's address.
            "--icmp-type" | "--icmpv6-type" => Holds::No,
            _ => Holds::Unknown,
        };
        holds.negated_if(self.negated)
    }
}

/// Targets that decide where the packet goes. The others change or record it, and the next rule has its turn.
fn is_terminal(target: &str) -> bool {
    const TERMINAL: [&str; 13] = [
        "ACCEPT",
        "DROP",
        "REJECT",
        "RETURN",
        "DNAT",
        "REDIRECT",
        "TPROXY",
        "SNAT",
        "MASQUERADE",
        "NETMAP",
        "QUEUE",
        "NFQUEUE",
        "SYNPROXY",
    ];
    TERMINAL.contains(&target)
}

/// `10.0.0.0/8`, `10.0.0.5`, `10.0.0.0/255.255.0.255`.
fn network(ip: IpAddr, text: &str) -> Holds {
    let (network, mask) = match text.split_once('/') {
        Some((network, mask)) => (network, Some(mask)),
        None => (text, None),
    };
    let Ok(network) = network.parse::<IpAddr>() else { return Holds::Unknown };
    match mask {
        None => Holds::of(network == ip),
        Some(mask) => match (mask.parse::<u8>(), mask.parse::<IpAddr>()) {
            (Ok(length), _) => Holds::of(within(ip, network, length)),
            (_, Ok(IpAddr::V4(mask))) => match (ip, network) {
                (IpAddr::V4(ip), IpAddr::V4(network)) => {
                    Holds::of(ip.to_bits() & mask.to_bits() == network.to_bits() & mask.to_bits())
                }
                _ => Holds::No,
            },
            _ => Holds::Unknown,
        },
    }
}

fn range(ip: IpAddr, text: &str) -> Holds {
    let bounds =
        text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse::<IpAddr>().ok()?)));
    bounds.map_or(Holds::Unknown, |(low, high): (IpAddr, IpAddr)| Holds::of(low <= ip && ip <= high))
}

/// `eth+` stands for every name that begins so.
fn interface(name: Option<&str>, pattern: &str) -> Holds {
    let Some(name) = name else { return Holds::No };
    Holds::of(match pattern.strip_suffix('+') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    })
}

/// `80`, `1:1023`, `80,443,8000:8010`.
fn ports(mine: &std::ops::RangeInclusive<u16>, text: &str) -> Holds {
    Holds::any(text.split(',').map(|it| {
        let (low, high) = it.split_once(':').unwrap_or((it, it));
        let low = if low.is_empty() { Ok(0) } else { low.parse() };
        let high = if high.is_empty() { Ok(u16::MAX) } else { high.parse() };
        match (low, high) {
            (Ok(low), Ok(high)) => Holds::ports(mine, low, high),
            _ => Holds::Unknown,
        }
    }))
}

/// `33`, `1000-2000`.
fn owner(at: &At, id: Option<u32>, text: &str) -> Holds {
    if !at.hook.leaving() {
        return Holds::No;
    }
    let Some(id) = id else { return Holds::Unknown };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (low.parse::<u32>(), high.parse::<u32>()) {
        (Ok(low), Ok(high)) => Holds::of(low <= id && id <= high),
        _ => Holds::Unknown,
    }
}

/// `--tcp-flags FIN,SYN,RST,ACK SYN`: of the first ones, exactly the second ones are set.
fn tcp_flags(reply: bool, mask: &str, set: &str) -> Holds {
    let mine: &[&str] = if reply { &["SYN", "ACK"] } else { &["SYN"] };
    let set: Vec<&str> = set.split(',').filter(|it| *it != "NONE").collect();
    let mut mask = mask.split(',');
    Holds::of(mask.all(|flag| flag == "NONE" || mine.contains(&flag) == set.contains(&flag)))
}

fn address_type(local: bool, text: &str) -> Holds {
    let mine = if local { "LOCAL" } else { "UNICAST" };
    Holds::of(text.split(',').any(|it| it == mine))
}

/// `[12:720]`.
fn packets_of(text: &str) -> Option<u64> {
    text.strip_prefix('[')?.split_once(':')?.0.parse().ok()
}

/// A rule with the name of its chain.
fn parse_rule(line: &str) -> Option<(String, Rule)> {
    let (counters, text) = match line.split_once("] ") {
        Some((counters, text)) if line.starts_with('[') => (packets_of(counters), text),
        _ => (None, line),
    };
    let mut words = words(text).into_iter().peekable();
    if words.next()? != "-A" {
        return None;
    }
    let chain = words.next()?;
    let mut rule =
        Rule { text: text.trim().to_owned(), packets: counters, conditions: Vec::new(), target: None };
    let mut negated = false;
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        if matches!(word.as_str(), "-j" | "-g" | "--jump" | "--goto") {
            rule.target = Some(Target { name: words.next()?, goto: word.ends_with('g') || word == "--goto" });
            // What follows are the target's own options.
            break;
        }
        let mut values = Vec::new();
        while let Some(value) = words.next_if(|it| !it.starts_with('-') && it != "!") {
            values.push(value);
        }
        // A comment may well begin with a dash.
        if word == "--comment" && values.is_empty() {
            values.extend(words.next());
        }
        rule.conditions.push(Condition { option: word, negated, values });
        negated = false;
    }
    Some((chain, rule))
}

/// Splits as iptables-save quotes: in double quotes, with backslashes before `"`, `'` and `\`.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(characters.next()),
            it if it.is_whitespace() && !quoted => found.extend(word.take()),
            it => word.get_or_insert_default().push(it),
        }
    }
    found.extend(word);
    found
}
