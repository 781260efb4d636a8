"""How a message names an extractor or a trainer, in the reference's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.plain_values import plain
from spacer_tasks.exceptions import MessageError

M = TypeVar("M", bound=BaseModel)
#: wrong options that an error names
SHOWN_FAULTS = 5


class ComponentSpec(BaseModel):
    """Names a registered extractor or trainer and its options.

    `class_path` is a registered name or a class path of the reference; it is looked up in the
    registry and never imported. Options stand beside it, as the reference writes them.
    """

    model_config = ConfigDict(extra="allow")

    class_path: str

    @model_validator(mode="before")
    @classmethod
    def _a_bare_name(cls, data: Any) -> Any:
        # numpy's numbers are options too
        return {"class_path": data} if isinstance(data, str) else plain(data)

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the declared fields."""
        return dict(self.model_extra or {})


#: files of an extractor; those that there are have one or two
MAX_FILES = 100


def _few(files: Any) -> Any:
    # an error for each of a million takes a gigabyte
    if isinstance(files, Mapping) and len(files) > MAX_FILES:
        raise ValueError(f"{len(files)} files, expected at most {MAX_FILES}")
    return files


def _none_given(hashes: Any) -> Any:
    return {} if hashes is None else _few(hashes)


class ExtractorSpec(ComponentSpec):
    """Which extractor, where its files are, and optionally their SHA-256 in hex."""

    data_locations: Annotated[dict[str, DataLocation], BeforeValidator(_few)] = Field(
        default_factory=dict
    )
    data_hashes: Annotated[dict[str, str], BeforeValidator(_none_given)] = Field(
        default_factory=dict
    )


class TrainerSpec(ComponentSpec):
    """Which trainer, with the options that differ from its defaults."""

    @model_validator(mode="before")
    @classmethod
    def _the_reference_s_short_name(cls, data: Any) -> Any:
        # The reference answers "minibatch" with the class path; both sides then compare equal.
        if data == "minibatch":
            return {"class_path": "spacer.train_classifier.MiniBatchTrainer"}
        return data


def options_of(spec: ComponentSpec, options_type: type[M], kind: str) -> M:
    """The options in a spec, checked.

    Parameters
    ----------
    options_type
        Its fields are the options.
    kind
        What an error calls the component: "extractor" or "trainer".

    Raises
    ------
    MessageError
        An option is unknown, missing or malformed; the text names each, and those that there are.
    """
    try:
        return options_type.model_validate(spec.options)
    except ValidationError as error:
        faults = []
        for item in error.errors(include_url=False)[:SHOWN_FAULTS]:
            name = ".".join(map(str, item["loc"]))
            if item["type"] == "extra_forbidden":
                faults.append(f"unknown option {name}")
            elif item["type"] == "missing":
                faults.append(f"option {name} is missing")
            else:
                faults.append(f"option {name}: {item['msg']} (found {str(item['input'])[:80]!r})")
        options = ", ".join(options_type.model_fields) or "none"
        raise MessageError(
            f"{kind} {spec.class_path}: {'; '.join(faults)}; its options are: {options}"
        ) from error
