use proptest::prelude::*;

use super::*;
use crate::placement::cost::Used;
use crate::placement::cost::tests::{by, rendition, usual, work, x264};
use crate::wire::cost::GpuResources;

/// Some that begin alike, one whose name looks like a key's end, and one that is cut.
fn any_class() -> impl Strategy<Value = String> {
    let long = "é".repeat(MAX_CLASS_CHARS + 1);
    prop::sample::select(["", "x", "x86", "x86 on arm", "arm", &long].map(str::to_owned).to_vec())
}

fn any_attempt() -> impl Strategy<Value = (Work, Vec<Option<EncoderOn>>)> {
    let works = vec![
        usual(),
        work(720, &[rendition(720, None)]),
        work(0, &[]),
        work(1080, &[rendition(360, Some("fast"))]),
    ];
    prop::sample::select(works).prop_flat_map(|work| {
        let encoders = vec![x264(&work), by("h264_nvenc", Some(1), &work), Vec::new()];
        (Just(work), prop::sample::select(encoders))
    })
}

prop_compose! {
    fn any_model()(
        lessons in prop::collection::vec((any_class(), any_attempt(), 0.01..4.0, 0u64..1 << 30, 0.0..0.5), 0..8),
    ) -> CostModel {
        let mut model = CostModel::default();
        for (class, (work, encoders), cpu, memory, encoder) in lessons {
            let gpus = vec![(1, GpuResources { encoder, ..GpuResources::default() })];
            model.learn(&class, &work, &encoders, &Used { cpu, memory, gpus });
        }
        model
    }
}

proptest! {
    #[test]
    fn it_says_what_the_model_predicts(model in any_model(), (work, encoders) in any_attempt(), class in any_class(), seed: u64) {
        let forecast = model.forecast(&work, &encoders, seed);
        let factors = forecast.factors(&Class::new(&class, seed));
        let mut cost = forecast.estimate().clone();
        factors.scale(&mut cost);
        prop_assert_eq!(&cost, &model.predict(&class, &work, &encoders));
        if !model.has_learnt() {
            prop_assert!(forecast.is_of_all() && cost == *forecast.estimate());
        }
    }

    /// Which of several GPUs makes no difference, and each rendition has an entry of its own: by that a decision puts its costs
    /// together.
    #[test]
    fn it_has_an_entry_for_each_rendition_on_a_gpu(gpus in prop::array::uniform2(prop::option::of(0u32..4))) {
        let on = |gpu| Some(EncoderOn { encoder: "h264_nvenc".into(), gpu });
        let (model, work) = (CostModel::default(), usual());
        let apart = model.forecast(&work, &[on(gpus[0].map(|_| 0)), on(gpus[1].map(|_| 1))], 0);
        let cost = model.predict("x86", &work, &gpus.map(on));
        prop_assert_eq!(apart.estimate().machine, cost.machine);
        let listed: Vec<_> = apart.estimate().gpus.iter().filter_map(|(at, need)| Some((gpus[usize::try_from(*at).ok()?]?, *need))).collect();
        prop_assert_eq!(listed, cost.gpus);
    }
}
