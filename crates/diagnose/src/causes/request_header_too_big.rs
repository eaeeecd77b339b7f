use crate::rule::*;
use crate::{deaths, outage, said};

cause! {
    /// The request's header (cookies, a long URL) is more than the backend takes, and it hangs up.
    ///
    /// ## What you see
    /// `upstream prematurely closed connection` or a reset for visitors with many or large cookies, or for very long URLs;
    /// the same page works without them.
    ///
    /// ## How we know
    /// The backend says so (uWSGI: `invalid request block size`), or only requests with a very long request line fail.
    ///
    /// ## What to do
    /// Raise the backend's limit (uWSGI `buffer-size`, 4096 by default and 65535 at most), or make cookies and URLs shorter.
    ///
    /// ## Not to be confused with
    /// `response-header-too-big`: there the answer's header does not fit nginx's buffer. `protocol-mismatch`: there uWSGI
    /// complains of a size that is really two letters of an HTTP method.
    "request-header-too-big",
    explains: [PrematureClose, ReadReset, SendFailed],
    leads_to: ["backend-aborts-request", "keepalive-race", "request-body-rejected", "backend-worker-recycled"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::RequestTooLarge { .. },
}

/// A request line longer than this exceeds what servers take by default: gunicorn 4094 bytes (`limit_request_line`), uWSGI
/// 4096 for the whole block.
const LONG_LINE_BYTES: usize = 4000;

/// ECONNRESET.
const RESET: i32 = 104;

/// uWSGI counts the block's size in 16 bits.
const LARGEST_BLOCK_BYTES: u64 = 65535;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if let Some(verdict) = uwsgi(case)? {
        return Ok(verdict);
    }
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["header", "request line", "cookie", "uri"].iter().any(|it| text.contains(it))
            && ["too large", "too long", "too big", "exceeds", "overflow"].iter().any(|it| text.contains(it))
    };
    let words = said::near(case, says);
    let entries: Vec<_> = case.entries().collect();
    let long = !entries.is_empty() && entries.iter().all(|it| it.request.len() > LONG_LINE_BYTES);
    let left_unread = words.is_none() && !long && left_unread(case)?;
    let Some(last) = entries.last().filter(|_| words.is_some() || long || left_unread) else {
        return Ok(Verdict::NotIt);
    };
    if deaths::near(case)?.is_some_and(|it| it.explain()) {
        return Ok(Verdict::ruled_out("workers of the backend ended at those moments"));
    }
    let name = case.backend()?.name(case.scene);
    let line = Fact::new("error-log", format!("the request line has {} bytes", last.request.len()))
        .reference(last.reference.clone())
        .at(last.at);
    let summary = format!("{name} hangs up on requests whose header is too large for it");
    let found = match words {
        Some(words) => confirmed(summary).decisive(words),
        None if left_unread => likely(summary).confidence(0.6).supporting(Fact::new(
            "error-log",
            "it reset connections of requests without a body, which it does when it leaves a part of the header unread",
        )),
        None => likely(summary),
    };
    Ok(found
        .supporting_each(long.then_some(line))
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!("Raise the header limit of {name}, or make cookies and URLs shorter")))
        .verify(case.verify_command())
        .into())
}

/// Whether uWSGI closed with a part of the request unread, which shows as a reset (RFC 1122, 4.2.2.13), while it answers
/// others to the same page. Over HTTP it says nothing of a header that is too large; elsewhere its log may be out of sight.
fn left_unread(case: &Case) -> Result<bool, Blind> {
    let fresh = !case.scene.pass(case.group).is_none_or(|it| it.keeps_connections(case.scene.view));
    let without_body = |it: &crate::failure::Failure| matches!(it.method.as_str(), "GET" | "HEAD");
    Ok(fresh
        && case.backend()?.kind == AppKind::Uwsgi
        && case.entries().all(|it| it.errno == Some(RESET) && without_body(it))
        && outage::good_answers(case).any(|it| case.group.paths.iter().any(|(path, _)| *path == it.path)))
}

