# dockerTools' pullImage: the image of a registry as an archive whose hash is known.
{ lib, downloads, apps, architecture, variant, isNative, ... }:
let
  inherit (downloads) download;
  inherit (lib) ensure optionals overridable;
  out = builtins.placeholder "out";
  defaultVariant = variant;
  fixName = builtins.replaceStrings [ "/" ":" ] [ "-" "-" ];
  # The image of this digest as an archive: `layerstone prefetch` prints digest and hash.
  pull =
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
      # As fetchurl's: a script that writes the file `netrc` where it is run, and the variables that it needs.
      netrcPhase ? null,
      netrcImpureEnvVars ? [ ],
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
      archive = download { inherit imageName tlsVerify netrcPhase netrcImpureEnvVars; } name
        ([ "pull" "${imageName}@${imageDigest}" "--as" "${finalImageName}:${finalImageTag}" "-o" out ]
          ++ optionals (named || !isNative) ([ "--os" (or' os "linux") "--arch" (or' arch architecture) ]
            ++ optionals (wantedVariant != null) [ "--variant" wantedVariant ]))
        fixed;
    in
    assert ensure (builtins.length given == 1) "layerstone: pullImage: expected one of hash, sha256 and outputHash";
    archive // { imageName = finalImageName; imageTag = finalImageTag; inherit imageDigest; }
    // apps.ofImage "${archive}";
in
{
  pullImage = overridable "pullImage" (builtins.functionArgs pull) pull;
}
