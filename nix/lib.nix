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

  # One thing as a list of it, null as none.
  toList = value: if builtins.isList value then value else if value == null then [ ] else [ value ];

  optionals = condition: list: if condition then list else [ ];

  # What of a set differs from the default of its name: a spec says no more than it must.
  without = defaults: set:
    let isDefault = name: set ? ${name} && set.${name} == defaults.${name};
    in builtins.removeAttrs set (builtins.filter isDefault (builtins.attrNames defaults));

  # The hash in a store path's name. It is a text about the path, and needs nothing of it.
  hashOf = path: builtins.unsafeDiscardStringContext (builtins.substring 0 32 (baseNameOf path));

  # A condition that stops the evaluation with a message.
  ensure = condition: message: condition || throw message;

  # A function of a set whose result can be had again with other arguments, as nixpkgs' `override` does it.
  overridable = function: arguments:
    function arguments // {
      override = new:
        overridable function (arguments // (if builtins.isFunction new then new arguments else new));
    };
}
