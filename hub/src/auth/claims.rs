//! The claims of a verified token, read by Bitwarden's rules (`bitwarden.md` 2.1 and 2.2). No I/O.

use serde_json::Value;
use uuid::Uuid;

use super::Rejection;
use crate::notification::{ClientType, Device};

/// The authorization policy of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// A user at the main hub: `amr` contains `Application` or `external`, `scope` contains `api`.
    Application,
    /// A sender at `/send`: `scope` contains `internal`.
    Internal,
}

/// The validation rules from the configuration.
#[derive(Debug, Clone, Default)]
pub struct ValidationRules {
    /// The issuer that a token must name. `None`: the issuer of the key, or any if the key has none.
    pub issuer: Option<String>,
    /// The audiences of which a token must name one. Empty: any audience.
    pub audiences: Vec<String>,
    /// The largest accepted difference between clocks, in seconds.
    pub clock_skew: f64,
}

/// The claims of a token that the hub uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `sub`, or `None` if it is not a GUID. Without one, no push to a user reaches the connection.
    pub user: Option<Uuid>,
    /// The organizations of the four membership claims, sorted, without duplicates and without values that are not GUIDs.
    pub organizations: Box<[Uuid]>,
    /// The client type, from `devicetype`.
    pub client_type: ClientType,
    /// The device, from `device`. The `ContextId` of a push names one.
    pub device: Option<Device>,
    /// The end of the token's validity with the clock skew added, in Unix seconds.
    pub valid_until: f64,
    application: bool,
    internal: bool,
}

const ORGANIZATION_CLAIMS: [&str; 4] = ["orgowner", "orgadmin", "orguser", "orgcustom"];

impl Claims {
    /// Reads the payload of a token and checks its times, issuer and audience. `issuer` is that of the signing key, for rules
    /// without an issuer. `now` is in Unix seconds.
    ///
    /// # Errors
    /// Returns the first rule that the token breaks.
    pub fn read(payload: &[u8], rules: &ValidationRules, issuer: Option<&str>, now: f64) -> Result<Claims, Rejection> {
        let claims: Value = serde_json::from_slice(payload).map_err(|_| Rejection::Malformed)?;
        let claims = claims.as_object().ok_or(Rejection::Malformed)?;
        let claim = |name: &str| claims.get(name).unwrap_or(&Value::Null);

        let time = |name: &str| claims.get(name).map(parse_numeric_date).transpose();
        let expires = time("exp")?.ok_or(Rejection::Malformed)?;
        let valid_until = expires + rules.clock_skew;
        if now > valid_until {
            return Err(Rejection::Expired);
        }
        if let Some(not_before) = time("nbf")? {
            if not_before > expires {
                return Err(Rejection::Expired);
            }
            if now + rules.clock_skew < not_before {
                return Err(Rejection::NotYetValid);
            }
        }
        // The upstream service checks the types of all registered claims, even of those that it does not use.
        time("iat")?;
        let types_are_valid = ["iss", "jti", "azp"].iter().all(|name| is_text_or_null(claim(name)))
            && (claim("sub").is_number() || is_text_or_null(claim("sub")))
            && claim("aud").as_array().map_or(is_text_or_null(claim("aud")), |all| all.iter().all(is_text_or_null));
        if !types_are_valid {
            return Err(Rejection::Malformed);
        }
        let issuer = rules.issuer.as_deref().or(issuer);
        if issuer.is_some_and(|issuer| claim("iss").as_str() != Some(issuer)) {
            return Err(Rejection::Issuer);
        }
        if !rules.audiences.is_empty() && !rules.audiences.iter().any(|audience| contains_text(claim("aud"), audience))
        {
            return Err(Rejection::Audience);
        }

        let scope = claim("scope");
        let amr = claim("amr");
        let mut organizations: Vec<Uuid> =
            ORGANIZATION_CLAIMS.iter().flat_map(|name| parse_guids(claim(name))).collect();
        organizations.sort_unstable();
        organizations.dedup();
        Ok(Claims {
            user: claim("sub").as_str().and_then(|text| Uuid::try_parse(text).ok()),
            organizations: organizations.into(),
            client_type: ClientType::from_device_claim(claim("devicetype")),
            device: claim("device").as_str().map(Device::from_id),
            valid_until,
            application: contains_text(scope, "api")
                && (contains_text(amr, "Application") || contains_text(amr, "external")),
            internal: contains_text(scope, "internal"),
        })
    }

