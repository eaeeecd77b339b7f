//! Lines of application servers: PHP-FPM, gunicorn, uwsgi, Puma, Unicorn, Tomcat, Node, Python, Java, Go, HAProxy.

use super::{Event, EventKind, Header, between, number_at};

pub(super) fn event(message: &str, header: &Header<'_>) -> Option<Event> {
    php_fpm(message)
        .or_else(|| gunicorn(message, header))
        .or_else(|| uwsgi(message))
        .or_else(|| haproxy(message))
        .or_else(|| haproxy_session(message))
        .or_else(|| ruby(message))
        .or_else(|| bind_failed(message))
        .or_else(|| listening(message))
        .or_else(|| uncaught(message))
        .or_else(|| too_many_open_files(message))
}

/// What an application's logger wrote behind its time, level and name. The text can quote anything, so only that counts which
/// a language's own runtime words.
pub(super) fn logged_event(header: &Header<'_>) -> Option<Event> {
    // HAProxy's level stands before words of its own, gunicorn's and PHP-FPM's as well.
    header.level?;
    let message = header.message;
    let said = |text: &str| {
        tomcat(text).or_else(|| bind_failed(text)).or_else(|| uncaught(text)).filter(|_| !text.is_empty())
    };
    // `c.e.Shop - text`, `c.e.Shop : text`, `org.apache.catalina.core.StandardService.initInternal text`.
    let behind = |separator: &str| message.split_once(separator).and_then(|it| said(it.1));
    said(message)
        .or_else(|| behind(" - "))
        .or_else(|| behind(" : "))
        .or_else(|| behind(" ").filter(|_| is_java_name(message)))
}

/// Whether the first word is a class or a method with its package.
fn is_java_name(message: &str) -> bool {
    let word = message.split(' ').next().unwrap_or_default();
    word.split('.').count() >= 3
        && word.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'$'))
}

/// Source: org.apache.catalina and org.apache.tomcat.util.
fn tomcat(message: &str) -> Option<Event> {
    let full = message
        .strip_prefix("All threads (")
        .filter(|it| it.contains(") are currently busy"))
        .or_else(|| message.strip_prefix("Maximum number of threads ("));
    if let Some(limit) = full {
        return plain(EventKind::ThreadPoolExhausted { limit: number_at(limit) });
    }
    let refused = [
        "Failed to initialize connector [",
        "Failed to initialize component [",
        "Failed to start connector [",
    ];
    if refused.iter().any(|start| message.starts_with(start)) {
        return plain(EventKind::StartFailed { unit: None, why: message.to_owned() });
    }
    // `Server startup in [1234] milliseconds`; without brackets before Tomcat 9.
    if message.starts_with("Server startup in ") {
        return plain(EventKind::Listening { address: None });
    }
    // `Starting ProtocolHandler` comes before; `Stopping service [Catalina]`.
    if message.starts_with("Stopping service [") || message.starts_with("Stopping service Catalina") {
        return plain(EventKind::Stopping);
    }
    // `Servlet.service() for servlet [x] in context with path [] threw exception […] with root cause`.
    (message.starts_with("Servlet.service() for servlet ") && message.contains(" threw exception"))
        .then(|| Event { pid: None, kind: EventKind::UncaughtError { text: message.to_owned() } })
}

