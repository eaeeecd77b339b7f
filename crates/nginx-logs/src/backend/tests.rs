use super::*;

/// The line is this event, of this process.
#[track_caller]
fn says(line: &str, pid: Option<u32>, kind: EventKind) {
    assert_eq!(event(line), Some(Event { pid, kind }), "{line}");
}

/// The line is an event of this name.
#[track_caller]
fn named(line: &str, name: &str) {
    assert_eq!(event(line).map(|it| it.kind.name()), Some(name), "{line}");
}

#[track_caller]
fn nothing(line: &str) {
    assert_eq!(event(line), None, "{line}");
}

fn www() -> String {
    "www".to_owned()
}

#[test]
fn php_fpm_says_that_its_children_are_used_up() {
    says(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it",
        None,
        EventKind::MaxChildrenReached { pool: www(), limit: 5 },
    );
    // pm = ondemand words it without `pm.`.
    named("[pool www] server reached max_children setting (5), consider raising it", "max-children-reached");
    named(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] seems busy (you may need to increase pm.start_servers, or \
         pm.min/max_spare_servers), spawning 8 children, there are 0 idle, and 12 total children",
        "pool-busy",
    );
}

#[test]
fn php_fpm_says_how_a_child_ended() {
    says(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] child 123 exited on signal 11 (SIGSEGV - core dumped) after 3.100000 \
         seconds from start",
        Some(123),
        EventKind::ChildSignalled { pool: www(), signal: 11, after_seconds: Some(3.1) },
    );
    says(
        "[20-Nov-2026 15:00:00] NOTICE: [pool www] child 123 exited with code 0 after 75.5 seconds from start",
        Some(123),
        EventKind::ChildExited { pool: www(), code: 0, after_seconds: Some(75.5) },
    );
}

#[test]
fn php_fpm_says_which_request_took_too_long() {
    says(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] child 9, script '/srv/a.php' (request: \"GET /a.php?x=1\") execution \
         timed out (2.120000 sec), terminating",
        Some(9),
        EventKind::RequestTimedOut { pool: www(), script: "/srv/a.php".to_owned(), seconds: 2.12 },
    );
    says(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] child 9, script '/srv/a.php' (request: \"GET /a.php\") executing too \
         slow (1.5 sec), logging",
        Some(9),
        EventKind::RequestSlow { pool: www(), script: "/srv/a.php".to_owned(), seconds: 1.5 },
    );
}

#[test]
fn php_fpm_says_why_it_does_not_start() {
    says(
        "[20-Nov-2026 16:25:50] ERROR: unable to bind listening socket for address '127.0.0.1:9000': Address already in \
         use (98)",
        None,
        EventKind::BindFailed { address: Some("127.0.0.1:9000".to_owned()) },
    );
    named("[20-Nov-2026 16:25:50] ERROR: FPM initialization failed", "start-failed");
    named(
        "[20-Nov-2026 16:25:50] ERROR: [/etc/php/8.2/fpm/pool.d/www.conf:22] unknown entry 'x'",
        "start-failed",
    );
}

#[test]
fn php_fpm_says_whom_it_turns_away() {
    says(
        "[20-Nov-2026 15:00:00] ERROR: Connection disallowed: IP address '10.0.0.9' has been dropped.",
        None,
        EventKind::AccessDisallowed { ip: "10.0.0.9".to_owned() },
    );
}

#[test]
fn what_an_application_writes_through_php_fpm_is_its_own_text() {
    nothing(
        "[20-Nov-2026 15:00:00] WARNING: [pool www] child 9 said into stderr: \"[pool www] server reached pm.max_children \
         setting (5)\"",
    );
    nothing("[20-Nov-2026 15:00:00] NOTICE: PHP message: Out of memory: Killed process 1 (x) total-vm:1kB");
}

