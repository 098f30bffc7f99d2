//! Replies in every format: exact bytes where a peer depends on them, round trips everywhere.

use super::*;
use crate::pb_v3;
use metric::{Consolidation, SeriesData, Window};
use proptest::prelude::*;
use prost::Message as _;

const ALL: [Format; 5] = [Format::Json, Format::Pickle, Format::Msgpack, Format::V2, Format::V3];
const CAPS: Caps = Caps { bytes_max: 1 << 20, items_max: 1000 };
const ASKED: Window = Window::new(0, 180);

fn series(name: &str, values: Vec<f64>) -> SeriesData {
    SeriesData { path_expression: "a.*".to_owned(), ..SeriesData::new(name, 60, 60, values) }
}

/// NaN compares unequal to itself; bits do not.
fn bits(series: &[SeriesData]) -> Vec<(String, i64, i64, i64, Vec<u64>)> {
    let bits = |s: &SeriesData| s.values.iter().map(|v| v.to_bits()).collect();
    series.iter().map(|s| (s.name.clone(), s.start, s.stop, s.step, bits(s))).collect()
}

#[test]
fn formats_are_known_by_all_their_names_and_content_types() {
    for format in ALL {
        assert_eq!(Format::parse(format.name()), Some(format));
        let with_charset = format!("{}; charset=utf-8", format.content_type());
        assert_eq!(Format::from_content_type(&with_charset), Some(format));
    }
    assert_eq!(Format::parse("protobuf"), Some(Format::V2));
    assert_eq!(Format::parse("protobuf3"), Some(Format::V2));
    assert_eq!(Format::parse("png"), None);
}

#[test]
fn render_json_has_the_v2_shape() {
    let one = series("a.\"b\u{7}\u{1f600}", vec![1.0, f64::NAN, 2.5]);
    let json = encode_render(Format::Json, ASKED, std::slice::from_ref(&one), None);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"metrics\":[{\"name\":\"a.\\\"b\\u0007\u{1f600}\",\"startTime\":60,\"stopTime\":240,\
         \"stepTime\":60,\"values\":[1.0,0.0,2.5],\"isAbsent\":[false,true,false]}]}"
    );
    assert_eq!(encode_render(Format::Json, ASKED, &[], None), b"{\"metrics\":[]}");
}

#[test]
fn infinities_survive_all_formats_but_json_where_they_become_gaps() {
    let sent = [series("a", vec![f64::INFINITY, f64::NEG_INFINITY])];
    for format in ALL {
        let got = decode_render(format, &encode_render(format, ASKED, &sent, None), CAPS).unwrap();
        if format == Format::Json {
            assert!(got.series[0].values.iter().all(|value| value.is_nan()));
        } else {
            assert_eq!(bits(&got.series), bits(&sent));
        }
    }
}

#[test]
fn v3_carries_window_meta_and_consolidation() {
    let mut one = series("a.b", vec![1.0]);
    one.consolidation = Consolidation::Max;
    one.x_files_factor = 0.3;
    let meta = pb_v3::Meta { partial: true, nodes_asked: 4, ..Default::default() };
    let body = encode_render(Format::V3, ASKED, std::slice::from_ref(&one), Some(meta.clone()));
    let raw = pb_v3::MultiFetchResponse::decode(&body[..]).unwrap();
    assert_eq!((raw.metrics[0].request_start_time, raw.metrics[0].request_stop_time), (0, 180));
    let reply = decode_render(Format::V3, &body, CAPS).unwrap();
    assert_eq!(reply, RenderReply { series: vec![one], meta: Some(meta), folded: None });
}

#[test]
fn capitalised_consolidation_of_peers_is_understood() {
    let entry = pb_v3::FetchResponse {
        name: "a".to_owned(),
        consolidation_func: "Sum".to_owned(),
        step_time: 1,
        ..Default::default()
    };
    let reply = pb_v3::MultiFetchResponse { metrics: vec![entry], ..Default::default() };
    let reply = decode_render(Format::V3, &reply.encode_to_vec(), CAPS).unwrap();
    assert_eq!(reply.series[0].consolidation, Consolidation::Sum);
}

#[test]
fn impossible_times_are_refused_in_every_format() {
    for format in ALL {
        let mut bad = series("a", vec![1.0]);
        bad.step = 0;
        let body = encode_render(format, ASKED, &[bad], None);
        let error = decode_render(format, &body, CAPS).unwrap_err();
        assert!(matches!(error, ReplyError::BadTimes { .. }), "{format:?}: {error}");
    }
}

