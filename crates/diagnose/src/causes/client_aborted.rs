use crate::rule::*;

cause! {
    /// Clients hang up before they have their answer; nothing is wrong upstream.
    ///
    /// ## What you see
    /// 499 in the access log. The error log has nothing, or an `info` line that the client closed the connection.
    ///
    /// ## How we know
    /// nginx logs 499 only when the client ended the connection first; the same backend answered others who waited.
    ///
    /// ## What to do
    /// Compare how long the clients waited with how long the answer takes: raise their timeout, or make the answer faster.
    ///
    /// ## Not to be confused with
    /// `backend-slow`, `backend-hung`: there nginx itself gives up, with 504; clients that give up sooner show as 499.
    "client-aborted",
    explains: [ClientClosed],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let accesses: Vec<_> = case.accesses().filter(|it| it.status == 499).collect();
    let Some(last) = accesses.last() else { return Ok(Verdict::NotIt) };
    let waits: Vec<f64> = accesses.iter().filter_map(|it| it.request_time).collect();
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let waited = if waits.is_empty() { String::new() } else { format!(" after {longest:.1} s at most") };
    let path = case.group.paths.first().map(|(path, _)| format!(" for {path}")).unwrap_or_default();
    let summary =
        format!("Clients hung up{waited}, {}{path}, before the answer came", times(case.group.count));
    let says = format!("status 499, {}{waited}", times(case.group.count));
    let fact = Fact::new("access-log", says).reference(last.reference.clone()).at(last.at);
    let good: Vec<_> = crate::outage::good_answers(case).filter(|it| it.at >= case.group.first).collect();
    let same_path =
        good.iter().filter(|it| case.group.paths.iter().any(|(path, _)| *path == it.path)).count();
    let served = good.last().map(|it| {
        let slowest = good.iter().filter_map(|it| it.request_time).fold(0.0, f64::max);
        let says = format!(
            "{} to {} were answered meanwhile, the slowest in {slowest:.1} s",
            plural(good.len() as u64, "other request"),
            case.peer_name()
        );
        Fact::new("access-log", says).reference(it.reference.clone()).at(it.at)
    });
    let found = match served {
        Some(served) if same_path > 0 || good.len() as u64 >= case.group.count => {
            confirmed(summary).decisive(fact).decisive(served)
        }
        Some(served) => likely(summary).supporting(fact).supporting(served),
        None => possible(summary).supporting(fact),
    };
    Ok(found
        .fix(Fix::repair("Raise the timeout of these clients, or make that answer faster"))
        .verify(case.verify_command())
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let Ok(Verdict::Found(found)) = judge(case) else { return None };
    let waits = lines::durations(case);
    let waited = waits.last().is_some_and(|it| *it >= 5.0);
    let confidence = match found.certainty {
        crate::Certainty::Confirmed => 0.7,
        crate::Certainty::Likely => 0.5,
        crate::Certainty::Possible if waited => 0.3,
        crate::Certainty::Possible => 0.45,
    };
    Some(Found { certainty: crate::Certainty::Possible, confidence, ..*found })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    #[test]
    fn clients_that_hang_up_while_others_are_served_are_named() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        let gone = ("GET /search HTTP/1.1", 499, "127.0.0.1:8000", "-", "0.3");
        let served = ("GET /search HTTP/1.1", 200, "127.0.0.1:8000", "200", "0.8");
        check(&requested(host, &[gone, gone, gone, gone, served]), "client-aborted: confirmed");
    }

    #[test]
    fn one_impatient_client_among_many_is_everyday() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        let mut lines = vec![("GET /search HTTP/1.1", 200, "127.0.0.1:8000", "200", "0.8"); 40];
        lines.push(("GET /search HTTP/1.1", 499, "127.0.0.1:8000", "-", "0.3"));
        check(&requested(host, &lines), "healthy");
    }

    #[test]
    fn when_nobody_is_served_it_is_not_sure() {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        let gone = ("GET /search HTTP/1.1", 499, "127.0.0.1:8000", "-", "30.0");
        check(&requested(host, &[gone, gone, gone, gone]), "client-aborted: possible");
    }

    #[test]
    fn clients_that_give_up_on_a_backend_that_hangs_are_its_consequence() {
        let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        serving(&mut host, 700, "/usr/bin/node app.js", "127.0.0.1:8000");
        process(&mut host, 700, |it| it.state = 'T');
        let gone = ("GET /search HTTP/1.1", 499, "127.0.0.1:8000", "-", "0.9");
        let report = check(&requested(host, &[gone; 4]), "backend-hung: confirmed");
        assert_eq!(report.causes[0].consequences, ["client-aborted"]);
    }
}
