"""One program, run with the reference and, its imports changed, with `spacer_tasks.compat`.

What it prints is the same: classes, methods, files, numbers and errors.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.environments.reference import Version, run_reference

#: the reference imports its network beside its extractors, and nothing here runs it
WITHOUT_TORCH = """
    import sys, types
    for name in ('torch', 'torch.nn', 'torch.nn.functional', 'torchvision'):
        sys.modules[name] = types.ModuleType(name)
    torch, nn = sys.modules['torch'], sys.modules['torch.nn']
    torch.nn, nn.functional = nn, sys.modules['torch.nn.functional']
    nn.Module = nn.Conv2d = type('NoTorchHere', (), {})
    sys.modules['torchvision'].transforms = None
"""
PROGRAM = """
    import os
    from io import BytesIO
    import numpy as np
    from PIL import Image
    from spacer import config
    from spacer.data_classes import (
        DataLocation, ImageFeatures, ImageLabels, PointFeatures, ValResults)
    from spacer.exceptions import (
        DataLimitError, RowColumnInvalidError, RowColumnMismatchError, TrainingLabelsError,
        URLDownloadError)
    from spacer.extractors import DummyExtractor, FeatureExtractor
    from spacer.messages import (
        ClassifyFeaturesMsg, ClassifyImageMsg, ExtractFeaturesMsg, JobMsg, JobReturnMsg,
        TrainClassifierMsg, TrainingTaskLabels)
    from spacer.storage import (
        load_classifier, load_image, storage_factory, store_classifier, store_image)
    from spacer.task_utils import SplitMode, check_extract_inputs, preprocess_labels
    from spacer.tasks import (
        classify_features, classify_image, extract_features, process_job, train_classifier)
    from spacer.train_classifier import ClassifierTrainer, MiniBatchTrainer
    from spacer.train_utils import calc_acc, evaluate_classifier

    os.chdir(args['folder'])
    found = {}

    def at(key):
        return DataLocation('filesystem', key)

    def raised(function, *values, **options):
        try:
            function(*values, **options)
        except Exception as error:
            return [type(error).__name__, str(error)]

    class Recorder(FeatureExtractor):
        # an extractor of one's own: two numbers of a patch
        feature_dim = 2

        def patches_to_features(self, patch_list):
            return [[float(each.mean()), float(each[112, 112, 0])] for each in patch_list], False

    image_labels = ImageLabels()
    for number, (vectors, labels) in enumerate(args['images']):
        points = [PointFeatures(row, 2 * row, vector) for row, vector in enumerate(vectors)]
        ImageFeatures(points, True, len(vectors[0]), len(points)).store(at(f'{number}.feats'))
        image_labels.add_image(
            at(f'{number}.feats'), [(row, 2 * row, label) for row, label in enumerate(labels)])
    again = ImageFeatures.load(at('0.feats'))
    found['features'] = [
        again[(2, 4)].tolist(), again.get_array((1, 2)).shape, bool(again.valid_rowcol),
        int(again.npoints), int(again.feature_dim)]
    found['labels'] = [
        image_labels.label_count, sorted(image_labels.label_count_per_class.items()),
        len(image_labels), image_labels.has_remote_data, at('0.feats') in image_labels,
        image_labels.serialize(), image_labels.filter_classes([1]).serialize()]
    found['batches'] = [
        [np.array(x).tolist(), list(y)]
        for x, y in image_labels.load_data_in_batches(batch_size=7, random_seed=3)]

    sets = {}
    for mode in SplitMode:
        sets[mode] = preprocess_labels(image_labels, {1, 2, 3}, (0.3, 0.2), mode)
        found[f'split {mode.value}'] = sets[mode].serialize()
    found['too few'] = [
        raised(preprocess_labels, image_labels, split_ratios=(0.001, 0.1)),
        raised(preprocess_labels, image_labels, {1}),
        raised(preprocess_labels, image_labels, None, (0.02, 0.02), SplitMode.POINTS_STRATIFIED)]

    trainers = {
        'MLP': MiniBatchTrainer(mlp_hidden_layer_sizes=(9,), mlp_learning_rate_init=0.01),
        'LR': MiniBatchTrainer(batch_size=20)}
    labels = sets[SplitMode.VECTORS]
    for clf_type, trainer in trainers.items():
        message = TrainClassifierMsg(
            'token', trainer, 3, clf_type, labels, [], at(f'{clf_type}.pkl'), at(f'{clf_type}.val'))
        found[f'{clf_type} message'] = message.serialize()
        answer = train_classifier(TrainClassifierMsg.deserialize(message.serialize()))
        classifier = load_classifier(at(f'{clf_type}.pkl'))
        truths, answers, scores = evaluate_classifier(classifier, labels.val)
        results = ValResults.load(at(f'{clf_type}.val'))
        found[f'{clf_type} training'] = [
            answer.ref_accs, answer.pc_accs, results.classes, results.gt, results.est]
        found[f'{clf_type} scores'] = [
            results.scores, scores, classifier.predict_proba(again.get_array((0, 0))).tolist(),
            [each[2] for each in classify_features(
                ClassifyFeaturesMsg('1', at('0.feats'), at(f'{clf_type}.pkl'))).scores]]
        found[f'{clf_type} labels'] = [
            [int(each) for each in truths], [int(each) for each in answers],
            answer.acc == calc_acc(truths, answers), classifier.classes_.tolist(),
            type(classifier).__name__]
        store_classifier(at(clf_type + '.again'), classifier)
        found[f'{clf_type} stored again'] = load_classifier(
            at(clf_type + '.again')).predict_proba(again.get_array((0, 0))).tolist()

    class Own(ClassifierTrainer):
        # a trainer of one's own, with a trained classifier
        def __call__(self, labels, nbr_epochs, pc_models, clf_type):
            clf, results, answer = trainers['MLP'](labels, nbr_epochs, pc_models, clf_type)
            answer.pc_accs = [len(pc_models)]
            return clf, results, answer

    answer = train_classifier(TrainClassifierMsg(
        'token', Own(), 3, 'MLP', labels, [at('LR.pkl')], at('own.pkl'), at('own.val')))
    found['own trainer'] = [answer.ref_accs, answer.pc_accs, ValResults.load(at('own.val')).est]

    image = load_image(at('photo.png'))
    found['image'] = [list(image.size), image.mode]
    found['refused points'] = [
        raised(check_extract_inputs, image, points, 'photo') for points in
        ([(60, 1)], [(1, 80)], [(-1, 1)], [(1.0, 1)], [('1', 1)], [(1, 1)] * 1001, [(59, 79)])]
    extract = ExtractFeaturesMsg(
        '1', Recorder({}), [(5, 6), (59, 79), (5, 6)], at('photo.png'), at('own.feats'))
    answer = extract_features(extract)
    found['own extractor'] = [
        [each.row, each.col, each.data.tolist()]
        for each in ImageFeatures.load(at('own.feats')).point_features]
    dummy = DummyExtractor(feature_dim=4)
    found['dummy'] = [dummy.serialize(), FeatureExtractor.deserialize(dummy.serialize()) == dummy]
    five = DummyExtractor(feature_dim=5)
    scored = classify_image(
        ClassifyImageMsg('1', five, [(3, 4)], at('photo.png'), at('LR.pkl')))
    found['classified image'] = [
        [each[:2] for each in scored.scores], len(scored[(3, 4)]), scored.classes]

    memory = storage_factory('memory')
    memory.store('a', BytesIO(b'abc'))
    store_image(at('stored.jpg'), Image.new('RGB', (20, 10)))
    found['storage'] = [
        memory.load('a').read().decode(), memory.exists('a'), memory.exists('b'),
        raised(memory.load, 'b'), raised(storage_factory, 'no such type'),
        raised(storage_factory, 's3'), raised(storage_factory('filesystem').load, 'nothing'),
        raised(storage_factory('url').store, 'a', BytesIO()),
        raised(storage_factory('url').load, 'not a url'), storage_factory('url').exists('no url'),
        list(load_image(at('stored.jpg')).size)]

    job = JobMsg('extract_features', [
        ExtractFeaturesMsg('1', dummy, [(1, 1)], at('no such photo'), at('x'))])
    failed = process_job(job)
    found['failed job'] = [failed.ok, failed.results, failed.error_message.splitlines()[-1]]
    job = JobMsg('extract_features', [
        ExtractFeaturesMsg('1', dummy, [(1, 1)], at('photo.png'), at('x'))])
    done = process_job(job)
    found['job'] = [
        done.ok, len(done.results), JobReturnMsg.deserialize(done.serialize()) == done,
        done.serialize()['original_job']]
    found['asserted'] = [
        raised(ExtractFeaturesMsg, '1', dummy, [], at('a'), at('b')),
        raised(ExtractFeaturesMsg, '1', dummy, [(1, 2)], at('a'), DataLocation('url', 'b')),
        raised(JobMsg, 'no such task', []), raised(DataLocation, 's3', 'a'),
        raised(ValResults, [0.5], [0], [2], [5, 6]), raised(JobMsg.deserialize, {})]
    found['config'] = [
        config.TASKS, config.CLASSIFIER_TYPES, config.STORAGE_TYPES, config.MAX_POINTS_PER_IMAGE,
        config.MAX_IMAGE_PIXELS, config.TRAINING_BATCH_LABEL_COUNT]
    return found
