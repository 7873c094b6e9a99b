//! A sequence parameter set (ISO/IEC 14496-10 §7.3.2.1.1), as far as its picture's size and rate.
//!
//! What only a decoder needs is passed over. Nothing behind the size has to make sense: cameras and hardware encoders write
//! VUI that breaks its rules (a bitstream restriction with fewer frames than references, a cut end), FFmpeg warns and decodes.
//! So does a level that is too low for the pictures not matter, of which x264 merely warns.

use crate::media::bits::{Bits, Cut};
use crate::media::nal::{Unreadable, ue_up_to, unescaped};
use crate::media::video::{MAX_SIDE, plausible_rate};

/// `profile_idc` of which the chroma format and scaling lists are told (§7.3.2.1.1.1).
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// `aspect_ratio_idc` that is followed by the ratio itself (§E.2.1, table E-1).
const EXTENDED_SAR: u8 = 255;

/// What a sequence parameter set says of its pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ParameterSet {
    /// In pixels, after cropping; 0 if cropping leaves nothing.
    pub(super) width: u32,
    /// In pixels, after cropping, of a frame (two fields); 0 if cropping leaves nothing.
    pub(super) height: u32,
    /// Frames per second, if the VUI says a plausible one.
    pub(super) frame_rate: Option<f64>,
}

/// Reads a sequence parameter set, from its NAL header on.
pub(super) fn read(nal: &[u8]) -> Result<ParameterSet, Unreadable> {
    let plain = unescaped(nal);
    let mut bits = Bits::new(&plain);
    bits.skip(8, "nal_unit_type")?;
    let profile = bits.u8("profile_idc")?;
    bits.skip(16, "level_idc")?;
    ue_up_to(&mut bits, 31, "seq_parameter_set_id")?;
    // Profiles without the field are 4:2:0 (§7.4.2.1.1).
    let chroma = if HIGH_PROFILES.contains(&profile) { read_chroma(&mut bits)? } else { Chroma::HALVED };
    skip_to_size(&mut bits)?;
    let (width, height) = read_size(&mut bits, chroma)?;
    let frame_rate = read_frame_rate(&mut bits).ok().flatten();
    Ok(ParameterSet { width, height, frame_rate })
}

/// How many luma samples a unit of cropping has (§7.4.2.1.1, `SubWidthC` and `SubHeightC`; 1 where chroma is not
/// subsampled or not there).
#[derive(Clone, Copy)]
struct Chroma {
    across: u32,
    down: u32,
}

impl Chroma {
    const HALVED: Self = Self { across: 2, down: 2 };
}

/// From `chroma_format_idc` to the scaling lists.
fn read_chroma(bits: &mut Bits<'_>) -> Result<Chroma, Unreadable> {
    let format = ue_up_to(bits, 3, "chroma_format_idc")?;
    if format == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    ue_up_to(bits, 6, "bit_depth_luma_minus8")?;
    ue_up_to(bits, 6, "bit_depth_chroma_minus8")?;
    bits.skip(1, "qpprime_y_zero_transform_bypass_flag")?;
    if bits.flag("seq_scaling_matrix_present_flag")? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.flag("seq_scaling_list_present_flag")? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(match format {
        1 => Chroma::HALVED,
        2 => Chroma { across: 2, down: 1 },
        _ => Chroma { across: 1, down: 1 },
    })
}

/// §7.3.2.1.1.1: a scale of 0 says that the rest of the list is not sent.
fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Result<(), Cut> {
    let mut scale = 8;
    for _ in 0..size {
        scale = (scale + bits.se("delta_scale")?).rem_euclid(256);
        if scale == 0 {
            break;
        }
    }
    Ok(())
}

