//! Our pictures stay as they were when someone last looked at them.
//!
//! `testdata/pictures` holds them; to renew one, run the tests with `PLUMBAGO_PICTURES` naming a
//! folder, look at what lies there, and copy it.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::labels::{drawn, recorded};

/// A channel may differ so much before a pixel counts as another: rounding in the rasteriser.
const CHANNEL_TOLERANCE: u8 = 24;
/// So many pixels in a thousand may be others.
const PIXELS_TOLERANCE: usize = 3;

/// Width, height and the bytes of all pixels, of a PNG as this crate writes it: one data chunk, no
/// filters.
fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    let (width, height, length) = (number(16), number(20), number(33) as usize);
    assert_eq!(&png[37..41], b"IDAT");
    let mut rows = Vec::new();
    ZlibDecoder::new(&png[41..41 + length]).read_to_end(&mut rows).unwrap();
    let row_bytes = rows.len() / height as usize;
    let unfiltered = rows.chunks(row_bytes).flat_map(|row| &row[1..]).copied().collect();
    (width, height, unfiltered)
}

fn differing(one: &[u8], other: &[u8], channels: usize) -> usize {
    let differs =
        |(a, b): (&[u8], &[u8])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > CHANNEL_TOLERANCE);
    one.chunks(channels).zip(other.chunks(channels)).filter(|pair| differs(*pair)).count()
}

#[test]
fn pictures_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pictures");
    let mut compared = 0;
    for case in recorded() {
        let name = case["name"].as_str().unwrap().replace(' ', "-");
        let Ok(golden) = std::fs::read(folder.join(&name).with_extension("png")) else { continue };
        let (width, height, theirs) = pixels(&golden);
        let (now_width, now_height, ours) = pixels(&drawn(&case).png().unwrap());
        assert_eq!((now_width, now_height, ours.len()), (width, height, theirs.len()), "{name}");
        let count = (width * height) as usize;
        let other = differing(&ours, &theirs, ours.len() / count);
        assert!(other * 1000 <= count * PIXELS_TOLERANCE, "{name}: {other} of {count} pixels");
        compared += 1;
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert!(compared == files && files >= 10, "{compared} of {files} pictures belong to a case");
}

#[test]
fn another_picture_is_noticed() {
    let cases = recorded();
    let picture = |name: &str| {
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        pixels(&drawn(case).png().unwrap()).2
    };
    let (plain, zeroed) = (picture("plain"), picture("null as zero"));
    let count = plain.len() / 3;
    assert!(differing(&plain, &zeroed, 3) * 1000 > count * PIXELS_TOLERANCE);
}

#[test]
fn a_document_has_a_table_that_leads_to_its_objects() {
    let case = &recorded()[0];
    let pdf = drawn(case).pdf().unwrap();
    let text = String::from_utf8_lossy(&pdf);
    let table: usize =
        text.rsplit("startxref\n").next().unwrap().lines().next().unwrap().parse().unwrap();
    assert!(pdf[table..].starts_with(b"xref\n0 5\n"));
    let rows = std::str::from_utf8(&pdf[table..]).unwrap().lines().skip(3).take(4);
    for (index, row) in rows.enumerate() {
        let place: usize = row[..10].parse().unwrap();
        assert!(pdf[place..].starts_with(format!("{} 0 obj\n", index + 1).as_bytes()), "{row}");
    }
    let content = pdf.windows(7).position(|bytes| bytes == b"stream\n").unwrap() + 7;
    let mut drawing = String::new();
    ZlibDecoder::new(&pdf[content..]).read_to_string(&mut drawing).unwrap();
    assert_eq!(drawing.matches("q ").count(), drawing.matches(" Q\n").count());
}
