use proptest::prelude::*;

use super::*;
use crate::base::clock;

const ALLOWED: Bitrate = Bitrate(8_000_000);
/// Bytes that the allowed bitrate carries in 10 ms.
const STEP_BYTES: usize = 10_000;
const GRACE: Duration = Duration::from_secs(10);

/// When, in milliseconds, a sender is found to send too much within two minutes; `bytes` are what it sends at each 10 ms.
fn exceeded_at(bytes: impl Fn(u32) -> usize) -> Option<(u32, Exceeded)> {
    let start = clock::now();
    let mut meter = BitrateMeter::new(ALLOWED, GRACE, start);
    (0..120_000).step_by(10).find_map(|millis| {
        let now = start + Duration::from_millis(u64::from(millis));
        meter.count(bytes(millis), now).err().map(|exceeded| (millis, exceeded))
    })
}

fn check_ends(expected_s: Option<std::ops::RangeInclusive<u32>>, bytes: impl Fn(u32) -> usize) {
    let ended = exceeded_at(bytes).map(|(millis, _)| millis / 1000);
    match expected_s {
        Some(range) => assert!(ended.is_some_and(|second| range.contains(&second)), "{ended:?}"),
        None => assert_eq!(ended, None),
    }
}

#[test]
fn who_sends_more_for_the_time_of_grace_is_ended() {
    // At twice the bitrate the bucket is full after a second, at 50 times at once.
    check_ends(Some(10..=11), |_| 2 * STEP_BYTES);
    check_ends(Some(10..=10), |_| 50 * STEP_BYTES);
    check_ends(Some(19..=22), |_| STEP_BYTES + STEP_BYTES / 10);
}

#[test]
fn who_keeps_to_it_on_the_whole_is_not() {
    check_ends(None, |_| STEP_BYTES);
    check_ends(None, |_| 0);
    // A GOP of two seconds in one burst, 9 s of too much every 20 s, and 5 s at 50 times the rate once.
    check_ends(None, |millis| if millis % 2000 == 0 { 190 * STEP_BYTES } else { 0 });
    check_ends(None, |millis| if millis % 20_000 < 9_000 { 5 * STEP_BYTES } else { STEP_BYTES / 10 });
    check_ends(None, |millis| if millis < 5_000 { 50 * STEP_BYTES } else { STEP_BYTES / 2 });
}

#[test]
fn what_was_measured_is_told() {
    let (_, exceeded) = exceeded_at(|_| 3 * STEP_BYTES).expect("three times too much");
    assert_eq!(exceeded.allowed, ALLOWED);
    assert!((23_900_000..=24_100_000).contains(&exceeded.measured.0), "{exceeded}");
    assert_eq!(exceeded.to_string(), "sent 24.0 Mbit/s, and 8.0 Mbit/s is allowed (max_bitrate)");
}

#[test]
fn the_gauge_shows_the_last_second() {
    let start = clock::now();
    let mut meter = BitrateMeter::new(ALLOWED, GRACE, start);
    for step in 0..=100_u32 {
        meter.count(1000, start + Duration::from_millis(10) * step).expect("little");
    }
    assert_eq!(meter.bitrate(), 800_000);
}

proptest! {
    #[test]
    fn no_order_of_times_and_sizes_panics(events in prop::collection::vec((any::<u32>(), any::<usize>()), 0..50)) {
        let start = clock::now();
        let mut meter = BitrateMeter::new(Bitrate(u64::MAX), Duration::ZERO, start);
        for (millis, bytes) in events {
            let _ = meter.count(bytes, start + Duration::from_millis(u64::from(millis)));
        }
    }

    #[test]
    fn how_a_second_is_cut_does_not_end_anyone_within_its_bitrate(cuts in prop::collection::vec(1..200_u64, 1..2000)) {
        let start = clock::now();
        let (mut meter, mut at) = (BitrateMeter::new(ALLOWED, GRACE, start), 0);
        for millis in cuts {
            at += millis;
            let bytes = usize::try_from(millis).expect("few") * STEP_BYTES / 10;
            let now = start + Duration::from_millis(at);
            prop_assert!(meter.count(bytes, now).is_ok());
        }
    }
}
