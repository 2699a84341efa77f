"""In the place of `layerstone layers`: the three biggest paths get a layer each, all others share one."""

import json
import sys

closure, output = sys.argv[1], sys.argv[sys.argv.index("-o") + 1]
graph = sorted(json.load(open(closure))["graph"], key=lambda info: (-info["narSize"], info["path"]))
paths = [info["path"] for info in graph]
layers = [[path] for path in paths[:3]] + [paths[3:]]
json.dump([layer for layer in layers if layer], open(output, "w"))
