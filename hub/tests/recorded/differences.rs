//! Where this hub answers mutated input otherwise than the original on purpose, with the reasons.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use notification_hub::notification::PushType;
use notification_hub::signalr::protocol::messagepack::{self, Reader};
use notification_hub::signalr::protocol::{Protocol, json, split_message};
use serde_json::Value;

use super::mutations::{Bytes, Conversation, Push};

/// The messages of each listener that received any.
pub(crate) type Frames = BTreeMap<String, Vec<Bytes>>;

/// What the hub answers to a push.
pub(crate) enum Answer {
    /// What the original answers.
    AsRecorded,
    /// Status 400, and nobody receives anything.
    Refused,
    /// Status 200 and frames of this type, or none if the push names no recipient.
    Forwarded(u64),
    /// Status 200 and the recorded frames, with members that the original loses.
    Superset,
}

/// What the hub answers to a push with this body, if a difference covers it.
type PushDifference = fn(&Push, &Value) -> Option<Answer>;

/// The reasons for differences in the answers to pushes: the first that covers a push counts.
pub(crate) const PUSHES: [(&str, PushDifference); 5] = [
    ("what cannot be read is the sender's fault, which 400 says and 500 does not", |push, _| {
        (push.status == 500).then_some(Answer::Refused)
    }),
    (
        "a push without a type is no change of a cipher: as one, clients would ask for a cipher that does not exist",
        |_, body| member(body, "type").is_none().then_some(Answer::Refused),
    ),
    ("a push whose recipient is missing would reach nobody, which its sender should hear", |_, body| {
        let required = known_type(body)?.target.required_member()?;
        member(member(body, "payload")?, required).is_none().then_some(Answer::Refused)
    }),
    ("types that a newer server adds reach the clients that know them", |_, body| match known_type(body) {
        Some(_) => None,
        None => member(body, "type").and_then(Value::as_u64).map(Answer::Forwarded),
    }),
    ("clients get the dates and limits that the original reads and loses", |_, body| {
        matches!(known_type(body)?.number, 4 | 5 | 6 | 10 | 17 | 19).then_some(Answer::Superset)
    }),
];

/// Checks the answer to a push and returns the reason for its difference from the recorded one, if there is any.
pub(crate) fn check_push(push: &Push, status: u16, frames: &Frames) -> Result<Option<&'static str>> {
    let text = String::from_utf8_lossy(&push.body.0);
    let body = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let difference = PUSHES.iter().find_map(|(reason, covers)| Some((*reason, covers(push, &body)?)));
    let (reason, answer) = difference.map_or((None, Answer::AsRecorded), |(reason, answer)| (Some(reason), answer));
    let expected_status = if matches!(answer, Answer::Refused) { 400 } else { push.status };
    ensure!(status == expected_status, "expected the status {expected_status}, got {status}");
    match answer {
        Answer::AsRecorded => same(frames, &push.frames)?,
        Answer::Refused => same(frames, &Frames::new())?,
        Answer::Forwarded(number) => {
            for (name, argument) in arguments(frames)? {
                let found = member(&argument, "type");
                ensure!(found.is_some_and(|found| *found == number), "{name}: the type is not {number}: {argument}");
            }
        }
        Answer::Superset => {
            let kept = |frames| -> Result<Vec<_>> {
                Ok(arguments(frames)?.into_iter().map(|(name, argument)| (name, without_lost(argument))).collect())
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

/// The last member of an object with this name, in any case.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn known_type(body: &Value) -> Option<&'static PushType> {
    PushType::from_number(u8::try_from(member(body, "type")?.as_u64()?).ok()?)
}

/// The one argument of each message, with the listener that received it.
fn arguments(frames: &Frames) -> Result<Vec<(&str, Value)>> {
    let all = frames.iter().flat_map(|(name, messages)| messages.iter().map(move |message| (name.as_str(), message)));
    let argument = |(name, Bytes(message)): (_, &Bytes)| {
        let read = if name == "messagepack" {
            messagepack::decode_invocation(message)
        } else {
            json::decode_invocation(message)
        };
        let (_, mut arguments) = read.context("no invocation")?;
        Ok((name, arguments[0].take()))
    };
    all.map(argument).collect()
}

/// The same argument without the members that the original loses.
fn without_lost(mut argument: Value) -> Value {
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

/// Whether a difference explains that these are the answers in a conversation.
type ConversationDifference = fn(&Conversation, &[String]) -> bool;

/// The reasons for differences in the answers to conversations.
pub(crate) const CONVERSATIONS: [(&str, ConversationDifference); 3] = [
    ("a handshake whose client leaves its end out is taken when its message ends", |conversation, answers| {
        let Bytes(handshake) = &conversation.handshake;
        let is_whole = serde_json::from_slice::<serde_json::Map<String, Value>>(handshake).is_ok();
        is_whole && conversation.answers.is_empty() && !answers.is_empty()
    }),
    ("a message of unknown type is skipped; the original reads nothing behind it", |conversation, answers| {
        let recorded: Vec<_> = conversation.answers.iter().filter(|answer| !answer.starts_with("close ")).collect();
        has_unknown_type(conversation) && recorded.iter().zip(answers).all(|(recorded, answer)| *recorded == answer)
    }),
    ("the recording of one conversation has the answer {} in hex", |conversation, answers| {
        conversation.answers.first().is_some_and(|first| first == "7b7d1e")
            && answers.first().is_some_and(|first| first == "{}")
            && conversation.answers[1..] == answers[1..]
    }),
];

/// Checks what a client received in a conversation and returns the reason for its difference from what was recorded, if there
/// is any.
pub(crate) fn check_conversation(conversation: &Conversation, answers: &[String]) -> Result<Option<&'static str>> {
    if answers == conversation.answers {
        return Ok(None);
    }
    let reason = CONVERSATIONS.iter().find(|(_, explains)| explains(conversation, answers)).map(|(reason, _)| *reason);
    ensure!(reason.is_some(), "expected {:#?}, got {answers:#?}", conversation.answers);
    Ok(reason)
}

/// Whether a client sends a whole message of a type that the protocol does not know.
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
