//! Checks the pages of `docs/` against the programs: keys, names, metrics, tests, links and versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub::notification::PushType;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::pages::{block, cells, code, labels, named_blocks, read, root, table};
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient};
use notification_hub_tests::redis::ACL_RULES;
use notification_hub_tests::{frames, http, programs, wait};
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// Returns the settings of a hub that is configured only by this environment.
fn check_config(environment: &[(&str, &str)]) -> Result<(BTreeMap<String, Value>, Output)> {
    check_config_file(Path::new("/dev/null"), environment)
}

/// Returns the settings of a hub that is configured by a file and this environment.
fn check_config_file(file: &Path, environment: &[(&str, &str)]) -> Result<(BTreeMap<String, Value>, Output)> {
    let mut command = Command::new(programs::find("notification-hub")?);
    // The settings are printed before the error about missing keys.
    command.args(["check-config", "--json", "--config"]).arg(file).env_clear().envs(environment.iter().copied());
    let output = command.output()?;
    let settings = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    Ok((settings, output))
}

#[test]
fn configuration_page_lists_every_key_with_its_default() -> Result<()> {
    let page = table(&read("docs/configuration.md")?, "key")?;
    let (settings, _) = check_config(&[])?;
    let documented: Vec<&str> = page.iter().flat_map(|row| code(&row[0])).collect();
    ensure!(documented.len() == settings.len(), "{} keys are documented of {}", documented.len(), settings.len());
    for row in &page {
        let key = row[0].trim_matches('`');
        let default = settings.get(key).and_then(|setting| setting["value"].as_str());
        let default = default.with_context(|| format!("there is no key {key}"))?;
        let expected = match (key, default) {
            // The default depends on the machine.
            ("reactors", _) => "the number of CPUs, at most 4".to_owned(),
            (_, "") => "none".to_owned(),
            (_, value) => format!("`{value}`"),
        };
        ensure!(row[1] == expected, "the default of {key} is {expected}, not {}", row[1]);
    }
    Ok(())
}

#[test]
fn example_configuration_has_every_setting_with_its_default() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("test.secret");
    std::fs::write(&keys, [b'a'; 32])?;
    let environment = [("NOTIFICATION_HUB__AUTH__KEYS", keys.to_str().context("a path that is not UTF-8")?)];

    let (settings, output) = check_config_file(&root().join("docs/notification-hub.toml"), &environment)?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let (defaults, _) = check_config(&environment)?;
    for (key, default) in &defaults {
        ensure!(settings[key]["value"] == default["value"], "{key} is {}, not {default}", settings[key]);
    }

    // With its commented-out settings, the file has every key. They name files that do not exist, so the exit status is 2.
    let text = read("docs/notification-hub.toml")?;
    let is_setting = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let lines = text.lines().map(|line| line.strip_prefix("# ").filter(is_setting).unwrap_or(line));
    let complete = folder.path().join("complete.toml");
    std::fs::write(&complete, lines.collect::<Vec<_>>().join("\n"))?;
    let (settings, output) = check_config_file(&complete, &[])?;
    let missing: Vec<_> = settings.iter().filter(|(_, setting)| setting["origin"] == "default").collect();
    ensure!(settings.len() == defaults.len() && missing.is_empty(), "{missing:?} are missing: {output:?}");
    Ok(())
}

