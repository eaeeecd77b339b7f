//! What backends, the kernel and the service manager write when something happens that nginx then meets.
//!
//! A line becomes an [`Event`] only by its own wording at its own place: the header that a log carrier or the
//! program put before it is taken off, and the rest is compared from its beginning, because the text of
//! applications can quote any of these lines. What an event means for a failing request is not decided here.
//!
//! Wordings were checked against PHP-FPM 8.2, gunicorn 20.1, uWSGI 2.0.21, Node 20, HAProxy 2.6, systemd 252
//! and Linux 6.1, or read in their sources; older and newer variants are named where they differ. Tomcat, Puma, Unicorn and
//! systemd 208 to 257 are known from their sources and from logs that people have published.

mod header;
mod servers;
mod system;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use header::{Header, KernelTime, header, time_of_kernel_line};

/// Something that happened, as one line tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The process it happened to: a child, a worker, a killed process. Not the process that wrote the line.
    pub pid: Option<u32>,
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What a line tells about an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Text(&'a str),
    Texts(&'a [String]),
    Whole(i64),
    Fraction(f64),
    Holds,
}

/// Whatever an event can hold; `None` where the line does not tell it, or where it does not hold.
trait IsField {
    fn field(&self) -> Option<Field<'_>>;
}

impl<T: IsField> IsField for Option<T> {
    fn field(&self) -> Option<Field<'_>> {
        self.as_ref().and_then(T::field)
    }
}

macro_rules! are_fields {
    ($($type:ty, $it:ident => $field:expr;)+) => {
        $(impl IsField for $type {
            fn field(&self) -> Option<Field<'_>> {
                let $it = self;
                $field
            }
        })+
    };
}

are_fields! {
    String, it => Some(Field::Text(it));
    Vec<String>, it => Some(Field::Texts(it));
    u16, it => Some(Field::Whole((*it).into()));
    u32, it => Some(Field::Whole((*it).into()));
    i32, it => Some(Field::Whole((*it).into()));
    u64, it => i64::try_from(*it).ok().map(Field::Whole);
    f64, it => Some(Field::Fraction(*it));
    bool, it => it.then_some(Field::Holds);
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $variant:ident $({ $($field:ident: $type:ty),+ $(,)? })? = $name:literal,)+) => {
        /// What happened, with what the line tells about it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "event")]
        pub enum EventKind {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant $({ $($field: $type),+ })?,)+
        }

        impl EventKind {
            /// The stable name, such as `max-children-reached`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant $({ $($field: _),+ })? => $name,)+ }
            }

            /// Hands out what the line tells about it, by name.
            pub(crate) fn each_field(&self, mut take: impl FnMut(&'static str, Field<'_>)) {
                match self {
                    $(Self::$variant $({ $($field),+ })? => {
                        $($(if let Some(it) = $field.field() { take(stringify!($field), it) })+)?
                    })+
                }
            }
        }
    };
}

