//! Entries of error logs, and lines of other programs.

use super::out::keys;
use super::{ERROR, EVENT, LEVEL, MESSAGE, PID, Place, TRUNCATED, Writer, number_of};
use crate::backend;
use crate::error::{ErrorRecord, StderrRecord};
use crate::reason::Reason;
use crate::{Carrier, Kind, Program};

keys! {
    TID = "tid";
    CONNECTION = "connection";
    ERRNO = "errno";
    ERRNO_TEXT = "errno_text";
    ACTION = "action";
    RESOLVER = "resolver";
    RESPONDER = "responder";
    LISTEN = "listen";
    CLIENT = "client";
    SERVER = "server";
    REQUEST = "request";
    METHOD = "method";
    PATH = "path";
    PROTOCOL = "protocol";
    SUBREQUEST = "subrequest";
    UPSTREAM = "upstream";
    SCHEME = "scheme";
    PEER = "peer";
    HOST = "host";
    REFERRER = "referrer";
    LOGIN = "login";
    FROM_CLIENT = "bytes_from_client";
    TO_CLIENT = "bytes_to_client";
    FROM_UPSTREAM = "bytes_from_upstream";
    TO_UPSTREAM = "bytes_to_upstream";
    SYMPTOM = "symptom";
    REASON = "reason";
    EVENT_PID = "event_pid";
    CONFIG_FILE = "config_file";
    CONFIG_LINE = "config_line";
}

impl Writer<'_, '_> {
    pub(super) fn entry(&mut self, place: &Place<'_>, record: &ErrorRecord<'_>) {
        let moment = self.clock.civil(record.time);
        if !self.begin(ERROR, place, moment) {
            return;
        }
        let out = &mut self.out;
        out.text(&LEVEL, record.level.name().as_bytes());
        out.integer(&PID, record.pid.into());
        out.integer(&TID, record.tid.into());
        if let Some(connection) = record.connection {
            out.integer(&CONNECTION, connection);
        }
        out.text(&MESSAGE, record.message);
        if let Some(errno) = record.errno {
            out.integer(&ERRNO, errno.unsigned_abs().into());
        }
        let texts = [
            (&ERRNO_TEXT, record.errno_text),
            (&ACTION, record.action),
            (&RESOLVER, record.resolver),
            (&RESPONDER, record.responder),
            (&LISTEN, record.listen),
            (&CLIENT, record.client),
            (&SERVER, record.server),
            (&REQUEST, record.request),
            (&METHOD, record.method),
            (&PATH, record.path),
            (&PROTOCOL, record.protocol),
            (&SUBREQUEST, record.subrequest),
            (&UPSTREAM, record.upstream),
            (&SCHEME, record.scheme.map(str::as_bytes)),
            (&PEER, record.peer.as_deref().map(str::as_bytes)),
            (&HOST, record.host),
            (&REFERRER, record.referrer),
            (&LOGIN, record.login),
        ];
        for (key, value) in texts {
            out.maybe(key, value);
        }
        if let Some(bytes) = record.stream_bytes {
            out.integer(&FROM_CLIENT, bytes.from_client);
            out.integer(&TO_CLIENT, bytes.to_client);
            out.integer(&FROM_UPSTREAM, bytes.from_upstream);
            out.integer(&TO_UPSTREAM, bytes.to_upstream);
        }
        if let Some(symptom) = record.symptom() {
            out.text(&SYMPTOM, symptom.id().as_bytes());
            if let Some(reason) = Reason::of_symptom(symptom, record.action) {
                out.text(&REASON, reason.code().as_bytes());
            }
        }
        if record.truncated {
            out.flag(&TRUNCATED);
        }
        self.end(place);
    }

    /// What nginx prints before it runs as a daemon; it has no time.
    pub(super) fn stderr(&mut self, place: &Place<'_>, record: &StderrRecord<'_>) {
        if !self.begin(ERROR, place, None) {
            return;
        }
        let out = &mut self.out;
        out.maybe(&LEVEL, record.level.map(|it| it.name().as_bytes()));
        if let Some(pid) = place.carried.and_then(|it| it.pid) {
            out.integer(&PID, pid.into());
        }
        out.text(&MESSAGE, record.message);
        if let Some(errno) = record.errno {
            out.integer(&ERRNO, errno.unsigned_abs().into());
        }
        out.maybe(&CONFIG_FILE, record.file);
        if let Some(line) = record.line {
            out.integer(&CONFIG_LINE, line.into());
        }
        out.maybe(&SYMPTOM, record.symptom().map(|it| it.id().as_bytes()));
        self.end(place);
    }

    pub(super) fn program(&mut self, program: Program, place: &Place<'_>, text: &[u8]) {
        let line = String::from_utf8_lossy(text);
        let header = backend::header(&line);
        let options = &self.printer.options;
        let at = Kind::Program(program).time_of(text, &options.zone, options.now);
        let moment = at.map(|it| self.clock.at(it));
        if !self.begin(number_of(program), place, moment) {
            return;
        }
        let out = &mut self.out;
        out.maybe(&LEVEL, header.level.map(str::as_bytes));
        if let Some(pid) = header.pid.or(place.carried.and_then(|it| it.pid)) {
            out.integer(&PID, pid.into());
        }
        out.text(&MESSAGE, header.message.as_bytes());
        if let Some(event) = backend::event(&line) {
            out.text(&EVENT, event.kind.name().as_bytes());
            if let Some(pid) = event.pid {
                out.integer(&EVENT_PID, pid.into());
            }
            let is_journal = self.printer.shape.carrier == Carrier::JournalJson;
            let has_unit = is_journal && place.carried.is_some_and(|it| it.source.is_some());
            event.kind.each_field(|name, value| match name {
                "unit" if has_unit => {}
                // The reason of a record is a code.
                "reason" => out.field("why", value),
                _ => out.field(name, value),
            });
        }
        self.end(place);
    }
}
