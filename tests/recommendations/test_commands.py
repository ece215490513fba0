from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from recommendations import serve, tasks
from recommendations.models import Build
from tests.factories import make_catalog, make_product, make_profile
from tests.recommendations.shops import VIEW, change, log_of, make_shop, publish, store_history

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]
IDS = ["a", "b", "c"]


def run(name, *args, **options):
    out = StringIO()
    call_command(name, *args, stdout=out, **options)
    return out.getvalue()


def test_build_prints_the_quality_table():
    make_shop(IDS)
    walks = [IDS, ["b", "c", "a"]]
    store_history(
        [(f"u{n}", item, VIEW, 3 - k) for n in range(9) for k, item in enumerate(walks[n % 2])]
    )
    first = run("build_recommendations")
    assert "27 events of 9 profiles with 3 of 3 products" in first
    assert "Measured on 9 profiles, last item of each profile held back." in first
    assert "ndcg@10           1.0000         –" in first
    assert first.rstrip().endswith("Published.")
    assert "ndcg@10           1.0000    1.0000" in run("build_recommendations", "default")


def test_build_without_events_fails_with_a_sentence():
    make_catalog()
    with pytest.raises(CommandError, match="No event yet is about a product"):
        run("build_recommendations")


def test_build_of_an_unknown_catalog_fails_with_a_sentence():
    with pytest.raises(CommandError, match="no catalog 'shoes'"):
        run("build_recommendations", "shoes")
    assert Build.objects.count() == 0


def test_recommend_prints_titles_and_reasons():
    make_shop(IDS)
    publish(log_of([["a", "b"]] * 2 + [["c"]], IDS), IDS)
    store_history([("ann", "a", VIEW, 0.1)])
    lines = run("recommend", "ann", "-n", "2").splitlines()
    assert lines[0].split() == ["id", "title", "price", "rung", "reason"]
    assert " ".join(lines[1].split()) == "1 b B 11.00 EUR personal because you viewed A"
    assert len(lines) == 3


def test_recommend_says_what_pins_and_boosts_cost():
    make_shop(IDS)
    publish(log_of([["a", "b"]] * 2 + [["c"]], IDS), IDS)
    store_history([("ann", "a", VIEW, 0.1)])
    pin = '{"pins": [{"place": 1, "item": "c"}]}'
    lines = run("recommend", "ann", "-n", "2", "--ranking", pin).splitlines()
    assert " ".join(lines[1].split()) == "1 c C 12.00 EUR pinned picked by hand"
    assert lines[-1].startswith("Pins and boosts give up ")
    with pytest.raises(CommandError, match="the catalog has no product “z”"):
        run("recommend", "ann", "--ranking", pin.replace('"c"', '"z"'))


def test_recommend_names_what_it_picked_though_rows_move_meanwhile(monkeypatch):
    shop = make_shop(IDS)
    publish(log_of([["a", "b"]] * 2 + [["c"]], IDS), IDS)
    store_history([("ann", "a", VIEW, 0.1)])
    pick = serve.recommend

    def pick_and_change(*args, **options):
        found = pick(*args, **options)
        make_product(catalog=shop, item_id="0", version=shop.version + 1)
        change(shop, "0", name="New")
        return found

    monkeypatch.setattr(serve, "recommend", pick_and_change)
    line = run("recommend", "ann", "-n", "1").splitlines()[1]
    assert " ".join(line.split()) == "1 b B 11.00 EUR personal because you viewed A"


def test_recommend_says_when_there_is_nothing_more():
    make_shop(IDS)
    make_profile(user_id="ann")
    assert "Only 0: nothing else may be shown." in run("recommend", "ann")


def test_recommend_for_somebody_unknown_fails_with_a_sentence():
    make_shop(IDS)
    with pytest.raises(CommandError, match="no profile with the user id 'nobody'"):
        run("recommend", "nobody")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("ann", "-n", "1000000000"), "-n is 1000000000, expected at most 1000"),
        (("ann", "-n", "0"), "n is 0, expected at least 1"),
        (("ann", "--item", "z", "--strategy", "similar"), "--item: catalog 'default' has no"),
        (("ann", "--catalog", "nope"), "no catalog named 'nope'"),
        (("\udcff",), "argument user: . is not UTF-8"),
        (("ann", "--item", "\udcff"), "argument --item: . is not UTF-8"),
    ],
)
def test_recommend_refuses_with_a_sentence(args, message):
    make_shop(IDS)
    make_profile(user_id="ann")
    with pytest.raises(CommandError, match=message):
        run("recommend", *args)


def test_build_of_a_catalog_in_no_encoding_fails_with_a_sentence():
    with pytest.raises(CommandError, match="is not UTF-8"):
        run("build_recommendations", "\udcff")


def test_task_builds_one_catalog():
    make_shop(IDS)
    store_history([("ann", "a", VIEW, 1), ("ann", "b", VIEW, 0.5)])
    tasks.build("default")
    assert Build.objects.get().state == "live"


def test_find_audience_prints_sizes_and_names():
    make_shop(IDS)
    assert "There is no model yet" in run("find_audience", "b")
    publish(log_of([["a", "b"]] * 2 + [["c"]], IDS), IDS)
    store_history([("ann", "a", VIEW, 1), ("bob", "a", VIEW, 2)])
    lines = run("find_audience", "b", "-n", "1").splitlines()
    assert lines[0] == "2 people want b; 0 more bought it."
    assert lines[3].split()[0] == "10%"
    assert lines[12].split()[::2] == ["100%", "2"]
    assert len(lines) == 16
    assert lines[15].split()[1:] == ["ann", "a"]
    store_history([("\x1b[2Jeve\n", "a", VIEW, 0.5)])  # an id that would clear the screen
    assert run("find_audience", "b").splitlines()[-1].split()[1:] == ["[2Jeve", "a"]
    assert run("find_audience", "c") == "0 people want c; 0 more bought it.\n"
    with pytest.raises(CommandError, match="'zzz' is not a product"):
        run("find_audience", "zzz")
