# One image for several systems: an OCI image index, which a client takes its own system's image from.
{ lib, derive, apps, ... }:
let
  inherit (lib) described ensure hashOf optionals overridable toLower;
  inherit (derive) stage inStore;
  out = builtins.placeholder "out";

  # What the program makes an image of: its image.json, where that says all, or the archive.
  sourceOf = image:
    if !builtins.isAttrs image then "${image}"
    else if image ? indexed then image.indexed
    else if image.isExe or false
    then throw "layerstone: buildIndex: found ${image.name}, a program that streams an image, expected archives"
    else "${image}";

  build =
    {
      # The images, one for each system: a list, or a set by whatever names.
      images,
      name ? null,
      tag ? null,
      # How layers are compressed that are not yet.
      compression ? null,
      meta ? { },
    }:
    let
      all = if builtins.isList images then images else builtins.attrValues images;
      first = builtins.head all;
      givenName = if name != null then name else first.imageName
        or (throw "layerstone: buildIndex: found no name, and a first image that has none, expected a name");
      baseName = baseNameOf givenName;
      imageName = toLower givenName;
      sources = map sourceOf all;
      listed = stage "${baseName}-images.json" [ "--put" "images.json" out ] {
        "images.json" = sources;
        preferLocalBuild = true;
      };
      imageTag = if tag == null then hashOf listed.outPath else toString tag;
      reference = "${imageName}:${imageTag}";
      words = [ "index" ] ++ sources ++ [ "--as" reference ] ++ inStore
        ++ optionals (compression != null) [ "--compression" compression ];
      result = stage "${baseName}-index.tar" (words ++ [ "-o" "oci-archive:${out}" ]) { };
    in
    assert ensure (all != [ ]) "layerstone: buildIndex: found no image, expected some";
    described result { inherit meta; passthru = { inherit imageTag; }; } // { inherit imageName images; }
    // apps.ofIndex { inherit words reference; archive = result; };
in
{
  buildIndex = overridable "buildIndex" (builtins.functionArgs build) build;
}
