//! Makes sources whose frames carry their number (`fixtures/README.md`), of any rate, GOP and codec, with sound that is like
//! itself nowhere: noise below 3 kHz, so that no two access units are equal, and any piece of it has one place only.

use std::path::{Path, PathBuf};

use super::ffmpeg::{Ffmpeg, run_ok_with, text};

/// x264 for sources: cheap, and key frames only where `-g` puts them.
pub const H264: &str = "-c:v libx264 -preset ultrafast -sc_threshold 0 -threads 1";
/// AAC that keeps the noise: without noise substitution, which would put other noise in its place.
pub const AAC: &str = "-c:a aac -b:a 64k -aac_pns 0";
/// Sound begins this much after the first frame is decoded, so that it never begins before the picture.
const SOUND_LATE: &str = "0.2";

/// A source to be made.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// Frames per second, as FFmpeg writes it: `25` or `30000/1001`.
    pub rate: &'static str,
    /// How long.
    pub seconds: u32,
    /// The number on its first frame. Sound with another one is other noise.
    pub first: u32,
    /// Filters for the picture of 320x180, each with a comma before it.
    pub picture: &'static str,
    /// Options of the video encoder, `-g` included.
    pub video: String,
    /// Filters for the sound, mono at 48 kHz, each with a comma before it; `None` for no sound.
    pub sound: Option<&'static str>,
    /// Options of the audio encoder.
    pub audio: &'static str,
    /// Whether there are pictures.
    pub pictures: bool,
}

impl Numbered {
    /// 6 s of stereo and two B-frames, a GOP of 1 s at 30 a second.
    pub fn new(rate: &'static str) -> Self {
        Self {
            rate,
            seconds: 6,
            first: 0,
            picture: "",
            video: format!("{H264} -bf 2 -g 30"),
            sound: Some(",aformat=channel_layouts=stereo"),
            audio: AAC,
            pictures: true,
        }
    }

    /// Makes `folder/name`, whose ending is the container.
    pub fn make(&self, folder: &Path, name: &str) -> PathBuf {
        self.make_with(Ffmpeg::Debian, folder, name)
    }

    /// The same by one of the FFmpegs.
    pub fn make_with(&self, ffmpeg: Ffmpeg, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let mut graph = Vec::new();
        let mut arguments = vec!["-loglevel error -y -filter_complex", ""];
        if self.pictures {
            graph.push(self.pictures());
            arguments.extend(["-map", "[v]", "-fps_mode passthrough", &self.video]);
        }
        if let Some(filters) = self.sound {
            let seconds = self.seconds;
            graph.push(format!(
                "anoisesrc=seed={}:sample_rate=48000:duration={seconds},lowpass=f=3000,lowpass=f=3000{filters},\
                asetpts=PTS+{SOUND_LATE}/TB[a]",
                self.first + 7
            ));
            arguments.extend(["-map", "[a]", self.audio]);
        }
        let graph = graph.join(";");
        arguments[1] = &graph;
        arguments.push(text(&path));
        run_ok_with(ffmpeg, &arguments);
        path
    }

    /// Ten bits of the number, the highest on the left, and below them the same bits inverted.
    fn pictures(&self) -> String {
        let (rate, seconds, first, filters) = (self.rate, self.seconds, self.first, self.picture);
        let bits = format!("255*eq(mod(floor((N+{first})/pow(2,9-X)),2),1-Y)");
        format!(
            "testsrc2=size=320x140:rate={rate}:duration={seconds}[p];\
            nullsrc=size=10x2:rate={rate}:duration={seconds},format=gray,geq=lum='{bits}',\
            scale=320:40:flags=neighbor[n];[p][n]vstack,format=yuv420p{filters}[v]"
        )
    }
}
