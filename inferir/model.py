"""Model: a ModelSpec bound to a kernel backend. Rows are checked once, here; kernels trust them.

model = inferir.load("model.apr")
model.predict(rows)        labels, numbers or cluster numbers
model.predict_proba(rows)  one column per class
model.raw(rows)            margin, decision function
model.transform(rows)      preprocessing or projection
model.answers(rows, ...)   several of these, from one run of the model
model.explain(rows)        what each column adds to the score
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy import ndarray

from inferir import kernels
from inferir.errors import TaskError
from inferir.formats import apr
from inferir.formats.apr.layout import MODEL_TYPES
from inferir.formats.importers import import_model
from inferir.formats.prepared import nbytes_of
from inferir.formats.spec import ClassLabel, ColumnSpec, ModelSpec
from inferir.labels import Labels, flat
from inferir.plan import FACES, LEAST_SHARED_ROWS, Plan
from inferir.prepare import prepare
from inferir.program.native import Form
from inferir.rows import Columns
from inferir.threads import Threads, cores

if TYPE_CHECKING:
    from inferir.explain import Explainer

__all__ = ["Model", "convert", "load"]


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

#: The shortest way to an answer for rows of a dtype, if it has been gone before and the backend has one.
_Short: TypeAlias = "dict[np.dtype[Any], Callable[[npt.NDArray[Any]], npt.NDArray[Any]]]"
_All: TypeAlias = "Callable[[npt.NDArray[Any]], list[npt.NDArray[Any]]]"


class Model:
    """A model ready to answer. Safe to use from several threads at once.

    spec     what the model is.
    backend  "auto", or one of `inferir.kernels.available()`.
    threads  for batches of 512 rows and more that take longer than 0.4 ms; None: one per core. Smaller ones never touch
             a thread.
    """

    def __init__(self, spec: ModelSpec, *, backend: str = "auto", threads: int | None = None) -> None:
        self.spec = spec
        self._kernels = kernels.select(backend)
        self._threads = Threads(max(1, threads or cores()))
        self._columns = Columns(spec.columns, bool(spec.training.get("named_columns", True)))
        self._lock = threading.Lock()
        self._explainers: dict[str, Explainer] = {}
        self._proved: set[str] = set()
        self._plan = Plan(spec, self._kernels, "f64", self._proved)
        self._narrow_plan: Plan | None = None
        demands = self._plan.demands
        self._dtype: Literal["float32", "float64"] | None = None if None in demands else "float64"
        if demands == {"f32"}:  # the whole model works in float32: round once, straight from what came
            self._dtype = "float32"
        self._labels = Labels(spec.classes)
        self._single_shape = (1, len(spec.columns)) if not self._columns.coded else None
        self._singles: dict[str, _Short] = {face: {} for face in FACES}
        self._fews: dict[str, _Short] = {face: {} for face in FACES}
        self._manys: dict[str, _Short] = {face: {} for face in FACES}
        self._predict_single, self._proba_single = self._singles["prediction"], self._singles["probabilities"]
        #: Of several faces: for one row if there is such a way, for a few, for many.
        self._together: dict[tuple[tuple[str, ...], np.dtype[Any]], tuple[_All | None, _All, _All]] = {}

    # -- answers

    def encode(self, rows: Any) -> npt.NDArray[Any]:
        """Rows as kernels take them, for the methods below with `encoded=True`: one caller checks, another asks.

        Returns (n, columns), C-contiguous, of float32 or float64, with codes in the place of categories. Raises as
        `predict` does.
        """
        is_float = type(rows) is np.ndarray and rows.dtype in _FLOATS  # a plan of their width casts faster than NumPy
        return self._columns.encode(rows, None if is_float else self._dtype)

    def predict(self, rows: Any, *, encoded: bool = False) -> npt.NDArray[Any]:
        """Class labels, numbers, cluster numbers, or 1 and -1 for inliers and outliers.

        rows     an array (n, columns) of any numeric dtype, lists, or a table whose columns are found by name.
        encoded  True: rows are what `encode` returned, and are not looked at again.

        Returns (n,), or (n, outputs) where the model has several outputs. Raises DimensionError (E003) for a wrong
        number or wrong names of columns, InvalidInputError (E006) for values of the wrong kind.
        """
        if type(rows) is ndarray and rows.shape == self._single_shape:
            single = self._predict_single.get(rows.dtype)  # as `_run` does, without its call
            if single is not None:
                return single(rows)
        return self._labels.of(self._run("prediction", rows, encoded))

    def predict_proba(self, rows: Any, *, encoded: bool = False) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """Probabilities of `classes`, (n, classes); a list of them, one per output, where there are several."""
        if type(rows) is ndarray and rows.shape == self._single_shape:
            single = self._proba_single.get(rows.dtype)  # as `_run` does, without its call
            if single is not None:
                return single(rows)
        return self._labels.by_output(self._run("probabilities", rows, encoded))

    def raw(self, rows: Any, *, encoded: bool = False) -> npt.NDArray[Any]:
        """What the model computes before any link: margins, decision function, scores. (n,) or (n, outputs)."""
        return flat(self._run("raw", rows, encoded))

    def transform(self, rows: Any, *, encoded: bool = False) -> npt.NDArray[Any]:
        """The transformed rows, (n, outputs)."""
        return self._run("transformed", rows, encoded)

    def answers(
        self, rows: Any, faces: Sequence[str], *, encoded: bool = False
    ) -> dict[str, npt.NDArray[Any] | list[npt.NDArray[Any]]]:
        """Several of `Model.faces` from one run: what `predict` ("prediction"), `predict_proba` ("probabilities"),
        `raw` and `transform` ("transformed") give one by one, the same bits, without going through the model for each.

        rows, encoded  as for `predict`, which it raises like; TaskError (E008) too for a face that the model has not.
        """
        asked = faces if type(faces) is tuple else tuple(faces)
        if type(rows) is ndarray:
            ways = self._together.get((asked, rows.dtype))
            if ways is not None:
                single, few, many = ways
                if single is not None and rows.shape == self._single_shape:
                    return dict(zip(asked, single(rows), strict=True))
                if self._columns.fits(rows):
                    return self._labels.by_face(asked, (few if len(rows) < LEAST_SHARED_ROWS else many)(rows))
        asked = tuple(dict.fromkeys(asked))
        if len(asked) < 2:
            return self._labels.by_face(asked, [self._run(face, rows, encoded) for face in asked])
        matrix = rows if encoded else self.encode(rows)
        together = self._plan_for(matrix, asked).together(asked)
        if matrix is rows and not self._columns.coded:
            few, many = together.several() or together.run, partial(together.run, threads=self._threads)
            self._together[asked, rows.dtype] = together.single(list(map(self._form, asked))), few, many
        return self._labels.by_face(asked, together.run(matrix, self._threads))

    def explain(
        self, rows: Any, *, background: Any = None, encoded: bool = False
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What each column adds to the raw score of each row: Shapley values, exact.

        rows        as for `predict`; `encoded` too.
        background  of linear models only: rows whose mean their columns are compared with. None: 0, which is the mean
                    of the training rows behind a StandardScaler.

        Returns values, (n, columns), or (n, columns, outputs) where there are several, and base, (outputs,), both
        float64. A row's values and the base add up to its score: raw where the model has that, else what it predicts,
        or the probabilities. Forests are explained by path-dependent TreeSHAP (Lundberg et al. 2020,
        doi:10.1038/s42256-019-0138-9), which averages over what is not known by the covers of the training rows;
        linear models by coef * (x - mean). A column that preprocessing has made several of gets their sum.

        Raises TaskError (E008), with the reason, for a model that cannot be explained: other kinds of model, forests
        in files without covers, columns that several input columns were mixed into.
        """
        matrix = rows if encoded else self.encode(rows)
        key = "f64" if matrix.dtype.itemsize == 8 else "f32"
        explainer = self._explainers.get(key) if background is None else None
        if explainer is None:
            from inferir.explain import Explainer  # most models are never asked

            seen = None if background is None else self.encode(background).astype(matrix.dtype, copy=False)
            explainer = Explainer(self.spec, self._kernels, key, self._proved, seen)
            if background is None:
                self._explainers[key] = explainer
        values = explainer(matrix, self._threads)
        return values[:, :, 0] if values.shape[2] == 1 else values, explainer.base.copy()

    def _run(self, face: str, rows: Any, encoded: bool = False) -> npt.NDArray[Any]:
        if type(rows) is ndarray:
            short = None
            if rows.shape == self._single_shape:
                short = self._singles[face].get(rows.dtype) if face != "prediction" else None
            elif self._columns.fits(rows):
                short = (self._fews if len(rows) < LEAST_SHARED_ROWS else self._manys)[face].get(rows.dtype)
            if short is not None:
                return short(rows)
        matrix = rows if encoded else self.encode(rows)
        plan = self._plan_for(matrix, (face,))
        if matrix is rows:
            self._keep_short(face, plan, rows)
        return plan.run(face, matrix, self._threads)

    def _plan_for(self, matrix: npt.NDArray[Any], faces: Iterable[str]) -> Plan:
        plan = self._plan if matrix.dtype.itemsize == 8 else self._narrow()
        for face in faces:
            if face not in plan.faces:
                raise TaskError(f"a {self.task} model {self.name!r} has no {face}; it has {', '.join(plan.faces)}")
        return plan

    def plain(self, *faces: str) -> Callable[[bytes | bytearray], list[list[Any]]] | None:
        """The way to answers for one row without NumPy, from one run; None where the backend has none.

        It takes the bytes of a row of `rows_dtype`, checked, with codes for categories (`rows.plain`), and gives the
        numbers of each answer, flat; labels are positions in `classes` (`payload.labels`).
        """
        plan = self._plan if self.rows_dtype == "float64" else self._narrow()
        return plan.plain(faces)

    def _keep_short(self, face: str, plan: Plan, rows: npt.NDArray[Any]) -> None:
        if self._columns.coded:
            return  # codes that came encoded; text would come in the same shape
        if rows.shape != self._single_shape:
            if several := plan.several(face):
                self._fews[face][rows.dtype] = several
                self._manys[face][rows.dtype] = partial(plan.run, face, threads=self._threads)
            return
        form = self._form(face)
        if form is not None and (single := plan.single(face, form)):
            self._singles[face][rows.dtype] = single

    def _form(self, face: str) -> Form | None:
        """How one row's answer is what callers get; None for several outputs, of which each has an array of its own."""
        if self._labels.n_outputs > 1:
            return None
        return Form(
            self._labels.first if face == "prediction" else None,
            face in ("prediction", "raw") and self._plan.value(face).width == 1,
        )

    def _narrow(self) -> Plan:
        """The plan for float32 rows: scikit-learn's preprocessing keeps their width, and so rounds differently."""
        if self._narrow_plan is None:
            with self._lock:
                self._narrow_plan = Plan(self.spec, self._kernels, "f32", self._proved)
        return self._narrow_plan

    def record_baseline(self, rows: Any, *, encoded: bool = False) -> None:
        """Keep what each column of `rows` looks like, for a server to tell how far other rows are from them.

        rows     those that the model was trained on, or a fair sample of at least 500, as for `predict`; `encoded` too.

        The shares of a few bins are kept (`rows/baseline.py`), no row. Raises DimensionError (E003), and
        InvalidInputError (E006) for fewer rows.
        """
        from inferir.rows.baseline import Sample, record  # most models are never asked

        sample = Sample()
        sample.add(np.asarray(rows if encoded else self.encode(rows), self.rows_dtype))
        self.spec = replace(self.spec, baseline=record(self.columns, sample.rows(len(self.columns))))

    # -- what it is

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def version(self) -> str:
        return self.spec.model_version

    @property
    def task(self) -> str:
        """classification, regression, clustering, transform, ranking or anomaly."""
        return self.spec.task

    @property
    def columns(self) -> tuple[ColumnSpec, ...]:
        """Input columns, in order."""
        return self.spec.columns

    @property
    def named_columns(self) -> bool:
        """Whether tables are matched by column name. False: it was trained without, and `columns` are made up."""
        return self._columns.named

    @property
    def classes(self) -> tuple[ClassLabel, ...] | tuple[tuple[ClassLabel, ...], ...]:
        """Labels in the order of `predict_proba`'s columns; a tuple of such tuples for several outputs."""
        return self.spec.classes

    @property
    def backend(self) -> str:
        """Name of the kernels in use."""
        return self._kernels.name

    @property
    def faces(self) -> tuple[str, ...]:
        """What can be asked for: prediction, probabilities, raw, transformed."""
        return self._plan.faces

    @property
    def rows_dtype(self) -> Literal["float32", "float64"]:
        """The widest numbers that are of use in rows: float32 where that is what the model rounds all of them to."""
        return self._dtype or "float64"

    def answer_type(self, face: str) -> tuple[str, int]:
        """Dtype of an answer to rows of `rows_dtype`, "int64", "float32", "float64" or "str", and its columns."""
        value = self._plan.value(face)
        if face == "prediction" and self._labels:
            return ("int64" if self._labels.whole else "str"), value.width
        return {"i64": "int64", "f32": "float32"}.get(value.dtype, "float64"), value.width

    def info(self) -> dict[str, Any]:
        """The model in plain values, for people and for JSON."""
        spec = self.spec
        return {
            "name": spec.name,
            "version": spec.model_version,
            "type": MODEL_TYPES.get(spec.model_type, str(spec.model_type)),
            "task": spec.task,
            "framework": dict(spec.framework),
            "created": spec.created,
            "backend": self.backend,
            "answers": list(self.faces),
            "columns": [
                {"name": c.name, "kind": c.kind, **({"categories": list(c.categories)} if c.categories else {})}
                for c in spec.columns
            ],
            "classes": list(spec.classes),
            "operators": [operator.op for operator in spec.operators],
            "tensor_bytes": sum(len(memoryview(t.data).cast("B")) for t in spec.tensors.values()),
            "prepared_bytes": nbytes_of(spec),
        }

    def __repr__(self) -> str:
        type_name = MODEL_TYPES.get(self.spec.model_type, "model")
        version = f" {self.version}" if self.version else ""
        return f"<inferir.Model {self.name!r}{version}: {type_name}, {self.task}, {len(self.columns)} columns>"

    # -- where it goes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, all of it or nothing."""
        apr.write(self.spec, path)

    def to_bytes(self) -> bytes:
        """The bytes of the model's `.apr` file."""
        return apr.to_bytes(self.spec)


