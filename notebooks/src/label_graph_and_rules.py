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
# # A label graph and its rules
#
# Two kinds of knowledge about face attributes, and how to look at them before a network learns anything:
#
# * a **label graph** says which attributes go together in the data, as counted;
# * **rules** say which combinations make sense at all, as written by a person.
#
# The faces are drawn (SynthFaces), so nothing is downloaded. Labels of real photographs are annotators' impressions,
# and the drawn population imitates the statistics of celebrity photographs: what is counted below describes a data
# set, not people.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.colors import LogNorm

from faceinsight import ConstrainedBernoulli, LabelGraph, RuleSet, Schema
from faceinsight.data import SynthFaces
from faceinsight.data.inspection.sheet import sheet_of

# %% [markdown]
# ## Named attributes
#
# A `Schema` names the attributes; every tensor with an `attr` axis is in its order.

# %%
schema = Schema.load("synthfaces")
pd.DataFrame([(group.name, group.kind, ", ".join(group.labels)) for group in schema.groups.values()],
             columns=["group", "kind", "labels"])  # fmt: skip

# %% [markdown]
# The set is drawn once (some seconds) and kept in `data/` beside this notebook. Labels are 1 (yes), -1 (no) and 0
# (not annotated; drawn faces have none of these).

# %%
source = SynthFaces(count=500, image_size=64, progress=False)
source.prepare()
table = source.table()
labels = table.labels[table.rows("train")]
share = (labels == 1).float().mean(0)
print(table.describe())

# %%
sheet_of(source, faces=24, image_size=64, columns=12)

# %% [markdown]
# ## Who hears whom
#
# `LabelGraph.from_labels` counts the training labels. With `edges="probability"`, attribute *i* hears *j* where
# p(j | i) reaches the threshold, as in ML-GCN and FaceInsight. With `edges="lift"`, where p(j | i) / p(j) does: where
# *j* is so many times as frequent among the faces with *i* as among all.

# %%
by_probability = LabelGraph.from_labels(labels, schema)
by_lift = LabelGraph.from_labels(labels, schema, edges="lift")
print(by_probability, by_lift, sep="\n")

# %% [markdown]
# Left, p(j | i): row *i* is the attribute that hears. Right, the lift on a logarithmic scale: blue is rarer together
# than by chance, red more frequent, grey never seen together. Dots are edges. Attributes are ordered so that those
# which go together stand together (by the leading eigenvector of the labels' correlations).

# %%
correlation = torch.nan_to_num(torch.corrcoef(labels.float().T))
order = torch.linalg.eigh(correlation).eigenvectors[:, -1].argsort()
names = [schema.names[index].replace("_", " ") for index in order]


def heat_map(axes, values, graph, title, **options):
    """One matrix in the chosen order, edges as dots."""
    picture = axes.imshow(values[order][:, order], interpolation="nearest", **options)
    edge = graph.weights.clone().fill_diagonal_(0)[order][:, order] > 0
    heard, source = edge.nonzero().unbind(1)
    axes.scatter(source, heard, s=3, color="black", linewidths=0)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(length=0)
    axes.set_title(f"{title}, {len(graph.edges)} edges", fontsize=10)
    return picture


other = ~torch.eye(len(schema), dtype=torch.bool)
log_lift = by_lift.lift.log2().masked_fill(by_lift.lift == 0, torch.nan).masked_fill(~other, 0)
probability = by_probability.probability.masked_fill(~other, torch.nan)
diverging = plt.get_cmap("RdBu_r").with_extremes(bad="0.8")

figure, (left, right) = plt.subplots(1, 2, figsize=(16, 8), layout="constrained", dpi=110)
shown = heat_map(left, probability, by_probability, "p(j | i)", cmap="Oranges", vmin=0, vmax=1)
figure.colorbar(shown, ax=left, shrink=0.7, label="p(j | i)")
shown = heat_map(right, log_lift, by_lift, "lift", cmap=diverging, vmin=-3, vmax=3)
ticks = figure.colorbar(shown, ax=right, shrink=0.7, label="times as frequent as by chance")
ticks.set_ticks(range(-3, 4), labels=["1/8", "1/4", "1/2", "1", "2", "4", "8"])
left.set_ylabel("hears (i)")
left.set_xlabel("is heard (j)")
plt.show()

