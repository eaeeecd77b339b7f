use crate::deaths::{self, Death};
use crate::edits::Edits;
use crate::failure::Access;
use crate::outage;
use crate::rule::*;
use nginx_conf::Pass;
use nginx_logs::access::{Escape, Format};
use snapshot::{Disk, LogKind};

cause! {
    /// A large response waits for a slow client, because nginx may keep no more of it in a temporary file, until the backend gives up.
    ///
    /// ## What you see
    /// Large downloads break off after some time, for slow clients only: "upstream prematurely closed connection while
    /// reading upstream", with status 200. Quick clients, and `curl` on the host, get all of it.
    ///
    /// ## How we know
    /// The response is larger than `proxy_max_temp_file_size` and the buffers together, the clients whose downloads broke off
    /// took it slowly, others of the same URL got all of it in less time, and no worker of the backend ended.
    ///
    /// ## What to do
    /// Let nginx keep the whole response (raise `proxy_max_temp_file_size`), or let nginx serve the file itself
    /// (`X-Accel-Redirect`). The backend's write timeout may be raised, but then a slow client holds its worker.
    ///
    /// ## Not to be confused with
    /// `backend-worker-timeout` and `backend-crashed`: there the backend ends a response to anybody. `disk-full`: there nginx
    /// may write the file and cannot.
    "proxy-temp-file-limit",
    explains: [BodyShort, ReadReset, PrematureClose, ReadTimeout],
    leads_to: ["backend-worker-timeout", "backend-aborts-request", "invalid-response"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// A client that takes a response so much more slowly than another, by the byte, is a slow one.
const SLOWER: f64 = 2.0;

/// Requests looked at; more of them say the same.
const MOST: usize = 200;

/// What a client got of a response.
struct Got<'s> {
    access: &'s Access,
    bytes: u64,
    /// What nginx had from the backend, where the log has it.
    taken_bytes: Option<u64>,
}

impl Got<'_> {
    fn seconds_per_byte(&self) -> Option<f64> {
        Some(self.access.request_time? / self.bytes.max(1) as f64)
    }
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    // The header was passed on before: it is the body that breaks off.
    if !case.entries().all(|it| it.action == "reading upstream") {
        return Ok(Verdict::NotIt);
    }
    let Some(pass) = scene.pass(case.group) else { return Ok(Verdict::NotIt) };
    let settings = &pass.settings;
    if !settings.buffering.value {
        return Ok(Verdict::NotIt);
    }
    let broken: Vec<Got> = case.accesses().take(MOST).filter_map(|it| got(scene, it)).collect();
    let Some(most) = broken.iter().max_by_key(|it| it.bytes) else { return Ok(Verdict::NotIt) };
    let limit = settings.max_temp_file_size_bytes.value;
    let buffers = u64::from(settings.buffers.value.count) * settings.buffers.value.size_bytes;
    let room = limit.saturating_add(buffers);
    let name = format!("{}max_temp_file_size", pass.scheme.module().prefix());
    // What a client got says nothing: nginx drops what it still holds of a response that broke off.
    if broken.iter().filter(|it| it.taken_bytes.is_some_and(|it| it < limit)).count() * 2 > broken.len() {
        return Ok(Verdict::ruled_out(format!(
            "nginx had taken less than {name} ({}) when it broke off",
            size(limit)
        )));
    }
    let death = deaths::near(case)?;
    if let Some(it) = death.as_ref().filter(|it| it.death != Death::Watchdog) {
        let says = it.fact().map(|it| it.says).unwrap_or_default();
        return Ok(Verdict::ruled_out(format!("a worker of the backend ended at that moment: {says}")));
    }
    let whole = whole_ones(case, &broken);
    let full = whole.iter().map(|it| it.bytes).max();
    if full.is_some_and(|it| it <= room) {
        return Ok(Verdict::ruled_out(format!("the response fits {name} ({})", size(limit))));
    }
    // With nothing to tell how large the response is, only a limit that it went beyond speaks for this cause.
    let beyond = broken.iter().any(|it| it.taken_bytes.unwrap_or(it.bytes) >= limit);
    if full.is_none() && (!beyond || limit == 0) {
        return Ok(Verdict::NotIt);
    }
    let slower = match (pace(&broken), pace(&whole)) {
        (Some(broken), Some(whole)) => Some(broken > whole * SLOWER),
        _ => None,
    };
    if slower == Some(false) {
        return Ok(Verdict::ruled_out("the clients whose downloads broke off were no slower than others"));
    }
    let paths: Vec<&str> = case.group.paths.iter().take(3).map(|(path, _)| path.as_str()).collect();
    let large = full.map(|it| format!(" ({})", size(it))).unwrap_or_default();
    let summary = format!(
        "slow clients do not get all of {}{large}: nginx keeps {} of a response ({name}) and leaves the rest to {} until it gives up",
        paths.join(", "),
        size(limit),
        case.peer_name(),
    );
    let place = settings.max_temp_file_size_bytes.from.map(|it| scene.place(it));
    let set = if place.is_some() { "" } else { ", nginx's default" };
    let configured = Fact::new(
        "config",
        format!("{name} is {}{set}, and all buffers together are {}", size(limit), size(buffers)),
    )
    .reference(place.unwrap_or_else(|| scene.place(pass.span)));
    let took = most.access.request_time.map(|it| format!(" in {it:.1} s")).unwrap_or_default();
    let cut = Fact::new(
        "access-log",
        format!("status {} with {}{took}: the download broke off", most.access.status, size(most.bytes)),
    )
    .reference(most.access.reference.clone())
    .at(most.access.at);
    let through = whole.iter().max_by_key(|it| it.bytes).map(|it| {
        let took = it.access.request_time.map(|it| format!(" in {it:.1} s")).unwrap_or_default();
        Fact::new("access-log", format!("another client got all {}{took}", size(it.bytes)))
            .reference(it.access.reference.clone())
            .at(it.access.at)
    });
    let mut found = match (through, slower) {
        (Some(through), Some(true)) => confirmed(summary).decisive(cut).decisive(through),
        // Without the time that requests took, or without one that came through, other ends of a body are as good.
        (through, _) => likely(summary).confidence(0.6).supporting(cut).supporting_each(through),
    };
    found = found
        .supporting(configured)
        .supporting(case.failures_fact())
        .supporting_each(death.and_then(|it| it.fact()))
        .fix_maybe(raise(case, pass, &name, full.unwrap_or(most.bytes * 4)))
        .fix(Fix::repair(
            "Or let the application hand over a file (X-Accel-Redirect), so that nginx serves it itself",
        ))
        .verify(format!("{} --limit-rate 500k", case.verify_command()))
        .prevent("Give large files to nginx instead of streaming them through the application");
    Ok(found.into())
}

