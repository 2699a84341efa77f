#!/bin/sh
# In the place of `layerstone layer`: GNU tar makes the tar, sha256sum its digest, and a line of JSON says what it is.
set -eu
output=$2
shift 2
while case $1 in --*) true ;; *) false ;; esac do shift; done
tar --create --file "$output.tar" --format=gnu --sort=name --mtime=@1 --owner=root:0 --group=root:0 \
  --absolute-names "$@"
digest=sha256:$(sha256sum <"$output.tar" | cut -d ' ' -f 1)
size=$(stat --format %s "$output.tar")
type=application/vnd.oci.image.layer.v1.tar
printf '{"format": "layerstone/layer", "version": 1, "diffId": "%s", "size": %s, "blob": "%s", "descriptor": %s}\n' \
  "$digest" "$size" "$(basename "$output.tar")" \
  "{\"mediaType\": \"$type\", \"digest\": \"$digest\", \"size\": $size}" >"$output"
