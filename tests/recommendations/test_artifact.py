import hashlib
import json
import resource
import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations import array_files, artifact
from recommendations.algorithms.model import ItemModel
from recommendations.algorithms.recipe import Recipe
from recommendations.algorithms.words import index_words
from recommendations.errors import DamagedArtifact, NotWritten
from tests.recommendations.shops import arrays_of, log_of, random_log

FACTS = {"has_sales": True, "sources": ["next", "similar"], "readings": ["next", "similar"]}
IDS = [f"item {n:02} é" for n in range(30)]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A whole artifact: folder and checksum. Tests work on copies."""
    folder = tmp_path_factory.mktemp("artifacts") / "good"
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    return folder, artifact.write(folder, arrays, item_ids=IDS, facts=FACTS)


@pytest.fixture
def copy(good, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(good[0], folder)
    return folder, good[1]


def refused(folder, checksum) -> bool:
    try:
        artifact.load(folder, checksum=checksum, build_id=1)
    except DamagedArtifact:
        return True
    return False


def files_of(folder):
    return sorted(folder.iterdir())


def test_what_was_written_is_read_back(good):
    folder, checksum = good
    found = artifact.load(folder, checksum=checksum, build_id=7)
    assert (found.build_id, found.item_ids, found.facts) == (7, IDS, FACTS)
    expected = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    for name, array in expected.items():
        assert found.arrays[name].tobytes() == array.tobytes()


def test_stray_write_never_reaches_the_file(copy):
    folder, checksum = copy
    artifact.load(folder, checksum=checksum, build_id=1).arrays["sales"][:] = 7
    assert not refused(folder, checksum)


def test_same_model_gives_the_same_files(good, tmp_path):
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    other = tmp_path / "other"
    assert artifact.write(other, arrays, item_ids=IDS, facts=FACTS) == good[1]
    for one, twin in zip(files_of(good[0]), files_of(other), strict=True):
        assert one.read_bytes() == twin.read_bytes()


def test_writing_over_something_is_refused(good):
    with pytest.raises(FileExistsError):
        artifact.write(good[0], {}, item_ids=[], facts=FACTS)


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        artifact.write(tmp_path / "new", {"unheard": np.ones(1)}, item_ids=["a"], facts=FACTS)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    arrays = {"word_hashes": np.ones(10_000, np.uint64)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(NotWritten) as refusal:
            artifact.write(tmp_path / "new", arrays, item_ids=["a"], facts=FACTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.message == f"new cannot be written to {tmp_path}: File too large."
    assert list(tmp_path.iterdir()) == []


def test_truncated_anywhere_is_refused(copy):
    folder, checksum = copy
    for path in files_of(folder):
        whole = path.read_bytes()
        for twentieth in range(20):
            path.write_bytes(whole[: len(whole) * twentieth // 20])
            assert refused(folder, checksum), (path.name, twentieth)
        path.write_bytes(whole)
    assert not refused(folder, checksum)


def test_missing_or_longer_file_is_refused(copy):
    folder, checksum = copy
    for path in files_of(folder):
        whole = path.read_bytes()
        path.unlink()
        assert refused(folder, checksum)
        path.write_bytes(whole + b"\0")
        assert refused(folder, checksum)
        path.write_bytes(whole)
    assert not refused(folder, checksum)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_flipped_bit_is_refused(good, data):
    folder, checksum = good
    path = data.draw(st.sampled_from(files_of(folder)))
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        path.write_bytes(damaged)
        assert refused(folder, checksum)
    finally:
        path.write_bytes(whole)


def test_swapped_files_are_refused(copy):
    folder, checksum = copy
    paths = [path for path in files_of(folder) if path.suffix == ".npy"]
    for one, other in pairwise(paths):
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        assert refused(folder, checksum), (one.name, other.name)
        one.write_bytes(first)
        other.write_bytes(second)
    assert not refused(folder, checksum)


def test_manifest_of_another_build_is_refused(good):
    assert refused(good[0], "0" * 64)


def lie(folder, name: str, **header: object) -> str:
    """Give an array another header, and the manifest everything to believe it; the checksum."""
    path = folder / f"{name}.npy"
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        body = file.read()
    told = {"descr": dtype.str, "fortran_order": False, "shape": shape} | header
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, told)
        file.write(body)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] |= {
        "bytes": path.stat().st_size,
        "sha256": array_files.hash_file(path),
        "shape": list(told["shape"]),
        "dtype": told["descr"],
    }
    raw = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    "header",
    [
        {"shape": (10**12,)},
        {"shape": (10**12, 10**12)},
        {"shape": (2**62, 4)},
        {"shape": (-30,)},
        {"shape": (15,)},
        {"descr": "|O"},
        {"descr": "<f4"},
        {"fortran_order": True, "shape": (30, 1)},
    ],
)
def test_lying_header_is_refused_without_believing_it(copy, header):
    folder, _ = copy
    checksum = lie(folder, "sales", **header)
    assert refused(folder, checksum)


@pytest.mark.parametrize("name", sorted(artifact.kinds(FACTS)))
def test_array_of_nothing_is_refused(copy, name):
    folder, _ = copy
    whole = np.load(folder / f"{name}.npy")
    (folder / f"{name}.npy").unlink()
    array_files.write_array(folder / f"{name}.npy", whole[:0], dtype=whole.dtype.str)
    assert refused(folder, lie(folder, name)) == bool(whole.size)


def test_arrays_of_different_sizes_are_refused(good, tmp_path):
    model = ItemModel(Recipe(top=5)).fit(random_log())
    arrays = arrays_of(model) | {"sales": model.popularity_.sales_[:-1]}
    checksum = artifact.write(tmp_path / "odd", arrays, item_ids=IDS, facts=FACTS)
    assert refused(tmp_path / "odd", checksum)


def test_neighbours_that_do_not_exist_are_refused(tmp_path):
    """The compiled loops trust item numbers; a wrong one would read foreign memory."""
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    for bad in (30, -2):
        wrong = arrays["similar_items"].copy()
        wrong[3, 0] = bad
        folder = tmp_path / f"wrong{bad}"
        checksum = artifact.write(
            folder, arrays | {"similar_items": wrong}, item_ids=IDS, facts=FACTS
        )
        assert refused(folder, checksum)


def test_change_below_a_mapped_artifact_is_noticed(copy):
    folder, checksum = copy
    found = artifact.load(folder, checksum=checksum, build_id=1)
    assert found.is_unchanged()
    path = folder / "trend.npy"
    path.write_bytes(path.read_bytes())
    assert not found.is_unchanged()
    shutil.rmtree(folder)
    assert not found.is_unchanged()


def test_left_overs_of_killed_builds_are_removed(tmp_path):
    (tmp_path / "default-3.abc.partial").mkdir()
    (tmp_path / "default-2").mkdir()
    array_files.remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["default-2"]


def test_empty_catalog_has_an_artifact_too(tmp_path):
    arrays = arrays_of(ItemModel().fit(log_of([], [])))
    checksum = artifact.write(tmp_path / "none", arrays, item_ids=[], facts=FACTS)
    assert artifact.load(tmp_path / "none", checksum=checksum, build_id=1).item_ids == []


@pytest.mark.parametrize(
    ("name", "place", "bad"),
    [
        ("personal_sources", (3, 0), 2),
        ("word_items", 1, 30),
        ("word_starts", 1, 9),
        ("word_words", 0, 2),
        ("word_item_starts", 1, 9),
    ],
)
def test_numbers_that_lead_nowhere_are_refused(tmp_path, name, place, bad):
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    words = index_words(np.array([7, 7, 8], np.uint64), np.array([1, 2] + [0] * 28))
    arrays |= {"word_hashes": words.hashes, "word_starts": words.starts}
    arrays |= {"word_items": words.items, "word_worth": words.worth}
    arrays |= {"word_item_starts": words.item_starts, "word_words": words.words}
    artifact.write(tmp_path / "good", arrays, item_ids=IDS, facts=FACTS)
    wrong = arrays[name].copy()
    wrong[place] = bad
    checksum = artifact.write(tmp_path / "bad", arrays | {name: wrong}, item_ids=IDS, facts=FACTS)
    assert refused(tmp_path / "bad", checksum)


def test_reading_that_its_facts_do_not_name_is_no_part_of_an_artifact(tmp_path):
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    with pytest.raises(KeyError, match="similar"):
        artifact.write(tmp_path / "x", arrays, item_ids=IDS, facts=FACTS | {"readings": ["next"]})


PEOPLE = {"people_alike": {"base": "sales", "values": {"country": ["AT", "DE"]}}}
LIFT = np.ones((2, 3), np.float32)


def write_people(folder, *, items=(0, 1, 29), lift=LIFT, facts=PEOPLE) -> str:
    arrays = arrays_of(ItemModel(Recipe(top=5)).fit(random_log()))
    arrays |= {"people_items": np.array(items), "people_lift": lift}
    return artifact.write(folder, arrays, item_ids=IDS, facts=FACTS | facts)


def test_people_alike_are_read_back(tmp_path):
    checksum = write_people(tmp_path / "good")
    assert not refused(tmp_path / "good", checksum)


@pytest.mark.parametrize(
    "odd",
    [
        {"items": (0, 1, 30)},
        {"items": (0, 1, -1)},
        {"items": (0, 1)},
        {"lift": LIFT[:1]},
        {"lift": LIFT * np.float32(np.nan)},
        {"lift": LIFT * 0},
        {"lift": -LIFT},
        {"facts": {}},
        {"facts": {"people_alike": {"values": PEOPLE["people_alike"]["values"]}}},
        {"facts": {"people_alike": {"base": "marks", "values": {"country": ["AT", "DE"]}}}},
        {"facts": {"people_alike": {"base": "sales", "values": {"country": [1, 2]}}}},
        {"facts": {"people_alike": {"base": "sales", "values": {"country": "AT"}}}},
        {"facts": {"people_alike": {"base": "sales", "values": {"country": {"AT": 1, "DE": 2}}}}},
        {"facts": {"people_alike": []}},
        {"facts": {"people_alike": {"base": "sales", "values": ["AT", "DE"]}}},
    ],
)
def test_people_alike_that_do_not_fit_are_refused(tmp_path, odd):
    checksum = write_people(tmp_path / "odd", **odd)
    assert refused(tmp_path / "odd", checksum)
