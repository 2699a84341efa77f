//! Commands of other programs that this one has by another name or not at all, and what to do instead. They stand in no
//! help.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to do instead of naming a user.
pub const CREDENTIALS: &str =
    "credentials are read from the files of docker and podman: `docker login HOST` or `podman login HOST`";

/// The words, and what to do instead.
const WORDS: [(&str, &str); 21] = [
    ("login", CREDENTIALS),
    ("logout", "credentials are in the files of docker and podman: `docker logout HOST` or `podman logout HOST`"),
    ("run", "docker and podman run images: `layerstone copy FILE docker:`, then `docker run NAME:TAG`"),
    ("load", "`layerstone copy FILE docker:` or `docker load -i FILE`"),
    ("save", "`layerstone copy docker:NAME:TAG FILE`"),
    ("export", "`layerstone overlay export IMAGE` writes the files of an image as a tar"),
    ("tag", "`layerstone copy registry:HOST/NAME:OLD registry:HOST/NAME:NEW`"),
    ("tags", "`layerstone ls HOST/NAME` lists the tags of a repository"),
    ("list-tags", "`layerstone ls HOST/NAME` lists the tags of a repository"),
    ("images", "`layerstone ls HOST/NAME` lists what a registry has, `docker images` what docker has"),
    ("rm", "`layerstone delete HOST/NAME:TAG` deletes an image from a registry"),
    ("rmi", "`layerstone delete HOST/NAME:TAG` deletes an image from a registry"),
    ("validate", "`layerstone check SPEC|IMAGE` looks for what keeps an image from being read or from running"),
    ("lint", "`layerstone check SPEC|IMAGE` looks for what keeps an image from being read or from running"),
    ("convert", "`layerstone copy SRC DST` writes an image in another form"),
    ("plan", "`layerstone layers CLOSURE.JSON` writes a plan, `layerstone build --dry-run` shows one"),
    ("graph", "`layerstone closure` finds what an image needs"),
    ("verify", "`layerstone check IMAGE` reads all of an image, `layerstone closure --verify` store paths"),
    ("squash", "`layerstone build --kind single` makes an image of one layer"),
    ("tree", "`layerstone inspect IMAGE --tree` shows the directories of an image by size"),
    ("history", "`layerstone inspect IMAGE` shows the layers of an image"),
];

/// Whether a command line asks for the version by a word.
pub fn is_version(error: &clap::Error) -> bool {
    word(error).as_deref() == Some("version")
}

/// What to do instead of a command that there is not.
pub fn tip(error: &clap::Error) -> Option<&'static str> {
    let word = word(error)?;
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, tip)| *tip)
}

/// What to do instead of a word behind a command that has commands of its own.
pub fn tip_within(command: &str, word: &str) -> Option<&'static str> {
    match (command, word) {
        ("cache", "clear" | "clean" | "gc" | "rm" | "delete") => {
            Some("`layerstone cache prune --cache-size 0` removes all that the cache holds")
        }
        ("cache", "ls" | "list" | "du" | "info" | "show") => {
            Some("`layerstone cache stats` tells what the cache holds")
        }
        ("overlay", "mount") => Some("`layerstone overlay export IMAGE` writes the files of an image as a tar"),
        _ => None,
    }
}

/// The word that stands where a command should, and is none.
fn word(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let mut words = std::env::args_os().skip(1);
    // Not that of a command of its own, such as `cache`.
    let is_first = words.find(|it| !it.as_encoded_bytes().starts_with(b"-")).is_some_and(|first| first == **word);
    (error.kind() == ErrorKind::InvalidSubcommand && is_first).then(|| word.clone())
}
