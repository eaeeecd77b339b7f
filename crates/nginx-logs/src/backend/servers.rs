//! Lines of application servers: PHP-FPM, gunicorn, uwsgi, Node, Python, Java, Go, HAProxy.

use super::{Event, EventKind, Header, between, number_at};

pub(super) fn event(message: &str, header: &Header<'_>) -> Option<Event> {
    php_fpm(message)
        .or_else(|| gunicorn(message, header))
        .or_else(|| uwsgi(message))
        .or_else(|| haproxy(message))
        .or_else(|| bind_failed(message))
        .or_else(|| listening(message))
        .or_else(|| uncaught(message))
        .or_else(|| too_many_open_files(message))
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
    if message == "Shutting down: Master" || message == "Handling signal: term" {
        return plain(EventKind::Stopping);
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
    ];
    if starts.iter().any(|start| message.starts_with(start)) {
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
