"""What can be refused before torch is imported: files that are not there, and options that do not go together."""

from pathlib import Path

from ihcli.data.baselines import require_baselines, require_count
from ihcli.data.categories import read_categories
from ihcli.data.formats.opening import find_files
from ihcli.data.groups import read_groups
from ihcli.data.sampling import AUTO, require_rows
from ihcli.data.sequences import ANY, COLUMN, SequenceForm, SequenceUnits
from ihcli.data.stated import read_layer_names
from ihcli.errors import ModelError, OptionError
from ihcli.explanation.betas import is_scan
from ihcli.files.code import Code
from ihcli.files.locations import absence, is_url, locate
from ihcli.methods import Method, require_one_baseline, require_one_start
from ihcli.quality import CUTS, WORD
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.runs.shards import Place
from ihcli.wording import MODELS_IN_WORDS, either


def refuse_early(request: RunRequest, place: Place | None) -> None:
    """Raise what is wrong with a request and the place of its run, as far as that shows at once."""
    parse(request)
    if place is not None and isinstance(place.path, Path):
        place.refuse_existing()
    refuse_missing(request)


def refuse_missing(request: RunRequest) -> None:
    """Raise the error of the first file that is not there; stores are not asked, which can take seconds."""
    require_files(request.model, request.data)
    require_code(request.code, request.code_args, request.code_weights)
    if request.text is None and request.baseline is not None and _is_here(request.baseline):
        require_baselines(request.baseline)
    if request.layer_names is not None and _is_here(request.layer_names):
        read_layer_names(request.layer_names)
    if request.groups is not None and _is_here(request.groups):
        read_groups(request.groups)
    if request.categories is not None and _is_here(request.categories):
        read_categories(request.categories)


def require_model(path: str) -> None:
    """Raise ModelError where nothing is at the path; a URL is not asked for."""
    if _is_here(path) and not locate(path).exists():
        raise ModelError(absence(locate(path), "file", MODELS_IN_WORDS))


def require_files(model: str, data: str) -> None:
    """Raise ModelError or DataError where model or data are not there; URLs are not asked for."""
    require_model(model)
    if _is_here(data):
        find_files(data)


def require_code(named: str | None, arguments: str | None = None, weights: str | None = None) -> None:
    """Raise OptionError where code is named that is not there, or no code to which other options belong."""
    if named is not None:
        Code.of(named, arguments)
        return
    for option, value in (("code_args", arguments), ("code_weights", weights)):
        if value is not None:
            raise OptionError(f"`{option}={value}`: is for `code`, which is not given. Try `code=FILE.py:NAME` too.")


def parse(request: RunRequest) -> ParsedRequest:
    """Read a request; raises OptionError for an option that is none, or that does not go with another one."""
    asked = ParsedRequest.of(request)
    if request.text is not None:
        _refuse_table_options(request)
    elif asked.has_lists:
        _refuse_options_of_columns(request, asked.method)
    elif asked.sequence is not None:
        _refuse_unfit_units(request, asked.sequence)
    else:
        _refuse_text_options(request)
    require_rows(request.baseline_rows, request.sampling_tolerance, asked.method)
    is_scan(asked.method, request.smooth, request.smooth_stable)
    if request.groups is not None and request.groups_by is not None:
        raise OptionError("`groups`: cannot be used together with `groups_by`. Try one of them.")
    if request.features is not None and request.inputs is not None:
        raise OptionError("`features`: cannot be used together with `inputs`, which lists the features of each input.")
    if request.layer_names is not None and not request.layer:
        raise OptionError("`layer_names`: names what a layer gives, and no layer is asked for. Try with `layer=NAME`.")
    if request.text is not None:
        require_one_baseline(asked.method)
    elif request.baseline is not None:
        require_count(request.baseline, asked.method.many_baselines, request.baseline_rows == AUTO)
    return asked


def _is_here(path: str) -> bool:
    """Return whether the path is one of this machine; what is wrong with a URL is told by whoever opens it."""
    return not is_url(path)


def _refuse_table_options(request: RunRequest) -> None:
    given = {
        "`features`": request.features,
        "`inputs`": request.inputs,
        "`layer`": request.layer,
        "`exclude`": request.exclude,
        "`groups`": request.groups,
        "`groups_by`": request.groups_by,
        "`categories`": request.categories,
        f"`baseline_rows={AUTO}`": request.baseline_rows == AUTO,
        "`sequence`": request.sequence,
        "`channels_first`": request.channels_first,
    }
    for option, value in given.items():
        if value:
            raise OptionError(f"{option}: is for tables of numbers, and `text` explains texts. Try without {option}.")
    if request.units not in (None, *CUTS):
        raise OptionError(
            f"`units={request.units}`: is for sequences, and `text` explains texts. Expected {either(CUTS)}. "
            "Try without `units`."
        )


def _refuse_unfit_units(request: RunRequest, form: SequenceForm) -> None:
    SequenceUnits.of(request.units, form.steps)
    if request.inputs is not None:
        raise OptionError("`inputs`: cannot be used together with `sequence`. Try one of them.")
    given = {"groups": request.groups, "groups_by": request.groups_by}
    for option, value in given.items():
        if value is not None and request.units is not None:
            raise OptionError(f"`units`: cannot be used together with `{option}`. Try one of them.")


def _refuse_options_of_columns(request: RunRequest, method: Method) -> None:
    units = SequenceUnits.of(request.units, 1)
    given = {
        "`inputs`": request.inputs,
        "`groups`": request.groups,
        "`groups_by`": request.groups_by,
        "`categories`": request.categories,
        f"`baseline_rows={AUTO}`": request.baseline_rows == AUTO,
        f"`units={COLUMN}`": units.kind == COLUMN,
    }
    for option, value in given.items():
        if value:
            raise OptionError(f"{option}: is for columns of numbers, and `sequence={ANY}` for lists. Try without it.")
    if request.baseline == "data":
        raise OptionError(
            "`baseline=data`: is many rows, and sequences of any length have one baseline. Expected a number for each "
            "channel. Try `baseline=mean`, which is that over all steps."
        )
    require_one_start(method)


def _refuse_text_options(request: RunRequest) -> None:
    if request.text_pair is not None:
        raise OptionError("`text_pair`: is the second text next to `text`. Expected both. Try `text=COLUMN`.")
    if request.channels_first:
        raise OptionError("`channels_first`: is for sequences, and `sequence` is not given. Try `sequence=24x5`.")
    if request.units in (None, WORD):  # the latter stands in runs of before where nobody asked
        return
    if request.units in CUTS:
        raise OptionError(f"`units={request.units}`: is for texts, and `text` is not given. Try `text=COLUMN`.")
    raise OptionError(f"`units={request.units}`: is for sequences, and `sequence` is not given. Try `sequence=24x5`.")
