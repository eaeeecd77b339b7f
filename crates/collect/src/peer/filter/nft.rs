//! The rules of nftables, as `nft -j list ruleset` prints them (libnftables-json(5)).

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value as Json;
use snapshot::{FilterAction, Reason, Unread};

use super::{At, DEEPEST_JUMP, Fate, Holds, Place, Stop, within};

/// Tables and chains that the kernel's successor of iptables makes; their rules are read by iptables-save.
const IPTABLES_TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
const IPTABLES_CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// `(family, table, name)` of a chain, set or counter.
type Name = (String, String, String);

/// A ruleset.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    chains: Vec<Chain>,
    by_name: HashMap<Name, usize>,
    /// Elements of sets, and pairs of key and verdict of maps.
    sets: HashMap<Name, Vec<Json>>,
    counters: HashMap<Name, u64>,
    /// Tables, with their family, that iptables-save told in its own words.
    told_by_iptables: Vec<(String, String)>,
}

#[derive(Debug)]
struct Chain {
    family: String,
    table: String,
    name: String,
    base: Option<Base>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Base {
    kind: String,
    hook: String,
    priority: i64,
    drops: bool,
}

#[derive(Debug)]
struct Rule {
    handle: u64,
    statements: Vec<Json>,
}

/// How a chain was left.
enum Step {
    /// By its end or by `return`.
    End,
    Accept,
    Fate(Fate),
}

/// What is known on the way through the chains of one hook.
struct Way<'a> {
    at: &'a At<'a>,
    path: Vec<&'a str>,
    asked_for_user: bool,
    not_understood: &'a mut Vec<String>,
}

/// A field of the packet.
#[derive(Debug, Clone)]
enum Field {
    Ip(IpAddr),
    Ports(RangeInclusive<u16>),
    Number(u64),
    Name(String),
    /// TCP flags as bits.
    Flags(u8),
    /// This packet has no such field: the rule does not match.
    Absent,
    Unknown,
}

impl Ruleset {
    /// Reads the tool's output.
    pub(super) fn parse(text: &[u8]) -> Result<Ruleset, Unread> {
        let malformed =
            |detail| Unread { reason: Reason::Malformed, source: "nft -j list ruleset".into(), detail };
        let json: Json = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        let items = json["nftables"].as_array().ok_or_else(|| malformed("no list of rules in it".into()))?;
        let mut ruleset = Ruleset::default();
        for item in items {
            let Some((kind, body)) = item.as_object().and_then(|it| it.iter().next()) else { continue };
            let of = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let name = (of("family"), of("table"), of("name"));
            match kind.as_str() {
                "chain" => {
                    let base = body["hook"].as_str().map(|hook| Base {
                        kind: of("type"),
                        hook: hook.to_owned(),
                        priority: body["prio"].as_i64().unwrap_or(0),
                        drops: body["policy"] == "drop",
                    });
                    ruleset.by_name.insert(name.clone(), ruleset.chains.len());
                    let (family, table, name) = name;
                    ruleset.chains.push(Chain { family, table, name, base, rules: Vec::new() });
                }
                "rule" => {
                    let Some(chain) = ruleset.by_name.get(&(name.0, name.1, of("chain"))) else { continue };
                    let statements = body["expr"].as_array().cloned().unwrap_or_default();
                    let handle = body["handle"].as_u64().unwrap_or(0);
                    ruleset.chains[*chain].rules.push(Rule { handle, statements });
                }
                "set" | "map" => {
                    ruleset.sets.insert(name, body["elem"].as_array().cloned().unwrap_or_default());
                }
                "counter" => {
                    ruleset.counters.insert(name, body["packets"].as_u64().unwrap_or(0));
                }
                _ => {}
            }
        }
        Ok(ruleset)
    }

    /// Whether iptables made some of the tables of a family.
    pub(super) fn has_tables_of_iptables(&self, family: &str) -> bool {
        self.chains.iter().any(|it| it.family == family && it.is_of_iptables())
    }

    /// Leaves a table to iptables, which has printed it. What iptables finds too strange to print stays here.
    pub(super) fn leave_to_iptables(&mut self, family: &str, table: &str) {
        self.told_by_iptables.push((family.to_owned(), table.to_owned()));
    }

