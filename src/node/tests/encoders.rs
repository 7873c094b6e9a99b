//! Encoders of a running node that stop working, and are found again.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::wire::report::Capabilities;

/// What the node says next of what it can do.
async fn capabilities(node: &mut Node) -> Capabilities {
    let answer = tokio::time::timeout(PATIENCE, node.control.next_answer()).await.expect("in time");
    let NodeMessage::Capabilities(capabilities) = answer else { panic!("{answer:?}") };
    *capabilities
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_proof_is_answered() {
    let mut node = node().await;
    node.control.send(&ProxyMessage::Prove).await;
    assert_eq!(capabilities(&mut node).await.encoders, [EncoderOn::cpu("libx264")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_stops_working_is_taken_off_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (ffmpeg, broken) = (folder.path().join("ffmpeg"), folder.path().join("broken"));
    // From the moment that the file is there, no encoder can be opened any more.
    let script = format!(
        "#!/bin/bash\nif [ -e {} ]; then case $* in *pipe:0*) \
         echo '[libx264 @ 0x1] [error] OpenEncodeSessionEx failed: out of memory (10): (no details)' >&2; exit 1;; \
         esac; fi\nexec ffmpeg \"$@\"\n",
        broken.display()
    );
    std::fs::write(&ffmpeg, script).unwrap();
    std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut node = node_with(&ffmpeg).await;
    std::fs::write(&broken, "").unwrap();

    let mut peer = node.proxy.lease(&mut node.control, lease(1, 144)).await;
    let (_, end) = outputs(&mut peer).await;
    assert_eq!(end.reason, Reason::EncoderUnusable, "{end:?}");
    let shown = capabilities(&mut node).await;
    assert_eq!(shown.encoders, []);
    let unusable = shown.unusable.iter().find(|unusable| unusable.on == EncoderOn::cpu("libx264"));
    let detail = unusable.map(|unusable| unusable.detail.as_str()).unwrap_or_default();
    assert!(detail.contains("out of memory (10)"), "{shown:?}");

    // The next lease is refused without trying.
    node.control.send(&ProxyMessage::Lease(Box::new(lease(2, 144)))).await;
    let answer = node.control.next_answer().await;
    assert!(
        matches!(
            &answer,
            NodeMessage::LeaseRefused { lease: LeaseId(2), reason: Reason::EncoderUnusable, .. }
        ),
        "{answer:?}"
    );

    // Once it works again, it is found again by itself.
    std::fs::remove_file(&broken).unwrap();
    assert_eq!(capabilities(&mut node).await.encoders, [EncoderOn::cpu("libx264")]);
}

/// The FFmpeg that `ingest-tests/install-peers` fetches: it has `OpenH264`.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_runs_with_each_encoder_that_it_names() {
    let current = Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers/ffmpeg-current");
    if !current.exists() {
        assert!(std::env::var_os("CI").is_none(), "the current FFmpeg is not installed");
        return;
    }
    let mut node = node_with(&current).await;
    let mut spec = lease(1, 146);
    spec.encoders[1] = Some(EncoderOn::cpu("libopenh264"));
    let mut peer = node.proxy.lease(&mut node.control, spec).await;
    until("FFmpeg runs", || processes(146).len() == 1).await;
    let words = std::fs::read(format!("/proc/{}/cmdline", processes(146)[0])).unwrap();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    assert!(words.contains("-c:v libx264") && words.contains("-c:v libopenh264"), "{words}");
    peer.send(&LeaseInput::Media(flv().await.into())).await;
    peer.send(&LeaseInput::EndOfInput).await;
    let (outputs, end) = outputs(&mut peer).await;
    assert_eq!(end.reason, Reason::Completed, "{end:?}");
    let starts = |rendition| -> Vec<Ticks> {
        fragments(&outputs, rendition).iter().map(|fragment| fragment.position).collect()
    };
    assert_eq!((starts(0).len(), starts(0)), (6, starts(1)), "both encoders begin GOPs at the same pictures");
}
