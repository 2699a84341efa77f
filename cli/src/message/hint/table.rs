//! Hints that one sentence of an error calls for, whatever the command: of errors that other errors hold as text alone, such
//! as those of a spec's keys, of names in places, and of what a script's inside says.

/// Where stdout was open once, a broken pipe is no error that is told.
const CLOSED: &str = "stdout is closed: >FILE keeps what is written there, >/dev/null throws it away";

/// What an error's text holds, and what to do.
const ROWS: [(&str, &str); 16] = [
    ("--max-layers: found 0", "--max-layers 100 is usual; docker takes up to 127, those of the base among them"),
    ("expected NAME=VALUE", "--env NAME=VALUE: the caller's environment is not taken over"),
    ("expected @sha256: and 64", "`layerstone digest HOST/NAME:TAG` prints it"),
    ("found the port ", "ports are 1 to 65535, as in localhost:5000/NAME:TAG"),
    ("standard output: Broken pipe", CLOSED),
    ("stdout: Broken pipe", CLOSED),
    ("--level: found ", "without the flag it is the usual one"),
    ("no source of references: ", "--scan finds references in the files themselves, where no database is"),
    (
        "fromImage: unknown kind of place: ",
        "registry:HOST/NAME:TAG is an image in a registry, ./NAME a file of this name",
    ),
    ("and a tag only in its own place", "HOST/NAME:TAG has one colon behind the last slash"),
    (
        "found no tar header",
        "images are archives, OCI layouts and places such as registry:HOST/NAME:TAG or docker:NAME",
    ),
    (
        "no shell",
        "--base IMAGE brings a /bin/sh, --store-closure a bash; a script may name its own interpreter, as #!/bin/bash",
    ),
    (
        ": exit status 127",
        "127 means that a command was not found: is it spelled right, and is it in the PATH of the script?",
    ),
    (": exit status 126", "126 means that a file cannot be executed: chmod +x FILE, or sh FILE"),
    ("script failed: ", "what it said last stands above; `set -x` in its first line shows each command"),
    ("it exists, expected another file", "-o OTHER.json writes beside it, --force in its place"),
];

/// What to do about an error with this text.
pub fn of(text: &str) -> Option<&'static str> {
    ROWS.iter().find(|(sentence, _)| text.contains(sentence)).map(|(_, hint)| *hint)
}
