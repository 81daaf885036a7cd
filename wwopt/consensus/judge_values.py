"""`judge_values`: who is right, of networks whose answers are values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wwopt.consensus.agree import agreement_of
from wwopt.consensus.case import MIN_ASKED, Case, Judged, competence_of, learned_share, share_votes, standing
from wwopt.consensus.judge_classes import too_few
from wwopt.consensus.skill import loss_of_constant, shared_spread

__all__ = ["judge_values"]


def judge_values(case: Case) -> Judged:
    """Take the training loss; without it, how far a network's answers move with the others'.

    Agreement with the mean answer rewards timid networks: on the evidence's tuning tasks its mean tau is .2, against
    .9 of the loss.
    """
    able, kin = case.able, case.kin
    known = able & np.isfinite(case.loss)
    if case.by_loss and known.any():
        constant = loss_of_constant(case.loss[known], case.answers.constant[known], None)
        competence = np.where(known, competence_of(case.loss, constant), 0.0)
        votes = share_votes(competence * case.voting, kin)
        values = np.where(known, learned_share(case.loss, constant), 0.0)
        judged = Judged(values, agreement_of(case.answers, votes, kin), competence, votes, case.loss)
        return replace(judged, doubt="Answers are values, of which the training loss tells more than agreement does")
    competence = np.where(able, standing(case.score, able), 0.0)
    votes = share_votes(competence * case.voting, kin)
    judged = Judged(
        np.where(able, shared_spread(case.answers.table, votes), 0.0),
        agreement_of(case.answers, votes, kin),
        competence,
        votes,
        np.full(len(able), np.nan),
        reason="its answers vary most along those of the others",
        voiceless={int(i): "its answers are all alike" for i in np.flatnonzero(able & ~case.voting)},
    )
    if (votes > 0).sum() < MIN_ASKED:
        # Of eight autoencoders the score chose a collapsed one in a third of the draws.
        rule = "the spread of its answers"
        return replace(judged, doubt=too_few(int(able.sum()), int((votes > 0).sum())), rule=rule)
    return judged
