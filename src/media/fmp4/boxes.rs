//! Walking boxes: the header before each one, and the children within one (ISO/IEC 14496-12 §4.2).

use mp4_atom::Atom;

use super::BoxType;
use super::read::Error;

/// The header of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: BoxType,
    /// Bytes of the header itself: 8, or 16 with a 64-bit size.
    pub header_size: usize,
    /// Bytes of the whole box, the header included; at least `header_size`.
    pub size: u64,
}

impl Header {
    /// Reads the header at the front of `bytes`, which is `offset` bytes into the stream; `Ok(None)` when more bytes are
    /// needed. A size of 0, "to the end of the file", is refused: a fragment that never ends is none.
    pub fn read(bytes: &[u8], offset: u64) -> Result<Option<Self>, Error> {
        let Some((size, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let Some((&kind, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let kind = BoxType(kind);
        let (header_size, size) = match (u32::from_be_bytes(*size), rest.first_chunk()) {
            (1, None) => return Ok(None),
            (1, Some(&large)) => (16, u64::from_be_bytes(large)),
            (size, _) => (8, u64::from(size)),
        };
        if size < header_size as u64 {
            return Err(Error::Size { kind, offset, size });
        }
        Ok(Some(Self { kind, header_size, size }))
    }

    /// The whole size as an index, when it is at most `limit`.
    pub fn bounded(&self, offset: u64, limit: usize) -> Result<usize, Error> {
        let Self { kind, size, .. } = *self;
        match usize::try_from(size) {
            Ok(bytes) if bytes <= limit => Ok(bytes),
            _ => Err(Error::TooLarge { kind, offset, size, limit }),
        }
    }
}

/// A box that is there as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    pub kind: BoxType,
    /// Where the box begins, in bytes from the start of the stream.
    pub offset: u64,
    /// Where its body begins.
    body_offset: u64,
    pub body: &'a [u8],
}

impl<'a> Whole<'a> {
    /// A box with this header, from `bytes` that begin with it and hold all of it.
    pub fn new(header: Header, offset: u64, bytes: &'a [u8]) -> Self {
        let Header { kind, header_size, .. } = header;
        Self {
            kind,
            offset,
            body_offset: offset.saturating_add(header_size as u64),
            body: &bytes[header_size..],
        }
    }

    /// Where the body lies, in bytes from the start of the stream.
    pub fn body_range(&self) -> std::ops::Range<u64> {
        self.body_offset..self.body_offset.saturating_add(self.body.len() as u64)
    }

    /// The boxes in the body after its first `skip` bytes.
    pub fn children(&self, skip: usize) -> Children<'a> {
        let rest = self.body.get(skip..).unwrap_or_default();
        Children { rest, offset: self.body_offset.saturating_add(skip as u64) }
    }

    /// The first child of this type, which must be there.
    pub fn child(&self, kind: [u8; 4]) -> Result<Whole<'a>, Error> {
        self.child_after(0, kind)
    }

    /// The same, after `skip` bytes of the body.
    pub fn child_after(&self, skip: usize, kind: [u8; 4]) -> Result<Whole<'a>, Error> {
        let missing = Error::Missing { kind: BoxType(kind), within: self.kind, offset: self.offset };
        self.find_after(skip, kind)?.ok_or(missing)
    }

    /// The first child of this type after `skip` bytes of the body, if there is one.
    pub fn find_after(&self, skip: usize, kind: [u8; 4]) -> Result<Option<Whole<'a>>, Error> {
        self.children(skip).find(|child| !matches!(child, Ok(other) if other.kind.0 != kind)).transpose()
    }

    /// The body as a leaf box of `mp4-atom`.
    pub fn decode<T: Atom>(&self) -> Result<T, Error> {
        T::decode_body(&mut &*self.body).map_err(|error| self.malformed(&error))
    }

    /// This box cannot be understood, for the reason that `mp4-atom` gives.
    pub fn malformed(&self, error: &mp4_atom::Error) -> Error {
        Error::Malformed { kind: self.kind, offset: self.offset, detail: error.to_string() }
    }
}

/// Iterates over boxes that lie one after another and fill a body. Ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Children<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<Whole<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, offset) = (std::mem::take(&mut self.rest), self.offset);
        if bytes.is_empty() {
            return None;
        }
        let header = match Header::read(bytes, offset) {
            Ok(Some(header)) => header,
            Ok(None) => return Some(Err(Error::CutShort { offset })),
            Err(error) => return Some(Err(error)),
        };
        let Some((whole, rest)) =
            usize::try_from(header.size).ok().and_then(|size| bytes.split_at_checked(size))
        else {
            return Some(Err(Error::CutShort { offset }));
        };
        (self.rest, self.offset) = (rest, offset.saturating_add(header.size));
        Some(Ok(Whole::new(header, offset, whole)))
    }
}
