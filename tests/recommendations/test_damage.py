"""Whatever is done to an artifact's files: the last good one is served, then popularity.

The twin of `test_artifact.py` from the outside: nothing here knows which arrays there are.
"""

import json
import random
import shutil

import numpy as np
import pytest

from recommendations import artifact, registry, serve, shelf
from recommendations.errors import DamagedArtifact
from recommendations.models import Build
from tests.factories import NOON
from tests.recommendations.shops import log_of, make_shop, publish, touch, who
from tests.recommendations.test_artifact import lie

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c"]
FLIPS = 60  # of each file
HUGE = 10**12


@pytest.fixture
def builds():
    """A good build, and a live one above it."""
    make_shop(IDS)
    good = publish(log_of([["a", "b"]] * 3, IDS), IDS)
    live = publish(log_of([["a", "c"]] * 3, IDS), IDS)
    Build.objects.filter(pk=live.pk).update(popular={"sales": ["b"], "trend": ["c"]})
    return good, live


def files_of(build):
    return sorted(registry.folder_of(build).iterdir())


def why_refused(build) -> str:
    """Why it cannot be loaded; empty when it can."""
    try:
        artifact.load(registry.folder_of(build), checksum=build.checksum, build_id=build.pk)
    except DamagedArtifact as exc:
        return exc.detail
    return ""


def picked() -> list[tuple[str, str]]:
    shelf.forget()
    (found,) = serve.recommend([who(touch("a"))], n=1, now=NOON)
    return [(pick.item, pick.rung) for pick in found.picks]


def test_cut_at_every_hundredth_every_file_is_refused(builds):
    for path in files_of(builds[1]):
        whole = path.read_bytes()
        for hundredth in range(100):
            path.write_bytes(whole[: len(whole) * hundredth // 100])
            assert why_refused(builds[1]), (path.name, hundredth)
        path.write_bytes(whole)
    assert why_refused(builds[1]) == ""


def test_one_bit_in_any_file_is_refused(builds):
    rng = random.Random(13)
    for path in files_of(builds[1]):
        whole = path.read_bytes()
        for _ in range(FLIPS):
            bit = rng.randrange(8 * len(whole))
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            assert why_refused(builds[1]), (path.name, bit)
        path.write_bytes(whole)
    assert why_refused(builds[1]) == ""


def test_any_two_files_swapped_are_refused(builds):
    paths = files_of(builds[1])
    for place, one in enumerate(paths):
        for other in paths[place + 1 :]:
            first, second = one.read_bytes(), other.read_bytes()
            if first == second:
                continue
            one.write_bytes(second)
            other.write_bytes(first)
            assert why_refused(builds[1]), (one.name, other.name)
            one.write_bytes(first)
            other.write_bytes(second)
    assert why_refused(builds[1]) == ""


def test_files_of_another_build_are_refused(builds):
    for path in files_of(builds[1]):
        whole = path.read_bytes()
        theirs = (registry.folder_of(builds[0]) / path.name).read_bytes()
        if theirs == whole:
            continue
        path.write_bytes(theirs)
        assert why_refused(builds[1]), path.name
        path.write_bytes(whole)


def test_file_that_the_build_did_not_write_is_refused(builds):
    strange = registry.folder_of(builds[1]) / "extra.npy"
    np.save(strange, np.zeros(3))
    assert "'extra.npy' was not written by the build" in why_refused(builds[1])
    assert picked() == [("b", "personal")]
    strange.unlink()
    assert picked() == [("c", "personal")]


def test_header_of_a_million_million_rows_is_refused_by_the_check_of_headers(builds):
    """Size and checksums are made to fit, the manifest's and the row's included."""
    folder = registry.folder_of(builds[1])
    whole = {path: path.read_bytes() for path in files_of(builds[1])}
    names = [path.stem for path in whole if path.suffix == ".npy"]
    assert len(names) > 8
    for name in names:
        shape = json.loads(whole[folder / "manifest.json"])["files"][name]["shape"]
        builds[1].checksum = lie(folder, name, shape=(HUGE, *shape[1:]))
        # Rows of nothing have no bytes, so the file fits; what they are of does not.
        word = "does not fit" if 0 in shape[1:] else "is of another shape"
        assert word in why_refused(builds[1]), name
        for path, data in whole.items():
            path.write_bytes(data)


@pytest.mark.parametrize("deed", ["cut", "emptied", "flipped", "removed", "manifest", "folder"])
def test_last_good_build_is_served_then_popularity(builds, deed):
    assert picked() == [("c", "personal")]
    damage(builds[1], deed)
    assert picked() == [("b", "personal")]
    assert registry.live("default").build_id == builds[0].pk
    damage(builds[0], deed)
    assert picked() == [("c", "trending_in_category")]
    assert registry.live("default") is None


def damage(build, deed: str) -> None:
    folder = registry.folder_of(build)
    path = folder / ("manifest.json" if deed == "manifest" else "personal_scores.npy")
    whole = path.read_bytes()
    if deed == "folder":
        shutil.rmtree(folder)
    elif deed == "removed":
        path.unlink()
    elif deed == "flipped":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        path.write_bytes(b"" if deed == "emptied" else whole[: len(whole) // 2])


def test_next_build_heals(builds):
    for build in builds:
        damage(build, "cut")
    assert registry.live("default") is None
    healed = publish(log_of([["a", "b"]] * 3, IDS), IDS)
    assert registry.live("default").build_id == healed.pk
