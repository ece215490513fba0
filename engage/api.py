"""The API for servers: every room's router behind a server key, with its description at /docs/."""

from django.http import HttpRequest
from ninja import NinjaAPI

from catalog.api import router as catalog
from engage.collector.access import Access, open_to_servers
from engage.lib.api import install_handlers
from engage.profiles.api import router as profiles
from recommendations.api import router as recommendations


def server_key(request: HttpRequest) -> Access:
    """Raises what the answer becomes when the key is missing, wrong or a write key."""
    return open_to_servers(request)


api = NinjaAPI(
    title="Engage",
    version="1",
    description="Events and app launches are described in docs/api.md.",
    auth=server_key,
    openapi_url="/docs/openapi.json",
    docs_url="/docs/",
    urls_namespace="api",
)
install_handlers(api)
for router in (catalog, recommendations, profiles):
    api.add_router("/v1", router)
