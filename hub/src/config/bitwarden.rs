//! The names under which Bitwarden's deployments give their settings (`bitwarden.md` 2.9), turned into our keys. Pure.
//!
//! Case does not matter, as .NET does not mind it. Own names win over these.

use std::collections::BTreeMap;

/// A value under one of our keys, with the name that it came from.
pub(super) struct Translated {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) name: String,
}

const PREFIX: &str = "globalsettings__";

/// Names that concern this service, behind the prefix; what they say is told below.
const INTERNAL_IDENTITY: &str = "baseserviceuri__internalidentity";
const INSTALLATION: &str = "installation__id";
const KNOWN_NETWORKS: &str = "knownnetworks";
const KNOWN_PROXIES: &str = "knownproxies";
const QUEUE: &str = "notifications__connectionstring";
const REDIS: &str = "notifications__redisconnectionstring";
const SELF_HOSTED: &str = "selfhosted";

const VAULT: &str = "baseserviceuri__vault";

/// Where Kestrel listens; the same variable serves every ASP.NET service.
const URLS: &str = "aspnetcore_urls";

/// Where the identity service is in a self-hosted deployment that does not say.
const SELF_HOSTED_IDENTITY: &str = "http://identity:5000";

/// Values that stand for none in the templates of the original.
const PLACEHOLDERS: [&str; 3] = ["", "secret", "replace"];

/// What an environment says in Bitwarden's names, and what of it is odd.
pub(super) fn translate(environment: &[(String, String)]) -> (Vec<Translated>, Vec<String>) {
    let mut given: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (name, value) in environment {
        let lower = name.to_ascii_lowercase();
        let key = lower.strip_prefix(PREFIX).or((lower == URLS).then_some(URLS));
        if let Some(key) = key.filter(|_| !PLACEHOLDERS.contains(&value.trim().to_ascii_lowercase().as_str())) {
            given.insert(key.to_owned(), (name, value.trim()));
        }
    }
    let mut translated = Vec::new();
    let mut put = |key, value: String, name: &str| translated.push(Translated { key, value, name: name.to_owned() });
    let get = |key: &str| given.get(key).copied();

    let self_hosted = get(SELF_HOSTED).filter(|(_, value)| value.eq_ignore_ascii_case("true"));
    if let Some((name, _)) = self_hosted {
        put("listen.send_on_public", "true".to_owned(), name);
    }
    if let Some((name, value)) = get(VAULT) {
        let cloud = if self_hosted.is_some() { "" } else { ",https://bitwarden.com" };
        put("cors.origins", format!("{value},{}{cloud}", super::ORIGINS.join(",")), name);
    }
    match (get(INTERNAL_IDENTITY), self_hosted) {
        (Some((name, value)), _) => put("auth.authority", value.to_owned(), name),
        (None, Some((name, _))) => put("auth.authority", SELF_HOSTED_IDENTITY.to_owned(), name),
        (None, None) => {}
    }
    // Self-hosted, the original does not read the queue.
    if let (Some((name, value)), None) = (get(QUEUE), self_hosted) {
        put("source.kind", "azure_queue".to_owned(), name);
        put("source.azure_queue.connection_string", value.to_owned(), name);
    }
    if let Some((name, value)) = get(REDIS) {
        put("backplane.redis.url", value.to_owned(), name);
    }
    // The template of the original begins with an id that is none.
    if let Some((name, value)) = get(INSTALLATION).filter(|(_, value)| value.chars().any(|c| !"0-".contains(c))) {
        put("installation.id", value.to_owned(), name);
    }
    let proxies: Vec<(&str, &str)> = [KNOWN_PROXIES, KNOWN_NETWORKS].into_iter().filter_map(get).collect();
    if let [(name, _), ..] = proxies[..] {
        let all: Vec<&str> = proxies.iter().map(|(_, value)| *value).collect();
        put("limits.trusted_proxies", all.join(","), name);
    }
    if let Some((name, value)) = get(URLS) {
        put("listen.public", first_address(value), name);
    }
    let warnings = given.iter().filter_map(|(key, (name, _))| match key.as_str() {
        REDIS | QUEUE => None,
        key if key.starts_with("notifications") => Some(format!("{name}: there is no such setting")),
        _ => None,
    });
    let warnings = warnings.collect();
    (translated, warnings)
}

