"""Tags of KMS keys."""

import pytest

from conftest import pages, refused


def tags_of(kms, key_id):
    answer = kms.list_resource_tags(KeyId=key_id)
    assert answer["Truncated"] is False
    return {tag["TagKey"]: tag["TagValue"] for tag in answer["Tags"]}


def tag(kms, key_id, **tags):
    return kms.tag_resource(KeyId=key_id, Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()])


def test_life_of_tags(kms):
    key_id = kms.create_key(Tags=[{"TagKey": "Project", "TagValue": "Alpha"}])["KeyMetadata"]["KeyId"]
    assert tags_of(kms, key_id) == {"Project": "Alpha"}
    assert set(tag(kms, key_id, Purpose="Pretest", Department="Finance")) == {"ResponseMetadata"}
    tag(kms, key_id, Purpose="Test")
    assert tags_of(kms, key_id) == {"Project": "Alpha", "Purpose": "Test", "Department": "Finance"}
    for _ in range(2):  # what is not there is passed over
        assert set(kms.untag_resource(KeyId=key_id, TagKeys=["Purpose"])) == {"ResponseMetadata"}
    assert tags_of(kms, key_id) == {"Project": "Alpha", "Department": "Finance"}


def test_values_may_be_empty_and_case_matters(kms, key):
    tag(kms, key["Arn"], Team="", team="x")
    assert tags_of(kms, key["Arn"]) == {"Team": "", "team": "x"}
    kms.untag_resource(KeyId=key["Arn"], TagKeys=["TEAM"])
    assert len(tags_of(kms, key["Arn"])) == 2


def test_longest_tag(kms, key):
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "k" * 128, "TagValue": "v" * 256}])
    assert tags_of(kms, key["KeyId"]) == {"k" * 128: "v" * 256}


@pytest.mark.parametrize(
    "tags",
    [
        [],
        [{"TagKey": "", "TagValue": "x"}],
        [{"TagKey": "k" * 129, "TagValue": "x"}],
        [{"TagKey": "k", "TagValue": "v" * 257}],
        [{"TagKey": "twice", "TagValue": "1"}, {"TagKey": "twice", "TagValue": "2"}],
        [{"TagKey": "aws:reserved", "TagValue": "x"}],
    ],
    ids=["none", "empty-key", "long-key", "long-value", "twice", "reserved"],
)
def test_tags_that_are_refused(kms, key, tags):
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.tag_resource(KeyId=key["KeyId"], Tags=tags)
    assert caught.value.response["Error"]["Code"] in ("TagException", "ValidationException")
    assert tags_of(kms, key["KeyId"]) == {}


def test_a_tag_key_given_twice_makes_no_key(kms):
    with refused("TagException"):
        kms.create_key(Tags=[{"TagKey": "twice", "TagValue": "1"}, {"TagKey": "twice", "TagValue": "2"}])
    assert kms.list_keys()["Keys"] == []


def test_untagging_names_at_least_one(kms, key):
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.untag_resource(KeyId=key["KeyId"], TagKeys=[])
    assert caught.value.response["Error"]["Code"] in ("TagException", "ValidationException")


def test_at_most_fifty(kms, key):
    tag(kms, key["KeyId"], **{f"tag-{number:02}": "x" for number in range(50)})
    with pytest.raises(kms.exceptions.ClientError) as caught:
        tag(kms, key["KeyId"], one="too many")
    assert caught.value.response["Error"]["Code"] in ("LimitExceededException", "TagException")
    tag(kms, key["KeyId"], **{"tag-00": "changed"})
    listed = pages(kms.list_resource_tags, "Tags", KeyId=key["KeyId"], Limit=20)
    assert [len(page) for page in listed] == [20, 20, 10]
    found = {entry["TagKey"]: entry["TagValue"] for page in listed for entry in page}
    assert len(found) == 50 and found["tag-00"] == "changed"


def test_limits_and_markers_of_pages(kms, key):
    with refused("ValidationException"):
        kms.list_resource_tags(KeyId=key["KeyId"], Limit=0)
    with refused("InvalidMarkerException"):
        kms.list_resource_tags(KeyId=key["KeyId"], Marker="no marker of ours")
