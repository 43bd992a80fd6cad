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
# # From a sentence to a guaranteed output
#
# Rules over named attributes, written as sentences, become a probability distribution: exact, differentiable, on
# logits of any classifier. This notebook writes rules, lets the linter look at them and at noisy labels, decodes a
# classifier's output so that no rule is ever broken, and asks what would change if something were known.
#
# No photograph and no network is needed: faces are drawn from the distribution itself, and the classifier is a
# simulated one whose errors are known. Labels of real photographs are annotators' impressions.

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch

from faceinsight import ConstrainedBernoulli, RuleSet, Schema
from faceinsight.knowledge.logic.language import RuleSyntaxError
from faceinsight.modules import ConsistentDecoder, ShieldLayer

# %% [markdown]
# ## Sentences
#
# Names, `and`, `or`, `not`, `->`, `<->` and three ways to count. A name that the schema does not have is told with
# the nearest one, and with its place.

# %%
schema = Schema.load("celeba")
try:
    RuleSet.parse("Bald -> not (Bangs or Wavey_Hair)", schema)
except RuleSyntaxError as error:
    print(error)

# %%
rules = RuleSet.parse(
    """
    Bald -> not (Bangs or Straight_Hair or Wavy_Hair)
    No_Beard -> not (Goatee or Mustache or Sideburns)
    at_most_one(Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair)
    not (Straight_Hair and Wavy_Hair)
    Bald -> not (Black_Hair or Blond_Hair or Brown_Hair)
    """,
    schema,
)
pd.DataFrame(
    [(", ".join(each.attributes), f"{each.count:,}", f"{2 ** len(each):,}") for each in rules.components],
    columns=["attributes that rules join", "consistent assignments", "of"],
)

# %% [markdown]
# ## Are the rules sound?
#
# The linter finds what contradicts itself (with a smallest conflict), what is said twice, what says nothing, and
# attributes that are left only one value. The same stands behind `faceinsight lint`.

# %%
print(RuleSet.parse([*rules.texts, "Bangs -> not Bald", "Smiling -> Smiling or Young"], schema).lint())

# %%
print(RuleSet.parse([*rules.texts, "Bald", "Smiling -> Wavy_Hair", "Smiling or Bangs"], schema).lint())

# %% [markdown]
# ## Faces, and a classifier that errs
#
# A thousand faces that keep the rules, drawn exactly; then logits as a mediocre classifier would give them: right on
# the whole, with noise, each attribute by itself. Thresholding them breaks rules.

# %%
generator = torch.Generator().manual_seed(0)
tendency = torch.randn(40, generator=generator) - 0.5
faces = ConstrainedBernoulli(logits=tendency, rules=rules).sample((1000,), generator=generator)
logits = 3 * (2 * faces - 1) * 0.5 + tendency + 1.8 * torch.randn(faces.shape, generator=generator)

decided = {
    "threshold": logits,
    "shield layer": ShieldLayer(rules=rules)(logits),
    "marginals": ConsistentDecoder(rules=rules, decisions="marginals")(logits),
    "mode": ConsistentDecoder(rules=rules)(logits),
}
ruled = torch.cat([each.index for each in rules.components])
table = pd.DataFrame(
    {
        name: {
            "faces that break a rule": rules.violations(values > 0).any(1).float().mean().item(),
            "accuracy of the ruled attributes": ((values > 0) == (faces > 0.5))[:, ruled].float().mean().item(),
            "all ruled attributes right": ((values > 0) == (faces > 0.5))[:, ruled].all(1).float().mean().item(),
        }
        for name, values in decided.items()
    }
).T
table.style.format("{:.1%}")

# %% [markdown]
# The shield layer clamps attributes along an ordering; the mode is the most probable consistent face; the marginals
# are best for each attribute by itself, and may break a rule. What a rule is worth depends on how often the
# classifier breaks it by itself: with a strong classifier hardly anything changes.

# %%
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
bars = axes.barh(list(table.index)[::-1], table["all ruled attributes right"][::-1], color="0.4", height=0.6)
axes.bar_label(bars, [f"{value:.1%}" for value in table["all ruled attributes right"][::-1]], padding=3)
axes.set(xlim=(0, 0.3), xlabel="faces with all ruled attributes right")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What if?
#
# `condition` adds what is known of a face to the rules. Here the face whose hair colour is least sure: what its hair
# attributes would be if it were known to be bald, or blond.

# %%
hair = ["Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair"]
columns = [schema.index(name) for name in hair]
given_rules = ConstrainedBernoulli(logits=logits, rules=rules)
unsure = int((given_rules.marginals[:, columns] - 0.5).abs().sum(1).argmin())
one = ConstrainedBernoulli(logits=logits[unsure], rules=rules)
readings = {
    "by itself": one.logits.sigmoid(),
    "given the rules": one.marginals,
    "if bald": one.condition({"Bald": True}).marginals,
    "if blond": one.condition({"Blond_Hair": True}).marginals,
}
pd.DataFrame({name: reading[columns].numpy() for name, reading in readings.items()}, index=hair).round(3)

# %% [markdown]
# Knowing something can only be as surprising as the rules and the logits make it: `log_partition` before and after
# tells by how many nats.

# %%
for name in hair:
    surprise = one.log_partition - one.condition({name: True}).log_partition
    print(f"{name:14} {surprise:5.2f} nats")

# %% [markdown]
# ## Labels that break rules
#
# Annotators err too. One label in fifty is turned over here, and one in five hidden. The linter counts how often each
# rule is broken where the labels that are left decide it, and tells the ceiling that this puts on *any* model whose
# outputs keep the rules.

# %%
chance = torch.rand(faces.shape, generator=generator)
labels = torch.where(faces > 0.5, 1, -1).to(torch.int8)
noisy = torch.where(chance < 0.02, -labels, labels).masked_fill(chance > 0.8, 0)
report = rules.lint(noisy)
print(report)

# %%
checked = report.labels
print(f"exact match of a consistent model: at most {checked.exact_match_ceiling:.1%}")
print(f"share of right labels: at most {checked.accuracy_ceiling:.2%} ({checked.changes} labels must change)")

# %% [markdown]
# ## Rules that join many attributes
#
# Consistent assignments double with every free attribute, so they are not written down: a component becomes a
# decision diagram, in which assignments share what they have in common. Forty attributes in a chain:

# %%
chain = Schema.from_names([f"a{number}" for number in range(40)])
long = RuleSet.parse([f"a{number} -> a{number + 1} or a{(number + 2) % 40}" for number in range(39)], chain)
(component,) = long.components
print(f"{component.count:,} consistent assignments of {2**40:,} in {component.diagram.nodes} nodes")
many = ConstrainedBernoulli(logits=torch.randn(1000, 40, generator=generator), rules=long)
print(f"modes that break a rule: {int(long.violations(many.mode > 0.5).any(1).sum())} of 1,000")

# %% [markdown]
# Exact is not the same as right: rules pass on whatever their author believed, and a consistent face can be somebody
# else's. Regularities of photographs (`faceinsight mine` finds them) are *statistical* rules here, off unless asked
# for.
