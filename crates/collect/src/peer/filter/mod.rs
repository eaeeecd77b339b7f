//! What the packet filter does with nginx's very packet.
//!
//! The rules are read once and then asked, rule by rule, about one packet: TCP, the peer's address and port, the source
//! that the route gives, the worker's user. A scary rule for another port is no evidence. A rule that cannot be evaluated
//! to the end decides nothing; it is named, so that the verdict is known to be unsure.

mod iptables;
mod nft;

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Instant;

use snapshot::{FilterAction, FilterVerdict, Reason, Unread};

use crate::host::command::{self, Output};

/// How far jumps may lead; the kernel itself allows 16 (NFT_JUMP_STACK_SIZE).
const DEEPEST_JUMP: usize = 16;
/// More rules than this are not named one by one.
const MOST_NOT_UNDERSTOOD: usize = 20;

/// A packet as the rules see it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    /// The kernel will choose one of these.
    pub(super) source_ports: RangeInclusive<u16>,
    pub(super) destination: IpAddr,
    pub(super) destination_ports: RangeInclusive<u16>,
    /// The interface that it leaves by, or comes in by.
    pub(super) interface: String,
    /// Whether both ends are on this host.
    pub(super) local: bool,
    /// The user and group of the sending socket; none when unknown.
    pub(super) user: Option<(u32, u32)>,
    /// Whether it answers an earlier one.
    pub(super) reply: bool,
}

impl Packet {
    /// The SYN that nginx sends.
    pub(super) fn syn(
        to: SocketAddr,
        source: IpAddr,
        interface: &str,
        local: bool,
        user: Option<(u32, u32)>,
        source_ports: RangeInclusive<u16>,
    ) -> Packet {
        Packet {
            source,
            source_ports,
            destination: to.ip(),
            destination_ports: to.port()..=to.port(),
            interface: interface.to_owned(),
            local,
            user,
            reply: false,
        }
    }

    /// The SYN-ACK that comes back.
    fn answer(&self) -> Packet {
        Packet {
            source: self.destination,
            source_ports: self.destination_ports.clone(),
            destination: self.source,
            destination_ports: self.source_ports.clone(),
            user: None,
            reply: true,
            ..self.clone()
        }
    }
}

/// A point of the packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Output,
    Postrouting,
    Prerouting,
    Input,
}

impl Hook {
    /// As nftables spells it.
    fn name(self) -> &'static str {
        match self {
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
        }
    }

    fn leaving(self) -> bool {
        matches!(self, Hook::Output | Hook::Postrouting)
    }
}

/// A packet at a point of its way.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    packet: &'a Packet,
    hook: Hook,
}

impl At<'_> {
    fn in_interface(&self) -> Option<&str> {
        (!self.hook.leaving()).then_some(self.packet.interface.as_str())
    }

    fn out_interface(&self) -> Option<&str> {
        self.hook.leaving().then_some(self.packet.interface.as_str())
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown,
}

impl Holds {
    fn of(it: bool) -> Holds {
        if it { Holds::Yes } else { Holds::No }
    }

    fn negated_if(self, negated: bool) -> Holds {
        match self {
            Holds::Yes if negated => Holds::No,
            Holds::No if negated => Holds::Yes,
            other => other,
        }
    }

    /// Both have to hold.
    fn and(self, other: Holds) -> Holds {
        match (self, other) {
            (Holds::No, _) | (_, Holds::No) => Holds::No,
            (Holds::Yes, Holds::Yes) => Holds::Yes,
            _ => Holds::Unknown,
        }
    }

    /// One has to hold.
    fn any(all: impl IntoIterator<Item = Holds>) -> Holds {
        let mut outcome = Holds::No;
        for holds in all {
            match holds {
                Holds::Yes => return Holds::Yes,
                Holds::Unknown => outcome = Holds::Unknown,
                Holds::No => {}
            }
        }
        outcome
    }

    /// Whether a port out of `ports` lies between `low` and `high`.
    fn ports(ports: &RangeInclusive<u16>, low: u16, high: u16) -> Holds {
        if low <= *ports.start() && *ports.end() <= high {
            Holds::Yes
        } else if *ports.end() < low || high < *ports.start() {
            Holds::No
        } else {
            Holds::Unknown
        }
    }
}