#[test]
fn gunicorn_says_how_its_workers_end() {
    says(
        "[2026-11-20 16:25:44 +0000] [21] [CRITICAL] WORKER TIMEOUT (pid:107)",
        Some(107),
        EventKind::WorkerTimeout,
    );
    let died = |signal, code| EventKind::WorkerDied { worker: None, signal, code };
    says(
        "[2026-11-20 16:25:44 +0000] [21] [WARNING] Worker with pid 107 was terminated due to signal 9",
        Some(107),
        died(Some(9), None),
    );
    says(
        "[2026-11-20 16:25:44 +0000] [21] [ERROR] Worker (pid:107) was sent SIGKILL! Perhaps out of memory?",
        Some(107),
        died(Some(9), None),
    );
    says(
        "[2026-11-20 16:25:44 +0000] [21] [ERROR] Worker (pid:107) exited with code 3",
        Some(107),
        died(None, Some(3)),
    );
    says(
        "[2026-11-20 16:25:44 +0000] [254] [INFO] Autorestarting worker after current request.",
        Some(254),
        EventKind::WorkerRecycled,
    );
    says(
        "[2026-11-20 16:25:44 +0000] [21] [INFO] Booting worker with pid: 25",
        Some(25),
        EventKind::WorkerStarted,
    );
}

#[test]
fn gunicorn_says_where_it_listens_or_cannot() {
    let address = |text: &str| Some(text.to_owned());
    says(
        "[2026-11-20 16:25:41 +0000] [21] [INFO] Listening at: http://127.0.0.1:8000 (21)",
        None,
        EventKind::Listening { address: address("http://127.0.0.1:8000") },
    );
    says(
        "[2026-11-20 16:25:45 +0000] [49] [ERROR] Connection in use: ('127.0.0.1', 8000)",
        None,
        EventKind::BindFailed { address: address("127.0.0.1:8000") },
    );
    says(
        "Connection in use: ('::1', 8000, 0, 0)",
        None,
        EventKind::BindFailed { address: address("[::1]:8000") },
    );
    named("[2026-11-20 16:25:53 +0000] [71] [INFO] Reason: Worker failed to boot.", "start-failed");
}

#[test]
fn lines_that_a_real_server_wrote_are_known() {
    named("[20-Nov-2026 16:41:45] NOTICE: ready to handle connections", "listening");
    named(
        "[20-Nov-2026 16:41:51] WARNING: [pool www] child 508, script '/srv/sl.php' (request: \"GET \") execution timed out \
         (1.186721 sec), terminating",
        "request-timed-out",
    );
    named(
        "[20-Nov-2026 16:41:51] WARNING: [pool www] child 508 exited on signal 15 (SIGTERM) after 1.212609 seconds from start",
        "child-signalled",
    );
    nothing("[20-Nov-2026 16:41:51] NOTICE: [pool www] child 535 started");
    nothing("[2026-11-20 16:25:41 +0000] [16021] [INFO] Starting gunicorn 20.1.0");
    nothing("*** WARNING: you are running uWSGI as root !!! (use the --uid flag) ***");
}

#[test]
fn uwsgi_says_what_happened_to_its_workers() {
    says("*** HARAKIRI ON WORKER 2 (pid: 77, try: 1) ***", Some(77), EventKind::Harakiri { worker: 2 });
    says(
        "Fri Nov 20 15:00:00 2026 - *** HARAKIRI ON WORKER 2 (pid: 77, try: 1) ***",
        Some(77),
        EventKind::Harakiri { worker: 2 },
    );
    let died = |signal| EventKind::WorkerDied { worker: Some(1), signal, code: None };
    says("DAMN ! worker 1 (pid: 77) died, killed by signal 9 :( trying respawn ...", Some(77), died(Some(9)));
    says("DAMN ! worker 1 (pid: 77) died :( trying respawn ...", Some(77), died(None));
    named("!!! uWSGI process 77 got Segmentation Fault !!!", "segfault");
}

