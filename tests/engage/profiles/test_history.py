from datetime import timedelta
from itertools import chain

import pytest

from engage.profiles import erasure, history, history_files, identity, terms
from engage.profiles.errors import HistoryDamaged
from engage.profiles.models import HistoryBlock, Profile
from engage.profiles.store import store_events
from tests.engage.profiles.events import alias, identify, make_event, view
from tests.factories import NOON

# A block is final when its transaction is over: these tests commit.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("history_folder", "only_this_room", "redis_keys"),
]
DAY = 86_400


def rows_of(columns) -> list[tuple[int, str, str, int]]:
    items, events = terms.values("item") or [""], terms.values("event")
    return sorted(
        (profile, items[item], events[event], ts_ms - int(NOON.timestamp() * 1000))
        for profile, item, event, ts_ms in zip(*(c.tolist() for c in columns), strict=True)
    )


def store(now, *events) -> None:
    store_events(events, now=now)


def test_stored_events_are_in_the_history_once(now) -> None:
    store(now, view("a", user_id="u1"), view("b", user_id="u1", seconds=1))
    assert history.append_final_blocks() == 2
    assert history.append_final_blocks() == 0

    u1 = identity.find_profile_id(user_id="u1")
    assert rows_of(history.open_history().read()) == [
        (u1, "a", "Product Viewed", 0),
        (u1, "b", "Product Viewed", 1000),
    ]
    assert HistoryBlock.objects.count() == 0


def test_an_event_has_a_row_per_product_and_one_when_it_has_none(now) -> None:
    basket = {"products": [{"product_id": "a"}, {"sku": "b"}]}
    store(now, make_event("Order Completed", user_id="u1", properties=basket))
    store(now, make_event("App Launched", user_id="u1"))
    history.append_final_blocks()

    u1 = identity.find_profile_id(user_id="u1")
    assert rows_of(history.open_history().read()) == [
        (u1, "", "App Launched", 0),
        (u1, "a", "Order Completed", 0),
        (u1, "b", "Order Completed", 0),
    ]