    /// The base chains that see the packet there, with their priorities.
    pub(super) fn base_chains(&self, at: &At) -> impl Iterator<Item = (i64, usize)> {
        let family = if at.packet.destination.is_ipv4() { "ip" } else { "ip6" };
        let hook = at.hook.name();
        // Address translation is decided for the first packet, on its way out; later ones follow that decision.
        let translated = at.packet.reply || !at.hook.leaving();
        self.chains.iter().enumerate().filter_map(move |(index, chain)| {
            let base = chain.base.as_ref().filter(|base| {
                base.hook == hook
                    && (chain.family == "inet" || chain.family == family)
                    && !(translated && base.kind == "nat")
            })?;
            let told = |(family, table): &(String, String)| *family == chain.family && *table == chain.table;
            let elsewhere = chain.is_of_iptables() && self.told_by_iptables.iter().any(told);
            (!elsewhere).then_some((base.priority, index))
        })
    }

    /// What a base chain does with the packet.
    pub(super) fn base_chain(&self, index: usize, at: &At, not_understood: &mut Vec<String>) -> Fate {
        let chain = &self.chains[index];
        let mut way = Way { at, path: vec![&chain.name], asked_for_user: false, not_understood };
        match self.chain(index, &mut way) {
            Step::Accept => Fate::Pass,
            Step::Fate(fate) => fate,
            Step::End => match &chain.base {
                Some(base) if base.drops => Fate::Stopped(Stop {
                    action: FilterAction::Drop,
                    rule: "policy drop".into(),
                    chain: format!("{} {} {}", chain.family, chain.table, chain.name),
                    place: chain.place(None),
                    packets: None,
                    asks_for_user: false,
                }),
                _ => Fate::Pass,
            },
        }
    }

