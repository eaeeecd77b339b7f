//! How a log is packed, told by its first bytes and never by its name; and its text.

use std::fmt::Display;
use std::io::{self, Read};

use super::gzip::Gzip;
use super::index::Index;

/// How the bytes of a file have to be changed to become lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Utf16Le,
    Utf16Be,
}

/// UTF-8's; some editors put it before a text.
pub const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Bytes from which the encoding of a text without a mark is told.
const GUESSED_FROM_BYTES: usize = 4096;

/// A window that zstd needs for `--ultra -22`; more is refused, for it would be memory.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The memory that an xz stream of the highest level needs.
const XZ_MEMORY_KIB: u32 = 80 << 10;

impl Packing {
    /// As reports name it; empty for plain text.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Plain => "",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Xz => "xz",
            Packing::Bzip2 => "bzip2",
            Packing::Utf16Le | Packing::Utf16Be => "utf-16",
        }
    }

    /// What a file that begins so is. Sources: RFC 1952, RFC 8878, the .xz format 1.2, bzip2's manual.
    pub fn of(head: &[u8]) -> Packing {
        match head {
            [0x1f, 0x8b, 8, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Packing::Bzip2,
            [0xff, 0xfe, ..] => Packing::Utf16Le,
            [0xfe, 0xff, ..] => Packing::Utf16Be,
            _ => Packing::by_zeros(&head[..head.len().min(GUESSED_FROM_BYTES)]),
        }
    }

    /// In UTF-16 every other byte of a log is 0. A hole that a crash left is zeros alone.
    fn by_zeros(head: &[u8]) -> Packing {
        let zeros = |odd: usize| head.chunks_exact(2).filter(|it| it[odd] == 0).count();
        let (pairs, even, odd) = (head.len() / 2, zeros(0), zeros(1));
        if pairs < 4 {
            Packing::Plain
        } else if odd * 10 > pairs * 8 && even * 20 < pairs {
            Packing::Utf16Le
        } else if even * 10 > pairs * 8 && odd * 20 < pairs {
            Packing::Utf16Be
        } else {
            Packing::Plain
        }
    }

    /// The text of what `inner` reads; only gzip adds to an index.
    pub fn open<'a>(
        self,
        inner: impl Read + Send + 'a,
        index: Option<Index>,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Packing::Plain => Box::new(inner),
            Packing::Gzip => Box::new(Gzip::new(inner, index)),
            Packing::Zstd => {
                let mut reader = zstd::Decoder::new(inner)?;
                reader.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(Unpacked(reader))
            }
            Packing::Xz => {
                Box::new(Unpacked(lzma_rust2::XzReader::new_mem_limit(inner, true, XZ_MEMORY_KIB)))
            }
            Packing::Bzip2 => Box::new(Unpacked(bzip2::read::MultiBzDecoder::new(inner))),
            Packing::Utf16Le => Box::new(Utf16::new(inner, u16::from_le_bytes)),
            Packing::Utf16Be => Box::new(Utf16::new(inner, u16::from_be_bytes)),
        })
    }
}

/// The text of what `inner` reads, whatever the packing, and which it was. Text in UTF-16 that was compressed as well.
pub fn text_of<'a>(
    inner: impl Read + Send + 'a,
    index: Option<Index>,
) -> io::Result<(Packing, Box<dyn Read + Send + 'a>)> {
    let (head, inner) = peek(inner)?;
    let packing = Packing::of(&head);
    let (head, text) = peek(packing.open(inner, index)?)?;
    let text: Box<dyn Read + Send + 'a> = match Packing::of(&head) {
        inside @ (Packing::Utf16Le | Packing::Utf16Be) => inside.open(text, None)?,
        _ if head.starts_with(&BYTE_ORDER_MARK) => {
            let mut text = text;
            text.read_exact(&mut [0; BYTE_ORDER_MARK.len()])?;
            Box::new(text)
        }
        _ => Box::new(text),
    };
    Ok((packing, text))
}

/// The first bytes, and a reader that reads them again. An error that comes that early is met again as well.
fn peek<R: Read>(mut inner: R) -> io::Result<(Vec<u8>, impl Read + use<R>)> {
    let mut head = vec![0; GUESSED_FROM_BYTES];
    let mut length = 0;
    let mut failed = None;
    while length < head.len() {
        match inner.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if length == 0 => return Err(error),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    head.truncate(length);
    Ok((head.clone(), io::Cursor::new(head).chain(Failed(failed)).chain(inner)))
}

/// Gives an error once.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _output: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Says of every packing in the same words why it cannot be unpacked any further.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        use io::ErrorKind::{BrokenPipe, Interrupted, OutOfMemory, UnexpectedEof};
        self.0.read(output).map_err(|error| match error.kind() {
            UnexpectedEof => cut(),
            // What the system says of the file, and whoever stopped us, is no damage in it.
            Interrupted | BrokenPipe => error,
            _ if error.raw_os_error().is_some() => error,
            OutOfMemory => too_much_memory(),
            // zstd tells it by words alone.
            _ if error.to_string().contains("too much memory") => too_much_memory(),
            _ => damaged(error),
        })
    }
}

fn too_much_memory() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "it takes more memory to unpack than is reasonable for a log")
}

pub fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed data ends in the middle")
}

pub fn damaged(why: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed data is damaged: {why}"))
}

/// UTF-16 as UTF-8; what is no character becomes U+FFFD.
struct Utf16<R> {
    inner: R,
    unit: fn([u8; 2]) -> u16,
    input: Vec<u8>,
    /// Bytes at the beginning of `input` that are the first half of something.
    left: usize,
    text: Vec<u8>,
    given: usize,
    first: bool,
}

impl<R: Read> Utf16<R> {
    fn new(inner: R, unit: fn([u8; 2]) -> u16) -> Utf16<R> {
        Utf16 { inner, unit, input: vec![0; 64 << 10], left: 0, text: Vec::new(), given: 0, first: true }
    }

    /// False at the end.
    fn refill(&mut self) -> io::Result<bool> {
        let length = self.inner.read(&mut self.input[self.left..])?;
        let end = self.left + length;
        let units: Vec<u16> =
            self.input[..end].chunks_exact(2).map(|it| (self.unit)([it[0], it[1]])).collect();
        // The first half of a pair waits for the second one, unless nothing follows.
        let open = length > 0 && units.last().is_some_and(|it| (0xd800..0xdc00).contains(it));
        let whole = units.len() - usize::from(open);
        self.text.clear();
        self.given = 0;
        for character in char::decode_utf16(units[..whole].iter().copied()) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            if !(std::mem::take(&mut self.first) && character == '\u{feff}') {
                self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        self.input.copy_within(whole * 2..end, 0);
        self.left = end - whole * 2;
        if length == 0 && self.left > 0 {
            self.left = 0;
            self.text.extend_from_slice("\u{fffd}".as_bytes());
        }
        Ok(length > 0 || !self.text.is_empty())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if !self.refill()? {
                return Ok(0);
            }
        }
        let rest = &self.text[self.given..];
        let length = rest.len().min(output.len());
        output[..length].copy_from_slice(&rest[..length]);
        self.given += length;
        Ok(length)
    }
}
