//! One outage each, and what it is said to be.

use super::*;
use crate::testing::*;
use snapshot::{Reading, Snapshot};

const OK: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.010");
const BAD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "0.000");

/// What became of the backend of the first group of failures.
#[track_caller]
fn became(host: &Snapshot, expected: &str) {
    let found = with_scene(host, |scene| {
        let group = &scene.groups[0];
        let backend = crate::service::Backend::of(scene, group.peer.as_ref().unwrap());
        match of(&Case { scene, group, backend: &backend }) {
            Ok(outage) => why_not(&outage),
            Err(blind) => format!("blind: {}", blind.what),
        }
    });
    assert_eq!(found, expected);
}

/// A backend that answered until 13 seconds before the collection and was refused since; no unit names its port.
fn silent() -> Snapshot {
    let host = requested(passing_to("proxy_pass http://127.0.0.1:8080"), &[OK, OK, BAD, BAD, BAD]);
    let line = failed(
        "connect() failed (111: Connection refused)",
        "connecting to upstream",
        "http://127.0.0.1:8080/cart",
    );
    logged(host, &[&line, &line, &line])
}

#[test]
fn a_unit_that_failed_just_then_is_the_one_that_says_nothing_of_its_port() {
    let host = silent().with(|it| {
        unit(it, "shop.service", |it| {
            it.exec_start = "/opt/shop/bin/shopd".into();
            (it.active_state, it.result, it.exit_code) = ("failed".into(), "signal".into(), "killed".into());
            (it.main_started_at, it.main_exited_at) = (Some(ago(86_400)), Some(ago(13)));
        });
    });
    became(&host, "shop.service had served and died");
    let report = crate::diagnose(&host);
    let crash = report.causes.iter().find(|it| it.cause.id == "backend-crashed");
    // Only the time speaks for it.
    assert_ne!(crash.map(|it| it.certainty), Some(crate::Certainty::Confirmed), "{}", outline(&report));
}

#[test]
fn a_unit_that_failed_long_before_or_is_no_backend_is_not_blamed() {
    let host = silent().with(|it| {
        unit(it, "backup.service", |it| {
            it.exec_start = "/opt/backup/run".into();
            (it.active_state, it.main_exited_at) = ("failed".into(), Some(ago(900)));
        });
        unit(it, "ssh.service", |it| {
            it.exec_start = "/usr/sbin/sshd -D".into();
            (it.active_state, it.main_exited_at) = ("failed".into(), Some(ago(13)));
        });
    });
    became(&host, "nothing on this host is set up to listen there");
}

#[test]
fn a_backend_of_another_host_is_out_of_sight() {
    let line = failed(
        "connect() failed (111: Connection refused)",
        "connecting to upstream",
        "http://10.0.0.7:80/cart",
    );
    became(&logged(passing_to("proxy_pass http://10.0.0.7"), &[&line]), "the backend is on another host");
}

#[test]
fn an_oom_kill_at_the_time_of_an_older_unit_s_end_is_not_forgotten() {
    let host = silent().with(|it| {
        unit(it, "shop.service", |it| {
            it.exec_start = "/opt/shop/bin/shopd --port 8080".into();
            (it.active_state, it.result) = ("failed".into(), "oom-kill".into());
            it.inactive_since = Some(ago(13));
        });
    });
    became(&host, "the OOM killer took shop.service");
}

#[test]
fn a_cgroup_whose_name_only_begins_alike_is_another_one() {
    let host = silent().with(|it| {
        unit(it, "shop.service", |it| {
            it.exec_start = "/opt/shop/bin/shopd --port 8080".into();
            it.cgroup = "/system.slice/shop".into();
            it.inactive_since = Some(ago(13));
        });
        let killed = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
                      oom_memcg=/system.slice/shop2,task_memcg=/system.slice/shop2,task=java,pid=77,uid=0";
        kernel(it, 13, killed);
    });
    became(&host, "shop.service was stopped, it did not fail");
}

#[test]
fn units_that_may_not_be_seen_could_define_it() {
    became(&silent().with(|it| it.units = denied()), "blind: systemd units");
}

