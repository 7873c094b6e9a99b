use super::*;

#[test]
fn an_encoder_is_found_by_its_name_alone() {
    for &encoder in Encoder::ALL {
        assert_eq!(Encoder::by_name(encoder.name()), Some(encoder));
    }
    for unknown in ["", "libx265", "LIBX264", "h264_amf", "libx264 "] {
        assert_eq!(Encoder::by_name(unknown), None, "{unknown}");
    }
}

#[test]
fn presets_are_mapped_in_their_order() {
    let check = |encoder: Encoder, expected: &str| {
        let called: Vec<&str> = PRESETS.iter().filter_map(|preset| encoder.preset(preset)).collect();
        assert_eq!(called.join(" "), expected, "{encoder:?}");
    };
    check(Encoder::Libx264, &PRESETS.join(" "));
    check(Encoder::H264Nvenc, "p1 p1 p2 p3 p3 p4 p5 p6 p7");
    check(Encoder::H264Qsv, "veryfast veryfast veryfast faster fast medium slow slower veryslow");
    check(Encoder::Libopenh264, "");
    check(Encoder::H264Vaapi, "");
    assert_eq!(Encoder::Libx264.preset("placebo"), None);
}

#[test]
fn no_encoder_may_hold_back_for_longer_than_x264_does_at_its_slowest() {
    for &encoder in Encoder::ALL {
        for preset in PRESETS {
            assert!(encoder.held_back(preset, 8, Latency::Normal) <= 49, "{encoder:?} {preset}");
            assert!(encoder.held_back(preset, 8, Latency::Low) <= 1, "{encoder:?} {preset}");
        }
    }
}

#[test]
fn flags_come_in_pairs_and_none_is_given_twice() {
    for &encoder in Encoder::ALL {
        for latency in [Latency::Normal, Latency::Low] {
            for reordering in [Reordering::BFrames, Reordering::None] {
                let flags = encoder.flags("slow", latency, reordering);
                let (options, values): (Vec<&str>, Vec<&str>) =
                    flags.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
                assert!(options.iter().all(|option| option.starts_with('-')), "{flags:?}");
                assert!(values.iter().all(|value| !value.starts_with('-')), "{flags:?}");
                let mut once = options.clone();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), options.len(), "{flags:?}");
            }
        }
    }
}
