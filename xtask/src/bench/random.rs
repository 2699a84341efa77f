//! Numbers that look random and are the same everywhere: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
//! number generators", 2014).

/// A generator; its seed decides all that comes.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`, which is small: the unevenness of the remainder does not matter here.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// The hash part of a store path: 32 digits of Nix's base 32.
    pub fn hash_part(&mut self) -> String {
        const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
        (0..32).map(|_| char::from(DIGITS[(self.next() >> 59) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_eq!(random.hash_part().len(), 32);
    }
}
