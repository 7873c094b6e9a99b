//! A sequence parameter set (ISO/IEC 23008-2 §7.3.2.2), from its header to its cropping.
//!
//! What comes behind is not read: between the size and the VUI's timing lie reference picture sets that predict each other, and
//! the sender's metadata tells the rate anyway.

use std::fmt::Write;

use crate::media::bits::{Bits, Cut};
use crate::media::nal::{Unreadable, ue_up_to, unescaped};
use crate::media::video::MAX_SIDE;

/// What a sequence parameter set says of its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParameterSet {
    /// In pixels, after cropping; 0 if cropping leaves nothing.
    pub(super) width: u32,
    /// In pixels, after cropping; 0 if cropping leaves nothing.
    pub(super) height: u32,
    /// The profile, tier and level.
    pub(super) profile: Profile,
}

/// The general part of `profile_tier_level` (§7.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    space: u32,
    high_tier: bool,
    idc: u32,
    compatibility: u32,
    /// Six bytes, from `general_progressive_source_flag` on.
    constraints: [u8; 6],
    level: u8,
}

impl Profile {
    /// The codecs string (ISO/IEC 14496-15 §E.3): the compatibility flags with their bits reversed, in hexadecimal; of the
    /// constraint bytes none that only zeros follow.
    pub(super) fn codecs(&self) -> String {
        let space = ["", "A", "B", "C"][(self.space & 0b11) as usize];
        let tier = if self.high_tier { 'H' } else { 'L' };
        let (idc, compatibility) = (self.idc, self.compatibility.reverse_bits());
        let mut codecs = format!("hvc1.{space}{idc}.{compatibility:X}.{tier}{}", self.level);
        let told = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in &self.constraints[..told] {
            // Writing to a string cannot fail.
            let _ = write!(codecs, ".{byte:X}");
        }
        codecs
    }
}

/// Reads a sequence parameter set, from its NAL header on.
pub(super) fn read(nal: &[u8]) -> Result<ParameterSet, Unreadable> {
    let plain = unescaped(nal);
    let mut bits = Bits::new(&plain);
    bits.skip(16, "nal_unit_header")?;
    bits.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers = bits.read(3, "sps_max_sub_layers_minus1")?;
    bits.skip(1, "sps_temporal_id_nesting_flag")?;
    let profile = read_profile(&mut bits, sub_layers)?;
    ue_up_to(&mut bits, 15, "sps_seq_parameter_set_id")?;
    let (width, height) = read_size(&mut bits)?;
    Ok(ParameterSet { width, height, profile })
}

/// `profile_tier_level` with its general part present (§7.3.3); what it says of each sub-layer is passed over.
fn read_profile(bits: &mut Bits<'_>, sub_layers: u32) -> Result<Profile, Cut> {
    let space = bits.read(2, "general_profile_space")?;
    let high_tier = bits.flag("general_tier_flag")?;
    let idc = bits.read(5, "general_profile_idc")?;
    let compatibility = bits.read(32, "general_profile_compatibility_flag")?;
    let mut constraints = [0; 6];
    for byte in &mut constraints {
        *byte = bits.u8("general_progressive_source_flag")?;
    }
    let level = bits.u8("general_level_idc")?;
    if sub_layers > 0 {
        // Flags for eight sub-layers, the unused ones reserved: whether 88 bits of profile and 8 of level follow.
        let mut sub_layer_bits = 0;
        for _ in 0..8 {
            sub_layer_bits += if bits.flag("sub_layer_profile_present_flag")? { 88 } else { 0 };
            sub_layer_bits += if bits.flag("sub_layer_level_present_flag")? { 8 } else { 0 };
        }
        bits.skip(sub_layer_bits, "sub_layer_profile_idc")?;
    }
    Ok(Profile { space, high_tier, idc, compatibility, constraints, level })
}

