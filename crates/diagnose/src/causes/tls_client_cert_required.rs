use crate::outage;
use crate::rule::*;
use crate::said;
use crate::tls_talk::{self, Trouble};

cause! {
    /// The backend demands a client certificate, and nginx presents none, or one that the backend does not accept.
    ///
    /// ## What you see
    /// `alert certificate required` (with TLS 1.3 only after the handshake, `while reading response header`), or with TLS 1.2
    /// a `handshake failure`. `alert unknown ca`, `bad certificate` or `certificate expired` when nginx presents one that the
    /// backend does not accept.
    ///
    /// ## How we know
    /// The alert says so; or the backend takes our hello with the same name, nginx narrows neither versions nor ciphers and
    /// has no certificate to show, and the handshake fails all the same. Up to TLS 1.2 we hear the backend ask for one. Its
    /// log may say that the peer sent none.
    ///
    /// ## What to do
    /// Give nginx a certificate that the backend's CA signed: `proxy_ssl_certificate` and `proxy_ssl_certificate_key`.
    ///
    /// ## Not to be confused with
    /// `tls-version-mismatch`: there versions or ciphers do not fit. `tls-verify-failed`: there nginx refuses the backend's
    /// certificate.
    "tls-client-cert-required",
    explains: [SslHandshake, ReadReset, PrematureClose],
    leads_to: ["backend-aborts-request"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let told = tls_talk::told(case);
    let pass = case.scene.pass(case.group);
    let presents = pass.and_then(|it| it.settings.ssl_certificate.value.clone());
    let asks = tls_talk::flight(case).is_some_and(|it| it.asks_for_certificate) && presents.is_none();
    let words = said::near(case, |text| {
        let text = text.to_ascii_lowercase().replace('_', " ");
        [
            "did not return a certificate",
            "no certificate returned",
            "no required ssl certificate",
            "client certificate",
        ]
        .iter()
        .any(|it| text.contains(it))
    });
    let narrowed = pass
        .is_some_and(|it| it.settings.ssl_ciphers.from.is_some() || it.settings.ssl_protocols.from.is_some());
    let took_ours = tls_talk::took_our_hello(case) == Some(true) && !narrowed && presents.is_none();
    let sure = match told.as_ref().map(|it| it.0) {
        // Only a client's certificate can be refused by the server.
        Some(Trouble::CertificateRequired | Trouble::CertificateRefused) => true,
        Some(Trouble::HandshakeFailure | Trouble::OtherAlert) if words.is_some() => true,
        Some(Trouble::HandshakeFailure) if took_ours => asks,
        // Some servers hang up without an alert. Others ask everybody, and do not mind when nothing comes.
        None if asks && took_ours && outage::good_answers(case).next().is_none() => false,
        _ => return Ok(Verdict::NotIt),
    };
    let fact = told.map_or_else(|| case.failures_fact(), |it| it.2);
    let request = asks.then(|| {
        let says = format!("{} asks for a client certificate in its handshake", case.peer_name());
        Fact::new("probe", says).at(case.scene.now())
    });
    let peer = case.peer_name();
    let prefix = pass.map_or("proxy_ssl_", tls_talk::prefix);
    let summary = match &presents {
        Some(file) => format!("{peer} demands a client certificate and does not accept the one in {file}"),
        None => format!("{peer} demands a client certificate, and nginx presents none"),
    };
    let config = pass.map(|pass| {
        let says = match &presents {
            Some(file) => format!("{prefix}certificate {file}"),
            None => format!("no {prefix}certificate applies to this pass"),
        };
        Fact::new("config", says)
            .reference(case.scene.place(pass.settings.ssl_certificate.from.unwrap_or(pass.span)))
    });
    let found = if sure {
        confirmed(summary).decisive(fact).decisive_each(words).decisive_each(request)
    } else if asks {
        likely(summary).confidence(0.85).supporting(fact).supporting_each(request)
    } else {
        let hello = "it takes a hello with the same name and every usual cipher, so neither is what it lacks";
        likely(summary).supporting(fact).supporting(Fact::new("probe", hello))
    };
    let title = format!(
        "Give nginx a certificate that the backend's CA signed: {prefix}certificate and {prefix}certificate_key"
    );
    Ok(found
        .supporting_each(config)
        .fix(Fix::repair(title).run(tls_talk::show(case, pass.and_then(tls_talk::sent_name).as_deref())).because(
            "the command shows the CAs that the backend accepts, under \"Acceptable client certificate CA names\"",
        ))
        .verify(case.verify_command())
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    super::tls_sni_required::alert(case, 0.3, judge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Greeting, Snapshot, TlsFlight};

    fn refused(pass: &str, reason: &str) -> Snapshot {
        let message = format!("SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::{reason})");
        let line = failed(&message, "SSL handshaking to upstream", "https://127.0.0.1:9443/cart");
        logged(passing_to(pass), &[&line]).with(|it| {
            let detail = "ServerHello, TLS 1.2".into();
            let greeting = Greeting { protocol: Protocol::Tls, answer: Answer::Spoken, detail };
            sight(it, "127.0.0.1:9443", |it| it.greetings.push(greeting));
        })
    }

    #[test]
    fn the_alert_of_tls_1_3_is_decisive() {
        let reason = "tlsv13 alert certificate required:SSL alert number 116";
        check(&refused("proxy_pass https://127.0.0.1:9443", reason), "tls-client-cert-required: confirmed");
    }

    #[test]
    fn a_certificate_that_the_backend_refuses_is_named() {
        let pass = "proxy_ssl_certificate /etc/ssl/me.crt; proxy_pass https://127.0.0.1:9443";
        let report = check(
            &refused(pass, "tlsv1 alert unknown ca:SSL alert number 48"),
            "tls-client-cert-required: confirmed",
        );
        assert!(report.causes[0].summary.ends_with("the one in /etc/ssl/me.crt"), "{}", outline(&report));
    }

    #[test]
    fn a_failure_after_a_hello_that_fits_is_likely_for_want_of_a_certificate() {
        let reason = "sslv3 alert handshake failure:SSL alert number 40";
        check(&refused("proxy_pass https://127.0.0.1:9443", reason), "tls-client-cert-required: likely");
    }

    fn asking(host: Snapshot) -> Snapshot {
        let flight = TlsFlight { certificates: Vec::new(), asks_for_certificate: true };
        host.with(|it| sight(it, "127.0.0.1:9443", |it| it.tls_flight = Some(flight)))
    }

    #[test]
    fn a_backend_that_asks_for_a_certificate_before_it_fails_is_sure_to_want_one() {
        let reason = "sslv3 alert handshake failure:SSL alert number 40";
        let pass = "proxy_pass https://127.0.0.1:9443";
        check(&asking(refused(pass, reason)), "tls-client-cert-required: confirmed");
    }

    #[test]
    fn a_backend_that_asks_and_hangs_up_without_a_word_is_likely_to() {
        let line = failed(
            "upstream prematurely closed connection",
            "reading response header from upstream",
            "https://127.0.0.1:9443/cart",
        );
        let host = refused("proxy_pass https://127.0.0.1:9443", "").with(|it| it.logs.clear());
        check(&asking(logged(host, &[&line])), "tls-client-cert-required: likely");
    }

    #[test]
    fn narrow_ciphers_are_another_cause() {
        let reason = "sslv3 alert handshake failure:SSL alert number 40";
        let host = refused("proxy_ssl_ciphers AES256-SHA; proxy_pass https://127.0.0.1:9443", reason);
        let report = crate::diagnose(&host);
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "tls-client-cert-required"),
            "{}",
            outline(&report)
        );
    }
}
