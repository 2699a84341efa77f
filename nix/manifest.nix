# nix2container's pullImageFromManifest: an image of a registry whose manifest is a lock file, and each blob a derivation.
{ derive, lib, downloads, apps, architecture, variant, ... }:
let
  inherit (derive) stage script;
  inherit (downloads) download flags fullName;
  inherit (lib) described overridable unique;
  out = builtins.placeholder "out";

  # The manifest's text as an image's, or why it is none.
  parse = function: text:
    let
      manifest = builtins.fromJSON text;
      wrong = found: throw ("layerstone: ${function}: imageManifest: found ${found}, expected the manifest of one image, "
        + "as getManifest or `layerstone manifest NAME:TAG --platform OS/ARCH` prints it");
      isBlob = it: builtins.isAttrs it && isDigest (it.digest or null);
      isDigest = digest: builtins.isString digest && builtins.match "sha256:[0-9a-f]{64}" digest != null;
    in
    # What is no JSON at all would be an error of the language's own.
    if builtins.substring 0 1 text != "{" then wrong "a text that begins with ${builtins.toJSON (builtins.substring 0 9 text)}"
    else if manifest ? manifests then wrong "an index of ${toString (builtins.length manifest.manifests)} images"
    else if !(manifest ? config && manifest ? layers) then
      wrong "a set of ${builtins.concatStringsSep ", " (builtins.attrNames manifest)}"
    else if !(builtins.all isBlob ([ manifest.config ] ++ manifest.layers)) then wrong "a blob without a digest of sha256"
    else manifest;

  pull =
    {
      imageName,
      # The lock file. Without one, there is only what writes it.
      imageManifest ? null,
      # What getManifest asks for.
      imageTag ? "latest",
      os ? "linux",
      arch ? architecture + (if variant == null then "" else "/${variant}"),
      tlsVerify ? true,
      # As fetchurl's: a script that writes the file `netrc` where it is run, and the variables that it needs.
      netrcPhase ? null,
      netrcImpureEnvVars ? [ ],
      # The registry, unless imageName says it.
      registryUrl ? null,
    }:
    let
      function = "pullImageFromManifest";
      fullImageName = if registryUrl == null then imageName else "${registryUrl}/${imageName}";
      from = { imageName = fullImageName; inherit tlsVerify netrcPhase netrcImpureEnvVars; };
      text = if imageManifest == null
        then throw "layerstone: ${function}: imageManifest: found none, expected a file, which getManifest writes"
        else builtins.unsafeDiscardStringContext (builtins.readFile imageManifest);
      manifest = parse function text;
      manifestDigest = "sha256:${builtins.hashString "sha256" text}";
      digests = unique (map (blob: blob.digest) ([ manifest.config ] ++ manifest.layers));

      # A blob is called by its digest alone, so that whatever image it is of, it is there once.
      blob = digest:
        download from "blob-${builtins.substring 7 12 digest}" [ "blob" "${fullImageName}@${digest}" "-o" out ] {
          outputHash = builtins.substring 7 64 digest;
          outputHashAlgo = "sha256";
        };
      place = digest: "${out}/blobs/sha256/${builtins.substring 7 64 digest}";

      # An OCI layout (image-spec, image-layout.md), whose blobs are links.
      layout = stage "oci-image-${builtins.replaceStrings [ "/" ":" ] [ "-" "-" ] imageName}"
        (builtins.concatMap (digest: [ "--link" "${blob digest}" (place digest) ]) digests
          ++ [ "--link" "${builtins.toFile "manifest.json" text}" (place manifestDigest) ]
          ++ [ "--put" "index.json" "${out}/index.json" "--put" "oci-layout.json" "${out}/oci-layout" ])
        {
          "oci-layout.json" = { imageLayoutVersion = "1.0.0"; };
          "index.json" = {
            schemaVersion = 2;
            mediaType = "application/vnd.oci.image.index.v1+json";
            manifests = [{
              mediaType = manifest.mediaType or "application/vnd.oci.image.manifest.v1+json";
              digest = manifestDigest;
              size = builtins.stringLength text;
              annotations = {
                "io.containerd.image.name" = "${fullName fullImageName}:${imageTag}";
                "org.opencontainers.image.ref.name" = imageTag;
              };
            }];
          };
          preferLocalBuild = true;
        };

      # Prints the manifest that the tag leads to now, that of the platform where it is an index.
      getManifest = described
        (script "get-manifest" "/bin/get-manifest"
          ([ "manifest" "${fullImageName}:${imageTag}" "--platform" "${os}/${arch}" ] ++ flags from))
        { meta.mainProgram = "get-manifest"; };
    in
    # What writes the lock file is there before the lock file is: only what needs it looks at it.
    described layout { } // apps.ofImage "${layout}"
    // {
      imageName = fullImageName;
      inherit imageTag getManifest;
      blobs = map blob digests;
    };
in
{
  pullImageFromManifest = overridable "pullImageFromManifest" (builtins.functionArgs pull) pull;
}