/// The address of `http://+:5000` and the like; what it does not understand it leaves, to be complained of.
fn first_address(urls: &str) -> String {
    let first = urls.split(';').next().unwrap_or(urls).trim().trim_end_matches('/');
    let Some(rest) = first.strip_prefix("http://") else { return first.to_owned() };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port),
        _ => (rest, "80"),
    };
    let host = if matches!(host, "+" | "*") { "0.0.0.0" } else { host };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(environment: &[(&str, &str)]) -> (Vec<(&'static str, String)>, Vec<String>) {
        let environment: Vec<_> = environment.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (translated, warnings) = translate(&environment);
        (translated.into_iter().map(|each| (each.key, each.value)).collect(), warnings)
    }

    #[test]
    fn a_self_hosted_environment() {
        let (keys, warnings) = translated(&[
            ("globalSettings__selfHosted", "true"),
            ("GLOBALSETTINGS__BASESERVICEURI__INTERNALIDENTITY", "http://vault-identity:5000"),
            ("globalSettings__baseServiceUri__vault", "https://vault.example"),
            ("globalSettings__installation__id", "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"),
            ("globalSettings__notifications__redisConnectionString", "redis:6379,password=x"),
            ("globalSettings__sqlServer__connectionString", "Data Source=x"),
            ("globalSettings__knownProxies", "10.0.0.1, 10.0.0.2"),
            ("globalSettings__knownNetworks", "10.1.0.0/16"),
            ("ASPNETCORE_URLS", "http://+:5000"),
        ]);
        assert_eq!(warnings, [""; 0]);
        let expected = [
            ("listen.send_on_public", "true"),
            ("cors.origins", "https://vault.example,file://,bw-desktop-file://bundle"),
            ("auth.authority", "http://vault-identity:5000"),
            ("backplane.redis.url", "redis:6379,password=x"),
            ("installation.id", "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"),
            ("limits.trusted_proxies", "10.0.0.1, 10.0.0.2,10.1.0.0/16"),
            ("listen.public", "0.0.0.0:5000"),
        ];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn placeholders_are_nothing_and_defaults_are_those_of_the_original() {
        let (keys, _) = translated(&[
            ("globalSettings__selfHosted", "True"),
            ("globalSettings__installation__id", "00000000-0000-0000-0000-000000000000"),
            ("globalSettings__notifications__redisConnectionString", "SECRET"),
        ]);
        let expected = [("listen.send_on_public", "true"), ("auth.authority", SELF_HOSTED_IDENTITY)];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(translated(&[("globalSettings__selfHosted", "false")]).0, []);
    }

    #[test]
    fn the_clouds_queue() {
        let queue = ("globalSettings__notifications__connectionString", "UseDevelopmentStorage=true");
        let (keys, warnings) = translated(&[queue]);
        assert_eq!(warnings, [""; 0]);
        let expected =
            [("source.kind", "azure_queue"), ("source.azure_queue.connection_string", "UseDevelopmentStorage=true")];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
        let (keys, warnings) = translated(&[queue, ("globalSettings__selfHosted", "true")]);
        assert_eq!(warnings, [""; 0]);
        assert!(keys.iter().all(|(key, _)| !key.starts_with("source.")), "{keys:?}");
        assert_eq!(translated(&[(queue.0, "SECRET")]).0, []);
    }

    #[test]
    fn unknown_names_that_concern_this_service_are_odd() {
        let (_, warnings) = translated(&[
            ("globalSettings__notifications__conectionString", "x"),
            ("globalSettings__mail__smtp__host", "x"),
            ("globalSettings__notificationHubPool__x", "x"),
        ]);
        assert_eq!(warnings, ["globalSettings__notifications__conectionString: there is no such setting"]);
    }

    #[test]
    fn addresses_as_kestrel_writes_them() {
        for (urls, address) in [
            ("http://+:5000", "0.0.0.0:5000"),
            ("http://*:80;http://+:81", "0.0.0.0:80"),
            ("http://localhost:5006/", "localhost:5006"),
            ("http://[::]:5000", "[::]:5000"),
            ("http://+", "0.0.0.0:80"),
            ("https://+:5001", "https://+:5001"),
        ] {
            assert_eq!(first_address(urls), address, "{urls}");
        }
    }
}
