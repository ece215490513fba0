import numpy as np
import pytest
from django.core.management import call_command

from campaigns import personalise, slots
from engage.profiles.models import Profile
from recommendations import build, people_alike, registry, rows, serve, shelf
from recommendations.algorithms.demographics import UNKNOWN, Attribute, Prior
from recommendations.algorithms.model import ItemModel
from recommendations.algorithms.recipe import Recipe
from recommendations.interactions import Interactions
from recommendations.models import Build
from recommendations.serve import Context
from tests.factories import (
    NOON,
    make_catalog,
    make_product,
    make_profile,
    make_slot,
    make_template,
)
from tests.recommendations.shops import BUY, change, log_of, make_shop, store_history, touch, who

pytestmark = pytest.mark.django_db
IDS = ["a", "b", "c", "d", "e", "f"]
BASKETS = [["a", "b", "c"]] * 3 + [["a", "b"]] * 2 + [["d", "e"]] * 2 + [["f"]]
# The people of AT take f and e, men c; nothing is told of a and b.
LIFT = [[0.1, 9.0, 30.0], [1.0, 1.0, 1.0], [5.0, 1.0, 1.0]]
PRIOR = Prior(
    {"country": ["AT", "DE"], "gender": ["m"]},
    np.array([2, 4, 5], np.int32),
    np.array(LIFT, np.float32),
)


@pytest.fixture
def shop():
    catalog = make_shop(IDS, category=["x", "x", "x", "y", "y", "y"])
    go_live(PRIOR)
    return catalog


def go_live(prior, *, base="sales"):
    row = Build.objects.create(catalog="default", started_at=NOON)
    log = log_of(BASKETS, IDS)
    row.artifact = f"default-{row.pk}"
    model = ItemModel(Recipe(top=20)).fit(log)
    row.checksum = build.write(row, model, Interactions(log, IDS), people=prior, base=base)
    row.save()
    registry.publish(row, now=NOON)
    shelf.forget()


def ask(person=None, attributes=None, **options):
    contexts = None if attributes is None else [Context(profile=attributes)]
    (found,) = serve.recommend(
        [person or who()], contexts=contexts, **({"now": NOON, "n": 3} | options)
    )
    return [(pick.item, pick.rung) for pick in found.picks]


def read(*known):
    """As a build reads people of these attributes."""
    ids = [make_profile(**attributes).pk for attributes in known]
    return people_alike.read(np.array(ids, np.int64))


# --- serving ---


def test_newcomer_gets_what_people_alike_like_before_what_everybody_does(shop):
    # Sales are a 5, b 5, c 3, d 2, e 2, f 1 by one: times 0.1, 9 and 30 for c, e and f.
    assert ask(attributes={"country": "AT"}, n=5) == [
        ("f", "people_alike"),
        ("e", "people_alike"),
        ("c", "people_alike"),
        ("a", "trending"),
        ("b", "trending"),
    ]


def test_several_attributes_multiply(shop):
    both = {"country": "AT", "gender": "m"}
    (found,) = serve.recommend([who()], contexts=[Context(profile=both)], n=3, now=NOON)
    sales = registry.live("default").arrays["sales"]
    assert [pick.item for pick in found.picks] == ["f", "e", "c"]
    assert [pick.score for pick in found.picks] == pytest.approx(
        [sales[5] * 30, sales[4] * 9, sales[2] * 0.5]
    )


def test_reason_does_not_say_what_we_know_of_the_person(shop):
    (found,) = serve.recommend(
        [who()], contexts=[Context(profile={"country": "AT"})], n=1, now=NOON
    )
    assert found.picks[0].reason == "popular with people like you"
    assert found.picks[0].source == "people_alike"


@pytest.mark.parametrize(
    "attributes",
    [{}, {"country": "FR"}, {"country": ["AT"]}, {"country": 3}, {"country": None}, {"x": "AT"}],
)
def test_person_of_whom_nothing_useful_is_known_gets_what_is_popular(shop, attributes):
    assert ask(attributes=attributes) == ask() == [(item, "trending") for item in "abc"]


def test_what_somebody_did_says_more_after_three_products(shop):
    two, three = who(touch("a"), touch("b")), who(touch("a"), touch("b"), touch("c"))
    options = {"attributes": {"country": "AT"}, "ladder": ["people_alike", "trending"], "n": 1}
    assert ask(two, **options) == [("f", "people_alike")]
    assert ask(three, **options)[0][1] == "trending"


