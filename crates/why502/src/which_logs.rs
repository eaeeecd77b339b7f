//! Which logs, of which time, in which format: what the verbs that read logs have in common.

use collect::Logs;
use collect::formats::{self, NamedFormat};
use collect::input::{Ask, PassedOver, Unreadable, newest};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::access::Format;

use crate::arguments::WhichLogs;
use crate::failure::Failure;
use crate::moment::{Moment, Since};

impl WhichLogs {
    /// The zone of times that the operator gives.
    fn zone(&self) -> TimeZone {
        self.timezone.clone().unwrap_or_else(TimeZone::system)
    }

    /// The logs that were named, or else this host's, with their formats and the zone of those that name none.
    pub fn logs(&self) -> Result<(Vec<String>, Vec<Format>, TimeZone), Failure> {
        let mut formats = self.formats()?;
        let logs = Logs::find(&self.names, self.config.clone());
        if logs.names.is_empty() {
            return Err(nothing_to_read(&[], &[]));
        }
        formats.extend(logs.formats);
        let zone = self.timezone.clone().or(logs.zone).unwrap_or_else(TimeZone::system);
        Ok((logs.names, formats, zone))
    }

    /// The moment from which `15m` counts back: the end of the files that were named, where that is past.
    pub fn end(&self, formats: &[Format]) -> Timestamp {
        let now = Timestamp::now();
        let ask = Ask {
            names: self.names.clone(),
            formats: formats.to_vec(),
            zone: self.zone(),
            since: None,
            until: None,
        };
        newest(&ask).filter(|_| !self.names.is_empty()).map_or(now, |it| it.min(now))
    }

    /// Beginning and end, as far as there are any, to somebody for whom it is `now`. `otherwise` says where the window begins, by its end, if nobody said it.
    pub fn window(
        &self,
        now: Timestamp,
        otherwise: impl FnOnce(Timestamp) -> Option<Timestamp>,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
        let now = now.to_zoned(self.zone());
        let at = |it: Moment, option: &str| {
            it.resolve(&now).map_err(|why| Failure::new("that is no time").at(option).because(why))
        };
        let to = self.until.map(|it| at(it, "--until")).transpose()?;
        let end = to.unwrap_or_else(|| now.timestamp());
        let from = match self.since {
            Some(Since::All) => None,
            Some(Since::At(it)) => Some(at(it, "--since")?),
            None => otherwise(end),
        };
        if from.is_some_and(|from| from >= end) {
            return Err(Failure::new("the window ends before it begins")
                .at("--since, --until")
                .advise("a --since that is earlier than --until and than the end of the logs"));
        }
        Ok((from, to))
    }

    /// The formats that the operator names, the most particular first.
    pub fn formats(&self) -> Result<Vec<Format>, Failure> {
        let known: Vec<NamedFormat> = match &self.config {
            None => Vec::new(),
            Some(path) => formats::of_config(path).map_err(|it| {
                Failure::new("the configuration gives no log_format")
                    .at(it.place)
                    .because(it.message)
                    .advise("nginx's main file, or the file that holds the log_format")
            })?,
        };
        let mut found = Vec::new();
        if let Some(text) = &self.log_format {
            found.push(formats::of_text(text, &known).map_err(|why| {
                Failure::new("that is no log_format").at(format!("--log-format {text}")).because(why).advise(
                    "the text between the quotes of the log_format, escape=json before it if it has that; or a name with --config",
                )
            })?);
        }
        found.extend(known.into_iter().map(|it| it.format));
        Ok(found)
    }
}

/// Nothing was in the way, and still there is no log.
pub fn nothing_to_read(names: &[String], passed_over: &[PassedOver]) -> Failure {
    let failure = Failure::new("there is no log to read");
    if names.is_empty() {
        return failure
            .at("the configuration of this host's nginx")
            .advise("the files by name, a directory, journal:nginx.service, or - to read from a pipe");
    }
    let failure = failure.at(names.join(", ")).advise("a directory that holds logs, or the files themselves");
    match passed_over {
        [] => failure,
        [only] => failure.because(format!("{}: {}", only.name, only.why)),
        [first, rest @ ..] => {
            failure.because(format!("{}: {}; and {} more", first.name, first.why, rest.len()))
        }
    }
}

/// How the verbs name a log that cannot be read; they go on with the others.
pub fn cannot_read(it: &Unreadable) -> Failure {
    let failure = Failure::new("a log cannot be read").at(&it.name).because(it.error.to_string());
    match &it.advice {
        Some(advice) => failure.advise(advice.as_str()),
        None => failure,
    }
}
