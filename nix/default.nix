# dockerTools' API over layerstone: images are made of stages, and every stage is a derivation that layerstone builds.
#
# `(import ./nix { inherit pkgs; }).buildImage` takes what `pkgs.dockerTools.buildImage` takes. Without nixpkgs, the
# caller says where the static binary is, and for scripts a bash and what they find in PATH.
let
  # nixpkgs' package of a name that the caller has not given.
  ofPkgs = pkgs: name:
    if pkgs == null
    then throw "layerstone: found neither pkgs nor ${name}, expected one of them among the arguments of default.nix"
    else pkgs.${name};

  # The program of a package set: the one that an overlay brought, else built from source.
  programOf = pkgs:
    pkgs.layerstone
      or (if pkgs ? rustPlatform
      then pkgs.callPackage ./package.nix { }
      else throw "layerstone: found no binary, expected `pkgs` or `layerstone` among the arguments of default.nix");

  currentSystem = builtins.currentSystem
    or (throw "layerstone: found neither pkgs nor system, expected one of them among the arguments of default.nix: a pure evaluation knows no current system");
in
{
  # nixpkgs, for what links to a package.
  pkgs ? null,
  # The program: a package with bin/layerstone, or a static binary. Stages are built with it, so it is one for `system`.
  layerstone ? programOf buildPackages,
  # Where stages are built.
  system ? if buildPackages ? stdenv then buildPackages.stdenv.hostPlatform.system else currentSystem,
  # Where images run.
  imageSystem ? if pkgs == null then system else pkgs.stdenv.hostPlatform.system,
  # Packages, from nixpkgs or the caller, that images link to, and that scripts have which run in them.
  bash ? ofPkgs pkgs "bash",
  bashInteractive ? if pkgs == null then bash else pkgs.bashInteractive,
  coreutils ? ofPkgs pkgs "coreutils",
  shadow ? ofPkgs pkgs "shadow",
  cacert ? ofPkgs pkgs "cacert",
  # nixpkgs of the machine that builds stages, which may be another than the one that images run on; scripts that run there
  # have its packages, and those of `tools` in PATH.
  buildPackages ? if pkgs == null then { inherit bash coreutils; } else pkgs.buildPackages or pkgs,
  tools ? buildPackages.stdenv.initialPath or [ ],
  # Whose functions scripts have (substituteInPlace, patchShebangs, …), as in dockerTools; null for none.
  stdenv ? buildPackages.stdenvNoCC or null,
  # How scripts run as root: see machine.nix. Of nothing, `layerstone overlay run` finds out.
  overlay ? import ./machine.nix { inherit pkgs buildPackages; },
  # Whether each layer is a derivation of its own, if an image does not say: the plan is then built while images are
  # evaluated, which flakes' checks, Hydra and other systems cannot do.
  perLayer ? false,
  # What the examples are made of: bash, coreutils, hello.
  packages ? { inherit bash coreutils; hello = ofPkgs pkgs "hello"; },
}:
let
  # A system by the names that images have for it, which are Go's.
  platforms = {
    x86_64-linux = { architecture = "amd64"; variant = null; };
    i686-linux = { architecture = "386"; variant = null; };
    aarch64-linux = { architecture = "arm64"; variant = null; };
    armv7l-linux = { architecture = "arm"; variant = "v7"; };
    armv6l-linux = { architecture = "arm"; variant = "v6"; };
    powerpc64le-linux = { architecture = "ppc64le"; variant = null; };
    powerpc64-linux = { architecture = "ppc64"; variant = null; };
    mips64el-linux = { architecture = "mips64le"; variant = null; };
    mipsel-linux = { architecture = "mipsle"; variant = null; };
    armv5tel-linux = { architecture = "arm"; variant = "v5"; };
    riscv64-linux = { architecture = "riscv64"; variant = null; };
    s390x-linux = { architecture = "s390x"; variant = null; };
    loongarch64-linux = { architecture = "loong64"; variant = null; };
  };
  platform = platforms.${imageSystem}
    or (throw "layerstone: found the system ${imageSystem}, expected one of ${toString (builtins.attrNames platforms)}");

  isPackage = layerstone ? outPath
    || (builtins.isPath layerstone && builtins.pathExists (layerstone + "/bin/layerstone"));

  # Each file is a function of what it needs of the others.
  call = file: import file scope;
  scope = {
    inherit pkgs system perLayer bash bashInteractive coreutils shadow cacert buildPackages tools stdenv;
    overlay = { flags = [ ]; features = [ ]; tools = [ ]; } // overlay;
    binary = if isPackage then "${layerstone}/bin/layerstone" else "${layerstone}";
    inherit (platform) architecture variant;
    isNative = imageSystem == system;
    lib = call ./lib.nix;
    derive = call ./stage.nix;
    check = call ./config.nix;
    apps = call ./apps.nix;
    bill = call ./bill.nix;
    contents = call ./contents.nix;
    layers = call ./layers.nix;
    layer = call ./layer.nix;
    layered = call ./layered.nix;
    image = call ./image.nix;
    base = call ./base.nix;
    downloads = call ./download.nix;
    pull = call ./pull.nix;
    manifest = call ./manifest.nix;
    index = call ./index.nix;
    shell = call ./shell-image.nix;
    api = api;
  };
  api = {
    inherit (scope.image) buildImage buildImageWithNixDb mkPureLayer mkRootLayer runWithOverlay;
    inherit (scope.layered) streamLayeredImage buildLayeredImage buildLayeredImageWithNixDb;
    inherit (scope.base) exportImage mergeImages tarsum;
    inherit (scope.pull) pullImage;
    inherit (scope.manifest) pullImageFromManifest;
    inherit (scope.layer) buildLayer;
    inherit (scope.index) buildIndex;
    inherit (scope.contents) fakeNss binSh usrBinEnv caCertificates shadowSetup shellScript mergeDrvs;
    inherit (scope.shell) streamNixShellImage buildNixShellImage;
    examples = import ./examples.nix { layerstone = api; pkgs = packages; };
  };
in
api
