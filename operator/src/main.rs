//! Parses the command line and turns the result into an exit status.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod output;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use kube::Client;
use notification_hub_operator::cli::{Cli, Command, DiffArguments, RunArguments};
use notification_hub_operator::commands::{check_permissions, diff};
use notification_hub_operator::config::Config;
use notification_hub_operator::error_chain::ErrorChain;
use notification_hub_operator::{app, telemetry};
use output::OutputClosed;

/// Exit status for invalid usage or configuration.
const EXIT_USAGE: u8 = 2;

/// Exit status of `diff` if an object would change.
const EXIT_DIFFERENT: u8 = 1;

/// Exit status of `diff` if the changes are unknown or a diagnostic blocks them.
const EXIT_UNKNOWN: u8 = 2;

fn main() -> ExitCode {
    run(Cli::parse().command).unwrap_or_else(|error| report_failure(&error, ExitCode::FAILURE))
}

/// Prints the error of a failed command. A closed standard output is not an error.
fn report_failure(error: &anyhow::Error, status: ExitCode) -> ExitCode {
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    output::print_error(ErrorChain(error.as_ref()));
    status
}

/// Runs a command and returns its exit status.
fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Crd => output::print_text(notification_hub_crds::crd::crd_yaml()?)?,
        Command::Version => output::print_text(concat!(env!("CARGO_PKG_VERSION"), "\n"))?,
        Command::CheckPermissions(arguments) => {
            let Some(config) = parse_config(&arguments) else { return Ok(ExitCode::from(EXIT_USAGE)) };
            return runtime()?.block_on(run_check_permissions(&config));
        }
        Command::Diff(arguments) => {
            let config =
                parse_config(&RunArguments { defaults: arguments.defaults.clone(), ..RunArguments::default() });
            let Some(config) = config else { return Ok(ExitCode::from(EXIT_USAGE)) };
            let differed = runtime()?.block_on(run_diff(&arguments, &config));
            return Ok(differed.unwrap_or_else(|error| report_failure(&error, ExitCode::from(EXIT_UNKNOWN))));
        }
        Command::Run(arguments) => {
            let Some(config) = parse_config(&arguments) else { return Ok(ExitCode::from(EXIT_USAGE)) };
            telemetry::logging::init(config.log_filter.clone(), config.log_format);
            // Reconciles mostly wait for the API server, so one thread is enough. A blocked thread fails /livez.
            runtime()?.block_on(app::run(config))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates the tokio runtime, which runs on this thread.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Returns the configuration, or `None` after printing every error.
fn parse_config(arguments: &RunArguments) -> Option<Config> {
    Config::new(arguments).inspect_err(|errors| errors.iter().for_each(output::print_error)).ok()
}

/// Creates the client of the API server, as `kubectl` finds it.
async fn client() -> anyhow::Result<Client> {
    Client::try_default().await.context("cannot connect to the Kubernetes API server")
}

/// Runs `check-permissions` and prints its result.
async fn run_check_permissions(config: &Config) -> anyhow::Result<ExitCode> {
    let client = client().await?;
    let required = check_permissions::required_permissions(config, client.default_namespace());
    let count = required.len();
    let missing = check_permissions::missing(&client, required).await?;
    if missing.is_empty() {
        output::print_text(format_args!("all {count} permissions are granted\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    // The exit status has the result even if standard output is closed.
    let _ = missing.iter().try_for_each(|permission| output::print_text(format_args!("missing: {permission}\n")));
    Ok(ExitCode::FAILURE)
}

/// Runs `diff` and prints its result.
async fn run_diff(arguments: &DiffArguments, config: &Config) -> anyhow::Result<ExitCode> {
    let file = &arguments.file;
    let yaml = if file == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let yaml = yaml.with_context(|| file.clone())?;
    let client = client().await?;
    let differences = diff::diff(&client, &yaml, arguments.namespace.as_deref(), &config.defaults).await?;
    // The exit status has the result even if standard output is closed.
    let _ = differences.iter().try_for_each(|difference| output::print_text(&difference.text));
    let status = match () {
        () if differences.iter().any(|difference| difference.blocked) => EXIT_UNKNOWN,
        () if differences.iter().any(|difference| difference.changes) => EXIT_DIFFERENT,
        () => return Ok(ExitCode::SUCCESS),
    };
    Ok(ExitCode::from(status))
}
