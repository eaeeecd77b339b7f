//! Failures over time, as a drawing. Widths are shares of the page and heights are pixels, so that the words in it stay
//! as large on a phone as on a wall.

use std::collections::BTreeMap;
use std::fmt::Write;

use diagnose::{Moment, Report, SymptomLine};
use jiff::Timestamp;
use snapshot::Traffic;

use super::{escaped, prose};
use crate::sums;
use crate::timeline::{OTHER, Timeline};
use crate::words::Clock;

/// Widths of a bar that people count in, in seconds.
const STEPS_SECONDS: [i64; 17] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    6 * 3600,
    24 * 3600,
    7 * 24 * 3600,
    28 * 24 * 3600,
];
const MOST_BARS: i64 = 60;
/// A single second among nothing is no chart.
const FEWEST_BARS: i64 = 12;
/// Kinds of failure with a colour of their own; further ones share the last.
const COLOURS: usize = 5;
/// More words than that on the axis run into each other on a phone.
const MOST_TICKS: i64 = 4;
/// Numbers nearer than this share of the width would cover each other on a phone: they are written as one.
const MARK_CLEARANCE: f64 = 9.0;
/// A time nearer to an end than this share of the width would stick out of the page.
const TICK_MARGIN: f64 = 9.0;

const MARK_MIDDLE: f64 = 10.0;
const PLOT_TOP: f64 = 40.0;
const PLOT_BOTTOM: f64 = 170.0;
const TICK_BASELINE: f64 = 188.0;
/// What is no failure need not be high.
const LOW_TOP: f64 = 16.0;
const LOW_BOTTOM: f64 = 86.0;
/// The colour of what is no failure.
const CALM: usize = 2;

/// The section with the chart, its legend and its numbers; nothing where nothing failed.
pub(super) fn section(out: &mut String, report: &Report, clock: Clock) {
    let Some(chart) = Chart::of(report) else { return };
    out.push_str(
        "<section aria-labelledby=\"over-time\">\n<h2 id=\"over-time\">Failures over time</h2>\n<figure>\n",
    );
    chart.draw(out, clock);
    chart.legend(out);
    chart.moments(out, clock);
    out.push_str("</figure>\n");
    chart.table(out, clock);
    out.push_str("</section>\n");
}

/// The same of logs: failed requests, what the error logs say, and how many requests there were.
pub(super) fn of_logs(out: &mut String, report: &Report, traffic: &Traffic, clock: Clock) {
    let Some(all) = Timeline::of(traffic, clock, MOST_BARS as usize) else { return };
    out.push_str("<section aria-labelledby=\"over-time\">\n<h2 id=\"over-time\">Over time</h2>\n");
    let within = |it: &Timeline| -> Vec<Moment> {
        let end = it.bars.last().map_or(0, |bar| bar.at.as_second() + it.width_seconds);
        let begin = it.bars.first().map_or(0, |bar| bar.at.as_second());
        let within = |it: &&Moment| (begin..end).contains(&it.at.as_second());
        report.moments.iter().filter(within).cloned().collect()
    };
    let mut figure = |title: &str, chart: Chart, legend: bool| {
        if chart.kinds.is_empty() {
            return;
        }
        _ = writeln!(out, "<figure>\n<h3>{}</h3>", escaped(title));
        chart.draw(out, clock);
        if legend {
            chart.legend(out);
        }
        chart.moments(out, clock);
        out.push_str("</figure>\n");
    };
    let failures = |it: &Timeline| if it.of_requests { failed_requests(it) } else { entries(it) };
    let worst = all.worst(traffic, clock, MOST_BARS as usize).map(|it| (within(&it), failures(&it), it));
    let moments = within(&all);
    let mut kinds = failures(&all);
    if let Some((_, worst_kinds, _)) = &worst {
        // What the worst part is about has the same colour above, however much else failed all day.
        let names: Vec<&str> = worst_kinds.iter().take(COLOURS - 1).map(|it| it.name.as_str()).collect();
        kinds.sort_by_key(|it| names.iter().position(|name| *name == it.name).unwrap_or(names.len()));
    }
    figure(
        if all.of_requests { "Failed requests" } else { ENTRIES },
        Chart::of_kinds(&all, kinds, &moments),
        true,
    );
    if let Some((moments, kinds, worst)) = worst {
        figure(sums::WORST, Chart::of_kinds(&worst, kinds, &moments), true);
    }
    if all.of_requests {
        figure(ENTRIES, Chart::of_kinds(&all, entries(&all), &[]), true);
        figure("All requests", Chart { low: true, ..Chart::of_kinds(&all, requests(&all), &[]) }, false);
    }
    numbers(out, &all, clock);
    out.push_str("</section>\n");
}

const ENTRIES: &str = "What the error logs say";

