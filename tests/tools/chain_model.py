#!/usr/bin/env python3
"""A tiny model that says a sentence known beforehand, for tests of everything around the model. Standard library only.

Embeddings are random rows of -1 and +1; the head's row of each word is the embedding of the word before it. Attention
and feed-forward run on random trits but add little: enough to make logits depend on all tokens, too little to change
which is the highest. So the most likely token follows from the last token alone, from word to word through the chain.

    chain_model.py chain.gguf        # writes the model that tests/unit/engine_session.c uses
"""

import random
import struct
import sys

WIDTH, HEADS, FFN = 128, 2, 128
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
TYPE_F32, TYPE_PQ2_0 = 0, 142
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
          "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
# The check mark comes in two tokens, neither of which is a character.
SENTENCE = ["\n", "I", " am", " a", " very", " tiny", " model ", b"\xe2\x9c", b"\x93", ".", "<|im_end|>"]


def byte_letters():
    """GPT-2's letters for bytes: visible ones stand for themselves, the others for letters from U+0100 on."""
    letters, spare = {}, 256
    for byte in range(256):
        visible = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        letters[byte] = chr(byte if visible else spare)
        spare += not visible
    return letters


def vocabulary(chain, controls=()):
    """[(name, type)]: bytes, special tokens, then the chain's words; and the index of each by its text."""
    letters = byte_letters()
    tokens = [(letters[byte], NORMAL) for byte in range(256)]
    tokens += [("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL),
               ("<think>", USER_DEFINED), ("</think>", USER_DEFINED), ("th", NORMAL), ("\u0120t", NORMAL)]
    tokens += [(name, CONTROL) for name in controls]
    names = {name: index for index, (name, _) in enumerate(tokens)}
    ids = []
    for word in chain:
        special = word in names and tokens[names[word]][1] != NORMAL
        raw = word if isinstance(word, bytes) else word.encode()
        name = word if special else "".join(letters[byte] for byte in raw)
        if name not in names:
            names[name] = len(tokens)
            tokens.append((name, NORMAL))
        ids.append(names[name])
    return tokens, ids


# ---- GGUF ---------------------------------------------------------------------------------------------------------


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    packers = {U32: lambda v: struct.pack("<I", v), I32: lambda v: struct.pack("<i", v),
               F32: lambda v: struct.pack("<f", v),
               STRING: text}
    if isinstance(value, list):
        body = b"".join(packers[kind](v) for v in value)
        return text(key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + body
    return text(key) + struct.pack("<I", kind) + packers[kind](value)


def pack_trits(rows, scale):
    """PQ2_0: for 128 trits a half that multiplies them and two bits each, -1, 0, +1 as 0, 1, 2."""
    out = bytearray()
    for row in rows:
        for at in range(0, len(row), 128):
            out += struct.pack("<e", scale)
            codes = [trit + 1 for trit in row[at:at + 128]]
            out += bytes(codes[i] | codes[i + 1] << 2 | codes[i + 2] << 4 | codes[i + 3] << 6 for i in range(0, 128, 4))
    return bytes(out)


def model_tensors(n_tokens, ids, layers, rng):
    """[(name, dims, type, bytes)]; further layers are copies of the first."""
    signs = lambda rows, columns: [[rng.choice((-1, 1)) for _ in range(columns)] for _ in range(rows)]
    zeros = lambda rows, columns: [[0] * columns for _ in range(rows)]
    embedding, head = signs(n_tokens, WIDTH), zeros(n_tokens, WIDTH)
    for before, after in zip(ids, ids[1:]):
        head[after] = embedding[before]
    tensors = []

    def matrix(name, rows, scale=1.0):
        tensors.append((name, (len(rows[0]), len(rows)), TYPE_PQ2_0, pack_trits(rows, scale)))

    def norm(name):
        tensors.append((name, (WIDTH,), TYPE_F32, struct.pack(f"<{WIDTH}f", *[1.0] * WIDTH)))

    matrix("token_embd.weight", embedding)
    for name in ("attn_q", "attn_k", "attn_v"):
        matrix(f"blk.0.{name}.weight", signs(WIDTH, WIDTH))
    matrix("blk.0.attn_output.weight", signs(WIDTH, WIDTH), 2.0**-10)
    for name in ("ffn_gate", "ffn_up"):
        matrix(f"blk.0.{name}.weight", signs(FFN, WIDTH))
    matrix("blk.0.ffn_down.weight", signs(WIDTH, FFN), 2.0**-13)
    matrix("output.weight", head)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        norm(name)
    first = [tensor for tensor in tensors if tensor[0].startswith("blk.0.")]
    for layer in range(1, layers):
        tensors += [(name.replace("blk.0.", f"blk.{layer}."), *rest) for name, *rest in first]
    return tensors


def model_pairs(tokens, architecture, name, template, context, layers):
    end = next(i for i, (token, _) in enumerate(tokens) if token == "<|im_end|>")
    pairs = [
        ("general.architecture", STRING, architecture), ("general.name", STRING, name),
        (f"{architecture}.context_length", U32, context), (f"{architecture}.embedding_length", U32, WIDTH),
        (f"{architecture}.block_count", U32, layers), (f"{architecture}.feed_forward_length", U32, FFN),
        (f"{architecture}.attention.head_count", U32, HEADS), (f"{architecture}.attention.head_count_kv", U32, HEADS),
        (f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-6),
        (f"{architecture}.rope.freq_base", F32, 10000.0),
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", STRING, [token for token, _ in tokens]),
        ("tokenizer.ggml.token_type", I32, [kind for _, kind in tokens]),
        ("tokenizer.ggml.merges", STRING, ["t h", "\u0120 t"]),
        ("tokenizer.ggml.eos_token_id", U32, end),
    ]
    if template is not None:
        pairs.append(("tokenizer.chat_template", STRING, template))
    return pairs


def write_model(path, chain=SENTENCE, architecture="llama", name="Chain", template=CHATML, context=512,
                layers=1, controls=(), split_behind=None):
    """Two parts if it is to be split behind so many tensors."""
    tokens, ids = vocabulary(chain, controls)
    tensors = model_tensors(len(tokens), ids, layers, random.Random(1))
    pairs = model_pairs(tokens, architecture, name, template, context, layers)
    if split_behind is None:
        write_file(path, pairs, tensors)
        return
    pieces = [(pairs, tensors[:split_behind]), ([], tensors[split_behind:])]
    for number, (own, piece) in enumerate(pieces):
        own = [*own, ("split.no", U32, number), ("split.count", U32, len(pieces))]
        write_file(f"{path.removesuffix('.gguf')}-{number + 1:05}-of-{len(pieces):05}.gguf", own, piece)


def write_file(path, pairs, tensors):
    header, offset = bytearray(), 0
    header += b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        header += pair(key, kind, value)
    for tensor_name, dims, kind, body in tensors:
        header += text(tensor_name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        offset += (len(body) + 31) // 32 * 32
    with open(path, "wb") as file:
        file.write(header + b"\0" * (-len(header) % 32))
        for _, _, _, body in tensors:
            file.write(body + b"\0" * (-len(body) % 32))


if __name__ == "__main__":
    write_model(sys.argv[1])
