//! What one new alert costs in the engine, as a curve: facts decided and applied, no log. 1,000 ns are 1 CPU s per million.
//!
//! ```sh
//! cargo bench --bench engine                        # every curve, about two minutes
//! cargo bench --bench engine -- inhibition silences    # those whose name has one of these words
//! cargo bench --bench engine -- --rounds 3
//! ```
//!
//! The mean is of processor time. All points of a curve are measured in turns, and the best of all rounds counts: what else the
//! machine does makes an alert dearer and never cheaper. The last column is what an alert may cost, most as a share of the first point, with `!` where it cost more.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod worlds;

use std::hint::black_box;
use std::time::{Duration, Instant};

use quell::engine::{Engine, Input, News};
use quell::model::AlertStatus;
use rustix::time::{ClockId, clock_gettime};

use worlds::{AtMost, CURVES, Curve, START, World};

/// The daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Alerts that one round measures on one point.
const ALERTS: u64 = 5_000;

/// How often each point is measured, where nothing else is asked for.
const ROUNDS: usize = 15;

/// What was seen at one point of a curve.
#[derive(Clone, Copy)]
struct Point {
    each: Duration,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let (rounds, wanted) = arguments();
    println!("ns for each new alert: mean, p50/p99\n");
    for curve in CURVES.iter().filter(|curve| wanted.is_empty() || wanted.iter().any(|word| curve.name.contains(word))) {
        let worlds: Vec<World> = curve.counts.iter().map(|count| (curve.world)(*count)).collect();
        print(curve, &measure(&worlds, rounds));
    }
}

/// How many rounds, and words that a curve's name is to have. Options of cargo's own are passed over.
fn arguments() -> (usize, Vec<String>) {
    let mut arguments = std::env::args().skip(1);
    let (mut rounds, mut wanted) = (ROUNDS, Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().and_then(|number| number.parse().ok()).filter(|rounds| *rounds > 0).unwrap_or(ROUNDS);
        } else if !argument.starts_with('-') {
            wanted.push(argument);
        }
    }
    (rounds, wanted)
}

/// The best of all rounds at each point.
fn measure(worlds: &[World], rounds: usize) -> Vec<Point> {
    let mut best: Vec<Option<Point>> = vec![None; worlds.len()];
    for _ in 0..rounds {
        for (world, best) in worlds.iter().zip(&mut best) {
            let point = new_alerts(world);
            *best = Some(best.map_or(point, |best| Point {
                each: best.each.min(point.each),
                p50: best.p50.min(point.p50),
                p99: best.p99.min(point.p99),
            }));
        }
    }
    best.into_iter().flatten().collect()
}

/// Times [`ALERTS`] new alerts on top of those that a world has already.
fn new_alerts(world: &World) -> Point {
    let mut engine = world.engine();
    let alerts: Vec<_> = (world.present..world.present + ALERTS).map(world.alert).collect();
    let mut facts = Vec::new();
    let mut took: Vec<Duration> = Vec::with_capacity(alerts.len());
    let begun = processor_time();
    for alert in alerts {
        let begun = Instant::now();
        step(&mut engine, News { alert, status: AlertStatus::Firing, ends_at: None, lasts: None }, &mut facts);
        took.push(begun.elapsed());
    }
    let each = processor_time().saturating_sub(begun) / u32::try_from(ALERTS).expect("a few thousand");
    took.sort_unstable();
    let share = |percent: usize| took[(took.len() - 1) * percent / 100];
    Point { each, p50: share(50), p99: share(99) }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("never negative")
}

fn step(engine: &mut Engine, news: News, facts: &mut Vec<quell::engine::Fact>) {
    black_box(engine.step(START, Input::Alert(news), facts)).expect("taken");
    facts.clear();
}

fn print(curve: &Curve, points: &[Point]) {
    let first = points[0].each.as_secs_f64();
    println!("{}", curve.name);
    for (count, point) in curve.counts.iter().zip(points) {
        let ratio = point.each.as_secs_f64() / first;
        let (each, p50, p99) = (point.each.as_nanos(), point.p50.as_nanos(), point.p99.as_nanos());
        let (at_most, is_over) = match curve.at_most {
            AtMost::Times(times) => (times.to_string(), ratio > times),
            AtMost::Each(most) => (format!("{most:?}"), point.p99 > most),
        };
        let over = if is_over { " !" } else { "" };
        println!("{count:>8} {each:>8} {p50:>8}/{p99:<8} × {ratio:.2} ≤ {at_most}{over}");
    }
    println!();
}
