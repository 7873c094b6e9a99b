//! AMF3 within commands and metadata (Adobe, *Action Message Format AMF 3*, 2013), rewritten as AMF0.
//!
//! Messages of types 15 and 17 hold AMF0, in which marker 0x11 says that the one value after it is AMF3 (AMF 0 §3.1;
//! Enhanced RTMP v2, "Important AMF3-encoded Historical Specification Clarification"). All readers behind this file, and
//! FFmpeg's flv demuxer, know AMF0 only: so [`rewritten`] puts those values into AMF0. What AMF0 has no form for loses
//! it: a class its name, an XML document its kind, a byte array becomes undefined.
//!
//! AMF3 refers back to texts, classes and values that came before, so a few bytes can stand for very many. Tables are
//! bounded by [`MAX_REFERENCES`], what is written by [`MAX_BYTES`], depth by AMF0's own bound; more is an error.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::media::amf0::{self, Item, MAX_DEPTH};

/// The longest that a rewritten message may be: metadata has under 2 KiB, and before publishing a stranger may cost us
/// little.
pub const MAX_BYTES: usize = 8 * 1024;
/// Entries of each table of references. Flash's `connect` has about 30 texts.
pub const MAX_REFERENCES: usize = 256;

// Markers, §3.1.
const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0A;
const XML: u8 = 0x0B;
const BYTE_ARRAY: u8 = 0x0C;
const VECTOR_INT: u8 = 0x0D;
const VECTOR_UINT: u8 = 0x0E;
const VECTOR_DOUBLE: u8 = 0x0F;
const VECTOR_OBJECT: u8 = 0x10;
const DICTIONARY: u8 = 0x11;

/// Why a message cannot be rewritten; offsets are those of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The AMF0 around it.
    #[error(transparent)]
    Amf0(#[from] amf0::Error),
    /// The input ends within a value.
    #[error("AMF3 value cut short at byte {0}")]
    CutShort(usize),
    /// No marker.
    #[error("AMF3 marker {marker:#04x} at byte {offset} is not understood")]
    Marker {
        /// The byte.
        marker: u8,
        /// Where it is.
        offset: usize,
    },
    /// An object that only its own class could read (§3.12).
    #[error("externalizable AMF3 object at byte {0}")]
    Externalizable(usize),
    /// A reference to what did not come before, or is not complete.
    #[error("AMF3 reference to nothing at byte {0}")]
    Reference(usize),
    /// A dictionary's key that is no text.
    #[error("AMF3 dictionary key that is no text at byte {0}")]
    Key(usize),
    /// A bound was hit: [`MAX_BYTES`], [`MAX_REFERENCES`] or AMF0's depth.
    #[error("more AMF3 than is read, at byte {0}")]
    TooMuch(usize),
}

/// `payload`, a run of AMF0 values, with AMF0 in the place of all AMF3. `None` if there is none of it.
pub fn rewritten(payload: &[u8]) -> Result<Option<Bytes>, Error> {
    // Nearly no message comes farther than this.
    if !payload.contains(&amf0::AVMPLUS) {
        return Ok(None);
    }
    let mut rewriter =
        Rewriter { input: payload, offset: 0, output: Vec::with_capacity(MAX_BYTES), found: false };
    while rewriter.offset < payload.len() {
        if let Err(error) = rewriter.value(0) {
            // Broken AMF0 is for its readers to judge.
            return if rewriter.found { Err(error) } else { Ok(None) };
        }
    }
    Ok(rewriter.found.then(|| Bytes::from(rewriter.output)))
}

/// Copies AMF0 until a value is AMF3.
struct Rewriter<'a> {
    input: &'a [u8],
    offset: usize,
    output: Vec<u8>,
    found: bool,
}

