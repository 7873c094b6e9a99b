//! AAC's configuration: `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1), as FLV carries it.
//!
//! Not read: the sound itself. So spectral band replication (SBR) that only the sound shows ("implicit signalling",
//! §1.6.5.3) stays unknown, and such a track is described by its core: half the rate that a player will hear.

use super::bits::{Bits, Cut};
use super::track::{AudioCodec, AudioConfiguration};

/// Audio object types (§1.5.1.1, table 1.17) that are AAC with a `GASpecificConfig`.
mod object_type {
    pub(super) const MAIN: u32 = 1;
    pub(super) const LC: u32 = 2;
    pub(super) const SSR: u32 = 3;
    pub(super) const LTP: u32 = 4;
    pub(super) const SBR: u32 = 5;
    pub(super) const ER_LC: u32 = 17;
    pub(super) const ER_LD: u32 = 23;
    pub(super) const PS: u32 = 29;
    /// All five bits set: six more bits follow.
    pub(super) const ESCAPE: u32 = 31;
}

/// Sampling rates by `samplingFrequencyIndex` (§1.6.3.4, table 1.18); 13 and 14 are reserved.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// The index that is followed by the rate itself, in 24 bits.
const EXPLICIT_RATE: u32 = 15;
/// Twice the highest rate of the table; what a 24-bit rate says beyond it is not sound.
const MAX_SAMPLE_RATE: u32 = 192_000;

/// What is wrong with an `AudioSpecificConfig`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AacError {
    /// It ends inside a field.
    #[error("the AudioSpecificConfig {0}")]
    Truncated(#[from] Cut),
    /// The audio object type is not AAC, or one of its kinds that is not taken (§1.5.1.1).
    #[error("audio object type {object_type} at byte {offset} is not supported, send AAC-LC or HE-AAC")]
    ObjectType {
        /// The type.
        object_type: u32,
        /// Byte after it.
        offset: usize,
    },
    /// A reserved `samplingFrequencyIndex`.
    #[error("reserved sampling frequency index {index} before byte {offset}")]
    FrequencyIndex {
        /// The index.
        index: u32,
        /// Byte that holds the next bit.
        offset: usize,
    },
    /// A sampling rate of zero, or beyond 192 kHz.
    #[error("impossible sampling rate {rate} Hz before byte {offset}")]
    SampleRate {
        /// The rate, in hertz.
        rate: u32,
        /// Byte that holds the next bit.
        offset: usize,
    },
    /// A reserved `channelConfiguration`, or a program config element without a channel.
    #[error("channel configuration {0} has no known channels")]
    Channels(u32),
}

/// SBR, perhaps with parametric stereo, on top of an AAC core.
struct Extension {
    object_type: u32,
    sample_rate: u32,
}

/// Reads an `AudioSpecificConfig`.
///
/// For AAC-LC and its like the rate, channels and samples are the core's. Where SBR is signalled (by object type 5 or 29, or
/// behind the core's configuration, §1.6.5) they are those of what is *heard*: the extension's rate, and the samples of an
/// access unit at that rate, usually 2048; with parametric stereo a mono core counts as two channels. `samples / rate` is
/// the access unit's duration in either case.
///
/// # Errors
/// A configuration that is cut, reserved values, and object types without a `GASpecificConfig` of AAC.
pub fn read_configuration(config: &[u8]) -> Result<AudioConfiguration, AacError> {
    let mut bits = Bits::new(config);
    let mut object_type = read_object_type(&mut bits)?;
    let core_rate = read_sample_rate(&mut bits)?;
    let channel_configuration = bits.read(4, "channelConfiguration")?;
    let mut extension = None;
    if matches!(object_type, object_type::SBR | object_type::PS) {
        extension = Some(Extension { object_type, sample_rate: read_sample_rate(&mut bits)? });
        object_type = read_object_type(&mut bits)?;
    }
    let core = read_core(&mut bits, object_type, channel_configuration)?;
    let extension = extension.or_else(|| read_sync_extension(&mut bits, object_type));
    Ok(describe(object_type, core_rate, &core, extension))
}

/// What `GASpecificConfig` adds.
struct Core {
    samples: u32,
    channels: u16,
}

fn describe(
    object_type: u32,
    core_rate: u32,
    core: &Core,
    extension: Option<Extension>,
) -> AudioConfiguration {
    let extension = extension.unwrap_or(Extension { object_type, sample_rate: core_rate });
    let parametric_stereo = extension.object_type == object_type::PS && core.channels == 1;
    // SBR doubles the samples, unless it runs "downsampled", at the core's rate (§4.6.18.4.3).
    let doubled = extension.sample_rate > core_rate;
    AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: format!("mp4a.40.{}", extension.object_type),
        sample_rate: extension.sample_rate,
        channels: if parametric_stereo { 2 } else { core.channels },
        samples_per_access_unit: if doubled { core.samples * 2 } else { core.samples },
    }
}

/// `GetAudioObjectType` (§1.6.2.1, table 1.16).
fn read_object_type(bits: &mut Bits<'_>) -> Result<u32, AacError> {
    match bits.read(5, "audioObjectType")? {
        object_type::ESCAPE => Ok(32 + bits.read(6, "audioObjectTypeExt")?),
        object_type => Ok(object_type),
    }
}

