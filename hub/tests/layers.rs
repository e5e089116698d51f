//! The order of the stages (`hub/src/lib.rs`): a stage uses stages to its right and the shared nouns, never one to its
//! left; and every file is part of the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From where pushes come in to where their bytes go out.
const STAGES: [&str; 9] =
    ["source", "route", "backplane", "reactor", "catch_up", "transport", "connection", "protocol", "notification"];

/// What every stage may use; they use each other and no stage but those named in `EXCEPT`.
const SHARED: [&str; 11] = [
    "delivery",
    "config",
    "descriptors",
    "error_chain",
    "limits",
    "telemetry",
    "trust",
    "auth",
    "azure",
    "backoff",
    "reload",
];

/// What stands beside the stages and uses them: how a hub is put together, shown, ended and asked. No stage uses these.
const BESIDE: [&str; 7] = ["app", "admin", "preflight", "shutdown", "timely", "client", "sender"];

/// What those beside the stages may use of each other: the root puts everything together.
const OF_EACH_OTHER: [(&str, &[&str]); 1] = [("app", &["admin", "preflight", "shutdown", "timely"])];

/// Shared nouns that hold what a stage makes: frames, kinds of client, protocols.
const EXCEPT: [(&str, &[&str]); 3] = [
    ("delivery", &["notification", "protocol", "transport"]),
    ("telemetry", &["connection", "notification", "protocol"]),
    ("auth", &["notification"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}

/// The module at the top that a file belongs to.
fn module(file: &Path) -> String {
    let first = file.strip_prefix(source()).expect("below src").components().next().expect("a name");
    Path::new(&first).with_extension("").display().to_string()
}

/// The modules at the top that a text uses: behind every `crate::`, one name or a list in braces.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(list) => used.extend(names(list)),
            None => used.extend(name(path)),
        }
    }
    used
}

/// The names at the top of a list in braces, up to the end of the list.
fn names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !letter.is_whitespace() => {
                names.extend(name(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn name(path: &str) -> Option<String> {
    let end = path.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// Whether a module may use another one.
fn may_use(module: &str, other: &str) -> bool {
    let stage = |name: &str| STAGES.iter().position(|stage| *stage == name);
    let listed =
        |table: &[(&str, &[&str])]| table.iter().any(|(name, others)| *name == module && others.contains(&other));
    if module == other {
        return true;
    }
    if let Some(from) = stage(module) {
        return SHARED.contains(&other) || stage(other).is_some_and(|to| to > from);
    }
    if SHARED.contains(&module) {
        return SHARED.contains(&other) || listed(&EXCEPT);
    }
    if BESIDE.contains(&module) {
        return SHARED.contains(&other) || stage(other).is_some() || listed(&OF_EACH_OTHER);
    }
    false
}

#[test]
fn modules_use_no_stage_to_their_left() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let module = module(&file);
        // The library's root only declares; the commands are the binary's and use the library by its name.
        if ["lib", "main", "commands"].contains(&module.as_str()) {
            continue;
        }
        let known = |name: &str| STAGES.contains(&name) || SHARED.contains(&name) || BESIDE.contains(&name);
        assert!(known(&module), "{module} has no place in the order");
        for other in used(&fs::read_to_string(&file).expect("a file")) {
            if !may_use(&module, &other) {
                wrong.push(format!("{}: {other}", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn source_files_are_all_declared_by_a_mod() {
    let source = source();
    let files = files(&source);
    let mut declared = BTreeSet::from([source.join("lib.rs"), source.join("main.rs")]);
    for file in &files {
        let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => file.parent().expect("a folder").to_owned(),
            _ => file.with_extension(""),
        };
        for line in fs::read_to_string(file).expect("a file").lines() {
            let Some(name) = line.split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';')) else { continue };
            declared.insert(folder.join(name).with_extension("rs"));
            declared.insert(folder.join(name).join("mod.rs"));
        }
    }
    let lost: Vec<_> = files.iter().filter(|file| !declared.contains(*file)).collect();
    assert!(lost.is_empty(), "no mod declares {lost:?}");
}

#[test]
fn used_modules_are_found_in_source_text() {
    let text = "use crate::auth::{self, Key};\nuse crate::{route, protocol::{a, b}, delivery};\n// crate::app\n\
                let x = crate::config::Config::parse();";
    let expected = ["auth", "config", "delivery", "protocol", "route"];
    assert_eq!(used(text), expected.map(str::to_owned).into());
    assert!(may_use("route", "protocol") && !may_use("protocol", "route") && !may_use("reactor", "app"));
}
