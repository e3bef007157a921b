#!/usr/bin/env python3
"""Write a GGUF language model with random weights, for tests and measurements. Needs only numpy (any of 1.26 to 2.x).

    make_gguf.py tiny ptq1_0 tiny.gguf --norm-jitter
    make_gguf.py 4B q2_0 4b.gguf
    make_gguf.py tiny tq2_0 bitnet.gguf --arch bitnet-25 --vocab 512
    make_gguf.py 70B ptq1_0 70b.gguf --repeat          # a minute instead of an hour, for measuring speed
    make_gguf.py tiny q1_0 parts.gguf --split 3        # writes parts-00001-of-00003.gguf and so on

A matrix is trits {-1, 0, +1} times one scale, drawn from a generator seeded by SIZE and the tensor's name: the same
SIZE has the same trits in every TYPE (q1_0 takes a zero for +1; q4_0 and q8_0 round the scale a little differently).
Changing the seeding, the order of draws or their block size changes every known answer under tests/golden/.
"""
import argparse
import functools
import json
import re
import struct
import zlib
from dataclasses import dataclass

import numpy as np

# ---- Shapes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    ffn: int
    heads: int
    kv_heads: int
    head_size: int
    tied: bool


SHAPES = {
    'tiny': Shape(2, 256, 768, 4, 2, 64, True),
    '0.6B': Shape(28, 1024, 3072, 16, 8, 128, True),
    '1.7B': Shape(28, 2048, 6144, 16, 8, 128, True),
    '4B': Shape(36, 2560, 9728, 32, 8, 128, True),
    '8B': Shape(36, 4096, 12288, 32, 8, 128, False),
    '14B': Shape(40, 5120, 17408, 40, 8, 128, False),
    '32B': Shape(64, 5120, 25600, 64, 8, 128, False),
    '70B': Shape(80, 8192, 28672, 64, 8, 128, False),
}


@dataclass(frozen=True)
class Architecture:
    rope_base: float
    epsilon: float
    qk_norm: bool = False
    sub_norm: bool = False
    scales: bool = False  # a one-element NAME.scale beside every matrix of a layer
    embedding: str = ''   # type of the embedding; '': as the matrices
    tied: bool = False    # whatever the shape says


ARCHITECTURES = {
    'qwen3': Architecture(1e6, 1e-6, qk_norm=True),
    'llama': Architecture(1e4, 1e-5),
    'bitnet': Architecture(1e4, 1e-5, sub_norm=True, scales=True, embedding='f16', tied=True),
    'bitnet-b1.58': Architecture(5e5, 1e-5, sub_norm=True, embedding='f16', tied=True),
    'bitnet-25': Architecture(5e5, 1e-5, sub_norm=True, embedding='f16', tied=True),
}


# ---- Tensor types -----------------------------------------------------------------------------------------------
# An encoder takes trits, int8 [rows][columns], and a scale, and returns the bytes of the rows.


def with_scale(first, scale, codes, last=False):
    """Blocks of `codes` bytes, uint8 [blocks][n], each with a half before it (or behind it)."""
    half = np.broadcast_to(np.frombuffer(np.float16(scale).tobytes(), np.uint8), (len(codes), 2))
    parts = [half, *first, codes] if not last else [codes, half]
    return np.concatenate(parts, axis=1).tobytes()


def four_a_byte(codes):
    """Four 2-bit codes along axis 1, [n][4][m] -> [n][m]: the first in the low bits."""
    return codes[:, 0] | codes[:, 1] << 2 | codes[:, 2] << 4 | codes[:, 3] << 6