/// Source: Puma's lib/puma/cluster.rb, Unicorn's lib/unicorn/http_server.rb.
fn ruby(message: &str) -> Option<Event> {
    // Puma's cluster writes its process before the text.
    let message = match message.strip_prefix('[').and_then(|it| it.split_once("] ")) {
        Some((pid, rest)) if pid.bytes().all(|it| it.is_ascii_digit()) => rest,
        _ => message,
    };
    if let Some(rest) = message.strip_prefix("! Terminating timed out worker") {
        return Some(Event {
            pid: rest.rsplit_once(": ").and_then(|it| number_at(it.1)),
            kind: EventKind::WorkerTimeout,
        });
    }
    if let Some(rest) = message.strip_prefix("- Worker ") {
        let (worker, rest) = rest.split_once(' ')?;
        let started = rest.contains(" booted") && number_at::<u32>(worker).is_some();
        let pid =
            rest.split_once("(PID: ").or_else(|| rest.split_once("(pid: ")).and_then(|it| number_at(it.1));
        return started.then_some(Event { pid, kind: EventKind::WorkerStarted });
    }
    if let Some(address) = message.strip_prefix("* Listening on ") {
        return plain(EventKind::Listening { address: Some(address.to_owned()) });
    }
    if message.starts_with("- Gracefully shutting down workers")
        || message.starts_with("- Gracefully stopping")
    {
        return plain(EventKind::Stopping);
    }
    // Unicorn: `worker=0 PID:77 timeout (61s > 60s), killing`.
    if let Some((_, rest)) = message.strip_prefix("worker=").and_then(|it| it.split_once(" PID:")) {
        let killed = rest.contains(" timeout (") && rest.ends_with("), killing");
        return killed.then(|| Event { pid: number_at(rest), kind: EventKind::WorkerTimeout });
    }
    // `reaped #<Process::Status: pid 77 SIGKILL (signal 9)> worker=0`.
    if let Some(rest) = message.strip_prefix("reaped #<Process::Status: pid ") {
        let signal = rest.split_once("(signal ").and_then(|it| number_at(it.1));
        let code = rest.split_once(" exit ").and_then(|it| number_at(it.1));
        let worker = rest.split_once("worker=").and_then(|it| number_at(it.1));
        let died = signal.is_some() || code.is_some_and(|it: i32| it != 0);
        return died
            .then(|| Event { pid: number_at(rest), kind: EventKind::WorkerDied { worker, signal, code } });
    }
    None
}

/// `10.0.0.9:51234 [20/Nov/2026:15:00:00.123] fe be/s1 0/0/1/-1/2 503 217 - - SC-- 1/1/0/0/3 0/0 "GET / HTTP/1.1"`, and the
/// shorter one of TCP. Source: HAProxy's configuration manual, "HTTP log format" and "Session state at disconnection".
fn haproxy_session(message: &str) -> Option<Event> {
    let (client, rest) = message.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    if client.contains(' ')
        || !client.contains(':')
        || time.len() != 24
        || !time.is_ascii()
        || time.as_bytes()[20] != b'.'
    {
        return None;
    }
    let mut words = rest.split(' ');
    let (_frontend, backend, timers) = (words.next()?, words.next()?, words.next()?);
    let (proxy, server) = backend.split_once('/')?;
    let rest: Vec<&str> = words.take(5).collect();
    let (status, termination) = match rest.as_slice() {
        // Status, bytes, two cookies, state.
        [status, _, _, _, state] if state.len() == 4 && timers.split('/').count() == 5 => {
            (status.parse().ok(), *state)
        }
        // Bytes, state.
        [_, state, ..] if state.len() == 2 && timers.split('/').count() == 3 => (None, *state),
        _ => return None,
    };
    // `-` where it ended as it should; `L` where HAProxy answered itself.
    let failed = matches!(
        termination.as_bytes()[0],
        b'C' | b'S' | b'P' | b'R' | b'I' | b'D' | b'U' | b'K' | b'c' | b's'
    );
    failed.then(|| Event {
        pid: None,
        kind: EventKind::SessionFailed {
            proxy: proxy.to_owned(),
            server: server.to_owned(),
            status,
            termination: termination.to_owned(),
        },
    })
}

fn plain(kind: EventKind) -> Option<Event> {
    Some(Event { pid: None, kind })
}