impl<'a> Rewriter<'a> {
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        if depth == MAX_DEPTH {
            return Err(amf0::Error::TooDeep(self.offset).into());
        }
        if self.input.get(self.offset) == Some(&amf0::AVMPLUS) {
            self.found = true;
            let mut translator = Translator::new(self.input, self.offset + 1, &mut self.output);
            translator.value(depth)?;
            self.offset = translator.offset;
            return Ok(());
        }
        match self.copied(amf0::Reader::enter)? {
            Some(Item::Object | Item::EcmaArray) => {
                while self.copied(amf0::Reader::name)?.is_some() {
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            Some(Item::StrictArray(count)) => (0..count).try_for_each(|_| self.value(depth + 1)),
            Some(
                Item::Number(_)
                | Item::Boolean(_)
                | Item::Text(_)
                | Item::Null
                | Item::Undefined
                | Item::Date(_),
            ) => Ok(()),
            None => Err(Error::CutShort(self.offset)),
        }
    }

    /// Reads a piece of AMF0 and copies its bytes.
    fn copied<T>(
        &mut self,
        read: impl FnOnce(&mut amf0::Reader<'a>) -> Result<T, amf0::Error>,
    ) -> Result<T, Error> {
        let input = self.input.get(self.offset..).unwrap_or_default();
        let mut reader = amf0::Reader::new(input);
        let value = read(&mut reader)?;
        let piece = &input[..reader.offset()];
        append(&mut self.output, piece, self.offset)?;
        self.offset += piece.len();
        Ok(value)
    }
}

/// Appends within [`MAX_BYTES`].
fn append(output: &mut Vec<u8>, bytes: &[u8], offset: usize) -> Result<(), Error> {
    if bytes.len() > MAX_BYTES - output.len() {
        return Err(Error::TooMuch(offset));
    }
    output.extend_from_slice(bytes);
    Ok(())
}

/// A run of bytes, of the input or of the output.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// What a value became, for references to it: where it is in the output, and how deep it nests.
#[derive(Clone, Copy)]
struct Written {
    span: Span,
    height: usize,
}

/// A class (§3.12): names of its sealed members, as texts, and whether more properties follow them.
struct Traits {
    members: Vec<Span>,
    dynamic: bool,
}

/// What introduces a value that can be referred to (§2.2 of AMF 3, "U29"): a reference, or a count or length.
enum Lead {
    Reference(usize),
    Inline(usize),
}

/// One AMF3 value with its tables: they begin anew with each marker 0x11 (AMF 3 §4.1).
struct Translator<'a, 'o> {
    input: &'a [u8],
    offset: usize,
    output: &'o mut Vec<u8>,
    texts: Vec<Span>,
    /// `None` while the value is being read: nothing can hold itself.
    values: Vec<Option<Written>>,
    classes: Vec<Traits>,
    members: usize,
}

impl<'a, 'o> Translator<'a, 'o> {
    fn new(input: &'a [u8], offset: usize, output: &'o mut Vec<u8>) -> Self {
        let (texts, values, classes) = (Vec::new(), Vec::new(), Vec::new());
        Self { input, offset, output, texts, values, classes, members: 0 }
    }

    /// Translates a value and says how deep it nests: 1 if it holds no other.
    fn value(&mut self, depth: usize) -> Result<usize, Error> {
        let offset = self.offset;
        if depth >= MAX_DEPTH {
            return Err(Error::TooMuch(offset));
        }
        match self.u8()? {
            UNDEFINED => self.put(&[amf0::UNDEFINED])?,
            NULL => self.put(&[amf0::NULL])?,
            FALSE => self.put(&[amf0::BOOLEAN, 0])?,
            TRUE => self.put(&[amf0::BOOLEAN, 1])?,
            INTEGER => {
                let integer = self.u29()?;
                self.number(f64::from(sign_extended(integer)))?;
            }
            DOUBLE => {
                let double = self.array().map(f64::from_be_bytes)?;
                self.number(double)?;
            }
            STRING => {
                let text = self.text()?;
                self.put_text(text)?;
            }
            marker @ (XML_DOCUMENT | DATE | ARRAY | OBJECT | XML | BYTE_ARRAY | VECTOR_INT | VECTOR_UINT
            | VECTOR_DOUBLE | VECTOR_OBJECT | DICTIONARY) => return self.referable(marker, depth),
            marker => return Err(Error::Marker { marker, offset }),
        }
        Ok(1)
    }

    /// A value that later ones can refer to.
    fn referable(&mut self, marker: u8, depth: usize) -> Result<usize, Error> {
        let count = match self.lead()? {
            Lead::Reference(index) => return self.repeat(index, depth),
            Lead::Inline(count) => count,
        };
        let index = self.values.len();
        if index == MAX_REFERENCES {
            return Err(Error::TooMuch(self.offset));
        }
        self.values.push(None);
        let start = self.output.len();
        let height = match marker {
            XML_DOCUMENT | XML => {
                let text = self.span(count)?;
                self.put_text(text)?;
                1
            }
            DATE => self.date()?,
            ARRAY => self.associative_or_dense(count, depth)?,
            OBJECT => self.object(count, depth)?,
            VECTOR_INT => self
                .vector(count, depth, |numbers| numbers.array().map(|b| f64::from(i32::from_be_bytes(b))))?,
            VECTOR_UINT => self
                .vector(count, depth, |numbers| numbers.array().map(|b| f64::from(u32::from_be_bytes(b))))?,
            VECTOR_DOUBLE => self.vector(count, depth, |numbers| numbers.array().map(f64::from_be_bytes))?,
            VECTOR_OBJECT => {
                // Whether its length is fixed, and its class.
                self.u8()?;
                self.text()?;
                self.strict_array(count, depth)?
            }
            DICTIONARY => self.dictionary(count, depth)?,
            // A byte array: AMF0 has none.
            _ => {
                self.span(count)?;
                self.put(&[amf0::UNDEFINED])?;
                1
            }
        };
        self.values[index] = Some(Written { span: Span { start, end: self.output.len() }, height });
        Ok(height)
    }

    /// Writes again what a reference means.
    fn repeat(&mut self, index: usize, depth: usize) -> Result<usize, Error> {
        let missing = Error::Reference(self.offset);
        let Written { span: Span { start, end }, height } =
            self.values.get(index).copied().flatten().ok_or(missing)?;
        if depth + height > MAX_DEPTH || end - start > MAX_BYTES - self.output.len() {
            return Err(Error::TooMuch(self.offset));
        }
        self.output.extend_from_within(start..end);
        Ok(height)
    }

    /// §3.10, after the marker: milliseconds since 1970.
    fn date(&mut self) -> Result<usize, Error> {
        let milliseconds = self.array::<8>()?;
        self.put(&[amf0::DATE])?;
        self.put(&milliseconds)?;
        self.put(&[0, 0])?;
        Ok(1)
    }

    /// §3.11: named elements until an empty name, then `count` without a name. AMF0 has no mix: with names, the others
    /// are called by their index.
    fn associative_or_dense(&mut self, count: usize, depth: usize) -> Result<usize, Error> {
        let first = self.text()?;
        if is_empty(first) {
            return self.strict_array(count, depth);
        }
        self.put(&[amf0::ECMA_ARRAY, 0, 0, 0, 0])?;
        let mut height = self.named(first, depth)?;
        for index in 0..count {
            let name = index.to_string();
            self.put_name(name.as_bytes())?;
            height = height.max(self.value(depth + 1)?);
        }
        self.put(&[0, 0, amf0::OBJECT_END])?;
        Ok(height + 1)
    }

    /// Named values from the name that was just read up to an empty name.
    fn named(&mut self, first: Span, depth: usize) -> Result<usize, Error> {
        let (mut name, mut height) = (first, 0);
        while !is_empty(name) {
            self.put_span_as_name(name)?;
            height = height.max(self.value(depth + 1)?);
            name = self.text()?;
        }
        Ok(height)
    }

    fn strict_array(&mut self, count: usize, depth: usize) -> Result<usize, Error> {
        self.strict_array_head(count)?;
        let mut height = 0;
        for _ in 0..count {
            height = height.max(self.value(depth + 1)?);
        }
        Ok(height + 1)
    }

    /// An element takes a byte at least, so a count beyond the bound is a lie or too much.
    fn strict_array_head(&mut self, count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).ok().filter(|&count| count as usize <= MAX_BYTES);
        let count = count.ok_or(Error::TooMuch(self.offset))?;
        self.put(&[amf0::STRICT_ARRAY])?;
        self.put(&count.to_be_bytes())
    }

    /// §3.15: numbers of one kind.
    fn vector(
        &mut self,
        count: usize,
        depth: usize,
        number: impl Fn(&mut Self) -> Result<f64, Error>,
    ) -> Result<usize, Error> {
        // Its numbers nest one deeper.
        if depth + 2 > MAX_DEPTH {
            return Err(Error::TooMuch(self.offset));
        }
        // Whether its length is fixed.
        self.u8()?;
        self.strict_array_head(count)?;
        for _ in 0..count {
            let number = number(self)?;
            self.number(number)?;
        }
        Ok(2)
    }

    /// §3.12: values of the class's sealed members, then properties with names if it is dynamic.
    fn object(&mut self, lead: usize, depth: usize) -> Result<usize, Error> {
        let class = self.class(lead)?;
        self.put(&[amf0::OBJECT])?;
        let mut height = 0;
        for member in 0..self.classes[class].members.len() {
            self.put_span_as_name(self.classes[class].members[member])?;
            height = height.max(self.value(depth + 1)?);
        }
        if self.classes[class].dynamic {
            let first = self.text()?;
            height = height.max(self.named(first, depth)?);
        }
        self.put(&[0, 0, amf0::OBJECT_END])?;
        Ok(height + 1)
    }

    /// The index of an object's class. Of `lead`, bit 0 says that the class is inline, bit 1 that it is externalizable,
    /// bit 2 that it is dynamic; above them is the index of a class that came before, or the count of members.
    fn class(&mut self, lead: usize) -> Result<usize, Error> {
        if lead & 1 == 0 {
            let index = lead >> 1;
            return if index < self.classes.len() { Ok(index) } else { Err(Error::Reference(self.offset)) };
        }
        if lead & 2 != 0 {
            return Err(Error::Externalizable(self.offset));
        }
        let count = lead >> 3;
        self.members = self.members.saturating_add(count);
        if self.classes.len() == MAX_REFERENCES || self.members > MAX_REFERENCES {
            return Err(Error::TooMuch(self.offset));
        }
        // The class's own name.
        self.text()?;
        let members = (0..count).map(|_| self.text()).collect::<Result<_, _>>()?;
        self.classes.push(Traits { members, dynamic: lead & 4 != 0 });
        Ok(self.classes.len() - 1)
    }

    /// §3.16, as an object: only keys that are texts have a form in AMF0.
    fn dictionary(&mut self, count: usize, depth: usize) -> Result<usize, Error> {
        // Whether its keys are held weakly.
        self.u8()?;
        self.put(&[amf0::OBJECT])?;
        let mut height = 0;
        for _ in 0..count {
            let offset = self.offset;
            if self.u8()? != STRING {
                return Err(Error::Key(offset));
            }
            let name = self.text()?;
            self.put_span_as_name(name)?;
            height = height.max(self.value(depth + 1)?);
        }
        self.put(&[0, 0, amf0::OBJECT_END])?;
        Ok(height + 1)
    }

    /// §1.3.2: a text, or a reference to one. Empty texts are never referred to.
    fn text(&mut self) -> Result<Span, Error> {
        let span = match self.lead()? {
            Lead::Reference(index) => {
                return self.texts.get(index).copied().ok_or(Error::Reference(self.offset));
            }
            Lead::Inline(length) => self.span(length)?,
        };
        if !is_empty(span) {
            if self.texts.len() == MAX_REFERENCES {
                return Err(Error::TooMuch(self.offset));
            }
            self.texts.push(span);
        }
        Ok(span)
    }

    /// Steps over so many bytes.
    fn span(&mut self, length: usize) -> Result<Span, Error> {
        let start = self.offset;
        let end = start.checked_add(length).filter(|&end| end <= self.input.len());
        self.offset = end.ok_or(Error::CutShort(self.input.len()))?;
        Ok(Span { start, end: self.offset })
    }

    fn lead(&mut self) -> Result<Lead, Error> {
        let bits = self.u29()? as usize;
        Ok(if bits & 1 == 0 { Lead::Reference(bits >> 1) } else { Lead::Inline(bits >> 1) })
    }

    /// §1.3.1: seven bits a byte while the top bit is set, and eight in a fourth.
    fn u29(&mut self) -> Result<u32, Error> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = self.u8()?;
            number = number << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.u8()?))
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Span { start, end } = self.span(N)?;
        self.input[start..end].try_into().map_err(|_| Error::CutShort(end))
    }

    fn number(&mut self, number: f64) -> Result<(), Error> {
        self.put(&[amf0::NUMBER])?;
        self.put(&number.to_be_bytes())
    }

    fn put_text(&mut self, Span { start, end }: Span) -> Result<(), Error> {
        let text = &self.input[start..end];
        // What is longer than a short text's length can say is beyond MAX_BYTES too.
        let length = u16::try_from(text.len()).map_err(|_| Error::TooMuch(start))?;
        self.put(&[amf0::STRING])?;
        self.put(&length.to_be_bytes())?;
        self.put(text)
    }

    fn put_span_as_name(&mut self, Span { start, end }: Span) -> Result<(), Error> {
        self.put_name(&self.input[start..end])
    }

    fn put_name(&mut self, name: &[u8]) -> Result<(), Error> {
        let length = u16::try_from(name.len()).map_err(|_| Error::TooMuch(self.offset))?;
        self.put(&length.to_be_bytes())?;
        self.put(name)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        append(self.output, bytes, self.offset)
    }
}

fn is_empty(span: Span) -> bool {
    span.start == span.end
}

/// The 29 bits as a two's complement number (§3.6).
fn sign_extended(bits: u32) -> i32 {
    (bits << 3).cast_signed() >> 3
}
