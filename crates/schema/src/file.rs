//! The thin rim: a file's text, bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::fault::{LoadError, Reporter};

/// Largest file that is read; the largest seen in the field have a few hundred KiB.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// The file's text. At most one byte over the limit is read, so that the parser can tell.
pub(crate) fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        let name = path.display().to_string();
        let fault = Reporter { file: &name }.fault(line, "encoding", "UTF-8", "other bytes");
        LoadError::Faults { faults: vec![fault] }
    })
}
