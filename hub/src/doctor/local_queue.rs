//! Checks the Azure Storage queue: that it exists, the rights of the credential, and the clock of the service.

use std::time::Duration;

use jiff::Timestamp;

use super::clock;
use super::report::{Advice, Finding, Report};
use crate::azure_storage::{Queue, QueueError, QueueName};
use crate::config::{AzureQueueConfig, Config, SourceConfig};

/// The difference of clocks above which the service refuses requests that an account key signs.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(900);

/// A message that does not exist: its id, and a pop receipt of the right form.
const UNKNOWN_MESSAGE: (&str, &str) = ("00000000-0000-0000-0000-000000000000", "AgAAAAMAAAAAAAAAAAAAAAAAAAA=");

const QUEUE_PAGE: &str = "docs/configuration.md#a-queue-and-several-hubs";

/// Checks the queue. Does nothing if `/send` is the source.
pub(super) async fn check(config: &Config, report: &mut Report<'_>) {
    let SourceConfig::AzureQueue(settings) = &config.source else { return };
    let date = match request_date(settings, &settings.queue_name).await {
        Ok(date) => date,
        Err(error) => {
            report.add(unusable(&settings.queue_name, &error));
            return;
        }
    };
    report.add(check_deletion(settings).await);
    let mut helpers = vec![settings.poison_queue_name.clone()];
    if config.backplane.redis.is_none() {
        helpers.push(settings.queue_name.turns());
    }
    for name in helpers {
        if let Err(error @ QueueError::Refused { .. }) = request_date(settings, &name).await {
            report.add(refused_helper(&name, &error));
        }
    }
    if let Some(date) = date.as_deref().and_then(clock::parse_http_date) {
        let server = "the storage account";
        report.add(clock::compare("queue clock", server, date, Timestamp::now(), MAX_CLOCK_DIFFERENCE));
    }
}

async fn request_date(settings: &AzureQueueConfig, name: &QueueName) -> Result<Option<String>, QueueError> {
    Queue::open(&settings.account, name)?.service_date().await
}

/// Deletes a message that does not exist. The service checks the right first.
async fn check_deletion(settings: &AzureQueueConfig) -> Finding {
    let name = &settings.queue_name;
    let deleted = match Queue::open(&settings.account, name) {
        Ok(queue) => queue.delete(UNKNOWN_MESSAGE.0, UNKNOWN_MESSAGE.1).await,
        Err(error) => Err(error),
    };
    match deleted {
        Err(error @ (QueueError::Refused { .. } | QueueError::Unreachable(_))) => {
            let advice = Advice {
                meaning: "the hub delivers messages again and again, because it cannot delete them",
                remedy: "let the credential read, add, update and process messages",
                page: QUEUE_PAGE,
            };
            Finding::fail("queue", format!("{name}: a message cannot be deleted: {error}"), advice)
        }
        _ => Finding::ok("queue", format!("{name} exists, and its messages may be received and deleted")),
    }
}

fn unusable(name: &QueueName, error: &QueueError) -> Finding {
    let remedy = match error {
        QueueError::Missing => "create the queue, or correct source.azure_queue.queue_name",
        QueueError::Refused { .. } => "check the credential and its rights, and this machine's clock",
        _ => "check the address of the storage account and the network",
    };
    let advice = Advice { meaning: "the hub receives no pushes", remedy, page: QUEUE_PAGE };
    Finding::fail("queue", format!("{name}: {error}"), advice)
}

fn refused_helper(name: &QueueName, error: &QueueError) -> Finding {
    let advice = Advice {
        meaning: "the hub cannot move messages that are no push, or cannot take turns with other hubs",
        remedy: "permit this queue to the credential, too",
        page: QUEUE_PAGE,
    };
    Finding::warn("queue", format!("{name}: {error}"), advice)
}