/// Source: sapi/fpm/fpm/*.c.
fn php_fpm(message: &str) -> Option<Event> {
    if let Some((pool, text)) = message.strip_prefix("[pool ").and_then(|it| it.split_once("] ")) {
        return about_pool(pool.to_owned(), text);
    }
    if let Some(ip) = between(message, "Connection disallowed: IP address '", "'") {
        return plain(EventKind::AccessDisallowed { ip: ip.to_owned() });
    }
    match message {
        "ready to handle connections" => return plain(EventKind::Listening { address: None }),
        "Terminating ..." | "Finishing ..." => return plain(EventKind::Stopping),
        "FPM initialization failed" => {
            return plain(EventKind::StartFailed { unit: None, why: message.to_owned() });
        }
        _ => {}
    }
    let in_file = message.starts_with("[/") && message.contains(".conf:") && message.contains("] ");
    let refused = in_file
        || message.starts_with("Unable to include ")
        || message.starts_with("failed to open configuration file ")
        || message.starts_with("failed to load configuration file ")
        || message.starts_with("No pool defined")
        || message.starts_with("failed to post process the configuration");
    if refused {
        return plain(EventKind::StartFailed { unit: None, why: message.to_owned() });
    }
    None
}

fn about_pool(pool: String, text: &str) -> Option<Event> {
    if let Some(rest) = text.strip_prefix("server reached ") {
        let (_, limit) = rest.split_once("max_children setting (")?;
        return plain(EventKind::MaxChildrenReached { pool, limit: number_at(limit)? });
    }
    if text.starts_with("seems busy ") {
        return plain(EventKind::PoolBusy { pool });
    }
    if let Some(rest) = text.strip_prefix("child ") {
        let pid = number_at(rest);
        let rest = rest.trim_start_matches(|it: char| it.is_ascii_digit());
        return Some(Event { pid, kind: about_child(pool, rest)? });
    }
    let refused = [
        "cannot get uid for user",
        "cannot get gid for group",
        "please specify user and group",
        "user has not been",
    ];
    if refused.iter().any(|start| text.starts_with(start)) || text.starts_with("unable to set listen address")
    {
        return plain(EventKind::StartFailed { unit: None, why: format!("[pool {pool}] {text}") });
    }
    None
}

fn about_child(pool: String, rest: &str) -> Option<EventKind> {
    if let Some(rest) = rest.strip_prefix(" exited ") {
        let after_seconds = rest.split_once(" after ").and_then(|it| number_at(it.1));
        // `on signal 11 (SIGSEGV - core dumped)`; `(SIGBUS)`.
        if let Some(signal) = rest.strip_prefix("on signal ") {
            return Some(EventKind::ChildSignalled { pool, signal: number_at(signal)?, after_seconds });
        }
        let code = number_at(rest.strip_prefix("with code ")?)?;
        return Some(EventKind::ChildExited { pool, code, after_seconds });
    }
    // Script and request come from the client; the end of the line is PHP-FPM's own.
    let script = between(rest, ", script '", "' (request: ")?.to_owned();
    if let Some(line) = rest.strip_suffix(" sec), terminating") {
        let (_, seconds) = line.rsplit_once("execution timed out (")?;
        return Some(EventKind::RequestTimedOut { pool, script, seconds: seconds.parse().ok()? });
    }
    let (_, seconds) = rest.strip_suffix(" sec), logging")?.rsplit_once("executing too slow (")?;
    Some(EventKind::RequestSlow { pool, script, seconds: seconds.parse().ok()? })
}

