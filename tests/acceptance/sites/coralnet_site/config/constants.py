from enum import Enum


class SpacerJobSpec(Enum):
    """As CoralNet's: how much memory a job is likely to need."""

    MEDIUM = "medium"
    HIGH = "high"
