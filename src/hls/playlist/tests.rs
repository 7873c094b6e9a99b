use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::units::Bitrate;
use crate::hls::InitSegment;

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600 * 90_000;

fn init(number: u64) -> Option<Arc<InitSegment>> {
    Some(Arc::new(InitSegment { number, data: Bytes::from_static(b"init") }))
}

/// Segment `index` of 180,180 ticks each, which is 60 pictures at 30000/1001 Hz.
fn segment(index: u64) -> Segment {
    let start = Ticks(EPOCH) + Ticks(180_180 * i64::try_from(index).expect("small"));
    Segment {
        sequence: 883_612_800 + index,
        start,
        end: start + Ticks(180_180),
        data: Some(Bytes::from_static(b"moof")),
        init: init(883_612_800),
        discontinuity: false,
        discontinuities_before: 0,
    }
}

fn check(segments: Vec<Segment>, ended: bool) -> String {
    let output = OutputView {
        name: "720p".parse().expect("a name"),
        configuration: None,
        segments: segments.into_iter().map(Arc::new).collect(),
        peak: Bitrate(0),
        average: Bitrate(0),
        frame_rate: None,
    };
    let view = View { target_duration_seconds: 10, window: 3, ended, ..View::default() };
    media(&view, &output)
}

#[test]
fn a_live_playlist_lists_the_window() {
    insta::assert_snapshot!(check((0..5).map(segment).collect(), false), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-TARGETDURATION:10
    #EXT-X-MEDIA-SEQUENCE:883612802
    #EXT-X-MAP:URI="init-883612800.mp4"
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.004Z
    #EXTINF:2.002000,
    883612802.m4s
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:06.006Z
    #EXTINF:2.002000,
    883612803.m4s
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:08.008Z
    #EXTINF:2.002000,
    883612804.m4s
    "##);
}

#[test]
fn an_ended_playlist_says_so_and_marks_what_changed() {
    let changed =
        Segment { init: init(883_612_802), discontinuity: true, discontinuities_before: 1, ..segment(2) };
    let gap = Segment { data: None, init: init(883_612_802), discontinuities_before: 2, ..segment(3) };
    let first = Segment { discontinuities_before: 1, ..segment(1) };
    insta::assert_snapshot!(check(vec![first, changed, gap], true), @r##"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-TARGETDURATION:10
    #EXT-X-MEDIA-SEQUENCE:883612801
    #EXT-X-DISCONTINUITY-SEQUENCE:1
    #EXT-X-MAP:URI="init-883612800.mp4"
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.002Z
    #EXTINF:2.002000,
    883612801.m4s
    #EXT-X-DISCONTINUITY
    #EXT-X-MAP:URI="init-883612802.mp4"
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.004Z
    #EXTINF:2.002000,
    883612802.m4s
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:06.006Z
    #EXT-X-GAP
    #EXTINF:2.002000,
    883612803.m4s
    #EXT-X-ENDLIST
    "##);
}

#[test]
fn an_output_of_which_nothing_came_is_all_gaps() {
    let gap = Segment { data: None, init: None, ..segment(0) };
    let text = check(vec![gap], false);
    assert!(text.contains("#EXT-X-GAP\n#EXTINF:2.002000,\n") && !text.contains("EXT-X-MAP"), "{text}");
}

#[test]
fn every_tick_is_told_from_its_neighbours() {
    let shown: Vec<String> =
        [0, 1, 2, 90_000, 180_001, i64::MAX, -5].map(|t| Seconds(Ticks(t)).to_string()).into();
    let last = "102481911520608.620078";
    assert_eq!(shown, ["0.000000", "0.000011", "0.000022", "1.000000", "2.000011", last, "0.000000"]);
}
