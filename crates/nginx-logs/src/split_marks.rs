//! Finds the few bytes of a text that separate its fields, many bytes at a time.
//!
//! Each found byte gives a mark: its offset plus one, which is where the text behind it begins. The widest way that the
//! processor has is chosen when the program runs; all of them give the same marks.
#![expect(unsafe_code, reason = "vector instructions have no safe form that is chosen at run time")]

/// Bytes that are looked at together.
const STRIDE: usize = 64;

/// Which bytes are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// Line feeds and these two, which may be the same.
    Bytes(u8, u8),
    /// Line feeds, and commas that a space follows.
    Commas,
}

/// Puts the marks of `text` behind those in `marks[..count]`, and says how many there are then. `marks` grows as needed, so
/// that a stride's worth is left behind the last one.
pub(crate) fn mark(text: &[u8], marked: Marked, marks: &mut Vec<u32>, count: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has the instructions, as was just asked.
        return unsafe { wide::mark(text, marked, marks, count) };
    }
    mark_portable(text, marked, marks, count)
}

/// Without vector instructions of a certain processor: eight bytes in a word.
pub(crate) fn mark_portable(text: &[u8], marked: Marked, marks: &mut Vec<u32>, count: usize) -> usize {
    match marked {
        Marked::Bytes(a, b) if a == b => each_stride(text, marks, count, |it, _| {
            bits_of_words(it, |word| zeros(word ^ repeated(a)) | zeros(word ^ repeated(b'\n')))
        }),
        Marked::Bytes(a, b) => each_stride(text, marks, count, |it, _| {
            bits_of_words(it, |word| {
                zeros(word ^ repeated(a)) | zeros(word ^ repeated(b)) | zeros(word ^ repeated(b'\n'))
            })
        }),
        Marked::Commas => each_stride(text, marks, count, |it, next| {
            let commas = bits_of_words(it, |word| zeros(word ^ repeated(b',')));
            let spaces = bits_of_words(it, |word| zeros(word ^ repeated(b' ')));
            let feeds = bits_of_words(it, |word| zeros(word ^ repeated(b'\n')));
            commas & followed(spaces, next) | feeds
        }),
    }
}

/// The bits whose next byte is one of `spaces`.
fn followed(spaces: u64, next: Option<&u8>) -> u64 {
    spaces >> 1 | u64::from(next == Some(&b' ')) << 63
}

fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of each byte that is zero.
fn zeros(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !((word & LOW).wrapping_add(LOW) | word | LOW)
}

