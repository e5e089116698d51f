//! Step 2: validates a resource and the objects that it refers to, and reports every diagnostic at once. No I/O.

mod backplane;
mod generate;
mod networking;
mod scale;
mod secret_value;
mod source;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::Auth;

use super::dereference::{FetchedReferences, ManagedSecret, Secrets, StoredKeys};
use crate::build::{ParsedPodTemplate, parse_pod_template};
use crate::conditions::{Diagnostic, Diagnostics};
use crate::keys;
use crate::model::backplane::Backplane;
use crate::model::defaults::Defaults;
use crate::model::names::HubName;
use crate::model::{TokenSettings, ValidatedHub, labels};
use crate::third_party::ServedKinds;

/// Result of a successful validation.
#[derive(Debug)]
pub struct Validation {
    /// The validated hub.
    pub hub: ValidatedHub,
    /// Parts of the spec that were left out. None of them blocks the hub.
    pub diagnostics: Diagnostics,
}

/// Validates a resource. The error has every diagnostic of the resource.
pub fn validate(
    hub: &NotificationHub,
    fetched: FetchedReferences,
    defaults: &Defaults,
    served: &ServedKinds,
) -> Result<Validation, Diagnostics> {
    let mut diagnostics = Diagnostics { unserved: networking::unserved(&hub.spec, served), ..Diagnostics::default() };
    let source = source::check(&hub.spec.source, &fetched.secrets, &mut diagnostics);
    let redis = hub.spec.backplane.as_ref().map(|backplane| &backplane.redis);
    let redis = redis.and_then(|redis| backplane::redis(redis, &fetched.secrets, &mut diagnostics));
    let scale = scale::check(&hub.spec, &mut diagnostics);
    let rollouts = backplane::rollouts(&hub.spec, &mut diagnostics);
    let mut report = |reason, message: String| diagnostics.spec.push(Diagnostic { reason, message });

    // The CRD's rules check these too, but a resource may be older than the rules.
    let name = HubName::parse(&hub.name_any());
    let owner = hub.controller_owner_ref(&());
    if name.is_none() {
        report(
            Reason::InvalidSpec,
            "metadata.name: not a Service name of up to 40 characters; rename the hub".to_owned(),
        );
    }
    let Auth { authority, issuer, audiences, clock_skew, generate, signing_keys } = &hub.spec.auth;
    if authority.is_none() && generate.is_none() && signing_keys.is_none() {
        report(Reason::InvalidSpec, "auth: no keys; set authority, generate or signingKeys".to_owned());
    }
    let required = name.as_ref().zip(source.as_ref()).map(|(name, source)| labels::required(name, source));
    let required = required.unwrap_or_default();
    let template = hub.spec.pod_template.as_ref().map(|written| parse_pod_template(written, &required)).transpose();
    let template = template.unwrap_or_else(|message| {
        report(Reason::InvalidPodTemplate, message);
        None
    });

    let signing_keys = signing_keys.as_ref().map(|keys| {
        check_signing_keys(&keys.secret_ref.name, &fetched.secrets, &mut diagnostics);
        keys.secret_ref.name.clone()
    });
    let policy = generate.as_ref().and_then(|generate| generate::policy(generate, &mut diagnostics));
    let stored = fetched.generated.and_then(|secret| owned_or_conflict(secret, &mut diagnostics));
    let generated = policy.zip(stored).map(|(policy, StoredKeys { ring, at })| keys::plan_rotation(ring, policy, at));
    let token_key = fetched.token_key.and_then(|secret| owned_or_conflict(secret, &mut diagnostics));
    let backplane = redis.zip(token_key).zip(rollouts).map(|((redis, token_key), (drain, max_surge))| Backplane {
        redis,
        token_key,
        drain,
        max_surge,
    });

    let (Some(name), Some(source), Some(scale), Some(owner), false) =
        (name, source, scale, owner, diagnostics.is_blocking())
    else {
        return Err(diagnostics);
    };
    let image = hub.spec.image.clone().unwrap_or_default();
    let pod_template = template.map(|ParsedPodTemplate { template, dropped }| {
        diagnostics.dropped = dropped;
        template
    });
    let validated = ValidatedHub {
        name,
        namespace: hub.namespace().unwrap_or_default(),
        owner,
        inherited: defaults.inheritance.inherited_by_children(hub),
        scale,
        image: defaults.image.with_overrides(&image),
        pull_policy: image.pull_policy.or(defaults.pull_policy),
        pull_secrets: match image.pull_secrets.is_empty() {
            true => defaults.pull_secrets.clone(),
            false => image.pull_secrets.into_iter().map(|secret| secret.name).collect(),
        },
        source,
        backplane,
        tokens: TokenSettings {
            authority: authority.clone(),
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            clock_skew: clock_skew.clone(),
        },
        catch_up: hub.spec.catch_up.clone().unwrap_or_default(),
        limits: hub.spec.limits.clone().unwrap_or_default(),
        log: hub.spec.log.clone().unwrap_or_default(),
        networking: networking::from_spec(&hub.spec, served),
        installation_id: hub.spec.installation_id.clone(),
        generated,
        signing_keys,
        pod_template,
    };
    Ok(Validation { hub: validated, diagnostics })
}

/// Returns the content of a managed Secret, or records a conflict and returns `None` if the hub does not own it.
fn owned_or_conflict<T>(secret: ManagedSecret<T>, diagnostics: &mut Diagnostics) -> Option<T> {
    match secret {
        ManagedSecret::Owned(content) => Some(content),
        ManagedSecret::NotOwned(name) => {
            diagnostics.conflicts.push(format!("Secret {name}"));
            None
        }
    }
}

/// Checks that a Secret of signing keys exists and has valid keys only.
fn check_signing_keys(name: &str, secrets: &Secrets, diagnostics: &mut Diagnostics) {
    let mut report = |reason, message| diagnostics.references.push(Diagnostic { reason, message });
    let Some(Secret { data, .. }) = secrets.get(name) else {
        return report(Reason::SecretNotFound, format!("auth.signingKeys: Secret {name} does not exist"));
    };
    let keys: Vec<_> = data.iter().flatten().filter(|(entry, _)| keys::is_key_entry(entry)).collect();
    if keys.is_empty() {
        let expected = "*.pem, *.jwks.json or *.secret";
        report(Reason::InvalidKey, format!("auth.signingKeys: Secret {name} has no key; add an entry {expected}"));
    }
    for (entry, ByteString(content)) in keys {
        if let Err(error) = keys::check_entry(entry, content) {
            report(Reason::InvalidKey, format!("auth.signingKeys: Secret {name}, entry {entry}: {error}"));
        }
    }
}
