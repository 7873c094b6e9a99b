//! What a node says about itself, brought within bounds. A node is trusted with media, but a broken or hostile one may
//! neither fill the proxy's memory nor bend placement with a load of 1e18.
//!
//! Numbers are clamped, because a node with an odd gauge is still of use; lists and texts out of bounds are refused,
//! because no sound node sends them.

use crate::wire::report::{Capabilities, Capacity, EncoderOn, Heartbeat, Load, NodeHello};

/// The most tags a node may have.
pub const MAX_TAGS: usize = 64;
/// The most encoders a node may list; FFmpeg 9 with everything built in has about 250.
pub const MAX_ENCODERS: usize = 512;
/// The longest name of an encoder, in bytes.
pub const MAX_ENCODER_BYTES: usize = 64;
/// The longest text of an FFmpeg version, in bytes.
pub const MAX_VERSION_BYTES: usize = 128;
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
    /// A version that is too long, or would write control characters to a log; this is its length in bytes.
    #[error(
        "the node's FFmpeg version is not printable text of at most {MAX_VERSION_BYTES} bytes, it has {0}"
    )]
    BadVersion(usize),
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
    hello.tags.sort();
    hello.tags.dedup();
    hello.capabilities = bounded_capabilities(hello.capabilities)?;
    hello.capacity = bounded_capacity(hello.capacity);
    Ok(hello)
}

/// What a node can do, with lists sorted and repetitions removed.
///
/// # Errors
/// When a list or text is out of bounds.
pub fn bounded_capabilities(mut capabilities: Capabilities) -> Result<Capabilities, ReportError> {
    if capabilities.encoders.len() > MAX_ENCODERS {
        return Err(ReportError::TooManyEncoders(capabilities.encoders.len()));
    }
    if let Some(at) = capabilities.encoders.iter().position(|on| !is_encoder_name(on)) {
        return Err(ReportError::BadEncoder(at));
    }
    let version = &capabilities.ffmpeg_version;
    if version.len() > MAX_VERSION_BYTES || version.chars().any(char::is_control) {
        return Err(ReportError::BadVersion(version.len()));
    }
    capabilities.encoders.sort();
    capabilities.encoders.dedup();
    // There are few kinds, but a list may name one a thousand times.
    capabilities.reads.sort();
    capabilities.reads.dedup();
    Ok(capabilities)
}

/// What a heartbeat says, within bounds: the load, and how many leases the node holds.
///
/// # Errors
/// When it lists more leases than a node may hold.
pub fn bounded_heartbeat(heartbeat: &Heartbeat, capacity: Capacity) -> Result<(Load, u32), ReportError> {
    let leases = heartbeat.leases.len();
    match u32::try_from(leases) {
        Ok(count) if count <= MAX_SLOTS => Ok((bounded_load(heartbeat.load.clone(), capacity), count)),
        Ok(_) | Err(_) => Err(ReportError::TooManyLeases(leases)),
    }
}

fn is_encoder_name(EncoderOn { encoder: name, .. }: &EncoderOn) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_ENCODER_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

fn bounded_capacity(capacity: Capacity) -> Capacity {
    Capacity {
        cores: capacity.cores.min(MAX_CORES),
        memory: capacity.memory.min(MAX_MEMORY_BYTES),
        slots: capacity.slots.min(MAX_SLOTS),
        network_bps: capacity.network_bps,
    }
}

/// A load that is not a number counts as full: who cannot say how busy he is gets nothing by it.
fn bounded_load(load: Load, capacity: Capacity) -> Load {
    let cpu = if load.cpu.is_nan() { 1.0 } else { load.cpu.clamp(0.0, 1.0) };
    Load { cpu, memory: load.memory.min(capacity.memory), ..load }
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
        check_version("9\n", ReportError::BadVersion(2));
        check_version(&"9".repeat(129), ReportError::BadVersion(129));
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
        let load = bounded_load(Load { cpu, memory: 7, ..Load::default() }, capacity);
        assert_eq!(load, Load { cpu: expected, memory: 5, ..Load::default() }, "{cpu}");
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
        assert_eq!(bounded_heartbeat(&heartbeat(1024), capacity), Ok((Load::default(), 1024)));
        assert_eq!(bounded_heartbeat(&heartbeat(1025), capacity), Err(ReportError::TooManyLeases(1025)));
    }

    proptest! {
        #[test]
        fn any_load_ends_up_within_bounds(cpu in any::<f64>(), memory: u64, capacity in 0..MAX_MEMORY_BYTES) {
            let load = bounded_load(Load { cpu, memory, ..Load::default() }, Capacity { memory: capacity, ..Capacity::default() });
            prop_assert!((0.0..=1.0).contains(&load.cpu));
            prop_assert!(load.memory <= capacity);
        }
    }
}
