//! Whether nginx runs with something else than its files say, and whether the files would help a group of failures.

use jiff::{SignedDuration, Timestamp};
use nginx_conf::{Pass, Setting, Span, Target};
use nginx_logs::Symptom;
use nginx_logs::error::Level;
use snapshot::{Answer, ConfigFile, ConnectOutcome, Peer};

use crate::case::{Blind, Case};
use crate::groups;
use crate::heard;
use crate::own_answers;
use crate::scene::Scene;
use crate::verdict::Fact;

/// Slack between a file's time stamp and a process's start, which the kernel counts in ticks since boot.
const START_SLACK: SignedDuration = SignedDuration::from_millis(300);

/// nginx stamps its log lines with whole seconds, rounded down.
const WHOLE_SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A request that ended before this share of a timeout did not end by it.
const CLEARLY_EARLIER: f64 = 0.8;

/// Files that changed after nginx took them over.
pub struct Edited<'a> {
    /// When nginx last took over its files.
    pub loaded_at: Timestamp,
    /// Those that changed since, the last one first.
    pub files: Vec<(&'a ConfigFile, Timestamp)>,
}

impl Edited<'_> {
    /// When the last change was made.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.files.first().map(|(_, at)| *at)
    }

    /// As evidence: which file is newer than what runs.
    pub fn fact(&self, scene: &Scene) -> Option<Fact> {
        self.fact_of(scene, self.files.first()?)
    }

    /// The same about the file in which a directive stands, if that one changed.
    pub fn fact_about(&self, scene: &Scene, span: Span) -> Option<Fact> {
        let path = scene.config.path(span.file).to_str()?;
        self.fact_of(scene, self.files.iter().find(|(it, _)| it.path == path)?)
    }

    fn fact_of(&self, scene: &Scene, (file, at): &(&ConfigFile, Timestamp)) -> Option<Fact> {
        let loaded = scene.clock(self.loaded_at);
        let says = format!(
            "{} changed at {}; nginx last loaded its configuration at {loaded}",
            file.path,
            scene.clock(*at)
        );
        Some(Fact::new("config", says).reference(file.path.clone()).at(*at))
    }
}

/// A buffer of this size in the files was raised by somebody: the default is a page, of 4 or 8 KiB.
const RAISED_BYTES: u64 = 16 << 10;

/// What changed since nginx loaded its configuration; none when nginx does not run.
pub fn edited<'a>(scene: &Scene<'a>) -> Result<Option<Edited<'a>>, Blind> {
    let (Some(nginx), Some(loaded_at)) = (scene.nginx, scene.loaded_at()) else { return Ok(None) };
    let config = Blind::of("configuration files", &nginx.config)?;
    let changed = |it: &ConfigFile| it.modified_at.max(it.changed_at);
    let later = config
        .value
        .files
        .iter()
        .filter_map(|it| Some((it, changed(it).filter(|at| *at > loaded_at + START_SLACK)?)));
    let mut files: Vec<(&ConfigFile, Timestamp)> = later.collect();
    files.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    Ok(Some(Edited { loaded_at, files }))
}

/// Why a reload was refused, or would be.
pub struct Refusal {
    /// nginx's words, or ours about the files.
    pub why: String,
    /// `file:line`, where the words name one.
    pub place: Option<String>,
    /// Where it was seen.
    pub fact: Fact,
    /// nginx itself said so.
    pub seen: bool,
}

/// The last refusal that still stands: nobody changed a file after it, and no load has succeeded since.
pub fn refusal(scene: &Scene, edited: &Edited) -> Option<Refusal> {
    let emergency = scene.failures.notices.iter().rev().find(|it| {
        it.level == Level::Emerg && it.at + WHOLE_SECOND > edited.loaded_at && !is_of_a_worker(&it.message)
    });
    if let Some(it) = emergency.filter(|it| edited.last_at().is_none_or(|at| it.at + WHOLE_SECOND >= at)) {
        let fact = Fact::new("error-log", format!("[emerg] {}", it.message));
        return Some(Refusal {
            why: brief(&it.message),
            place: place_in(&it.message),
            fact: fact.reference(it.reference.clone()).at(it.at),
            seen: true,
        });
    }
    let problem = scene.config.problems.first()?;
    let place = scene.config.exact_place(problem.span);
    let fact = Fact::new("config", format!("{place}: {}", problem.message)).reference(place.clone());
    Some(Refusal { why: problem.message.clone(), place: Some(place), fact, seen: false })
}

