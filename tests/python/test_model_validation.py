"""Validation of parameters, proven from the public service model.

For every operation and every member of its request, nested ones too, this sends values at, just inside and just outside of
each constraint and of each JSON type, and compares the answer with what `service_model` says, word for word. Operations
that are not offered yet are checked as well: parameters come first.
"""

import functools
import json
import os
import random
import re

import pytest

import service_model as model

FLAGGED = re.compile(r"^\d+ validation errors? detected: ")
CONSTRAINT = re.compile(r"Value null at '(\w+)' failed to satisfy constraint: Member must not be null")
# Members that the model calls optional and the service asks for all the same, in the same words.
ASKED_FOR_BY_THE_SERVICE = {
    ("Decrypt", "ciphertextBlob"), ("ReEncrypt", "ciphertextBlob"), ("GenerateRandom", "numberOfBytes"),
    ("CreateGrant", "granteePrincipal"), ("ListRetirableGrants", "retiringPrincipal"),
}
# Both at once are refused after the parameters and before anything is made: no key comes of these cases.
NOTHING_IS_MADE = {"CreateKey": {"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"}}
FEWEST_CASES = 11_000


def least(operation):
    return {**model.required_only(model.input_of(operation)), **NOTHING_IS_MADE.get(operation, {})}


class Judge:
    """Sends requests and holds every answer against the model; tells all differences at the end."""

    def __init__(self, wire, operation):
        self.wire, self.operation = wire, operation
        self.count, self.differences = 0, []

    def check(self, request):
        self.count += 1
        status, answer = self.wire.call(self.operation, request)
        code, text = answer.get("__type"), answer.get("message", "")
        complaint = self._complaint(request, status, code, text)
        if complaint:
            self.differences.append(f"{self.operation} {_short(request)}: {complaint}\n  got {status} {code} {_short(text)}")

    def _complaint(self, request, status, code, text):
        try:
            found = model.violations(model.input_of(self.operation), request)
        except model.WrongType:
            is_told = (status, code) == (400, "SerializationException")
            return self._leak(request, text) if is_told else "expected SerializationException"
        if found:  # what the model's message holds it may hold, so it is not searched for secrets
            is_told = (status, code, text) == (400, "ValidationException", model.message(found))
            return None if is_told else f"expected ValidationException {_short(model.message(found))}"
        if status >= 500 or code == "SerializationException":
            return "expected no refusal of its form"
        asked_for = CONSTRAINT.findall(text)
        is_beyond_model = asked_for and all((self.operation, member) in ASKED_FOR_BY_THE_SERVICE for member in asked_for)
        if FLAGGED.match(text) and not is_beyond_model:
            return "expected no violation"
        return self._leak(request, text)

    def _leak(self, request, text):
        is_leaking = any(secret in text for secret in _sensitive(model.input_of(self.operation), request))
        return "the answer repeats a sensitive value" if is_leaking else None


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) < 500 else f"{text[:240]} ... {text[-240:]}"


def _sensitive(shape_name, value):
    """The sensitive texts of a request that are long enough to be told from chance."""
    shape = model.SHAPES[shape_name]
    if isinstance(value, dict) and shape["type"] == "structure":
        for name, member in shape["members"].items():
            yield from _sensitive(member["shape"], value.get(name))
    elif shape.get("sensitive") and isinstance(value, str) and len(value) > 4:
        yield value


CASES = {"count": 0}


@pytest.fixture
def judge(wire):
    judges = []

    def make(operation):
        judges.append(Judge(wire, operation))
        return judges[-1]

    yield make
    CASES["count"] += sum(judge.count for judge in judges)
    differences = [difference for judge in judges for difference in judge.differences]
    assert not differences, f"{len(differences)} differences from the model\n" + "\n".join(differences[:40])


@pytest.mark.parametrize("operation", model.OPERATIONS)
def test_every_member(judge, operation):
    judged = judge(operation)
    members = model.SHAPES[model.input_of(operation)]["members"]
    for name, member in members.items():
        judged.check({other: value for other, value in least(operation).items() if other != name})
        for value in [None, *model.values(member["shape"])]:
            judged.check({**least(operation), name: value})


@pytest.mark.parametrize("operation", model.OPERATIONS)
def test_whole_requests(judge, operation):
    judged = judge(operation)
    judged.check({})
    judged.check({**least(operation), "SomethingNewer": {"a": [1, None]}})
    judged.check({**model.usual(model.input_of(operation)), **least(operation)})


@pytest.mark.parametrize("operation", model.OPERATIONS)
def test_several_violations_are_told_together(judge, operation):
    """Random mixtures of good and bad members, in random order: the count and the order are the model's."""
    seed = int(os.environ.get("MERIDIAN_TEST_SEED") or random.randrange(1 << 32))
    print(f"MERIDIAN_TEST_SEED={seed}")
    chance = random.Random(f"{seed} {operation}")
    members = model.SHAPES[model.input_of(operation)]["members"]
    judged = judge(operation)
    for _ in range(6):
        names = chance.sample(list(members), k=chance.randint(0, len(members)))
        request = {name: chance.choice(_of_the_right_type(members[name]["shape"])) for name in names}
        judged.check({**request, **NOTHING_IS_MADE.get(operation, {})})


@functools.cache
def _of_the_right_type(shape_name):
    def is_right(value):
        try:
            model.violations(shape_name, value)
        except model.WrongType:
            return False
        return True

    return [None, *filter(is_right, model.values(shape_name))]


def _first_places():
    """For every shape with a pattern the first place in the API where it stands."""
    places = {}
    for operation in model.OPERATIONS:
        for shape_name, place in model.patterned_members(model.input_of(operation)):
            places.setdefault(shape_name, (operation, place))
    return places


@pytest.mark.parametrize("shape_name", PLACES := _first_places())
def test_patterns(judge, shape_name):
    operation, place = PLACES[shape_name]
    judged = judge(operation)
    for text in model.probed(shape_name):
        judged.check({**place(text), **NOTHING_IS_MADE.get(operation, {})})


def test_a_hostile_number_of_violations(judge):
    judged = judge("TagResource")
    judged.check({"KeyId": "k" * 3000, "Tags": [{"TagKey": ""}] * 1000})


def test_an_empty_body_is_an_empty_request(wire):
    for operation in model.OPERATIONS:
        assert wire.call(operation, b"") == wire.call(operation, {}) or operation in ("ListKeys", "CreateKey"), operation


def test_as_many_cases_as_the_model_has(request):
    """Runs last in this file: an empty or shrunken model must not pass."""
    selected = [item for item in request.session.items if item.fspath == request.node.fspath]
    if len(selected) < 3 * len(model.OPERATIONS):
        pytest.skip("only part of the cases was selected")
    assert len(model.OPERATIONS) == 56
    print(f"{CASES['count']} cases")
    assert CASES["count"] >= FEWEST_CASES