def test_touches_come_before_people_alike(shop):
    assert ask(who(touch("a")), attributes={"country": "AT"}, n=1) == [("b", "personal")]


def test_filter_stock_and_exclusions_hold_for_people_alike(shop):
    change(shop, "f", in_stock=False)
    found = ask(attributes={"country": "AT"}, exclude_items=[{"e"}], ladder=["people_alike"])
    assert found == [("c", "people_alike")]


def test_people_are_kept_apart_in_one_batch(shop):
    contexts = [Context(profile={"country": "AT"}), Context(), Context(profile={"gender": "m"})]
    found = serve.recommend([who()] * 3, contexts=contexts, n=1, now=NOON)
    assert [one.picks[0].item for one in found] == ["f", "a", "c"]


def test_strategy_enters_at_people_alike(shop):
    found = ask(who(touch("a")), {"country": "AT"}, strategy="people_alike", n=1)
    assert found == [("f", "people_alike")]


def test_trending_can_be_what_is_multiplied(shop):
    go_live(PRIOR, base="trend")
    (found,) = serve.recommend([who()], contexts=[Context(profile={"gender": "m"})], n=1, now=NOON)
    trend = registry.live("default").arrays["trend"]
    assert found.picks[0].score == pytest.approx(trend[2] * 5)


def test_build_without_a_choice_has_no_such_list(shop):
    go_live(build.NOBODY)
    assert ask(attributes={"country": "AT"}) == [(item, "trending") for item in "abc"]


def test_without_a_model_nobody_is_alike():
    catalog = make_catalog()
    make_product(catalog=catalog, item_id="a")
    assert ask(attributes={"country": "AT"}) == []


def test_page_of_rows_begins_with_people_alike_for_a_newcomer(shop):
    newcomer = Context(profile={"country": "AT"})
    page = rows.assemble(who(), context=newcomer, n=3, now=NOON)
    assert [row.kind for row in page] == ["people_alike", "trending"]
    assert [pick.item for pick in page[0].picks] == ["f", "e", "c"]
    assert page[0].title == "Popular with people like you"
    assert [row.kind for row in rows.assemble(who(), n=3, now=NOON)] == [
        "trending",
        "best_sellers",
    ]


def test_message_to_a_newcomer_shows_what_people_alike_take(shop):
    ann = make_profile(country="AT")
    slot = make_slot(template=make_template(), maximum=2)
    person = personalise.load_people([ann.pk])[ann.pk]
    (filling,) = slots.fill(
        [slot],
        who=[serve.Who(ann.pk, person.touches)],
        contexts=[personalise.context_of(person)],
        now=NOON,
    )
    assert [(one["item"], one["rung"]) for one in filling.items] == [
        ("f", "people_alike"),
        ("e", "people_alike"),
    ]


# --- reading ---


def test_attributes_of_few_values_are_read():
    (country, vip) = read(
        {"country": "DE", "vip": True}, {"country": "AT", "vip": False}, {"country": "DE"}
    )
    assert (country.name, country.values, country.code.tolist()) == (
        "country",
        ["AT", "DE"],
        [1, 0, 1],
    )
    assert (vip.name, vip.values, vip.code.tolist()) == ("vip", ["false", "true"], [1, 0, UNKNOWN])


@pytest.mark.parametrize(
    "values",
    [
        ["DE", "DE"],  # one value tells nobody apart
        [1, 2],
        [["a"], ["b"]],
        ["x" * 65, "y" * 65],
        ["", ""],
        [None, None],
    ],
)
def test_attribute_that_makes_no_kinds_of_people_is_not_used(values):
    assert read(*({"a": value} for value in values)) == []


def test_names_and_addresses_are_not_used():
    people = [{"email": f"{n}@x.test", "first_name": n, "phone": n} for n in ("a", "b")]
    assert read(*people) == []


def test_attribute_with_more_than_fifty_values_is_not_used():
    assert [one.name for one in read(*({"a": f"{n}"} for n in range(50)))] == ["a"]
    assert read(*({"b": f"{n}"} for n in range(51))) == []


