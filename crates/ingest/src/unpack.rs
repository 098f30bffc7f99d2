//! Packed streams, undone as their bytes arrive: gzip, zstd, lz4 frames and framed snappy.
//!
//! One step takes a little and gives a little, so that a stream that unpacks to a thousand times its
//! size costs its reader time but no memory.

use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use zstd::stream::raw::{DParameter, Operation};

use crate::settings::Compression;

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// What one step of zstd gives at most.
const ZSTD_STEP_BYTES: usize = 64 * 1024;

/// What one step of gzip takes: it unpacks to a megabyte at most.
const GZIP_STEP_BYTES: usize = 1024;

/// The window that a zstd stream may ask for, as a power of two: what `zstd -19` needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Longest chunk of framed snappy: 64 KiB that could not be packed, and a checksum.
const SNAPPY_CHUNK_BYTES_MAX: usize = 76_490 + 4;

/// Longest block of an lz4 frame.
const LZ4_BLOCK_BYTES_MAX: usize = 4 << 20;

/// The first bytes of an lz4 frame.
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Undoes one stream's packing.
pub(crate) enum Unpacker {
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Box<zstd::stream::raw::Decoder<'static>>,
        /// The last step filled all it was given, so there may be more without further bytes.
        has_more: bool,
        /// A frame has begun and not ended.
        is_open: bool,
    },
    Lz4 {
        decoder: Box<lz4_flex::frame::FrameDecoder<Feed>>,
        frame: Option<Lz4Frame>,
    },
    Snappy(Box<snap::read::FrameDecoder<Feed>>),
}

/// Whole units of a stream, for decoders that must not see half of one.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    unit: Vec<u8>,
    taken: usize,
}

impl Feed {
    fn offer(&mut self, unit: &[u8]) {
        self.unit.clear();
        self.unit.extend_from_slice(unit);
        self.taken = 0;
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.unit[self.taken..];
        let count = rest.read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

/// What the blocks of an open lz4 frame are followed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lz4Frame {
    block_checksum_bytes: usize,
    content_checksum_bytes: usize,
}

impl Unpacker {
    /// For a new stream.
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => {
                Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new())))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Self::Zstd { decoder: Box::new(decoder), has_more: false, is_open: true }
            }
            Compression::Lz4 => Self::Lz4 { decoder: lz4_decoder(), frame: None },
            Compression::Snappy => {
                Self::Snappy(Box::new(snap::read::FrameDecoder::new(Feed::default())))
            }
        })
    }

    /// Takes bytes from the front of `packed` and appends what they unpack to. Returns how many were
    /// taken; with none taken and nothing appended, more bytes are needed.
    ///
    /// # Errors
    /// The stream is not packed so.
    pub(crate) fn step(&mut self, packed: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => {
                if packed.is_empty() {
                    return Ok(0);
                }
                let taken = decoder.write(&packed[..packed.len().min(GZIP_STEP_BYTES)])?;
                decoder.flush()?;
                out.append(decoder.get_mut());
                Ok(taken)
            }
            Self::Zstd { decoder, has_more, is_open } => {
                if packed.is_empty() && !*has_more {
                    return Ok(0);
                }
                let start = out.len();
                out.resize(start + ZSTD_STEP_BYTES, 0);
                let status = decoder.run_on_buffers(packed, &mut out[start..])?;
                *has_more = status.bytes_written == ZSTD_STEP_BYTES;
                *is_open = status.remaining > 0;
                out.truncate(start + status.bytes_written);
                Ok(status.bytes_read)
            }
            Self::Lz4 { decoder, frame } => {
                let Some(unit) = lz4_unit(packed, frame)? else { return Ok(0) };
                decoder.get_mut().offer(&packed[..unit]);
                decoder.read_to_end(out)?;
                if frame.is_none() {
                    // The next frame may have blocks of another size.
                    *decoder = lz4_decoder();
                }
                Ok(unit)
            }
            Self::Snappy(decoder) => {
                let Some(unit) = snappy_unit(packed)? else { return Ok(0) };
                decoder.get_mut().offer(&packed[..unit]);
                decoder.read_to_end(out)?;
                Ok(unit)
            }
        }
    }
}

