//! The measuring as a whole, of the machine that the test runs on.

use super::*;
use crate::node::tests::until;

fn gpu(name: &str) -> Gpu {
    Gpu { index: 0, name: name.to_owned(), memory: 0, sessions: None }
}

#[test]
fn the_machine_has_cores_and_memory() {
    let capacity = capacity(3);
    assert!(capacity.cores >= 1 && capacity.memory > 1 << 20 && capacity.slots == 3, "{capacity:?}");
}

#[test]
fn a_class_is_a_processor_and_kinds_of_gpus() {
    let check = |brand, gpus: &[Gpu], expected: &str| assert_eq!(class_of(brand, gpus), expected);
    check("AMD EPYC 7B13", &[], "AMD EPYC 7B13");
    check(
        "AMD EPYC 7B13",
        &[gpu("NVIDIA L4"), gpu("NVIDIA A2"), gpu("NVIDIA L4")],
        "AMD EPYC 7B13 + NVIDIA A2 + NVIDIA L4",
    );
    check("", &[], std::env::consts::ARCH);
    check("a\u{7}b", &[gpu("\n")], "ab + ");
    check(&"é".repeat(1000), &[gpu("x")], &"é".repeat(MAX_TEXT_BYTES / 2));
    assert!(!class(&[]).is_empty());
}

#[tokio::test]
async fn load_is_measured_until_told_to_stop() {
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let measured = start(None, &tasks, stop.clone()).await;
    assert_eq!(measured.gpus().borrow().len(), 0);
    let lease = measured.gauges().open(crate::media::time::Ticks::ZERO, &[], None);
    until("the lease is seen to wait", || measured.load().queue_length == 1).await;
    assert!(measured.load().memory > 0);
    drop(lease);
    until("it is seen to be gone", || measured.load().queue_length == 0).await;
    stop.cancel();
    tasks.finish().await;
}

#[test]
fn what_was_looked_at_once_has_no_rates() {
    let mut machine = Machine::new(&Files::system(), Gauges::default()).unwrap();
    let first = machine.measure(clock::now());
    assert_eq!(first, Load { memory: first.memory, ..Load::default() });
}
