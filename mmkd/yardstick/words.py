"""What docs/performance.md says around its tables."""

HEAD = """# What a step costs

Three students with the same weights take turns, step by step, at the same batch in
one process: **alone**, in a distillation loop written **by hand** with the mm
packages and plain torch ([by_hand.py](../mmkd/yardstick/by_hand.py)), and in
**mmkd**. In the first step the losses by hand and in mmkd must agree to 1e-4, or
nothing is measured. The largest relative difference in these tables was {apart}.

Below are medians of the ratios of neighbouring steps, with the quartiles in brackets.
`mmkd / by hand` is what mmkd itself costs; where the quartiles lie on both sides of 1,
no difference is seen. `mmkd / alone` is what distillation costs. `kd × 8` has the same
term eight times. What a method makes of the teacher first (a codebook, a classifier) is
random, and all terms have their whole weight. Layers that stay in the student are as
wide as their method has them, whatever the student's size: on small images they are
most of the step."""

STEPS = """## On {device}

{facts}

{reading}

{table}

![Parts of a step, and mmkd beside a loop by hand](images/{image})

Where the time and the memory go: shares of a step of mmkd, and the most MiB of tensors
that a step holds beyond what is there before it (without weights and optimizer).
*Rest* is the preprocessing, the optimizer and what mmkd does between its parts.
{memory}

{parts}"""

GROWTH = """## What grows with what

The same three steps while one thing grows. Both axes of the chart are logarithmic:
lines that are parallel grow alike. More terms are more arithmetic, by hand too."""

LOSSES = """## The losses by themselves

Each loss, forward and backward, beside the fastest form of it that we could write
without compiling ([cheapest.py](../mmkd/yardstick/cheapest.py)); they agree to 1e-5,
gradients too. *Least* is the memory of the form that needs least: the most MiB of
tensors beyond the features."""

RANKS = """## Several processes

The same on several processes that average their gradients with gloo: the student alone
in mmengine's DDP, the loop by hand in torch's, and mmkd in mmengine's, in one process
group. A process has its own images; what it waits for the others counts."""

TEACHERS = """## The teacher

The teacher's part of a step: by hand, and how many times faster it is in mmkd with
each of the [teacher_options](free_teacher.md); in brackets how far the term's value is
off."""

RAZOR = """## Beside mmrazor

The same step in mmrazor 1.0.0, with equal weights and equal losses. It does not import
beside torch 2.1 or 2.5, so empty modules stand in for what it searches, prunes and
quantizes with ([razor.py](../mmkd/yardstick/razor.py)). Detectors have its
`FpnTeacherDistill`, as in its config of this pair. `SingleTeacherDistill`, which it has
for everything else, computes the teacher's own losses too, and leaves the teacher's
dropout on (it is off here, since the losses would differ)."""

STARTUP = """## Start-up

Seconds of the processor, medians, until an import is done or a tool has shown its
`--help`; and how much of that is beyond the import of mmengine's model, hooks and
runner, which every training needs."""

MISSING = """## What is missing

{missing}

Weights are random and images noise, so a detector may find more or fewer regions than
in a real training. On a CPU the memory is the sum of what torch's allocator gave and
took back in one step, as `torch.profiler` lists it; buffers of libraries are not in it.
On a GPU it is `max_memory_allocated`. The loops by hand run the teacher as deep as mmkd
does, no deeper, and before the student."""

AGAIN = """## Again

```bash
{commands}
```

`--pairs` also takes the config file of a distillation. Without `--size` and `--batch`
they are small on a CPU and usual on a GPU. `--docs` writes this page from the results
in `--out`.
"""
