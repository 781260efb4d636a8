"""What each network costs and gives: patches a second, numbers a patch, accuracy on the demo.

`python -m benchmarks.networks` measures the networks that need no file of the user's; others by
`--network NAME=JSON`, the extractor as in a message. `--onnx` takes the same network as an ONNX
file, exported as docs/networks.md says; `--vgg16` the legacy one with random weights, for its speed
alone. Speeds are medians of several runs; accuracy is of the demo's test points, of quadrats of
several seeds, trained as the demo trains.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spacer_tasks import operations
from spacer_tasks.classifiers import load_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import Annotation, ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.batch import read_points
from spacer_tasks.demo.network import write_network
from spacer_tasks.demo.quadrats import Quadrats, make_quadrats
from spacer_tasks.extractors import load_extractor
from spacer_tasks.messages.specs import ExtractorSpec, TrainerSpec
from spacer_tasks.messages.tasks import ExtractFeaturesMsg, TrainClassifierMsg
from spacer_tasks.training import SplitMode, preprocess_labels

#: as the demo's
IMAGES, EPOCHS, RATIOS = 120, 30, (0.1, 0.1)
#: patches of a timed run, of a slow network fewer, and runs
TIMED_PATCHES, FEW_PATCHES, RUNS = 100, 20, 7
#: a network of random weights, as the demo's without the extra imagenet
SEEDED = "EfficientNet-B0, seeded, untrained"
AS_ONNX = "onnx: EfficientNet-Lite0 as a file"
RANDOM_VGG16 = "VGG16, random weights"


def patches_a_second(networks: Mapping[str, ExtractorSpec]) -> dict[str, list[float]]:
    """Of each run of each network: one after the other, and again, so that all share the noise."""
    extractors = {name: load_extractor(spec) for name, spec in networks.items()}
    for extractor in extractors.values():
        extractor.warm()
    rates: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(RUNS):
        for name, extractor in extractors.items():
            count = FEW_PATCHES if name == RANDOM_VGG16 else TIMED_PATCHES
            shape = (count, extractor.crop_size, extractor.crop_size, 3)
            patches = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            began = time.perf_counter()
            for start in range(0, count, extractor.batch_size):
                extractor.forward(patches[start : start + extractor.batch_size])
            rates[name].append(count / (time.perf_counter() - began))
    return rates


def as_onnx(folder: Path) -> ExtractorSpec:
    """EfficientNet-Lite0 with its published weights, exported as docs/networks.md exports one."""
    import torch

    from spacer_tasks.extractors.efficientnet.extractor import EfficientNetLite0Extractor
    from spacer_tasks.extractors.efficientnet.imagenet_weights import imagenet_weights

    lite0 = load_extractor(ExtractorSpec(class_path="efficientnet-lite0"))
    assert isinstance(lite0, EfficientNetLite0Extractor)
    file = folder / "lite0.onnx"
    torch.onnx.export(
        lite0.network({"weights": imagenet_weights()}).eval(),
        (torch.zeros(1, 3, lite0.crop_size, lite0.crop_size),),
        str(file),
        dynamo=False,
        input_names=["patches"],
        output_names=["features"],
        dynamic_axes={"patches": {0: "n"}},
    )
    given = lite0.preprocessing
    return ExtractorSpec.model_validate(
        {
            "class_path": "onnx",
            "data_locations": {"weights": DataLocation.parse(str(file))},
            "scale": given.scale,
            "mean": given.mean,
            "deviation": given.deviation,
        }
    )


def random_vgg16() -> ExtractorSpec:
    """The legacy network in full size, of the weights that `benchmarks.caffe` makes."""
    from benchmarks.caffe import DEFINITION, WEIGHTS, make_files

    if not WEIGHTS.exists():
        make_files()
    return ExtractorSpec(
        class_path="vgg16",
        data_locations={
            "definition": DataLocation.parse(str(DEFINITION)),
            "weights": DataLocation.parse(str(WEIGHTS)),
        },
    )


def accuracies(
    spec: ExtractorSpec, quadrats: Quadrats, folder: Path, trainings: int
) -> list[float]:
    """Of the points of the test quadrats, by classifiers that learnt from the others.

    So many are trained, with other random numbers each, on the same points.
    """
    points = read_points(quadrats)
    root = DataLocation.parse(str(folder))
    for name, marked in points.items():
        operations.extract_features(
            ExtractFeaturesMsg(
                job_token=name,
                extractor=spec,
                rowcols=[(row, column) for row, column, _ in marked],
                image_loc=DataLocation.parse(str(quadrats.folder / name)),
                feature_loc=root.joined(name),
            )
        )
    learnt: dict[DataLocation, list[Annotation]] = {
        root.joined(name): points[name] for name in quadrats.training
    }
    return [_accuracy(learnt, quadrats, root, number) for number in range(trainings)]


def _accuracy(
    learnt: dict[DataLocation, list[Annotation]], quadrats: Quadrats, root: DataLocation, seed: int
) -> float:
    # the first as the demo's
    trainer = {"class_path": "minibatch"} | ({"random_state": seed} if seed else {})
    operations.train_classifier(
        TrainClassifierMsg(
            job_token="networks",
            trainer=TrainerSpec.model_validate(trainer),
            nbr_epochs=EPOCHS,
            clf_type="MLP",
            labels=preprocess_labels(
                ImageLabels(learnt), split_ratios=RATIOS, split_mode=SplitMode.VECTORS
            ),
            model_loc=root.joined("classifier"),
            valresult_loc=root.joined("valresult.json"),
        ),
        preprocessed=True,
    )
    classifier = load_classifier(root.joined("classifier"))
    points = read_points(quadrats)
    right = []
    for name in quadrats.test:
        features = ImageFeatures.from_bytes(Path(root.key, name).read_bytes(), name)
        at = features.indices_of([(row, column) for row, column, _ in points[name]], name)
        best = classifier.predict_proba(features.vectors[at]).argmax(axis=1)
        found = [classifier.classes[index] for index in best]
        right += [a == b for a, (_, _, b) in zip(found, points[name], strict=True)]
    return float(np.mean(right))


def main() -> None:
    """Print a table, a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=1, help="of each seed's points")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--seeded", action="store_true", help="measure the seeded network too")
    parser.add_argument("--onnx", action="store_true", help="measure lite0 as an ONNX file too")
    parser.add_argument("--vgg16", action="store_true", help="time VGG16 of random weights too")
    parser.add_argument("--network", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--quadrats", type=Path, help="keep them there")
    given = parser.parse_args()
    networks = {"efficientnet-lite0": ExtractorSpec(class_path="efficientnet-lite0")}
    for text in given.network:
        name, _, spec = text.partition("=")
        networks[name] = ExtractorSpec.model_validate(json.loads(spec))
    with TemporaryDirectory() as temporary:
        base = given.quadrats or Path(temporary)
        surveys = [
            made
            for seed in range(given.seeds)
            for made in [_quadrats(base / f"quadrats-{given.images}-{seed}", given.images, seed)]
        ]
        if given.seeded:
            weights = Path(temporary) / "seeded.pt"
            photos = [surveys[0].folder / name for name in surveys[0].training]
            write_network(weights, photos, 0)
            networks[SEEDED] = ExtractorSpec(
                class_path="efficientnet",
                data_locations={"weights": DataLocation.parse(str(weights))},
            )
        if given.onnx:
            networks[AS_ONNX] = as_onnx(Path(temporary))
        if given.vgg16:
            networks[RANDOM_VGG16] = random_vgg16()
        print(f"{len(os.sched_getaffinity(0))} cores, {RUNS} runs, {given.seeds} seeds")
        print("| network | patches a second | numbers a patch | accuracy on the demo |")
        print("|---|---|---|---|", flush=True)
        speeds = patches_a_second(networks)
        for name, spec in networks.items():
            rates = speeds[name]
            dimensions = load_extractor(spec).feature_dim
            found: list[float] = []
            for number, quadrats in enumerate([] if name == RANDOM_VGG16 else surveys):
                folder = Path(temporary) / f"{number}" / str(len(found)) / name.replace("/", "-")
                folder.mkdir(parents=True)
                first, *others = accuracies(spec, quadrats, folder, given.trainings)
                found.append(first)
                if others:
                    deviation = statistics.stdev([first, *others])
                    print(f"seed {number}: {given.trainings} trainings, deviation {deviation:.1%}")
            each = ", ".join(f"{value:.1%}" for value in found)
            right = f"{statistics.median(found):.1%} ({each})" if found else "not measured"
            print(
                f"| {name} | {_rate(statistics.median(rates))} ({_rate(min(rates))} to"
                f" {_rate(max(rates))})"
                f" | {dimensions:,} | {right} |",
                flush=True,
            )


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _quadrats(folder: Path, images: int, seed: int) -> Quadrats:
    """Made, or taken as they were made before."""
    if not (folder / "points.csv").exists() or len(list(folder.glob("*.jpg"))) < images:
        return make_quadrats(folder, images, seed)
    names = sorted(path.name for path in folder.glob("*.jpg"))
    test = max(1, round(0.25 * images))
    return Quadrats(folder, folder / "points.csv", names[:-test], names[-test:])


if __name__ == "__main__":
    main()
