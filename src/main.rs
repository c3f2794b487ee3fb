//! The program `quell`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    quell::deliver::client::install_crypto();
    ExitCode::from(quell::cli::main(std::env::args_os()))
}
