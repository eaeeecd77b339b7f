use crate::edits::Edits;
use crate::reload;
use crate::rule::*;
use crate::trial;
use nginx_conf::{Pass, Settings};

cause! {
    /// The backend's response header does not fit into the buffer that nginx has for it.
    ///
    /// ## What you see
    /// `upstream sent too big header while reading response header from upstream` and a 502, for some requests only: those
    /// whose answer carries large cookies, a token, a long redirect or a Content-Security-Policy.
    ///
    /// ## How we know
    /// nginx says so itself. The whole response header has to fit into one buffer: `proxy_buffer_size`,
    /// `fastcgi_buffer_size` and their like, by default one page of memory (4 KiB).
    ///
    /// ## What to do
    /// Raise that buffer where the pass is, and `proxy_buffers` with it: `proxy_busy_buffers_size` is twice the larger
    /// one by default and has to be smaller than all buffers but one. Better still, make the header smaller.
    ///
    /// ## Not to be confused with
    /// `request-header-too-big`: there the request's header is too much for the backend. `invalid-response`: there the
    /// header is malformed.
    "response-header-too-big",
    explains: [HeaderTooBig],
    leads_to: ["invalid-response", "backend-aborts-request"],
    judge: Judge::Group(judge),
}

/// What is proposed at least: it holds every cookie that a browser keeps for a name (RFC 6265 asks for 50 of 4096 bytes,
/// applications use a few), and costs a request no more than eight pages.
const GENEROUS_BYTES: u64 = 32 << 10;

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let decisive = match (case.entries().next_back(), measured(case)) {
        (Some(last), _) => {
            let says = format!("\"{}\", {}", last.message, times(case.group.count));
            Fact::new("error-log", says).reference(last.reference.clone()).at(last.at)
        }
        (None, Some(measured)) => measured,
        (None, None) => return Ok(Verdict::NotIt),
    };
    let peer = case.peer_name();
    let paths = case.group.paths.len();
    let of = match case.group.paths.first() {
        Some((path, _)) if paths == 1 => format!(" for {path}"),
        Some((path, _)) => format!(" for {path} and {}", plural(paths as u64 - 1, "other path")),
        None => String::new(),
    };
    let Some(pass) = case.scene.pass(case.group) else {
        return Ok(confirmed(format!(
            "The response header of {peer}{of} does not fit nginx's buffer for it"
        ))
        .decisive(decisive)
        .fix(Fix::repair("Raise proxy_buffer_size (fastcgi_buffer_size …) where that pass is configured"))
        .verify(case.verify_command())
        .into());
    };
    let settings: &Settings = &pass.settings;
    let prefix = pass.scheme.module().prefix();
    let size = settings.buffer_size_bytes.value;
    let place = match settings.buffer_size_bytes.from {
        Some(span) => format!("set in {}", case.scene.place(span)),
        None => "nginx's default".to_owned(),
    };
    let summary = format!(
        "The response header of {peer}{of} is larger than {prefix}buffer_size {} ({place}), so nginx answers 502",
        bytes(size)
    );
    let configured = Fact::new("config", format!("{prefix}buffer_size is {} here, {place}", bytes(size)))
        .reference(case.scene.place(settings.buffer_size_bytes.from.unwrap_or(pass.span)));
    // What runs may be older than the file that sets the buffer; then its size here is not what the header met.
    let changed = match (reload::edited(case.scene)?, settings.buffer_size_bytes.from) {
        (Some(edited), Some(span)) => edited.fact_about(case.scene, span),
        _ => None,
    };
    let found = match changed {
        Some(changed) => likely(summary).supporting(decisive).contradicting(changed),
        None => confirmed(summary).decisive(decisive),
    };
    Ok(found
        .supporting(configured)
        .supporting_each(case.entries().next().and_then(|_| measured(case)))
        .supporting_each(good_ones(case))
        .fix_maybe(raise(case, pass))
        .fix(Fix::repair(
            "Or let the application send less in its response header (fewer or shorter cookies)",
        ))
        .verify(case.verify_command())
        .prevent("Keep session data out of cookies; a response header above 8 KiB fails at most proxies")
        .into())
}

/// The size of the header that the peer sends us for the same request.
fn measured(case: &Case) -> Option<Fact> {
    let straight = trial::straight(case)?;
    let size = straight.answered()?.header_bytes;
    let says =
        format!("straight from {} the response header of the same request has {size} bytes", straight.to);
    Some(Fact::new("probe", says).at(straight.sent_at))
}

/// That other requests to the same peer are answered.
fn good_ones(case: &Case) -> Option<Fact> {
    let peer = case.peer()?.to_string();
    let count: u64 = case.scene.successes().filter(|it| it.upstream == peer).map(|it| it.count).sum();
    (count > 0)
        .then(|| Fact::new("access-log", format!("{peer} answered {} well", plural(count, "other request"))))
}