    fn chain<'a>(&'a self, index: usize, way: &mut Way<'a>) -> Step {
        let chain = &self.chains[index];
        for rule in &chain.rules {
            match self.rule(chain, rule, way) {
                Step::End => {}
                // `return` leaves this chain, a `goto` target that ended leaves it as well.
                Step::Fate(Fate::Pass) => return Step::End,
                left => return left,
            }
        }
        Step::End
    }

    /// `End` when the next rule has its turn, `Fate::Pass` when the chain is left.
    fn rule<'a>(&'a self, chain: &'a Chain, rule: &'a Rule, way: &mut Way<'a>) -> Step {
        let mut holds = Holds::Yes;
        let mut packets = None;
        let mut asks = false;
        for statement in &rule.statements {
            let Some((kind, body)) = statement.as_object().and_then(|it| it.iter().next()) else { continue };
            let mut verdict = (kind.as_str(), body);
            match kind.as_str() {
                "match" => {
                    holds = holds.and(self.matches(chain, body, way.at));
                    asks |= mentions_user(&body["left"]);
                }
                "vmap" => match self.look_up(chain, body, way.at) {
                    Ok(Some(found)) => verdict = found,
                    Ok(None) => holds = Holds::No,
                    Err(()) => holds = holds.and(Holds::Unknown),
                },
                "counter" => {
                    packets = match body {
                        Json::String(name) => {
                            let key = (chain.family.clone(), chain.table.clone(), name.clone());
                            self.counters.get(&key).copied()
                        }
                        body => body["packets"].as_u64(),
                    }
                }
                "log" | "mangle" | "meter" | "comment" => {}
                // Adding to a set tells nothing, unless a limit goes with it.
                "set" if body["stmt"].is_null() => {}
                "limit" | "quota" | "ct count" | "xt" | "set" => holds = holds.and(Holds::Unknown),
                _ => {}
            }
            if holds == Holds::No {
                return Step::End;
            }
            let decides = matches!(
                verdict.0,
                "accept"
                    | "drop"
                    | "reject"
                    | "jump"
                    | "goto"
                    | "return"
                    | "continue"
                    | "queue"
                    | "dnat"
                    | "redirect"
                    | "snat"
                    | "masquerade"
                    | "tproxy"
                    | "notrack"
                    | "dup"
                    | "fwd"
                    | "synproxy"
                    | "vmap"
            );
            if !decides {
                continue;
            }
            if holds == Holds::Unknown {
                way.not_understood.push(reference(&chain.family, &chain.table, &chain.name, rule.handle));
                return Step::End;
            }
            let stop = |action, way: &Way| {
                Step::Fate(Fate::Stopped(Stop {
                    action,
                    rule: reference(&chain.family, &chain.table, &chain.name, rule.handle),
                    chain: format!("{} {} {}", chain.family, chain.table, way.path.join(" → ")),
                    place: chain.place(Some(rule.handle)),
                    packets,
                    asks_for_user: asks || way.asked_for_user,
                }))
            };
            return match verdict {
                // Source translation of the own packet changes nothing that is asked here.
                ("accept" | "snat" | "masquerade", _) => Step::Accept,
                ("drop", _) => stop(FilterAction::Drop, way),
                ("reject", _) => stop(FilterAction::Reject, way),
                ("return", _) => Step::Fate(Fate::Pass),
                ("continue", _) => continue,
                ("dnat" | "redirect" | "tproxy", _) => Step::Fate(Fate::Redirected(reference(
                    &chain.family,
                    &chain.table,
                    &chain.name,
                    rule.handle,
                ))),
                (kind @ ("jump" | "goto"), body) => match self.jump(chain, body, asks, way) {
                    Some(Step::End) if kind == "goto" => Step::Fate(Fate::Pass),
                    Some(Step::End) => continue,
                    Some(left) => left,
                    None => {
                        way.not_understood.push(reference(
                            &chain.family,
                            &chain.table,
                            &chain.name,
                            rule.handle,
                        ));
                        Step::End
                    }
                },
                _ => {
                    way.not_understood.push(reference(&chain.family, &chain.table, &chain.name, rule.handle));
                    Step::End
                }
            };
        }
        Step::End
    }

    fn jump<'a>(&'a self, from: &Chain, body: &'a Json, asks: bool, way: &mut Way<'a>) -> Option<Step> {
        let target = body["target"].as_str()?;
        let key = (from.family.clone(), from.table.clone(), target.to_owned());
        let index = *self.by_name.get(&key)?;
        if way.path.len() > DEEPEST_JUMP {
            return None;
        }
        let asked = way.asked_for_user;
        way.asked_for_user |= asks;
        way.path.push(target);
        let step = self.chain(index, way);
        way.path.pop();
        way.asked_for_user = asked;
        Some(step)
    }

    fn matches(&self, chain: &Chain, body: &Json, at: &At) -> Holds {
        let (left, right) = (&body["left"], &body["right"]);
        let operator = body["op"].as_str().unwrap_or("==");
        match (operator, self.field(left, at)) {
            (_, Field::Absent) => Holds::No,
            // A concatenation has no field of its own.
            ("==" | "!=" | "in", Field::Unknown) if left["concat"].is_array() => {
                self.concatenation(chain, left, right, at).negated_if(operator == "!=")
            }
            (_, Field::Unknown) => Holds::Unknown,
            ("in", Field::Flags(flags)) => {
                flag_bits(right).map_or(Holds::Unknown, |bits| Holds::of(flags & bits != 0))
            }
            ("==" | "!=", Field::Flags(flags)) => flag_bits(right)
                .map_or(Holds::Unknown, |bits| Holds::of(flags == bits))
                .negated_if(operator == "!="),
            ("==" | "in", field) => self.compare(chain, &field, right),
            ("!=", field) => self.compare(chain, &field, right).negated_if(true),
            ("<" | ">" | "<=" | ">=", Field::Ports(ports)) => {
                let Some(bound) = right.as_u64().and_then(|it| u16::try_from(it).ok()) else {
                    return Holds::Unknown;
                };
                match operator {
                    "<" => Holds::ports(&ports, bound, u16::MAX).negated_if(true),
                    ">" => Holds::ports(&ports, 0, bound).negated_if(true),
                    "<=" => Holds::ports(&ports, 0, bound),
                    _ => Holds::ports(&ports, bound, u16::MAX),
                }
            }
            _ => Holds::Unknown,
        }
    }

    /// The field of the packet that an expression names.
    fn field(&self, left: &Json, at: &At) -> Field {
        let packet = at.packet;
        let Some((kind, body)) = left.as_object().and_then(|it| it.iter().next()) else {
            return Field::Unknown;
        };
        let key = body["key"].as_str().unwrap_or_default();
        match kind.as_str() {
            "payload" => {
                let field = body["field"].as_str().unwrap_or_default();
                let v4 = packet.destination.is_ipv4();
                match (body["protocol"].as_str().unwrap_or_default(), field) {
                    ("ip", _) if !v4 => Field::Absent,
                    ("ip6", _) if v4 => Field::Absent,
                    ("ip" | "ip6", "saddr") => Field::Ip(packet.source),
                    ("ip" | "ip6", "daddr") => Field::Ip(packet.destination),
                    ("ip", "protocol") | ("ip6", "nexthdr") => Field::Name("tcp".into()),
                    ("ip", "version") => Field::Number(4),
                    ("ip6", "version") => Field::Number(6),
                    ("tcp" | "th", "sport") => Field::Ports(packet.source_ports.clone()),
                    ("tcp" | "th", "dport") => Field::Ports(packet.destination_ports.clone()),
                    ("tcp", "flags") => Field::Flags(flags_of(at)),
                    (
                        "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp" | "ah" | "esp"
                        | "arp",
                        _,
                    ) => Field::Absent,
                    _ => Field::Unknown,
                }
            }
            "&" => {
                let flags = body[0].pointer("/payload/field").is_some_and(|it| it == "flags");
                let tcp = body[0].pointer("/payload/protocol").is_some_and(|it| it == "tcp");
                match flag_bits(&body[1]) {
                    Some(mask) if flags && tcp => Field::Flags(flags_of(at) & mask),
                    _ => Field::Unknown,
                }
            }
            "meta" => match key {
                "l4proto" => Field::Name("tcp".into()),
                "protocol" => Field::Name(if packet.destination.is_ipv4() { "ip" } else { "ip6" }.into()),
                "nfproto" => Field::Name(if packet.destination.is_ipv4() { "ipv4" } else { "ipv6" }.into()),
                "oifname" | "oif" => at.out_interface().map_or(Field::Absent, |it| Field::Name(it.into())),
                "iifname" | "iif" => at.in_interface().map_or(Field::Absent, |it| Field::Name(it.into())),
                // The socket is the sender's; a packet that comes in has none yet.
                "skuid" | "skgid" if !at.hook.leaving() => Field::Absent,
                "skuid" => packet.user.map_or(Field::Unknown, |(uid, _)| Field::Number(uid.into())),
                "skgid" => packet.user.map_or(Field::Unknown, |(_, gid)| Field::Number(gid.into())),
                _ => Field::Unknown,
            },
            "ct" => match key {
                "state" => Field::Name(if packet.reply { "established" } else { "new" }.into()),
                "direction" => Field::Name(if packet.reply { "reply" } else { "original" }.into()),
                // A translated packet is followed no further, so what comes this far is not translated.
                "status" => Field::Name("untranslated".into()),
                _ => Field::Unknown,
            },
            "fib" => {
                let of = |name: &str| {
                    body["flags"].as_array().is_some_and(|it| it.iter().any(|flag| flag == name))
                };
                match body["result"].as_str() {
                    // The end that is this host: the source on the way out, the destination of what comes in.
                    Some("type") => {
                        let here = packet.local || of("saddr") == (at.hook.leaving());
                        Field::Name(if here { "local" } else { "unicast" }.into())
                    }
                    // Reverse-path checks: the route to the peer leaves by the interface that its answer comes in by.
                    Some("oif" | "oifname") if of("saddr") => Field::Name("present".into()),
                    _ => Field::Unknown,
                }
            }
            _ => Field::Unknown,
        }
    }

    fn compare(&self, chain: &Chain, field: &Field, right: &Json) -> Holds {
        match right {
            Json::Array(values) => Holds::any(values.iter().map(|it| self.compare(chain, field, it))),
            Json::String(text) if text.starts_with('@') => match self.set(chain, text) {
                Some(elements) => Holds::any(elements.iter().map(|it| self.compare(chain, field, it))),
                None => Holds::Unknown,
            },
            Json::String(text) => match field {
                Field::Ip(ip) => text.parse().map_or(Holds::Unknown, |it: IpAddr| Holds::of(it == *ip)),
                Field::Name(name) => Holds::of(same_name(name, text)),
                Field::Number(number) => {
                    text.parse().map_or(Holds::Unknown, |it: u64| Holds::of(it == *number))
                }
                _ => Holds::Unknown,
            },
            Json::Number(number) => match (field, number.as_u64()) {
                (Field::Ports(ports), Some(port)) => match u16::try_from(port) {
                    Ok(port) => Holds::ports(ports, port, port),
                    Err(_) => Holds::No,
                },
                (Field::Number(mine), Some(number)) => Holds::of(*mine == number),
                // Protocols may come as numbers; this packet's is 6.
                (Field::Name(name), Some(number)) if name == "tcp" => Holds::of(number == 6),
                _ => Holds::Unknown,
            },
            // `fib … oif missing`.
            Json::Bool(present) => match field {
                Field::Name(name) if name == "present" => Holds::of(*present),
                _ => Holds::Unknown,
            },
            Json::Object(object) => match object.iter().next() {
                Some((kind, body)) => self.compare_object(chain, field, kind, body),
                None => Holds::Unknown,
            },
            Json::Null => Holds::Unknown,
        }
    }

    fn compare_object(&self, chain: &Chain, field: &Field, kind: &str, body: &Json) -> Holds {
        match (kind, field) {
            ("set", _) => self.compare(chain, field, body),
            ("elem", _) => self.compare(chain, field, &body["val"]),
            ("prefix", Field::Ip(ip)) => {
                let network = body["addr"].as_str().and_then(|it| it.parse().ok());
                let length = body["len"].as_u64().and_then(|it| u8::try_from(it).ok());
                match (network, length) {
                    (Some(network), Some(length)) => Holds::of(within(*ip, network, length)),
                    _ => Holds::Unknown,
                }
            }
            ("range", Field::Ip(ip)) => {
                let bound = |index: usize| body[index].as_str().and_then(|it| it.parse::<IpAddr>().ok());
                match (bound(0), bound(1)) {
                    (Some(low), Some(high)) => Holds::of(low <= *ip && *ip <= high),
                    _ => Holds::Unknown,
                }
            }
            ("range", Field::Ports(ports)) => {
                let bound = |index: usize| body[index].as_u64().and_then(|it| u16::try_from(it).ok());
                match (bound(0), bound(1)) {
                    (Some(low), Some(high)) => Holds::ports(ports, low, high),
                    _ => Holds::Unknown,
                }
            }
            ("range", Field::Number(number)) => match (body[0].as_u64(), body[1].as_u64()) {
                (Some(low), Some(high)) => Holds::of(low <= *number && *number <= high),
                _ => Holds::Unknown,
            },
            _ => Holds::Unknown,
        }
    }

    fn set(&self, chain: &Chain, text: &str) -> Option<&Vec<Json>> {
        let name = text.strip_prefix('@')?.to_owned();
        self.sets.get(&(chain.family.clone(), chain.table.clone(), name))
    }

    /// `ip daddr . tcp dport` against `{ 10.0.0.1 . 80 }`.
    fn concatenation(&self, chain: &Chain, left: &Json, right: &Json, at: &At) -> Holds {
        let elements = match right {
            Json::String(name) => self.set(chain, name),
            right => right["set"].as_array(),
        };
        let single = std::slice::from_ref(right);
        let elements = match elements {
            Some(elements) => elements.as_slice(),
            None if right["concat"].is_array() => single,
            None => return Holds::Unknown,
        };
        Holds::any(elements.iter().map(|it| self.concatenated(chain, left, it, at)))
    }

    fn concatenated(&self, chain: &Chain, left: &Json, element: &Json, at: &At) -> Holds {
        let element = if element["elem"].is_object() { &element["elem"]["val"] } else { element };
        let (Some(fields), Some(values)) = (left["concat"].as_array(), element["concat"].as_array()) else {
            return Holds::Unknown;
        };
        fields.iter().zip(values).fold(Holds::Yes, |holds, (field, value)| {
            holds.and(match self.field(field, at) {
                Field::Absent => Holds::No,
                field => self.compare(chain, &field, value),
            })
        })
    }

    /// The verdict of a map for this packet: none when the key is not in it, an error when that cannot be told.
    fn look_up<'a>(
        &'a self,
        chain: &Chain,
        body: &'a Json,
        at: &At,
    ) -> Result<Option<(&'a str, &'a Json)>, ()> {
        let key = &body["key"];
        let pairs = match &body["data"] {
            Json::String(name) => self.set(chain, name).ok_or(())?,
            data => data["set"].as_array().ok_or(())?,
        };
        let field = self.field(key, at);
        if matches!(field, Field::Absent) {
            return Ok(None);
        }
        for pair in pairs {
            let holds = match &field {
                Field::Unknown if key["concat"].is_array() => self.concatenated(chain, key, &pair[0], at),
                Field::Unknown => Holds::Unknown,
                field => self.compare(chain, field, &pair[0]),
            };
            match holds {
                Holds::Yes => {
                    return Ok(pair[1]
                        .as_object()
                        .and_then(|it| it.iter().next())
                        .map(|(a, b)| (a.as_str(), b)));
                }
                Holds::Unknown => return Err(()),
                Holds::No => {}
            }
        }
        Ok(None)
    }

    /// The counter of a rule.
    pub(super) fn packets(&self, family: &str, table: &str, chain: &str, handle: u64) -> Option<u64> {
        let key = (family.to_owned(), table.to_owned(), chain.to_owned());
        let chain = &self.chains[*self.by_name.get(&key)?];
        let rule = chain.rules.iter().find(|it| it.handle == handle)?;
        match rule.statements.iter().find_map(|it| it.get("counter"))? {
            Json::String(name) => self.counters.get(&(key.0, key.1, name.clone())).copied(),
            counter => counter["packets"].as_u64(),
        }
    }
}

