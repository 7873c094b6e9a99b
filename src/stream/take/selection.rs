//! Which tracks a take follows: one of each kind, the first that showed. Enhanced RTMP v2 can carry more ("Multitrack");
//! they are passed over and remembered, so that the API can say what the encoder sends in vain.

use std::collections::BTreeSet;

use crate::media::track::TrackKind;

/// The most tracks beside the followed ones that are remembered; of further ones only the number is.
pub const MAX_OTHER_TRACKS: usize = 16;

/// A track that the encoder sends and nobody follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherTrack {
    /// Pictures or sound.
    pub kind: TrackKind,
    /// The sender's number of it.
    pub number: u8,
    /// Its codec in four characters, as the sender says it.
    pub four_cc: [u8; 4],
}

/// The choice. A kind and a number are a track, whatever its codec: at most 512 of them.
#[derive(Debug, Default)]
pub(super) struct Selection {
    video: Option<u8>,
    audio: Option<u8>,
    others: Vec<OtherTrack>,
    known: BTreeSet<(TrackKind, u8)>,
}

impl Selection {
    /// Whether a track is the one that is followed, or may become it.
    pub(super) fn admits(&self, kind: TrackKind, number: u8) -> bool {
        self.followed(kind).is_none_or(|followed| followed == number)
    }

    /// The track that is followed, if one has shown.
    pub(super) fn followed(&self, kind: TrackKind) -> Option<u8> {
        match kind {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio,
        }
    }

    /// A configuration or an access unit of a track that is admitted has come: it is the one from now on.
    pub(super) fn follow(&mut self, kind: TrackKind, number: u8) {
        let followed = match kind {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        };
        if followed.replace(number).is_none() && self.known.remove(&(kind, number)) {
            self.others.retain(|other| (other.kind, other.number) != (kind, number));
        }
    }

    /// Something of a track came that is not followed.
    pub(super) fn pass_over(&mut self, other: OtherTrack) {
        if self.known.insert((other.kind, other.number)) && self.others.len() < MAX_OTHER_TRACKS {
            self.others.push(other);
        }
    }

    /// The tracks passed over, in the order in which they showed.
    pub(super) fn others(&self) -> &[OtherTrack] {
        &self.others
    }

    /// How many more there are.
    pub(super) fn more_others(&self) -> usize {
        self.known.len() - self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(kind: TrackKind, number: u8) -> OtherTrack {
        OtherTrack { kind, number, four_cc: *b"hvc1" }
    }

    #[test]
    fn the_first_track_of_a_kind_is_followed_and_no_other() {
        let mut selection = Selection::default();
        assert!(selection.admits(TrackKind::Video, 0) && selection.admits(TrackKind::Video, 3));
        selection.follow(TrackKind::Video, 3);
        assert!(selection.admits(TrackKind::Video, 3) && !selection.admits(TrackKind::Video, 0));
        assert!(selection.admits(TrackKind::Audio, 0), "kinds are chosen apart");
        assert_eq!(
            (selection.followed(TrackKind::Video), selection.followed(TrackKind::Audio)),
            (Some(3), None)
        );
    }

    #[test]
    fn a_track_that_is_followed_after_all_is_no_other() {
        let mut selection = Selection::default();
        [1, 2].into_iter().for_each(|number| selection.pass_over(other(TrackKind::Audio, number)));
        selection.follow(TrackKind::Audio, 2);
        assert_eq!((selection.others(), selection.more_others()), (&[other(TrackKind::Audio, 1)][..], 0));
    }

    #[test]
    fn others_are_remembered_once_and_within_bounds() {
        let mut selection = Selection::default();
        for number in (0..=255).chain(0..=255) {
            selection.pass_over(other(TrackKind::Video, number));
            selection.pass_over(other(TrackKind::Audio, number));
        }
        assert_eq!(selection.others().len(), MAX_OTHER_TRACKS);
        assert_eq!(selection.others()[..2], [other(TrackKind::Video, 0), other(TrackKind::Audio, 0)]);
        assert_eq!(selection.more_others(), 512 - MAX_OTHER_TRACKS);
    }
}
