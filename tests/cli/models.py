"""Models for the tests of the command: small, made on the spot, each saying something known beforehand."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tools"))

import chain_model  # noqa: E402

THOUGHTFUL = ["\n", "<think>", "Hm", ",", " well", "</think>", "Yes", ".", "<|im_end|>"]
ENDLESS = ["\n", "la", " di", " da", "\n"]  # round and round
PLAIN = ["\n", "th", "o", "u", "<|im_end|>"]  # just the tokens that the tokenizer makes of this text
OPENED = ["\n", "Hm", "</think>", "Yes", "<|im_end|>"]
HOSTILE = ["\n", "\x1b[2J", " boo", "<|im_end|>"]

# The prompt ends in the word after which the chain says: nothing, all but its first word, or all.
SWITCHED = ("{{ messages[0]['content'] }}{% if enable_thinking is not defined %}.{% elif enable_thinking %}I"
            "{% else %}{{ '\n' }}{% endif %}")


def write_all(folder):
    at = lambda name: os.path.join(folder, name)
    chain_model.write_model(at("chain.gguf"))
    chain_model.write_model(at("thoughtful.gguf"), chain=THOUGHTFUL)
    chain_model.write_model(at("endless.gguf"), chain=ENDLESS, context=100000)
    chain_model.write_model(at("long.gguf"), context=1 << 24, layers=64)  # a context that no memory holds: 512 GiB
    chain_model.write_model(at("opened.gguf"), chain=OPENED, template="{{ messages[0]['content'] }}{{ '<think>\n' }}")
    chain_model.write_model(at("switched.gguf"), template=SWITCHED)
    chain_model.write_model(at("plain.gguf"), chain=PLAIN)
    chain_model.write_model(at("short.gguf"), context=96)
    chain_model.write_model(at("hostile.gguf"), chain=HOSTILE, name="Bad \x1b[31m name")
    chain_model.write_model(at("raw.gguf"), template=None)
    chain_model.write_model(at("raising.gguf"), template="{{ raise_exception('only cats may ask') }}")
    chain_model.write_model(at("broken.gguf"), template="{% for x in %}")
    chain_model.write_model(at("unknown.gguf"), architecture="llamma")
    with open(at("chain.gguf"), "rb") as file:
        whole = file.read()
    with open(at("half.gguf"), "wb") as file:
        file.write(whole[:len(whole) // 2])
    open(at("empty.gguf"), "wb").close()
    with open(at("text.gguf"), "w") as file:
        file.write("This is no model.\n")
