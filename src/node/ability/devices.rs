//! On which devices an encoder might work.
//!
//! An NVIDIA GPU has an index, by which the proxy places. GPUs behind render nodes are in no list of the proxy's, so an
//! encoder that needs one is offered once: on the first render node where it proves itself, in the order of their names.

use std::collections::BTreeMap;
use std::path::Path;

use super::roster::Candidate;
use crate::ffmpeg::encoder::{Class, Device, Encoder};
use crate::node::process;
use crate::wire::report::{EncoderOn, Gpu};

/// Render nodes that are tried at most.
const MAX_RENDER_NODES: usize = 16;

/// Everything that is to be proved, by the name that the proxy knows it by.
pub(super) fn candidates(
    listed: &[Encoder],
    gpus: &[Gpu],
    render_nodes: &[String],
) -> BTreeMap<EncoderOn, Candidate> {
    let of = |&encoder: &Encoder| -> Vec<(Option<u32>, Vec<Device>)> {
        match encoder.class() {
            Class::Software => vec![(None, vec![Device::Cpu])],
            // Without a list of GPUs, FFmpeg finds one by itself or says what is missing.
            Class::Nvenc if gpus.is_empty() => vec![(None, vec![Device::Nvidia(None)])],
            Class::Nvenc => {
                gpus.iter().map(|gpu| (Some(gpu.index), vec![Device::Nvidia(Some(gpu.index))])).collect()
            }
            Class::Vaapi | Class::Qsv => {
                vec![(None, render_nodes.iter().cloned().map(Device::RenderNode).collect())]
            }
        }
    };
    let all = listed.iter().flat_map(|encoder| of(encoder).into_iter().map(|place| (*encoder, place)));
    all.map(|(encoder, (gpu, devices))| {
        (EncoderOn { encoder: encoder.name().to_owned(), gpu }, Candidate { encoder, devices })
    })
    .collect()
}

/// The GPUs that CUDA may use, of those that there are. `CUDA_VISIBLE_DEVICES` hides the others and counts the rest anew;
/// FFmpeg is started without it where it holds indices, so that an index means one GPU everywhere. Where it holds other names
/// of GPUs, FFmpeg must find its GPU by itself.
pub(super) fn visible(gpus: &[Gpu], variable: Option<&str>) -> Vec<Gpu> {
    let Some(variable) = variable else { return gpus.to_vec() };
    let indices = process::cuda_indices(variable).unwrap_or_default();
    gpus.iter().filter(|gpu| indices.contains(&gpu.index)).cloned().collect()
}

/// The render nodes of this machine, such as `/dev/dri/renderD128`.
pub(super) fn render_nodes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(Path::new("/dev/dri")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_render_node = |name: &String| {
        name.strip_prefix("renderD").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut nodes: Vec<String> =
        names.filter(is_render_node).map(|name| format!("/dev/dri/{name}")).collect();
    nodes.sort();
    nodes.truncate(MAX_RENDER_NODES);
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: u32) -> Gpu {
        Gpu { index, name: "T4".to_owned(), memory: 16 << 30, sessions: None }
    }

    #[track_caller]
    fn check(gpus: &[Gpu], render_nodes: &[&str], expected: &[(&str, Option<u32>, &[Device])]) {
        let nodes: Vec<String> = render_nodes.iter().map(|&node| node.to_owned()).collect();
        let found = candidates(&[Encoder::Libx264, Encoder::H264Nvenc, Encoder::H264Qsv], gpus, &nodes);
        let found: Vec<_> = found
            .iter()
            .map(|(on, candidate)| (on.encoder.as_str(), on.gpu, candidate.devices.as_slice()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_encoder_is_a_candidate_wherever_it_may_work() {
        let cpu = ("libx264", None, &[Device::Cpu][..]);
        check(&[], &[], &[("h264_nvenc", None, &[Device::Nvidia(None)]), ("h264_qsv", None, &[]), cpu]);
        let render = |node: &str| Device::RenderNode(node.to_owned());
        check(
            &[gpu(0), gpu(3)],
            &["/dev/dri/renderD128", "/dev/dri/renderD129"],
            &[
                ("h264_nvenc", Some(0), &[Device::Nvidia(Some(0))]),
                ("h264_nvenc", Some(3), &[Device::Nvidia(Some(3))]),
                ("h264_qsv", None, &[render("/dev/dri/renderD128"), render("/dev/dri/renderD129")]),
                cpu,
            ],
        );
    }

    #[test]
    fn hidden_gpus_are_no_candidates() {
        let check = |variable: Option<&str>, expected: &[u32]| {
            let found = visible(&[gpu(0), gpu(1), gpu(2)], variable);
            assert_eq!(found.iter().map(|gpu| gpu.index).collect::<Vec<_>>(), expected, "{variable:?}");
        };
        check(None, &[0, 1, 2]);
        check(Some("2,0"), &[0, 2]);
        check(Some(" 1 "), &[1]);
        check(Some("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"), &[]);
        check(Some(""), &[]);
    }
}
