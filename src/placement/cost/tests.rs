use proptest::prelude::*;

use super::*;
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::ladder::{Deinterlace, VideoOutput};
use crate::placement::work::{AudioWork, RenditionWork, SourceMedia};

pub const EPYC: &str = "AMD EPYC";
pub const XEON: &str = "Intel Xeon";

/// A rendition of 16:9 by x264 with this preset, or a copy.
pub fn rendition(height: u32, preset: Option<&str>) -> RenditionWork {
    let encoded =
        |preset: &str| VideoOutput::H264 { encoders: vec!["libx264".into()], preset: preset.to_owned() };
    RenditionWork {
        name: "a".parse().expect("a name"),
        width: height * 16 / 9 / 2 * 2,
        height,
        fps: 30.0,
        bitrate: 1_000_000,
        video: preset.map_or(VideoOutput::Copy, encoded),
    }
}

/// H.264 of so many lines with AAC, of which these are made.
pub fn work(height: u32, renditions: &[RenditionWork]) -> Work {
    let source = SourceMedia {
        video: Some(Carriage::H264),
        audio: Some(Carriage::Aac),
        width: height * 16 / 9 / 2 * 2,
        height,
        fps: 30.0,
        bitrate: 3_000_000,
    };
    Work { source, renditions: renditions.to_vec(), audio: AudioWork::Copy, deinterlace: Deinterlace::Off }
}

/// 720p and 360p of 1080p.
pub fn usual() -> Work {
    work(1080, &[rendition(720, Some("veryfast")), rendition(360, Some("veryfast"))])
}

/// This encoder for every rendition, on a GPU or not.
pub fn by(encoder: &str, gpu: Option<u32>, work: &Work) -> Vec<Option<EncoderOn>> {
    let on = EncoderOn { encoder: encoder.to_owned(), gpu };
    work.renditions.iter().map(|made| made.is_encoded().then(|| on.clone())).collect()
}

pub fn x264(work: &Work) -> Vec<Option<EncoderOn>> {
    by("libx264", None, work)
}

/// Teaches that `work` needs `factor` times what was estimated, in every dimension.
fn teach(model: &mut CostModel, class: &str, work: &Work, factor: f64) {
    let encoders = x264(work);
    let estimated = CostModel::default().predict(class, work, &encoders);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some megabytes")]
    let memory = (estimated.machine.memory * factor) as u64;
    model.learn(
        class,
        work,
        &encoders,
        &Used { cpu: estimated.machine.cpu * factor, memory, gpus: Vec::new() },
    );
}

/// How many times the estimate is predicted, of CPU.
fn factor(model: &CostModel, class: &str, work: &Work) -> f64 {
    let encoders = x264(work);
    let predicted = model.predict(class, work, &encoders).machine.cpu;
    predicted / CostModel::default().predict(class, work, &encoders).machine.cpu
}

#[track_caller]
fn check(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "{found} is not {expected}");
}

#[test]
fn what_was_never_seen_costs_what_is_estimated() {
    let (model, work) = (CostModel::default(), usual());
    assert_eq!(model.predict(EPYC, &work, &x264(&work)), estimate::cost(&work, &x264(&work)));
    assert_eq!(model.lessons(), 0);
}

#[test]
fn ten_samples_with_noise_are_enough() {
    for truth in [0.1, 0.5, 1.0, 3.0, 10.0] {
        let (mut model, work) = (CostModel::default(), usual());
        // Noise of 10 % that has no mean: up and down by turns, and of changing size.
        for sample in 0..10 {
            let noise = 0.1 * f64::from(sample * 7 % 10) / 9.0;
            let sign = if sample % 2 == 0 { 1.0 } else { -1.0 };
            teach(&mut model, EPYC, &work, truth * (1.0 + sign * noise));
        }
        check(factor(&model, EPYC, &work), truth, 0.15);
    }
}