/// The usual time for a byte, in seconds; none where no request has a time.
fn pace(all: &[Got]) -> Option<f64> {
    let mut paces: Vec<f64> = all.iter().filter_map(Got::seconds_per_byte).collect();
    paces.sort_by(f64::total_cmp);
    paces.get(paces.len() / 2).copied()
}

/// What a client got, by the log's own count.
fn got<'s>(scene: &Scene, access: &'s Access) -> Option<Got<'s>> {
    let LogKind::Access { text, escape, .. } = &scene.snapshot.logs.get(access.log)?.kind else {
        return None;
    };
    let escape = match escape.as_str() {
        "json" => Escape::Json,
        "none" => Escape::None,
        _ => Escape::Default,
    };
    let format = Format::compile(text, escape);
    let record = format.parse(access.line.as_bytes())?;
    let bytes = record.get("body_bytes_sent").or_else(|| record.get("bytes_sent"))?.parse().ok()?;
    let taken = ["upstream_bytes_received", "upstream_response_length"].iter().find_map(|it| record.get(it));
    // Of several tries the last one is meant.
    let taken_bytes = taken.and_then(|it| it.rsplit([',', ':', ' ']).next()?.parse().ok());
    Some(Got { access, bytes, taken_bytes })
}

/// Responses of the same peer to the same request that came through.
fn whole_ones<'s>(case: &Case<'s, '_>, broken: &[Got]) -> Vec<Got<'s>> {
    let same = |it: &&Access| {
        !it.explained && it.method == "GET" && broken.iter().any(|broken| broken.access.request == it.request)
    };
    let least = broken.iter().map(|it| it.bytes).max().unwrap_or(0);
    let whole = outage::good_answers(case).filter(same).filter(|it| it.status == 200).take(MOST);
    whole.filter_map(|it| got(case.scene, it)).filter(|it| it.bytes > least).collect()
}

