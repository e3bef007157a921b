#!/usr/bin/env python3
"""Divergence and perplexity of two models as numpy computes them from their saved logits, against tern's figures.

    check_logits.py TERN A.gguf B.gguf

The layout of the files is read as docs/checking.md describes it."""

import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

CONTEXT = 32


def read_saved(path):
    """(tokens [chunks][context], predictions): of each row its exact ln p, its top, all ln p as 16 bits
    hold them, and how far apart these are."""
    data = open(path, "rb").read()
    magic, version, flags, vocabulary, context, chunks, name_length = struct.unpack_from("<8sIIIIQI", data)
    assert magic == b"ternlgts" and version == 1
    at = 48 + name_length
    tokens = np.frombuffer(data, "<i4", chunks * context, at).reshape(chunks, context)
    at = (at + tokens.nbytes + 7) // 8 * 8
    scored, row_bytes = context - 1 - context // 2, (24 + 2 * vocabulary + 7) // 8 * 8
    exact, tops, logs, steps = [], [], [], []
    for _ in range(chunks):
        for row in range(scored):
            start = at + row * row_bytes
            log_probability, highest, step, top = struct.unpack_from("<dffI", data, start)
            codes = np.frombuffer(data, "<u2", vocabulary, start + 24)
            exact.append(log_probability)
            tops.append(top)
            steps.append(step)
            logs.append(highest - step * codes.astype(np.float64))
        at += scored * row_bytes + 8
    assert at == len(data)
    return tokens, np.array(exact), np.array(tops), np.array(logs), np.array(steps)


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def run(tern, *words):
    return json.loads(subprocess.run([tern, *words, "--json"], check=True, stdout=subprocess.PIPE).stdout)


class Check:
    failed = 0

    def near(self, what, found, expected, tolerance):
        if not abs(found - expected) <= tolerance * max(1, abs(expected)):
            print(f"{what} is {found!r}, numpy has {expected!r}")
            self.failed += 1

    def estimate(self, what, found, values, tolerance, scale=1.0):
        self.near(what, found["mean"], scale * values.mean(), tolerance)
        self.near(f"{what}'s error", found["error"], scale * values.std(ddof=1) / len(values) ** 0.5, tolerance)


def main():
    tern, a, b = sys.argv[1:]
    check = Check()
    with tempfile.TemporaryDirectory() as folder:
        text, saved_a, saved_b = (os.path.join(folder, name) for name in ("text", "a.logits", "b.logits"))
        with open(text, "w") as file:
            file.write("".join(f"Line {i} says that {i * i} is the square of {i}.\n" for i in range(40)))
        options = ["-f", text, "-c", str(CONTEXT), "--chunks", "5"]
        alone = run(tern, "perplexity", b, "--save-logits", saved_b, *options)
        live = run(tern, "verify", a, b, "--save-logits", saved_a, *options)
        from_file = run(tern, "verify", saved_a, b)
        tokens, loss_a, top_a, logs_a, steps = read_saved(saved_a)
        same_tokens, loss_b, top_b, logs_b, _ = read_saved(saved_b)
    assert np.array_equal(tokens, same_tokens)
    following = tokens[:, CONTEXT // 2 + 1:].reshape(-1)
    log_a, log_b = log_softmax(logs_a), log_softmax(logs_b)
    rows = np.arange(len(following))
    check.near("the saved ln p", np.abs(log_a[rows, following] - loss_a).max(), 0, 0.51 * steps.max())
    check.near("the saved top", np.abs(log_a[rows, top_a] - log_a.max(axis=1)).max(), 0, 1e-12)
    divergence = (np.exp(log_a) * (log_a - log_b)).sum(axis=1)
    for run_name, found, tolerance in (("live", live, 1e-5), ("from the file", from_file, 1e-5)):
        check.near(f"{run_name}: tokens", found["tokens"], len(following), 0)
        check.estimate(f"{run_name}: divergence", found["divergence"], divergence, tolerance)
        check.near(f"{run_name}: largest", found["largest_divergence"], divergence.max(), 1e-4)
        check.estimate(f"{run_name}: same top", found["same_top"], (top_a == top_b).astype(float), 1e-9)
        check.estimate(f"{run_name}: log ratio", found["log_ratio"], loss_a - loss_b, 1e-9)
        check.near(f"{run_name}: perplexity of A", found["perplexity_a"]["mean"], np.exp(-loss_a.mean()), 1e-9)
    check.near("perplexity of B alone", alone["perplexity"]["mean"], np.exp(-loss_b.mean()), 1e-9)
    check.estimate("loss of B alone", alone["loss"], -loss_b, 1e-9)
    print(f"{len(following)} positions, divergence {divergence.mean():.3e}, {check.failed} figures differ")
    sys.exit(1 if check.failed else 0)


main()
