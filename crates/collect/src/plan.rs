//! The order of the collection: what needs nothing runs at once and side by side; what needs the processes, the
//! configuration or the logs follows as soon as those are there. Everything ends at one deadline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use snapshot::{OtherNetwork, Peer, PeerSight, Process, Reading, Snapshot, Unit, Window};

use crate::host::cgroups::Cgroups;
use crate::host::changes::Watched;
use crate::host::clock::Clock;
use crate::host::disks::Used;
use crate::host::machine::Machine;
use crate::host::processes::{Proc, Scan};
use crate::host::users::Users;
use crate::host::{changes, disks, journal, kernel, net, sockets, units};
use crate::nginx::{self, Instance, Wanted};
use crate::peer::{self, PeerContext};
use crate::task::{Task, start};
use crate::{Request, Span, backend_list, logs, peer_list, php_fpm};

/// The two readings of CPU counters are at least so far apart: they count in hundredths of a second.
const BETWEEN_READINGS: Duration = Duration::from_millis(150);

/// What is left of the time for putting everything together.
const RESERVE: Duration = Duration::from_millis(50);

/// The part of the time after which logs are read no further.
const SHARE_OF_LOGS: f64 = 0.5;

/// Instances of nginx whose logs and peers are looked at.
const MAX_INSTANCES: usize = 6;

/// Other network namespaces that are looked into; a busy host has one for each container.
const MAX_NETWORKS: usize = 32;

/// Units whose earlier journal is read.
const MAX_UNITS_TO_ASK: usize = 40;

