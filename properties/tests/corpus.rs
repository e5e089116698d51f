//! Every check over the seeds in `fuzz/corpus`, over mutations of them, and over noise: the same in every run.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use notification_hub_properties::mutation::mutated;
use notification_hub_properties::random::Random;
use notification_hub_properties::{CHECKS, Check};

/// How many inputs are made for each check.
const MADE: u64 = 3000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

/// The seeds of a check, in the order of their names.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(corpus().join(name)).expect("every check has seeds");
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| file.expect("a file").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a seed")))
        .collect();
    seeds.sort();
    seeds
}

fn holds(name: &str, check: Check, input: &[u8], origin: &str) {
    assert!(catch_unwind(|| check(input)).is_ok(), "{name} does not hold for {origin}: b\"{}\"", input.escape_ascii());
}

fn every_seed_and_what_is_made_of_it(name: &str, check: Check) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for (path, seed) in &seeds {
        holds(name, check, seed, path);
    }
    for number in 0..MADE {
        let mut random = Random::new(number);
        let mut any = || seeds[random.below(seeds.len())].1.clone();
        let (one, other) = (any(), any());
        let input = match number % 16 {
            0 => {
                let length = random.below(300);
                random.bytes(length)
            }
            _ => mutated(&one, &other, &mut random),
        };
        holds(name, check, &input, &format!("the seed {number}"));
    }
}

#[test]
fn checks_hold() {
    // One check after the other would leave all cores but one idle.
    std::thread::scope(|scope| {
        let running = CHECKS.map(|(name, check)| scope.spawn(move || every_seed_and_what_is_made_of_it(name, check)));
        for thread in running {
            thread.join().expect("it holds");
        }
    });
}

#[test]
fn every_folder_and_every_target_belongs_to_a_check() {
    let fuzz = corpus().join("..");
    let names = |folder: PathBuf| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<String> =
            entries.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
        names.sort();
        names
    };
    let checks = CHECKS.map(|(name, _)| name);
    assert_eq!(names(fuzz.join("corpus")), checks);
    assert_eq!(names(fuzz.join("fuzz_targets")), checks);
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    for name in checks {
        let target = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).expect("a target");
        // Nothing compiles the targets but who fuzzes.
        let call =
            format!("libfuzzer_sys::fuzz_target!(|input: &[u8]| notification_hub_properties::run({name:?}, input));");
        assert_eq!(target, format!("#![no_main]\n\n{call}\n"));
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
