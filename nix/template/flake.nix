{
  description = "An image of a package, layer by layer";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # Where this template came from.
    layerstone.url = "layerstone";
    layerstone.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs = { self, nixpkgs, layerstone }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      tools = layerstone.lib { inherit pkgs; };
    in
    {
      packages.${system} = {
        # nix build, then docker load -i result
        default = tools.buildLayeredImage {
          name = "hello";
          tag = "latest";
          contents = [ pkgs.hello ];
          config.Cmd = [ "/bin/hello" ];
        };
        # nix run .#stream | docker load
        stream = tools.streamLayeredImage {
          name = "hello";
          tag = "latest";
          contents = [ pkgs.hello ];
          config.Cmd = [ "/bin/hello" ];
        };
      };
    };
}
