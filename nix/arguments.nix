# What arguments may be, for errors at the user's call: an argument of one name means the same in all functions.
#
# Null stands for the default of any. What is not in the table is looked at where it is used.
{ kindOf, toList, toLower, found }:
let
  isFile = value: builtins.isString value || builtins.isPath value || value ? outPath;
  isSet = value: builtins.isAttrs value && !(value ? outPath);
  isNumber = value: builtins.isString value && builtins.match "0|[1-9][0-9]*" value != null;
  isOneOf = names: value: builtins.elem value names;

  # Names and tags as registries take them (distribution/reference, "Grammar").
  part = "[a-z0-9]+([._-]+[a-z0-9]+)*";
  imageName = "([A-Za-z0-9.-]+(:[0-9]+)?/)?${part}(/${part})*";
  isTag = value: builtins.match "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" (toString value) != null;

  text = { expected = "a string"; check = builtins.isString; };
  script = { expected = "the text of a script"; check = builtins.isString; };
  boolean = { expected = "true or false"; check = builtins.isBool; };
  count = { expected = "a whole number"; check = value: builtins.isInt value && value >= 0; };
  id = { expected = "a whole number"; check = value: builtins.isInt value || isNumber value; };
  file = { expected = "a path or a derivation"; check = isFile; };
  files = { expected = "paths and derivations, one or a list"; check = value: builtins.all isFile (toList value); };
  set = { expected = "a set"; check = isSet; };
  texts = { expected = "a set of strings"; check = value: isSet value && builtins.all isFile (builtins.attrValues value); };
  list = { expected = "a list"; check = builtins.isList; };
  names = { expected = "a list of strings"; check = value: builtins.isList value && builtins.all builtins.isString value; };
  oneOf = values: { expected = "one of ${builtins.concatStringsSep ", " values}"; check = isOneOf values; };

  types = {
    name = text;
    tag = { expected = "a tag: letters, digits, _, . and -, at most 128"; check = value: (builtins.isInt value || builtins.isString value) && isTag value; };
    fromImage = file;
    fromImageName = text;
    fromImageTag = text;
    contents = files;
    copyToRoot = files;
    derivations = files;
    keepContentsDirlinks = boolean;
    architecture = text;
    variant = text;
    created = text;
    mtime = text;
    uid = id;
    gid = id;
    nixUid = id;
    nixGid = id;
    uname = text;
    gname = text;
    maxLayers = count;
    minLayerSize = count;
    diskSize = count;
    buildVMMemorySize = count;
    extraCommands = script;
    fakeRootCommands = script;
    runAsRoot = script;
    preMount = script;
    postMount = script;
    postUmount = script;
    enableFakechroot = boolean;
    includeStorePaths = boolean;
    includeNixDB = boolean;
    inheritConfig = boolean;
    perLayer = boolean;
    xattrs = boolean;
    replace = boolean;
    strategy = oneOf [ "least-churn" "popularity" "size" ];
    compression = oneOf [ "none" "gzip" "zstd" "zstd:chunked" ];
    snapshotter = oneOf [ "nix" ];
    compressor = oneOf [ "none" "gz" "zstd" ];
    previous = file;
    known = file;
    annotations = texts;
    labels = texts;
    perms = list;
    deps = files;
    ignore = files;
    reproducible = boolean;
    metadata = set;
    helpers = list;
    layeringPipeline = { expected = "a list of operations, or the file of one"; check = value: builtins.isList value || isFile value; };
    extraPasswdLines = names;
    extraGroupLines = names;
    onlyDeps = boolean;
    meta = set;
    passthru = set;

    # Of images of registries.
    imageName = { expected = "HOST/NAME without a tag or a digest"; check = value: builtins.isString value && builtins.match "([^/@]+/)?[^@:]+" value != null; };
    imageDigest = { expected = "sha256: and 64 hexadecimal digits"; check = value: builtins.isString value && builtins.match "sha256:[0-9a-f]{64}" value != null; };
    finalImageName = text;
    finalImageTag = text;
    imageTag = text;
    imageManifest = file;
    registryUrl = { expected = "HOST or HOST:PORT"; check = value: builtins.isString value && builtins.match "[A-Za-z0-9.-]+(:[0-9]+)?(/${part})*" value != null; };
    os = text;
    arch = text;
    tlsVerify = boolean;
    netrcPhase = script;
    netrcImpureEnvVars = names;

    # Of images of derivations.
    drv = { expected = "a derivation"; check = value: value ? drvAttrs; };
    homeDirectory = text;
    shell = file;
    command = text;
    run = text;
  };

  # What gives an image its name, which is lower-cased: a function that takes a tag, too.
  ofImage = types // {
    name = { expected = "a name of an image, such as tool or registry.example/team/tool"; check = value: builtins.isString value && builtins.match imageName (toLower value) != null; };
  };
in
# Whether these arguments of a function may be what they are, which is an error if not.
function: takes: arguments:
let
  table = if takes ? tag && takes ? name then ofImage else types;
  check = name:
    let value = arguments.${name};
    in
    value == null || table.${name}.check value
    || throw "layerstone: ${function}: ${name}: found ${found value}, expected ${table.${name}.expected}";
in
builtins.all check (builtins.attrNames (builtins.intersectAttrs table arguments))