#[test]
fn one_sample_is_already_believed() {
    let (mut model, work) = (CostModel::default(), usual());
    teach(&mut model, EPYC, &work, 2.0);
    check(factor(&model, EPYC, &work), 2.0, 0.001);
    let memory = model.predict(EPYC, &work, &x264(&work)).machine.memory;
    check(memory, estimate::cost(&work, &x264(&work)).machine.memory * 2.0, 0.001);
}

#[test]
fn a_slow_change_is_followed_and_an_outlier_is_not() {
    let (mut model, work) = (CostModel::default(), usual());
    (0..40).for_each(|_| teach(&mut model, EPYC, &work, 1.0));
    teach(&mut model, EPYC, &work, 1e6);
    check(factor(&model, EPYC, &work), 1.0, 0.05);
    (0..200).for_each(|_| teach(&mut model, EPYC, &work, 3.0));
    check(factor(&model, EPYC, &work), 3.0, 0.05);
}

#[test]
fn unseen_work_is_judged_by_its_encoders_then_by_the_machine() {
    let mut model = CostModel::default();
    teach(&mut model, EPYC, &usual(), 2.0);
    let smaller = work(720, &[rendition(480, Some("veryfast"))]);
    check(factor(&model, EPYC, &smaller), 2.0, 0.001);
    teach(&mut model, EPYC, &work(720, &[rendition(480, Some("slow"))]), 0.5);
    check(factor(&model, EPYC, &smaller), 2.0, 0.001);
    // Nobody has seen this preset there: the mean of what there is.
    check(factor(&model, EPYC, &work(720, &[rendition(480, Some("fast"))])), 1.0, 0.02);
    check(factor(&model, XEON, &usual()), 1.0, 0.001);
}

#[test]
fn a_copy_says_nothing_of_the_machine() {
    let mut model = CostModel::default();
    let copy = work(1080, &[rendition(1080, None)]);
    teach(&mut model, EPYC, &copy, 8.0);
    check(factor(&model, EPYC, &usual()), 1.0, 0.001);
    check(factor(&model, EPYC, &work(720, &[rendition(720, None)])), 8.0, 0.001);
    teach(&mut model, EPYC, &usual(), 2.0);
    check(factor(&model, EPYC, &copy), 8.0, 0.001);
}

#[test]
fn works_are_told_apart_by_what_makes_them_differ() {
    let mut model = CostModel::default();
    teach(&mut model, EPYC, &usual(), 1.0);
    (0..10).for_each(|_| teach(&mut model, EPYC, &work(720, &[rendition(360, Some("veryfast"))]), 3.0));
    check(factor(&model, EPYC, &usual()), 1.0, 0.001);
    let sent_faster =
        Work { source: SourceMedia { bitrate: 9_000_000, fps: 30.4, ..usual().source }, ..usual() };
    check(factor(&model, EPYC, &sent_faster), 1.0, 0.001);
}

#[test]
fn a_gpu_is_learnt_apart_from_the_machine() {
    let (mut model, work) = (CostModel::default(), usual());
    let encoders = by("h264_nvenc", Some(1), &work);
    let estimated = model.predict(EPYC, &work, &encoders);
    let gpu = GpuResources { encoder: estimated.gpu(1).encoder * 3.0, ..GpuResources::default() };
    model.learn(EPYC, &work, &encoders, &Used { cpu: 0.0, memory: 0, gpus: vec![(1, gpu)] });
    let predicted = model.predict(EPYC, &work, &encoders);
    check(predicted.gpu(1).encoder, gpu.encoder, 0.001);
    assert_eq!(predicted.gpu(1).memory.to_bits(), estimated.gpu(1).memory.to_bits(), "not measured");
    assert_eq!((predicted.machine, predicted.gpu(1).sessions as u8), (estimated.machine, 2));
    // The same work on the other device of the machine.
    let other = model.predict(EPYC, &work, &by("h264_nvenc", Some(0), &work));
    assert_eq!(other.gpu(0), predicted.gpu(1));
}

