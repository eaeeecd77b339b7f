use snapshot::{PathNode, PhpPool, WorkerUser};

use crate::rule::*;

cause! {
    /// The backend's unix socket, or a directory above it, denies the user that nginx's workers run as.
    ///
    /// ## What you see
    /// Every connection fails with `13: Permission denied` while connecting, although the application runs and its socket
    /// exists. Asked as root, it answers.
    ///
    /// ## How we know
    /// The owner, group and mode (and ACL) of each step of the path are compared with the worker's user and groups: to
    /// connect, every directory must be searchable (x) and the socket writable (w).
    ///
    /// ## What to do
    /// Give the worker's group access: for PHP-FPM by `listen.owner`, `listen.group` and `listen.mode`, for gunicorn by
    /// its umask and group, for a directory by its group and the x bit. Do not make the socket writable to everybody.
    ///
    /// ## Not to be confused with
    /// `selinux-denied` and `apparmor-denied`: there all modes allow it and a security module says no.
    /// `unix-socket-wrong-path`: there the path does not exist (`2: No such file or directory`).
    "unix-socket-permission",
    explains: [ConnectPermission],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(Peer::Unix(socket)) = case.peer() else { return Ok(Verdict::NotIt) };
    let unseen = Reading::not_asked();
    let steps =
        Blind::of("owner and mode of the socket's path", case.sight().map_or(&unseen, |it| &it.path))?;
    let nginx = case.scene.nginx;
    let worker =
        Blind::of("the user of nginx's workers", nginx.map_or(&Reading::not_asked(), |it| &it.worker_user))
            .map(|it| it.value.clone())?;
    let name = if worker.name.is_empty() { format!("uid {}", worker.uid) } else { worker.name.clone() };
    let Some(denies) = steps.value.iter().find(|it| it.allows_worker == Some(false)) else {
        if let Some(unknown) = steps.value.iter().find(|it| it.allows_worker.is_none()) {
            return Err(Blind {
                what: format!("whether {} lets {name} through", unknown.path),
                why: "not known".into(),
                remedy: format!("sudo -u {name} stat {socket}"),
            });
        }
        return Ok(match steps.value.last().filter(|it| it.path == *socket) {
            Some(_) => Verdict::ruled_out(format!("every step of {socket} lets {name} through")),
            None => {
                Verdict::ruled_out(format!("{socket} does not exist now, and what does lets {name} through"))
            }
        });
    };
    let mode = format!("{} {}:{} {:04o}", denies.path, owner(denies), group(denies), denies.mode);
    let needs = match denies.kind {
        NodeKind::Directory => "search (x)",
        _ => "write to (w)",
    };
    let what = if denies.kind == NodeKind::Directory { "the directory" } else { "the socket" };
    let summary = format!("{what} {mode} denies nginx's worker ({name}), so it cannot connect to {socket}");
    let mut found = confirmed(summary)
        .decisive(steps.fact("path", format!("{name} may not {needs} {mode}")))
        .supporting(case.failures_fact());
    if denies.kind == NodeKind::Directory
        && let Some(last) =
            steps.value.last().filter(|it| it.kind != NodeKind::Directory && it.allows_worker == Some(true))
    {
        found = found.supporting(
            steps.fact("path", format!("the socket itself, {:04o}, would let it connect", last.mode)),
        );
    }
    let pool = case.backend.as_ref().ok().and_then(|it| it.pool);
    let fix = match pool {
        Some((fpm, pool)) if denies.kind != NodeKind::Directory => {
            of_pool(pool, fpm.unit.as_deref(), &worker, &name)
        }
        _ if denies.kind == NodeKind::Directory => of_directory(denies, &name),
        _ => of_socket(case, denies, &name),
    };
    Ok(found
        .fix(fix)
        .verify(format!("sudo -u {name} test -w {socket} && echo may connect"))
        .verify(case.verify_command())
        .prevent("Keep sockets in a directory made for them, such as /run/NAME with the web server's group, not below a home")
        .into())
}

fn owner(node: &PathNode) -> String {
    if node.owner.is_empty() { node.uid.to_string() } else { node.owner.clone() }
}

fn group(node: &PathNode) -> String {
    if node.group.is_empty() { node.gid.to_string() } else { node.group.clone() }
}

/// PHP-FPM makes the socket anew at each start: only its pool file lasts.
fn of_pool(pool: &PhpPool, unit: Option<&str>, worker: &WorkerUser, name: &str) -> Fix {
    let mut fix = Fix::repair(format!("Let pool {} give its socket to {name}", pool.name))
        .because("PHP-FPM sets owner and mode of its socket at each start, from these directives");
    if pool.setting("listen.acl_users").is_some() || pool.setting("listen.acl_groups").is_some() {
        fix = fix.because(
            "with listen.acl_users or listen.acl_groups set, listen.owner and listen.group are ignored",
        );
    }
    let group = if worker.gid == worker.uid { name.to_owned() } else { worker.gid.to_string() };
    let mut missing = String::new();
    for (directive, value) in
        [("listen.owner", name), ("listen.group", group.as_str()), ("listen.mode", "0660")]
    {
        let new = format!("{directive} = {value}");
        match (pool.line_of(directive), pool.setting(directive)) {
            (Some(_), Some(old)) if old == value => {}
            (Some(line), Some(old)) => fix = fix.edit(&pool.file, line, format!("{directive} = {old}"), new),
            _ => missing += &format!("\n{new}"),
        }
    }
    if let (Some(line), false) = (pool.line_of("listen"), missing.is_empty()) {
        let listen = format!("listen = {}", pool.setting("listen").unwrap_or_default());
        fix = fix.edit(&pool.file, line, listen.clone(), listen + &missing);
    }
    fix.run(format!("systemctl restart {}", unit.unwrap_or("php-fpm")))
        .risk("restarts PHP-FPM, which ends running requests")
}

