//! Generates `docs/resource.md`, which documents every field of the resource, from the CRD and the samples.

mod kind;
mod sample;

use std::fmt::Write;

use notification_hub_crds::condition::{ConditionType, Reason};
use notification_hub_crds::field::{Field, Rule, fields, rules};
use serde_json::Value;

use self::kind::kind;
pub(crate) use self::sample::{Sample, samples};

/// Line below which the page is generated.
pub(crate) const MARKER: &str =
    "<!-- Below is generated: change the types in crds/src, or a sample, and run `make generated`. -->\n";

/// Returns the generated part of the page, from one version of the CRD.
pub(crate) fn page(version: &Value, samples: &[Sample]) -> String {
    let schema = &version["schema"]["openAPIV3Schema"];
    let (fields, rules) = (fields(schema), rules(schema));
    let mut page = minimal_resource(samples);
    page.push_str("\n## Name\n");
    page.push_str(&rule_list(&rules, |rule| rule.path.is_empty()));
    let tops = || fields.iter().filter(|field| field.path.starts_with("spec.") && field.path.matches('.').count() == 1);
    let links: Vec<_> =
        tops().map(|top| format!("[`{0}`](#{1})", name(top), top.path.replace('.', "").to_lowercase())).collect();
    let _ = write!(page, "\n## `spec`\n\n{}\n", links.join(", "));
    page.push_str(&rule_list(&rules, |rule| rule.path == "spec"));
    for top in tops() {
        let is_within = |path: &str| path == top.path || path.starts_with(&format!("{}.", top.path));
        let within: Vec<&Field> = fields.iter().filter(|field| is_within(&field.path)).collect();
        let _ = write!(page, "\n### `{}`\n\n{}", top.path, spec_table(&within));
        page.push_str(&rule_list(&rules, |rule| is_within(&rule.path)));
        page.push_str(&examples(top, &within, samples));
    }
    page.push_str("\n## `status`\n\nThe operator writes the status.\n\n");
    page.push_str(&status_table(fields.iter().filter(|field| field.path.starts_with("status."))));
    page.push_str(&conditions());
    page.push_str(&columns(version));
    page
}

fn minimal_resource(samples: &[Sample]) -> String {
    let sample = samples.iter().find(|sample| sample.name == "minimal.yaml").expect("minimal.yaml");
    format!("\n## Minimal resource\n\n{}:\n\n```yaml\n{}```\n", sample.link(), sample.text)
}

fn spec_table(fields: &[&Field]) -> String {
    let mut table = "| field | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for field in fields {
        let default = if field.required { "required".to_owned() } else { field.default().unwrap_or_default() };
        let _ =
            writeln!(table, "| `{}` | {} | {default} | {} |", name(field), cell(&kind(&field.schema)), field.meaning());
    }
    table
}

fn status_table<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let mut table = "| field | type | meaning |\n|---|---|---|\n".to_owned();
    for field in fields {
        let path = field.path.trim_start_matches("status.");
        let _ = writeln!(table, "| `{path}` | {} | {} |", cell(&kind(&field.schema)), field.meaning());
    }
    table
}

/// Returns a list of the messages of rules.
fn rule_list(rules: &[Rule], chosen: impl Fn(&Rule) -> bool) -> String {
    let chosen: Vec<_> = rules.iter().filter(|rule| chosen(rule)).collect();
    let mut text = String::new();
    if !chosen.is_empty() {
        text.push_str("\nValidation rules:\n\n");
    }
    for Rule { path, message } in chosen {
        let path = path.trim_start_matches("spec.");
        let path = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        let _ = writeln!(text, "- {path}`{message}`");
    }
    text
}

/// Returns fragments of samples that together show every field that any sample sets.
fn examples(top: &Field, within: &[&Field], samples: &[Sample]) -> String {
    let mut left: Vec<&Field> = within.to_vec();
    let mut text = String::new();
    loop {
        let shown = |sample: &&Sample| left.iter().filter(|field| field.is_set_in(&sample.resource)).count();
        // The first sample of those that show the most fields.
        let best = samples.iter().rev().max_by_key(shown).filter(|sample| shown(sample) > 0);
        let Some(best) = best else { return text };
        let _ = write!(text, "\n{}:\n\n```yaml\n{}```\n", best.link(), best.fragment(top));
        left.retain(|field| !field.is_set_in(&best.resource));
    }
}

fn conditions() -> String {
    let mut text = "\n### Conditions\n\n| condition | `True` means |\n|---|---|\n".to_owned();
    for (name, meaning) in ConditionType::descriptions() {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text.push_str("\n### Reasons\n\n| reason | conditions | meaning |\n|---|---|---|\n");
    for (name, described) in Reason::descriptions() {
        let (conditions, meaning) = described.split_once(": ").expect("conditions and a meaning");
        let _ = writeln!(text, "| `{name}` | {conditions} | {meaning} |");
    }
    text
}

fn columns(version: &Value) -> String {
    let mut text = "\n### Columns\n\nColumns of `kubectl get nhub`:\n\n| column | shows |\n|---|---|\n".to_owned();
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let text_of = |key: &str| column[key].as_str().unwrap_or_default();
        let wide = if column.get("priority").is_some() { ", with `-o wide`" } else { "" };
        let _ = writeln!(text, "| `{}` | {}{wide} |", text_of("name").to_uppercase(), text_of("description"));
    }
    text
}

/// Returns the path of a field on the page, relative to the spec.
fn name(field: &Field) -> &str {
    field.path.trim_start_matches("spec.")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