/// A complaint without OpenSSL's queue of errors, which says the same three times over.
pub fn brief(message: &str) -> String {
    let Some((head, queue)) = message.split_once(": BIO_new_file() failed") else {
        return message.chars().take(240).collect();
    };
    let reasons = [("No such file", ": no such file"), ("Permission denied", ": permission denied")];
    let reason = reasons.iter().find(|(words, _)| queue.contains(words)).map_or("", |(_, it)| it);
    format!("{head}{reason}")
}

/// Emergencies that a running worker has with memory or threads; they are no refusal.
fn is_of_a_worker(message: &str) -> bool {
    ["malloc(", "memalign(", "posix_memalign(", "pthread_"].iter().any(|it| message.starts_with(it))
}

/// The `file:line` at the end of "… in /etc/nginx/nginx.conf:14".
pub fn place_in(message: &str) -> Option<String> {
    let (_, place) = message.rsplit_once(" in ")?;
    let (file, line) = place.trim().rsplit_once(':')?;
    (file.starts_with('/') && !line.is_empty() && line.bytes().all(|it| it.is_ascii_digit()))
        .then(|| place.trim().to_owned())
}

/// How the files would help.
pub struct Help {
    /// What runs, against what the files say: a clause for "nginx still …".
    pub difference: String,
    /// What shows it.
    pub facts: Vec<Fact>,
    /// What was seen cannot happen with the files as they are.
    pub proven: bool,
}

/// How the files as they are would help the group, if they would; else why not, where that is worth saying.
pub fn help(case: &Case, edited: &Edited) -> Result<Help, Option<String>> {
    let after_load = |at: Timestamp| at > edited.loaded_at;
    if !after_load(case.group.last) || by_old_workers(case) {
        return Err(None);
    }
    let found = match case.group.symptom {
        Symptom::ReadTimeout | Symptom::SendTimeout | Symptom::ConnectTimeout | Symptom::SslTimeout => {
            by_timeout(case, edited)
        }
        Symptom::BodyTooLarge => by_body_size(case),
        Symptom::SslVerify | Symptom::SslName => by_verification(case),
        Symptom::NoResolver => by_resolver(case),
        Symptom::HeaderTooBig => by_header_buffer(case, edited),
        Symptom::UpstreamStatus => by_answer(case),
        _ => None,
    };
    match found {
        Some(help) => Ok(help),
        None => by_peer(case),
    }
}

/// Whether only workers that are shutting down, and so run an older configuration, had these failures.
fn by_old_workers(case: &Case) -> bool {
    let Some(master) = case.scene.nginx.and_then(|it| it.master.as_ref()) else { return true };
    let old = |pid: u32| master.workers.iter().any(|it| it.pid == pid && it.shutting_down);
    case.entries().next().is_some() && case.entries().all(|it| old(it.pid))
}

