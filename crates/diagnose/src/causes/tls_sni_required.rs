use crate::edits::Edits;
use crate::rule::*;
use crate::tls_talk::{self, Trouble};
use nginx_conf::Pass;

cause! {
    /// The backend chooses its certificate by name (SNI), and nginx sends no name, or one that the backend does not know.
    ///
    /// ## What you see
    /// The TLS handshake fails: `unrecognized name`, `handshake failure` or `internal error`; `curl` to the same backend by
    /// its name works.
    ///
    /// ## How we know
    /// The backend answers nginx's hello with an alert about the name, or refuses our own hello with the same (or no) name.
    /// `proxy_ssl_server_name` is off by default, and the default name is that of the `upstream` block.
    ///
    /// ## What to do
    /// `proxy_ssl_server_name on;` and, where the pass does not hold the right name, `proxy_ssl_name that.name;`.
    ///
    /// ## Not to be confused with
    /// `tls-version-mismatch`: there no version or cipher is common. `tls-name-mismatch`: there the handshake works, and
    /// nginx refuses the certificate.
    "tls-sni-required",
    explains: [SslHandshake, PrematureClose, ReadReset],
    leads_to: ["tls-version-mismatch", "tls-client-cert-required", "backend-aborts-request", "tls-name-mismatch"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some((trouble, _, fact)) = tls_talk::told(case) else { return Ok(Verdict::NotIt) };
    let pass = case.scene.pass(case.group);
    let sent = pass.and_then(tls_talk::sent_name);
    let refused = tls_talk::greeting(case).filter(|_| tls_talk::took_our_hello(case) == Some(false));
    let by_name = trouble == Trouble::UnrecognizedName
        || refused.is_some_and(|it| it.detail.contains("unrecognized_name"));
    if !by_name {
        if tls_talk::took_our_hello(case) == Some(true) {
            return Ok(Verdict::ruled_out("the backend takes a hello with the same name"));
        }
        // A refusal of every version and cipher we know leaves the name as the likeliest thing that it lacks.
        let vague = matches!(trouble, Trouble::HandshakeFailure | Trouble::OtherAlert);
        let other = refused.is_some_and(|it| it.detail.contains("protocol_version"));
        if !vague || sent.is_some() && refused.is_none() || other {
            return Ok(Verdict::NotIt);
        }
    }
    let peer = case.peer_name();
    let summary = match &sent {
        Some(name) => format!(
            "nginx asks {peer} for \"{name}\" (SNI), a name that it does not know: it ends the handshake"
        ),
        None => format!(
            "{peer} chooses its certificate by name, and nginx sends none (proxy_ssl_server_name is off)"
        ),
    };
    let config = pass.map(|pass| {
        let prefix = tls_talk::prefix(pass);
        let says = match &sent {
            Some(name) if pass.settings.ssl_name.value.is_none() => {
                format!("{prefix}server_name is on, and {prefix}name has its default, the host of the pass: {name}")
            }
            Some(name) => format!("{prefix}name is {name}"),
            None => format!("{prefix}server_name is off"),
        };
        let span = pass.settings.ssl_name.from.or(pass.settings.ssl_server_name.from).unwrap_or(pass.span);
        Fact::new("config", says).reference(case.scene.place(span))
    });
    let ours = refused.map(|it| {
        let with = sent.as_ref().map_or_else(|| "no name".to_owned(), |it| format!("the name {it}"));
        Fact::new("probe", format!("{peer} answers our own hello with {with} as well by {}", it.detail))
    });
    let found = if by_name { confirmed(summary).decisive(fact) } else { likely(summary).supporting(fact) };
    Ok(found
        .supporting_each(config)
        .supporting_each(ours)
        .fix_maybe(pass.and_then(|it| send_name(case, it, sent.as_deref())))
        .verify(case.verify_command())
        .into())
}

/// nginx sends a name that can stand in a certificate.
fn send_name(case: &Case, pass: &Pass, sent: Option<&str>) -> Option<Fix> {
    let prefix = tls_talk::prefix(pass);
    let host = tls_talk::host_of(pass);
    let settings = &pass.settings;
    let mut edits = Edits::new(case.scene);
    if !tls_talk::is_dns_name(&host) || sent == Some(host.as_str()) {
        let title = format!(
            "Set {prefix}name to a name that the backend has a certificate for, and {prefix}server_name on"
        );
        return Some(Fix::repair(title).because(format!("\"{}\" is no such name", sent.unwrap_or(&host))));
    }
    if pass.condition.is_none() {
        edits.set(&settings.ssl_server_name, &format!("{prefix}server_name on;"), pass.span)?;
    }
    edits.into_fix(Fix::repair(format!("Send the name {host} to the backend")))
}

/// What lines alone say of a handshake that the peer ended: an alert that is sent for several reasons is shared by their
/// causes.
pub fn alert(case: &Case, share: f64, judge: fn(&Case) -> Result<Verdict, Blind>) -> Option<Found> {
    let Ok(Verdict::Found(found)) = judge(case) else {
        let vague = tls_talk::told(case)
            .is_some_and(|(it, ..)| matches!(it, Trouble::HandshakeFailure | Trouble::OtherAlert));
        let summary = format!(
            "{} ends the TLS handshake with an alert that is sent for several reasons",
            case.peer_name()
        );
        return vague.then(|| {
            fits(case, share, summary).fix(
                Fix::repair("See what the backend asks for in its handshake")
                    .run(format!("openssl s_client -connect {} -servername NAME", case.peer_name())),
            )
        });
    };
    Some(if found.certainty == crate::Certainty::Confirmed {
        *found
    } else {
        Found { confidence: share, ..*found }
    })
}

fn from_lines(case: &Case) -> Option<Found> {
    alert(case, 0.45, judge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, Snapshot};

    fn refused(pass: &str, reason: &str) -> Snapshot {
        let message = format!("SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::{reason})");
        let line = failed(&message, "SSL handshaking to upstream", "https://127.0.0.1:8443/cart");
        logged(passing_to(pass), &[&line]).with(|it| {
            sight(it, "127.0.0.1:8443", |it| it.name = Some("api.internal".into()));
        })
    }

    #[test]
    fn a_name_that_is_missing_is_sent() {
        let host =
            refused("proxy_pass https://api.internal:8443", "tlsv1 unrecognized name:SSL alert number 112");
        let report = check(&host, "tls-sni-required: confirmed");
        let edit = &report.causes[0].fixes[0].edits[0];
        assert_eq!(edit.new, "proxy_pass https://api.internal:8443; proxy_ssl_server_name on;");
    }

    #[test]
    fn a_name_that_is_refused_of_us_as_well_is_likely_the_wrong_one() {
        let pass = "proxy_ssl_server_name on; proxy_pass https://api.internal:8443";
        let greeted = |answer, detail: &str| {
            let greeting = Greeting { protocol: Protocol::Tls, answer, detail: detail.into() };
            refused(pass, "tlsv1 alert internal error:SSL alert number 80")
                .with(|it| sight(it, "127.0.0.1:8443", |it| it.greetings = vec![greeting]))
        };
        check(&greeted(Answer::Spoken, "alert: internal_error"), "tls-sni-required: likely");
        check_not(&greeted(Answer::Spoken, "ServerHello, TLS 1.2"), "tls-sni-required");
    }

    #[test]
    fn a_version_that_is_not_common_is_another_cause() {
        let host = refused(
            "proxy_pass https://api.internal:8443",
            "tlsv1 alert protocol version:SSL alert number 70",
        );
        let report = crate::diagnose(&host);
        assert!(!report.causes.iter().any(|it| it.cause.id == "tls-sni-required"), "{}", outline(&report));
    }
}
