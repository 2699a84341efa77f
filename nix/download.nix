# Derivations that download from a registry: what their outputs are is fixed, so they may use the network.
{ derive, lib, pkgs, cacert, binary, buildPackages, tools, ... }:
let
  inherit (lib) optionals;

  # Variables of whoever builds that a download may follow (curl(1), "ENVIRONMENT"), and nixpkgs' name of certificates.
  proxies = [
    "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" "HTTP_PROXY" "HTTPS_PROXY" "FTP_PROXY" "ALL_PROXY" "NO_PROXY"
    "NIX_SSL_CERT_FILE"
  ];

  # And where the program finds credentials (docs/nix.md): they are in no attribute of a derivation.
  credentials = [ "DOCKER_AUTH_CONFIG" "REGISTRY_AUTH_FILE" "DOCKER_CONFIG" "NETRC" ];

  # A builder that runs a script before, which writes the file `netrc`, as those of nixpkgs' fetchers do.
  withNetrc = netrcPhase: command: {
    builder = "${buildPackages.bash}/bin/bash";
    args = [
      "-c"
      ''
        set -e
        umask 077
        export PATH=${builtins.concatStringsSep ":" (map (package: "${package}/bin") ([ buildPackages.coreutils ] ++ tools))}
        ${netrcPhase}
        if ! [ -e netrc ]; then
          echo "error: netrcPhase: found no file netrc, expected one that it writes" >&2
          exit 1
        fi
        export NETRC=$PWD/netrc
        exec "$0" "$@"
      ''
      binary
      "derivation"
    ] ++ command;
  };

  # The registry of an image's name (distribution/reference: a first part that looks like a host is one).
  registryOf = name:
    let found = builtins.match "([^/]*[.:][^/]*|localhost)/.*" name;
    in if found == null then "docker.io" else builtins.head found;
in
rec {
  # How a registry is talked to, for any command that asks it.
  flags = { imageName, tlsVerify, ... }:
    optionals (!tlsVerify) [ "--insecure" (registryOf imageName) ]
    ++ optionals (pkgs != null) [ "--ca" "${cacert}/etc/ssl/certs/ca-bundle.crt" ];

  # A derivation whose output has this hash, of a command that downloads it: `from` says whose image it is, and how to get it.
  download = { netrcPhase, netrcImpureEnvVars, ... }@from: name: command: hash:
    let words = command ++ flags from;
    in
    derive.stage name words ({
      outputHashMode = "flat";
      impureEnvVars = proxies ++ credentials ++ netrcImpureEnvVars;
    } // (if netrcPhase == null then { } else withNetrc netrcPhase words) // hash);

  # The name of an image in full, as others than docker know it.
  fullName = imageName:
    let bare = builtins.match "(docker.io|index.docker.io|registry-1.docker.io)/(.*)" imageName;
    in
    if bare != null then fullName (builtins.elemAt bare 1)
    else if registryOf imageName != "docker.io" then imageName
    else if builtins.match ".*/.*" imageName == null then "docker.io/library/${imageName}"
    else "docker.io/${imageName}";
}
