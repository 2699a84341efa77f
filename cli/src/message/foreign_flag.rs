//! Flags of other programs that this one has by another name or not at all, and what to do instead.

use crate::message::foreign_word::CREDENTIALS;

/// Commands that a row is about; empty for all.
type Commands = &'static [&'static str];

const DOCKERFILE: &str =
    "Dockerfiles are read by `docker build`; `layerstone init` writes an image.json, --copy FROM:TO copies files";
const PLAIN_HTTP: &str = "--insecure HOST lets it speak plain HTTP to a registry; this machine needs none";
const BUILDS: Commands = &["build", "ninja", "make"];

/// The commands, the flag, and what to do instead.
const FLAGS: [(Commands, &str, &str); 29] = [
    (BUILDS, "-f", DOCKERFILE),
    (BUILDS, "--file", DOCKERFILE),
    (BUILDS, "--build-arg", DOCKERFILE),
    (BUILDS, "--target", DOCKERFILE),
    (BUILDS, "--push", "-o registry:HOST/NAME:TAG puts the image into a registry"),
    (BUILDS, "--load", "-o docker: gives the image to docker"),
    (BUILDS, "--expose", "\"ExposedPorts\": {\"80/tcp\": {}} in the \"config\" of an image.json"),
    (BUILDS, "--volume", "\"Volumes\": {\"/data\": {}} in the \"config\" of an image.json"),
    (BUILDS, "--perms", "\"perms\" in an image.json gives owners and modes"),
    (BUILDS, "--squash", "--kind single makes an image of one layer"),
    (BUILDS, "--iidfile", "--digest-file FILE writes the digest of the image"),
    (BUILDS, "--config", "\"config\" in an image.json; --cmd, --env, --label and others are flags"),
    (&["layers", "build"], "--keep", "--previous IMAGE, or its plan, keeps the layers that are out there"),
    (&["inspect"], "--format", "--json prints it for programs, such as jq"),
    (&["inspect"], "-o", "`layerstone report IMAGE -o report.html` writes a page; what is printed goes behind >"),
    (&[], "--user", CREDENTIALS),
    (&[], "--creds", CREDENTIALS),
    (&[], "--username", CREDENTIALS),
    (&[], "--password", CREDENTIALS),
    (&[], "--src-creds", CREDENTIALS),
    (&[], "--dest-creds", CREDENTIALS),
    (&[], "--tls-verify", PLAIN_HTTP),
    (&[], "--src-tls-verify", PLAIN_HTTP),
    (&[], "--dest-tls-verify", PLAIN_HTTP),
    (&[], "--plain-http", PLAIN_HTTP),
    (&[], "--dry-run", "`layerstone build --dry-run` tells what it would write"),
    (&[], "--debug", "-v tells what is done"),
    (&[], "--silent", "-q prints the digest and errors alone"),
    (&[], "--no-color", "--color never"),
];

/// What to do instead of a flag that a command has not.
pub fn hint(command: &str, flag: &str) -> Option<&'static str> {
    let flag = flag.split('=').next().unwrap_or(flag);
    let is_meant = |commands: Commands| commands.is_empty() || commands.contains(&command);
    FLAGS.iter().find(|(commands, known, _)| is_meant(commands) && *known == flag).map(|(.., hint)| *hint)
}