/// Source: gunicorn/arbiter.py, gunicorn/sock.py, gunicorn/workers/*.py.
fn gunicorn(message: &str, header: &Header<'_>) -> Option<Event> {
    let pid_behind = |text: &str| number_at(text);
    if let Some(rest) = message.strip_prefix("WORKER TIMEOUT (pid:") {
        return Some(Event { pid: pid_behind(rest), kind: EventKind::WorkerTimeout });
    }
    if let Some(rest) = message.strip_prefix("Booting worker with pid: ") {
        return Some(Event { pid: pid_behind(rest), kind: EventKind::WorkerStarted });
    }
    if message == "Autorestarting worker after current request." {
        return Some(Event { pid: header.pid, kind: EventKind::WorkerRecycled });
    }
    let died =
        |pid, signal, code| Some(Event { pid, kind: EventKind::WorkerDied { worker: None, signal, code } });
    if let Some(rest) = message.strip_prefix("Worker (pid:") {
        let (pid, text) = rest.split_once(") ")?;
        // `was sent SIGKILL! Perhaps out of memory?`, `was sent code 134!`, `exited with code 3`.
        if let Some(name) = text.strip_prefix("was sent SIG") {
            return died(pid.parse().ok(), signal_number(name.split('!').next()?), None);
        }
        let code = text.strip_prefix("exited with code ").or_else(|| text.strip_prefix("was sent code "))?;
        return died(pid.parse().ok(), None, number_at(code));
    }
    if let Some(rest) = message.strip_prefix("Worker with pid ") {
        let (pid, signal) = rest.split_once(" was terminated due to signal ")?;
        return died(pid.parse().ok(), number_at(signal), None);
    }
    if let Some(address) =
        message.strip_prefix("Connection in use: ").or_else(|| message.strip_prefix("Can't connect to "))
    {
        // A Python tuple, or the path of a unix socket.
        return plain(EventKind::BindFailed { address: Some(python_address(address)) });
    }
    if let Some(rest) = message.strip_prefix("Listening at: ") {
        let addresses = rest.rsplit_once(" (").map_or(rest, |it| it.0);
        return plain(EventKind::Listening { address: Some(addresses.to_owned()) });
    }
    let stops =
        ["Shutting down: Master", "Handling signal: term", "Handling signal: quit", "Handling signal: int"];
    if stops.contains(&message) {
        return plain(EventKind::Stopping);
    }
    if message == "Exception in worker process" {
        return plain(EventKind::UncaughtError { text: message.to_owned() });
    }
    // uvicorn's own supervisor.
    if let Some(pid) = between(message, "Child process [", "] died") {
        return died(pid.parse().ok(), None, None);
    }
    if let Some(why) = message.strip_prefix("Reason: ").filter(|_| message.contains("failed to boot")) {
        return plain(EventKind::StartFailed { unit: None, why: why.to_owned() });
    }
    None
}

/// `('127.0.0.1', 8000)` as `127.0.0.1:8000`; other text as it is.
fn python_address(text: &str) -> String {
    let tuple = || {
        let (host, port) = text.strip_prefix("('")?.split_once("', ")?;
        let port = port.split([',', ')']).next()?;
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    };
    tuple().unwrap_or_else(|| text.to_owned())
}

fn signal_number(name: &str) -> Option<i32> {
    Some(match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "BUS" => 7,
        "FPE" => 8,
        "KILL" => 9,
        "SEGV" => 11,
        "PIPE" => 13,
        "TERM" => 15,
        _ => return None,
    })
}

