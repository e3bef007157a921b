#!/usr/bin/env python3
"""Known answers for divergence and perplexity, by numpy: writes tests/unit/eval_table.h to standard output.

Made with numpy 2.4.6 (any version gives the same digits)."""

import numpy as np

ROWS, TOKENS = 12, 17

rng = np.random.default_rng(4)
a = rng.normal(0, 3, (ROWS, TOKENS)).astype(np.float32)
b = (a + rng.normal(0, 0.5, (ROWS, TOKENS))).astype(np.float32)
b[3] = a[3]
a[5, 2] = 80  # nearly certain
following = rng.integers(0, TOKENS, ROWS)


def log_softmax(x):
    x = x.astype(np.longdouble)
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


log_a, log_b = log_softmax(a), log_softmax(b)
kl = (np.exp(log_a) * (log_a - log_b)).sum(axis=1)
loss_a, loss_b = (-x[np.arange(ROWS), following] for x in (log_a, log_b))
same = (a.argmax(axis=1) == b.argmax(axis=1)).astype(float)


def estimate(values):
    values = np.asarray(values, dtype=np.longdouble)
    return values.mean(), values.std(ddof=1) / np.sqrt(np.longdouble(len(values)))


def numbers(values, form="%.17g"):
    return ", ".join(form % float(v) for v in values)


def c_floats(values):
    return ", ".join(("%.9g" % v) + ("f" if "." in "%.9g" % v or "e" in "%.9g" % v else ".0f") for v in values)


def rows(name, values):
    body = ",\n".join("    {%s}" % c_floats(row) for row in values)
    return "static const float %s[TABLE_ROWS][TABLE_TOKENS] = {\n%s};" % (name, body)


perplexity_a, perplexity_b = np.exp(estimate(loss_a)[0]), np.exp(estimate(loss_b)[0])
shares = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
print("// Made by tests/tools/golden_eval.py with numpy; do not edit.")
print("// clang-format off")
print("enum { TABLE_ROWS = %d, TABLE_TOKENS = %d };" % (ROWS, TOKENS))
print(rows("table_a", a))
print(rows("table_b", b))
print("static const int table_next[TABLE_ROWS] = {%s};" % numbers(following, "%d"))
print("static const int table_top_a[TABLE_ROWS] = {%s};" % numbers(a.argmax(axis=1), "%d"))
print("static const double table_loss_a[TABLE_ROWS] = {%s};" % numbers(loss_a))
print("static const double table_loss_b[TABLE_ROWS] = {%s};" % numbers(loss_b))
print("static const double table_divergence[TABLE_ROWS] = {%s};" % numbers(kl))
for name, (mean, error) in (
        ("perplexity_a", (perplexity_a, perplexity_a * estimate(loss_a)[1])),
        ("perplexity_b", (perplexity_b, perplexity_b * estimate(loss_b)[1])),
        ("log_ratio", estimate(loss_b - loss_a)), ("mean_divergence", estimate(kl)), ("same_top", estimate(same))):
    print("static const double table_%s[2] = {%s};" % (name, numbers((mean, error))))
print("static const double table_quantiles[9] = {%s};" % numbers(np.quantile(kl.astype(float), shares)))
