//! What strangers may send and people may write, damaged at random: every reader of the program takes it, or says what is wrong
//! with it. None panics, none gives more than its limits allow, none reads the same twice in two ways.
//!
//! The inputs begin from a corpus: the samples and examples that other tests have anyway, and `tests/golden/fuzz/<target>/`,
//! where every input that has ever made a fault is kept and tried first, as it is. A seed decides what is done to them, so that
//! a run is the same everywhere; `QUELL_SEEDS=20000 cargo test --test sim fuzz::` looks further. An input that fails is left in
//! `target/tmp/fuzz/`, also when it ends the whole process, and its place is with the corpus.
//!
//! Nothing here sees which code an input reached: it knows the shapes of what it damages (JSON, lines of YAML, words of the
//! language) and runs with every test. `fuzz/run` runs the same targets guided by coverage, with the same damage as one of its
//! ways to change an input; it goes deeper the longer it runs, and is not the same twice.

mod mutate;
mod targets;

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::PathBuf;

use crate::random::Random;
use targets::Target;

macro_rules! tests {
    ($($group:ident: $seeds:literal, $file:ident;)*) => {
        $(
            #[test]
            fn $group() {
                run($seeds, &targets::$file::$group());
            }
        )*
    };
}
targets::groups!(tests);

/// Reads one input. It lies in a file meanwhile, for the case that nothing comes back.
fn try_one(target: &Target, label: &str, input: &[u8]) {
    let name = &target.name;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    let file = folder.join(label);
    fs::create_dir_all(&folder).unwrap();
    fs::write(&file, input).unwrap();
    if let Err(panic) = catch_unwind(|| (target.read)(input)) {
        println!("{name} does not read {}; keep it in tests/golden/fuzz/{name}/", file.display());
        resume_unwind(panic);
    }
    fs::remove_file(&file).unwrap();
}

/// Tries what once failed, then `default` damaged inputs for each target.
fn run(default: u64, targets: &[Target]) {
    for target in targets {
        for (label, input) in target.beginnings() {
            try_one(target, &label, &input);
        }
    }
    crate::for_each_seed(default, |seed| {
        for (number, target) in targets.iter().enumerate() {
            let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9) ^ number as u64);
            let input = mutate::damaged(target.shape, &target.corpus, &mut random);
            try_one(target, &format!("seed-{seed}"), &input);
        }
    });
}