/// From `log2_max_frame_num_minus4` to `gaps_in_frame_num_value_allowed_flag`.
fn skip_to_size(bits: &mut Bits<'_>) -> Result<(), Unreadable> {
    ue_up_to(bits, 12, "log2_max_frame_num_minus4")?;
    match ue_up_to(bits, 2, "pic_order_cnt_type")? {
        0 => {
            ue_up_to(bits, 12, "log2_max_pic_order_cnt_lsb_minus4")?;
        }
        1 => {
            bits.skip(1, "delta_pic_order_always_zero_flag")?;
            bits.se("offset_for_non_ref_pic")?;
            bits.se("offset_for_top_to_bottom_field")?;
            for _ in 0..ue_up_to(bits, 255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                bits.se("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    bits.ue("max_num_ref_frames")?;
    bits.skip(1, "gaps_in_frame_num_value_allowed_flag")?;
    Ok(())
}

/// From `pic_width_in_mbs_minus1` to the cropping.
fn read_size(bits: &mut Bits<'_>, chroma: Chroma) -> Result<(u32, u32), Unreadable> {
    const MACROBLOCK: u32 = 16;
    let largest = MAX_SIDE / MACROBLOCK - 1;
    let width = MACROBLOCK * (ue_up_to(bits, largest, "pic_width_in_mbs_minus1")? + 1);
    let rows = ue_up_to(bits, largest, "pic_height_in_map_units_minus1")? + 1;
    // A map unit is two macroblocks high where fields may come (§7.4.2.1.1, FrameHeightInMbs).
    let fields = if bits.flag("frame_mbs_only_flag")? { 1 } else { 2 };
    if fields == 2 {
        bits.skip(1, "mb_adaptive_frame_field_flag")?;
    }
    bits.skip(1, "direct_8x8_inference_flag")?;
    let height = MACROBLOCK * rows * fields;
    if !bits.flag("frame_cropping_flag")? {
        return Ok((width, height));
    }
    let mut cropped = |field, unit: u32| bits.ue(field).map(|count| count.saturating_mul(unit));
    let across = [
        cropped("frame_crop_left_offset", chroma.across)?,
        cropped("frame_crop_right_offset", chroma.across)?,
    ];
    let down = chroma.down * fields;
    let down = [cropped("frame_crop_top_offset", down)?, cropped("frame_crop_bottom_offset", down)?];
    Ok((
        across.into_iter().fold(width, u32::saturating_sub),
        down.into_iter().fold(height, u32::saturating_sub),
    ))
}

/// The VUI's timing (§E.1.1), which comes before all that senders get wrong in it.
fn read_frame_rate(bits: &mut Bits<'_>) -> Result<Option<f64>, Cut> {
    if !bits.flag("vui_parameters_present_flag")? {
        return Ok(None);
    }
    if bits.flag("aspect_ratio_info_present_flag")? && bits.u8("aspect_ratio_idc")? == EXTENDED_SAR {
        bits.skip(32, "sar_width")?;
    }
    if bits.flag("overscan_info_present_flag")? {
        bits.skip(1, "overscan_appropriate_flag")?;
    }
    if bits.flag("video_signal_type_present_flag")? {
        bits.skip(4, "video_format")?;
        if bits.flag("colour_description_present_flag")? {
            bits.skip(24, "colour_primaries")?;
        }
    }
    if bits.flag("chroma_loc_info_present_flag")? {
        bits.ue("chroma_sample_loc_type_top_field")?;
        bits.ue("chroma_sample_loc_type_bottom_field")?;
    }
    if !bits.flag("timing_info_present_flag")? {
        return Ok(None);
    }
    let ticks = bits.read(32, "num_units_in_tick")?;
    let time_scale = bits.read(32, "time_scale")?;
    // A frame lasts two ticks (§E.2.1, `num_units_in_tick`).
    Ok(plausible_rate(f64::from(time_scale) / (2.0 * f64::from(ticks))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::{golomb as ue, packed};
    use crate::media::nal::escaped;
    use proptest::prelude::*;

    /// A set of a profile, from `seq_parameter_set_id` on as given.
    fn set(profile: u8, fields: &str) -> Vec<u8> {
        escaped(&[&[0x67, profile, 0, 40][..], &packed(fields)].concat())
    }

    /// A baseline set of 320x176, from `vui_parameters_present_flag` on as given.
    fn with_vui(vui: &str) -> Vec<u8> {
        let head = format!("{}{}{}{}", ue(0), ue(0), ue(2), ue(1));
        set(66, &format!("{head}0 {}{}1 1 0 {vui}", ue(19), ue(10)))
    }

    #[track_caller]
    fn check(nal: &[u8], size: (u32, u32), frame_rate: Option<f64>) {
        let (width, height) = size;
        assert_eq!(read(nal), Ok(ParameterSet { width, height, frame_rate }));
    }

    /// Timing of `time_scale` and `num_units_in_tick`, with nothing before it.
    fn timing(time_scale: u32, ticks: u32) -> String {
        format!("1 0 0 0 0 1 {ticks:032b} {time_scale:032b} 1")
    }

    #[test]
    fn only_a_plausible_clock_is_a_frame_rate() {
        check(&with_vui(&timing(120, 1)), (320, 176), Some(60.0));
        for (time_scale, ticks) in [(0, 1), (1, 0), (0, 0), (2000, 1), (180_000, 1)] {
            check(&with_vui(&timing(time_scale, ticks)), (320, 176), None);
        }
        check(&with_vui("0 1"), (320, 176), None);
        let fields = format!("1 1 11111111 {:032b} 1 1 1 000 0 1 {:024b} 1 {}{}", 0, 0, ue(5), ue(0));
        check(
            &with_vui(&format!("{fields}1 {:032b} {:032b} 1", 1001, 48_000)),
            (320, 176),
            Some(48_000.0 / 2002.0),
        );
    }

    #[test]
    fn vui_that_breaks_its_rules_is_tolerated() {
        // Behind the timing no HRD and no picture structure, but a restriction that allows no frame to be buffered and
        // has one reordered; then one that is cut, then VUI that is cut before.
        let restriction = format!("0 0 0 1 1 {}{}{}{}{}{}1", ue(2), ue(1), ue(9), ue(9), ue(1), ue(0));
        check(&with_vui(&format!("{}{restriction}", timing(50, 1))), (320, 176), Some(25.0));
        check(&with_vui(&format!("{}0 0 0 1 1", timing(50, 1))), (320, 176), Some(25.0));
        check(&with_vui("1 0 0 0 0 1 00000000"), (320, 176), None);
        check(&with_vui(""), (320, 176), None);
    }

    #[test]
    fn cropping_counts_in_units_of_chroma_and_fields() {
        let size = |format: &str, fields: &str| {
            let head = format!("{}{format}{}{}{}{}", ue(0), ue(0), ue(0), "0 0", ue(0));
            let crop = format!("1 {}{}{}{}", ue(1), ue(2), ue(1), ue(0));
            let tail = format!("{}{}0 {}{}{fields}1 {crop} 0 1", ue(2), ue(1), ue(9), ue(9));
            let read = read(&set(100, &format!("{head}{tail}"))).unwrap();
            (read.width, read.height)
        };
        assert_eq!(size(&ue(1), "1"), (154, 158));
        assert_eq!(size(&ue(2), "1"), (154, 159));
        assert_eq!(size(&ue(0), "1"), (157, 159));
        assert_eq!(size(&format!("{}0", ue(3)), "1"), (157, 159));
        assert_eq!(size(&ue(1), "00"), (154, 316));
    }

    #[test]
    fn scaling_lists_and_picture_order_of_type_one_are_passed_over() {
        // Eight lists: one that ends at once (8 - 8), one of 16 equal scales, then one of 64, the others not sent.
        let lists = format!("1 1{} 1{} 0 0 0 0 1{} 0", "000010001", "1".repeat(16), "1".repeat(64));
        let order = format!("{}1 {}{}{}{}{}", ue(1), ue(3), ue(4), ue(2), ue(5), ue(6));
        let head = format!("{}{}{}{}0 {lists} {}{order}", ue(0), ue(1), ue(0), ue(0), ue(0));
        let fields = format!("{head}{}0 {}{}1 1 0 0 1", ue(1), ue(39), ue(21));
        check(&set(100, &fields), (640, 352), None);
    }

    #[test]
    fn values_that_the_standard_does_not_know_are_refused() {
        let refused = |fields: &str| match read(&set(100, fields)) {
            Err(Unreadable::Value { field, value, .. }) => (field, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&ue(32)), ("seq_parameter_set_id", 32));
        assert_eq!(refused(&format!("{}{}", ue(0), ue(4))), ("chroma_format_idc", 4));
        let before = format!("{}{}{}{}0 0 {}{}{}0", ue(0), ue(1), ue(0), ue(0), ue(0), ue(2), ue(1));
        assert_eq!(refused(&format!("{before}{}", ue(1055))), ("pic_width_in_mbs_minus1", 1055));
        assert_eq!(
            refused(&format!("{before}{}{}", ue(9), ue(u32::MAX - 1))).0,
            "pic_height_in_map_units_minus1"
        );
    }

    #[test]
    fn every_cut_before_the_size_is_an_error() {
        let whole = with_vui("0 1");
        for length in 0..whole.len() - 1 {
            assert!(matches!(read(&whole[..length]), Err(Unreadable::Cut(cut)) if cut.offset <= length));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(nal in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(read) = read(&nal) {
                prop_assert!(read.width <= MAX_SIDE && read.height <= 2 * MAX_SIDE);
            }
        }
    }
}
