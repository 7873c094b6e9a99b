//! The handshake (RTMP 1.0 §5.2), server side: the simple one of the standard, and the signed one of Flash Player 9.
//!
//! A client that signs (Flash, FFmpeg, librtmp when it must prove a player) has a version in C1's second field and a
//! digest in C1: see [`digest`]. It is answered in kind. FFmpeg and librtmp take a version in S1 as the promise that S1
//! and S2 are signed, and end if they are not; so S1 has a version only if C1's digest is right. All others get zero
//! there, and their C1 back as S2.

mod digest;

use bytes::{BufMut, BytesMut};

use digest::Scheme;

/// The only version there is: RTMP without encryption.
const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2 (§5.2.3, §5.2.4).
pub const HANDSHAKE_BYTES: usize = 1536;
/// Fills S1 after its time and version. A client echoes it, and only its own echo must be told apart (§5.2.3), so it need
/// not be random.
const FILL: u8 = 0x68;
/// The version in a signed S1, that of `fmsVer` in our answer to `connect`. FFmpeg looks for a signature from 3 on.
const SERVER_VERSION: [u8; 4] = [3, 0, 1, 123];

/// What breaks a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// C0 asks for something else; 6 and 8 are RTMPE. §5.2.2 would answer 3 and let the client decide, but a client
    /// that wants encryption then sends what nobody can read.
    #[error("RTMP version {0} is not spoken, only {VERSION}")]
    Version(u8),
}

/// Whether the handshake is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input is consumed and more is needed.
    Pending,
    /// What follows in the input are chunks.
    Done,
}

/// The state of a handshake. Keeps what came of C1, and of C2 only the count.
#[derive(Debug, Default)]
pub struct Handshake(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Version,
    Challenge(Vec<u8>),
    Echo {
        left: usize,
    },
}

impl Handshake {
    /// Consumes from the front of `input`; appends S0, S1 and S2 to `output` once C1 is complete.
    ///
    /// What C2 holds is not checked, neither echo nor signature: it proves nothing that matters here.
    pub fn read(&mut self, input: &mut &[u8], output: &mut BytesMut) -> Result<Progress, Error> {
        while let Some(&first) = input.first() {
            match &mut self.0 {
                State::Version => {
                    if first != VERSION {
                        return Err(Error::Version(first));
                    }
                    *input = &input[1..];
                    self.0 = State::Challenge(Vec::with_capacity(HANDSHAKE_BYTES));
                }
                State::Challenge(challenge) => {
                    let missing = HANDSHAKE_BYTES - challenge.len();
                    challenge.extend_from_slice(take(input, missing));
                    if let Some(challenge) = challenge.first_chunk() {
                        answer(challenge, output);
                        self.0 = State::Echo { left: HANDSHAKE_BYTES };
                    }
                }
                State::Echo { left } => {
                    *left -= take(input, *left).len();
                    if *left == 0 {
                        return Ok(Progress::Done);
                    }
                }
            }
        }
        Ok(Progress::Pending)
    }

    /// Memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        if let State::Challenge(challenge) = &self.0 { challenge.capacity() } else { 0 }
    }
}

/// S0, S1 and S2 for C1.
fn answer(challenge: &[u8; HANDSHAKE_BYTES], output: &mut BytesMut) {
    output.put_u8(VERSION);
    let signed = if challenge[4..8] == [0; 4] { None } else { Scheme::of(challenge) };
    let mut first = [FILL; HANDSHAKE_BYTES];
    first[..8].fill(0);
    let Some((scheme, client_digest)) = signed else {
        output.put_slice(&first);
        // §5.2.4 would put the time of reading into its second field, but librtmp (OBS) compares all 1536 bytes.
        output.put_slice(challenge);
        return;
    };
    first[4..8].copy_from_slice(&SERVER_VERSION);
    scheme.sign(&mut first);
    output.put_slice(&first);
    output.put_slice(&digest::response(&client_digest, [FILL; HANDSHAKE_BYTES]));
}

