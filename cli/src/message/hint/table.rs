//! Hints that one sentence of an error calls for, whatever the command.

/// What an error's text holds, and what to do.
const ROWS: [(&str, &str); 22] = [
    ("not a label: ", "--label NAME=VALUE"),
    ("expected NAME=VALUE", "--env NAME=VALUE: the caller's environment is not taken over"),
    ("the image would not run:", "without --strict this is a warning, --no-check does not look"),
    ("wrong --repo-tag: ", "--repo-tag NAME:latest"),
    ("expected IMAGE before REF", "the other way round: `layerstone push IMAGE HOST/NAME:TAG`"),
    ("expected @sha256: and 64", "`layerstone digest HOST/NAME:TAG` prints it"),
    ("and a tag only in its own place", "HOST/NAME:TAG has one colon behind the last slash"),
    ("without a tag or a digest", "`layerstone ls HOST/NAME` lists the tags"),
    ("no place: expected ", "-o NAME.tar writes an archive"),
    ("no path: ", "a name stands behind the colon, such as oci:image"),
    ("expected oci-layout or an empty folder", "a folder of its own holds a layout, such as one below it"),
    (" too, expected another file", "write to another name, and move it over the input afterwards"),
    (" too, expected two files", "each output has a name of its own"),
    ("not a folder: ", "choose another name for the folder"),
    ("--state: found ", "-o oci:DIR --state STATE writes what changed into a layout"),
    (
        "useless pattern: ",
        "patterns match names without the hash, as 'glibc*'; `layerstone inspect CLOSURE.JSON` shows them",
    ),
    (" to be less", "--index 0 is the bottom layer; --all makes all of them"),
    ("found none with the key ", "--index N makes a layer by its place, 0 being the bottom one"),
    ("no image: ", "bottom first, the customisation layer last: layers/*.layer.json root.layer.json"),
    ("no cache: ", "a build with --cache DIR makes one"),
    ("not a cache: ", "a folder that is empty, or not there yet, becomes a cache"),
    ("found no tar header", "images are archives, OCI layouts and places such as registry:HOST/NAME:TAG"),
];

/// What to do about an error with this text.
pub fn of(text: &str) -> Option<&'static str> {
    ROWS.iter().find(|(sentence, _)| text.contains(sentence)).map(|(_, hint)| *hint)
}