# %% [markdown]
# Full columns on the left are attributes that nearly everybody hears. A conditional probability is high for whatever is
# frequent, so ask how much of the graph is mere frequency: below, for the attributes heard most in the first graph,
# their share of faces and how many hear them in either graph.

# %%
listeners = pd.DataFrame(
    {
        "share of faces": pd.Series(share.numpy(), schema.names),
        "heard by (probability)": by_probability.edges_frame()["source"].value_counts(),
        "heard by (lift)": by_lift.edges_frame()["source"].value_counts(),
    }
).fillna(0)
listeners.sort_values("heard by (probability)", ascending=False).head(10).style.format(
    {"share of faces": "{:.2f}", "heard by (probability)": "{:.0f}", "heard by (lift)": "{:.0f}"}
)

# %% [markdown]
# `edges_frame` is the graph as a table: `target` hears `source`. Here the edges with the highest lift, and everything
# that one attribute hears. Look at `count` before believing a number: pairs of rare attributes rest on few faces.

# %%
by_lift.edges_frame().sort_values("lift", ascending=False).head(8).round(2)

# %%
edges = by_probability.edges_frame()
edges[edges["target"] == "Goatee"].sort_values("lift", ascending=False).round(2)

# %% [markdown]
# ## Row or column
#
# Neighbours share a weight of `reweight` (0.2), and the attribute itself keeps the rest. *Who* shares is a choice, and
# ports of ML-GCN differ on it. With `normalise="row"`, what an attribute hears sums to one. With `"column"`, as in
# ML-GCN's equation, what it *gives* sums to one: an attribute heard by many is heard faintly by each.

# %%
by_column = LabelGraph.from_labels(labels, schema, normalise="column")
i, j = schema.index("Goatee"), schema.index("Male")
pd.DataFrame(
    {
        graph.settings.normalise: {
            "Goatee hears Male with": graph.weights[i, j].item(),
            "Goatee hears in all": graph.weights[i].sum().item(),
            "Male gives in all": graph.weights[:, j].sum().item(),
        }
        for graph in (by_probability, by_column)
    }
).round(3)

# %% [markdown]
# ## Controls
#
# A graph convolution also adds layers and weights. So a claim about a graph is made against the same module on a graph
# that knows nothing (`identity`: each hears only itself; `uniform`: each hears all others alike) or knows it wrongly
# (`shuffled`: each attribute in another's place).

# %%
controls = {
    "counted": by_lift,
    "identity": by_lift.identity(),
    "uniform": by_lift.uniform(),
    "shuffled": by_lift.shuffled(seed=0),
}
figure, row = plt.subplots(1, len(controls), figsize=(13, 3.6), layout="constrained")
for axes, (name, graph) in zip(row, controls.items(), strict=True):
    shown = axes.imshow(graph.weights[order][:, order], cmap="Greys", norm=LogNorm(1e-3, 1), interpolation="nearest")
    axes.set(title=f"{name}, {len(graph.edges)} edges", xticks=[], yticks=[])
figure.colorbar(shown, ax=row, shrink=0.8, label="weight (none: white)")
plt.show()

# %% [markdown]
# ## Rules
#
# Rules are propositional logic over names. *Logical* rules hold by the meaning of the words and are on by default;
# *statistical* ones are regularities of some photographs and are off (`strength="all"` adds them), because enforcing
# them enforces the bias. Attributes that rules connect form a component; each component's consistent assignments are
# counted one by one, which makes everything below exact.

# %%
rules = RuleSet.load("synthfaces")
print(rules.to_text())
pd.DataFrame(
    [(", ".join(each.attributes), len(each.models), 2 ** len(each.attributes)) for each in rules.components],
    columns=["component", "consistent assignments", "of"],
).style.hide(axis="index")

