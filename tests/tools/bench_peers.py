#!/usr/bin/env python3
"""tern and llama.cpp in turn on the same files, so that a noisy machine is noisy for both.

usage: bench_peers.py [--tern build/release/tern] [-p 512] [-n 64] [-r 5] [-t 2] TERN.gguf[=PEER.gguf]...

For each file: r rounds of `tern bench` and of llama.cpp (llama-cpp-python, built from source on this machine: say which
version with the figures) with the same prompt length, decoded tokens and threads. Prints medians, the ratio of medians,
and tern's share of the memory bandwidth measured in its own run. PEER is the file that llama.cpp reads instead where it
does not know tern's type (the same trits in another layout).
"""
import argparse
import ctypes
import json
import statistics
import subprocess
import time

import llama_cpp


@llama_cpp.llama_log_callback
def quiet(level, text, data):
    pass


def run_tern(args, path):
    command = [args.tern, 'bench', '-m', path, '-p', str(args.prompt), '-n', str(args.decode), '-t',
               str(args.threads), '-r', '1', '-o', 'json']
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    cases = {case['test']: case for case in result['cases']}
    return (cases['prefill']['tokens_per_second']['median'], cases['decode']['tokens_per_second']['median'],
            cases['decode']['share_of_wall']['median'])


class Peer:
    """llama.cpp's C interface: one prompt in one batch, then single tokens."""

    def __init__(self, args, path):
        self.args = args
        self.model = llama_cpp.Llama(path, n_ctx=args.prompt + args.decode + 8, n_batch=args.prompt,
                                     n_ubatch=args.prompt, n_threads=args.threads, n_threads_batch=args.threads,
                                     verbose=False)

    def evaluate(self, tokens, start):
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, start + i, 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i == len(tokens) - 1
        if llama_cpp.llama_decode(self.model.ctx, batch) != 0:
            raise RuntimeError('llama_decode failed')
        llama_cpp.llama_synchronize(self.model.ctx)
        llama_cpp.llama_batch_free(batch)

    def run(self):
        memory = llama_cpp.llama_get_memory(self.model.ctx)
        llama_cpp.llama_memory_clear(memory, True)
        tokens = [(i * 37 + 11) % 900 for i in range(self.args.prompt)]
        begin = time.perf_counter()
        self.evaluate(tokens, 0)
        prefill = time.perf_counter() - begin
        llama_cpp.llama_memory_clear(memory, True)
        begin = time.perf_counter()
        for i in range(self.args.decode):
            self.evaluate([i], i)
        return self.args.prompt / prefill, self.args.decode / (time.perf_counter() - begin)


def compare(args, pair):
    path, _, other = pair.partition('=')
    peer, ours, theirs = Peer(args, other or path), [], []
    peer.run()
    for _ in range(args.repeat):
        ours.append(run_tern(args, path))
        theirs.append(peer.run())
    tern_prefill, tern_decode, share = (statistics.median(column) for column in zip(*ours))
    peer_prefill, peer_decode = (statistics.median(column) for column in zip(*theirs))
    name = path.rsplit('/', 1)[-1] + (f' (llama.cpp: {other.rsplit("/", 1)[-1]})' if other else '')
    print(f'| {name} | {tern_prefill:.1f} | {peer_prefill:.1f} | {tern_prefill / peer_prefill:.2f} | {tern_decode:.1f} '
          f'| {peer_decode:.1f} | {tern_decode / peer_decode:.2f} | {100 * share:.0f} % |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tern', default='build/release/tern')
    parser.add_argument('-p', '--prompt', type=int, default=512)
    parser.add_argument('-n', '--decode', type=int, default=64)
    parser.add_argument('-r', '--repeat', type=int, default=5)
    parser.add_argument('-t', '--threads', type=int, default=2)
    parser.add_argument('files', nargs='+')
    args = parser.parse_args()
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p())
    print('| file | prefill tok/s: tern | llama.cpp | ratio | decode tok/s: tern | llama.cpp | ratio | tern, of the wall |')
    print('|---|---:|---:|---:|---:|---:|---:|---:|')
    for pair in args.files:
        compare(args, pair)


if __name__ == '__main__':
    main()
