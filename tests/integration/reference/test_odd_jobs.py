"""Odd jobs, files and classifiers: the real reference answers them, and so does this project.

What is not in `DIFFERENT` is answered alike: the scores, the accuracies or the error's name. What
is in it differs as docs/differences.md says.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from spacer_tasks.operations import process_job
from tests.support.environments.reference import Version, run_reference
from tests.support.messages.odd_jobs import Job, classifiers, feature_files, images, jobs_over

REFERENCE = """
    import json, os, pickle, sys, types, warnings
    warnings.filterwarnings('ignore')
    for name in ('torch', 'torch.nn', 'torch.nn.functional', 'torchvision'):
        sys.modules[name] = types.ModuleType(name)
    torch, nn = sys.modules['torch'], sys.modules['torch.nn']
    torch.nn, nn.functional = nn, sys.modules['torch.nn.functional']
    nn.Module = nn.Conv2d = type('NoTorchHere', (), {})
    sys.modules['torchvision'].transforms = None
    import numpy as np
    from spacer.messages import JobMsg
    from spacer.tasks import process_job

    os.chdir(args['folder'])
"""
#: how the reference's scikit-learn makes classifiers, most of which the reference never trains
CLASSIFIERS = """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier

    generator = np.random.default_rng(0)
    y = np.arange(60) % 3 + 1
    x = generator.normal(size=(60, 5)) + y[:, np.newaxis]
    two = np.arange(60) % 2 + 1

    def made(model, labels=y, **options):
        calibrated = CalibratedClassifierCV(model.fit(x, labels), cv='prefit', **options)
        return calibrated.fit(x, labels)

    def linear(loss='log_loss'):
        return SGDClassifier(loss=loss, random_state=0)

    def network(activation='relu'):
        return MLPClassifier((4, 3), activation=activation, max_iter=20, random_state=0)

    of = {
        'linear': made(linear()), 'network': made(network()), 'of two': made(linear(), two),
        'texts': made(linear(), np.array(['a', 'b', 'c'])[y - 1]),
        'hinge': made(linear('hinge')), 'huber': made(linear('modified_huber')),
        'tanh': made(network('tanh')), 'floats': made(linear(), y / 1.0),
        'bools': made(linear(), two == 1), 'isotonic': made(linear(), method='isotonic'),
        'regression': made(LogisticRegression()), 'bayes': made(GaussianNB()),
        'uncalibrated': linear().fit(x, y),
        'folds': CalibratedClassifierCV(linear(), cv=3).fit(x, y),
        'none': None, 'a dictionary': {'a': 1},
    }
    six = np.hstack([x, x[:, :1]])
    of['of six'] = CalibratedClassifierCV(linear().fit(six, two), cv='prefit').fit(six, two)
    for name, classifier in of.items():
        with open(name + '.pkl', 'wb') as file:
            pickle.dump(classifier, file, protocol=2)
    for protocol in range(6):
        for name in ('linear', 'network', 'texts', 'of two'):
            with open(f'{name} {protocol}.pkl', 'wb') as file:
                pickle.dump(of[name], file, protocol=protocol)
"""
ANSWERS = """
    def answered(name, job):
        try:
            if args['version'] == '0.13.0' and job['task_name'] == 'train_classifier':
                # it has one trainer and no options
                for task in job['tasks']:
                    del task['trainer']
                    task['trainer_name'] = 'minibatch'
            message = JobMsg.deserialize(job)
            if name in args['numpy']:
                for task in message.tasks:
                    task.rowcols = [tuple(map(np.int64, point)) for point in task.rowcols]
            return json.loads(json.dumps(process_job(message).serialize(), default=int))
        except Exception as error:
            return {'raised': type(error).__name__}

    return {name: answered(name, job) for name, job in args['jobs'].items()}
