//! Configurations of real encoders, and ones built bit by bit.

use super::*;
use crate::media::bits::packed as bits;
use proptest::prelude::*;

/// Expects rate, channels, samples in an access unit and the last number of the codecs string.
#[track_caller]
fn check(config: &[u8], expected: (u32, u16, u32, u32)) {
    let (sample_rate, channels, samples_per_access_unit, object_type) = expected;
    let expected = AudioConfiguration {
        codec: AudioCodec::Aac,
        codecs: format!("mp4a.40.{object_type}"),
        sample_rate,
        channels,
        samples_per_access_unit,
    };
    assert_eq!(read_configuration(config), Ok(expected));
}

#[test]
fn aac_lc_as_ffmpeg_makes_it() {
    // ffmpeg 5.1 -f lavfi -i sine=r=R -t 0.2 -ac C -c:a aac a.flv: the AAC sequence header. Behind the two bytes that say
    // it all comes a sync extension that says "no SBR".
    check(&[0x11, 0x90, 0x56, 0xE5, 0x00], (48_000, 2, 1024, 2));
    check(&[0x12, 0x08, 0x56, 0xE5, 0x00], (44_100, 1, 1024, 2));
    check(&[0x13, 0xB0, 0x56, 0xE5, 0x00], (22_050, 6, 1024, 2));
    check(&[0x11, 0xB8, 0x56, 0xE5, 0x00], (48_000, 8, 1024, 2));
    check(&[0x11, 0x90], (48_000, 2, 1024, 2));
}

#[test]
fn channels_of_a_program_config_element_are_counted() {
    // ffmpeg 5.1 -f lavfi -i anullsrc=r=48000:cl=L -t 0.1 -c:a aac c.flv with L = 5.1(side), 2.1 and quad
    let six = b"\x11\x80\x04\xc8\x44\x00\x20\x00\xc4\x0d\x4c\x61\x76\x63\x35\x39\x2e\x33\x37\x2e\x31\x30\x30\x56\xe5\x00";
    check(six, (48_000, 6, 1024, 2));
    check(b"\x11\x80\x04\xc4\x01\x00\x20\x00\x0dLavc59.37.100\x56\xe5\x00", (48_000, 3, 1024, 2));
    check(b"\x11\x80\x04\xc4\x04\x00\x21\x10\x0dLavc59.37.100\x56\xe5\x00", (48_000, 4, 1024, 2));
}

#[test]
fn a_sync_extension_is_found_behind_a_program_config_element() {
    // The 2.1 of above, with sbrPresentFlag and 96 kHz.
    check(b"\x11\x80\x04\xc4\x01\x00\x20\x00\x0dLavc59.37.100\x56\xe5\x80", (96_000, 3, 2048, 5));
}

#[test]
fn he_aac_is_what_is_heard() {
    // Object type 5 over LC, 22.05 to 44.1 kHz, and 29 over a mono LC: as Apple's and Fraunhofer's encoders write them.
    check(&[0x2B, 0x92, 0x08, 0x00], (44_100, 2, 2048, 5));
    check(&[0xEB, 0x8A, 0x08, 0x00], (44_100, 2, 2048, 29));
    // The same told behind an LC configuration of 24 kHz: SBR to 48 kHz, then parametric stereo.
    check(&bits("00010 0110 0010 000  01010110111 00101 1 0011"), (48_000, 2, 2048, 5));
    check(&bits("00010 0110 0001 000  01010110111 00101 1 0011 10101001000 1"), (48_000, 2, 2048, 29));
    check(&bits("00010 0110 0001 000  01010110111 00101 1 0011 10101001000 0"), (48_000, 1, 2048, 5));
    // "Downsampled" SBR: the rate stays, and so do the samples.
    check(&bits("00101 0011 0010 0011 00010 000"), (48_000, 2, 1024, 5));
}

#[test]
fn a_sync_extension_that_is_cut_is_none() {
    let whole = bits("00010 0110 0010 000  01010110111 00101 1 0011");
    for length in 2..whole.len() {
        check(&whole[..length], (24_000, 2, 1024, 2));
    }
}

#[test]
fn frames_of_other_lengths() {
    check(&bits("00010 0011 0010 100"), (48_000, 2, 960, 2));
    check(&bits("00010 0011 0010 010 00000000000000"), (48_000, 2, 1024, 2));
    check(&bits("10111 0011 0001 000"), (48_000, 1, 512, 23));
    check(&bits("10111 0011 0001 100"), (48_000, 1, 480, 23));
    check(&bits("10001 0011 0001 000"), (48_000, 1, 1024, 17));
}

#[test]
fn a_rate_beside_the_table() {
    let config = |rate: u32| bits(&format!("00010 1111 {rate:024b} 0010 000"));
    check(&config(50_000), (50_000, 2, 1024, 2));
    for rate in [0, 192_001, 0xFF_FFFF] {
        assert_eq!(read_configuration(&config(rate)), Err(AacError::SampleRate { rate, offset: 4 }));
    }
}

#[test]
fn what_is_reserved_or_not_aac_is_refused() {
    let refused = |text: &str| read_configuration(&bits(text)).unwrap_err();
    // xHE-AAC, 42 by the escape, and ER AAC ELD, 39.
    let unsupported = |object_type| AacError::ObjectType { object_type, offset: 2 };
    assert_eq!(refused("11111 001010 0011 0010 000"), unsupported(42));
    assert_eq!(refused("11111 000111 0011 0010 000"), unsupported(39));
    assert_eq!(refused("00010 1101 0010 000"), AacError::FrequencyIndex { index: 13, offset: 1 });
    assert_eq!(refused("00010 0011 1001 000"), AacError::Channels(9));
    let no_channels = "00010 0011 0000 000  0000 01 0011 0000 0000 0000 00 000 0000 0 0 0 00000 00000000";
    assert_eq!(refused(no_channels), AacError::Channels(0));
}

#[test]
fn a_cut_configuration_says_where() {
    let truncated = |offset, field| Err(AacError::Truncated(Cut { offset, field }));
    assert_eq!(read_configuration(&[]), truncated(0, "audioObjectType"));
    assert_eq!(read_configuration(&[0x11]), truncated(0, "samplingFrequencyIndex"));
    assert_eq!(read_configuration(&[0x2B, 0x92]), truncated(1, "samplingFrequencyIndex"));
    let message = read_configuration(&[0x11]).unwrap_err().to_string();
    assert_eq!(message, "the AudioSpecificConfig ends inside samplingFrequencyIndex, which begins at byte 0");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(config in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_configuration(&config);
    }

    #[test]
    fn any_program_config_never_panics(config in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_configuration(&[&[0x11, 0x80][..], &config].concat());
    }

    #[test]
    fn every_field_comes_back(
        object_type in prop::sample::select(vec![1u32, 2, 3, 4]),
        index in 0usize..13,
        channels in 1u16..7,
        short: bool,
    ) {
        let text = format!("{object_type:05b} {index:04b} {channels:04b} {}00", u8::from(short));
        let samples = if short { 960 } else { 1024 };
        check(&bits(&text), (SAMPLE_RATES[index], channels, samples, object_type));
    }
}
