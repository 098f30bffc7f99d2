//! The header: its bytes, and every check a file must pass before it is read or written.

use crate::aggregation::Method;
use crate::archive::{ARCHIVES_MAX, Archive, POINT_BYTES};
use crate::error::{HeaderError, SpecError};
use crate::retention::Retention;

/// Bytes before the first archive record.
pub(crate) const METADATA_BYTES: usize = 16;
/// Bytes of one archive record.
pub(crate) const ARCHIVE_BYTES: usize = 12;
/// Bytes of the longest header.
pub(crate) const HEADER_BYTES_MAX: usize = METADATA_BYTES + ARCHIVES_MAX * ARCHIVE_BYTES;

/// How go-whisper's compressed files begin.
const COMPRESSED_MAGIC: &[u8] = b"whisper_compressed";

/// What a file's header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// How coarser points are made.
    pub method: Method,
    /// Seconds the longest archive covers.
    pub max_retention: u32,
    /// The share of finer slots that must be known for a coarser point. It is stored in single
    /// precision and compared, widened, in double: 0.1 is stored a little above 1/10.
    pub x_files_factor: f32,
    /// Finest first.
    pub archives: Vec<Archive>,
}

impl Header {
    /// Lays out a new file.
    pub fn new(
        retentions: &[Retention],
        x_files_factor: f64,
        method: Method,
    ) -> Result<Self, SpecError> {
        let mut retentions = retentions.to_vec();
        retentions.sort_by_key(|retention| retention.seconds_per_point);
        let max_retention = validate_retentions(&retentions)?;
        let x_files_factor = stored_factor(x_files_factor)?;
        let mut next = (METADATA_BYTES + retentions.len() * ARCHIVE_BYTES) as u64;
        let mut archives = Vec::with_capacity(retentions.len());
        for (index, &Retention { seconds_per_point, points }) in retentions.iter().enumerate() {
            let archive = retentions[index];
            let offset =
                u32::try_from(next).map_err(|_over| SpecError::TooLarge { index, archive })?;
            archives.push(Archive { offset, seconds_per_point, points });
            next += u64::from(points) * POINT_BYTES as u64;
        }
        Ok(Self { method, max_retention, x_files_factor, archives })
    }

    /// Reads and checks the header of a file of `size` bytes that begins with `bytes`.
    pub fn parse(bytes: &[u8], size: u64) -> Result<Self, HeaderError> {
        if bytes.starts_with(COMPRESSED_MAGIC) {
            return Err(HeaderError::Compressed);
        }
        let short = |expected: usize| HeaderError::Short { size, expected: expected as u64 };
        let metadata = words(bytes, 0, METADATA_BYTES).ok_or_else(|| short(METADATA_BYTES))?;
        let [id, max_retention, factor, count] = metadata[..] else {
            return Err(short(METADATA_BYTES));
        };
        let method = Method::from_id(id).ok_or(HeaderError::Method { id })?;
        let x_files_factor = f32::from_bits(factor);
        if !(0.0..=1.0).contains(&x_files_factor) {
            return Err(HeaderError::XFilesFactor { value: x_files_factor });
        }
        let archives = parse_archives(bytes, count, short)?;
        let header = Self { method, max_retention, x_files_factor, archives };
        header.validate(size)?;
        Ok(header)
    }

    fn validate(&self, size: u64) -> Result<(), HeaderError> {
        let retentions: Vec<Retention> = self
            .archives
            .iter()
            .map(|archive| Retention {
                seconds_per_point: archive.seconds_per_point,
                points: archive.points,
            })
            .collect();
        let expected = validate_retentions(&retentions).map_err(HeaderError::Archives)?;
        let mut next = self.header_bytes() as u64;
        for (index, archive) in self.archives.iter().enumerate() {
            if u64::from(archive.offset) != next {
                let offset = archive.offset;
                return Err(HeaderError::Offset { index, offset, expected: next });
            }
            next = archive.end();
        }
        if self.max_retention != expected {
            let (stored, expected) = (self.max_retention, i64::from(expected));
            return Err(HeaderError::MaxRetention { stored, expected });
        }
        if size < next {
            return Err(HeaderError::Truncated { size, expected: next });
        }
        Ok(())
    }