"""
#: how far probabilities may be apart: a rounding moves the linear model (docs/differences.md)
SCORES = {"MLP scores": 1e-4, "MLP stored again": 1e-4, "LR scores": 0.05, "LR stored again": 0.05}


def images() -> list[Any]:
    generator = np.random.default_rng(12)
    made = []
    for _ in range(20):
        labels = generator.integers(1, 5, 12)
        vectors = generator.normal(size=(12, 5)) + labels[:, np.newaxis]
        # as a network's are, so that float32 holds them
        made.append([vectors.astype(np.float32).tolist(), labels.tolist()])
    return made


def folder_with_a_photo(folder: Path) -> dict[str, Any]:
    pixels = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return {"folder": str(folder), "images": images()}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    version: Version = "0.14.0"
    theirs = run_reference(
        WITHOUT_TORCH + PROGRAM, folder_with_a_photo(tmp_path_factory.mktemp("theirs")), version
    )
    # the one line that a user changes, in each import
    program = PROGRAM.replace("from spacer", "from spacer_tasks.compat")
    names: dict[str, Any] = {}
    exec(f"def answer(args):\n{textwrap.indent(textwrap.dedent(program), '    ')}", names)
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("ours")
        monkeypatch.chdir(folder)
        ours = names["answer"](folder_with_a_photo(folder))
    return theirs, json.loads(json.dumps(ours))


PARTS = [
    *("features", "labels", "batches", "split vectors", "split points", "split points_stratified"),
    *("too few", "MLP message", "MLP training", "MLP scores", "MLP labels", "MLP stored again"),
    *("LR message", "LR training", "LR scores", "LR labels", "LR stored again", "own trainer"),
    *("image", "refused points", "own extractor", "dummy", "classified image", "storage"),
    *("failed job", "job", "asserted", "config"),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_program_of_the_reference_s_does_the_same(part: str, both: tuple[Any, Any]) -> None:
    theirs, ours = both[0][part], both[1][part]
    if part in SCORES:
        compare(ours, theirs, SCORES[part])
    else:
        assert ours == theirs


def compare(ours: Any, theirs: Any, tolerance: float) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            compare(one, other, tolerance)
    else:
        assert ours == pytest.approx(theirs, abs=tolerance)


def test_all_that_the_program_finds_is_compared(both: tuple[Any, Any]) -> None:
    assert set(both[0]) == set(both[1]) == set(PARTS)