/// Collects a snapshot.
pub fn run(request: &Request) -> Snapshot {
    let started = Instant::now();
    let clock = Clock::now();
    let deadline = started + request.deadline.saturating_sub(RESERVE);
    let window = window(request.span, &clock);
    let wanted = Wanted { pid: request.pid, config: request.config.clone(), prefix: request.prefix.clone() };

    // What needs nothing.
    let machine = Machine::host();
    let cpu_before = machine.cpu_time();
    let units_task = on_clock("systemctl show", &clock, move |clock| units::read(clock, deadline));
    let journal_task = {
        let at = clock.now;
        start("journalctl", move || journal::read(window, at, deadline))
    };
    let kernel_task = on_clock("/dev/kmsg", &clock, move |clock| kernel::read(window, clock, deadline));
    // These are the host's own, also where nginx lives in a container.
    let system_task = {
        let context = logs::Context {
            root: PathBuf::from("/"),
            window,
            zone: clock.zone.clone(),
            deadline: started + (deadline - started).mul_f64(SHARE_OF_LOGS),
            loaded_at: None,
        };
        start("the system's logs", move || logs::read_system(&context))
    };
    let users = Arc::new(Users::at("/".as_ref()));

    // Processes, and nginx among them.
    let proc = Proc::host();
    let processes_task = {
        let (proc, users) = (proc.clone(), users.clone());
        on_clock("/proc", &clock, move |clock| proc.list(clock, &users))
    };
    let processes = processes_task.finish(deadline).and_then(|it| it);
    let listed_at = Instant::now();
    let list = Arc::new(processes.clone().unwrap_or_default());
    let running = {
        let (proc, users, list, wanted) = (proc.clone(), users.clone(), list.clone(), wanted.clone());
        on_clock("nginx's configuration", &clock, move |clock| {
            let host = nginx::Host { processes: &list, proc: &proc, clock, users: &users };
            nginx::running(host, &wanted)
        })
    };
    let (mut instances, not_found) = match running.finish(deadline) {
        Ok(instances) => (instances, None),
        Err(unread) => (Vec::new(), Some(unread)),
    };

    // Only an nginx that does not run needs to know of the units; they take longest.
    let mut units_task = Some(units_task);
    let mut units = None;
    if !instances.iter().any(nginx::is_main) && wanted.pid.is_none() {
        units = units_task.take().map(|it| it.reading(deadline));
        let units = units.as_ref().and_then(Reading::value).cloned().unwrap_or_default();
        let host = nginx::Host { processes: &list, proc: &proc, clock: &clock, users: &users };
        let stopped = nginx::stopped(&units, &instances, host, &wanted);
        instances.extend(stopped);
        nginx::order(&mut instances, &units, &wanted);
    } else {
        nginx::order(&mut instances, &[], &wanted);
    }
    let instances = Arc::new(instances);
    let first = instances.first();

    // What needs to know where nginx lives.
    let place = net::Place {
        network: first
            .filter(|it| !it.nginx.same_network)
            .and_then(|it| Some(PathBuf::from(format!("/proc/{}/ns/net", it.nginx.master.as_ref()?.pid)))),
        root: first.map_or_else(|| PathBuf::from("/"), |it| it.root.clone()),
    };
    let net_task = {
        let (place, at) = (place.clone(), clock.now);
        start("sock_diag", move || net::read(&place, at, deadline))
    };
    let networks_task = {
        let (places, at) = (other_networks(&proc, &list, first), clock.now);
        start("sock_diag", move || net::other_networks(places, at, deadline))
    };
    let scan_task = {
        let (proc, list) = (proc.clone(), list.clone());
        let network = first
            .and_then(|it| proc.network_of(&it.nginx.master.as_ref()?.pid.to_string()))
            .or_else(|| proc.network_of("self"));
        start("/proc", move || proc.look_closer(list.to_vec(), network.as_deref(), deadline))
    };
    let cgroups_task = {
        let (list, at) = (list.clone(), clock.now);
        start("/sys/fs/cgroup", move || Cgroups::host().read(&list, at))
    };
    let disks_task = {
        let (instances, users) = (instances.clone(), users.clone());
        on_clock("statvfs", &clock, move |clock| read_disks(&instances, &users, clock))
    };
    let mut host = machine.read(&clock, &users);

    // A further instance is looked at as well, where it lives in the same network.
    let read_logs = |index: usize, instance: &Instance| {
        let instances = instances.clone();
        let context = logs::Context {
            root: instance.root.clone(),
            window,
            zone: instance.zone.clone(),
            // The peers that the logs blame still have to be looked at.
            deadline: started + (deadline - started).mul_f64(SHARE_OF_LOGS),
            loaded_at: instance.loaded_at(),
        };
        (index, start("nginx's logs", move || logs::read_files(&instances[index], &context)))
    };
    let looked_at: Vec<usize> = (0..instances.len())
        .filter(|it| *it == 0 || instances[*it].nginx.master.is_some() && instances[*it].nginx.same_network)
        .take(MAX_INSTANCES)
        .collect();
    let logs_tasks: Vec<_> = looked_at.iter().map(|it| read_logs(*it, &instances[*it])).collect();

    let units =
        units.or_else(|| units_task.map(|it| it.reading(deadline))).unwrap_or_else(Reading::not_asked);
    let earlier_task = {
        let (failed, at) = (units_to_ask(units.value(), first), clock.now);
        start("journalctl", move || match failed.is_empty() {
            true => Reading::not_asked(),
            false => journal::read_units(&failed, at, deadline),
        })
    };
    let changes_task = {
        let watched = watched(&instances, units.value().map_or(&[], Vec::as_slice));
        let root = place.root.clone();
        on_clock("stat", &clock, move |clock| changes::read(&root, &watched, clock))
    };

    let mut net = net_task.finish(deadline).unwrap_or_else(|unread| net::nothing(&unread));
    let scan =
        scan_task.finish(deadline).unwrap_or_else(|_| Scan { processes: list.to_vec(), ..Scan::default() });
    net.other_networks = networks_task.reading(deadline);
    sockets::own(&mut net, &scan.socket_owners);
    let scan = Arc::new(scan);
    let php_task = {
        let (scan, root, at) = (scan.clone(), first.and_then(|it| it.nginx.root.clone()), clock.now);
        start("php-fpm", move || php_fpm::read(&scan.processes, root.as_deref().map(Path::new), deadline, at))
    };

    let mut journal = journal_task.reading(deadline);
    if let (Reading::Seen(entries), Ok(Reading::Seen(earlier))) =
        (&mut journal, earlier_task.finish(deadline))
    {
        entries.value = journal::merge(std::mem::take(&mut entries.value), earlier.value, window);
    }
    let mut log_files = Vec::new();
    for (index, task) in logs_tasks {
        let mut own = task.finish(deadline).unwrap_or_default();
        // One that no unit runs writes to no unit's journal; of the first, the usual unit may tell why it is down.
        if index == 0 || instances[index].nginx.unit.is_some() {
            own.extend(logs::read_journal(&instances[index], &journal, window));
        }
        own.iter_mut().for_each(|it| it.nginx = index);
        log_files.extend(own);
    }

    // The peers, once it is known which ones fail.
    let looked_at: Vec<&Instance> = looked_at.iter().map(|it| &instances[*it]).collect();
    let requests = peer_list::requests(&looked_at, &log_files, request.peer.as_deref());
    let names: Vec<Peer> = requests.iter().map(|it| it.peer.clone()).collect();
    let peers_task = {
        let (instances, place, probe, collected_at) =
            (instances.clone(), place.clone(), request.probe, clock.now);
        start("peers", move || {
            let nginx = instances.first().map(|it| &it.nginx);
            let root = nginx.and_then(|it| it.root.as_deref()).map(Path::new);
            let context = PeerContext {
                worker_user: nginx.and_then(|it| it.worker_user.value()),
                root,
                network: place.network,
                deadline: deadline - RESERVE,
                probe,
                collected_at,
            };
            peer::look(&requests, &context)
        })
    };
    let php_fpm = php_task.reading(deadline);
    let mut backend_logs = {
        let php = php_fpm.value().map_or(&[][..], Vec::as_slice);
        let sources = backend_list::sources(&instances, php, &scan.processes, &scan.logs, &proc);
        let context = logs::Context {
            root: PathBuf::from("/"),
            window,
            zone: clock.zone.clone(),
            deadline,
            loaded_at: None,
        };
        logs::read_backends(sources, &context)
    };
    let kernel = kernel_task.reading(deadline);
    let mut system_logs = system_task.finish(deadline).unwrap_or_default();
    logs::drop_known(&mut system_logs, &kernel);
    backend_logs.extend(system_logs);
    let mut cgroups = cgroups_task.reading(deadline);
    let disks = disks_task.reading(deadline);
    let changes = changes_task.reading(deadline);
    // What was to be looked at is told even if nothing came of it.
    let peers =
        peers_task.finish(deadline).unwrap_or_else(|_| names.into_iter().map(PeerSight::new).collect());

    // The second readings.
    let mut all: Vec<Process> = scan.processes.clone();
    let left = deadline.saturating_duration_since(Instant::now());
    thread::sleep(BETWEEN_READINGS.saturating_sub(listed_at.elapsed()).min(left));
    proc.second_reading(&mut all, listed_at.elapsed());
    if let Reading::Seen(seen) = &mut cgroups {
        Cgroups::host().second_reading(&mut seen.value);
    }
    host.cpu_busy_pct =
        machine.cpu_time().zip(cpu_before).and_then(|(now, before)| now.busy_pct_since(before));

    let mut nginx: Vec<snapshot::Nginx> = instances.iter().map(|it| it.nginx.clone()).collect();
    nginx.iter_mut().for_each(|it| nginx::fill_in_workers(it, &all));
    let (nginx, processes) = match (processes, not_found) {
        (Ok(_), Some(unread)) => (Reading::Unread(unread), Reading::seen(all, "/proc", clock.now)),
        (Ok(_), None) => (Reading::seen(nginx, "/proc", clock.now), Reading::seen(all, "/proc", clock.now)),
        // An installed nginx may have been found, but whether one runs is not known.
        (Err(unread), _) => (Reading::Unread(unread.clone()), Reading::Unread(unread)),
    };
    Snapshot {
        collected_at: clock.now,
        elapsed_seconds: started.elapsed().as_secs_f64(),
        window,
        host,
        nginx,
        logs: log_files,
        processes,
        net,
        units,
        journal,
        kernel,
        cgroups,
        disks,
        php_fpm,
        backend_logs,
        peers,
        changes,
        trial: Reading::not_asked(),
        traffic: None,
    }
}

