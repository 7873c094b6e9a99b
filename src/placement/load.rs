//! What a node says about itself, brought within bounds. A node is trusted with media, but a broken or hostile one may
//! neither fill the proxy's memory nor bend placement with a load of 1e18.
//!
//! Numbers are clamped, because a node with an odd gauge is still of use; lists and texts out of bounds are refused,
//! because no sound node sends them.

use crate::wire::report::{
    Capabilities, Capacity, EncoderOn, Gpu, GpuLoad, Heartbeat, LeaseLoad, Load, NodeHello, UnusableEncoder,
};

/// The most tags a node may have.
pub const MAX_TAGS: usize = 64;
/// The most encoders a node may list; FFmpeg 9 with everything built in has about 250.
pub const MAX_ENCODERS: usize = 512;
/// The longest name of an encoder, in bytes.
pub const MAX_ENCODER_BYTES: usize = 64;
/// The longest text of an FFmpeg version, a class of machine or a GPU's name, in bytes.
pub const MAX_TEXT_BYTES: usize = 128;
/// The longest text of what is wrong with an encoder, in bytes: a line of FFmpeg's.
pub const MAX_DETAIL_BYTES: usize = 512;
/// The most GPUs a node may have.
pub const MAX_GPUS: usize = 32;
/// The highest index of a GPU. A driver counts them from 0, and placement has a bit for each.
pub const MAX_GPU_INDEX: u32 = 62;
/// The most encoder sessions a GPU may have.
pub const MAX_SESSIONS: u32 = 65_536;
/// The fastest network or disk that is believed, in bits per second: 100 Tbit/s.
pub const MAX_BPS: u64 = 100_000_000_000_000;
/// The longest a request to a disk may take, and the furthest a lease may be behind, in milliseconds: a day.
pub const MAX_MILLIS: u32 = 86_400_000;
/// The fastest that FFmpeg is believed to be, in seconds of media a second.
pub const MAX_SPEED: f64 = 1000.0;
/// The most that an hour of a node may cost, in any currency, and the most watts that it may draw.
pub const MAX_PRICE: f64 = 1e9;
/// The most slots a node may have, and so the most leases it may report.
pub const MAX_SLOTS: u32 = 1024;
/// The most cores a node may have.
pub const MAX_CORES: u32 = 4096;
/// The most memory a node may have, in bytes: 1 PiB.
pub const MAX_MEMORY_BYTES: u64 = 1 << 50;

/// What in a node's report is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// More than [`MAX_TAGS`].
    #[error("a node has at most {MAX_TAGS} tags, this one has {0}")]
    TooManyTags(usize),
    /// More than [`MAX_ENCODERS`].
    #[error("a node lists at most {MAX_ENCODERS} encoders, this one lists {0}")]
    TooManyEncoders(usize),
    /// An encoder's name that is empty, too long or not plain ASCII; this is its place in the list.
    #[error("encoder {0} of the node is not 1 to {MAX_ENCODER_BYTES} letters, digits, '_' or '-'")]
    BadEncoder(usize),
    /// A text that is too long, or would write control characters to a log.
    #[error("{what} of the node is not printable text of at most {most} bytes, it has {bytes}")]
    BadText {
        /// Which text.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// More than [`MAX_GPUS`].
    #[error("a node has at most {MAX_GPUS} GPUs, this one lists {0}")]
    TooManyGpus(usize),
    /// An index over [`MAX_GPU_INDEX`], or one that another GPU of the list has.
    #[error("GPU {0} of the node is not one of its own with an index up to {MAX_GPU_INDEX}")]
    BadGpu(u32),
    /// More than [`MAX_SLOTS`].
    #[error("a node holds at most {MAX_SLOTS} leases, this one reports {0}")]
    TooManyLeases(usize),
}

