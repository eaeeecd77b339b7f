use crate::heard::{Heard, heard, name};
use crate::rule::*;

cause! {
    /// The backend's response breaks the rules of its protocol, so nginx cannot use it.
    ///
    /// ## What you see
    /// `upstream sent invalid header`, `invalid status`, `duplicate header line`, `invalid chunked response`, `no valid
    /// HTTP/1.0 header` and their like, for particular paths; other requests to the same backend are fine. Before the
    /// header is through the client gets a 502, afterwards a download that is cut.
    ///
    /// ## How we know
    /// nginx names the rule that was broken, and the backend does speak the configured protocol.
    ///
    /// ## What to do
    /// Mend the application's response for those paths: the line that nginx complains of is in the evidence. Ask the backend
    /// directly with `curl -v` (or a FastCGI client) to see it as nginx does.
    ///
    /// ## Not to be confused with
    /// `protocol-mismatch`: there the backend speaks another protocol altogether, and no request succeeds.
    /// `response-header-too-big`: there the header is well-formed, but too long. `backend-crashed`: there the response ends
    /// early because its process died.
    "invalid-response",
    explains: [HeaderInvalid, ResponseInvalid, BodyShort],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let spoken = heard(case);
    if let Heard::Other(protocol, _) = &spoken {
        return Ok(Verdict::ruled_out(format!("{} speaks {} altogether", case.peer_name(), name(*protocol))));
    }
    let served = served_well(case);
    let paths: Vec<&str> = case.group.paths.iter().map(|(path, _)| path.as_str()).take(3).collect();
    let of = if paths.is_empty() { String::new() } else { format!(" for {}", paths.join(", ")) };
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let complaint = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    if case.group.symptom == Symptom::BodyShort {
        // What ends a body early is most often the end of a worker; without a trace of that it may be a wrong length.
        let summary = format!("The response of {}{of} ends before its announced end", case.peer_name());
        return Ok(possible(summary)
            .supporting(complaint)
            .supporting_each(served)
            .verify(case.verify_command())
            .into());
    }
    let summary =
        format!("{} answers{of} with a malformed response: {}", case.peer_name(), broken_rule(&last.message));
    let talks = match &spoken {
        Heard::AsConfigured(fact) => Some(fact.clone()),
        _ => None,
    };
    let found = if talks.is_some() || served.is_some() {
        confirmed(summary).decisive(complaint)
    } else {
        likely(summary).supporting(complaint)
    };
    Ok(found
        .supporting_each(talks)
        .supporting_each(served)
        .fix(mend(case, &paths))
        .verify(case.verify_command())
        .into())
}

/// The complaint without "upstream sent".
fn broken_rule(message: &str) -> String {
    let text = message
        .strip_prefix("upstream sent ")
        .or_else(|| message.strip_prefix("upstream "))
        .unwrap_or(message);
    text.chars().take(160).collect()
}

/// That the same peer answers other requests well.
fn served_well(case: &Case) -> Option<Fact> {
    let peer = case.peer()?.to_string();
    let count: u64 = case.scene.successes().filter(|it| it.upstream == peer).map(|it| it.count).sum();
    (count > 0)
        .then(|| Fact::new("access-log", format!("{peer} answered {} well", plural(count, "other request"))))
}

fn mend(case: &Case, paths: &[&str]) -> Fix {
    let path = paths.first().copied().unwrap_or("/");
    let safe = path.chars().all(|it| it.is_ascii_alphanumeric() || "/._-~%".contains(it));
    let path = if safe { path } else { "/" };
    let fix = Fix::repair(format!("Mend the response that the application gives for {path}"));
    match (case.group.scheme.as_str(), case.peer()) {
        ("http", Some(Peer::Tcp(address))) => {
            fix.run(format!("curl -sS -i --raw http://{address}{path} | head -c 2000"))
        }
        ("http", Some(Peer::Unix(socket))) => {
            fix.run(format!("curl -sS -i --raw --unix-socket {socket} http://localhost{path} | head -c 2000"))
        }
        _ => fix,
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    let answers = lines::ever_answered(case);
    let first_bytes = lines::says(
        case,
        &["no valid HTTP", "unsupported FastCGI", "invalid frame", "too large frame", "invalid http2"],
    );
    let plain = case.group.symptom != Symptom::BodyShort;
    match judge(case) {
        Ok(Verdict::Found(found)) if plain && (answers || !first_bytes) => Some(*found),
        Ok(Verdict::Found(found)) => Some(Found {
            certainty: crate::Certainty::Possible,
            confidence: if plain { 0.2 } else { 0.25 },
            ..*found
        }),
        _ => {
            let summary =
                format!("{} may announce more than it sends, or breaks its protocol", case.peer_name());
            Some(fits(case, 0.2, summary).verify(case.verify_command()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, PeerSight, Snapshot};

    fn complained(message: &str, protocol: Protocol, answer: Answer) -> Snapshot {
        let line = failed(message, "reading response header from upstream", "http://127.0.0.1:8080/cart");
        logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]).with(|it| {
            let mut sight = PeerSight::new("127.0.0.1:8080".parse().unwrap());
            sight.greetings.push(Greeting { protocol, answer, detail: String::new() });
            it.peers.push(sight);
        })
    }

    #[test]
    fn a_rule_that_the_response_breaks_is_named() {
        let host = complained("upstream sent invalid header", Protocol::Http, Answer::Spoken);
        let report = check(&host, "invalid-response: confirmed");
        assert!(report.causes[0].summary.ends_with("invalid header"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_backend_of_another_protocol_is_another_cause() {
        let host = complained("upstream sent no valid HTTP/1.0 header", Protocol::Fastcgi, Answer::Spoken);
        check(&host, "protocol-mismatch: confirmed");
        check_ruled_out(&host, "invalid-response", "speaks FastCGI");
    }

    #[test]
    fn a_warning_about_an_answer_that_was_passed_on_whole_is_no_failure() {
        let line = failed(
            "upstream sent more data than specified in \"Content-Length\" header",
            "reading upstream",
            "http://127.0.0.1:8080/cart",
        );
        let line = line.replace("[error]", "[warn]");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        let host = requested(host, &[("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.01")]);
        check(&host, "healthy");
    }

    #[test]
    fn without_any_good_answer_it_is_not_called_sure() {
        let host = complained("upstream sent invalid header", Protocol::Http, Answer::NotConnected);
        check(&host, "invalid-response: likely");
    }
}
