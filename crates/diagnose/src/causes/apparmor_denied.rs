use crate::denials::{self, Denial, Unstartable};
use crate::rule::*;

cause! {
    /// AppArmor denies nginx the backend's socket, or confines the backend so that it cannot serve.
    ///
    /// ## What you see
    /// Every connection fails with `13: Permission denied` while connecting although owner and mode of each step allow it,
    /// or a backend fails at its start with a permission that root cannot be lacking. It begins with a new profile, or with
    /// a new path that the profile does not know.
    ///
    /// ## How we know
    /// The kernel logs each refusal (`apparmor="DENIED"`) with profile, operation and path. Only one at the time of the
    /// failures that names nginx and the very path it failed at counts; for a backend, one just before its start failed.
    ///
    /// ## What to do
    /// Add the missing line to the local part of the profile and load it again; `aa-logprof` proposes it from the log.
    ///
    /// ## Not to be confused with
    /// `unix-socket-permission` and `temp-path-permission`: there owner and mode of a path deny it. `selinux-denied`: the
    /// other security module.
    "apparmor-denied",
    explains: [ConnectPermission, ConnectRefused, ConnectSocketMissing, TempWrite],
    leads_to: ["backend-start-failed", "backend-port-conflict", "backend-not-running", "passive-health-ejection", "temp-path-permission"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::ApparmorDenied { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if let Some(it) = denials::of_backend(case)?.filter(|it| !it.denial.by_selinux()) {
        return Ok(of_backend(case, it));
    }
    if case.group.errno != Some(13)
        || matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing)
    {
        return Ok(Verdict::NotIt);
    }
    let denials: Vec<Denial> = denials::of_nginx(case).into_iter().filter(|it| !it.by_selinux()).collect();
    let Some(denial) = denials.last() else {
        denials::require(case.scene)?;
        return Ok(Verdict::ruled_out("the kernel logged no refusal of nginx by AppArmor at that time"));
    };
    let Some((profile, operation)) = read(denial) else { return Ok(Verdict::NotIt) };
    let what = denial.name.map_or_else(|| case.peer_name(), str::to_owned);
    let mut found = confirmed(format!("AppArmor's profile {profile} denies nginx `{operation}` on {what}"))
        .decisive(denial.event.fact())
        .supporting(case.failures_fact());
    if denials.len() > 1 {
        let says = format!("{} such lines stand beside the failures", denials.len());
        found = found.supporting(Fact::new(&denial.event.source, says));
    }
    Ok(found
        .fix(allow(profile, denial))
        .fix(
            Fix::mitigate(format!("Until then, let {profile} complain instead of refuse"))
                .run(format!("aa-complain {}", quoted(profile)))
                .risk("the profile protects nothing while it only complains"),
        )
        .verify("journalctl -k --since -5min | grep DENIED")
        .verify(case.verify_command())
        .prevent("Try a profile in complain mode under real traffic before it is enforced")
        .into())
}

/// Profile and operation.
fn read<'s>(denial: &Denial<'s>) -> Option<(&'s str, &'s str)> {
    match &denial.event.kind {
        EventKind::ApparmorDenied { profile, operation, .. } => {
            Some((profile.as_deref().unwrap_or("?"), operation.as_deref().unwrap_or("access")))
        }
        _ => None,
    }
}

/// The line that the profile lacks, where it belongs.
fn allow(profile: &str, denial: &Denial) -> Fix {
    let fix = Fix::repair(format!("Add what is missing to the profile {profile}, and load it again"));
    let Some(rule) = rule(denial).filter(|_| is_plain(profile)) else {
        return fix
            .run("aa-logprof")
            .because("it proposes the lines from the log, and asks before it writes them");
    };
    // A profile that is named after a program is kept in a file of that name, its slashes as dots.
    let file = profile.trim_start_matches('/').replace('/', ".");
    fix.run(format!("echo '  {rule},' >> /etc/apparmor.d/local/{file}"))
        .run(format!("apparmor_parser -r /etc/apparmor.d/{file}"))
        .because(
            "profiles of packages include their local part, which updates leave alone; else run aa-logprof",
        )
}

fn rule(denial: &Denial) -> Option<String> {
    if let Some(name) = denial.name {
        let rights = if denial.event.text.contains("operation=\"exec\"") { "ix" } else { "rw" };
        return is_plain(name).then(|| format!("{name} {rights}"));
    }
    let family = ["inet6", "inet", "unix"]
        .into_iter()
        .find(|it| denial.event.text.contains(&format!("family=\"{it}\"")))?;
    Some(format!("network {family} stream"))
}

/// Nothing that a shell or the profile's language would take for something else.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || "/._-+:@".contains(it))
}

fn quoted(profile: &str) -> &str {
    if is_plain(profile) { profile } else { "PROFILE" }
}

