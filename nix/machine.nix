# How scripts run as root, as `layerstone overlay run` is told: with nixpkgs in a virtual machine, as dockerTools does.
#
# A sandbox has neither a kernel in /boot nor users to be root among. Without nixpkgs, the caller says what there is.
{ pkgs, buildPackages, ... }:
let
  # The machine runs where stages are built.
  kernel = buildPackages.linux;

  # Modules beside the kernel's directory, where they are looked for.
  folder = buildPackages.runCommand "layerstone-kernel" { } ''
    mkdir -p $out/boot $out/lib
    cp ${kernel}/${buildPackages.stdenv.hostPlatform.linux-kernel.target} $out/boot/kernel
    ln -s ${kernel.modules or kernel}/lib/modules $out/lib/modules
  '';
in
if pkgs == null then { }
else {
  flags = [ "--backend" "vm" "--kernel" "${folder}/boot/kernel" ];
  # What their builders need (Nix manual, `system-features`).
  features = [ "kvm" ];
  # Packages whose programs are needed.
  tools = [ buildPackages.qemu_kvm ];
}
