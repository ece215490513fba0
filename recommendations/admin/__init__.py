"""The pages about what is recommended and why, one file per subject."""

from recommendations.admin.arm_result import ArmResultAdmin
from recommendations.admin.build import BuildAdmin
from recommendations.admin.hand_picked import HandPickedAdmin
from recommendations.admin.ranker import RankerAdmin

__all__ = ["ArmResultAdmin", "BuildAdmin", "HandPickedAdmin", "RankerAdmin"]
