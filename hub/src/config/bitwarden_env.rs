//! Maps the environment of Bitwarden's deployments (`bitwarden.md` 2.9) to keys of the hub. No I/O.
//!
//! As in .NET, the case of names does not matter. Variables that start with `NOTIFICATION_HUB__` override these.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::net::ip_network::IpNetwork;

/// A value of one of the hub's keys, with the name of its variable.
pub(super) struct MappedSetting {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) name: String,
}

/// The prefix of Bitwarden's variables, in lower case.
const PREFIX: &str = "globalsettings__";

// Names of variables that the hub uses, without the prefix.
const INTERNAL_IDENTITY: &str = "baseserviceuri__internalidentity";
const INSTALLATION: &str = "installation__id";
const KNOWN_NETWORKS: &str = "knownnetworks";
const KNOWN_PROXIES: &str = "knownproxies";
const QUEUE: &str = "notifications__connectionstring";
const REDIS: &str = "notifications__redisconnectionstring";
const SELF_HOSTED: &str = "selfhosted";
const VAULT: &str = "baseserviceuri__vault";

/// The variable with the URLs that Kestrel listens on, the same for every ASP.NET service.
const URLS: &str = "aspnetcore_urls";

/// The address that listens on all interfaces.
const ALL_ADDRESSES: &str = "[::]";

/// The default URL of the identity service in a self-hosted deployment.
const SELF_HOSTED_IDENTITY: &str = "http://identity:5000";

/// Values that mean "not set" in upstream's templates, in lower case.
const PLACEHOLDERS: [&str; 3] = ["", "secret", "replace"];

/// Returns the settings that Bitwarden's variables set, and warnings about them.
pub(super) fn translate(environment: &[(String, String)]) -> (Vec<MappedSetting>, Vec<String>) {
    let mut variables: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (name, value) in environment {
        let lower = name.to_ascii_lowercase();
        let key = lower.strip_prefix(PREFIX).or((lower == URLS).then_some(URLS));
        if let Some(key) = key.filter(|_| !PLACEHOLDERS.contains(&value.trim().to_ascii_lowercase().as_str())) {
            variables.insert(key.to_owned(), (name, value.trim()));
        }
    }
    let (mut mapped, mut warnings) = (Vec::new(), Vec::new());
    let mut set = |key, value: String, name: &str| mapped.push(MappedSetting { key, value, name: name.to_owned() });
    let get = |key: &str| variables.get(key).copied();

    let self_hosted = get(SELF_HOSTED).filter(|(_, value)| value.eq_ignore_ascii_case("true"));
    if let Some((name, _)) = self_hosted {
        set("listen.send_on_public", "true".to_owned(), name);
    }
    if let Some((name, value)) = get(VAULT) {
        let cloud = if self_hosted.is_some() { "" } else { ",https://bitwarden.com" };
        set("cors.origins", format!("{value},{}{cloud}", super::DESKTOP_ORIGINS.join(",")), name);
    }
    match (get(INTERNAL_IDENTITY), self_hosted) {
        (Some((name, value)), _) => set("auth.authority", lower_scheme(value), name),
        (None, Some((name, _))) => set("auth.authority", SELF_HOSTED_IDENTITY.to_owned(), name),
        (None, None) => {}
    }
    // A self-hosted upstream service does not read the queue.
    if let (Some((name, value)), None) = (get(QUEUE), self_hosted) {
        set("source.kind", "azure_queue".to_owned(), name);
        set("source.azure_queue.connection_string", value.to_owned(), name);
    }
    if let Some((name, value)) = get(REDIS) {
        set("backplane.redis.url", value.to_owned(), name);
    }
    // Upstream's template has an id of zeros, which means "not set".
    if let Some((name, value)) = get(INSTALLATION).filter(|(_, value)| value.chars().any(|c| !"0-".contains(c))) {
        set("installation.id", value.to_owned(), name);
    }
    let mut proxies = Vec::new();
    for (name, value) in [KNOWN_PROXIES, KNOWN_NETWORKS].into_iter().filter_map(get) {
        proxies.push((name, parse_networks(name, value, &mut warnings)));
    }
    if let [(name, _), ..] = proxies[..] {
        let networks = proxies.iter().flat_map(|(_, networks)| networks).map(ToString::to_string);
        set("limits.trusted_proxies", networks.collect::<Vec<_>>().join(","), name);
    }
    if let Some((name, value)) = get(URLS) {
        set("listen.public", public_address(name, value, &mut warnings), name);
    }
    for (key, (name, _)) in &variables {
        if key.starts_with("notifications") && ![REDIS, QUEUE].contains(&key.as_str()) {
            warnings.push(format!("{name}: unknown setting; check its name"));
        }
    }
    (mapped, warnings)
}

/// Returns a URL with its scheme in lower case, as .NET reads it.
fn lower_scheme(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

/// Parses a list of addresses and networks. It skips other items with a warning, because the upstream service starts with them.
fn parse_networks(name: &str, list: &str, warnings: &mut Vec<String>) -> Vec<IpNetwork> {
    let mut networks = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
        match bare.parse() {
            Ok(network) => networks.push(network),
            Err(_) => warnings.push(format!(
                "{name}: {item:?} is not an address or network and is skipped; separate addresses with commas"
            )),
        }
    }
    networks
}

