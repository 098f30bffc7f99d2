//! The hash functions: names and point texts to positions.

use md5::{Digest, Md5};

const FNV1A_32_BASIS: u32 = 2_166_136_261;
const FNV1A_32_PRIME: u32 = 16_777_619;
const FNV1A_64_BASIS: u64 = 14_695_981_039_346_656_037;
const FNV1A_64_PRIME: u64 = 1_099_511_628_211;

/// The first two bytes of the MD5 digest, big-endian.
pub(crate) fn md5_position(bytes: &[u8]) -> u16 {
    let digest = Md5::digest(bytes);
    u16::from_be_bytes([digest[0], digest[1]])
}

/// The first eight bytes of the MD5 digest, big-endian.
pub(crate) fn md5_64(bytes: &[u8]) -> u64 {
    let digest = Md5::digest(bytes);
    digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// 32-bit FNV-1a, its halves folded onto each other.
pub(crate) fn fnv1a_position(bytes: &[u8], sign_extends: bool) -> u16 {
    let hash = fnv1a_32(bytes, sign_extends);
    ((hash >> 16) ^ (hash & 0xffff)) as u16
}

/// 32-bit FNV-1a; with `sign_extends` bytes outside ASCII count as negative numbers, as in
/// carbon-c-relay.
pub fn fnv1a_32(bytes: &[u8], sign_extends: bool) -> u32 {
    bytes.iter().fold(FNV1A_32_BASIS, |hash, &byte| {
        let word = if sign_extends {
            i32::from(byte.cast_signed()).cast_unsigned()
        } else {
            u32::from(byte)
        };
        (hash ^ word).wrapping_mul(FNV1A_32_PRIME)
    })
}

/// 64-bit FNV-1a; `sign_extends` as in [`fnv1a_32`].
pub fn fnv1a_64(bytes: &[u8], sign_extends: bool) -> u64 {
    bytes.iter().fold(FNV1A_64_BASIS, |hash, &byte| {
        let word = if sign_extends {
            i64::from(byte.cast_signed()).cast_unsigned()
        } else {
            u64::from(byte)
        };
        (hash ^ word).wrapping_mul(FNV1A_64_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_test_vectors_hold() {
        // RFC 1321 and the FNV authors' lists.
        assert_eq!(md5_position(b"abc"), 0x9001);
        assert_eq!(md5_64(b"abc"), 0x9001_5098_3cd2_4fb0);
        assert_eq!(fnv1a_position(b"foobar", false), 0xbf9c ^ 0xf968);
        assert_eq!(fnv1a_64(b"foobar", false), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn only_bytes_outside_ascii_feel_the_sign() {
        assert_eq!(fnv1a_position(b"cpu.idle", true), fnv1a_position(b"cpu.idle", false));
        assert_ne!(fnv1a_64("größe".as_bytes(), true), fnv1a_64("größe".as_bytes(), false));
    }
}
