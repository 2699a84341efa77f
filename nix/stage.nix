# One stage: a derivation whose builder is layerstone itself, with nothing in its environment.
{ binary, system, buildPackages, tools, stdenv, lib, ... }:
let
  out = builtins.placeholder "out";
in
rec {
  # `command` is what layerstone is called with, `attributes` what lies there as files: see `layerstone derivation`.
  stage = name: command: attributes:
    lib.described
      (derivation ({
        inherit name system;
        builder = binary;
        args = [ "derivation" ] ++ command;
        __structuredAttrs = true;
      } // attributes))
      { };

  # Where the store is, for commands that read it.
  inStore = if builtins.storeDir == "/nix/store" then [ ] else [ "--store" builtins.storeDir ];

  # What a stage that runs scripts has besides: bash, and in PATH what the caller gave.
  scripted = scriptedWith [ ];
  scriptedWith = more:
    let packages = [ buildPackages.bash buildPackages.coreutils ] ++ tools ++ more;
    in { env.PATH = builtins.concatStringsSep ":" (map (package: "${package}/bin") packages); };

  # Commands with stdenv's functions before them, as dockerTools' scripts have them. stdenv's setup wants to be in a builder
  # whose attributes are variables, and sets PATH anew.
  withFunctions = commands:
    if stdenv == null || commands == "" then commands
    else ''
      unset NIX_ATTRS_JSON_FILE NIX_ATTRS_SH_FILE
      export out="''${out-$PWD}" NIX_BUILD_TOP="''${NIX_BUILD_TOP-$PWD}"
      pathOfStage=$PATH
      source ${stdenv}/setup
      PATH=$PATH:$pathOfStage
      unset pathOfStage
      ${commands}
    '';

  # A text as a program.
  write = name: program name "";

  # The same somewhere in a directory.
  program = name: path: text:
    stage name [ "--put" "text.sh" "${out}${path}" ] { "text.sh" = text; preferLocalBuild = true; };

  # A program that is a command line of layerstone's, and needs no shell.
  script = name: path: words:
    program name path (builtins.concatStringsSep "\n" ([ "#!${binary} script" ] ++ words) + "\n");
}
