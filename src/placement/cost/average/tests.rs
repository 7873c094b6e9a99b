use proptest::prelude::*;

use super::*;

/// Expects this mean after these samples.
#[track_caller]
fn check(samples: &[f64], believed: f64, expected: f64) {
    let mut average = Average::default();
    samples.iter().for_each(|&sample| average.learn(sample, believed));
    let mean = average.known().expect("there are samples");
    assert!((mean / expected - 1.0).abs() < 1e-9, "{mean}, not {expected}");
}

#[test]
fn few_samples_are_averaged_as_factors() {
    check(&[2.0], 1.0, 2.0);
    check(&[0.5, 2.0], 1.0, 1.0);
    check(&[1.0, 1.0, 8.0], 1.0, 2.0);
}

#[test]
fn a_sample_reaches_only_so_far_from_what_is_believed() {
    check(&[1e12], 1.0, 8.0);
    check(&[1e-12], 4.0, 0.5);
    check(&[1e12], 32.0, MOST);
    let settled = [1.0; 20];
    let outlier = [&settled[..], &[50.0]].concat();
    check(&outlier, 1.0, 2.0_f64.powf(1.0 / 21.0));
}

#[test]
fn nothing_is_known_before_the_first_sample() {
    assert_eq!(Average::default().known(), None);
    assert!(Average::default().is_sound());
}

#[test]
fn figures_that_no_samples_make_are_not_sound() {
    for (mean, samples) in [
        (0.0, 1.0),
        (-1.0, 1.0),
        (1e308, 1.0),
        (f64::NAN, 1.0),
        (1.0, f64::NAN),
        (1.0, 0.0),
        (1.0, 0.5),
        (1.0, 33.0),
        (1.0, -1.0),
        (f64::INFINITY, 4.0),
        (65.0, 4.0),
    ] {
        assert!(!Average { mean, samples }.is_sound(), "{mean} {samples}");
    }
}

proptest! {
    #[test]
    fn an_average_stays_sound_whatever_it_is_told(samples in prop::collection::vec(any::<f64>(), 0..80)) {
        let mut average = Average::default();
        for sample in samples.into_iter().filter(|sample| *sample > 0.0) {
            average.learn(sample, 1.0);
            prop_assert!(average.is_sound(), "{average:?}");
        }
    }

    #[test]
    fn a_mean_lies_between_its_samples(samples in prop::collection::vec(0.6..1.6_f64, 1..60)) {
        let mut average = Average::default();
        samples.iter().for_each(|&sample| average.learn(sample, 1.0));
        let (least, most) = samples.iter().fold((9.0_f64, 0.0_f64), |(a, b), &x| (a.min(x), b.max(x)));
        let mean = average.known().expect("there are samples");
        prop_assert!(mean >= least * 0.999 && mean <= most * 1.001, "{mean}");
    }
}
