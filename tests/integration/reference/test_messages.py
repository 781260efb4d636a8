"""The real reference and this project read each other's messages, each in the forms of both.

What one sends, the other parses and sends on as equal JSON. The reference runs once for all of it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from spacer_tasks import data_classes
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.messages import tasks
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.specs import ExtractorSpec, TrainerSpec
from spacer_tasks.messages.tasks import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    JobMsg,
    JobReturnMsg,
    Message,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
    TrainingTaskLabels,
)
from spacer_tasks.registry import canonical_name
from tests.support.environments.reference import run_reference

Case = tuple[str, Any]
#: name of the class, its JSON: what the reference makes of its own objects, and of ours
REFERENCE = """
    import types

    # The reference imports its network beside its messages, which hold locations of weights and
    # no weights. Torch is left out of its environment: these names are what its classes derive
    # from when it is imported, and nothing here runs them.
    for name in ('torch', 'torch.nn', 'torch.nn.functional', 'torchvision'):
        sys.modules[name] = types.ModuleType(name)
    torch, nn = sys.modules['torch'], sys.modules['torch.nn']
    torch.nn, nn.functional = nn, sys.modules['torch.nn.functional']
    nn.Module = nn.Conv2d = type('NoTorchHere', (), {})
    sys.modules['torchvision'].transforms = None

    from pathlib import Path
    from spacer import data_classes, messages
    from spacer.data_classes import DataLocation, ImageLabels, ValResults
    from spacer.extractors import (
        DummyExtractor, EfficientNetExtractor, FeatureExtractor, VGG16CaffeExtractor)
    from spacer.messages import (
        ClassifyFeaturesMsg, ClassifyImageMsg, ClassifyReturnMsg, ExtractFeaturesMsg,
        ExtractFeaturesReturnMsg, JobMsg, JobReturnMsg, TrainClassifierMsg,
        TrainClassifierReturnMsg, TrainingTaskLabels)
    from spacer.train_classifier import MiniBatchTrainer

    s3 = DataLocation('s3', 'media/é b.jpg', 'bucket')
    url = DataLocation('url', 'https://host/a%20b.jpg?key=1&other=%22')
    places = [s3, url, DataLocation('filesystem', '/a b/"c".jpg'), DataLocation('memory', 'd')]
    writable = [place for place in places if place.is_writable]
    extractors = [
        EfficientNetExtractor({'weights': s3}, {'weights': 'ab' * 32}),
        EfficientNetExtractor(dict(weights=DataLocation('filesystem', '/w.pt'))),
        VGG16CaffeExtractor({'definition': s3, 'weights': url}, {'definition': 'cd' * 32}),
        DummyExtractor(),
        DummyExtractor({}, feature_dim=50),
    ]
    trainers = [
        'minibatch',
        'spacer.train_classifier.MiniBatchTrainer',
        MiniBatchTrainer(batch_size=7, mlp_hidden_layer_sizes=(20, 10), sgd_random_state=3,
                         mlp_learning_rate_init=1e-2, sgd_average=False, sgd_loss='hinge'),
    ]
    rowcols = [(0, 0), (70000, 3)]
    sets = []
    for labels in ([3, 2], ['Porites é', '3'], [-1, 2**40]):
        images = {place: [(5, 6, labels[0]), (7, 8, labels[1])] for place in places}
        val = ImageLabels({s3: [(1, 2, labels[1])]})
        sets.append(TrainingTaskLabels(ImageLabels(images), ImageLabels(images), val))
    extract = [ExtractFeaturesMsg('t', each, rowcols, place, place)
               for each in extractors for place in writable]
    extract.append(ExtractFeaturesMsg('t', extractors[0], rowcols, url, s3))
    image = [ClassifyImageMsg('t', each, rowcols, place, places[0])
             for each in extractors for place in places]
    features = [ClassifyFeaturesMsg('t', place, place) for place in places]
    train = [TrainClassifierMsg('t', trainer, 3, clf, labels, places, s3, writable[1], cache)
             for clf in ('MLP', 'LR') for trainer in trainers for labels in sets
             for cache in ('auto', 'disabled', Path('/tmp/cache'), '/tmp/cache')]
    train.append(TrainClassifierMsg('t', 'minibatch', 1, 'LR', sets[0], [], s3, s3))
    jobs = [JobMsg('extract_features', extract), JobMsg('train_classifier', train[:2]),
            JobMsg('classify_features', features[:1]), JobMsg('classify_image', image)]
    answers = {
        'extract_features': [ExtractFeaturesReturnMsg(True, 2.5),
                             ExtractFeaturesReturnMsg(False, 0.0)],
        'train_classifier': [TrainClassifierReturnMsg(0.5, [0.25, 1.0], [0.1, 0.2], 1e5),
                             TrainClassifierReturnMsg(0.0, [], [], 0.1)],
        'classify_features': [ClassifyReturnMsg(1.5, [(1, 2, [0.25, 0.75])], [10, 20], True),
                              ClassifyReturnMsg(1.5, [(None, None, [1.0])], ['a'], False)],
    }
    answers['classify_image'] = answers['classify_features']
    returns = [JobReturnMsg(job, True, answers[job.task_name], None) for job in jobs]
    error = 'Traceback:\\n\\nspacer.exceptions.E: é'
    returns += [JobReturnMsg(job, False, None, error) for job in jobs]
    values = [ValResults([0.5, 0.25], [0, 1], [1, 1], labels) for labels in ([5, 6], ['a', 'b'])]
    made = [*places, *(each.train for each in sets), *sets, *values, *extract, *train, *features,
            *image, *answers['extract_features'], *answers['train_classifier'],
            *answers['classify_features'], *jobs, *returns]

    def again(name, data):
        cls = getattr(messages, name, None) or getattr(data_classes, name)
        return cls.deserialize(data).serialize()

    return {
        'theirs': [[type(each).__name__, each.serialize()] for each in made],
        'ours': [[name, again(name, data)] for name, data in args['ours']],
        'older': [[name, again(name, data)] for name, data in args['older']],
        'paths': [FeatureExtractor.deserialize(each).serialize() for each in args['paths']],
    }