event_kinds! {
    /// PHP-FPM: all children that pm.max_children allows exist and are busy.
    MaxChildrenReached { pool: String, limit: u32 } = "max-children-reached",
    /// PHP-FPM: it spawns children faster, since too few are idle.
    PoolBusy { pool: String } = "pool-busy",
    /// PHP-FPM: a child died on a signal.
    ChildSignalled { pool: String, signal: i32, after_seconds: Option<f64> } = "child-signalled",
    /// PHP-FPM: a child ended with an exit code. Code 0 is an ordinary end (pm.max_requests).
    ChildExited { pool: String, code: i32, after_seconds: Option<f64> } = "child-exited",
    /// PHP-FPM: request_terminate_timeout ran out; the child gets killed.
    RequestTimedOut { pool: String, script: String, seconds: f64 } = "request-timed-out",
    /// PHP-FPM: request_slowlog_timeout ran out.
    RequestSlow { pool: String, script: String, seconds: f64 } = "request-slow",
    /// Any server: it cannot bind its address. The address is as the program writes it.
    BindFailed { address: Option<String> } = "bind-failed",
    /// PHP-FPM: listen.allowed_clients turned a peer away.
    AccessDisallowed { ip: String } = "access-disallowed",
    /// A server accepts connections now.
    Listening { address: Option<String> } = "listening",
    /// A server was asked to stop, and stops.
    Stopping = "stopping",
    /// A server gives up starting.
    StartFailed { unit: Option<String>, why: String } = "start-failed",
    /// gunicorn: a worker sent no heartbeat within its timeout; it gets killed.
    WorkerTimeout = "worker-timeout",
    /// uwsgi: a request took longer than harakiri; the worker gets killed.
    Harakiri { worker: u32 } = "harakiri",
    /// gunicorn, uwsgi: a worker died.
    WorkerDied { worker: Option<u32>, signal: Option<i32>, code: Option<i32> } = "worker-died",
    /// gunicorn: a worker reached max_requests. uwsgi: a worker ended its work.
    WorkerRecycled = "worker-recycled",
    /// gunicorn, uwsgi: a worker began.
    WorkerStarted = "worker-started",
    /// uwsgi: the request's header is larger than buffer-size; it hangs up.
    RequestTooLarge { size_bytes: u64, max_bytes: u64 } = "request-too-large",
    /// uwsgi: the socket's accept queue is full.
    ListenQueueFull { address: String, queued: u64, limit: u64 } = "listen-queue-full",
    /// Tomcat: all threads of a connector are busy.
    ThreadPoolExhausted { limit: Option<u32> } = "thread-pool-exhausted",
    /// HAProxy: a request or a connection ended before its time. `termination` is its two or four letters: who ended it, and in
    /// which phase. `status` is absent for TCP.
    SessionFailed { proxy: String, server: String, status: Option<u16>, termination: String } = "session-failed",
    /// HAProxy: a health check took a server out.
    ServerDown { proxy: String, server: String, reason: Option<String> } = "server-down",
    /// HAProxy: no server of a backend is left.
    NoServerAvailable { proxy: String } = "no-server-available",
    /// An error that nobody caught, or the last line of a traceback.
    UncaughtError { text: String } = "uncaught-error",
    /// A process is out of file descriptors.
    TooManyOpenFiles = "too-many-open-files",
    /// Kernel: the OOM killer took a process. `constraint` is `CONSTRAINT_MEMCG` or `CONSTRAINT_NONE` and the
    /// like.
    OomKill { comm: String, cgroup: Option<String>, constraint: Option<String> } = "oom-kill",
    /// Kernel: a process died on a memory fault.
    Segfault { comm: String } = "segfault",
    /// Kernel: a process stays in uninterruptible sleep.
    TaskBlocked { comm: String, seconds: u64 } = "task-blocked",
    /// Kernel: the connection-tracking table is full, packets are dropped.
    ConntrackFull = "conntrack-full",
    /// Kernel: the accept queue for new connections overflowed.
    SynFlooding { port: u16 } = "syn-flooding",
    /// systemd; `unit` is absent where the line holds the description only, as before version 250.
    UnitStarting { unit: Option<String>, description: String } = "unit-starting",
    UnitStarted { unit: Option<String>, description: String } = "unit-started",
    UnitStopping { unit: Option<String>, description: String } = "unit-stopping",
    UnitStopped { unit: Option<String>, description: String } = "unit-stopped",
    UnitReloading { unit: Option<String>, description: String } = "unit-reloading",
    UnitReloaded { unit: Option<String>, description: String } = "unit-reloaded",
    /// systemd: the main process ended. `code` is `exited`, `killed` or `dumped`; `status` as in `1/FAILURE`,
    /// `9/KILL`.
    UnitExited { unit: String, code: String, status: String } = "unit-exited",
    /// systemd: `result` is such as `exit-code`, `signal`, `oom-kill`, `timeout`, `start-limit-hit`.
    UnitFailed { unit: String, result: String } = "unit-failed",
    /// systemd: a process of the unit was killed by the OOM killer.
    UnitOomKill { unit: String } = "unit-oom-kill",
    /// systemd: Restart= starts it again; the counter counts since the last manual start.
    RestartScheduled { unit: String, counter: Option<u32> } = "restart-scheduled",
    /// systemd: it failed too often in a row and stays down.
    StartLimitHit { unit: String } = "start-limit-hit",
    /// systemd: starting, stopping or the watchdog took too long.
    UnitTimedOut { unit: String, phase: String } = "unit-timed-out",
    /// SELinux refused an access.
    AvcDenied {
        permissions: Vec<String>,
        comm: Option<String>,
        source_context: Option<String>,
        target_context: Option<String>,
        class: Option<String>,
        name: Option<String>,
        port: Option<u16>,
        permissive: bool,
    } = "avc-denied",
    /// AppArmor refused an access.
    ApparmorDenied {
        profile: Option<String>,
        operation: Option<String>,
        name: Option<String>,
        comm: Option<String>,
    } = "apparmor-denied",
}

/// What a line tells, if it is one of those known. A carrier's header (time, host, tag) may stand before it.
pub fn event(message: &str) -> Option<Event> {
    let header = header(message);
    system::event(header.message)
        .or_else(|| servers::event(header.message, &header))
        .or_else(|| servers::logged_event(&header))
}

/// The text between two markers, the first one at the beginning.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.strip_prefix(before)?.split_once(after)?.0)
}

/// The number at the beginning of a text.
fn number_at<T: std::str::FromStr>(text: &str) -> Option<T> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.').parse().ok()
}