"""
#: points as numpy's integers, which no JSON holds
NUMPY = ["points of numpy"]
MESSAGE = "spacer_tasks.exceptions.MessageError"
CLASSIFIER = "spacer_tasks.exceptions.ClassifierFileError"
FEATURES = "spacer_tasks.exceptions.FeatureFileError"
ACCESS = "spacer_tasks.exceptions.StorageAccessError"
INVALID = "spacer.exceptions.RowColumnInvalidError"
#: what the reference says or raises, and what is said here
DIFFERENT = {
    # its labels are integers here
    "classifier floats": ("ok", "ok"),
    "points of numpy": (INVALID, "ok"),
    "no locations": ("AttributeError", MESSAGE),
    "no feature_dim": ("TypeError", MESSAGE),
    "no epochs": ("sklearn.exceptions.NotFittedError", MESSAGE),
    "epochs below 0": ("sklearn.exceptions.NotFittedError", MESSAGE),
    "epochs as null": ("TypeError", MESSAGE),
    "a third kind of classifier": ("AssertionError", MESSAGE),
    "previous as null": ("TypeError", MESSAGE),
    "previous of other dimensions": (
        "ValueError",
        "spacer_tasks.exceptions.FeatureDimensionError",
    ),
    "a point of three numbers": ("AssertionError", INVALID),
    "an image that is a folder": ("IsADirectoryError", ACCESS),
    "an image asked for as a folder": ("NotADirectoryError", "FileNotFoundError"),
    "an image below an image": ("NotADirectoryError", "FileNotFoundError"),
    "an image that memory does not have": ("KeyError", "FileNotFoundError"),
    "features over a folder": ("IsADirectoryError", ACCESS),
    "a task of another job": ("KeyError", MESSAGE),
    "a job that does not exist": ("AssertionError", MESSAGE),
    "points beside features": ("ok", MESSAGE),
    "a model over a folder": ("IsADirectoryError", ACCESS),
    "a label beyond 64 bits": ("ValueError", MESSAGE),
    "labels as truths": ("ok", MESSAGE),
    "a label that ends in a zero character": ("ValueError", CLASSIFIER),
    "a row as text": ("spacer.exceptions.RowColumnMismatchError", MESSAGE),
    "NaN that no point uses": ("ok", FEATURES),
    "features of two dimensions": (
        "ValueError",
        "spacer_tasks.exceptions.FeatureDimensionError",
    ),
    "epochs as a fraction": ("TypeError", MESSAGE),
    "epochs as text": ("TypeError", "ok"),
    "labels of two kinds": ("ok", "spacer.exceptions.TrainingLabelsError"),
    "an annotation without a label": ("ValueError", MESSAGE),
    "features below a file": ("NotADirectoryError", ACCESS),
    "image PPM": ("ok", "PIL.UnidentifiedImageError"),
    "image TGA": ("ok", "PIL.UnidentifiedImageError"),
    "image JPEG2000": ("ok", "PIL.UnidentifiedImageError"),
    "image ICO": ("ok", "PIL.UnidentifiedImageError"),
    "image WEBP cut": ("OSError", "PIL.UnidentifiedImageError"),
    **{
        f"classifier {name}": ("ok", CLASSIFIER)
        for name in ("tanh", "bools", "isotonic", "regression", "bayes")
    },
    **{
        f"classifier {name}": ("ValueError", CLASSIFIER)
        for name in ("uncalibrated", "folds", "none", "a dictionary")
    },
    **{
        f"features {name}": ("ok", FEATURES) for name in ("rows as texts", "rows of two dimensions")
    },
    **{
        f"features {name}": ("AssertionError", FEATURES)
        for name in ("meta of more points", "points in JSON")
    },
    "features meta of fewer numbers": ("IndexError", FEATURES),
    # its text has several lines, and the name is in the first of them
    "features NaN": (
        "SGDClassifier does not accept missing values encoded as NaN natively. For supervised"
        " learning, you might want to consider sklearn.ensemble.HistGradientBoostingClassifier and"
        " Regressor which accept missing values encoded as NaNs natively. Alternatively, it is"
        " possible to preprocess the data, for instance by using an imputer transformer in a"
        " pipeline or drop samples with missing values. See https",
        FEATURES,
    ),
    "features six numbers a point": (
        "ValueError",
        "spacer_tasks.exceptions.FeatureDimensionError",
    ),
    "features flat in JSON": ("TypeError", FEATURES),
    "classifier without its last byte": ("EOFError", CLASSIFIER),
    "classifier compressed": ("_pickle.UnpicklingError", CLASSIFIER),
    "features complex": ("ok", FEATURES),
    "features texts": ("ok", FEATURES),
    "features texts in JSON": ("ok", FEATURES),
    "features without points": ("AssertionError", FEATURES),
    "features without meta": ("KeyError", FEATURES),
    "features cut": ("zipfile.BadZipFile", FEATURES),
    "features empty": ("EOFError", FEATURES),
    "features a page": ("json.decoder.JSONDecodeError", FEATURES),
    "features null in JSON": ("AssertionError", FEATURES),
    "features uneven in JSON": ("ValueError", FEATURES),
}


VERSIONS: list[Version] = ["0.13.0", "0.14.0"]


@pytest.fixture(scope="module", params=VERSIONS)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Any, Any]]:
    """The answers of both to each job: the reference's, and ours."""
    folder = tmp_path_factory.mktemp("odd")
    feature_files(folder)
    images(folder)
    args: dict[str, Any] = {"folder": str(folder)}
    run_reference(f"{REFERENCE}{CLASSIFIERS}    return None", args)
    classifiers(folder)
    jobs = jobs_over(folder)
    version: Version = request.param
    args |= {"jobs": jobs, "numpy": NUMPY, "version": version}
    theirs = run_reference(REFERENCE + ANSWERS, args, version)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        return {name: (theirs[name], our_answer(name, job)) for name, job in jobs.items()}


def our_answer(name: str, job: Job) -> Any:
    if name in NUMPY:
        for task in job["tasks"]:
            task["rowcols"] = [[np.int64(each) for each in point] for point in task["rowcols"]]
    return json.loads(json.dumps(process_job(job).to_wire()))


def outcome(answer: Any) -> str:
    """`ok`, or the name of the error."""
    if "raised" in answer:
        return str(answer["raised"])
    if answer["ok"]:
        return "ok"
    return str(answer["error_message"].splitlines()[-1].partition(":")[0])


def results(answer: Any) -> Any:
    """Without what no two runs have alike."""
    left_out = ("runtime", "extractor_loaded_remotely")
    return [
        {key: value for key, value in each.items() if key not in left_out}
        for each in answer["results"] or []
    ]


def check_close(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            check_close(ours[key], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            check_close(one, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == (pytest.approx(theirs, abs=1e-6) if isinstance(theirs, float) else theirs)


def test_odd_jobs_are_answered_as_the_reference_does_or_as_the_page_of_differences_says(
    both: dict[str, tuple[Any, Any]], subtests: pytest.Subtests
) -> None:
    assert set(DIFFERENT) <= set(both)
    for name, (theirs, ours) in both.items():
        with subtests.test(name):
            if name in DIFFERENT:
                assert (outcome(theirs), outcome(ours)) == DIFFERENT[name]
                continue
            assert outcome(ours) == outcome(theirs)
            check_close(results(ours), results(theirs))
            if theirs.get("original_job", {}).get("tasks"):
                token = theirs["original_job"]["tasks"][0]["job_token"]
                check_close(ours["original_job"]["tasks"][0]["job_token"], token)
