"""What happens to S3."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.faults.scene import Scene
from tests.support.s3.faults import S3Faults


def take_s3_away(scene: Scene, seconds: float = 45) -> None:
    """S3 answers nothing but 503 for some time."""
    with scene.event():
        scene.servers.front.set(S3Faults(error_503=1))
        time.sleep(seconds)
        scene.servers.front.set(scene.s3)


def take_s3_away_from_waiting(scene: Scene, seconds: float = 600, waiting: int = 1000) -> None:
    """The same for ten minutes, while a thousand tasks wait."""
    scene.caller.stop()
    with scene.event():
        scene.servers.front.set(S3Faults(error_503=1))
        for _ in range(waiting):
            scene.caller.send("extract")
        time.sleep(seconds)
        scene.servers.front.set(scene.s3)


def _only_for(scene: Scene, faults: S3Faults, seconds: float) -> None:
    with scene.event():
        scene.servers.front.set(faults)
        time.sleep(seconds)
        scene.servers.front.set(scene.s3)


def let_s3_hang(scene: Scene, seconds: float = 25) -> None:
    """Connections are taken, and nothing is answered."""
    _only_for(scene, S3Faults(hang=1, hang_s=seconds), seconds)


def refuse_answers(scene: Scene, seconds: float = 25) -> None:
    """What is under the results prefix is refused to the workers, as after a secret was rotated."""
    _only_for(scene, S3Faults(error_403=1, among="/results/"), seconds)


def lose_the_results_bucket(scene: Scene, seconds: float = 25) -> None:
    """The bucket of the results prefix is not there for a while."""
    _only_for(scene, S3Faults(error_404=1, among="/results/"), seconds)


def take_images_away(scene: Scene, seconds: float = 25) -> None:
    """Images, features and classifiers cannot be reached; answers can."""
    _only_for(scene, S3Faults(error_503=1, among="/soak/"), seconds)


@contextmanager
def misbehaving_s3(scene: Scene, faults: S3Faults | None) -> Iterator[None]:
    """S3 does these as long as the block."""
    scene.s3 = faults or S3Faults()
    scene.servers.front.set(scene.s3)
    try:
        yield
    finally:
        scene.servers.front.set(S3Faults())
