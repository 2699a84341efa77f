//! Every variable of the environment that is read, files that are looked for, and what the exit status says: for man pages
//! and `layerstone config --json`, from which docs/configuration.md has its list.

/// A name, and what it is for.
pub type Row = (&'static str, &'static str);

/// Variables. Those of programs that are run (DOCKER_HOST, CONTAINER_HOST) are theirs.
pub const VARIABLES: [Row; 29] = [
    ("LAYERSTONE_CONFIG", "the file of settings to read instead of the project's and the user's; empty for none"),
    ("LAYERSTONE_CACHE", "the cache's directory; empty for none"),
    ("XDG_CACHE_HOME", "where the cache is if nothing names it: layerstone in it, or in ~/.cache"),
    (
        "XDG_CONFIG_HOME",
        "where the user's settings are, layerstone/layerstone.toml in it or in ~/.config, and podman's credentials",
    ),
    ("HOME", "what ~ stands for above, and where docker's credentials are, .docker/config.json in it"),
    ("TMPDIR", "where temporary files lie; /tmp if it is not set"),
    ("SOURCE_DATE_EPOCH", "what `now` is, in seconds since 1970; seldom the time of the build"),
    ("COSIGN_PASSWORD", "the password of the private key of `sign`, instead of asking for it"),
    ("REGISTRY_AUTH_FILE", "the file with credentials, instead of podman's and docker's"),
    ("DOCKER_AUTH_CONFIG", "the text of a file with credentials, which is searched before all files"),
    ("XDG_RUNTIME_DIR", "where podman's credentials are, containers/auth.json in it"),
    ("DOCKER_CONFIG", "where docker's credentials are, config.json in it"),
    ("NETRC", "a netrc file, which is searched for credentials behind all auth files"),
    ("HTTPS_PROXY", "the proxy for registries with TLS; https_proxy, too"),
    ("HTTP_PROXY", "the proxy for registries without TLS; http_proxy, too"),
    ("ALL_PROXY", "the proxy where no other variable names one; all_proxy, too"),
    ("NO_PROXY", "hosts that are asked without a proxy; no_proxy, too"),
    ("REQUEST_METHOD", "if it is set, as in a CGI program, HTTP_PROXY is an error, since a request may set it"),
    ("SSL_CERT_FILE", "certificates of authorities, instead of the system's"),
    ("SSL_CERT_DIR", "the same, a directory"),
    ("NIX_SSL_CERT_FILE", "more certificates of authorities, as nixpkgs' programs read them"),
    ("NO_COLOR", "if it is not empty, nothing is coloured unless --color says so"),
    ("CLICOLOR_FORCE", "if it is not 0, output is coloured even if it goes to no terminal"),
    ("CLICOLOR", "0: nothing is coloured"),
    ("TERM", "dumb: nothing is coloured"),
    ("PATH", "where bash, docker, podman, QEMU, newuidmap and docker-credential-* are"),
    ("RAYON_NUM_THREADS", "threads to use where neither --jobs nor a setting says it"),
    ("NIX_ATTRS_JSON_FILE", "set by Nix in a build: the attributes of the derivation"),
    ("outputs", "set by Nix and Guix in a build: the variables that name its outputs"),
];

/// Files.
pub const FILES: [Row; 5] = [
    ("layerstone.toml", "settings of a project, in the working directory or above it up to the root of its repository"),
    ("~/.config/layerstone/layerstone.toml", "settings of the user"),
    ("~/.cache/layerstone", "the cache"),
    ("~/.config/containers/auth.json, ~/.docker/config.json", "credentials, written by podman login and docker login"),
    ("/etc/subuid, /etc/subgid", "users that root scripts may have in a namespace"),
];

/// Exit statuses.
pub const STATUSES: [Row; 4] = [
    ("0", "done"),
    ("1", "failed, or found what was looked for (differences, damage); no output was changed"),
    ("2", "the command line cannot be taken"),
    ("128+N", "ended by signal N, as shells tell it"),
];