    /// The bytes on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.header_bytes());
        bytes.extend(self.metadata());
        for archive in &self.archives {
            for word in [archive.offset, archive.seconds_per_point, archive.points] {
                bytes.extend(word.to_be_bytes());
            }
        }
        bytes
    }

    /// The part of the header that setters rewrite.
    pub(crate) fn metadata(&self) -> [u8; METADATA_BYTES] {
        let count = u32::try_from(self.archives.len()).expect("at most ARCHIVES_MAX");
        let words = [self.method.id(), self.max_retention, self.x_files_factor.to_bits(), count];
        let mut bytes = [0; METADATA_BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Replaces the factor, rounding it to what the file can store.
    pub fn set_x_files_factor(&mut self, factor: f64) -> Result<(), SpecError> {
        self.x_files_factor = stored_factor(factor)?;
        Ok(())
    }

    /// Bytes before the first archive.
    pub fn header_bytes(&self) -> usize {
        METADATA_BYTES + self.archives.len() * ARCHIVE_BYTES
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.archives.last().map_or(self.header_bytes() as u64, Archive::end)
    }
}

fn parse_archives(
    bytes: &[u8],
    count: u32,
    short: impl Fn(usize) -> HeaderError,
) -> Result<Vec<Archive>, HeaderError> {
    let len = count as usize;
    if len == 0 || len > ARCHIVES_MAX {
        return Err(HeaderError::ArchiveCount { count });
    }
    let needed = METADATA_BYTES + len * ARCHIVE_BYTES;
    let records = words(bytes, METADATA_BYTES, needed).ok_or_else(|| short(needed))?;
    let archive = |record: &[u32]| Archive {
        offset: record[0],
        seconds_per_point: record[1],
        points: record[2],
    };
    Ok(records.chunks_exact(3).map(archive).collect())
}

/// The big-endian words in `start..end`, if the bytes reach that far.
fn words(bytes: &[u8], start: usize, end: usize) -> Option<Vec<u32>> {
    let word = |chunk: &[u8]| u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    Some(bytes.get(start..end)?.chunks_exact(4).map(word).collect())
}

/// Checks what `create` asks of archives, sorted by step; returns the longest retention.
fn validate_retentions(retentions: &[Retention]) -> Result<u32, SpecError> {
    if retentions.is_empty() || retentions.len() > ARCHIVES_MAX {
        return Err(SpecError::ArchiveCount { count: retentions.len() });
    }
    let mut longest = 0;
    for (index, &archive) in retentions.iter().enumerate() {
        if archive.seconds_per_point == 0 || archive.points == 0 {
            return Err(SpecError::Zero { index, archive });
        }
        longest = archive
            .seconds_per_point
            .checked_mul(archive.points)
            .ok_or(SpecError::TooLarge { index, archive })?
            .max(longest);
    }
    for (index, pair) in retentions.windows(2).enumerate() {
        validate_pair(index, pair[0], pair[1])?;
    }
    Ok(longest)
}

fn validate_pair(index: usize, finer: Retention, coarser: Retention) -> Result<(), SpecError> {
    let (step, next_step) = (finer.seconds_per_point, coarser.seconds_per_point);
    if step >= next_step {
        return Err(SpecError::StepOrder { index });
    }
    if next_step % step != 0 {
        return Err(SpecError::StepDivision { index });
    }
    if next_step * coarser.points <= step * finer.points {
        return Err(SpecError::Coverage { index });
    }
    if finer.points < next_step / step {
        return Err(SpecError::Consolidation { index });
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the format stores single precision")]
fn stored_factor(value: f64) -> Result<f32, SpecError> {
    if (0.0..=1.0).contains(&value) {
        Ok(value as f32)
    } else {
        Err(SpecError::XFilesFactor { value })
    }
}

#[cfg(test)]
mod tests;
