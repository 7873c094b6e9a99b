use super::*;
use crate::placement::cost::tests::{by, rendition, usual, work, x264};

/// Expects the cores and megabytes that FFmpeg 5.1.9 and 9.0.2 took of the photograph at a live stream's pace on the machine of
/// the table, as the mean of the two, within a third. So the table's parts add up; no time is taken here.
#[track_caller]
fn check(work: &Work, cores: f64, megabytes: f64) {
    let found = cost(work, &x264(work)).machine;
    assert!((0.67..1.5).contains(&(found.cpu / cores)), "{} cores, not {cores}", found.cpu);
    let found = found.memory / 1e6;
    assert!((0.67..1.5).contains(&(found / megabytes)), "{found} MB, not {megabytes}");
}

fn sent(work: Work, bitrate: u64) -> Work {
    Work { source: SourceMedia { bitrate, ..work.source }, ..work }
}

#[test]
fn what_was_measured_is_estimated() {
    let small = |renditions: &[RenditionWork]| sent(work(360, renditions), 1_050_000);
    check(&small(&[rendition(360, Some("ultrafast"))]), 0.085, 63.0);
    check(&small(&[rendition(360, Some("ultrafast")), rendition(240, Some("ultrafast"))]), 0.129, 69.0);
    check(&sent(usual(), 5_750_000), 1.08, 241.0);
}

#[test]
fn a_larger_picture_a_slower_preset_and_a_second_rendition_cost_more() {
    let one = |height, preset| work(1080, &[rendition(height, Some(preset))]);
    let presets =
        ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];
    let cores = |work: &Work| cost(work, &x264(work)).machine.cpu;
    let by_preset: Vec<f64> = presets.iter().map(|preset| cores(&one(720, preset))).collect();
    assert!(by_preset.is_sorted_by(|faster, slower| faster < slower), "{by_preset:?}");
    let heights = [240, 360, 480, 720].map(|height| cores(&one(height, "fast")));
    assert!(heights.is_sorted_by(|smaller, larger| smaller < larger), "{heights:?}");
    assert!(cores(&usual()) > cores(&one(720, "veryfast")));
    let field = Work { deinterlace: Deinterlace::Field, ..usual() };
    assert!(cores(&field) > cores(&usual()));
}

#[test]
fn what_is_copied_is_not_decoded() {
    let copied = work(2160, &[rendition(2160, None)]);
    check(&copied, 0.013, 44.0);
    let audio = Work { audio: AudioWork::Encode, ..copied };
    check(&audio, 0.031, 44.0);
}

#[test]
fn a_node_receives_the_source_and_sends_the_renditions() {
    let network = |source, renditions: &[RenditionWork]| {
        cost(&sent(work(720, renditions), source), &[]).machine.network
    };
    let three = [rendition(720, None), rendition(480, Some("fast")), rendition(360, Some("fast"))];
    assert_eq!(network(2_000_000, &three).to_bits(), 3e6_f64.to_bits());
    assert_eq!(network(5_000_000, &three).to_bits(), 5e6_f64.to_bits());
    assert_eq!(cost(&usual(), &[]).machine.disk.to_bits(), 0);
}

#[test]
fn a_gpu_is_charged_where_a_rendition_runs_on_it() {
    let work =
        work(1080, &[rendition(1080, None), rendition(720, Some("fast")), rendition(360, Some("fast"))]);
    let mut encoders = by("h264_nvenc", Some(0), &work);
    let two = cost(&work, &encoders);
    let (sum, software) = (two.gpu(0), cost(&work, &x264(&work)));
    assert_eq!((two.gpus.len(), sum.sessions as u8, software.gpus.len()), (2, 2, 0));
    assert!((0.01..0.1).contains(&sum.encoder), "{}", sum.encoder);
    assert!(two.machine.cpu < software.machine.cpu / 2.0);
    encoders[2] = Some(EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(4) });
    let apart = cost(&work, &encoders);
    assert_eq!((apart.gpu(0) + apart.gpu(4)), sum);
    let open = cost(&work, &by("libopenh264", None, &work)).machine;
    assert!(open.cpu < software.machine.cpu && open.cpu > two.machine.cpu);
    // A device that is on no list of GPUs is used all the same.
    let vaapi = cost(&work, &by("h264_vaapi", None, &work));
    assert_eq!((vaapi.machine, vaapi.gpus.len()), (two.machine, 0));
}

#[test]
fn a_preset_that_nobody_knows_is_taken_for_the_default() {
    let cost = |preset| cost(&work(720, &[rendition(720, Some(preset))]), &[]);
    assert_eq!(cost("placebo"), cost("medium"));
}

#[test]
fn sound_alone_takes_little() {
    let mut sound = work(0, &[]);
    (sound.source.video, sound.audio) = (None, AudioWork::Encode);
    check(&sound, 0.031, 44.0);
}
