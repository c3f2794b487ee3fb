//! The records of a block in few bytes. Owns the packed form: how long they are, as four bytes, and a block of LZ4.

use crate::storage::record::DecodeError;

/// Of how much a damaged head may claim to be. An alert has limits far below it, and a block of several is smaller still.
const UNPACKED_MAX: usize = 16 << 20;

const HEAD_BYTES: usize = 4;

/// Packs blocks, in a buffer that it keeps, and learns from each how far the next will shrink.
pub(super) struct Packer {
    packed: Vec<u8>,
    /// What the last block became: bytes for each 1,024.
    of_1024: usize,
}

impl Default for Packer {
    fn default() -> Packer {
        Packer { packed: Vec::new(), of_1024: 1_024 }
    }
}

impl Packer {
    /// How many bytes so many will probably become.
    pub(super) fn expected(&self, bytes: usize) -> usize {
        HEAD_BYTES + bytes * self.of_1024 / 1_024
    }

    /// The records in the packed form.
    pub(super) fn pack(&mut self, records: &[u8]) -> &[u8] {
        let most = HEAD_BYTES + lz4_flex::block::get_maximum_output_size(records.len());
        if self.packed.len() < most {
            self.packed.resize(most, 0);
        }
        let (head, body) = self.packed.split_at_mut(HEAD_BYTES);
        let length =
            u32::try_from(records.len()).expect("a block has a limit, or is one alert, which has limits far below 4 GiB");
        head.copy_from_slice(&length.to_le_bytes());
        let packed = lz4_flex::block::compress_into(records, body).expect("there is room for the worst case");
        if !records.is_empty() {
            self.of_1024 = (packed * 1_024).div_ceil(records.len());
        }
        &self.packed[..HEAD_BYTES + packed]
    }
}

/// The records that [`Packer::pack`] packed, in `records`.
///
/// # Errors
/// Bytes that are no such block.
pub(super) fn unpack<'r>(packed: &[u8], records: &'r mut Vec<u8>) -> Result<&'r [u8], DecodeError> {
    let damaged = |what: String| DecodeError(format!("a block of alerts cannot be unpacked: {what}"));
    let (length, body) = packed.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| damaged("its head is cut off".to_owned()))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > UNPACKED_MAX {
        return Err(damaged(format!("its head claims {length} bytes")));
    }
    records.resize(length, 0);
    let unpacked = lz4_flex::block::decompress_into(body, records).map_err(|error| damaged(error.to_string()))?;
    if unpacked != length {
        return Err(damaged(format!("{unpacked} bytes instead of {length}")));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(records in proptest::collection::vec(any::<u8>(), 0..3_000), again in 1_usize..20) {
            let records = records.repeat(again);
            let (mut packer, mut found) = (Packer::default(), b"what was there before".to_vec());
            prop_assert_eq!(unpack(packer.pack(&records), &mut found).unwrap(), records.as_slice());
        }

        #[test]
        fn damage_is_an_error_or_other_bytes(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let mut packer = Packer::default();
            let mut packed = packer.pack(&b"an alert, and one that is much like it; ".repeat(40)).to_vec();
            let at = at.index(packed.len());
            if cut {
                packed.truncate(at);
                prop_assert!(unpack(&packed, &mut Vec::new()).is_err());
            } else {
                packed[at] = byte;
                // LZ4 has no check of its own: what comes out is looked at as records.
                drop(unpack(&packed, &mut Vec::new()));
            }
        }
    }

    #[test]
    fn a_block_shrinks_and_the_next_is_expected_to() {
        let mut packer = Packer::default();
        assert_eq!(packer.expected(4_000), 4_004);
        let records = b"an alert, and one that is much like it; ".repeat(100);
        let length = packer.pack(&records).len();
        assert!(length < 200, "{length}");
        assert!((length..length + 4).contains(&packer.expected(records.len())), "{}", packer.expected(records.len()));
    }

    #[test]
    fn a_head_that_claims_too_much_takes_no_memory() {
        let error = unpack(&[0xff; 12], &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "a block of alerts cannot be unpacked: its head claims 4294967295 bytes");
    }
}