/// The network namespaces that programs live in besides nginx's own: the host's first, then those of the oldest programs.
fn other_networks(
    proc: &Proc,
    processes: &[Process],
    first: Option<&Instance>,
) -> Vec<(PathBuf, OtherNetwork)> {
    let network_of = |pid: u32| proc.network_of(&pid.to_string());
    let master = first.and_then(|it| it.nginx.master.as_ref()).map(|it| it.pid);
    let Some(own) = master.map_or_else(|| proc.network_of("self"), network_of) else { return Vec::new() };
    let host = network_of(1);
    let mut known = vec![own];
    let mut places = Vec::new();
    for process in processes.iter().filter(|it| it.pid == 1 || !it.arguments.is_empty()) {
        let Some(network) = network_of(process.pid).filter(|it| !known.contains(it)) else { continue };
        let is_host = host.as_ref() == Some(&network);
        let name = match (logs::container_id(&process.cgroup), &process.unit) {
            _ if is_host => "the host".to_owned(),
            (Some(id), _) => format!("container {}", &id[..12]),
            (None, Some(unit)) => unit.clone(),
            (None, None) => format!("{} (pid {})", process.name, process.pid),
        };
        let other = OtherNetwork { name, is_host, addresses: Vec::new(), listeners: Vec::new() };
        places.push((PathBuf::from(format!("/proc/{}/ns/net", process.pid)), other));
        known.push(network);
        if places.len() >= MAX_NETWORKS {
            break;
        }
    }
    places
}

