# Programs that come with an image: they put it where it belongs, serve it, explain it and compare it, without an archive
# between.
#
# `nix run .#image.copyToRegistry -- --dry-run`: what follows is added to the command line.
{ lib, derive, ... }:
let
  inherit (lib) described;
  inherit (derive) script inStore;

  program = name: words: described (script name "/bin/${name}" words) { meta.mainProgram = name; };

  # `words` are those of a copy, and end where a place is expected: `nix run .#image.copyTo -- oci:DIR`.
  copies = words: { copyTo = program "copy-to" words; };
  # To the registry that its name says, or docker.io: only what is missing there.
  pushes = words: reference: { copyToRegistry = program "copy-to-registry" (words ++ [ "registry:${reference}" ]); };
  loads = words: {
    copyToDockerDaemon = program "copy-to-docker-daemon" (words ++ [ "docker:" ]);
    copyToPodman = program "copy-to-podman" (words ++ [ "podman:" ]);
  };

  # From here, as a registry: `nix run .#image.serve -- --listen 127.0.0.1:5000`.
  serve = place: program "serve-image" ([ "serve" place ] ++ inStore);
  # What is another than in the image that is named: `nix run .#image.diff -- registry:HOST/NAME:TAG`.
  diff = place: program "diff-image" [ "diff" ''"$@"'' place ];
in
{
  # Of an image that is made of layer files: `words` are those of `layerstone image` but for the output; `archive` is it.
  ofLayers = { words, reference, conf, plan, closure, archive }:
    let to = words ++ [ "-o" ];
    in copies to // pushes to reference // loads to // {
      serve = serve "${conf}";
      diff = diff "${archive}";
      # What each layer is sent again for.
      explain = program "explain-image" [ "explain" "${plan}" "${closure}" ];
    };

  # Of an image that is there: `place` is a file or a directory.
  ofImage = place:
    let to = [ "copy" place ];
    in copies to // loads to // {
      serve = serve place;
      diff = diff place;
      explain = program "explain-image" [ "explain" place ];
    };

  # Of an image for several systems, which engines pull and do not load.
  ofIndex = { words, reference, archive }:
    let to = words ++ [ "-o" ];
    in copies to // pushes to reference // { serve = serve "oci-archive:${archive}"; };
}
