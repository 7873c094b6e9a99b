use std::sync::Arc;

use tokio::net::TcpListener;

use super::*;
use crate::ffmpeg::encoder::Encoder;
use crate::node::ability::Proved;
use crate::node::tests::{lease, until};
use crate::wire::cost::GpuResources;
use crate::wire::report::{Capacity, Gpu};

const GIB: u64 = 1 << 30;

/// Four slots and 8 GiB of memory. Leases dial a proxy that takes connections and says nothing, so they wait for it until
/// they are told to end.
async fn slots() -> (Slots, tokio::sync::watch::Sender<Arc<Proved>>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let proxy = Proxy { address, token: None, tls: None };
    let (publisher, ability) = Ability::of(&[Encoder::Libx264]);
    let room = Room::new(Capacity { cores: 4, memory: 8 * GIB, slots: 4, network_bps: None }, &[]);
    (Slots::new("ffmpeg".into(), ability, room, proxy, Tasks::new()), publisher, listener)
}

#[expect(clippy::cast_precision_loss, reason = "a few GiB")]
fn lease_of(id: u64, height: u32, memory: u64) -> LeaseSpec {
    let mut spec = lease(id, height);
    spec.cost.machine.memory = memory as f64;
    spec
}

fn refused(slots: &mut Slots, spec: LeaseSpec) -> Reason {
    slots.take(spec).expect_err("it is not taken").reason
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_superseded_lease_leaves_its_successor_the_room() {
    let (mut slots, _publisher, _listener) = slots().await;
    assert_eq!(slots.take(lease_of(7, 148, GIB)), Ok(()));
    // A proxy that has started anew counts from the beginning, too.
    assert_eq!(slots.take(lease_of(7, 148, 6 * GIB)), Ok(()));
    assert_eq!(slots.held().len(), 1, "of two with one number the proxy knows the later");
    until("the first is over", || {
        slots.forget_ended();
        slots.running.len() == 1
    })
    .await;
    assert_eq!(refused(&mut slots, lease_of(8, 148, 6 * GIB)), Reason::NoRoom);
    slots.stop(LeaseId(7), Reason::Superseded);
    until("the second is over", || slots.held().is_empty()).await;
    assert_eq!(slots.take(lease_of(8, 148, 6 * GIB)), Ok(()), "its room is free again");
    slots.finish(Reason::NodeStopping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_was_found_late_bounds_leases_too() {
    let (mut slots, publisher, _listener) = slots().await;
    publisher.send_modify(|proved| {
        let mut found = Proved::clone(proved);
        found.capabilities.gpus =
            vec![Gpu { index: 0, name: "T4".to_owned(), memory: 16 * GIB, sessions: Some(1) }];
        *proved = Arc::new(found);
    });
    let on_gpu = |sessions| {
        let mut spec = lease(1, 150);
        spec.cost.gpus = vec![(0, GpuResources { sessions, ..GpuResources::default() })];
        spec
    };
    assert_eq!(refused(&mut slots, on_gpu(2.0)), Reason::NoRoom);
    assert_eq!(slots.take(on_gpu(1.0)), Ok(()));
    slots.finish(Reason::NodeStopping).await;
}
