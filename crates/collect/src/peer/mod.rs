//! What is known of each address that nginx dials: the path to its socket, the route, the packet filter's verdict, a
//! connection attempt, what answers, what its name means now.
//!
//! Everything here looks as nginx would: from its network namespace, below its root directory, with its worker's user.
//! Nothing here may outlast the deadline, whatever hangs; a part that does is said to have timed out.

mod filter;
pub(crate) mod path;
mod resolve;
mod route;

use std::collections::VecDeque;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use snapshot::{
    Answer, ConnectOutcome, FilterVerdict, Greeting, Lookup, Neighbour, PathNode, Peer, PeerSight, Protocol,
    Reading, Reason, Resolution, Route, TlsFlight, Unread, WorkerUser,
};

use crate::probe::connect::{self, Target};
use crate::probe::{self, Names, certificates};
use filter::{Decision, Packet, Rules};
use route::Kernel;

/// An address to look at, and how nginx speaks to it.
#[derive(Debug, Clone)]
pub struct PeerRequest {
    /// The address.
    pub peer: Peer,
    /// nginx's URL schemes for it: `http`, `https`, `fastcgi`, `uwsgi`, `grpc` …
    pub schemes: Vec<String>,
    /// The name in the configuration that gave this address, when it was a name.
    pub name: Option<String>,
    /// The arguments of the `resolver` directive in force: servers, and parameters such as `ipv6=off`.
    pub resolvers: Vec<String>,
    /// The name for SNI, when nginx sends one.
    pub ssl_name: Option<String>,
    /// The Host header that nginx sends, when it is constant.
    pub host_header: Option<String>,
    /// Whether the logs show failures at this address.
    pub failing: bool,
}

/// From where to look, and how far.
#[derive(Debug, Clone)]
pub struct PeerContext<'a> {
    /// The user of nginx's workers, for permissions and for `skuid` rules.
    pub worker_user: Option<&'a WorkerUser>,
    /// nginx's root directory, when it is not the collector's.
    pub root: Option<&'a Path>,
    /// The network namespace to look from, `/proc/PID/ns/net`; none when it is the collector's own.
    pub network: Option<PathBuf>,
    /// When everything has to be over.
    pub deadline: Instant,
    /// How far probes may go.
    pub probe: ProbeLevel,
    /// The snapshot's "now".
    pub collected_at: Timestamp,
}

/// How far probes may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeLevel {
    /// Connections and greetings.
    Full,
    /// Connections only.
    Connect,
    /// No packet leaves.
    None,
}

/// The whole call takes no longer, whatever the deadline of the collection is.
const LONGEST: Duration = Duration::from_millis(1250);
/// A connection that is not made by then is one that times out for nginx's clients as well.
const CONNECT: Duration = Duration::from_millis(700);
/// The rules, the routes: all that comes before the first connection.
const PREPARATION: Duration = Duration::from_millis(450);
const RESOLUTION: Duration = Duration::from_millis(1000);
/// After connecting: both rounds of greetings, and the last one.
const GREETINGS: Duration = Duration::from_millis(900);
/// By then the first packet of every connection has met the rules.
const COUNTERS_AFTER: Duration = Duration::from_millis(150);
/// With more peers than these, only the failing ones are greeted.
const MOST_GREETED: usize = 20;
/// Addresses that a name has now and had not when nginx dialled it: one that answers is enough.
const MOST_ELSEWHERE: usize = 2;
/// Threads that wait at a time.
const MOST_THREADS: usize = 64;
const STACK_BYTES: usize = 256 << 10;

/// What was found out, and for which of the requests.
enum Part {
    Path(Reading<Vec<PathNode>>),
    Route(Reading<Route>),
    Neighbour(Reading<Option<Neighbour>>),
    Filter(Reading<FilterVerdict>),
    Connect(Reading<ConnectOutcome>),
    Greetings(Vec<Greeting>),
    TlsFlight(Option<TlsFlight>),
    Resolution(Reading<Resolution>),
    /// A connection to another address of the same name.
    Elsewhere(SocketAddr, Reading<ConnectOutcome>),
}

/// What the threads share. They own it: one that hangs in a dead file system is left behind at the deadline.
struct Task {
    requests: Vec<PeerRequest>,
    user: Option<WorkerUser>,
    root: Option<PathBuf>,
    network: Option<PathBuf>,
    deadline: Instant,
    probe: ProbeLevel,
    now: Timestamp,
}

type Answers = mpsc::Sender<(usize, Part)>;

