//! Bodies: read and unpacked within limits, the memory of all of them together bounded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::payload::Packing;
use super::refusal::Refusal;
use crate::settings::Compression;
use crate::unpack::Unpacker;

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Memory is given out in units of this many bytes.
const UNIT_BYTES: usize = 1024;

/// The memory that all requests share.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    units: Arc<Semaphore>,
}

impl Memory {
    pub(super) fn new(bytes_max: usize) -> Self {
        let units = (bytes_max / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)) }
    }

    /// A request's account, empty so far.
    pub(super) fn account(&self) -> Account {
        Account { memory: self.clone(), permits: None, bytes: 0 }
    }
}

/// What one request has of the memory; it goes back with the account.
#[derive(Debug)]
pub(super) struct Account {
    memory: Memory,
    permits: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Account {
    /// Makes the account larger. It never waits: requests that wait for each other's memory would
    /// wait for ever.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.bytes.div_ceil(UNIT_BYTES);
        self.bytes += bytes;
        let more = self.bytes.div_ceil(UNIT_BYTES) - held;
        let more = u32::try_from(more).or(Err(Refusal::Busy))?;
        if more == 0 {
            return Ok(());
        }
        let units = Arc::clone(&self.memory.units).try_acquire_many_owned(more);
        let units = units.or(Err(Refusal::Busy))?;
        match &mut self.permits {
            Some(permits) => permits.merge(units),
            none => *none = Some(units),
        }
        Ok(())
    }
}

/// Reads a body to its end.
pub(super) async fn read(
    body: Body,
    bytes_max: usize,
    account: &mut Account,
) -> Result<Vec<u8>, Refusal> {
    timeout(BODY_TIME_MAX, read_all(body, bytes_max, account)).await.or(Err(Refusal::Slow))?
}

async fn read_all(
    mut body: Body,
    bytes_max: usize,
    account: &mut Account,
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Malformed(error.to_string()))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(Refusal::TooLong(bytes_max));
        }
        account.add(data.len())?;
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Unpacks a whole body.
pub(super) fn unpack(
    packing: Packing,
    packed: Vec<u8>,
    bytes_max: usize,
    account: &mut Account,
) -> Result<Vec<u8>, Refusal> {
    let compression = match packing {
        Packing::Plain => return Ok(packed),
        Packing::Snappy => return unpack_snappy(&packed, bytes_max, account),
        Packing::Gzip => Compression::Gzip,
        Packing::Zstd => Compression::Zstd,
    };
    let malformed = |error: std::io::Error| Refusal::Malformed(format!("unpacking: {error}"));
    let mut unpacker = Unpacker::new(compression).map_err(malformed)?;
    let (mut rest, mut plain) = (&packed[..], Vec::new());
    loop {
        let held = plain.len();
        let taken = unpacker.step(rest, &mut plain).map_err(malformed)?;
        rest = &rest[taken..];
        if plain.len() > bytes_max {
            return Err(Refusal::TooLong(bytes_max));
        }
        account.add(plain.len() - held)?;
        if taken == 0 && plain.len() == held {
            break;
        }
    }
    if unpacker.is_complete() && rest.is_empty() {
        Ok(plain)
    } else {
        Err(Refusal::Malformed("unpacking: the body ends early".to_owned()))
    }
}

/// One block, whose length is known before anything is unpacked.
fn unpack_snappy(
    packed: &[u8],
    bytes_max: usize,
    account: &mut Account,
) -> Result<Vec<u8>, Refusal> {
    let malformed = |error: snap::Error| Refusal::Malformed(format!("unpacking: {error}"));
    let length = snap::raw::decompress_len(packed).map_err(malformed)?;
    if length > bytes_max {
        return Err(Refusal::TooLong(bytes_max));
    }
    account.add(length)?;
    snap::raw::Decoder::new().decompress_vec(packed).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_within_a_bomb_is_refused_within_the_limit() {
        let bomb = gzip(&gzip(&vec![0; 10 << 20]));
        let memory = Memory::new(64 << 20);
        let once = unpack(Packing::Gzip, bomb, 1 << 20, &mut memory.account()).unwrap();
        let twice = unpack(Packing::Gzip, once, 1 << 20, &mut memory.account());
        assert_eq!(twice, Err(Refusal::TooLong(1 << 20)));
        let zstd = zstd::encode_all(&vec![0; 10 << 20][..], 19).unwrap();
        let refused = unpack(Packing::Zstd, zstd, 1 << 20, &mut memory.account());
        assert_eq!(refused, Err(Refusal::TooLong(1 << 20)));
    }

    #[test]
    fn snappy_that_announces_too_much_is_refused_before_anything_is_unpacked() {
        let announces_four_gigabytes = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        let memory = Memory::new(1 << 20);
        let refused =
            unpack(Packing::Snappy, announces_four_gigabytes, 1 << 20, &mut memory.account());
        assert_eq!(refused, Err(Refusal::TooLong(1 << 20)));
    }

    #[test]
    fn a_body_that_was_cut_is_malformed_and_not_half_taken() {
        let lines: String = (0..1000).map(|n| format!("a.b{n} {n} 1699999990\n")).collect();
        let memory = Memory::new(64 << 20);
        for (packing, packed) in [
            (Packing::Gzip, gzip(lines.as_bytes())),
            (Packing::Zstd, zstd::encode_all(lines.as_bytes(), 1).unwrap()),
            (Packing::Snappy, snap::raw::Encoder::new().compress_vec(lines.as_bytes()).unwrap()),
        ] {
            let whole = unpack(packing, packed.clone(), 1 << 20, &mut memory.account());
            assert_eq!(whole.as_deref(), Ok(lines.as_bytes()), "{packing:?}");
            for cut in [1, packed.len() / 2, packed.len() - 1] {
                let cut = unpack(packing, packed[..cut].to_vec(), 1 << 20, &mut memory.account());
                assert!(matches!(cut, Err(Refusal::Malformed(_))), "{packing:?}: {cut:?}");
            }
        }
    }

    #[test]
    fn memory_is_bounded_over_all_requests_and_comes_back() {
        let memory = Memory::new(10 * 1024);
        let (mut first, mut second) = (memory.account(), memory.account());
        assert_eq!(first.add(6 * 1024), Ok(()));
        assert_eq!(second.add(6 * 1024), Err(Refusal::Busy));
        drop(first);
        assert_eq!(memory.account().add(10 * 1024), Ok(()));
    }
}
