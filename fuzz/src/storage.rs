//! What lies on disks: Whisper files.

use whisper::{MemoryStorage, Now, Whisper};

use crate::grammar::NOW;

const FILE_BYTES_MAX: usize = 1 << 16;

/// A file of any bytes is refused, or read, written and checked without a panic.
pub(crate) fn whisper(bytes: &[u8]) {
    if bytes.len() > FILE_BYTES_MAX {
        return;
    }
    let storage = MemoryStorage::new(bytes.to_vec());
    // Damage that a check finds is its answer.
    drop(whisper::check(storage.clone()));
    let Ok(mut file) = Whisper::open(storage) else { return };
    let now = Now::from(NOW);
    if let Ok(Some(fetched)) = file.fetch(NOW - 3600, NOW, now, None) {
        assert!(fetched.values().count() as u64 == fetched.count());
    }
    let size = bytes.len();
    if file.update_many(&[(NOW - 60, 1.0), (NOW - 7200, 2.0), (NOW, f64::MAX)], now).is_ok() {
        assert_eq!(file.storage().bytes().len(), size, "an update changed the file's size");
    }
}
