# dockerTools' buildImage and what it is made of: one layer, of a root whose contents are copies and of store paths.
{ architecture, variant, overlay, lib, derive, layers, contents, check, apps, bill, ... }:
let
  inherit (lib) endingOf epoch optionals overridable hashOf toList toInt toLower without ensure described warnIf;
  inherit (derive) stage scripted scriptedWith inStore withFunctions;
  out = builtins.placeholder "out";

  # What is copied into the root, by either of its names.
  inRoot = name: contents: copyToRoot:
    assert ensure (contents == null || copyToRoot == null)
      "in docker image ${name}: You can not specify both contents and copyToRoot.";
    toList (if contents == null then copyToRoot else contents);

  rootMode = keepContentsDirlinks: { kind = "single"; rootMode = "copy"; inherit keepContentsDirlinks; };

  # A layer file and its tar, as all that follow find them.
  ofLayer = [ "-o" "${out}/root.layer.json" "--blob" "${out}/layer.tar" ];

  # A file as an argument: its store path.
  file = flag: value: optionals (value != null) [ flag "${value}" ];

  # An image and which of several in its archive.
  which = fromImage: fromImageName: fromImageTag:
    let
      tag = if fromImageTag == null then "" else ":${fromImageTag}";
      name = if fromImageName == null then "" else "#${fromImageName}${tag}";
    in
    if fromImage == null then null else "${lib.archive fromImage}${name}";

  # What a script as root runs in, with the closure of `scripts` to see.
  inOverlay = { name, fromImage, fromImageName, fromImageTag, diskSize, buildVMMemorySize, scripts }: words: attributes:
    stage name
      ([ "overlay" "run" "--store-closure" "graph.json" ] ++ inStore ++ words ++ ofLayer
        ++ [ "--disk-size" (toString diskSize) "--memory" (toString buildVMMemorySize) ]
        ++ file "--base" (which fromImage fromImageName fromImageTag)
        ++ overlay.flags)
      ({
        exportReferencesGraph."graph.json" = scripts;
        requiredSystemFeatures = overlay.features;
      } // scriptedWith overlay.tools // attributes);
in
rec {
  # The root of an image alone.
  mkPureLayer = overridable "mkPureLayer" (builtins.functionArgs pureLayer) pureLayer;
  pureLayer =
    {
      name,
      baseJson ? null,
      copyToRoot ? null,
      # What copyToRoot was called before.
      contents ? null,
      keepContentsDirlinks ? false,
      extraCommands ? "",
      uid ? 0,
      gid ? 0,
    }:
    stage "docker-layer-${name}" ([ "root" "--spec" "image.json" ] ++ file "--legacy" baseJson ++ inStore ++ ofLayer)
      ({
        "image.json" = without { uid = 0; gid = 0; extraCommands = ""; keepContentsDirlinks = false; } ({
          name = "root";
          contents = inRoot name contents copyToRoot;
          extraCommands = withFunctions extraCommands;
          uid = toInt "uid" uid;
          gid = toInt "gid" gid;
        } // rootMode keepContentsDirlinks);
      } // (if extraCommands == "" then { } else scripted));

  # The root of an image that a script has run over as root.
  mkRootLayer = overridable "mkRootLayer" (builtins.functionArgs layerOfRoot) layerOfRoot;
  layerOfRoot =
    {
      name,
      runAsRoot,
      copyToRoot ? null,
      contents ? null,
      keepContentsDirlinks ? false,
      baseJson ? null,
      fromImage ? null,
      fromImageName ? null,
      fromImageTag ? null,
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      extraCommands ? "",
    }:
    let
      script = shellScript "run-as-root.sh" runAsRoot;
      extra = if extraCommands == "" then null else shellScript "extra-commands.sh" extraCommands;
    in
    inOverlay
      {
        name = "docker-layer-${name}";
        scripts = [ script ] ++ optionals (extra != null) [ extra ];
        inherit fromImage fromImageName fromImageTag diskSize buildVMMemorySize;
      }
      ([ "--spec" "image.json" "--script" "${script}" ] ++ file "--extra-commands" extra ++ file "--legacy" baseJson)
      {
        "image.json" = { name = "root"; contents = inRoot name contents copyToRoot; } // rootMode keepContentsDirlinks;
      };
  inherit (contents) shellScript;

  # A layer of what scripts do before, while and after the layers of an image are mounted over each other.
  runWithOverlay = overridable "runWithOverlay" (builtins.functionArgs layerOfHooks) layerOfHooks;
  layerOfHooks =
    {
      name,
      fromImage ? null,
      fromImageName ? null,
      fromImageTag ? null,
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      preMount ? "",
      postMount ? "",
      postUmount ? "",
    }:
    let
      script = shellScript "nothing.sh" "";
      hook = hookName: text: if text == "" then null else shellScript hookName text;
      hooks = {
        "--pre-mount" = hook "pre-mount.sh" preMount;
        "--post-mount" = hook "post-mount.sh" postMount;
        "--post-umount" = hook "post-umount.sh" postUmount;
      };
      given = builtins.filter (flag: hooks.${flag} != null) (builtins.attrNames hooks);
    in
    inOverlay
      {
        scripts = [ script ] ++ map (flag: hooks.${flag}) given;
        inherit name fromImage fromImageName fromImageTag diskSize buildVMMemorySize;
      }
      ([ "--script" "${script}" ] ++ builtins.concatMap (flag: [ flag "${hooks.${flag}}" ]) given)
      { };

  buildImage = overridable "buildImage" (builtins.functionArgs build) build;
  build =
    {
      name,
      tag ? null,
      fromImage ? null,
      fromImageName ? null,
      fromImageTag ? null,
      contents ? null,
      copyToRoot ? null,
      keepContentsDirlinks ? false,
      config ? null,
      extraCommands ? "",
      uid ? 0,
      gid ? 0,
      runAsRoot ? null,
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      created ? epoch,
      architecture ? defaultArchitecture,
      variant ? defaultVariant,
      compressor ? "gz",
      includeNixDB ? false,
      meta ? { },
    }@args:
    let
      baseName = baseNameOf name;
      imageName = toLower name;
      merged = warnIf (contents != null)
        "layerstone: in docker image ${name}: contents is deprecated, expected copyToRoot"
        (inRoot name contents copyToRoot);

      spec = without { fromImage = null; variant = null; created = epoch; includeNixDB = false; } ({
        name = imageName;
        config = check.config name config;
        fromImage = which fromImage fromImageName fromImageTag;
        inherit created architecture variant includeNixDB;
      } // rootMode false);

      # What the image is to be, but for what its root is made of.
      specFile = stage "${baseName}-spec.json" [ "--put" "image.json" out ] {
        "image.json" = spec;
        preferLocalBuild = true;
      };

      # What docker's metadata of the root says of the image.
      baseJson = stage "${baseName}-config.json" [ "--put" "config.json" out ] {
        "config.json" = { inherit architecture created; inherit (spec) config; os = "linux"; };
        preferLocalBuild = true;
      };

      layer =
        if runAsRoot == null
        then mkPureLayer {
          name = baseName;
          copyToRoot = merged;
          inherit baseJson keepContentsDirlinks extraCommands uid gid;
        }
        else mkRootLayer {
          name = baseName;
          copyToRoot = merged;
          inherit baseJson fromImage fromImageName fromImageTag keepContentsDirlinks runAsRoot diskSize buildVMMemorySize
            extraCommands;
        };
      rootLayer = "${layer}/root.layer.json";

      closure = layers.closure {
        name = baseName;
        spec = specFile;
        roots = [ specFile layer ];
        files = [ rootLayer ];
      };

      plan = layers.plan {
        name = baseName;
        maxLayers = 127;
        base = which fromImage fromImageName fromImageTag;
        inherit closure;
      };

      # The root with the database of Nix behind it.
      database = stage "${baseName}-nix-database"
        ([ "nix-db" closure "--behind" rootLayer "--spec" specFile ] ++ inStore ++ ofLayer)
        { };

      front = if includeNixDB then "${database}/root.layer.json" else rootLayer;
      whole = stage "${baseName}-layer"
        ([ "layer" plan "--behind" front "--spec" specFile ] ++ inStore ++ ofLayer)
        { };

      result = stage "docker-image-${baseName}.tar${endingOf compressor}"
        (optionals (tag == null) [ "--tag" "image.json" ]
          ++ [ "image" "--legacy" "--spec" "image.json" "${whole}/root.layer.json" "-o" out ] ++ inStore)
        { "image.json" = spec // (if tag == null then { } else { tag = toString tag; }); };
      imageTag = if tag == null then hashOf result.outPath else toString tag;

      # The image as an image.json of its own: `layerstone build` and `push` make it, with its root as it was made.
      conf = stage "${baseName}-conf.json" [ "--put" "image.json" out ] {
        "image.json" = spec // { tag = imageTag; rootLayer = rootLayer; };
        preferLocalBuild = true;
      };

      reference = "${imageName}:${imageTag}";
      passthru = { buildArgs = args; inherit imageTag layer; };
    in
    described result { inherit meta passthru; } // {
      inherit imageName conf closure plan;
      # What buildIndex makes it of.
      indexed = if runAsRoot == null then "${conf}" else "${result}";
    } // bill.ofImage {
      name = baseName;
      contents = merged;
      inherit imageName closure;
    } // apps.ofLayers {
      archive = result;
      words = [ "image" "${whole}/root.layer.json" "--repo-tag" reference "--spec" "${specFile}" ] ++ inStore;
      inherit reference conf plan closure;
    };
  defaultArchitecture = architecture;
  defaultVariant = variant;

  buildImageWithNixDb = overridable "buildImageWithNixDb" (builtins.functionArgs build)
    (arguments: build (arguments // { includeNixDB = true; }));
}
