#!/usr/bin/env python3
"""tern's server and llama.cpp's in turn on the same machine, with several clients at once.

usage: bench_server.py --peer LLAMA_SERVER [--tern build/release/tern] TERN.gguf[=PEER.gguf]

Each round starts `--clients` clients, each of which asks once for `-n` tokens after a prompt of `-p` tokens over
/v1/completions, streaming: `different` prompts have nothing in common, `shared` ones all but their last 32 tokens. No
prompt comes twice, so that nothing is remembered from round to round. Both servers run all the time and are asked in
turn. Prints generated tokens a second over all clients, the time to the first token (median and 95th percentile over
clients and rounds), and the ratio of the medians.

`--restart` measures the first token behind `--prefix` tokens that are new, and behind the same ones once the server was
stopped and started again; tern has a --cache-dir. `--choices 1,4,8` measures tern's requests for so many answers to one
prompt of `-p` tokens, and beside them as many requests with prompts of their own. `--clients ''` leaves out all else.

LLAMA_SERVER: built from llama.cpp's source on this machine; say which version with the figures. PEER is the file that it
reads instead where it does not know tern's type (the same trits in another layout).
"""
import argparse
import http.client
import json
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

SPREAD = 900  # ids that every vocabulary has, and none of which is special in the models that make_gguf.py makes


class Server:
    def __init__(self, name, command, port):
        self.name, self.command, self.port = name, command, port
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f'{self.name} ended with exit code {self.process.returncode}: {" ".join(self.command)}')
            try:
                if self.ask('GET', '/health').status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f'{self.name} is not ready after two minutes')

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=1200)
        connection.request(method, path, body and json.dumps(body), {'Content-Type': 'application/json'})
        return connection.getresponse()


def complete(server, tokens, n, choices=1):
    """Seconds to the first event with text or a token, and generated tokens."""
    begin = time.perf_counter()
    answer = server.ask('POST', '/v1/completions', {
        'model': 'm', 'prompt': tokens, 'max_tokens': n, 'n': choices, 'temperature': 0, 'stream': True,
        'ignore_eos': True, 'stream_options': {'include_usage': True}})
    if answer.status != 200:
        raise SystemExit(f'{server.name}: {answer.status} {answer.read()[:300]}')
    first, usage = None, None
    for line in answer:
        if line.startswith(b'data: {'):
            event = json.loads(line[6:])
            if first is None and event.get('choices'):
                first = time.perf_counter() - begin
            usage = event.get('usage') or usage
        elif b'error' in line:
            raise SystemExit(f'{server.name}: {line[:300]}')
    return first, usage['completion_tokens']


def run_round(server, prompts, n, choices=1):
    results = [None] * len(prompts)

    def client(i):
        results[i] = complete(server, prompts[i], n, choices)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(len(prompts))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if None in results:
        raise SystemExit(f'{server.name}: a client got no answer')
    return sum(tokens for _, tokens in results) / seconds, [first for first, _ in results]


def read_metric(server, name):
    lines = server.ask('GET', '/metrics').read().decode().splitlines()
    return sum(float(line.rsplit(' ', 1)[1]) for line in lines if line.startswith(name + '{'))


def computed_tokens(server):
    return read_metric(server, 'tern_prompt_tokens_total') - read_metric(server, 'tern_cached_tokens_total')


def make_prompts(rng, clients, length, shared):
    common = [rng.randrange(SPREAD) for _ in range(length - 32)]
    return [(common if shared else [rng.randrange(SPREAD) for _ in range(length - 32)]) +
            [rng.randrange(SPREAD) for _ in range(32)] for _ in range(clients)]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def compare(args, servers):
    rng = random.Random(args.seed)
    print(f'{"prompts":10} {"clients":>7}  ' + '  '.join(
        f'{s.name + " tok/s":>16} {"first p50":>9} {"p95":>7}' for s in servers) + '   tok/s  first')
    for shared in (False, True):
        for clients in args.clients:
            speed, first = {s: [] for s in servers}, {s: [] for s in servers}
            for _ in range(args.rounds):
                prompts = make_prompts(rng, clients, args.prompt, shared)
                for server in servers:
                    rate, times = run_round(server, prompts, args.decode)
                    speed[server].append(rate)
                    first[server] += times
            rates = [statistics.median(speed[s]) for s in servers]
            medians = [statistics.median(first[s]) for s in servers]
            columns = [f'{rate:16.1f} {median:8.2f}s {percentile(first[s], 0.95):6.2f}s'
                       for s, rate, median in zip(servers, rates, medians)]
            ratios = f'  {rates[0] / rates[1]:5.2f}  {medians[1] / medians[0]:5.2f}' if len(servers) == 2 else ''
            print(f'{"shared" if shared else "different":10} {clients:7}  ' + '  '.join(columns) + ratios, flush=True)


