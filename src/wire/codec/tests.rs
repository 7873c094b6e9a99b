use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::names::{Name, StreamName};
use crate::base::reason::Reason;
use crate::base::units::Bitrate;
use crate::ffmpeg::attempt::{AudioStart, SourceSamples};
use crate::ffmpeg::capability::Carriage;
use crate::ffmpeg::frame_rate::FrameRate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, Output, Rendition, VideoOutput};
use crate::media::track::{AudioCodec, AudioConfiguration, VideoCodec, VideoConfiguration};
use crate::wire::cost::{Cost, GpuResources};
use crate::wire::message::{AttemptEnd, AttemptSpec, LeaseId, LeaseSpec, OutputConfiguration, Progress};
use crate::wire::report::{
    Capabilities, Capacity, EncoderOn, Gpu, GpuLoad, Heartbeat, LeaseLoad, Load, NodeHello, UnusableEncoder,
};

/// Encodes `messages` one after the other and decodes them from pieces of `split` bytes.
fn through_the_wire<M: Message>(messages: &[M], split: usize) -> Vec<M> {
    let mut stream = Vec::new();
    for message in messages {
        let frame = message.encode().unwrap();
        stream.extend(frame.pieces().concat());
    }
    let (mut buffer, mut decoded) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(split.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(message) = decode::<M>(&mut buffer).unwrap() {
            decoded.push(message);
        }
    }
    assert!(buffer.is_empty(), "{} bytes left over", buffer.len());
    decoded
}

/// Decodes until there is nothing more; each message takes at least its head off the buffer, so this ends.
fn drain<M: Message>(mut buffer: BytesMut) {
    let mut before = buffer.len();
    while let Ok(Some(_)) = decode::<M>(&mut buffer) {
        assert!(buffer.len() < before);
        before = buffer.len();
    }
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,20}".prop_map(|text| text.parse().unwrap())
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL)
}

fn ticks() -> impl Strategy<Value = Ticks> {
    any::<i64>().prop_map(Ticks)
}

fn data(at_most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..at_most).prop_map(Bytes::from)
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![any::<u8>().prop_map(Output::Rendition), Just(Output::Audio)]
}

fn node_message() -> impl Strategy<Value = NodeMessage> {
    let hello = (name(), prop::collection::vec(name(), 0..4), ".*", any::<u32>(), any::<u64>()).prop_map(
        |(name, tags, text, cores, memory)| {
            NodeMessage::Hello(Box::new(NodeHello {
                name,
                tags,
                class: text.clone(),
                cost_per_hour: (cores > 9).then_some(0.25),
                watts: (cores > 7).then(|| f64::from(cores)),
                capacity: Capacity {
                    cores,
                    memory,
                    slots: cores,
                    network_bps: (cores > 5).then_some(memory),
                },
                capabilities: capabilities(text, cores, memory),
            }))
        },
    );
    let heartbeat = (0u32..=100, any::<u64>(), prop::collection::vec(any::<u64>(), 0..8)).prop_map(
        |(percent, memory, leases)| {
            let cpu = f64::from(percent) / 100.0;
            let gpu = GpuLoad { name: "GPU".into(), power_w: Some(cpu), ..GpuLoad::default() };
            let load = Load { cpu, memory, disk_latency_ms: cpu, gpus: vec![gpu], ..Load::default() };
            let lease = |lease| LeaseLoad {
                lease: LeaseId(lease),
                cpu: (lease > 1).then_some(cpu),
                memory,
                speed: Some(1.0),
                lag_ms: Some(lease),
            };
            NodeMessage::Heartbeat(Heartbeat { load, leases: leases.into_iter().map(lease).collect() })
        },
    );
    let proved = (".*", any::<u32>(), any::<u64>())
        .prop_map(|(text, gpu, memory)| NodeMessage::Capabilities(Box::new(capabilities(text, gpu, memory))));
    let refused = (any::<u64>(), reason(), ".*").prop_map(|(lease, reason, detail)| {
        NodeMessage::LeaseRefused { lease: LeaseId(lease), reason, detail }
    });
    prop_oneof![hello, heartbeat, proved, refused, Just(NodeMessage::Leaving)]
}

