//! MD5 of many names at once. Each step of a name waits for the one before it; steps of names side by side do not wait
//! for each other, and the compiler makes vector instructions of them.

/// Names hashed side by side. With fewer than 32 the compiler unrolls the loops over them and makes no vectors.
const LANES: usize = 32;

/// One word of every name's state.
type Word = [u32; LANES];

const BLOCK_BYTES: usize = 64;
const BLOCK_WORDS: usize = BLOCK_BYTES / 4;

/// Bytes behind a message: a one bit, and its length in bits.
const TAIL_BYTES: usize = 9;

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// How far each of a round's four steps rotates.
const ROTATIONS: [[u32; 4]; 4] =
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The number added in each step, of RFC 1321.
#[rustfmt::skip]
const ADDED: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The first two bytes of the digest of every name, big-endian.
pub(crate) fn md5_positions(names: &[&[u8]]) -> Vec<u16> {
    let mut positions = Vec::with_capacity(names.len());
    for names in names.chunks(LANES) {
        let mut lanes: [&[u8]; LANES] = [b""; LANES];
        lanes[..names.len()].copy_from_slice(names);
        let words = first_words(&lanes);
        // The digest is written little-endian.
        let position = |word: &u32| (word.swap_bytes() >> 16) as u16;
        positions.extend(words[..names.len()].iter().map(position));
    }
    positions
}

/// The first word of the digest of every name.
fn first_words(names: &[&[u8]; LANES]) -> Word {
    let blocks = names.map(|name| (name.len() + TAIL_BYTES).div_ceil(BLOCK_BYTES));
    let longest = blocks.iter().copied().max().unwrap_or(0);
    let mut state = START.map(|word| [word; LANES]);
    let mut first = [0; LANES];
    let mut words = [[0; LANES]; BLOCK_WORDS];
    for block in 0..longest {
        for (lane, name) in names.iter().enumerate() {
            fill(&mut words, lane, name, block);
        }
        compress(&mut state, &words);
        // A lane whose name has ended goes on with what nobody looks at.
        for lane in (0..LANES).filter(|&lane| blocks[lane] == block + 1) {
            first[lane] = state[0][lane];
        }
    }
    first
}

/// Puts a block of a name, padded as the last ones are, into its lane.
fn fill(words: &mut [Word; BLOCK_WORDS], lane: usize, name: &[u8], block: usize) {
    let mut bytes = [0; BLOCK_BYTES];
    let begin = block * BLOCK_BYTES;
    let rest = name.get(begin..).unwrap_or_default();
    let taken = rest.len().min(BLOCK_BYTES);
    bytes[..taken].copy_from_slice(&rest[..taken]);
    if (begin..begin + BLOCK_BYTES).contains(&name.len()) {
        bytes[taken] = 0x80;
    }
    if name.len() + TAIL_BYTES <= begin + BLOCK_BYTES {
        let bits = (name.len() as u64).wrapping_mul(8);
        bytes[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_le_bytes());
    }
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        word[lane] = u32::from_le_bytes(*bytes);
    }
}

fn compress(state: &mut [Word; 4], words: &[Word; BLOCK_WORDS]) {
    let mut now = *state;
    round::<0>(&mut now, words, |b, c, d| d ^ (b & (c ^ d)));
    round::<1>(&mut now, words, |b, c, d| c ^ (d & (b ^ c)));
    round::<2>(&mut now, words, |b, c, d| b ^ c ^ d);
    round::<3>(&mut now, words, |b, c, d| c ^ (b | !d));
    for (word, new) in state.iter_mut().zip(now) {
        for (lane, new) in word.iter_mut().zip(new) {
            *lane = lane.wrapping_add(new);
        }
    }
}

/// Sixteen steps; in each the four words change places.
#[inline(always)]
fn round<const ROUND: usize>(
    state: &mut [Word; 4],
    words: &[Word; BLOCK_WORDS],
    mix: impl Fn(u32, u32, u32) -> u32,
) {
    let [mut a, mut b, mut c, mut d] = *state;
    for step in 0..BLOCK_WORDS {
        let (factor, offset) = [(1, 0), (5, 1), (3, 5), (7, 0)][ROUND];
        let word = &words[(step * factor + offset) % BLOCK_WORDS];
        let added = ADDED[ROUND * BLOCK_WORDS + step];
        let rotation = ROTATIONS[ROUND][step % 4];
        let mut next = [0; LANES];
        for lane in 0..LANES {
            let sum = a[lane].wrapping_add(mix(b[lane], c[lane], d[lane]));
            let sum = sum.wrapping_add(word[lane]).wrapping_add(added);
            next[lane] = sum.rotate_left(rotation).wrapping_add(b[lane]);
        }
        (a, b, c, d) = (d, next, b, c);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hashes::md5_position;

    proptest! {
        #[test]
        fn every_name_hashes_as_it_does_alone(
            names in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..80),
        ) {
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let alone: Vec<u16> = names.iter().map(|name| md5_position(name)).collect();
            prop_assert_eq!(md5_positions(&names), alone);
        }
    }

    #[test]
    fn every_length_around_a_block_is_padded_right() {
        let bytes: Vec<u8> = (0..=255).collect();
        let names: Vec<&[u8]> = (0..=bytes.len()).map(|length| &bytes[..length]).collect();
        let alone: Vec<u16> = names.iter().map(|name| md5_position(name)).collect();
        assert_eq!(md5_positions(&names), alone);
    }
}