def test_attribute_with_too_many_values_beyond_the_sample_is_not_used(monkeypatch):
    monkeypatch.setattr(people_alike, "SAMPLE", 10)
    assert read(*({"a": f"{n}"} for n in range(60))) == []


def test_attribute_that_less_than_a_fifth_have_is_not_used():
    rare = [{"a": "x"}, {"a": "y"}] + [{}] * 8
    assert [one.name for one in read(*rare)] == ["a"]
    assert read(*rare, {}) == []


def test_at_most_twenty_attributes_are_used_the_best_known_first():
    first = {f"a{n:02}": "x" for n in range(25)}
    second = {f"a{n:02}": "y" for n in range(1, 25)}
    assert [one.name for one in read(first, second)] == [f"a{n:02}" for n in range(1, 21)]


def test_who_was_erased_is_unknown(monkeypatch):
    monkeypatch.setattr(people_alike, "BATCH", 2)
    ids = [make_profile(country=name).pk for name in ("DE", "AT", "DE")]
    Profile.objects.filter(pk=ids[0]).delete()
    (found,) = people_alike.read(np.array(ids, np.int64))
    assert found.code.tolist() == [UNKNOWN, 0, 1]


def test_order_of_values_does_not_depend_on_who_came_first():
    code = np.array([0, 1, UNKNOWN], np.int32)
    found = people_alike.make_attribute("country", ["DE", "AT"], code)
    assert (found.values, found.code.tolist()) == (["AT", "DE"], [1, 0, UNKNOWN])


# --- a whole build ---


@pytest.fixture
def two_countries():
    """The people of AT take p20 to p29, those of DE p00 to p09; twenty newcomers a day."""
    ids = [f"p{n:02}" for n in range(30)]
    make_shop(ids)
    rng = np.random.default_rng(5)
    store_history(
        [
            (f"u{person}", ids[(person % 3 == 0) * 20 + item], BUY, 41.9 - person / 20)
            for person in range(820)
            for item in rng.permutation(10)[:3]
        ]
    )
    everybody = Profile.objects.order_by("pk")
    for profile in everybody:
        number = int(profile.identities.get().value[1:])
        profile.attributes = {"country": "DE" if number % 3 else "AT", "eye": "bg"[number % 2]}
    Profile.objects.bulk_update(everybody, ["attributes"])
    return ids


def test_build_chooses_serves_and_says_so(two_countries):
    made = build.run("default", now=NOON, recipe=Recipe(top=20))
    assert made.quality["people_alike"]["used"] == ["country"]
    assert made.quality["people_alike"]["tried"] == 2
    assert registry.live("default").facts["people_alike"] == {
        "base": made.quality["people_alike"]["base"],
        "values": {"country": ["AT", "DE"]},
    }
    found = ask(attributes={"country": "AT"}, n=5)
    assert {rung for _, rung in found} == {"people_alike"}
    assert all(item >= "p20" for item, _ in found)


def test_command_says_which_attributes_are_used(two_countries, capsys):
    call_command("build_recommendations", "default")
    lines = capsys.readouterr().out.splitlines()
    assert "Attributes tried on 140 newcomers: 2; used: country." in lines


def test_build_without_attributes_uses_none(two_countries):
    Profile.objects.update(attributes={})
    made = build.run("default", now=NOON, recipe=Recipe(top=20))
    assert "people_alike" not in made.quality
    assert registry.live("default").facts["people_alike"] == {}


def test_attribute_is_gone_with_the_next_build(two_countries):
    build.run("default", now=NOON, recipe=Recipe(top=20))
    assert "AT" in str(registry.live("default").facts)
    for profile in Profile.objects.filter(attributes__country="AT"):
        profile.attributes = {}
        profile.save()
    build.run("default", now=NOON, recipe=Recipe(top=20))
    assert "AT" not in str(registry.live("default").facts)


def test_same_people_build_the_same_bits(two_countries):
    one, other = (build.run("default", now=NOON, recipe=Recipe(top=20)) for _ in range(2))
    assert one.checksum == other.checksum


def test_attribute_read_by_a_build_is_one_of_its_profiles(two_countries):
    data = build.interactions.read("default")
    country = next(one for one in people_alike.read(data.profile_ids) if one.name == "country")
    assert isinstance(country, Attribute)
    austrians = set(data.log.profile[data.log.item >= 20].tolist())
    assert {number for number, code in enumerate(country.code) if code == 0} == austrians
