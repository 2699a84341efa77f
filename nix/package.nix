# The program as a package, as nixpkgs builds Rust programs: `pkgs.callPackage ./nix/package.nix { }`.
#
# Cargo.lock has the digests of all that is downloaded; nothing comes from git.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
let
  inherit ((builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package) version;

  # What cargo reads, and what tests of the crates do: no history, no build directory.
  sources = [
    "Cargo.toml" "Cargo.lock" "LICENSE-APACHE" "LICENSE-MIT" "README.md" "ARCHITECTURE.md" "docs" "examples" "nix"
    "closure" "layering" "archive" "overlay" "cli" "xtask"
  ];
  root = toString ../.;
  # The first part of a path below the root.
  topOf = path: builtins.head (builtins.split "/" (builtins.substring (builtins.stringLength root + 1) (-1) path));

  # A program for another machine cannot tell its own manual here.
  isRunnable = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
in
rustPlatform.buildRustPackage {
  pname = "layerstone";
  inherit version;

  src = builtins.path {
    name = "layerstone-${version}-source";
    path = ../.;
    filter = path: _type: builtins.elem (topOf path) sources;
  };
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [ installShellFiles ];

  cargoBuildFlags = [ "--package" "layerstone" ];
  # The tests of the crates. Those of the program drive docker, registries, virtual machines and Nix.
  cargoTestFlags = [ "--workspace" "--lib" ];

  postInstall = lib.optionalString isRunnable ''
    for shell in bash zsh fish; do
      $out/bin/layerstone completions $shell >layerstone.$shell
    done
    installShellCompletion layerstone.{bash,zsh,fish}
    mkdir man
    $out/bin/layerstone man man
    installManPage man/*
  '';

  meta = {
    description = "Layered container images from closures of store paths, one stage at a time";
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    platforms = lib.platforms.linux;
    mainProgram = "layerstone";
  };
}
