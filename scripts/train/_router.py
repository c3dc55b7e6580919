"""The learner of the difficulty estimate, for ``scripts/train/router`` and for ``scripts/bench/route --train``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from nexscout_cli.engine.difficulty import CLIP
from nexscout_cli.engine.traits import BUCKETS, KINDS, grams, take_apart

STRENGTH = 0.3
"""Inverse strength of the L2 penalty: the best of 0.03 to 3 over 600 to 8,000 labels, within noise."""
SHARED = ("length", "question length")
"""Traits whose weight the kinds of prompts share; all that speaks where a prompt is of a kind not learned from."""
FOLDS = 5


class Example(NamedTuple):
    """A prompt and how often (0..1) the strong and the cheap model are right on it; None where that is not known.

    ``subject`` is what the prompt is about as far as its file tells: no outcome, so known for all. ``group`` is the set.
    """

    prompt: str
    strong: float | None
    weak: float | None
    subject: str = ""
    group: str = ""
    weight: float = 1.0


class Features(NamedTuple):
    """Everything measured on the prompts alone."""

    names: list[str]
    mean: np.ndarray
    scale: np.ndarray
    rarity: np.ndarray
    unseen: float
    traits: np.ndarray
    words: sp.csr_matrix
    kinds: list[str]


def features(prompts: Sequence[str]) -> Features:
    """Standardised traits, and words and pairs weighed by rarity, each row of length 1."""
    apart = [take_apart(prompt) for prompt in prompts]
    names = list(apart[0].traits)
    raw = np.array([list(one.traits.values()) for one in apart])
    mean, spread = raw.mean(0), raw.std(0)
    # divided by the root of their number, so that all traits together weigh like all words together
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    indptr, indices = [0], []
    for one in apart:
        indices += sorted({bucket for bucket, _ in grams(one)})
        indptr.append(len(indices))
    present = sp.csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(apart), BUCKETS))
    seen = np.asarray(present.sum(0)).ravel()
    unseen = float(np.log(len(apart) + 1))
    rarity = np.where(seen > 1, np.log((len(apart) + 1) / (seen + 1)), 0.0)
    rarity = np.where(seen > 1, np.maximum(np.rint(rarity * 127 / unseen), 1), 0)  # as it is stored
    step = unseen / 127
    norm = np.sqrt(present @ np.where(rarity > 0, rarity * step, unseen) ** 2)
    words = sp.diags(1 / np.maximum(norm, 1e-9)) @ present @ sp.diags(rarity * step)
    traits = np.clip((raw - mean) * scale, -CLIP, CLIP)
    return Features(names, mean, scale, rarity, unseen, traits, words.tocsr(), [one.kind for one in apart])


def _subjects(words: sp.csr_matrix, subjects: Sequence[str]) -> np.ndarray:
    """What each word says about the subject, as columns to multiply ``words`` with; none where there are hardly any."""
    names = sorted(set(subjects))
    if len(names) < 3:
        return np.zeros((BUCKETS, 0))
    wanted = np.array([[subject == name for name in names] for subject in subjects], dtype=float)
    model = Ridge(alpha=1.0).fit(words, wanted)
    found = words @ model.coef_.T
    return model.coef_.T / np.sqrt(((found - found.mean(0)) ** 2).mean(0).sum())


def _fit(design: sp.csr_matrix, share: np.ndarray, weight: np.ndarray, strength: float = STRENGTH) -> LogisticRegression:
    both = sp.vstack([design, design]).tocsr()
    right = np.r_[np.ones(len(share)), np.zeros(len(share))]
    how_much = np.r_[share * weight, (1 - share) * weight]
    used = how_much > 0
    return LogisticRegression(C=strength, max_iter=1000).fit(both[used], right[used], how_much[used])


def learn(examples: Sequence[Example], source: Any = None) -> dict[str, Any]:
    """Fit both models; what comes back is what ``difficulty.unpack`` reads.

    Examples without an outcome still teach how rare words are and which of them make a subject. The calibration and the
    edges of the buckets come from predictions for folds that were left out.
    """
    f = features([example.prompt for example in examples])
    width = len(f.names)
    topics = _subjects(f.words, [example.subject for example in examples])
    groups = sorted({example.group for example in examples})
    member = np.array([[2.0 * (example.group == group) for group in groups] for example in examples])
    shared = [f.names.index(name) for name in SHARED]
    own = [sp.csr_matrix(f.traits * np.array([[kind == k] for k in f.kinds]) / np.sqrt(width)) for kind in KINDS]
    parts = [*own, f.words, f.words @ topics, f.traits[:, shared] / np.sqrt(width), member - member.mean(0)]
    starts = np.cumsum([0, *(part.shape[1] for part in parts)])
    design = sp.hstack([sp.csr_matrix(part) for part in parts]).tocsr()
    known = np.array([i for i, e in enumerate(examples) if e.strong is not None and e.weak is not None])
    weight = np.array([examples[i].weight for i in known])
    rows = design[known]
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(known))
    outcomes, unseen = {}, {}
    for which in ("strong", "weak"):
        share = np.array([getattr(examples[i], which) for i in known], dtype=float)
        model = _fit(rows, share, weight)
        *kinds, words, about, common, _ = np.split(model.coef_[0], starts[1:-1])
        words = np.where(f.rarity > 0, words + topics @ about, 0.0)
        step = float(np.abs(words).max() / 127) or 1.0
        for of_kind in kinds:
            of_kind[shared] += common
        outcomes[which] = {
            "bias": round(float(model.intercept_[0]), 5),
            "traits": {k: _rounded(of_kind / np.sqrt(width)) for k, of_kind in zip(KINDS, kinds, strict=True)},
            "grams": _packed(words / step),
            "step": step,
        }
        unseen[which] = np.zeros(len(known))
        for train, test in folds:
            unseen[which][test] = _fit(rows[train], share[train], weight[train]).predict_proba(rows[test])[:, 1]
    gain = sp.csr_matrix((unseen["strong"] - unseen["weak"])[:, None])
    wins = np.array([examples[i].strong * (1 - examples[i].weak) for i in known], dtype=float)
    line = _fit(gain, wins, weight, 1e3)
    return {
        "source": source,
        "names": f.names,
        "mean": _rounded(f.mean),
        "scale": _rounded(f.scale),
        "rarity": _packed(f.rarity),
        "rarity_step": f.unseen / 127,
        "unseen": f.unseen,
        **outcomes,
        "calibration": _rounded([line.intercept_[0], line.coef_[0, 0]]),
        "edges": _rounded(np.quantile(line.predict_proba(gain)[:, 1], (0.2, 0.4, 0.6, 0.8))),
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _packed(values: np.ndarray) -> str:
    return b64encode(np.clip(np.rint(values), -127, 127).astype(np.int8).tobytes()).decode()