    /// Checks the policy of an endpoint.
    ///
    /// # Errors
    /// Returns [`Rejection::Scope`] if the claims do not satisfy it.
    pub fn authorize(&self, policy: Policy) -> Result<(), Rejection> {
        let satisfied = match policy {
            Policy::Application => self.application,
            Policy::Internal => self.internal,
        };
        if satisfied { Ok(()) } else { Err(Rejection::Scope) }
    }
}

/// Reads a time claim, in seconds: a whole number or a fraction, as a number or a string, within the range of an `i64`. Null is
/// malformed, as in the upstream service.
fn parse_numeric_date(value: &Value) -> Result<f64, Rejection> {
    const LIMIT: f64 = (1u64 << 63) as f64;
    // `parse` accepts "NaN" and "inf" too, and such a time would never pass.
    let in_range = |seconds: &f64| (-LIMIT..LIMIT).contains(seconds);
    let seconds = match value {
        Value::Number(number) => number.as_i64().map(|whole| whole as f64).or(number.as_f64().filter(in_range)),
        Value::String(text) => {
            let text = text.trim();
            let whole = text.parse().ok().map(|whole: i64| whole as f64);
            whole.or_else(|| text.parse().ok().filter(in_range))
        }
        _ => None,
    };
    seconds.ok_or(Rejection::Malformed)
}

fn is_text_or_null(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

/// Returns `true` if a claim is this text, or an array that contains it.
fn contains_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
        _ => false,
    }
}

