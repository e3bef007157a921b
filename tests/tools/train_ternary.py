#!/usr/bin/env python3
"""A small language model that is trained with ternary weights: what post-training rounding cannot give.

usage: train_ternary.py OUT_FOLDER MINUTES TEXT_FILE...

A Qwen3 of 5 million weights, embedding included, with one scale for each 128 of a row (absmean, rounded to a half, as
the Bonsai files have them); gradients pass through the rounding as if it were not there (Bengio et al. 2013). Every
fiftieth text is held out and written to OUT_FOLDER/held.txt. `tern pack OUT_FOLDER model.gguf --type PQ2_0 --lossless`
packs the result. A few minutes on a CPU give a poor model, which is enough to measure rounding on: docs/checking.md.
Needs torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3.
"""
import math
import pathlib
import random
import sys
import time

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from golden_convert import split

VOCABULARY, GROUP, BATCH, CONTEXT, RATE, WARM_UP = 2048, 128, 8, 256, 2e-3, 50


def read_texts(paths):
    texts = [pathlib.Path(path).read_text(encoding='utf-8', errors='ignore') for path in paths]
    random.Random(1).shuffle(texts)
    n_held = max(1, len(texts) // 50)
    return texts[:n_held], texts[n_held:]


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split(r'\p{N}')
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator((text[:20000] for text in texts[:1500]), trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens(['<|begin|>', '<|end|>'])
    return tokenizer


def ternarise(weight):
    groups = weight.reshape(-1, GROUP)
    scale = groups.abs().mean(1, keepdim=True).clamp(min=1e-6).half().float()
    return ((groups / scale).round().clamp(-1, 1) * scale).reshape(weight.shape)


def train(model, ids, seconds):
    """Trains copies of the matrices, whose rounded values the model computes with."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in matrices]
    optimizer = torch.optim.AdamW([{'params': copies, 'weight_decay': 0.01}, {'params': vectors, 'weight_decay': 0}],
                                  lr=RATE, betas=(0.9, 0.95))
    started, step = time.time(), 0

    def round_all():
        with torch.no_grad():
            for weight, copy in zip(matrices, copies):
                weight.copy_(ternarise(copy))

    while (share := (time.time() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group['lr'] = RATE * min(1, step / WARM_UP) * (1 + math.cos(math.pi * share)) / 2 + 1e-5
        round_all()
        starts = torch.randint(0, len(ids) - CONTEXT - 1, (BATCH,))
        tokens = torch.stack([ids[start:start + CONTEXT + 1] for start in starts])
        model.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), tokens[:, 1:].reshape(-1))
        loss.backward()
        for weight, copy in zip(matrices, copies):
            copy.grad = weight.grad
        torch.nn.utils.clip_grad_norm_(copies + vectors, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f'step {step}, loss {loss.item():.3f}', flush=True)
        step += 1
    round_all()


def main():
    folder, minutes = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    held, texts = read_texts(sys.argv[3:])
    tokenizer = make_tokenizer(texts)
    ids = torch.tensor([i for encoded in tokenizer.encode_batch(texts) for i in encoded.ids + [VOCABULARY - 1]])
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, max_position_embeddings=512, rope_theta=10000.0, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=VOCABULARY - 1))
    train(model, ids, 60 * minutes)
    model.half().save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token='<|begin|>', eos_token='<|end|>').save_pretrained(folder)
    (folder / 'held.txt').write_text('\n\n'.join(text[:6000] for text in held)[:300000])


if __name__ == '__main__':
    main()
