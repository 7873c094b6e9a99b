use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::placement::cost::Used;
use crate::placement::cost::tests::{EPYC, by, rendition, usual, work, x264};
use crate::wire::cost::GpuResources;

fn learnt(count: u32) -> CostModel {
    let mut model = CostModel::default();
    for height in 1..=count {
        let work = work(1080, &[rendition(height, Some("fast"))]);
        let gpu = GpuResources { encoder: 0.1, memory: 3e8, ..GpuResources::default() };
        let used = Used { cpu: f64::from(height) / 7.0, memory: 90_000_000, gpus: vec![(0, gpu)] };
        model.learn(EPYC, &work, &x264(&work), &used);
        model.learn("gpu", &work, &by("h264_nvenc", Some(0), &work), &used);
    }
    model
}

fn read_back(model: &CostModel) -> CostModel {
    let text = serde_json::to_string(model).expect("it is written");
    serde_json::from_str(&text).expect("it is read")
}

#[test]
fn what_was_learnt_comes_back_and_is_forgotten_in_the_same_order() {
    let model = learnt(20);
    let again = read_back(&model);
    assert_eq!(again.lessons(), 0, "it is as it was saved");
    let keys = |model: &CostModel| -> Vec<String> {
        model.works.in_order().into_iter().map(|(key, _)| key.clone()).collect()
    };
    assert_eq!(keys(&again), keys(&model));
    let work = work(1080, &[rendition(20, Some("fast"))]);
    for encoders in [x264(&work), by("h264_nvenc", Some(0), &work)] {
        let [before, after] =
            [&model, &again].map(|model| model.predict("gpu", &work, &encoders).machine.cpu);
        assert!((before / after - 1.0).abs() < 1e-9, "{before} {after}");
    }
    assert_eq!(read_back(&CostModel::default()), CostModel::default());
}

#[test]
fn the_file_can_be_read_by_people() {
    let mut model = CostModel::default();
    let used =
        Used { cpu: model.predict(EPYC, &usual(), &x264(&usual())).machine.cpu * 2.0, ..Used::default() };
    model.learn(EPYC, &usual(), &x264(&usual()), &used);
    let of = |of: &str| json!([{"of": of, "cpu": [2.0, 1.0]}]);
    let expected = json!({
        "version": 1,
        "works": of("h264 1920x1080@30 aac > 1280x720@30 libx264/veryfast, 640x360@30 libx264/veryfast + copy on AMD EPYC"),
        "encoders": of("libx264/veryfast on AMD EPYC"),
        "classes": of("AMD EPYC"),
    });
    assert_eq!(serde_json::to_value(&model).expect("it is written"), expected);
}

/// Expects that a file is refused, with this in the message.
#[track_caller]
fn check_refused(file: &Value, expected: &str) {
    let error = serde_json::from_value::<CostModel>(file.clone()).expect_err("it is refused");
    assert!(error.to_string().contains(expected), "{error}");
    let text = serde_json::to_string(file).expect("a value");
    serde_json::from_str::<CostModel>(&text).expect_err("it is refused as a text too");
}

fn file(entry: &Value) -> Value {
    json!({"version": 1, "works": [], "encoders": [entry], "classes": []})
}

#[test]
fn impossible_files_are_refused() {
    check_refused(&json!({"version": 2, "works": [], "encoders": [], "classes": []}), "version 2");
    check_refused(&json!({}), "missing field");
    check_refused(&json!([1, 2]), "");
    check_refused(&file(&json!({"of": "a", "cpu": [1e308, 1.0]})), "impossible figures of `a`");
    check_refused(&file(&json!({"of": "a", "memory": [1.0, 1e18]})), "impossible figures");
    check_refused(&file(&json!({"of": "a", "encoder": [-1.0, 3.0]})), "impossible figures");
    check_refused(&file(&json!({"of": "a", "cpu": null})), "invalid type");
    check_refused(&file(&json!({"of": "a", "cpu": [null, 1.0]})), "invalid type");
    check_refused(&file(&json!({"of": "a", "what": 1})), "unknown field");
    check_refused(&file(&json!({"of": "a".repeat(MAX_KEY_BYTES + 1)})), "a key of 2049 bytes");
    let many: Vec<Value> = (0..=CostModel::MAX_CLASSES).map(|n| json!({"of": n.to_string()})).collect();
    let many = json!({"version": 1, "works": [], "encoders": [], "classes": many});
    check_refused(&many, "257 entries under `classes`, there is room for 256");
}

#[test]
fn not_a_number_is_no_json() {
    let text = r#"{"version": 1, "works": [], "encoders": [{"of": "a", "cpu": [NaN, 1]}], "classes": []}"#;
    serde_json::from_str::<CostModel>(text).expect_err("it is refused");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let average = (any::<f64>(), any::<f64>()).prop_map(Average::from);
    let likely = (0.02..60.0_f64, 1.0..32.0_f64).prop_map(Average::from);
    (".{0,12}", prop_oneof![likely, average]).prop_map(|(of, cpu)| Entry {
        of,
        cpu,
        memory: Average::default(),
        encoder: Average::default(),
        decoder: Average::default(),
        gpu_memory: Average::default(),
    })
}

proptest! {
    #[test]
    fn a_file_of_any_figures_is_refused_or_gives_sound_costs(works in prop::collection::vec(any_entry(), 0..20)) {
        let file = File { version: VERSION, encoders: works.clone(), classes: works.clone(), works };
        if let Ok(mut model) = CostModel::try_from(file) {
            let used = Used { cpu: 1.0, ..Used::default() };
            model.learn(EPYC, &usual(), &x264(&usual()), &used);
            let cpu = model.predict(EPYC, &usual(), &x264(&usual())).machine.cpu;
            prop_assert!(cpu > 0.0 && cpu.is_finite());
            prop_assert_eq!(CostModel::try_from(File::from(model.clone())).map(|again| again.works.in_order().len()), Ok(model.works.in_order().len()));
        }
    }

    #[test]
    fn arbitrary_text_is_no_panic(text in ".*") {
        let _ = serde_json::from_str::<CostModel>(&text);
    }

    #[test]
    fn a_damaged_file_is_no_panic(at in 0..4_000_usize, with in any::<u8>()) {
        let mut text = serde_json::to_vec(&learnt(6)).expect("it is written");
        if let Some(byte) = text.get_mut(at) {
            *byte = with;
        }
        if let Ok(model) = serde_json::from_slice::<CostModel>(&text) {
            prop_assert!(model.predict(EPYC, &usual(), &x264(&usual())).machine.cpu.is_finite());
        }
    }
}
