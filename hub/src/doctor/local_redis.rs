//! Checks Redis and its Sentinels.

use super::report::{Advice, Finding, Report};
use crate::backplane::redis::RedisLinkError;
use crate::backplane::redis::diagnosis::{self, RedisDiagnosis, RefusedCommand, SentinelAnswer};
use crate::config::Config;

const SEVERAL_REPLICAS: &str = "docs/configuration.md#several-replicas";

/// The commands without which pushes do not reach other replicas.
const NEEDED_FOR_PUSHES: [&str; 4] = ["PING", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"];

/// The hard limit, soft limit and seconds of `client-output-buffer-limit pubsub` by default.
const DEFAULT_PUBSUB_LIMIT: [u64; 3] = [32 << 20, 8 << 20, 60];

/// Checks Redis. Does nothing without `backplane.redis.url`.
pub(super) async fn check(config: &Config, report: &mut Report<'_>) {
    let Some(settings) = &config.backplane.redis else { return };
    let answers = diagnosis::ask_sentinels(settings).await;
    if !answers.is_empty() && !report.add(check_sentinels(&answers)) {
        return;
    }
    let diagnosis = diagnosis::diagnose(settings, &config.backplane.channel_prefix, &config.catch_up).await;
    match diagnosis {
        Ok(found) => {
            report.add(Finding::ok("redis", format!("{} answers, database {}", found.server, settings.database)));
            check_commands(&found, settings.username.as_deref(), report);
            check_limits(&found, report);
        }
        Err(error) => _ = report.add(unreachable(&error)),
    }
}

fn unreachable(error: &RedisLinkError) -> Finding {
    let advice = Advice {
        meaning: "pushes for clients of other replicas wait, and are lost when the hub ends",
        remedy: "check backplane.redis.url, the login, the certificate and the network",
        page: SEVERAL_REPLICAS,
    };
    Finding::fail("redis", error.to_string(), advice)
}

/// Returns the finding about the answers of all Sentinels.
fn check_sentinels(answers: &[SentinelAnswer]) -> Finding {
    let mut masters: Vec<&str> = answers.iter().filter_map(|answer| answer.master.as_ref().ok()?.as_deref()).collect();
    let described: Vec<String> = answers.iter().map(describe_sentinel).collect();
    let (seen, count) = (described.join(", "), masters.len());
    masters.dedup();
    let advice = |meaning, remedy| Advice { meaning, remedy, page: SEVERAL_REPLICAS };
    match masters[..] {
        [] => Finding::fail(
            "sentinels",
            seen,
            advice("the hub does not find Redis", "check the addresses and the service name in backplane.redis.url"),
        ),
        [_] if count == answers.len() => Finding::ok("sentinels", seen),
        [_] => Finding::warn(
            "sentinels",
            seen,
            advice("fewer Sentinels can name the master after a failover", "start or remove the Sentinel"),
        ),
        _ => Finding::warn(
            "sentinels",
            seen,
            advice("replicas may publish at different servers", "wait for the end of the failover, and run this again"),
        ),
    }
}

fn describe_sentinel(answer: &SentinelAnswer) -> String {
    let SentinelAnswer { sentinel, master } = answer;
    match master {
        Ok(Some(master)) => format!("{sentinel} names {master}"),
        Ok(None) => format!("{sentinel} does not know the service"),
        Err(error) => format!("{sentinel}: {error}"),
    }
}

fn check_commands(found: &RedisDiagnosis, user: Option<&str>, report: &mut Report<'_>) {
    if let Some(finding) = refused_commands(&found.refused, user) {
        report.add(finding);
    } else {
        report.add(Finding::ok("redis rights", "every command of the hub is permitted"));
    }
    match found.is_delivered {
        Some(true) => _ = report.add(Finding::ok("redis delivery", "a published message arrives")),
        Some(false) => {
            let advice = Advice {
                meaning: "pushes do not reach other replicas",
                remedy: "name the master, not a replica or a proxy, in backplane.redis.url",
                page: SEVERAL_REPLICAS,
            };
            report.add(Finding::fail("redis delivery", "a published message does not arrive", advice));
        }
        None => {}
    }
}

/// Returns the finding about refused commands, or `None` if there are none.
fn refused_commands(refused: &[RefusedCommand], user: Option<&str>) -> Option<Finding> {
    let first = refused.iter().find(|command| NEEDED_FOR_PUSHES.contains(&command.name));
    let names: Vec<&str> = refused.iter().map(|command| command.name).collect();
    let advice = |meaning| Advice { meaning, remedy: "give the user the rights of the page", page: SEVERAL_REPLICAS };
    let seen = |command: &RefusedCommand| {
        format!("the user {:?} may not run {} ({})", user.unwrap_or("default"), names.join(", "), command.error)
    };
    if let Some(command) = first {
        let advice = advice("pushes do not reach other replicas");
        return Some(Finding::fail("redis rights", seen(command), advice));
    }
    let advice = advice("every client that connects is told to sync");
    refused.first().map(|command| Finding::warn("redis rights", seen(command), advice))
}

fn check_limits(found: &RedisDiagnosis, report: &mut Report<'_>) {
    if found.may_evict == Some(true) {
        let advice = Advice {
            meaning: "after an eviction every client that connects is told to sync",
            remedy: "set maxmemory-policy noeviction",
            page: SEVERAL_REPLICAS,
        };
        report.add(Finding::warn("redis memory", "Redis may evict keys", advice));
    }
    let Some(limit) = found.output_buffer_limits.as_deref().and_then(pubsub_limit) else { return };
    let [hard, soft, seconds] = limit;
    let seen = format!("client-output-buffer-limit pubsub {hard} {soft} {seconds}");
    if is_below_default(limit) {
        let advice = Advice {
            meaning: "Redis disconnects a replica during a burst of pushes, and all its clients sync",
            remedy: "set it to 32mb 8mb 60 or more",
            page: "docs/scaling.md",
        };
        report.add(Finding::warn("redis buffer", seen, advice));
    } else {
        report.add(Finding::ok("redis buffer", seen));
    }
}

/// Returns the limits of the class `pubsub` in the value of `client-output-buffer-limit`.
fn pubsub_limit(value: &str) -> Option<[u64; 3]> {
    let mut words = value.split_whitespace().skip_while(|word| *word != "pubsub").skip(1);
    let mut number = || words.next()?.parse().ok();
    Some([number()?, number()?, number()?])
}

/// Returns whether a limit is below that of a Redis without settings. 0 means no limit.
fn is_below_default(limit: [u64; 3]) -> bool {
    limit.iter().zip(DEFAULT_PUBSUB_LIMIT).take(2).any(|(limit, default)| *limit > 0 && *limit < default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::CheckStatus;

    fn answer(master: Option<&str>) -> SentinelAnswer {
        SentinelAnswer { sentinel: "s:1".to_owned(), master: Ok(master.map(str::to_owned)) }
    }

    #[test]
    fn sentinels_that_disagree_or_know_no_master_are_found() {
        let failed = || SentinelAnswer { sentinel: "s:2".to_owned(), master: Err(RedisLinkError::Closed) };
        for (answers, status) in [
            (vec![answer(Some("a:1")), answer(Some("a:1"))], CheckStatus::Ok),
            (vec![answer(Some("a:1")), failed()], CheckStatus::Warn),
            (vec![answer(Some("a:1")), answer(Some("b:1"))], CheckStatus::Warn),
            (vec![answer(None), failed()], CheckStatus::Fail),
        ] {
            assert_eq!(check_sentinels(&answers).status, status, "{answers:?}");
        }
    }

    #[test]
    fn refused_command_fails_only_if_pushes_need_it() {
        let refused = |name| RefusedCommand { name, error: "NOPERM".to_owned() };
        let status = |names: &[&'static str]| {
            let refused: Vec<_> = names.iter().copied().map(refused).collect();
            refused_commands(&refused, None).map(|finding| finding.status)
        };
        assert_eq!(status(&[]), None);
        assert_eq!(status(&["EVAL", "SET"]), Some(CheckStatus::Warn));
        assert_eq!(status(&["EVAL", "PUBLISH"]), Some(CheckStatus::Fail));
    }

    #[test]
    fn pubsub_limit_below_the_default_is_found() {
        let value = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(pubsub_limit(value), Some(DEFAULT_PUBSUB_LIMIT));
        assert_eq!((pubsub_limit("normal 0 0 0"), pubsub_limit("pubsub 1 x 3")), (None, None));
        assert!(!is_below_default(DEFAULT_PUBSUB_LIMIT) && !is_below_default([0, 0, 0]));
        assert!(is_below_default([1 << 20, 0, 0]) && is_below_default([64 << 20, 1 << 20, 60]));
    }
}