#[test]
fn bitwarden_page_names_set_the_documented_keys() -> Result<()> {
    let rows = table(&read("docs/bitwarden.md")?, "Bitwarden's name")?;
    let mut documented = BTreeSet::new();
    for row in &rows {
        let (name, example) = (row[0].trim_matches('`'), row[1].trim_matches('`'));
        let (settings, output) = check_config(&[(name, example)])?;
        let set = settings.iter().filter(|(_, setting)| setting["origin"] == name).map(|(key, _)| key.as_str());
        let expected: BTreeSet<&str> = code(&row[2]).into_iter().collect();
        ensure!(set.collect::<BTreeSet<_>>() == expected, "{name} sets others than {expected:?}: {settings:?}");
        let warned = String::from_utf8_lossy(&output.stderr).contains(&format!("warning: {name}: "));
        ensure!(warned == expected.is_empty(), "{name}: {output:?}");
        documented.insert(name.to_ascii_lowercase().trim_start_matches("globalsettings__").to_owned());
    }
    // All names that the program reads are constants of one file.
    let source = read("hub/src/config/bitwarden_env.rs")?;
    let constants = source.lines().filter_map(|line| line.strip_prefix("const ")?.split_once(": &str = "));
    let names = constants.map(|(_, value)| value.trim_matches(['"', ';']));
    let is_name = |value: &&str| value.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    let known: BTreeSet<String> =
        names.filter(is_name).filter(|name| !name.ends_with("__")).map(str::to_owned).collect();
    ensure!(known.len() > 5 && known == documented, "the program knows {known:?}, and the page has {documented:?}");
    Ok(())
}

