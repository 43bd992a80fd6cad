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
# Three steps lead from frozen features to consistent probabilities. Nothing in them is trained by gradient:
#
# * `Evidence`: ridge regression, its penalty chosen by exact leave-one-out, then a calibrated logit for each attribute;
# * `CooccurrenceGain`: scores corrected by which attributes occur together, known from a label table without pictures;
# * `ConstrainedBernoulli`: the exact distribution under the rules.
#
# The faces are drawn, so nothing is downloaded. Their label statistics imitate celebrity photographs and describe
# nobody. The run takes about a minute on two cores and is small on purpose; `experiments/few_labels.yaml` is for
# claims.

# %%
# ruff: noqa: E402
import warnings

# of other libraries, when they are imported: PyG under torch 2.15, and tqdm without ipywidgets
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
warnings.filterwarnings("ignore", "IProgress not found")

import matplotlib.pyplot as plt
import pandas as pd
import torch

from faceinsight import ConstrainedBernoulli, RuleSet, tiny
from faceinsight.data import FaceBatch, FaceDataModule, SynthFaces, drawn_graph
from faceinsight.metrics import accuracy, auroc, contradicting_accuracy, violation_rate
from faceinsight.modules import CooccurrenceGain, Evidence
from faceinsight.modules.evidence import pool_levels

# %% [markdown]
# ## Features
#
# What the frozen image encoder sees of 60 labelled faces, and of all others, which are for testing.

# %%
source = SynthFaces(count=500, image_size=64, progress=False)
data = FaceDataModule(source=source, image_size=150, interpolation="bicubic", limit_train=60)
encoder = tiny.image_encoder()


def read(rows):
    """Return faces and their features: the encoder's maps, pooled."""
    faces = FaceBatch.cat([*data.faces_dataloader(rows)])
    with torch.no_grad():
        tokens = torch.cat([encoder(images) for images in faces.images.split(50)])
    return faces, pool_levels(tokens, encoder.grid, encoder.levels)


train, features = read(data.train_rows())
test, test_features = read(torch.cat([data.table.rows("val"), data.table.rows("test")]))

# %% [markdown]
# ## Evidence, gain and logic
#
# The graph is counted from the labels of other drawn people, whose faces are never drawn. `fit` returns the score of
# every training face from the regression on all *other* faces: what is trained on top of evidence must see these.

# %%
rules, graph = RuleSet.load("synthfaces"), drawn_graph()
gain = CooccurrenceGain(graph=graph)

alone = Evidence.for_schema(schema=data.schema, num_features=features.shape[1])
left_out = alone.fit(features, train.labels)
joined = Evidence.for_schema(schema=data.schema, num_features=features.shape[1], gain=gain)
joined.fit(features, train.labels)
ruled = ConstrainedBernoulli(logits=joined(test_features), rules=rules)

# %% [markdown]
# The graph helps most where labels are few. Its price is paid by faces that contradict a regularity (a man with
# lipstick, a bald woman): regularities are not rules. Marginals rank faces, and break few rules when each is decided by
# itself. The mode is one decision about all attributes: it breaks none, and does not rank.

# %%
answers = {
    "evidence": alone(test_features).sigmoid(),
    "+ label graph": joined(test_features).sigmoid(),
    "+ rules, marginals": ruled.marginals,
    "+ rules, mode": ruled.mode,
}
pd.DataFrame(
    {
        name: {
            "AUROC": auroc(answer.double(), test.labels).nanmean().item(),
            "accuracy": accuracy(answer, test.labels).nanmean().item(),
            "accuracy on faces that contradict a regularity": contradicting_accuracy(answer, test.labels).item(),
            "faces that break a rule": violation_rate(answer, rules).item(),
        }
        for name, answer in answers.items()
    }
).style.format("{:.3f}")

# %% [markdown]
# ## What the rules do to a face
#
# The first four test faces that break a rule on age before the logic, since no age reaches one half. Grey lines lead
# from the evidence to the marginals; the mode is circled. It is consistent, not always right.

# %%
ages = ["Young", *data.schema.groups["age"].labels]
columns = [data.schema.index(name) for name in ages]
on_age = torch.tensor([any(name in text for name in ages) for text in rules.texts])
broken = (rules.violations(answers["+ label graph"] > 0.5) & on_age).any(1).nonzero().flatten()
colours = {"evidence": "#b0b0b0", "+ label graph": "#33658a", "+ rules, marginals": "#c8553d"}

figure, grid = plt.subplots(2, 4, figsize=(12, 5.6), height_ratios=[1.2, 1], layout="constrained", dpi=110)
for (above, below), face in zip(grid.T, broken[:4], strict=True):
    drawn = [name for name, column in zip(ages, columns, strict=True) if test.labels[face, column] == 1]
    above.imshow(test.images[face].movedim(0, 2))
    above.set_title("drawn as " + ", ".join(drawn).replace("_", " "), fontsize=10)
    above.axis("off")
    said = {name: answers[name][face, columns] for name in colours}
    first, *_, last = said.values()
    below.hlines(range(len(ages)), first, last, color="#e0e0e0", linewidth=2, zorder=0)
    for name, colour in colours.items():
        below.plot(said[name], range(len(ages)), "o", color=colour, label=name)
    mode = ruled.mode[face, columns].nonzero().flatten()
    below.plot(last[mode], mode, "o", markersize=13, color=colours["+ rules, marginals"], fillstyle="none")
    below.set(xlim=(-0.05, 1.05), yticks=range(len(ages)), yticklabels=[], xlabel="probability")
    below.invert_yaxis()
    below.tick_params(length=0)
    below.spines[["top", "right", "left"]].set_visible(False)
grid[1, 0].set_yticklabels([name.replace("_", " ") for name in ages])
figure.legend(*below.get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower center")
plt.show()

# %% [markdown]
# ## What the gain listens to
#
# How much of the other attributes' scores enters an estimate: blue raises it, red lowers it. An attribute's own score
# is left out.

# %%
heard = pd.DataFrame(joined.gain.gain(), index=joined.asked, columns=joined.names)
figure, row = plt.subplots(1, 3, figsize=(12, 2.6), layout="constrained", dpi=110)
for axes, name in zip(row, ["Goatee", "Heavy_Makeup", "Senior"], strict=True):
    others = heard.loc[name].drop(name).sort_values(key=abs).tail(6)
    signs = ["#c8553d" if each < 0 else "#33658a" for each in others]
    axes.barh(others.index.str.replace("_", " "), others, color=signs)
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
plt.show()
