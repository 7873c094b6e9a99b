//! Each rule of the commit by example.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn fragment(from: i64, to: i64, access_units: u32) -> (Fragment, Ticks) {
    let (position, end) = (Ticks::from_millis(from), Ticks::from_millis(to));
    let last_presentation = Ticks::from_millis(to - 20);
    let data = Bytes::from_static(b"moof");
    let first_presentation = position;
    let fragment = Fragment {
        rendition: 0,
        position,
        end: Some(end),
        first_presentation,
        last_presentation,
        access_units,
        data,
    };
    (fragment, end)
}

/// Offers spans in order and expects the committed ones.
fn check_video(offers: &[(i64, i64)], committed: &[(i64, i64)]) {
    let mut commit = VideoCommit::default();
    let mut taken = Vec::new();
    for &(from, to) in offers {
        let (fragment, end) = fragment(from, to, 2);
        if commit.offer(&fragment, end) {
            taken.push((from, to));
        }
    }
    assert_eq!(taken, committed);
    assert_eq!(commit.duplicated(), 0);
    assert_eq!(commit.fragments(), committed.len() as u64);
    assert_eq!(commit.end().map(Ticks::as_millis), committed.last().map(|span| span.1));
}

#[test]
fn each_position_is_committed_once() {
    check_video(&[(0, 100), (100, 200)], &[(0, 100), (100, 200)]);
    check_video(&[(0, 100), (0, 100), (100, 200), (100, 200)], &[(0, 100), (100, 200)]);
    check_video(&[(0, 100), (103, 200), (197, 300)], &[(0, 100), (103, 200), (197, 300)]);
    check_video(&[(0, 100), (50, 150), (100, 200)], &[(0, 100), (100, 200)]);
    check_video(&[(0, 100), (300, 400), (100, 200)], &[(0, 100), (300, 400)]);
    check_video(&[(100, 100), (100, 50)], &[]);
}

#[test]
fn a_node_that_breaks_its_word_is_counted() {
    let mut commit = VideoCommit::default();
    let (first, end) = fragment(0, 100, 3);
    assert!(commit.offer(&first, end));
    let (mut liar, end) = fragment(100, 200, 3);
    liar.first_presentation = Ticks::ZERO;
    assert!(commit.offer(&liar, end));
    assert_eq!(commit.duplicated(), 3);
}

#[test]
fn a_sections_first_picture_may_lie_before_it_on_the_grid_of_a_frame_rate() {
    let mut commit = VideoCommit::leading(Ticks::from_millis(33));
    let mut offer = |from, to| {
        let (fragment, end) = fragment(from, to, 2);
        commit.offer(&fragment, end)
    };
    assert!(offer(0, 1_000));
    assert!(!offer(970, 2_000), "within a section nothing comes twice");
    commit.begin_section(Ticks::from_millis(1_000));
    let mut offer = |from, to| {
        let (fragment, end) = fragment(from, to, 2);
        commit.offer(&fragment, end)
    };
    assert!(!offer(960, 2_000) && offer(970, 2_000) && !offer(1_970, 3_000));
    assert_eq!(commit.duplicated(), 0);
}

fn aac(sample_rate: u32) -> AudioConfiguration {
    AudioConfiguration { sample_rate, ..crate::stream::example::audio() }
}

fn audio(sample_rate: u32) -> AudioCommit {
    let mut commit = AudioCommit::default();
    commit.configure(&aac(sample_rate));
    commit
}

#[test]
fn rounded_audio_times_are_set_to_the_grid() {
    let mut commit = audio(48_000);
    let places: Vec<_> = [0, 21, 43, 64, 85].map(|at| commit.offer(Ticks::from_millis(at))).to_vec();
    let expected: Vec<_> =
        (0..5).map(|unit| Some(AudioPlace { decode_time: unit * 1024, samples: 1024 })).collect();
    assert_eq!(places, expected);
}

#[test]
fn audio_that_is_there_is_dropped_and_a_gap_of_the_source_stays() {
    let mut commit = audio(48_000);
    assert!(commit.offer(Ticks::from_millis(0)).is_some());
    assert!(commit.offer(Ticks::from_millis(0)).is_none());
    assert!(commit.offer(Ticks::from_millis(10)).is_none(), "more than half of it is there");
    assert_eq!(commit.offer(Ticks::from_millis(11)).map(|place| place.decode_time), Some(1024));
    assert_eq!(commit.offer(Ticks::from_millis(500)).map(|place| place.decode_time), Some(24_000));
    assert!(commit.reaches(Ticks::from_millis(500)));
    assert!(commit.reaches(Ticks::from_millis(521)), "the next one");
    assert!(!commit.reaches(Ticks::from_millis(543)), "the one after the next");
}

#[test]
fn a_new_rate_keeps_the_time_of_the_end() {
    let mut commit = audio(48_000);
    commit.offer(Ticks(0));
    let before = commit.end();
    commit.configure(&aac(44_100));
    assert_eq!(before, Some(Ticks(1920)));
    assert!((commit.end().expect("was set") - Ticks(1920)).abs() <= Ticks(2));
}

