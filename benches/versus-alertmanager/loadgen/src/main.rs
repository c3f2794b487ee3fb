//! A load generator for alert servers that costs little itself: requests are rendered before the clock starts and go out
//! over plain keep-alive sockets, so that on a machine shared with the server the figures are the server's.
//!
//! - [`alert`]: the alerts that it sends.
//! - [`load`]: posts many of them and measures the server's processor time, memory and answers.
//! - [`latency`]: posts one new alert at a time and measures until the server's webhook has it.
//! - [`sink`]: a webhook receiver that counts.
//! - [`http`]: as much of HTTP/1.1 as these need.
//! - [`process`]: what /proc says of the server.
//! - [`options`]: the command line.

mod alert;
mod http;
mod latency;
mod load;
mod options;
mod process;
mod sink;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "usage: loadgen load|latency|sink|dump [--option value]...
  load     --addr 127.0.0.1:9093 --path /api/v2/alerts --batch 64 --conns 4 --total 10000 --distinct 10000 --start 0
           --repeat 0 (share of repeats) --vary N (annotations differ in each pass) --passes 1 (send everything so often)
           --secs S (loop for so long instead) --starts-at T (Unix seconds, default 300 ago) --extra ',\"zone\":\"a\"' (more labels)
           --pid PID (the server's, to be measured) --settle 10000 (ms to wait at most until it is quiet) --json yes
  latency  --addr 127.0.0.1:9093 --sink 127.0.0.1:9900 --n 200 --gap 20 (ms between two) --start 0
  sink     --addr 127.0.0.1:9900
  dump     --n 64";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let result = Options::parse(arguments).and_then(|options| match command.as_str() {
        "load" => load::run(&options),
        "latency" | "lat" => latency::run(&options),
        "sink" => sink::run(&options),
        "dump" => dump(&options),
        _ => Err(USAGE.to_owned()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one body.
fn dump(options: &Options) -> Result<(), String> {
    let count = options.number("n", 64)?;
    let ids: Vec<u64> = (0..count).collect();
    let look = alert::Look::since(alert::now() - 300);
    println!("{}", alert::body(&ids, &look));
    Ok(())
}
