//! Parses the command line and turns the result into an exit status.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod commands;

use std::process::ExitCode;

use clap::Parser;
use commands::output::{OutputClosed, print_notice};
use commands::{Cli, Command, Usage};
use notification_hub::error_chain::ErrorChain;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Dev(arguments) => commands::dev::run(&arguments),
        Command::Push(arguments) => commands::push::run(&arguments),
        Command::Listen(arguments) => commands::listen::run(&arguments),
        Command::Token(arguments) => commands::token::run(&arguments),
        Command::CheckConfig(arguments) => commands::check_config::run(&arguments),
        Command::Healthcheck(arguments) => commands::healthcheck::run(&arguments),
    };
    notification_hub::telemetry::flush_logs();
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(usage) = error.downcast_ref::<Usage>() {
        usage.problems().iter().for_each(|problem| print_notice(format_args!("error: {problem}")));
        return ExitCode::from(2);
    }
    print_notice(format_args!("error: {}", ErrorChain(error.as_ref())));
    ExitCode::FAILURE
}
