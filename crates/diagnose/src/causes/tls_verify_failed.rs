use crate::edits::Edits;
use crate::rule::*;
use crate::tls_talk;

cause! {
    /// nginx verifies the backend's certificate and does not accept its chain.
    ///
    /// ## What you see
    /// `upstream SSL certificate verify error: (N:…) while SSL handshaking to upstream` and 502 for every request.
    ///
    /// ## How we know
    /// nginx says so, with the number and words of the X.509 error: 10 expired, 18 and 19 self-signed, 20 and 21 an issuer
    /// that is not known, 22 a chain that is too long.
    ///
    /// ## What to do
    /// By that error: renew the certificate, send the missing intermediate, name the right CA in
    /// `proxy_ssl_trusted_certificate`, or raise `proxy_ssl_verify_depth`, which is 1 by default and too little for two
    /// intermediates. Do not switch the verification off.
    ///
    /// ## Not to be confused with
    /// `tls-name-mismatch`: there the chain is good, and the name is another.
    "tls-verify-failed",
    explains: [SslVerify],
    leads_to: [],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let code = code(&last.message);
    let peer = case.peer_name();
    let pass = case.scene.pass(case.group);
    let depth = pass.map_or(1, |it| it.settings.ssl_verify_depth.value);
    let trusted = pass.and_then(|it| {
        let file = it.settings.ssl_trusted_certificate.value.as_ref()?.display().to_string();
        Some((file, it.settings.ssl_trusted_certificate.from.unwrap_or(it.span)))
    });
    let ca = trusted.as_ref().map_or("proxy_ssl_trusted_certificate".to_owned(), |(file, _)| file.clone());
    let (what, fix) = match code {
        Some(10) => (
            "has expired".to_owned(),
            vec![
                Fix::repair(format!("Renew the certificate of {peer}"))
                    .because("nobody can make an expired one valid again"),
            ],
        ),
        Some(9) => (
            "is not valid yet".to_owned(),
            vec![Fix::repair(
                "Compare the clocks of both hosts (timedatectl); then the certificate's notBefore",
            )],
        ),
        Some(18) => (
            "is self-signed, and not itself among the trusted ones".to_owned(),
            vec![Fix::repair(format!(
                "Put that certificate into {ca}, or let a CA that stands there sign one"
            ))],
        ),
        Some(19) => (
            format!("ends at a root that {ca} does not hold"),
            vec![Fix::repair(format!("Put that root into {ca}"))],
        ),
        Some(22) => (
            format!("has more intermediates than proxy_ssl_verify_depth allows ({depth})"),
            deeper(case, depth).into_iter().collect(),
        ),
        Some(2 | 20 | 21) => (
            format!(
                "comes from an issuer that is not in {ca}, or more than {depth} intermediates away from it"
            ),
            vec![Fix::repair(format!(
                "Put the issuing CA into {ca}, and let the backend send its intermediates"
            ))]
            .into_iter()
            .chain(deeper(case, depth))
            .collect(),
        ),
        Some(23) => ("was revoked".to_owned(), vec![Fix::repair(format!("Give {peer} a new certificate"))]),
        _ => (
            "is not accepted".to_owned(),
            vec![Fix::repair("Look at the chain and the error's words, and mend that one")],
        ),
    };
    let config = trusted.map(|(file, span)| {
        Fact::new("config", format!("proxy_ssl_trusted_certificate {file}, proxy_ssl_verify_depth {depth}"))
            .reference(case.scene.place(span))
    });
    let name = pass.and_then(tls_talk::sent_name);
    let found = confirmed(format!("nginx does not accept the certificate of {peer}: it {what}"))
        .decisive(fact)
        .supporting_each(tls_talk::certificate_fact(case))
        .supporting_each(config)
        .verify(tls_talk::show(case, name.as_deref()))
        .verify(case.verify_command())
        .prevent("Watch how long the backends' certificates are still valid");
    Ok(fix.into_iter().fold(found, Found::fix).into())
}

/// The X.509 error in "… verify error: (20:unable to get local issuer certificate)".
fn code(message: &str) -> Option<u32> {
    message.split_once("verify error: (")?.1.split(':').next()?.parse().ok()
}

/// A longer chain allowed.
fn deeper(case: &Case, depth: u32) -> Option<Fix> {
    let pass = case.scene.pass(case.group)?;
    let mut edits = Edits::new(case.scene);
    let wanted = (depth + 1).max(4);
    let directive = format!("{}verify_depth {wanted};", tls_talk::prefix(pass));
    if pass.condition.is_none() || pass.settings.ssl_verify_depth.from.is_some() {
        edits.set(&pass.settings.ssl_verify_depth, &directive, pass.span)?;
    }
    edits.into_fix(Fix::repair(format!("Or allow longer chains: proxy_ssl_verify_depth {wanted}")))
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn refused(error: &str) -> Snapshot {
        let line = failed(
            &format!("upstream SSL certificate verify error: ({error})"),
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/cart",
        );
        let pass = "proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/corp.pem; proxy_pass https://127.0.0.1:8443";
        logged(passing_to(pass), &[&line])
    }

    #[test]
    fn an_expired_certificate_is_named() {
        let report = check(&refused("10:certificate has expired"), "tls-verify-failed: confirmed");
        assert!(report.causes[0].summary.ends_with("it has expired"), "{}", report.causes[0].summary);
    }

    #[test]
    fn an_unknown_issuer_may_also_be_a_chain_that_is_too_long() {
        let report =
            check(&refused("20:unable to get local issuer certificate"), "tls-verify-failed: confirmed");
        assert!(report.causes[0].summary.contains("/etc/ssl/corp.pem"), "{}", report.causes[0].summary);
        assert!(report.causes[0].fixes.iter().any(|it| it.title.contains("verify_depth 4")));
    }

    #[test]
    fn a_certificate_of_another_name_is_another_cause() {
        let line = failed(
            "upstream SSL certificate does not match \"api.internal\"",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/cart",
        );
        let report = crate::diagnose(&logged(passing_to("proxy_pass https://127.0.0.1:8443"), &[&line]));
        assert!(!report.causes.iter().any(|it| it.cause.id == "tls-verify-failed"), "{}", outline(&report));
    }
}
