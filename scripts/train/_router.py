"""The learner of the difficulty estimate, for ``scripts/train/router`` and for ``scripts/bench/route --train``."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression, Ridge

from nexscout_cli.engine.answers.doubt import dear, extent_in
from nexscout_cli.engine.routing.difficulty import CLIP
from nexscout_cli.engine.routing.prompt_traits import BUCKETS, KINDS, Prompt, grams, take_apart

DOUBT_STRENGTH, AGREEMENT_RIDGE = 0.03, 0.01
ENOUGH = 500
"""Prompts of a kind from which on it has weights of its own; with fewer, what the kinds share says more."""
STRENGTH = 0.3
"""Inverse strength of the L2 penalty: the best of 0.03 to 3 over 600 to 8,000 labels, within noise."""
SHARED = ("question length", "words", "conditions", "commas", "signs of mathematics")
"""Traits that make a cheap model fail in every set. Their weight is shared by all kinds of prompts, in the cheap model alone
(so that more of them always means more to gain), and nothing else speaks where a prompt is of no kind learned from."""
FOLDS = 5
CENTRES, OF_TASK = 64, 1_500
"""Clusters that the prompts' traits are told by, and the most prompts of a task that they are made from."""
NEAR = (0.9, 0.999)
"""The shares of prompts kept out of the clusters that lie nearer than where a prompt begins, and ends, to be unfamiliar."""
VOTES = {
    "question length": 1.0,
    **dict.fromkeys(("words", "sentences", "conditions", "commas", "numbers among the options"), 0.25),
}
"""What the plain estimate goes by, in standard deviations. Given and not learned: weights that were fitted to tasks, or the
best of 250 sets of weights, did worse on tasks left out than these, and no better than the length of the question alone."""
TRUST, LEVEL = 0.8, -0.5
"""How far what was learned decides of the most familiar prompt, the plain estimate the rest; and what both log-odds are lowered
by: nobody's task is as easy as the average one of those learned from seems, and where both models fail nothing is gained. Of
ten pairs of values, each task's best by the worst of the other tasks left out had this level (and a trust of 0.7 to 1)."""
PLAIN_TASK, PLAIN_KIND = 600, 200
"""Of the plain estimate: the prompts that a task counts as at most, and those that the mean over all kinds counts as."""
TOLERANCE = 1e-3
"""Of the fits: a tenth of the usual accuracy ranks the same and takes a fifth of the time."""


class Example(NamedTuple):
    """A prompt and how often (0..1) the strong and the cheap model are right on it; None where that is not known.

    ``subject`` is what the prompt is about as far as its file tells: no outcome, so known for all. ``group`` is the pair of
    models; what has the same ``question`` (its id) is left out together in predictions for what was not learned from.
    ``task``: what counts the same in the plain estimate and in what is familiar, however many prompts it has.
    """

    prompt: str
    strong: float | None
    weak: float | None
    subject: str = ""
    group: str = ""
    weight: float = 1.0
    question: str = ""
    task: str = ""


class Features(NamedTuple):
    """Everything measured on the prompts alone."""

    names: list[str]
    mean: np.ndarray
    scale: np.ndarray
    rarity: np.ndarray
    unseen: float
    traits: np.ndarray
    words: sp.csr_matrix
    kind: list[str]
    kinds: list[str]


@cache
def _apart(prompt: str) -> Prompt:
    return take_apart(prompt)


def kind_of(prompt: str) -> str:
    return _apart(prompt).kind


@cache
def _buckets(prompt: str) -> list[int]:
    return sorted({bucket for bucket, _ in grams(_apart(prompt))})


def features(prompts: Sequence[str]) -> Features:
    """Standardised traits, and words and pairs weighed by rarity, each row of length 1."""
    apart = [_apart(prompt) for prompt in prompts]
    names = list(apart[0].traits)
    raw = np.array([list(one.traits.values()) for one in apart])
    mean, spread = raw.mean(0), raw.std(0)
    # divided by the root of their number, so that all traits together weigh like all words together
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    counts = Counter(one.kind for one in apart)
    kinds = [kind for kind in KINDS[:-1] if counts[kind] >= ENOUGH]
    indptr, indices = [0], []
    for prompt, one in zip(prompts, apart, strict=True):
        indices += _buckets(prompt) if one.kind in kinds else []
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
    return Features(names, mean, scale, rarity, unseen, traits, words.tocsr(), [one.kind for one in apart], kinds)