/// Starts a hub with a client, and causes as many series as possible.
fn busy_hub() -> Result<(LocalHub, Listener)> {
    let hub = LocalHub::start("")?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &hub.token(USER, &[])?, "json", &[])?;
    hub.push(&json!({ "type": 11, "payload": { "userId": USER } }))?;
    client.notification(|push| push["type"] == 11)?;
    hub.push(&json!({ "type": 11, "payload": { "userId": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa" } }))?;
    ensure!(hub.post(b"[")?.status == 400);
    Ok((hub, client))
}

#[test]
fn metrics_page_lists_every_metric_with_its_labels() -> Result<()> {
    const PREFIX: &str = "notification_hub_";
    let text = read("docs/metrics.md")?;
    let page = table(&text, "metric")?;
    let (hub, _client) = busy_hub()?;
    let shown = wait::until("a delivery is counted", Duration::from_secs(10), || {
        let shown = http::get(hub.admin, "/metrics")?.text();
        ensure!(shown.contains("notification_hub_frames_delivered_total 1\n"), "{shown}");
        Ok(shown)
    })?;

    let types = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_prefix(PREFIX)?.split_once(' '));
    let types: BTreeMap<&str, &str> = types.collect();
    let documented: BTreeMap<&str, &str> = page.iter().map(|row| (row[0].trim_matches('`'), &*row[1])).collect();
    ensure!(documented == types, "the page has {documented:?}, and the hub {types:?}");

    for row in &page {
        let name = row[0].trim_matches('`');
        let expected = labels(&row[2])?;
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let series = shown.lines().filter_map(|line| line.strip_prefix(PREFIX)?.strip_prefix(name));
        for series in series.filter_map(|rest| rest.strip_prefix('{')?.split_once("\"}")) {
            for (label, value) in series.0.split("\",").filter_map(|pair| pair.split_once("=\"")) {
                seen.entry(label.to_owned()).or_default().insert(value.to_owned());
            }
        }
        ensure!(seen.keys().eq(expected.keys()), "{name} has the labels {seen:?}");
        for (label, values) in &expected {
            let Some(values) = values else { continue };
            ensure!(seen[label].is_subset(values), "{name}: {label} has the values {:?}", seen[label]);
            // Series of metrics with one label exist from the start.
            ensure!(expected.len() > 1 || seen[label] == *values, "{name}: {label} has only {:?}", seen[label]);
        }
    }

    let stages = table(&text, "stage")?;
    let stages: BTreeSet<_> = stages.iter().flat_map(|row| code(&row[0])).map(str::to_owned).collect();
    let row = page.iter().find(|row| row[0] == "`pushes_total`").context("no such row")?;
    ensure!(labels(&row[2])?["stage"].as_ref() == Some(&stages), "{stages:?}");
    Ok(())
}

/// Reads messages until one has this target, and an argument with the type and the payload of a push.
fn receive(client: &mut RawClient, target: &str, push: &Value) -> Result<()> {
    let payload = push["payload"].as_object().context("no payload")?;
    loop {
        let (_, text) = client.frame()?.context("the hub has closed the connection")?;
        for message in text.split(|byte| *byte == 0x1e).filter(|message| !message.is_empty()) {
            let message: Value = serde_json::from_slice(message)?;
            let received = &message["arguments"][0];
            let has = |(name, value): (&String, &Value)| received["payload"][name] == *value;
            if message["target"] == target && received["type"] == push["type"] && payload.iter().all(has) {
                return Ok(());
            }
        }
    }
}

#[test]
fn push_types_page_bodies_reach_their_recipients() -> Result<()> {
    const ORGANIZATION: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
    const LOGIN_REQUEST: &str = "11111111-2222-4333-8444-555555555555";
    let page = read("docs/push-types.md")?;
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(cells);
    let documented: BTreeMap<u64, String> =
        rows.filter_map(|row| Some((row[0].parse().ok()?, row[1].trim_matches('`').to_owned()))).collect();
    let known: BTreeMap<u64, String> =
        PushType::all().iter().map(|known| (u64::from(known.number), known.name.to_owned())).collect();
    ensure!(documented == known, "the page has {documented:?}, and the catalog {known:?}");

    let hub = LocalHub::start("")?;
    let connect = |path: &str, authorization: &str| -> Result<RawClient> {
        let mut connection = http::Connection::open(hub.public)?;
        connection.write(http::upgrade_request(path, "hub", authorization).as_bytes())?;
        ensure!(connection.response()?.status == 101, "{path} refuses a WebSocket");
        let mut client = RawClient::from(connection);
        client.send(&frames::frame(frames::opcode::TEXT, HANDSHAKE))?;
        client.read_until("{}")?;
        Ok(client)
    };
    let token = hub.token(USER, &[ORGANIZATION.to_owned()])?;
    let mut user = connect("/hub", &format!("Authorization: Bearer {token}\r\n"))?;
    let mut device = connect(&format!("/anonymous-hub?Token={LOGIN_REQUEST}"), "")?;

    let mut sent = BTreeSet::new();
    for body in named_blocks(&page)?.values() {
        for push in serde_json::Deserializer::from_str(body).into_iter::<Value>() {
            let push = push?;
            hub.push(&push)?;
            let received = match push["type"].as_u64() {
                Some(16) => receive(&mut device, "AuthRequestResponseRecieved", &push),
                _ => receive(&mut user, "ReceiveMessage", &push),
            };
            received.with_context(|| format!("not received: {push}"))?;
            sent.extend(push["type"].as_u64());
        }
    }
    ensure!(sent.iter().eq(documented.keys()), "the page has bodies of {sent:?}");
    Ok(())
}

/// Returns the anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .collect::<String>()
        .replace(' ', "-")
}

/// Checks that a `file#function` is a test, and returns the text of the file.
fn check_test(named: &str) -> Result<String> {
    let (file, function) = named.split_once('#').with_context(|| format!("{named} names no function"))?;
    let source = read(file)?;
    let end = source.find(&format!("fn {function}(")).with_context(|| format!("{file} has no {function}"))?;
    // The lines directly above the function are its attributes.
    let mut above = source[..end].rsplit('\n').skip(1).map(str::trim).take_while(|line| line.starts_with("#["));
    ensure!(above.any(|line| line == "#[test]" || line.starts_with("#[tokio::test")), "{named} is no test");
    Ok(source)
}

#[test]
fn features_page_names_only_existing_tests() -> Result<()> {
    let text = read("docs/features.md")?;
    let traps: Vec<_> = table(&text, "trap")?.into_iter().map(|row| row[0].clone()).collect();
    ensure!(traps == (1..=20).map(|trap| trap.to_string()).collect::<Vec<_>>(), "the traps are {traps:?}");
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains(".rs#"));
    let mut named = 0;
    for row in rows {
        let cells = cells(row);
        let last = cells.last().context("an empty row")?;
        ensure!(!code(last).is_empty(), "no test: {row}");
        for test in code(last) {
            check_test(test)?;
            named += 1;
        }
    }
    ensure!(named > 80, "only {named} tests are named");
    Ok(())
}

