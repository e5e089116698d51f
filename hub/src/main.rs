//! Parses the command line, runs the command and maps its result to an exit status.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

use clap::Parser;
use cli::doctor::ChecksFailed;
use cli::output::{OutputClosed, print_notice};
use cli::{Cli, Command, UsageError};
use notification_hub::observability::error_chain::ErrorChain;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(arguments) => cli::serve::run(&arguments),
        Command::Dev(arguments) => cli::dev::run(&arguments),
        Command::Push(arguments) => cli::push::run(&arguments),
        Command::Listen(arguments) => cli::listen::run(&arguments),
        Command::Token(arguments) => cli::token::run(&arguments),
        Command::CheckConfig(arguments) => cli::check_config::run(&arguments),
        Command::Healthcheck(arguments) => cli::healthcheck::run(&arguments),
        Command::Doctor(arguments) => cli::doctor::run(&arguments),
    };
    notification_hub::observability::flush_logs();
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    if error.is::<ChecksFailed>() {
        return ExitCode::FAILURE;
    }
    if let Some(usage) = error.downcast_ref::<UsageError>() {
        usage.problems().iter().for_each(|problem| print_notice(format_args!("error: {problem}")));
        return ExitCode::from(2);
    }
    print_notice(format_args!("error: {}", ErrorChain(error.as_ref())));
    ExitCode::FAILURE
}
