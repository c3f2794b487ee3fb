//! Tests with a simulated clock, disk and receivers. A failure prints its seed.
//!
//! `QUELL_SEEDS=n` sets how many seeds each simulation runs; `QUELL_SEED=n` runs that one alone.

#![expect(clippy::unwrap_used, reason = "in a test, a failure is what a panic is for")]
#![expect(clippy::print_stdout, reason = "the seed that failed is shown with the failed test")]

mod disk;
mod fuzz;
mod log;
mod random;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

/// The seeds that a simulation runs, where nothing else is asked for.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("QUELL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("QUELL_SEEDS").unwrap_or(default),
    }
}

/// Runs one simulation for each seed, two at a time; says which seed failed.
fn for_each_seed(default: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe + Sync) {
    let seeds = seeds(default);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
                next.store(seeds.end, Ordering::Relaxed);
                println!("failed with seed {seed}; to see it again: QUELL_SEED={seed} cargo test --test sim <the test's name>");
                std::panic::resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}