/// A node's description with its capacity clamped, lists sorted and repetitions removed.
///
/// # Errors
/// When a list or text is out of bounds.
pub fn bounded_hello(mut hello: NodeHello) -> Result<NodeHello, ReportError> {
    if hello.tags.len() > MAX_TAGS {
        return Err(ReportError::TooManyTags(hello.tags.len()));
    }
    check_text("the class", &hello.class, MAX_TEXT_BYTES)?;
    hello.tags.sort();
    hello.tags.dedup();
    hello.capabilities = bounded_capabilities(hello.capabilities)?;
    hello.capacity = bounded_capacity(hello.capacity);
    hello.cost_per_hour = hello.cost_per_hour.and_then(bounded_price);
    hello.watts = hello.watts.and_then(bounded_price);
    Ok(hello)
}

/// What a node can do, with lists sorted and repetitions removed.
///
/// # Errors
/// When a list or text is out of bounds.
pub fn bounded_capabilities(mut capabilities: Capabilities) -> Result<Capabilities, ReportError> {
    check_text("the FFmpeg version", &capabilities.ffmpeg_version, MAX_TEXT_BYTES)?;
    check_encoders(capabilities.encoders.iter())?;
    check_encoders(capabilities.unusable.iter().map(|unusable| &unusable.on))?;
    for UnusableEncoder { detail, .. } in &capabilities.unusable {
        check_text("what is wrong with an encoder", detail, MAX_DETAIL_BYTES)?;
    }
    capabilities.encoders.sort();
    capabilities.encoders.dedup();
    // There are few kinds, but a list may name one a thousand times.
    for carriages in [&mut capabilities.reads, &mut capabilities.decodes] {
        carriages.sort();
        carriages.dedup();
    }
    capabilities.gpus = bounded_gpus(capabilities.gpus)?;
    Ok(capabilities)
}

/// What a heartbeat says, within bounds.
///
/// # Errors
/// When it lists more leases than a node may hold, or more GPUs, or a text is out of bounds.
pub fn bounded_heartbeat(heartbeat: &Heartbeat, capacity: Capacity) -> Result<Heartbeat, ReportError> {
    let Heartbeat { load, leases } = heartbeat;
    if u32::try_from(leases.len()).is_ok_and(|count| count <= MAX_SLOTS) {
        let leases = leases.iter().map(|lease| bounded_lease(lease, capacity)).collect();
        Ok(Heartbeat { load: bounded_load(load, capacity)?, leases })
    } else {
        Err(ReportError::TooManyLeases(leases.len()))
    }
}

/// A text that fits and can be shown.
fn check_text(what: &'static str, text: &str, most: usize) -> Result<(), ReportError> {
    let sound = text.len() <= most && !text.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(ReportError::BadText { what, bytes: text.len(), most }) }
}

/// Names that are names, on devices that there may be, and not too many.
fn check_encoders<'a>(encoders: impl ExactSizeIterator<Item = &'a EncoderOn>) -> Result<(), ReportError> {
    if encoders.len() > MAX_ENCODERS {
        return Err(ReportError::TooManyEncoders(encoders.len()));
    }
    for (at, on) in encoders.enumerate() {
        if !is_encoder_name(on) {
            return Err(ReportError::BadEncoder(at));
        }
        if let Some(gpu) = on.gpu.filter(|gpu| *gpu > MAX_GPU_INDEX) {
            return Err(ReportError::BadGpu(gpu));
        }
    }
    Ok(())
}

/// GPUs by index, with their sizes clamped.
fn bounded_gpus(mut gpus: Vec<Gpu>) -> Result<Vec<Gpu>, ReportError> {
    check_gpus(gpus.iter().map(|gpu| (gpu.index, gpu.name.as_str())))?;
    for gpu in &mut gpus {
        gpu.memory = gpu.memory.min(MAX_MEMORY_BYTES);
        gpu.sessions = gpu.sessions.map(|sessions| sessions.min(MAX_SESSIONS));
    }
    gpus.sort_by_key(|gpu| gpu.index);
    Ok(gpus)
}

