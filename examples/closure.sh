#!/bin/sh
# In the place of `layerstone closure`: what nix-store knows of all that a spec and a layer file name.
# Its registration text is a references graph, and as good as a closure file.
set -eu
spec=
while [ $# -gt 0 ]; do
  case $1 in
    --spec) spec=$2; files="${files-} $2"; shift ;;
    --layer) files="${files-} $2"; shift ;;
    -o) output=$2; shift ;;
  esac
  shift
done
# shellcheck disable=SC2046,SC2086 # neither these files nor store paths have blanks in their names
roots=$(grep --no-filename --only-matching '/nix/store/[^/"]*' $files || true)
# Contents may be links into the store from anywhere else, such as ./result; they are from the directory of the spec on.
for word in $(grep --only-matching '"[^" ]*"' "$spec" | tr -d '"'); do
  case $word in /*) link=$word ;; *) link=$(dirname "$spec")/$word ;; esac
  if [ -L "$link" ]; then
    roots="$roots $(readlink -f "$link" | grep --only-matching '^/nix/store/[^/]*' || true)"
  fi
done
# shellcheck disable=SC2046,SC2086
nix-store --dump-db $(nix-store --query --requisites $roots) >"$output"
