//! Finds the store paths that a text names, such as an image config.

use crate::candidates::{Candidates, HashPart, hash_part, is_name_byte};
use crate::{Error, Result};
use layerstone_store::{HASH_LEN, StorePath};

/// The store paths that a text names: each `STORE_DIR/` with 32 base 32 digits behind it, looked up among the
/// candidates (those of a graph, or of a store directory). Sorted, none twice.
///
/// As everywhere in a store the hash part decides: the name behind it may be cut off or go on with anything. Without a
/// dash behind it, what is unknown is taken for something else.
///
/// # Errors
///
/// `STORE_DIR/HASH-…` stands there and no candidate has that hash part.
pub fn store_paths_in(text: &[u8], store_dir: &str, candidates: &Candidates) -> Result<Vec<StorePath>> {
    let mut paths = Vec::new();
    for (hash, rest) in hash_parts(text, store_dir) {
        match candidates.get(hash) {
            Some((_, found)) => paths.extend_from_slice(found),
            None if rest.first() == Some(&b'-') => {
                let base = hash.iter().chain(rest.iter().take_while(|&&byte| is_name_byte(byte)));
                let text = format!("{store_dir}/{}", base.map(|&byte| char::from(byte)).collect::<String>());
                return Err(Error::Unknown { text, name: candidates.name().to_owned() });
            }
            None => {}
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

/// Each hash part behind `STORE_DIR/` in a text, and what comes after it.
pub(crate) fn hash_parts<'a>(text: &'a [u8], store_dir: &str) -> impl Iterator<Item = (&'a HashPart, &'a [u8])> {
    let prefix = format!("{store_dir}/").into_bytes();
    let starts = (0..text.len()).filter_map(move |start| text[start..].strip_prefix(&*prefix));
    starts.filter_map(|base| hash_part(base).map(|hash| (hash, &base[HASH_LEN..])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Store;

    const BASH: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-bash-5.2";
    const SSL: &str = "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl";

    fn find(text: &str) -> Result<Vec<String>> {
        let candidates = Candidates::new("web.json", [BASH, SSL].map(|path| StorePath::parse(path).unwrap()));
        let paths = store_paths_in(text.as_bytes(), "/nix/store", &candidates)?;
        Ok(paths.iter().map(StorePath::to_string).collect())
    }

    #[test]
    fn paths_in_a_config() {
        let config = format!(r#"{{"Cmd":["{SSL}/bin/x"],"Env":["PATH={BASH}/bin:{SSL}/bin:/bin","X={BASH}"]}}"#);
        assert_eq!(find(&config).unwrap(), [BASH, SSL]);
        assert_eq!(find(&BASH[..43]).unwrap(), [BASH]);
        assert_eq!(find(&BASH[..42]).unwrap(), [""; 0]);
        assert_eq!(find(r#"{"Cmd":["/bin/sh","/nix/store/","/nix/store/x","/gnu/store"]}"#).unwrap(), [""; 0]);
    }

    #[test]
    fn unknown_paths_are_errors() {
        let unknown = "/nix/store/17ql70zj7ri5a0i87244d6dq5ih8q0fr";
        assert_eq!(find(unknown).unwrap(), [""; 0]);
        assert_eq!(find(&format!("{unknown}x-y")).unwrap(), [""; 0]);
        assert_eq!(
            find(&format!("\"{BASH} {unknown}-curl_8/bin\"")).unwrap_err().to_string(),
            format!("unknown store path: {unknown}-curl_8: no path with this hash in web.json")
        );
    }

    #[test]
    fn a_store_directory_knows_its_entries() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", dir.path()).unwrap();
        std::fs::create_dir_all(store.locate(BASH)).unwrap();
        let candidates = Candidates::in_store(&store).unwrap();
        let found = store_paths_in(BASH.as_bytes(), store.dir(), &candidates).unwrap();
        assert_eq!(found, [StorePath::parse(BASH).unwrap()]);
        assert!(store_paths_in(SSL.as_bytes(), store.dir(), &candidates).is_err());
    }
}
