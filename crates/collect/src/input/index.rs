//! Where reading a large .gz can begin in the middle: remembered in the user's cache, so that a second question about a span
//! of time need not unpack everything before it.
//!
//! A place is the boundary of two deflate blocks, with the 32 KiB of text before it that what follows may refer to, and the
//! latest time that stands before it. An index is used for the very file that it was made of only, and is left out of
//! account when anything about it is odd. Nothing depends on it.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use jiff::Timestamp;

use super::parts::read_at;

/// How far deflate refers back. Source: RFC 1951.
pub const WINDOW_BYTES: usize = 32 << 10;
/// Text at a place by which it is checked.
pub const CHECK_BYTES: usize = 32;
/// Smaller files are unpacked at once.
const WORTH_BYTES: u64 = 1 << 20;
/// Text between two places at first; it is doubled whenever there are too many.
const SPACING_BYTES: u64 = 4 << 20;
const MOST_PLACES: usize = 256;
/// What all indexes of a user may take.
const MOST_CACHE_BYTES: u64 = 64 << 20;
/// Changes whenever the layout does.
const MAGIC: &[u8; 8] = b"why502i1";
/// The beginning of a file, which tells it from another one that took its place.
const FINGERPRINT_BYTES: usize = 4096;

/// A place at which unpacking can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The first byte of the packed file of which no bit was used.
    pub packed: u64,
    /// How much text is before it.
    pub text: u64,
    /// The latest time before it, in seconds; unknown where no line had one.
    pub latest: Option<i64>,
    /// The text that follows, to know a wrong place by.
    pub check: Vec<u8>,
    /// Deflated.
    window: Vec<u8>,
}

impl Place {
    pub fn new(packed: u64, text: u64, window: &[u8]) -> Place {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        let window = deflated.write_all(window).and_then(|()| deflated.finish()).unwrap_or_default();
        Place { packed, text, latest: None, check: Vec::new(), window }
    }

    /// The text before it.
    pub fn window(&self) -> Option<Vec<u8>> {
        let mut window = Vec::new();
        let most = WINDOW_BYTES as u64 + 1;
        DeflateDecoder::new(self.window.as_slice()).take(most).read_to_end(&mut window).ok()?;
        (window.len() == WINDOW_BYTES).then_some(window)
    }
}

/// The places of one file. Who unpacks it adds to them, who cuts the text into blocks says what time it was.
#[derive(Debug, Clone)]
pub struct Index(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    key: Vec<u8>,
    places: Vec<Place>,
    spacing: u64,
    /// How many of the places are not in the cache yet.
    new: usize,
}

impl Index {
    /// What is known of a file; `None` where an index is not worth it.
    pub fn within(folder: &Path, file: &File) -> Option<Index> {
        let metadata = file.metadata().ok()?;
        if metadata.len() < WORTH_BYTES || !metadata.is_file() {
            return None;
        }
        let mut head = vec![0; FINGERPRINT_BYTES];
        let read = read_at(file, &mut head, 0).ok()?;
        let mut key = Vec::new();
        for number in [metadata.dev(), metadata.ino(), metadata.len()] {
            key.extend(number.to_le_bytes());
        }
        key.extend(metadata.mtime().to_le_bytes());
        key.extend(metadata.mtime_nsec().to_le_bytes());
        key.extend(checksum(&head[..read]).to_le_bytes());
        let path = folder.join(format!("{:x}-{:x}.gzi", metadata.dev(), metadata.ino()));
        let places = fs::read(&path).ok().and_then(|it| decode(&it, &key)).unwrap_or_default();
        let spacing = places.windows(2).map(|it| it[1].text - it[0].text).min().unwrap_or(0);
        let inner = Inner { path, key, places, spacing: spacing.max(SPACING_BYTES), new: 0 };
        Some(Index(Arc::new(Mutex::new(inner))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// The last place before which all lines are too early.
    pub fn last_before(&self, is_before: impl Fn(Timestamp) -> bool) -> Option<Place> {
        let inner = self.lock();
        let early =
            |it: &&Place| it.latest.and_then(|it| Timestamp::from_second(it).ok()).is_some_and(&is_before);
        inner.places.iter().take_while(early).last().cloned()
    }

    /// Whether a place is wanted as soon as that much text has been unpacked.
    pub fn wants(&self, text: u64) -> bool {
        let inner = self.lock();
        text >= inner.places.last().map_or(0, |it| it.text) + inner.spacing
    }

    pub fn add(&self, place: Place) {
        let mut inner = self.lock();
        inner.places.push(place);
        inner.new += 1;
        if inner.places.len() >= MOST_PLACES {
            let mut number = 0;
            inner.places.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            inner.spacing *= 2;
        }
    }

    /// What follows the last place. More than is needed does no harm.
    pub fn check(&self, text: &[u8]) {
        if let Some(last) = self.lock().places.last_mut() {
            let missing = CHECK_BYTES - last.check.len();
            last.check.extend_from_slice(&text[..text.len().min(missing)]);
        }
    }

    /// That all lines before `text` are at most so late.
    pub fn passed(&self, text: u64, latest: Option<Timestamp>) {
        let latest = latest.map(|it| it.as_second() + 1);
        for place in self.lock().places.iter_mut().rev().take_while(|it| it.latest.is_none()) {
            if place.text <= text {
                place.latest = latest;
            }
        }
    }

    /// Writes it into the cache, unless it is there. Whether that succeeds makes no difference to anybody now.
    pub fn save(&self) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.new) > 0 {
            let _ = write(&inner);
        }
    }
}

/// The user's cache. Source: XDG Base Directory Specification 0.8.
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("why502"))
}