#[test]
fn uwsgi_says_what_does_not_fit() {
    says(
        "invalid request block size: 6123 (max 4096)...skip",
        None,
        EventKind::RequestTooLarge { size_bytes: 6123, max_bytes: 4096 },
    );
    says(
        "*** uWSGI listen queue of socket \"127.0.0.1:3031\" (fd: 3) full !!! (101/100) ***",
        None,
        EventKind::ListenQueueFull { address: "127.0.0.1:3031".to_owned(), queued: 101, limit: 100 },
    );
    says(
        "bind(): Address already in use [core/socket.c line 769]",
        None,
        EventKind::BindFailed { address: None },
    );
}

#[test]
fn a_taken_port_is_known_in_many_words() {
    for (line, address) in [
        ("Error: listen EADDRINUSE: address already in use :::3000", Some(":::3000")),
        ("2026/11/20 15:00:00 listen tcp :8080: bind: address already in use", Some(":8080")),
        ("OSError: [Errno 98] Address already in use", None),
        ("Caused by: java.net.BindException: Address already in use", None),
        ("Web server failed to start. Port 8080 was already in use.", Some("8080")),
        (
            "[ALERT]    (16553) : Binding [ha.cfg:6] for frontend f: cannot bind socket (Address already in use) for \
             [127.0.0.1:21803]",
            Some("127.0.0.1:21803"),
        ),
        (
            "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
            Some("127.0.0.1:8000"),
        ),
    ] {
        says(line, None, EventKind::BindFailed { address: address.map(str::to_owned) });
    }
}

#[test]
fn the_message_of_a_traceback_is_the_error() {
    for line in [
        "ModuleNotFoundError: No module named 'nothere'",
        "TypeError: Cannot read properties of null (reading 'x')",
        "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
        "java.lang.OutOfMemoryError: Java heap space",
        "panic: runtime error: invalid memory address or nil pointer dereference",
    ] {
        says(line, None, EventKind::UncaughtError { text: line.to_owned() });
    }
    nothing("    at Timeout._onTimeout ([eval]:1:22)");
    nothing("an Error: inside of a sentence");
    nothing("Error handling request /raise");
}

#[test]
fn used_up_descriptors_are_known_in_any_program() {
    named("accept4: too many open files; retrying in 5ms", "too-many-open-files");
    named("java.net.SocketException: Too many open files", "too-many-open-files");
}

#[test]
fn the_kernel_says_whom_the_oom_killer_took() {
    says(
        "Nov 20 15:00:00 web-1 kernel: [ 1234.567890] Out of memory: Killed process 123 (php-fpm8.2) total-vm:512000kB, \
         anon-rss:400000kB, file-rss:0kB, shmem-rss:0kB, UID:33 pgtables:900kB oom_score_adj:0",
        Some(123),
        EventKind::OomKill {
            comm: "php-fpm8.2".to_owned(),
            cgroup: None,
            constraint: Some("CONSTRAINT_NONE".to_owned()),
        },
    );
    says(
        "[ 1234.567890] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/\
         x.service,task_memcg=/system.slice/x.service,task=python3,pid=123,uid=0",
        Some(123),
        EventKind::OomKill {
            comm: "python3".to_owned(),
            cgroup: Some("/system.slice/x.service".to_owned()),
            constraint: Some("CONSTRAINT_MEMCG".to_owned()),
        },
    );
    named("Memory cgroup out of memory: Killed process 7 (a) b) total-vm:1kB, anon-rss:1kB", "oom-kill");
    named("Out of memory: Kill process 123 (java) score 900 or sacrifice child", "oom-kill");
}