/// The buffers, large enough, with the relations that nginx insists on.
///
/// Source: ngx_http_proxy_merge_loc_conf(): busy buffers are at least the larger buffer, by default twice that, and less
/// than all buffers without one.
fn raise(case: &Case, pass: &Pass) -> Option<Fix> {
    let settings: &Settings = &pass.settings;
    let prefix = pass.scheme.module().prefix();
    let old = settings.buffer_size_bytes.value;
    let new = (old * 4).next_power_of_two().max(GENEROUS_BYTES);
    let title = format!("Raise {prefix}buffer_size from {} to {}", bytes(old), bytes(new));
    let fix = Fix::repair(title)
        .because(format!("costs up to {} of memory for each request in flight", bytes(new)));
    let mut edits = Edits::new(case.scene);
    // No buffer may be set inside an `if`.
    if pass.condition.is_some() && settings.buffer_size_bytes.from.is_none() {
        return Some(fix);
    }
    edits.set(&settings.buffer_size_bytes, &format!("{prefix}buffer_size {};", short(new)), pass.span)?;
    let buffers = &settings.buffers;
    let module = pass.scheme.module();
    // gRPC and memcached have one buffer only.
    if matches!(
        module,
        nginx_conf::Module::Proxy
            | nginx_conf::Module::Fastcgi
            | nginx_conf::Module::Uwsgi
            | nginx_conf::Module::Scgi
    ) {
        let count = u64::from(buffers.value.count.max(4));
        let total = count * buffers.value.size_bytes;
        let busy = match settings.busy_buffers_size_bytes.from {
            Some(_) => settings.busy_buffers_size_bytes.value.max(new),
            None => 2 * new.max(buffers.value.size_bytes),
        };
        let each = if busy < total.saturating_sub(buffers.value.size_bytes) {
            buffers.value.size_bytes
        } else {
            new
        };
        if each != buffers.value.size_bytes {
            edits.set(buffers, &format!("{prefix}buffers {count} {};", short(each)), pass.span)?;
        }
        if settings.busy_buffers_size_bytes.from.is_some()
            && settings.busy_buffers_size_bytes.value < new.max(each)
        {
            let busy = format!("{prefix}busy_buffers_size {};", short(2 * new.max(each)));
            edits.set(&settings.busy_buffers_size_bytes, &busy, pass.span)?;
        }
    }
    edits.into_fix(fix)
}

fn short(bytes: u64) -> String {
    if bytes.is_multiple_of(1024) { format!("{}k", bytes / 1024) } else { bytes.to_string() }
}

fn bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1024) { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn too_big(http: &str) -> Snapshot {
        let line = failed(
            "upstream sent too big header",
            "reading response header from upstream",
            "http://127.0.0.1:8000/cart",
        );
        logged(configured(http), &[&line])
    }

    fn site(location: &str) -> String {
        format!("server {{\nlisten 80;\nserver_name shop.example.com;\nlocation / {{\n{location}\n}}\n}}")
    }

    #[test]
    fn the_buffer_that_applies_is_named_and_raised() {
        let host =
            too_big(&site("proxy_buffer_size 4k;\nproxy_buffers 8 4k;\nproxy_pass http://127.0.0.1:8000;"));
        let report = check(&host, "response-header-too-big: confirmed");
        let edits: Vec<&str> = report.causes[0].fixes[0].edits.iter().map(|it| it.new.as_str()).collect();
        assert_eq!(edits, ["proxy_buffer_size 32k;", "proxy_buffers 8 32k;"]);
        assert!(report.causes[0].summary.contains("proxy_buffer_size 4 KiB"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_default_is_set_behind_the_pass() {
        let report =
            check(&too_big(&site("proxy_pass http://127.0.0.1:8000;")), "response-header-too-big: confirmed");
        let edit = &report.causes[0].fixes[0].edits[0];
        assert_eq!(edit.new, "proxy_pass http://127.0.0.1:8000; proxy_buffers 8 32k; proxy_buffer_size 32k;");
    }

    #[test]
    fn busy_buffers_that_are_set_stay_large_enough() {
        let location =
            "proxy_buffer_size 8k;\nproxy_busy_buffers_size 16k;\nproxy_pass http://127.0.0.1:8000;";
        let report = check(&too_big(&site(location)), "response-header-too-big: confirmed");
        let edits: Vec<&str> = report.causes[0].fixes[0].edits.iter().map(|it| it.new.as_str()).collect();
        assert!(edits.contains(&"proxy_busy_buffers_size 64k;"), "{edits:?}");
    }

    #[test]
    fn a_malformed_header_is_another_cause() {
        let line = failed(
            "upstream sent invalid header",
            "reading response header from upstream",
            "http://127.0.0.1:8000/",
        );
        let report =
            crate::diagnose(&logged(configured(&site("proxy_pass http://127.0.0.1:8000;")), &[&line]));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "response-header-too-big"),
            "{}",
            outline(&report)
        );
    }
}
