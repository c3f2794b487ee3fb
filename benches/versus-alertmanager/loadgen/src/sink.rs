//! A webhook receiver that counts what it gets.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::http;
use crate::options::Options;

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Listens for ever; prints its counts once a second while they change.
pub fn run(options: &Options) -> Result<(), String> {
    let addr = options.text("addr", "127.0.0.1:9900");
    let listener = TcpListener::bind(&addr).map_err(|error| format!("{addr}: {error}"))?;
    thread::spawn(report);
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            http::serve(stream, |body| {
                REQUESTS.fetch_add(1, Ordering::Relaxed);
                BYTES.fetch_add(body.len() as u64, Ordering::Relaxed);
            })
        });
    }
    Ok(())
}

fn report() {
    let mut told = 0;
    loop {
        thread::sleep(std::time::Duration::from_secs(1));
        let requests = REQUESTS.load(Ordering::Relaxed);
        if requests != told {
            println!("requests={requests} bytes={}", BYTES.load(Ordering::Relaxed));
            told = requests;
        }
    }
}
