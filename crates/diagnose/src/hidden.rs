//! Failures that the client did not notice, other than by a second try: those of a mirrored request, whose answer nobody
//! waits for, and those that another backend made good because an error page leads to it.

use nginx_conf::{AnswerKind, Directive, Pass, View};

use crate::failure::{Access, Failure};

/// Whether the client got a good answer in spite of this entry.
pub fn is_hidden(entry: &Failure, access: Option<&Access>, pass: Option<&Pass>, view: &View) -> bool {
    entry.subrequest && view.servers().is_empty() && access.is_some_and(|it| (100..400).contains(&it.status))
        || entry.subrequest && is_mirror(&view.config().root, &entry.path)
        || access.is_some_and(|it| (100..400).contains(&it.status))
            && (entry.action.contains("connecting") || entry.action.contains("reading response header"))
            && match pass {
                Some(pass) => is_made_good(pass, view),
                // Without a configuration, that the client got an answer after a try that gave none.
                None => view.servers().is_empty(),
            }
}

fn is_mirror(directives: &[Directive], path: &str) -> bool {
    directives
        .iter()
        .any(|it| it.name == "mirror" && it.arg(0) == Some(path) || is_mirror(it.children(), path))
}

/// Whether an error page for gateway failures leads to a location with a pass of its own, not to a page that says sorry.
fn is_made_good(pass: &Pass, view: &View) -> bool {
    let leads_to_a_pass = |uri: &str| {
        let named = || {
            view.locations().iter().any(|it| it.server == pass.server && it.path == uri && it.pass.is_some())
        };
        match uri.starts_with('@') {
            true => named(),
            false => uri.starts_with('/') && view.route_in(pass.server, uri).pass.is_some(),
        }
    };
    view.answers().iter().any(|it| {
        let here = it.server.is_none_or(|server| server == pass.server)
            && it.location.is_none_or(|location| Some(location) == pass.location);
        match &it.kind {
            AnswerKind::ErrorPage { for_status, uri } => {
                here && matches!(for_status, 502 | 504) && leads_to_a_pass(uri)
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::report::Verdict;
    use crate::testing::*;

    const GOOD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 200, "-", "-", "-");
    const SORRY: &str = "location = /sorry.html {\nroot /srv;\n}\n";

    /// The verdict on a refused try at 127.0.0.1:8080 whose request ended well, where the site says this.
    #[track_caller]
    fn judged(locations: &str, subrequest: &str, expected: Verdict) {
        let site = format!("server {{\nlisten 80;\nserver_name shop.example.com;\n{locations}{SORRY}}}");
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        let line = line.replace("upstream: ", &format!("{subrequest}upstream: "));
        let host = requested(logged(configured(&site), &[&line]), &[GOOD]).with(|it| {
            // The format tells nothing of upstreams.
            let combined = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";
            for log in &mut it.logs {
                let snapshot::LogKind::Access { text, .. } = &mut log.kind else { continue };
                *text = combined.into();
                let snapshot::Reading::Seen(lines) = &mut log.lines else { continue };
                for line in &mut lines.value.lines {
                    let time = line.at.strftime("%d/%b/%Y:%H:%M:%S +0000");
                    line.text = format!("10.0.0.9 - - [{time}] \"GET /cart HTTP/1.1\" 200 12");
                }
            }
        });
        let report = crate::diagnose(&host);
        assert_eq!(report.verdict, expected, "{}", outline(&report));
    }

    #[test]
    fn what_another_backend_made_good_is_hidden_and_a_sorry_page_is_not() {
        let pass = |page: &str| {
            format!("location / {{\nproxy_pass http://127.0.0.1:8080;\nerror_page 502 504 {page};\n}}\n")
        };
        let other = "location @old {\nproxy_pass http://127.0.0.1:8081;\n}\n";
        judged(&format!("{}{other}", pass("= @old")), "", Verdict::Degraded);
        judged(&pass("=200 /sorry.html"), "", Verdict::Faulty);
    }

    #[test]
    fn nobody_waits_for_a_mirrored_request() {
        let mirrored = "location / {\nmirror /copy;\nproxy_pass http://127.0.0.1:8081;\n}\n\
                        location = /copy {\nproxy_pass http://127.0.0.1:8080;\n}\n";
        judged(mirrored, "subrequest: \"/copy\", ", Verdict::Degraded);
        judged(&mirrored.replace("mirror", "ssi_include"), "subrequest: \"/copy\", ", Verdict::Faulty);
    }
}
