# Programs that come with an image: they put it where it belongs, serve it and explain it, without an archive between.
#
# `nix run .#image.copyToRegistry -- --dry-run`: what follows is added to the command line.
{ lib, derive, ... }:
let
  inherit (lib) described;
  inherit (derive) script inStore;

  program = name: words: described (script name "/bin/${name}" words) { meta.mainProgram = name; };
in
{
  # Of an image that is made of layer files: `words` are those of `layerstone image` but for the output.
  ofLayers = { words, reference, conf, plan, closure }: {
    # To the registry that its name says, or docker.io: only what is missing there.
    copyToRegistry = program "copy-to-registry" (words ++ [ "-o" "registry:${reference}" ]);
    copyToDockerDaemon = program "copy-to-docker-daemon" (words ++ [ "-o" "docker:" ]);
    copyToPodman = program "copy-to-podman" (words ++ [ "-o" "podman:" ]);
    # To the place that is given: `nix run .#image.copyTo -- oci:DIR`.
    copyTo = program "copy-to" (words ++ [ "-o" ]);
    # From here, as a registry: `nix run .#image.serve -- --listen 127.0.0.1:5000`.
    serve = program "serve-image" ([ "serve" "${conf}" ] ++ inStore);
    # What each layer is sent again for.
    explain = program "explain-image" [ "explain" "${plan}" "${closure}" ];
  };

  # Of an image that is there: `place` is a file or a folder.
  ofImage = place: {
    copyToDockerDaemon = program "copy-to-docker-daemon" [ "copy" place "docker:" ];
    copyToPodman = program "copy-to-podman" [ "copy" place "podman:" ];
    copyTo = program "copy-to" [ "copy" place ];
    serve = program "serve-image" [ "serve" place ];
  };
}