#[test]
fn the_kernel_says_what_else_hurts() {
    says(
        "Nov 20 15:00:00 web-1 kernel: [ 12.345678] php-fpm8.2[123]: segfault at 0 ip 000055d sp 00007ff error 4 in \
         php-fpm8.2[55d+4]",
        Some(123),
        EventKind::Segfault { comm: "php-fpm8.2".to_owned() },
    );
    named("traps: nginx[12] general protection fault ip:55d sp:7ff error:0 in nginx[55d+4]", "segfault");
    named("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack-full");
    let flooding = EventKind::SynFlooding { port: 8080 };
    says(
        "TCP: request_sock_TCP: Possible SYN flooding on port 8080. Sending cookies.",
        None,
        flooding.clone(),
    );
    says(
        "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8080. Sending cookies.",
        None,
        flooding,
    );
    says(
        "INFO: task php-fpm:44 blocked for more than 120 seconds.",
        Some(44),
        EventKind::TaskBlocked { comm: "php-fpm".to_owned(), seconds: 120 },
    );
}

#[test]
fn systemd_says_how_a_unit_ended() {
    let unit = || "app.service".to_owned();
    says(
        "Nov 20 15:00:00 web-1 systemd[1]: app.service: Main process exited, code=killed, status=9/KILL",
        None,
        EventKind::UnitExited { unit: unit(), code: "killed".to_owned(), status: "9/KILL".to_owned() },
    );
    says(
        "app.service: Failed with result 'oom-kill'.",
        None,
        EventKind::UnitFailed { unit: unit(), result: "oom-kill".to_owned() },
    );
    says(
        "app.service: Scheduled restart job, restart counter is at 5.",
        None,
        EventKind::RestartScheduled { unit: unit(), counter: Some(5) },
    );
    says(
        "app.service: A process of this unit has been killed by the OOM killer.",
        None,
        EventKind::UnitOomKill { unit: unit() },
    );
    says("app.service: Start request repeated too quickly.", None, EventKind::StartLimitHit { unit: unit() });
    named("app.service: Failed to load environment files: No such file or directory", "start-failed");
    named("app.service: Failed at step EXEC spawning /opt/x: No such file or directory", "start-failed");
}

#[test]
fn systemd_says_what_it_does() {
    says(
        "Nov 20 15:00:00 web-1 systemd[1]: Started app.service - The application.",
        None,
        EventKind::UnitStarted {
            unit: Some("app.service".to_owned()),
            description: "The application".to_owned(),
        },
    );
    says(
        "Starting The application...",
        None,
        EventKind::UnitStarting { unit: None, description: "The application".to_owned() },
    );
    named("Stopped app.service - The application.", "unit-stopped");
    named("Failed to start app.service - The application.", "start-failed");
    nothing("Started thinking about it");
}

#[test]
fn the_security_modules_say_what_they_refused() {
    says(
        "type=AVC msg=audit(1795183200.123:456): avc:  denied  { name_connect } for  pid=123 comm=\"nginx\" dest=8080 \
         scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:http_cache_port_t:s0 tclass=tcp_socket \
         permissive=0",
        Some(123),
        EventKind::AvcDenied {
            permissions: vec!["name_connect".to_owned()],
            comm: Some("nginx".to_owned()),
            source_context: Some("system_u:system_r:httpd_t:s0".to_owned()),
            target_context: Some("system_u:object_r:http_cache_port_t:s0".to_owned()),
            class: Some("tcp_socket".to_owned()),
            name: None,
            port: Some(8080),
            permissive: false,
        },
    );
    says(
        "Nov 20 15:00:00 web-1 kernel: [ 12.345678] audit: type=1400 audit(1795183200.123:4): apparmor=\"DENIED\" \
         operation=\"open\" profile=\"/usr/sbin/nginx\" name=\"/run/app.sock\" pid=5 comm=\"nginx\" requested_mask=\"r\"",
        Some(5),
        EventKind::ApparmorDenied {
            profile: Some("/usr/sbin/nginx".to_owned()),
            operation: Some("open".to_owned()),
            name: Some("/run/app.sock".to_owned()),
            comm: Some("nginx".to_owned()),
        },
    );
}