/// Whether `ip` lies in a network.
pub(super) fn within(ip: IpAddr, network: IpAddr, length: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (ip.to_bits() ^ network.to_bits()).checked_shr(32 - u32::from(length.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            (ip.to_bits() ^ network.to_bits()).checked_shr(128 - u32::from(length.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// What a base chain (or a table of iptables at one hook) does with the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// The next one has its turn.
    Pass,
    /// It goes no further.
    Stopped(Stop),
    /// Its destination is changed by that rule, and what was asked no longer fits.
    Redirected(String),
}

/// The rule or policy that stops a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stop {
    action: FilterAction,
    /// As the tool prints it; for nftables filled in later by `Place`.
    rule: String,
    chain: String,
    place: Place,
    /// Its packet counter, if it has one.
    packets: Option<u64>,
    /// Whether the rule asks for the user: our own probe is sent by another one.
    asks_for_user: bool,
}

/// Where a rule is found again in another reading.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Nft { family: String, table: String, chain: String, handle: Option<u64> },
    Iptables { set: usize, table: String, chain: String, rule: Option<usize> },
}

/// A verdict, and how to see whether its rule is hit.
pub(super) struct Decision {
    pub(super) verdict: FilterVerdict,
    place: Option<Place>,
    packets: Option<u64>,
}

/// All rules of a network namespace.
pub(super) struct Rules {
    nft: Option<nft::Ruleset>,
    iptables: Vec<iptables::Rules>,
    /// What the rules were read with.
    pub(super) source: String,
}

impl Rules {
    /// Reads them with whatever tools there are; the caller's thread is in the right namespace.
    pub(super) fn read(deadline: Instant) -> Result<Rules, Unread> {
        let mut nft = match command::run("nft", &["-j", "list", "ruleset"], deadline, "nft -j list ruleset") {
            Ok(output) if output.success => Ok(nft::Ruleset::parse(&output.stdout)?),
            Ok(output) => Err(failure("nft -j list ruleset", &output)),
            Err(unread) => Err(unread),
        };
        // Tables that iptables made in nftables' place are read in iptables' own words; the old kind is kept elsewhere.
        let modern = |family| nft.as_ref().map_or(true, |it| it.has_tables_of_iptables(family));
        let legacy = |family| {
            // The file is missing as long as nothing needs such tables.
            let names = std::fs::read_to_string(format!("/proc/thread-self/net/{family}_tables_names"));
            names.is_ok_and(|it| !it.trim().is_empty())
        };
        let wanted = [
            (modern("ip"), "iptables-nft-save", "iptables-save", "ip"),
            (modern("ip6"), "ip6tables-nft-save", "ip6tables-save", "ip6"),
            (legacy("ip"), "iptables-legacy-save", "iptables-save", "ip"),
            (legacy("ip6"), "ip6tables-legacy-save", "ip6tables-save", "ip6"),
        ];
        let mut iptables = Vec::new();
        let mut sources: Vec<&str> = nft.iter().map(|_| "nft -j list ruleset").collect();
        let mut obstacle = None;
        for (_, tool, plain, family) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
            // Where only one kind is installed, it has the plain name alone.
            let output = command::run(tool, &["-c"], deadline, plain)
                .or_else(|_| command::run(plain, &["-c"], deadline, plain));
            match output {
                Ok(output) if output.success => {
                    let rules =
                        iptables::Rules::parse(&String::from_utf8_lossy(&output.stdout), family == "ip6");
                    sources.push(plain);
                    if let Ok(nft) = &mut nft
                        && tool.contains("-nft-")
                    {
                        rules.names().for_each(|it| nft.leave_to_iptables(family, it));
                    }
                    if !rules.is_empty() && !iptables.contains(&rules) {
                        iptables.push(rules);
                    }
                }
                Ok(output) => obstacle = obstacle.or(Some(failure(plain, &output))),
                Err(unread) => obstacle = obstacle.or(Some(unread)),
            }
        }
        sources.dedup();
        let source = sources.join(", ");
        // Half of the rules is no basis for "it passes".
        match (nft, obstacle) {
            (Ok(nft), None) => Ok(Rules { nft: Some(nft), iptables, source }),
            (Err(unread), None) if unread.reason == Reason::Unsupported => {
                Ok(Rules { nft: None, iptables, source })
            }
            (Err(unread), _) | (Ok(_), Some(unread)) => Err(unread),
        }
    }

    /// What happens to the packet, and then to the answer to it.
    pub(super) fn judge(&self, packet: &Packet) -> Decision {
        let answer = packet.answer();
        let mut not_understood = Vec::new();
        let there = [Hook::Output, Hook::Postrouting].into_iter();
        let arriving = [Hook::Prerouting, Hook::Input].into_iter();
        let mut way: Vec<At> = there.clone().map(|hook| At { packet, hook }).collect();
        if packet.local {
            way.extend(arriving.clone().map(|hook| At { packet, hook }));
            way.extend(there.map(|hook| At { packet: &answer, hook }));
        }
        way.extend(arriving.map(|hook| At { packet: &answer, hook }));

        let mut stop = None;
        for at in &way {
            match self.pass(at, &mut not_understood) {
                Fate::Pass => {}
                Fate::Stopped(it) => {
                    stop = Some(it);
                    break;
                }
                Fate::Redirected(rule) => {
                    not_understood.push(format!("it goes elsewhere: {rule}"));
                    break;
                }
            }
        }
        not_understood.dedup();
        not_understood.truncate(MOST_NOT_UNDERSTOOD);
        let Some(stop) = stop else {
            let verdict = FilterVerdict {
                action: FilterAction::Accept,
                rule: String::new(),
                chain: String::new(),
                not_understood,
                counter_moved: None,
            };
            return Decision { verdict, place: None, packets: None };
        };
        let verdict = FilterVerdict {
            action: stop.action,
            rule: stop.rule,
            chain: stop.chain,
            not_understood,
            counter_moved: None,
        };
        // Our probe comes from another user than nginx's worker, so its counter would tell nothing.
        let packets = stop.packets.filter(|_| !stop.asks_for_user);
        Decision { verdict, place: Some(stop.place), packets }
    }

    /// One hook: the chains of nftables and the tables of iptables in the order of their priorities.
    fn pass(&self, at: &At, not_understood: &mut Vec<String>) -> Fate {
        let nft_chains = self.nft.iter().flat_map(|it| it.base_chains(at));
        let mut turns: Vec<(i64, Turn)> =
            nft_chains.map(|(priority, chain)| (priority, Turn::Nft(chain))).collect();
        for (set, rules) in self.iptables.iter().enumerate() {
            turns.extend(rules.tables(at).map(|(priority, table)| (priority, Turn::Iptables(set, table))));
        }
        turns.sort_by(|(one, _), (other, _)| one.cmp(other).then(Ordering::Equal));
        for (_, turn) in turns {
            let fate = match (&turn, &self.nft) {
                (Turn::Nft(chain), Some(ruleset)) => ruleset.base_chain(*chain, at, not_understood),
                (Turn::Iptables(set, table), _) => self.iptables[*set].table(*set, table, at, not_understood),
                (Turn::Nft(_), None) => Fate::Pass,
            };
            if fate != Fate::Pass {
                return fate;
            }
        }
        Fate::Pass
    }

    /// Replaces the places of nftables' rules by their text, which only the other output format has.
    pub(super) fn quote(&self, decisions: &mut [&mut Decision], deadline: Instant) {
        let by_handle = |it: &Decision| matches!(&it.place, Some(Place::Nft { handle: Some(_), .. }));
        let unquoted = |it: &Decision| it.verdict.not_understood.iter().any(|rule| nft::is_reference(rule));
        if !decisions.iter().any(|it| by_handle(it) || unquoted(it)) {
            return;
        }
        let output = command::run("nft", &["-a", "list", "ruleset"], deadline, "nft -a list ruleset");
        let Ok(output) = output else { return };
        let lines = nft::lines(&String::from_utf8_lossy(&output.stdout));
        for decision in decisions {
            if let Some(Place::Nft { family, table, chain, handle: Some(handle) }) = &decision.place {
                let reference = nft::reference(family, table, chain, *handle);
                if let Some(text) = lines.get(&reference) {
                    decision.verdict.rule = text.clone();
                }
            }
            for rule in &mut decision.verdict.not_understood {
                if let Some(text) = lines.get(rule) {
                    *rule = text.clone();
                }
            }
        }
    }

    /// Sees in a later reading whether the deciding rule was hit meanwhile.
    pub(super) fn compare(&self, decision: &mut Decision) {
        let (Some(place), Some(before)) = (&decision.place, decision.packets) else { return };
        let now = match place {
            Place::Nft { family, table, chain, handle: Some(handle) } => {
                self.nft.as_ref().and_then(|it| it.packets(family, table, chain, *handle))
            }
            Place::Nft { handle: None, .. } => None,
            Place::Iptables { set, table, chain, rule } => {
                self.iptables.get(*set).and_then(|it| it.packets(table, chain, *rule))
            }
        };
        decision.verdict.counter_moved = now.map(|it| it > before);
    }
}

impl Decision {
    /// Whether a second reading can tell something.
    pub(super) fn has_counter(&self) -> bool {
        self.packets.is_some()
    }
}

enum Turn<'a> {
    Nft(usize),
    Iptables(usize, &'a str),
}

/// What a failed tool's words mean.
fn failure(tool: &str, output: &Output) -> Unread {
    let errors = output.stderr.to_lowercase();
    let denied = ["not permitted", "permission denied", "must be root"].iter().any(|it| errors.contains(it));
    Unread {
        reason: if denied { Reason::Denied } else { Reason::Unsupported },
        source: tool.to_owned(),
        detail: output.stderr.lines().next().unwrap_or("it failed without a word").to_owned(),
    }
}

/// The ports that the kernel chooses from in this namespace.
pub(super) fn ephemeral_ports() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(low)), Some(Ok(high))) if low <= high => low..=high,
        // The kernel's default (ip-sysctl.rst).
        _ => 32768..=60999,
    }
}

#[cfg(test)]
mod tests;