fn of_directory(node: &PathNode, name: &str) -> Fix {
    let group_may_search = node.mode & 0o010 != 0 && !matches!(node.gid, 0);
    if group_may_search && !node.group.is_empty() {
        Fix::repair(format!("Put {name} into the group {}, which may search {}", node.group, node.path))
            .run(format!("usermod -aG {} {name}", node.group))
            .run("nginx -s reload")
            .because("workers take the groups of their user when they start, so a reload is enough")
            .risk(format!("{name} can then read whatever that group may read"))
    } else {
        Fix::repair(format!("Let {name} search {}", node.path))
            .run(format!("setfacl -m u:{name}:x {}", node.path))
            .because("x without r lets it pass through, but not list the directory")
    }
}

fn of_socket(case: &Case, node: &PathNode, name: &str) -> Fix {
    let unit = case.backend.as_ref().ok().and_then(|it| it.unit(case.scene));
    let kind = case.backend.as_ref().map_or(AppKind::Other, |it| it.kind);
    let sockets = case.scene.snapshot.units.value().into_iter().flatten();
    let socket_unit = sockets.into_iter().find(|it| it.listen.iter().any(|it| it.contains(&node.path)));
    let restart = |fix: Fix| match unit {
        Some(unit) => {
            fix.run(format!("systemctl restart {}", unit.name)).risk(format!("restarts {}", unit.name))
        }
        None => fix.risk("restarts the backend"),
    };
    if let Some(socket_unit) = socket_unit {
        return Fix::repair(format!(
            "Let systemd make the socket for {name}: SocketUser={name}, SocketMode=0660"
        ))
        .run(format!("systemctl edit {}", socket_unit.name))
        .run(format!("systemctl restart {}", socket_unit.name))
        .risk("requests fail while the socket is made anew");
    }
    match kind {
        AppKind::Gunicorn => restart(
            Fix::repair(format!("Start gunicorn with `--umask 007` and the group of {name} (Group= of its unit)"))
                .because("the socket gets the mode 0777 less the umask, and the group of the process"),
        ),
        AppKind::Uwsgi => restart(
            Fix::repair(format!("Set `chmod-socket = 660` and `chown-socket = :{name}` in uWSGI's options"))
                .because("uWSGI sets mode and owner of its socket at each start from these options"),
        ),
        _ => restart(
            Fix::repair(format!("Let the backend make its socket with the group of {name} and mode 0660"))
                .run(format!("chgrp {name} {0} && chmod 0660 {0}", node.path))
                .because("the mode of a socket comes from the umask of the process that binds it; chmod lasts until its next start"),
        ),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    let Some(Peer::Unix(path)) = case.peer() else { return None };
    let denied =
        |it: &EventKind| matches!(it, EventKind::AvcDenied { .. } | EventKind::ApparmorDenied { .. });
    let confidence =
        if lines::told(case, SignedDuration::from_secs(5), denied).is_some() { 0.1 } else { 0.8 };
    let summary = format!("the socket {path}, or a directory above it, denies nginx's user");
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::repair(
                    "Let nginx's user write the socket (listen.owner, listen.group, listen.mode; umask)",
                )
                .run(format!("namei -l {path}")),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx is denied at /run/app/app.sock, whose steps let the worker through or not.
    fn denied_at(steps: &[(&str, u32, NodeKind, Option<bool>)]) -> Snapshot {
        let message = "connect() to unix:/run/app/app.sock failed (13: Permission denied)";
        let line = failed(message, "connecting to upstream", "http://unix:/run/app/app.sock:/cart");
        let nodes = steps.iter().map(|(path, mode, kind, allows_worker)| PathNode {
            path: (*path).into(),
            mode: *mode,
            uid: 1000,
            gid: 1000,
            owner: "deploy".into(),
            group: "deploy".into(),
            kind: *kind,
            allows_worker: *allows_worker,
        });
        let nodes: Vec<PathNode> = nodes.collect();
        let host = passing_to("proxy_pass http://unix:/run/app/app.sock")
            .with(|it| sight(it, "unix:/run/app/app.sock", |it| it.path = seen(nodes)))
            .with(|it| serving(it, 500, "/usr/bin/gunicorn app:app", "unix:/run/app/app.sock"));
        logged(host, &[&line])
    }

    #[test]
    fn the_first_step_that_denies_the_worker_is_named() {
        let host = denied_at(&[
            ("/run/app", 0o750, NodeKind::Directory, Some(false)),
            ("/run/app/app.sock", 0o777, NodeKind::Socket, Some(true)),
        ]);
        let report = check(&host, "unix-socket-permission: confirmed");
        assert!(
            report.causes[0].summary.contains("/run/app deploy:deploy 0750"),
            "{}",
            report.causes[0].summary
        );
    }

    #[test]
    fn a_path_that_lets_the_worker_through_is_another_cause() {
        let host = denied_at(&[("/run/app/app.sock", 0o777, NodeKind::Socket, Some(true))]);
        let report = crate::diagnose(&host);
        assert!(
            report.causes.iter().all(|it| it.cause.id != "unix-socket-permission"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_path_we_may_not_see_is_a_blind_spot() {
        let host = denied_at(&[]).with(|it| sight(it, "unix:/run/app/app.sock", |it| it.path = denied()));
        check_blind(&host, "unix-socket-permission", "owner and mode of the socket's path");
    }
}