fn failed_requests(timeline: &Timeline) -> Vec<Kind> {
    let mut kinds = Kinds::default();
    for (bar, it) in (0..).zip(&timeline.bars) {
        for ((status, address), count) in &it.errors {
            let at = if address == "-" { String::new() } else { format!(" at {address}") };
            kinds.add(format!("{status:03}{at}"), bar, *count);
        }
        let others = it.failed.saturating_sub(it.errors.values().sum());
        kinds.add("499, 413 or 009".to_owned(), bar, others);
    }
    kinds.ranked()
}

fn entries(timeline: &Timeline) -> Vec<Kind> {
    let mut kinds = Kinds::default();
    for (bar, it) in (0..).zip(&timeline.bars) {
        for ((symptom, upstream), count) in it.symptoms.iter().filter(|((it, _), _)| it != OTHER) {
            let at = if upstream.is_empty() { String::new() } else { format!(" at {upstream}") };
            kinds.add(format!("{symptom}{at}"), bar, *count);
        }
    }
    kinds.ranked()
}

fn requests(timeline: &Timeline) -> Vec<Kind> {
    let mut kinds = Kinds::default();
    for (bar, it) in (0..).zip(&timeline.bars) {
        kinds.add("requests".to_owned(), bar, it.requests);
    }
    kinds.ranked()
}

#[derive(Default)]
struct Kinds(Vec<Kind>);

impl Kinds {
    /// The most frequent first.
    fn ranked(mut self) -> Vec<Kind> {
        self.0.sort_by_key(|it| std::cmp::Reverse(it.total()));
        self.0
    }

    fn add(&mut self, name: String, bar: i64, count: u64) {
        if count == 0 {
            return;
        }
        let index = self.0.iter().position(|it| it.name == name).unwrap_or_else(|| {
            self.0.push(Kind { name, by_bar: BTreeMap::new() });
            self.0.len() - 1
        });
        *self.0[index].by_bar.entry(bar).or_default() += count;
    }
}

/// The same for those who cannot see a chart, or want its numbers.
fn numbers(out: &mut String, timeline: &Timeline, clock: Clock) {
    let of_requests = timeline.of_requests;
    let head = if of_requests { "<th>requests</th><th>failed</th>" } else { "<th>failures logged</th>" };
    _ = write!(out, "<details><summary>As numbers</summary>\n<table>\n<tr><th>from</th>{head}</tr>\n");
    for it in timeline.bars.iter().filter(|it| it.requests > 0 || it.failed > 0) {
        let requests = if of_requests { format!("<td>{}</td>", it.requests) } else { String::new() };
        let time = clock.minute(it.at);
        _ = writeln!(out, "<tr><td>{}</td>{requests}<td>{}</td></tr>", escaped(&time), it.failed);
    }
    let span = sums::span(timeline.width_seconds);
    _ = writeln!(out, "</table>\n<p class=\"soft\">Each line counts {span}.</p></details>");
}

struct Chart<'a> {
    from: i64,
    step: i64,
    bars: i64,
    /// The most frequent kind first; what has no colour of its own is one kind.
    kinds: Vec<Kind>,
    moments: &'a [Moment],
    /// Of what is no failure.
    low: bool,
}

struct Kind {
    name: String,
    by_bar: BTreeMap<i64, u64>,
}

impl Kind {
    fn total(&self) -> u64 {
        self.by_bar.values().sum()
    }
}

