# Images that are there already: pulled from a registry, exported as files, merged into one archive; and tarsum.
{ derive, lib, architecture, variant, isNative, pkgs, cacert, ... }:
let
  inherit (derive) stage script;
  inherit (lib) ensure optionals;
  out = builtins.placeholder "out";
  defaultVariant = variant;
  fixName = builtins.replaceStrings [ "/" ":" ] [ "-" "-" ];

  # Variables that a download may follow (curl(1), "ENVIRONMENT").
  proxies = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" "HTTP_PROXY" "HTTPS_PROXY" "ALL_PROXY" "NO_PROXY" ];

  # The registry of an image's name (distribution/reference: a first part that looks like a host is one).
  registryOf = name:
    let found = builtins.match "([^/]*[.:][^/]*|localhost)/.*" name;
    in if found == null then "docker.io" else builtins.head found;

  ending = archive:
    let
      name = archive.name or (baseNameOf (toString archive));
      found = builtins.match ".*(\\.tar|\\.tar\\.gz|\\.tar\\.zst)" name;
    in
    if found == null then "" else builtins.head found;
in
{
  # The image of this digest as an archive whose hash is known: `layerstone prefetch` prints both.
  pullImage =
    {
      imageName,
      imageDigest,
      sha256 ? null,
      hash ? null,
      outputHash ? null,
      outputHashAlgo ? null,
      os ? null,
      arch ? null,
      variant ? null,
      finalImageName ? imageName,
      finalImageTag ? "latest",
      tlsVerify ? true,
      name ? fixName "docker-image-${finalImageName}-${finalImageTag}.tar",
    }:
    let
      or' = value: default: if value == null then default else value;
      # A platform that is named must be the image's; one that is not only chooses among several.
      named = os != null || arch != null || variant != null;
      wantedVariant = if arch == null then or' variant defaultVariant else variant;
      given = builtins.filter (it: it != null) [ sha256 hash outputHash ];
      # An empty hash stands for one that nobody has yet: the build fails, and tells it.
      fixed =
        if given == [ "" ] then { outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; }
        else if hash != null then { outputHash = hash; }
        else if sha256 != null then { outputHash = sha256; outputHashAlgo = "sha256"; }
        else { inherit outputHash; } // (if outputHashAlgo == null then { } else { inherit outputHashAlgo; });
    in
    assert ensure (builtins.length given == 1) "pullImage: expected one of hash, sha256 and outputHash";
    stage name
      ([ "pull" "${imageName}@${imageDigest}" "--as" "${finalImageName}:${finalImageTag}" ]
        ++ [ "-o" out ]
        ++ optionals (named || !isNative) ([ "--os" (or' os "linux") "--arch" (or' arch architecture) ]
          ++ optionals (wantedVariant != null) [ "--variant" wantedVariant ])
        ++ optionals (!tlsVerify) [ "--insecure" (registryOf imageName) ]
        ++ optionals (pkgs != null) [ "--ca" "${cacert}/etc/ssl/certs/ca-bundle.crt" ])
      ({
        outputHashMode = "flat";
        impureEnvVars = proxies;
      } // fixed)
    // { imageName = finalImageName; imageTag = finalImageTag; inherit imageDigest; };

  # The files of an image as one flat tar. `diskSize` is taken for what it once was: no disk is needed.
  exportImage = { name ? fromImage.name, fromImage, fromImageName ? null, fromImageTag ? null, diskSize ? 1024 }:
    let
      tag = if fromImageTag == null then "" else ":${fromImageTag}";
      which = if fromImageName == null then "" else "#${fromImageName}${tag}";
    in
    stage name [ "overlay" "export" "${fromImage}${which}" "-o" out ] { };

  # The images of several archives in one, compressed as the last one is.
  mergeImages = images:
    let
      last = builtins.elemAt images (builtins.length images - 1);
      programs = builtins.filter (image: image.isExe or false) images;
    in
    assert ensure (images != [ ]) "layerstone: mergeImages: found no image, expected some";
    assert ensure (programs == [ ])
      "layerstone: mergeImages: found ${(builtins.head programs).name}, a program that streams an image, expected archives: buildLayeredImage makes them";
    stage "merge-docker-images${ending last}" ([ "merge" "-o" out ] ++ map (image: "${image}") images) { };

  # docker's tarsum, a program that reads a tar.
  tarsum = script "tarsum" "/bin/tarsum" [ "tarsum" ];
}
