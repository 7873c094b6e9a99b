//! What a path below `/hls` names. Names are checked here, before one is looked up.

use crate::base::names::{Name, StreamName};

/// Something of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) stream: StreamName,
    pub(super) wanted: Wanted,
}

/// What of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `/hls/{tenant}/{stream}/index.m3u8`
    Multivariant,
    /// `/hls/{tenant}/{stream}/{output}/index.m3u8`
    Media(Name),
    /// `/hls/{tenant}/{stream}/{output}/init-{number}.mp4`
    Init(Name, u64),
    /// `/hls/{tenant}/{stream}/{output}/{sequence}.m4s`
    Segment(Name, u64),
}

/// Reads a path as it was sent. All names are made of letters that need no escape, so a path with one names nothing.
pub(super) fn parse(path: &str) -> Option<Resource> {
    let mut parts = path.strip_prefix("/hls/")?.split('/');
    let stream = StreamName { tenant: parts.next()?.parse().ok()?, name: parts.next()?.parse().ok()? };
    let third = parts.next()?;
    let wanted = match (parts.next(), parts.next()) {
        (None, _) => (third == "index.m3u8").then_some(Wanted::Multivariant)?,
        (Some(file), None) => of_output(third.parse().ok()?, file)?,
        (Some(_), Some(_)) => return None,
    };
    Some(Resource { stream, wanted })
}

fn of_output(output: Name, file: &str) -> Option<Wanted> {
    if file == "index.m3u8" {
        return Some(Wanted::Media(output));
    }
    if let Some(sequence) = file.strip_suffix(".m4s") {
        return Some(Wanted::Segment(output, number(sequence)?));
    }
    let init = file.strip_prefix("init-")?.strip_suffix(".mp4")?;
    Some(Wanted::Init(output, number(init)?))
}

/// A number in its one spelling: a cache must not be filled with `007` and `+7`.
fn number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn check(path: &str, expected: Option<Wanted>) {
        let stream = StreamName { tenant: name("live"), name: name("demo") };
        let expected = expected.map(|wanted| Resource { stream, wanted });
        assert_eq!(parse(path), expected, "{path}");
    }

    #[test]
    fn paths_name_resources() {
        check("/hls/live/demo/index.m3u8", Some(Wanted::Multivariant));
        check("/hls/live/demo/720p/index.m3u8", Some(Wanted::Media(name("720p"))));
        check("/hls/live/demo/720p/init-0.mp4", Some(Wanted::Init(name("720p"), 0)));
        check("/hls/live/demo/audio/881.m4s", Some(Wanted::Segment(name("audio"), 881)));
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/hls/live/demo",
            "/hls/live/demo/",
            "/hls/live/demo/720p",
            "/hls/live/demo/720p/",
            "/hls/live/demo/720p/a/index.m3u8",
            "/hls/live/demo/720p/1.ts",
            "/hls/live/demo/720p/.m4s",
            "/hls/live/demo/720p/+1.m4s",
            "/hls/live/demo/720p/01.m4s",
            "/hls/live/demo/720p/99999999999999999999.m4s",
            "/hls/live/demo/720p/init-.mp4",
            "/hls/live/../etc/index.m3u8",
            "/hls/live/d%65mo/index.m3u8",
            "/hls//demo/index.m3u8",
            "/api/live/demo/index.m3u8",
        ] {
            check(path, None);
        }
    }
}
