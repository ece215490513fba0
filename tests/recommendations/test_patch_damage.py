"""Whatever is done to the files of a patch: its build is served as it was built.

The twin of `test_damage.py` for what was folded in since.
"""

import json
import random
import tracemalloc

import numpy as np
import pytest

from recommendations import array_files, fold, patch, registry, shelf
from recommendations.algorithms.recipe import Recipe
from recommendations.errors import DamagedArtifact
from recommendations.models import Build
from tests.factories import NOON, make_product
from tests.recommendations.shops import change, log_of, make_shop, publish, store_history
from tests.recommendations.test_artifact import lie
from tests.recommendations.test_fold import sessions

pytestmark = pytest.mark.django_db
IDS = ["p02", "p07", "p13"]
FLIPS = 60  # of each file
HUGE = 10**12
ROOM = 2_000_000  # bytes that reading a header, a manifest and a file by pieces takes


@pytest.fixture
def patched():
    """A live build, what it was built as, and a patch with a newcomer."""
    shop = make_shop(IDS)
    publish(log_of([IDS[:2]] * 3, IDS), IDS, recipe=Recipe(top=5))
    make_product(catalog=shop, item_id="n01", name="New")
    change(shop, "n01")
    fold_in("p02", "p13", "n01")
    return Build.objects.get(state="live")


def fold_in(*path: str, name: str = "new"):
    store_history(sessions(*path, people=9, name=name))
    shelf.forget()
    assert fold.run("default", now=NOON)["counted"] >= 2


def folder_of(build):
    return registry.patches_dir() / build.patch


def files_of(build):
    return sorted(folder_of(build).iterdir())


def why_refused(build) -> str:
    base = registry.find_artifact(build)
    try:
        patch.apply(base, folder_of(build), checksum=build.patch_checksum)
    except DamagedArtifact as exc:
        return exc.detail
    return ""


def test_cut_at_every_hundredth_every_file_is_refused(patched):
    for path in files_of(patched):
        whole = path.read_bytes()
        for hundredth in range(100):
            path.write_bytes(whole[: len(whole) * hundredth // 100])
            assert why_refused(patched), (path.name, hundredth)
        path.write_bytes(whole)
    assert why_refused(patched) == ""


def test_one_bit_in_any_file_is_refused(patched):
    rng = random.Random(17)
    for path in files_of(patched):
        whole = path.read_bytes()
        for _ in range(FLIPS):
            bit = rng.randrange(8 * len(whole))
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            assert why_refused(patched), (path.name, bit)
        path.write_bytes(whole)
    assert why_refused(patched) == ""


def test_header_of_a_million_million_rows_takes_no_memory(patched):
    """Size and checksums are made to fit, the manifest's and the row's included."""
    whole = {path: path.read_bytes() for path in files_of(patched)}
    base, manifest = registry.find_artifact(patched), folder_of(patched) / "manifest.json"
    for name, entry in json.loads(whole[manifest])["files"].items():
        checksum = lie(folder_of(patched), name, shape=(HUGE, *entry["shape"][1:]))
        tracemalloc.start()
        with pytest.raises(DamagedArtifact) as refusal:
            patch.apply(base, folder_of(patched), checksum=checksum)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "is of another shape" in refusal.value.detail, name
        assert peak < ROOM, name
        for path, data in whole.items():
            path.write_bytes(data)


@pytest.mark.parametrize("name", sorted(patch.KINDS))
def test_array_of_nothing_is_refused(patched, name):
    """A folder that somebody wrote with all of its checksums."""
    folder = folder_of(patched)
    entry = json.loads((folder / "manifest.json").read_text())["files"][name]
    (folder / f"{name}.npy").unlink()
    array_files.write_array(
        folder / f"{name}.npy", np.zeros((0, *entry["shape"][1:])), dtype=entry["dtype"]
    )
    patched.patch_checksum = lie(folder, name)
    assert why_refused(patched)


def test_files_of_another_patch_of_the_build_are_refused(patched):
    before = {path.name: path.read_bytes() for path in files_of(patched)}
    fold_in("p07", "p13", name="more")
    newer = Build.objects.get(pk=patched.pk)
    for path in files_of(newer):
        whole = path.read_bytes()
        if before[path.name] != whole:
            path.write_bytes(before[path.name])
            assert why_refused(newer), path.name
            path.write_bytes(whole)
    assert why_refused(newer) == ""


def test_whole_patch_of_another_build_is_passed_over(patched):
    """All of its checksums are right; it is the build that is not."""
    other = publish(log_of([IDS[1:]] * 3, IDS), IDS, recipe=Recipe(top=5))
    Build.objects.filter(pk=other.pk).update(
        patch=patched.patch, patch_checksum=patched.patch_checksum
    )
    shelf.forget()
    found = registry.live("default")
    assert (found.build_id, found.base) == (other.pk, None)
    other.refresh_from_db()
    assert f"it is a patch of build {patched.pk}" in why_refused(other)


@pytest.mark.parametrize("deed", ["cut", "emptied", "removed", "strange", "gone"])
def test_the_build_is_served_as_it_was_built_and_the_next_fold_heals(patched, deed):
    assert "n01" in registry.live("default").item_ids
    path = folder_of(patched) / "row_numbers.npy"
    if deed == "gone":
        folder_of(patched).rename(folder_of(patched).with_name("elsewhere"))
    elif deed == "removed":
        path.unlink()
    elif deed == "strange":
        (folder_of(patched) / "extra.npy").write_bytes(b"")
    else:
        path.write_bytes(b"" if deed == "emptied" else path.read_bytes()[:-1])
    shelf.forget()
    found = registry.live("default")
    assert (found.build_id, found.base, found.item_ids) == (patched.pk, None, IDS)
    assert fold.run("default", now=NOON)["counted"] == 4
    assert "n01" in registry.live("default").item_ids
