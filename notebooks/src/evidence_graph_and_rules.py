# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Evidence, label graph and rules, in closed form
#
# Three steps lead from frozen features to consistent probabilities, and nothing in them is trained by gradient:
#
# * `Evidence`: ridge regression, its penalty chosen by exact leave-one-out, then a calibrated logit for each attribute;
# * `CooccurrenceGain`: scores corrected by which attributes occur together, known from a label table without pictures;
# * `ConstrainedBernoulli`: the exact distribution under the rules.
#
# The faces are drawn, so nothing is downloaded. Their label statistics imitate celebrity photographs and describe
# nobody. What the gain uses are regularities, not rules: on faces that contradict them it misleads, and that is
# measured too.
#
# The run takes about a minute on two cores. It is small on purpose; `make ablation` and `experiments/few_labels.yaml`
# are the tools for claims.

# %%
# ruff: noqa: E402
import warnings

# of other libraries, when they are imported: PyG under torch 2.15, and tqdm without ipywidgets
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
warnings.filterwarnings("ignore", "IProgress not found")

import pandas as pd
import torch

from faceinsight import ConstrainedBernoulli, RuleSet, tiny
from faceinsight.data import FaceBatch, FaceDataModule, SynthFaces, drawn_graph
from faceinsight.metrics import accuracy, auroc, contradicting_accuracy, violation_rate
from faceinsight.modules import CooccurrenceGain, Evidence
from faceinsight.modules.evidence import pool_levels

# %% [markdown]
# ## Features: what the frozen image encoder sees
#
# 60 labelled faces; all others are for testing. The graph is counted from the labels of other drawn people, whose faces
# are never drawn.

# %%
data = FaceDataModule(
    source=SynthFaces(count=500, image_size=64, progress=False), image_size=150, interpolation="bicubic", limit_train=60
)
rules, graph = RuleSet.load("synthfaces"), drawn_graph()
encoder = tiny.image_encoder()


def features(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's maps, pooled, and the labels."""
    faces = FaceBatch.cat([*data.faces_dataloader(rows)])
    with torch.no_grad():
        tokens = torch.cat([encoder(images) for images in faces.images.split(50)])
    return pool_levels(tokens, encoder.grid, encoder.levels), faces.labels


inputs, labels = features(data.train_rows())
test_inputs, test_labels = features(torch.cat([data.table.rows("val"), data.table.rows("test")]))
print(f"{len(inputs)} labelled faces, {len(test_inputs)} others, {inputs.shape[1]:,} numbers each")

# %% [markdown]
# ## Evidence, gain, rules
#
# Each line below is one part. `fit` returns every training face's score from the regression on all *other* faces: what
# is trained on top of evidence must see these, not the in-sample ones.

# %%
alone = Evidence.for_schema(schema=data.schema, num_features=inputs.shape[1])
left_out = alone.fit(inputs, labels)

joined = Evidence.for_schema(schema=data.schema, num_features=inputs.shape[1], gain=CooccurrenceGain(graph=graph))
joined.fit(inputs, labels)
print(f"share of the graph that leave-one-out likelihood takes: {joined.gain.amount.item():.2f}")

ruled = ConstrainedBernoulli(logits=joined(test_inputs), rules=rules)
contenders = {
    "evidence alone": alone(test_inputs).sigmoid(),
    "+ label graph": joined(test_inputs).sigmoid(),
    "+ rules (marginals)": ruled.marginals,
}

# %%
pd.DataFrame(
    {
        name: {
            "AUROC": auroc(probability.double(), test_labels).nanmean().item(),
            "accuracy": accuracy(probability, test_labels).nanmean().item(),
            "accuracy where a face contradicts a regularity": contradicting_accuracy(probability, test_labels).item(),
            "faces that break a rule": violation_rate(probability, rules).item(),
        }
        for name, probability in contenders.items()
    }
).round(3)

# %% [markdown]
# ## The most probable consistent face
#
# Marginals can still break a rule when each is decided by itself. The mode cannot.

# %%
rules.violations(ruled.mode).any().item()

# %% [markdown]
# ## What the gain listens to
#
# Row "Goatee": how much of each score enters its estimate. The largest is its own; the others are the label graph's.

# %%
gain = pd.DataFrame(joined.gain.gain(), index=joined.asked, columns=joined.names)
gain.loc["Goatee"].sort_values(key=abs, ascending=False).head(6).round(3)
