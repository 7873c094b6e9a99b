//! The network: what comes and goes, and what the links take. `/proc/net/dev` and `/sys/class/net` show the interfaces of
//! the namespace that this process is in.

use std::collections::BTreeMap;
use std::time::Instant;

use super::files::Files;
use super::rate::{Rate, Width, counted, whole};

/// Interfaces that are looked at; a host of a thousand containers has as many.
const MAX_INTERFACES: usize = 4096;

/// Bytes of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    received: u64,
    sent: u64,
}

/// Measures all interfaces together.
#[derive(Debug)]
pub(super) struct Network {
    files: Files,
    last: BTreeMap<String, Bytes>,
    /// What was counted since the first look. An interface that comes counts from when it is first seen.
    total: Bytes,
    received: Rate,
    sent: Rate,
}

impl Network {
    pub(super) fn new(files: &Files) -> Self {
        let rate = Rate::new(Width::Bits64);
        let (last, total) = (BTreeMap::new(), Bytes::default());
        Self { files: files.clone(), last, total, received: rate, sent: rate }
    }

    /// Bits a second that are received, and that are sent.
    pub(super) fn measure(&mut self, now: Instant) -> (u64, u64) {
        let seen = self.interfaces();
        for (name, bytes) in &seen {
            let last = self.last.get(name).unwrap_or(bytes);
            let grown = |old, new| counted(Width::Bits64, old, new).unwrap_or_default();
            self.total.received = self.total.received.saturating_add(grown(last.received, bytes.received));
            self.total.sent = self.total.sent.saturating_add(grown(last.sent, bytes.sent));
        }
        self.last = seen;
        self.received.push(self.total.received, now);
        self.sent.push(self.total.sent, now);
        let bits = |rate: &Rate| whole(rate.per_second().unwrap_or_default() * 8.0);
        (bits(&self.received), bits(&self.sent))
    }

    /// What the links take in each direction, in bits per second; `None` where one of them does not say, as those of
    /// virtual machines and containers.
    pub(super) fn capacity(&self) -> Option<u64> {
        let real = self.interfaces().into_keys().filter(|name| self.is_real(name) && self.is_up(name));
        // In Mbit/s; -1 where it does not know.
        let speed = |name: String| self.files.number(format!("/sys/class/net/{name}/speed"));
        let speeds: Option<Vec<u64>> = real.map(speed).collect();
        let sum = speeds?.into_iter().fold(0, u64::saturating_add).saturating_mul(1_000_000);
        (sum > 0).then_some(sum)
    }

    /// The interfaces whose bytes count, each byte once: what goes through a bridge, a bond or a tunnel goes through a link
    /// too. So those with a device behind them count; where there is none, as in a container, all but loopback.
    fn interfaces(&self) -> BTreeMap<String, Bytes> {
        let listed = self.files.read("/proc/net/dev").unwrap_or_default();
        let all = listed.lines().filter_map(interface).filter(|(name, _)| *name != "lo").take(MAX_INTERFACES);
        let all: BTreeMap<String, Bytes> = all.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let real: BTreeMap<_, _> = all
            .iter()
            .filter(|(name, _)| self.is_real(name))
            .map(|(name, bytes)| (name.clone(), *bytes))
            .collect();
        if real.is_empty() { all } else { real }
    }

    /// Whether there is a device behind it.
    fn is_real(&self, name: &str) -> bool {
        self.files.at(format!("/sys/class/net/{name}/device")).exists()
    }

    /// Whether its link is there: one without a cable takes nothing.
    fn is_up(&self, name: &str) -> bool {
        self.files.read(format!("/sys/class/net/{name}/operstate")).is_some_and(|state| state.trim() == "up")
    }
}

