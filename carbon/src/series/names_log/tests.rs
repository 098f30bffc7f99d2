//! What survives damage to the names log.

use std::sync::atomic::AtomicU32;

use super::*;

fn log_with(path: &Path, names: &[&str]) {
    let (log, _) = NamesLog::open(path, 0, |_| true).unwrap();
    for (id, name) in (0..).zip(names) {
        log.push(Entry::Named(SeriesId(id), name));
    }
    log.commit(true, &AtomicU32::new(0)).unwrap();
}

fn read(path: &Path) -> (Vec<(u32, String)>, LoadReport) {
    let mut seen = Vec::new();
    let (_, report) = NamesLog::open(path, 0, |entry| {
        let (Entry::Named(id, name) | Entry::Removed(id, name)) = entry;
        seen.push((id.0, name.to_owned()));
        true
    })
    .unwrap();
    (seen, report)
}

#[test]
fn a_torn_tail_is_cut_and_appending_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index/names.log");
    log_with(&path, &["a.b", "c.d"]);
    let whole = std::fs::read(&path).unwrap();
    for cut in HEADER_BYTES..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (seen, report) = read(&path);
        let kept = usize::from(cut >= HEADER_BYTES + 16);
        assert_eq!(seen.len(), kept, "cut at {cut}");
        assert_eq!(report.torn_bytes as usize, cut - HEADER_BYTES - kept * 16);
        log_with(&path, &["e.f"]);
        assert_eq!(read(&path).0.last(), Some(&(0, "e.f".to_owned())));
    }
}

#[test]
fn a_flipped_bit_costs_one_frame_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.log");
    log_with(&path, &["a.b", "c.d", "e.f"]);
    let whole = std::fs::read(&path).unwrap();
    let second = HEADER_BYTES + 16..HEADER_BYTES + 32;
    for at in second {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            let (seen, report) = read(&path);
            let names: Vec<&str> = seen.iter().map(|(_, name)| &name[..]).collect();
            assert_eq!(names, ["a.b", "e.f"], "byte {at} bit {bit}");
            assert_eq!((report.damaged_stretches, report.torn_bytes), (1, 0));
        }
    }
}

#[test]
fn a_file_with_a_foreign_header_is_set_aside_and_its_frames_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.log");
    log_with(&path, &["a.b", "c.d"]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    std::fs::write(&path, &bytes).unwrap();
    let (seen, report) = read(&path);
    assert_eq!(seen.len(), 2);
    assert_eq!(std::fs::read(report.set_aside.unwrap()).unwrap(), bytes);
    let (again, report) = read(&path);
    assert_eq!((again, report.set_aside), (seen, None));
}

#[test]
fn frames_are_found_over_the_borders_of_the_reading_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.log");
    let names: Vec<String> = (0..300).map(|i| format!("{}.{i}", "n".repeat(i * 40 + 1))).collect();
    let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
    log_with(&path, &names);
    assert!(std::fs::metadata(&path).unwrap().len() > READ_BYTES as u64);
    let (seen, report) = read(&path);
    assert_eq!(seen.iter().map(|(_, name)| &name[..]).collect::<Vec<_>>(), names);
    assert_eq!(report, LoadReport { frames: 300, ..LoadReport::default() });
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn never_stop_the_start(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("names.log");
            std::fs::write(&path, &bytes).unwrap();
            read(&path);
            log_with(&path, &["a.b"]);
            prop_assert!(read(&path).0.iter().any(|(_, name)| name == "a.b"));
        }
    }
}
