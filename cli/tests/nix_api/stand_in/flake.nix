# A package set in the place of nixpkgs, as far as flake.nix, nix/package.nix and nix/default.nix ask for it: the functions
# have nixpkgs' names, arguments and results, and build with what the test puts beside them (machine.json).
{
  outputs = { self }:
    let
      machine = builtins.fromJSON (builtins.readFile ./machine.json);
      run = system: name: environment: script: derivation ({
        inherit name system;
        builder = "/bin/bash";
        # A shell that becomes its last command would close its output before it ends, on which Nix kills it.
        args = [ "-euc" "${script}\nexit" ];
        PATH = machine.path;
      } // environment);

      # Those of nixpkgs' installShellFiles.
      install = ''
        installShellCompletion() {
          for file; do mkdir -p $out/share/completions && cp "$file" $out/share/completions/; done
        }
        installManPage() { mkdir -p $out/share/man/man1 && cp "$@" $out/share/man/man1/; }
      '';

      make = system:
        let
          pkgs = {
            lib = {
              optionalString = condition: text: if condition then text else "";
              licenses = { mit.spdxId = "MIT"; asl20.spdxId = "Apache-2.0"; };
              platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
            };
            stdenv = {
              buildPlatform = { system = "x86_64-linux"; canExecute = host: host.system == "x86_64-linux"; };
              hostPlatform = { inherit system; };
              initialPath = [ ];
            };
            stdenvNoCC = run system "stdenv" { } ''
              mkdir $out
              echo "stdenvGreets() { echo 'hello from stdenv' >\"\$1\"; }; export PATH=${machine.path}" >$out/setup
            '';
            installShellFiles = null;
            # Cargo says whether the sources are whole; they are compiled by whoever runs the test.
            rustPlatform.buildRustPackage = { pname, version, src, cargoLock, meta, postInstall ? "", ... }@arguments:
              run system "${pname}-${version}" { inherit src postInstall; inherit (cargoLock) lockFile; } ''
                export CARGO_HOME=${machine.cargoHome} RUSTUP_HOME=${machine.rustupHome} HOME=$PWD
                cmp $lockFile $src/Cargo.lock
                cargo metadata --offline --locked --no-deps --format-version 1 --manifest-path $src/Cargo.toml >metadata
                mkdir -p $out/bin
                cp ${machine.binary} $out/bin/layerstone
                cp metadata $out/metadata.json
                ${install}
                eval "$postInstall"
              '' // { inherit meta pname version arguments; };
            mkShell = { inputsFrom, packages }: run system "shell" { inherit inputsFrom; } "touch $out";
            clippy = null;
            rustfmt = null;
            cargo-nextest = null;
            hello = run system "hello" { } ''mkdir -p $out/bin; printf '#!/bin/sh\necho hello\n' >$out/bin/hello; chmod +x $out/bin/hello'';
            bash = run system "bash" { } "mkdir -p $out/bin; ln -s /bin/bash $out/bin/bash";
            coreutils = run system "coreutils" { } "mkdir -p $out/bin; ln -s /usr/bin/env $out/bin/env";
            bashInteractive = pkgs.bash;
            cacert = pkgs.bash;
            shadow = pkgs.bash;
            runCommand = name: environment: script: run system name environment script;
            linux = pkgs.bash;
            qemu_kvm = pkgs.bash;
            pkgsStatic = pkgs;
            buildPackages = if system == "x86_64-linux" then pkgs else make "x86_64-linux";
            callPackage = file: overrides:
              let function = import file;
              in function (builtins.intersectAttrs (builtins.functionArgs function) pkgs // overrides);
            extend = overlay: let final = pkgs // overlay final pkgs; in final;
          };
        in pkgs;
    in
    {
      legacyPackages = builtins.listToAttrs
        (map (name: { inherit name; value = make name; }) [ "x86_64-linux" "aarch64-linux" ]);
    };
}
