#!/usr/bin/env python3
"""The bytes that bitnet.cpp makes of a known tensor: tests/golden/convert/i2_s_golden.h.

usage: golden_i2_s.py > i2_s_golden.h

Written after what bitnet.cpp does and not after tern. Its converter hands floats {-s, 0, +s} to quantize_i2_s() of
src/ggml-bitnet-mad.cpp, which takes the largest magnitude for the scale, the code 1 for magnitudes below 1e-6 and
otherwise 2 or 0 by the sign; then, in blocks of QK_I2_S elements, element j goes into byte j mod run of the block by
code << (6 - 2 * (j / run)), with QK_I2_S = 128 and run = 32 on x86, 64 and 16 on ARM. Behind the codes of all rows
stands the scale, a float, in 32 bytes. Needs numpy 2.
"""
import numpy as np

ROWS, COLUMNS, SCALE = 6, 256, np.float32(1.21875)


def tensor():
    """[ROWS][COLUMNS]; the test has the same formula."""
    i = np.arange(ROWS * COLUMNS)
    return (((i * i * 7 + i * 3 + i // 5) % 3) - 1).astype(np.float32) * SCALE


def quantize_i2_s(source, block):
    run = block // 4
    codes = np.where(np.abs(source) < 1e-6, 1, np.where(source > 0, 2, 0)).astype(np.uint8)
    out = np.zeros(source.size // 4, np.uint8)
    for element, code in enumerate(codes):
        j = element % block
        out[element // block * run + j % run] |= code << (6 - 2 * (j // run))
    scale = np.array([np.abs(source).max()], '<f4')
    return out.tobytes() + scale.tobytes()


def print_bytes(name, data):
    print(f'\nstatic const uint8_t {name}[{len(data)}] = {{')
    for start in range(0, len(data), 20):
        print('    ' + ' '.join(f'{byte},' for byte in data[start:start + 20]))
    print('};')


def main():
    print('// What bitnet.cpp makes of the trits ((7 i i + 3 i + i / 5) mod 3) - 1 times a scale, i counted through rows and')
    print('// columns: codes and the scale behind them. Made by tests/tools/golden_i2_s.py.')
    print('#ifndef I2_S_GOLDEN_H\n#define I2_S_GOLDEN_H\n\n#include <stdint.h>\n')
    print(f'enum {{ I2_S_ROWS = {ROWS}, I2_S_COLUMNS = {COLUMNS} }};\n')
    print(f'#define I2_S_SCALE {float(SCALE)}f')
    print_bytes('i2_s_of_x86', quantize_i2_s(tensor(), 128))
    print_bytes('i2_s_of_arm', quantize_i2_s(tensor(), 64))
    print('\n#endif')


if __name__ == '__main__':
    main()
