//! The rows.

use super::{Class, Row, SceneCuts};

/// x264 (`libavcodec/libx264.c`).
pub(super) const LIBX264: Row = Row {
    name: "libx264",
    class: Class::Software,
    filters: &[],
    pixel_format: Some("yuv420p"),
    presets: Some(super::PRESETS),
    exact: &["-forced-idr", "1", "-sc_threshold", "0"],
    scene_cuts: SceneCuts::Off,
    normal: &[],
    low: &["-tune", "zerolatency"],
    b_frames: &[],
    no_b_frames: &["-bf", "0"],
    threaded: true,
    held_back: (0, 0),
};

/// `OpenH264` (`libavcodec/libopenh264enc.c`). Every key frame that it makes is an IDR picture, and `-g` counts from the last
/// one. It looks for scene cuts from the 16th picture after a key frame on, and FFmpeg has no option against that
/// (`bEnableSceneChangeDetect`). It has no B-frames and puts each picture out at once. Its rate control may leave pictures
/// out, unless told not to.
pub(super) const LIBOPENH264: Row = Row {
    name: "libopenh264",
    class: Class::Software,
    filters: &[],
    pixel_format: Some("yuv420p"),
    presets: None,
    exact: &["-allow_skip_frames", "0"],
    scene_cuts: SceneCuts::Kept,
    normal: &["-rc_mode", "bitrate"],
    low: &["-rc_mode", "bitrate"],
    b_frames: &[],
    no_b_frames: &[],
    threaded: true,
    held_back: (0, 0),
};

/// NVENC (`libavcodec/nvenc.c`). It uploads pictures by itself. Without `-delay` it gives a picture out only when all its
/// surfaces are in use. B-frames as references are switched off: not every GPU has them, and the two FFmpegs differ in their
/// default. It holds the look-ahead, the B-frames, the delay and the picture that it works on.
pub(super) const H264_NVENC: Row = Row {
    name: "h264_nvenc",
    class: Class::Nvenc,
    filters: &[],
    pixel_format: Some("yuv420p"),
    presets: Some(["p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7"]),
    exact: &["-forced-idr", "1", "-no-scenecut", "1"],
    scene_cuts: SceneCuts::Off,
    normal: &[
        "-profile:v",
        "high",
        "-tune",
        "hq",
        "-rc",
        "vbr",
        "-rc-lookahead",
        "8",
        "-delay",
        "2",
        "-b_ref_mode",
        "disabled",
    ],
    low: &[
        "-bf",
        "0",
        "-profile:v",
        "high",
        "-tune",
        "ull",
        "-rc",
        "cbr",
        "-zerolatency",
        "1",
        "-delay",
        "0",
    ],
    b_frames: &["-bf", "2"],
    no_b_frames: &["-bf", "0"],
    threaded: false,
    held_back: (8 + 2 + 2 + 1, 1),
};

/// VA-API (`libavcodec/vaapi_encode.c`): pictures are uploaded by a filter. Its presets are numbers that each driver means
/// otherwise, so there are none. With `-idr_interval 0` every I picture is an IDR picture; where a driver has no B-frames, FFmpeg
/// goes without by itself.
pub(super) const H264_VAAPI: Row = Row {
    name: "h264_vaapi",
    class: Class::Vaapi,
    filters: &["format=nv12", "hwupload"],
    pixel_format: None,
    presets: None,
    exact: &["-idr_interval", "0"],
    scene_cuts: SceneCuts::Off,
    normal: &["-profile:v", "high", "-async_depth", "2"],
    low: &["-bf", "0", "-profile:v", "high", "-async_depth", "1"],
    b_frames: &["-bf", "2"],
    no_b_frames: &["-bf", "0"],
    threaded: false,
    held_back: (2 + 2, 1),
};

/// Quick Sync Video (`libavcodec/qsvenc.c`). It uploads pictures by itself. Adaptive I-frames would begin GOPs at scene cuts.
pub(super) const H264_QSV: Row = Row {
    name: "h264_qsv",
    class: Class::Qsv,
    filters: &[],
    pixel_format: Some("nv12"),
    presets: Some([
        "veryfast", "veryfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    ]),
    exact: &["-forced_idr", "1", "-idr_interval", "0", "-adaptive_i", "0", "-adaptive_b", "0"],
    scene_cuts: SceneCuts::Off,
    normal: &["-profile:v", "high", "-look_ahead", "0", "-async_depth", "2"],
    low: &["-bf", "0", "-profile:v", "high", "-look_ahead", "0", "-async_depth", "1"],
    b_frames: &["-bf", "2"],
    no_b_frames: &["-bf", "0"],
    threaded: false,
    held_back: (2 + 2, 1),
};