#[test]
fn caps_hold_in_every_format() {
    let sent = vec![series("a", vec![1.0]); 3];
    for format in ALL {
        let body = encode_render(format, ASKED, &sent, None);
        let small = Caps { bytes_max: body.len() - 1, ..CAPS };
        assert!(decode_render(format, &body, small).is_err());
        assert!(decode_render(format, &body, Caps { items_max: 2, ..CAPS }).is_err());
        assert!(decode_render(format, &body, Caps { items_max: 3, ..CAPS }).is_ok());
    }
}

fn find_sample() -> Vec<FindReply> {
    let leaf = FindMatch {
        path: "a.b".to_owned(),
        is_leaf: true,
        intervals: vec![Window::new(0, 1_700_000_000)],
    };
    let branch = FindMatch { path: "a.c".to_owned(), is_leaf: false, intervals: vec![] };
    vec![FindReply { query: "a.*".to_owned(), matches: vec![leaf, branch] }]
}

#[test]
fn finds_make_the_round_trip_with_what_each_format_can_hold() {
    for format in ALL {
        let (got, _) =
            decode_find(format, &encode_find(format, &find_sample(), None), CAPS).unwrap();
        let mut want = find_sample();
        if matches!(format, Format::Pickle | Format::Msgpack) {
            want[0].query.clear();
        } else {
            want[0].matches[0].intervals.clear();
        }
        assert_eq!(got, want, "{format:?}");
    }
}

#[test]
fn find_json_leaves_false_out_as_peers_do() {
    let json = encode_find(Format::Json, &find_sample(), None);
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"metrics\":[{\"name\":\"a.*\",\"matches\":[{\"path\":\"a.b\",\"isLeaf\":true},\
         {\"path\":\"a.c\"}]}]}"
    );
}

#[test]
fn find_pickles_of_older_peers_are_read() {
    let body = b"](}(U\x0bmetric_pathU\x03a.bU\x06isLeafK\x01ue.";
    let (got, _) = decode_find(Format::Pickle, body, CAPS).unwrap();
    assert_eq!(
        got[0].matches,
        [FindMatch { path: "a.b".into(), is_leaf: true, intervals: vec![] }]
    );
}

#[test]
fn infos_make_the_round_trip_and_json_writes_wide_integers_as_text() {
    let info = InfoReply {
        name: "a.b".to_owned(),
        consolidation: Consolidation::Last,
        max_retention_s: 86_400,
        x_files_factor: 0.5,
        retentions: vec![Retention { seconds_per_point: 60, points: 1440 }],
    };
    let infos = std::slice::from_ref(&info);
    for format in [Format::Json, Format::V2, Format::V3] {
        let body = encode_info(format, infos).unwrap();
        assert_eq!(decode_info(format, &body, CAPS).unwrap(), infos, "{format:?}");
    }
    assert!(encode_info(Format::Pickle, infos).is_err());
    assert_eq!(
        String::from_utf8(encode_info(Format::Json, infos).unwrap()).unwrap(),
        "{\"metrics\":[{\"name\":\"a.b\",\"consolidationFunc\":\"last\",\"maxRetention\":\"86400\",\
         \"xFilesFactor\":0.5,\"retentions\":[{\"secondsPerPoint\":\"60\",\
         \"numberOfPoints\":\"1440\"}]}]}"
    );
    let numbers = b"{\"metrics\":[{\"name\":\"a.b\",\"maxRetention\":86400}]}";
    assert_eq!(decode_info(Format::Json, numbers, CAPS).unwrap()[0].max_retention_s, 86_400);
}

/// What prost makes of a reply, message for message.
fn render_by_prost(series: &[SeriesData], meta: Option<pb_v3::Meta>) -> Vec<u8> {
    let message = |s: &SeriesData| pb_v3::FetchResponse {
        name: s.name.clone(),
        path_expression: s.path_expression.clone(),
        consolidation_func: s.consolidation.as_str().to_owned(),
        start_time: s.start,
        stop_time: s.stop,
        step_time: s.step,
        x_files_factor: s.x_files_factor,
        values: s.values.clone(),
        request_start_time: ASKED.from,
        request_stop_time: ASKED.until,
        ..Default::default()
    };
    let metrics = series.iter().map(message).collect();
    pb_v3::MultiFetchResponse { metrics, meta, folded: None }.encode_to_vec()
}

fn find_by_prost(replies: &[FindReply], meta: Option<pb_v3::Meta>) -> Vec<u8> {
    let one = |m: &FindMatch| pb_v3::GlobMatch { path: m.path.clone(), is_leaf: m.is_leaf };
    let message = |reply: &FindReply| pb_v3::GlobResponse {
        name: reply.query.clone(),
        matches: reply.matches.iter().map(one).collect(),
    };
    let metrics = replies.iter().map(message).collect();
    pb_v3::MultiGlobResponse { metrics, meta }.encode_to_vec()
}