#[test]
fn times_are_read_from_the_front_of_a_line() {
    let date = jiff::civil::date(2026, 11, 20).at(15, 0, 1, 0);
    let since_boot = KernelTime::SinceBoot(std::time::Duration::from_micros(12_345_678));
    assert_eq!(time_of_kernel_line("[   12.345678] x"), Some(since_boot));
    assert_eq!(time_of_kernel_line("Nov 20 15:00:00 web-1 kernel: [   12.345678] x"), Some(since_boot));
    assert_eq!(time_of_kernel_line("[Fri Nov 20 15:00:01 2026] x"), Some(KernelTime::Local(date)));
}

#[test]
fn tomcat_says_that_it_cannot_go_on() {
    // Tomcat 7 and before, in two lines; the second is this one.
    says(
        "SEVERE: All threads (200) are currently busy, waiting. Increase maxThreads (200) or check the servlet status",
        None,
        EventKind::ThreadPoolExhausted { limit: Some(200) },
    );
    named(
        "20-Nov-2026 15:00:00.123 SEVERE [main] org.apache.catalina.core.StandardService.initInternal Failed to initialize \
         connector [Connector[HTTP/1.1-8080]]",
        "start-failed",
    );
    named(
        "20-Nov-2026 15:00:00.123 SEVERE [http-nio-8080-exec-7] org.apache.catalina.core.StandardWrapperValve.invoke \
         Servlet.service() for servlet [api] in context with path [] threw exception [Handler dispatch failed] with root cause",
        "uncaught-error",
    );
    named(
        "20-Nov-2026 15:00:00.123 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [4711] milliseconds",
        "listening",
    );
    nothing(
        "20-Nov-2026 15:00:00.123 INFO [main] org.apache.coyote.AbstractProtocol.init Initializing ProtocolHandler",
    );
}

#[test]
fn a_logger_stands_before_what_the_runtime_says() {
    named(
        "2026-11-20 15:00:00,123 [http-nio-8080-exec-1] ERROR c.e.Shop - java.lang.OutOfMemoryError: Java heap space",
        "uncaught-error",
    );
    named(
        "2026-11-20T15:00:00.123+01:00 ERROR 1 --- [main] o.s.b.SpringApplication : java.net.BindException: Address already in use",
        "bind-failed",
    );
    named(
        "2026/11/20 15:00:00 http: panic serving 10.0.0.9:51234: runtime error: index out of range [3]",
        "uncaught-error",
    );
    named("2026/11/20 15:00:00 listen tcp :80: bind: permission denied", "bind-failed");
    // What an application quotes is its own text.
    nothing("2026-11-20 15:00:00,123 [main] INFO c.e.Shop - WORKER TIMEOUT (pid:107)");
    nothing("2026-11-20 15:00:00,123 [main] INFO c.e.Shop - no Error: here");
}

#[test]
fn the_level_and_the_text_of_a_logger_are_told_apart() {
    for (line, level, message) in [
        ("2026-11-20 15:00:00,123 [main] ERROR c.e.Shop - x", Some("ERROR"), "c.e.Shop - x"),
        ("20-Nov-2026 15:00:00.123 SEVERE [main] org.a.B.c x", Some("SEVERE"), "org.a.B.c x"),
        ("2026/11/20 15:00:00 x y", None, "x y"),
        ("E, [2026-11-20T15:00:00.123456 #7] ERROR -- : x", Some("ERROR"), "x"),
        ("ERROR:root:x y", Some("ERROR"), "x y"),
        ("INFO:     Application startup complete.", Some("INFO"), "Application startup complete."),
        ("2026-11-20 15:00:00 +0100 [warn] x", Some("warn"), "x"),
        ("2026-11-20T15:00:00.123456Z  INFO app::server: x", Some("INFO"), "app::server: x"),
        ("no time at all", None, "no time at all"),
    ] {
        let header = header(line);
        assert_eq!((header.level, header.message), (level, message), "{line}");
    }
}