# %% [markdown]
# ### Labels that break rules
#
# The drawn labels keep every logical rule. To see the check at work, turn over 2 % of them and hide another 20 %. A
# rule is broken only where the labels that are left decide it (`decided`); hidden labels accuse nobody.

# %%
chance = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0))
noisy = torch.where(chance < 0.02, -labels, labels).masked_fill(chance > 0.8, 0)
broken = rules.violations(noisy)
first = int(broken.any(1).nonzero()[0])
print(f"before: {int(rules.violations(labels).any(1).sum())} of {len(labels)} faces break a rule")
print(f"after:  {int(broken.any(1).sum())} of {len(labels)}")
print(f"face {first} breaks:", *(rules.texts[index] for index in broken[first].nonzero().flatten()), sep="\n  ")

# %%
print(rules.lint(noisy))

# %% [markdown]
# ### Rules that say too little or too much
#
# Without labels the linter looks at the rules alone.

# %%
suspicious = RuleSet.parse(
    [
        "Bald -> not Bangs",
        "not (Bangs and Bald)",
        "Smiling -> Smiling or Young",
        "Wearing_Hat and not Wearing_Hat",
    ],
    schema,
)
print(suspicious.lint())

# %% [markdown]
# ## What consistent means
#
# A network gives each attribute a probability of its own, as if they were independent. `ConstrainedBernoulli` is that
# distribution *given that the rules hold*. It answers two questions that are easily confused:
#
# * `marginals`: how probable is this attribute, given the rules? Each attribute is judged by itself.
# * `mode`: which single assignment of all attributes is the most probable one that keeps the rules?
#
# Marginals are the better scores for ranking faces, but thresholding them one by one need not give a consistent face.
# The mode always is one. Below, a model that is sure of one face except for its age: an adult of some kind.

# %%
face = int((labels[:, schema.index("Young_Adult")] == 1).nonzero()[0])
logits = labels[face].float() * 4
for name, value in {"Young": 0.3, "Child": -3.0, "Young_Adult": 1.0, "Middle_Aged": 0.9, "Senior": 0.7}.items():
    logits[schema.index(name)] = value

given_rules = ConstrainedBernoulli(logits=logits, rules=rules)
readings = {
    "independent": logits.sigmoid(),
    "marginal": given_rules.marginals,
    "mode": given_rules.mode,
}
age = ["Young", *schema.groups["age"].labels]
pd.DataFrame({name: reading[[schema.index(each) for each in age]].numpy() for name, reading in readings.items()},
             index=age).round(3)  # fmt: skip

# %%
for name, reading in readings.items():
    yes = reading > 0.5
    said = [each for each in age if yes[schema.index(each)]]
    violated = [rules.texts[index] for index in rules.violations(yes[None])[0].nonzero().flatten()]
    print(f"{name:12} says {', '.join(said) or 'no age at all'}; breaks {'; '.join(violated) or 'no rule'}")

# %% [markdown]
# `log_partition` is the log-probability that independent draws would keep the rules; its negative is the semantic loss.
# `log_prob` is minus infinity for an inconsistent assignment, and samples never are one.

# %%
print(f"independent draws keep the rules with probability {given_rules.log_partition.exp():.3f}")
print(f"log-probability of the mode: {given_rules.log_prob(given_rules.mode):.3f}")
print(f"... of all attributes at once: {given_rules.log_prob(torch.ones(len(schema))):.3f}")
draws = given_rules.sample((1000,), generator=torch.Generator().manual_seed(0))
print(f"{int(rules.violations(draws > 0.5).any(1).sum())} of {len(draws)} samples break a rule")

# %% [markdown]
# Consistent does not mean right: the mode can be a face that keeps every rule and is somebody else's. Nor does it mean
# fair: rules pass on whatever their author believed. `one_part_in_your_own_model` trains with both.
