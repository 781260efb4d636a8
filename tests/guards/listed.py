"""The guards of docs/security.md: what each looks like in the code, and which tests miss it."""

from __future__ import annotations

from dataclasses import dataclass

_IMAGES = "spacer_tasks/extractors/images"
_TORCH = "spacer_tasks/extractors/files"
_POLICY = "spacer_tasks/storage/policy.py"
_RESULTS = "spacer_tasks/broker/result_backend.py"
_SIGNING = "spacer_tasks/broker/signing.py"
_ACL = "deploy/redis-users.acl"


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes
    ----------
    file, text
        Where it is, from the checkout's root, and what is there.
    instead
        What is put in its place: the program goes on without it.
    tests
        Of which at least one fails then, as arguments of pytest.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


GUARDS = (
    # --- locations
    Guard("buckets are allowed by name", _POLICY, "return loc.bucket_name == bucket and (",
          "return (", ("tests/unit/storage/test_policy.py",)),
    Guard("a prefix ends where a folder does", _POLICY, 'loc.key.startswith(f"{key}/")',
          "loc.key.startswith(key)", ("tests/unit/storage/test_policy.py",)),
    Guard("dots in keys are refused", _POLICY, 'if {".", ".."} & set(loc.key.split("/")):',
          "if False:", ("tests/unit/storage/test_policy.py",)),
    Guard("links are resolved", _POLICY, """    try:
        path = os.path.realpath(loc.key)
    except (OSError, ValueError):
        raise""", """    try:
        path = os.path.abspath(loc.key)
    except (OSError, ValueError):
        raise""", ("tests/unit/storage/test_policy.py",)),
    Guard("memory counts as a file", _POLICY,
          "elif roots is not None and not _is_own_result(loc, settings):", "elif False:",
          ("tests/unit/storage/test_policy.py",)),
    Guard("lists for writing", _POLICY, "if to_write and settings.allowed_write_s3 is not None:",
          "if False:", ("tests/unit/storage/test_outputs.py",)),
    Guard("what this package keeps is not replaced", _POLICY,
          "_not_our_own(permitted(loc, to_write=True))", "permitted(loc, to_write=True)",
          ("tests/unit/storage/test_outputs.py",)),
    Guard("an output is no input", _POLICY, "if left_over[place] > 0:", "if False:",
          ("tests/unit/storage/test_outputs.py",)),
    Guard("devices are no storage", _POLICY, 'SYSTEM = ("/dev", "/proc", "/sys")',
          'SYSTEM = ("/dev", "/proc")',  # not all: its test would read and delete devices
          ("tests/unit/storage/test_outputs.py", "-k", "devices and sys")),
    Guard("a task's id names one object", "spacer_tasks/data_classes/task_ids.py",
          'if not _ALLOWED.fullmatch(task_id) or task_id in (".", ".."):', "if False:",
          ("tests/unit/data_classes/test_task_ids.py",)),
    # --- URLs
    Guard("a login in a URL", "spacer_tasks/storage/addresses.py", 'if "@" in parts.netloc:',
          "if False:", ("tests/unit/storage/test_addresses.py",)),
    Guard("addresses that are not the internet's", "spacer_tasks/storage/addresses.py",
          "return ip.is_global and not ip.is_multicast and not ip.is_reserved", "return True",
          ("tests/unit/storage/test_addresses.py",)),
    Guard("the address that is connected to", "spacer_tasks/storage/url.py",
          "if not self._proxied and not is_opened(host, port):", "if False:",
          ("tests/integration/storage/test_url.py",)),
    Guard("a download has a largest size", "spacer_tasks/storage/url.py",
          "if length > limit or (size is not None and size > limit):", "if False:",
          ("tests/integration/storage/test_url.py",)),
    Guard("an object has a largest size", "spacer_tasks/storage/base.py", "if size > limit:",
          "if False:", ("tests/unit/storage",)),
    # --- no code from data
    Guard("names of a classifier's pickle", "spacer_tasks/classifiers/pyspacer/unpickler.py",
          "        if known is None:\n            raise RefusedError(",
          "        if known is None:\n            known = dict\n        if False:\n"
          "            raise RefusedError(",
          ("tests/unit/classifiers/pyspacer/test_hostile.py",)),
    Guard("keys of a classifier's pickle", "spacer_tasks/classifiers/pyspacer/unpickler.py",
          "if type(key) is not str and type(key) is not int:", "if False:",
          ("tests/unit/classifiers/pyspacer/test_hostile.py",)),
    Guard("beginnings without an end in weights", f"{_TORCH}/torch_pickle.py",
          "if len(self.below) >= MAX_DEPTH:", "if False:",
          ("tests/fuzz/test_hostile_sizes.py", "-k", "beginnings")),
    Guard("keys of weights", f"{_TORCH}/torch_pickle.py", "if not is_plain(key):", "if False:",
          ("tests/unit/extractors/files/test_torch_pickle.py",)),
    Guard("functions of weights", f"{_TORCH}/torch_pickle.py",
          "elif path not in _CALLED:", "elif False:",
          ("tests/unit/extractors/files/test_torch_pickle.py",)),
    Guard("types of numbers in weights", f"{_TORCH}/torch_pickle.py",
          "or not is_number(arguments):", "or False:",
          ("tests/unit/extractors/files/test_torch_pickle.py",)),
    Guard("bytes of numbers in weights", f"{_TORCH}/torch_pickle.py",
          "if len(arguments) != 2 or not isinstance(arguments[1], _Bytes):", "if False:",
          ("tests/unit/extractors/files/test_torch_pickle.py",)),
    Guard("numbers of tensors before zips", f"{_TORCH}/torch_file.py",
          "if not storages <= set(names):", "if False:",
          ("tests/unit/extractors/files/test_torch_pickle.py",)),
    Guard("large keys of a classifier's pickle", "spacer_tasks/classifiers/pyspacer/unpickler.py",
          "if type(key) is int and key.bit_length() > KEY_BITS:", "if False:",
          ("tests/unit/classifiers/pyspacer/test_hostile.py",)),
    Guard("a classifier's header", "spacer_tasks/classifiers/safetensors_file.py",
          "if length > MAX_HEADER:", "if False:", ("tests/fuzz/test_hostile_sizes.py",)),
    Guard("entries of a feature file", "spacer_tasks/data_classes/npz_arrays.py",
          "if _listed(data).count(_ENTRY) > MAX_ENTRIES:", "if False:",
          ("tests/unit/data_classes/test_npz_arrays.py",)),
    Guard("what arrays of features become", "spacer_tasks/data_classes/npz_arrays.py",
          "if entry.file_size > limit:", "if False:", ("tests/fuzz/test_hostile_sizes.py",)),
    Guard("numbers of a byte in features", "spacer_tasks/data_classes/npz_arrays.py",
          "if count * max(4, dtype.itemsize) > max(limit, 4 * SMALL):", "if False:",
          ("tests/fuzz/test_hostile_sizes.py",)),
    Guard("notes of feature files", "spacer_tasks/data_classes/features.py",
          'if archive.entries["origin.npy"].file_size > MAX_ORIGIN_BYTES:', "if False:",
          ("tests/fuzz/test_hostile_sizes.py",)),
    Guard("compressed weights", f"{_TORCH}/torch_file.py",
          "if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:",
          "if False:", ("tests/fuzz/test_hostile_sizes.py", "-k", "weights")),
    Guard("arrays of objects", "spacer_tasks/data_classes/npz_arrays.py", "if dtype.hasobject:",
          "if False:",
          ("tests/unit/data_classes/test_features.py", "tests/fuzz/test_hostile_sizes.py")),
    Guard("points of a feature file", "spacer_tasks/data_classes/features.py",
          "if shape[0] > MAX_POINTS:", "if False:", ("tests/fuzz/test_hostile_sizes.py",)),
    Guard("the size of an answer", "spacer_tasks/operations.py",
          "limit = get_settings().max_scores", "limit = 10**12",
          ("tests/unit/test_operations.py", "-k", "largest")),
    # --- images
    Guard("formats of images", f"{_IMAGES}/reading.py",
          "formats=_formats(get_settings().image_formats)", "formats=None",
          ("tests/unit/extractors/images",)),
    Guard("pixels for each byte", f"{_IMAGES}/costs.py",
          "if pixels > SMALL_PIXELS and pixels > most * length:", "if False:",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("large animations", f"{_IMAGES}/costs.py",
          "if data[20] & _ANIMATED and width * height > SMALL_PIXELS:", "if False:",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("scans of a JPEG", f"{_IMAGES}/costs.py", "if scanned > SCANNED_PIXELS or (",
          "if False and (", ("tests/unit/extractors/images/test_costs.py",)),
    Guard("strips and tiles", f"{_IMAGES}/headers.py", "or number in OFFSETS)", "or False)",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("bytes of a JPEG that say nothing", f"{_IMAGES}/headers.py",
          """            at += 2 + length
        if filled > MAX_FILL:""", """            at += 2 + length
        if False:""", ("tests/unit/extractors/images/test_headers.py",)),
    Guard("segments of a JPEG", f"{_IMAGES}/headers.py", "if segments > MAX_SEGMENTS:",
          "if False:", ("tests/unit/extractors/images/test_headers.py",)),
    Guard("pieces of EXIF", f"{_IMAGES}/headers.py", "if len(exif) > MAX_EXIF:", "if False:",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("tags of EXIF", f"{_IMAGES}/headers.py", "    if exif:\n", "    if False:\n",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("chunks of a PNG", f"{_IMAGES}/headers.py", "if chunks > MAX_CHUNKS:", "if False:",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("packed notes of a PNG", f"{_IMAGES}/headers.py", "if compressed > MAX_COMPRESSED:",
          "if False:", ("tests/unit/extractors/images/test_headers.py",)),
    Guard("blocks of a GIF", f"{_IMAGES}/headers.py", "if blocks > MAX_BLOCKS:", "if False:",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("bytes of a GIF that say nothing", f"{_IMAGES}/headers.py",
          """        filled += start - at
        if filled > MAX_FILL:""", """        filled += start - at
        if False:""", ("tests/unit/extractors/images/test_headers.py",)),
    Guard("tags of a TIFF", f"{_IMAGES}/headers.py", "if tags > MAX_VALUES:", "if False:",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("numbers of a tag", f"{_IMAGES}/headers.py", "many = values > MAX_VALUES and",
          "many = False and", ("tests/unit/extractors/images/test_headers.py",)),
    Guard("tags that share their bytes", f"{_IMAGES}/headers.py",
          "if held > SHARED * len(data):", "if False:",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("scans of a TIFF's JPEG", f"{_IMAGES}/costs.py",
          'image.info.get("compression") not in JPEGS_IN_TIFF', "True",
          ("tests/unit/extractors/images/test_headers.py",)),
    Guard("bytes for each pixel", f"{_IMAGES}/costs.py",
          "large = pixels * bytes_a_pixel > LARGE_BYTES", "large = pixels > 40_000_000",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("a header alone is as long as its file", f"{_IMAGES}/damage.py",
          "alone = header + END_OF_IMAGE + bytes(len(data) - len(header))", "alone = header",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("what Python would decode", f"{_IMAGES}/costs.py",
          "if decoders & Image.DECODERS.keys() and (pixels > PYTHON_PIXELS", "if False and (False",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("bytes that Python would decode", f"{_IMAGES}/costs.py",
          "or len(data) > PYTHON_BYTES):", "or False):",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("an image that never fits", f"{_IMAGES}/in_flight.py", "if wanted > limit:", "if False:",
          ("tests/unit/extractors/images/test_costs.py", "-k", "never_fits", "-x")),
    Guard("images wait for their share", f"{_IMAGES}/in_flight.py",
          "SHARES.take(wanted, limit, stop_if_asked)", "pass",
          ("tests/unit/extractors/images/test_costs.py",)),
    Guard("how long an image is decoded is seen", f"{_IMAGES}/reading.py",
          "            with decoding():\n                return decode(image)",
          "            return decode(image)", ("tests/unit/extractors/images/test_reading.py",)),
    # --- what is shown and written
    Guard("formulas in CSVs", "spacer_tasks/data_classes/csv_cells.py",
          'return f"\'{text}" if _FORMULA.match(text) else value', "return value",
          ("tests/unit/cli/test_formulas.py",)),
    Guard("control characters", "spacer_tasks/printable.py", "    if text.isprintable():",
          "    if True:", ("tests/unit/config/test_shown.py",)),
    Guard("texts of errors", "spacer_tasks/exceptions.py", "shown = printable_list(text)",
          "shown = text", ("tests/unit/test_exceptions.py",)),
    Guard("what commands print", "spacer_tasks/console.py", "if segment.control is None:",
          "if False:", ("tests/unit/test_console.py",)),
    Guard("what tables print", "spacer_tasks/console.py",
          "return super().render_str(_printable_lines(text), **options)",
          "return super().render_str(text, **options)", ("tests/unit/test_console.py",)),
    Guard("markup in what commands print", "spacer_tasks/console.py", "markup=False, emoji=False",
          "emoji=False", ("tests/unit/test_console.py",)),
    Guard("lines of names in what commands print", "spacer_tasks/console.py",
          "printable_list(text)", "text", ("tests/unit/test_console.py",)),
    Guard("lines of a worker's log", "spacer_tasks/log_lines.py",
          "return printable_list(super().getMessage())", "return super().getMessage()",
          ("tests/unit/test_log_lines.py",)),
    Guard("spellings of our own folders", _POLICY,
          "ours, theirs = (f\"{_spelled_plainly(each[-1])}/\" for each in (place, wanted))",
          "ours, theirs = (f\"{each[-1]}/\" for each in (place, wanted))",
          ("tests/unit/storage/test_outputs.py",)),
    Guard("queries of URLs", "spacer_tasks/printable.py",
          'return f"{shown}?…{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else shown',
          "return url", ("tests/unit/data_classes", "tests/unit/config/test_shown.py")),
    # --- signatures
    Guard("the signature of a message", _SIGNING, "    if not good:\n", "    if False:\n",
          ("tests/unit/broker/test_signing.py",)),
    Guard("the age of a signature", _SIGNING, "if time.time() - int(at) > longest:", "if False:",
          ("tests/unit/broker/test_signing.py",)),
    Guard("tasks that are not known", "spacer_tasks/worker/delivery/gate.py",
          'if headers["task"] not in self._tasks:', "if False:",
          ("tests/unit/worker/delivery/test_gate.py",)),
    Guard("orders without a signature", _SIGNING,
          'if about.type != "inspect" or name in HEAVY:', "if False:",
          ("tests/unit/broker/test_unsigned_orders.py",)),
    # --- results
    Guard("a result of another task", _SIGNING, 'if meta.get("task_id") != task_id:', "if False:",
          ("tests/integration/broker/test_forged_results.py",)),
    Guard("the signature of a result", _SIGNING,
          'return None if good else "its signature is by none of the keys, or it was changed"',
          "return None", ("tests/integration/broker/test_forged_results.py",)),
    Guard("results without a signature", _SIGNING, "if not settings.require_signed_results:",
          "if True:", ("tests/integration/broker/test_forged_results.py",)),
    Guard("classes of exceptions", _RESULTS, "cls = CLASSES.get((str(module), name))",
          "cls = getattr(__import__('sys').modules.get(str(module)), name, None)",
          ("tests/integration/broker/test_forged_results.py",)),
    Guard("the channel of a result", _RESULTS,
          "if fault := fault_of_result(task_id, meta):\n                    logger",
          "if fault := None:\n                    logger",
          ("tests/integration/broker/test_forged_results.py",)),
    Guard("where an answer is", "spacer_tasks/results.py",
          "stored = _read(answer_location(task_id))",
          'stored = _read(DataLocation(**result["answer_loc"]) if isinstance(result, Mapping)'
          " else answer_location(task_id))", ("tests/integration/broker/test_forged_results.py",)),
    # --- users of Redis
    Guard("callers publish nothing", _ACL, "(&celery-task-meta-* +subscribe)",
          "(&celery-task-meta-* +subscribe +publish)",
          ("tests/acceptance/broker/test_redis_roles.py",)),
    Guard("callers see no messages", _ACL, "+lpush +llen) (%R~",
          "+lpush +llen) (~features +lrange) (%R~",
          ("tests/acceptance/broker/test_redis_roles.py",)),
    Guard("nobody has functions", _ACL, "+eval +evalsha +script|exists",
          "+eval +evalsha +function +script|exists",
          ("tests/acceptance/broker/test_redis_roles.py",)),
    # --- what stops an interpreter
    Guard("who falls silent is killed", "spacer_tasks/worker/sentry_program.py",
          "if watched.silent_s <= watched.limit_s:", "if True:",
          ("tests/unit/worker/test_sentry_program.py", "-x")),
    Guard("another process of the number is left alone", "spacer_tasks/worker/sentry_program.py",
          "if is_there(process) and born(process) == watched.born:", "if is_there(process):",
          ("tests/unit/worker/test_sentry_program.py",)),
)  # fmt: skip