#[test]
fn haproxy_says_how_a_session_ended() {
    let ended = |server: &str, status, termination: &str| EventKind::SessionFailed {
        proxy: "be".to_owned(),
        server: server.to_owned(),
        status,
        termination: termination.to_owned(),
    };
    says(
        "10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/-1/-1/0 503 217 - - SC-- 1/1/0/0/3 0/0 \"GET / HTTP/1.1\"",
        None,
        ended("s1", Some(503), "SC--"),
    );
    says(
        "Nov 20 15:00:00 lb haproxy[7]: 10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe~ be/s1 0/0/1/-1/60001 504 217 - - sH-- \
         1/1/0/0/0 0/0 {a.example} \"GET / HTTP/1.1\"",
        None,
        ended("s1", Some(504), "sH--"),
    );
    says(
        "::1:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/50001 212 cD 0/0/0/0/0 0/0",
        None,
        ended("s1", None, "cD"),
    );
    nothing(
        "10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/1/1/2 200 217 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
    );
    says(
        "[ALERT]    (1) : Current worker (77) exited with code 139 (Segmentation fault)",
        Some(77),
        EventKind::WorkerDied { worker: None, signal: Some(11), code: None },
    );
    named("Proxy fe started.", "listening");
}

#[test]
fn ruby_servers_say_what_happened_to_their_workers() {
    says("[4] ! Terminating timed out worker: 6", Some(6), EventKind::WorkerTimeout);
    says(
        "[1] ! Terminating timed out worker (Worker 0 failed to check in within 60 seconds): 77",
        Some(77),
        EventKind::WorkerTimeout,
    );
    says("[1] - Worker 0 (PID: 77) booted in 0.01s, phase: 0", Some(77), EventKind::WorkerStarted);
    says(
        "E, [2026-11-20T15:00:00.123456 #1] ERROR -- : worker=0 PID:77 timeout (61s > 60s), killing",
        Some(77),
        EventKind::WorkerTimeout,
    );
    says(
        "E, [2026-11-20T15:00:00.123456 #1] ERROR -- : reaped #<Process::Status: pid 77 SIGKILL (signal 9)> worker=0",
        Some(77),
        EventKind::WorkerDied { worker: Some(0), signal: Some(9), code: None },
    );
    named("app.rb:3:in `call': undefined method `x' for nil:NilClass (NoMethodError)", "uncaught-error");
    says(
        "Address already in use - bind(2) for \"0.0.0.0\" port 3000 (Errno::EADDRINUSE)",
        None,
        EventKind::BindFailed { address: Some("0.0.0.0:3000".to_owned()) },
    );
}

#[test]
fn a_runtime_that_gives_up_is_known() {
    for line in [
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "(node:77) UnhandledPromiseRejectionWarning: Error: connect ECONNREFUSED 127.0.0.1:5432",
        "fatal error: all goroutines are asleep - deadlock!",
        "Fatal Python error: Segmentation fault",
        "Terminating due to java.lang.OutOfMemoryError: Java heap space",
        "# A fatal error has been detected by the Java Runtime Environment:",
        "MemoryError",
    ] {
        named(line, "uncaught-error");
    }
}

#[test]
fn uwsgi_says_where_it_listens_and_why_it_stops() {
    says(
        "uwsgi socket 0 bound to TCP address 127.0.0.1:3031 fd 3",
        None,
        EventKind::Listening { address: Some("127.0.0.1:3031".to_owned()) },
    );
    named("worker 1 lifetime reached, it was running for 61 second(s)", "worker-recycled");
    named("...gracefully killing worker 1 (pid: 77)...", "worker-recycled");
    named("SIGINT/SIGTERM received...killing workers...", "stopping");
    named("unable to load app 0 (mountpoint='') (callable not found or import error)", "start-failed");
}

#[test]
fn older_kernels_word_it_otherwise() {
    says(
        "Killed process 123, UID 48, (httpd) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB",
        Some(123),
        EventKind::OomKill { comm: "httpd".to_owned(), cgroup: None, constraint: None },
    );
    says(
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [php-fpm:77]",
        Some(77),
        EventKind::TaskBlocked { comm: "php-fpm".to_owned(), seconds: 22 },
    );
    says(
        "nginx[77]: unhandled level 2 translation fault (11) at 0x00000000, esr 0x92000046",
        Some(77),
        EventKind::Segfault { comm: "nginx".to_owned() },
    );
}

