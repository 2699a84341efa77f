//! What a fuzzer drives of this crate, and what must hold whatever it finds: bundles, envelopes, payloads, statements and keys
//! are read without a panic, what is read is written the same, and nothing is verified by a key that signed nothing.

use crate::{
    Bundle, Envelope, Error, Evidence, PrivateKey, PublicKey, ReadBundle, SignedImage, SimpleSigning, Statement,
};
use layerstone_store::{Digest, Limits};

/// A key that has signed nothing.
const KEY: &[u8] = b"-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=
-----END PUBLIC KEY-----
";

/// A bundle, or what is in one, or a key: any may be.
pub fn bundle(bytes: &[u8]) {
    let limits = Limits::default();
    let image = SignedImage { digest: Digest::of(bytes), bytes };
    let key = [PublicKey::from_pem(KEY, "key").expect("it is a key")];
    if let Ok(ReadBundle::Keyed(bundle)) = Bundle::parse(bytes, "bundle", &limits) {
        let written = bundle.to_bytes();
        let read = Bundle::parse(&written, "bundle", &limits).expect("what is written is read");
        assert_eq!(read, ReadBundle::Keyed(bundle));
    }
    let found = [
        Evidence::bundle(bytes, image.digest, &limits),
        Evidence::envelope(bytes, image.digest, false, &limits),
        Evidence::simple(bytes.to_vec(), "c2lnbmF0dXJl", image.digest, false),
    ];
    for evidence in found.into_iter().flatten() {
        let doubt = evidence.verify(image, &key, &limits).expect_err("the key signed nothing");
        assert!(!doubt.to_string().contains('\n'), "{doubt}");
    }
    if let Ok(envelope) = Envelope::parse(bytes, "envelope", &limits) {
        let written = serde_json::to_vec(&envelope).expect("texts");
        assert_eq!(Envelope::parse(&written, "envelope", &limits).ok(), Some(envelope));
    }
    if let Ok(simple) = SimpleSigning::parse(bytes, "payload", &limits) {
        assert_eq!(SimpleSigning::parse(&simple.to_bytes(), "payload", &limits).ok(), Some(simple));
    }
    if let Ok(statement) = Statement::parse(bytes, "statement", &limits) {
        assert_eq!(Statement::parse(&statement.to_bytes(), "statement", &limits).ok(), Some(statement));
    }
    for key in [PublicKey::from_pem(bytes, "key"), PublicKey::from_der(bytes, "key")].into_iter().flatten() {
        assert_eq!(PublicKey::from_pem(key.to_pem().as_bytes(), "key").ok(), Some(key));
    }
    // A password costs a second, and is never right.
    let closed = || Err(Error::Encrypted { name: "key".to_owned(), cause: "closed".to_owned() });
    if let Ok(key) = PrivateKey::from_pem(bytes, "key", closed) {
        let signature = key.sign(bytes).expect("the system has random bytes");
        assert!(key.public().has_signed(bytes, &signature));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("bundle", super::bundle);
    }
}