/// nginx dials a peer, or in a way, that the files do not have any more, and what they have instead works.
fn by_peer(case: &Case) -> Result<Help, Option<String>> {
    let Some(peer) = case.peer().filter(|_| !case.group.peer_in_files) else { return Err(None) };
    if matches!(peer, Peer::Group(_)) {
        return Err(None);
    }
    let scene = case.scene;
    let Some(pass) = pass_in_files(case) else { return Err(None) };
    let addresses = pass.addresses(scene.view);
    let same_port = |it: &Peer| match (it, peer) {
        // A name stands for addresses that may have changed since; then the name has moved, not the file.
        (Peer::Name { port, .. }, Peer::Tcp(dialled)) => *port == dialled.port(),
        _ => false,
    };
    let peers: Vec<Peer> = addresses.iter().filter_map(|it| it.address.parse().ok()).collect();
    if peers.is_empty()
        || peers.iter().any(same_port)
        || matches!(pass.target, Target::Variable(_)) && pass.constant.is_none()
    {
        return Err(None);
    }
    let place = scene.place(addresses.first().map_or(pass.span, |it| it.span));
    let configured = pass.scheme.name();
    if let Some(same) = peers.iter().find(|it| groups::same_peer(it, peer, scene.snapshot)) {
        if configured == case.group.scheme || case.group.scheme.is_empty() {
            return Err(None);
        }
        let greeting = scene.sight(same).and_then(|sight| {
            let wanted = heard::expected(configured)?;
            sight.greetings.iter().find(|it| it.protocol == wanted)
        });
        if greeting.is_none_or(|it| it.answer != Answer::Spoken) {
            return Err(None);
        }
        return Ok(Help {
            difference: format!(
                "speaks {} to {peer}, while the files say {}",
                heard::scheme_name(&case.group.scheme),
                heard::scheme_name(configured)
            ),
            facts: vec![
                Fact::new("config", format!("the files pass to {configured}://{same}")).reference(place),
                Fact::new("probe", format!("{same} speaks {}", heard::scheme_name(configured))),
            ],
            proven: true,
        });
    }
    let Some((works, how)) = peers.iter().find_map(|it| Some((it, works(scene, it)?))) else {
        let first = &peers[0];
        return Err(Some(format!("the files lead to {first} instead, and that does not answer either")));
    };
    Ok(Help {
        difference: format!("dials {peer}, while the files lead to {works}"),
        facts: vec![
            Fact::new("config", format!("the files lead to {works} there, not to {peer}")).reference(place),
            how,
        ],
        proven: true,
    })
}

/// That somebody takes connections at an address.
fn works(scene: &Scene, peer: &Peer) -> Option<Fact> {
    if let Some(ConnectOutcome::Connected { .. }) = scene.sight(peer).and_then(|it| it.connect.value()) {
        return Some(Fact::new("probe", format!("{peer} accepts connections")));
    }
    let listens = match peer {
        Peer::Tcp(address) => scene.listener_at(*address).ok()?.is_some(),
        Peer::Unix(path) => scene.unix_listener_at(path).ok()?.is_some(),
        Peer::Name { .. } | Peer::Group(_) => false,
    };
    listens.then(|| Fact::new("socket", format!("{peer} is listening")))
}

/// The pass that the group's requests have in the files: by route, else the only one of its scheme in its server.
fn pass_in_files<'s>(case: &Case<'s, '_>) -> Option<&'s Pass<'s>> {
    let view = case.scene.view;
    if let Some(index) = case.group.pass {
        return view.passes().get(index);
    }
    let entry = case.entries().next_back();
    let access = case.accesses().next_back();
    let hosts = [
        entry.map(|it| it.host.as_str()),
        Some(case.group.server.as_str()),
        access.map(|it| it.host.as_str()),
    ];
    let path = case.group.paths.first().map_or("/", |(path, _)| path.as_str());
    for host in hosts.into_iter().flatten() {
        let Some(route) = view.route(host, None, path) else { continue };
        if let Some(pass) = route.pass.or(route.fallback.and_then(|(_, pass)| pass)) {
            return Some(pass);
        }
    }
    let mut same = view.passes().iter().filter(|it| it.scheme.name() == case.group.scheme);
    same.next().filter(|_| same.next().is_none())
}

