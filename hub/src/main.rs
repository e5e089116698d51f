//! Parses the command line and turns the result into an exit status.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use commands::{Cli, Command, Usage};

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
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
