use proptest::prelude::*;

use super::*;
use crate::base::clock;

/// What may come, and the bytes that this is in a millisecond.
const ALLOWED: Bitrate = Bitrate(8_000_000);
const BYTES_A_MS: u64 = 1_000;
const GRACE: Duration = Duration::from_secs(10);

/// Publishers that send evenly and report every 520 ms, one after the other.
struct Scene {
    tenant: TenantBitrate,
    start: Instant,
    /// Who sends how many bytes in a millisecond.
    publishers: Vec<(PublisherId, u64)>,
    bytes: u64,
    millis: u64,
}

impl Scene {
    fn new(allowed: Option<Bitrate>) -> Self {
        let start = clock::now();
        Self {
            tenant: TenantBitrate::new(allowed, GRACE, start),
            start,
            publishers: Vec::new(),
            bytes: 0,
            millis: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.millis)
    }

    fn enter(&mut self, id: u64, bytes_a_ms: u64) {
        self.tenant.enter(PublisherId(id), self.now());
        self.publishers.push((PublisherId(id), bytes_a_ms));
    }

    /// Lets so many seconds pass; who had to end meanwhile, and when.
    fn run(&mut self, seconds: u64) -> Vec<(u64, u64)> {
        let mut ended = Vec::new();
        for _ in 0..seconds * 1_000 / 20 {
            self.millis += 20;
            self.bytes += 20 * self.publishers.iter().map(|(_, rate)| rate).sum::<u64>();
            for (publisher, rate) in self.publishers.clone() {
                let due = (self.millis + publisher.0 * 20).is_multiple_of(520) && rate > 0;
                if due && self.tenant.handle_report(publisher, self.bytes, self.now()).is_err() {
                    ended.push((publisher.0, self.millis / 1_000));
                    self.tenant.leave(publisher);
                    self.publishers.retain(|(other, _)| *other != publisher);
                }
            }
        }
        ended
    }
}

#[test]
fn the_newest_of_those_that_send_too_much_together_is_ended() {
    let mut scene = Scene::new(Some(ALLOWED));
    // The identity is that of the connection, which may have waited before it published.
    scene.enter(7, BYTES_A_MS / 2);
    scene.enter(9, BYTES_A_MS / 2);
    scene.enter(3, BYTES_A_MS / 2);
    let ended = scene.run(30);
    assert!(matches!(ended[..], [(3, 10..=13)]), "{ended:?}");
    assert_eq!(scene.run(60), [], "the others keep to it");
}

#[test]
fn a_single_publisher_is_judged_too_and_each_end_has_a_time_of_grace() {
    let mut scene = Scene::new(Some(ALLOWED));
    scene.enter(1, 2 * BYTES_A_MS);
    scene.enter(2, 2 * BYTES_A_MS);
    let ended = scene.run(40);
    assert!(matches!(ended[..], [(2, 10..=11), (1, 20..=24)]), "{ended:?}");
}

#[test]
fn a_newcomer_that_sends_nothing_is_not_the_one() {
    let mut scene = Scene::new(Some(ALLOWED));
    scene.enter(1, 2 * BYTES_A_MS);
    scene.enter(2, 0);
    let ended = scene.run(15);
    assert!(matches!(ended[..], [(1, 10..=12)]), "{ended:?}");
}

#[test]
fn who_leaves_in_time_spares_the_others() {
    let mut scene = Scene::new(Some(ALLOWED));
    scene.enter(1, BYTES_A_MS / 4 * 3);
    scene.enter(2, BYTES_A_MS / 2);
    assert_eq!(scene.run(9), []);
    scene.tenant.leave(PublisherId(2));
    scene.publishers.pop();
    assert_eq!(scene.run(60), []);
}

#[test]
fn the_gauge_shows_what_all_send_and_nothing_when_nobody_does() {
    let mut scene = Scene::new(None);
    scene.enter(1, BYTES_A_MS);
    scene.enter(2, 3 * BYTES_A_MS);
    assert_eq!(scene.run(20), [], "without a limit nobody is ended");
    let bitrate = scene.tenant.bitrate(scene.now());
    assert!((31_000_000..=33_000_000).contains(&bitrate), "{bitrate}");
    assert_eq!(scene.tenant.bitrate(scene.now() + SENDING), 0);
}

proptest! {
    #[test]
    fn no_order_of_times_and_sizes_panics(
        events in prop::collection::vec((0u64..4, any::<u32>(), any::<u64>(), any::<bool>()), 0..50),
    ) {
        let start = clock::now();
        let mut tenant = TenantBitrate::new(Some(Bitrate(u64::MAX)), Duration::ZERO, start);
        for (publisher, millis, bytes, enters) in events {
            let (publisher, now) = (PublisherId(publisher), start + Duration::from_millis(u64::from(millis)));
            if enters {
                tenant.enter(publisher, now);
            }
            if tenant.handle_report(publisher, bytes, now).is_err() {
                tenant.leave(publisher);
            }
            let _ = tenant.bitrate(now);
        }
    }
}
