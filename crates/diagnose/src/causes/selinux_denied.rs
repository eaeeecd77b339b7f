use crate::denials::{self, Denial, Unstartable};
use crate::rule::*;

cause! {
    /// SELinux denies nginx the connection to the backend, or the backend the address that it should listen at.
    ///
    /// ## What you see
    /// Every connection fails with `13: Permission denied` while connecting, over TCP as well as to a unix socket, although
    /// the backend answers `curl`, all modes are right and nothing filters. Or nginx may not write its temporary files, or a
    /// backend does not come up on a new port, although root could do both.
    ///
    /// ## How we know
    /// The kernel logs each refusal (`avc:  denied`) with the program, what it wanted and the port or file. Only a record at
    /// the time of the failures that names nginx and the very thing it failed at counts.
    ///
    /// ## What to do
    /// For TCP, `setsebool -P httpd_can_network_connect on`; for a file or socket, give it the label that the policy expects.
    /// Do not switch SELinux off for it.
    ///
    /// ## Not to be confused with
    /// `unix-socket-permission` and `temp-path-permission`: there owner and mode of a path deny it. `no-route-to-upstream`: a
    /// prohibit route gives the same number. `apparmor-denied`: the other security module.
    "selinux-denied",
    explains: [ConnectPermission, ConnectRefused, ConnectSocketMissing, TempWrite],
    leads_to: ["backend-start-failed", "backend-port-conflict", "backend-not-running", "passive-health-ejection", "temp-path-permission"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::AvcDenied { permissive: false, .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    if let Some(it) = denials::of_backend(case)?.filter(|it| it.denial.by_selinux()) {
        return Ok(of_backend(case, it));
    }
    if case.group.errno != Some(13)
        || matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing)
    {
        return Ok(Verdict::NotIt);
    }
    let denials: Vec<Denial> = denials::of_nginx(case).into_iter().filter(Denial::by_selinux).collect();
    if let Some(denial) = denials.last() {
        return Ok(of_nginx(case, denial, denials.len()));
    }
    match scene.snapshot.host.selinux_enforcing {
        None => Ok(Verdict::NotIt),
        Some(false) => Ok(Verdict::ruled_out("SELinux is permissive here: it logs, and refuses nothing")),
        Some(true) => {
            denials::require(scene)?;
            Ok(Verdict::ruled_out("SELinux enforces, and logged no refusal of nginx at that time"))
        }
    }
}

/// Who was refused what, of which type: the words of a record.
struct Record<'s> {
    permission: &'s str,
    domain: &'s str,
    target: &'s str,
    class: &'s str,
}

fn read<'s>(denial: &Denial<'s>) -> Option<Record<'s>> {
    let EventKind::AvcDenied { permissions, source_context, target_context, class, .. } = &denial.event.kind
    else {
        return None;
    };
    Some(Record {
        permission: permissions.first().map_or("", String::as_str),
        domain: type_of(source_context.as_deref()),
        target: type_of(target_context.as_deref()),
        class: class.as_deref().unwrap_or_default(),
    })
}

/// The type in `system_u:object_r:http_port_t:s0`.
fn type_of(context: Option<&str>) -> &str {
    context.and_then(|it| it.split(':').nth(2)).unwrap_or_default()
}

fn of_nginx(case: &Case, denial: &Denial, count: usize) -> Verdict {
    let Some(record) = read(denial) else { return Verdict::NotIt };
    let domain = if record.domain.is_empty() { String::new() } else { format!(" ({})", record.domain) };
    let labelled =
        if record.target.is_empty() { String::new() } else { format!(", labelled {}", record.target) };
    let what = match (denial.port, record.class) {
        (Some(port), _) => format!("the connection to port {port}{labelled}"),
        (None, "unix_stream_socket") => {
            format!("the connection to {}, whose program runs as {}", case.peer_name(), record.target)
        }
        _ => format!("`{}` on {}{labelled}", record.permission, place(case, denial)),
    };
    let mut found = confirmed(format!("SELinux denies nginx{domain} {what}"))
        .decisive(denial.event.fact())
        .supporting(case.failures_fact());
    if count > 1 {
        found = found.supporting(Fact::new(
            &denial.event.source,
            format!("{count} such records stand beside the failures"),
        ));
    }
    for fix in fixes(case, denial, &record) {
        found = found.fix(fix);
    }
    found
        .verify("ausearch -m AVC -c nginx -ts recent")
        .verify(case.verify_command())
        .prevent("Leave SELinux enforcing, and alert on AVC records of nginx's domain")
        .into()
}