def _subjects(words: sp.csr_matrix, subjects: Sequence[str]) -> np.ndarray:
    """What each word says about the subject, as columns to multiply ``words`` with; none where there are hardly any."""
    names = sorted(set(subjects))
    if len(names) < 3:
        return np.zeros((BUCKETS, 0))
    wanted = np.array([[subject == name for name in names] for subject in subjects], dtype=float)
    model = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-2, max_iter=12).fit(words, wanted)
    found = words @ model.coef_.T
    return model.coef_.T / np.sqrt(((found - found.mean(0)) ** 2).mean(0).sum())


def _fit(
    design: sp.csr_matrix, share: np.ndarray, weight: np.ndarray, strength: float = STRENGTH
) -> LogisticRegression:
    """A logistic model of ``share``; never begun from one that knows more rows, for at this TOLERANCE it would keep them."""
    both = sp.vstack([design, design]).tocsr()
    right = np.r_[np.ones(len(share)), np.zeros(len(share))]
    how_much = np.r_[share * weight, (1 - share) * weight]
    used = how_much > 0
    model = LogisticRegression(C=strength, max_iter=1000, tol=TOLERANCE)
    return model.fit(both[used], right[used], how_much[used])


def _familiar(traits: np.ndarray, tasks: Sequence[str]) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Centres of clusters of the traits as they are stored, the distances of NEAR, and each prompt's own familiarity."""
    random, of = np.random.default_rng(0), np.array(tasks)
    picked = [random.permutation(np.flatnonzero(of == task))[:OF_TASK] for task in sorted(set(tasks))]
    inside = np.concatenate([part[: (len(part) + 1) // 2] for part in picked])
    kept_out = [part[(len(part) + 1) // 2 :] for part in picked]
    clusters = MiniBatchKMeans(min(CENTRES, len(inside)), random_state=0, n_init=1, max_iter=30).fit(traits[inside])
    centres = np.clip(np.rint(clusters.cluster_centers_ * 127 / CLIP), -127, 127)
    real = centres * CLIP / 127
    squares = (traits**2).sum(1)[:, None] + (real**2).sum(1) - 2 * traits @ real.T
    nearest = np.sqrt(np.maximum(squares, 0).min(1))
    seen = np.concatenate([random.choice(nearest[part], 300) for part in kept_out if len(part)])
    low, high = (float(x) for x in np.quantile(seen, NEAR))
    high = max(high, low + 1e-3)
    return centres, (low, high), np.clip((high - nearest) / (high - low), 0, 1)


def _plain(f: Features, examples: Sequence[Example], known: np.ndarray) -> dict[str, Any]:
    """An estimate from size and structure, for prompts like none: the votes of VOTES, and nothing that was fitted to a task.

    Their direction is given; a logistic line over it, the same slope for all tasks, makes it the cheap model's log-odds. The
    strong model is as good as on average. How often either is right goes by the kind of prompt, as far as its tasks tell.
    """
    tasks = np.array([examples[i].task for i in known])
    weak = np.array([examples[i].weak for i in known], dtype=float)
    strong = np.array([examples[i].strong for i in known], dtype=float)
    traits, weight = f.traits[known], np.zeros(len(known))
    for task in np.unique(tasks):
        weight[tasks == task] = min((tasks == task).sum(), PLAIN_TASK) / (tasks == task).sum()
    direction = np.zeros(len(f.names))
    for name, vote in VOTES.items():
        at = f.names.index(name)
        direction[at] = vote / (traits[:, at].std() + 1e-9)
    member = np.array([tasks == task for task in np.unique(tasks)], dtype=float).T
    line = _fit(sp.csr_matrix(np.column_stack([traits @ direction, member])), weak, weight, 1e2)
    slope = min(float(line.coef_[0, 0]), -0.01)  # more of it never makes it easier
    share = float(np.average(strong, weights=weight))
    every = _logit(share), float(line.intercept_[0] + line.coef_[0, 1:].mean())
    score = slope * (traits @ direction)
    levels: dict[str, tuple[float, float]] = {}
    for kind in KINDS:
        of = np.array([f.kind[i] == kind for i in known])
        n = weight[of].sum()
        own = (np.average(y[of], weights=weight[of]) if n else 0.5 for y in (strong, weak))
        mean = np.average(score[of], weights=weight[of]) if n else 0.0
        here = [_logit(float(share)) for share in own]
        levels[kind] = tuple(
            (PLAIN_KIND * e + n * h) / (PLAIN_KIND + n) for e, h in zip(every, (here[0], here[1] - mean), strict=True)
        )
    return {
        "strong": {kind: round(level[0], 5) for kind, level in levels.items()},
        "weak": {kind: round(level[1], 5) for kind, level in levels.items()},
        "traits": {f.names[at]: round(float(slope * direction[at]), 5) for at in np.flatnonzero(direction)},
    }


def _logit(share: float) -> float:
    share = min(max(share, 0.02), 0.98)
    return float(np.log(share / (1 - share)))


class Learned(NamedTuple):
    """``data`` is what ``difficulty.unpack`` or ``answers.unpack`` reads. For each example with an outcome, made without its
    question: ``unseen``, what both models say of it, and ``estimate``, the probability that comes of it.
    """

    data: dict[str, Any]
    unseen: np.ndarray
    estimate: np.ndarray


def fold(question: str) -> int:
    """The fold a question belongs to, the same wherever it is asked."""
    return crc32(question.encode()) % FOLDS


def learn(examples: Sequence[Example], source: Any = None, *, folds_too: bool = True) -> Learned:
    """Fit both models; without ``folds_too`` nothing is left out, and ``unseen`` and ``estimate`` are what was learned.

    Examples without an outcome still teach how rare words are and which of them make a subject. The calibration and the
    edges of the buckets come from predictions for folds that were left out.
    """
    f = features([example.prompt for example in examples])
    width = len(f.names)
    topics = _subjects(f.words, [example.subject for example in examples])
    groups = sorted({example.group for example in examples})
    member = np.array([[2.0 * (example.group == group) for group in groups] for example in examples])
    shared = [f.names.index(name) for name in SHARED]
    of = {kind: np.array([[k == kind] for k in f.kind], dtype=float) for kind in KINDS[:-1]}
    own = [
        sp.csr_matrix(np.column_stack([f.traits / np.sqrt(width) * (kind in f.kinds), np.ones(len(examples))]) * mine)
        for kind, mine in of.items()
    ]
    common = f.traits[:, shared] / np.sqrt(width)
    parts = [*own, f.words, f.words @ topics, member - member.mean(0), common]
    starts = np.cumsum([0, *(part.shape[1] for part in parts)])
    design = sp.hstack([sp.csr_matrix(part) for part in parts]).tocsr()
    known = np.array([i for i, e in enumerate(examples) if e.strong is not None and e.weak is not None])
    weight = np.array([examples[i].weight for i in known])
    rows = design[known]
    # a prediction is for no pair in particular
    neutral = rows @ sp.diags(np.r_[np.ones(starts[-3]), np.zeros(len(groups)), np.ones(len(shared))])
    folds = np.array([fold(examples[i].question or examples[i].prompt) for i in known])
    outcomes, unseen = {}, np.zeros((len(known), 2))
    for which in ("weak", "strong"):
        share = np.array([getattr(examples[i], which) for i in known], dtype=float)
        if which == "strong":
            rows, neutral = rows[:, : starts[-2]], neutral[:, : starts[-2]]
        model = _fit(rows, share, weight)
        *kinds, words, about, _, every = np.split(model.coef_[0], starts[1:-1])
        kinds.append(
            np.append(np.zeros(width), np.mean([v[-1] for v, k in zip(kinds, KINDS, strict=False) if k in f.kind]))
        )
        words = np.where(f.rarity > 0, words + topics @ about, 0.0)
        step = float(np.abs(words).max() / 127) or 1.0
        for of_kind in kinds:
            of_kind[shared[: len(every)]] += every
        outcomes[which] = {
            "bias": {k: round(float(model.intercept_[0] + v[-1]), 5) for k, v in zip(KINDS, kinds, strict=True)},
            "traits": {k: _rounded(v[:-1] / np.sqrt(width)) for k, v in zip(KINDS, kinds, strict=True)},
            "grams": _packed(words / step),
            "step": step,
        }
        if not folds_too:
            unseen[:, int(which == "weak")] = model.decision_function(neutral)
        for n in range(FOLDS) if folds_too else ():
            test = folds == n
            part = _fit(rows[~test], share[~test], weight[~test])
            unseen[test, int(which == "weak")] = part.decision_function(neutral[test])
    plain = _plain(f, examples, known)
    centres, near, familiar = _familiar(f.traits, [example.task for example in examples])
    familiar *= [kind in f.kinds for kind in f.kind]
    size = f.traits @ np.array([plain["traits"].get(name, 0.0) for name in f.names])
    level = [np.array([plain[which][f.kind[i]] for i in known]) for which in ("strong", "weak")]
    other = np.column_stack([level[0], level[1] + size[known]])
    trusted = TRUST * familiar[known, None]
    unseen = LEVEL + trusted * unseen + (1 - trusted) * other
    right = 1 / (1 + np.exp(-unseen))
    gain = sp.csr_matrix(right[:, :1] - right[:, 1:])
    wins = np.array([examples[i].strong * (1 - examples[i].weak) for i in known], dtype=float)
    line = _fit(gain, wins, weight, 1e3)
    estimate = line.predict_proba(gain)[:, 1]
    data = {
        "source": source,
        "names": f.names,
        "mean": _rounded(f.mean),
        "scale": _rounded(f.scale),
        "rarity": _packed(f.rarity),
        "rarity_step": f.unseen / 127,
        "unseen": f.unseen,
        **outcomes,
        "calibration": _rounded([line.intercept_[0], line.coef_[0, 0]]),
        "edges": _rounded(np.quantile(estimate, (0.2, 0.4, 0.6, 0.8))),
        "kinds": f.kinds,
        "plain": plain,
        "centres": _packed(centres.ravel()),
        "near": _rounded(near),
        "trust": TRUST,
        "level": LEVEL,
    }
    return Learned(data, unseen, estimate)


class Judged(NamedTuple):
    """A cheap model's answer: what ``answers.signs`` sees in it, whether it is wrong, whether the strong model is right.

    ``agrees``: whether a second cheap model says the same; None where none was asked.
    """

    signs: dict[str, float]
    wrong: float
    right: float
    group: str
    question: str
    weight: float = 1.0
    agrees: bool | None = None


def learn_doubt(judged: Sequence[Judged], source: Any = None) -> Learned:
    """Fit what makes the doubt: two models, of the answer being wrong and of the strong model being right."""
    names = list(judged[0].signs)
    raw = np.array([list(one.signs.values()) for one in judged])
    mean, scale = raw.mean(0), 1 / np.maximum(raw.std(0), 0.05)
    groups = sorted({one.group for one in judged})
    member = np.array([[2.0 * (one.group == group) for group in groups] for one in judged])
    design = sp.csr_matrix(np.hstack([np.clip((raw - mean) * scale, -CLIP, CLIP), member - member.mean(0)]))
    weight = np.array([one.weight for one in judged])
    folds = np.array([fold(one.question) for one in judged])
    weights, unseen = {}, np.zeros((len(judged), 2))
    for column, which in enumerate(("wrong", "right")):
        share = np.array([getattr(one, which) for one in judged], dtype=float)
        model = _fit(design, share, weight, DOUBT_STRENGTH)
        weights[which] = _rounded([model.intercept_[0], *model.coef_[0, : len(names)]])
        for n in range(FOLDS):
            test = folds == n
            part = _fit(design[~test], share[~test], weight[~test], DOUBT_STRENGTH)
            # as it will be used: what is said of no group in particular
            unseen[test, column] = design[test][:, : len(names)] @ part.coef_[0, : len(names)] + part.intercept_[0]
    gain = (1 / (1 + np.exp(-unseen))).sum(1) - 1
    wins = np.array([one.wrong * one.right for one in judged], dtype=float)
    line = _fit(sp.csr_matrix(gain[:, None]), wins, weight, 1e3)
    odds = line.decision_function(sp.csr_matrix(gain[:, None]))
    asked = np.array([i for i, one in enumerate(judged) if one.agrees is not None], dtype=int)
    shift = _of_agreement([judged[i] for i in asked], odds[asked], wins[asked]) if len(asked) else [0.0] * 3
    data = {
        "source": source,
        "names": names,
        "mean": _rounded(mean),
        "scale": _rounded(scale),
        **weights,
        "calibration": _rounded([line.intercept_[0], line.coef_[0, 0]]),
        "agreement": _rounded(shift),
    }
    lowered = odds - np.array([dear(one.signs) for one in judged])
    return Learned(data, unseen, 1 / (1 + np.exp(-lowered)))


def _of_agreement(judged: Sequence[Judged], odds: np.ndarray, wins: np.ndarray) -> list[float]:
    """What a disagreement, an agreement, and the extent of an answer that is disagreed with add to ``odds``: Newton's method."""
    size = [extent_in(one.signs) for one in judged]
    apart = np.array([not one.agrees for one in judged], dtype=float)
    design = np.column_stack([apart, 1 - apart, apart * size])
    found = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(odds + design @ found, -30, 30)))
        slope = design.T @ (wins - p) - AGREEMENT_RIDGE * found
        found += np.linalg.solve((design.T * (p * (1 - p))) @ design + AGREEMENT_RIDGE * np.eye(3), slope)
    return [float(x) for x in found]


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _packed(values: np.ndarray) -> str:
    return b64encode(np.clip(np.rint(values), -127, 127).astype(np.int8).tobytes()).decode()