impl Unpacker {
    /// Whether the stream may end here.
    pub(crate) fn is_complete(&mut self) -> bool {
        match self {
            Self::Gzip(decoder) => decoder.try_finish().is_ok(),
            Self::Zstd { is_open, .. } => !*is_open,
            Self::Lz4 { frame, .. } => frame.is_none(),
            Self::Snappy(_) => true,
        }
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Zstd { .. } => "Zstd",
            Self::Lz4 { .. } => "Lz4",
            Self::Snappy(_) => "Snappy",
        })
    }
}

fn lz4_decoder() -> Box<lz4_flex::frame::FrameDecoder<Feed>> {
    Box::new(lz4_flex::frame::FrameDecoder::new(Feed::default()))
}

/// Length of the header or block at the front of `packed`, if it is all there; notes where a frame
/// begins and ends.
fn lz4_unit(packed: &[u8], frame: &mut Option<Lz4Frame>) -> io::Result<Option<usize>> {
    let Some(&[a, b, c, d]) = packed.first_chunk() else { return Ok(None) };
    let Some(open) = *frame else {
        if [a, b, c, d] != LZ4_MAGIC {
            return Err(invalid("no lz4 frame"));
        }
        let Some(flags) = packed.get(4) else { return Ok(None) };
        let bit = |bit: u8| usize::from(flags >> bit & 1);
        let header = 7 + 8 * bit(3) + 4 * bit(0);
        if packed.len() < header {
            return Ok(None);
        }
        *frame =
            Some(Lz4Frame { block_checksum_bytes: 4 * bit(4), content_checksum_bytes: 4 * bit(2) });
        return Ok(Some(header));
    };
    let block = (u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff) as usize;
    if block > LZ4_BLOCK_BYTES_MAX {
        return Err(invalid("lz4 block too long"));
    }
    let trailer = if block == 0 { open.content_checksum_bytes } else { open.block_checksum_bytes };
    let unit = 4 + block + trailer;
    if packed.len() < unit {
        return Ok(None);
    }
    if block == 0 {
        *frame = None;
    }
    Ok(Some(unit))
}

