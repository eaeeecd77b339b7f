//! Prints a snapshot of this host as JSON: `cargo run --example collect -- [SECONDS]`.

use std::time::Duration;

use collect::{Request, Span, collect};

fn main() -> serde_json::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(15 * 60);
    let request = Request { span: Span::Last(Duration::from_secs(seconds)), ..Request::default() };
    let snapshot = collect(&request);
    serde_json::to_writer_pretty(std::io::stdout().lock(), &snapshot)
}
