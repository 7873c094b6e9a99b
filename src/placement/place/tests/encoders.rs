//! Which encoder on which device each rendition gets.

use super::*;
use crate::wire::report::GpuLoad;

/// How many sessions each GPU has open, and how many it may have.
type Gpus<'a> = &'a [(u32, Option<u32>)];

/// A node with GPUs that measure themselves, libx264, and NVENC on each GPU.
fn gpu_node(text: &str, gpus: Gpus<'_>, cpu: f64) -> Node {
    let mut with = node(text, 0, 64);
    let listed = |(index, (_, sessions)): (u32, &(u32, Option<u32>))| Gpu {
        index,
        name: "L4".into(),
        memory: 24 << 30,
        sessions: *sessions,
    };
    with.capabilities.gpus = (0..).zip(gpus).map(listed).collect();
    let encoders = with
        .capabilities
        .gpus
        .iter()
        .map(|gpu| EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(gpu.index) });
    with.capabilities.encoders.extend(encoders);
    with.capabilities.encoders.sort();
    with.room = Room::new(capacity(64), &with.capabilities.gpus);
    let measured = |(index, (sessions, _)): (u32, &(u32, Option<u32>))| GpuLoad {
        index,
        sessions: *sessions,
        encoder: f64::from(*sessions) * 0.05,
        memory_total: 24 << 30,
        ..GpuLoad::default()
    };
    let gpus = (0..).zip(gpus).map(measured).collect();
    with.room.handle_heartbeat(&Load { cpu, gpus, ..Load::default() }, &[], clock::now());
    with
}

/// Three renditions, each by any of these.
fn ladder(encoders: &[&str]) -> Demand {
    let made = |(name, height)| rendition(name, height, encoders);
    demand([("1080p", 1080), ("720p", 720), ("360p", 360)].map(made).to_vec())
}

/// Expects the renditions to be made by these: `x` for libx264, a number for NVENC on that GPU.
#[track_caller]
fn check_encoders(nodes: &[Node], demand: &Demand, expected: &str) {
    let choice = decide(nodes, demand, &Policy::default(), 0).expect("one will do");
    let letter = |on: &Option<EncoderOn>| match on {
        None => "-".to_owned(),
        Some(EncoderOn { gpu: Some(gpu), .. }) => gpu.to_string(),
        Some(EncoderOn { encoder, gpu: None }) => encoder.trim_start_matches("lib")[..1].to_owned(),
    };
    assert_eq!(choice.encoders.iter().map(letter).collect::<String>(), expected);
    let gpus: f64 = choice.cost.gpus.iter().map(|(_, needed)| needed.sessions).sum();
    let on_gpus = expected.chars().filter(char::is_ascii_digit).count();
    assert!((gpus - f64::from(u32::try_from(on_gpus).expect("a few"))).abs() < 0.01, "{:?}", choice.cost);
}

const EITHER: &[&str] = &["h264_nvenc", "libx264"];

#[test]
fn the_first_encoder_of_the_profile_that_the_node_has_is_used() {
    check_encoders(&[node("a", 0, 8)], &ladder(EITHER), "xxx");
    check_encoders(&[gpu_node("a", &[(0, None)], 0.0)], &ladder(EITHER), "000");
    check_encoders(&[gpu_node("a", &[(0, None)], 0.0)], &ladder(&["libx264", "h264_nvenc"]), "xxx");
    let refusal = "no node will do: a has no encoder for 1080p (h264_qsv)";
    check(&[gpu_node("a", &[(0, None)], 0.0)], &ladder(&["h264_qsv"]), Err(refusal));
}

#[test]
fn a_copy_has_no_encoder() {
    let copy = Rendition { video: VideoOutput::Copy, ..rendition("source", 1080, &[]) };
    let mixed = demand(vec![copy, rendition("360p", 360, EITHER)]);
    check_encoders(&[gpu_node("a", &[(0, None)], 0.0)], &mixed, "-0");
    check_encoders(&[node("a", 0, 8)], &mixed, "-x");
}

#[test]
fn renditions_of_one_encoder_stay_on_the_gpu_that_is_used_least() {
    check_encoders(&[gpu_node("a", &[(4, None), (1, None), (2, None)], 0.0)], &ladder(EITHER), "111");
    check_encoders(&[gpu_node("a", &[(1, Some(3)), (2, Some(8))], 0.0)], &ladder(EITHER), "111");
}

#[test]
fn what_does_not_fit_on_one_gpu_goes_to_the_next_and_then_to_the_cpu() {
    check_encoders(&[gpu_node("a", &[(2, Some(3)), (2, Some(4))], 0.0)], &ladder(EITHER), "110");
    check_encoders(&[gpu_node("a", &[(2, Some(3)), (2, Some(3))], 0.0)], &ladder(EITHER), "01x");
    check_encoders(&[gpu_node("a", &[(3, Some(3)), (3, Some(3))], 0.0)], &ladder(EITHER), "xxx");
}

#[test]
fn without_room_on_the_cpu_the_gpu_will_do() {
    let demand = demand(vec![rendition("1080p", 1080, &["libx264", "h264_nvenc"])]);
    check_encoders(&[gpu_node("a", &[(0, None)], 0.25)], &demand, "x");
    check_encoders(&[gpu_node("a", &[(0, None)], 0.75)], &demand, "0");
}

#[test]
fn a_node_without_a_session_left_has_no_room() {
    let refusal = "no node will do: a has no encoder session left on GPU 0";
    check(&[gpu_node("a", &[(3, Some(3))], 0.0)], &ladder(&["h264_nvenc"]), Err(refusal));
    check(&[gpu_node("a", &[(1, Some(3))], 0.0)], &ladder(&["h264_nvenc"]), Err(refusal));
    check_reason(&[gpu_node("a", &[(3, Some(3))], 0.0)], &ladder(&["h264_nvenc"]), Reason::NoRoom);
    let busy = gpu_node("a", &[(17, None)], 0.0);
    let refusal = "no node will do: a has too little GPU encoder";
    check(&[busy], &ladder(&["h264_nvenc"]), Err(refusal));
}

#[test]
fn a_stream_goes_on_with_the_encoders_that_it_had() {
    let nodes = [gpu_node("a", &[(0, None)], 0.0), node("b", 0, 8).busy(0.3)];
    let after = |used: &[&str]| Demand {
        prefer_encoders: used.iter().map(|&used| used.to_owned()).collect(),
        ..ladder(EITHER)
    };
    check_encoders(&nodes, &after(&["libx264"; 3]), "xxx");
    check_encoders(&nodes, &after(&["h264_nvenc"; 3]), "000");
    check_encoders(&nodes, &after(&["h264_nvenc", "libx264", "libx264"]), "0xx");
    // Another encoder is worse than a fuller node, and better than none.
    check(&[nodes[0].clone().busy(0.8), nodes[1].clone()], &after(&["libx264"; 3]), Ok("b"));
    check_encoders(&nodes[1..], &after(&["h264_nvenc"; 3]), "xxx");
    check_encoders(&nodes[1..], &after(&["h264_qsv"; 3]), "xxx");
}

#[test]
fn an_encoder_on_a_device_that_is_no_gpu_of_the_list_measures_nothing() {
    let mut vaapi = node("a", 0, 8);
    vaapi.capabilities.encoders = vec![EncoderOn { encoder: "h264_vaapi".into(), gpu: Some(7) }];
    check_encoders(&[vaapi], &ladder(&["h264_vaapi"]), "777");
}
