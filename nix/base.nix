# Images that are there already: exported as files, merged into one archive; and tarsum.
{ derive, lib, ... }:
let
  inherit (derive) stage script;
  inherit (lib) ensure found overridable;
  out = builtins.placeholder "out";
  ending = archive:
    let
      name = archive.name or (baseNameOf (toString archive));
      found = builtins.match ".*(\\.tar|\\.tar\\.gz|\\.tar\\.zst)" name;
    in
    if found == null then "" else builtins.head found;

  # The files of an image as one flat tar. `diskSize` is taken for what it once was: no disk is needed.
  export = { name ? fromImage.name, fromImage, fromImageName ? null, fromImageTag ? null, diskSize ? 1024 }:
    let
      tag = if fromImageTag == null then "" else ":${fromImageTag}";
      which = if fromImageName == null then "" else "#${fromImageName}${tag}";
    in
    stage name [ "overlay" "export" "${lib.archive fromImage}${which}" "-o" out ] { };

  # What of these is no image.
  others = images: builtins.filter (image: !(builtins.isString image || builtins.isPath image || image ? outPath)) images;
in
{
  exportImage = overridable "exportImage" (builtins.functionArgs export) export;

  # The images of several archives in one, compressed as the last one is.
  mergeImages = images:
    let
      last = builtins.elemAt images (builtins.length images - 1);
      programs = builtins.filter (image: image.isExe or false) images;
    in
    assert ensure (builtins.isList images && others images == [ ])
      "layerstone: mergeImages: found ${found images}, expected a list of images";
    assert ensure (images != [ ]) "layerstone: mergeImages: found no image, expected some";
    assert ensure (programs == [ ])
      "layerstone: mergeImages: found ${(builtins.head programs).name}, a program that streams an image, expected archives: buildLayeredImage makes them";
    stage "merge-docker-images${ending last}" ([ "merge" "-o" out ] ++ map (image: "${image}") images) { };

  # docker's tarsum, a program that reads a tar.
  tarsum = script "tarsum" "/bin/tarsum" [ "tarsum" ];
}
