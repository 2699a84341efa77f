# Validates bills of materials with the libraries of their makers: `judge.py KIND FILE`, and prints what is wrong.
import io
import json
import logging
import sys
from contextlib import redirect_stdout

kind, name = sys.argv[1:]
logging.disable(logging.CRITICAL)
text = open(name, encoding="utf-8").read()

if kind == "cyclonedx":
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        print(error)
elif kind == "spdx":
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    for message in validate_full_spdx_document(parse_file(name)):
        print(message.validation_message)
elif kind == "ntia":
    from ntia_conformance_checker import SbomChecker

    with redirect_stdout(io.StringIO()):
        checker = SbomChecker(name)
    facts = ["sbom_name", "doc_author", "doc_timestamp", "dependency_relationships"]
    print(json.dumps({
        "is": {fact: bool(getattr(checker, fact, False)) for fact in facts},
        "no name": checker.components_without_names,
        "no version": [str(it) for it in checker.components_without_versions],
        "no supplier": [str(it) for it in checker.components_without_suppliers],
        "no identifier": [str(it) for it in checker.components_without_identifiers],
    }))
elif kind == "spdx3":
    # Every element has the properties of its class and no others, and every name that is used is there.
    from spdx_python_model import v3_0_1 as model

    objects = model.SHACLObjectSet()
    model.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
    objects.create_index()
    for missing in sorted(objects.missing_ids):
        print("missing:", missing)
    if not list(objects.foreach_type("software_Sbom")):
        print("no Sbom")