def load(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    backend: str = "auto",
    threads: int | None = None,
    trusted_keys: Iterable[Any] | None = None,
) -> Model:
    """The model in an `.apr` file, or in its bytes.

    trusted_keys  Ed25519 public keys (PEM, base64, raw bytes, or paths to them); the file must then be signed by one.

    Raises FormatError with a code where the file cannot be used: E001, E002, E004 or E007.
    """
    return Model(apr.read(source, trusted_keys=trusted_keys), backend=backend, threads=threads)


def convert(
    source: Any,
    *,
    name: str | None = None,
    version: str | None = None,
    prepared: bool = True,
    baseline: Any = None,
    **options: Any,
) -> Model:
    """The model in a fitted estimator, a booster, or a model file of another library, ready to answer and to save.

    source   a fitted scikit-learn, XGBoost, LightGBM or CatBoost object, or a path to an XGBoost (.json, .ubj),
             LightGBM (.txt), CatBoost (.json) or ONNX (.onnx) file. Files need none of the library that wrote them.
    name     what the model is called; the class or file name by default.
    version  any text, as in "1.2.0".
    prepared whether its file has the tables that loading a forest makes: it is larger, and loaded sooner.
    baseline rows that it was trained on, whose shares go into the file (`Model.record_baseline`); None: none do.
    options  backend and threads, as for `load`.

    Raises UnsupportedModelError (E004) that says what it met, where, and what is supported.
    """
    spec = import_model(source, name=name, version=version)
    model = Model(prepare(spec) if prepared else spec, **options)
    if baseline is not None:
        model.record_baseline(baseline)
    return model