/// From `chroma_format_idc` to the conformance window, whose unit is a chroma sample (§7.4.3.2.1).
fn read_size(bits: &mut Bits<'_>) -> Result<(u32, u32), Unreadable> {
    let format = ue_up_to(bits, 3, "chroma_format_idc")?;
    if format == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    let (unit_across, unit_down) = match format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let width = ue_up_to(bits, MAX_SIDE, "pic_width_in_luma_samples")?;
    let height = ue_up_to(bits, MAX_SIDE, "pic_height_in_luma_samples")?;
    if !bits.flag("conformance_window_flag")? {
        return Ok((width, height));
    }
    let mut cropped = |field, unit: u32| bits.ue(field).map(|count| count.saturating_mul(unit));
    let across =
        [cropped("conf_win_left_offset", unit_across)?, cropped("conf_win_right_offset", unit_across)?];
    let down = [cropped("conf_win_top_offset", unit_down)?, cropped("conf_win_bottom_offset", unit_down)?];
    let less = |size, offsets: [u32; 2]| offsets.into_iter().fold(size, u32::saturating_sub);
    Ok((less(width, across), less(height, down)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::bits::{golomb as ue, packed};
    use crate::media::nal::escaped;
    use proptest::prelude::*;

    #[test]
    fn codecs_strings_as_the_standard_gives_them() {
        // ISO/IEC 14496-15 §E.3's examples: main profile, and one with space, high tier and constraints.
        let main = Profile {
            space: 0,
            high_tier: false,
            idc: 1,
            compatibility: 0x6000_0000,
            constraints: [0xB0, 0, 0, 0, 0, 0],
            level: 93,
        };
        assert_eq!(main.codecs(), "hvc1.1.6.L93.B0");
        let other =
            Profile { space: 1, high_tier: true, idc: 4, constraints: [0xB0, 0x23, 0, 0, 0, 0], ..main };
        assert_eq!(other.codecs(), "hvc1.A4.6.H93.B0.23");
        let unconstrained = Profile { space: 3, constraints: [0; 6], compatibility: 1, ..other };
        assert_eq!(unconstrained.codecs(), "hvc1.C4.80000000.H93");
    }

    /// A set of the main profile with `sub_layers` more sub-layers and what is said of them, then as given.
    fn set(sub_layers: u32, told: &str, rest: &str) -> Vec<u8> {
        let profile = format!("00 0 00001 {:032b} {:048b} {:08b}", 0x6000_0000, 0xB000_0000_0000_u64, 93);
        escaped(&packed(&format!("01000010 00000001 0000 {sub_layers:03b} 1 {profile} {told} {rest}")))
    }

    #[track_caller]
    fn check(nal: &[u8], size: (u32, u32)) {
        let read = read(nal).unwrap();
        assert_eq!(
            (read.width, read.height, read.profile.codecs()),
            (size.0, size.1, "hvc1.1.6.L93.B0".into())
        );
    }

    #[test]
    fn cropping_counts_in_units_of_chroma() {
        let window = format!("1 {}{}{}{}", ue(1), ue(2), ue(3), ue(0));
        for (format, size) in
            [(ue(1), (94, 74)), (ue(2), (94, 77)), (ue(0), (97, 77)), (format!("{}0", ue(3)), (97, 77))]
        {
            check(&set(0, "", &format!("{}{format}{}{}{window}", ue(0), ue(100), ue(80))), size);
        }
        check(&set(0, "", &format!("{}{}{}{}0", ue(0), ue(1), ue(100), ue(80))), (100, 80));
        let all = format!("1 {}{}{}{}", ue(u32::MAX - 1), ue(0), ue(0), ue(40));
        check(&set(0, "", &format!("{}{}{}{}{all}", ue(0), ue(1), ue(100), ue(80))), (0, 0));
    }

    #[test]
    fn sub_layers_are_passed_over() {
        let size = format!("{}{}{}{}0", ue(0), ue(1), ue(100), ue(80));
        // One with profile and level, one with a level only.
        let told = format!("11 01 {} {} {} {}", "00".repeat(6), "1".repeat(88), "1".repeat(8), "1".repeat(8));
        check(&set(2, &told, &size), (100, 80));
        check(&set(6, &"00".repeat(8), &size), (100, 80));
    }

    #[test]
    fn values_that_the_standard_does_not_know_are_refused() {
        let refused = |rest: &str| match read(&set(0, "", rest)) {
            Err(Unreadable::Value { field, value, .. }) => (field, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&ue(16)), ("sps_seq_parameter_set_id", 16));
        assert_eq!(refused(&format!("{}{}", ue(0), ue(4))), ("chroma_format_idc", 4));
        assert_eq!(
            refused(&format!("{}{}{}", ue(0), ue(1), ue(16_889))),
            ("pic_width_in_luma_samples", 16_889)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(nal in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(read) = read(&nal) {
                prop_assert!(read.width <= MAX_SIDE && read.height <= MAX_SIDE);
                prop_assert!(read.profile.codecs().starts_with("hvc1."));
            }
        }

        #[test]
        fn any_end_of_a_set_never_panics(rest in "[01]{0,300}", sub_layers in 0u32..8) {
            let _ = read(&set(sub_layers, "", &rest));
        }
    }
}
