//! The program `quell`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(quell::cli::main(std::env::args_os()))
}
