# dockerTools' streamNixShellImage and buildNixShellImage: an image in which a derivation can be built, as nix-shell does.
{ bash, bashInteractive, coreutils, list, derive, contents, layered, ... }:
let
  inherit (list) ensure overridable;
  inherit (derive) write;
  inherit (contents) fakeNss binSh usrBinEnv;

  # Where nix-shell's user builds, and where the sandbox has the build's folder.
  folder = "/build";

  # What an attribute of a derivation is in its builder's environment (Nix manual, "Derivations").
  asText = value:
    if builtins.isBool value then (if value then "1" else "")
    else if value == null then ""
    else if builtins.isPath value then "${value}"
    else if builtins.isList value then builtins.concatStringsSep " " (map asText value)
    else toString value;

  # The environment that Nix gives a builder. What is built in a container has no place in its store, so that outputs lie
  # in the build's folder.
  environment = drv: homeDirectory:
    let
      passed = drv.drvAttrs.passAsFile or [ ];
      texts = builtins.mapAttrs (_: asText) (builtins.removeAttrs drv.drvAttrs ([ "args" "passAsFile" ] ++ passed));
      files = builtins.listToAttrs (map
        (name: { name = "${name}Path"; value = "${write "passed-as-file-${name}" (asText drv.drvAttrs.${name})}"; })
        passed);
      outputs = drv.drvAttrs.outputs or [ "out" ];
      place = name: "${folder}/outputs/${name}";
      places = builtins.listToAttrs (map (name: { inherit name; value = place name; }) outputs);
      filled = builtins.replaceStrings (map builtins.placeholder outputs) (map place outputs);
      folders = { NIX_BUILD_TOP = folder; TMPDIR = folder; TEMPDIR = folder; TMP = folder; TEMP = folder; PWD = folder; };
    in
    builtins.mapAttrs (_: filled) (texts // files) // places // folders // {
      HOME = homeDirectory;
      PATH = "/path-not-set";
      NIX_STORE = builtins.storeDir;
      NIX_BUILD_CORES = "1";
      TERM = "xterm-256color";
    };

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
    }:
    assert ensure (!(drv.drvAttrs.__structuredAttrs or false))
      "streamNixShellImage: Does not work with the derivation ${drv.name} because it uses __structuredAttrs";
    assert ensure (command == null || run == null)
      "streamNixShellImage: Can't specify both command and run";
    let
      builder = drv.drvAttrs.builder;
      arguments = drv.drvAttrs.args or [ ];

      # What the shell reads first: the environment that stdenv's setup makes, if there is one, then the shellHook.
      startup = write "nix-shell-rc" ''
        unset PATH
        dontAddDisableDepTrack=1
        if [ -n "''${stdenv-}" ] && [ -e "$stdenv/setup" ]; then
          source "$stdenv/setup"
        fi
        PATH=${bash}/bin:${coreutils}/bin''${PATH:+:$PATH}
        SHELL=${shell}
        set +e
        if [ -n "''${PS1-}" ] && [ -z "''${NIX_SHELL_PRESERVE_PROMPT-}" ]; then
          PS1='\n\[\033[1;32m\][nix-shell:\w]\$\[\033[0m\] '
        fi
        # What nix-shell in a container is for.
        buildDerivation() {
          ${builtins.concatStringsSep " " (map (word: quote (toString word)) ([ builder ] ++ arguments))}
        }
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
    {
      inherit name tag;
      contents = [ binSh usrBinEnv users ];
      # A home elsewhere is the caller's to make, as that of a sandbox does not exist.
      fakeRootCommands = ''
        mkdir -p .${folder}/outputs tmp
        chmod 1777 tmp
        chown -R ${toString uid}:${toString gid} .${folder}
      '';
      config = {
        Cmd = if run == null then [ shell "--rcfile" "${startup}" ] else [ shell "${startup}" ];
        User = "${toString uid}:${toString gid}";
        WorkingDir = folder;
        Env = builtins.attrValues (builtins.mapAttrs (key: value: "${key}=${value}") (environment drv homeDirectory));
      };
    };
in
{
  streamNixShellImage = overridable (arguments: layered.streamLayeredImage (layeredArguments arguments));

  buildNixShellImage = overridable ({ compressor ? "gz", ... }@arguments:
    let shellArguments = layeredArguments (builtins.removeAttrs arguments [ "compressor" ]);
    in layered.buildLayeredImage (shellArguments // { inherit compressor; }));
}
