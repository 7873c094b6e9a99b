use std::path::Path;
use std::time::Duration;

use super::*;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("within the test's patience")
}

/// A shell in place of a node.
fn shell(script: &str) -> NodeProcess {
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    NodeProcess { program: "/bin/sh".into(), arguments, name: "n-1".to_owned() }
}

async fn until_lines(file: &Path, count: usize) {
    soon(async {
        while std::fs::read_to_string(file).map_or(0, |text| text.lines().count()) < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[test]
fn a_node_process_is_told_its_proxy_its_name_and_the_configuration() {
    let port = |port| ([127, 0, 0, 1], port).into();
    let listening = Listening { rtmp: Some(port(1)), rtmps: None, http: port(2), fleet: port(3) };
    let base = "host".parse().expect("a name");
    let told =
        |config| NodeProcess::new(config, &base, 2, &listening).expect("this program exists").arguments;
    let expected = ["node", "--own-proxy", "--proxy", "127.0.0.1:3", "--name", "host-2"];
    assert_eq!(told(None), expected);
    assert_eq!(told(Some(Path::new("a.toml"))), [&expected[..], &["--config", "a.toml"]].concat());
}

#[tokio::test]
async fn a_node_process_that_ends_is_started_again_after_a_pause() {
    let folder = tempfile::tempdir().expect("a folder");
    let starts = folder.path().join("starts");
    let stop = CancellationToken::new();
    let began = clock::now();
    let node = shell(&format!("echo started >> {}", starts.display()));
    let tasks = Tasks::new();
    tasks.spawn(node.run(stop.clone()));
    until_lines(&starts, 2).await;
    assert!(clock::now() - began >= RESTART_PAUSE);
    stop.cancel();
    soon(tasks.finish()).await;
}

#[tokio::test]
async fn a_node_process_is_asked_to_stop_and_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    let stop = CancellationToken::new();
    let script = format!(
        "trap 'echo asked >> {0}; exit' TERM; echo started >> {0}; while :; do sleep 0.05; done",
        said.display()
    );
    let tasks = Tasks::new();
    tasks.spawn(shell(&script).run(stop.clone()));
    until_lines(&said, 1).await;
    stop.cancel();
    soon(tasks.finish()).await;
    let said = std::fs::read_to_string(said).expect("it wrote");
    assert_eq!(said, "started\nasked\n", "and it was not started again");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_does_not_keep_it_from_stopping() {
    let node = NodeProcess { program: "/no/such/program".into(), arguments: Vec::new(), name: "n-1".into() };
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    tasks.spawn(node.run(stop.clone()));
    tokio::task::yield_now().await;
    stop.cancel();
    soon(tasks.finish()).await;
}

#[tokio::test]
async fn an_ffmpeg_that_cannot_be_used_is_told_before_anything_listens() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut config = Config::default();
    config.node.ffmpeg = "/no/such/ffmpeg".into();
    // Were it bound first, this would be what is told.
    config.rtmp.listen = Some(taken.local_addr().expect("it is bound"));
    let error = serve(config, None, 1, CancellationToken::new()).await.expect_err("there is none");
    assert!(format!("{error:#}").contains("/no/such/ffmpeg"), "{error:#}");
}