/// Requests ended long before the timeout that the files give them.
fn by_timeout(case: &Case, edited: &Edited) -> Option<Help> {
    let scene = case.scene;
    // Of several passes to the peer the one with the shortest timeout counts: the request may have been any one's.
    let passes: Vec<&Pass> = match case.peer() {
        Some(peer) => scene
            .view
            .passes()
            .iter()
            .filter(|it| groups::leads_to(it, peer, scene.view, scene.snapshot))
            .collect(),
        None => scene.pass(case.group).into_iter().collect(),
    };
    let timeouts = passes.into_iter().map(|pass| {
        let settings = &pass.settings;
        let prefix = pass.scheme.module().prefix();
        let (setting, name) = match case.group.symptom {
            Symptom::ReadTimeout => (&settings.read_timeout, "read_timeout"),
            Symptom::SendTimeout => (&settings.send_timeout, "send_timeout"),
            _ => (&settings.connect_timeout, "connect_timeout"),
        };
        (setting.value.as_secs_f64(), setting.from, format!("{prefix}{name}"))
    });
    let (configured, from, name) = timeouts.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let fresh = case.accesses().filter(|it| it.at > edited.loaded_at);
    let waits = fresh.filter_map(|it| {
        let failed = it.attempts.iter().filter(|it| it.status == Some(504)).filter_map(|it| it.response_time);
        failed.reduce(f64::min).or(it.request_time.filter(|_| it.attempts.len() <= 1))
    });
    let (longest, count) = waits.fold((0.0_f64, 0), |(longest, count), it| (longest.max(it), count + 1));
    if count == 0 || longest >= configured * CLEARLY_EARLIER || heard::silent_on_all(case) {
        return None;
    }
    let place = match from {
        Some(span) => format!("{name} {} in {}", seconds(configured), scene.place(span)),
        None => format!("nginx's default {name}, {}", seconds(configured)),
    };
    let last = case.accesses().next_back()?;
    let observed = format!("nginx gave up after {longest:.1} s at the latest, {}", crate::case::times(count));
    let config = Fact::new("config", format!("the files give these requests {place}"));
    let config = match from {
        Some(span) => config.reference(scene.place(span)),
        None => config,
    };
    Some(Help {
        difference: format!(
            "gives up after {longest:.1} s, while the files say {} ({name})",
            seconds(configured)
        ),
        facts: vec![Fact::new("access-log", observed).reference(last.reference.clone()).at(last.at), config],
        proven: true,
    })
}

fn seconds(seconds: f64) -> String {
    if seconds >= 1.0 { format!("{seconds:.0} s") } else { format!("{:.0} ms", seconds * 1000.0) }
}

/// nginx refused a body that the files allow.
fn by_body_size(case: &Case) -> Option<Help> {
    let pass = case.scene.pass(case.group)?;
    let limit: &Setting<u64> = &pass.settings.client_max_body_size_bytes;
    let entry = case.entries().next_back()?;
    let size: u64 = entry.message.split(": ").nth(1)?.split(' ').next()?.parse().ok()?;
    if limit.value != 0 && size > limit.value {
        return None;
    }
    let allowed = if limit.value == 0 { "any size".to_owned() } else { format!("{} bytes", limit.value) };
    let config = Fact::new("config", format!("the files allow {allowed} (client_max_body_size)"));
    let config = match limit.from {
        Some(span) => config.reference(case.scene.place(span)),
        None => config,
    };
    let says = format!("a body of {size} bytes was refused");
    Some(Help {
        difference: format!("refuses bodies of {size} bytes, while the files allow {allowed}"),
        facts: vec![Fact::new("error-log", says).reference(entry.reference.clone()).at(entry.at), config],
        proven: true,
    })
}

/// nginx verified a certificate, which the files do not ask for.
fn by_verification(case: &Case) -> Option<Help> {
    let pass = case.scene.pass(case.group)?;
    if pass.settings.ssl_verify.value {
        return None;
    }
    let span = pass.settings.ssl_verify.from.unwrap_or(pass.span);
    Some(Help {
        difference: format!(
            "verifies the certificate of {}, while the files say it should not",
            case.peer_name()
        ),
        facts: vec![
            Fact::new("config", "the files ask for no verification there").reference(case.scene.place(span)),
        ],
        proven: true,
    })
}

