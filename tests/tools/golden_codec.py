#!/usr/bin/env python3
"""Write tests/golden/codec_golden.h: blocks of every tensor type and the floats that they stand for.

    golden_codec.py > tests/golden/codec_golden.h

The floats come from the dequantizers of the `gguf` package where it knows the type, else from the element-by-element
decoders below, written from the layouts' description alone (base-3 by division, where the library multiplies).
Made with gguf 0.19.0 and numpy 2.4.6.
"""
import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

RNG = np.random.default_rng(20261122)


# ---- Decoders from the description -------------------------------------------------------------------------------


def digits(byte):
    """The five base-3 digits of a carrier byte ceil(256 v / 243), the highest first."""
    value = byte * 243 // 256
    return [value // 3 ** (4 - n) % 3 for n in range(5)]


def half(raw):
    return np.frombuffer(bytes(raw), '<f2')[0].astype(np.float32)


def times(scale, numbers):
    return [scale * np.float32(number) for number in numbers]


def decode_ptq1_0(block):
    codes = [0] * 128
    for start, first, count, n_digits in (0, 0, 16, 5), (16, 80, 8, 5), (24, 120, 2, 4):
        for m in range(count):
            for n in range(n_digits):
                codes[first + n * count + m] = digits(block[start + m])[n]
    return times(half(block[26:28]), [code - 1 for code in codes])


def decode_q2_0(block):
    n = (len(block) - 2) * 4
    return times(half(block[:2]), [(block[2 + j // 4] >> 2 * (j % 4) & 3) - 1 for j in range(n)])


def decode_q1_0(block):
    return times(half(block[:2]), [1 if block[2 + j // 8] >> j % 8 & 1 else -1 for j in range(128)])


def decode_i2_s(block):
    return times(np.float32(1), [(block[e % 32] >> 6 - 2 * (e // 32) & 3) - 1 for e in range(128)])


# ---- Encoders of canonical blocks: the bytes that a packer must write --------------------------------------------


def encode_ptq1_0(trits, scale):
    block = []
    for first, count, n_digits in (0, 16, 5), (80, 8, 5), (120, 2, 4):
        for m in range(count):
            value = sum((int(trits[first + n * count + m]) + 1) * 3 ** (4 - n) for n in range(n_digits))
            block.append(-(-value * 256 // 243))
    return bytes(block) + scale


def encode_q2_0(trits, scale):
    block = [0] * (len(trits) // 4)
    for j, trit in enumerate(trits):
        block[j // 4] |= (int(trit) + 1) << 2 * (j % 4)
    return scale + bytes(block)


def encode_i2_s(trits, scale):
    block = [0] * 32
    for e, trit in enumerate(trits):
        block[e % 32] |= (int(trit) + 1) << 6 - 2 * (e // 32)
    return bytes(block)


def encode_by_gguf(type):
    def encode(trits, scale):
        # Trits times a power of two: the package finds the scale as the largest magnitude.
        weights = trits.astype(np.float32) * half(scale)
        return quantize(weights.reshape(1, -1), type).tobytes()
    return encode


# ---- Blocks ------------------------------------------------------------------------------------------------------


# name, bytes of a block, where its halves are, dequantizer, packer of canonical blocks
TYPES = [
    ('F32', 4, (), GGMLQuantizationType.F32, None),
    ('F16', 2, (0,), GGMLQuantizationType.F16, None),
    ('BF16', 2, (), GGMLQuantizationType.BF16, None),
    ('Q4_0', 18, (0,), GGMLQuantizationType.Q4_0, None),
    ('Q4_1', 20, (0, 2), GGMLQuantizationType.Q4_1, None),
    ('Q8_0', 34, (0,), GGMLQuantizationType.Q8_0, None),
    ('Q4_K', 144, (0, 2), GGMLQuantizationType.Q4_K, None),
    ('Q5_K', 176, (0, 2), GGMLQuantizationType.Q5_K, None),
    ('Q6_K', 210, (208,), GGMLQuantizationType.Q6_K, None),
    ('TQ1_0', 54, (52,), GGMLQuantizationType.TQ1_0, (256, encode_by_gguf(GGMLQuantizationType.TQ1_0))),
    ('TQ2_0', 66, (64,), GGMLQuantizationType.TQ2_0, (256, encode_by_gguf(GGMLQuantizationType.TQ2_0))),
    ('I2_S', 32, (), decode_i2_s, (128, encode_i2_s)),
    ('Q1_0', 18, (0,), decode_q1_0, None),
    ('Q2_0_G64', 18, (0,), decode_q2_0, (64, encode_q2_0)),
    ('Q2_0_G128', 34, (0,), decode_q2_0, (128, encode_q2_0)),
    ('PQ2_0', 34, (0,), decode_q2_0, (128, encode_q2_0)),
    ('PTQ1_0', 28, (26,), decode_ptq1_0, (128, encode_ptq1_0)),
]
SCALES = [0x3c00, 0xa8cd, 0x0001, 0x7bff]  # 1, -0.0375, the smallest and the largest half


def random_block(size, halves, scale):
    block = bytearray(RNG.bytes(size))
    for at in halves:
        block[at:at + 2] = scale.to_bytes(2, 'little')
        scale ^= 0x8021  # a minimum is another number than the scale, and finite
    return bytes(block)


def random_blocks(name, size, halves):
    if name in ('F32', 'BF16'):  # any bits but NaN: their payloads are nobody's business
        numbers = RNG.normal(0, 1, 8).astype(np.float32)
        return [n.tobytes() if name == 'F32' else n.tobytes()[2:] for n in numbers]
    count = 8 if name == 'F16' else 2 if size > 60 else 4
    scales = [int(RNG.integers(0, 0x7c00)) | i % 2 << 15 for i in range(count)] if name == 'F16' else SCALES[:count]
    return [random_block(size, halves, scale) for scale in scales]


def decode(block, decoder):
    if callable(decoder):
        return np.array(decoder(block), np.float32)
    return dequantize(np.frombuffer(block, np.uint8).reshape(1, -1), decoder).astype(np.float32).reshape(-1)


def show(type, name, values, form):
    text = ', '.join(form % value for value in values)
    lines, line = [], ''
    for item in text.split(' '):
        if len(line) + len(item) > 112:
            lines.append(line.rstrip())
            line = ''
        line += item + ' '
    body = '\n    '.join(lines + [line.rstrip()])
    print(f'static const {type} {name}[] = {{\n    {body}}};')


def emit(name, kind, blocks, decoder, table):
    label = f'{name.lower()}_{kind}'
    show('uint8_t', f'{label}_bytes', b''.join(blocks), '%d')
    floats = np.concatenate([decode(block, decoder) for block in blocks])
    show('uint32_t', f'{label}_floats', floats.view(np.uint32), '0x%x')
    flag = 'true' if kind == 'canonical' else 'false'
    table.append(f'    {{DTYPE_{name}, {flag}, {len(blocks)}, {len(floats)}, {label}_bytes, {label}_floats}},')


def main():
    table = []
    print('// Written by tests/tools/golden_codec.py. Floats as bits.\n// clang-format off')
    print('#ifndef CODEC_GOLDEN_H\n#define CODEC_GOLDEN_H\n\n#include "format/dtype.h"\n')
    for name, size, halves, decoder, packer in TYPES:
        emit(name, 'random', random_blocks(name, size, halves), decoder, table)
        if packer:
            elements, encode = packer
            blocks = [encode(RNG.integers(-1, 2, elements), (0x2c00).to_bytes(2, 'little')) for _ in range(2)]
            emit(name, 'canonical', blocks, decoder, table)
    print('\nstatic const struct codec_golden {\n    enum dtype type;\n    bool canonical; // as a packer writes them\n'
          '    unsigned n_blocks, n_floats;\n    const uint8_t *bytes;\n    const uint32_t *floats;\n} codec_golden[] = {')
    print('\n'.join(table))
    print('};\n\n#endif')


if __name__ == '__main__':
    main()
