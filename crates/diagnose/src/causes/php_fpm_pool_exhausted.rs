use crate::rule::*;
use crate::vitals;
use snapshot::{PhpChild, PhpPool};

/// Memory that is left alone when a pool is enlarged: the host needs page cache and room for everything else.
const RESERVE_SHARE: u64 = 4;
/// What a child takes when none could be measured: a usual figure for a framework application.
const CHILD_BYTES: u64 = 40 << 20;

cause! {
    /// Every child that `pm.max_children` allows is busy, and requests queue or fail.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header` and 504; on a unix socket, once the backlog is full,
    /// also `11: Resource temporarily unavailable` while connecting and 502. It comes with load or with slow pages.
    ///
    /// ## How we know
    /// PHP-FPM's log says "server reached pm.max_children setting"; or all children are seen at work while connections
    /// wait in the socket's queue (sock_diag; the status page always says 0 on a unix socket).
    ///
    /// ## What to do
    /// Raise `pm.max_children` as far as memory allows, and make the slow pages faster: the pool's size divided by the
    /// time of a page is all it can serve.
    ///
    /// ## Not to be confused with
    /// `backend-slow`: there children are free. `backend-hung`: there they are stuck. "upstream prematurely closed
    /// connection" never means a full pool, whatever articles say: it is a worker that died, was killed, or hung up.
    "php-fpm-pool-exhausted",
    explains: [ReadTimeout, ConnectAgain, ConnectTimeout, ClientClosed],
    leads_to: ["listen-queue-overflow", "backend-slow", "passive-health-ejection", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::MaxChildrenReached { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if backend.kind == AppKind::PhpFpm || case.group.scheme == "fastcgi" {
        scene.php_fpm()?;
    }
    let Some((fpm, pool)) = backend.pool else { return Ok(Verdict::NotIt) };
    if fpm.master_pid.is_none() {
        return Ok(Verdict::NotIt);
    }
    if !vitals::stuck(case, backend).is_empty() {
        return Ok(Verdict::ruled_out("its children are stuck, not busy"));
    }
    let max = pool.max_children();
    let busy = pool.children.iter().filter(|it| it.busy == Some(true)).count();
    let full_now = max.is_some_and(|max| busy >= max as usize && max > 0);
    let event = vitals::pool_full_event(case, &pool.name);
    let queue = vitals::queue_fact(backend);
    if event.is_none() && !full_now {
        // A static pool never logs that it is full: then only its children and its queue tell, and only while it lasts.
        let idle = pool.children.iter().filter(|it| it.busy == Some(false)).count();
        let unseen = pool.children.iter().filter(|it| it.busy.is_none()).count();
        if queue.is_none() || idle > 0 {
            if pool.setting("pm") == Some("static") && case.group.symptom == Symptom::ConnectAgain {
                return Ok(weak(case, pool).into());
            }
            return Ok(Verdict::ruled_out(format!(
                "{idle} of {} children of pool {} are idle, and its log does not say that it was full",
                pool.children.len(),
                pool.name
            )));
        }
        if unseen > 0 {
            return Ok(weak(case, pool).supporting_each(queue).into());
        }
    }
    let size = max.map(|it| it.to_string()).unwrap_or_else(|| pool.children.len().to_string());
    let waiting = backend.listening.as_ref().and_then(|it| it.waiting).unwrap_or(0);
    let state = if full_now {
        let queued = if waiting > 0 {
            format!(" and {}", queue.as_ref().map(|it| it.says.clone()).unwrap_or_default())
        } else {
            String::new()
        };
        format!("all {size} are busy{queued}")
    } else {
        let at = event.map(|it| scene.clock(it.at)).unwrap_or_default();
        format!("it reached pm.max_children = {size} at {at}")
    };
    let mut found = confirmed(format!("PHP-FPM pool {} is out of children: {state}", pool.name));
    if let Some(event) = event {
        found = found.decisive(event.fact());
    }
    if full_now {
        let says = format!("{busy} of {size} children of pool {} work on a request", pool.name);
        found = found.decisive(scene.snapshot.php_fpm.fact("process", says));
    } else if let (None, Some(queue)) = (event, &queue) {
        found = found.decisive(queue.clone());
    }
    let found =
        found.supporting_each(queue).supporting(case.failures_fact()).supporting_each(setting_fact(pool));
    let found = found.not(
        "backend-crashed",
        "a full pool shows as read timeouts and, on a unix socket, EAGAIN; \"upstream prematurely closed connection\" \
         would mean a worker that died, was killed or hung up",
    );
    Ok(advice(case, found, pool, waiting).into())
}

fn weak(case: &Case, pool: &PhpPool) -> Found {
    let summary = format!("PHP-FPM pool {} may be out of children", pool.name);
    let found = possible(summary)
        .confidence(0.5)
        .supporting(case.failures_fact())
        .supporting_each(setting_fact(pool));
    advice(case, found, pool, 0)
}

fn setting_fact(pool: &PhpPool) -> Option<Fact> {
    let (max, line) = (pool.max_children()?, pool.line_of("pm.max_children")?);
    let says = format!("pm = {}, pm.max_children = {max}", pool.setting("pm").unwrap_or("dynamic"));
    Some(Fact::new("php-fpm", says).reference(format!("{}:{line}", pool.file)))
}

fn advice(case: &Case, found: Found, pool: &PhpPool, waiting: u32) -> Found {
    let scene = case.scene;
    let unit =
        case.backend.as_ref().ok().and_then(|it| it.unit(scene)).map_or("php-fpm", |it| it.name.as_str());
    let mut found = found;
    if let (Some(max), Some(line)) = (pool.max_children(), pool.line_of("pm.max_children")) {
        let child = child_bytes(&pool.children);
        let room = scene.snapshot.host.memory_available_bytes.unwrap_or(0);
        let fits = (room - room / RESERVE_SHARE) / child;
        let wanted = u64::from(max) + u64::from(waiting).max(u64::from(max));
        let new = wanted.min(u64::from(max) + fits);
        if new > u64::from(max) {
            found = found.fix(
                Fix::mitigate(format!("Raise pm.max_children of pool {} to {new}", pool.name))
                    .edit(&pool.file, line, format!("pm.max_children = {max}"), format!("pm.max_children = {new}"))
                    .run(format!("systemctl reload {unit}"))
                    .risk("a reload of PHP-FPM ends running requests after process_control_timeout")
                    .because(format!(
                        "a child takes {} MiB of its own (PSS) and {} MiB are available; beyond that the {} are the limit",
                        child >> 20,
                        room >> 20,
                        plural(u64::from(scene.snapshot.host.cpus), "CPU")
                    )),
            );
        } else {
            found = found.fix(Fix::mitigate("Add memory or hosts: there is no room for more children"));
        }
    }
    found
        .fix(Fix::repair(format!(
            "Make the slow pages faster ({}): each holds a child while it runs",
            case.paths().unwrap_or_default()
        )))
        .verify(case.verify_command())
        .prevent(format!(
            "Alert when the children of pool {} that work stay above 80 % of pm.max_children",
            pool.name
        ))
        .prevent("Set request_slowlog_timeout, so that the log names the slow scripts")
}

/// What one child takes: the 95th percentile of what was measured.
fn child_bytes(children: &[PhpChild]) -> u64 {
    let mut sizes: Vec<u64> = children.iter().filter_map(|it| it.proportional_bytes).collect();
    sizes.sort_unstable();
    sizes.get(sizes.len() * 95 / 100).copied().unwrap_or(CHILD_BYTES).max(1 << 20)
}

fn from_lines(case: &Case) -> Option<Found> {
    if !matches!(case.group.scheme.as_str(), "fastcgi" | "") {
        return None;
    }
    let peer = case.peer_name();
    if let Some((event, share)) = lines::pool_full(case) {
        let EventKind::MaxChildrenReached { pool, limit } = &event.kind else { return None };
        let summary =
            format!("PHP-FPM pool {pool} reached pm.max_children = {limit} while requests to {peer} waited");
        let found = match share >= 0.5 {
            true => confirmed(summary).decisive(event.fact()).supporting(case.failures_fact()),
            false => fits(case, 0.5, summary).supporting(event.fact()),
        };
        return Some(
            found
                .fix(Fix::mitigate(format!("Raise pm.max_children of pool {pool}, as far as memory allows")))
                .fix(Fix::repair(format!(
                    "Make the slow pages faster ({}): each holds a child while it runs",
                    case.paths().unwrap_or_default()
                )))
                .verify(case.verify_command()),
        );
    }
    // A log that does not tell of upstreams names scripts at most.
    let known = if case.group.scheme == "fastcgi" {
        1.0
    } else if lines::asks_for_scripts(case) {
        0.9
    } else {
        0.4
    };
    let particular = lines::spread(case) == lines::Spread::Particular;
    let course = course::of(case);
    let confidence = match case.group.symptom {
        Symptom::ConnectAgain => 0.6,
        Symptom::ConnectTimeout if lines::place(case) == lines::Place::Here => 0.45,
        Symptom::ConnectTimeout => 0.08,
        Symptom::ReadTimeout if particular => 0.15,
        Symptom::ReadTimeout if course.seen && !course.before && course.between == 0 => 0.25,
        Symptom::ReadTimeout => 0.45,
        Symptom::ClientClosed if course.since || course.between > 0 => 0.1,
        Symptom::ClientClosed => 0.25,
        _ => return None,
    };
    let summary = format!("the PHP-FPM pool at {peer} may be out of children, so that requests wait");
    Some(
        fits(case, confidence * known, summary)
            .supporting_each(lines::spread_fact(case))
            .fix(
                Fix::mitigate("Raise pm.max_children of the pool, as far as memory allows")
                    .run("grep max_children /var/log/php*fpm*.log"),
            )
            .fix(Fix::repair("Make the slow pages faster: each holds a child while it runs"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::child_bytes;
    use crate::testing::*;
    use snapshot::{PhpChild, Snapshot};

    const SOCKET: &str = "unix:/run/php/fpm.sock";
    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const READING: &str = "reading response header from upstream";
    const FULL: &str = "[02-May-2026 13:02:40] WARNING: [pool www] server reached pm.max_children setting (3), consider raising it";

    /// Timeouts at a pool of at most three children, which do what the letters say.
    fn pool(mode: &str, children: &str) -> Snapshot {
        let line = failed(LATE, READING, "fastcgi://unix:/run/php/fpm.sock:").replace("/cart", "/index.php");
        logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line, &line])
            .with(|it| php_fpm(it, SOCKET, &[("pm", mode), ("pm.max_children", "3")], children))
    }

    #[test]
    fn children_that_are_all_at_work_fill_the_pool() {
        let host = pool("static", "bbb").with(|it| queued(it, 7));
        let report = check(&host, "php-fpm-pool-exhausted: confirmed");
        let found = &report.causes[0];
        let expected = "PHP-FPM pool www is out of children: all 3 are busy and 7 connections wait to be accepted at \
                        unix:/run/php/fpm.sock (backlog 511)";
        assert_eq!(found.summary, expected);
        // 3 children and as many more as wait: 7, which 4 GiB have room for.
        let edit = &found.fixes[0].edits[0];
        assert_eq!(
            (edit.line, edit.old.as_str(), edit.new.as_str()),
            (6, "pm.max_children = 3", "pm.max_children = 10")
        );
    }

    #[test]
    fn a_pool_that_said_so_was_full_even_if_it_is_idle_now() {
        let host = pool("dynamic", "ii").with(|it| php_log(it, &[(30, FULL)]));
        let report = check(&host, "php-fpm-pool-exhausted: confirmed");
        assert!(
            report.causes[0].summary.ends_with("it reached pm.max_children = 3 at 13:02:40"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_full_backlog_of_a_unix_socket_belongs_to_it() {
        let line = failed(
            "connect() to unix:/run/php/fpm.sock failed (11: Resource temporarily unavailable)",
            "connecting to upstream",
            "fastcgi://unix:/run/php/fpm.sock:",
        );
        let host = logged(pool("static", "bbb"), &[&line]).with(|it| queued(it, 512));
        let report = check(&host, "php-fpm-pool-exhausted: confirmed");
        assert_eq!(report.causes.len(), 1, "{}", outline(&report));
    }

    #[test]
    fn more_children_than_memory_holds_are_not_advised() {
        let host = pool("static", "bbb").with(|it| it.host.memory_available_bytes = Some(16 << 20));
        let report = check(&host, "php-fpm-pool-exhausted: confirmed");
        assert!(report.causes[0].fixes.iter().all(|it| it.edits.is_empty()), "{:?}", report.causes[0].fixes);
    }

    #[test]
    fn idle_children_speak_for_a_slow_page() {
        let host = pool("dynamic", "bii").with(|it| {
            greeted(it, SOCKET, snapshot::Protocol::Fastcgi, snapshot::Answer::Spoken);
        });
        check(&host, "backend-slow: likely");
        check_ruled_out(&host, "php-fpm-pool-exhausted", "2 of 3 children of pool www are idle");
    }

    #[test]
    fn another_pool_of_the_same_php_fpm_is_not_this_one() {
        let other = FULL.replace("[pool www]", "[pool blog]");
        check_not(&pool("dynamic", "ii").with(|it| php_log(it, &[(30, &other)])), "php-fpm-pool-exhausted");
    }

    #[test]
    fn a_pool_that_was_full_long_before_is_not_the_cause_of_now() {
        check_not(&pool("dynamic", "ii").with(|it| php_log(it, &[(800, FULL)])), "php-fpm-pool-exhausted");
    }

    #[test]
    fn children_that_may_not_be_looked_at_make_it_only_possible() {
        check(&pool("static", "???").with(|it| queued(it, 7)), "php-fpm-pool-exhausted: possible");
    }

    #[test]
    fn a_php_fpm_that_may_not_be_looked_at_is_a_blind_spot() {
        let host = pool("static", "bbb").with(|it| it.php_fpm = denied());
        check_blind(&host, "php-fpm-pool-exhausted", "PHP-FPM");
    }

    #[test]
    fn the_larger_children_set_the_size() {
        let child = |mebibytes: u64| PhpChild {
            pid: 1,
            started_at: None,
            busy: None,
            state: 'S',
            proportional_bytes: Some(mebibytes << 20),
        };
        assert_eq!(child_bytes(&[child(20), child(90), child(30)]), 90 << 20);
        assert_eq!(child_bytes(&[]), super::CHILD_BYTES);
    }
}
