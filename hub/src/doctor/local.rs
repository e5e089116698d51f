//! The checks on the machine or in the pod of a hub, in the order in which a hub needs their subjects.

use super::report::{Advice, Finding, Report};
use super::{local_files, local_identity, local_machine, local_queue, local_redis};
use crate::auth::bearer::BearerToken;
use crate::config::Config;

/// Checks everything that a hub with a configuration needs. `config` has the problems of a configuration that cannot be read.
pub async fn check(config: Result<Config, Vec<String>>, token: Option<&BearerToken>, report: &mut Report<'_>) {
    let config = match config {
        Ok(config) => config,
        Err(problems) => {
            problems.into_iter().for_each(|problem| _ = report.add(invalid_configuration(problem)));
            return;
        }
    };
    report.add(valid_configuration(&config));
    config.warnings().iter().for_each(|warning| _ = report.add(ignored_configuration(warning)));
    local_files::check_authorities(&config, report);
    let loaded = local_files::check_preflight(&config, report);
    local_identity::check(&config, loaded.keys, token, report).await;
    local_redis::check(&config, report).await;
    if loaded.has_queue_credential {
        local_queue::check(&config, report).await;
    }
    local_machine::check_ports(&config, report).await;
    report.add(local_machine::check_descriptors(&config));
}

fn valid_configuration(config: &Config) -> Finding {
    let settings = config.effective_settings();
    let set = settings.iter().filter(|setting| setting.origin != crate::config::Origin::Default).count();
    Finding::ok("configuration", format!("{set} of {} settings are set", settings.len()))
}

fn invalid_configuration(problem: String) -> Finding {
    let advice = Advice {
        meaning: "the hub does not start",
        remedy: "correct the setting",
        page: "docs/troubleshooting.md#a-hub-that-does-not-start",
    };
    Finding::fail("configuration", problem, advice)
}

fn ignored_configuration(warning: &str) -> Finding {
    let advice =
        Advice { meaning: "this part is not used", remedy: "correct or remove it", page: "docs/configuration.md#keys" };
    Finding::warn("configuration", warning, advice)
}