/// Settles a fragment from `from` to `to`, in milliseconds, with pictures every 10 ms, `access_units` of which came out.
fn settle(ledger: &mut Ledger, (from, to): (i64, i64), access_units: u32, input_start: i64) {
    let (fragment, end) = fragment(from, to, access_units);
    let last_presentation = Ticks::from_millis(to - 10);
    ledger.settle(&Fragment { last_presentation, ..fragment }, end, Ticks::from_millis(input_start));
}

#[test]
fn what_never_came_out_is_lost_or_undecodable() {
    let mut ledger = Ledger::default();
    (0..10).for_each(|at| ledger.accept(Ticks::from_millis(at * 10)));
    let at = Ticks::from_millis;
    settle(&mut ledger, (0, 20), 2, 0);
    assert_eq!((ledger.lost(), ledger.undecodable(), ledger.pending()), (0, 0, 8));
    settle(&mut ledger, (20, 50), 2, 0);
    assert_eq!((ledger.lost(), ledger.undecodable()), (0, 1), "one of three gave no picture");
    settle(&mut ledger, (80, 90), 1, 70);
    assert_eq!((ledger.lost(), ledger.undecodable()), (2, 2), "two before the input began, one within it");
    ledger.give_up(at(1000));
    assert_eq!((ledger.lost(), ledger.pending(), ledger.accepted()), (3, 0, 10));
}

#[test]
fn leading_pictures_are_settled_with_the_fragment_that_has_them() {
    let at = Ticks::from_millis;
    let mut ledger = Ledger::default();
    let mut commit = VideoCommit::default();
    (0..12).for_each(|number| ledger.accept(at(number * 10)));
    // The second random access point, at 60 ms, has two leading pictures; the third, at 110 ms, has none.
    for (position, first, last, end, units) in
        [(0, 0, 30, 60, 4), (60, 40, 100, 110, 7), (110, 110, 110, 120, 1)]
    {
        let (fragment, end) = fragment(position, end, units);
        let (first_presentation, last_presentation) = (at(first), at(last));
        let fragment = Fragment { first_presentation, last_presentation, ..fragment };
        assert!(commit.offer(&fragment, end));
        ledger.settle(&fragment, end, at(0));
        assert_eq!((ledger.lost(), ledger.undecodable(), commit.duplicated()), (0, 0, 0), "at {position} ms");
    }
    assert_eq!(ledger.pending(), 0);
}

#[test]
fn pictures_that_a_frame_rate_leaves_out_are_not_undecodable() {
    let at = Ticks::from_millis;
    let mut ledger = Ledger::resampled();
    (0..10).for_each(|number| ledger.accept(at(number * 10)));
    settle(&mut ledger, (5, 50), 2, 0);
    assert_eq!((ledger.lost(), ledger.undecodable(), ledger.pending()), (0, 0, 5));
    settle(&mut ledger, (80, 90), 9, 70);
    assert_eq!((ledger.lost(), ledger.undecodable(), ledger.pending()), (2, 0, 1), "lost is lost");
    ledger.settle_section(at(100));
    assert_eq!((ledger.undecodable(), ledger.pending()), (1, 0), "nothing came out of all the input");
}

#[test]
fn the_ledger_is_bounded() {
    let mut ledger = Ledger::default();
    (0..70_000).for_each(|at| ledger.accept(Ticks(at)));
    assert_eq!(ledger.pending(), MAX_PENDING);
    assert_eq!(ledger.lost(), 70_000 - MAX_PENDING as u64);
}

proptest! {
    /// Times in any order, equal ones among them: what is before an end leaves, and nothing else.
    #[test]
    fn the_ledger_counts_what_is_before(times in prop::collection::vec(0i64..200, 0..300), ends in prop::collection::vec(0i64..250, 1..5)) {
        let mut ledger = Ledger::default();
        let mut expected = times.clone();
        times.iter().for_each(|&at| ledger.accept(Ticks(at)));
        for end in ends {
            ledger.give_up(Ticks(end));
            expected.retain(|&at| at >= end);
            prop_assert_eq!(ledger.pending(), expected.len());
            prop_assert_eq!(ledger.lost(), (times.len() - expected.len()) as u64);
        }
    }

    /// Whatever is offered, in whatever order: committed spans never overlap, and every picture is accounted for.
    #[test]
    fn committed_spans_never_overlap(offers in prop::collection::vec((0i64..100, 1i64..5), 0..100)) {
        let mut commit = VideoCommit::default();
        let mut ledger = Ledger::default();
        (0..120).for_each(|at| ledger.accept(Ticks::from_millis(at * 100)));
        let mut end = None;
        let mut frames = 0;
        for (from, length) in offers {
            let units = u32::try_from(length).expect("small");
            let (fragment, to) = fragment(from * 100, (from + length) * 100, units);
            if commit.offer(&fragment, to) {
                prop_assert!(end.is_none_or(|end| fragment.position >= end));
                end = Some(to);
                frames += u64::from(units);
                let last_presentation = to - Ticks::from_millis(10);
                ledger.settle(&Fragment { last_presentation, ..fragment }, to, Ticks::ZERO);
            }
        }
        prop_assert_eq!(commit.duplicated(), 0);
        prop_assert_eq!(frames + ledger.undecodable() + ledger.lost() + ledger.pending() as u64, 120);
    }
}
