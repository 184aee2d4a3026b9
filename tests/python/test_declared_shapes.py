"""The shapes that the server declares, compared with the public service model without sending anything.

Requests are proven from outside in `test_model_validation`; this is about answers above all, whose members a client can
see only some of in any one answer: every shape has exactly the model's members, with their JSON types.
"""

import pathlib
import re

import pytest

import service_model as model

SHAPES_FOLDER = pathlib.Path(__file__).parents[2] / "crates/model/src/shapes"
SHAPE = re.compile(r"^    (\w+) \{(?:\}|\n(.*?)^    \})$", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^\s+(required|optional|plain) \w+: ([\w<>, ]+) = \"(\w+)\"", re.MULTILINE)
# What a Rust type is on the wire; every other name is an enum or a structure of the model.
WIRE_TYPES = {
    "String": "string", "SecretString": "string", "Blob": "blob", "SecretBlob": "blob", "bool": "boolean",
    "u32": "integer", "Timestamp": "timestamp", "BTreeMap<String, String>": "map",
}
# By shape, then by member: how needed it is, and its Rust type.
DECLARED = {
    name: {member: (need, rust_type) for need, rust_type, member in MEMBER.findall(body)}
    for path in SHAPES_FOLDER.glob("*.rs")
    for name, body in SHAPE.findall(path.read_text())
}


def _matches(rust_type, shape_name):
    shape = model.SHAPES[shape_name]
    if shape["type"] == "list":
        inner = re.fullmatch(r"Vec<(.+)>", rust_type)
        return inner is not None and _matches(inner.group(1), shape["member"]["shape"])
    if shape["type"] == "structure" or "enum" in shape:
        return rust_type == shape_name
    return WIRE_TYPES.get(rust_type) == shape["type"]


def _structures():
    """Every structure that is a request, an answer, or within one."""
    found = set()

    def walk(shape_name):
        shape = model.SHAPES[shape_name]
        if shape["type"] == "list":
            walk(shape["member"]["shape"])
        elif shape["type"] == "structure" and shape_name not in found:
            found.add(shape_name)
            for member in shape["members"].values():
                walk(member["shape"])

    for operation in model.OPERATIONS.values():
        walk(operation["input"]["shape"])
        if "output" in operation:
            walk(operation["output"]["shape"])
    return sorted(found)


@pytest.mark.parametrize("shape_name", STRUCTURES := _structures())
def test_a_shape_has_the_members_of_the_model(shape_name):
    members = model.SHAPES[shape_name]["members"]
    declared = DECLARED[shape_name]
    assert list(declared) == list(members), "refusals name what is missing in the order of the model"
    for name, member in members.items():
        need, rust_type = declared[name]
        assert _matches(rust_type, member["shape"]), f"{name}: {rust_type} for {member['shape']}"
        if shape_name.endswith("Request"):
            assert (need == "required") == (name in model.SHAPES[shape_name].get("required", ())), name
        elif name in model.SHAPES[shape_name].get("required", ()):
            assert need == "required", name


@pytest.mark.parametrize("operation", model.OPERATIONS)
def test_an_operation_answers_with_the_members_of_its_output(operation):
    """By the name of the operation: two operations of the model share one output shape, and some have none."""
    output = model.OPERATIONS[operation].get("output")
    assert list(DECLARED[f"{operation}Response"]) == (list(model.SHAPES[output["shape"]]["members"]) if output else [])


def test_nothing_but_the_model_is_declared():
    assert set(DECLARED) == set(STRUCTURES) | {f"{operation}Response" for operation in model.OPERATIONS}
    assert len(STRUCTURES) > 100


def test_what_is_sensitive_by_the_model_is_declared_as_a_secret():
    """In requests; an answer may tell a sensitive name, as `DescribeCustomKeyStores` does."""
    inputs = {model.input_of(operation) for operation in model.OPERATIONS} | {"XksProxyAuthenticationCredentialType"}
    checked = 0
    for shape_name in inputs:
        for name, member in model.SHAPES[shape_name]["members"].items():
            if model.SHAPES[member["shape"]].get("sensitive"):
                assert DECLARED[shape_name][name][1] in ("SecretString", "SecretBlob"), f"{shape_name}.{name}"
                checked += 1
    assert checked >= 9
