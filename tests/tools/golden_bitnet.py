#!/usr/bin/env python3
"""Known answers for BitNet b1.58 (the 2B-4T architecture): logits of a small random model by transformers.

usage: golden_bitnet.py MODEL.gguf OUT.json

MODEL is `make_gguf.py tiny f32 --arch bitnet-b1.58 --embedding f32 --norm-jitter --vocab 1000`. Its matrices are trits
times a scale, so that transformers' BitNetForCausalLM can run it in two ways: "exact" in float32, and "int8" with its own
AutoBitLinear, which rounds activations to int8 with one scale a token, as BitNet was trained. There keys and values are
rounded to halves, as a cache in F16 holds them: a difference that small already flips many roundings to int8.
Needs torch 2.13.0, transformers 5.23.0, gguf 0.19.0.
"""
import json
import sys

import numpy as np
import torch
from gguf import GGUFReader
from transformers import BitNetConfig, BitNetForCausalLM
from transformers.integrations.bitnet import AutoBitLinear
from transformers.models.bitnet import modeling_bitnet

from golden_decoder import N_TOKENS, POSITIONS, position_answers

NAMES = {
    'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj', 'attn_sub_norm': 'self_attn.attn_sub_norm', 'attn_norm': 'input_layernorm',
    'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj',
    'ffn_sub_norm': 'mlp.ffn_sub_norm', 'ffn_norm': 'post_attention_layernorm',
}
OUTSIDE = {'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm'}


def their_name(name):
    parts = name.split('.')
    if parts[0] == 'blk':
        return f'model.layers.{parts[1]}.{NAMES[parts[2]]}.weight'
    return f'{OUTSIDE[parts[0]]}.weight'


def read_config(reader):
    def key(name):
        return reader.fields[f'bitnet-b1.58.{name}'].contents()
    return BitNetConfig(
        vocab_size=1000, hidden_size=key('embedding_length'), intermediate_size=key('feed_forward_length'),
        num_hidden_layers=key('block_count'), num_attention_heads=key('attention.head_count'),
        num_key_value_heads=key('attention.head_count_kv'), head_dim=key('attention.key_length'),
        rope_theta=key('rope.freq_base'), rms_norm_eps=key('attention.layer_norm_rms_epsilon'),
        hidden_act='relu2', tie_word_embeddings=True, attn_implementation='eager')


def ternary_layers(model):
    """Replaces every projection by AutoBitLinear over its trits, with the scale apart (rounded to a half)."""
    for parent in list(model.model.layers.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear):
                scale = child.weight.abs().max()
                layer = AutoBitLinear(child.in_features, child.out_features, bias=False, dtype=torch.float32)
                layer.weight.data = torch.round(child.weight.data / scale)
                layer.weight_scale = scale.half().float()
                setattr(parent, name, layer)


def half_cache(model):
    """Rounds values where they are made and keys after their rotation."""
    def rounded(module, inputs, output):
        return output.half().float()

    rotate = modeling_bitnet.apply_rotary_pos_emb

    def rotate_rounded(*args, **kwargs):
        query, key = rotate(*args, **kwargs)
        return query, key.half().float()

    modeling_bitnet.apply_rotary_pos_emb = rotate_rounded
    for layer in model.model.layers:
        layer.self_attn.v_proj.register_forward_hook(rounded)


def run(model, tokens):
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
    return [position_answers(p, logits[p]) for p in POSITIONS]


def main():
    reader = GGUFReader(sys.argv[1])
    model = BitNetForCausalLM(read_config(reader)).float().eval()
    weights = {their_name(t.name): torch.tensor(np.array(t.data)) for t in reader.tensors}
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {'lm_head.weight'}, missing
    model.tie_weights()
    tokens = [(i * 37 + 11) % 998 for i in range(N_TOKENS)]
    known = {'tokens': tokens, 'models': {'exact': run(model, tokens)}}
    ternary_layers(model)
    half_cache(model)
    known['models']['int8'] = run(model, tokens)
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        json.dump(known, file, indent=0)
        file.write('\n')


if __name__ == '__main__':
    main()
