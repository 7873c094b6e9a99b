//! The device that holds the working folder, where FFmpeg writes if it writes anything: `/proc/diskstats`, whose fields are
//! in the kernel's `admin-guide/iostats.rst`.

use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use nix::sys::stat::{major, minor};

use super::cgroup::{Mount, unescaped};
use super::files::Files;
use super::rate::{Rate, Width, whole};

/// Bits of a sector, which is 512 bytes in these statistics whatever the device has.
const SECTOR_BITS: f64 = 4096.0;

/// A block device, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    major: u64,
    minor: u64,
}

/// The counters of a device, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    reads: u64,
    read_sectors: u64,
    read_ms: u64,
    writes: u64,
    written_sectors: u64,
    write_ms: u64,
    busy_ms: u64,
}

/// What a device does. All zero for a file system that is on none, such as `tmpfs` and a container's `overlay`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct DiskLoad {
    /// Bits per second.
    pub(super) read_bps: u64,
    /// Bits per second.
    pub(super) write_bps: u64,
    /// Share of the time in which it had something to do, 0 to 1.
    pub(super) busy: f64,
    /// Milliseconds that a request takes on average, waiting included.
    pub(super) latency_ms: f64,
}

/// Measures one device.
#[derive(Debug)]
pub(super) struct Disk {
    files: Files,
    device: Option<Device>,
    read_sectors: Rate,
    written_sectors: Rate,
    busy_ms: Rate,
    /// Requests that were done, and the milliseconds that they took together. The system counts reads and writes apart; each
    /// is a counter of its own, because each wraps by itself.
    done: [Rate; 2],
    took_ms: [Rate; 2],
}

impl Disk {
    /// The device of the folder that this process works in.
    pub(super) fn new(files: &Files) -> Self {
        let folder = std::env::current_dir().ok();
        let device = folder.and_then(|folder| device_of(&folder, &files.read("/proc/self/mountinfo")?));
        Self::of(files, device)
    }

    fn of(files: &Files, device: Option<Device>) -> Self {
        let counter = Rate::new(Width::Bits64);
        let milliseconds = Rate::new(Width::Bits32);
        Self {
            files: files.clone(),
            device,
            read_sectors: counter,
            written_sectors: counter,
            busy_ms: milliseconds,
            done: [counter; 2],
            took_ms: [milliseconds; 2],
        }
    }

    /// What the device does now.
    pub(super) fn measure(&mut self, now: Instant) -> DiskLoad {
        let counters = self.device.and_then(|device| {
            let statistics = self.files.read("/proc/diskstats")?;
            statistics.lines().find_map(|line| Counters::read(line, device))
        });
        counters.map(|counters| self.take(counters, now)).unwrap_or_default()
    }

    fn take(&mut self, counters: Counters, now: Instant) -> DiskLoad {
        self.read_sectors.push(counters.read_sectors, now);
        self.written_sectors.push(counters.written_sectors, now);
        self.busy_ms.push(counters.busy_ms, now);
        for (rate, count) in self.done.iter_mut().zip([counters.reads, counters.writes]) {
            rate.push(count, now);
        }
        for (rate, count) in self.took_ms.iter_mut().zip([counters.read_ms, counters.write_ms]) {
            rate.push(count, now);
        }
        let of = |rate: &Rate| rate.per_second().unwrap_or_default();
        let busy = (of(&self.busy_ms) / 1000.0).min(1.0);
        let (done, took) = (self.done.iter().map(of).sum(), self.took_ms.iter().map(of).sum());
        DiskLoad {
            read_bps: whole(of(&self.read_sectors) * SECTOR_BITS),
            write_bps: whole(of(&self.written_sectors) * SECTOR_BITS),
            busy,
            latency_ms: latency(done, took),
        }
    }
}

/// Milliseconds that a request takes, from requests a second and the milliseconds that they took together. Less than one in
/// a minute says nothing.
fn latency(done: f64, took_ms: f64) -> f64 {
    if done * 60.0 < 1.0 { 0.0 } else { took_ms / done }
}

impl Counters {
    /// A line of `/proc/diskstats`, if it is this device's. A partition has one of its own.
    fn read(line: &str, device: Device) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next()?.parse::<u64>().ok();
        if (next()?, next()?) != (device.major, device.minor) {
            return None;
        }
        let numbers: Vec<u64> = fields.skip(1).map_while(|field| field.parse().ok()).take(10).collect();
        let &[reads, _, read_sectors, read_ms, writes, _, written_sectors, write_ms, _, busy_ms] =
            numbers.as_slice()
        else {
            return None;
        };
        Some(Self { reads, read_sectors, read_ms, writes, written_sectors, write_ms, busy_ms })
    }
}

/// The device that holds a folder; `None` where it is on none.
fn device_of(folder: &Path, mountinfo: &str) -> Option<Device> {
    let device = std::fs::metadata(folder).ok()?.st_dev();
    match (major(device), minor(device)) {
        // A file system of several devices (btrfs), or of none, has no number of its own: its mount names the device.
        (0, _) => device_named(source_of(folder, mountinfo)?),
        (major, minor) => Some(Device { major, minor }),
    }
}

