//! Writes what players read: an init segment and fragments of one track, as CMAF (ISO/IEC 23000-19 §7.3.2).
//!
//! Equal input gives equal bytes: there is no creation time, no bit rate and no name of a writer in them.

use bytes::Bytes;
use mp4_atom::{
    Atom, Audio, Av01, Av1c, Avc1, Avcc, Codec, Dinf, Dref, Encode, Esds, FixedPoint, FourCC, Ftyp, Hdlr,
    Header, Hvc1, Hvcc, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd,
    Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, TrunSamples, Url, Visual, Vmhd, Vp09, VpcC, esds,
};

use super::{FLAGS_DEPENDENT, FLAGS_RANDOM_ACCESS, PixelAspect, SampleEntry};
use crate::media::track::{TrackKind, VideoCodec};

/// The one track's identity.
const TRACK_ID: u32 = 1;
/// `nal_unit_type` of video, sequence and picture parameter sets (ISO/IEC 23008-2 table 7-1).
const HEVC_PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;
/// `matrixCoefficients` (ISO/IEC 23091-2 §8.3): red, green and blue as they are.
const MATRIX_RGB: u8 = 0;
/// The same, not known.
const MATRIX_UNSPECIFIED: u8 = 2;
/// `chromaSubsampling` of `vpcC`: 4:4:4.
const CHROMA_444: u8 = 3;
/// Bytes of a box header with a 32-bit size.
const HEADER_BYTES: usize = 8;
/// A language that is not known (ISO 639-2).
const UNDETERMINED: &str = "und";

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The codec configuration is none, or a field does not fit into its box.
    #[error("a box cannot be written: {0}")]
    Box(#[from] mp4_atom::Error),
    /// More bytes in a fragment than a 32-bit box size can say.
    #[error("a fragment of {0} bytes is larger than a box may be")]
    TooLarge(usize),
}

/// One access unit of a fragment. Times are in [`SampleEntry::timescale`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decode time of the next one, less that of this one.
    pub duration: u32,
    /// Presentation time less decode time; may be negative.
    pub composition_offset: i32,
    /// Whether decoding can begin here.
    pub random_access: bool,
    /// The coded bytes.
    pub data: Bytes,
}

/// `ftyp` and `moov` with one track (ISO/IEC 23000-19 §7.3.2.1). Fails when the configuration is not what its codec says.
pub fn init_segment(entry: &SampleEntry) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    let brands = [FourCC::new(b"cmfc"), FourCC::new(b"iso6")];
    Ftyp { major_brand: brands[0], minor_version: 0, compatible_brands: brands.into() }.encode(&mut out)?;
    let timescale = entry.timescale();
    let defaults = Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() };
    let movie = Moov {
        mvhd: Mvhd {
            timescale,
            rate: FixedPoint::new(1, 0),
            volume: FixedPoint::new(1, 0),
            next_track_id: TRACK_ID + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex: vec![defaults] }),
        trak: vec![track(entry, timescale)?],
        ..Moov::default()
    };
    movie.encode(&mut out)?;
    Ok(out.into())
}

fn track(entry: &SampleEntry, timescale: u32) -> Result<Trak, Error> {
    let (handler, width, height) = match *entry {
        SampleEntry::Video { width, height, pixel_aspect, .. } => {
            (b"vide", shown_width(width, pixel_aspect), height)
        }
        SampleEntry::Aac { .. } => (b"soun", 0, 0),
    };
    let volume = FixedPoint::new(u8::from(entry.kind() == TrackKind::Audio), 0);
    Ok(Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            enabled: true,
            in_movie: true,
            volume,
            width: FixedPoint::new(width, 0),
            height: FixedPoint::new(height, 0),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale, language: UNDETERMINED.to_owned(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(handler), name: String::new() },
            minf: media_information(entry)?,
        },
        ..Trak::default()
    })
}

