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
# # One part in your own model
#
# Every part of FaceInsight is an `nn.Module` that works alone. Here two of them enter a plain timm ResNet:
#
# * `CorrelationConstraint` refines one vector per attribute over a graph of which attributes go together;
# * `LogicalConstraint` is a loss: how improbable it is that independent predictions keep the rules.
#
# The faces are drawn, so nothing is downloaded. Attribute labels of real photographs are annotators' impressions; those
# of drawn faces are what was drawn, and their co-occurrence imitates celebrity photographs. Neither describes people.
#
# The run takes about a minute on two cores. It is small on purpose, a few hundred faces and one seed: it shows how the
# parts are joined, and decides nothing about whether they help. `make ablation` is the tool for that.

# %%
# ruff: noqa: E402
import warnings

# of other libraries, when they are imported: PyG under torch 2.15, and tqdm without ipywidgets
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
warnings.filterwarnings("ignore", "IProgress not found")

import pandas as pd
import timm
import torch
from torch import nn

from faceinsight import ConstrainedBernoulli, LabelGraph, RuleSet
from faceinsight.data import FaceBatch, FaceDataModule, SynthFaces
from faceinsight.metrics import auroc, average_precision, violation_rate
from faceinsight.modules import CorrelationConstraint, LogicalConstraint
from faceinsight.modules.bce import masked_bce

# %% [markdown]
# ## Faces, graph and rules
#
# The set is drawn once and kept in `data/` beside this notebook. A face's identity is in one split only. The graph is
# counted from the training labels and from nothing else. Nothing is tuned below, so all other faces are for testing.

# %%
data = FaceDataModule(source=SynthFaces(count=500, image_size=64, progress=False), image_size=64)
table, schema = data.table, data.schema
faces = FaceBatch.cat([*data.faces_dataloader()])
train = table.rows("train")
test = torch.cat([table.rows("val"), table.rows("test")])

graph = LabelGraph.from_labels(data.train_labels(), schema)
rules = RuleSet.load("synthfaces")
print(table.describe(), graph, f"{len(rules)} rules, such as {rules.texts[4]!r}", sep="\n")


# %% [markdown]
# ## The model
#
# A multi-label classifier is one vector per attribute, multiplied with the picture's features. That is all the
# correlation constraint needs: the vectors pass through it first, as in ML-GCN. With `graph=None` it is not built, and
# what is left is a ResNet with a linear classifier.
#
# `residual="add"` keeps each vector and adds what it hears; two rounds of averaging would otherwise leave the vectors
# of neighbours much alike. It is an option of this library; the papers' equation is the default.


# %%
class AttributeResNet(nn.Module):
    """A small timm ResNet with one vector per attribute, refined over a label graph if there is one."""

    def __init__(self, num_attributes, graph=None):
        super().__init__()
        self.trunk = timm.create_model("test_resnet", num_classes=0)
        dim = self.trunk.num_features
        self.vectors = nn.Parameter(torch.randn(num_attributes, dim))
        self.bias = nn.Parameter(torch.zeros(num_attributes))
        self.correlation = None
        if graph is not None:
            self.correlation = CorrelationConstraint(graph=graph, embed_dim=dim, activation="between", residual="add")

    def forward(self, images):
        features = self.trunk((images - 0.5) / 0.25)
        vectors = self.vectors if self.correlation is None else self.correlation(self.vectors)
        return features @ vectors.T / features.shape[1] ** 0.5 + self.bias


# %% [markdown]
# The logical constraint is one more term of the loss. BCE is a mean over attributes, in nats; the semantic loss is in
# nats for a whole face. So a weight of `1 / len(schema)` would count a nat of either alike; here it is twice that.