#[test]
fn good_answers_are_those_of_this_peer_alone() {
    let other = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8081", "200", "0.010");
    let own_error = ("GET /cart HTTP/1.1", 500, "127.0.0.1:8080", "500", "0.010");
    let host = requested(passing_to("proxy_pass http://127.0.0.1:8080"), &[OK, other, own_error, BAD]);
    let count = with_scene(&host, |scene| {
        let group = &scene.groups[0];
        let backend = crate::service::Backend::of(scene, group.peer.as_ref().unwrap());
        good_answers(&Case { scene, group, backend: &backend }).count()
    });
    assert_eq!(count, 1);
}

/// `silent`, whose unit says these things and is stopped by an operator nine seconds before the collection.
fn stopped_after(lines: &[(i64, &str, &str)]) -> Snapshot {
    silent().with(|it| {
        unit(it, "shop.service", |it| it.exec_start = "/opt/shop/bin/shopd --port 8080".into());
        journal(it, "shop.service", lines);
        let stop = [
            (14, "systemd", "Stopping shop.service - The shop..."),
            (14, "systemd", "shop.service: Deactivated successfully."),
            (14, "systemd", "Stopped shop.service - The shop."),
        ];
        journal(it, "shop.service", &stop);
    })
}

#[test]
fn a_kill_that_the_service_outlived_is_not_why_it_is_down() {
    let kill = "shop.service: A process of this unit has been killed by the OOM killer.";
    became(&stopped_after(&[(30, "systemd", kill)]), "shop.service was stopped, it did not fail");
}

#[test]
fn a_bind_that_failed_before_a_later_run_is_settled() {
    let lines = [
        (60, "systemd", "Started shop.service - The shop."),
        (59, "shopd", "Error: listen EADDRINUSE: address already in use 127.0.0.1:8080"),
        (59, "systemd", "shop.service: Main process exited, code=exited, status=1/FAILURE"),
        (50, "systemd", "Started shop.service - The shop."),
    ];
    let crashed = silent().with(|it| {
        unit(it, "shop.service", |it| {
            it.exec_start = "/opt/shop/bin/shopd --port 8080".into();
            (it.active_state, it.result) = ("failed".into(), "exit-code".into());
        });
        journal(it, "shop.service", &lines);
        let end = "shop.service: Main process exited, code=exited, status=1/FAILURE";
        journal(it, "shop.service", &[(13, "systemd", end)]);
    });
    became(&crashed, "shop.service had served and died");
    became(&stopped_after(&lines), "shop.service was stopped, it did not fail");
}

#[test]
fn a_run_that_answered_in_the_second_of_its_start_had_served() {
    let died = silent().with(|it| {
        unit(it, "shop.service", |it| {
            it.exec_start = "/opt/shop/bin/shopd --port 8080".into();
            (it.active_state, it.result) = ("failed".into(), "exit-code".into());
        });
        let lines = [
            (13, "systemd", "Started shop.service - The shop."),
            (13, "systemd", "shop.service: Main process exited, code=exited, status=1/FAILURE"),
        ];
        journal(it, "shop.service", &lines);
        // Log stamps are rounded down to the second.
        let Reading::Seen(journal) = &mut it.journal else { return };
        journal.value.iter_mut().for_each(|it| it.at += SignedDuration::from_millis(400));
    });
    became(&died, "shop.service had served and died");
}

#[test]
fn a_unit_that_rested_while_the_peer_answered_was_not_the_one_that_served() {
    let named = |ended: i64| {
        silent().with(|it| {
            unit(it, "shop-check.service", |it| {
                it.exec_start = "/opt/shop/bin/check --target 127.0.0.1:8080".into();
                it.inactive_since = Some(ago(ended));
            });
        })
    };
    became(&named(60), "nothing on this host is set up to listen there");
    became(&named(13), "shop-check.service was stopped, it did not fail");
}

#[test]
fn a_supervisor_that_is_well_may_have_a_program_that_cannot_start() {
    let host = silent().with(|it| {
        unit(it, "emperor.service", |it| {
            it.exec_start = "/usr/bin/uwsgi --emperor /etc/vassals".into();
            (it.active_state, it.sub_state) = ("active".into(), "running".into());
        });
        let lines = [
            (14, "uwsgi", "uwsgi socket 0 bound to TCP address 127.0.0.1:8080 fd 3"),
            (14, "uwsgi", "ModuleNotFoundError: No module named 'shop'"),
        ];
        journal(it, "emperor.service", &lines);
    });
    became(&host, "emperor.service was started and did not come up");
    check(&host, "backend-start-failed: likely");
}
