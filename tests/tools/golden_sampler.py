#!/usr/bin/env python3
"""Known answers for the sampler: writes tests/unit/engine_sampler_table.h.

An independent implementation of what tern.h and sampler.h say, over whole arrays and in double precision throughout.
For each case: the tokens that may still be drawn with their probabilities, and the first tokens drawn from one seed.

Used with numpy 2.4.6:  python3 tests/tools/golden_sampler.py > tests/unit/engine_sampler_table.h
"""

import numpy as np

N_VOCABULARY = 64
N_DRAWS = 24
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def test_logits():
    """Multiples of 1/16 in [-4, 4), so that there are equal ones."""
    rng = SplitMix64(2024)
    return np.array([((rng.next() >> 57) - 64) / 16 for _ in range(N_VOCABULARY)])


def penalise(logits, o):
    logits = logits.copy()
    for token, bias in o["bias"]:
        logits[token] += bias
    window = o["penalty_window"]
    recent = o["recent"] if window < 0 else o["recent"][len(o["recent"]) - min(window, len(o["recent"])):]
    for token in sorted(set(recent)):
        rate = np.float32(o["repetition_penalty"])
        x = np.float32(logits[token])
        x = x / rate if x > 0 else x * rate
        logits[token] = x - (np.float32(o["presence_penalty"]) + np.float32(o["frequency_penalty"]) * recent.count(token))
    return logits


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def shortest_prefix(order, p, share):
    """The first of `order` whose probabilities reach `share`, at least one."""
    if share >= 1:
        return order
    cumulative = np.cumsum(p[order])
    return order[: int(np.searchsorted(cumulative, share)) + 1]


def kept_tokens(logits, o):
    """(ids in rank order, probabilities)"""
    ids = np.lexsort((np.arange(len(logits)), -logits))
    if o["top_k"] > 0:
        ids = ids[: o["top_k"]]
    scaled = logits / float(np.float32(o["temperature"]))
    f32 = lambda name: float(np.float32(o[name]))

    p = softmax(scaled[ids])
    surprise = -np.log(p)
    deviation = np.abs(surprise - (p * surprise).sum())
    typical = shortest_prefix(np.argsort(deviation, kind="stable"), p, f32("typical_p"))
    ids = ids[np.sort(typical)]

    p = softmax(scaled[ids])
    ids = ids[shortest_prefix(np.arange(len(ids)), p, f32("top_p"))]

    p = softmax(scaled[ids])
    ids = ids[p >= f32("min_p") * p[0]]
    return ids, softmax(scaled[ids])


def draw(ids, p, rng):
    u = (rng.next() >> 11) / (1 << 53)
    return int(ids[int(np.searchsorted(np.cumsum(p), u, side="right"))])


DEFAULTS = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0, repetition_penalty=1.0,
                presence_penalty=0.0, frequency_penalty=0.0, penalty_window=-1, seed=1, bias=[], recent=[])

CASES = [
    dict(name="top-k 1", top_k=1),
    dict(name="top-k 7", top_k=7),
    dict(name="top-k among equal logits", top_k=4, temperature=0.5),
    dict(name="top-k beyond the vocabulary", top_k=1000, min_p=0.1),
    dict(name="top-p 0.5", top_p=0.5),
    dict(name="top-p 0 keeps one", top_p=0.0),
    dict(name="top-p, warm", top_p=0.3, temperature=1.7),
    dict(name="min-p 0.2", min_p=0.2),
    dict(name="min-p 1 keeps the best", min_p=1.0),
    dict(name="typical 0.4", typical_p=0.4),
    dict(name="typical 0.2 leaves out the best", typical_p=0.2, temperature=1.5),
    dict(name="typical 0 keeps one", typical_p=0.0),
    dict(name="all filters", top_k=20, typical_p=0.9, top_p=0.8, min_p=0.15, temperature=0.8, seed=99),
    dict(name="usual settings", temperature=0.7, top_k=40, top_p=0.95, min_p=0.05, seed=0),
    dict(name="repetition penalty", top_k=8, repetition_penalty=1.3, recent=[16, 3, 16, 54, 7, 58]),
    dict(name="presence penalty", top_k=8, presence_penalty=0.75, recent=[16, 3, 16, 54, 7, 58]),
    dict(name="frequency penalty", top_k=8, frequency_penalty=0.5, recent=[16, 3, 16, 54, 7, 16]),
    dict(name="all penalties, window of 3", top_k=8, repetition_penalty=1.25, presence_penalty=0.5,
         frequency_penalty=0.25, penalty_window=3, recent=[54, 27, 16, 1, 16]),
    dict(name="window of 0", top_k=8, repetition_penalty=2.0, penalty_window=0, recent=[54, 27, 16, 1, 16]),
    dict(name="negative penalties encourage", top_k=5, presence_penalty=-2.0, recent=[5]),
    dict(name="bias", top_k=6, bias=[(0, 6.5), (16, -100.0), (25, 0.5)]),
    dict(name="bias before penalty", top_k=4, bias=[(0, 7.0)], repetition_penalty=2.0, recent=[0]),
    dict(name="large seed", top_k=10, seed=0xFEDCBA9876543210),
]


def c_array(values):
    return "{" + ", ".join(str(v) for v in values) + "}"


def c_float(x):
    return f"{float(x)!r}f"


def print_case(case, logits):
    o = {**DEFAULTS, **case}
    ids, p = kept_tokens(penalise(logits, o), o)
    rng = SplitMix64(o["seed"])
    draws = [draw(ids, p, rng) for _ in range(N_DRAWS)]
    print(f'    {{.name = "{o["name"]}",')
    print(f'     .temperature = {c_float(o["temperature"])}, .top_k = {o["top_k"]}, .top_p = {c_float(o["top_p"])}, '
          f'.min_p = {c_float(o["min_p"])}, .typical_p = {c_float(o["typical_p"])},')
    print(f'     .repetition_penalty = {c_float(o["repetition_penalty"])}, '
          f'.presence_penalty = {c_float(o["presence_penalty"])}, '
          f'.frequency_penalty = {c_float(o["frequency_penalty"])},')
    print(f'     .penalty_window = {o["penalty_window"]}, .seed = {o["seed"]}u,')
    if o["recent"]:
        print(f'     .n_recent = {len(o["recent"])}, .recent = {c_array(o["recent"])},')
    if o["bias"]:
        print(f'     .n_bias = {len(o["bias"])}, .bias_tokens = {c_array(t for t, _ in o["bias"])}, '
              f'.bias_values = {c_array(c_float(b) for _, b in o["bias"])},')
    print(f'     .n_kept = {len(ids)}, .kept = {c_array(ids)},')
    print(f'     .probability = {c_array(f"{x:.6f}f" for x in p)},')
    print(f'     .draws = {c_array(draws)}}},')


def main():
    logits = test_logits()
    print("// Written by tests/tools/golden_sampler.py; not edited by hand.")
    print(f"enum {{ N_VOCABULARY = {N_VOCABULARY}, N_DRAWS = {N_DRAWS} }};")
    print("\n// clang-format off")
    print(f"static const float test_logits[N_VOCABULARY] = {c_array(c_float(x) for x in logits)};")
    print("\nstatic const struct sampler_case cases[] = {")
    for case in CASES:
        print_case(case, logits)
    print("};\n// clang-format on")


main()
