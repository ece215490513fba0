"""Items described like those of the history: the only source that knows what nobody met yet."""

from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from recommendations.algorithms.histories import Histories, recency
from recommendations.algorithms.log import Log
from recommendations.algorithms.sources import Scores
from recommendations.algorithms.sources.ridge import normalised


class Content:
    """Cosine between an item and the profile of the history, in TF-IDF weights.

    A word that stands in `d` of `n` described items weighs ``log((1 + n) / (1 + d)) + 1``; rows
    have length 1; the profile is the sum of the history's rows, the recent ones counting more, to
    the power of `evenness`: the tenth red thing says less than the first.

    Parameters
    ----------
    words : csr_matrix of shape (n_items, n_words), dtype bool
        Which item is described by which word.
    half_life_days : float, optional
        Of the history, by the clock.
    fading : float
        Of the history, per step back.
    evenness : float
        1 leaves the sum, smaller values even it out.

    Attributes
    ----------
    described_ : csr_matrix of shape (n_items, n_words), dtype float32

    Source: Pazzani & Billsus (2007), "Content-Based Recommendation Systems".
    """

    described_: csr_matrix

    def __init__(
        self,
        words: csr_matrix,
        *,
        half_life_days: float | None = None,
        fading: float = 1.0,
        evenness: float = 0.5,
    ) -> None:
        self.words = words
        self.half_life_days = half_life_days
        self.fading = fading
        self.evenness = evenness

    def fit(self, log: Log) -> Self:
        """The log teaches nothing: a description needs no events."""
        n_described = int((np.diff(self.words.indptr) > 0).sum())
        met_in = np.bincount(self.words.indices, minlength=self.words.shape[1])
        rarity = np.log((1 + n_described) / (1 + met_in)) + 1
        self.described_ = normalised(self.words.astype(np.float32) @ diags_array(rarity))
        return self

    def score(self, asked: Histories) -> Scores:
        history = recency(asked, half_life_days=self.half_life_days, fading=self.fading)
        profile = (history @ self.described_).tocsr()
        profile.data **= self.evenness
        found: Scores = (normalised(profile) @ self.described_.T).toarray()
        return found
