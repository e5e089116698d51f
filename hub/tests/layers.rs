//! Checks the order of the modules (`hub/src/lib.rs`): a module uses only modules below it. Checks also that a `mod` declares
//! every source file, and that no source file is too long.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the top to the bottom. Each may use the modules below it.
const ORDER: [&str; 19] = [
    "doctor",
    "server",
    "ingest",
    "backplane",
    "reactor",
    "http",
    "sender",
    "client",
    "auth",
    "observability",
    "catch_up",
    "delivery",
    "websocket",
    "signalr",
    "notification",
    "config",
    "azure_storage",
    "net",
    "secret",
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

/// Returns the top-level module of a file.
fn module(file: &Path) -> String {
    let first = file.strip_prefix(source()).expect("below src").components().next().expect("a name");
    Path::new(&first).with_extension("").display().to_string()
}

/// Returns the top-level modules that a source text uses: after each `crate::`, one name or a list in braces.
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

/// Returns the first name of each item of a list in braces.
fn names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !character.is_whitespace() => {
                names.extend(name(&list[index..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

/// Returns the identifier at the start of a path, or `None` if there is none.
fn name(path: &str) -> Option<String> {
    let end = path.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// Returns the position of a module in the order, 0 at the top.
fn position(module: &str) -> usize {
    ORDER.iter().position(|known| *known == module).unwrap_or_else(|| panic!("{module} is missing in ORDER"))
}

#[test]
fn modules_use_only_modules_below_them() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let module = module(&file);
        // The root of the library only declares modules. The subcommands belong to the binary and use the library by its name.
        if ["lib", "main", "cli"].contains(&module.as_str()) {
            continue;
        }
        for other in used(&fs::read_to_string(&file).expect("a file")) {
            if other != module && position(&other) < position(&module) {
                wrong.push(format!("{}: {other}", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The parts of a reactor are components that own their state: only the event loop sees all of them.
#[test]
fn reactor_is_implemented_only_in_the_event_loop() {
    let folder = source().join("reactor");
    let implements = |file: &PathBuf| fs::read_to_string(file).expect("a file").contains("impl Reactor {");
    let found: Vec<_> = files(&folder).into_iter().filter(implements).collect();
    assert_eq!(found, [folder.join("event_loop.rs")]);
}

/// A file that outgrows one noun is split.
#[test]
fn source_files_have_at_most_300_lines_before_their_tests() {
    let length = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a file");
        text.split("#[cfg(test)]\nmod tests").next().map_or(0, |code| code.lines().count())
    };
    let sources = files(&source()).into_iter().filter(|file| !file.ends_with("tests.rs"));
    let long: Vec<_> = sources.filter(|file| length(file) > 300).collect();
    assert!(long.is_empty(), "split {long:?}");
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
    let undeclared: Vec<_> = files.iter().filter(|file| !declared.contains(*file)).collect();
    assert!(undeclared.is_empty(), "no mod declares {undeclared:?}");
}

#[test]
fn used_modules_are_found_in_source_text() {
    let text = "use crate::auth::{self, Key};\nuse crate::{route, protocol::{a, b}, delivery};\n// crate::app\n\
                let x = crate::config::Config::parse();";
    let expected = ["auth", "config", "delivery", "protocol", "route"];
    assert_eq!(used(text), expected.map(str::to_owned).into());
}