/// Collects the paths of the fields of a schema. A reference to a Secret is one field.
fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.insert(path.to_owned());
        return;
    };
    for (name, property) in properties {
        match name.as_str() {
            "secretKeyRef" | "secretRef" => _ = found.insert(path.to_owned()),
            name if path.is_empty() => fields(property, name, found),
            name => fields(property, &format!("{path}.{name}"), found),
        }
    }
}

#[test]
fn features_page_names_a_cluster_test_for_every_field() -> Result<()> {
    let definition: Value = serde_saphyr::from_str(&read("crds/yaml/notificationhubs.yaml")?)?;
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").context("no spec")?;
    let mut known = BTreeSet::new();
    fields(schema, "", &mut known);
    let rows = table(&read("docs/features.md")?, "field")?;
    let documented: BTreeSet<String> = rows.iter().flat_map(|row| code(&row[0])).map(str::to_owned).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    ensure!(missing.is_empty(), "docs/features.md names no test in a cluster for {missing:?}");
    ensure!(
        documented.is_subset(&known),
        "there are no fields {:?}",
        documented.difference(&known).collect::<Vec<_>>()
    );

    for row in &rows {
        let name = row[0].trim_matches('`').rsplit('.').next().unwrap_or_default();
        // The same patterns as in the Makefile.
        let cluster_tests = ["story.rs#", "tests/tests/stories/", "tests/tests/crd_rules.rs#"];
        let in_a_cluster = |test: &&str| cluster_tests.iter().any(|part| test.contains(part));
        let mut texts = code(&row[2]).into_iter().filter(in_a_cluster).map(applied).collect::<Result<Vec<_>>>()?;
        texts.retain(|text| text.contains(name));
        ensure!(!texts.is_empty(), "no test in a cluster that is named for {} has such a field", row[0]);
    }
    Ok(())
}

/// Collects the fields below a schema whose descriptions do not begin with their names, as those of Kubernetes' own kinds do.
fn misdescribed_fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if !property["description"].as_str().is_some_and(|text| text.starts_with(&format!("{name} "))) {
            found.push(path.clone());
        }
        misdescribed_fields(property, &path, found);
        misdescribed_fields(&property["items"], &path, found);
    }
}

#[test]
fn resource_descriptions_begin_with_the_names_of_their_fields() -> Result<()> {
    let definition: Value = serde_saphyr::from_str(&read("crds/yaml/notificationhubs.yaml")?)?;
    let mut found = Vec::new();
    for part in ["spec", "status"] {
        let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}");
        misdescribed_fields(definition.pointer(&pointer).context("no such part")?, part, &mut found);
    }
    ensure!(found.is_empty(), "these descriptions do not begin with the name of their field: {found:#?}");
    Ok(())
}

/// Returns the text of a test's file and of the samples that it names, which contain all manifests that the test may apply.
fn applied(test: &str) -> Result<String> {
    let mut text = check_test(test)?;
    let samples = text.split("crds/samples/").skip(1).filter_map(|rest| rest.split_once(".yaml"));
    let names: Vec<String> = samples.map(|(name, _)| format!("crds/samples/{name}.yaml")).collect();
    for name in names {
        text.push_str(&read(&name)?);
    }
    Ok(text)
}

#[test]
fn support_page_versions_equal_built_and_tested_versions() -> Result<()> {
    let page = read("docs/support.md")?;
    let after = |file: &str, before: &str| -> Result<String> {
        let text = read(file)?;
        let (_, rest) = text.split_once(before).with_context(|| format!("{file} has no {before}"))?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && !"._".contains(letter)).unwrap_or(rest.len());
        Ok(rest[..end].replace('_', "."))
    };
    let built = after("Cargo.toml", "features = [\"std\", \"v")?;
    let refused_below = after("charts/notification-hub-operator/Chart.yaml", "kubeVersion: \">=")?;
    ensure!(refused_below == format!("{built}.0"), "built for {built}, and the chart wants {refused_below}");
    ensure!(page.contains(&format!("\n{built} or later: ")), "the page does not say {built}");
    let tried = after("tests/cluster/components.sh", "kubernetes=")?;
    let (minor, _) = tried.rsplit_once('.').context("no patch version")?;
    ensure!(page.contains(&format!("Tests run with {minor}\nand no other.")), "tried is {minor}");
    for held in table(&page, "part")?.iter().flat_map(|row| code(&row[2])) {
        check_test(held)?;
    }
    Ok(())
}

