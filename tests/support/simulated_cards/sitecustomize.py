"""With this folder and the checkout in PYTHONPATH, torch has SIMULATED_CARDS CUDA devices, which
compute on the CPU.
"""

from __future__ import annotations

import os

if cards := int(os.environ.get("SIMULATED_CARDS", 0)):
    from tests.support.simulated_cuda import install

    install(cards)
