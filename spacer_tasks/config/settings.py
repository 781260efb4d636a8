"""Every setting, in one place.

A setting comes from, in this order: the environment (`SPACER_BROKER_URL`), a `secrets.json`
beside the README (`{"BROKER_URL": …}`), the Django setting `SPACER` (the same names), its
default. An unknown or malformed one is an error that names it. But `SPACER` is the reference's
too, and a newer one may know more: an unknown key there is logged.
"""

from __future__ import annotations

import json
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from spacer_tasks.config.location_lists import HostList, RootList, S3List, listed
from spacer_tasks.config.sources import PREFIX, leave_django, sources, unused
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.printable import printable, without_login

logger = logging.getLogger(__name__)

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
PositiveInt = Annotated[int, Field(gt=0)]
JsonObject = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value),
]
Seconds = Annotated[float, Field(gt=0)]
#: characters of a key that cannot be guessed: 128 bits in hex have 32
KEY_LENGTH = 16
Keys = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=KEY_LENGTH)], ...], BeforeValidator(listed)
]
#: what can be read. JPEG is also MPO. Pillow reads 30 more, each a program to be attacked: EPS runs
#: another one (Ghostscript), icons hold images of another size than they say
IMAGE_FORMATS = (
    "JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "JPEG2000", "AVIF", "PPM", "TGA",
)  # fmt: skip
#: what survey cameras and the programs behind them write
CAMERA_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")


def _known_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    upper = tuple(name.upper() for name in formats)
    for name in upper:
        if name not in IMAGE_FORMATS:
            found = without_login(name)[:40]
            raise ValueError(f"found {found!r}, expected of {', '.join(IMAGE_FORMATS)}")
    if not upper:
        raise ValueError(f"no format, expected of {', '.join(IMAGE_FORMATS)}")
    return upper


def _known_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]{0,2}))?", name, re.ASCII):
        found = without_login(name)[:40]
        raise ValueError(f"found {found!r}, expected auto, cpu, cuda, or cuda: and an index")
    return name


Device = Annotated[str, AfterValidator(_known_device)]
ImageFormats = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_known_formats)]


