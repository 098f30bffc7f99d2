//! By what storage nodes know a log: a number that is made once and lies beside it.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "identity";

/// The log's number; a log that has none yet is given one.
///
/// # Errors
/// A folder that cannot be read or written.
pub(super) fn of_log(folder: &Path) -> io::Result<u64> {
    let path = folder.join(FILE);
    let known = match fs::read_to_string(&path) {
        Ok(text) => u64::from_str_radix(text.trim(), 16).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(known) = known {
        return Ok(known);
    }
    let number = random();
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(format!("{number:016x}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    Ok(number)
}

/// A number that no other relay has.
pub(crate) fn random() -> u64 {
    // Its keys are the system's random bytes.
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_number_and_no_two_have_the_same() {
        let (one, other) = (testkit::folder(), testkit::folder());
        let number = of_log(one.path()).unwrap();
        assert_eq!(of_log(one.path()).unwrap(), number);
        assert_ne!(of_log(other.path()).unwrap(), number);
        fs::write(one.path().join(FILE), "nonsense").unwrap();
        assert_ne!(of_log(one.path()).unwrap(), number);
    }
}
