use crate::edits::Edits;
use crate::rule::*;
use crate::tls_talk::{self, Trouble};
use nginx_conf::Pass;

cause! {
    /// nginx and the backend have no TLS version or cipher in common.
    ///
    /// ## What you see
    /// The TLS handshake fails with `alert protocol version`, `unsupported protocol`, `no shared cipher` or `handshake
    /// failure`, for every request.
    ///
    /// ## How we know
    /// The alert, or OpenSSL's own words, say it; or the backend takes our hello with every usual version and cipher, and
    /// not that of nginx, whose `proxy_ssl_protocols` or `proxy_ssl_ciphers` are narrower.
    ///
    /// ## What to do
    /// Offer what the backend has: `proxy_ssl_protocols TLSv1.2 TLSv1.3;` (nginx before 1.23.4 offers no TLS 1.3 to backends by
    /// default), or remove a `proxy_ssl_ciphers` that is too narrow. Or let the backend accept what nginx offers.
    ///
    /// ## Not to be confused with
    /// `tls-plaintext-mismatch`: there one side speaks no TLS at all. `tls-sni-required` and `tls-client-cert-required`:
    /// there a handshake fails for want of a name or a certificate.
    "tls-version-mismatch",
    explains: [SslHandshake],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some((trouble, _, fact)) = tls_talk::told(case) else { return Ok(Verdict::NotIt) };
    let peer = case.peer_name();
    let pass = case.scene.pass(case.group);
    let ciphers = pass.and_then(|it| it.settings.ssl_ciphers.from);
    let protocols = pass.and_then(|it| it.settings.ssl_protocols.from);
    let took = tls_talk::took_our_hello(case);
    let offered = pass.map(|it| it.settings.ssl_protocols.value.join(" ")).filter(|it| !it.is_empty());
    let chosen =
        tls_talk::greeting(case).and_then(|it| it.detail.strip_prefix("ServerHello, ")).map(str::to_owned);
    let (summary, sure, fix) = match trouble {
        Trouble::NoCommonVersion => {
            let offers = offered.as_ref().map(|it| format!(" nginx offers {it}")).unwrap_or_default();
            let has = chosen.as_ref().map(|it| format!(", it answers {it}")).unwrap_or_default();
            (
                format!("{peer} has no TLS version in common with nginx:{offers}{has}"),
                true,
                pass.and_then(|it| versions(case, it)),
            )
        }
        Trouble::NoCommonCipher => {
            (format!("{peer} has no cipher in common with nginx"), true, pass.and_then(|it| wider(case, it)))
        }
        // Our hello has the same name; it differs from nginx's only in what the configuration narrows.
        Trouble::HandshakeFailure if took == Some(true) && ciphers.is_some() => (
            format!("{peer} accepts none of the ciphers that nginx offers (proxy_ssl_ciphers)"),
            true,
            pass.and_then(|it| wider(case, it)),
        ),
        Trouble::HandshakeFailure if took == Some(true) && protocols.is_some() => (
            format!("{peer} accepts none of the TLS versions that nginx offers"),
            false,
            pass.and_then(|it| versions(case, it)),
        ),
        _ => return Ok(Verdict::NotIt),
    };
    let config = pass.map(|pass| {
        let prefix = tls_talk::prefix(pass);
        let (says, span) = match (ciphers, protocols) {
            (Some(span), _) if trouble != Trouble::NoCommonVersion => {
                (format!("{prefix}ciphers {}", pass.settings.ssl_ciphers.value), span)
            }
            (_, Some(span)) => {
                (format!("{prefix}protocols {}", pass.settings.ssl_protocols.value.join(" ")), span)
            }
            _ => (
                format!("{prefix}protocols has its default: {}", pass.settings.ssl_protocols.value.join(" ")),
                pass.span,
            ),
        };
        Fact::new("config", says).reference(case.scene.place(span))
    });
    let ours = chosen.map(|it| {
        Fact::new("probe", format!("{peer} answers a hello with every usual version and cipher: {it}"))
    });
    let found = match (sure, ours) {
        (true, ours) => confirmed(summary).decisive(fact).supporting_each(ours),
        (false, ours) => likely(summary).supporting(fact).supporting_each(ours),
    };
    Ok(found.supporting_each(config).fix_maybe(fix).verify(case.verify_command()).into())
}

/// Offers the versions of today.
fn versions(case: &Case, pass: &Pass) -> Option<Fix> {
    let prefix = tls_talk::prefix(pass);
    let settings = &pass.settings;
    let has = |it: &str| settings.ssl_protocols.value.iter().any(|mine| mine == it);
    if has("TLSv1.2") && has("TLSv1.3") {
        return Some(Fix::repair("Let the backend accept TLS 1.2 or 1.3: nginx offers both"));
    }
    let mut edits = Edits::new(case.scene);
    if pass.condition.is_none() || settings.ssl_protocols.from.is_some() {
        edits.set(&settings.ssl_protocols, &format!("{prefix}protocols TLSv1.2 TLSv1.3;"), pass.span)?;
    }
    edits.into_fix(Fix::repair("Offer TLS 1.2 and 1.3 to the backend"))
}

/// Takes a narrow list of ciphers back.
fn wider(case: &Case, pass: &Pass) -> Option<Fix> {
    let span = pass.settings.ssl_ciphers.from?;
    let mut edits = Edits::new(case.scene);
    edits.replace(span, &format!("{}ciphers HIGH:!aNULL:!MD5;", tls_talk::prefix(pass)))?;
    edits.into_fix(
        Fix::repair("Offer the backend more ciphers")
            .because("TLS between nginx and its own backends needs no narrow list"),
    )
}

fn from_lines(case: &Case) -> Option<Found> {
    super::tls_sni_required::alert(case, 0.25, judge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, Snapshot};

    fn refused(pass: &str, reason: &str, detail: &str) -> Snapshot {
        let message = format!("SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::{reason})");
        let line = failed(&message, "SSL handshaking to upstream", "https://127.0.0.1:8443/cart");
        logged(passing_to(pass), &[&line]).with(|it| {
            let greeting =
                Greeting { protocol: Protocol::Tls, answer: Answer::Spoken, detail: detail.into() };
            sight(it, "127.0.0.1:8443", |it| it.greetings.push(greeting));
        })
    }

    #[test]
    fn a_version_that_nginx_does_not_offer_is_added() {
        let reason = "tlsv1 alert protocol version:SSL alert number 70";
        let host = refused("proxy_pass https://127.0.0.1:8443", reason, "ServerHello, TLS 1.3");
        let report = check(&host, "tls-version-mismatch: confirmed");
        let edit = &report.causes[0].fixes[0].edits[0];
        assert_eq!(edit.new, "proxy_pass https://127.0.0.1:8443; proxy_ssl_protocols TLSv1.2 TLSv1.3;");
    }

    #[test]
    fn ciphers_that_are_too_narrow_are_named() {
        let reason = "sslv3 alert handshake failure:SSL alert number 40";
        let pass = "proxy_ssl_ciphers AES256-GCM-SHA384; proxy_pass https://127.0.0.1:8443";
        check(&refused(pass, reason, "ServerHello, TLS 1.2"), "tls-version-mismatch: confirmed");
    }

    #[test]
    fn a_name_that_is_not_known_is_another_cause() {
        let reason = "tlsv1 unrecognized name:SSL alert number 112";
        let report = crate::diagnose(&refused(
            "proxy_pass https://127.0.0.1:8443",
            reason,
            "alert: unrecognized_name",
        ));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "tls-version-mismatch"),
            "{}",
            outline(&report)
        );
    }
}