/// What the record is about, in nginx's words where the record has the last step alone.
fn place(case: &Case, denial: &Denial) -> String {
    let name = denial.name.unwrap_or("its file");
    match case.peer() {
        Some(Peer::Unix(path)) if path.ends_with(&format!("/{name}")) => path.clone(),
        _ => name.to_owned(),
    }
}

fn fixes(case: &Case, denial: &Denial, record: &Record) -> Vec<Fix> {
    if record.domain != "httpd_t" {
        return vec![module()];
    }
    if let Some(port) = denial.port {
        // A port without a type of its own is added to one; another has to be moved.
        let own = !matches!(
            record.target,
            "" | "port_t" | "unreserved_port_t" | "hi_reserved_port_t" | "ephemeral_port_t"
        );
        let verb = if own { "-m" } else { "-a" };
        let all = Fix::repair("Allow nginx's domain to open connections to backends")
            .run("setsebool -P httpd_can_network_connect on")
            .because("this boolean is made for reverse proxies, and off by default")
            .risk("every program that runs as httpd_t, PHP-FPM too, may then connect to any port");
        let one = Fix::repair(format!(
            "Or, narrower: label port {port} as a web port, and let nginx relay to those"
        ))
        .run(format!("semanage port {verb} -t http_port_t -p tcp {port}"))
        .run("setsebool -P httpd_can_network_relay on")
        .because("httpd_can_network_relay opens the ports of web servers and caches alone");
        return vec![all, one];
    }
    if record.class == "unix_stream_socket" {
        return vec![module()];
    }
    let path = match case.peer() {
        Some(Peer::Unix(path)) => path.as_str(),
        _ => case.entries().next_back().map_or("", |it| denials::path_in(&it.message)),
    };
    let folder = path.rsplit_once('/').map_or("", |it| it.0);
    if !is_plain(folder) {
        return vec![module()];
    }
    let label = if case.group.symptom == Symptom::TempWrite { "httpd_cache_t" } else { "httpd_var_run_t" };
    let mut fix = Fix::repair(format!("Give {folder} a label that nginx may use"));
    if !folder.starts_with("/home/") {
        fix = fix.run(format!("semanage fcontext -a -t {label} '{folder}(/.*)?'"));
    }
    vec![
        fix.run(format!("restorecon -Rv {folder}"))
            .because("restorecon alone is enough where the policy knows the path"),
        module(),
    ]
}

/// What always works: a module with just the rules that were missed.
fn module() -> Fix {
    Fix::repair("Load a policy module with just the rules that were missed")
        .run("ausearch -m AVC -c nginx -ts recent --raw | audit2allow -M nginx_upstream")
        .run("semodule -i nginx_upstream.pp")
        .because("that is the way where no boolean and no label fits")
        .risk("read nginx_upstream.te first: it allows whatever was refused lately")
}

/// Nothing that a shell, or the pattern of a label, would take for something else.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.len() > 1
        && path.chars().all(|it| it.is_ascii_alphanumeric() || "/_-".contains(it))
}