/// The units whose journal is read however old it is: those that failed, and nginx's own for the reloads that were refused.
fn units_to_ask(units: Option<&Vec<Unit>>, first: Option<&Instance>) -> Vec<String> {
    let nginx = first.and_then(|it| it.nginx.unit.as_deref());
    let troubled = |unit: &&Unit| {
        let ended_badly = !unit.result.is_empty() && unit.result != "success";
        let starting_again = unit.active_state == "activating" || unit.restarts_total > 0;
        let service = unit.name.ends_with(".service") && !unit.exec_start.is_empty();
        service && (ended_badly || starting_again) || nginx == Some(unit.name.as_str())
    };
    let units = units.map_or(&[][..], Vec::as_slice);
    units.iter().filter(troubled).map(|it| it.name.clone()).take(MAX_UNITS_TO_ASK).collect()
}

/// Starts a reader that needs the clocks.
fn on_clock<T: Send + 'static>(
    source: &str,
    clock: &Clock,
    work: impl FnOnce(&Clock) -> T + Send + 'static,
) -> Task<T> {
    let clock = clock.clone();
    start(source, move || work(&clock))
}

fn window(span: Span, clock: &Clock) -> Window {
    match span {
        Span::Last(duration) => {
            let duration = jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
            Window { from: clock.now.checked_sub(duration).unwrap_or(jiff::Timestamp::MIN), to: clock.now }
        }
        Span::Between(from, to) => Window { from, to: to.unwrap_or(clock.now).min(clock.now) },
    }
}

/// The directories that the instance under diagnosis writes to, and those of unix sockets.
fn read_disks(instances: &[Instance], users: &Users, clock: &Clock) -> Reading<Vec<snapshot::Disk>> {
    let Some(instance) = instances.first() else {
        return disks::read(
            "/".as_ref(),
            &[Used { path: "/".into(), what: "root".to_owned() }],
            None,
            users,
            clock.now,
        );
    };
    let used = nginx::directories(instance);
    disks::read(&instance.root, &used, instance.nginx.worker_user.value(), users, clock.now)
}

/// What an operator would have edited.
fn watched(instances: &[Instance], units: &[Unit]) -> Vec<Watched> {
    let mut watched = Vec::new();
    let mut add = |path: &str, what: String| {
        if !path.is_empty() {
            watched.push(Watched { path: path.into(), what });
        }
    };
    for instance in instances {
        for file in instance.nginx.config.value().into_iter().flat_map(|it| &it.files) {
            add(&file.path, "nginx configuration".to_owned());
        }
        add(&instance.nginx.binary, "nginx binary".to_owned());
    }
    for unit in units {
        for path in std::iter::once(&unit.fragment_path).chain(&unit.drop_in_paths) {
            add(path, format!("unit {}", unit.name));
        }
    }
    watched.sort();
    watched.dedup();
    watched
}
