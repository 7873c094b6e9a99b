//! The simple handshake (RTMP 1.0 §5.2), server side.
//!
//! The digest handshake of Flash Player 9 is not spoken: S1's version field is zero, and by it every encoder that
//! would sign (FFmpeg, librtmp) knows that it need not. [`answer`] is where a signed S1 and S2 would come from.

use bytes::{BufMut, BytesMut};

/// The only version there is: RTMP without encryption.
const VERSION: u8 = 3;
/// Bytes of C1, S1, C2 and S2 (§5.2.3, §5.2.4).
pub const HANDSHAKE_BYTES: usize = 1536;
/// Fills S1 after its time and zero field. A client echoes it, and only its own echo must be told apart (§5.2.3), so
/// it need not be random.
const FILL: u8 = 0x68;

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
    /// What C2 echoes is not checked: signing clients send something else there, and it proves nothing.
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
                    if challenge.len() == HANDSHAKE_BYTES {
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
}

/// S0, S1 and S2 for C1.
///
/// S2 repeats C1 byte for byte. §5.2.4 would put the time of reading into its second field, but librtmp (OBS)
/// compares all 1536 bytes.
fn answer(challenge: &[u8], output: &mut BytesMut) {
    output.put_u8(VERSION);
    output.put_bytes(0, 8);
    output.put_bytes(FILL, HANDSHAKE_BYTES - 8);
    output.put_slice(challenge);
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

    #[test]
    fn echoes_the_challenge_and_leaves_what_follows() {
        let mut bytes = client_bytes();
        bytes.extend_from_slice(b"chunks");
        let (mut input, mut output) = (&bytes[..], BytesMut::new());
        assert_eq!(Handshake::default().read(&mut input, &mut output), Ok(Progress::Done));
        assert_eq!(input, b"chunks");
        assert_eq!(output.len(), 1 + 2 * HANDSHAKE_BYTES);
        assert_eq!(output[0], 3);
        assert_eq!(output[5..9], [0; 4], "a version of zero says that nothing is signed");
        assert_eq!(output[1 + HANDSHAKE_BYTES..], bytes[1..=HANDSHAKE_BYTES]);
    }

    #[test]
    fn one_byte_at_a_time_answers_as_soon_as_the_challenge_is_there() {
        let bytes = client_bytes();
        let (mut handshake, mut output) = (Handshake::default(), BytesMut::new());
        for (at, byte) in bytes.iter().enumerate() {
            let progress = handshake.read(&mut &[*byte][..], &mut output);
            let done = at + 1 == bytes.len();
            assert_eq!(progress, Ok(if done { Progress::Done } else { Progress::Pending }), "byte {at}");
            assert_eq!(output.is_empty(), at < HANDSHAKE_BYTES, "byte {at}");
        }
    }

    #[test]
    fn refuses_encryption_and_other_protocols() {
        for first in [6, 8, b'G', 0x16] {
            let result = Handshake::default().read(&mut &[first][..], &mut BytesMut::new());
            assert_eq!(result, Err(Error::Version(first)));
        }
    }
}
