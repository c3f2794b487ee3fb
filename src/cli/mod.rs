//! The command line: one file per command.
//!
//! Data goes to stdout, everything else to stderr. The exit code is 0 when all is well, 1 when the thing asked for is bad
//! or was refused, 2 when the command line itself is wrong. Colour only on a terminal; `--json` wherever there is data.
//!
//! Commands that speak to a running daemon ([`incident`], [`heartbeat`], [`notification`], [`send`]) use its HTTP API and nothing else.
//! `check`, [`test`], [`backtest`] and `log` work on files without any daemon; [`explain`] and [`source`] do either.

mod backtest;
pub mod check;
mod client;
mod demo;
mod explain;
mod failure;
mod heartbeat;
mod incident;
pub mod log;
mod notification;
mod screen;
mod send;
mod serve;
mod site;
mod source;
mod test;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use failure::Failure;
use screen::Screen;

/// Quell takes the alerts of your monitoring, removes repeats, correlates what belongs together into incidents, and
/// escalates those to pagers, chats and ticket systems until somebody acts.
#[derive(Debug, Parser)]
#[command(name = "quell", version, max_term_width = 100)]
struct Cli {
    /// When to colour what is printed: auto (on a terminal, unless NO_COLOR is set), always, never
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", env = "QUELL_COLOR", hide_env_values = true)]
    #[arg(hide_possible_values = true)]
    color: Colour,
    #[command(subcommand)]
    command: Command,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::Args),
    /// Play a storm into a fresh daemon and show what became of it
    Demo(demo::Args),
    /// Check rule files
    Check(site::CheckArgs),
    /// Run rule tests
    Test(test::Args),
    /// See what other rules would have done with what has happened
    Backtest(backtest::Args),
    /// Say why: why somebody was paged, why an alert is quiet, why two alerts are not together
    Explain(explain::Args),
    /// Send an alert to a daemon, for trying out and from scripts
    Send(send::Args),
    /// See what the messages of sources become, and what could not be taken
    #[command(subcommand)]
    Source(source::Command),
    /// List incidents and work on them
    #[command(subcommand)]
    Incident(incident::Command),
    /// List heartbeats, and send one
    #[command(subcommand)]
    Heartbeat(heartbeat::Command),
    /// List what was sent to receivers, and send again what was given up
    #[command(subcommand)]
    Notification(notification::Command),
    /// Look into the log of a data directory
    #[command(subcommand)]
    Log(site::LogCommand),
    /// Print the JSON Schema of rule files, for editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs one command line on the process' own output. Gives the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let is_terminal = io::stdout().is_terminal();
    // Locked for each write only: the daemon's log receiver writes to stdout, too.
    run(args, &mut io::stdout(), &mut io::stderr(), is_terminal)
}

/// Runs one command line. Gives the exit code.
fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write, is_terminal: bool) -> u8 {
    let code = match Cli::try_parse_from(args) {
        Ok(cli) => {
            let colour = match cli.color {
                Colour::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
                Colour::Always => true,
                Colour::Never => false,
            };
            let mut screen = Screen { out, err, colour, is_terminal };
            match dispatch(cli.command, &mut screen) {
                Ok(code) => Ok(code),
                Err(failure) => failure.report(screen.err),
            }
        }
        // Help and version are data; a wrong command line is not.
        Err(error) if error.use_stderr() => write!(err, "{}", error.render()).map(|()| 2),
        Err(error) => write!(out, "{}", error.render()).map(|()| 0),
    };
    // Help that nobody reads to its end, or a stderr that cannot be written: there is nobody left to tell.
    code.unwrap_or_else(|error| Failure::from(error).code)
}

fn dispatch(command: Command, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    match command {
        Command::Serve(args) => serve::run(args, screen),
        Command::Demo(args) => demo::run(&args, screen),
        Command::Check(args) => args.run(screen),
        Command::Test(args) => test::run(&args, screen),
        Command::Backtest(args) => backtest::run(&args, screen),
        Command::Explain(args) => explain::run(&args, screen),
        Command::Send(args) => send::run(&args, screen),
        Command::Source(command) => source::run(&command, screen),
        Command::Incident(command) => incident::run(command, screen),
        Command::Heartbeat(command) => heartbeat::run(command, screen),
        Command::Notification(command) => notification::run(command, screen),
        Command::Log(command) => command.run(screen),
        Command::Schema => {
            writeln!(screen.out, "{:#}", crate::ruleset::json_schema())?;
            Ok(0)
        }
        Command::Completions { shell } => {
            // Into memory first: the generator panics when it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "quell", &mut script);
            screen.out.write_all(&script)?;
            Ok(0)
        }
    }
}