/// Each index once, and few of them: what a GPU has is kept for each.
fn check_gpus<'a>(gpus: impl ExactSizeIterator<Item = (u32, &'a str)>) -> Result<(), ReportError> {
    if gpus.len() > MAX_GPUS {
        return Err(ReportError::TooManyGpus(gpus.len()));
    }
    let mut seen = Vec::with_capacity(gpus.len());
    for (index, name) in gpus {
        if index > MAX_GPU_INDEX || seen.contains(&index) {
            return Err(ReportError::BadGpu(index));
        }
        check_text("the name of a GPU", name, MAX_TEXT_BYTES)?;
        seen.push(index);
    }
    Ok(())
}

/// FFmpeg's names are plain words.
fn is_encoder_name(EncoderOn { encoder: name, .. }: &EncoderOn) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_ENCODER_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// A capacity that adds up with those of a thousand others. A network that takes nothing is one that nobody knows.
fn bounded_capacity(capacity: Capacity) -> Capacity {
    Capacity {
        cores: capacity.cores.min(MAX_CORES),
        memory: capacity.memory.min(MAX_MEMORY_BYTES),
        slots: capacity.slots.min(MAX_SLOTS),
        network_bps: capacity.network_bps.filter(|bps| *bps > 0).map(|bps| bps.min(MAX_BPS)),
    }
}

/// A load that is not a number counts as full: who cannot say how busy he is gets nothing by it.
fn bounded_load(load: &Load, capacity: Capacity) -> Result<Load, ReportError> {
    check_gpus(load.gpus.iter().map(|gpu| (gpu.index, gpu.name.as_str())))?;
    Ok(Load {
        cpu: within(load.cpu, 1.0),
        memory: load.memory.min(known_memory(capacity.memory)),
        disk_read_bps: load.disk_read_bps.min(MAX_BPS),
        disk_write_bps: load.disk_write_bps.min(MAX_BPS),
        disk_busy: within(load.disk_busy, 1.0),
        disk_latency_ms: within(load.disk_latency_ms, f64::from(MAX_MILLIS)),
        net_rx_bps: load.net_rx_bps.min(MAX_BPS),
        net_tx_bps: load.net_tx_bps.min(MAX_BPS),
        queue_length: load.queue_length.min(MAX_SLOTS),
        gpus: load.gpus.iter().map(bounded_gpu_load).collect(),
    })
}

/// As [`bounded_load`], of one GPU.
fn bounded_gpu_load(gpu: &GpuLoad) -> GpuLoad {
    let memory_total = gpu.memory_total.min(MAX_MEMORY_BYTES);
    GpuLoad {
        index: gpu.index,
        name: gpu.name.clone(),
        utilization: within(gpu.utilization, 1.0),
        encoder: within(gpu.encoder, 1.0),
        decoder: within(gpu.decoder, 1.0),
        memory_used: gpu.memory_used.min(known_memory(memory_total)),
        memory_total,
        power_w: gpu.power_w.and_then(bounded_price),
        sessions: gpu.sessions.min(MAX_SESSIONS),
    }
}

/// No lease uses more than the whole machine.
fn bounded_lease(lease: &LeaseLoad, capacity: Capacity) -> LeaseLoad {
    LeaseLoad {
        lease: lease.lease,
        cpu: lease.cpu.map(|cpu| within(cpu, f64::from(capacity.cores))),
        memory: lease.memory.min(known_memory(capacity.memory)),
        // Here it is the lowest that is worst.
        speed: lease.speed.map(|speed| if speed.is_nan() { 0.0 } else { within(speed, MAX_SPEED) }),
        lag_ms: lease.lag_ms.map(|lag| lag.min(u64::from(MAX_MILLIS))),
    }
}

