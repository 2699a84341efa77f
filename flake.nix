{
  description = "Layered container images from closures of store paths, and dockerTools' API over them";

  # For the packages alone; `lib` is given its packages, or none. There is no lock file: whoever uses this flake has one,
  # and follows their own nixpkgs (docs/nix.md).
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forAll = make: builtins.listToAttrs (map
        (system: { name = system; value = make nixpkgs.legacyPackages.${system} self.packages.${system}; })
        systems);
    in
    {
      # (layerstone.lib { inherit pkgs; }).buildLayeredImage { … }
      lib = import ./nix;

      overlays = {
        # pkgs.layerstone, and pkgs.layerstoneTools in the place of pkgs.dockerTools.
        default = final: _prev: {
          layerstone = final.callPackage ./nix/package.nix { };
          layerstoneTools = import ./nix { pkgs = final; };
        };
        # pkgs.dockerTools itself.
        dockerTools = final: prev: self.overlays.default final prev // { dockerTools = final.layerstoneTools; };
      };

      packages = forAll (pkgs: own: {
        layerstone = pkgs.callPackage ./nix/package.nix { };
        # One file that needs no libraries, for builders that have none.
        layerstone-static = pkgs.pkgsStatic.callPackage ./nix/package.nix { };
        default = own.layerstone;
      });

      apps = forAll (_: own: {
        default = { type = "app"; program = "${own.layerstone}/bin/layerstone"; };
      });

      devShells = forAll (pkgs: own: {
        default = pkgs.mkShell {
          inputsFrom = [ own.layerstone ];
          packages = [ pkgs.clippy pkgs.rustfmt pkgs.cargo-nextest ];
        };
      });

      checks = forAll (pkgs: own: {
        inherit (own) layerstone;
        image = (self.lib { inherit pkgs; inherit (own) layerstone; }).buildLayeredImage {
          name = "hello";
          tag = "latest";
          contents = [ pkgs.hello ];
          config.Cmd = [ "/bin/hello" ];
        };
      });

      templates.default = { path = ./nix/template; description = "An image of a package, layer by layer"; };
    };
}
