# Images to try, and to test: nixpkgs' examples of dockerTools, by their names, as far as these packages go.
#
# `pkgs` has bash, coreutils and hello; where theirs have redis or nginx, ours have hello.
{ layerstone, pkgs }:
let
  inherit (layerstone) buildImage buildLayeredImage streamLayeredImage mergeImages;
  inherit (pkgs) coreutils hello;
  # One of the examples is called bash.
  shell = pkgs.bash;
in
rec {
  # One layer, and its name and tag.
  bash = buildImage {
    name = "bash";
    tag = "latest";
    copyToRoot = [ shell coreutils ];
    config.Cmd = [ "/bin/bash" ];
  };
  bashNoTag = buildImage { name = "bash-no-tag"; copyToRoot = shell; };
  bashNoTagLayered = buildLayeredImage { name = "bash-no-tag-layered"; contents = shell; };
  bashNoTagStreamLayered = streamLayeredImage { name = "bash-no-tag-stream-layered"; contents = shell; };

  # Compression.
  bashZstdCompressed = buildImage { name = "bash-zstd"; tag = "latest"; compressor = "zstd"; copyToRoot = shell; };
  bashUncompressed = buildImage { name = "bash-uncompressed"; tag = "latest"; compressor = "none"; copyToRoot = shell; };
  bashLayeredZstdCompressed =
    buildLayeredImage { name = "bash-layered-zstd"; tag = "latest"; compressor = "zstd"; contents = shell; };
  bashLayeredUncompressed =
    buildLayeredImage { name = "bash-layered-uncompressed"; tag = "latest"; compressor = "none"; contents = shell; };

  # Users and owners.
  bashLayeredWithUser = buildLayeredImage {
    name = "bash-layered-with-user";
    tag = "latest";
    contents = [ shell coreutils (layerstone.fakeNss.override {
      extraPasswdLines = [ "somebody:x:1000:1000:somebody:/var/empty:/bin/bash" ];
      extraGroupLines = [ "somebody:x:1000:" ];
    }) ];
  };
  layeredImageWithFakeRootCommands = streamLayeredImage {
    name = "layered-image-with-fake-root-commands";
    tag = "latest";
    contents = [ shell coreutils ];
    fakeRootCommands = ''
      mkdir -p ./home/alice
      chown 1000 ./home/alice
      ln -s ${hello} ./hello
    '';
  };
  imageViaFakeChroot = streamLayeredImage {
    name = "image-via-fake-chroot";
    tag = "latest";
    contents = [ shell coreutils ];
    enableFakechroot = true;
    fakeRootCommands = ''
      mkdir -p /greeting
      ${hello}/bin/hello >/greeting/text
      chown -R 12345:12345 /greeting
    '';
    config.Cmd = [ "/bin/cat" "/greeting/text" ];
  };
  chownTestImage = buildImage {
    name = "chown-test";
    tag = "latest";
    copyToRoot = [ shell coreutils ];
    runAsRoot = ''
      echo 'of somebody' >/testfile
      chown 12345:12345 /testfile
    '';
    config.Cmd = [ "/bin/stat" "-c" "%u:%g" "/testfile" ];
  };
  nonRootTestImage = streamLayeredImage {
    name = "non-root-test";
    tag = "latest";
    uid = 1000;
    gid = 1000;
    uname = "user";
    gname = "user";
    contents = [ shell coreutils ];
    config = { User = "1000:1000"; Cmd = [ "/bin/stat" "-c" "%u:%g" "${coreutils}/bin/stat" ]; };
  };

  # Scripts.
  runAsRootExtraCommands = buildImage {
    name = "run-as-root-extra-commands";
    tag = "latest";
    copyToRoot = coreutils;
    # The parentheses are there to be no shell's business.
    extraCommands = ''(echo extraCommands >extraCommands)'';
    runAsRoot = ''(echo runAsRoot >runAsRoot)'';
  };
  layered-image = buildLayeredImage {
    name = "layered-image";
    tag = "latest";
    extraCommands = ''(echo extraCommands >extraCommands)'';
    config.Cmd = [ "${hello}/bin/hello" ];
    contents = [ hello shell coreutils ];
  };
  # Its layers are those of the image before, but for the uppermost ones.
  another-layered-image = streamLayeredImage {
    name = "another-layered-image";
    tag = "latest";
    config.Cmd = [ "${hello}/bin/hello" ];
    contents = [ coreutils hello shell ];
  };

  # Bases.
  layered-on-top = buildImage {
    name = "layered-on-top";
    tag = "latest";
    fromImage = layered-image;
    extraCommands = ''
      mkdir ./example-output
      chmod 777 ./example-output
    '';
    config = {
      Env = [ "PATH=${coreutils}/bin" ];
      WorkingDir = "/example-output";
      Cmd = [ "${shell}/bin/bash" "-c" "echo hello >foo; cat foo" ];
    };
  };
  layered-on-top-layered = buildLayeredImage {
    name = "layered-on-top-layered";
    tag = "latest";
    fromImage = layered-image;
    extraCommands = ''
      mkdir ./example-output
      chmod 777 ./example-output
    '';
    config = {
      Env = [ "PATH=${coreutils}/bin" ];
      WorkingDir = "/example-output";
      Cmd = [ "${shell}/bin/bash" "-c" "echo hello >foo; cat foo" ];
    };
  };
  layersOrder =
    let
      layer = number: fromImage: buildImage {
        name = "layers-order";
        tag = "layer${toString number}";
        inherit fromImage;
        copyToRoot = if fromImage == null then [ coreutils ] else [ ];
        extraCommands = ''
          mkdir -p tmp
          for i in ${toString (builtins.genList (i: i + 1) number)}; do echo layer${toString number} >tmp/layer$i; done
        '';
      };
    in
    layer 1 (layer 2 (layer 3 null));
  layersUnpackOrder =
    let
      layer = letter: fromImage: buildImage {
        name = "layers-unpack-order";
        tag = letter;
        inherit fromImage;
        copyToRoot = if fromImage == null then [ shell coreutils ] else [ ];
        runAsRoot = ''
          printf %s ${letter} >>/layer-order
        '';
      };
    in
    layer "c" (layer "b" (layer "a" null));
  environmentVariablesParent = buildImage {
    name = "environment-parent";
    tag = "latest";
    copyToRoot = coreutils;
    config.Env = [ "FROM_PARENT=true" "LAST_LAYER=parent" ];
  };
  environmentVariables = buildImage {
    name = "environment";
    tag = "latest";
    fromImage = environmentVariablesParent;
    config.Env = [ "FROM_CHILD=true" "LAST_LAYER=child" ];
  };
  environmentVariablesLayered = buildLayeredImage {
    name = "environment-layered";
    tag = "latest";
    fromImage = environmentVariablesParent;
    config.Env = [ "FROM_CHILD=true" "LAST_LAYER=child" ];
  };

  # How many layers, and what is in them.
  two-layered-image = buildLayeredImage {
    name = "two-layered-image";
    tag = "latest";
    config.Cmd = [ "${hello}/bin/hello" ];
    contents = [ shell hello ];
    maxLayers = 2;
  };
  bulk-layer = buildLayeredImage {
    name = "bulk-layer";
    tag = "latest";
    contents = [ coreutils hello ];
    maxLayers = 2;
  };
  layered-bulk-layer = streamLayeredImage {
    name = "layered-bulk-layer";
    tag = "latest";
    fromImage = two-layered-image;
    contents = [ coreutils hello ];
    maxLayers = 4;
  };
  no-store-paths = buildLayeredImage {
    name = "no-store-paths";
    tag = "latest";
    extraCommands = ''
      # What is run here is no part of the image.
      ${hello}/bin/hello >greeting
    '';
  };
  helloOnRoot = streamLayeredImage {
    name = "hello";
    tag = "latest";
    contents = hello;
    config.Cmd = [ "hello" ];
    config.Env = [ "PATH=/bin" ];
  };
  helloOnRootNoStore = helloOnRoot.override { name = "hello-no-store"; includeStorePaths = false; };
  helloOnRootNoStoreFakechroot = helloOnRootNoStore.override {
    name = "hello-no-store-fakechroot";
    enableFakechroot = true;
    fakeRootCommands = "mkdir /made";
  };

  # Names, dates, systems.
  prefixedImage = buildImage {
    name = "registry-1.docker.io/image";
    tag = "latest";
    config.Cmd = [ "${hello}/bin/hello" ];
  };
  prefixedLayeredImage = buildLayeredImage {
    name = "registry-1.docker.io/layered-image";
    tag = "latest";
    config.Cmd = [ "${hello}/bin/hello" ];
  };
  unstableDate = buildImage { name = "unstable-date"; tag = "latest"; copyToRoot = hello; created = "now"; };
  unstableDateLayered =
    buildLayeredImage { name = "unstable-date-layered"; tag = "latest"; contents = hello; created = "now"; };
  build-image-with-architecture =
    buildImage { name = "build-image-with-architecture"; tag = "latest"; architecture = "arm64"; };
  layered-image-with-architecture =
    buildLayeredImage { name = "layered-image-with-architecture"; tag = "latest"; architecture = "arm64"; };

  # Paths of the caller's own, and ready contents.
  build-image-with-path = buildImage {
    name = "build-image-with-path";
    tag = "latest";
    copyToRoot = [ coreutils ./. ];
  };
  layered-image-with-path = streamLayeredImage {
    name = "layered-image-with-path";
    tag = "latest";
    contents = [ coreutils ./. ];
  };
  image-with-helpers = buildLayeredImage {
    name = "image-with-helpers";
    tag = "latest";
    contents = [ layerstone.binSh layerstone.usrBinEnv layerstone.fakeNss ];
    config.Cmd = [ "/bin/sh" "-c" "exec /usr/bin/env ${coreutils}/bin/echo ready" ];
  };

  # Nix in the image knows its store.
  imageWithNixDb = layerstone.buildImageWithNixDb { name = "nix-db"; tag = "latest"; copyToRoot = [ shell coreutils ]; };
  layeredImageWithNixDb =
    layerstone.buildLayeredImageWithNixDb { name = "nix-db-layered"; tag = "latest"; contents = [ shell coreutils ]; };

  # Several images in one archive, and one image as files.
  mergedBashAndHello = mergeImages [ bash layered-image ];
  mergedBashNoTagAndHello = mergeImages [ bashNoTag layered-image ];
  mergeVaryingCompressor = mergeImages [ layered-image bashUncompressed bashZstdCompressed ];
  exportBash = layerstone.exportImage { fromImage = bash; name = "bash.tar"; };

  # Derivations to be built in containers.
  nix-shell-basic = layerstone.streamNixShellImage {
    name = "nix-shell-basic";
    tag = "latest";
    drv = shellDerivation;
  };
  nix-shell-run = layerstone.streamNixShellImage {
    name = "nix-shell-run";
    tag = "latest";
    drv = shellDerivation;
    run = ''
      case "$-" in
        *i*) echo interactive ;;
        *) echo "not interactive" ;;
      esac
    '';
  };
  nix-shell-command = layerstone.streamNixShellImage {
    name = "nix-shell-command";
    tag = "latest";
    drv = shellDerivation;
    command = ''
      case "$-" in
        *i*) echo interactive ;;
        *) echo "not interactive" ;;
      esac
    '';
  };
  nix-shell-nonexistent-home = layerstone.streamNixShellImage {
    name = "nix-shell-nonexistent-home";
    tag = "latest";
    drv = shellDerivation;
    homeDirectory = "/homeless-shelter";
  };
  shellDerivation = derivation {
    name = "greeting";
    system = hello.system or builtins.currentSystem;
    builder = "${shell}/bin/bash";
    # A shell that becomes its last command would close its output before it ends, on which Nix kills it.
    args = [ "-ec" "${coreutils}/bin/mkdir -p $out/bin; ${coreutils}/bin/ln -s $input/bin/hello $out/bin/hello; exit" ];
    input = hello;
    list = [ "a" "b" ];
    passAsFile = [ "long" ];
    long = "it's long\n";
    shellHook = "export HOOK='the shell hook'";
  };
}