/// A text as it passes these checks: without control characters, and cut to at most so many bytes. A node makes what it
/// tells by this, or what FFmpeg or a driver says could keep it out of the fleet.
#[must_use]
pub fn printable(text: &str, most_bytes: usize) -> String {
    let mut printable = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if printable.len() + letter.len_utf8() > most_bytes {
            break;
        }
        printable.push(letter);
    }
    printable
}

/// From 0 to `most`; what is no number is the most.
fn within(number: f64, most: f64) -> f64 {
    if number.is_nan() { most } else { number.clamp(0.0, most) }
}

/// What a price or a power is: nothing where it is no number or negative.
fn bounded_price(price: f64) -> Option<f64> {
    (price >= 0.0).then(|| price.min(MAX_PRICE))
}

/// The most memory that may be in use of so much; a machine that says 0 does not know how much it has.
fn known_memory(memory: u64) -> u64 {
    if memory == 0 { MAX_MEMORY_BYTES } else { memory }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::Name;
    use crate::ffmpeg::capability::Carriage;
    use crate::wire::message::LeaseId;
    use crate::wire::report::LeaseLoad;
    use proptest::prelude::*;

    fn hello() -> NodeHello {
        NodeHello {
            name: "n1".parse().expect("test name"),
            tags: Vec::new(),
            class: "x86".into(),
            cost_per_hour: None,
            watts: None,
            capacity: Capacity { cores: 4, memory: 8 << 30, slots: 8, network_bps: None },
            capabilities: Capabilities {
                ffmpeg_version: "5.1.9-0+deb12u1".into(),
                encoders: vec![EncoderOn::cpu("libx264"), EncoderOn::cpu("aac")],
                reads: vec![Carriage::Mp3, Carriage::H264, Carriage::Mp3],
                ..Capabilities::default()
            },
        }
    }

    fn check(change: impl FnOnce(&mut NodeHello), expected: Option<ReportError>) {
        let mut hello = hello();
        change(&mut hello);
        assert_eq!(bounded_hello(hello).err(), expected);
    }

    #[test]
    fn lists_and_texts_out_of_bounds_are_refused() {
        let tags = |count: usize| -> Vec<Name> {
            (0..count).map(|n| format!("t{n}").parse().expect("test name")).collect()
        };
        check(|_| {}, None);
        check(|hello| hello.tags = tags(64), None);
        check(|hello| hello.tags = tags(65), Some(ReportError::TooManyTags(65)));
        let encoders = |encoders: &[&str]| encoders.iter().map(|name| EncoderOn::cpu(name)).collect();
        let check_encoders = |names: &[&str], expected| {
            check(|hello| hello.capabilities.encoders = encoders(names), Some(expected));
        };
        check_encoders(&["x"; 513], ReportError::TooManyEncoders(513));
        check_encoders(&["x", ""], ReportError::BadEncoder(1));
        check_encoders(&["a b"], ReportError::BadEncoder(0));
        check_encoders(&[&"x".repeat(65)], ReportError::BadEncoder(0));
        let check_version = |version: &str, expected| {
            check(|hello| hello.capabilities.ffmpeg_version = version.to_owned(), Some(expected));
        };
        let bad = |bytes| ReportError::BadText { what: "the FFmpeg version", bytes, most: MAX_TEXT_BYTES };
        check_version("9\n", bad(2));
        check_version(&"9".repeat(129), bad(129));
    }

    #[test]
    fn texts_that_would_write_to_a_log_as_they_please_are_refused() {
        let bad = |what, bytes, most| Some(ReportError::BadText { what, bytes, most });
        check(|hello| hello.class = "x\u{1b}[2J".into(), bad("the class", 5, MAX_TEXT_BYTES));
        let unusable = |detail: &str| {
            vec![UnusableEncoder { on: EncoderOn::cpu("h264_nvenc"), detail: detail.to_owned() }]
        };
        check(|hello| hello.capabilities.unusable = unusable("No capable devices found"), None);
        let refused = bad("what is wrong with an encoder", 600, MAX_DETAIL_BYTES);
        check(|hello| hello.capabilities.unusable = unusable(&"x".repeat(600)), refused);
        let gpus = |name: &str| vec![Gpu { index: 0, name: name.to_owned(), memory: 0, sessions: None }];
        check(|hello| hello.capabilities.gpus = gpus("L4\0"), bad("the name of a GPU", 3, MAX_TEXT_BYTES));
    }

    #[test]
    fn what_was_made_printable_is_taken() {
        let check = |text: &str, most, expected: &str| assert_eq!(printable(text, most), expected);
        check("No capable devices found", MAX_DETAIL_BYTES, "No capable devices found");
        check("a\u{7}b\nc", 2, "ab");
        check("ééé", 5, "éé");
        check("é", 1, "");
        let longest = printable(&"é\t".repeat(MAX_TEXT_BYTES), MAX_TEXT_BYTES);
        check_text("it", &longest, MAX_TEXT_BYTES).expect("it is within the bound");
    }

    #[test]
    fn gpus_out_of_bounds_are_refused() {
        let gpus = |indices: &[u32]| -> Vec<Gpu> {
            let gpu = |&index| Gpu { index, name: "L4".into(), memory: u64::MAX, sessions: Some(u32::MAX) };
            indices.iter().map(gpu).collect()
        };
        let check_gpus = |indices: &[u32], expected| {
            check(|hello| hello.capabilities.gpus = gpus(indices), expected);
        };
        check_gpus(&[1, 0], None);
        check_gpus(&[0, 1, 0], Some(ReportError::BadGpu(0)));
        check_gpus(&[256], Some(ReportError::BadGpu(256)));
        check_gpus(&(0..33).collect::<Vec<_>>(), Some(ReportError::TooManyGpus(33)));
        let on = EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(4_000_000_000) };
        check(|hello| hello.capabilities.encoders = vec![on], Some(ReportError::BadGpu(4_000_000_000)));
        let mut many = hello();
        many.capabilities.gpus = gpus(&[1, 0]);
        let bounded = bounded_hello(many).expect("its numbers are clamped").capabilities.gpus;
        let shown: Vec<_> = bounded.iter().map(|gpu| (gpu.index, gpu.memory, gpu.sessions)).collect();
        assert_eq!(shown, [0, 1].map(|index| (index, MAX_MEMORY_BYTES, Some(MAX_SESSIONS))));
    }

    #[test]
    fn a_price_is_a_number_or_none() {
        let check = |price, expected| {
            let bounded =
                bounded_hello(NodeHello { cost_per_hour: Some(price), watts: Some(price), ..hello() });
            let bounded = bounded.expect("it is clamped");
            assert_eq!((bounded.cost_per_hour, bounded.watts), (expected, expected), "{price}");
        };
        check(0.35, Some(0.35));
        check(1e18, Some(MAX_PRICE));
        check(-1.0, None);
        check(f64::NAN, None);
    }

    #[test]
    fn a_monstrous_capacity_is_clamped() {
        let capacity = Capacity { cores: u32::MAX, memory: u64::MAX, slots: u32::MAX, network_bps: None };
        let bounded = bounded_hello(NodeHello { capacity, ..hello() }).expect("only clamped");
        let expected =
            Capacity { cores: MAX_CORES, memory: MAX_MEMORY_BYTES, slots: MAX_SLOTS, network_bps: None };
        assert_eq!(bounded.capacity, expected);
        assert_eq!(bounded.capabilities.encoders, [EncoderOn::cpu("aac"), EncoderOn::cpu("libx264")]);
        assert_eq!(bounded.capabilities.reads, [Carriage::H264, Carriage::Mp3]);
    }

    fn check_cpu(cpu: f64, expected: f64) {
        let capacity = Capacity { cores: 1, memory: 5, slots: 1, network_bps: None };
        let load = bounded_load(&Load { cpu, memory: 7, ..Load::default() }, capacity);
        assert_eq!(load, Ok(Load { cpu: expected, memory: 5, ..Load::default() }), "{cpu}");
    }

    #[test]
    fn an_impossible_load_is_clamped() {
        check_cpu(0.25, 0.25);
        check_cpu(-3.0, 0.0);
        check_cpu(1e18, 1.0);
        check_cpu(f64::INFINITY, 1.0);
        check_cpu(f64::NAN, 1.0);
    }

    #[test]
    fn thousands_of_leases_are_refused() {
        let lease = |id| LeaseLoad { lease: LeaseId(id), cpu: None, memory: 0, speed: None, lag_ms: None };
        let heartbeat =
            |count: u64| Heartbeat { load: Load::default(), leases: (0..count).map(lease).collect() };
        let capacity = Capacity::default();
        assert_eq!(bounded_heartbeat(&heartbeat(1024), capacity), Ok(heartbeat(1024)));
        assert_eq!(bounded_heartbeat(&heartbeat(1025), capacity), Err(ReportError::TooManyLeases(1025)));
    }

    #[test]
    fn a_load_of_too_many_gpus_is_refused() {
        let gpu = |index| GpuLoad { index, ..GpuLoad::default() };
        let load = |count| Load { gpus: (0..count).map(gpu).collect(), ..Load::default() };
        assert_eq!(bounded_load(&load(33), Capacity::default()), Err(ReportError::TooManyGpus(33)));
        let twice = Load { gpus: vec![gpu(1), gpu(1)], ..Load::default() };
        assert_eq!(bounded_load(&twice, Capacity::default()), Err(ReportError::BadGpu(1)));
    }

    #[test]
    fn an_impossible_lease_is_clamped_to_what_is_worst() {
        let capacity = Capacity { cores: 4, memory: 100, ..Capacity::default() };
        let lease = |cpu, memory, speed, lag_ms| LeaseLoad { lease: LeaseId(1), cpu, memory, speed, lag_ms };
        let check = |before, after| assert_eq!(bounded_lease(&before, capacity), after);
        let day = u64::from(MAX_MILLIS);
        check(lease(Some(1.5), 50, Some(1.0), Some(9)), lease(Some(1.5), 50, Some(1.0), Some(9)));
        check(
            lease(Some(1e18), 200, Some(1e18), Some(u64::MAX)),
            lease(Some(4.0), 100, Some(1000.0), Some(day)),
        );
        check(lease(Some(f64::NAN), 0, Some(f64::NAN), None), lease(Some(4.0), 0, Some(0.0), None));
        check(lease(Some(-1.0), 0, Some(-1.0), None), lease(Some(0.0), 0, Some(0.0), None));
    }

    proptest! {
        #[test]
        fn any_load_ends_up_within_bounds(
            cpu in any::<f64>(), busy in any::<f64>(), memory: u64, rate: u64, capacity in 1..MAX_MEMORY_BYTES,
        ) {
            let gpu = GpuLoad { encoder: cpu, decoder: busy, memory_used: memory, memory_total: rate, ..GpuLoad::default() };
            let load = Load {
                cpu, disk_busy: busy, disk_latency_ms: cpu, memory, net_rx_bps: rate, gpus: vec![gpu], ..Load::default()
            };
            let capacity = Capacity { memory: capacity, ..Capacity::default() };
            let load = bounded_load(&load, capacity).expect("its numbers are clamped");
            let gpu = &load.gpus[0];
            for share in [load.cpu, load.disk_busy, gpu.encoder, gpu.decoder] {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            prop_assert!((0.0..=f64::from(MAX_MILLIS)).contains(&load.disk_latency_ms));
            prop_assert!(load.memory <= capacity.memory && load.net_rx_bps <= MAX_BPS);
            prop_assert!(gpu.memory_total <= MAX_MEMORY_BYTES && gpu.memory_used <= MAX_MEMORY_BYTES);
        }
    }
}