/// The width at which pictures are shown (ISO/IEC 14496-12 §8.3.2.3); one that does not fit is left as coded.
fn shown_width(width: u16, pixel_aspect: Option<PixelAspect>) -> u16 {
    let Some(PixelAspect { horizontal, vertical }) = pixel_aspect else { return width };
    let shown = u64::from(width) * u64::from(horizontal) / u64::from(vertical.max(1));
    u16::try_from(shown).unwrap_or(width)
}

fn media_information(entry: &SampleEntry) -> Result<Minf, Error> {
    let kind = entry.kind();
    Ok(Minf {
        vmhd: (kind == TrackKind::Video).then(Vmhd::default),
        smhd: (kind == TrackKind::Audio).then(Smhd::default),
        // The media is in the same file: an empty location.
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![sample_entry(entry)?] },
            // Empty, but one of `stco` and `co64` must be there (ISO/IEC 14496-12 §8.7.5.1).
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    })
}

fn sample_entry(entry: &SampleEntry) -> Result<Codec, Error> {
    Ok(match entry {
        SampleEntry::Video { codec, width, height, pixel_aspect, configuration } => {
            let visual =
                Visual { data_reference_index: 1, width: *width, height: *height, ..Visual::default() };
            let pasp =
                pixel_aspect.map(|shape| Pasp { h_spacing: shape.horizontal, v_spacing: shape.vertical });
            video_entry(*codec, visual, pasp, configuration)?
        }
        SampleEntry::Aac { sample_rate, channels, configuration } => Codec::Mp4a(Mp4a {
            audio: Audio {
                data_reference_index: 1,
                channel_count: *channels,
                sample_size: 16,
                // 16 bits of integer: 0 says that the rate is the timescale, as FFmpeg does.
                sample_rate: FixedPoint::new(u16::try_from(*sample_rate).unwrap_or(0), 0),
            },
            esds: elementary_stream(configuration),
            btrt: None,
            taic: None,
        }),
    })
}

fn video_entry(
    codec: VideoCodec,
    visual: Visual,
    pasp: Option<Pasp>,
    mut configuration: &[u8],
) -> Result<Codec, Error> {
    let record = &mut configuration;
    Ok(match codec {
        VideoCodec::H264 => {
            Codec::Avc1(Avc1 { visual, avcc: Avcc::decode_body(record)?, pasp, ..Avc1::default() })
        }
        VideoCodec::Hevc => {
            let hvcc = out_of_band(Hvcc::decode_body(record)?);
            Codec::Hvc1(Hvc1 { visual, hvcc, pasp, ..Hvc1::default() })
        }
        VideoCodec::Av1 => {
            Codec::Av01(Av01 { visual, av1c: Av1c::decode_body(record)?, pasp, ..Av01::default() })
        }
        VideoCodec::Vp9 => {
            let vpcc = possible_colours(VpcC::decode_body(record)?);
            Codec::Vp09(Vp09 { visual, vpcc, pasp, ..Vp09::default() })
        }
    })
}

/// The record as `hvc1` must have it: all parameter sets are in it (ISO/IEC 14496-15 §8.4.1.1). Those that an encoder
/// repeats in band are the same, because a section ends where its configuration changes.
fn out_of_band(mut record: Hvcc) -> Hvcc {
    for array in &mut record.arrays {
        array.completeness |= HEVC_PARAMETER_SETS.contains(&array.nal_unit_type);
    }
    record
}

/// The record without a matrix that its chroma cannot have: "RGB" is for 4:4:4 alone, and `mp4-atom` would refuse it (*VP
/// Codec ISO Media File Format Binding*, "VP Codec Configuration Box"). FFmpeg 9.0 writes it when `colorInfo` came without
/// values, as another FFmpeg sends it. Players take the colours from VP9's own frames.
fn possible_colours(mut record: VpcC) -> VpcC {
    if record.matrix_coefficients == MATRIX_RGB && record.chroma_subsampling != CHROMA_444 {
        record.matrix_coefficients = MATRIX_UNSPECIFIED;
    }
    record
}

