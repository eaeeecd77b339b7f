use crate::edits::Edits;
use crate::rule::*;

cause! {
    /// nginx itself refuses the request body: it is larger than client_max_body_size.
    ///
    /// ## What you see
    /// 413, and `client intended to send too large body: N bytes` in the error log. The application never sees the request.
    /// The client may see a reset connection instead of the 413 while it still sends.
    ///
    /// ## How we know
    /// nginx says so, with the size; the limit that applies there (1m by default) is smaller.
    ///
    /// ## What to do
    /// Raise `client_max_body_size` where the upload goes, and only there. The application may have a limit of its own.
    ///
    /// ## Not to be confused with
    /// `request-body-rejected`: there the backend hangs up while nginx sends the body to it.
    "request-body-too-large",
    explains: [BodyTooLarge],
    leads_to: [],
    judge: Judge::Group(judge),
}

/// Room for a chunked body of unknown size: more than most photographs and documents.
const CHUNKED_BYTES: u64 = 16 << 20;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(without_line(case)) };
    let largest = case.entries().filter_map(|it| size(&it.message)).max();
    let path = case.group.paths.first().map(|(path, _)| format!(" to {path}")).unwrap_or_default();
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let bytes = largest.map(|it| format!(" of up to {}", human(it))).unwrap_or_default();
    let Some(pass) = case.scene.pass(case.group) else {
        return Ok(confirmed(format!("nginx refuses bodies{bytes}{path}: they exceed client_max_body_size"))
            .decisive(fact)
            .fix(Fix::repair("Raise client_max_body_size in that server or location"))
            .verify(case.verify_command())
            .into());
    };
    let limit = &pass.settings.client_max_body_size_bytes;
    let place = match limit.from {
        Some(span) => case.scene.place(span),
        None => "nginx's default".to_owned(),
    };
    let summary = format!(
        "nginx refuses bodies{bytes}{path}: client_max_body_size is {} ({place})",
        human(limit.value)
    );
    let config =
        Fact::new("config", format!("client_max_body_size {} applies there, {place}", human(limit.value)))
            .reference(case.scene.place(limit.from.unwrap_or(pass.span)));
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting(config)
        .fix_maybe(raise(case, largest.unwrap_or(limit.value)))
        .verify(case.verify_command())
        .into())
}

/// A 413 that nothing was logged about: a backend's own would have been no failure, so it is nginx's.
fn without_line(case: &Case) -> Verdict {
    let Some(last) = case.accesses().next_back() else { return Verdict::NotIt };
    if !last.attempts.is_empty() {
        return Verdict::NotIt;
    }
    let summary = format!("nginx refuses {} as too large (413)", plural(case.group.count, "request body"));
    // A log format without upstream fields leaves it open who refused.
    let found = if last.tells_upstream { likely(summary) } else { possible(summary) };
    found
        .supporting(case.failures_fact())
        .fix_maybe(raise(case, 0))
        .fix(Fix::repair("Raise client_max_body_size in that server or location"))
        .verify(case.verify_command())
        .into()
}

/// The limit, with room above the largest body that was refused.
fn raise(case: &Case, largest: u64) -> Option<Fix> {
    let pass = case.scene.pass(case.group)?;
    let limit = &pass.settings.client_max_body_size_bytes;
    // How large a chunked body would have become nobody knows: nginx gave it up at its limit.
    let chunked = case.entries().any(|it| it.message.contains("chunked body"));
    let least = if chunked { CHUNKED_BYTES.max(limit.value * 4) } else { 0 };
    let mebibytes = largest.max(limit.value).max(least).div_ceil(1 << 20) + 1;
    let value = mebibytes.next_power_of_two();
    let mut edits = Edits::new(case.scene);
    if pass.condition.is_none() || limit.from.is_some() {
        edits.set(limit, &format!("client_max_body_size {value}m;"), pass.span)?;
    }
    let fix = Fix::repair(format!("Raise client_max_body_size to {value} MiB"));
    edits.into_fix(fix.because(match chunked {
        true => "the bodies came in chunks, so that their size is not known",
        false => "the largest body that was refused fits, with room for more",
    }))
}

/// The number in "client intended to send too large body: 2000000 bytes" and "… chunked body: 1000+500 bytes".
fn size(message: &str) -> Option<u64> {
    let text = message.rsplit_once("body: ")?.1.split(' ').next()?;
    text.split('+').map(|it| it.parse::<u64>().ok()).sum()
}

fn human(bytes: u64) -> String {
    match bytes {
        0 => "no limit".to_owned(),
        _ if bytes >= 1 << 20 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ if bytes >= 1 << 10 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const LINE: &str = "[error] 101#101: *7 client intended to send too large body: 2000000 bytes, client: 10.0.0.9, server: \
        shop.example.com, request: \"POST /cart HTTP/1.1\", host: \"shop.example.com\"";

    #[test]
    fn the_limit_and_the_size_are_named_and_the_limit_raised() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[LINE]);
        let report = check(&host, "request-body-too-large: confirmed");
        assert!(
            report.causes[0].summary.contains("client_max_body_size is 1.0 MiB"),
            "{}",
            report.causes[0].summary
        );
        assert_eq!(
            report.causes[0].fixes[0].edits[0].new,
            "proxy_pass http://127.0.0.1:8000; client_max_body_size 4m;"
        );
    }

    #[test]
    fn sizes_of_both_kinds_of_body_are_read() {
        assert_eq!(size("client intended to send too large body: 2000000 bytes"), Some(2_000_000));
        assert_eq!(size("client intended to send too large chunked body: 1000+500 bytes"), Some(1500));
        assert_eq!(size("something else"), None);
    }

    #[test]
    fn a_backend_s_own_413_is_no_failure_of_nginx_s() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        let host = requested(host, &[("POST /cart HTTP/1.1", 413, "127.0.0.1:8000", "413", "0.1")]);
        check(&host, "healthy");
    }

    #[test]
    fn a_chunked_body_gets_more_than_the_part_that_was_seen() {
        let line =
            LINE.replace("too large body: 2000000 bytes", "too large chunked body: 1048576+4096 bytes");
        let report = check(
            &logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]),
            "request-body-too-large: confirmed",
        );
        assert!(
            report.causes[0].fixes[0].edits[0].new.ends_with("client_max_body_size 32m;"),
            "{}",
            outline(&report)
        );
    }
}