/// What the file system that holds a folder was made of, if that is a device's path.
fn source_of<'a>(folder: &Path, mountinfo: &'a str) -> Option<&'a str> {
    let mounts = mountinfo.lines().filter_map(Mount::read);
    let holding = mounts.filter(|mount| folder.starts_with(unescaped(mount.point)));
    // Of two mounts at one place the later one hides the other.
    let nearest = holding.max_by_key(|mount| unescaped(mount.point).components().count())?;
    nearest.source.starts_with("/dev/").then_some(nearest.source)
}

/// The device at a path under `/dev`; `None` where it is none.
fn device_named(path: &str) -> Option<Device> {
    let device = std::fs::metadata(path).ok()?.st_rdev();
    (major(device) != 0).then(|| Device { major: major(device), minor: minor(device) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::clock;
    use crate::node::load::files::tests::Fake;
    use proptest::prelude::*;

    const VDA1: Device = Device { major: 254, minor: 1 };

    /// Linux 6.1, a virtual machine's only disk, and before it a kernel of 4.4 with fewer fields.
    const LINES: &str = "\
 254       0 vda 3396071 99384 154328778 12772452 405398 876274 641326424 3046196 0 530692 15960287 670296 50 603086424 140793 8435 844
 254       1 vda1 100 1 800 50 10 2 1600 70 3 90 120
";

    fn counters(line: &str) -> Option<Counters> {
        LINES.lines().chain([line]).find_map(|line| Counters::read(line, VDA1))
    }

    #[test]
    fn a_partition_has_a_line_of_its_own() {
        let expected = Counters {
            reads: 100,
            read_sectors: 800,
            read_ms: 50,
            writes: 10,
            written_sectors: 1600,
            write_ms: 70,
            busy_ms: 90,
        };
        assert_eq!(counters(""), Some(expected));
        let read = |line| Counters::read(line, VDA1);
        assert_eq!(read("254 1 vda1 1 2 3 4 5 6 7 8 9"), None);
        assert_eq!(read("254 1 vda1 1 2 3 4 5 6 7 8 9 x"), None);
        assert_eq!(read("254 1"), None);
    }

    /// What is measured after a second in which the numbers went from `before` to `after`.
    fn load(before: &str, after: &str) -> DiskLoad {
        let line = |numbers: &str| format!("254 1 vda1 {numbers}\n");
        let fake = Fake::new(&[("/proc/diskstats", &line(before))]);
        let mut disk = Disk::of(&fake.files(), Some(VDA1));
        let start = clock::now();
        assert_eq!(disk.measure(start), DiskLoad::default(), "there is nothing to compare with");
        fake.write("/proc/diskstats", &line(after));
        disk.measure(start + Duration::from_secs(1))
    }

    #[test]
    fn throughput_busy_share_and_latency_are_of_the_time_between() {
        let expected = DiskLoad { read_bps: 4_096_000, write_bps: 8_192_000, busy: 0.25, latency_ms: 4.0 };
        assert_eq!(load("10 0 0 100 10 0 0 100 0 1000", "60 0 1000 200 60 0 2000 400 0 1250"), expected);
        let idle = load("10 0 0 100 10 0 0 100 0 1000", "10 0 0 100 10 0 0 100 0 1000");
        assert_eq!(idle, DiskLoad::default());
        // More than the time that there was, by the rounding of the system.
        assert_eq!(load("0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0 9 1009").busy, 1.0);
    }

    #[test]
    fn milliseconds_wrap_after_49_days() {
        let wrapped = load("0 0 0 4294967000 0 0 0 0 0 4294967290", "10 0 0 204 0 0 0 0 0 494");
        assert_eq!((wrapped.busy, wrapped.latency_ms), (0.5, 50.0));
    }

    #[test]
    fn a_file_system_without_a_device_has_no_load() {
        let (mut none, now) = (Disk::of(&Files::system(), None), clock::now());
        assert_eq!(none.measure(now), DiskLoad::default());
        assert_eq!(device_of(Path::new("/proc"), ""), None);
        let mounts = "1 0 0:5 / / rw - overlay overlay rw\n2 1 0:6 / /data rw - btrfs /dev/null rw\n";
        let check = |folder, expected| assert_eq!(source_of(Path::new(folder), mounts), expected, "{folder}");
        check("/data/x", Some("/dev/null"));
        check("/database", None);
        check("/", None);
        assert_eq!(device_named("/dev/null"), Some(Device { major: 1, minor: 3 }));
        assert_eq!(device_named("/etc"), None);
    }

    #[test]
    fn the_device_of_a_folder_is_found_where_it_is_on_one() {
        let folder = std::env::current_dir().unwrap();
        let device = std::fs::metadata(&folder).unwrap().st_dev();
        if major(device) != 0 {
            assert_eq!(device_of(&folder, ""), Some(Device { major: major(device), minor: minor(device) }));
        }
        let load = Disk::new(&Files::system()).measure(clock::now());
        assert_eq!(load, DiskLoad::default());
    }

    proptest! {
        #[test]
        fn any_line_makes_a_sane_load(before in "([0-9]{1,21} ){10}", after in "([0-9]{1,21} ){10}") {
            let load = load(&before, &after);
            let sane = (0.0..=1.0).contains(&load.busy) && load.latency_ms.is_finite() && load.latency_ms >= 0.0;
            prop_assert!(sane, "{:?}", load);
        }
    }
}