/// Source: uwsgi's core/master.c, core/master_checks.c, core/protocol.c, core/socket.c.
fn uwsgi(message: &str) -> Option<Event> {
    // It logs requests and its own words into one stream, with an optional time before them.
    let message = match message.split_once(" - ") {
        Some((time, rest)) if time.len() == 24 && rest.starts_with("***") => rest,
        _ => message,
    };
    if let Some(rest) = message.strip_prefix("*** HARAKIRI ON WORKER ") {
        let pid = rest.split_once("(pid: ").and_then(|it| number_at(it.1));
        return Some(Event { pid, kind: EventKind::Harakiri { worker: number_at(rest)? } });
    }
    if let Some(rest) = message.strip_prefix("DAMN ! worker ") {
        let pid = rest.split_once("(pid: ").and_then(|it| number_at(it.1));
        let signal = rest.split_once("killed by signal ").and_then(|it| number_at(it.1));
        return Some(Event {
            pid,
            kind: EventKind::WorkerDied { worker: number_at(rest), signal, code: None },
        });
    }
    if let Some(rest) = message.strip_prefix("*** uWSGI listen queue of socket \"") {
        let (address, rest) = rest.split_once("\" (fd: ")?;
        let (queued, limit) = rest.split_once("full !!! (")?.1.split_once('/')?;
        let (queued, limit) = (queued.parse().ok()?, number_at(limit)?);
        return plain(EventKind::ListenQueueFull { address: address.to_owned(), queued, limit });
    }
    if let Some(rest) = message.strip_prefix("invalid request block size: ") {
        let (size, max) = rest.split_once(" (max ")?;
        return plain(EventKind::RequestTooLarge {
            size_bytes: size.parse().ok()?,
            max_bytes: number_at(max)?,
        });
    }
    if let Some(rest) =
        message.strip_prefix("!!! uWSGI process ").filter(|it| it.contains(" got Segmentation Fault"))
    {
        return Some(Event { pid: number_at(rest), kind: EventKind::Segfault { comm: "uwsgi".to_owned() } });
    }
    if let Some(rest) = message.strip_prefix("...The work of process ") {
        return Some(Event { pid: number_at(rest), kind: EventKind::WorkerRecycled });
    }
    if message.starts_with("spawned uWSGI worker ") || message.starts_with("Respawned uWSGI worker ") {
        let pid = message.split_once("pid: ").and_then(|it| number_at(it.1));
        return Some(Event { pid, kind: EventKind::WorkerStarted });
    }
    if let Some(rest) =
        message.strip_prefix("worker ").filter(|it| it.contains(" lifetime reached, it was running for "))
    {
        return number_at::<u32>(rest).and_then(|_| plain(EventKind::WorkerRecycled));
    }
    if let Some(rest) = message.strip_prefix("...gracefully killing worker ") {
        let pid = rest.split_once("(pid: ").and_then(|it| number_at(it.1));
        return Some(Event { pid, kind: EventKind::WorkerRecycled });
    }
    if message.starts_with("SIGINT/SIGQUIT received...") || message.starts_with("SIGINT/SIGTERM received...")
    {
        return plain(EventKind::Stopping);
    }
    if let Some((_, rest)) = message.strip_prefix("uwsgi socket ").and_then(|it| {
        it.split_once(" bound to TCP address ").or_else(|| it.split_once(" bound to UNIX address "))
    }) {
        return plain(EventKind::Listening { address: rest.split(" fd ").next().map(str::to_owned) });
    }
    if let Some(rest) = message.strip_prefix("uWSGI http bound on ") {
        return plain(EventKind::Listening { address: rest.split(" fd ").next().map(str::to_owned) });
    }
    if message.starts_with("unable to load app ") {
        return plain(EventKind::StartFailed { unit: None, why: message.to_owned() });
    }
    if message.starts_with("*** no app loaded. GAME OVER")
        || message.starts_with("OOPS ! failed loading app in worker ")
    {
        return plain(EventKind::StartFailed {
            unit: None,
            why: message.trim_matches(['*', ' ']).to_owned(),
        });
    }
    None
}