/// uWSGI's own complaint about the size of the block.
fn uwsgi(case: &Case) -> Result<Option<Verdict>, Blind> {
    let Some(unit) = case.backend()?.unit(case.scene) else { return Ok(None) };
    if !matches!(case.group.scheme.as_str(), "uwsgi" | "suwsgi") {
        return Ok(None);
    }
    let near = |at: Timestamp| {
        let early = case.group.first - SignedDuration::from_secs(3);
        at >= early && at <= case.group.last + SignedDuration::from_secs(3)
    };
    let complaints = case.scene.events.iter().filter(|it| it.unit == unit.name && near(it.at));
    let sized = complaints.filter_map(|it| match it.kind {
        EventKind::RequestTooLarge { size_bytes, max_bytes } => Some((it, size_bytes, max_bytes)),
        _ => None,
    });
    let Some((event, size, max)) = sized.max_by_key(|(_, size, _)| *size) else { return Ok(None) };
    let wanted = (size.next_multiple_of(4096) * 2).min(LARGEST_BLOCK_BYTES);
    let summary = format!(
        "{} takes request headers of {max} bytes (buffer-size) and gets up to {size}: it skips them and hangs up",
        unit.name
    );
    let found = confirmed(summary)
        .decisive(event.fact())
        .supporting(case.failures_fact())
        .fix(
            Fix::repair(format!(
                "Set buffer-size = {wanted} for {} (in its ini file or as --buffer-size {wanted})",
                unit.name
            ))
            .run(format!("systemctl restart {}", unit.name))
            .risk(format!("restarts {}", unit.name))
            .because(format!("the largest request had {size} bytes; each worker has one such buffer")),
        )
        .fix(Fix::repair("Or make the cookies smaller: they are most of a header of that size"))
        .verify(case.verify_command());
    Ok(Some(found.into()))
}

fn from_lines(case: &Case) -> Option<Found> {
    // Of a request in another protocol, a server takes letters for a size.
    if matches!(crate::heard::heard(case), crate::heard::Heard::Other(..)) {
        return None;
    }
    let told =
        lines::told(case, SignedDuration::from_secs(3), |it| matches!(it, EventKind::RequestTooLarge { .. }));
    let peer = case.peer_name();
    if let Some(told) = told {
        let summary =
            format!("the header of the request is larger than {peer} takes: {}", lines::quote(told.event));
        return Some(
            confirmed(summary)
                .decisive(told.event.fact())
                .supporting(case.failures_fact())
                .only_likely_if(told.share() < 0.5)
                .fix(Fix::repair("Raise the backend's limit (uwsgi: buffer-size), or send smaller cookies"))
                .verify(case.verify_command()),
        );
    }
    // Application servers take 4 to 8 KiB of header; an address bar gives no more than a few hundred.
    let longest =
        case.entries().map(|it| it.request.len()).chain(case.accesses().map(|it| it.request.len())).max();
    let confidence = match longest {
        Some(2000..) => 0.6,
        _ if case.group.scheme.ends_with("uwsgi") => 0.15,
        // The same page is answered for others, and fails time and again for somebody.
        _ if lines::spread(case) == lines::Spread::General
            && lines::in_rows(case, 3)
            && course::of(case).since =>
        {
            0.16
        }
        _ if lines::spread(case) == lines::Spread::Particular => 0.05,
        _ => 0.07,
    };
    let summary = format!("the header of the request (its cookies, its URL) may be larger than {peer} takes");
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Raise the backend's limit of the request's header, or send smaller cookies"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{JournalEntry, Snapshot};

    fn complained(message: &str) -> Snapshot {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "uwsgi://127.0.0.1:3031",
        );
        let mut host = logged(passing_to("uwsgi_pass 127.0.0.1:3031"), &[&line]);
        serving(&mut host, 700, "/usr/bin/uwsgi --socket 127.0.0.1:3031", "127.0.0.1:3031");
        let entry = JournalEntry {
            at: host.collected_at - SignedDuration::from_secs(10),
            unit: "uwsgi-700.service".into(),
            identifier: "uwsgi".into(),
            pid: 700,
            priority: 6,
            message: message.into(),
        };
        host.with(|it| it.journal = seen(vec![entry]))
    }

    #[test]
    fn uwsgi_s_complaint_is_decisive_and_gives_the_size() {
        let host = complained("invalid request block size: 6342 (max 4096)...skip");
        let report = check(&host, "request-header-too-big: confirmed");
        assert!(
            report.causes[0].fixes[0].title.contains("buffer-size = 16384"),
            "{:?}",
            report.causes[0].fixes
        );
    }

    #[test]
    fn a_backend_that_says_nothing_is_not_accused() {
        let report = crate::diagnose(&complained("WSGI app 0 ready"));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "request-header-too-big"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn uwsgi_that_resets_some_requests_to_a_page_left_their_header_unread() {
        let line = failed(
            "recv() failed (104: Connection reset by peer)",
            "reading response header from upstream",
            "http://127.0.0.1:8080/cart",
        );
        for (server, expected) in
            [("/usr/bin/uwsgi --http-socket :8080", true), ("/usr/bin/node app.js", false)]
        {
            let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
            serving(&mut host, 700, server, "127.0.0.1:8080");
            let host = requested(host, &[("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.01")]);
            let report = crate::diagnose(&host);
            assert_eq!(first(&report) == "request-header-too-big: likely", expected, "{}", outline(&report));
        }
    }
}
