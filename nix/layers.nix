# The layers of a layered image: what it needs, the plan of its layers, and a derivation for each of them.
{ derive, lib, ... }:
let
  inherit (derive) stage inStore;
  inherit (lib) optionals toInt;
  out = builtins.placeholder "out";

  # Nothing but its store paths goes into a layer: whatever image it is for, it is made once.
  layer = stamp: paths:
    stage "${nameOf paths}.layer.json" ([ "layer" "plan.json" "--index" "0" "-o" out ] ++ inStore ++ stamp) {
      "plan.json" = [ paths ];
    };

  # Layers are called after their first store path.
  nameOf = paths:
    let name = builtins.unsafeDiscardStringContext (baseNameOf (builtins.head paths));
    in builtins.substring 33 (builtins.stringLength name - 33) name;

  # A store path that is there, as the plan was made of it: an input that no derivation has to be known for.
  input = path: builtins.appendContext path { ${path} = { path = true; }; };

  # The plan as the evaluator reads it once it is built: the layers' store paths, bottom first.
  read = plan:
    let text = builtins.unsafeDiscardStringContext (builtins.readFile plan);
    in map (map input) (builtins.fromJSON text).layers;
in
{
  # All that the references of `roots`, which are derivations, lead to from what a spec and layer files name.
  closure = { name, spec, roots, files }:
    stage "${name}.closure.json"
      ([ "closure" "--graph" "graph.json" "--spec" spec ]
        ++ builtins.concatMap (file: [ "--layer" file ]) files ++ [ "-o" out ] ++ inStore)
      {
        exportReferencesGraph."graph.json" = roots;
        # Elsewhere, all that it only names would have to be brought first.
        preferLocalBuild = true;
      };

  # Which of these paths share a layer.
  plan =
    {
      name,
      closure,
      # Of the whole image, or of what is not below.
      maxLayers ? null,
      maxNewLayers ? null,
      base ? null,
      # Layer files that are made already.
      below ? [ ],
      exclude ? [ ],
      strategy ? null,
      layeringPipeline ? null,
      previous ? null,
      rates ? null,
      minLayerSize ? 0,
    }:
    let
      isText = builtins.isList layeringPipeline;
      pipeline = [ "--strategy" "pipeline" (if isText then "pipeline.json" else "${layeringPipeline}") ];
    in
    stage "${name}.layers.json"
      ([ "layers" closure "-o" out ]
        ++ optionals (maxLayers != null) [ "--max-layers" (toString maxLayers) ]
        ++ optionals (maxNewLayers != null) [ "--max-new-layers" (toString maxNewLayers) ]
        ++ builtins.concatMap (file: [ "--below" file ]) below
        ++ builtins.concatMap (path: [ "--exclude" path ]) exclude
        ++ optionals (base != null) [ "--base" "${base}" ]
        ++ optionals (previous != null) [ "--previous" "${previous}" ]
        ++ optionals (rates != null) [ "--rates" "${rates}" ]
        ++ optionals (minLayerSize != 0) [ "--min-layer-size" (toString minLayerSize) ]
        ++ (if layeringPipeline != null then pipeline else optionals (strategy != null) [ "--strategy" strategy ]))
      ({ preferLocalBuild = true; } // (if isText then { "pipeline.json" = layeringPipeline; } else { }));

  # The layer files of a plan, one derivation each: known only when the plan is built.
  perLayer = stamp: plan: map (layer stamp) (read plan);

  # Mount points for the store paths of a plan, for nix-snapshotter: the output refers to all of them, and lists them.
  mounts = { name, plan, mtime }:
    stage "${name}-closure-info"
      ([ "layer" plan "--mounts" "--nix-closure" out "-o" "${out}/mounts.layer.json" "--blob" "${out}/layer.tar" ]
        ++ [ "--mtime" mtime ] ++ inStore)
      { preferLocalBuild = true; };

  # The layer files of a plan in one derivation, for evaluators that build nothing.
  together = { name, stamp, plan, known ? null, history ? [ ], blobs ? false }:
    stage "${name}-layers"
      ([ "layer" plan "--all" "-o" out ] ++ inStore ++ stamp ++ history
        ++ optionals blobs [ "--blobs" ] ++ optionals (known != null) [ "--known" "${known}" ])
      { };

  # Time and owner of all files in a layer of store paths.
  stamp = { mtime, uid, gid, uname, gname }:
    [ "--mtime" (toString mtime) "--uid" (toString (toInt "uid" uid)) "--gid" (toString (toInt "gid" gid)) ]
    ++ [ "--uname" uname "--gname" gname ];
}
