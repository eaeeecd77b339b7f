//! Which application server a process or a unit is, and what is known of each kind.

use snapshot::Process;

/// Kinds of application server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppKind {
    /// PHP-FPM.
    PhpFpm,
    /// gunicorn.
    Gunicorn,
    /// uWSGI.
    Uwsgi,
    /// uvicorn or hypercorn.
    Uvicorn,
    /// Node.js.
    Node,
    /// A JVM: Tomcat, Jetty, Spring …
    Java,
    /// Puma, Unicorn, Passenger or another Ruby server.
    Ruby,
    /// Some other Python program.
    Python,
    /// nginx, this one or another.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Apache httpd.
    Apache,
    /// stunnel.
    Stunnel,
    /// Varnish.
    Varnish,
    /// Docker's or Podman's userland proxy: the backend is in a container.
    ContainerProxy,
    /// A program that never is nginx's backend: sshd, a database, a mail server …
    NoBackend,
    /// Anything else: a Go or Rust binary, a script.
    Other,
}

/// Programs that listen on many hosts and are not what an HTTP, FastCGI or uwsgi pass means.
const NO_BACKENDS: &[&str] = &[
    "curl",
    "wget",
    "sshd",
    "postgres",
    "mysqld",
    "mariadbd",
    "redis-server",
    "valkey-server",
    "memcached",
    "dnsmasq",
    "systemd",
    "systemd-resolve",
    "systemd-resolved",
    "cupsd",
    "chronyd",
    "ntpd",
    "rpcbind",
    "master",
    "exim4",
    "dovecot",
    "named",
    "mongod",
    "dockerd",
    "containerd",
    "unbound",
    "rsyslogd",
    "smbd",
    "vsftpd",
    "dbus-daemon",
    "init",
    "avahi-daemon",
    "beam.smp",
    "epmd",
];

impl AppKind {
    /// From a running process.
    pub fn of(process: &Process) -> AppKind {
        let command = process.arguments.join(" ");
        match AppKind::of_command(&command) {
            AppKind::Other => AppKind::of_name(&process.name),
            kind => kind,
        }
    }

    /// From a command line: of a process, or a unit's ExecStart.
    pub fn of_command(command: &str) -> AppKind {
        let has = |needle: &str| command.contains(needle);
        let program =
            command.split_whitespace().next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let program = program.trim_end_matches(':');
        if program.ends_with("_exporter") || program.ends_with("-exporter") {
            return AppKind::NoBackend;
        }
        if program.starts_with("php-fpm") || has("php-fpm: ") || has("/php-fpm") {
            AppKind::PhpFpm
        } else if has("gunicorn") {
            AppKind::Gunicorn
        } else if program.starts_with("uwsgi") || has("/uwsgi") {
            AppKind::Uwsgi
        } else if has("uvicorn") || has("hypercorn") {
            AppKind::Uvicorn
        } else if ["puma", "unicorn", "passenger", "thin", "rails"].iter().any(|it| program.starts_with(it)) {
            AppKind::Ruby
        } else if program == "node"
            || program == "nodejs"
            || has("PM2 ")
            || program == "npm"
            || program == "bun"
        {
            AppKind::Node
        } else {
            AppKind::of_name(program)
        }
    }

    fn of_name(name: &str) -> AppKind {
        match name {
            "java" => AppKind::Java,
            "nginx" | "openresty" | "angie" | "tengine" => AppKind::Nginx,
            "haproxy" => AppKind::Haproxy,
            "apache2" | "httpd" => AppKind::Apache,
            "varnishd" => AppKind::Varnish,
            "docker-proxy" | "rootlessport" | "conmon" | "pasta" | "slirp4netns" => AppKind::ContainerProxy,
            _ if name.starts_with("php-fpm") => AppKind::PhpFpm,
            _ if name.starts_with("uwsgi") => AppKind::Uwsgi,
            _ if name.starts_with("stunnel") => AppKind::Stunnel,
            _ if name.starts_with("ruby") || name.starts_with("puma") => AppKind::Ruby,
            _ if name.starts_with("python") => AppKind::Python,
            _ if name == "node" || name == "nodejs" => AppKind::Node,
            _ if NO_BACKENDS.contains(&name) => AppKind::NoBackend,
            _ => AppKind::Other,
        }
    }

    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            AppKind::PhpFpm => "PHP-FPM",
            AppKind::Gunicorn => "gunicorn",
            AppKind::Uwsgi => "uWSGI",
            AppKind::Uvicorn => "uvicorn",
            AppKind::Node => "Node.js",
            AppKind::Java => "the JVM",
            AppKind::Ruby => "the Ruby server",
            AppKind::Python => "the Python program",
            AppKind::Nginx => "nginx",
            AppKind::Haproxy => "HAProxy",
            AppKind::Apache => "Apache httpd",
            AppKind::Stunnel => "stunnel",
            AppKind::Varnish => "Varnish",
            AppKind::ContainerProxy => "the container",
            AppKind::NoBackend | AppKind::Other => "the backend",
        }
    }

    /// Whether it could answer a pass with that scheme. uWSGI speaks HTTP as well, if told to.
    pub fn may_speak(self, scheme: &str) -> bool {
        match scheme {
            "fastcgi" => {
                matches!(self, AppKind::PhpFpm | AppKind::Uwsgi | AppKind::Other | AppKind::ContainerProxy)
            }
            "uwsgi" | "suwsgi" => matches!(self, AppKind::Uwsgi | AppKind::ContainerProxy),
            "scgi" => {
                !matches!(self, AppKind::PhpFpm | AppKind::Gunicorn | AppKind::Node | AppKind::NoBackend)
            }
            _ => !matches!(self, AppKind::PhpFpm | AppKind::NoBackend),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn recognised(command: &str, expected: AppKind) {
        assert_eq!(AppKind::of_command(command), expected, "{command}");
    }

    #[test]
    fn servers_are_recognised_from_their_command_lines() {
        recognised("php-fpm: pool www", AppKind::PhpFpm);
        recognised(
            "/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /etc/php/8.2/fpm/php-fpm.conf",
            AppKind::PhpFpm,
        );
        recognised("/usr/bin/python3 /usr/bin/gunicorn --bind 127.0.0.1:8000 app:app", AppKind::Gunicorn);
        recognised("gunicorn: master [shop]", AppKind::Gunicorn);
        recognised("/usr/bin/uwsgi --ini shop.ini", AppKind::Uwsgi);
        recognised("/usr/bin/node server.js", AppKind::Node);
        recognised("/usr/bin/python3 server.py --port 80", AppKind::Python);
        recognised("puma 6.4.0 (tcp://0.0.0.0:3000) [shop]", AppKind::Ruby);
        recognised("/usr/sbin/sshd -D", AppKind::NoBackend);
        recognised("/usr/bin/prometheus-node-exporter --web.listen-address=:9100", AppKind::NoBackend);
        recognised("node_exporter", AppKind::NoBackend);
        recognised("/opt/shop/bin/shopd", AppKind::Other);
        recognised("", AppKind::Other);
    }
}
