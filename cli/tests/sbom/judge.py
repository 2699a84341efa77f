# Validates bills of materials and provenance with the libraries of their makers: `judge.py KIND FILE`, and prints what is wrong.
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
elif kind == "provenance":
    # A statement in each line, of the messages that in-toto defines for it and for SLSA's predicate: no other keys.
    import re

    import in_toto_attestation.v1.statement_pb2 as messages
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement

    def is_uri(value):
        return isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", value) is not None

    for line in text.splitlines():
        value = json.loads(line)
        Statement.copy_from_pb(ParseDict(value, messages.Statement())).validate()
        predicate = value["predicate"]
        parsed = ParseDict(predicate, provenance_pb2.Provenance())
        for dependency in parsed.build_definition.resolved_dependencies:
            ResourceDescriptor.copy_from_pb(dependency).validate()
        # SLSA v1, provenance.md: what is required, and what each is.
        definition, details = predicate["buildDefinition"], predicate["runDetails"]
        for what, holds in [
            ("predicateType", value["predicateType"] == "https://slsa.dev/provenance/v1"),
            ("buildType", is_uri(definition["buildType"])),
            ("externalParameters", isinstance(definition["externalParameters"], dict) and definition["externalParameters"]),
            ("builder.id", is_uri(details["builder"]["id"])),
            ("builder.version", all(isinstance(it, str) for it in details["builder"].get("version", {}).values())),
        ]:
            if not holds:
                print("not as SLSA has it:", what)
        digests = [it["digest"] for it in value["subject"] + definition["resolvedDependencies"]]
        for digest in digests:
            if not all(re.fullmatch("[0-9a-f]{64}", digest[name]) for name in digest if name == "sha256"):
                print("no digest:", digest)
