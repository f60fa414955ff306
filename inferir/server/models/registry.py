"""Models and their versions: which are loaded, which one answers, what they are also called. No I/O, no clock.

    reference      "name", "name@version", or an alias of either; none: the default model

The table is never changed, only replaced as a whole: whoever resolved a version keeps it until the answer is out, and a
swap is one assignment. Rules:

1. A version is in the table only when it is ready: read, checked, compiled, warmed up (loading.py).
2. The default version of a name stays what it was when another version is loaded beside it. A version that replaces
   another (the same file, or the same version) takes over its defaults and aliases.
3. Where no reference is given, the default model is meant: the one that was chosen, or else the first that was loaded.
   It stays that while it is not loaded: another must not answer requests that were made for it. Only where its file has
   become another model, that is meant from then on, if none was chosen.
4. An alias is what a request can ask for and a log can print. No alias is the name of a loaded model, as one could be
   taken for the other: whichever comes second is refused. An alias points to what is loaded, or it is refused. What an
   alias points to cannot be unloaded by name.
5. What was taken out is drained: requests that resolved it hold it until they have their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from inferir.errors import InferirError, InvalidInputError, UnknownModelError
from inferir.payload import LONGEST_MODEL_ID
from inferir.rows.plain import short_repr
from inferir.server.errors import ConflictError

if TYPE_CHECKING:
    from mmap import mmap

    from inferir.model import Model
    from inferir.rows.baseline import ColumnBins
    from inferir.rows.plain import PlainColumns
    from inferir.server.monitoring.drift import Drift
    from inferir.server.monitoring.truths import Truths

__all__ = ["REFUSALS", "Cost", "Failure", "ModelVersion", "Registry", "Table", "natural_order"]

#: What keeps a file from being loaded until it changes: the file itself, or an alias that has its model's name.
REFUSALS = (InferirError, ConflictError)


@dataclass(frozen=True)
class Cost:
    """What the kernel was measured to take: `fixed_s` per call and `row_s` per row."""

    fixed_s: float = 0.0
    row_s: float = 0.0

    def seconds(self, rows: int) -> float:
        return self.fixed_s + self.row_s * rows

    @cached_property
    def one_s(self) -> float:
        return self.seconds(1)


@dataclass(eq=False)
class ModelVersion:
    """One loaded version. Compared by identity: the same file loaded twice is two of them.

    columns, dtype   turn rows of plain values into the matrix that the model takes fastest.
    plain          faces (of `asked`) -> the way of one row without NumPy (`Model.plain`); empty where there is none.
    source         the file it came from.
    digest         of the file, hex: whether two workers have the same bytes is seen by it.
    n_bytes        memory it is counted with: its tensors.
    mapping        where they are.
    cost           of its prediction, or of what it has in place of one; cost_together: of several faces in one run.
    stages         seconds of read, compile, warm_up.
    batcher        joins its requests, where that is faster; None otherwise.
    baseline       bins of its columns in the rows of training; None where the file has none.
    drift, truths  what monitoring keeps of it: None without a baseline, and until the first truth.
    kept           what protocols have made of it, by their names, for the requests to come.
    in_use         requests that resolved it and have no answer yet.
    used           of the last request: any number that grows, for eviction.
    loaded_at      seconds since 1970, for people.
    """

    name: str
    version: str
    model: Model
    columns: PlainColumns
    dtype: Any = None
    plain: Mapping[tuple[str, ...], Callable[[Any], list[list[Any]]]] = field(default_factory=dict)
    source: str = ""
    digest: str = ""
    n_bytes: int = 0
    mapping: mmap | None = None
    cost: Cost = field(default_factory=Cost)
    cost_together: Cost = field(default_factory=Cost)
    stages: Mapping[str, float] = field(default_factory=dict)
    batcher: Any = None
    baseline: Sequence[ColumnBins] | None = None
    drift: Drift | None = None
    truths: Truths | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    in_use: int = 0
    used: int = 0
    loaded_at: float = 0.0

    @cached_property
    def asked(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Faces that /predict asks for, without probabilities and with them: the prediction, or what there is in place
        of one."""
        return asked(self.model)

    def cost_of(self, faces: Sequence[str]) -> Cost:
        """Of one run for these faces."""
        return self.cost if len(faces) == 1 else self.cost_together

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    def acquire(self) -> None:
        self.in_use += 1

    def release(self) -> None:
        self.in_use -= 1


@dataclass(frozen=True)
class Failure:
    """A version that did not load: what was asked for, and the error."""

    name: str
    version: str
    source: str
    code: str
    message: str


