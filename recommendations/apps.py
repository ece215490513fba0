import os
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class RecommendationsConfig(AppConfig):
    name = "recommendations"
    label = "recommendations"
    verbose_name = "Recommendations"

    def ready(self) -> None:
        """Compiled kernels are kept beside the code, or in the data folder where that is fixed."""
        if not os.access(Path(__file__).parent / "algorithms" / "kernels", os.W_OK):
            os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(settings.DATA_DIR) / "numba"))
