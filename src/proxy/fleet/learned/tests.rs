use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::base::clock;
use crate::placement::cost::Used;
use crate::placement::work::{SourceMedia, Work};
use crate::proxy::fleet::tests::script;

fn work() -> Work {
    let ladder = script::attempt().ladder;
    Work::of(&script::attempt(), SourceMedia::untold(&ladder))
}

fn learn(costs: &mut CostModel) {
    costs.learn("AMD EPYC", &work(), &[], &Used { cpu: 0.4, ..Used::default() });
}

fn cores(costs: &CostModel) -> f64 {
    costs.predict("AMD EPYC", &work(), &[]).machine.cpu
}

/// A place for the file that is made on the way.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("state/headgate/costs.json")
    }

    fn open(&self) -> (CostModel, Learned) {
        Learned::open(Some(self.file()), clock::now())
    }

    /// Puts this where the file is looked for.
    fn put(&self, text: &[u8]) {
        fs::create_dir_all(folder(&self.file())).expect("a folder");
        fs::write(self.file(), text).expect("it is written");
    }

    /// What is in the file's folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(folder(&self.file())).expect("a folder").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Waits until the file holds what `costs` knows.
    async fn wait_for(&self, costs: &CostModel) {
        let written = async {
            while !load(&self.file()).is_ok_and(|read| (cores(&read) - cores(costs)).abs() < 1e-9) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.expect("it is written");
    }
}

#[tokio::test]
async fn what_was_learnt_is_there_after_a_restart() {
    let place = Place::new();
    let (mut costs, learned) = place.open();
    assert_eq!(costs, CostModel::default());
    learn(&mut costs);
    learned.finish(&costs).await;
    assert_eq!(place.names(), ["costs.json"]);
    let (again, learned) = place.open();
    assert!((cores(&again) - 0.4).abs() < 1e-6, "{}", cores(&again));
    assert_eq!(learned.next_deadline(&again), None, "nothing is new");
}

#[tokio::test]
async fn it_is_saved_once_a_minute_and_only_when_something_was_learnt() {
    let place = Place::new();
    let start = clock::now();
    let (mut costs, mut learned) = Learned::open(Some(place.file()), start);
    learned.save(&costs, start + SAVE_INTERVAL * 2);
    assert_eq!((learned.next_deadline(&costs), place.names().len()), (None, 0));
    learn(&mut costs);
    assert_eq!(learned.next_deadline(&costs), Some(start + SAVE_INTERVAL));
    learned.save(&costs, start + SAVE_INTERVAL / 2);
    assert_eq!(learned.next_deadline(&costs), Some(start + SAVE_INTERVAL), "not yet");
    learned.save(&costs, start + SAVE_INTERVAL);
    place.wait_for(&costs).await;
    learn(&mut costs);
    assert_eq!(learned.next_deadline(&costs), Some(start + SAVE_INTERVAL * 2));
}

#[tokio::test]
async fn without_a_file_nothing_is_kept() {
    let (mut costs, mut learned) = Learned::open(None, clock::now());
    learn(&mut costs);
    assert_eq!(learned.next_deadline(&costs), None);
    learned.save(&costs, clock::now() + SAVE_INTERVAL * 2);
    learned.finish(&costs).await;
}

/// Expects that this file is put aside, and that learning goes on.
async fn check_aside(text: &[u8]) {
    let place = Place::new();
    place.put(text);
    let (mut costs, learned) = place.open();
    assert_eq!((costs.clone(), place.names()), (CostModel::default(), vec!["costs.json.broken".to_owned()]));
    assert_eq!(fs::read(beside(&place.file(), "broken")).expect("it is kept"), text);
    learn(&mut costs);
    learned.finish(&costs).await;
    assert_eq!(place.names(), ["costs.json", "costs.json.broken"]);
}

#[tokio::test]
async fn a_broken_file_is_put_aside() {
    check_aside(b"").await;
    check_aside(b"{\"version\":1").await;
    check_aside(b"\xff\xfe\0").await;
    check_aside(br#"{"version":7,"works":[],"encoders":[],"classes":[]}"#).await;
    check_aside(br#"{"version":1,"works":[],"encoders":[],"classes":[{"of":"a","cpu":[1e308,1]}]}"#).await;
    check_aside("[".repeat(1_000_000).as_bytes()).await;
    check_aside(&vec![b' '; usize::try_from(MAX_FILE_BYTES).expect("small") + 1]).await;
}

#[test]
fn a_full_model_is_never_too_large_to_be_read() {
    let keys = CostModel::MAX_WORKS + CostModel::MAX_ENCODER_SETS + CostModel::MAX_CLASSES;
    // The longest key, and five averages of two numbers with 17 digits.
    assert!((keys * (2_048 + 400)) as u64 <= MAX_FILE_BYTES);
}

#[tokio::test]
async fn a_folder_in_its_place_is_left_alone() {
    let place = Place::new();
    fs::create_dir_all(place.file()).expect("a folder");
    let (mut costs, learned) = place.open();
    learn(&mut costs);
    assert_eq!(learned.next_deadline(&costs), None, "nothing is kept");
    learned.finish(&costs).await;
    assert_eq!(place.names(), ["costs.json"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_done_without() {
    let place = Place::new();
    fs::write(place.root.path().join("state"), b"a file").expect("it is written");
    let (mut costs, learned) = place.open();
    learn(&mut costs);
    learned.finish(&costs).await;
    assert!(!place.file().exists());
}

#[tokio::test]
async fn a_folder_that_goes_away_does_not_stop_anything() {
    let place = Place::new();
    let (mut costs, mut learned) = place.open();
    learn(&mut costs);
    fs::remove_dir_all(folder(&place.file())).expect("it is there");
    learned.save(&costs, clock::now() + SAVE_INTERVAL);
    learn(&mut costs);
    learned.finish(&costs).await;
    assert!(!place.file().exists());
}

#[test]
fn a_file_that_may_not_be_read_is_put_aside() {
    let place = Place::new();
    place.put(b"{}");
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o000)).expect("it is ours");
    let _ = place.open();
    assert_eq!(place.names(), ["costs.json.broken"]);
}

#[test]
fn a_file_in_the_working_folder_has_a_folder() {
    assert_eq!(folder(Path::new("costs.json")), Path::new("."));
    assert_eq!(beside(Path::new("a/costs.json"), "broken"), Path::new("a/costs.json.broken"));
}