impl Chain {
    /// Whether iptables-nft keeps it; the base chain of such a table has one of iptables' names, in its capitals.
    fn is_of_iptables(&self) -> bool {
        matches!(self.family.as_str(), "ip" | "ip6")
            && IPTABLES_TABLES.contains(&self.table.as_str())
            && self.base.is_some()
            && IPTABLES_CHAINS.contains(&self.name.as_str())
    }

    fn place(&self, handle: Option<u64>) -> Place {
        Place::Nft {
            family: self.family.clone(),
            table: self.table.clone(),
            chain: self.name.clone(),
            handle,
        }
    }
}

/// `wg*` stands for every name that begins so.
fn same_name(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

fn mentions_user(left: &Json) -> bool {
    match left {
        Json::Object(object) => object.values().any(mentions_user),
        Json::Array(values) => values.iter().any(mentions_user),
        Json::String(text) => text == "skuid" || text == "skgid",
        _ => false,
    }
}

/// A SYN on its way there, SYN and ACK on the way back.
fn flags_of(at: &At) -> u8 {
    if at.packet.reply { 0x12 } else { 0x02 }
}

/// `syn`, `["syn", "ack"]`, `{"|": [...]}`, or a number.
fn flag_bits(json: &Json) -> Option<u8> {
    match json {
        Json::String(name) => Some(match name.as_str() {
            "fin" => 0x01,
            "syn" => 0x02,
            "rst" => 0x04,
            "psh" => 0x08,
            "ack" => 0x10,
            "urg" => 0x20,
            "ecn" => 0x40,
            "cwr" => 0x80,
            _ => return None,
        }),
        Json::Array(names) => names.iter().map(flag_bits).try_fold(0, |all, bits| Some(all | bits?)),
        Json::Object(object) => flag_bits(object.get("|")?),
        Json::Number(number) => u8::try_from(number.as_u64()?).ok(),
        _ => None,
    }
}

/// How a rule is named until its text is known.
pub(super) fn reference(family: &str, table: &str, chain: &str, handle: u64) -> String {
    format!("rule {handle} of {family} {table} {chain}")
}

pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("rule ") || text.contains(": rule ")
}

/// The text of every rule, by its reference, out of `nft -a list ruleset`.
pub(super) fn lines(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let (mut family, mut table, mut chain) = ("", "", "");
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("table"), Some(one), Some(other)) => (family, table, chain) = (one, other, ""),
            (Some("chain"), Some(name), Some("{")) => chain = name,
            (Some("}"), ..) => chain = "",
            _ if !chain.is_empty() => {
                if let Some((rule, handle)) = line.rsplit_once(" # handle ")
                    && let Ok(handle) = handle.trim().parse()
                {
                    found.insert(reference(family, table, chain, handle), rule.trim().to_owned());
                }
            }
            _ => {}
        }
    }
    found
}
