# What the other files need of lists, texts and functions, as there is no nixpkgs whose library has it.
{ ... }:
let
  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
in
rec {
  toLower = builtins.replaceStrings upper lower;

  # dockerTools' default of all times.
  epoch = "1970-01-01T00:00:01Z";

  # How the name of an archive ends that is compressed so.
  endingOf = compressor:
    { none = ""; gz = ".gz"; zstd = ".zst"; }.${compressor}
      or (throw "unknown compressor: found ${compressor}, expected none, gz or zstd");

  # One thing as a list of it, null as none, lists in lists as one: what `toString` of them would name.
  toList = value:
    if builtins.isList value then builtins.concatMap toList value
    else if value == null then [ ]
    else [ value ];

  # Without what comes again.
  unique = builtins.foldl' (found: value: if builtins.elem value found then found else found ++ [ value ]) [ ];

  # What a value is, for messages.
  kindOf = value: {
    bool = "a boolean"; int = "a whole number"; float = "a number"; lambda = "a function"; list = "a list"; path = "a path";
    set = "a set"; string = "a string"; null = "null";
  }.${builtins.typeOf value};

  # The same with the value where that is short, and with what is in a list or a set.
  found = value:
    let
      values = if builtins.isList value then value else if builtins.isAttrs value && !(value ? outPath) then builtins.attrValues value else [ ];
      kinds = unique (map kindOf values);
    in
    if builtins.isString value then "the string ${builtins.toJSON (builtins.unsafeDiscardStringContext value)}"
    else if builtins.isInt value || builtins.isBool value then builtins.toJSON value
    else if value ? drvAttrs then "the derivation ${value.name}"
    else if kinds == [ ] then kindOf value
    else "${kindOf value} with ${builtins.concatStringsSep " and " kinds}";

  checkArguments = import ./arguments.nix { inherit kindOf toList toLower found; };

  # A number that may be given as a text, as arguments of dockerTools end up in scripts.
  toInt = name: value:
    let digits = builtins.isString value && builtins.match "0|[1-9][0-9]*" value != null;
    in if builtins.isInt value then value
    else if digits then builtins.fromJSON value
    else throw "layerstone: ${name}: found ${builtins.toJSON value}, expected a whole number";

  # A warning, which is no error for an evaluator that knows none.
  warn = builtins.warn or (message: value: builtins.trace "evaluation warning: ${message}" value);
  warnIf = condition: message: value: if condition then warn message value else value;

  optionals = condition: list: if condition then list else [ ];

  # What of a set differs from the default of its name: a spec says no more than it must.
  without = defaults: set:
    let isDefault = name: set ? ${name} && set.${name} == defaults.${name};
    in builtins.removeAttrs set (builtins.filter isDefault (builtins.attrNames defaults));

  # The hash in a store path's name. It is a text about the path, and needs nothing of it.
  hashOf = path: builtins.unsafeDiscardStringContext (builtins.substring 0 32 (baseNameOf path));

  # An image to build on, which is no program that writes one.
  archive = image:
    if image.isExe or false
    then throw "layerstone: fromImage: found ${image.name}, a program that streams an image, expected an archive: buildLayeredImage makes one"
    else image;

  # A condition that stops the evaluation with a message.
  ensure = condition: message: condition || throw message;

  # A function of a set whose result can be had again with other arguments: as nixpkgs' `override` does it, and for
  # attributes of the derivation `overrideAttrs`, where those that are arguments count as such. It says what it takes, as
  # `lib.functionArgs` reads it, and refuses in its own name what it does not.
  overridable = name: takes: function:
    let
      call = arguments:
        let
          unknown = builtins.attrNames (builtins.removeAttrs arguments (builtins.attrNames takes));
          # Those that begin like it, or else all.
          alike = builtins.filter
            (known: builtins.substring 0 3 (toLower known) == builtins.substring 0 3 (toLower (builtins.head unknown)))
            (builtins.attrNames takes);
          known = builtins.concatStringsSep ", " (if alike == [ ] then builtins.attrNames takes else alike);
          isMissing = argument: !takes.${argument} && !(arguments ? ${argument});
          missing = builtins.filter isMissing (builtins.attrNames takes);
          result = function arguments;
        in
        assert ensure (unknown == [ ])
          "layerstone: ${name}: unexpected argument '${builtins.head unknown}', known ${if alike == [ ] then "are" else "is"} ${known}";
        assert ensure (missing == [ ])
          "layerstone: ${name}: missing argument '${builtins.head missing}'";
        assert checkArguments name takes arguments;
        result // {
          override = new: call (arguments // (if builtins.isFunction new then new arguments else new));
          overrideAttrs = change:
            let
              old = arguments // builtins.removeAttrs result.drvAttrs [ "args" "builder" "system" ];
              new = if !builtins.isFunction change then change
                else let once = change old; in if builtins.isFunction once then change old old else once;
              # The name is the derivation's.
              arguments' = builtins.removeAttrs takes [ "name" "meta" "passthru" ];
              ofArguments = builtins.intersectAttrs arguments' new;
              others = builtins.removeAttrs new (builtins.attrNames arguments');
            in
            withAttrs (call (arguments // ofArguments)) others;
        };
    in
    { __functor = _: call; __functionArgs = takes; };

  # A result whose derivation has other attributes; `passthru` and `meta` are none of it.
  withAttrs = result: attributes:
    let
      ofDerivation = builtins.removeAttrs attributes [ "passthru" "meta" ];
      passthru = attributes.passthru or { };
      drvAttrs = result.drvAttrs // ofDerivation;
      changed = if ofDerivation == { } then result
        else result // builtins.removeAttrs (derivation drvAttrs) [ "drvAttrs" ] // { inherit drvAttrs; };
    in
    changed // passthru // { passthru = result.passthru or { } // passthru; meta = result.meta or { } // attributes.meta or { }; };

  # What nixpkgs' derivations say of themselves besides; `passthru` are attributes of the result, and stand in it too.
  described = drv: { meta ? { }, passthru ? { } }:
    drv // passthru // {
      inherit passthru;
      outputs = [ "out" ];
      meta = { inherit (drv) name; available = true; broken = false; outputsToInstall = [ "out" ]; } // meta;
    };
}
