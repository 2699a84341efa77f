# Checks an image's config while it is evaluated, by the keys that OCI and docker know (config-keys.json, which the program's
# own table makes): what an engine cannot read is an error at the user's line.
{ lib, ... }:
let
  inherit (lib) kindOf;
  keys = builtins.fromJSON (builtins.readFile ./config-keys.json);

  # A derivation or a path is the text of its store path.
  isText = value: builtins.isString value || builtins.isPath value || value ? outPath;
  isAssignment = value: isText value && builtins.match "[^=]+=.*" (flat "${value}") != null;
  # Without newlines, which `.` does not match.
  flat = builtins.replaceStrings [ "\n" ] [ " " ];
  isSet = value: builtins.isAttrs value && !(value ? outPath);

  # What each type of the table is, for messages, and whether a value is one.
  types = {
    text = { expected = "a string"; check = isText; };
    boolean = { expected = "true or false"; check = builtins.isBool; };
    number = { expected = "a whole number"; check = builtins.isInt; };
    strings = { expected = "a list of strings"; check = value: builtins.isList value && builtins.all isText value; };
    environment = {
      expected = "a list of strings NAME=VALUE, or a set of values by name";
      check = value: builtins.isList value && builtins.all isAssignment value;
    };
    set = { expected = ''a set of empty sets, such as { "/data" = { }; }''; check = isSet; };
    ports = { expected = ''a set of empty sets, such as { "80/tcp" = { }; }''; check = isSet; };
    labels = {
      expected = "a set of strings";
      check = value: isSet value && builtins.all isText (builtins.attrValues value);
    };
  };

  # Where a key was written.
  place = set: key:
    let found = builtins.unsafeGetAttrPos key set;
    # What is evaluated from a command line has no file.
    in if found == null || builtins.substring 0 1 found.file != "/" then ""
    else " at ${found.file}:${toString found.line}";

  # Fails at the first key that is wrong.
  checkKeys = where: table: set:
    let
      checkKey = key:
        let
          value = set.${key};
          type = table.${key} or null;
          same = builtins.filter (known: lib.toLower known == lib.toLower key) (builtins.attrNames table);
          meant = if same == [ ] then "known are ${builtins.concatStringsSep ", " (builtins.attrNames table)}"
            else "${builtins.head same} is known";
        in
        if type == null then throw "layerstone: ${where}.${key}${place set key}: unknown key, ${meant}"
        else if value == null then true
        else if builtins.isAttrs type then
          if isSet value then checkKeys "${where}.${key}" type value
          else wrong key value "a set"
        else types.${type}.check value || wrong key value types.${type}.expected;
      wrong = key: value: expected:
        throw "layerstone: ${where}.${key}${place set key}: found ${kindOf value}${inside value}, expected ${expected}";
    in
    builtins.all checkKey (builtins.attrNames set);

  # What of a list or a set is not what it should be.
  inside = value:
    let
      values = if builtins.isList value then value else if isSet value then builtins.attrValues value else [ ];
      others = builtins.filter (it: !isText it) values;
    in
    if values == [ ] then ""
    else if others == [ ] then " of strings"
    else " with ${kindOf (builtins.head others)}";

  # Variables by name, as others than docker write them.
  listOf = env: map (name: "${name}=${textOf env.${name}}") (builtins.filter (name: env.${name} != null) (builtins.attrNames env));
  textOf = value: if builtins.isBool value then (if value then "1" else "") else toString value;
in
{
  # The config of an image of this name, null being none: checked, and its environment a list.
  config = image: config:
    let
      given = if config == null then { } else config;
      whole = if isSet (given.Env or null) then given // { Env = listOf given.Env; } else given;
    in
    if !isSet given then throw "layerstone: image ${image}: config: found ${kindOf given}, expected a set"
    else assert checkKeys "image ${image}: config" keys whole; whole;
}