#[test]
fn measurements_that_are_none_are_ignored() {
    let (mut model, work) = (CostModel::default(), usual());
    for cpu in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        model.learn(EPYC, &work, &x264(&work), &Used { cpu, ..Used::default() });
    }
    assert_eq!(model, CostModel::default());
    model.learn(EPYC, &work, &x264(&work), &Used { cpu: f64::NAN, memory: 200_000_000, gpus: Vec::new() });
    assert_eq!((model.lessons(), factor(&model, EPYC, &work).to_bits()), (1, 1.0_f64.to_bits()));
}

#[test]
fn what_was_learnt_of_least_recently_is_forgotten() {
    let mut model = CostModel::default();
    let nth = |height: usize| work(1080, &[rendition(u32::try_from(height).expect("small"), Some("fast"))]);
    for height in 0..=CostModel::MAX_WORKS {
        teach(&mut model, EPYC, &nth(height), 2.0);
        // The first one is used all the time.
        teach(&mut model, EPYC, &nth(0), 4.0);
    }
    assert_eq!(model.works.in_order().len(), CostModel::MAX_WORKS);
    let kept = |height| {
        Keys::of(EPYC, &nth(height), &x264(&nth(height))).work.and_then(|key| model.works.get(&key).copied())
    };
    let which = [0, 1, 2, CostModel::MAX_WORKS].map(|height| kept(height).is_some());
    assert_eq!(which, [true, false, true, true]);
    for class in 0..CostModel::MAX_CLASSES * 5 {
        teach(&mut model, &class.to_string(), &usual(), 2.0);
    }
    let sizes = [&model.works, &model.encoders, &model.classes].map(|level| level.in_order().len());
    assert_eq!(sizes, [CostModel::MAX_WORKS, CostModel::MAX_ENCODER_SETS, CostModel::MAX_CLASSES]);
}

fn any_height() -> impl Strategy<Value = u32> {
    prop_oneof![0..5000_u32, Just(u32::MAX / 16)]
}

proptest! {
    #[test]
    fn a_prediction_is_always_a_number(
        (source, made) in (any_height(), any_height()),
        (fps, cpu) in (any::<f64>(), any::<f64>()),
        (bitrate, memory) in (any::<u64>(), any::<u64>()),
        class in ".*",
    ) {
        let mut work = work(source, &[rendition(made, Some("fast")), rendition(made, None)]);
        (work.source.fps, work.source.bitrate, work.renditions[0].fps) = (fps, bitrate, fps);
        let encoders = by("h264_nvenc", Some(3), &work);
        let mut model = CostModel::default();
        let gpu = GpuResources { encoder: cpu, decoder: cpu, memory: fps, sessions: fps };
        for _ in 0..3 {
            model.learn(&class, &work, &encoders, &Used { cpu, memory, gpus: vec![(0, gpu), (3, gpu)] });
            let cost = model.predict(&class, &work, &encoders);
            let (machine, gpu) = (cost.machine, cost.gpu(3));
            let all = [machine.cpu, machine.memory, machine.disk, machine.network, gpu.encoder, gpu.decoder, gpu.memory];
            prop_assert!(all.iter().all(|amount| amount.is_finite() && *amount >= 0.0), "{cost:?}");
        }
    }

    #[test]
    fn the_order_of_lessons_hardly_matters(factors in prop::collection::vec(0.7..1.4_f64, 10)) {
        let (mut one, mut other, work) = (CostModel::default(), CostModel::default(), usual());
        factors.iter().for_each(|&factor| teach(&mut one, EPYC, &work, factor));
        factors.iter().rev().for_each(|&factor| teach(&mut other, EPYC, &work, factor));
        check(factor(&one, EPYC, &work), factor(&other, EPYC, &work), 0.001);
    }
}