/// All pages.
const PAGES: [&str; 28] = [
    "README.md",
    "charts/notification-hub-operator/README.md",
    "docs/bitwarden.md",
    "docs/configuration.md",
    "docs/deploy.md",
    "docs/features.md",
    "docs/gitops.md",
    "docs/install.md",
    "docs/metrics.md",
    "docs/operator.md",
    "docs/performance.md",
    "docs/scaling.md",
    "docs/secrets.md",
    "docs/proxies.md",
    "docs/push-types.md",
    "docs/runbooks.md",
    "docs/release.md",
    "docs/resource.md",
    "docs/security.md",
    "docs/support.md",
    "docs/troubleshooting.md",
    "docs/example/README.md",
    "docs/contributing/README.md",
    "docs/contributing/architecture.md",
    "docs/contributing/bitwarden.md",
    "docs/contributing/decisions.md",
    "docs/contributing/glossary.md",
    "docs/contributing/signalr.md",
];

#[test]
fn page_links_point_to_existing_files_and_headings() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in PAGES {
        let text = read(page)?;
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { root.join(page) } else { root.join(page).with_file_name(file) };
            ensure!(target.exists(), "{page}: there is no {link}");
            let is_it = |line: &str| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading;
            let found = heading.is_empty() || std::fs::read_to_string(&target)?.lines().any(is_it);
            ensure!(found, "{page}: {file} has no heading for {heading}");
        }
    }
    Ok(())
}

#[test]
fn doctor_advice_names_only_existing_pages_and_headings() -> Result<()> {
    let mut named = BTreeSet::new();
    for source in sources("hub/src/doctor")? {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let pages = code.split("\"docs/").skip(1).filter_map(|rest| rest.split_once('"'));
        named.extend(pages.map(|(page, _)| format!("docs/{page}")));
    }
    ensure!(named.len() > 5, "only {named:?} are named");
    for page in &named {
        let (file, heading) = page.split_once('#').unwrap_or((page, ""));
        let is_it = |line: &str| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading;
        ensure!(heading.is_empty() || read(file)?.lines().any(is_it), "there is no {page}");
    }
    Ok(())
}

/// Reasons without a problem.
const NO_TROUBLE: [&str; 9] = [
    "AsExpected",
    "Available",
    "Exposed",
    "NoConflict",
    "NotPaused",
    "NotRequested",
    "Resolved",
    "RolloutComplete",
    "Valid",
];

