//! The intended differences from upstream in the answers to mutated input, with the reasons.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use notification_hub::notification::PushType;
use notification_hub::signalr::protocol::messagepack::{self, Reader};
use notification_hub::signalr::protocol::{Protocol, json, split_message};
use serde_json::Value;

use super::mutations::{Bytes, Conversation, Push};

/// The messages of each listener that received any.
pub(crate) type Frames = BTreeMap<String, Vec<Bytes>>;

/// The expected answer to a push.
pub(crate) enum Answer {
    /// The recorded answer.
    AsRecorded,
    /// Status 400 and no frames.
    Rejected,
    /// Status 200 and frames of this type, or none if the push names no recipient.
    Forwarded(u64),
    /// Status 200 and the recorded frames, with members that upstream drops.
    Superset,
}

/// Returns the expected answer to a push with this body, or `None` if the difference does not cover it.
type PushDifference = fn(&Push, &Value) -> Option<Answer>;

/// The differences in the answers to pushes, each with its reason. The first that covers a push counts.
pub(crate) const PUSHES: [(&str, PushDifference); 5] = [
    ("a malformed push is an error of the sender, so the status is 400 and not 500", |push, _| {
        (push.status == 500).then_some(Answer::Rejected)
    }),
    (
        "a push without a type is malformed; upstream reads type 0, so clients would fetch a cipher that does not exist",
        |_, body| member(body, "type").is_none().then_some(Answer::Rejected),
    ),
    ("a push without the id that decides its audience is malformed", |_, body| {
        let required = known_type(body)?.target.required_member()?;
        member(member(body, "payload")?, required).is_none().then_some(Answer::Rejected)
    }),
    ("unknown types are forwarded, so that types of newer servers reach their clients", |_, body| {
        match known_type(body) {
            Some(_) => None,
            None => member(body, "type").and_then(Value::as_u64).map(Answer::Forwarded),
        }
    }),
    ("members that upstream drops, `Date` and `Limit*`, are forwarded", |_, body| {
        matches!(known_type(body)?.number, 4 | 5 | 6 | 10 | 17 | 19).then_some(Answer::Superset)
    }),
];

/// Checks the answer to a push. Returns the reason if it differs from the recorded one on purpose.
pub(crate) fn check_push(push: &Push, status: u16, frames: &Frames) -> Result<Option<&'static str>> {
    let text = String::from_utf8_lossy(&push.body.0);
    let body = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let difference = PUSHES.iter().find_map(|(reason, covers)| Some((*reason, covers(push, &body)?)));
    let (reason, answer) = difference.map_or((None, Answer::AsRecorded), |(reason, answer)| (Some(reason), answer));
    let expected_status = if matches!(answer, Answer::Rejected) { 400 } else { push.status };
    ensure!(status == expected_status, "expected the status {expected_status}, got {status}");
    match answer {
        Answer::AsRecorded => same(frames, &push.frames)?,
        Answer::Rejected => same(frames, &Frames::new())?,
        Answer::Forwarded(number) => {
            for (name, argument) in arguments(frames)? {
                let found = member(&argument, "type");
                ensure!(found.is_some_and(|found| *found == number), "{name}: the type is not {number}: {argument}");
            }
        }
        Answer::Superset => {
            let kept = |frames| -> Result<Vec<_>> {
                Ok(arguments(frames)?.into_iter().map(|(name, argument)| (name, without_dropped(argument))).collect())
            };
            ensure!(kept(frames)? == kept(&push.frames)?, "expected {}, got {}", shown(&push.frames), shown(frames));
        }
    }
    Ok(reason)
}

fn same(frames: &Frames, expected: &Frames) -> Result<()> {
    ensure!(frames == expected, "expected {}, got {}", shown(expected), shown(frames));
    Ok(())
}

/// Returns the last member of an object with this name in any case.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn known_type(body: &Value) -> Option<&'static PushType> {
    PushType::from_number(u8::try_from(member(body, "type")?.as_u64()?).ok()?)
}