def compare_restart(args, servers):
    rng = random.Random(args.seed + 1)
    print(f'\nfirst token behind {args.prefix} tokens    new   after a restart')
    for server in servers:
        new, again = [], []
        for _ in range(args.rounds):
            prefix = [rng.randrange(SPREAD) for _ in range(args.prefix)]
            complete(server, [7, 8, 9], 1)  # a server's own beginnings are not what is measured
            new.append(complete(server, prefix + [1, 2, 3], 1)[0])
            time.sleep(2)  # what is written in the background
            server.stop()
            server.start()
            complete(server, [7, 8, 9], 1)
            again.append(complete(server, prefix + [4, 5, 6], 1)[0])
        print(f'{server.name:28} {statistics.median(new):8.3f}s {statistics.median(again):15.3f}s', flush=True)


def compare_choices(args, server):
    """One request for n answers, and n requests: seconds to the first token and to the last, prompt tokens computed."""
    rng = random.Random(args.seed + 2)
    print(f'\nanswers of {args.decode} tokens to a prompt of {args.prompt}: first token, all answers, prompt tokens computed')
    for n in args.choices:
        results = [[], []]
        for _ in range(args.rounds):
            for separate in (False, True):
                prompts = make_prompts(rng, n if separate else 1, args.prompt, shared=False)
                before, begin = computed_tokens(server), time.perf_counter()
                _, first = run_round(server, prompts, args.decode, 1 if separate else n)
                seconds = time.perf_counter() - begin
                results[separate].append((statistics.median(first), seconds, computed_tokens(server) - before))
        for separate, rows in enumerate(results):
            first, seconds, computed = (statistics.median(column) for column in zip(*rows))
            print(f'{f"{n} requests" if separate else f"n = {n}":12} {first:8.2f}s {seconds:8.2f}s {computed:9.0f}', flush=True)


def numbers(text):
    return [int(word) for word in text.split(',') if word]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('file')
    parser.add_argument('--tern', default='build/release/tern')
    parser.add_argument('--peer', help="llama.cpp's llama-server; without it tern is measured alone")
    parser.add_argument('--clients', type=numbers, default=[1, 4, 16])
    parser.add_argument('--choices', type=numbers, default=[])
    parser.add_argument('-p', '--prompt', type=int, default=256)
    parser.add_argument('-n', '--decode', type=int, default=64)
    parser.add_argument('-r', '--rounds', type=int, default=3)
    parser.add_argument('-t', '--threads', type=int, default=2)
    parser.add_argument('--restart', action='store_true')
    parser.add_argument('--prefix', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()

    path, _, peer_path = args.file.partition('=')
    most = max(args.clients + args.choices + [1])
    context = max(args.prompt + args.decode, args.prefix) + 64
    cache_dir = tempfile.mkdtemp(prefix='tern-bench-')
    servers = []
    try:
        servers.append(Server('tern', [args.tern, 'serve', path, '--port', '8191', '-t', str(args.threads), '-c',
                                       str(context), '--parallel', str(most), '--cache-dir', cache_dir], 8191))
        if args.peer:
            servers.append(Server('llama.cpp', [
                args.peer, '-m', peer_path or path, '--port', '8192', '-t', str(args.threads), '-c', str(context * most),
                '-np', str(most)], 8192))
        if args.clients:
            compare(args, servers)
        if args.choices:
            compare_choices(args, servers[0])
        if args.restart:
            compare_restart(args, servers)
    finally:
        for server in servers:
            server.process.kill()
        shutil.rmtree(cache_dir, ignore_errors=True)


if __name__ == '__main__':
    main()
