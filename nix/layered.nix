# dockerTools' buildLayeredImage and streamLayeredImage: layers of store paths, and the customisation layer on top.
{ architecture, variant, perLayer, overlay, lib, derive, layers, layer, check, contents, apps, bill, ... }:
let
  inherit (lib) endingOf ensure epoch hashOf optionals overridable toList toInt toLower without described;
  inherit (derive) stage script scripted scriptedWith inStore withFunctions;
  out = builtins.placeholder "out";

  # What keys of image.json are where an image does not say them.
  defaults = {
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
    minLayerSize = 0;
    compression = null;
    xattrs = false;
    replace = false;
    inherit' = false;
    nixUid = null;
    nixGid = null;
    annotations = { };
    labels = { };
    layers = [ ];
    helpers = [ ];
    perms = [ ];
    extraCommands = "";
    fakeRootCommands = "";
    enableFakechroot = false;
    diskSize = 1024;
    buildVMMemorySize = 512;
  };
  # `inherit` is a word of the language, and no name of an argument.
  keyed = set: builtins.removeAttrs set [ "inherit'" ] // (if set ? inherit' then { "inherit" = set.inherit'; } else { });
  spec = set: keyed (without defaults set);

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

      # What follows dockerTools has not; without a word on it, it is the key of image.json (archive/spec/FORMAT.md).
      # Which store paths share a layer: a name of `layerstone layers --strategy`.
      strategy ? null,
      # The plan of the image before, as its `plan` was: layers stay what they are, new paths go where they cost least.
      previous ? null,
      # How often paths change: a file, or "builtin" (`layerstone layers --rates`).
      rates ? null,
      minLayerSize ? 0,
      # Whether each layer is a derivation of its own, for which the plan is built while the image is evaluated.
      perLayer ? defaultPerLayer,
      # What mounts the store paths instead, which are in no layer then: "nix", containerd's nix-snapshotter.
      snapshotter ? null,
      # Layer files of a build before, a directory: what they say of layers that stayed is taken from there, and these are not
      # read again (`layerstone layer --known`). An image's `layerFiles` is one.
      known ? null,
      # Layers of buildLayer, the lowest ones over the base: what they hold is in no other layer.
      layers ? [ ],
      # A script that runs as root over the base, below the customisation layer.
      runAsRoot ? null,
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      helpers ? [ ],
      perms ? [ ],
      xattrs ? false,
      replace ? false,
      # Whether all of the base's config is taken over: the key `inherit`.
      inheritConfig ? false,
      # How layers are compressed in registries and layouts.
      compression ? null,
      nixUid ? null,
      nixGid ? null,
      annotations ? { },
      labels ? { },
    }:
    assert ensure (maxLayers > 1)
      "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: ${toString maxLayers})";
    assert ensure (layers == [ ] || includeStorePaths)
      "layerstone: image ${name}: found layers and includeStorePaths = false, expected one of them";
    assert ensure (known == null || !perLayer)
      "layerstone: image ${name}: found known and perLayer, expected one of them: with perLayer, Nix knows layers that stayed";
    rec {
      baseName = baseNameOf name;
      imageName = toLower name;
      imageTag = if tag == null then hashOf specFile.outPath else toString tag;
      inherit passthru meta;
      inRoot = toList contents;
      madeFiles = layer.filesOf "image ${name}" "layerFiles" layers;
      madeRoots = layer.filesOf "image ${name}" "rootFiles" layers;
      base = if fromImage == null then null else lib.archive fromImage;
      ids = { uid = toInt "uid" uid; gid = toInt "gid" gid; };

      # What all forms of the image's image.json say.
      common = {
        name = imageName;
        config = check.config name config;
        fromImage = base;
        inherit architecture variant created mtime uname gname maxLayers includeStorePaths includeNixDB;
        inherit xattrs replace compression nixUid nixGid annotations labels;
        inherit' = inheritConfig;
        layers = madeFiles;
      } // ids;

      # What the image is to be, but for scripts: those who have the image do not need what these need. Its name tells
      # whether anything is another, the customisation layer included.
      specFile = stage "${baseName}-spec.json" [ "--put" "image.json" out ] {
        "image.json" = spec (common // { contents = inRoot; inherit layeringPipeline strategy minLayerSize; });
        inherit root;
        preferLocalBuild = true;
      };

      # The image as an image.json of its own: `layerstone build` and `push` make it, with root and plan as they were made.
      conf = assert ensure (snapshotter == null)
        "layerstone: image ${name}: conf: found snapshotter, expected none: an image.json has no mount points";
      stage "${baseName}-conf.json" [ "--put" "image.json" out ] {
        "image.json" = spec (common // { contents = inRoot; }) // {
          tag = imageTag;
          rootLayer = rootLayer;
        } // (if includeStorePaths then { plan = "${plan}"; } else { });
        preferLocalBuild = true;
      };

      # What the root script makes of the base.
      ran = stage "${baseName}-root-script"
        ([ "overlay" "run" "--spec" "image.json" "--store-closure" "graph.json" ] ++ inStore
          ++ [ "-o" "${out}/run.layer.json" "--blob" "${out}/layer.tar" ] ++ overlay.flags)
        ({
          "image.json" = spec {
            name = "run";
            runAsRootFile = "${rootScript}";
            contents = inRoot;
            fromImage = base;
            inherit mtime diskSize buildVMMemorySize;
          };
          exportReferencesGraph."graph.json" = [ rootScript ] ++ builtins.filter (it: it ? outPath) inRoot;
          requiredSystemFeatures = overlay.features;
        } // scriptedWith overlay.tools);
      rootScript = contentsApi.shellScript "run-as-root.sh" runAsRoot;
      below = optionals (runAsRoot != null) [ "${ran}/run.layer.json" ];

      root = stage "${baseName}-customisation-layer"
        ([ "root" "--spec" "image.json" "-o" "${out}/root.layer.json" "--blob" "${out}/layer.tar" ] ++ inStore
          ++ builtins.concatMap (file: [ "--below" file ]) (madeRoots ++ below))
        ({
          "image.json" = spec {
            name = "root";
            contents = inRoot;
            extraCommands = withFunctions extraCommands;
            fakeRootCommands = withFunctions fakeRootCommands;
            enableFakechroot = enableFakechroot && fakeRootCommands != "";
            fromImage = base;
            inherit mtime helpers perms xattrs replace;
          };
        } // (if extraCommands == "" && fakeRootCommands == "" then { preferLocalBuild = true; } else scripted));
      rootLayer = "${root}/root.layer.json";

      closure = layersApi.closure {
        name = baseName;
        spec = specFile;
        roots = [ specFile root ] ++ optionals (runAsRoot != null) [ ran ];
        files = below ++ [ rootLayer ];
      };

      plan = layersApi.plan {
        name = baseName;
        maxLayers = maxLayers - 1 - (if includeNixDB then 1 else 0) - builtins.length below;
        below = madeFiles;
        inherit base closure strategy layeringPipeline previous rates minLayerSize;
      };

      # The layer files of the store paths, bottom first; without perLayer, the directory that they are in.
      storeLayers =
        if !includeStorePaths then [ ]
        else if snapshotter != null then [ "${mounts}/mounts.layer.json" ]
        else if perLayer then layersApi.perLayer stamp plan
        else [ layerFiles ];
      isMounted = snapshotter != null;
      mounts = layersApi.mounts { name = baseName; inherit plan; mtime = toString mtime; };
      layerFiles = layersApi.together { name = baseName; inherit stamp plan known; };
      stamp = layersApi.stamp { inherit mtime uid gid uname gname; } ++ optionals xattrs [ "--xattrs" ];

      database = stage "${baseName}-nix-database"
        ([ "nix-db" closure "--spec" specFile "-o" "${out}/nix-db.layer.json" "--blob" "${out}/layer.tar" ] ++ inStore)
        { };

      # All layer files, bottom first.
      files = madeFiles ++ map toString storeLayers ++ below ++ [ rootLayer ]
        ++ optionals includeNixDB [ "${database}/nix-db.layer.json" ];
      reference = [ "--repo-tag" "${imageName}:${imageTag}" ];
    };
  contentsApi = contents;
  layersApi = layers;
  defaultArchitecture = architecture;
  defaultVariant = variant;
  defaultPerLayer = perLayer;
  takes = builtins.functionArgs stages;

  # What can be asked of the result.
  attributes = made: archive: apps.ofLayers {
    inherit archive;
    words = [ "image" ] ++ inStore ++ made.files ++ made.reference ++ [ "--spec" "${made.specFile}" ];
    reference = "${made.imageName}:${made.imageTag}";
    inherit (made) conf plan closure;
  } // {
    inherit (made) imageName conf root closure plan layerFiles;
    # What buildIndex makes it of: neither a root script's layer nor mount points are in its image.json.
    indexed = if made.below == [ ] && !made.isMounted then "${made.conf}" else "${archive}";
    layers = made.storeLayers;
  } // bill.ofImage {
    name = made.baseName;
    inherit (made) imageName closure;
    contents = made.inRoot;
  };

  stream = arguments:
    let
      made = assert ensure (arguments.snapshotter or null == null)
        "layerstone: streamLayeredImage: snapshotter: found ${builtins.toJSON arguments.snapshotter}, expected none: a docker archive is streamed, and buildLayeredImage makes an OCI archive";
        stages arguments;
      words = [ "image" "-o" "-" ] ++ inStore ++ made.files;
      result = script "stream-${made.baseName}" "" (words ++ made.reference ++ [ "--spec" "${made.specFile}" ]);
      passthru = made.passthru // {
        inherit (made) imageTag conf;
        # Called with conf, it streams the image; its name and tag are then what conf says.
        streamScript = script "stream" "" (words ++ [ "--spec" ]);
        # Who takes images can tell an archive from a program that writes one.
        isExe = true;
      };
    in
    described result { inherit (made) meta; inherit passthru; } // attributes made (build (arguments // { compressor = "none"; }));

  build = arguments:
    let
      mounted = arguments.snapshotter or null != null;
      compressor = assert ensure (!mounted || arguments.compressor or "none" == "none")
        "layerstone: buildLayeredImage: compressor: found ${builtins.toJSON arguments.compressor}, expected none with snapshotter: the layers of its OCI archive are compressed";
        if mounted then "none" else arguments.compressor or "gz";
      ofStream = builtins.removeAttrs arguments [ "compressor" ];
      made = stages ofStream;
      result = stage "${made.baseName}.tar${endingOf compressor}"
        ([ "image" "--spec" "${made.specFile}" "-o" (if mounted then "oci-archive:${out}" else out) ] ++ inStore
          ++ made.reference ++ made.files) { };
      passthru = made.passthru // {
        inherit (made) imageTag conf;
        stream = streamLayeredImage (builtins.removeAttrs ofStream [ "meta" ]);
      };
    in
    described result { inherit (made) meta; inherit passthru; } // attributes made result;

  takesCompressor = takes // { compressor = true; };
  streamLayeredImage = overridable "streamLayeredImage" takes stream;
in
{
  inherit streamLayeredImage;
  buildLayeredImage = overridable "buildLayeredImage" takesCompressor build;
  buildLayeredImageWithNixDb = overridable "buildLayeredImageWithNixDb" takesCompressor
    (arguments: build (arguments // { includeNixDB = true; }));
}