/// Looks at all peers side by side.
pub fn look(requests: &[PeerRequest], context: &PeerContext) -> Vec<PeerSight> {
    let started = Instant::now();
    let task = Arc::new(Task {
        requests: requests.to_vec(),
        user: context.worker_user.cloned(),
        root: context.root.map(Path::to_owned),
        network: context.network.clone(),
        deadline: context.deadline.min(started + LONGEST),
        probe: context.probe,
        now: context.collected_at,
    });
    let mut sights: Vec<PeerSight> = requests.iter().map(|it| expected(it, context.probe)).collect();
    let (answers, arriving) = mpsc::channel();
    for (index, request) in requests.iter().enumerate() {
        if let Peer::Unix(path) = &request.peer {
            let (path, answers) = (path.clone(), answers.clone());
            start(&task, move |task| task.unix(index, &path, &answers));
        }
    }
    if requests.iter().any(|it| matches!(it.peer, Peer::Tcp(_))) {
        let answers = answers.clone();
        start(&task, move |task| task.tcp(&answers));
    }
    for (index, request) in requests.iter().enumerate() {
        let Some(name) = name_of(request) else { continue };
        let same = |it: &PeerRequest| name_of(it) == Some(name) && it.resolvers == request.resolvers;
        if requests[..index].iter().any(same) {
            continue;
        }
        let name = name.to_owned();
        let all: Vec<usize> = (index..requests.len()).filter(|it| same(&requests[*it])).collect();
        let answers = answers.clone();
        start(&task, move |task| task.name(&name, &all, &answers));
    }
    drop(answers);
    loop {
        match arriving.recv_timeout(task.deadline.saturating_duration_since(Instant::now())) {
            Ok((index, part)) => {
                let Some(sight) = sights.get_mut(index) else { continue };
                match part {
                    Part::Path(it) => sight.path = it,
                    Part::Route(it) => sight.route = it,
                    Part::Neighbour(it) => sight.neighbour = it,
                    Part::Filter(it) => sight.filter = it,
                    Part::Connect(it) => sight.connect = it,
                    Part::Greetings(it) => sight.greetings = it,
                    Part::TlsFlight(it) => sight.tls_flight = it,
                    Part::Resolution(it) => sight.resolution = it,
                    Part::Elsewhere(address, connect) => {
                        let mut other = PeerSight::new(Peer::Tcp(address));
                        (other.schemes, other.name) = (sight.schemes.clone(), sight.name.clone());
                        other.connect = connect;
                        sights.push(other);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return sights,
        }
    }
}

/// A sight in which all that will be asked counts as unanswered.
fn expected(request: &PeerRequest, probe: ProbeLevel) -> PeerSight {
    fn late<T>(source: &str) -> Reading<T> {
        Reading::unread(Reason::TimedOut, source, "no answer before the deadline")
    }
    let mut sight = PeerSight::new(request.peer.clone());
    sight.schemes = request.schemes.clone();
    sight.name = request.name.clone();
    let dialled = match &request.peer {
        Peer::Tcp(_) => {
            sight.route = late("rtnetlink");
            sight.neighbour = late("rtnetlink");
            sight.filter = late("nft, iptables-save");
            true
        }
        Peer::Unix(path) => {
            sight.path = late(path);
            true
        }
        Peer::Name { .. } | Peer::Group(_) => false,
    };
    if dialled && probe != ProbeLevel::None {
        sight.connect = late("connect()");
    }
    if name_of(request).is_some() {
        sight.resolution = late("getent ahosts");
    }
    sight
}

fn name_of(request: &PeerRequest) -> Option<&str> {
    match &request.peer {
        Peer::Name { host, .. } => Some(host),
        _ => request.name.as_deref(),
    }
}

/// Runs a part on a thread of its own. When there is no thread to be had, that part stays unanswered.
fn start(task: &Arc<Task>, part: impl FnOnce(&Task) + Send + 'static) {
    let task = Arc::clone(task);
    let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || part(&task));
}

/// Threads and programs started from here on see nginx's network, this process otherwise keeps its own.
pub(crate) fn enter(network: Option<&Path>) -> Result<(), Unread> {
    let Some(network) = network else { return Ok(()) };
    let source = network.display().to_string();
    let file = File::open(network).map_err(|error| crate::host::obstacle(source.clone(), &error))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| crate::host::obstacle(source, &errno.into()))
}

impl Task {
    fn until(&self, span: Duration) -> Instant {
        self.deadline.min(Instant::now() + span)
    }

    fn name(&self, name: &str, requests: &[usize], answers: &Answers) {
        let resolution = match enter(self.network.as_deref()) {
            Ok(()) => {
                let resolvers = &self.requests[requests[0]].resolvers;
                let deadline = self.until(RESOLUTION);
                let resolution = resolve::resolve(name, resolvers, self.root.as_deref(), deadline);
                Reading::seen(resolution, format!("getent ahosts {name}"), self.now)
            }
            Err(unread) => Reading::Unread(unread),
        };
        for index in requests {
            // Nobody listens any more after the deadline.
            let _ = answers.send((*index, Part::Resolution(resolution.clone())));
        }
        if let Some(resolution) = resolution.value().filter(|_| self.probe != ProbeLevel::None) {
            self.elsewhere(resolution, requests, answers);
        }
    }

    /// Where a failing peer's name points now, and nobody looks yet: does anybody take connections there?
    fn elsewhere(&self, resolution: &Resolution, requests: &[usize], answers: &Answers) {
        let found = [&resolution.system].into_iter().chain(resolution.resolvers.iter().map(|it| &it.1));
        let ips = found.filter_map(|it| if let Lookup::Found(ips) = it { Some(ips) } else { None }).flatten();
        let failing = requests.iter().filter(|it| self.requests[**it].failing);
        let port = |it: &usize| match self.requests[*it].peer {
            Peer::Tcp(dialled) => Some((*it, dialled.port())),
            _ => None,
        };
        let ports: Vec<(usize, u16)> = failing.filter_map(port).collect();
        let mut dialled: Vec<SocketAddr> = Vec::new();
        for ip in ips {
            for (index, port) in &ports {
                let address = SocketAddr::new(*ip, *port);
                let known = dialled.contains(&address)
                    || self.requests.iter().any(|it| it.peer == Peer::Tcp(address));
                let timeout = self.until(CONNECT).saturating_duration_since(Instant::now());
                if known || dialled.len() >= MOST_ELSEWHERE || timeout.is_zero() {
                    continue;
                }
                dialled.push(address);
                let (outcome, stream) = connect::attempt(&Target::Tcp(address), timeout);
                stream.into_iter().for_each(probe::hang_up);
                let connect = Reading::seen(outcome, format!("connect() to {address}"), self.now);
                let _ = answers.send((*index, Part::Elsewhere(address, connect)));
            }
        }
    }

    fn unix(&self, index: usize, path: &str, answers: &Answers) {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        let target = match path::walk(root, path, self.user.as_ref()) {
            Ok(walk) => {
                let _ = answers.send((index, Part::Path(Reading::seen(walk.nodes, path, self.now))));
                walk.end
            }
            Err(obstacle) => {
                let unread = crate::host::obstacle(obstacle.step.display().to_string(), &obstacle.error);
                let _ = answers.send((index, Part::Path(Reading::Unread(unread))));
                path::below(root, Path::new(path))
            }
        };
        self.dial(index, &Target::Unix(target), answers);
    }

    /// Connects, and greets what answers.
    fn dial(&self, index: usize, target: &Target, answers: &Answers) {
        if self.probe == ProbeLevel::None {
            return;
        }
        let request = &self.requests[index];
        let timeout = self.until(CONNECT).saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            return;
        }
        let (outcome, stream) = connect::attempt(target, timeout);
        let source = format!("connect() to {}", request.peer);
        let _ = answers.send((index, Part::Connect(Reading::seen(outcome, source, self.now))));
        let Some(stream) = stream else { return };
        if self.probe == ProbeLevel::Connect || !(request.failing || self.requests.len() <= MOST_GREETED) {
            return probe::hang_up(stream);
        }
        let host = request.host_header.clone().or_else(|| request.name.clone());
        let host = host.unwrap_or_else(|| match &request.peer {
            Peer::Tcp(address) => address.to_string(),
            _ => "localhost".into(),
        });
        let names = Names { ssl_name: request.ssl_name.as_deref(), host: &host };
        let greetings = probe::greet(target, &request.schemes, &names, stream, self.until(GREETINGS));
        let speaks_tls =
            greetings.iter().any(|it| it.protocol == Protocol::Tls && it.answer == Answer::Spoken);
        let _ = answers.send((index, Part::Greetings(greetings)));
        if request.failing && speaks_tls {
            let flight = certificates::listen(target, request.ssl_name.as_deref(), self.until(GREETINGS));
            let _ = answers.send((index, Part::TlsFlight(flight)));
        }
    }

    /// All TCP peers: routes and rules first, then connections, then a second look at the counters of the rules.
    fn tcp(&self, answers: &Answers) {
        let peers: Vec<(usize, SocketAddr)> = self
            .requests
            .iter()
            .enumerate()
            .filter_map(|(index, it)| match it.peer {
                Peer::Tcp(address) => Some((index, address)),
                _ => None,
            })
            .collect();
        if let Err(unread) = enter(self.network.as_deref()) {
            for (index, _) in peers {
                let _ = answers.send((index, Part::Route(Reading::Unread(unread.clone()))));
                let _ = answers.send((index, Part::Neighbour(Reading::Unread(unread.clone()))));
                let _ = answers.send((index, Part::Filter(Reading::Unread(unread.clone()))));
                if self.probe != ProbeLevel::None {
                    let _ = answers.send((index, Part::Connect(Reading::Unread(unread.clone()))));
                }
            }
            return;
        }
        let prepared = self.until(PREPARATION);
        // Threads inherit the network namespace that was just entered.
        let (rules, routes) = thread::scope(|scope| {
            let rules = scope.spawn(|| Rules::read(prepared));
            let routes = self.routes(&peers);
            (rules.join(), routes)
        });
        for (index, route, address) in &routes {
            let reading = route::reading(route.clone(), address.ip(), self.now);
            let _ = answers.send((*index, Part::Route(reading)));
        }
        let rules = rules.unwrap_or_else(|_| {
            Err(Unread {
                reason: Reason::Malformed,
                source: "nft, iptables-save".into(),
                detail: "our own fault".into(),
            })
        });
        let mut decisions = match &rules {
            Ok(rules) => self.judge(rules, &routes, prepared, answers),
            Err(unread) => {
                for (index, ..) in &routes {
                    let _ = answers.send((*index, Part::Filter(Reading::Unread(unread.clone()))));
                }
                Vec::new()
            }
        };
        let queue = Mutex::new(routes.iter().collect::<VecDeque<_>>());
        thread::scope(|scope| {
            for _ in 0..routes.len().min(MOST_THREADS) {
                let work = || {
                    loop {
                        let Some((index, route, address)) =
                            queue.lock().ok().and_then(|mut it| it.pop_front())
                        else {
                            return;
                        };
                        self.dial_tcp(*index, *address, route.as_ref().ok(), answers);
                    }
                };
                // The queue is shared: with fewer threads than wished it only takes longer.
                let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
            }
            decisions.retain(|(_, it)| it.has_counter());
            if self.probe == ProbeLevel::None || decisions.is_empty() {
                return;
            }
            thread::sleep(COUNTERS_AFTER);
            let Ok(later) = Rules::read(self.until(PREPARATION)) else { return };
            for (index, mut decision) in decisions {
                later.compare(&mut decision);
                let reading = Reading::seen(decision.verdict, later.source.clone(), self.now);
                let _ = answers.send((index, Part::Filter(reading)));
            }
        });
    }

    fn routes(&self, peers: &[(usize, SocketAddr)]) -> Vec<(usize, Result<Route, Unread>, SocketAddr)> {
        let kernel = Kernel::open(self.until(PREPARATION));
        let uid = self.user.as_ref().map(|it| it.uid);
        let route = |address: &SocketAddr| match &kernel {
            Ok(kernel) => kernel.route(address.ip(), uid),
            Err(unread) => Err(unread.clone()),
        };
        peers.iter().map(|(index, address)| (*index, route(address), *address)).collect()
    }

    /// The verdict for each peer that has a route; without one no packet ever meets the rules.
    fn judge(
        &self,
        rules: &Rules,
        routes: &[(usize, Result<Route, Unread>, SocketAddr)],
        deadline: Instant,
        answers: &Answers,
    ) -> Vec<(usize, Decision)> {
        let user = self.user.as_ref().map(|it| (it.uid, it.gid));
        let ports = filter::ephemeral_ports();
        let mut decisions = Vec::new();
        for (index, route, address) in routes {
            let decision = match route {
                Ok(Route { kind, interface, source: Some(source), .. }) if !interface.is_empty() => {
                    let local = kind == "local";
                    rules.judge(&Packet::syn(*address, *source, interface, local, user, ports.clone()))
                }
                Ok(route) => {
                    let detail = format!("no packet leaves: {}", route.text);
                    let unread = Reading::unread(Reason::NotAsked, rules.source.clone(), detail);
                    let _ = answers.send((*index, Part::Filter(unread)));
                    continue;
                }
                Err(unread) => {
                    let _ = answers.send((*index, Part::Filter(Reading::Unread(unread.clone()))));
                    continue;
                }
            };
            decisions.push((*index, decision));
        }
        rules.quote(&mut decisions.iter_mut().map(|(_, it)| it).collect::<Vec<_>>(), deadline);
        for (index, decision) in &decisions {
            let reading = Reading::seen(decision.verdict.clone(), rules.source.clone(), self.now);
            let _ = answers.send((*index, Part::Filter(reading)));
        }
        decisions
    }

    fn dial_tcp(&self, index: usize, address: SocketAddr, route: Option<&Route>, answers: &Answers) {
        self.dial(index, &Target::Tcp(address), answers);
        // Only after the attempt the kernel knows whether the neighbour answers.
        let Some(route) = route else { return };
        let neighbour = Kernel::open(self.deadline).and_then(|it| it.neighbour(address.ip(), route));
        let reading = match neighbour {
            Ok(neighbour) => Reading::seen(neighbour, "RTM_GETNEIGH", self.now),
            Err(unread) => Reading::Unread(unread),
        };
        let _ = answers.send((index, Part::Neighbour(reading)));
    }
}

#[cfg(test)]
mod tests;
