//! Tracks that come and go.

use super::*;

/// A window with a rendition whose stream begins with audio alone, from 0 to 4.5 s.
fn audio_alone() -> Window {
    let mut window = Window::new(settings(), vec!["r0".parse().expect("a name")]);
    window.begin_section(Tracks::Audio);
    window.handle_init(audio_init(b"init"));
    audio(&mut window, (0, 4500));
    window
}

#[test]
fn renditions_are_not_shown_while_there_is_no_video() {
    let mut window = audio_alone();
    check(&window, &[&["100: 0-2005", "101: 2005-4010"]]);
    assert!(window.view().is_ready());
    let text = multivariant::multivariant(&window.view());
    assert!(text.contains("audio/index.m3u8\n") && !text.contains("EXT-X-MEDIA:"), "{text}");
    window.finish();
    check(&window, &[&["100: 0-2005", "101: 2005-4010", "102: 4010-4501"]]);
}

#[test]
fn video_that_comes_later_begins_at_the_newest_segment() {
    let mut window = audio_alone();
    window.begin_section(Tracks::Both);
    window.handle_init(video_init(0, b"init"));
    fragment(&mut window, 0, (4500, 5500));
    assert!(window.view().renditions.is_empty() && window.view().is_ready(), "there is nothing to fetch yet");
    fragment(&mut window, 0, (5500, 6500));
    audio(&mut window, (4501, 7000));
    fragment(&mut window, 0, (6500, 8500));
    audio(&mut window, (7000, 9000));
    let sound: &[&str] = &["100: 0-2005", "101: 2005-4010", "102: 4010-6506", "103: 6506-8512"];
    check(&window, &[&["102: 4010-6500", "103: 6500-8500"], sound]);
}

#[test]
fn audio_alone_goes_on_where_video_ended() {
    let mut window = window(1, true);
    fragment(&mut window, 0, (0, 2000));
    fragment(&mut window, 0, (2000, 3000));
    audio(&mut window, (0, 3000));
    window.begin_section(Tracks::Audio);
    audio(&mut window, (3008, 8000));
    let sound: &[&str] = &["100: 0-2005", "101: 2005-4010", "102: 4010-6016"];
    check(&window, &[&["100: 0-2000", "101: 2000-4010", "102: 4010-6016 gap"], sound]);
    window.begin_section(Tracks::Both);
    fragment(&mut window, 0, (8000, 10_000));
    audio(&mut window, (8000, 11_000));
    let view = window.view();
    assert_eq!(listed(&view.renditions[0]).last().map(String::as_str), Some("103: 6016-10000"));
    assert_eq!(window.left_out(), 0);
}

#[test]
fn sound_that_shows_late_is_put_where_it_belongs() {
    let mut window = window(1, false);
    window.begin_section(Tracks::Video);
    (0..3).for_each(|gop| fragment(&mut window, 0, (gop * 2000, gop * 2000 + 2000)));
    // It came in the middle of the third GOP, and was held back until the next one began.
    window.begin_section(Tracks::Both);
    window.handle_init(audio_init(b"init"));
    audio(&mut window, (5000, 8000));
    fragment(&mut window, 0, (6000, 8000));
    let video: &[&str] = &["100: 0-2000", "101: 2000-4000", "102: 4000-6000", "103: 6000-8000"];
    check(&window, &[video, &["102: 4000-6016", "103: 6016-8000"]]);
    assert_eq!(window.left_out(), 0);
}