fn parse_guids(value: &Value) -> impl Iterator<Item = Uuid> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    items.iter().filter_map(|item| Uuid::try_parse(item.as_str()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: f64 = 1_000_000.0;

    /// A change that removes the claim.
    const ABSENT: &str = "(absent)";

    fn rules() -> ValidationRules {
        ValidationRules { clock_skew: 300.0, ..ValidationRules::default() }
    }

    fn read(changes: Value) -> Result<Claims, Rejection> {
        let mut claims = json!({
            "exp": NOW + 3600.0, "nbf": NOW, "sub": "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c",
            "scope": ["api", "offline_access"], "amr": ["Application"], "devicetype": "ChromeBrowser",
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| value != ABSENT);
        Claims::read(claims.to_string().as_bytes(), &rules(), None, NOW)
    }

    #[test]
    fn exp_and_nbf_allow_exactly_the_clock_skew() {
        assert!(read(json!({"exp": NOW - 299.0, "nbf": ABSENT})).is_ok());
        assert_eq!(read(json!({"exp": NOW - 301.0, "nbf": ABSENT})), Err(Rejection::Expired));
        assert!(read(json!({"nbf": NOW + 299.0})).is_ok());
        assert_eq!(read(json!({"nbf": NOW + 301.0})), Err(Rejection::NotYetValid));
        assert_eq!(read(json!({"nbf": NOW + 100.0, "exp": NOW - 200.0})), Err(Rejection::Expired));
    }

    #[test]
    fn exp_is_required_and_may_be_text_or_a_fraction() {
        assert_eq!(read(json!({"exp": null})), Err(Rejection::Malformed));
        assert_eq!(read(json!({"exp": ABSENT})), Err(Rejection::Malformed));
        assert_eq!(read(json!({"exp": "soon"})), Err(Rejection::Malformed));
        assert_eq!(read(json!({"exp": [1]})), Err(Rejection::Malformed));
        for text in ["NaN", "inf", "-infinity", "1e400"] {
            assert_eq!(read(json!({"exp": text})), Err(Rejection::Malformed), "{text}");
            assert_eq!(read(json!({"nbf": text})), Err(Rejection::Malformed), "{text}");
        }
        assert!(read(json!({"exp": "1003600"})).is_ok());
        assert!(read(json!({"exp": NOW + 0.5})).is_ok());
    }

    #[test]
    fn registered_claims_of_wrong_type_are_malformed() {
        let (list, object) = (json!(["x"]), json!({"x": 1}));
        let two_to_63 = 9_223_372_036_854_775_808_u64;
        for (name, wrong) in [
            ("exp", vec![json!(null), json!(two_to_63), json!(1e308), json!("1e300"), json!(true)]),
            ("nbf", vec![json!(null), json!(-1e308), json!("soon"), list.clone(), object.clone(), json!(false)]),
            ("iat", vec![json!(null), json!(1e19), json!("soon"), list.clone(), object.clone(), json!(true)]),
            ("iss", vec![json!(1), json!(true), list.clone(), object.clone()]),
            ("jti", vec![json!(1), json!(true), list.clone(), object.clone()]),
            ("azp", vec![json!(1), json!(true), list.clone(), object.clone()]),
            ("sub", vec![json!(true), list.clone(), json!([["x"]]), object.clone()]),
            ("aud", vec![json!(1), json!(true), json!([1]), json!([["x"]]), object.clone()]),
        ] {
            for value in wrong {
                assert_eq!(read(json!({ name: value })), Err(Rejection::Malformed), "{name}: {value}");
            }
        }
    }

    #[test]
    fn registered_claims_of_allowed_types_are_accepted() {
        for (name, good) in [
            ("exp", vec![json!(i64::MAX), json!("9223372036854775807"), json!(" 1003600 "), json!(1e18)]),
            ("nbf", vec![json!(ABSENT), json!(0), json!(-1.5), json!(i64::MIN)]),
            ("iat", vec![json!(ABSENT), json!(1), json!("1"), json!(i64::MAX)]),
            ("iss", vec![json!(null), json!("x")]),
            ("jti", vec![json!(null), json!("x")]),
            ("azp", vec![json!(null), json!("x")]),
            ("sub", vec![json!(null), json!(7), json!("x")]),
            ("aud", vec![json!(null), json!("x"), json!([]), json!(["x", null])]),
        ] {
            for value in good {
                assert!(read(json!({ name: value })).is_ok(), "{name}: {value}");
            }
        }
    }

    #[test]
    fn scope_policy_requires_an_exact_scope_value() {
        let satisfied = |changes| read(changes).expect("a valid token").authorize(Policy::Application);
        assert_eq!(satisfied(json!({})), Ok(()));
        assert_eq!(satisfied(json!({"scope": "api"})), Ok(()));
        assert_eq!(satisfied(json!({"scope": "api offline_access"})), Err(Rejection::Scope));
        assert_eq!(satisfied(json!({"amr": "external"})), Ok(()));
        assert_eq!(satisfied(json!({"amr": ["APPLICATION"]})), Err(Rejection::Scope));
        assert_eq!(satisfied(json!({"amr": []})), Err(Rejection::Scope));
        assert_eq!(read(json!({"scope": "internal"})).expect("valid").authorize(Policy::Internal), Ok(()));
        assert_eq!(read(json!({})).expect("valid").authorize(Policy::Internal), Err(Rejection::Scope));
    }

    #[test]
    fn organization_claims_are_merged_without_duplicates() {
        let one = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
        let other = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
        let claims = read(json!({"orguser": [one.to_uppercase(), "joe", 7], "orgowner": one, "orgcustom": other}));
        let expected: Vec<Uuid> = [one, other].iter().map(|text| Uuid::try_parse(text).expect("a GUID")).collect();
        assert_eq!(*claims.expect("valid").organizations, expected);
    }

    #[test]
    fn sub_that_is_not_a_guid_yields_no_user() {
        assert_eq!(read(json!({"sub": "joe"})).expect("valid").user, None);
        assert_eq!(read(json!({"sub": null})).expect("valid").user, None);
    }

    #[test]
    fn issuer_unconfigured_is_checked_against_the_key_issuer() {
        let read = |issuer| {
            let claims = json!({ "exp": NOW + 1.0, "iss": "http://identity" });
            Claims::read(claims.to_string().as_bytes(), &rules(), issuer, NOW).map(|_| ())
        };
        assert_eq!(read(Some("http://identity")), Ok(()));
        assert_eq!(read(Some("http://identity:5000")), Err(Rejection::Issuer));
        assert_eq!(read(None), Ok(()));
    }

    #[test]
    fn issuer_and_audience_configured_are_enforced() {
        let rules =
            ValidationRules { issuer: Some("http://identity".into()), audiences: vec!["api".into()], clock_skew: 0.0 };
        let read =
            |claims: Value| Claims::read(claims.to_string().as_bytes(), &rules, Some("http://key"), NOW).map(|_| ());
        assert_eq!(read(json!({"exp": NOW + 1.0, "iss": "http://identity", "aud": ["x", "api"]})), Ok(()));
        assert_eq!(read(json!({"exp": NOW + 1.0, "aud": "api"})), Err(Rejection::Issuer));
        assert_eq!(read(json!({"exp": NOW + 1.0, "iss": "http://identity", "aud": "b"})), Err(Rejection::Audience));
    }
}
