#!/usr/bin/env python3
"""Known answers for the small real model: what llama.cpp says, greedily, to ten prompts.

usage: golden_greedy.py SmolLM2-135M-Instruct.Q4_1.gguf OUT.json

For each prompt the tokens of the rendered chat, then for each step the token llama.cpp chose and by how much its logit
led the second. Needs llama-cpp-python 0.3.36.
"""
import json
import sys

import numpy as np
from llama_cpp import Llama

PROMPTS = (
    'What is the capital of France?',
    'Explain in two sentences why the sky is blue.',
    'Write a haiku about autumn leaves.',
    'List three uses of a paperclip.',
    'What is 17 plus 25?',
    'Translate "good morning" into Spanish.',
    'Who wrote Romeo and Juliet?',
    'Write a Python function that reverses a string.',
    'What should I cook with rice, eggs and spinach?',
    'Tell me a short story about a lighthouse keeper.',
)
STEPS = 64
SYSTEM = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face'


def render(prompt):
    turns = f'<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n'
    return turns.encode()


def answer(model, prompt):
    model.reset()
    tokens = model.tokenize(render(prompt), add_bos=False, special=True)
    model.eval(tokens)
    chosen, leads = [], []
    while len(chosen) < STEPS:
        logits = np.array(model.scores[model.n_tokens - 1], np.float32)
        second, first = np.argsort(logits, kind='stable')[-2:]
        chosen.append(int(first))
        leads.append(round(float(logits[first] - logits[second]), 4))
        if first == model.token_eos():
            break
        model.eval([int(first)])
    return {'prompt': prompt, 'tokens': tokens, 'answer': chosen, 'lead': leads,
            'text': model.detokenize(chosen).decode(errors='replace')}


def main():
    model = Llama(sys.argv[1], n_ctx=512, n_batch=256, logits_all=True, n_threads=2, verbose=False)
    known = {'answers': [answer(model, prompt) for prompt in PROMPTS]}
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        json.dump(known, file, indent=0, ensure_ascii=False)
        file.write('\n')


if __name__ == '__main__':
    main()
