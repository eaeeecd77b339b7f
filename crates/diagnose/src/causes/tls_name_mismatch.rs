use crate::edits::Edits;
use crate::rule::*;
use crate::tls_talk;
use nginx_conf::Pass;

cause! {
    /// The backend's certificate is valid, but for another name than the one that nginx expects.
    ///
    /// ## What you see
    /// `upstream SSL certificate does not match "name"` and 502 for every request.
    ///
    /// ## How we know
    /// nginx says so. The name is that of `proxy_ssl_name`, by default the host in `proxy_pass`, which is the name of the
    /// `upstream` block where there is one.
    ///
    /// ## What to do
    /// Set `proxy_ssl_name` to a name that stands in the certificate, or get a certificate that holds the name. A backend
    /// with several certificates also needs `proxy_ssl_server_name on` to send the right one.
    ///
    /// ## Not to be confused with
    /// `tls-verify-failed`: there the chain is not accepted. `tls-sni-required`: there the handshake itself fails.
    "tls-name-mismatch",
    explains: [SslName],
    leads_to: [],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    let expected = last.message.split('"').nth(1).unwrap_or_default();
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let pass = case.scene.pass(case.group);
    let sent = pass.and_then(tls_talk::sent_name);
    let prefix = pass.map_or("proxy_ssl_", tls_talk::prefix);
    let config = pass.map(|pass| {
        let from = match &pass.settings.ssl_name.value {
            Some(name) => format!("{prefix}name {name}"),
            None => format!("the host of the pass is {}", tls_talk::host_of(pass)),
        };
        let sni = if sent.is_some() {
            "nginx also asks for it (SNI)".to_owned()
        } else {
            format!("nginx asks for no name ({prefix}server_name is off)")
        };
        let span = pass.settings.ssl_name.from.unwrap_or(pass.span);
        Fact::new("config", format!("{from}; {sni}")).reference(case.scene.place(span))
    });
    let mut found = confirmed(format!(
        "The certificate of {} is valid, but not for \"{expected}\", the name nginx expects",
        case.peer_name()
    ))
    .decisive(fact)
    .supporting_each(tls_talk::certificate_fact(case))
    .supporting_each(config)
    .fix_maybe(pass.and_then(|it| expect_another(case, it)))
    .fix(
        Fix::repair(format!("Set {prefix}name to a name in the certificate"))
            .run(format!(
                "{} | openssl x509 -noout -ext subjectAltName",
                tls_talk::show(case, sent.as_deref().or(Some(expected)))
            ))
            .because("the command shows the names that the certificate holds"),
    );
    if sent.is_none() {
        found = found.fix(
            Fix::repair(format!(
                "If the backend has several certificates, ask for the right one: {prefix}server_name on"
            ))
            .because("without a name it sends its default certificate"),
        );
    }
    Ok(found
        .fix(Fix::repair(format!("Or get a certificate for the backend that holds {expected}")))
        .verify(case.verify_command())
        .into())
}

/// The name that the certificate holds, where it holds one alone.
fn expect_another(case: &Case, pass: &Pass) -> Option<Fix> {
    let certificate = tls_talk::certificate(case)?;
    let [name] = certificate.names.as_slice() else { return None };
    if !tls_talk::is_dns_name(name) || pass.condition.is_some() {
        return None;
    }
    let mut edits = Edits::new(case.scene);
    let directive = format!("{}name {name};", tls_talk::prefix(pass));
    edits.set(&pass.settings.ssl_name, &directive, pass.span)?;
    edits.into_fix(
        Fix::repair(format!("Expect {name}, the name that the certificate holds"))
            .because("do so only if that is the backend that is meant: the name is what nginx knows it by"),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Certificate, TlsFlight};

    #[test]
    fn the_one_name_of_the_certificate_can_be_expected() {
        let line = failed(
            "upstream SSL certificate does not match \"api.internal\"",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/cart",
        );
        let host = logged(passing_to("proxy_pass https://127.0.0.1:8443"), &[&line]).with(|it| {
            let certificate = Certificate {
                subject: "old.internal".into(),
                issuer: "house".into(),
                names: vec!["old.internal".into()],
                not_before: ago(9000),
                not_after: ago(-9000),
            };
            sight(it, "127.0.0.1:8443", |it| {
                it.tls_flight =
                    Some(TlsFlight { certificates: vec![certificate], asks_for_certificate: false });
            });
        });
        let report = check(&host, "tls-name-mismatch: confirmed");
        assert!(report.causes[0].evidence[1].says.contains("for old.internal"), "{}", outline(&report));
        let edit = &report.causes[0].fixes[0].edits[0];
        assert!(edit.new.ends_with("proxy_ssl_name old.internal;"), "{edit:?}");
    }

    #[test]
    fn the_expected_name_is_named() {
        let line = failed(
            "upstream SSL certificate does not match \"api.internal\"",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/cart",
        );
        let host = logged(passing_to("proxy_pass https://127.0.0.1:8443"), &[&line]);
        let report = check(&host, "tls-name-mismatch: confirmed");
        assert!(report.causes[0].summary.contains("\"api.internal\""), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_chain_that_is_not_accepted_is_another_cause() {
        let line = failed(
            "upstream SSL certificate verify error: (10:certificate has expired)",
            "SSL handshaking to upstream",
            "https://127.0.0.1:8443/cart",
        );
        let report = crate::diagnose(&logged(passing_to("proxy_pass https://127.0.0.1:8443"), &[&line]));
        assert!(!report.causes.iter().any(|it| it.cause.id == "tls-name-mismatch"), "{}", outline(&report));
    }
}
