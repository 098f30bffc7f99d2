//! `/health/ramp`: a health check that lets a balancer's peers in little by little.
//!
//! Balancers that go round robin give a joining server its full share at once, with every
//! connection new and every cache cold. Here the first check begins a ramp; until it ends, a
//! growing share of the checking peers is told that the server is healthy. Nothing is kept per
//! peer: a hash of its address decides, so that a peer once let in stays in.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

/// The state of one ramp.
#[derive(Debug)]
pub(crate) struct Ramp {
    length: Duration,
    /// When the first check came; none has come yet.
    began: Mutex<Option<Duration>>,
}

impl Ramp {
    /// A ramp of this length; zero lets everybody in at once.
    #[must_use]
    pub(crate) const fn new(length: Duration) -> Self {
        Self { length, began: Mutex::new(None) }
    }

    /// Whether `peer` is let in at `now`, a monotonic time. The first call begins the ramp.
    pub(crate) fn admits(&self, peer: IpAddr, now: Duration) -> bool {
        let began = *self.began.lock().get_or_insert(now);
        let elapsed = now.saturating_sub(began);
        let share = if elapsed >= self.length {
            1.0
        } else {
            elapsed.as_secs_f64() / self.length.as_secs_f64()
        };
        f64::from(step_of(peer)) <= share * 100.0
    }
}

/// At which percentage of the ramp a peer is let in, 0 to 99.
fn step_of(peer: IpAddr) -> u32 {
    let hash = murmur3_32(peer.to_canonical().to_string().as_bytes());
    hash.cast_signed().unsigned_abs() % 100
}

/// MurmurHash3 x86 32-bit with seed 0.
fn murmur3_32(bytes: &[u8]) -> u32 {
    let scramble =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = 0_u32;
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    hash ^= scramble(u32::from_le_bytes(last));
    #[expect(clippy::cast_possible_truncation, reason = "the hash takes the length's low 32 bits")]
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_hash_is_murmur3_as_others_compute_it() {
        for (text, hash) in [
            ("172.26.51.36", 234_237_154),
            ("172.26.51.107", 652_717_793),
            ("172.26.51.136", 22_700_163),
            ("172.26.51.254", 394_429_823),
        ] {
            assert_eq!(murmur3_32(text.as_bytes()).cast_signed().unsigned_abs(), hash, "{text}");
        }
        // Widely published values, with tails of every length.
        for (text, hash) in [
            ("", 0),
            ("a", 0x3c25_69b2),
            ("ab", 0x9bbf_d75f),
            ("abc", 0xb3dd_93fa),
            ("hello", 0x248b_fa47),
        ] {
            assert_eq!(murmur3_32(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn a_peer_is_let_in_when_the_ramp_has_reached_its_step() {
        let admits_at = |peer: &str, elapsed_ms: u64| {
            let ramp = Ramp::new(Duration::from_secs(60));
            ramp.admits(ip("10.0.0.1"), Duration::from_secs(1000));
            ramp.admits(ip(peer), Duration::from_millis(1_000_000 + elapsed_ms))
        };
        assert!(!admits_at("172.26.51.36", 0), "step 54 at 0 %");
        assert!(!admits_at("172.26.51.136", 9_000), "step 63 at 15 %");
        assert!(admits_at("172.26.51.254", 14_000), "step 23 at 23.33 %");
        assert!(admits_at("172.26.51.107", 59_000), "step 93 at 98.33 %");
        assert!(admits_at("::ffff:172.26.51.254", 14_000), "the same peer through an IPv6 socket");
    }

    #[test]
    fn the_share_of_peers_follows_the_time_and_nobody_is_put_out_again() {
        let ramp = Ramp::new(Duration::from_secs(60));
        let peers: Vec<IpAddr> =
            (0..10_000_u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
        let mut before = vec![false; peers.len()];
        for second in 0..=60 {
            let now: Vec<bool> =
                peers.iter().map(|peer| ramp.admits(*peer, Duration::from_secs(second))).collect();
            assert!(before.iter().zip(&now).all(|(was, is)| !was || *is), "second {second}");
            let share = now.iter().filter(|is| **is).count() as f64 / 10_000.0;
            let wanted = second as f64 / 60.0;
            assert!((share - wanted).abs() <= 0.02, "second {second}: {share}, not {wanted}");
            before = now;
        }
        assert!(before.iter().all(|is| *is));
    }

    #[test]
    fn no_ramp_lets_everybody_in_at_once() {
        let ramp = Ramp::new(Duration::ZERO);
        assert!(ramp.admits(ip("172.26.51.107"), Duration::ZERO));
    }
}