/// One bit for each byte of the stride that `found` sets the highest bit of.
fn bits_of_words(stride: &[u8; STRIDE], found: impl Fn(u64) -> u64) -> u64 {
    let mut bits = 0;
    for (index, bytes) in stride.as_chunks::<8>().0.iter().enumerate() {
        // The multiplication gathers the eight highest bits in the highest byte.
        let gathered = (found(u64::from_le_bytes(*bytes)) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (index * 8);
    }
    bits
}

/// Calls `bits_of` for each stride with the byte behind it, and writes down where bits are set.
#[inline(always)]
fn each_stride(
    text: &[u8],
    marks: &mut Vec<u32>,
    mut count: usize,
    bits_of: impl Fn(&[u8; STRIDE], Option<&u8>) -> u64,
) -> usize {
    let (strides, rest) = text.as_chunks::<STRIDE>();
    for (index, stride) in strides.iter().enumerate() {
        let bits = bits_of(stride, text.get((index + 1) * STRIDE));
        count = write_down(marks, count, bits, index * STRIDE);
    }
    if !rest.is_empty() {
        let mut stride = [0; STRIDE];
        stride[..rest.len()].copy_from_slice(rest);
        let bits = bits_of(&stride, None) & ((1 << rest.len()) - 1);
        count = write_down(marks, count, bits, strides.len() * STRIDE);
    }
    count
}

/// Writes four marks at a time, though there may be fewer: that is faster than to ask for each one.
#[inline(always)]
fn write_down(marks: &mut Vec<u32>, count: usize, mut bits: u64, offset: usize) -> usize {
    let found = bits.count_ones() as usize;
    if marks.len() <= count + STRIDE {
        marks.resize((count + STRIDE) * 2, 0);
    }
    let Some(to) = marks[count..].first_chunk_mut::<STRIDE>() else { return count };
    let first = offset as u32 + 1;
    let mut written = 0;
    while written < found {
        let Some(four) = to[written..].first_chunk_mut::<4>() else { break };
        for mark in four {
            *mark = first.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        written += 4;
    }
    count + found
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8,
    };

    use super::{Marked, STRIDE, each_stride, followed};

    /// As `mark_portable`, 32 bytes in a register.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    pub fn mark(text: &[u8], marked: Marked, marks: &mut Vec<u32>, count: usize) -> usize {
        let feed = _mm256_set1_epi8(b'\n' as i8);
        match marked {
            Marked::Bytes(a, b) if a == b => {
                let a = _mm256_set1_epi8(a as i8);
                each_stride(text, marks, count, |stride, _| {
                    let [low, high] = load(stride);
                    let found = |it| _mm256_or_si256(_mm256_cmpeq_epi8(it, a), _mm256_cmpeq_epi8(it, feed));
                    bits(found(low), found(high))
                })
            }
            Marked::Bytes(a, b) => {
                let (a, b) = (_mm256_set1_epi8(a as i8), _mm256_set1_epi8(b as i8));
                each_stride(text, marks, count, |stride, _| {
                    let [low, high] = load(stride);
                    let found = |it| {
                        let either = _mm256_or_si256(_mm256_cmpeq_epi8(it, a), _mm256_cmpeq_epi8(it, b));
                        _mm256_or_si256(either, _mm256_cmpeq_epi8(it, feed))
                    };
                    bits(found(low), found(high))
                })
            }
            Marked::Commas => {
                let (comma, space) = (_mm256_set1_epi8(b',' as i8), _mm256_set1_epi8(b' ' as i8));
                each_stride(text, marks, count, |stride, next| {
                    let [low, high] = load(stride);
                    let equal = |to| bits(_mm256_cmpeq_epi8(low, to), _mm256_cmpeq_epi8(high, to));
                    equal(comma) & followed(equal(space), next) | equal(feed)
                })
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(stride: &[u8; STRIDE]) -> [__m256i; 2] {
        let (low, high) = stride.split_at(32);
        // SAFETY: both halves are 32 bytes long, and these loads need no alignment.
        unsafe { [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())] }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits(low: __m256i, high: __m256i) -> u64 {
        let (low, high) = (_mm256_movemask_epi8(low) as u32, _mm256_movemask_epi8(high) as u32);
        u64::from(low) | u64::from(high) << 32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(text: &[u8], marked: Marked) -> Vec<u32> {
        let is_marked = |at: usize| match (marked, text[at]) {
            (_, b'\n') => true,
            (Marked::Bytes(a, b), byte) => byte == a || byte == b,
            (Marked::Commas, byte) => byte == b',' && text.get(at + 1) == Some(&b' '),
        };
        (0..text.len()).filter(|at| is_marked(*at)).map(|at| at as u32 + 1).collect()
    }

    proptest! {
        #[test]
        fn every_way_marks_the_same_bytes(text in proptest::collection::vec(
            prop_oneof![4 => Just(b'x'), 1 => Just(b'"'), 1 => Just(b','), 1 => Just(b' '), 1 => Just(b'\n'), 1 => any::<u8>()],
            0..400,
        )) {
            for marked in [Marked::Bytes(b'"', b'"'), Marked::Bytes(b'"', b'\\'), Marked::Commas] {
                for way in [mark, mark_portable] {
                    let mut marks = vec![7];
                    let count = way(&text, marked, &mut marks, 1);
                    prop_assert_eq!(&marks[1..count], expected(&text, marked));
                }
            }
        }
    }
}