/// Takes at most `most` bytes from the front of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_bytes() -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend((0..2 * HANDSHAKE_BYTES).map(|at| u8::try_from(at % 251).expect("below 251")));
        bytes
    }

    fn answer_to(bytes: &[u8]) -> BytesMut {
        let (mut input, mut output) = (bytes, BytesMut::new());
        assert_eq!(Handshake::default().read(&mut input, &mut output), Ok(Progress::Done));
        assert_eq!((output.len(), output[0]), (1 + 2 * HANDSHAKE_BYTES, VERSION));
        output
    }

    #[test]
    fn echoes_the_challenge_and_leaves_what_follows() {
        let mut bytes = client_bytes();
        bytes.extend_from_slice(b"chunks");
        let (mut input, mut output) = (&bytes[..], BytesMut::new());
        assert_eq!(Handshake::default().read(&mut input, &mut output), Ok(Progress::Done));
        assert_eq!(input, b"chunks");
        assert_eq!(output[5..9], [0; 4], "a version of zero says that nothing is signed");
        assert_eq!(output[1 + HANDSHAKE_BYTES..], bytes[1..=HANDSHAKE_BYTES]);
    }

    #[test]
    fn one_byte_at_a_time_answers_as_soon_as_the_challenge_is_there() {
        for signed in [false, true] {
            let mut bytes = client_bytes();
            if signed {
                bytes[1..=HANDSHAKE_BYTES].copy_from_slice(&digest::tests::challenge(Scheme::Second));
            }
            let at_once = answer_to(&bytes);
            let (mut handshake, mut output) = (Handshake::default(), BytesMut::new());
            for (at, byte) in bytes.iter().enumerate() {
                let progress = handshake.read(&mut &[*byte][..], &mut output);
                let done = at + 1 == bytes.len();
                assert_eq!(progress, Ok(if done { Progress::Done } else { Progress::Pending }), "byte {at}");
                assert_eq!(output.is_empty(), at < HANDSHAKE_BYTES, "byte {at}");
            }
            assert_eq!(output, at_once);
        }
    }

    #[test]
    fn an_end_within_the_handshake_leaves_little() {
        let bytes = client_bytes();
        for length in 0..bytes.len() {
            let (mut handshake, mut output) = (Handshake::default(), BytesMut::new());
            assert_eq!(handshake.read(&mut &bytes[..length], &mut output), Ok(Progress::Pending), "{length}");
            assert!(handshake.memory_bytes() <= HANDSHAKE_BYTES);
        }
    }

    #[test]
    fn refuses_encryption_and_other_protocols() {
        for first in [0, 2, 6, 8, 9, b'G', 0x16] {
            let result = Handshake::default().read(&mut &[first][..], &mut BytesMut::new());
            assert_eq!(result, Err(Error::Version(first)));
        }
    }

    #[test]
    fn a_version_without_its_digest_is_answered_plainly() {
        let mut bytes = client_bytes();
        bytes[5..9].copy_from_slice(&[9, 0, 124, 2]);
        let output = answer_to(&bytes);
        assert_eq!(output[5..9], [0; 4]);
        assert_eq!(output[1 + HANDSHAKE_BYTES..], bytes[1..=HANDSHAKE_BYTES]);
    }

    #[test]
    fn a_signed_challenge_is_answered_with_signatures_of_its_scheme() {
        for scheme in [Scheme::First, Scheme::Second] {
            let mut bytes = client_bytes();
            let challenge = digest::tests::challenge(scheme);
            bytes[1..=HANDSHAKE_BYTES].copy_from_slice(&challenge);
            let output = answer_to(&bytes);
            assert_eq!(output[5..9], SERVER_VERSION);
            digest::tests::check_answer(scheme, &challenge, &output[1..]);
        }
    }

    /// FFmpeg signs whenever it publishes: what its recorded C1 says is right by its own doing.
    #[test]
    fn ffmpegs_challenge_is_recognised() {
        let recorded = include_bytes!("../../fixtures/rtmp/ffmpeg-5.1-h264-aac.bin");
        let challenge = recorded[1..].first_chunk().expect("a recording begins with C0 and C1");
        let (scheme, _) = Scheme::of(challenge).expect("signed");
        assert_eq!(scheme, Scheme::First);
        let output = answer_to(&recorded[..=2 * HANDSHAKE_BYTES]);
        digest::tests::check_answer(scheme, challenge, &output[1..]);
        let mut damaged = *challenge;
        damaged[1000] ^= 1;
        assert_eq!(Scheme::of(&damaged), None);
    }
}
