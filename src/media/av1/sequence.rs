//! A sequence header (AV1 §5.5), up to the size of its pictures.

use crate::media::bits::{Bits, Cut};
use crate::media::video::plausible_rate;

/// What a sequence header says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sequence {
    /// The largest width of a frame, in pixels. Frames may be smaller, which no live encoder does.
    pub(super) width: u32,
    /// The largest height of a frame, in pixels.
    pub(super) height: u32,
    /// Frames per second, where all last equally long.
    pub(super) frame_rate: Option<f64>,
    /// A still picture, whose frame headers leave out all that says what kind of frame it is (§5.9.2).
    pub(super) is_reduced: bool,
}

/// Lengths of fields, in bits.
struct DecoderModel {
    buffer_delay: usize,
}

/// Reads the payload of a sequence header OBU.
pub(super) fn read(payload: &[u8]) -> Result<Sequence, Cut> {
    let mut bits = Bits::new(payload);
    bits.skip(3 + 1, "seq_profile")?;
    let is_reduced = bits.flag("reduced_still_picture_header")?;
    let mut frame_rate = None;
    if is_reduced {
        bits.skip(5, "seq_level_idx")?;
    } else {
        let mut decoder_model = None;
        if bits.flag("timing_info_present_flag")? {
            frame_rate = read_timing(&mut bits)?;
            decoder_model = read_decoder_model(&mut bits)?;
        }
        skip_operating_points(&mut bits, decoder_model.as_ref())?;
    }
    let width_bits = bits.read(4, "frame_width_bits_minus_1")? as usize + 1;
    let height_bits = bits.read(4, "frame_height_bits_minus_1")? as usize + 1;
    let width = bits.read(width_bits, "max_frame_width_minus_1")? + 1;
    let height = bits.read(height_bits, "max_frame_height_minus_1")? + 1;
    Ok(Sequence { width, height, frame_rate, is_reduced })
}

/// `timing_info` (§5.5.3).
fn read_timing(bits: &mut Bits<'_>) -> Result<Option<f64>, Cut> {
    let ticks = bits.read(32, "num_units_in_display_tick")?;
    let time_scale = bits.read(32, "time_scale")?;
    if !bits.flag("equal_picture_interval")? {
        return Ok(None);
    }
    // `uvlc` (§4.10.3) is an Exp-Golomb code.
    let ticks_per_picture = f64::from(bits.ue("num_ticks_per_picture_minus_1")?) + 1.0;
    Ok(plausible_rate(f64::from(time_scale) / (f64::from(ticks) * ticks_per_picture)))
}

/// `decoder_model_info` (§5.5.4), behind the flag that it is there.
fn read_decoder_model(bits: &mut Bits<'_>) -> Result<Option<DecoderModel>, Cut> {
    if !bits.flag("decoder_model_info_present_flag")? {
        return Ok(None);
    }
    let buffer_delay = bits.read(5, "buffer_delay_length_minus_1")? as usize + 1;
    bits.skip(32 + 5 + 5, "num_units_in_decoding_tick")?;
    Ok(Some(DecoderModel { buffer_delay }))
}

/// From `initial_display_delay_present_flag` to the last of at most 32 operating points (§5.5.1).
fn skip_operating_points(bits: &mut Bits<'_>, decoder_model: Option<&DecoderModel>) -> Result<(), Cut> {
    let initial_display_delay = bits.flag("initial_display_delay_present_flag")?;
    for _ in 0..=bits.read(5, "operating_points_cnt_minus_1")? {
        bits.skip(12, "operating_point_idc")?;
        // Levels above 3.3 say their tier.
        if bits.read(5, "seq_level_idx")? > 7 {
            bits.skip(1, "seq_tier")?;
        }
        if let Some(model) = decoder_model
            && bits.flag("decoder_model_present_for_this_op")?
        {
            bits.skip(2 * model.buffer_delay + 1, "decoder_buffer_delay")?;
        }
        if initial_display_delay && bits.flag("initial_display_delay_present_for_this_op")? {
            bits.skip(4, "initial_display_delay_minus_1")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::packed;
    use proptest::prelude::*;

    /// 400 x 300: `frame_width_bits_minus_1` and its like, then two bits that follow.
    const SIZE: &str = "1000 1000 110001111 100101011 11";

    #[track_caller]
    fn check(head: &str, frame_rate: Option<f64>, is_reduced: bool) {
        let expected = Sequence { width: 400, height: 300, frame_rate, is_reduced };
        assert_eq!(read(&packed(&format!("{head}{SIZE}"))), Ok(expected));
    }

    #[test]
    fn headers_with_and_without_what_is_optional() {
        let point = "000000000000 01000 0";
        check(&format!("000 0 0 0 0 00000 {point}"), None, false);
        check("000 1 1 00100", None, true);
        // Level 3.3 says no tier; three points; each with a display delay or none.
        let low = "000000000001 00111";
        check(&format!("001 0 0 0 1 00010 {point} 1 1001 {low} 0 {low} 1 0000"), None, false);
    }

    #[test]
    fn timing_is_a_frame_rate_if_pictures_last_equally_long() {
        let head =
            |ticks: u32, scale: u32, equal: &str| format!("000 0 0 1 {ticks:032b} {scale:032b} {equal}");
        let points = "0 0 00000 000000000000 00000";
        check(&format!("{}{points}", head(1001, 60_000, "1 010")), Some(60_000.0 / 2002.0), false);
        check(&format!("{}{points}", head(1, 25, "0")), None, false);
        check(&format!("{}{points}", head(0, 25, "1 1")), None, false);
        check(&format!("{}{points}", head(1, 90_000, "1 1")), None, false);
        // A decoder model whose delays have 10 bits; the operating point has one, then a second one has none.
        let model = format!("1 01001 {:032b} 00000 00000", 1);
        let points = format!("0 00001 000000000000 00000 1 {} 1 000000000000 00000 0", "01".repeat(10));
        check(&format!("{}{model}{points}", head(1, 50, "1 1")), Some(50.0), false);
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = packed(&format!("000 0 0 0 0 00000 000000000000 00000 {SIZE}"));
        assert!(read(&whole).is_ok());
        for length in 0..whole.len() - 1 {
            assert!(read(&whole[..length]).is_err_and(|cut| cut.offset <= length));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(read) = read(&payload) {
                prop_assert!((1..=65_536).contains(&read.width) && (1..=65_536).contains(&read.height));
                prop_assert!(read.frame_rate.is_none_or(f64::is_finite));
            }
        }
    }
}