/// `esds` without bit rates (ISO/IEC 14496-14 §5.6, ISO/IEC 14496-1 §7.2.6).
fn elementary_stream(configuration: &Bytes) -> Esds {
    let dec_config = esds::DecoderConfig {
        object_type_indication: 0x40,
        // AudioStream.
        stream_type: 5,
        dec_specific: Some(esds::DecoderSpecific { raw: configuration.to_vec(), ..Default::default() }),
        ..Default::default()
    };
    Esds { es_desc: esds::EsDescriptor { dec_config, ..Default::default() } }
}

/// `moof` and `mdat` with these access units, in coded order (ISO/IEC 23000-19 §7.3.2.3), in one allocation of exact size.
/// `base_decode_time` is the first one's decode time; a negative one is written as FFmpeg reads it, in two's complement.
pub fn fragment(
    kind: TrackKind,
    sequence_number: u32,
    base_decode_time: i64,
    samples: &[Sample],
) -> Result<Bytes, Error> {
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    if u32::try_from(payload.saturating_add(HEADER_BYTES)).is_err() {
        return Err(Error::TooLarge(payload));
    }
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number },
        traf: vec![Traf {
            tfhd: defaults(kind, samples),
            tfdt: Some(Tfdt { base_media_decode_time: base_decode_time.cast_unsigned() }),
            trun: vec![run(kind, samples)],
            ..Traf::default()
        }],
    };
    // Encoded twice: the size must be known before the data's offset, which is a field of fixed size.
    let mut out = Vec::new();
    moof.encode(&mut out)?;
    let data_offset = out.len() + HEADER_BYTES;
    moof.traf[0].trun[0].data_offset = i32::try_from(data_offset).ok();
    let mut out = Vec::with_capacity(data_offset + payload);
    moof.encode(&mut out)?;
    Header { kind: FourCC::new(b"mdat"), size: Some(payload) }.encode(&mut out)?;
    samples.iter().for_each(|sample| out.extend_from_slice(&sample.data));
    Ok(out.into())
}

/// The value that all access units share, if they do.
fn shared<T: PartialEq>(samples: &[Sample], value: impl Fn(&Sample) -> T) -> Option<T> {
    let first = value(samples.first()?);
    samples.iter().all(|sample| value(sample) == first).then_some(first)
}

/// What most access units of a track have: none of the sounds depends on another, most pictures do.
fn usual_flags(kind: TrackKind) -> u32 {
    match kind {
        TrackKind::Video => FLAGS_DEPENDENT,
        TrackKind::Audio => FLAGS_RANDOM_ACCESS,
    }
}

fn flags(sample: &Sample) -> u32 {
    if sample.random_access { FLAGS_RANDOM_ACCESS } else { FLAGS_DEPENDENT }
}

/// `tfhd` with what all access units share, so that a fragment means the same with any init segment
/// (ISO/IEC 23000-19 §7.5.16).
fn defaults(kind: TrackKind, samples: &[Sample]) -> Tfhd {
    Tfhd {
        track_id: TRACK_ID,
        default_sample_duration: shared(samples, |sample| sample.duration),
        default_sample_flags: Some(usual_flags(kind)),
        default_base_is_moof: true,
        ..Tfhd::default()
    }
}

/// `trun`, which `mp4-atom` writes as version 1 with signed offsets. A field that `tfhd` has is left out.
fn run(kind: TrackKind, samples: &[Sample]) -> Trun {
    let duration_varies = shared(samples, |sample| sample.duration).is_none();
    let reordered = samples.iter().any(|sample| sample.composition_offset != 0);
    // Only the first one's flags can be given alone; else all are (ISO/IEC 14496-12 §8.8.8.1).
    let usual_after_first = samples.iter().skip(1).all(|sample| flags(sample) == usual_flags(kind));
    let entries = samples.iter().map(|sample| TrunEntry {
        duration: duration_varies.then_some(sample.duration),
        size: u32::try_from(sample.data.len()).ok(),
        flags: (!usual_after_first || flags(sample) != usual_flags(kind)).then(|| flags(sample)),
        cts: reordered.then(|| sample.composition_offset.into()),
    });
    Trun { data_offset: Some(0), samples: TrunSamples::Explicit(entries.collect()) }
}