/// Length of the chunk at the front of `packed`, if it is all there.
fn snappy_unit(packed: &[u8]) -> io::Result<Option<usize>> {
    let Some(&[_kind, a, b, c]) = packed.first_chunk() else { return Ok(None) };
    let chunk = u32::from_le_bytes([a, b, c, 0]) as usize;
    if chunk > SNAPPY_CHUNK_BYTES_MAX {
        return Err(invalid("snappy chunk too long"));
    }
    Ok((packed.len() >= 4 + chunk).then_some(4 + chunk))
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A packed stream, read as what it holds.
#[derive(Debug)]
pub(crate) struct Unpacked<R> {
    packed: R,
    unpacker: Unpacker,
    raw: BytesMut,
    out: Vec<u8>,
    given: usize,
    broken: bool,
}

impl<R> Unpacked<R> {
    /// A new stream.
    pub(crate) fn new(packed: R, compression: Compression) -> io::Result<Self> {
        let unpacker = Unpacker::new(compression)?;
        Ok(Self {
            packed,
            unpacker,
            raw: BytesMut::new(),
            out: Vec::new(),
            given: 0,
            broken: false,
        })
    }

    /// Whether the stream turned out not to be packed so.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Unpacked<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.given < this.out.len() {
                let count = (this.out.len() - this.given).min(buffer.remaining());
                buffer.put_slice(&this.out[this.given..this.given + count]);
                this.given += count;
                return Poll::Ready(Ok(()));
            }
            this.out.clear();
            this.given = 0;
            let step = this.unpacker.step(&this.raw, &mut this.out);
            let taken = step.inspect_err(|_| this.broken = true)?;
            this.raw.advance(taken);
            if taken > 0 || !this.out.is_empty() {
                continue;
            }
            let reading = poll_more(Pin::new(&mut this.packed), cx, &mut this.raw);
            if ready!(reading)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Appends what can be read now, without clearing the room first.
fn poll_more<R: AsyncRead>(
    reader: Pin<&mut R>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let held = buffer.len();
    buffer.resize(held + READ_BYTES, 0);
    let mut room = ReadBuf::new(&mut buffer[held..]);
    let polled = reader.poll_read(cx, &mut room);
    let count = room.filled().len();
    buffer.truncate(held + count);
    polled.map_ok(|()| count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 4] =
        [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Snappy];

    fn packed(compression: Compression, plain: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(plain, 1).unwrap(),
            Compression::Lz4 => {
                let mut info = lz4_flex::frame::FrameInfo::new();
                info = info.block_mode(lz4_flex::frame::BlockMode::Linked).content_checksum(true);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).unwrap();
                encoder.into_inner().unwrap()
            }
        }
    }

    /// Unpacks a stream that arrives in pieces; gives the plain bytes and the largest step.
    fn unpack(
        compression: Compression,
        stream: &[u8],
        piece: usize,
    ) -> io::Result<(Vec<u8>, usize)> {
        let mut unpacker = Unpacker::new(compression)?;
        let (mut waiting, mut plain, mut step_max) = (Vec::new(), Vec::new(), 0);
        for piece in stream.chunks(piece) {
            waiting.extend_from_slice(piece);
            loop {
                let mut out = Vec::new();
                let taken = unpacker.step(&waiting, &mut out)?;
                waiting.drain(..taken);
                step_max = step_max.max(out.len());
                if taken == 0 && out.is_empty() {
                    break;
                }
                plain.extend_from_slice(&out);
            }
        }
        Ok((plain, step_max))
    }

    #[test]
    fn a_stream_in_any_pieces_is_what_was_packed() {
        let lines: String =
            (0..3000).map(|n| format!("host-{n}.cpu.idle {n} 1699999990\n")).collect();
        for compression in ALL {
            let stream = packed(compression, lines.as_bytes());
            for piece in [1, 7, 1000, 100_000, usize::MAX] {
                let (plain, _) = unpack(compression, &stream, piece).unwrap();
                assert!(plain == lines.as_bytes(), "{compression:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn two_streams_one_after_the_other_are_one() {
        for compression in ALL {
            let stream =
                [packed(compression, b"a 1 1\n"), packed(compression, b"b 2 2\n")].concat();
            let (plain, _) = unpack(compression, &stream, 3).unwrap();
            assert_eq!(plain, b"a 1 1\nb 2 2\n", "{compression:?}");
        }
    }

    #[test]
    fn a_bomb_unpacks_in_small_steps() {
        let zeroes = vec![0; 8 << 20];
        for compression in ALL {
            let stream = packed(compression, &zeroes);
            let (plain, step_max) = unpack(compression, &stream, usize::MAX).unwrap();
            assert_eq!(plain.len(), zeroes.len(), "{compression:?}");
            assert!(step_max <= 4 << 20, "{compression:?}: {step_max} bytes in one step");
        }
    }

    #[test]
    fn plain_lines_are_no_packed_stream() {
        for compression in ALL {
            let lines = "host.cpu.idle 1 1699999990\n".repeat(10);
            assert!(unpack(compression, lines.as_bytes(), 10).is_err(), "{compression:?}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_stream_ends_in_bytes_or_an_error(
            which in 0_usize..4,
            flips in proptest::collection::vec((0_usize..400, any::<u8>()), 1..5),
            piece in 1_usize..50,
        ) {
            let plain: String = (0..40).map(|n| format!("a{n}.b {n} 1699999990\n")).collect();
            let mut stream = packed(ALL[which], plain.as_bytes());
            for (at, byte) in flips {
                let at = at % stream.len();
                stream[at] = byte;
            }
            if let Ok((plain, _)) = unpack(ALL[which], &stream, piece) {
                prop_assert!(plain.len() <= 64 << 20);
            }
        }
    }
}
