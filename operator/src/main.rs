//! Parses the command line and turns the result into an exit status.

use std::process::ExitCode;

use clap::Parser;
use notification_hub_operator::cli::{Cli, Command};
use notification_hub_operator::config::Config;
use notification_hub_operator::{app, telemetry};

/// Wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Crd => print!("{}", notification_hub_crds::definition::definition_yaml()?),
        Command::Version => println!("{}", env!("CARGO_PKG_VERSION")),
        Command::Run(arguments) => {
            let config = match Config::new(&arguments) {
                Ok(config) => config,
                Err(problems) => {
                    eprintln!("error: wrong configuration\n{problems}");
                    return Ok(ExitCode::from(USAGE));
                }
            };
            telemetry::logging::init(config.log_filter.clone(), config.log_format);
            // Passes wait for the API server nearly all the time: one thread is plenty, and a stuck one shows in /livez.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(app::run(config))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
