//! The fleet as the API shows it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Fleet;
use super::member::Member;
use crate::base::names::Name;
use crate::ffmpeg::capability::Carriage;
use crate::placement::place::NodeState;
use crate::placement::tenancy::snapshot::TenantSnapshot;
use crate::wire::cost::Resources;
use crate::wire::message::LeaseId;
use crate::wire::report::{Capacity, EncoderOn, Gpu, LeaseLoad, Load, UnusableEncoder};

/// All nodes and their totals at one instant: the `fleet` and `nodes` of the stats endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    /// Sums over the nodes.
    pub fleet: FleetTotals,
    /// The nodes by name, those lost not long ago among them.
    pub nodes: Vec<NodeSnapshot>,
    /// The tenants by name. Filled by who keeps them beside the fleet.
    #[serde(skip)]
    pub tenants: Vec<TenantSnapshot>,
    /// When it was taken; ages count from here.
    #[serde(skip)]
    pub taken_at: Option<Instant>,
}

impl FleetSnapshot {
    /// The nodes with their heartbeats' ages as of `now`.
    #[must_use]
    pub fn nodes_at(&self, now: Instant) -> Vec<NodeSnapshot> {
        self.nodes.iter().map(|node| self.aged(node, now)).collect()
    }

    /// One of them.
    #[must_use]
    pub fn node_at(&self, node: &Name, now: Instant) -> Option<NodeSnapshot> {
        self.nodes.iter().find(|shown| shown.name == *node).map(|node| self.aged(node, now))
    }

    fn aged(&self, node: &NodeSnapshot, now: Instant) -> NodeSnapshot {
        let since = self.taken_at.map_or(0, |taken| now.saturating_duration_since(taken).as_millis());
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        NodeSnapshot { heartbeat_age_ms: node.heartbeat_age_ms.saturating_add(since), ..node.clone() }
    }
}

/// Sums over the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetTotals {
    /// Nodes that are connected.
    pub nodes: usize,
    /// Nodes that take new leases.
    pub alive: usize,
    /// Nodes that leave in order.
    pub draining: usize,
    /// Streams that wait for a node. Filled by who keeps the tenants beside the fleet.
    pub queue_length: usize,
    /// CPU cores of the connected nodes.
    pub capacity_cores: u32,
    /// CPU cores in use on them, as they measured it.
    pub used_cores: f64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSnapshot {
    /// Its name, which is unique in the fleet and part of its URL.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// How it stands.
    pub state: NodeState,
    /// Its tags, sorted.
    pub tags: Vec<Name>,
    /// The kind of machine; empty where it does not say.
    pub class: String,
    /// What an hour of it costs; `null` where nobody said.
    pub cost_per_hour: Option<f64>,
    /// What it draws under load, in watts; `null` where nobody said.
    pub watts: Option<f64>,
    /// FFmpeg's version as it prints it.
    pub ffmpeg_version: String,
    /// Encoders that work there, on any device, sorted.
    pub encoders: Vec<String>,
    /// Encoders that its FFmpeg has and that failed, at their proof or later, and what went wrong.
    pub unusable: Vec<UnusableEncoder>,
    /// What its FFmpeg reads from FLV: codecs by their names, and `enhanced_` before those that FLV itself has a name for
    /// where Enhanced RTMP's `FourCC` names them.
    pub reads: Vec<Carriage>,
    /// What its FFmpeg decodes, by the same names.
    pub decodes: Vec<Carriage>,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
    /// Milliseconds since it was last heard.
    pub heartbeat_age_ms: u64,
    /// What it measured last.
    pub load: Load,
    /// What it has.
    pub capacity: Capacity,
    /// What was given away of it.
    pub reserved: Reserved,
    /// The leases that it was given, offered or attached.
    pub leases: Vec<LeaseId>,
    /// How many leases it says it holds: more than it was given while an FFmpeg is still ending.
    pub leases_reported: u32,
    /// What each of its leases uses, as it said last.
    pub lease_loads: Vec<LeaseLoad>,
    /// Leases that it was given and refused, since it joined.
    pub refused: u64,
    /// Whether it was drained and is empty.
    pub drained: bool,
}

/// What was given away of a node: what its leases are expected to need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reserved {
    /// CPU cores.
    pub cores: f64,
    /// Bytes of memory.
    pub memory: u64,
    /// Slots with a lease.
    pub slots: u32,
}

impl Fleet {
    /// The fleet at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> FleetSnapshot {
        let nodes: Vec<NodeSnapshot> =
            self.members.values().map(|member| NodeSnapshot::of(member, now)).collect();
        FleetSnapshot { fleet: FleetTotals::of(&nodes), nodes, tenants: Vec::new(), taken_at: Some(now) }
    }
}

impl FleetTotals {
    fn of(nodes: &[NodeSnapshot]) -> Self {
        let count = |state| nodes.iter().filter(|node| node.state == state).count();
        let connected = || nodes.iter().filter(|node| node.state != NodeState::Lost);
        Self {
            nodes: connected().count(),
            alive: count(NodeState::Alive),
            draining: count(NodeState::Draining),
            queue_length: 0,
            capacity_cores: connected().map(|node| node.capacity.cores).sum(),
            // Folded from 0, because the sum of no floats is -0.
            used_cores: connected()
                .map(|node| node.load.cpu * f64::from(node.capacity.cores))
                .fold(0.0, |sum, cores| sum + cores),
        }
    }
}

impl NodeSnapshot {
    fn of(member: &Member, now: Instant) -> Self {
        let (hello, view) = (member.hello(), member.view());
        Self {
            id: hello.name.clone(),
            name: hello.name.clone(),
            state: view.state,
            tags: hello.tags.clone(),
            class: hello.class.clone(),
            cost_per_hour: hello.cost_per_hour,
            watts: hello.watts,
            ffmpeg_version: view.capabilities.ffmpeg_version.clone(),
            encoders: encoders(&view.capabilities.encoders),
            unusable: view.capabilities.unusable.clone(),
            reads: view.capabilities.reads.clone(),
            decodes: view.capabilities.decodes.clone(),
            gpus: view.capabilities.gpus.clone(),
            heartbeat_age_ms: u64::try_from(member.silence(now).as_millis()).unwrap_or(u64::MAX),
            load: member.load().clone(),
            capacity: hello.capacity,
            reserved: Reserved { slots: view.leases, ..Reserved::of(member.room.reserved()) },
            leases: member.leases.iter().copied().collect(),
            leases_reported: member.leases_reported(),
            lease_loads: member.lease_loads().to_vec(),
            refused: member.refused(),
            drained: member.is_drained(),
        }
    }
}

impl Reserved {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is never negative"
    )]
    fn of(reserved: Resources) -> Self {
        Self { cores: reserved.cpu, memory: reserved.memory as u64, slots: 0 }
    }
}

/// Each name once; the list is sorted by name and device.
fn encoders(on: &[EncoderOn]) -> Vec<String> {
    let mut names: Vec<String> = on.iter().map(|on| on.encoder.clone()).collect();
    names.dedup();
    names
}
