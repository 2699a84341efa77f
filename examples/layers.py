"""In the place of `layerstone layers`: the three biggest paths get a layer each, all others share one."""

import json
import sys


def sizes(text):
    """The size of each path, of a closure file or of the registration text that closure.sh writes."""
    if text.startswith("{"):
        return {info["path"]: info["narSize"] for info in json.loads(text)["graph"]}
    found, lines = {}, iter(text.splitlines())
    for path in lines:
        next(lines)  # the hash
        found[path] = int(next(lines))
        next(lines)  # the deriver
        for _ in range(int(next(lines))):
            next(lines)  # a reference
    return found


closure, output = sys.argv[1], sys.argv[sys.argv.index("-o") + 1]
size = sizes(open(closure).read())
paths = sorted(size, key=lambda path: (-size[path], path))
layers = [[path] for path in paths[:3]] + [paths[3:]]
json.dump([layer for layer in layers if layer], open(output, "w"))
