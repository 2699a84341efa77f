{
  description = "dockerTools' API over layerstone: layered container images, each layer a derivation";

  # No inputs: nixpkgs is the caller's, who may do without.
  outputs = { self }: {
    # (layerstone.lib { inherit pkgs; layerstone = ./layerstone; }).buildLayeredImage { … }
    lib = import ./nix;

    # pkgs.layerstoneTools in the place of pkgs.dockerTools; pkgs.layerstone is the package of the binary.
    overlays.default = final: prev: { layerstoneTools = import ./nix { pkgs = final; }; };
  };
}
