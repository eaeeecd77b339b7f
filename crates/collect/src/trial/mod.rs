//! A trial: one real GET request through nginx and the same one straight to its peers, because the operator asked for
//! it. It comes before everything else is read, so that what it leaves in the logs is found there.
//!
//! It carries no cookie, no password and no body, follows no redirect, and keeps nothing of what it is sent.

mod exchange;
mod route;
mod tls;
mod url;
mod variables;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snapshot::{Reading, Reason, Trial};

use crate::Request;
use crate::host::clock::Clock;
use crate::host::processes::Proc;
use crate::host::users::Users;
use crate::nginx::{self, Instance, Wanted};
use crate::peer::enter;
use crate::task::start;
use exchange::{Dial, exchange};
pub use url::Url;

/// The straight requests follow when nginx has answered; after that long they begin beside it, for it may wait longer
/// than we do.
const BESIDE: Duration = Duration::from_secs(1);
/// What is left for handing the results over.
const RESERVE: Duration = Duration::from_millis(50);

/// Makes the requests; nothing outlasts the deadline.
pub(crate) fn run(url: &Url, request: &Request, deadline: Instant) -> Reading<Trial> {
    let clock = Clock::now();
    let source = format!("GET {url}");
    let wanted = Wanted { pid: request.pid, config: request.config.clone(), prefix: request.prefix.clone() };
    let find = {
        let clock = clock.clone();
        start(source.clone(), move || instances(&clock, &wanted))
    };
    let instances = match find.finish(deadline) {
        Ok(instances) => instances,
        Err(unread) => return Reading::Unread(unread),
    };
    // Of several, the one that takes connections for that URL.
    let taker = instances.iter().find(|it| route::listens(&it.view(), url)).or(instances.first());
    let Some(instance) = taker else {
        return Reading::unread(Reason::Unsupported, source, "no nginx runs here");
    };
    let plan = route::plan(url, &instance.view(), &instance.root, &instance.nginx.version);
    let network = network_of(instance).map(Arc::from);
    let until = deadline - RESERVE;
    let dial = |dial: Dial| {
        let network: Option<Arc<Path>> = network.clone();
        start(format!("GET {url}"), move || enter(network.as_deref()).map(|()| exchange(&dial, until)))
    };
    let through = dial(plan.through);
    let through = through.wait(until.min(Instant::now() + BESIDE));
    let straight: Vec<_> = plan.straight.into_iter().map(dial).collect();
    let through = match through.finish(deadline).and_then(|it| it) {
        Ok(through) => through,
        Err(unread) => return Reading::Unread(unread),
    };
    let straight = straight.into_iter().filter_map(|it| it.finish(deadline).ok()?.ok()).collect();
    let trial = Trial {
        url: url.to_string(),
        host: url.host_header(),
        target: url.target.clone(),
        through,
        straight,
        remark: plan.remark,
    };
    Reading::seen(trial, source, clock.now)
}

fn instances(clock: &Clock, wanted: &Wanted) -> Vec<Instance> {
    let users = Users::at("/".as_ref());
    let proc = Proc::host();
    let processes = proc.list(clock, &users).unwrap_or_default();
    let host = nginx::Host { processes: &processes, proc: &proc, clock, users: &users };
    let mut instances = nginx::running(host, wanted);
    nginx::order(&mut instances, &[], wanted);
    instances
}

/// nginx's network namespace, when it is not ours.
fn network_of(instance: &Instance) -> Option<std::path::PathBuf> {
    let master = instance.nginx.master.as_ref().filter(|_| !instance.nginx.same_network)?;
    Some(format!("/proc/{}/ns/net", master.pid).into())
}

#[cfg(test)]
mod tests;
