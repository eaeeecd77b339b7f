//! What a log is, found from its lines: which carrier wrapped them, and which program wrote them.

use crate::access::Format;
use crate::carrier::Carrier;
use crate::error::looks_like_start;

/// Programs whose logs join those of nginx. The names are those of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    PhpFpm,
    Kernel,
    Journal,
    Gunicorn,
    Uwsgi,
    Tomcat,
    Haproxy,
    Audit,
    App,
}

impl Program {
    /// The `kind` of its records.
    pub fn name(self) -> &'static str {
        match self {
            Program::PhpFpm => "php-fpm",
            Program::Kernel => "kernel",
            Program::Journal => "journal",
            Program::Gunicorn => "gunicorn",
            Program::Uwsgi => "uwsgi",
            Program::Tomcat => "tomcat",
            Program::Haproxy => "haproxy",
            Program::Audit => "audit",
            Program::App => "app",
        }
    }
}

/// What the lines of a log are, once the carrier is taken off.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// nginx's access log of that format.
    Access(Format),
    /// nginx's error log.
    Error,
    /// The log of another program.
    Program(Program),
}

impl Kind {
    /// The `kind` of its records.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Access(_) => "access",
            Kind::Error => "error",
            Kind::Program(it) => it.name(),
        }
    }
}

/// What a log turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub carrier: Carrier,
    /// Most logs are of one kind; the output of several containers, or of one that logs to both standard streams, is of
    /// several. The most frequent first; empty where no line was understood.
    pub kinds: Vec<Kind>,
}

impl Shape {
    /// Looks at the first lines of a log. `known` are the formats that a configuration or the operator named: they are
    /// tried before those that can be recognised.
    pub fn detect(sample: &[u8], known: &[Format]) -> Shape {
        let lines = || sample.split(|it| *it == b'\n').filter(|it| !it.trim_ascii().is_empty());
        let carrier = Carrier::detect(lines());
        let error = lines().take(64).filter(|it| looks_like_start(it)).count();
        if error * 2 > lines().take(64).count() {
            return Shape { carrier, kinds: vec![Kind::Error] };
        }
        let fits = |it: &&Format| lines().take(64).filter(|line| it.parse(line).is_some()).count() > 0;
        let format = known.iter().find(fits).cloned().or_else(|| crate::access::recognise(lines()));
        Shape { carrier, kinds: format.map(Kind::Access).into_iter().collect() }
    }

    /// The one kind of lines that stand there without a carrier: what can be read fastest.
    pub fn plain(&self) -> Option<&Kind> {
        match (self.carrier, self.kinds.as_slice()) {
            (Carrier::None, [only]) => Some(only),
            _ => None,
        }
    }

    /// What one line is, the carrier taken off; the guess of `detect` helps, but the line decides.
    pub fn kind_of(&self, line: &[u8]) -> Option<&Kind> {
        self.kinds.iter().find(|it| match it {
            Kind::Access(format) => format.parse(line).is_some(),
            Kind::Error => looks_like_start(line),
            Kind::Program(_) => true,
        })
    }
}
