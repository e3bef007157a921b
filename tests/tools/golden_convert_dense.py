#!/usr/bin/env python3
"""Known answers for packing Q8_0 and Q4_0: bytes by the gguf package, whose rounding is ggml's reference.

usage: golden_convert_dense.py > tests/golden/convert/dense_golden.h

Needs gguf 0.19.0 and numpy. The rows are drawn at several sizes; one is all zeros, one has ties of magnitude, one has
numbers so small that the scale is a subnormal half.
"""
import numpy as np
from gguf import GGMLQuantizationType, quants

rng = np.random.default_rng(7)
rows = [rng.normal(0, scale, 32) for scale in (1, 0.02, 300)]
rows += [np.zeros(32), np.tile([1.5, -1.5, 0.5, 0.1], 8), rng.normal(0, 1e-6, 32), rng.integers(-127, 128, 32)]
rows = np.array(rows, np.float32)


def c_array(name, type, values, form):
    print(f'static const {type} {name}[] = {{')
    text = [form(value) for value in values]
    for at in range(0, len(text), 12):
        print('    ' + ', '.join(text[at:at + 12]) + ',')
    print('};\n')


print('// Made by tests/tools/golden_convert_dense.py.')
print('#ifndef DENSE_GOLDEN_H\n#define DENSE_GOLDEN_H\n\n#include <stdint.h>\n')
print(f'enum {{ DENSE_GOLDEN_ROWS = {len(rows)} }};\n')
c_array('dense_golden_floats', 'uint32_t', rows.view(np.uint32).ravel(), lambda v: f'0x{v:08x}')
for type in ('Q8_0', 'Q4_0'):
    packed = quants.quantize(rows, GGMLQuantizationType[type]).view(np.uint8)
    c_array(f'dense_golden_{type.lower()}', 'uint8_t', packed.ravel(), lambda v: f'{v}')
print('#endif')
