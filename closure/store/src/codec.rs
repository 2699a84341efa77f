//! Encodes bulk data in binary, for files that no person reads; the one module that names bincode.
//!
//! The bytes are plain enough for another codec to take over without a file changing: integers are little-endian and as
//! wide as their type, a length or count is a u64 before what it counts, an option is a byte, 0 or 1, before its value,
//! a variant of an enum is a u32 before its fields, and fields come in the order in which they are declared.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian, standard};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No value has more bytes than this; a length that would need more is no length. Raising it lets bigger values in.
const LIMIT: usize = 1 << 30;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<LIMIT>> =
    standard().with_fixed_int_encoding().with_limit::<LIMIT>();

/// The bytes of a value; none if there are more than a GiB of them.
pub fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    bincode::serde::encode_to_vec(value, CONFIGURATION).ok()
}

/// The value of these bytes; none if they are not exactly those of one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, length) = bincode::serde::decode_from_slice(bytes, CONFIGURATION).ok()?;
    (length == bytes.len()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Sample {
        number: u32,
        text: String,
        bytes: Vec<u8>,
        option: Option<u64>,
        variant: Variant,
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    enum Variant {
        First,
        Second { mode: u32 },
    }

    fn sample() -> Sample {
        let variant = Variant::Second { mode: 0o444 };
        Sample { number: 7, text: "ab".to_owned(), bytes: vec![255], option: Some(1), variant }
    }

    /// Written by hand from the module's first paragraphs.
    const BYTES: &[u8] =
        b"\x07\0\0\0\x02\0\0\0\0\0\0\0ab\x01\0\0\0\0\0\0\0\xff\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\x24\x01\0\0";

    #[test]
    fn the_bytes_are_those_that_are_described() {
        assert_eq!(encode(&sample()).unwrap(), BYTES);
        assert_eq!(decode::<Sample>(BYTES), Some(sample()));
        assert_eq!(encode(&Variant::First).unwrap(), [0; 4]);
    }

    #[test]
    fn nothing_less_and_nothing_more() {
        for end in 0..BYTES.len() {
            assert_eq!(decode::<Sample>(&BYTES[..end]), None, "{end}");
        }
        assert_eq!(decode::<Sample>(&[BYTES, b"\0"].concat()), None);
        // A count beyond all memory.
        assert_eq!(decode::<Vec<u64>>(&[0xff; 16]), None);
    }
}