/// A line of `/proc/net/dev`: eight numbers of what was received, then eight of what was sent, bytes first in both.
fn interface(line: &str) -> Option<(&str, Bytes)> {
    let (name, numbers) = line.split_once(':')?;
    let mut numbers = numbers.split_ascii_whitespace();
    let received = numbers.next()?.parse().ok()?;
    let sent = numbers.nth(7)?.parse().ok()?;
    Some((name.trim(), Bytes { received, sent }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::clock;
    use crate::node::load::files::tests::Fake;
    use proptest::prelude::*;

    const HEAD: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
";

    fn table(interfaces: &[(&str, u64, u64)]) -> String {
        let line = |&(name, received, sent): &(&str, u64, u64)| {
            format!("{name:>6}: {received} 43 0 0 0 0 0 0 {sent:>8} 29 0 0 0 0 0 0\n")
        };
        HEAD.to_owned() + &interfaces.iter().map(line).collect::<String>()
    }

    /// What is measured a second after the first look, and after the second.
    fn measured(real: &[&str], looks: [&[(&str, u64, u64)]; 3]) -> [(u64, u64); 2] {
        let fake = Fake::new(&[]);
        real.iter().for_each(|name| fake.write(&format!("/sys/class/net/{name}/device/vendor"), "x"));
        let mut network = Network::new(&fake.files());
        let start = clock::now();
        let mut look = |second, interfaces| {
            fake.write("/proc/net/dev", &table(interfaces));
            network.measure(start + Duration::from_secs(second))
        };
        let [first, second, third] = looks;
        assert_eq!(look(0, first), (0, 0), "there is nothing to compare with");
        [look(1, second), look(2, third)]
    }

    #[test]
    fn all_but_loopback_is_added_up() {
        let looks: [&[_]; 3] = [
            &[("lo", 0, 0), ("eth0", 1000, 2000), ("eth1", 5, 5)],
            &[("lo", 99_999, 99_999), ("eth0", 2000, 2000), ("eth1", 505, 5)],
            &[("lo", 99_999, 99_999), ("eth0", 3000, 2000), ("eth1", 1005, 5)],
        ];
        assert_eq!(measured(&[], looks), [(12_000, 0), (12_000, 0)]);
    }

    #[test]
    fn an_interface_that_comes_or_begins_anew_is_no_burst() {
        let looks: [&[_]; 3] = [
            &[("eth0", 1_000_000, 0)],
            &[("eth0", 1_001_000, 0), ("wg0", 1 << 40, 1 << 40)],
            &[("eth0", 500, 0), ("wg0", (1 << 40) + 1000, 1 << 40)],
        ];
        assert_eq!(measured(&[], looks), [(8000, 0), (8000, 0)]);
    }

    #[test]
    fn what_goes_through_a_bridge_too_is_counted_once() {
        let looks: [&[_]; 3] = [
            &[("eth0", 0, 0), ("docker0", 0, 0), ("veth1", 0, 0)],
            &[("eth0", 10, 1000), ("docker0", 1000, 10), ("veth1", 1000, 10)],
            &[("eth0", 20, 2000), ("docker0", 2000, 20), ("veth1", 2000, 20)],
        ];
        assert_eq!(measured(&["eth0"], looks), [(80, 8000), (80, 8000)]);
    }

    fn check_capacity(files: &[(&str, &str)], expected: Option<u64>) {
        let fake = Fake::new(&[("/proc/net/dev", &table(&[("lo", 0, 0), ("eth0", 0, 0), ("eth1", 0, 0)]))]);
        files.iter().for_each(|(path, text)| fake.write(&format!("/sys/class/net/{path}"), text));
        assert_eq!(Network::new(&fake.files()).capacity(), expected, "{files:?}");
    }

    #[test]
    fn links_that_are_up_say_what_they_take() {
        let eth0 = [("eth0/device/vendor", "x"), ("eth0/operstate", "up\n"), ("eth0/speed", "10000\n")];
        let eth1 = [("eth1/device/vendor", "x"), ("eth1/operstate", "up\n"), ("eth1/speed", "1000\n")];
        check_capacity(&eth0, Some(10_000_000_000));
        check_capacity(&[eth0, eth1].concat(), Some(11_000_000_000));
        check_capacity(&[&eth0[..], &[eth1[0], ("eth1/operstate", "down\n")]].concat(), Some(10_000_000_000));
        // A virtual machine's, and a pair of virtual ones, whose 10 Gbit/s are nobody's.
        check_capacity(&[&eth0[..2], &[("eth0/speed", "-1\n")]].concat(), None);
        check_capacity(&[&eth0[..], &eth1[..2]].concat(), None);
        check_capacity(&eth0[1..], None);
        check_capacity(&[], None);
    }

    #[test]
    fn this_machine_is_read() {
        let mut network = Network::new(&Files::system());
        assert_eq!(network.measure(clock::now()), (0, 0));
        assert!(network.capacity().is_none_or(|bps| bps >= 1_000_000));
    }

    proptest! {
        #[test]
        fn no_line_makes_reading_panic(line in ".{0,60}", numbers in "[a-z]{1,4}: ([0-9]{1,21} ){0,17}") {
            let _ = (interface(&line), interface(&numbers));
        }
    }
}
