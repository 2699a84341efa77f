# dockerTools' streamNixShellImage and buildNixShellImage: an image in which a derivation can be built, as nix-shell does.
{ pkgs, bash, bashInteractive, cacert, lib, derive, contents, layered, ... }:
let
  inherit (lib) ensure overridable;
  inherit (derive) write program;
  inherit (contents) fakeNss binSh usrBinEnv;

  # Where nix-shell's user builds, and where the sandbox has the build's directory.
  folder = "/build";

  # What an attribute of a derivation is in its builder's environment (Nix manual, "Derivations").
  asText = value:
    if builtins.isBool value then (if value then "1" else "")
    else if value == null then ""
    else if builtins.isPath value then "${value}"
    else if builtins.isList value then builtins.concatStringsSep " " (map asText value)
    else toString value;

  # Outputs lie in the build's directory: a store path that a config names is one of the image, and these are made in it.
  place = output: "${folder}/outputs/${output}";
  outputsOf = drv: drv.drvAttrs.outputs or [ "out" ];
  inPlace = drv: builtins.replaceStrings (map builtins.placeholder (outputsOf drv)) (map place (outputsOf drv));

  # Certificates for programs of the shell, where there are some.
  certificates =
    if pkgs == null then { }
    else
      let file = "${cacert}/etc/ssl/certs/ca-bundle.crt";
      in { SSL_CERT_FILE = file; NIX_SSL_CERT_FILE = file; };

  # The environment that Nix gives a builder: what the derivation says itself goes over its defaults, and the build's
  # directories over both.
  environment = { drv, homeDirectory, path }:
    let
      passed = drv.drvAttrs.passAsFile or [ ];
      texts = builtins.mapAttrs (_: asText) (builtins.removeAttrs drv.drvAttrs ([ "args" "passAsFile" ] ++ passed));
      files = builtins.listToAttrs (map
        (name: { name = "${name}Path"; value = "${write "passed-as-file-${name}" (asText drv.drvAttrs.${name})}"; })
        passed);
      places = builtins.listToAttrs (map (name: { inherit name; value = place name; }) (outputsOf drv));
      folders = { NIX_BUILD_TOP = folder; TMPDIR = folder; TEMPDIR = folder; TMP = folder; TEMP = folder; PWD = folder; };
    in
    certificates // {
      HOME = homeDirectory;
      PATH = path;
      NIX_STORE = builtins.storeDir;
      NIX_BUILD_CORES = "1";
    } // builtins.mapAttrs (_: inPlace drv) (texts // files) // places // folders // { TERM = "xterm-256color"; };

  # A word for a shell, whatever is in it.
  quote = word: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] word}'";

  # The arguments of a layered image.
  layeredArguments =
    {
      drv,
      name ? drv.name + "-env",
      tag ? null,
      uid ? 1000,
      gid ? 1000,
      homeDirectory ? "/build",
      shell ? "${bashInteractive}/bin/bash",
      command ? null,
      run ? null,
      # As of the image's layers.
      perLayer ? null,
    }:
    assert ensure (!(drv.drvAttrs.__structuredAttrs or false))
      "streamNixShellImage: Does not work with the derivation ${drv.name} because it uses __structuredAttrs";
    assert ensure (command == null || run == null)
      "streamNixShellImage: Can't specify both command and run";
    let
      words = map (word: inPlace drv (asText word)) ([ drv.drvAttrs.builder ] ++ drv.drvAttrs.args or [ ]);
      build = program "build-derivation" "/bin/buildDerivation" ''
        #!${bash}/bin/bash
        exec ${builtins.concatStringsSep " " (map quote words)}
      '';

      # What there is without a stdenv: the shell, and buildDerivation.
      path = "${builtins.dirOf shell}:${build}/bin";

      # What the shell reads first: the environment that stdenv's setup makes, if there is one, then the shellHook.
      startup = write "nix-shell-rc" ''
        unset PATH
        dontAddDisableDepTrack=1
        if [ -n "''${stdenv-}" ] && [ -e "$stdenv/setup" ]; then
          source "$stdenv/setup"
        fi
        PATH=${path}''${PATH:+:$PATH}
        SHELL=${shell}
        set +e
        if [ -n "''${PS1-}" ] && [ -z "''${NIX_SHELL_PRESERVE_PROMPT-}" ]; then
          PS1='\n\[\033[1;32m\][nix-shell:\w]\$\[\033[0m\] '
        fi
        if [ "$(type -t runHook)" = function ]; then
          runHook shellHook
        elif [ -n "''${shellHook-}" ]; then
          eval "$shellHook"
        fi
        unset NIX_ENFORCE_PURITY
        shopt -u nullglob
        shopt -s execfail
        ${if command == null && run == null then "" else "${if command == null then run else command}\nexit"}
      '';

      users = fakeNss.override {
        extraPasswdLines = [ "nixbld:x:${toString uid}:${toString gid}:Build user:${homeDirectory}:/noshell" ];
        extraGroupLines = [ "nixbld:!:${toString gid}:" ];
      };
    in
    (if perLayer == null then { } else { inherit perLayer; }) // {
      inherit name tag;
      contents = [ binSh usrBinEnv users ];
      # The store is the user's, as that of Nix for a single user; a home elsewhere is the caller's to make, as that of a
      # sandbox does not exist.
      fakeRootCommands = ''
        mkdir -p .${builtins.storeDir} nix/var/nix etc/nix .${folder}/outputs tmp
        chmod 1777 tmp
        chown -R ${toString uid}:${toString gid} .${builtins.storeDir} nix etc/nix .${folder}
      '';
      config = {
        Cmd = if run == null then [ shell "--rcfile" "${startup}" ] else [ shell "${startup}" ];
        User = "${toString uid}:${toString gid}";
        WorkingDir = folder;
        Env =
          let variables = environment { inherit drv homeDirectory path; };
          in map (key: "${key}=${variables.${key}}") (builtins.attrNames variables);
      };
    };

  takes = builtins.functionArgs layeredArguments;
in
{
  streamNixShellImage = overridable "streamNixShellImage" takes
    (arguments: layered.streamLayeredImage (layeredArguments arguments));

  buildNixShellImage = overridable "buildNixShellImage" (takes // { compressor = true; })
    (arguments:
      let shellArguments = layeredArguments (builtins.removeAttrs arguments [ "compressor" ]);
      in layered.buildLayeredImage (shellArguments // { compressor = arguments.compressor or "gz"; }));
}
