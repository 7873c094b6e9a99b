//! A prover with FFmpegs that do what the test tells them.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::ffmpeg::encoder::Reordering;
use crate::wire::report::UnusableEncoder;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An FFmpeg whose arguments go through a shell script first.
struct Wrapped {
    folder: TempDir,
}

impl Wrapped {
    /// A script that ends with the FFmpeg at hand, unless `script` ends before.
    fn new(script: &str) -> Self {
        let wrapped = Self { folder: tempfile::tempdir().unwrap() };
        let text =
            format!("#!/bin/bash\ncd {}\n{script}\nexec ffmpeg \"$@\"\n", wrapped.folder.path().display());
        std::fs::write(wrapped.path(), text).unwrap();
        std::fs::set_permissions(wrapped.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        wrapped
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ffmpeg")
    }

    /// What the script can look for.
    fn mark(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    fn unmark(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }
}

/// A script that changes each argument with `sed`.
fn changed(sed: &str) -> Wrapped {
    Wrapped::new(&format!(
        "args=(); for word in \"$@\"; do args+=(\"$(printf %s \"$word\" | sed -E '{sed}')\"); done; set -- \"${{args[@]}}\""
    ))
}

struct Bench {
    ability: Ability,
    gpus: watch::Sender<Vec<Gpu>>,
    stop: CancellationToken,
}

async fn bench(ffmpeg: &Path) -> Bench {
    let (gpus, receiver) = watch::channel(Vec::new());
    let (stop, means) =
        (CancellationToken::new(), Means { ffmpeg: ffmpeg.to_owned(), cores: 2, gpus: receiver });
    let ability = probe(means, &Tasks::new(), stop.clone()).await.unwrap();
    Bench { ability, gpus, stop }
}

impl Bench {
    fn encoders(&self) -> Vec<EncoderOn> {
        self.ability.current().capabilities.encoders.clone()
    }

    /// Why an encoder does not work.
    fn why(&self, encoder: &str) -> String {
        let proved = self.ability.current();
        let found = proved.capabilities.unusable.iter().find(|unusable| unusable.on.encoder == encoder);
        found.map(|UnusableEncoder { detail, .. }| detail.clone()).unwrap_or_default()
    }

    /// Waits until what was proved last is so.
    async fn until(&self, condition: impl Fn(&Capabilities) -> bool) {
        let mut changes = self.ability.proved.clone();
        let waiting = changes.wait_for(|proved| condition(&proved.capabilities));
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("it runs");
    }
}

#[tokio::test]
async fn the_ffmpeg_at_hand_encodes_h264() {
    let bench = bench(Path::new("ffmpeg")).await;
    assert_eq!(bench.encoders(), [EncoderOn::cpu("libx264")]);
    let capabilities = &bench.ability.current().capabilities;
    for carriage in [Carriage::H264, Carriage::Aac, Carriage::Mp3] {
        assert!(capabilities.reads.contains(&carriage) && capabilities.decodes.contains(&carriage));
    }
    assert!(capabilities.decodes.contains(&Carriage::Hevc));
    bench.stop.cancel();
}

#[tokio::test]
async fn a_missing_ffmpeg_and_another_program_are_refused_clearly() {
    let check = async |ffmpeg: &str| {
        let (_, gpus) = watch::channel(Vec::new());
        let means = Means { ffmpeg: ffmpeg.into(), cores: 2, gpus };
        format!("{:#}", probe(means, &Tasks::new(), CancellationToken::new()).await.unwrap_err())
    };
    let missing = check("/nonexistent/ffmpeg").await;
    assert!(missing.starts_with("FFmpeg (/nonexistent/ffmpeg) cannot be started: "), "{missing}");
    let other = check("echo").await;
    assert_eq!(other, "FFmpeg (echo) cannot be used: it does not say its version as FFmpeg does");
}

#[tokio::test]
async fn flags_that_break_the_pictures_are_found_out() {
    let check = async |sed: &str, expected: &str| {
        let ffmpeg = changed(sed);
        let bench = bench(&ffmpeg.path()).await;
        assert_eq!((bench.encoders(), bench.why("libx264")), (Vec::new(), expected.to_owned()), "{sed}");
    };
    // Scene cuts begin GOPs.
    check("s/^-sc_threshold$/-qcomp/", "picture 45 begins a GOP that nobody asked for").await;
    // A GOP of the encoder's own.
    check("s/^40$/20/", "picture 20 begins a GOP that nobody asked for").await;
    // Nothing is forced.
    check("s/^source$/expr:0/", "picture 30 is no IDR picture, although it was asked for").await;
    // Pictures are left out, or put on a grid.
    check("s/^(scale=.*)$/fps=20,\\1/", "72 pictures come out of 90").await;
}

#[tokio::test]
async fn an_encoder_that_is_wrong_with_b_frames_alone_goes_without() {
    // With open GOPs and B-frames, x264 makes a recovery point of a key frame that is not forced to be an IDR picture.
    let script = "args=(); for word in \"$@\"; do case $word in \
        -forced-idr) args+=(-x264-params);; \
        1) [ \"${args[-1]}\" = -x264-params ] && args+=(open-gop=1) || args+=(1);; \
        *) args+=(\"$word\");; esac; done; set -- \"${args[@]}\"";
    let ffmpeg = Wrapped::new(script);
    let bench = bench(&ffmpeg.path()).await;
    let usable: Vec<Usable> = bench.ability.current().usable.values().cloned().collect();
    let expected = Usable { reordering: Reordering::None, ..Usable::software(Encoder::Libx264) };
    assert_eq!(usable, [expected], "{}", bench.why("libx264"));
}

#[tokio::test]
async fn an_encoder_that_is_listed_and_fails_is_shown_with_its_words() {
    let list = "case \" $* \" in *-encoders*) printf ' V....D h264_qsv   x\\n V....D libopenh264   x\\n V....D h264_nvenc   x\\n'; exit;; esac";
    let ffmpeg = Wrapped::new(list);
    let bench = bench(&ffmpeg.path()).await;
    assert_eq!(bench.encoders(), []);
    assert_eq!(bench.why("h264_qsv"), "there is no /dev/dri/renderD* here");
    assert!(
        bench.why("libopenh264").contains("Unrecognized option 'allow_skip_frames'"),
        "{}",
        bench.why("libopenh264")
    );
    assert!(bench.why("h264_nvenc").contains("Cannot load libcuda"), "{}", bench.why("h264_nvenc"));
}

#[tokio::test]
async fn an_encoder_that_ends_failing_is_found_again() {
    let ffmpeg = Wrapped::new(
        "[ -e broken ] && case $* in *pipe:0*) echo '[error] the GPU fell off' >&2; exit 1;; esac",
    );
    let bench = bench(&ffmpeg.path()).await;
    ffmpeg.mark("broken");
    bench.ability.prove();
    bench.until(|capabilities| capabilities.encoders.is_empty()).await;
    assert_eq!(bench.why("libx264"), "exit code 1; the GPU fell off");
    ffmpeg.unmark("broken");
    bench.ability.prove();
    bench.until(|capabilities| capabilities.encoders == [EncoderOn::cpu("libx264")]).await;
}

#[tokio::test]
async fn who_asks_is_answered_even_if_nothing_has_changed() {
    let bench = bench(Path::new("ffmpeg")).await;
    let mut changes = bench.ability.changes();
    let before = bench.ability.current();
    bench.ability.prove();
    tokio::time::timeout(PATIENCE, changes.changed()).await.expect("in time").expect("it runs");
    assert_eq!(bench.ability.current().capabilities, before.capabilities);
}

#[tokio::test]
async fn a_failure_that_may_be_the_stream_s_takes_nothing_off() {
    let bench = bench(Path::new("ffmpeg")).await;
    let on = EncoderOn::cpu("libx264");
    let mut changes = bench.ability.changes();
    let failure = |fault| Failure { on: on.clone(), detail: "odd".to_owned(), fault };
    bench.ability.failed(failure(EncoderFault::Perhaps));
    bench.ability.prove();
    tokio::time::timeout(PATIENCE, changes.changed()).await.expect("in time").expect("it runs");
    assert_eq!(bench.encoders(), std::slice::from_ref(&on));
    bench.ability.failed(failure(EncoderFault::Own));
    bench.until(|capabilities| capabilities.encoders.is_empty()).await;
    assert_eq!(bench.why("libx264"), "odd");
    bench.until(|capabilities| capabilities.encoders == [EncoderOn::cpu("libx264")]).await;
}

#[tokio::test]
async fn other_gpus_are_looked_at_as_they_come_and_go() {
    let list =
        "case \" $* \" in *-encoders*) printf ' V....D libx264   x\\n V....D h264_nvenc   x\\n'; exit;; esac";
    let ffmpeg = Wrapped::new(list);
    let bench = bench(&ffmpeg.path()).await;
    let gpu = Gpu { index: 2, name: "T4".to_owned(), memory: 16 << 30, sessions: None };
    bench.gpus.send_replace(vec![gpu.clone()]);
    let on = EncoderOn { encoder: "h264_nvenc".to_owned(), gpu: Some(2) };
    bench
        .until(|capabilities| {
            let tried =
                |unusable: &UnusableEncoder| unusable.on == on && unusable.detail.contains("Cannot load");
            capabilities.gpus == [gpu.clone()] && capabilities.unusable.iter().any(tried)
        })
        .await;
    bench.gpus.send_replace(Vec::new());
    bench
        .until(|capabilities| {
            capabilities.gpus.is_empty() && capabilities.unusable.iter().all(|it| it.on.gpu.is_none())
        })
        .await;
}

#[tokio::test]
async fn a_lease_gets_the_encoders_that_it_names() {
    let bench = bench(Path::new("ffmpeg")).await;
    let proved = bench.ability.current();
    let attempt = crate::ffmpeg::proof::attempt(Encoder::Libx264, crate::ffmpeg::ladder::Latency::Low);
    let check = |wanted: &[Option<EncoderOn>], expected: Result<&[Option<Usable>], &str>| {
        let equipped = proved.equip(&attempt, wanted);
        let found = equipped.as_ref().map(|equipment| equipment.encoders.as_slice());
        assert_eq!(found.map_err(ToString::to_string), expected.map_err(str::to_owned));
    };
    let x264 = [Some(Usable::software(Encoder::Libx264))];
    check(&[], Ok(&x264));
    check(&[Some(EncoderOn::cpu("libx264"))], Ok(&x264));
    check(&[None], Ok(&[None]));
    let gone = EncoderOn { encoder: "h264_nvenc".to_owned(), gpu: Some(1) };
    check(&[Some(gone)], Err("h264_nvenc on GPU 1 does not work on this node"));
    check(&[Some(EncoderOn::cpu("libopenh264"))], Err("libopenh264 does not work on this node"));
}