fn write(inner: &Inner) -> io::Result<()> {
    let Some(folder) = inner.path.parent() else { return Ok(()) };
    // What stands in logs is for nobody else.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let bytes = encode(inner);
    make_room(folder, bytes.len() as u64)?;
    let half = inner.path.with_extension(format!("{}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&half)?;
    let written = file.write_all(&bytes).and_then(|()| fs::rename(&half, &inner.path));
    if written.is_err() {
        let _ = fs::remove_file(&half);
    }
    written
}

/// Removes the indexes that were written first.
fn make_room(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|it| {
            let metadata = it.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), it.path()))
        })
        .collect();
    files.sort();
    let mut total = files.iter().map(|it| it.1).sum::<u64>() + bytes;
    for (_, length, path) in files {
        if total > MOST_CACHE_BYTES && fs::remove_file(path).is_ok() {
            total -= length;
        }
    }
    Ok(())
}

/// The magic, the key, the places, a checksum of all that. Numbers are little-endian, texts have their length before them.
fn encode(inner: &Inner) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let put = |bytes: &mut Vec<u8>, text: &[u8]| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text);
    };
    put(&mut bytes, &inner.key);
    for place in inner.places.iter().filter(|it| it.latest.is_some() && it.check.len() == CHECK_BYTES) {
        for number in [place.packed, place.text, place.latest.unwrap_or_default() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        put(&mut bytes, &place.check);
        put(&mut bytes, &place.window);
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], key: &[u8]) -> Option<Vec<Place>> {
    let (bytes, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = bytes.strip_prefix(MAGIC)?;
    if text(&mut rest)? != key {
        return None;
    }
    let mut places: Vec<Place> = Vec::new();
    while !rest.is_empty() {
        let (packed, begins, latest) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        let (check, window) = (text(&mut rest)?.to_vec(), text(&mut rest)?.to_vec());
        if places.last().is_some_and(|it| it.text >= begins) {
            return None;
        }
        places.push(Place { packed, text: begins, latest: Some(latest as i64), check, window });
    }
    Some(places)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::super::gzip::{Gzip, inflater_at};
    use super::super::tests::gzip;
    use super::*;
    use crate::testing::Folder;

    /// Text that does not pack well, 12 MB.
    fn text() -> Vec<u8> {
        let mut state = 1_u64;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:x} ", state >> 20)
        };
        let mut text = Vec::new();
        while text.len() < 12 << 20 {
            text.extend(word().into_bytes());
        }
        text
    }

    fn read_all(mut reader: impl Read) -> Vec<u8> {
        let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => return text,
                length => text.extend(&buffer[..length]),
            }
        }
    }

    /// An index of a packed file, as reading it leaves it in the cache.
    fn remembered(folder: &Folder, text: &[u8]) -> (File, Index) {
        let file = File::open(folder.path().join("log.gz")).unwrap();
        let cache = folder.path().join("cache");
        let index = Index::within(&cache, &file).unwrap();
        assert!(read_all(Gzip::new(&file, Some(index.clone()))) == text);
        index.passed(text.len() as u64, Timestamp::from_second(100).ok());
        index.save();
        let again = Index::within(&cache, &file).unwrap();
        assert_eq!(again.lock().places, index.lock().places);
        (file, again)
    }

    #[test]
    fn unpacking_goes_on_at_every_remembered_place() {
        let text = text();
        // Two members, so that the end of the first one is passed by who did not see its beginning.
        let packed = [gzip(&text[..9 << 20]), gzip(&text[9 << 20..])].concat();
        let folder = Folder::new().file("log.gz", packed);
        let (mut file, index) = remembered(&folder, &text);
        let places = index.lock().places.clone();
        assert!(places.len() >= 2, "{}", places.len());
        for place in places {
            let inflate = inflater_at(&file, &place).expect("the place is good");
            file.seek(SeekFrom::Start(place.packed)).unwrap();
            let rest = read_all(Gzip::resume(&file, index.clone(), &place, inflate));
            assert!(rest == text[place.text as usize..], "from {}", place.text);
            let wrong = Place { packed: place.packed + 1, ..place };
            assert!(inflater_at(&file, &wrong).is_none());
        }
    }

    #[test]
    fn an_index_of_another_file_or_a_damaged_one_is_not_used() {
        let text = text();
        let folder = Folder::new().file("log.gz", gzip(&text));
        let (file, index) = remembered(&folder, &text);
        let path = index.lock().path.clone();
        let key = index.lock().key.clone();
        let bytes = fs::read(&path).unwrap();
        assert!(decode(&bytes, &key).is_some_and(|it| !it.is_empty()));
        for at in (0..bytes.len()).step_by(997) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, &key), None, "{at}");
            assert_eq!(decode(&bytes[..at], &key), None, "{at}");
        }
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let changed = Index::within(path.parent().unwrap(), &file).unwrap();
        assert!(changed.lock().places.is_empty());
    }
}
