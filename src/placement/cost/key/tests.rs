use super::*;
use crate::ffmpeg::capability::Carriage;
use crate::placement::cost::tests::{EPYC, by, rendition, usual, work, x264};

#[track_caller]
fn check(work: &Work, encoders: &[Option<EncoderOn>], expected: [&str; 3]) {
    let keys = Keys::of(EPYC, work, encoders);
    assert_eq!([keys.work.as_deref().unwrap_or("none"), &keys.encoders, &keys.class], expected);
}

#[test]
fn a_key_says_all_that_matters() {
    check(
        &usual(),
        &x264(&usual()),
        [
            "h264 1920x1080@30 aac > 1280x720@30 libx264/veryfast, 640x360@30 libx264/veryfast + copy on AMD EPYC",
            "libx264/veryfast on AMD EPYC",
            "AMD EPYC",
        ],
    );
    let mut mixed = work(1080, &[rendition(1080, None), rendition(720, Some("fast"))]);
    (mixed.deinterlace, mixed.audio) = (Deinterlace::Field, AudioWork::Encode);
    check(
        &mixed,
        &by("h264_nvenc", Some(2), &mixed),
        [
            "h264 1920x1080@30 aac fields > 1280x720@30 h264_nvenc/fast, copy + aac on AMD EPYC",
            "copy, h264_nvenc/fast on AMD EPYC",
            "AMD EPYC",
        ],
    );
    let mut sound = work(0, &[]);
    (sound.source.video, sound.source.audio, sound.audio) = (None, Some(Carriage::Opus), AudioWork::Encode);
    check(&sound, &[], ["opus >  + aac on AMD EPYC", "sound on AMD EPYC", "AMD EPYC"]);
}

#[test]
fn order_device_bit_rate_and_a_fraction_of_a_picture_make_no_difference() {
    let keys = |work: &Work, gpu| Keys::of(EPYC, work, &by("h264_nvenc", gpu, work));
    let mut other = usual();
    other.renditions.reverse();
    (other.source.bitrate, other.source.fps, other.renditions[0].fps) = (1, 29.97, 30.3);
    assert_eq!(keys(&other, Some(1)), keys(&usual(), Some(0)));
    other.source.fps = 25.0;
    assert_ne!(keys(&other, Some(1)), keys(&usual(), Some(0)));
}

#[test]
fn an_encoder_that_nobody_named_is_the_first_that_would_do() {
    assert_eq!(Keys::of(EPYC, &usual(), &[]), Keys::of(EPYC, &usual(), &x264(&usual())));
}

#[test]
fn what_is_too_long_is_cut_or_left_out() {
    let keys = Keys::of(&"é".repeat(5_000), &usual(), &[]);
    assert_eq!(keys.class, "é".repeat(MAX_CLASS_CHARS));
    let many = vec![rendition(720, Some(&"x".repeat(500))); 5];
    let keys = Keys::of(EPYC, &work(720, &many), &[]);
    assert_eq!((keys.work, keys.encoders.len() < MAX_KEY_BYTES), (None, true));
}