#[test]
fn troubleshooting_page_names_only_existing_conditions_metrics_and_settings() -> Result<()> {
    let page = read("docs/troubleshooting.md")?;
    let resource = read("docs/resource.md")?;
    let names = |first: &str| -> Result<BTreeSet<String>> {
        Ok(table(&resource, first)?.iter().map(|row| row[0].trim_matches('`').to_owned()).collect())
    };
    let (conditions, reasons) = (names("condition")?, names("reason")?);
    // In the column of symptoms, only the names of reasons and conditions.
    let mut named: BTreeSet<String> = BTreeSet::new();
    for row in table(&page, "symptom")? {
        let is_name = |name: &&str| name.starts_with(char::is_uppercase) && !matches!(*name, "False" | "True");
        named.extend(code(&row[0]).into_iter().filter(is_name).map(str::to_owned));
    }
    for row in table(&page, "condition")? {
        named.extend(code(&row[0]).into_iter().chain(code(&row[1])).map(str::to_owned));
    }
    let unknown: Vec<_> = named.iter().filter(|name| !conditions.contains(*name) && !reasons.contains(*name)).collect();
    ensure!(unknown.is_empty(), "there are no conditions or reasons {unknown:?}");
    let untold: Vec<_> =
        reasons.iter().filter(|name| !named.contains(*name) && !NO_TROUBLE.contains(&name.as_str())).collect();
    ensure!(untold.is_empty(), "what is to be done about {untold:?}?");
    let metrics = read("docs/metrics.md")?;
    // Only metrics of the hub. The operator has others.
    for page in [&page, &read("docs/operator.md")?] {
        for text in page.split("notification_hub_").skip(1).filter(|text| !text.starts_with("operator_")) {
            let end = text.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(text.len());
            let name = &text[..end];
            ensure!(metrics.contains(&format!("| `{name}` |")), "there is no metric {name}");
        }
    }
    let settings = read("docs/configuration.md")?;
    for name in code(&page).into_iter().filter(|name| name.starts_with("limits.") || name.starts_with("signalr.")) {
        ensure!(settings.contains(&format!("| `{name}` |")), "there is no setting {name}");
    }
    Ok(())
}

/// Returns the files with an extension in a folder of the project, with their texts.
fn files(folder: &str, extension: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut left = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    Ok(found)
}

/// Returns the texts of the Rust files in a folder of the project.
fn sources(folder: &str) -> Result<Vec<String>> {
    Ok(files(folder, "rs")?.into_iter().map(|(_, text)| text).collect())
}

/// Returns the documents that a text cites in backquotes, each with the number of its section, or `None`.
fn citations(text: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for (end, _) in text.match_indices(".md`") {
        let Some(start) = text[..end].rfind('`') else { continue };
        let name = &text[start + 1..end + ".md".len()];
        if name.contains(char::is_whitespace) {
            continue;
        }
        let behind = text[end + ".md`".len()..].strip_prefix(' ').unwrap_or_default();
        let length = behind.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(behind.len());
        let section = Some(behind[..length].trim_end_matches('.').to_owned()).filter(|section| !section.is_empty());
        found.push((name.to_owned(), section));
    }
    found
}

#[test]
fn citations_in_comments_and_pages_resolve() -> Result<()> {
    let mut checked = 0;
    let mut unresolved = BTreeSet::new();
    let folders = ["hub", "operator", "crds", "properties", "fuzz/fuzz_targets", "tests/src", "tests/tests"];
    let sources = folders.iter().map(|folder| files(folder, "rs")).collect::<Result<Vec<_>>>()?.concat();
    for (path, text) in sources.into_iter().chain(files("docs", "md")?) {
        let near = path.parent().context("a file has a folder")?;
        for (name, section) in citations(&text) {
            checked += 1;
            let folders = [near.to_owned(), root(), root().join("docs/contributing"), root().join("docs")];
            let document = folders.iter().map(|folder| folder.join(&name)).find(|document| document.is_file());
            let number =
                |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim_start().to_owned());
            let resolves = match (document, &section) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(document), Some(section)) => {
                    std::fs::read_to_string(document)?.lines().filter_map(number).any(|heading| {
                        heading.strip_prefix(section.as_str()).is_some_and(|rest| rest.starts_with([' ', '.']))
                            && !heading[section.len()..]
                                .trim_start_matches('.')
                                .starts_with(|next: char| next.is_ascii_digit())
                    })
                }
            };
            if !resolves {
                unresolved.insert(format!("{}: {name} {}", path.display(), section.unwrap_or_default()));
            }
        }
    }
    ensure!(unresolved.is_empty(), "no such document or section: {unresolved:#?}");
    ensure!(checked > 50, "only {checked} citations were found");
    Ok(())
}

