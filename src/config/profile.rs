//! `[profiles.NAME]`: a ladder under a name, and the nodes that it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::reader::{Key, Reader, Setting};
use super::rendition;
use super::units::Quantity;
use crate::base::names::Name;
use crate::base::units::Bitrate;
use crate::ffmpeg::ladder::{AudioOutput, Deinterlace, Ladder, Latency, MAX_RENDITIONS};

/// Name of the audio in URLs, which no rendition may take.
const AUDIO: &str = "audio";
/// The most tags that a profile may name; each is looked for on each node.
const MAX_TAGS: usize = 32;
/// What AAC can sensibly be told, in kilobits per second.
const AAC_KILOBITS: std::ops::RangeInclusive<u64> = 16..=512;

/// Name of the profile that a tenant has unless it says otherwise.
pub(super) fn default_name() -> Name {
    "default".parse().expect("seven letters are a name")
}

/// Two H.264 renditions, and the source's audio as it is.
fn default_ladder() -> Ladder {
    Ladder {
        renditions: rendition::default_renditions(),
        audio: AudioOutput::Copy,
        latency: Latency::default(),
        deinterlace: Deinterlace::default(),
    }
}

/// What is made of a stream, and where. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The outputs.
    pub ladder: Arc<Ladder>,
    /// The nodes that may make them.
    pub tags: Arc<ProfileTags>,
}

/// Which nodes a profile is for, by their tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileTags {
    /// A node must have all of these.
    pub require: Vec<Name>,
    /// Nodes that have all of these come first.
    pub prefer: Vec<Name>,
}

/// The profile without a word of configuration.
pub(super) fn default_profile() -> Profile {
    Profile { ladder: Arc::new(default_ladder()), tags: Arc::default() }
}

/// The profiles that there are when none is written.
pub(super) fn built_in() -> BTreeMap<Name, Profile> {
    BTreeMap::from([(default_name(), default_profile())])
}

/// All profiles: the built-in one, replaced or joined by what is written.
pub(super) fn mean(
    written: &BTreeMap<Spanned<String>, Written>,
    reader: &mut Reader,
) -> BTreeMap<Name, Profile> {
    let mut profiles = built_in();
    for (name, written) in written {
        let profile = written.mean(reader);
        profiles.extend(reader.name(name).map(|name| (name, profile)));
    }
    profiles
}

/// The section as it was written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    renditions: Option<Spanned<Vec<Spanned<rendition::Written>>>>,
    audio: Key<AudioOutput>,
    latency: Key<Latency>,
    deinterlace: Key<Deinterlace>,
    require_tags: Key<Vec<Name>>,
    prefer_tags: Key<Vec<Name>>,
}

impl Written {
    fn mean(&self, reader: &mut Reader) -> Profile {
        let default = default_ladder();
        let renditions = match &self.renditions {
            Some(written) => {
                refuse_wrong_number(written, reader);
                refuse_wrong_names(written.get_ref(), reader);
                written.get_ref().iter().filter_map(|rendition| rendition::mean(rendition, reader)).collect()
            }
            None => default.renditions,
        };
        let ladder = Ladder {
            renditions,
            audio: reader.get(&self.audio, default.audio),
            latency: reader.get(&self.latency, default.latency),
            deinterlace: reader.get(&self.deinterlace, default.deinterlace),
        };
        let tags = ProfileTags {
            require: Self::tags(&self.require_tags, reader),
            prefer: Self::tags(&self.prefer_tags, reader),
        };
        Profile { ladder: Arc::new(ladder), tags: Arc::new(tags) }
    }

    fn tags(key: &Key<Vec<Name>>, reader: &mut Reader) -> Vec<Name> {
        let tags = reader.get(key, Vec::new());
        if tags.len() > MAX_TAGS {
            reader.refuse(key.place(), format!("must be at most {MAX_TAGS} tags"));
        }
        tags
    }
}

fn refuse_wrong_number(written: &Spanned<Vec<Spanned<rendition::Written>>>, reader: &mut Reader) {
    let count = written.get_ref().len();
    if !(1..=MAX_RENDITIONS).contains(&count) {
        reader.refuse(Some(written.span()), format!("must be from 1 to {MAX_RENDITIONS} renditions"));
    }
}

/// A rendition's name is a part of its URL, beside that of the audio.
fn refuse_wrong_names(written: &[Spanned<rendition::Written>], reader: &mut Reader) {
    let mut seen = BTreeSet::new();
    for key in written.iter().map(|rendition| rendition.get_ref().name()) {
        // A name that is no name is refused with the rendition.
        let Some(name) = key.value() else { continue };
        if name.as_str() == AUDIO {
            reader.refuse(key.place(), "must be another name: that of the audio output is taken");
        } else if !seen.insert(name) {
            reader.refuse(key.place(), "must be another name: a rendition of this profile has it already");
        }
    }
}

impl Setting for AudioOutput {
    const ALLOWED: &'static str = r#""copy", or "aac:" and a bitrate from 16k to 512k, such as "aac:128k""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()?.split_once(':') {
            None => (written.as_str()? == "copy").then_some(Self::Copy),
            Some(("aac", bitrate)) => {
                let bitrate = Bitrate::read(&Value::from(bitrate))?;
                let least = Bitrate::kilobits(*AAC_KILOBITS.start());
                let most = Bitrate::kilobits(*AAC_KILOBITS.end());
                (least..=most).contains(&bitrate).then_some(Self::Aac { bitrate })
            }
            Some(_) => None,
        }
    }
}

/// The audio output as the configuration has it.
pub(crate) fn written_audio(audio: AudioOutput) -> String {
    match audio {
        AudioOutput::Copy => "copy".to_owned(),
        AudioOutput::Aac { bitrate } => format!("aac:{}", bitrate.written()),
    }
}

impl Setting for Latency {
    const ALLOWED: &'static str = r#""normal" or "low""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "normal" => Some(Self::Normal),
            "low" => Some(Self::Low),
            _ => None,
        }
    }
}

impl Setting for Deinterlace {
    const ALLOWED: &'static str = r#""off", "frame" or "field""#;

    fn read(written: &Value) -> Option<Self> {
        match written.as_str()? {
            "off" => Some(Self::Off),
            "frame" => Some(Self::Frame),
            "field" => Some(Self::Field),
            _ => None,
        }
    }
}
