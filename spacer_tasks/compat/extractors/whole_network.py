"""EfficientNet-B0 with the layer that its weights files have and features do not need."""

from __future__ import annotations

from torch import Tensor, nn

from spacer_tasks.extractors.efficientnet.network import FEATURE_DIM, EfficientNetB0


class WholeEfficientNet(EfficientNetB0):
    """Patches to a number for each label."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self._fc = nn.Linear(FEATURE_DIM, labels)

    def extract_features(self, x: Tensor) -> Tensor:
        """Patches to features."""
        return super().forward(x)

    def forward(self, x: Tensor) -> Tensor:
        labels: Tensor = self._fc(super().forward(x))
        return labels
