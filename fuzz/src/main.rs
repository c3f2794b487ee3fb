//! Coverage-guided fuzzing of the targets of `tests/sim/fuzz`. `fuzz/run` builds and starts this; without its flags to the
//! compiler nothing counts coverage.
//!
//! libFuzzer has the command line, all but `--list` and `--begin FOLDER`. Which target it runs is said by an environment
//! variable and not by an argument, because libFuzzer starts this program again by its own arguments alone, as for
//! `-minimize_crash=1`.

#![expect(clippy::unwrap_used, reason = "as in the tests that share these files, a failure is what a panic is for")]

#[path = "../../tests/sim/fuzz/mutate.rs"]
#[expect(dead_code, reason = "the tests choose what they damage, here libFuzzer does")]
mod mutate;
#[path = "../../tests/sim/random.rs"]
mod random;
#[path = "../../tests/sim/fuzz/targets/mod.rs"]
mod targets;

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, ptr};

use random::Random;
use targets::Target;

const VARIABLE: &str = "QUELL_FUZZ_TARGET";

static TARGET: OnceLock<&'static Target> = OnceLock::new();

macro_rules! all {
    ($($group:ident: $seeds:literal, $file:ident;)*) => {
        fn all() -> Vec<Target> {
            [$(targets::$file::$group()),*].into_iter().flatten().collect()
        }
    };
}
targets::groups!(all);

fn target() -> &'static Target {
    TARGET.get().expect("it is set before libFuzzer begins")
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| (target().read)(input));

// libFuzzer's own changes know what the code compares an input with; ours know its shape. Each is half of them.
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed.into());
    if random.one_in(2) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let target = target();
    let damaged = mutate::damage(data[..size].to_vec(), target.shape, &target.corpus, &mut random);
    let length = damaged.len().min(max_size);
    data[..length].copy_from_slice(&damaged[..length]);
    length
});

type Callback = unsafe extern "C" fn(*const u8, usize) -> c_int;

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(count: *mut c_int, arguments: *mut *mut *mut c_char, callback: Callback) -> c_int;
    /// libfuzzer-sys has it, and calls what `fuzz_target!` makes.
    fn LLVMFuzzerTestOneInput(input: *const u8, size: usize) -> c_int;
}

/// libFuzzer brings a `main` of its own. With Rust's, a stack that overflows is said to be one, and ends in the abort that
/// libFuzzer knows to keep the input of.
fn main() {
    let mut arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--list") => return all().iter().for_each(|target| println!("{}", target.name)),
        Some("--begin") => return begin(Path::new(arguments.get(2).expect("--begin FOLDER"))),
        _ => {}
    }
    let name = env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} names the target; see fuzz/run --help"));
    let target = all().into_iter().find(|target| target.name == name).unwrap_or_else(|| panic!("{VARIABLE}={name} is no target"));
    arguments.push(format!("-max_len={}", target.shape.bytes_max()));
    assert!(TARGET.set(Box::leak(Box::new(target))).is_ok());

    let mut pointers: Vec<*mut c_char> = arguments.into_iter().map(|text| CString::new(text).unwrap().into_raw()).collect();
    let mut count = c_int::try_from(pointers.len()).unwrap();
    pointers.push(ptr::null_mut());
    let mut pointers = pointers.leak().as_mut_ptr();
    // SAFETY: the arguments are as `main` of C gets them, are never freed, and nothing else refers to them.
    let code = unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut pointers, LLVMFuzzerTestOneInput) };
    std::process::exit(code);
}

/// Writes what every target begins from, for libFuzzer to read: `FOLDER/<target>/begin/`.
fn begin(folder: &Path) {
    for target in all() {
        let folder = folder.join(&target.name).join("begin");
        // Samples change and go.
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        for (label, input) in target.beginnings() {
            fs::write(folder.join(label), input).unwrap();
        }
    }
}