impl Chart<'_> {
    fn of(report: &Report) -> Option<Chart<'_>> {
        let all = report.symptoms.iter().flat_map(|it| &it.failed_at);
        let first = all.clone().min()?.as_second();
        let last = all.max()?.as_second();
        let earliest = report.moments.iter().map(|it| it.at.as_second()).chain([first]).min()?;
        let end = report.window.to.as_second().max(last);
        // A little of the quiet before shows that it was quiet.
        let begin = earliest - ((end - earliest) / 20).max(1);
        let needed = |step: i64| end.div_euclid(step) - begin.div_euclid(step) + 1;
        let coarsest = STEPS_SECONDS[STEPS_SECONDS.len() - 1];
        let step = STEPS_SECONDS.into_iter().find(|it| needed(*it) <= MOST_BARS).unwrap_or(coarsest);
        let bars = needed(step).clamp(FEWEST_BARS, MOST_BARS);
        let from = (end.div_euclid(step) + 1 - bars) * step;
        let bar = |at: &Timestamp| ((at.as_second() - from).div_euclid(step)).clamp(0, bars - 1);
        let mut kinds: Vec<Kind> = report.symptoms.iter().map(|it| kind(it, bar)).collect();
        kinds.retain(|it| !it.by_bar.is_empty());
        kinds.sort_by_key(|it| std::cmp::Reverse(it.total()));
        Some(Chart {
            from,
            step,
            bars,
            kinds: as_many_as_colours(kinds),
            moments: &report.moments,
            low: false,
        })
    }

    fn of_kinds<'a>(timeline: &Timeline, kinds: Vec<Kind>, moments: &'a [Moment]) -> Chart<'a> {
        Chart {
            from: timeline.bars.first().map_or(0, |it| it.at.as_second()),
            step: timeline.width_seconds,
            bars: timeline.bars.len() as i64,
            kinds: as_many_as_colours(kinds),
            moments,
            low: false,
        }
    }

    /// Where a moment stands, in percent of the width.
    fn x(&self, at: Timestamp) -> f64 {
        let seconds = at.as_second() - self.from;
        let share =
            (seconds as f64 + f64::from(at.subsec_nanosecond()) / 1e9) / (self.step * self.bars) as f64;
        (share * 100.0).clamp(0.0, 100.0)
    }

    fn draw(&self, out: &mut String, clock: Clock) {
        let total: u64 = self.kinds.iter().map(Kind::total).sum();
        let (fullest, highest) = self.sums().into_iter().max_by_key(|(_, it)| *it).unwrap_or_default();
        let top = rounded_up(highest);
        let (plot_top, plot_bottom) = self.plot();
        let height = |count: u64| (plot_bottom - plot_top) * count as f64 / top as f64;
        let (class, what) = if self.low { (" class=\"low\"", "requests") } else { ("", "failures") };
        _ = writeln!(
            out,
            "<svg{class} role=\"img\" aria-label=\"{total} {what}; most of them, {highest}, at {}\">",
            escaped(&self.time(fullest, clock))
        );
        for (share, line) in [(0.5, "grid"), (1.0, "grid"), (0.0, "axis")] {
            let y = plot_bottom - (plot_bottom - plot_top) * share;
            _ = writeln!(out, "<line class=\"{line}\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>");
            let count = top as f64 * share;
            if share > 0.0 && count.fract() == 0.0 {
                _ = writeln!(out, "<text x=\"0\" y=\"{}\">{count}</text>", y - 4.0);
            }
        }
        let width = 100.0 / self.bars as f64;
        for bar in 0..self.bars {
            let mut y = plot_bottom;
            for (colour, kind) in self.kinds.iter().enumerate() {
                let colour = if self.low { CALM } else { colour };
                let Some(&count) = kind.by_bar.get(&bar) else { continue };
                // A single failure among thousands must not vanish.
                let tall = height(count).max(1.5);
                y -= tall;
                _ = write!(
                    out,
                    "<rect class=\"s{colour}\" x=\"{:.3}%\" y=\"{y:.1}\" width=\"{:.3}%\" height=\"{tall:.1}\">",
                    (bar as f64 + 0.08) * width,
                    0.84 * width
                );
                _ = writeln!(
                    out,
                    "<title>{}: {count} x {}</title></rect>",
                    escaped(&self.time(bar, clock)),
                    escaped(&kind.name)
                );
            }
        }
        self.ticks(out, clock);
        self.marks(out);
        out.push_str("</svg>\n");
    }

    /// Where the bars end and begin, from above.
    fn plot(&self) -> (f64, f64) {
        if self.low { (LOW_TOP, LOW_BOTTOM) } else { (PLOT_TOP, PLOT_BOTTOM) }
    }

    fn sums(&self) -> BTreeMap<i64, u64> {
        let mut sums = BTreeMap::new();
        for (bar, count) in self.kinds.iter().flat_map(|it| &it.by_bar) {
            *sums.entry(*bar).or_default() += count;
        }
        sums
    }

    fn time(&self, bar: i64, clock: Clock) -> String {
        Timestamp::from_second(self.from + bar * self.step).map(|it| clock.time(it)).unwrap_or_default()
    }

    fn ticks(&self, out: &mut String, clock: Clock) {
        let span = self.step * self.bars;
        let bottom = self.plot().1;
        let baseline = bottom + TICK_BASELINE - PLOT_BOTTOM;
        let apart = STEPS_SECONDS.into_iter().find(|it| span / it <= MOST_TICKS).unwrap_or(span);
        let first = Timestamp::from_second(self.from).map_or(0, |it| clock.step(it, apart).as_second());
        for second in (0..).map(|it| first + it * apart).take_while(|it| *it < self.from + span) {
            let Ok(at) = Timestamp::from_second(second) else { continue };
            let x = self.x(at);
            if second < self.from || !(TICK_MARGIN..=100.0 - TICK_MARGIN).contains(&x) {
                continue;
            }
            _ = writeln!(
                out,
                "<line class=\"axis\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{bottom}\" y2=\"{}\"/>\
                 <text x=\"{x:.2}%\" y=\"{baseline}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                escaped(&if apart < 60 { clock.time(at) } else { clock.minute(at) })
            );
        }
    }

    /// A line for each moment, and its number above; the numbers of close ones as a range above the first.
    fn marks(&self, out: &mut String) {
        let mut together: Vec<(f64, usize, usize)> = Vec::new();
        for (number, moment) in (1..).zip(self.moments) {
            let x = self.x(moment.at);
            let top = MARK_MIDDLE + 10.0;
            _ = writeln!(
                out,
                "<line class=\"mark\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{top}\" y2=\"{PLOT_BOTTOM}\"/>"
            );
            match together.last_mut() {
                Some((first, _, last)) if x - *first < MARK_CLEARANCE => *last = number,
                _ => together.push((x, number, number)),
            }
        }
        for (x, first, last) in together {
            let y = MARK_MIDDLE + 4.0;
            let words = if first == last { first.to_string() } else { format!("{first}\u{2013}{last}") };
            // Near an end a range must not stick out; a single number may, within the margin of the page.
            let anchor = match x {
                _ if first == last => "middle",
                _ if x < TICK_MARGIN => "start",
                _ if x > 100.0 - TICK_MARGIN => "end",
                _ => "middle",
            };
            let class = if first == last { "number" } else { "numbers" };
            if first == last {
                _ = write!(out, "<circle class=\"dot\" cx=\"{x:.2}%\" cy=\"{MARK_MIDDLE}\" r=\"9\"/>");
            }
            _ = writeln!(
                out,
                "<text class=\"{class}\" x=\"{x:.2}%\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"
            );
        }
    }

    fn legend(&self, out: &mut String) {
        out.push_str("<ul class=\"legend\">\n");
        for (colour, it) in self.kinds.iter().enumerate() {
            _ = writeln!(
                out,
                "<li><svg aria-hidden=\"true\"><rect class=\"s{colour}\" width=\"100%\" height=\"100%\" rx=\"2\"/></svg>\
                 <span>{} x {}</span></li>",
                it.total(),
                prose(&it.name)
            );
        }
        out.push_str("</ul>\n");
    }

    fn moments(&self, out: &mut String, clock: Clock) {
        if self.moments.is_empty() {
            return;
        }
        out.push_str("<ol class=\"moments\">\n");
        for (number, it) in (1..).zip(self.moments) {
            let time = escaped(&clock.time(it.at)).into_owned();
            _ = writeln!(
                out,
                "<li><b>{number}</b> <time>{time}</time> <span>{}</span></li>",
                prose(&it.says)
            );
        }
        out.push_str("</ol>\n");
    }

    /// The same for those who cannot see a chart, or want its numbers.
    fn table(&self, out: &mut String, clock: Clock) {
        out.push_str(
            "<details><summary>As numbers</summary>\n<table>\n<tr><th>from</th><th>failures</th></tr>\n",
        );
        for (bar, count) in self.sums() {
            _ = writeln!(out, "<tr><td>{}</td><td>{count}</td></tr>", escaped(&self.time(bar, clock)));
        }
        let seconds = self.step;
        let span = if seconds == 1 { "one second".to_owned() } else { format!("{seconds} seconds") };
        _ = writeln!(out, "</table>\n<p class=\"soft\">Each line counts {span}.</p></details>");
    }
}

