//! Runs every check over the seeds in `fuzz/corpus`, mutations of these, and noise. The inputs are the same in every run.

use std::fmt::Write;
use std::path::PathBuf;
use std::thread::available_parallelism;

use notification_hub_properties::CHECKS;
use notification_hub_properties::finding::minimize;
use notification_hub_properties::inputs::fuzz_folder;
use notification_hub_properties::target::Target;

/// The number of inputs of each check.
const INPUTS_PER_CHECK: u64 = 3000;

#[test]
fn checks_hold_for_seeds_mutations_and_noise() {
    let threads = available_parallelism().expect("cores").get();
    let mut found = String::new();
    for (name, check) in CHECKS {
        let mut target = Target::open(name, 0).expect("seeds");
        target
            .run(INPUTS_PER_CHECK, threads)
            .unwrap_or_else(|timed_out| panic!("{name}: b\"{}\"", timed_out.0.escape_ascii()));
        assert_eq!(target.tally.inputs, INPUTS_PER_CHECK);
        for (location, finding) in &target.tally.findings {
            let input = minimize(check, &finding.input, location);
            let _ = writeln!(found, "{name}: {}: b\"{}\"", finding.failure.message, input.escape_ascii());
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn corpus_folders_and_fuzz_targets_match_the_checks() {
    let fuzz = fuzz_folder();
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
        // Only `make fuzz` compiles the targets.
        let call =
            format!("libfuzzer_sys::fuzz_target!(|input: &[u8]| notification_hub_properties::run({name:?}, input));");
        assert_eq!(target, format!("#![no_main]\n\n{call}\n"));
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
