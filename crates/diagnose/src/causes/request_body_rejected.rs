use crate::rule::*;
use crate::{deaths, outage, said};

cause! {
    /// The backend closes or resets the connection while nginx still sends it the request body.
    ///
    /// ## What you see
    /// `104: Connection reset by peer` or `32: Broken pipe … while sending request to upstream` for uploads; small requests
    /// to the same URL work.
    ///
    /// ## How we know
    /// The connection ended while nginx was sending, only requests with a body are concerned, and the backend lives and
    /// answers others. Some backends say why, such as uWSGI with `limit-post`.
    ///
    /// ## What to do
    /// Raise the backend's own limit for bodies, or lower `client_max_body_size` to it: then clients get a proper 413.
    ///
    /// ## Not to be confused with
    /// `request-body-too-large`: there nginx refuses the body. `backend-crashed`: there the backend died of the upload.
    /// `keepalive-race`: there a reused connection was being closed, whatever the size.
    "request-body-rejected",
    explains: [SendFailed, ReadReset, PrematureClose],
    leads_to: ["backend-aborts-request", "keepalive-race", "invalid-response"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

/// ECONNRESET.
const RESET: i32 = 104;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let entries: Vec<_> = case.entries().collect();
    if entries.is_empty() || !entries.iter().all(|it| has_body(&it.method)) {
        return Ok(Verdict::NotIt);
    }
    let sending = entries.iter().filter(|it| it.action == "sending request to upstream").count();
    let words = said::near(case, |text| {
        let text = text.to_ascii_lowercase();
        let about = ["content_length", "content-length", "body", "post", "entity", "payload", "upload"];
        about.iter().any(|it| text.contains(it))
            && ["too big", "too large", "exceed", "over the limit", "larger than", "more than", "maximum"]
                .iter()
                .any(|it| text.contains(it))
    });
    let keeps = case.scene.pass(case.group).is_none_or(|it| it.keeps_connections(case.scene.view));
    let left_unread = left_unread(case);
    if sending == 0 && words.is_none() && !left_unread {
        return Ok(Verdict::NotIt);
    }
    let backend = case.backend()?;
    if backend.local && backend.listening.is_none() {
        return Ok(Verdict::ruled_out("nothing listens there any more"));
    }
    if let Some(deaths) = deaths::near(case)?.filter(|it| it.explain()) {
        let says = deaths.fact().map(|it| it.says).unwrap_or_default();
        return Ok(Verdict::ruled_out(format!("a worker ended at that moment: {says}")));
    }
    let name = backend.name(case.scene);
    let good: Vec<_> = outage::good_answers(case).collect();
    let seen = deaths::would_be_seen(case).is_ok();
    let path = case.group.paths.first().map(|(path, _)| format!(" to {path}")).unwrap_or_default();
    let summary = format!("{name} hangs up while nginx sends it the body of requests{path}");
    let others = good.last().map(|it| {
        let says = format!("it answered {} meanwhile", plural(good.len() as u64, "other request"));
        Fact::new("access-log", says).reference(it.reference.clone()).at(it.at)
    });
    let alive = others.is_some();
    let found = match words {
        Some(words) => confirmed(summary).decisive(words).supporting(case.failures_fact()),
        // Without kept connections nothing but the request itself can make a backend that lives hang up in the middle.
        None if sending == entries.len() && !keeps && alive && seen => {
            confirmed(summary).decisive(case.failures_fact()).confidence(0.93)
        }
        None if sending * 2 >= entries.len() || left_unread => {
            likely(summary).supporting(case.failures_fact())
        }
        None => possible(summary).supporting(case.failures_fact()),
    };
    Ok(found
        .supporting_each(others)
        .fix(Fix::repair(format!(
            "Raise the limit for bodies in {name} (uWSGI limit-post, a framework's own limit)"
        )))
        .fix(Fix::repair(
            "Or set client_max_body_size to the backend's limit, so that clients get a proper 413",
        ))
        .verify(case.verify_command())
        .into())
}

/// Whether every request had a body and got a reset, on a connection of its own. Who closes with data unread sends a reset
/// (RFC 1122, 4.2.2.13): it left the body. nginx may read that reset before it has sent everything.
pub fn left_unread(case: &Case) -> bool {
    let fresh = case.scene.pass(case.group).is_some_and(|it| !it.keeps_connections(case.scene.view));
    let reset = |it: &crate::failure::Failure| it.errno == Some(RESET) && has_body(&it.method);
    fresh && case.entries().next().is_some() && case.entries().all(reset)
}

fn has_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}

fn from_lines(case: &Case) -> Option<Found> {
    let carries = |it: &str| matches!(it, "POST" | "PUT" | "PATCH");
    let mut methods: Vec<&str> = case.entries().map(|it| it.method.as_str()).collect();
    methods.extend(case.accesses().map(|it| it.method.as_str()));
    let all = !methods.is_empty() && methods.iter().all(|it| carries(it));
    let sending =
        case.group.symptom == Symptom::SendFailed || case.entries().any(|it| it.action.contains("sending"));
    let others = lines::spread(case) != lines::Spread::General;
    let confidence = match (all, sending) {
        _ if !all => return None,
        (_, true) => 0.7,
        (_, false) if case.group.symptom == Symptom::ReadReset && others => 0.4,
        (_, false)
            if case.group.symptom == Symptom::ReadReset
                && lines::in_rows(case, 3)
                && !lines::after_pauses(case) =>
        {
            0.3
        }
        _ if others => 0.15,
        _ => 0.08,
    };
    let summary = format!("{} hangs up while nginx still sends the request's body", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Raise the backend's own limit of the body's size, or refuse such bodies in nginx (client_max_body_size)"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn uploading(method: &str, action: &str) -> Snapshot {
        let line =
            failed("writev() failed (104: Connection reset by peer)", action, "http://127.0.0.1:8080/cart");
        let line = line.replace("GET /cart", &format!("{method} /cart"));
        let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        serving(&mut host, 700, "/usr/bin/python3 app.py", "127.0.0.1:8080");
        requested(host, &[("GET / HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.01")])
    }

    #[test]
    fn a_body_that_the_backend_does_not_take_is_named() {
        check(&uploading("POST", "sending request to upstream"), "request-body-rejected: confirmed");
    }

    #[test]
    fn a_request_without_a_body_is_another_cause() {
        let report = crate::diagnose(&uploading("GET", "sending request to upstream"));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "request-body-rejected"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_reset_after_a_body_shows_that_it_was_left_unread() {
        let line = failed(
            "recv() failed (104: Connection reset by peer)",
            "reading response header from upstream",
            "http://127.0.0.1:8080/cart",
        );
        let mut host = logged(
            passing_to("proxy_pass http://127.0.0.1:8080"),
            &[&line.replace("GET /cart", "POST /cart")],
        );
        serving(&mut host, 700, "/usr/bin/python3 app.py", "127.0.0.1:8080");
        let host = requested(host, &[("GET / HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.01")]);
        check(&host, "request-body-rejected: likely");
    }
}