/// Returns the argument of each message with the name of the listener.
fn arguments(frames: &Frames) -> Result<Vec<(&str, Value)>> {
    let all = frames.iter().flat_map(|(name, messages)| messages.iter().map(move |message| (name.as_str(), message)));
    let argument = |(name, Bytes(message)): (_, &Bytes)| {
        let read = if name == "messagepack" {
            messagepack::decode_invocation(message)
        } else {
            json::decode_invocation(message)
        };
        let (_, mut arguments) = read.context("not an invocation")?;
        Ok((name, arguments[0].take()))
    };
    all.map(argument).collect()
}

/// Returns the argument without the members that upstream drops.
fn without_dropped(mut argument: Value) -> Value {
    for payload in argument.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        if let Some(members) = payload.as_object_mut() {
            members.retain(|name, _| {
                let name = name.to_ascii_lowercase();
                name != "date" && !name.starts_with("limit")
            });
        }
    }
    argument
}

fn shown(frames: &Frames) -> String {
    let shown = |(name, messages): (&String, &Vec<Bytes>)| {
        let messages: Vec<String> = messages.iter().map(|Bytes(bytes)| bytes.escape_ascii().to_string()).collect();
        format!("\n    {name}: {}", messages.join(" | "))
    };
    if frames.is_empty() { "nothing".to_owned() } else { frames.iter().map(shown).collect() }
}

/// Returns whether a difference explains the answers in a conversation.
type ConversationDifference = fn(&Conversation, &[String]) -> bool;

/// The differences in the answers to conversations, each with its reason.
pub(crate) const CONVERSATIONS: [(&str, ConversationDifference); 3] = [
    ("a handshake without its separator is accepted at the end of the WebSocket message", |conversation, answers| {
        let Bytes(handshake) = &conversation.handshake;
        let is_whole = serde_json::from_slice::<serde_json::Map<String, Value>>(handshake).is_ok();
        is_whole && conversation.answers.is_empty() && !answers.is_empty()
    }),
    ("a message of unknown type is skipped; upstream reads nothing after it", |conversation, answers| {
        let recorded: Vec<_> = conversation.answers.iter().filter(|answer| !answer.starts_with("close ")).collect();
        has_unknown_type(conversation) && recorded.iter().zip(answers).all(|(recorded, answer)| *recorded == answer)
    }),
    ("one recorded conversation has the answer {} in hex", |conversation, answers| {
        conversation.answers.first().is_some_and(|first| first == "7b7d1e")
            && answers.first().is_some_and(|first| first == "{}")
            && conversation.answers[1..] == answers[1..]
    }),
];

/// Checks the answers in a conversation. Returns the reason if they differ from the recorded ones on purpose.
pub(crate) fn check_conversation(conversation: &Conversation, answers: &[String]) -> Result<Option<&'static str>> {
    if answers == conversation.answers {
        return Ok(None);
    }
    let reason = CONVERSATIONS.iter().find(|(_, explains)| explains(conversation, answers)).map(|(reason, _)| *reason);
    ensure!(reason.is_some(), "expected {:#?}, got {answers:#?}", conversation.answers);
    Ok(reason)
}

/// Returns whether a client sends a whole message of an unknown type.
fn has_unknown_type(conversation: &Conversation) -> bool {
    let protocol = if conversation.proto == "json" { Protocol::Json } else { Protocol::MessagePack };
    let sent: Vec<u8> = conversation.frames.iter().flat_map(|(_, Bytes(payload))| payload.clone()).collect();
    let mut rest = sent.as_slice();
    while let Ok(Some((body, taken))) = split_message(protocol, rest, usize::MAX) {
        let number = match protocol {
            Protocol::Json => serde_json::from_slice::<Value>(body).ok().and_then(|message| message["type"].as_i64()),
            Protocol::MessagePack => {
                let mut reader = Reader::new(body);
                reader.array().and_then(|_| reader.integer())
            }
        };
        if number.is_some_and(|number| !(1..=9).contains(&number)) {
            return true;
        }
        rest = &rest[taken..];
    }
    false
}
