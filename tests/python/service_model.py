"""The public service model of AWS KMS, as botocore ships it, and what it says about a request.

`violations` is a second implementation of the checks that the server makes: it walks a request by the model alone and
gives the refusals in the service's words. `values` makes the values at and beyond the edges of every constraint. Nothing
here knows the server's own declarations.
"""

import base64
import functools
import json
import re

import botocore.loaders

MODEL = botocore.loaders.Loader().load_service_model("kms", "service-2", "2014-11-01")
OPERATIONS = MODEL["operations"]
SHAPES = MODEL["shapes"]

# What the service shows of a value, and how many violations it spells out: bounds of this server, not of the model.
SHOWN_CHARACTERS_MAX = 1024
SPELLED_OUT_MAX = 32

# A text that a pattern allows: a start, as many fillers as it takes, an end. A pattern that is not here fails the run.
MATCHING = {
    None: ("", "a", ""),
    "[0-9]{12}": ("", "1", ""),
    r"[\u0009\u000A\u000D\u0020-\u00FF]+": ("{", " ", "}"),
    r"[\u0020-\u00FF]*": ("", "a", ""),
    r"[\w]+": ("", "a", ""),
    r"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$": ("/a", "a", "/kms/xks/v1"),
    r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$": ("a.b.", "c", "d"),
    r"^([a-z]+-){2,3}\d+$": ("us-east-", "1", "2"),
    r"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$": (
        "com.amazonaws.vpce.us-east-1.vpce-svc-", "a", "0",
    ),
    "^[A-Z2-7]+$": ("", "A", ""),
    r"^[\w+=,.@:/-]+$": ("", "a", ""),
    "^[a-f0-9]+$": ("", "a", ""),
    "^[a-zA-Z0-9-_.]+$": ("", "a", ""),
    "^[a-zA-Z0-9:/_-]+$": ("alias/", "a", ""),
    r"^[a-zA-Z0-9:/_\s.-]+$": ("", "a", ""),
    r"^[a-zA-Z0-9\/+=]+$": ("", "a", ""),
    "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$": ("arn:aws:s3::123456789012:", "x", "x"),
    "^https://[a-zA-Z0-9.-]+$": ("https://", "a", "b"),
    "cluster-[2-7a-zA-Z]{11,16}": ("cluster-", "a", ""),
}
# Put into matching texts, to see whether the server draws the borders of a pattern where the pattern draws them.
PROBES = tuple(" \t\n\r\x0b\x0c\0*+=,.@:/\\_-~#%()[]'\"aAfFgGzZ01278é\x7f\x85\xa0ÿĀ☃\u2028😀")


class WrongType(Exception):
    """A value of a JSON type that its member cannot have: the service reads no further."""


def input_of(operation):
    """The shape of an operation's request."""
    return OPERATIONS[operation]["input"]["shape"]


def is_match(pattern, text):
    """Whether the whole text satisfies a pattern, as Java reads it: classes of ASCII, and five line ends beyond a dot."""
    return re.fullmatch(pattern.replace(":.+", r":[^\n\r\x85\u2028\u2029]+"), text, re.ASCII) is not None


def violations(shape_name, value, path=""):
    """Every violation in a value that is given, as `(path, shown value, constraint)`, in the order of the request."""
    return _CHECKS[SHAPES[shape_name]["type"]](SHAPES[shape_name], value, path)


def message(found):
    """The service's message about violations."""
    spelled_out = "; ".join(
        f"Value{'' if shown is None else f' {shown}'} at '{path}' failed to satisfy constraint: {constraint}"
        for path, shown, constraint in found[:SPELLED_OUT_MAX]
    )
    return f"{len(found)} validation error{'' if len(found) == 1 else 's'} detected: {spelled_out}"


def _shown(text):
    return f"'{text[:SHOWN_CHARACTERS_MAX]}{'...' if len(text) > SHOWN_CHARACTERS_MAX else ''}'"


def _bounds(shape, number, kind):
    found = []
    if number > shape.get("max", number):
        found.append(f"Member must have {kind} less than or equal to {shape['max']}")
    if number < shape.get("min", number):
        found.append(f"Member must have {kind} greater than or equal to {shape['min']}")
    return found


def _string_constraints(shape, text):
    if "enum" in shape:
        return [] if text in shape["enum"] else [_every_string_constraint(shape)[0]]
    found = _bounds(shape, len(text), "length")
    if "pattern" in shape and not is_match(shape["pattern"], text):
        found.append(f"Member must satisfy regular expression pattern: {shape['pattern']}")
    return found