fn read_sample_rate(bits: &mut Bits<'_>) -> Result<u32, AacError> {
    let index = bits.read(4, "samplingFrequencyIndex")?;
    let rate = if index == EXPLICIT_RATE {
        bits.read(24, "samplingFrequency")?
    } else {
        let rate = SAMPLE_RATES.get(index as usize);
        *rate.ok_or(AacError::FrequencyIndex { index, offset: bits.offset() })?
    };
    if rate == 0 || rate > MAX_SAMPLE_RATE {
        return Err(AacError::SampleRate { rate, offset: bits.offset() });
    }
    Ok(rate)
}

/// `GASpecificConfig` (§4.4.1), from the flag of the frame length to the channels; what comes after them only matters to
/// decoders, but for one flag before a sync extension.
fn read_core(bits: &mut Bits<'_>, object_type: u32, channel_configuration: u32) -> Result<Core, AacError> {
    use object_type::{ER_LC, ER_LD, LC, LTP, MAIN, SSR};
    let (long, short) = match object_type {
        MAIN | LC | SSR | LTP | ER_LC => (1024, 960),
        ER_LD => (512, 480),
        _ => return Err(AacError::ObjectType { object_type, offset: bits.offset() }),
    };
    let samples = if bits.flag("frameLengthFlag")? { short } else { long };
    if bits.flag("dependsOnCoreCoder")? {
        bits.skip(14, "coreCoderDelay")?;
    }
    let extended = bits.flag("extensionFlag")?;
    let channels = match channel_configuration {
        0 => read_program_config(bits)?,
        known => channels_of(known)?,
    };
    if extended && !matches!(object_type, ER_LC | ER_LD) {
        bits.skip(1, "extensionFlag3")?;
    }
    Ok(Core { samples, channels })
}

/// Channels by `channelConfiguration` (§1.6.3.5, table 1.19, with those of later amendments).
fn channels_of(channel_configuration: u32) -> Result<u16, AacError> {
    match channel_configuration {
        1 => Ok(1),
        2 => Ok(2),
        3 => Ok(3),
        4 => Ok(4),
        5 => Ok(5),
        6 => Ok(6),
        11 => Ok(7),
        7 | 12 | 14 => Ok(8),
        13 => Ok(24),
        reserved => Err(AacError::Channels(reserved)),
    }
}

/// `program_config_element` (§4.4.1.1): all channels that it lists, low-frequency ones too.
fn read_program_config(bits: &mut Bits<'_>) -> Result<u16, AacError> {
    bits.skip(4 + 2 + 4, "element_instance_tag")?;
    let front = bits.read(4, "num_front_channel_elements")?;
    let side = bits.read(4, "num_side_channel_elements")?;
    let back = bits.read(4, "num_back_channel_elements")?;
    let low_frequency = bits.read(2, "num_lfe_channel_elements")?;
    let data = bits.read(3, "num_assoc_data_elements")?;
    let coupling = bits.read(4, "num_valid_cc_elements")?;
    for (width, field) in [(4, "mono_mixdown"), (4, "stereo_mixdown"), (3, "matrix_mixdown")] {
        if bits.flag(field)? {
            bits.skip(width, field)?;
        }
    }
    let mut channels = 0;
    for _ in 0..front + side + back {
        channels += if bits.flag("element_is_cpe")? { 2 } else { 1 };
        bits.skip(4, "element_tag_select")?;
    }
    for _ in 0..low_frequency {
        channels += 1;
        bits.skip(4, "lfe_element_tag_select")?;
    }
    bits.skip((data * 4 + coupling * 5) as usize, "assoc_data_element_tag_select")?;
    bits.align();
    let comment_bytes = bits.read(8, "comment_field_bytes")?;
    bits.skip(comment_bytes as usize * 8, "comment_field_data")?;
    if channels == 0 { Err(AacError::Channels(0)) } else { Ok(channels) }
}

/// SBR told behind the core's configuration, where old decoders do not look (§1.6.5.2, "backward compatible" signalling).
/// Nothing needs to be there, so what cannot be read is nothing.
fn read_sync_extension(bits: &mut Bits<'_>, object_type: u32) -> Option<Extension> {
    if matches!(object_type, object_type::ER_LC | object_type::ER_LD) {
        // Their configuration goes on with error protection, and nobody puts SBR behind that.
        return None;
    }
    let field = "syncExtensionType";
    if bits.read(11, field).ok()? != 0x2B7 || bits.read(5, field).ok()? != object_type::SBR {
        return None;
    }
    if !bits.flag("sbrPresentFlag").ok()? {
        return None;
    }
    let sample_rate = read_sample_rate(bits).ok()?;
    let parametric_stereo =
        bits.read(11, field).is_ok_and(|sync| sync == 0x548) && bits.flag("psPresentFlag").unwrap_or(false);
    let object_type = if parametric_stereo { object_type::PS } else { object_type::SBR };
    Some(Extension { object_type, sample_rate })
}

#[cfg(test)]
mod tests;
