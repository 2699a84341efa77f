# A layer by itself, as nix2container's buildLayer: a set of store paths, and of files, that is the same layer in every image.
{ lib, derive, layers, ... }:
let
  inherit (lib) described ensure epoch found optionals overridable toList unique without;
  inherit (derive) stage script inStore;
  out = builtins.placeholder "out";

  # What of a layer's history can be said, and its flags.
  flagsOfHistory = { created_by = "--created-by"; author = "--author"; comment = "--comment"; };

  # The layer files of layers that are given as `layers`, bottom first, each once.
  filesOf = where: attribute: given:
    let
      files = layer:
        if layer ? layerFiles && layer ? rootFiles then layer.${attribute}
        else throw "layerstone: ${where}: layers: found ${found layer}, expected what buildLayer makes";
    in
    unique (builtins.concatMap files (toList given));

  checkPerm = name: perm:
    if perm ? regex
    then throw "layerstone: layer ${name}: perms: found regex, expected the name of a file in the image as path, or a glob: { glob = \"tmp/**\"; mode = \"0777\"; }"
    else perm;

  build =
    {
      # What the layer is called in derivations.
      name ? "layer",
      # Store paths that are in it, with all that they need.
      deps ? [ ],
      # What is copied into the root of the image, in a layer over these.
      copyToRoot ? null,
      contents ? null,
      # Owners and modes of what is copied: the key of image.json.
      perms ? [ ],
      # Layers below: what they hold is not repeated.
      layers ? [ ],
      # A store path, or several, to leave out.
      ignore ? null,
      # Whether the layer can be made again of its store paths; else its tar is kept.
      reproducible ? true,
      # How many layers of store paths it may have, those below not counted.
      maxLayers ? 1,
      strategy ? null,
      # What the history says: created_by, author, comment.
      metadata ? { },
      mtime ? epoch,
      uid ? 0,
      gid ? 0,
      uname ? "root",
      gname ? "root",
      meta ? { },
    }:
    assert ensure (contents == null || copyToRoot == null)
      "layerstone: layer ${name}: found contents and copyToRoot, expected one of them";
    assert ensure (maxLayers >= 1) "layerstone: layer ${name}: maxLayers: found ${toString maxLayers}, expected 1 or more";
    let
      unknown = builtins.attrNames (builtins.removeAttrs metadata (builtins.attrNames flagsOfHistory));
      history = builtins.concatMap
        (key: optionals (metadata.${key} or null != null) [ flagsOfHistory.${key} metadata.${key} ])
        (builtins.attrNames flagsOfHistory);
      inRoot = toList (if copyToRoot == null then contents else copyToRoot);
      below = filesOf "layer ${name}" "layerFiles" layers;
      belowRoots = filesOf "layer ${name}" "rootFiles" layers;

      root = stage "${name}-root"
        ([ "root" "--spec" "image.json" "-o" "${out}/root.layer.json" "--blob" "${out}/layer.tar" ] ++ inStore ++ history
          ++ builtins.concatMap (file: [ "--below" file ]) belowRoots)
        {
          "image.json" = without { mtime = epoch; perms = [ ]; } {
            name = "root";
            contents = inRoot;
            rootMode = "copy";
            perms = map (checkPerm name) perms;
            inherit mtime;
          };
          preferLocalBuild = true;
        };
      rootFiles = optionals (inRoot != [ ]) [ "${root}/root.layer.json" ];

      # Names what the layer is made for.
      specFile = stage "${name}-spec.json" [ "--put" "image.json" out ] {
        "image.json" = { name = "layer"; contents = toList deps; };
        preferLocalBuild = true;
      };
      closure = layersApi.closure {
        inherit name;
        spec = specFile;
        roots = [ specFile ] ++ optionals (inRoot != [ ]) [ root ];
        files = rootFiles;
      };
      plan = layersApi.plan {
        inherit name closure strategy below;
        maxNewLayers = maxLayers;
        exclude = map (path: "${path}") (toList ignore);
      };
      storeLayers = layersApi.together {
        inherit name plan;
        stamp = layersApi.stamp { inherit mtime uid gid uname gname; };
        history = history;
        blobs = !reproducible;
      };

      layerFiles = below ++ [ "${storeLayers}" ] ++ rootFiles;
      # The list of them is the result: who has it has all.
      result = stage name [ "--put" "files.json" out ] {
        "files.json" = layerFiles;
        preferLocalBuild = true;
      };
    in
    assert ensure (unknown == [ ])
      "layerstone: layer ${name}: metadata: found ${builtins.head unknown}, expected created_by, author and comment";
    assert ensure (perms == [ ] || inRoot != [ ])
      "layerstone: layer ${name}: found perms without copyToRoot, expected them together: store paths have the modes of the store";
    described result { inherit meta; } // {
      inherit closure plan root layerFiles;
      rootFiles = belowRoots ++ rootFiles;
      # What each layer of store paths is sent again for.
      explain = described (script "explain-layer" "/bin/explain-layer" [ "explain" "${plan}" "${closure}" ]) {
        meta.mainProgram = "explain-layer";
      };
    };
  layersApi = layers;
in
{
  inherit filesOf;
  buildLayer = overridable "buildLayer" (builtins.functionArgs build) build;
}
