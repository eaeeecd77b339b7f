//! Finds the format of an access log from its lines, where no configuration tells it.

use crate::access::{Escape, Format};

/// What stands behind `combined` in common formats. The last is anything at all.
const TAILS: [&str; 12] = [
    "",
    " \"$http_x_forwarded_for\"",
    " \"$http_x_forwarded_for\" $request_time",
    " \"$http_x_forwarded_for\" $request_time $upstream_response_time",
    " \"$http_x_forwarded_for\" rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" \
     urt=\"$upstream_response_time\"",
    " rt=$request_time uct=\"$upstream_connect_time\" uht=\"$upstream_header_time\" urt=\"$upstream_response_time\"",
    " rt=$request_time uct=$upstream_connect_time uht=$upstream_header_time urt=$upstream_response_time",
    " rt=$request_time ua=\"$upstream_addr\" us=\"$upstream_status\" ut=\"$upstream_response_time\" ul=\"$upstream_response_length\"",
    " $request_time $upstream_response_time",
    " $request_time",
    // The default of the Kubernetes ingress controller.
    " $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr \
     $upstream_response_length $upstream_response_time $upstream_status $req_id",
    " $rest",
];

/// Keys of JSON logs that are named otherwise than nginx's variables.
const ALIASES: [(&str, &str); 16] = [
    ("@timestamp", "time_iso8601"),
    ("timestamp", "time_iso8601"),
    ("time", "time_iso8601"),
    ("ts", "msec"),
    ("client_ip", "remote_addr"),
    ("remote_ip", "remote_addr"),
    ("method", "request_method"),
    ("uri", "request_uri"),
    ("path", "request_uri"),
    ("protocol", "server_protocol"),
    ("response_time", "request_time"),
    ("duration", "request_time"),
    ("upstream", "upstream_addr"),
    ("upstream_time", "upstream_response_time"),
    ("referer", "http_referer"),
    ("user_agent", "http_user_agent"),
];

/// The first known format that most of the lines have; `None`: they are no access log that is known.
pub fn recognise<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Format> {
    let lines: Vec<&[u8]> = lines.into_iter().filter(|it| !it.trim_ascii().is_empty()).take(32).collect();
    let fits =
        |format: &Format| lines.iter().filter(|line| format.parse(line).is_some()).count() * 2 > lines.len();
    if let Some(format) = lines.iter().find_map(|line| json_format(line)).filter(fits) {
        return Some(format);
    }
    let common = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";
    let plain = TAILS.iter().map(|tail| format!("{}{tail}", Format::COMBINED));
    let by_host = TAILS.iter().take(1).flat_map(|tail| {
        [
            format!("$host:$server_port {}{tail}", Format::COMBINED),
            format!("$host {}{tail}", Format::COMBINED),
        ]
    });
    plain
        .chain(by_host)
        .chain([common.to_owned(), format!("{common} $rest")])
        .map(|text| Format::compile(&text, Escape::Default))
        .find(fits)
}

/// The format of a flat JSON object: each key is the variable of its value.
fn json_format(line: &[u8]) -> Option<Format> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let mut rest = text.strip_prefix('{')?;
    let mut format = String::from("{");
    let mut known = 0;
    loop {
        let (before, after) = rest.split_once('"')?;
        let (key, after) = after.split_once('"')?;
        let colon = after.len() - after.trim_start_matches([' ', ':']).len();
        let (separator, value) = after.split_at(colon);
        let name = ALIASES.iter().find(|it| it.0 == key).map_or(key, |it| it.1);
        let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        let quoted = value.starts_with('"');
        let length = if quoted { quoted_length(value)? } else { value.find([',', '}'])? };
        format += &format!("{before}\"{key}\"{separator}");
        let variable = if is_name { name.to_owned() } else { format!("field_{}", format.len()) };
        format += &if quoted { format!("\"${{{variable}}}\"") } else { format!("${{{variable}}}") };
        known += usize::from(matches!(
            name,
            "status" | "request" | "request_uri" | "remote_addr" | "request_method"
        ));
        rest = &value[length..];
        if let Some(end) = rest.trim_start().strip_prefix('}') {
            format += &rest[..rest.len() - end.len()];
            return (known >= 2 && end.is_empty()).then(|| Format::compile(&format, Escape::Json));
        }
    }
}

/// The length of a JSON string with its quotes.
fn quoted_length(value: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in value.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return Some(at + 1),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}