"""
CLASSES = [
    *("DataLocation", "ImageLabels", "ValResults", "TrainingTaskLabels", "ExtractFeaturesMsg"),
    *("ExtractFeaturesReturnMsg", "TrainClassifierMsg", "TrainClassifierReturnMsg", "JobMsg"),
    *("ClassifyFeaturesMsg", "ClassifyImageMsg", "ClassifyReturnMsg", "JobReturnMsg"),
]
#: extractors by where people import them from, not where they are defined
SHORT_PATHS: list[dict[str, Any]] = [
    {"class_path": "spacer.extractors.DummyExtractor", "data_locations": {}},
    {
        "class_path": "spacer.extractors.EfficientNetExtractor",
        "data_locations": {"weights": {"storage_type": "memory", "key": "w"}},
    },
]


def wire(message: BaseModel) -> Any:
    return message.to_wire() if isinstance(message, Message) else message.model_dump(mode="json")


def parsed(name: str, data: Any) -> BaseModel:
    cls: type[BaseModel] = getattr(tasks, name, None) or getattr(data_classes, name)
    return parse(cls, data)


def our_messages() -> list[BaseModel]:
    s3 = DataLocation(storage_type="s3", key="média/a.jpg", bucket_name="bucket")
    url = DataLocation(storage_type="url", key="https://host/a.jpg?k=1")
    file = DataLocation(storage_type="filesystem", key="/folder/a b.jpg")
    memory = DataLocation(storage_type="memory", key="a.jpg")
    extractors = [
        ExtractorSpec(
            class_path=f"spacer.extractors.{name}", data_locations=files, data_hashes=hashes
        )
        for name, files, hashes in [
            ("efficientnet.EfficientNetExtractor", {"weights": s3}, {"weights": "ab" * 32}),
            ("vgg16.VGG16CaffeExtractor", {"definition": file, "weights": url}, {}),
        ]
    ]
    dummy = {"class_path": "spacer.extractors.base.DummyExtractor", "feature_dim": 50}
    extractors.append(ExtractorSpec.model_validate(dummy))
    trainers = [
        TrainerSpec(class_path="spacer.train_classifier.MiniBatchTrainer"),
        TrainerSpec.model_validate(
            {
                "class_path": "spacer.train_classifier.MiniBatchTrainer",
                "batch_size": 9,
                "mlp_hidden_layer_sizes": [30],
            }
        ),
        TrainerSpec.model_validate("minibatch"),
    ]
    sets = []
    for one, other in ((1, 2), ("1", "é")):
        labels = ImageLabels({place: [(1, 2, one), (3, 4, other)] for place in (s3, url, file)})
        sets.append(TrainingTaskLabels(train=labels, ref=labels, val=labels))
    extract = [
        ExtractFeaturesMsg(
            job_token="t", extractor=each, rowcols=[(0, 70_000)], image_loc=url, feature_loc=place
        )
        for each in extractors
        for place in (s3, file, memory)
    ]
    train = [
        TrainClassifierMsg(
            job_token="t",
            trainer=trainer,
            nbr_epochs=2,
            clf_type="MLP",
            labels=labels,
            previous_model_locs=[url, s3],
            model_loc=s3,
            valresult_loc=file,
            feature_cache_dir=cache,
        )
        for trainer in trainers
        for labels in sets
        for cache in ("auto", "disabled", "/folder")
    ]
    features = ClassifyFeaturesMsg(job_token="t", feature_loc=memory, classifier_loc=url)
    image = [
        ClassifyImageMsg(
            job_token="t",
            extractor=each,
            rowcols=[(1, 2), (1, 2)],
            image_loc=file,
            classifier_loc=s3,
        )
        for each in extractors
    ]
    jobs = [
        JobMsg(task_name="extract_features", tasks=extract),
        JobMsg(task_name="train_classifier", tasks=train),
        JobMsg(task_name="classify_features", tasks=[features]),
        JobMsg(task_name="classify_image", tasks=image),
    ]
    answers: dict[str, BaseModel] = {
        "extract_features": ExtractFeaturesReturnMsg(extractor_loaded_remotely=True, runtime=0.5),
        "train_classifier": TrainClassifierReturnMsg(
            acc=0.5, pc_accs=[], ref_accs=[0.5, 0.75], runtime=3.5
        ),
        "classify_features": ClassifyReturnMsg(
            runtime=1.5, scores=[(None, None, [0.25, 0.75])], classes=["a", "b"], valid_rowcol=False
        ),
        "classify_image": ClassifyReturnMsg(
            runtime=1.5, scores=[(1, 2, [0.25, 0.75])], classes=[1, 2], valid_rowcol=True
        ),
    }
    returns = [
        JobReturnMsg(
            original_job=job.to_wire(),
            ok=ok,
            results=[wire(answers[job.task_name])] * 2 if ok else None,
            error_message=None if ok else "first line\nspacer.exceptions.DataLimitError: é",
        )
        for job in jobs
        for ok in (True, False)
    ]
    results = ValResults(scores=[0.5], gt=[1], est=[0], classes=["a", "b"])
    return [
        *(s3, url, file, memory, sets[0].train, results, *sets, features),
        *(*extract, *train, *image, *answers.values(), *jobs, *returns),
    ]


def older_forms() -> list[Case]:
    """Messages as versions before 0.14 wrote them, and what people wrote by hand."""
    first = next(each for each in our_messages() if isinstance(each, TrainClassifierMsg))
    train = {key: value for key, value in first.to_wire().items() if key != "trainer"}
    named = {**train, "trainer_name": "minibatch"}
    by_path = {**train, "trainer_name": "spacer.train_classifier.MiniBatchTrainer"}
    job = {"task_name": "train_classifier", "tasks": [named, by_path]}
    # without a bucket_name
    place = {"storage_type": "filesystem", "key": "a"}
    return [
        *(("TrainClassifierMsg", each) for each in (named, by_path)),
        ("TrainClassifierMsg", {**named, "feature_cache_dir": "disabled"}),
        ("JobMsg", job),
        (
            "JobReturnMsg",
            {"original_job": job, "ok": False, "results": None, "error_message": "no"},
        ),
        ("ClassifyFeaturesMsg", {"job_token": "t", "feature_loc": place, "classifier_loc": place}),
        ("ImageLabels", {json.dumps(place): [[1, 2, 3]]}),
    ]


@pytest.fixture(scope="module")
def reference() -> Any:
    ours = [(type(each).__name__, wire(each)) for each in our_messages()]
    args = {"ours": ours, "older": older_forms(), "paths": SHORT_PATHS}
    return run_reference(REFERENCE, args)


def check_equal(found: Any, expected: Any) -> None:
    """Equal as JSON: the order of images too, and 1 is neither true nor 1.0."""
    assert json.dumps(found) == json.dumps(expected)


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_reference_sends_is_parsed_and_sent_on_alike(name: str, reference: Any) -> None:
    sent = [data for cls, data in reference["theirs"] if cls == name]
    assert sent
    for data in sent:
        check_equal(wire(parsed(name, data)), data)
        check_equal(wire(parsed(name, json.dumps(data))), data)


@pytest.mark.parametrize("name", CLASSES)
def test_what_we_send_is_parsed_by_the_reference_and_sent_on_alike(
    name: str, reference: Any
) -> None:
    ours = [wire(each) for each in our_messages() if type(each).__name__ == name]
    theirs = [data for cls, data in reference["ours"] if cls == name]
    assert ours
    for mine, data in zip(ours, theirs, strict=True):
        check_equal(data, mine)


def test_older_forms_mean_the_same_to_both(reference: Any) -> None:
    for (name, form), (_, theirs) in zip(older_forms(), reference["older"], strict=True):
        found = wire(parsed(name, form))
        if name == "JobReturnMsg":
            # we echo what was sent, the reference makes its newest form of it
            assert found["original_job"] == form["original_job"]
            found["original_job"] = wire(parsed("JobMsg", form["original_job"]))
        check_equal(found, theirs)


def test_short_paths_name_the_same_extractors_to_both(reference: Any) -> None:
    for form, theirs in zip(SHORT_PATHS, reference["paths"], strict=True):
        ours = wire(ExtractorSpec.model_validate(form))
        assert ours["class_path"] != theirs["class_path"]
        assert canonical_name(ours["class_path"]) == canonical_name(theirs["class_path"])
        assert ours["data_locations"] == theirs["data_locations"]