/// nginx lacks a resolver that the files have.
fn by_resolver(case: &Case) -> Option<Help> {
    let pass = pass_in_files(case)?;
    let resolver = pass.settings.resolver.value.as_ref()?;
    let addresses = resolver.addresses.join(", ");
    let span = pass.settings.resolver.from.unwrap_or(pass.span);
    Some(Help {
        difference: format!("has no resolver there, while the files name {addresses}"),
        facts: vec![
            Fact::new("config", format!("the files have resolver {addresses}"))
                .reference(case.scene.place(span)),
        ],
        proven: true,
    })
}

/// The buffer's size stands in a file that changed since; which size runs cannot be seen.
fn by_header_buffer(case: &Case, edited: &Edited) -> Option<Help> {
    let pass = case.scene.pass(case.group)?;
    let size: &Setting<u64> = &pass.settings.buffer_size_bytes;
    let span = size.from?;
    let changed = edited.fact_about(case.scene, span).filter(|_| size.value >= RAISED_BYTES)?;
    let directive = format!("{}buffer_size", pass.scheme.module().prefix());
    let kib = size.value / 1024;
    Some(Help {
        difference: format!("may have a smaller {directive} than the {kib} KiB of the files"),
        facts: vec![
            Fact::new("config", format!("{directive} {kib}k stands there")).reference(case.scene.place(span)),
            changed,
        ],
        proven: false,
    })
}

/// nginx answered by itself, and the files hold no such answer any more.
fn by_answer(case: &Case) -> Option<Help> {
    let last = case.accesses().next_back()?;
    let alone = case.accesses().all(|it| it.tells_upstream && it.attempts.is_empty());
    let pass = pass_in_files(case)?;
    if !alone || !own_answers::find(case).is_empty() || !own_answers::limits(case).is_empty() {
        return None;
    }
    let status = last.status;
    let says = format!("the files pass these requests to {} and answer no {status} there", pass.written);
    Some(Help {
        difference: format!("answers {status} by itself, which the files do not ask for"),
        facts: vec![Fact::new("config", says).reference(case.scene.place(pass.span))],
        proven: false,
    })
}

/// How nginx is reloaded on this host.
pub fn command(scene: &Scene) -> String {
    match scene.nginx_unit() {
        Some(unit) if unit.active_state == "active" => format!("nginx -t && systemctl reload {}", unit.name),
        _ => "nginx -t && nginx -s reload".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_certificate_is_told_in_a_few_words() {
        let message = "cannot load certificate \"/etc/x.crt\": BIO_new_file() failed (SSL: error:80000002:system library::No \
            such file or directory:calling fopen(/etc/x.crt, r) error:10000080:BIO routines::no such file)";
        assert_eq!(brief(message), "cannot load certificate \"/etc/x.crt\": no such file");
        assert_eq!(brief("unexpected end of file"), "unexpected end of file");
    }

    #[test]
    fn the_place_of_an_emergency_is_its_file_and_line() {
        assert_eq!(
            place_in("unexpected \"}\" in /etc/nginx/x.conf:14").as_deref(),
            Some("/etc/nginx/x.conf:14")
        );
        assert_eq!(place_in("cannot load certificate \"/etc/x.crt\""), None);
        assert_eq!(place_in("bind() to 0.0.0.0:80 failed in vain: 3"), None);
    }

    #[test]
    fn files_that_changed_after_the_load_are_found_by_either_time() {
        let edited = |modified: i64, changed: i64| {
            let host = crate::testing::configured("").with(|it| {
                let snapshot::Reading::Seen(nginx) = &mut it.nginx else { return };
                let snapshot::Reading::Seen(files) = &mut nginx.value[0].config else { return };
                files.value.files[0].modified_at = Some(crate::testing::ago(modified));
                files.value.files[0].changed_at = Some(crate::testing::ago(changed));
            });
            crate::testing::with_scene(&host, |scene| {
                edited(scene).unwrap().is_some_and(|it| !it.files.is_empty())
            })
        };
        let day = 86_400;
        assert!(!edited(2 * day, 2 * day), "before the load");
        assert!(edited(60, 60), "after it");
        assert!(edited(2 * day, 60), "moved into place with its old time");
    }
}
