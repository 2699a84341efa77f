#!/bin/sh
# In the place of `layerstone closure`: what nix-store knows of all that a spec and a layer file name.
# Its registration text is a references graph, and as good as a closure file.
set -eu
while [ $# -gt 0 ]; do
  case $1 in
    --spec | --layer) files="${files-} $2"; shift ;;
    -o) output=$2; shift ;;
  esac
  shift
done
# shellcheck disable=SC2046,SC2086 # neither these files nor store paths have blanks in their names
roots=$(grep --no-filename --only-matching '/nix/store/[^/"]*' $files)
# shellcheck disable=SC2046,SC2086
nix-store --dump-db $(nix-store --query --requisites $roots) >"$output"
