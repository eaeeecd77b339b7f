use crate::rule::*;
use crate::{deaths, said};

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
}

/// A request line longer than this exceeds what servers take by default: gunicorn 4094 bytes (`limit_request_line`), uWSGI
/// 4096 for the whole block.
const LONG_LINE_BYTES: usize = 4000;

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
    let Some(last) = entries.last().filter(|_| words.is_some() || long) else { return Ok(Verdict::NotIt) };
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
        None => likely(summary),
    };
    Ok(found
        .supporting_each(long.then_some(line))
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!("Raise the header limit of {name}, or make cookies and URLs shorter")))
        .verify(case.verify_command())
        .into())
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
}
