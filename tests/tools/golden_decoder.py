#!/usr/bin/env python3
"""Known answers for the decoder: logits of small random models of every architecture, by llama.cpp.

usage: golden_decoder.py MODELS OUT.json

MODELS is the folder of the models that tests/golden/CMakeLists.txt lists (made by make_gguf.py with matrices in f32).
Needs llama-cpp-python 0.3.36 (its llama.cpp has no bitnet-b1.58: golden_bitnet.py answers for that one).
Positions beyond 64 reach the second block of the key/value cache, and scaled RoPE beyond its original context.
"""
import json
import pathlib
import sys

import numpy as np
from llama_cpp import Llama

N_TOKENS, POSITIONS = 150, (0, 1, 63, 64, 149)
MODELS = ('decoder-llama', 'decoder-llama-linear', 'decoder-llama3', 'decoder-qwen3-yarn', 'decoder-bitnet')


def position_answers(position, logits):
    top = np.argsort(-logits, kind='stable')[:10]
    return {
        'position': position,
        'sum_of_squares': round(float(np.square(logits, dtype=np.float64).sum()), 4),
        'top': [[int(i), round(float(logits[i]), 5)] for i in top],
        'first': [round(float(x), 5) for x in logits[:16]],
    }


def answers(path, tokens):
    model = Llama(str(path), n_ctx=256, n_batch=256, logits_all=True, n_threads=2, verbose=False,
                  type_k=1, type_v=1, flash_attn=False)
    model.eval(tokens)
    return [position_answers(p, np.array(model.scores[p], np.float32)) for p in POSITIONS]


def main():
    folder, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    tokens = [(i * 37 + 11) % 998 for i in range(N_TOKENS)]
    known = {'tokens': tokens, 'models': {name: answers(folder / f'{name}.gguf', tokens) for name in MODELS}}
    with open(out, 'w', encoding='utf-8') as file:
        json.dump(known, file, indent=0)
        file.write('\n')


if __name__ == '__main__':
    main()
