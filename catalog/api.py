"""Products for other systems. Mounted with server-key auth by `engage/urls.py`."""

from dataclasses import asdict
from typing import Annotated, Any, Final

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.params.functions import Body
from pydantic import BeforeValidator, WithJsonSchema

from catalog import products
from engage.lib import clock
from engage.lib.errors import InvalidInput

router = Router(tags=["catalog"])


def take_list(body: object) -> list[Any]:
    """The list alone, or as `items` of an object."""
    found = body.get("items") if isinstance(body, dict) else body
    if not isinstance(found, list):
        raise InvalidInput('The body: expected a list of items, or {"items": [...]}.')
    return found


ITEMS: Final = {"type": "array", "items": {}, "example": [{"id": "sku-1", "name": "Hat"}]}
Items = Annotated[list[Any], BeforeValidator(take_list), WithJsonSchema(ITEMS)]
NO_ITEMS: Any = Body([])  # of an empty body


class Refusal(Schema):
    index: int
    id: str
    code: str
    message: str


class Answer(Schema):
    """How many were taken, why each of the others was not, and the catalog's version now."""

    accepted: int
    rejected: list[Refusal]
    version: int


class Listing(Schema):
    items: list[dict[str, Any]]
    next: str | None
    version: int


@router.put("/catalogs/{name}/items", response=Answer, summary="Put whole products in place")
def put_items(request: HttpRequest, name: str, body: Items = NO_ITEMS) -> dict[str, Any]:
    """Up to 1,000 products. Each needs `id` and `name`; what it does not say becomes empty, and
    `in_stock` true. A catalog that does not exist is made."""
    return asdict(products.upsert(name, body, now=clock.now()))


@router.patch("/catalogs/{name}/items", response=Answer, summary="Change some columns")
def patch_items(request: HttpRequest, name: str, body: Items = NO_ITEMS) -> dict[str, Any]:
    """Up to 1,000 products by `id`; other columns stay as they are, `null` empties one."""
    return asdict(products.patch(name, body, now=clock.now()))


@router.delete("/catalogs/{name}/items", response=Answer, summary="Take products out")
def delete_items(request: HttpRequest, name: str, body: Items = NO_ITEMS) -> dict[str, Any]:
    """Up to 1,000 ids, as texts or as objects with an `id`."""
    return asdict(products.delete(name, _ids(body), now=clock.now()))


@router.get("/catalogs/{name}/items", response=Listing, summary="List products by id")
def list_items(
    request: HttpRequest, name: str, after: str = "", limit: int = 100
) -> dict[str, Any]:
    """`next` is the `after` of the following page; null on the last."""
    return asdict(products.list_page(name, after=after, limit=limit))


@router.get("/catalogs/{name}/items/{path:item_id}", summary="One product")
def get_item(request: HttpRequest, name: str, item_id: str) -> dict[str, Any]:
    return products.get(name, item_id)


def _ids(entries: list[Any]) -> list[object]:
    ids = [entry.get("id") if isinstance(entry, dict) else entry for entry in entries]
    for index, one in enumerate(ids):
        if one is None or isinstance(one, bool | list | dict):
            raise InvalidInput(f"items[{index}]: expected an id.")
    return ids