fn capabilities(text: String, gpu: u32, memory: u64) -> Capabilities {
    let on = EncoderOn { encoder: text.clone(), gpu: (gpu > 3).then_some(gpu) };
    Capabilities {
        ffmpeg_version: text.clone(),
        encoders: vec![on.clone()],
        unusable: vec![UnusableEncoder { on, detail: text.clone() }],
        reads: Carriage::ALL.iter().copied().take(gpu as usize % 11).collect(),
        decodes: vec![Carriage::H264],
        gpus: vec![Gpu { index: gpu, name: text, memory, sessions: (gpu > 4).then_some(gpu) }],
    }
}

fn video_output() -> impl Strategy<Value = VideoOutput> {
    prop_oneof![
        Just(VideoOutput::Copy),
        (prop::collection::vec(".*", 1..3), ".*")
            .prop_map(|(encoders, preset)| VideoOutput::H264 { encoders, preset }),
    ]
}

fn attempt() -> impl Strategy<Value = AttemptSpec> {
    let rendition =
        (name(), any::<u32>(), any::<u64>(), video_output()).prop_map(|(name, height, bitrate, video)| {
            let fps = FrameRate::new(height, 1001);
            Rendition { name, height, video_bitrate: Bitrate(bitrate), fps, threads: Some(height), video }
        });
    let audio = prop_oneof![
        Just(AudioOutput::Copy),
        any::<u64>().prop_map(|bitrate| AudioOutput::Aac { bitrate: Bitrate(bitrate) }),
    ];
    let latency = prop_oneof![Just(Latency::Normal), Just(Latency::Low)];
    let deinterlace = prop_oneof![Just(Deinterlace::Off), Just(Deinterlace::Frame), Just(Deinterlace::Field)];
    let ladder = (prop::collection::vec(rendition, 0..4), audio, latency, deinterlace).prop_map(
        |(renditions, audio, latency, deinterlace)| Ladder { renditions, audio, latency, deinterlace },
    );
    (any::<u32>(), ladder, any::<bool>(), any::<bool>(), ticks()).prop_map(
        |(number, ladder, has_video, has_audio, base)| AttemptSpec {
            number,
            ladder,
            has_video,
            has_audio,
            base,
            frame_rate: FrameRate::new(number, 1000),
            max_gop: Duration::from_millis(number.into()),
            audio_start: AudioStart {
                first_sample: base.0,
                source: has_audio.then_some(SourceSamples {
                    rate: number,
                    first: base.0,
                    access_unit: number,
                }),
            },
        },
    )
}

fn proxy_message() -> impl Strategy<Value = ProxyMessage> {
    let lease =
        (any::<u64>(), "[0-9a-f]{32}", name(), attempt()).prop_map(|(lease, secret, name, attempt)| {
            let stream = StreamName { tenant: name.clone(), name };
            let on = EncoderOn { encoder: "h264_nvenc".into(), gpu: Some(1) };
            let cost = Cost { gpus: vec![(1, GpuResources::default())], ..Cost::default() };
            let (lease, encoders) = (LeaseId(lease), vec![None, Some(on)]);
            ProxyMessage::Lease(Box::new(LeaseSpec { lease, secret, stream, attempt, encoders, cost }))
        });
    prop_oneof![
        (".*", any::<u64>(), 0u32..100).prop_map(|(proxy, heartbeat_ms, headroom)| {
            ProxyMessage::Welcome { proxy, heartbeat_ms, headroom: f64::from(headroom) }
        }),
        (reason(), ".*").prop_map(|(reason, detail)| ProxyMessage::Refused { reason, detail }),
        lease,
        Just(ProxyMessage::Prove),
        (any::<u64>(), reason())
            .prop_map(|(lease, reason)| ProxyMessage::Cancel { lease: LeaseId(lease), reason }),
    ]
}