/// Those for which no colour is left become one.
fn as_many_as_colours(mut kinds: Vec<Kind>) -> Vec<Kind> {
    if kinds.len() > COLOURS {
        let mut others = Kind { name: String::new(), by_bar: BTreeMap::new() };
        let rest = kinds.split_off(COLOURS - 1);
        others.name = format!("{} other kinds", rest.len());
        for (bar, count) in rest.into_iter().flat_map(|it| it.by_bar) {
            *others.by_bar.entry(bar).or_default() += count;
        }
        kinds.push(others);
    }
    kinds
}

fn kind(it: &SymptomLine, bar: impl Fn(&Timestamp) -> i64) -> Kind {
    let peer = it.peer.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
    let mut by_bar = BTreeMap::new();
    for at in &it.failed_at {
        *by_bar.entry(bar(at)).or_default() += 1;
    }
    Kind { name: format!("{}{peer}", it.symptom.id()), by_bar }
}

/// The next number that people count by: 1, 2, 4, 6, 10, 20, 40 …; its half is one as well, but for the first.
fn rounded_up(count: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [1, 2, 4, 6] {
            if unit.saturating_mul(factor) >= count {
                return unit.saturating_mul(factor).max(1);
            }
        }
        unit = unit.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_with_a_round_number() {
        let rounded: Vec<u64> = [0, 1, 3, 7, 31, 999, u64::MAX].into_iter().map(rounded_up).collect();
        assert_eq!(rounded, [1, 1, 4, 10, 40, 1000, u64::MAX]);
    }
}
