//! The PROXY header, version 2: who is behind the balancer that made a connection.
//!
//! `docs/formats/wire.md` has its bytes. Version 1, which is text, is not read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The bytes that every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
pub const FIXED_BYTES: usize = 16;

/// Longest rest of a header that is read: addresses and what a balancer may say about TLS.
pub const REST_BYTES_MAX: usize = 4096;

/// Why the start of a connection is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Other bytes than the signature.
    #[error("no PROXY header of version 2")]
    NoHeader,
    /// A command, family or length that the version does not have.
    #[error("PROXY header malformed")]
    Malformed,
}

/// The first bytes of a header, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many bytes follow.
    pub rest_bytes: usize,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// The balancer speaks for itself, or for somebody without an address.
    Unspecified,
    Inet,
    Inet6,
}

impl Head {
    /// Reads the fixed part.
    ///
    /// # Errors
    /// It is none.
    pub fn read(fixed: &[u8; FIXED_BYTES]) -> Result<Self, ProxyError> {
        if fixed[..12] != SIGNATURE {
            return Err(ProxyError::NoHeader);
        }
        let rest_bytes = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
        let family = match (fixed[12], fixed[13] >> 4) {
            (0x20, _) | (0x21, 0 | 3) => Family::Unspecified,
            (0x21, 1) => Family::Inet,
            (0x21, 2) => Family::Inet6,
            _ => return Err(ProxyError::Malformed),
        };
        if rest_bytes > REST_BYTES_MAX {
            return Err(ProxyError::Malformed);
        }
        Ok(Self { rest_bytes, family })
    }

    /// The sender's address from the rest of the header; none where the balancer names nobody.
    ///
    /// # Errors
    /// The rest is too short for its addresses.
    pub fn source(&self, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
        let (ip, port): (IpAddr, _) = match self.family {
            Family::Unspecified => return Ok(None),
            Family::Inet => {
                let (ip, more) = rest.split_first_chunk::<4>().ok_or(ProxyError::Malformed)?;
                (Ipv4Addr::from(*ip).into(), more.get(4..6))
            }
            Family::Inet6 => {
                let (ip, more) = rest.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
                (Ipv6Addr::from(*ip).into(), more.get(16..18))
            }
        };
        let port = port.and_then(|port| port.try_into().ok()).ok_or(ProxyError::Malformed)?;
        Ok(Some(SocketAddr::new(ip, u16::from_be_bytes(port))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(version_command: u8, family: u8, length: u16) -> [u8; FIXED_BYTES] {
        let mut fixed = [0; FIXED_BYTES];
        fixed[..12].copy_from_slice(&SIGNATURE);
        fixed[12] = version_command;
        fixed[13] = family;
        fixed[14..].copy_from_slice(&length.to_be_bytes());
        fixed
    }

    #[test]
    fn the_sender_is_the_source_address_of_either_family() {
        let v4 = Head::read(&head(0x21, 0x11, 12)).unwrap();
        let rest = [10, 0, 0, 7, 127, 0, 0, 1, 0x30, 0x39, 0x07, 0xd3];
        assert_eq!(v4.source(&rest), Ok(Some("10.0.0.7:12345".parse().unwrap())));
        assert_eq!(v4.source(&rest[..11]), Ok(Some("10.0.0.7:12345".parse().unwrap())));
        assert_eq!(v4.source(&rest[..9]), Err(ProxyError::Malformed));

        let v6 = Head::read(&head(0x21, 0x21, 36)).unwrap();
        let mut rest = [0; 36];
        rest[15] = 1;
        rest[32..34].copy_from_slice(&[0x30, 0x39]);
        assert_eq!(v6.source(&rest), Ok(Some("[::1]:12345".parse().unwrap())));
        assert_eq!(v6.source(&rest[..20]), Err(ProxyError::Malformed));
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_nobody() {
        for fixed in [head(0x20, 0, 0), head(0x21, 0, 0), head(0x21, 0x31, 216)] {
            assert_eq!(Head::read(&fixed).unwrap().source(&[]), Ok(None));
        }
    }

    #[test]
    fn other_bytes_versions_and_lengths_are_refused() {
        let mut lines = *b"cpu.idle 1 17000";
        assert_eq!(Head::read(&lines), Err(ProxyError::NoHeader));
        lines.copy_from_slice(b"PROXY TCP4 1.2.3");
        assert_eq!(Head::read(&lines), Err(ProxyError::NoHeader));
        assert_eq!(Head::read(&head(0x11, 0x11, 12)), Err(ProxyError::Malformed));
        assert_eq!(Head::read(&head(0x22, 0x11, 12)), Err(ProxyError::Malformed));
        assert_eq!(Head::read(&head(0x21, 0x41, 12)), Err(ProxyError::Malformed));
        assert_eq!(Head::read(&head(0x21, 0x11, 5000)), Err(ProxyError::Malformed));
    }

    proptest! {
        #[test]
        fn any_rest_is_an_address_or_an_error(
            kind in any::<[u8; 2]>(),
            rest in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Ok(head) = Head::read(&head(kind[0], kind[1], 12)) {
                let named = head.source(&rest).is_ok_and(|source| source.is_some());
                prop_assert!(!named || rest.len() >= 10);
            }
        }
    }
}