def base3(codes):
    """Base-3 digits along axis 1, uint16 [n][4 or 5][m] -> carrier bytes [n][m] = ceil(256 v / 243)."""
    value = np.zeros((codes.shape[0], codes.shape[2]), np.uint16)
    for digit in range(5):
        value = value * 3 + (codes[:, digit] if digit < codes.shape[1] else 0)
    return ((value * 256 + 242) // 243).astype(np.uint8)


def encode_f32(trits, scale):
    return (trits.astype('<f4') * np.float32(np.float16(scale))).tobytes()


def encode_f16(trits, scale):
    return (trits.astype('<f2') * np.float16(scale)).tobytes()


def encode_q4_0(trits, scale):
    codes = (trits * 7 + 8).astype(np.uint8).reshape(-1, 2, 16)
    return with_scale([], scale / 7, codes[:, 0] | codes[:, 1] << 4)


def encode_q4_1(trits, scale):
    codes = (trits + 1).astype(np.uint8).reshape(-1, 2, 16)
    minimum = np.frombuffer(np.float16(-scale).tobytes(), np.uint8)
    return with_scale([np.broadcast_to(minimum, (len(codes), 2))], scale, codes[:, 0] | codes[:, 1] << 4)


def encode_q8_0(trits, scale):
    return with_scale([], scale / 127, (trits * 127).astype(np.int8).view(np.uint8).reshape(-1, 32))


def encode_q1_0(trits, scale):
    return with_scale([], scale, np.packbits((trits >= 0).reshape(-1, 128), axis=1, bitorder='little'))


def encode_q2_0(trits, scale, group=128):
    codes = (trits + 1).astype(np.uint8).reshape(-1, group // 4, 4)
    return with_scale([], scale, four_a_byte(codes.transpose(0, 2, 1)))


def encode_q2_0_g64(trits, scale):
    return encode_q2_0(trits, scale, group=64)


def encode_tq1_0(trits, scale):
    codes = (trits + 1).astype(np.uint16).reshape(-1, 256)
    runs = [codes[:, :160].reshape(-1, 5, 32), codes[:, 160:240].reshape(-1, 5, 16), codes[:, 240:].reshape(-1, 4, 4)]
    return with_scale([], scale, np.concatenate([base3(run) for run in runs], axis=1), last=True)


def encode_ptq1_0(trits, scale):
    codes = (trits + 1).astype(np.uint16).reshape(-1, 128)
    runs = [codes[:, :80].reshape(-1, 5, 16), codes[:, 80:120].reshape(-1, 5, 8), codes[:, 120:].reshape(-1, 4, 2)]
    return with_scale([], scale, np.concatenate([base3(run) for run in runs], axis=1), last=True)


def encode_tq2_0(trits, scale):
    codes = (trits + 1).astype(np.uint8).reshape(-1, 4, 32)
    return with_scale([], scale, four_a_byte(codes).reshape(-1, 64), last=True)


def encode_i2_s(trits, scale):
    codes = (trits + 1).astype(np.uint8).reshape(-1, 4, 32)
    return four_a_byte(codes[:, ::-1]).tobytes()  # the first run in the high bits; the scale is in the tail


def tail_i2_s(scale):
    return struct.pack('<f28x', np.float32(np.float16(scale)))


def no_tail(scale):
    return b''


@dataclass(frozen=True)
class Type:
    id: int
    elements: int  # of a block
    bytes: int     # of a block
    encode: object = None
    tail: object = no_tail


TYPES = {
    'f32': Type(0, 1, 4, encode_f32),
    'f16': Type(1, 1, 2, encode_f16),
    'q4_0': Type(2, 32, 18, encode_q4_0),
    'q4_1': Type(3, 32, 20, encode_q4_1),
    'q8_0': Type(8, 32, 34, encode_q8_0),
    'tq1_0': Type(34, 256, 54, encode_tq1_0),
    'tq2_0': Type(35, 256, 66, encode_tq2_0),
    'i2_s': Type(36, 128, 32, encode_i2_s, tail_i2_s),
    'q1_0': Type(41, 128, 18, encode_q1_0),
    'q2_0': Type(42, 128, 34, encode_q2_0),
    'q2_0_g64': Type(42, 64, 18, encode_q2_0_g64),
    'pq2_0': Type(142, 128, 34, encode_q2_0),
    'ptq1_0': Type(143, 128, 28, encode_ptq1_0),
}


# ---- Tensors ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tensor:
    name: str
    kind: str     # 'matrix', 'norm', 'scale' or 'rope'
    dims: tuple   # the fastest first
    type: str

    @property
    def bytes(self):
        kind = TYPES[self.type]
        return int(np.prod(self.dims, dtype=np.int64)) // kind.elements * kind.bytes + len(kind.tail(1))


def matrix(name, rows, columns, type):
    return Tensor(name + '.weight', 'matrix', (columns, rows), type)


def norm(name, width):
    return Tensor(name + '.weight', 'norm', (width,), 'f32')


def layer_tensors(shape, arch, block, type):
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    yield norm(block + 'attn_norm', shape.width)
    yield matrix(block + 'attn_q', queries, shape.width, type)
    yield matrix(block + 'attn_k', keys, shape.width, type)
    yield matrix(block + 'attn_v', keys, shape.width, type)
    if arch.sub_norm:
        yield norm(block + 'attn_sub_norm', queries)
    yield matrix(block + 'attn_output', shape.width, queries, type)
    if arch.qk_norm:
        yield norm(block + 'attn_q_norm', shape.head_size)
        yield norm(block + 'attn_k_norm', shape.head_size)
    yield norm(block + 'ffn_norm', shape.width)
    yield matrix(block + 'ffn_gate', shape.ffn, shape.width, type)
    yield matrix(block + 'ffn_up', shape.ffn, shape.width, type)
    if arch.sub_norm:
        yield norm(block + 'ffn_sub_norm', shape.ffn)
    yield matrix(block + 'ffn_down', shape.width, shape.ffn, type)


def model_tensors(shape, arch, vocabulary, type, embedding, rope_factors):
    """All tensors, in file order."""
    yield matrix('token_embd', vocabulary, shape.width, embedding)
    if rope_factors:
        yield Tensor('rope_freqs.weight', 'rope', (shape.head_size // 2,), 'f32')
    if not (shape.tied or arch.tied):
        yield matrix('output', vocabulary, shape.width, embedding)
    yield norm('output_norm', shape.width)
    for layer in range(shape.layers):
        for tensor in layer_tensors(shape, arch, f'blk.{layer}.', type):
            yield tensor
            if arch.scales and tensor.kind == 'matrix':
                yield Tensor(tensor.name.removesuffix('weight') + 'scale', 'scale', (1,), 'f32')


def matrix_bytes(tensor, rng):
    """The tensor's bytes, some rows at a time."""
    columns, rows = tensor.dims
    kind, scale = TYPES[tensor.type], 1.2 / np.sqrt(columns)
    step = max(1, (1 << 24) // columns)
    for row in range(0, rows, step):
        yield kind.encode(rng.integers(-1, 2, (min(step, rows - row), columns), dtype=np.int8), scale)
    yield kind.tail(scale)


@functools.cache
def encoded_rows(type, columns):
    """Some random rows: their number and their bytes."""
    rows = max(1, (1 << 25) // columns)
    trits = np.random.default_rng(columns).integers(-1, 2, (rows, columns), dtype=np.int8)
    return rows, TYPES[type].encode(trits, 1.2 / np.sqrt(columns))


def repeated_bytes(tensor, rng):
    """The tensor's bytes, the same few rows again and again: as fast as the disk, and as good for measuring speed."""
    columns, left = tensor.dims
    rows, data = encoded_rows(tensor.type, columns)
    row_bytes, first = len(data) // rows, int(rng.integers(rows))
    while left > 0:
        count = min(left, rows - first)
        yield data[first * row_bytes:(first + count) * row_bytes]
        left, first = left - count, 0
    yield TYPES[tensor.type].tail(1.2 / np.sqrt(columns))


def tensor_bytes(tensor, args):
    rng = np.random.default_rng(zlib.crc32((args.size + tensor.name).encode()))
    if tensor.kind == 'matrix':
        yield from (repeated_bytes if args.repeat else matrix_bytes)(tensor, rng)
    elif tensor.kind == 'scale':
        yield rng.uniform(0.5, 1.5, tensor.dims).astype('<f4').tobytes()
    elif tensor.kind == 'rope':
        yield np.linspace(1, 8, *tensor.dims).astype('<f4').tobytes()
    else:
        weights = np.ones(tensor.dims, '<f4')
        if args.norm_jitter:
            weights += rng.normal(0, .05, tensor.dims).astype('<f4')
        yield weights.tobytes()


# ---- Vocabulary -------------------------------------------------------------------------------------------------

QWEN3_VOCABULARY, QWEN3_END_OF_TEXT, QWEN3_END_OF_TURN = 151936, 151643, 151645
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # tokenizer.ggml.token_type


@dataclass
class Vocabulary:
    tokens: list
    types: list
    merges: list
    end_of_text: int
    end_of_turn: int


def byte_vocabulary(count):
    """GPT-2's 256 byte tokens and fillers, no merges: any text becomes one token a byte."""
    printable = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    others = iter(range(256, 512))
    tokens = [chr(byte if byte in printable else next(others)) for byte in range(256)]
    tokens += [f'<t{i}>' for i in range(256, count)]
    types = [NORMAL] * count
    whole = count == QWEN3_VOCABULARY
    end_of_text, end_of_turn = (QWEN3_END_OF_TEXT, QWEN3_END_OF_TURN) if whole else (count - 2, count - 1)
    tokens[end_of_text], tokens[end_of_turn] = '<|endoftext|>', '<|im_end|>'
    types[end_of_text] = types[end_of_turn] = CONTROL
    return Vocabulary(tokens, types, [], end_of_text, end_of_turn)


def tokenizer_vocabulary(path, count):
    """The vocabulary of a Hugging Face tokenizer.json of the Qwen family, padded to `count` tokens."""
    with open(path, encoding='utf-8') as file:
        tokenizer = json.load(file)
    tokens, types = [f'[PAD{i}]' for i in range(count)], [UNUSED] * count
    for token, i in tokenizer['model']['vocab'].items():
        tokens[i], types[i] = token, NORMAL
    for added in tokenizer['added_tokens']:
        tokens[added['id']], types[added['id']] = added['content'], CONTROL if added['special'] else USER_DEFINED
    merges = [merge if isinstance(merge, str) else ' '.join(merge) for merge in tokenizer['model']['merges']]
    return Vocabulary(tokens, types, merges, QWEN3_END_OF_TEXT, QWEN3_END_OF_TURN)


# ---- Key-value pairs --------------------------------------------------------------------------------------------

U16, U32, I32, F32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
SCALARS = {U16: '<H', U32: '<I', I32: '<i', F32: '<f', BOOL: '<?'}


def string(text):
    raw = text.encode()
    return struct.pack('<Q', len(raw)) + raw


def value(type, item):
    return string(item) if type == STRING else struct.pack(SCALARS[type], item)


def pair(key, type, item):
    return string(key) + struct.pack('<I', type) + value(type, item)


def array(key, type, items):
    head = string(key) + struct.pack('<IIQ', ARRAY, type, len(items))
    return head + (np.array(items, '<i4').tobytes() if type == I32 else b''.join(value(type, item) for item in items))


def shape_pairs(name, shape, arch):
    yield pair(f'{name}.block_count', U32, shape.layers)
    yield pair(f'{name}.context_length', U32, 32768)
    yield pair(f'{name}.embedding_length', U32, shape.width)
    yield pair(f'{name}.feed_forward_length', U32, shape.ffn)
    yield pair(f'{name}.attention.head_count', U32, shape.heads)
    yield pair(f'{name}.attention.head_count_kv', U32, shape.kv_heads)
    yield pair(f'{name}.attention.key_length', U32, shape.head_size)
    yield pair(f'{name}.attention.value_length', U32, shape.head_size)
    yield pair(f'{name}.rope.freq_base', F32, arch.rope_base)
    yield pair(f'{name}.attention.layer_norm_rms_epsilon', F32, arch.epsilon)
    if name != 'qwen3':
        yield pair(f'{name}.rope.dimension_count', U32, shape.head_size)


def vocabulary_pairs(vocabulary, template):
    yield pair('tokenizer.ggml.model', STRING, 'gpt2')
    yield pair('tokenizer.ggml.pre', STRING, 'qwen2')
    yield array('tokenizer.ggml.tokens', STRING, vocabulary.tokens)
    yield array('tokenizer.ggml.token_type', I32, vocabulary.types)
    yield array('tokenizer.ggml.merges', STRING, vocabulary.merges)
    yield pair('tokenizer.ggml.eos_token_id', U32, vocabulary.end_of_turn)
    yield pair('tokenizer.ggml.padding_token_id', U32, vocabulary.end_of_text)
    yield pair('tokenizer.ggml.bos_token_id', U32, vocabulary.end_of_text)
    yield pair('tokenizer.ggml.add_bos_token', BOOL, False)
    if template:
        yield pair('tokenizer.chat_template', STRING, template)


def further_pairs(name, keys):
    """ARCH.NAME=VALUE, where a value is a whole number, a number with a point, or text."""
    for key, text in (item.split('=', 1) for item in keys):
        if text.isdigit():
            yield pair(f'{name}.{key}', U32, int(text))
        elif text.replace('.', '', 1).isdigit():
            yield pair(f'{name}.{key}', F32, float(text))
        else:
            yield pair(f'{name}.{key}', STRING, text)


def model_pairs(args, shape, arch, vocabulary, template):
    yield pair('general.architecture', STRING, args.arch)
    yield pair('general.name', STRING, f'random {args.size} {args.type}')
    yield pair('general.quantization_version', U32, 2)
    yield from shape_pairs(args.arch, shape, arch)
    yield from further_pairs(args.arch, args.key)
    yield from vocabulary_pairs(vocabulary, template)


def split_pairs(number, count, n_tensors):
    yield pair('split.no', U16, number)
    yield pair('split.count', U16, count)
    yield pair('split.tensors.count', I32, n_tensors)


# ---- Files ------------------------------------------------------------------------------------------------------

ALIGNMENT = 32


def padding(length):
    return b'\0' * (-length % ALIGNMENT)


def header(pairs, tensors):
    infos, offset = [], 0
    for tensor in tensors:
        dims = struct.pack(f'<I{len(tensor.dims)}Q', len(tensor.dims), *tensor.dims)
        infos.append(string(tensor.name) + dims + struct.pack('<IQ', TYPES[tensor.type].id, offset))
        offset += tensor.bytes + len(padding(tensor.bytes))
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(pairs)) + b''.join(pairs) + b''.join(infos)
    return head + padding(len(head))


def write_file(path, pairs, tensors, args):
    with open(path, 'wb') as file:
        file.write(header(pairs, tensors))
        for tensor in tensors:
            written = sum(file.write(piece) for piece in tensor_bytes(tensor, args))
            assert written == tensor.bytes, (tensor, written)
            file.write(padding(written))


def write_split(pairs, tensors, args):
    """Every part gets an equal run of the tensors, the first one all the metadata."""
    stem = re.sub(r'\.gguf$', '', args.out)
    for number in range(args.split):
        run = tensors[len(tensors) * number // args.split:len(tensors) * (number + 1) // args.split]
        marks = list(split_pairs(number, args.split, len(tensors)))
        path = f'{stem}-{number + 1:05}-of-{args.split:05}.gguf'
        write_file(path, pairs + marks if number == 0 else marks, run, args)


def parse_arguments():
    parser = argparse.ArgumentParser(description='Write a GGUF language model with random weights.')
    parser.add_argument('size', choices=SHAPES)
    parser.add_argument('type', choices=TYPES, help='type of the matrices')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--arch', choices=ARCHITECTURES, default='qwen3')
    parser.add_argument('--embedding', choices=TYPES, help='type of embedding and head (default: as the matrices; f16 '
                        'for the bitnet architectures)')
    parser.add_argument('--key', action='append', default=[], metavar='NAME=VALUE',
                        help='a further key ARCH.NAME, for example rope.scaling.type=yarn')
    parser.add_argument('--rope-factors', action='store_true', help='a tensor rope_freqs.weight, as Llama 3.1 has')
    parser.add_argument('--norm-jitter', action='store_true', help='norm weights of 1 + normal(0, 0.05) instead of 1')
    parser.add_argument('--repeat', action='store_true', help='repeat a few million random weights instead of drawing '
                        'all: a 70B model in a minute')
    parser.add_argument('--vocab', type=int, default=QWEN3_VOCABULARY, metavar='N', help='tokens in the vocabulary, at '
                        'least 258 (default: %(default)s)')
    parser.add_argument('--split', type=int, default=0, metavar='N', help='write N files NAME-00001-of-0000N.gguf')
    parser.add_argument('--tokenizer', metavar='FILE', help="take the vocabulary from a Qwen tokenizer.json instead of "
                        'one token a byte')
    parser.add_argument('--tokenizer-config', metavar='FILE', help='take the chat template from a tokenizer_config.json')
    args = parser.parse_args()
    if args.vocab < 258:
        parser.error('--vocab must be at least 258: 256 bytes and two end tokens')
    if args.tokenizer and args.vocab != QWEN3_VOCABULARY:
        parser.error('--vocab and --tokenizer exclude each other')
    return args


def main():
    args = parse_arguments()
    shape, arch = SHAPES[args.size], ARCHITECTURES[args.arch]
    vocabulary = tokenizer_vocabulary(args.tokenizer, args.vocab) if args.tokenizer else byte_vocabulary(args.vocab)
    template = ''
    if args.tokenizer_config:
        with open(args.tokenizer_config, encoding='utf-8') as file:
            template = json.load(file)['chat_template']
    embedding = args.embedding or arch.embedding or args.type
    tensors = list(model_tensors(shape, arch, args.vocab, args.type, embedding, args.rope_factors))
    pairs = list(model_pairs(args, shape, arch, vocabulary, template))
    if args.split > 1:
        write_split(pairs, tensors, args)
    else:
        write_file(args.out, pairs, tensors, args)


if __name__ == '__main__':
    main()
