"""In the place of `layerstone image`: an OCI layout of the layers' tars, which skopeo makes an archive of."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

words = sys.argv[1:]
spec = json.load(open(words[words.index("--spec") + 1]))
output = words[words.index("-o") + 1]
files = [word for word in words if word.endswith(".layer.json")]
layers = [json.load(open(file)) for file in files]
layout = output + ".layout"
os.makedirs(layout + "/blobs/sha256")


def put(data, media_type):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{layout}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


def put_json(value, kind):
    return put(json.dumps(value).encode(), f"application/vnd.oci.image.{kind}.v1+json")


def make_tar(recipe, output):
    """A layer of `layerstone layer` says what makes its tar, and need not have one."""
    json.dump([recipe["paths"]], open(output + ".plan", "w"))
    words = ["--mtime", f"@{recipe['mtime']}"]
    for name in ["store", "uid", "gid", "uname", "gname"]:
        words += ["--" + name, str(recipe[name])]
    words += ["--xattrs"] if recipe.get("xattrs") else []
    made = ["-o", output + ".json", "--blob", output]
    subprocess.run(["layerstone", "layer", output + ".plan", "--index", "0", *words, *made], check=True)
    os.remove(output + ".plan")
    os.remove(output + ".json")


for file, layer in zip(files, layers):
    blob = f"{layout}/blobs/sha256/" + layer["descriptor"]["digest"].removeprefix("sha256:")
    if "blob" in layer:
        shutil.copy(os.path.join(os.path.dirname(file), layer["blob"]), blob)
    else:
        make_tar(layer["recipe"], blob)
config = {"architecture": "amd64", "os": "linux", "config": spec.get("config", {})}
config["rootfs"] = {"type": "layers", "diff_ids": [layer["diffId"] for layer in layers]}
manifest = {"schemaVersion": 2, "config": put_json(config, "config")}
manifest["layers"] = [layer["descriptor"] for layer in layers]
json.dump({"schemaVersion": 2, "manifests": [put_json(manifest, "manifest")]}, open(layout + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(layout + "/oci-layout", "w"))
if os.path.exists(output):
    os.remove(output)
name = f"docker-archive:{output}:{spec['name']}:{spec.get('tag', 'latest')}"
subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", "oci:" + layout, name], check=True)
shutil.rmtree(layout)