# %%
def fit(model, logical_weight=0.0, epochs=8, batch_size=32, lr=1e-2):
    """Train on the training faces; every variant sees the same batches in the same order."""
    logical = LogicalConstraint(rules=rules)
    steps = epochs * (len(train) // batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        shuffled = train[torch.randperm(len(train), generator=order)]
        for rows in shuffled.split(batch_size)[: len(train) // batch_size]:
            images = faces.images[rows]
            if torch.rand((), generator=order) < 0.5:
                images = images.flip(-1)
            logits = model(images)
            loss = masked_bce(logits, faces.labels[rows])
            if logical_weight:
                loss = loss + logical_weight * logical(logits)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


# %% [markdown]
# ## With and without
#
# The third variant is the control that must stand beside every claim about a graph: the same module with the same
# number of weights on the **identity graph**, where every attribute hears only itself. What the second variant gains
# over the first may come from the added layers; only what it gains over the third can come from the graph.

# %%
weight = 2 / len(schema)
variants = {
    "plain ResNet": {"graph": None, "logical_weight": 0.0},
    "+ correlation": {"graph": graph, "logical_weight": 0.0},
    "+ correlation, identity graph (control)": {"graph": graph.identity(), "logical_weight": 0.0},
    "+ logical": {"graph": None, "logical_weight": weight},
    "+ correlation + logical": {"graph": graph, "logical_weight": weight},
}

logits = {}
for name, variant in variants.items():
    torch.manual_seed(0)  # the trunk and the vectors start alike in every variant
    model = fit(AttributeResNet(len(schema), variant["graph"]), variant["logical_weight"])
    with torch.no_grad():
        logits[name] = model(faces.images[test])

# %% [markdown]
# `violation rate` is the share of test faces whose thresholded predictions break at least one rule; `consistent
# readout` is the same for the most probable assignment that keeps the rules (`ConstrainedBernoulli.mode`), which is
# zero by construction, for any model, trained with the constraint or not. AUROC and mAP are means over the attributes
# that vary among the test faces; a ranking does not depend on a threshold. The last row has what a random ranking is
# expected to reach, and how often the labels themselves break a rule.

# %%
labels = faces.labels[test]
results = {}
for name, value in logits.items():
    probability = value.sigmoid()
    consistent = ConstrainedBernoulli(logits=value, rules=rules).mode
    results[name] = {
        "AUROC": auroc(probability, labels).nanmean().item(),
        "mAP": average_precision(probability, labels).nanmean().item(),
        "violation rate": violation_rate(probability, rules).item(),
        "consistent readout": violation_rate(consistent, rules).item(),
    }
prevalence = (labels == 1).float().mean(0)
varying = (prevalence > 0) & (prevalence < 1)
results["labels, or chance"] = {
    "AUROC": 0.5,
    "mAP": prevalence[varying].mean().item(),
    "violation rate": rules.violations(labels).any(1).float().mean().item(),
    "consistent readout": None,
}
pd.DataFrame(results).T.style.format(precision=3, na_rep="-")

# %% [markdown]
# ## How to read this
#
# * Mind the size. The cell below gives the half-width of a 95 % interval for a share measured on this many faces;
#   another seed moves the numbers too, and none of this is a test of a difference.
# * Compare `+ correlation` with the identity graph, not only with the plain network.
# * Read the violation rate beside AUROC and mAP. A model that gives every face the same consistent answer breaks no
#   rule and knows nothing; consistent is not the same as right.
# * A violation need not be a contradiction. Where thresholding at one half leaves *none* of the four ages above it,
#   that breaks `exactly_one` as much as two ages would. The second table tells the rules apart.

# %%
print(f"{len(test)} test faces: a share of one half is known to +/- {1.96 * (0.25 / len(test)) ** 0.5:.2f}")

# %%
broken = {
    name: rules.violations(value > 0).float().mean(0).tolist()
    for name, value in logits.items()
    if name in ("plain ResNet", "+ logical")
}
pd.DataFrame(broken, index=pd.Index(rules.texts, name="share of faces that break")).style.format(precision=3)

# %% [markdown]
# ## From here
#
# * The other loss: `LogicalConstraint(rules=rules, kind="conditional")(logits, labels)` stands in BCE's place.
# * The other graphs: `LabelGraph.from_labels(..., edges="lift")`, `graph.shuffled(seed)`, `graph.uniform()`; see
#   `label_graph_and_rules`.
# * Your own data: `Schema.from_names([...])`, labels of 1, -1 and 0 (not annotated), and
#   `RuleSet.parse("Bald -> not Bangs", schema)`.
# * A comparison to trust, with seeds, intervals and controls: `faceinsight ablate experiments/constraints.yaml`.