fn lease_input() -> impl Strategy<Value = LeaseInput> {
    prop_oneof![data(10_000).prop_map(|data| LeaseInput::Media(data.into())), Just(LeaseInput::EndOfInput)]
}

fn init() -> impl Strategy<Value = OutputInit> {
    let video = (".*", any::<u32>(), prop::option::of(1u32..1000)).prop_map(|(codecs, width, rate)| {
        OutputConfiguration::Video(VideoConfiguration {
            codec: VideoCodec::H264,
            codecs,
            width,
            height: width,
            frame_rate: rate.map(f64::from),
            nal_length_bytes: 4,
        })
    });
    let audio = (".*", any::<u32>(), any::<u16>()).prop_map(|(codecs, sample_rate, channels)| {
        OutputConfiguration::Audio(AudioConfiguration {
            codec: AudioCodec::Aac,
            codecs,
            sample_rate,
            channels,
            samples_per_access_unit: 1024,
        })
    });
    (output(), prop_oneof![video, audio], data(2_000))
        .prop_map(|(output, configuration, segment)| OutputInit { output, configuration, segment })
}

fn lease_output() -> impl Strategy<Value = LeaseOutput> {
    let fragment = (any::<u8>(), ticks(), prop::option::of(ticks()), ticks(), any::<u32>(), data(10_000))
        .prop_map(|(rendition, position, end, other, access_units, data)| {
            LeaseOutput::Fragment(Fragment {
                rendition,
                position,
                end,
                first_presentation: position,
                last_presentation: other,
                access_units,
                data,
            })
        });
    prop_oneof![
        init().prop_map(LeaseOutput::Init),
        fragment,
        (ticks(), data(2_000)).prop_map(|(presentation_time, data)| {
            LeaseOutput::AudioUnit(AudioUnit { presentation_time, data })
        }),
        (output(), ticks())
            .prop_map(|(output, position)| LeaseOutput::Progress(Progress { output, position })),
        (reason(), ".*").prop_map(|(reason, detail)| LeaseOutput::Ended(AttemptEnd { reason, detail })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn node_messages_survive_any_split(messages in prop::collection::vec(node_message(), 0..5), split in 1usize..500) {
        prop_assert_eq!(through_the_wire(&messages, split), messages);
    }

    #[test]
    fn proxy_messages_survive_any_split(messages in prop::collection::vec(proxy_message(), 0..5), split in 1usize..500) {
        prop_assert_eq!(through_the_wire(&messages, split), messages);
    }

    #[test]
    fn lease_input_survives_any_split(messages in prop::collection::vec(lease_input(), 0..5), split in 1usize..9_000) {
        prop_assert_eq!(through_the_wire(&messages, split), messages);
    }

    #[test]
    fn lease_output_survives_any_split(messages in prop::collection::vec(lease_output(), 0..5), split in 1usize..9_000) {
        prop_assert_eq!(through_the_wire(&messages, split), messages);
    }

    #[test]
    fn hostile_bytes_are_an_error_or_need_more(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..40, length in 0u32..300) {
        let mut framed = BytesMut::new();
        framed.put_u32(length);
        framed.put_u8(kind);
        framed.put_slice(&bytes);
        for bytes in [framed, BytesMut::from(&bytes[..])] {
            drain::<LeaseOutput>(bytes.clone());
            drain::<LeaseInput>(bytes.clone());
            drain::<NodeMessage>(bytes.clone());
            drain::<ProxyMessage>(bytes);
        }
    }
}

fn check_error<M: Message>(bytes: &[u8], expected: &str) {
    let error = decode::<M>(&mut BytesMut::from(bytes)).err().unwrap();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_lying_length_is_refused_before_its_body_comes() {
    check_error::<NodeMessage>(&[0, 0, 0, 0, kind::NODE], "without a kind");
    check_error::<NodeMessage>(&[0, 4, 0, 2, kind::NODE], "262145 bytes");
    check_error::<NodeMessage>(&[0, 0, 0, 9, kind::PROXY], "kind 2 does not belong here");
    check_error::<LeaseInput>(&[0xff, 0xff, 0xff, 0xff, kind::MEDIA], "at most 16777280");
    check_error::<LeaseInput>(&[0, 0, 0, 2, kind::END_OF_INPUT], "at most 0");
    check_error::<LeaseOutput>(&[0xff, 0xff, 0xff, 0xff, kind::FRAGMENT], "at most 34603008");
    check_error::<LeaseOutput>(&[0, 0, 0, 2, kind::MEDIA], "does not belong here");
}

#[test]
fn a_body_must_be_one_of_its_kind() {
    check_error::<LeaseOutput>(&[0, 0, 0, 3, kind::AUDIO_UNIT, 1, 2], "its header needs 8");
    check_error::<LeaseOutput>(&[0, 0, 0, 2, kind::FRAGMENT, 1], "its header needs 38");
    check_error::<LeaseOutput>(&[0, 0, 0, 2, kind::INIT, 1], "its header needs 4");
    check_error::<LeaseOutput>(
        &[0, 0, 0, 5, kind::INIT, 0xff, 0xff, 0xff, 0xff],
        "its header needs 4294967299",
    );
    check_error::<NodeMessage>(&[0, 0, 0, 3, kind::NODE, b'{', b'}'], "missing field `type`");
    let mut fragment = vec![0, 0, 0, 39, kind::FRAGMENT, 0, 0x82];
    fragment.resize(4 + 39, 0);
    check_error::<LeaseOutput>(&fragment, "unknown flags 0x82");
}

#[test]
fn a_message_that_the_other_side_would_refuse_is_not_sent() {
    let data = Bytes::from(vec![0; MAX_AUDIO_UNIT_BYTES]);
    let unit = LeaseOutput::AudioUnit(AudioUnit { presentation_time: Ticks::ZERO, data });
    assert!(matches!(unit.encode(), Err(WireError::TooLong { bytes: 65_544, limit: 65_536, .. })));
}

#[test]
fn media_is_neither_copied_into_a_frame_nor_out_of_it() {
    let media = Bytes::from(vec![7; 100_000]);
    let frame = LeaseInput::Media(media.clone().into()).encode().unwrap();
    assert_eq!((frame.head.len(), frame.body.as_ptr()), (HEAD_BYTES, media.as_ptr()));
    let mut buffer = BytesMut::new();
    buffer.extend_from_slice(&frame.head);
    buffer.extend_from_slice(&frame.body);
    let expected = buffer[HEAD_BYTES..].as_ptr();
    let Some(LeaseInput::Media(body)) = decode(&mut buffer).unwrap() else { panic!("no media") };
    assert_eq!(body.into_bytes().as_ptr(), expected);
}

#[test]
fn a_tag_is_one_frame_around_its_payload() {
    let payload = Bytes::from(vec![7; 1_000]);
    let tag = Media::tag(flv::TagKind::Audio, 40, payload.clone()).unwrap();
    let frame = LeaseInput::Media(tag.clone()).encode().unwrap();
    let [head, body, tail] = frame.pieces();
    assert_eq!(
        (head.len(), body.as_ptr(), tail),
        (HEAD_BYTES + 11, payload.as_ptr(), &[0, 0, 0x03, 0xf3][..])
    );
    assert_eq!(frame.len(), HEAD_BYTES + tag.len());
    let expected = LeaseInput::Media(tag.clone().into_bytes().into());
    assert_eq!(through_the_wire(&[LeaseInput::Media(tag)], 100), [expected]);
}