/// Room for the whole response, and a quarter more.
fn raise(case: &Case, pass: &Pass, name: &str, response_bytes: u64) -> Option<Fix> {
    let new = (response_bytes + response_bytes / 4).div_ceil(1 << 20).next_power_of_two();
    let mut fix = Fix::repair(format!("Let nginx take the whole response at once: {name} {new}m"))
        .because("the next power of two above the response and a quarter");
    let temporary = format!("{}temp_path", pass.scheme.module().prefix());
    let disks = case.scene.snapshot.disks.value().into_iter().flatten();
    let mut edits = Edits::new(case.scene);
    if pass.condition.is_none() || pass.settings.max_temp_file_size_bytes.from.is_some() {
        edits.set(&pass.settings.max_temp_file_size_bytes, &format!("{name} {new}m;"), pass.span)?;
    }
    fix = edits.into_fix(fix.clone()).unwrap_or(fix);
    if let Some(Disk { path, available_bytes, .. }) = disks.into_iter().find(|it| it.used_for == temporary) {
        fix = fix.risk(format!(
            "each slow download then takes {} of {path}, which has {} MiB free; a reload does not interrupt requests",
            size(response_bytes),
            available_bytes >> 20,
        ));
    }
    Some(fix)
}

fn size(bytes: u64) -> String {
    match bytes {
        0 => "nothing".to_owned(),
        1..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0).replace(".0 MiB", " MiB"),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    // 1 GiB by default, but people set less; the header is long sent.
    let late =
        case.group.symptom == Symptom::BodyShort || case.entries().any(|it| it.action == "reading upstream");
    let times = lines::durations(case);
    let slow = times.last().is_some_and(|it| *it >= 1.0);
    let confidence = match (late, slow) {
        (false, _) => return None,
        (true, true) => 0.3,
        (true, false) => 0.22,
    };
    let on = case.paths().unwrap_or_else(|| "a large response".to_owned());
    let summary = format!(
        "{on} may be larger than nginx buffers (proxy_max_temp_file_size) for slow clients, until the backend gives up"
    );
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair(
                "Raise proxy_max_temp_file_size for that location, or let nginx serve the file itself",
            ))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{LogFile, LogLine, LogLines, Snapshot};

    /// Downloads of 30 MiB through `proxy_max_temp_file_size 1m`: (bytes, seconds), those below 30 MiB broke off.
    fn downloads(limit: &str, all: &[(u64, f64)]) -> Snapshot {
        let message = "upstream prematurely closed connection";
        let line =
            failed(message, "reading upstream", "http://127.0.0.1:3000/export").replace("/cart", "/export");
        let broken = all.iter().filter(|it| it.0 < 30 << 20).count();
        let lines: Vec<&str> = std::iter::repeat_n(line.as_str(), broken).collect();
        let host = logged(passing_to(&format!("{limit} proxy_pass http://127.0.0.1:3000")), &lines)
            .with(|it| serving(it, 700, "/usr/bin/node export.js", "127.0.0.1:3000"));
        let row = |(index, (bytes, seconds)): (usize, &(u64, f64))| {
            let at = ago(9 + (all.len() - index) as i64);
            let stamp = jiff::tz::Offset::UTC.to_datetime(at).strftime("%d/%b/%Y:%H:%M:%S +0000");
            let text = format!(
                "10.0.0.9 - - [{stamp}] \"GET /export HTTP/1.1\" 200 {bytes} rt={seconds} uct=\"0.001\" uht=\"0.002\" \
                 urt=\"{seconds}\" ua=\"127.0.0.1:3000\" us=\"200\""
            );
            LogLine { line: index as u64 + 1, offset: 0, at, text }
        };
        let kept: Vec<LogLine> = all.iter().enumerate().map(row).collect();
        let lines = LogLines {
            read_total: kept.len() as u64,
            last_at: Some(ago(10)),
            lines: kept,
            ..LogLines::default()
        };
        let kind =
            LogKind::Access { format: "main".into(), text: MAIN_FORMAT.into(), escape: "default".into() };
        host.with(|it| {
            it.logs.push(LogFile {
                path: "/var/log/nginx/access.log".into(),
                kind,
                lines: seen(lines),
                nginx: 0,
            });
        })
    }

    const WHOLE: (u64, f64) = (30 << 20, 0.4);
    const SLOW: (u64, f64) = (4 << 20, 8.2);

    #[test]
    fn slow_clients_that_stop_behind_the_limit_are_named_with_the_setting() {
        let host = downloads("proxy_max_temp_file_size 1m;", &[WHOLE, SLOW, SLOW]);
        let report = check(&host, "proxy-temp-file-limit: confirmed");
        assert_eq!(
            report.causes[0].fixes[0].edits[0].new,
            "proxy_max_temp_file_size 64m; proxy_pass http://127.0.0.1:3000;"
        );
    }

    #[test]
    fn without_one_that_came_through_it_is_not_sure() {
        check(&downloads("proxy_max_temp_file_size 1m;", &[SLOW, SLOW]), "proxy-temp-file-limit: likely");
    }

    #[test]
    fn the_slowest_client_of_all_gets_less_than_the_limit() {
        check(
            &downloads("proxy_max_temp_file_size 1m;", &[WHOLE, (200 << 10, 8.2)]),
            "proxy-temp-file-limit: confirmed",
        );
    }

    #[test]
    fn a_response_that_fits_is_another_cause() {
        let host = downloads("", &[WHOLE, SLOW, SLOW]);
        check_not(&host, "proxy-temp-file-limit");
        check_ruled_out(&host, "proxy-temp-file-limit", "fits proxy_max_temp_file_size (1024 MiB)");
    }

    #[test]
    fn a_response_of_which_nginx_had_taken_little_is_another_cause() {
        let host = downloads("proxy_max_temp_file_size 8m;", &[WHOLE, SLOW]).with(|it| {
            let log = it.logs.last_mut().unwrap();
            log.kind = LogKind::Access {
                format: "main".into(),
                text: format!("{MAIN_FORMAT} $upstream_response_length"),
                escape: "default".into(),
            };
            let Reading::Seen(lines) = &mut log.lines else { return };
            lines.value.lines.iter_mut().for_each(|it| it.text += " 4300000");
        });
        check_not(&host, "proxy-temp-file-limit");
    }

    #[test]
    fn clients_that_are_no_slower_than_others_have_another_trouble() {
        let host = downloads("proxy_max_temp_file_size 1m;", &[WHOLE, (20 << 20, 0.3), (20 << 20, 0.3)]);
        check_not(&host, "proxy-temp-file-limit");
    }

    #[test]
    fn a_worker_that_crashed_is_another_cause() {
        let host = downloads("proxy_max_temp_file_size 1m;", &[WHOLE, SLOW]).with(|it| {
            kernel(it, 10, "node[700]: segfault at 0 ip 0000 sp 0000 error 4 in node[55d0+1000]");
            process(it, 700, |it| it.started_at = Some(ago(9)));
        });
        check_not(&host, "proxy-temp-file-limit");
    }

    #[test]
    fn sockets_that_we_may_not_see_are_a_blind_spot() {
        let host =
            downloads("proxy_max_temp_file_size 1m;", &[WHOLE, SLOW]).with(|it| it.net.listeners = denied());
        check_blind(&host, "proxy-temp-file-limit", "listening sockets");
    }
}