/// Returns the name of the type that a line defines at the top of a module, or `None` if it defines none.
fn defined_type(line: &str) -> Option<&str> {
    let public = line.strip_prefix("pub").map(|rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        None => rest,
    });
    let item = public.unwrap_or(line).trim_start();
    let name = ["struct ", "enum ", "trait ", "type "].into_iter().find_map(|kind| item.strip_prefix(kind))?;
    name.split(|character: char| !character.is_alphanumeric() && character != '_').next()
}

/// A name stands for one thing in a crate. Programs, such as the commands of the hub, are crates of their own.
#[test]
fn type_names_are_unique_in_each_crate() -> Result<()> {
    let mut checked = 0;
    for folder in ["hub/src", "operator/src", "crds/src", "properties/src", "tests/src"] {
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, text) in files(folder, "rs")? {
            let path = path.display().to_string();
            if ["/src/bin/", "/hub/src/cli/", "/tests.rs"].iter().any(|part| path.contains(part)) {
                continue;
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            // Lines of items in a block are indented.
            for name in code.lines().filter(|line| !line.starts_with(' ')).filter_map(defined_type) {
                checked += 1;
                places.entry(name.to_owned()).or_default().insert(path.clone());
            }
        }
        places.retain(|_, files| files.len() > 1);
        ensure!(places.is_empty(), "types of {folder} have the same name: {places:#?}");
    }
    ensure!(checked > 300, "only {checked} types were found");
    Ok(())
}

/// Returns the constant messages of all warnings and errors in the sources of a folder. A message is the last string of its call.
fn logged(folder: &str) -> Result<BTreeSet<String>> {
    let mut messages = BTreeSet::new();
    for source in sources(folder)? {
        for rest in ["tracing::warn!(", "tracing::error!("].iter().flat_map(|level| source.split(level).skip(1)) {
            let mut depth = 1;
            let end = rest.find(|character: char| {
                depth += i32::from(character == '(') - i32::from(character == ')');
                depth == 0
            });
            let call = &rest[..end.context("a call without an end")?];
            messages.insert(call.rsplit('"').nth(1).context("a call without a message")?.to_owned());
        }
    }
    Ok(messages)
}

#[test]
fn troubleshooting_page_lists_exactly_the_warnings() -> Result<()> {
    let page = read("docs/troubleshooting.md")?;
    let column = |first: &str| -> Result<Vec<String>> {
        Ok(table(&page, first)?.iter().map(|row| row[0].trim_matches('`').to_owned()).collect())
    };
    for (folder, first, least) in [("hub/src", "log line", 20), ("operator/src", "log line of the operator", 15)] {
        let (lines, messages) = (column(first)?, logged(folder)?);
        ensure!(messages.len() > least, "only {messages:?} were found");
        for line in &lines {
            ensure!(messages.iter().any(|message| message.contains(line)), "{folder} does not log {line:?}");
        }
        for message in &messages {
            ensure!(
                lines.iter().any(|line| message.contains(line)),
                "{message:?} is not documented: give it a row in docs/troubleshooting.md"
            );
        }
    }
    let sources = sources("hub/src")?;
    for text in column("part of the message")? {
        ensure!(sources.iter().any(|source| source.contains(&text)), "the hub does not say {text:?}");
    }
    Ok(())
}