def _every_string_constraint(shape):
    """As the service names them about an item of a list."""
    if "enum" in shape:
        return [f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"]
    named = []
    if "max" in shape:
        named.append(f"Member must have length less than or equal to {shape['max']}")
    if "min" in shape:
        named.append(f"Member must have length greater than or equal to {shape['min']}")
    if "pattern" in shape:
        named.append(f"Member must satisfy regular expression pattern: {shape['pattern']}")
    return named


def _string(shape, value, path):
    if not isinstance(value, str):
        raise WrongType
    shown = None if shape.get("sensitive") else _shown(value)
    return [(path, shown, constraint) for constraint in _string_constraints(shape, value)]


def _blob(shape, value, path):
    if not isinstance(value, str):
        raise WrongType
    try:
        length = len(base64.b64decode(value, validate=True))
    except ValueError as error:
        raise WrongType from error
    return [(path, None, constraint) for constraint in _bounds(shape, length, "length")]


def _integer(shape, value, path):
    is_whole = isinstance(value, int) or isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not is_whole or not -(1 << 31) <= value < 1 << 31:
        raise WrongType
    return [(path, f"'{int(value)}'", constraint) for constraint in _bounds(shape, value, "value")]


def _boolean(_, value, __):
    if not isinstance(value, bool):
        raise WrongType
    return []


def _timestamp(_, value, __):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongType
    return []


def _list(shape, values, path):
    if not isinstance(values, list):
        raise WrongType
    item = SHAPES[shape["member"]["shape"]]
    if item["type"] == "structure":
        return _structures(shape, values, path)
    if not all(value is None or isinstance(value, str) for value in values):
        raise WrongType
    shown = _shown(f"[{', '.join('null' if value is None else value for value in values)}]")
    found = []
    if any(value is None or _string_constraints(item, value) for value in values):
        named = ", ".join([*_every_string_constraint(item), "Member must not be null"])
        found.append((path, shown, f"Member must satisfy constraint: [{named}]"))
    return found + [(path, shown, constraint) for constraint in _bounds(shape, len(values), "length")]


def _structures(shape, values, path):
    assert "min" not in shape and "max" not in shape, "say what the service shows of a list of structures"
    found = []
    for number, value in enumerate(values, start=1):
        where = f"{path}.{number}.member"
        if value is None:
            found.append((where, "null", "Member must not be null"))
        else:
            found += violations(shape["member"]["shape"], value, where)
    return found


def _map(_, entries, path):
    if not isinstance(entries, dict):
        raise WrongType
    found = []
    for key, value in entries.items():
        if value is None:
            found.append((f"{path}.{key}.member", "null", "Member must not be null"))
        # The developer guide: an integer or a float in an encryption context is taken for a string.
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise WrongType
    return found


def _structure(shape, value, path):
    if not isinstance(value, dict):
        raise WrongType
    prefix = f"{path}." if path else ""
    found = []
    for name, member in value.items():
        if member is not None and name in shape["members"]:
            found += violations(shape["members"][name]["shape"], member, f"{prefix}{name[0].lower()}{name[1:]}")
    for name in shape["members"]:
        if name in shape.get("required", ()) and value.get(name) is None:
            found.append((f"{prefix}{name[0].lower()}{name[1:]}", "null", "Member must not be null"))
    return found


_CHECKS = {
    "string": _string, "blob": _blob, "integer": _integer, "boolean": _boolean, "timestamp": _timestamp,
    "list": _list, "map": _map, "structure": _structure,
}


@functools.cache
def usual(shape_name):
    """A value that no constraint minds."""
    shape = SHAPES[shape_name]
    match shape["type"]:
        case "string":
            return shape["enum"][0] if "enum" in shape else _usual_text(shape)
        case "list":
            return [usual(shape["member"]["shape"])] * max(1, shape.get("min", 1))
        case "structure":
            return {name: usual(member["shape"]) for name, member in shape["members"].items()}
        case kind:
            return {
                "blob": "AQID", "integer": shape.get("min", 1), "boolean": True, "timestamp": 1502910355.475,
                "map": {"department": "10103.0"},
            }[kind]


def _usual_text(shape):
    least = max(1, shape.get("min", 1))
    texts = (_text(shape, length) for length in range(least, shape.get("max", least + 40) + 1))
    return next(text for text in texts if text is not None and not _string_constraints(shape, text))


def _text(shape, length):
    """A text of this length that matches the pattern; None where no match is so short."""
    start, filler, end = MATCHING[shape.get("pattern")]
    fillers = length - len(start) - len(end)
    return None if fillers < 0 else f"{start}{filler * fillers}{end}"


def required_only(shape_name):
    """The smallest structure that the model allows."""
    shape = SHAPES[shape_name]
    return {name: usual(shape["members"][name]["shape"]) for name in shape["members"] if name in shape.get("required", ())}


def values(shape_name):
    """Values at, just inside and just outside of every constraint, and of every wrong JSON type; good ones and bad."""
    shape = SHAPES[shape_name]
    found = list(_VALUES[shape["type"]](shape_name, shape))
    known = {json.dumps(value) for value in found}
    wrong = ("text", 7, 1.5, True, False, [], ["text"], {}, {"a": "b"})
    return found + [value for value in wrong if json.dumps(value) not in known]


def _edges(shape, make):
    least, most = shape.get("min"), shape.get("max")
    lengths = {n for n in (least, most) if n is not None} | {n + 1 for n in (most,) if n is not None}
    lengths |= {least - 1} if least else set()
    return [value for value in map(make, sorted(lengths)) if value is not None]


def _string_values(_, shape):
    if "enum" in shape:
        first = shape["enum"][0]
        return [*shape["enum"], "", "NO_SUCH_VALUE", first.swapcase(), f"{first} ", f"{first}\n", f" {first}"]
    texts = ["", *_edges(shape, functools.partial(_text, shape))]
    texts += _edges(shape, lambda length: "a" * length)
    texts += [letter * n for n in (shape.get("min", 1), shape.get("max", 1)) for letter in "ä☃😀"]  # code points count
    usual_text = _usual_text(shape)
    return [*texts, f"{usual_text}\n", f" {usual_text}", f"{usual_text[:-1]}☃", "\0", "a\nb", '"\\']


def patterned_members(shape_name, place=lambda value: value):
    """Every member with a pattern within a shape, as `(shape, place)`, where `place(text)` is a value of the whole shape."""
    shape = SHAPES[shape_name]
    if shape["type"] == "list":
        yield from patterned_members(shape["member"]["shape"], lambda value: place([value]))
    elif shape["type"] == "structure":
        for name, member in shape["members"].items():
            within = functools.partial(lambda name, value: place({**required_only(shape_name), name: value}), name)
            yield from patterned_members(member["shape"], within)
    elif "pattern" in shape:
        yield shape_name, place


def probed(shape_name):
    """Texts within and beyond what a pattern allows, by one character at a time."""
    text = _usual_text(SHAPES[shape_name])
    middle = len(text) // 2
    return [
        probed
        for probe in PROBES
        for probed in (probe + text, text[:middle] + probe + text[middle:], text + probe, text[:-1] + probe, probe)
    ]


def _blob_values(_, shape):
    encoded = _edges(shape, lambda length: base64.b64encode(b"\x5a" * length).decode())
    return [*encoded, "$$$", "AA=A"]


def _integer_values(_, shape):
    edges = _edges(shape, lambda number: number)
    return [*edges, 0, -1, (1 << 31) - 1, -(1 << 31), 1 << 31, 1 << 63, float(shape.get("min", 1)), 1e30, "5"]


def _list_values(_, shape):
    item = shape["member"]["shape"]
    lists = _edges(shape, lambda length: [usual(item)] * length)
    return [[], *lists, [None], *([value] for value in values(item)), [usual(item), None, usual(item)]]


def _map_values(*_):
    return [{}, {"a": "b"}, {"": ""}, {"ä\"\\": "☃\n"}, {"a": None}, {"a": 1}, {"a": 10103.0}, {"a": True}, {"a": []}, {"a": {}}]


def _structure_values(shape_name, shape):
    whole, least = usual(shape_name), required_only(shape_name)
    found = [{}, whole, least, {**whole, "SomethingNewer": {"a": [1]}}]
    for name, member in shape["members"].items():
        found += [{**least, name: value} for value in [None, *values(member["shape"])]]
        found.append({other: value for other, value in least.items() if other != name})
    return found


_VALUES = {
    "string": _string_values, "blob": _blob_values, "integer": _integer_values, "list": _list_values,
    "map": _map_values, "structure": _structure_values,
    "boolean": lambda *_: [True, False, "true", 1], "timestamp": lambda *_: [0, 1502910355.475, "2017-08-16T00:00:00Z"],
}
