//! Memory for whole blocks of a disk.

use super::BLOCK_BYTES;

/// Memory that is kept between writes.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// A buffer whose bytes lie where a device can read them itself: at a multiple of a block.
#[derive(Debug, Default)]
pub struct Blocks {
    memory: Vec<u8>,
    start: usize,
}

impl Blocks {
    /// Fills it with these parts, one behind the other, and as many zeros behind them.
    pub fn fill(&mut self, parts: &[&[u8]], zeros: usize) -> &[u8] {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + zeros;
        self.memory.clear();
        self.memory.shrink_to(KEPT_BYTES_MAX);
        // With room to begin anywhere: from here on it lies where it lies.
        self.memory.reserve(length + BLOCK_BYTES);
        self.start = self.memory.as_ptr().addr().next_multiple_of(BLOCK_BYTES) - self.memory.as_ptr().addr();
        self.memory.resize(self.start, 0);
        for part in parts {
            self.memory.extend_from_slice(part);
        }
        self.memory.resize(self.start + length, 0);
        &self.memory[self.start..]
    }
}