def test_a_period_takes_its_first_moment_and_not_its_last(now) -> None:
    store(now, *[view(f"p{n}", user_id="u1", seconds=-n * DAY / 2) for n in range(6)])
    history.append_final_blocks()

    columns = history.open_history().read(since=NOON - timedelta(days=2), until=NOON)

    ages = sorted((int(NOON.timestamp() * 1000) - columns.ts_ms) // 1000)
    assert ages == [DAY // 2, DAY, 3 * DAY // 2, 2 * DAY]


def test_a_rebuild_gives_the_same_rows(now) -> None:
    events = [view(f"p{n % 7}", user_id=f"u{n % 5}", seconds=-n * 9_000) for n in range(50)]
    store(now, *events[:20])
    history.append_final_blocks()
    store(now, *events[20:], identify({"product_id": "no item"}, user_id="u1"))
    history.append_final_blocks()
    before = rows_of(history.open_history().read())

    store(now, view("late", user_id="u1"))
    assert history.rebuild() == 52
    after = rows_of(history.open_history().read())

    assert [row for row in after if row[1] != "late"] == before
    assert history.append_final_blocks() == 0


def test_a_torn_tail_is_not_read_and_written_over(now, history_folder) -> None:
    store(now, view("a", user_id="u1"))
    history.append_final_blocks()
    before = rows_of(history.open_history().read())
    for path in history_folder.glob("g1/*/*"):
        with path.open("ab") as file:
            file.write(b"torn")

    assert rows_of(history.open_history().read()) == before
    store(now, view("b", user_id="u1"))
    history.append_final_blocks()
    assert [row[1] for row in rows_of(history.open_history().read())] == ["a", "b"]


def test_a_crash_between_files_and_database_repeats_nothing(now, monkeypatch) -> None:
    store(now, view("a", user_id="u1"))
    real = history.delete_blocks
    monkeypatch.setattr(history, "delete_blocks", lambda cursor, numbers: fail_on(numbers))
    with pytest.raises(KeyboardInterrupt):
        history.append_final_blocks()
    monkeypatch.setattr(history, "delete_blocks", real)
    store(now, view("b", user_id="u1"))

    assert history.append_final_blocks() == 1

    assert [row[1] for row in rows_of(history.open_history().read())] == ["a", "b"]


def fail_on(numbers) -> int:
    if numbers:
        raise KeyboardInterrupt
    return 0


def test_missing_bytes_are_told_and_rebuilt(now, history_folder) -> None:
    store(now, view("a", user_id="u1"))
    history.append_final_blocks()
    next(history_folder.glob("g1/*/ts_ms")).write_bytes(b"")

    with pytest.raises(HistoryDamaged, match="shorter than the manifest"):
        history.open_history().read()
    history.rebuild()
    assert len(history.open_history().read().profile) == 1


def test_files_of_another_database_are_replaced(now, history_folder) -> None:
    store(now, view("a", user_id="u1"))
    history.append_final_blocks()
    manifest = history_files.read_manifest(history_folder)
    manifest.database = "another"
    manifest.days = {1: 99}
    history_files.write_manifest(history_folder, manifest)

    history.append_final_blocks()

    assert [row[1] for row in rows_of(history.open_history().read())] == ["a"]


def test_a_merged_person_is_one_in_the_history(now) -> None:
    store(now, view("a", user_id="u1"), view("b", user_id="u2"))
    history.append_final_blocks()
    store(now, alias("u1", "u2"))

    u2 = identity.find_profile_id(user_id="u2")
    read = rows_of(history.open_history().read())
    assert read == [(u2, "a", "Product Viewed", 0), (u2, "b", "Product Viewed", 0)]


def test_an_erased_person_is_left_out_and_rebuilt_away(now, history_folder) -> None:
    store(now, view("a", user_id="u1"), view("b", user_id="u2"))
    store(now, view("c", anonymous_id="a1"), alias("u0", "u1"))
    store(now, make_event("Signed In", user_id="u1", anonymous_id="a1"))
    history.append_final_blocks()
    erasure.erase(identity.find_profile_id(user_id="u1"), now=now)

    u2 = identity.find_profile_id(user_id="u2")
    assert rows_of(history.open_history().read()) == [(u2, "b", "Product Viewed", 0)]
    history.append_final_blocks()
    assert history.rebuild_if_stale()
    assert history_files.read_manifest(history_folder).rows == 1
    assert list(Profile.objects.values_list("pk", flat=True)) == [u2]


def test_events_that_moved_make_the_history_stale_until_it_is_rebuilt(now) -> None:
    store(now, view("a", anonymous_id="x", seconds=1))
    store(now, make_event("Signed In", user_id="late", anonymous_id="x", seconds=9))
    history.append_final_blocks()
    store(now, make_event("Signed In", user_id="early", anonymous_id="x", seconds=5))
    history.append_final_blocks()

    assert history.rebuild_if_stale()

    early = identity.find_profile_id(user_id="early")
    assert (early, "a", "Product Viewed", 1000) in rows_of(history.open_history().read())


def test_nothing_written_reads_as_nothing() -> None:
    assert [len(column) for column in history.open_history().read()] == [0, 0, 0, 0]


@pytest.mark.parametrize(("most_rows", "pieces"), [(1, 6), (20, 3), (1_000, 1)])
def test_read_backwards_gives_every_row_once_the_newest_piece_first(
    now, most_rows, pieces
) -> None:
    store(now, *[view(f"p{n % 7}", user_id=f"u{n % 5}", seconds=-n * 9_000) for n in range(50)])
    history.append_final_blocks()
    past = history.open_history()

    found = list(past.read_backwards(most_rows=most_rows))

    assert sorted(chain.from_iterable(map(rows_of, found))) == rows_of(past.read())
    assert len(found) == pieces
    edges = [edge for p in found for edge in (p.ts_ms.max(), p.ts_ms.min())]
    assert edges == sorted(edges, reverse=True)


def test_read_backwards_sees_people_as_they_are_now(now) -> None:
    store(now, view("a", anonymous_id="x1"), view("b", user_id="u1", seconds=1))
    store(now, alias("x1", "u1", seconds=2))
    history.append_final_blocks()
    u1 = identity.find_profile_id(user_id="u1")
    profiles = {p for piece in history.open_history().read_backwards() for p in piece.profile}
    assert profiles == {u1}


def test_days_are_joined_up_to_a_size() -> None:
    days = {3: 5, 1: 5, 2: 5, 9: 30, 10: 1}
    assert history.join_days(days, 10) == [(1, 2), (3, 3), (9, 9), (10, 10)]
    assert history.join_days({}, 10) == []
