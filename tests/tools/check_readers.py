#!/usr/bin/env python3
"""Do other readers of GGUF accept what tern writes? A table: for each type, what each reader makes of the file.

usage: check_readers.py TERN INPUT [FOLDER_OF_NODE_MODULES]

INPUT is a GGUF model whose rows are multiples of 256, such as
    make_gguf.py tiny f16 --norm-jitter model.gguf
It is packed to each type; then the gguf package (Python) and, where a folder with it is given, @huggingface/gguf (npm)
read names, shapes, types and offsets, which must be the same; the gguf package also reads the values, where it can,
which must be those of the same trits as floats. To run by hand; needs gguf 0.19.0, numpy 2, and @huggingface/gguf 0.4.6
under node 20. docs/packing.md has what came of it.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np

TYPES = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q1_0', 'Q2_0', 'PQ2_0', 'PTQ1_0', 'TQ1_0', 'TQ2_0', 'I2_S']

READ_BY_NODE = """
import { gguf } from '@huggingface/gguf';
const { metadata, tensorInfos, tensorDataOffset } = await gguf(process.argv[2], { allowLocalFile: true });
const list = tensorInfos.map((t) => [t.name, t.shape.map(Number), t.dtype, Number(t.offset)]);
console.log(JSON.stringify({ n_keys: Object.keys(metadata).length, start: Number(tensorDataOffset), tensors: list }));
"""


def tern(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


def pack(program, source, path, type_name, *options):
    odd = ['--method', 'sign'] if type_name == 'Q1_0' else []
    tern(program, 'pack', source, path, '--type', type_name, '--force', '--quiet', *odd, *options)


def read_by_python(path, floats):
    """What the gguf package says of the file; `floats` is the same model as floats."""
    try:
        reader = gguf.GGUFReader(path)
    except ValueError as error:
        return None, f'refused: {error}'
    tensors = [[t.name, [int(n) for n in t.shape], int(t.tensor_type), int(t.data_offset)] for t in reader.tensors]
    wanted = {t.name: t for t in gguf.GGUFReader(floats).tensors}
    unread, wrong = set(), 0
    for tensor in reader.tensors:
        try:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError:
            unread.add(tensor.tensor_type.name)
            continue
        other = wanted[tensor.name]
        expected = gguf.quants.dequantize(other.data, other.tensor_type)
        wrong += not np.array_equal(values.reshape(-1), expected.reshape(-1))
    words = 'accepted' if wrong == 0 else f'accepted, {wrong} TENSORS WITH OTHER VALUES'
    return tensors, words + (f', values of {", ".join(sorted(unread))} not read' if unread else ', values equal')


def read_by_node(modules, path):
    script = modules / 'read.mjs'
    script.write_text(READ_BY_NODE)
    result = subprocess.run(['node', script, path], capture_output=True, text=True, cwd=modules)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if 'Error' in line]
        return None, 'refused: ' + (lines[0].strip() if lines else 'without words')
    found = json.loads(result.stdout)
    tensors = [[name, shape, dtype, offset + found['start']] for name, shape, dtype, offset in found['tensors']]
    return tensors, 'accepted'


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    modules = pathlib.Path(sys.argv[3]).resolve() if len(sys.argv) == 4 else None
    agree = True
    with tempfile.TemporaryDirectory() as folder:
        path, floats = pathlib.Path(folder) / 'packed.gguf', pathlib.Path(folder) / 'floats.gguf'
        for type_name in TYPES:
            pack(program, source, path, type_name, *(['--method', 'least-squares'] if type_name == 'I2_S' else []))
            pack(program, path, floats, 'F32', '--lossless')
            tensors, words = read_by_python(path, floats)
            print(f'{type_name:7} gguf {words}')
            if modules is None:
                continue
            others, words = read_by_node(modules, path)
            same = tensors is None or others is None or tensors == others
            agree = agree and same
            print(f'{type_name:7} @huggingface/gguf {words}{"" if same else ", BUT OTHER TENSORS"}')
    return 0 if agree else 1


if __name__ == '__main__':
    sys.exit(main())
