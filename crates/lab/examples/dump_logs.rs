#[path = "../tests/logs/strip.rs"]
mod strip;
use strip::Given;
fn main() {
    let mut args = std::env::args().skip(1);
    let case = args.next().unwrap();
    let which = args.next().unwrap_or("Logs".into());
    let most: usize = args.next().map_or(25, |it| it.parse().unwrap());
    let file = std::fs::File::open(format!("tests/captures/{case}/capture.json.gz")).unwrap();
    let snapshot = snapshot::read_capture(file).unwrap();
    let given = Given::ALL.iter().find(|it| format!("{it:?}") == which).unwrap();
    let s = given.of(&snapshot).unwrap();
    for log in &s.logs {
        let lines = log.lines.value().unwrap();
        println!("== {} {:?} {} lines, statuses {:?}", log.path, log.kind, lines.lines.len(), lines.statuses);
        for it in lines.successes.iter().take(6) { println!("   ok {it:?}"); }
        let n = lines.lines.len();
        for (i, it) in lines.lines.iter().enumerate() { if i < most || i + most / 2 >= n { println!("   {} {}", it.at, it.text.chars().take(420).collect::<String>()); } else if i == most { println!("   ..."); } }
    }
    for log in &s.backend_logs {
        println!("== {} {} {}", log.path, log.server, log.owner);
        for it in log.lines.value().into_iter().flatten().take(most) { println!("   {} {}", it.at, it.text.chars().take(300).collect::<String>()); }
    }
    for it in s.journal.value().into_iter().flatten().take(most*2) { println!("J {} {} {}: {}", it.at, it.unit, it.identifier, it.message.chars().take(200).collect::<String>()); }
    for it in s.kernel.value().into_iter().flatten().take(most) { println!("K {} {}", it.at, it.message.chars().take(200).collect::<String>()); }
    let report = diagnose::diagnose(&s);
    println!("{:?}: {}", report.verdict, report.summary);
    for f in &report.causes {
        println!("{} {:?} {:.2} [{:?} x{} {}] {}", f.cause.id, f.certainty, f.confidence, f.upstream.as_ref().map(|it| it.peer.clone()), f.impact.requests, if f.impact.ongoing {"ongoing"} else {""}, f.summary);
        for it in &f.evidence { println!("    {:?} {}: {} ({:?})", it.weight, it.source, it.says, it.reference); }
        for it in &f.ruled_out { println!("    not {}: {}", it.id, it.because); }
        for it in &f.fixes { println!("    fix {} {:?}", it.title, it.commands); }
    }
    for f in &report.hidden { println!("hidden {} {:?}", f.cause.id, f.summary); }
    for s in &report.symptoms { println!("sym {} {:?} {}", s.symptom, s.peer, s.count); }
    for c in &report.candidates { println!("cand {}", c.cause.id); }
    for b in &report.blind_spots { println!("blind {}: {}: {}", b.what, b.why, b.remedy); }
    println!("next {:?} notes {:?}", report.next_look, report.notes);
}
