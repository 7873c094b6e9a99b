//! `moov`: what the track is, and the values that fragments inherit (ISO/IEC 14496-12 §8.2 to §8.5).
//!
//! Only the path to the sample entry and `trex` is followed; `udta` and its like are not looked into, so nothing that
//! another version of FFmpeg says about itself there can end an attempt.

use bytes::Bytes;
use mp4_atom::{Audio, Decode, Esds, Mdhd, Pasp, Trex, Visual};

use super::boxes::Whole;
use super::read::Error;
use super::{BoxType, PixelAspect, SampleEntry, TrackHeader};
use crate::media::track::VideoCodec;

/// Largest `esds` body. FFmpeg's has about 50 bytes, and `mp4-atom` follows nested descriptors recursively, one level
/// for every 5 bytes: 4,000 bytes fit a stack of 2 MiB, 16,000 do not.
const MAX_ESDS_BYTES: usize = 256;
/// Bytes of `stsd` before its entries: version, flags and their number (ISO/IEC 14496-12 §8.5.2).
const STSD_FIELDS: usize = 8;
/// `objectTypeIndication` of ISO/IEC 14496-3 audio (ISO/IEC 14496-1 §7.2.6.6, Table 5).
const OBJECT_TYPE_AAC: u8 = 0x40;

/// The track's header and the values its fragments inherit.
pub(super) fn read(moov: &Whole<'_>) -> Result<(TrackHeader, Trex), Error> {
    let track = only_track(moov)?;
    let media = track.child(*b"mdia")?;
    let timescale = timescale(&media.child(*b"mdhd")?)?;
    let table = media.child(*b"minf")?.child(*b"stbl")?;
    let entry = sample_entry(&table.child(*b"stsd")?, timescale)?;
    let defaults = moov.child(*b"mvex")?.child(*b"trex")?.decode()?;
    Ok((TrackHeader { timescale, entry }, defaults))
}

/// A pipe carries one rendition or the audio, so a second track is a fault in FFmpeg's arguments.
fn only_track<'a>(moov: &Whole<'a>) -> Result<Whole<'a>, Error> {
    let track = moov.child(*b"trak")?;
    let mut count = 0;
    for child in moov.children(0) {
        count += usize::from(child?.kind == track.kind);
    }
    if count == 1 { Ok(track) } else { Err(Error::Tracks { count, offset: moov.offset }) }
}

/// Units in a second (ISO/IEC 14496-12 §8.4.2). 0 would make times meaningless.
fn timescale(mdhd: &Whole<'_>) -> Result<u32, Error> {
    match mdhd.decode::<Mdhd>()?.timescale {
        0 => Err(Error::ZeroTimescale { offset: mdhd.offset }),
        timescale => Ok(timescale),
    }
}

/// The first entry of `stsd`: FFmpeg writes one (ISO/IEC 14496-12 §8.5.2).
fn sample_entry(stsd: &Whole<'_>, timescale: u32) -> Result<SampleEntry, Error> {
    let offset = stsd.offset;
    let missing = Error::Missing { kind: BoxType(*b"avc1"), within: stsd.kind, offset };
    let entry = stsd.children(STSD_FIELDS).next().ok_or(missing)??;
    match &entry.kind.0 {
        b"avc1" => video(&entry, VideoCodec::H264, *b"avcC"),
        // FFmpeg writes `hev1` unless told otherwise: parameter sets may be in band, too, and then are the same.
        b"hvc1" | b"hev1" => video(&entry, VideoCodec::Hevc, *b"hvcC"),
        b"av01" => video(&entry, VideoCodec::Av1, *b"av1C"),
        b"vp09" => video(&entry, VideoCodec::Vp9, *b"vpcC"),
        b"mp4a" => aac(&entry, timescale),
        _ => Err(Error::UnsupportedCodec { codec: entry.kind.to_string(), offset: entry.offset }),
    }
}

/// A `VisualSampleEntry` (ISO/IEC 14496-12 §12.1.3): the record in its configuration box is kept as it is, for who parses it.
fn video(entry: &Whole<'_>, codec: VideoCodec, configuration: [u8; 4]) -> Result<SampleEntry, Error> {
    let (visual, fields) = decode_fields::<Visual>(entry)?;
    let configuration = entry.child_after(fields, configuration)?;
    let pixel_aspect = match entry.find_after(fields, *b"pasp")? {
        Some(pasp) => pixel_aspect(&pasp.decode()?),
        None => None,
    };
    Ok(SampleEntry::Video {
        codec,
        width: visual.width,
        height: visual.height,
        pixel_aspect,
        configuration: Bytes::copy_from_slice(configuration.body),
    })
}

/// FFmpeg writes 0 to 1 when it does not know.
fn pixel_aspect(pasp: &Pasp) -> Option<PixelAspect> {
    let &Pasp { h_spacing: horizontal, v_spacing: vertical } = pasp;
    (horizontal != 0 && vertical != 0).then_some(PixelAspect { horizontal, vertical })
}

/// `mp4a`: the object type says whether it is AAC; FFmpeg gives MP3 the same four characters (ISO/IEC 14496-14 §5.6).
fn aac(entry: &Whole<'_>, timescale: u32) -> Result<SampleEntry, Error> {
    let (audio, fields) = decode_fields::<Audio>(entry)?;
    let esds = entry.child_after(fields, *b"esds")?;
    if esds.body.len() > MAX_ESDS_BYTES {
        let size = esds.body.len() as u64;
        return Err(Error::TooLarge { kind: esds.kind, offset: esds.offset, size, limit: MAX_ESDS_BYTES });
    }
    let decoder = esds.decode::<Esds>()?.es_desc.dec_config;
    let object_type = decoder.object_type_indication;
    if object_type != OBJECT_TYPE_AAC {
        return Err(Error::UnsupportedCodec {
            codec: format!("mp4a.{object_type:02x}"),
            offset: entry.offset,
        });
    }
    let specific = decoder.dec_specific.ok_or_else(|| Error::Malformed {
        kind: esds.kind,
        offset: esds.offset,
        detail: "no AudioSpecificConfig".to_owned(),
    })?;
    // The field has 16 bits of integer: FFmpeg writes 0 from 65536 Hz on, and the rate is the timescale.
    let sample_rate = match audio.sample_rate.integer() {
        0 => timescale,
        rate => u32::from(rate),
    };
    Ok(SampleEntry::Aac { sample_rate, channels: audio.channel_count, configuration: specific.raw.into() })
}

/// The fields at the front of a sample entry, and how many bytes they take; boxes follow.
fn decode_fields<T: Decode>(entry: &Whole<'_>) -> Result<(T, usize), Error> {
    let mut rest = entry.body;
    let fields = T::decode(&mut rest).map_err(|error| entry.malformed(&error))?;
    Ok((fields, entry.body.len() - rest.len()))
}