/// Returns `HOST:PORT` of the first `http` URL. As in Kestrel, a host that is neither `localhost` nor an address means all
/// addresses. Without an `http` URL, it returns the first URL unchanged, which the setting rejects.
fn public_address(name: &str, urls: &str, warnings: &mut Vec<String>) -> String {
    let urls: Vec<&str> = urls.split(';').map(str::trim).filter(|url| !url.is_empty()).collect();
    let served = urls.iter().find_map(|url| Some((url, host_and_port(url)?)));
    let Some((served, address)) = served else { return urls.first().copied().unwrap_or_default().to_owned() };
    for url in urls.iter().filter(|url| *url != served) {
        warnings.push(format!("{name}: {url} is skipped; the hub listens for clients on {served} only"));
    }
    address
}

/// Returns the `HOST:PORT` that Kestrel would listen on for an `http` URL, or `None` for another text.
fn host_and_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if !scheme.eq_ignore_ascii_case("http") || rest.is_empty() || rest.contains('/') {
        return None;
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, 80u16),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_specific = host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
    Some(format!("{}:{port}", if is_specific { host } else { ALL_ADDRESSES }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate_owned(environment: &[(&str, &str)]) -> (Vec<(&'static str, String)>, Vec<String>) {
        let environment: Vec<_> = environment.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (mapped, warnings) = translate(&environment);
        (mapped.into_iter().map(|setting| (setting.key, setting.value)).collect(), warnings)
    }

    #[test]
    fn self_hosted_environment_maps_to_settings() {
        let (keys, warnings) = translate_owned(&[
            ("globalSettings__selfHosted", "true"),
            ("GLOBALSETTINGS__BASESERVICEURI__INTERNALIDENTITY", "HTTP://vault-identity:5000"),
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
            ("limits.trusted_proxies", "10.0.0.1/32,10.0.0.2/32,10.1.0.0/16"),
            ("listen.public", "[::]:5000"),
        ];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn placeholder_values_are_ignored_and_self_hosted_defaults_apply() {
        let (keys, _) = translate_owned(&[
            ("globalSettings__selfHosted", "True"),
            ("globalSettings__installation__id", "00000000-0000-0000-0000-000000000000"),
            ("globalSettings__notifications__redisConnectionString", "SECRET"),
        ]);
        let expected = [("listen.send_on_public", "true"), ("auth.authority", SELF_HOSTED_IDENTITY)];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(translate_owned(&[("globalSettings__selfHosted", "false")]).0, []);
    }

    #[test]
    fn notifications_connection_string_selects_queue_unless_self_hosted() {
        let queue = ("globalSettings__notifications__connectionString", "UseDevelopmentStorage=true");
        let (keys, warnings) = translate_owned(&[queue]);
        assert_eq!(warnings, [""; 0]);
        let expected =
            [("source.kind", "azure_queue"), ("source.azure_queue.connection_string", "UseDevelopmentStorage=true")];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
        let (keys, warnings) = translate_owned(&[queue, ("globalSettings__selfHosted", "true")]);
        assert_eq!(warnings, [""; 0]);
        assert!(keys.iter().all(|(key, _)| !key.starts_with("source.")), "{keys:?}");
        assert_eq!(translate_owned(&[(queue.0, "SECRET")]).0, []);
    }

    #[test]
    fn unknown_notifications_setting_is_a_warning() {
        let (_, warnings) = translate_owned(&[
            ("globalSettings__notifications__conectionString", "x"),
            ("globalSettings__mail__smtp__host", "x"),
            ("globalSettings__notificationHubPool__x", "x"),
        ]);
        assert_eq!(warnings, ["globalSettings__notifications__conectionString: unknown setting; check its name"]);
    }

    #[test]
    fn known_proxies_invalid_address_is_skipped_with_a_warning() {
        let name = "globalSettings__knownProxies";
        let (keys, warnings) = translate_owned(&[(name, "nginx, [::1],10.0.0.1;10.0.0.2,*,10.0.0.3")]);
        assert_eq!(keys, [("limits.trusted_proxies", "::1/128,10.0.0.3/32".to_owned())]);
        let skipped = ["nginx", "10.0.0.1;10.0.0.2", "*"].map(|item| {
            format!("{name}: {item:?} is not an address or network and is skipped; separate addresses with commas")
        });
        assert_eq!(warnings, skipped);
    }

    #[test]
    fn aspnetcore_urls_host_maps_to_address_or_wildcard() {
        for (urls, address) in [
            ("http://+:5000", "[::]:5000"),
            ("HTTP://+:5000", "[::]:5000"),
            ("http://bitwarden-notifications:7810", "[::]:7810"),
            ("http://localhost:5006/", "localhost:5006"),
            ("http://127.0.0.1:0", "127.0.0.1:0"),
            ("http://[::]:5000", "[::]:5000"),
            ("http://+", "[::]:80"),
            ("https://+:5001", "https://+:5001"),
            ("http://[::]", "[::]:80"),
            ("http://+:500000", "http://+:500000"),
            ("http://+:5000/base", "http://+:5000/base"),
            ("http://unix:/run/hub.sock", "http://unix:/run/hub.sock"),
        ] {
            let (keys, warnings) = translate_owned(&[("ASPNETCORE_URLS", urls)]);
            assert_eq!((keys, warnings.len()), (vec![("listen.public", address.to_owned())], 0), "{urls}");
        }
    }

    #[test]
    fn aspnetcore_urls_after_first_supported_are_skipped_with_warning() {
        let (keys, warnings) = translate_owned(&[("ASPNETCORE_URLS", "https://+:5001; http://*:80;http://+:81")]);
        assert_eq!(keys, [("listen.public", "[::]:80".to_owned())]);
        let skipped = ["https://+:5001", "http://+:81"]
            .map(|url| format!("ASPNETCORE_URLS: {url} is skipped; the hub listens for clients on http://*:80 only"));
        assert_eq!(warnings, skipped);
    }
}
