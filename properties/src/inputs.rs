//! Numbered inputs of a target: the committed seeds, then mutations of them and noise. The same seed and number make the same
//! input in every run.

use std::io;
use std::path::{Path, PathBuf};

use crate::mutation::mutate;
use crate::random::Random;

/// One of this many inputs is noise.
const NOISE_ONE_IN: u64 = 16;

/// The maximum length of noise.
const MAX_NOISE_BYTES: usize = 300;

/// The inputs of one target.
#[derive(Debug)]
pub struct Inputs {
    seeds: Vec<Vec<u8>>,
    seed: u64,
}

/// Returns the folder with the seeds of a target.
pub fn corpus(target: &str) -> PathBuf {
    fuzz_folder().join("corpus").join(target)
}

/// Returns the folder of the fuzz targets.
pub fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

impl Inputs {
    /// Reads the committed seeds of a target, in the order of their names. All other inputs depend on `seed`.
    ///
    /// # Errors
    /// If the folder cannot be read or is empty.
    pub fn read(target: &str, seed: u64) -> io::Result<Inputs> {
        let paths: io::Result<Vec<PathBuf>> = corpus(target).read_dir()?.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths?;
        paths.sort();
        let seeds: io::Result<Vec<_>> = paths.iter().map(std::fs::read).collect();
        let seeds = seeds?;
        if seeds.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{target}: no seeds in its folder; commit at least one"),
            ));
        }
        Ok(Inputs { seeds, seed: seed ^ Random::from_bytes(target.as_bytes()).number() })
    }

    /// Replaces the content of `input` by the input with this number.
    pub fn make(&self, number: u64, input: &mut Vec<u8>) {
        input.clear();
        if let Some(seed) = usize::try_from(number).ok().and_then(|number| self.seeds.get(number)) {
            return input.extend_from_slice(seed);
        }
        let mut random = Random::new(self.seed.wrapping_add(number));
        if number.is_multiple_of(NOISE_ONE_IN) {
            let count = random.below(MAX_NOISE_BYTES);
            return input.extend((0..count).map(|_| random.number() as u8));
        }
        let [one, other] = [(); 2].map(|()| &self.seeds[random.below(self.seeds.len())]);
        input.extend_from_slice(one);
        mutate(input, other, &mut random);
    }
}
