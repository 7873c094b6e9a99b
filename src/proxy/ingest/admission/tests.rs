use super::*;
use crate::base::clock;

const MS: Duration = Duration::from_millis(1);

fn bounds() -> Bounds {
    Bounds { max_connections: 3, max_connections_per_address: 2, ..Bounds::default() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Newcomers one after the other, each with what becomes of it.
fn check_admitted(newcomers: &[(&str, Result<(), Limit>)]) -> Admission {
    let (mut admission, now) = (Admission::new(bounds()), clock::now());
    for (number, (address, expected)) in newcomers.iter().enumerate() {
        let admitted = admission.admit(PublisherId(number as u64), ip(address), now);
        assert_eq!(admitted, *expected, "{number}: {address}");
    }
    admission
}

#[test]
fn a_newcomer_is_let_in_within_both_bounds() {
    let full = check_admitted(&[
        ("10.0.0.1", Ok(())),
        ("10.0.0.1", Ok(())),
        ("10.0.0.1", Err(Limit::ConnectionsPerAddress)),
        ("10.0.0.2", Ok(())),
        ("10.0.0.3", Err(Limit::Connections)),
        // The house is full before anyone asks where it comes from.
        ("10.0.0.1", Err(Limit::Connections)),
    ]);
    let stats = full.stats(clock::now());
    assert_eq!((stats.connections, stats.addresses, stats.handshaking), (3, 2, 3));
    assert_eq!((stats.refused.max_connections, stats.refused.max_connections_per_address), (2, 1));
    let limits = stats.limits;
    assert_eq!(limits.max_connections, Gauge { limit: 3, now: 3, highest: 3, hits: 2 });
    assert_eq!(limits.max_connections_per_address, Gauge { limit: 2, now: 2, highest: 2, hits: 1 });
}

#[test]
fn an_ipv6_network_is_one_and_an_ipv4_address_is_the_same_in_both_notations() {
    check_admitted(&[
        ("2001:db8:0:1::1", Ok(())),
        ("2001:db8:0:1:ffff::9", Ok(())),
        ("2001:db8:0:1:2:3:4:5", Err(Limit::ConnectionsPerAddress)),
        ("2001:db8:0:2::1", Ok(())),
    ]);
    check_admitted(&[
        ("10.0.0.1", Ok(())),
        ("::ffff:10.0.0.1", Ok(())),
        ("10.0.0.1", Err(Limit::ConnectionsPerAddress)),
    ]);
}

#[test]
fn who_leaves_makes_room_once() {
    let mut admission = check_admitted(&[("10.0.0.1", Ok(())), ("10.0.0.1", Ok(()))]);
    let now = clock::now();
    for _ in 0..3 {
        admission.leave(PublisherId(0), now);
    }
    assert_eq!(admission.admit(PublisherId(7), ip("10.0.0.1"), now), Ok(()));
    assert_eq!(admission.admit(PublisherId(8), ip("10.0.0.1"), now), Err(Limit::ConnectionsPerAddress));
    admission.leave(PublisherId(1), now);
    admission.leave(PublisherId(7), now);
    assert!(admission.addresses.is_empty() && admission.seats.is_empty());
}

#[test]
fn the_map_of_addresses_is_as_small_as_the_number_of_connections() {
    let (mut admission, now) = (Admission::new(bounds()), clock::now());
    for number in 0..10_000_u32 {
        let address = IpAddr::V4(Ipv4Addr::from(number));
        let _ = admission.admit(PublisherId(u64::from(number)), address, now);
    }
    assert_eq!((admission.addresses.len(), admission.seats.len()), (3, 3));
}

#[test]
fn a_time_limit_shows_the_oldest_now_and_the_longest_ever() {
    let (mut admission, start, id) = (Admission::new(bounds()), clock::now(), PublisherId(1));
    admission.admit(id, ip("10.0.0.1"), start).expect("there is room");
    let at = |millis: u32| start + MS * millis;
    let check = |gauge: Gauge, now, highest| assert_eq!((gauge.now, gauge.highest), (now, highest));
    check(admission.stats(at(40)).limits.handshake_timeout, 40, 40);
    admission.enter(id, Phase::Asking, at(50));
    check(admission.stats(at(70)).limits.handshake_timeout, 0, 50);
    check(admission.stats(at(70)).limits.publish_timeout, 20, 20);
    admission.enter(id, Phase::Publishing, at(80));
    admission.report(id, Use::default(), Some(at(500)));
    admission.report(id, Use::default(), Some(at(600)));
    let stats = admission.stats(at(610));
    check(stats.limits.publish_timeout, 0, 30);
    check(stats.limits.idle_timeout, 10, 420);
    assert_eq!((stats.handshaking, stats.asking, stats.publishing), (0, 0, 1));
    admission.leave(id, at(620));
    check(admission.stats(at(999)).limits.idle_timeout, 0, 420);
}

#[test]
fn what_a_connection_uses_is_shown_where_it_is_limited() {
    let (mut admission, now, id) = (Admission::new(bounds()), clock::now(), PublisherId(1));
    admission.admit(id, ip("10.0.0.1"), now).expect("there is room");
    admission.report(id, Use { bitrate: 50, message_bytes: 60, memory_bytes: 7, chunk_streams: 3 }, None);
    let limits = admission.stats(now).limits;
    assert_eq!((limits.max_unproved_memory.now, limits.max_bitrate.now), (7, 0));
    admission.enter(id, Phase::Publishing, now);
    admission.report(id, Use { bitrate: 5, message_bytes: 6, memory_bytes: 70, chunk_streams: 2 }, Some(now));
    let limits = admission.stats(now).limits;
    assert_eq!((limits.max_bitrate.now, limits.max_message_size.now), (5, 6));
    assert_eq!((limits.max_unproved_memory.now, limits.max_unproved_memory.highest), (0, 7));
    admission.leave(id, now);
    let highest = admission.stats(now).limits;
    assert_eq!((highest.max_bitrate.highest, highest.max_message_size.highest), (5, 6));
    assert_eq!((limits.max_chunk_streams.now, limits.max_chunk_streams.highest), (2, 3));
    admission.hit(Limit::ChunkStreams);
    assert_eq!(admission.stats(now).limits.max_chunk_streams.hits, 1);
}

#[test]
fn a_report_of_someone_who_has_left_is_not_heard() {
    let (mut admission, now) = (Admission::new(bounds()), clock::now());
    admission.report(PublisherId(9), Use { bitrate: 5, ..Use::default() }, Some(now));
    admission.enter(PublisherId(9), Phase::Publishing, now);
    assert_eq!(admission.stats(now).limits.max_bitrate.highest, 0);
    assert_eq!(admission.stats(now).publishing, 0);
}
