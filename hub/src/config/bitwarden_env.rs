//! The names under which Bitwarden's deployments give their settings (`bitwarden.md` 2.9), turned into our keys. No I/O.
//!
//! Case does not matter, as .NET does not mind it. Own names win over these.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::net::ip_network::IpNetwork;

/// A value under one of our keys, with the name that it came from.
pub(super) struct MappedSetting {
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

/// The host that listens on every address of the machine.
const ALL_ADDRESSES: &str = "0.0.0.0";

/// Where the identity service is in a self-hosted deployment that does not say.
const SELF_HOSTED_IDENTITY: &str = "http://identity:5000";

/// Values that stand for none in the templates of the original.
const PLACEHOLDERS: [&str; 3] = ["", "secret", "replace"];

/// What an environment says in Bitwarden's names, and what of it is odd.
pub(super) fn translate(environment: &[(String, String)]) -> (Vec<MappedSetting>, Vec<String>) {
    let mut given: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (name, value) in environment {
        let lower = name.to_ascii_lowercase();
        let key = lower.strip_prefix(PREFIX).or((lower == URLS).then_some(URLS));
        if let Some(key) = key.filter(|_| !PLACEHOLDERS.contains(&value.trim().to_ascii_lowercase().as_str())) {
            given.insert(key.to_owned(), (name, value.trim()));
        }
    }
    let (mut translated, mut warnings) = (Vec::new(), Vec::new());
    let mut put = |key, value: String, name: &str| translated.push(MappedSetting { key, value, name: name.to_owned() });
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
        (Some((name, value)), _) => put("auth.authority", lower_scheme(value), name),
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
    let mut proxies = Vec::new();
    for (name, value) in [KNOWN_PROXIES, KNOWN_NETWORKS].into_iter().filter_map(get) {
        proxies.push((name, trusted(name, value, &mut warnings)));
    }
    if let [(name, _), ..] = proxies[..] {
        let all = proxies.iter().flat_map(|(_, trusted)| trusted).map(ToString::to_string);
        put("limits.trusted_proxies", all.collect::<Vec<_>>().join(","), name);
    }
    if let Some((name, value)) = get(URLS) {
        put("listen.public", public_address(name, value, &mut warnings), name);
    }
    for (key, (name, _)) in &given {
        if key.starts_with("notifications") && ![REDIS, QUEUE].contains(&key.as_str()) {
            warnings.push(format!("{name}: there is no such setting"));
        }
    }
    (translated, warnings)
}

/// Returns a URL with its scheme in lower case, as .NET reads it.
fn lower_scheme(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

/// Returns the addresses and networks of a list. As in the original, an item that is neither is left out: a deployment that
/// ran with the original runs with this hub.
fn trusted(name: &str, list: &str, warnings: &mut Vec<String>) -> Vec<IpNetwork> {
    let mut networks = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
        match bare.parse() {
            Ok(network) => networks.push(network),
            Err(_) => warnings.push(format!(
                "{name}: {item:?} is no address or network and is left out; separate addresses with commas"
            )),
        }
    }
    networks
}

/// Returns `HOST:PORT` of the first URL by Kestrel's rules: a host other than `localhost` or an address means all addresses. A
/// text that is no `http` URL comes back as it is, for the setting to refuse.
fn public_address(name: &str, urls: &str, warnings: &mut Vec<String>) -> String {
    let urls: Vec<&str> = urls.split(';').map(str::trim).filter(|url| !url.is_empty()).collect();
    let served = urls.iter().find_map(|url| Some((url, host_and_port(url)?)));
    let Some((served, address)) = served else { return urls.first().copied().unwrap_or_default().to_owned() };
    for url in urls.iter().filter(|url| *url != served) {
        warnings.push(format!("{name}: {url} is left out; the hub listens for clients on {served} only"));
    }
    address
}

/// Returns what an `http` URL of Kestrel's listens on, or `None` for another text.
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
    let known = host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
    Some(format!("{}:{port}", if known { host } else { ALL_ADDRESSES }))
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
    fn self_hosted_environment_maps_to_settings() {
        let (keys, warnings) = translated(&[
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
            ("listen.public", "0.0.0.0:5000"),
        ];
        assert_eq!(keys, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn placeholder_values_are_ignored_and_self_hosted_defaults_apply() {
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
    fn notifications_connection_string_selects_queue_unless_self_hosted() {
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
    fn unknown_notifications_setting_is_a_warning() {
        let (_, warnings) = translated(&[
            ("globalSettings__notifications__conectionString", "x"),
            ("globalSettings__mail__smtp__host", "x"),
            ("globalSettings__notificationHubPool__x", "x"),
        ]);
        assert_eq!(warnings, ["globalSettings__notifications__conectionString: there is no such setting"]);
    }

    #[test]
    fn known_proxies_invalid_address_is_skipped_with_a_warning() {
        let name = "globalSettings__knownProxies";
        let (keys, warnings) = translated(&[(name, "nginx, [::1],10.0.0.1;10.0.0.2,*,10.0.0.3")]);
        assert_eq!(keys, [("limits.trusted_proxies", "::1/128,10.0.0.3/32".to_owned())]);
        let left_out = ["nginx", "10.0.0.1;10.0.0.2", "*"].map(|item| {
            format!("{name}: {item:?} is no address or network and is left out; separate addresses with commas")
        });
        assert_eq!(warnings, left_out);
    }

    #[test]
    fn aspnetcore_urls_host_maps_to_address_or_wildcard() {
        for (urls, address) in [
            ("http://+:5000", "0.0.0.0:5000"),
            ("HTTP://+:5000", "0.0.0.0:5000"),
            ("http://bitwarden-notifications:7810", "0.0.0.0:7810"),
            ("http://localhost:5006/", "localhost:5006"),
            ("http://127.0.0.1:0", "127.0.0.1:0"),
            ("http://[::]:5000", "[::]:5000"),
            ("http://+", "0.0.0.0:80"),
            ("https://+:5001", "https://+:5001"),
            ("http://[::]", "[::]:80"),
            ("http://+:500000", "http://+:500000"),
            ("http://+:5000/base", "http://+:5000/base"),
            ("http://unix:/run/hub.sock", "http://unix:/run/hub.sock"),
        ] {
            let (keys, warnings) = translated(&[("ASPNETCORE_URLS", urls)]);
            assert_eq!((keys, warnings.len()), (vec![("listen.public", address.to_owned())], 0), "{urls}");
        }
    }

    #[test]
    fn aspnetcore_urls_after_first_supported_are_skipped_with_warning() {
        let (keys, warnings) = translated(&[("ASPNETCORE_URLS", "https://+:5001; http://*:80;http://+:81")]);
        assert_eq!(keys, [("listen.public", "0.0.0.0:80".to_owned())]);
        let left_out = ["https://+:5001", "http://+:81"]
            .map(|url| format!("ASPNETCORE_URLS: {url} is left out; the hub listens for clients on http://*:80 only"));
        assert_eq!(warnings, left_out);
    }
}