/// Source: HAProxy's src/server.c, src/proxy.c, src/protocol.c.
fn haproxy(message: &str) -> Option<Event> {
    if let Some(rest) = message.strip_prefix("Server ").or_else(|| message.strip_prefix("Backup Server ")) {
        let (server, rest) = rest.split_once(" is DOWN")?;
        let (proxy, server) = server.split_once('/')?;
        let reason = rest
            .split_once("reason: ")
            .map(|it| it.1.split(", check duration").next().unwrap_or(it.1).to_owned());
        return plain(EventKind::ServerDown { proxy: proxy.to_owned(), server: server.to_owned(), reason });
    }
    if let Some(rest) = message.strip_suffix(" has no server available!") {
        let proxy = rest.strip_prefix("backend ").or_else(|| rest.strip_prefix("proxy "))?;
        return plain(EventKind::NoServerAvailable { proxy: proxy.trim_matches('\'').to_owned() });
    }
    // `Current worker (77) exited with code 139 (Segmentation fault)`; `#1` since 1.9.
    if let Some(rest) = message.strip_prefix("Current worker ") {
        let (pid, rest) = rest.split_once('(')?.1.split_once(") exited with code ")?;
        let code: i32 = number_at(rest)?;
        // Beyond 128 stands the signal.
        let kind = EventKind::WorkerDied {
            worker: None,
            signal: (code > 128).then(|| code - 128),
            code: (code <= 128).then_some(code),
        };
        return (code != 0).then(|| Event { pid: pid.parse().ok(), kind });
    }
    if message == "Fatal errors found in configuration."
        || message.starts_with("Error(s) found in configuration file")
    {
        return plain(EventKind::StartFailed { unit: None, why: message.to_owned() });
    }
    if let Some(proxy) = message.strip_prefix("Proxy ") {
        return match proxy.split_once(' ')?.1 {
            "started." => plain(EventKind::Listening { address: None }),
            rest if rest.starts_with("stopped ") => plain(EventKind::Stopping),
            _ => None,
        };
    }
    if message.starts_with("Binding [") || message.starts_with("Starting ") {
        let (_, rest) = message.split_once(": cannot bind socket")?;
        let address = rest.split_once('[').and_then(|it| it.1.strip_suffix(']'));
        return plain(EventKind::BindFailed { address: address.map(str::to_owned) });
    }
    None
}

/// How servers say that their address is taken or forbidden.
fn bind_failed(message: &str) -> Option<Event> {
    let failed = |address: Option<&str>| plain(EventKind::BindFailed { address: address.map(str::to_owned) });
    // PHP-FPM.
    if let Some(address) = between(message, "unable to bind listening socket for address '", "'") {
        return failed(Some(address));
    }
    if let Some(address) = message.strip_prefix("An another FPM instance seems to already listen on ") {
        return failed(Some(address));
    }
    // uwsgi.
    if message.starts_with("bind(): ") {
        return failed(None);
    }
    if message.starts_with("probably another instance of uWSGI is running on the same address (") {
        return failed(message.rsplit_once('(').and_then(|it| it.1.split_once(')')).map(|it| it.0));
    }
    // Node.
    if let Some(rest) = message.strip_prefix("Error: listen EADDRINUSE: address already in use ") {
        return failed(Some(rest));
    }
    if let Some(rest) = message.strip_prefix("Error: listen EACCES: permission denied ") {
        return failed(Some(rest));
    }
    // Spring Boot.
    if let Some(port) = between(message, "Web server failed to start. Port ", " was already in use") {
        return failed(Some(port));
    }
    // uvicorn: `[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in
    // use`.
    if let Some((_, rest)) = message.split_once("error while attempting to bind on address ") {
        let address = rest.split_once("): ").map_or(rest, |it| it.0);
        return plain(EventKind::BindFailed { address: Some(python_address(address)) });
    }
    // Go, at the end of any wrapping: `listen tcp :8080: bind: address already in use`.
    if let Some(rest) = message.strip_suffix(": bind: address already in use") {
        return failed(rest.rsplit_once("listen tcp ").map(|it| it.1));
    }
    // Go without the right to bind, Puma and Unicorn.
    if let Some(rest) = message.strip_suffix(": bind: permission denied") {
        return failed(rest.rsplit_once("listen tcp ").map(|it| it.1));
    }
    if let Some((_, rest)) = message.split_once("Address already in use - bind(2) for ") {
        let words = rest.trim_end_matches(" (Errno::EADDRINUSE)").trim_matches('"').replace("\" port ", ":");
        return failed(Some(&words));
    }
    if message.starts_with("adding listener failed addr=") && message.ends_with("(in use)") {
        return failed(message.split(['=', ' ']).nth(3));
    }
    // Python, Java, Ruby.
    let whole = message.strip_prefix("Caused by: ").unwrap_or(message);
    let names = [
        "OSError: [Errno 98] Address already in use",
        "java.net.BindException: ",
        "Address already in use - bind(2)",
    ];
    if names.iter().any(|start| whole.starts_with(start)) {
        return failed(None);
    }
    None
}

