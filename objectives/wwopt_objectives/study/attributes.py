"""Names of the attributes that a trial and its study keep in Optuna's storage."""

__all__ = [
    "ANSWERS",
    "ARTIFACTS",
    "ARTIFACT_FOLDER",
    "INPUTS",
    "PRUNED_BY",
    "SCORE",
    "STATE",
    "STEP",
    "SUMMARY",
    "TRAIN_LOSS",
    "TRIAL_ATTRIBUTES",
]

SCORE = "ww_score"  # of a trial: its score and the terms; of a study: the score's name, version and parameters
SUMMARY = "ww_summary"
STEP = "ww_step"
TRAIN_LOSS = "train_loss"
STATE = "ww_state"
PRUNED_BY = "ww_pruned_by"
ARTIFACTS = "ww_artifacts"
ANSWERS = "ww_answers"
ARTIFACT_FOLDER = "ww_artifact_folder"  # of a study
INPUTS = "ww_inputs"  # of a study: what its trials were asked

TRIAL_ATTRIBUTES = (STATE, SCORE, SUMMARY, STEP, TRAIN_LOSS, PRUNED_BY, ARTIFACTS, ANSWERS)