fn of_backend(case: &Case, Unstartable { unit, denial, fact }: Unstartable) -> Verdict {
    let Some(record) = read(&denial) else { return Verdict::NotIt };
    let what = match (denial.port, denial.name) {
        (Some(port), _) => format!("port {port} ({})", record.target),
        (None, Some(name)) => format!("{name} ({})", record.target),
        (None, None) => record.target.to_owned(),
    };
    let mut found = confirmed(format!(
        "{} does not come up: SELinux denies it `{}` on {what}",
        unit.name, record.permission
    ))
    .decisive(denial.event.fact())
    .supporting(fact)
    .supporting(case.failures_fact());
    if let (Some(port), "httpd_t") = (denial.port, record.domain) {
        let verb = if matches!(record.target, "port_t" | "unreserved_port_t" | "ephemeral_port_t") {
            "-a"
        } else {
            "-m"
        };
        found = found.fix(
            Fix::repair(format!("Label port {port} as one that web programs may bind"))
                .run(format!("semanage port {verb} -t http_port_t -p tcp {port}")),
        );
    } else {
        found = found.fix(
            Fix::repair("Load a policy module with just the rules that were missed")
                .run("ausearch -m AVC -ts recent --raw | audit2allow -M backend_start")
                .run("semodule -i backend_start.pp")
                .risk("read backend_start.te first: it allows whatever was refused lately"),
        );
    }
    found
        .fix(Fix::repair(format!("Then start {}", unit.name)).run(format!("systemctl restart {}", unit.name)))
        .verify("ausearch -m AVC -ts recent")
        .verify(case.verify_command())
        .into()
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let unix = matches!(case.peer(), Some(Peer::Unix(_)));
    let confidence = match case.group.symptom {
        Symptom::ConnectPermission if unix => 0.15,
        Symptom::ConnectPermission => 0.5,
        Symptom::TempWrite if case.group.errno == Some(13) => 0.15,
        _ => return None,
    };
    let summary = format!("SELinux may deny nginx {}", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::repair("Look for the denial, and allow what is meant (httpd_can_network_connect)")
                    .run("ausearch -m AVC -ts recent"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{NodeKind, PathNode, Snapshot};

    /// auditd's record of nginx's worker, pid 101, at the time of the failures.
    fn record(rest: &str) -> String {
        format!("type=AVC msg=audit(1777726980.100:411): avc:  denied  {rest}")
    }

    const TO_3000: &str = "{ name_connect } for  pid=101 comm=\"nginx\" dest=3000 scontext=system_u:system_r:httpd_t:s0 \
                           tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0";

    /// nginx may not connect to a backend that listens.
    fn refused(peer: &str) -> Snapshot {
        let url = if peer.starts_with("unix:") {
            format!("http://{peer}:/cart")
        } else {
            format!("http://{peer}/cart")
        };
        let line = failed("connect() failed (13: Permission denied)", "connecting to upstream", &url);
        let line = line.replace("connect()", &format!("connect() to {peer}"));
        logged(passing_to(&format!("proxy_pass http://{peer}")), &[&line])
            .with(|it| serving(it, 700, "/usr/bin/node app.js", peer))
    }

    #[test]
    fn a_record_of_the_dialled_port_is_named_with_the_boolean() {
        let host = refused("127.0.0.1:3000").with(|it| system_log(it, "audit", &[(10, &record(TO_3000))]));
        let report = check(&host, "selinux-denied: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands, ["setsebool -P httpd_can_network_connect on"]);
        assert_eq!(report.causes[0].fixes[1].commands[0], "semanage port -m -t http_port_t -p tcp 3000");
    }

    #[test]
    fn a_record_of_the_socket_is_named_with_its_label() {
        let text = record(
            "{ write } for  pid=101 comm=\"nginx\" name=\"app.sock\" dev=\"tmpfs\" ino=77 \
             scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:var_run_t:s0 tclass=sock_file permissive=0",
        );
        let host = refused("unix:/run/app/app.sock").with(|it| system_log(it, "audit", &[(10, &text)]));
        let report = check(&host, "selinux-denied: confirmed");
        assert_eq!(
            report.causes[0].fixes[0].commands,
            ["semanage fcontext -a -t httpd_var_run_t '/run/app(/.*)?'", "restorecon -Rv /run/app"]
        );
    }

    #[test]
    fn another_port_another_program_or_another_time_is_another_matter() {
        for (seconds, text) in [
            (10, record(TO_3000).replace("dest=3000", "dest=3001")),
            (10, record(TO_3000).replace("nginx", "zabbix_agentd").replace("pid=101", "pid=5")),
            (300, record(TO_3000)),
            (10, record(TO_3000).replace("permissive=0", "permissive=1")),
        ] {
            let host = refused("127.0.0.1:3000").with(|it| system_log(it, "audit", &[(seconds, &text)]));
            check_not(&host, "selinux-denied");
        }
    }

    #[test]
    fn what_an_application_prints_is_no_record() {
        let host = refused("127.0.0.1:3000")
            .with(|it| journal(it, "node-700.service", &[(10, "node", &record(TO_3000))]));
        check_not(&host, "selinux-denied");
    }

    #[test]
    fn a_mode_that_denies_is_another_cause() {
        let node = PathNode {
            path: "/run/app/app.sock".into(),
            mode: 0o600,
            uid: 0,
            gid: 0,
            owner: "root".into(),
            group: "root".into(),
            kind: NodeKind::Socket,
            allows_worker: Some(false),
        };
        let host = refused("unix:/run/app/app.sock").with(|it| {
            it.host.selinux_enforcing = Some(true);
            sight(it, "unix:/run/app/app.sock", |it| it.path = seen(vec![node]));
        });
        check(&host, "unix-socket-permission: confirmed");
        check_ruled_out(&host, "selinux-denied", "logged no refusal of nginx");
    }

    #[test]
    fn a_permissive_selinux_refuses_nothing() {
        let host = refused("127.0.0.1:3000").with(|it| it.host.selinux_enforcing = Some(false));
        check_not(&host, "selinux-denied");
    }

    #[test]
    fn audit_records_we_may_not_read_are_a_blind_spot() {
        let host = refused("127.0.0.1:3000").with(|it| {
            it.host.selinux_enforcing = Some(true);
            system_log(it, "audit", &[]);
            it.backend_logs[0].lines = denied();
        });
        check_blind(&host, "selinux-denied", "audit records");
    }

    #[test]
    fn a_backend_that_may_not_bind_its_port_does_not_come_up() {
        let text = record(
            "{ name_bind } for  pid=900 comm=\"php-fpm\" src=9074 scontext=system_u:system_r:httpd_t:s0 \
             tcontext=system_u:object_r:unreserved_port_t:s0 tclass=tcp_socket permissive=0",
        );
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "fastcgi://127.0.0.1:9074",
        );
        let host = logged(passing_to("fastcgi_pass 127.0.0.1:9074"), &[&line]).with(|it| {
            php_fpm(it, "127.0.0.1:9074", &[], "");
            unit(it, "php8.2-fpm.service", |it| {
                it.exec_start = "/usr/sbin/php-fpm8.2 --nodaemonize".into();
                (it.active_state, it.sub_state) = ("failed".into(), "failed".into());
                (it.result, it.exit_code, it.exit_status) = ("exit-code".into(), "exited".into(), 78);
            });
            system_log(it, "audit", &[(60, &text)]);
            journal(it, "php8.2-fpm.service", &[
                (61, "systemd", "Starting php8.2-fpm.service - The PHP FastCGI Process Manager..."),
                (60, "php-fpm", "unable to bind listening socket for address '127.0.0.1:9074': Permission denied (13)"),
                (60, "systemd", "php8.2-fpm.service: Main process exited, code=exited, status=78/CONFIG"),
                (60, "systemd", "php8.2-fpm.service: Failed with result 'exit-code'."),
            ]);
        });
        let report = check(&host, "selinux-denied: confirmed");
        assert!(
            report.causes[0].summary.contains("php8.2-fpm.service does not come up"),
            "{}",
            report.causes[0].summary
        );
    }
}
