# Bills of materials: what evaluation knows of packages (closure/sbom/FORMAT.md), and the bill of what an image needs.
{ derive, lib, ... }:
let
  inherit (derive) stage;
  inherit (lib) toList optionals;
  out = builtins.placeholder "out";

  isPackage = value: builtins.isAttrs value && value ? drvPath && value ? outPath;
  # What cannot be evaluated is not known. `try` looks at the value alone, as packages lead to all others.
  try = default: value: let tried = builtins.tryEval value; in if tried.success then tried.value else default;
  tryAll = default: value: try default (builtins.deepSeq value value);
  textOf = builtins.unsafeDiscardStringContext;

  # Packages and those that they are built with for where they run, as far as their attributes tell.
  reachable = packages:
    let
      node = package: { key = textOf package.drvPath; inherit package; };
      inputs = package:
        let of = name: builtins.filter (it: try false (isPackage it)) (try [ ] (toList (package.${name} or [ ])));
        in of "buildInputs" ++ of "propagatedBuildInputs";
    in
    map (found: found.package) (builtins.genericClosure {
      startSet = map node (builtins.filter isPackage packages);
      operator = found: map node (inputs found.package);
    });

  optional = name: value: if value == null || value == [ ] then { } else { ${name} = value; };
  isText = builtins.isString;
  textOr = value: if isText value then textOf value else null;
  first = value: let list = toList value; in if list == [ ] then null else textOr (builtins.head list);

  license = value:
    if isText value then { name = value; }
    else optional "spdxId" (textOr (value.spdxId or null))
      // optional "name" (textOr (value.fullName or value.shortName or null));

  known = package:
    let
      meta = package.meta or { };
      identifiers = meta.identifiers or { };
      # Without the hash, where a patch is a store path.
      patch = value:
        let
          name = textOf (baseNameOf (toString value));
          plain = builtins.match "[0-9a-z]{32}-(.*)" name;
        in if plain == null then name else builtins.head plain;
    in
    optional "name" (textOr (package.pname or null))
      // optional "version" (textOr (package.version or null))
      // optional "description" (textOr (meta.description or null))
      // optional "homepage" (first (meta.homepage or null))
      // optional "licenses" (builtins.filter (it: it != { }) (map license (toList (meta.license or null))))
      // optional "cpes" (optionals (isText (identifiers.cpe or null)) [ identifiers.cpe ])
      // optional "purl" (textOr (identifiers.purl or null))
      // optional "patches" (map patch (toList (package.patches or null)));

  # What is known of each output of a package, under its store path.
  outputs = package:
    let
      facts = tryAll { } (known package);
      paths = map (output: try null (textOf package.${output}.outPath)) (package.outputs or [ "out" ]);
      entry = path: { name = path; value = facts; };
    in
    if facts == { } then [ ] else map entry (builtins.filter (path: path != null) paths);
in
rec {
  # A file of `layerstone/meta` about the packages in `contents`, and about what they are made with.
  metaOf = name: contents:
    builtins.toFile "${name}-meta.json" (builtins.toJSON {
      format = "layerstone/meta";
      version = 1;
      paths = builtins.listToAttrs (builtins.concatMap outputs (reachable (toList contents)));
    });

  # What an image has to offer: `nix build .#image.sbom`, and the file that `layerstone sbom --meta` takes.
  ofImage = { name, imageName, closure, contents }: rec {
    sbomMeta = metaOf name contents;
    sbom = stage "${name}-sbom.cdx.json"
      [ "sbom" closure "--name" imageName "--meta" sbomMeta "-o" out ]
      { preferLocalBuild = true; };
  };
}