@dataclass(frozen=True)
class Table:
    """Everything that answers, at one moment.

    models     name -> version -> what is loaded
    defaults   name -> the version that answers for it
    aliases    alias -> (name, version), version "" for the default one
    default    the reference that is meant where none is named, loaded or not; "" while nothing ever was
    """

    models: Mapping[str, Mapping[str, ModelVersion]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    default: str = ""

    def __iter__(self) -> Iterator[ModelVersion]:
        for versions in self.models.values():
            yield from versions.values()


def asked(model: Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """See `ModelVersion.asked`."""
    has = model.faces
    main = "prediction" if "prediction" in has else has[0]
    return (main,), (main, "probabilities") if "probabilities" in has and main != "probabilities" else (main,)


class Registry:
    """The table, and the only way to change it.

    known     name -> file of every model that was ever loaded.
    away      file -> why what came from it is not loaded any more: "unloaded", "evicted".
    failures  file -> why it did not load the last time.
    """

    def __init__(self, default: str = "") -> None:
        self.table = Table(default=default)
        self._default_is_chosen = bool(default)
        self.known: dict[str, str] = {}
        self.away: dict[str, str] = {}
        self.failures: dict[str, Failure] = {}
        self._found: dict[str | None, ModelVersion] = {}
        self._uses = 0

    # -- reading

    def resolve(self, reference: str | None) -> ModelVersion:
        """The version that answers for a reference. Raises UnknownModelError (E011)."""
        version = self._found.get(reference)
        if version is None:
            version = self._found[reference] = self._resolve(reference)
        self._uses = version.used = self._uses + 1
        return version

    def find(self, name: str, version: str = "") -> ModelVersion:
        """By name and version apart, as the Open Inference Protocol has them. Raises UnknownModelError (E011)."""
        return self.resolve(f"{name}@{version}" if version else name)

    def source_of(self, name: str) -> str:
        """The file of a model, loaded or not. Raises UnknownModelError (E011) for a name that never was."""
        source = self.known.get(name)
        if source is None:
            raise UnknownModelError(f"unknown model {name[:200]!r}; known: {', '.join(sorted(self.known)) or 'none'}")
        return source

    def __iter__(self) -> Iterator[ModelVersion]:
        return iter(self.table)

    def __len__(self) -> int:
        return sum(map(len, self.table.models.values()))

    def is_default(self, version: ModelVersion) -> bool:
        """Whether it answers for its name."""
        return self.table.defaults.get(version.name) == version.version

    def aliases_of(self, version: ModelVersion) -> list[str]:
        return sorted(alias for alias in self.table.aliases if self._resolve(alias) is version)

    @property
    def n_bytes(self) -> int:
        return sum(version.n_bytes for version in self.table)

    def _resolve(self, reference: str | None) -> ModelVersion:
        table = self.table
        if reference is None:
            if not table.default:
                raise UnknownModelError("no model is loaded")
            return self._resolve(table.default)
        alias = table.aliases.get(reference)
        if alias is not None:
            return table.models[alias[0]][alias[1] or table.defaults[alias[0]]]
        versions = table.models.get(reference)
        if versions is not None:
            return versions[table.defaults[reference]]
        name, _, number = reference.rpartition("@")
        found = table.models.get(name, {}).get(number)
        if found is None:
            known = ", ".join(version.reference for version in table) or "none"
            raise UnknownModelError(f"unknown model {reference[:200]!r}; loaded: {known[:500]}")
        return found

    def check_name(self, name: str) -> None:
        """Whether a model may have this name. Raises ConflictError where it is an alias."""
        if name in self.table.aliases:
            target = "@".join(filter(None, self.table.aliases[name]))
            raise ConflictError(
                f"expected a model's name that is no alias, got {short_repr(name)}, an alias of {short_repr(target)}"
            )

    # -- changing

    def add(self, new: ModelVersion, *, replaces: ModelVersion | None = None) -> list[ModelVersion]:
        """Put a ready version into the table, in one step. Returns the versions that it took the place of.

        replaces  what came from the same file before; the same name and version is replaced without being named.

        Raises ConflictError, as `check_name` does.
        """
        self.check_name(new.name)
        table = self.table
        models = {name: dict(versions) for name, versions in table.models.items()}
        defaults, aliases, default = dict(table.defaults), dict(table.aliases), table.default or new.name
        gone = []
        same = models.get(new.name, {}).get(new.version)
        for old in {id(v): v for v in (same, replaces) if v is not None}.values():
            if models.get(old.name, {}).get(old.version) is not old:
                continue
            del models[old.name][old.version]
            gone.append(old)
            moved = {(old.name, old.version): (new.name, new.version)}
            if not models[old.name]:
                moved[old.name, ""] = (new.name, "")
                if default == old.name and not self._default_is_chosen:
                    default = new.name
            aliases = {alias: moved.get(target, target) for alias, target in aliases.items()}
            if defaults.get(old.name) == old.version and old.name == new.name:
                defaults[new.name] = new.version
        models.setdefault(new.name, {})[new.version] = new
        defaults.setdefault(new.name, new.version)
        self._replace(models, defaults, aliases, default)
        self.known[new.name] = new.source
        self.away.pop(new.source, None)
        self.failures.pop(new.source, None)
        return gone

    def remove(self, name: str, version: str = "", reason: str = "unloaded") -> list[ModelVersion]:
        """Take a version out, or with "" all versions of a name.

        Raises UnknownModelError, and ConflictError where an alias points to it.
        """
        found = self.find(name, version)
        table = self.table
        if name not in table.models:
            raise ConflictError(f"expected a model's name, got {name[:200]!r}, another name of {found.reference}")
        gone = [v for v in table.models[name].values() if version in ("", v.version)]
        left = {number: v for number, v in table.models[name].items() if v not in gone}
        taken = {v.version for v in gone} | (set() if left else {""})
        pointing = sorted(alias for alias, (n, number) in table.aliases.items() if n == name and number in taken)
        if pointing:
            raise ConflictError(f"expected a version that no alias points to, got {name!r}, which is also {pointing}")
        models = {key: dict(versions) for key, versions in table.models.items()}
        models[name] = left
        self._replace(models, dict(table.defaults), dict(table.aliases))
        self.away |= {v.source: reason for v in gone}
        return gone

    def alias(self, alias: str, reference: str) -> None:
        """Point an alias to a loaded name or name@version; with "" it is taken away.

        Raises UnknownModelError, InvalidInputError for what is no alias, ConflictError for one that is a model's name.
        """
        aliases = dict(self.table.aliases)
        if not reference:
            if aliases.pop(alias, None) is None:
                raise UnknownModelError(f"unknown alias {alias[:200]!r}")
        elif not 0 < len(alias) <= LONGEST_MODEL_ID or "@" in alias or not alias.isprintable():
            raise InvalidInputError(
                f"expected an alias of 1 to {LONGEST_MODEL_ID} characters that can be printed, without @, "
                f"got {short_repr(alias)}"
            )
        elif alias in self.table.models:
            raise ConflictError(f"expected an alias that is not a model's name, got {short_repr(alias)}")
        else:
            found = self._resolve(reference)
            aliases[alias] = (found.name, found.version if "@" in reference else "")
        self._replace(self.table.models, dict(self.table.defaults), aliases)

    def set_default(self, name: str, version: str) -> None:
        """Which version answers for a name. Raises UnknownModelError."""
        self.find(name, version)
        self._replace(self.table.models, {**self.table.defaults, name: version}, dict(self.table.aliases))

    def fail(self, source: str, code: str, message: str) -> Failure:
        """Note that a file did not load. What answered before still does: the failure has its name and version."""
        before = next((version for version in self if version.source == source), None)
        name = before.name if before else next((name for name, known in self.known.items() if known == source), "")
        self.failures[source] = Failure(name, before.version if before else "", source, code, message)
        return self.failures[source]

    def notes(self) -> dict[str, Any]:
        """What it knows beside the models that are loaded, in plain values: arguments of `restore`."""
        return {
            "default": self.table.default,
            "aliases": self.table.aliases,
            "known": self.known,
            "away": self.away,
            "failures": [asdict(failure) for failure in self.failures.values()],
        }

    def restore(
        self,
        default: str,
        aliases: Mapping[str, Sequence[str]],
        known: dict[str, str],
        away: dict[str, str],
        failures: Sequence[Mapping[str, str]],
    ) -> None:
        """Take over the notes of a registry that has the same models, and has checked them."""
        self.known, self.away = dict(known), dict(away)
        self.failures = {failure["source"]: Failure(**failure) for failure in failures}
        taken_over = {alias: (name, number) for alias, (name, number) in aliases.items()}
        self._replace(self.table.models, dict(self.table.defaults), taken_over, default)

    def by_use(self) -> list[ModelVersion]:
        """Versions that could go, the one whose last request is longest ago first: none in work, no alias."""
        pointed = {id(self._resolve(alias)) for alias in self.table.aliases}
        idle = [version for version in self.table if not version.in_use and id(version) not in pointed]
        return sorted(idle, key=lambda version: version.used)

    def _replace(
        self,
        models: Mapping[str, Mapping[str, ModelVersion]],
        defaults: dict[str, str],
        aliases: dict[str, tuple[str, str]],
        default: str = "",
    ) -> None:
        models = {name: versions for name, versions in models.items() if versions}
        for name in list(defaults):
            if name not in models:
                del defaults[name]
            elif defaults[name] not in models[name]:
                defaults[name] = max(models[name], key=natural_order)
        aliases = {
            alias: (name, number)
            for alias, (name, number) in aliases.items()
            if name in models and (not number or number in models[name])
        }
        self.table = replace(
            self.table, models=models, defaults=defaults, aliases=aliases, default=default or self.table.default
        )
        self._found = {}


def natural_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts "1.10" after "1.9" and text after numbers."""
    parts = version.replace("-", ".").split(".")
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