/// Returns the entries of the Secrets that the commands in a text create, each with the name of its Secret.
fn created_entries(commands: &str) -> Vec<(String, String)> {
    let commands = commands.replace("\\\n", " ");
    let mut entries = Vec::new();
    for line in commands.lines().filter_map(|line| line.trim().strip_prefix("kubectl create secret ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, name, options @ ..] = &*words else { continue };
        let mut add = |entry: &str| entries.push(((*name).to_owned(), entry.to_owned()));
        match *kind {
            "tls" => ["tls.crt", "tls.key"].into_iter().for_each(&mut add),
            "docker-registry" => add(".dockerconfigjson"),
            _ => {
                for option in options {
                    let source = option.strip_prefix("--from-literal=").or(option.strip_prefix("--from-file="));
                    source.into_iter().filter_map(|source| source.split('=').next()).for_each(&mut add);
                }
            }
        }
    }
    entries
}

/// Collects the entries of Secrets that a sample refers to, each with the name of its Secret.
fn needed_entries(value: &Value, found: &mut BTreeSet<(String, String)>) {
    let mut add = |name: &Value, entry: &str| {
        found.extend(name.as_str().map(|name| (name.to_owned(), entry.to_owned())));
    };
    add(&value["secretKeyRef"]["name"], value["secretKeyRef"]["key"].as_str().unwrap_or_default());
    add(&value["secretRef"]["name"], "public.pem");
    add(&value["tlsSecretName"], "tls.crt");
    add(&value["tlsSecretName"], "tls.key");
    for registry in value["pullSecrets"].as_array().into_iter().flatten() {
        add(&registry["name"], ".dockerconfigjson");
    }
    let below = value.as_object().into_iter().flat_map(|object| object.values());
    below.chain(value.as_array().into_iter().flatten()).for_each(|below| needed_entries(below, found));
}

#[test]
fn secrets_page_commands_create_the_entries_that_samples_need() -> Result<()> {
    let mut needed = BTreeSet::new();
    for (_, text) in files("crds/samples", "yaml")? {
        needed_entries(&serde_saphyr::from_str(&text)?, &mut needed);
    }
    let page = read("docs/secrets.md")?;
    let created: BTreeSet<_> = named_blocks(&page)?.values().flat_map(|block| created_entries(block)).collect();
    ensure!(created == needed, "the commands create {created:?}, and the samples need {needed:?}");
    for row in table(&page, "Secret")? {
        let listed = code(&row[1]);
        let name = row[0].trim_matches('`');
        let known = needed.iter().filter(|(secret, _)| secret == name);
        for (_, entry) in known {
            let is_listed = |pattern: &&str| entry.ends_with(pattern.trim_start_matches('*'));
            ensure!(listed.iter().any(is_listed), "the table lacks {name}/{entry}");
        }
    }
    Ok(())
}

/// The lite image shares a network with other services, which use most ports.
#[test]
fn bitwarden_page_lite_settings_are_valid() -> Result<()> {
    let page = read("docs/bitwarden.md")?;
    let compose: Value = serde_saphyr::from_str(block(&page, "lite")?)?;
    let environment = compose["services"]["notifications"]["environment"].as_object().context("no environment")?;
    let environment: Vec<_> =
        environment.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
    let (settings, output) = check_config(&environment)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !stderr.contains("warning"), "{output:?}");
    for (key, value) in [
        ("listen.public", "[::]:5006"),
        ("listen.internal", "127.0.0.1:5016"),
        ("auth.authority", "http://localhost:5005"),
    ] {
        ensure!(settings[key]["value"] == value, "{key} is {}", settings[key]);
    }
    Ok(())
}

/// The tests' hubs use Redis with these ACL rules.
#[test]
fn configuration_page_redis_acl_equals_the_tested_acl() -> Result<()> {
    let page = read("docs/configuration.md")?;
    let (_, command) = page.split_once("ACL SETUSER ").context("no such command")?;
    let (command, _) = command.split_once("```").context("a block without an end")?;
    let shown: BTreeSet<&str> = command.split_whitespace().filter(|word| word.starts_with('+')).collect();
    let tested: BTreeSet<&str> = ACL_RULES.into_iter().filter(|word| word.starts_with('+')).collect();
    ensure!(shown == tested, "{shown:?}, but {tested:?}");
    Ok(())
}

/// Readers copy these blocks.
#[test]
fn page_yaml_blocks_are_valid_yaml() -> Result<()> {
    let mut seen = 0;
    for page in PAGES {
        for rest in read(page)?.split("```yaml\n").skip(1) {
            let (block, _) = rest.split_once("```").with_context(|| format!("{page}: a block has no end"))?;
            serde_saphyr::from_str::<Value>(block).with_context(|| format!("{page}: {block}"))?;
            seen += 1;
        }
    }
    ensure!(seen > 20, "only {seen} blocks");
    Ok(())
}
