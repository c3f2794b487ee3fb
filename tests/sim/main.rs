//! Tests with a simulated clock, disk and receivers. A failure prints its seed.
//!
//! `QUELL_SEEDS=n` sets how many seeds each simulation runs.

#![expect(clippy::unwrap_used, reason = "in a test, a failure is what a panic is for")]
#![expect(clippy::print_stdout, reason = "the seed that failed is shown with the failed test")]

mod disk;
mod log;
mod random;

/// How many seeds a simulation runs, where nothing else is asked for.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let count = std::env::var("QUELL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    0..count
}

/// Runs one simulation for each seed; says which seed failed.
fn for_each_seed(default: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds(default) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            println!("failed with seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
