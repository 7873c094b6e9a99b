//! The judges of the table of sources, judged: what is right passes, and each fault that they exist for is found.

mod harness;

use harness::assert_none;
use harness::grid;
use harness::judge::Item;
use harness::numbered::Numbered;
use harness::pcm::{self, FLV_SLACK, Pcm, Search};
use harness::random::Random;

const SEARCH: Search = Search { late: 90_000, reach: 200, step: 24_000 };

/// 5 s of white noise.
fn noise(random: &mut Random) -> Vec<i16> {
    let sample = |_| i16::try_from(i64::try_from(random.below(20_000)).unwrap_or(0) - 10_000).unwrap_or(0);
    (0..240_000).map(sample).collect()
}

/// What is found wrong with noise that is 90,000 samples later, after `damage` has been done to it.
fn sound_findings(damage: impl FnOnce(&mut Vec<i16>)) -> Vec<String> {
    let samples = noise(&mut Random::seeded());
    let mut damaged = samples.clone();
    damage(&mut damaged);
    let (source, found) = (Pcm { start: 7, samples }, Pcm { start: 90_007, samples: damaged });
    pcm::judge(&pcm::lags(&source, &found, SEARCH))
}

#[track_caller]
fn check_found(findings: &[String], expected: &str) {
    let found = findings.iter().any(|finding| finding.contains(expected));
    assert!(found, "{expected:?} is not in {findings:#?}");
}

#[test]
fn sound_at_its_place_passes() {
    assert_none("the same sound", &sound_findings(|_| {}));
    assert_none("sound that is late all the time", &sound_findings(|samples| samples.insert(0, 0)));
}

#[test]
fn one_sample_more_or_less_is_found() {
    check_found(&sound_findings(|samples| samples.insert(120_000, 0)), "moved by samples: +1 at");
    check_found(&sound_findings(|samples| drop(samples.drain(120_000..=120_000))), "moved by samples: -1 at");
}

#[test]
fn sound_that_is_missing_or_another_is_found() {
    check_found(
        &sound_findings(|samples| samples[100_000..110_000].fill(0)),
        "1 pieces of sound are not found",
    );
    check_found(&sound_findings(|samples| samples.truncate(120_000)), "pieces of sound are not found");
    check_found(&sound_findings(|samples| samples.reverse()), "no sound that could be compared");
    check_found(
        &sound_findings(|samples| drop(samples.drain(120_000..121_000))),
        "pieces of sound are not found",
    );
}

/// Sound that FFmpeg encodes anew is where it was, and a unit that is left out is found.
#[test]
fn sound_from_files_is_found_to_the_sample() {
    let folder = harness::folder();
    let file = Numbered { pictures: false, ..Numbered::new("30") }.make(folder.path(), "source.flv");
    let again = |filter: &str, name: &str| {
        let made = folder.path().join(name);
        let (from, to) = (harness::ffmpeg::text(&file), harness::ffmpeg::text(&made));
        let filter = format!("-af {filter} -c:a aac -b:a 128k");
        harness::ffmpeg::run_ok(&["-loglevel error -i", from, &filter, to]);
        made
    };
    let judge = |made: &std::path::Path| {
        let ((source, mut findings), (found, complaints)) = (Pcm::read(&file, FLV_SLACK), Pcm::read(made, 0));
        findings.extend(complaints);
        // FFmpeg begins the file at 0 where the source begins later.
        let late = found.start - source.start;
        findings.extend(pcm::judge(&pcm::lags(&source, &found, Search { late, reach: 2_048, step: 24_000 })));
        findings
    };
    assert_none("encoded anew", &judge(&again("asetpts=N/SR/TB", "whole.mp4")));
    let cut = again("aselect='not(eq(n,100))',asetpts=N/SR/TB", "cut.mp4");
    check_found(&judge(&cut), "-1024 at ms");
}

/// Pictures at 30 a second, at the times that RTMP would carry.
fn source() -> Vec<Item> {
    (0..90).map(|id| Item { id: Some(id), at_us: i64::from(id) * 100 / 3 * 1_000 }).collect()
}

/// What the `fps` filter makes of them at `rate / per` a second: at each place the newest picture, its time rounded.
fn on_grid(rate: i64, per: i64) -> Vec<Item> {
    let place = |item: &Item| (2 * item.at_us * rate / (1_000_000 * per) + 1) / 2;
    let source = source();
    let last = source.last().map_or(0, place);
    let newest = |at: i64| source.iter().rev().find(|item| place(item) <= at).and_then(|item| item.id);
    (0..=last).map(|at| Item { id: newest(at), at_us: at * 1_000_000 * per / rate }).collect()
}

#[test]
fn pictures_on_a_grid_pass() {
    for (rate, per) in [(15, 1), (60, 1), (30, 1), (24_000, 1_001), (25, 1)] {
        let findings = grid::judge(&source(), &on_grid(rate, per), (rate, per));
        assert_none(&format!("{rate}/{per}"), &findings);
    }
}

#[test]
fn faults_on_a_grid_are_found() {
    let check = |damage: fn(&mut Vec<Item>), expected: &str| {
        let mut found = on_grid(60, 1);
        damage(&mut found);
        check_found(&grid::judge(&source(), &found, (60, 1)), expected);
    };
    check(|found| drop(found.drain(50..=50)), "1 steps are not of 16666 us");
    check(|found| found.insert(50, found[49]), "1 steps are not of 16666 us: 0 us");
    check(
        |found| found[49..52].iter_mut().for_each(|item| item.id = Some(24)),
        "is shown where another should be",
    );
    check(
        |found| found.iter_mut().skip(50).for_each(|item| item.id = item.id.map(|id| id + 1)),
        "where another",
    );
    check(|found| found[50].id = Some(3), "pictures go back");
    check(|found| found[50].id = None, "1 pictures are not of the source");
    check(|found| found.truncate(100), "us less than the source's");
    check(|found| drop(found.drain(..10)), "begins with Some(5)");
}
