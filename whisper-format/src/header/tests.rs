//! Tests of the header's bytes and checks.

use super::*;

fn sample() -> Header {
    let retentions = [
        Retention { seconds_per_point: 300, points: 6 },
        Retention { seconds_per_point: 60, points: 5 },
    ];
    Header::new(&retentions, 0.1, Method::Sum).unwrap()
}

/// The sample's bytes with the word at `offset` replaced, parsed.
fn patched(offset: usize, word: u32) -> Result<Header, HeaderError> {
    let mut bytes = sample().to_bytes();
    bytes[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    Header::parse(&bytes, sample().file_bytes())
}

#[test]
fn bytes_round_trip_and_archives_are_sorted() {
    let header = sample();
    assert_eq!(header.archives[0].seconds_per_point, 60);
    assert_eq!((header.max_retention, header.file_bytes()), (1800, 172));
    assert_eq!(Header::parse(&header.to_bytes(), 172), Ok(header));
}

#[test]
fn factor_is_rounded_to_single_precision() {
    assert!(f64::from(sample().x_files_factor) > 0.1);
}

#[test]
fn every_broken_field_is_refused() {
    assert_eq!(patched(0, 0), Err(HeaderError::Method { id: 0 }));
    assert_eq!(patched(0, 9), Err(HeaderError::Method { id: 9 }));
    assert!(matches!(patched(4, 1), Err(HeaderError::MaxRetention { .. })));
    assert!(matches!(patched(8, 2.0_f32.to_bits()), Err(HeaderError::XFilesFactor { .. })));
    assert!(matches!(patched(8, f32::NAN.to_bits()), Err(HeaderError::XFilesFactor { .. })));
    assert_eq!(patched(12, 0), Err(HeaderError::ArchiveCount { count: 0 }));
    assert!(matches!(patched(12, 3), Err(HeaderError::Short { .. })));
    assert_eq!(patched(12, u32::MAX), Err(HeaderError::ArchiveCount { count: u32::MAX }));
    assert!(matches!(patched(16, 0), Err(HeaderError::Offset { index: 0, .. })));
    assert!(matches!(patched(20, 0), Err(HeaderError::Archives(SpecError::Zero { .. }))));
    assert!(matches!(patched(24, 0), Err(HeaderError::Archives(SpecError::Zero { .. }))));
    assert!(matches!(
        patched(24, 6),
        Err(HeaderError::Archives(SpecError::Coverage { .. })) | Err(HeaderError::Offset { .. })
    ));
    assert!(matches!(patched(28, 104), Err(HeaderError::Offset { index: 1, .. })));
    assert!(matches!(patched(32, 301), Err(HeaderError::Archives(SpecError::StepDivision { .. }))));
    assert!(matches!(
        patched(36, u32::MAX),
        Err(HeaderError::Archives(SpecError::TooLarge { .. }))
    ));
}

#[test]
fn truncated_is_refused_and_trailing_bytes_are_not() {
    let bytes = sample().to_bytes();
    assert!(matches!(Header::parse(&bytes, 171), Err(HeaderError::Truncated { .. })));
    assert!(Header::parse(&bytes, 173).is_ok());
    assert!(matches!(Header::parse(&bytes[..15], 15), Err(HeaderError::Short { .. })));
}

#[test]
fn compressed_whisper_is_named() {
    assert_eq!(Header::parse(b"whisper_compressed....", 4096), Err(HeaderError::Compressed));
}

#[test]
fn factor_outside_of_a_share_is_refused() {
    for factor in [-0.1, 1.000_000_001, f64::NAN] {
        assert!(sample().set_x_files_factor(factor).is_err(), "{factor}");
    }
}