fn of_backend(case: &Case, Unstartable { unit, denial, fact }: Unstartable) -> Verdict {
    let Some((profile, operation)) = read(&denial) else { return Verdict::NotIt };
    let what = denial.name.map(|it| format!(" on {it}")).unwrap_or_default();
    confirmed(format!(
        "{} does not come up: AppArmor's profile {profile} denies it `{operation}`{what}",
        unit.name
    ))
    .decisive(denial.event.fact())
    .supporting(fact)
    .supporting(case.failures_fact())
    .fix(allow(profile, &denial))
    .fix(Fix::repair(format!("Then start {}", unit.name)).run(format!("systemctl restart {}", unit.name)))
    .verify("journalctl -k --since -5min | grep DENIED")
    .verify(case.verify_command())
    .into()
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let unix = matches!(case.peer(), Some(Peer::Unix(_)));
    let confidence = match case.group.symptom {
        Symptom::ConnectPermission if unix => 0.05,
        Symptom::ConnectPermission => 0.12,
        _ => return None,
    };
    let summary = format!("AppArmor may deny nginx {}", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Look for the denial").run("dmesg | grep apparmor="))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    const DENIED: &str = "audit: type=1400 audit(1777726980.100:70): apparmor=\"DENIED\" operation=\"connect\" \
                          profile=\"/usr/sbin/nginx\" name=\"/run/crm/crm.sock\" pid=101 comm=\"nginx\" \
                          requested_mask=\"wr\" denied_mask=\"wr\" fsuid=33 ouid=33";

    /// nginx may not connect to a socket that a backend serves.
    fn refused() -> Snapshot {
        let message = "connect() to unix:/run/crm/crm.sock failed (13: Permission denied)";
        let line = failed(message, "connecting to upstream", "http://unix:/run/crm/crm.sock:/cart");
        logged(passing_to("proxy_pass http://unix:/run/crm/crm.sock"), &[&line])
            .with(|it| serving(it, 700, "/usr/bin/gunicorn crm:app", "unix:/run/crm/crm.sock"))
    }

    #[test]
    fn a_refusal_at_the_dialled_socket_is_named_with_the_line_that_lacks() {
        let report = check(&refused().with(|it| kernel(it, 10, DENIED)), "apparmor-denied: confirmed");
        assert_eq!(
            report.causes[0].fixes[0].commands,
            [
                "echo '  /run/crm/crm.sock rw,' >> /etc/apparmor.d/local/usr.sbin.nginx",
                "apparmor_parser -r /etc/apparmor.d/usr.sbin.nginx"
            ]
        );
    }

    #[test]
    fn a_line_that_syslog_kept_counts_as_well() {
        let text = format!("May  2 13:03:00 web-1 kernel: [ 77.100000] {DENIED}");
        check(&refused().with(|it| system_log(it, "kernel", &[(10, &text)])), "apparmor-denied: confirmed");
    }

    #[test]
    fn another_path_another_program_or_another_time_is_another_matter() {
        for (seconds, text) in [
            (10, DENIED.replace("/run/crm/crm.sock", "/proc/101/mem")),
            (10, DENIED.replace("nginx", "cupsd").replace("pid=101", "pid=5")),
            (300, DENIED.to_owned()),
        ] {
            let host = refused().with(|it| kernel(it, seconds, &text));
            check_not(&host, "apparmor-denied");
        }
    }

    #[test]
    fn a_path_that_is_no_plain_text_is_left_to_the_tool() {
        let message = "connect() to unix:/run/crm/c;m.sock failed (13: Permission denied)";
        let line = failed(message, "connecting to upstream", "http://unix:/run/crm/c;m.sock:/cart");
        let host = logged(passing_to("proxy_pass http://unix:/run/crm/crm.sock"), &[&line])
            .with(|it| sight(it, "unix:/run/crm/c;m.sock", |_| {}))
            .with(|it| kernel(it, 10, &DENIED.replace("crm.sock", "c;m.sock")));
        let report = check(&host, "apparmor-denied: confirmed");
        assert_eq!(report.causes[0].fixes[0].commands, ["aa-logprof"]);
    }

    #[test]
    fn a_kernel_log_we_may_not_read_is_a_blind_spot() {
        check_blind(&refused().with(|it| it.kernel = denied()), "apparmor-denied", "kernel log");
    }

    #[test]
    fn a_confined_backend_that_may_not_make_its_socket_does_not_come_up() {
        let denial = DENIED
            .replace("operation=\"connect\"", "operation=\"mknod\"")
            .replace("/usr/sbin/nginx", "crm")
            .replace("pid=101 comm=\"nginx\"", "pid=900 comm=\"gunicorn\"");
        let message = "connect() to unix:/run/crm/crm.sock failed (2: No such file or directory)";
        let line = failed(message, "connecting to upstream", "http://unix:/run/crm/crm.sock:/cart");
        let host = logged(passing_to("proxy_pass http://unix:/run/crm/crm.sock"), &[&line]).with(|it| {
            unit(it, "crm.service", |it| {
                it.exec_start = "/usr/bin/gunicorn --bind unix:/run/crm/crm.sock crm:app".into();
                (it.active_state, it.sub_state) = ("failed".into(), "failed".into());
                (it.result, it.exit_code, it.exit_status) = ("exit-code".into(), "exited".into(), 1);
            });
            kernel(it, 60, &denial);
            journal(
                it,
                "crm.service",
                &[
                    (62, "systemd", "Started crm.service - CRM."),
                    (60, "gunicorn", "PermissionError: [Errno 13] Permission denied: '/run/crm/crm.sock'"),
                    (59, "systemd", "crm.service: Main process exited, code=exited, status=1/FAILURE"),
                    (59, "systemd", "crm.service: Failed with result 'exit-code'."),
                ],
            );
        });
        let report = check(&host, "apparmor-denied: confirmed");
        assert!(
            report.causes[0].summary.contains("crm.service does not come up"),
            "{}",
            report.causes[0].summary
        );
    }
}
