//! What strangers may send and people may write, damaged at random: every reader of the program takes it, or says what is wrong
//! with it. None panics, none gives more than its limits allow, none reads the same twice in two ways.
//!
//! The inputs begin from a corpus: the samples and examples that other tests have anyway, and `tests/golden/fuzz/<target>/`,
//! where every input that has ever made a fault is kept and tried first, as it is. A seed decides what is done to them, so that
//! a run is the same everywhere; `QUELL_SEEDS=20000 cargo test --test sim fuzz::` looks further. An input that fails is left in
//! `target/tmp/fuzz/`, also when it ends the whole process, and its place is with the corpus.
//!
//! This is no coverage-guided fuzzing: that needs a compiler which the repository does not ask for. It knows the shapes of what
//! it damages (JSON, lines of YAML, words of the language), which is what coverage has to find out.

mod corpus;
mod ingest;
mod mutate;
mod rules;
mod small;

use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use crate::random::Random;
use mutate::Shape;

/// Reads an input, and panics where what comes of it is wrong.
type Read = Box<dyn Fn(&[u8]) + Sync + RefUnwindSafe>;

/// Something that reads what others write.
struct Target {
    /// Its folder in the corpus.
    name: String,
    shape: Shape,
    corpus: Vec<Vec<u8>>,
    read: Read,
}

impl Target {
    fn new(name: &str, shape: Shape, corpus: Vec<Vec<u8>>, read: impl Fn(&[u8]) + Sync + RefUnwindSafe + 'static) -> Target {
        assert!(!corpus.is_empty(), "{name}: nothing to begin from");
        Target { name: name.to_owned(), shape, corpus, read: Box::new(read) }
    }

    /// As [`Target::new`], for a reader of text.
    fn of_text(name: &str, shape: Shape, corpus: Vec<Vec<u8>>, read: impl Fn(&str) + Sync + RefUnwindSafe + 'static) -> Target {
        Target::new(name, shape, corpus, move |bytes| read(&String::from_utf8_lossy(bytes)))
    }

    /// Reads one input. It lies in a file meanwhile, for the case that nothing comes back.
    fn try_one(&self, label: &str, input: &[u8]) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(&self.name);
        let file = folder.join(label);
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, input).unwrap();
        if let Err(panic) = catch_unwind(|| (self.read)(input)) {
            println!("{} does not read {}; keep it in tests/golden/fuzz/{}/", self.name, file.display(), self.name);
            resume_unwind(panic);
        }
        fs::remove_file(&file).unwrap();
    }
}

/// Tries what once failed, then `default` damaged inputs for each target.
fn run(default: u64, targets: &[Target]) {
    for target in targets {
        for (name, input) in corpus::kept(&target.name) {
            target.try_one(&name, &input);
        }
        for (number, input) in target.corpus.iter().enumerate() {
            target.try_one(&format!("corpus-{number}"), input);
        }
    }
    crate::for_each_seed(default, |seed| {
        for (number, target) in targets.iter().enumerate() {
            let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9) ^ number as u64);
            let input = mutate::damaged(target.shape, &target.corpus, &mut random);
            target.try_one(&format!("seed-{seed}"), &input);
        }
    });
}
