//! Finds the format of an access log from its lines, where no configuration tells it.
//!
//! A few formats that everybody has are known by name. Any other is found from the lines themselves: they are taken apart
//! into values (`recognise/tokens.rs`), those that have the same text between their values are of one format, and what a
//! value is follows from its key, from its shape in all of these lines, and from its neighbours (`recognise/meaning.rs`).
//! A value that could be several things gets a neutral name, and a format without a certain time, status and request is
//! none: a wrong guess is worse than none.

mod meaning;
mod names;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::access::{Escape, Format};
use meaning::{Column, Name};
use tokens::{Line, Writing};

/// Lines that are looked at.
const SAMPLE_LINES: usize = 200;
/// Groups of lines with the same text between their values that are tried, the largest first.
const MOST_GROUPS: usize = 8;

/// Formats whose values cannot be told from each other by their shapes alone.
static KNOWN: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let combined = Format::COMBINED;
    [
        combined,
        // The default of the Kubernetes ingress controller, `upstreaminfo`, since 0.22, before, and before 0.9.
        &format!(
            "{combined} $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr \
             $upstream_response_length $upstream_response_time $upstream_status $req_id"
        ),
        "$remote_addr - [$field_2] - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\" $request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length \
         $upstream_response_time $upstream_status $req_id",
        // Nginx Proxy Manager: hosts that it passes on, and those that it answers itself.
        "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host \"$request_uri\" [Client \
         $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] [Sent-to $server] \"$http_user_agent\" \"$http_referer\"",
        "[$time_local] $status - $request_method $scheme $host \"$request_uri\" [Client $remote_addr] [Length $body_bytes_sent] \
         [Gzip $gzip_ratio] \"$http_user_agent\" \"$http_referer\"",
        // Apache's `vhost_combined`, which is copied often.
        &format!("$host:$server_port {combined}"),
    ]
    .map(|it| Format::compile(it, Escape::Default))
    .to_vec()
});

/// The format that the most lines have, of those that are known or can be found from the lines; `None`: they are no access
/// log. Some of the lines can be others.
pub fn recognise<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Format> {
    let lines: Vec<&[u8]> =
        lines.into_iter().filter(|it| !it.trim_ascii().is_empty()).take(SAMPLE_LINES).collect();
    // One line among many others proves nothing.
    let least = if lines.len() > 20 { 2 } else { 1 };
    let count = |format: &Format| {
        let fits =
            |line: &&&[u8]| format.parse(line).is_some_and(|it| it.time().is_some() && it.status().is_some());
        lines.iter().filter(fits).count()
    };
    let known = KNOWN.iter().map(|it| (it, count(it))).filter(|it| it.1 >= least);
    let known = known.reduce(|best, it| if it.1 > best.1 { it } else { best });
    if let Some((format, count)) = known
        && count * 2 > lines.len()
    {
        return Some(format.clone());
    }
    let found = Writing::ALL.into_iter().filter_map(|writing| {
        let format = from_values(writing, &lines, least)?;
        let count = count(&format);
        Some((format, count))
    });
    let best = found.filter(|it| it.1 >= least).reduce(|best, it| if it.1 > best.1 { it } else { best });
    match (known, best) {
        (Some((known, most)), Some((_, count))) if most >= count => Some(known.clone()),
        (Some((known, _)), None) => Some(known.clone()),
        (_, best) => best.map(|it| it.0),
    }
}

/// The format that the most lines have, of those that can be found from their values.
fn from_values(writing: Writing, lines: &[&[u8]], least: usize) -> Option<Format> {
    let split: Vec<Line<'_>> = lines.iter().filter_map(|it| tokens::split(writing, it)).collect();
    let count = |format: &Format| lines.iter().filter(|it| format.fits(it)).count();
    let whole = from_groups(writing, &split, usize::MAX, least);
    let mut is_whole = true;
    let mut best = whole.map(|it| (count(&it), it)).filter(|it| it.0 >= least);
    // A value of several words without quotes, such as the agent, gives nearly every line other texts between its values.
    // Then the values before it decide, unless that loses one that matters.
    if writing == Writing::Spaces && best.as_ref().is_none_or(|it| it.0 * 10 < split.len() * 9) {
        for length in (5..=16).rev() {
            let Some(format) = from_groups(writing, &split, length, least) else { continue };
            let fits = count(&format);
            let is_better = best.as_ref().is_none_or(|(most, whole)| {
                (fits > *most || fits == *most && !is_whole)
                    && whole
                        .variables()
                        .filter(|it| names::matters(it))
                        .all(|it| format.variables().any(|own| own == it))
            });
            if fits >= least && is_better {
                (best, is_whole) = (Some((fits, format)), false);
            }
        }
    }
    best.map(|it| it.1)
}

/// The format of the largest group of lines with the same text between their first values that has one.
fn from_groups(writing: Writing, lines: &[Line<'_>], length: usize, least: usize) -> Option<Format> {
    let whole = length == usize::MAX;
    let mut groups: HashMap<Vec<&[u8]>, Vec<&Line<'_>>> = HashMap::new();
    for line in lines.iter().filter(|it| whole || it.values.len() > length) {
        let texts = line.values.iter().take(length).map(|it| it.before);
        groups.entry(texts.chain(whole.then_some(line.end)).collect()).or_default().push(line);
    }
    let mut groups: Vec<_> = groups.into_iter().filter(|it| it.1.len() >= least).collect();
    // In an order that does not depend on the hashes.
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    groups.iter().take(MOST_GROUPS).find_map(|group| format_of(writing, &group.1, length))
}

/// The format of lines with the same text between their first values.
fn format_of(writing: Writing, group: &[&Line<'_>], length: usize) -> Option<Format> {
    let first = group.first()?;
    let whole = length == usize::MAX;
    let columns: Vec<Column<'_>> = (0..first.values.len().min(length))
        .map(|index| Column::new(&first.values[index], group.iter().map(|it| it.values[index].text)))
        .collect();
    let names = meaning::names(&columns)?;
    let mut text = String::new();
    for (column, name) in columns.iter().zip(&names) {
        text += std::str::from_utf8(column.before).ok()?;
        match name {
            Name::Variable(name) => text += &format!("${{{name}}}"),
            Name::Literal => text += "-",
        }
    }
    if whole {
        text += std::str::from_utf8(first.end).ok()?;
    } else {
        text += " $rest";
    }
    let escape = if writing == Writing::Json || group.iter().any(|it| it.has_escaped_quotes()) {
        Escape::Json
    } else {
        Escape::Default
    };
    Some(Format::compile(&text, escape))
}