/// How servers other than gunicorn say that they accept connections.
fn listening(message: &str) -> Option<Event> {
    let starts =
        ["Uvicorn running on ", "INFO:     Uvicorn running on ", "* Listening on ", "Tomcat started on port"];
    let start = starts.iter().find(|start| message.starts_with(*start))?;
    let rest = message[start.len()..].trim_start_matches(['(', 's', ')', ':', ' ']);
    let address = rest.split(' ').next().filter(|it| !it.is_empty());
    plain(EventKind::Listening { address: address.map(str::to_owned) })
}

/// An error that ends a program or a request: the message line of a traceback or a stack.
fn uncaught(message: &str) -> Option<Event> {
    let error = |text: &str| plain(EventKind::UncaughtError { text: text.to_owned() });
    let starts = [
        "panic: ",
        "PHP Fatal error: ",
        "Fatal error: ",
        "Exception in thread \"",
        "Uncaught ",
        "thread 'main' panicked",
        // Go's runtime, Node, Python's interpreter, the Java virtual machine.
        "fatal error: ",
        "FATAL ERROR: ",
        "Fatal Python error: ",
        "# A fatal error has been detected by the Java Runtime Environment",
        "Terminating due to java.lang.OutOfMemoryError",
        "http: panic serving ",
        "[UnhandledPromiseRejection: ",
    ];
    if starts.iter().any(|start| message.starts_with(start)) {
        return error(message);
    }
    // `(node:77) UnhandledPromiseRejectionWarning: …`.
    if message.starts_with("(node:") && message.contains(") UnhandledPromiseRejectionWarning: ") {
        return error(message);
    }
    // Ruby: `app.rb:3:in `call': undefined method 'x' (NoMethodError)`, and what a request of Rails ends in.
    let of_ruby = message.strip_suffix(')').and_then(|it| it.rsplit_once(" ("));
    if let Some((text, class)) = of_ruby
        && text.contains(".rb:")
        && text.contains(":in ")
        && (class.ends_with("Error") || class.ends_with("Exception"))
    {
        return error(message);
    }
    if message == "MemoryError" {
        return error(message);
    }
    // `TypeError: …`, `django.core.exceptions.ImproperlyConfigured: …`, `Error [ERR_X]: …`, `Caused by:
    // java.io.IOException`.
    let text = message.strip_prefix("Caused by: ").unwrap_or(message);
    let name_end = text
        .find(|it: char| !it.is_ascii_alphanumeric() && !matches!(it, '.' | '_' | '$'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let is_code = rest.starts_with(" [ERR_");
    let last = name.rsplit('.').next().unwrap_or(name);
    let named = ["Error", "Exception", "ImproperlyConfigured", "SystemExit", "KeyboardInterrupt", "Timeout"];
    let is_error =
        named.iter().any(|it| last.ends_with(it)) && last.starts_with(|it: char| it.is_ascii_uppercase());
    let ends_name = rest.starts_with(": ") || is_code || rest.is_empty() && name.len() > "Exception".len();
    if is_error && ends_name && !descriptors_used_up(text) { error(text) } else { None }
}

fn too_many_open_files(message: &str) -> Option<Event> {
    descriptors_used_up(message).then_some(Event { pid: None, kind: EventKind::TooManyOpenFiles })
}

fn descriptors_used_up(message: &str) -> bool {
    message.contains("Too many open files") || message.contains("too many open files")
}