#[test]
fn values_that_come_one_by_one_or_in_pieces_are_read_all_the_same() {
    let packed = [&[0x4a, 8][..], &1.5_f64.to_le_bytes()].concat();
    let alone = [&[0x49][..], &2.5_f64.to_le_bytes()].concat();
    let step = [0x30, 60];
    let message = [&packed[..], &step, &alone, &packed].concat();
    let body = [&[0x0a, u8::try_from(message.len()).unwrap()][..], &message].concat();
    let reply = decode_render(Format::V3, &body, CAPS).unwrap();
    assert_eq!(reply.series[0].values, [1.5, 2.5, 1.5]);
    let cut = [&[0x0a, 11, 0x30, 60, 0x4a, 7][..], &[0; 7]].concat();
    assert!(decode_render(Format::V3, &cut, CAPS).is_err(), "seven bytes are no value");
}

proptest! {
    #[test]
    fn v3_replies_are_those_that_prost_writes(
        names in prop::collection::vec(".{0,20}", 0..4),
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), -1e300..1e300], 0..40),
        (x_files_factor, start, is_partial) in (0.0..1.0_f32, -10_i64..1 << 40, any::<bool>()),
    ) {
        let one = |name: &String| SeriesData {
            x_files_factor,
            path_expression: format!("{name}*"),
            ..SeriesData::new(name, start, 60, values.clone())
        };
        let sent: Vec<_> = names.iter().map(one).collect();
        let meta = is_partial.then(|| pb_v3::Meta { partial: true, ..Default::default() });
        let body = encode_render(Format::V3, ASKED, &sent, meta.clone());
        prop_assert_eq!(&body, &render_by_prost(&sent, meta.clone()));
        let found = |path: &String| FindMatch {
            path: path.clone(),
            is_leaf: path.len().is_multiple_of(2),
            intervals: vec![],
        };
        let found = FindReply { query: "a".to_owned(), matches: names.iter().map(found).collect() };
        let replies = [found, FindReply::default()];
        let body = encode_find(Format::V3, &replies, meta.clone());
        prop_assert_eq!(&body, &find_by_prost(&replies, meta));
    }

    #[test]
    fn a_reply_that_comes_in_pieces_is_the_whole_reply(
        names in prop::collection::vec(".{0,200}", 0..4),
        pieces in prop::collection::vec(1_usize..90, 1..20),
        broken in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let sent: Vec<_> = names.iter().map(|name| series(name, vec![1.0, 2.0])).collect();
        for format in ALL {
            let mut body = encode_render(format, ASKED, &sent, Some(pb_v3::Meta::default()));
            if let Some((at, byte)) = broken.filter(|_| !body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let whole = decode_render(format, &body, CAPS);
            let mut decoder = RenderDecoder::new(format, CAPS);
            let (mut rest, mut pushed) = (&body[..], Ok(()));
            for length in pieces.iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(*length));
                pushed = pushed.and_then(|()| decoder.push(piece));
                rest = later;
                if rest.is_empty() { break }
            }
            let in_pieces = pushed.and_then(|()| decoder.finish());
            prop_assert_eq!(whole.is_err(), in_pieces.is_err());
            if let (Ok(whole), Ok(in_pieces)) = (whole, in_pieces) {
                prop_assert_eq!(bits(&whole.series), bits(&in_pieces.series));
                prop_assert_eq!(whole.meta, in_pieces.meta);
            }
        }
    }

    #[test]
    fn renders_make_the_round_trip(
        names in prop::collection::vec(".{1,20}", 0..4),
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), -1e300..1e300], 0..20),
    ) {
        let sent: Vec<_> = names.iter().map(|name| series(name, values.clone())).collect();
        for format in ALL {
            let body = encode_render(format, ASKED, &sent, None);
            let got = decode_render(format, &body, CAPS).unwrap().series;
            prop_assert_eq!(bits(&got), bits(&sent));
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in ALL {
            let reply = decode_render(format, &bytes, CAPS);
            prop_assert!(reply.is_err() || reply.unwrap().series.len() <= bytes.len());
            prop_assert!(decode_find(format, &bytes, CAPS).map_or(0, |r| r.0.len()) <= bytes.len());
            prop_assert!(decode_info(format, &bytes, CAPS).map_or(0, |r| r.len()) <= bytes.len());
        }
    }
}