#[test]
fn every_version_of_systemd_is_understood() {
    let unit = || "app.service".to_owned();
    says(
        "app.service: main process exited, code=exited, status=1/FAILURE",
        None,
        EventKind::UnitExited { unit: unit(), code: "exited".to_owned(), status: "1/FAILURE".to_owned() },
    );
    says(
        "Unit app.service entered failed state.",
        None,
        EventKind::UnitFailed { unit: unit(), result: String::new() },
    );
    let again = || EventKind::RestartScheduled { unit: unit(), counter: None };
    says("app.service holdoff time over, scheduling restart.", None, again());
    says("app.service: Service hold-off time over, scheduling restart.", None, again());
    says(
        "start request repeated too quickly for app.service",
        None,
        EventKind::StartLimitHit { unit: unit() },
    );
    let timed_out = |phase: &str| EventKind::UnitTimedOut { unit: unit(), phase: phase.to_owned() };
    says("app.service start operation timed out. Terminating.", None, timed_out("start"));
    says("app.service stop-sigterm timed out. Killing.", None, timed_out("stop"));
    named("Dependency failed for app.service - The application.", "start-failed");
    says(
        "Killed /system.slice/app.service due to memory pressure for /system.slice being 82.36% > 80.00% for > 20s",
        None,
        EventKind::UnitOomKill { unit: unit() },
    );
    says(
        "Process 77 (php-fpm8.2) of user 33 dumped core.",
        Some(77),
        EventKind::Segfault { comm: "php-fpm8.2".to_owned() },
    );
}

#[test]
fn refusals_are_known_in_the_journals_words_as_well() {
    named(
        "AVC avc:  denied  { connectto } for  pid=5 comm=\"nginx\" path=\"/run/a.sock\" tclass=unix_stream_socket",
        "avc-denied",
    );
    named(
        "AVC apparmor=\"DENIED\" operation=\"open\" profile=\"nginx\" name=\"/run/a.sock\" pid=5 comm=\"nginx\"",
        "apparmor-denied",
    );
    says(
        "SELinux is preventing /usr/sbin/nginx from name_connect access on the tcp_socket port 8080.",
        None,
        EventKind::AvcDenied {
            permissions: vec!["name_connect".to_owned()],
            comm: Some("nginx".to_owned()),
            source_context: None,
            target_context: None,
            class: Some("tcp_socket".to_owned()),
            name: None,
            port: Some(8080),
            permissive: false,
        },
    );
    says(
        "type=ANOM_ABEND msg=audit(1795183200.123:456): auid=4294967295 uid=33 gid=33 ses=4294967295 pid=77 comm=\"php-fpm\" \
         exe=\"/usr/sbin/php-fpm\" sig=11 res=1",
        Some(77),
        EventKind::Segfault { comm: "php-fpm".to_owned() },
    );
}

#[test]
fn every_beginning_of_a_line_is_harmless() {
    for line in [
        "2026-11-20T15:00:00.123+01:00 ERROR 1 --- [main] o.s.b.SpringApplication : x",
        "E, [2026-11-20T15:00:00.123456 #1] ERROR -- : reaped #<Process::Status: pid 77 SIGKILL (signal 9)> worker=0",
        "10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/50001 212 cD 0/0/0/0/0 0/0",
        "SELinux is preventing /usr/sbin/nginx from name_connect access on the tcp_socket port 8080.",
        "20-Nov-2026 15:00:00.123 SEVERE [main] org.apache.x Y \u{e4}\u{f6}",
        "Killed process 123, UID 48, (httpd) total-vm:1kB",
    ] {
        for (end, _) in line.char_indices() {
            let _ = event(&line[..end]);
            let _ = event(&format!("{}\u{e4}", &line[..end]));
        }
    }
}