class Settings(BaseSettings):
    """The settings in force. Each attribute's description says what it does."""

    model_config = SettingsConfigDict(extra="forbid")

    aws_access_key_id: SecretStr | None = Field(None, description="AWS key id")
    aws_secret_access_key: SecretStr | None = Field(None, description="AWS secret key")
    aws_session_token: SecretStr | None = Field(None, description="AWS session token")
    aws_profile_name: str | None = Field(None, description="AWS profile to use")
    aws_region: str | None = Field(None, description="AWS region")
    aws_anonymous: bool = Field(False, description="read public buckets without credentials")
    s3_endpoint_url: str | None = Field(None, description="URL of an S3-compatible server")
    sqs_endpoint_url: str | None = Field(None, description="URL of an SQS-compatible server")
    s3_connect_timeout_s: Seconds = Field(10, description="seconds to reach S3")
    s3_read_timeout_s: Seconds = Field(60, description="seconds without a byte from S3")
    s3_max_connections: PositiveInt = Field(
        32, description="connections kept to S3 by one process; at least its concurrency"
    )
    url_timeout_s: Seconds = Field(20, description="seconds without a byte from a URL")
    url_total_timeout_s: Seconds = Field(600, description="seconds for a whole download from a URL")
    url_max_bytes: PositiveInt = Field(2**30, description="largest download from a URL")
    max_object_bytes: PositiveInt = Field(
        4 * 2**30, description="largest object or file that is read into memory"
    )
    # see docs/security.md
    allowed_s3: S3List | None = Field(
        None,
        description="buckets and prefixes that messages may name; all where not set. 'results' is"
        " the bucket of SPACER_RESULTS_PREFIX, 'none' allows nothing",
    )
    allowed_roots: RootList | None = Field(
        None,
        description="folders whose files messages may name; all where not set, 'none' allows no"
        " file. Where set, locations in memory are refused too",
    )
    allowed_write_s3: S3List | None = Field(
        None,
        description="buckets and prefixes that messages may name for what is written; as"
        " SPACER_ALLOWED_S3 where not set",
    )
    allowed_write_roots: RootList | None = Field(
        None,
        description="folders in which messages may have files written; as SPACER_ALLOWED_ROOTS"
        " where not set",
    )
    allowed_urls: HostList | None = Field(
        None,
        description="hosts whose URLs messages may name, also private ones; 'public', as where not"
        " set, is every host of the internet, 'none' allows no URL",
    )

    broker_url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="Redis that carries the tasks"
    )
    result_backend_url: SecretStr | None = Field(
        None, description="Redis that carries the results; the broker's where not set"
    )
    caller_timeout_s: Seconds = Field(
        0.8,
        description="seconds that a caller waits for one answer of Redis; a send to one that hangs"
        " waits for two at most",
    )
    sentinel_master: str | None = Field(
        None, description="the name by which sentinel:// URLs ask Redis Sentinel for the primary"
    )
    sentinel_password: SecretStr | None = Field(
        None, description="password of the Sentinels themselves; that of Redis is in the URL"
    )
    results_prefix: str | None = Field(
        None, description="where full answers and large messages are kept: s3://bucket/prefix"
    )
    results_expire_s: PositiveInt = Field(
        86400, description="seconds that small results stay in Redis; full answers stay on S3"
    )

    signing_keys: Keys = Field(
        (),
        description="keys of signed messages: the first signs, each of them is taken; see"
        " docs/security.md",
    )
    require_signed: bool = Field(
        False, description="workers ignore messages without a signature by one of the keys"
    )
    require_signed_results: bool = Field(
        False,
        description="callers take no state and no result without a signature by one of the keys",
    )
    signature_max_age_s: Seconds = Field(
        7 * 86400, description="seconds after which a signed message is no longer taken"
    )

    lost_after_s: Seconds = Field(
        600,
        description="seconds after which a job that is in no queue, at no worker and without an"
        " answer is reported as lost to CoralNet's queue class",
    )

    worker_silent_s: Seconds = Field(
        20,
        description="seconds without a sign of life after which a worker's tasks are given to"
        " others; the same at all workers",
    )
    max_deliveries: PositiveInt = Field(
        3, description="how often a task is begun before it is given up, if no worker lives to tell"
    )
    stop_grace_s: Seconds = Field(
        50,
        description="seconds that a worker which is told to stop has for its tasks; what is not"
        " done then is given back. Less than the time after which it is killed",
    )
    stuck_after_s: Seconds = Field(
        120,
        description="seconds without taking tasks, while there is room for them and Redis answers,"
        " after which a worker ends itself",
    )
    feature_time_limit_s: Seconds = Field(
        3600, description="seconds after which a task of a feature worker is ended as hung"
    )
    max_memory_bytes: PositiveInt = Field(
        8 * 2**30,
        description="memory of a worker (a child of it, in trainer and classify workers) over"
        " which it ends its tasks and is replaced",
    )
    checkpoint_every_s: Seconds = Field(
        10, description="seconds at least between two checkpoints of a training"
    )

    extractors_cache_dir: Path | None = Field(
        None, description="folder for downloaded extractor files"
    )
    warm_extractor: JsonObject | None = Field(
        None, description="the extractor (as in a message) that a feature worker loads at start"
    )
    device: Device = Field(
        "auto",
        description="where networks run: auto, cpu, cuda or a certain GPU, such as cuda:1; auto"
        " takes the first GPU where there is one",
    )
    cpu_runtime: Literal["auto", "onnxruntime", "torch"] = Field(
        "auto",
        description="runs networks on a CPU, but for those in Caffe's formats; auto: onnxruntime if"
        " it is installed and can run the network, else torch",
    )
    caffe_runtime: Literal["torch", "caffe"] = Field(
        "torch",
        description="runs nets in Caffe's formats; caffe: Caffe itself, where it is installed",
    )
    precision: Precision = Field(
        "float32",
        description="what networks compute in; less is faster, and its features are other features."
        " A GPU uses 16 bits only where they deviate little; a CPU has bfloat16 beside float32",
    )
    gpu_batch_patches: PositiveInt = Field(
        64, description="patches, of all tasks of a worker, in one pass on a GPU"
    )
    gpu_batch_wait_ms: Annotated[float, Field(ge=0)] = Field(
        5, description="milliseconds that patches wait for those of other tasks, on a GPU"
    )

    max_image_pixels: PositiveInt = Field(10_000 * 10_000, description="pixels of one image")
    incomplete_images: Literal["read", "refuse"] = Field(
        "read",
        description="images that are damaged or cut short: read as far as they go, which answers,"
        " feature files and the command line say; or refused",
    )
    image_formats: ImageFormats = Field(
        CAMERA_FORMATS,
        description="formats of images that are read, separated by blanks; beside these there are"
        " DIB, JPEG2000, AVIF, PPM and TGA, with which small files can take much memory and time",
    )
    decoded_bytes: PositiveInt = Field(
        4 * 2**30,
        description="memory that the images of one process take while they are decoded and their"
        " patches cut; tasks wait for their share. 11 bytes a pixel, up to 19 in some formats",
    )
    # a feature file has at most as many (data_classes/features.py)
    max_points_per_image: Annotated[int, Field(gt=0, le=100_000)] = Field(
        1000, description="points of one image"
    )
    max_scores: PositiveInt = Field(
        5_000_000, description="points times classes of one answer; each takes 50 bytes"
    )
    training_batch_label_count: PositiveInt = Field(
        5000, description="labels of one training batch, and at most of the reference set"
    )
    training_matrix_max_bytes: PositiveInt = Field(
        4 * 2**30,
        description="bytes of feature vectors that one training holds in memory; more are in a file"
        " in the temporary folder",
    )
    metrics_port: Annotated[int, Field(gt=0, le=65535)] | None = Field(
        None,
        description="port at which a worker tells Prometheus of itself and its GPU; off where not"
        " set. Of several that --gpus starts, the first has this one, the next the next",
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address at which metrics are served: this host's programs alone"
    )
    log_level: LogLevel = Field("INFO", description="least level that is logged")

    @property
    def result_backend(self) -> str:
        """The URL of the result backend, in the clear."""
        return (self.result_backend_url or self.broker_url).get_secret_value()

    @property
    def required_results_prefix(self) -> str:
        """The results prefix, where there must be one.

        Raises
        ------
        ConfigError
            The setting is missing.
        """
        if not self.results_prefix:
            raise ConfigError(
                "SPACER_RESULTS_PREFIX is not set: full answers and messages over 64 KiB need a"
                " place, for example s3://my-bucket/spacer"
            )
        return self.results_prefix

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First found wins: arguments, environment, secrets.json, Django."""
        found = (
            InitSettingsSource(settings_cls, values)
            for _, values in sources(settings_cls.model_fields)
        )
        return (init_settings, *found)


#: keys of Django's `SPACER` that the log has named; tests read settings again and again
_TOLD: set[str] = set()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once at first use.

    Raises
    ------
    ConfigError
        A setting is unknown or malformed; the text names each, and where it was found.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        found = sources(Settings.model_fields)
        lines = []
        for item in error.errors(include_url=False, include_input=False):
            name = str(item["loc"][0])
            where = next((label for label, values in found if name in values), "its default")
            reason = item["msg"]
            if item["type"] == "extra_forbidden":
                reason = "no such setting; `spacer-tasks config` lists them"
            lines.append(f"{PREFIX}{name.upper()} (from {where}): {reason}")
        raise ConfigError("; ".join(lines)) from None
    for name, why in unused(Settings.model_fields).items():
        if name not in _TOLD:
            logger.warning("Django's SPACER[%r] is not used: %s", name, why)
            _TOLD.add(name)
    return settings


def without_django() -> None:
    """Leave Django's settings alone from now on, in this process and its children.

    For workers, which may be started in an environment of the site's. Call it before Django is
    set up.
    """
    leave_django()
    get_settings.cache_clear()


def shown(settings: Settings) -> dict[str, str]:
    """All settings as text, by name, with secrets hidden: what `spacer-tasks config` prints."""
    return {
        PREFIX + name.upper(): _shown(getattr(settings, name)) for name in Settings.model_fields
    }


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or "(not set)"
    if isinstance(value, SecretStr):
        return _shown_secret(value.get_secret_value())
    text = json.dumps(_without_logins(value)) if isinstance(value, dict) else str(value)
    return printable(text if isinstance(value, dict) else _without_logins(text))


def _shown_secret(secret: str) -> str:
    """Of a broker's address, or several, all but passwords: it helps to find a mistake."""
    shown = []
    for part in secret.split(";"):
        try:
            url = urlsplit(part)
            beside = url.query or url.fragment or "://" in url.path or "@" in url.path
            if not (url.scheme and url.hostname) or beside:
                return "***"
            port = f":{url.port}" if url.port else ""
        except ValueError:
            return "***"
        login = "***@" if url.password or url.username else ""
        shown.append(f"{url.scheme}://{login}{url.hostname}{port}{url.path}")
    return printable(";".join(shown))


#: in names of what is nobody's business
_SECRET = re.compile("passw|secret|token|signature|credential", re.IGNORECASE)


def _without_logins(value: Any) -> Any:
    """The value, and whatever is in it, with URLs as errors show them."""
    if isinstance(value, dict):
        return {
            _without_logins(key): "***" if _SECRET.search(key) else _without_logins(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_logins(item) for item in value]
    return without_login(value) if isinstance(value, str) else value
