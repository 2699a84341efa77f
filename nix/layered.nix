# dockerTools' buildLayeredImage and streamLayeredImage: layers of store paths, and the customisation layer on top.
{ architecture, variant, perLayer, lib, derive, layers, ... }:
let
  inherit (lib) endingOf ensure epoch hashOf optionals overridable toList toLower without;
  inherit (derive) stage script scripted inStore;
  out = builtins.placeholder "out";

  # The stages of an image, up to the words that `layerstone image` is called with.
  stages =
    {
      name,
      tag ? null,
      fromImage ? null,
      contents ? [ ],
      config ? { },
      architecture ? defaultArchitecture,
      variant ? defaultVariant,
      created ? epoch,
      mtime ? epoch,
      uid ? 0,
      gid ? 0,
      uname ? "root",
      gname ? "root",
      maxLayers ? 100,
      extraCommands ? "",
      fakeRootCommands ? "",
      enableFakechroot ? false,
      includeStorePaths ? true,
      includeNixDB ? false,
      layeringPipeline ? null,
      # Taken as dockerTools does; `layerstone layers --explain` tells more of a plan.
      debug ? false,
      passthru ? { },
      meta ? { },
      # Which store paths share a layer: a name of `layerstone layers --strategy`.
      strategy ? null,
      # The plan of the image before, as its `plan` was: layers stay what they are, new paths go where they cost least.
      previous ? null,
      # Whether each layer is a derivation of its own, for which the plan is built while the image is evaluated.
      perLayer ? defaultPerLayer,
    }:
    assert ensure (maxLayers > 1)
      "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: ${toString maxLayers})";
    rec {
      baseName = baseNameOf name;
      imageName = toLower name;
      imageTag = if tag == null then hashOf conf.outPath else tag;
      inherit passthru meta;

      # What the image is to be, but for scripts: those who have the image do not need what these need. Its name tells
      # whether anything is another, the customisation layer included.
      conf = stage "${baseName}-conf.json" [ "--put" "image.json" out ] {
        "image.json" = without {
          fromImage = null;
          variant = null;
          created = epoch;
          mtime = epoch;
          uid = 0;
          gid = 0;
          uname = "root";
          gname = "root";
          includeStorePaths = true;
          includeNixDB = false;
          layeringPipeline = null;
          strategy = null;
        } {
          name = imageName;
          contents = toList contents;
          config = if config == null then { } else config;
          inherit fromImage architecture variant created mtime uid gid uname gname maxLayers includeStorePaths;
          inherit includeNixDB layeringPipeline strategy;
        };
        inherit root;
        preferLocalBuild = true;
      };

      root = stage "${baseName}-customisation-layer"
        ([ "root" "--spec" "image.json" "-o" "${out}/root.layer.json" "--blob" "${out}/layer.tar" ] ++ inStore)
        ({
          "image.json" = without {
            fromImage = null;
            mtime = epoch;
            extraCommands = "";
            fakeRootCommands = "";
            enableFakechroot = false;
          } {
            name = "root";
            contents = toList contents;
            inherit fromImage mtime extraCommands fakeRootCommands;
            enableFakechroot = enableFakechroot && fakeRootCommands != "";
          };
        } // (if extraCommands == "" && fakeRootCommands == "" then { preferLocalBuild = true; } else scripted));
      rootLayer = "${root}/root.layer.json";

      closure = layers.closure {
        name = baseName;
        spec = conf;
        root = rootLayer;
        roots = [ conf root ];
      };

      plan = layers.plan {
        name = baseName;
        maxLayers = maxLayers - 1 - (if includeNixDB then 1 else 0);
        base = fromImage;
        inherit closure strategy layeringPipeline previous;
      };

      # The layer files of the store paths, bottom first; without perLayer, the folder that they are in.
      storeLayers =
        if !includeStorePaths then [ ]
        else if perLayer then layers.perLayer stamp plan
        else [ (layers.together { name = baseName; inherit stamp plan; }) ];
      stamp = [
        "--mtime" (toString mtime) "--uid" (toString uid) "--gid" (toString gid) "--uname" uname "--gname" gname
      ];

      database = stage "${baseName}-nix-database"
        ([ "nix-db" closure "--spec" conf "-o" "${out}/nix-db.layer.json" "--blob" "${out}/layer.tar" ] ++ inStore)
        { };

      # All layer files, bottom first.
      files = map toString storeLayers ++ [ rootLayer ] ++ optionals includeNixDB [ "${database}/nix-db.layer.json" ];
      reference = [ "--repo-tag" "${imageName}:${imageTag}" ];
    };
  defaultArchitecture = architecture;
  defaultVariant = variant;
  defaultPerLayer = perLayer;

  # What can be asked of the result.
  attributes = made:
    made.passthru // {
      inherit (made) imageName imageTag conf root closure plan;
      layers = made.storeLayers;
      inherit (made) meta;
    };

  stream = arguments:
    let
      made = stages arguments;
      words = [ "image" "-o" "-" ] ++ inStore ++ made.files;
    in
    script "stream-${made.baseName}" "" (words ++ made.reference ++ [ "--spec" "${made.conf}" ])
    // attributes made // {
      # Called with conf, it streams the image; its name and tag are then what conf says.
      streamScript = script "stream" "" (words ++ [ "--spec" ]);
      # Who takes images can tell an archive from a program that writes one.
      isExe = true;
    };

  build = { compressor ? "gz", ... }@arguments:
    let
      made = stages (builtins.removeAttrs arguments [ "compressor" ]);
    in
    stage "${made.baseName}.tar${endingOf compressor}"
      ([ "image" "--spec" "${made.conf}" "-o" out ] ++ inStore ++ made.reference ++ made.files) { }
    // attributes made // {
      stream = streamLayeredImage (builtins.removeAttrs arguments [ "compressor" ]);
    };

  streamLayeredImage = overridable stream;
  buildLayeredImage = overridable build;
in
{
  inherit streamLayeredImage buildLayeredImage;
  buildLayeredImageWithNixDb = arguments: buildLayeredImage (arguments // { includeNixDB = true; });
}
