#!/usr/bin/env python3
"""Tiny Hugging Face checkpoints and their known answers: what `tern pack` must make of them.

usage: golden_convert.py OUT_FOLDER

Writes one folder a model, as transformers' save_pretrained() does (config.json, model.safetensors, tokenizer.json, ...),
and answers.json with logits by transformers. The weights are random; every architecture and layout that the converter
reads is there once: qwen3 in BF16 with a head of its own, llama in F16 with llama3 RoPE scaling and shards, BitNet packed
for AutoBitLinear, llama packed for BitLinear (whose scales divide), and 1bitLLM's BitnetForCausalLM in F16, whose
weights are rounded by absmean when it runs, with a tokenizer.model. texts.json has token ids by SentencePiece and, where
tokenizer.json is all there is, by tokenizers.
Needs torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3, safetensors 0.8.0, sentencepiece 0.2.3.
"""
import copy
import io
import json
import pathlib
import pydoc_data.topics
import sys

import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (BitNetConfig, BitNetForCausalLM, LlamaConfig, LlamaForCausalLM, LlamaTokenizer,
                          PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM)
from transformers.integrations.bitnet import pack_weights

from golden_decoder import position_answers

VOCABULARY, FILLERS = 320, 10  # the last ids have no token
POSITIONS = (0, 7, 23)
TOKENS = [(i * 37 + 11) % 300 for i in range(24)]

BEFORE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
AFTER = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(digits):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(BEFORE + digits + AFTER), 'isolated'),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def tokenizer(kind):
    """Bytes, merges that make words of them, and special tokens, pre-tokenized as one of the known kinds."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(alphabet)}
    merges = []
    for left, right in [('t', 'h'), ('th', 'e'), ('Ġ', 'the'), ('i', 'n'), ('in', 'g'), ('a', 'n'), ('an', 'd'), ('1', '2')]:
        merges.append((left, right))
        vocabulary[left + right] = len(vocabulary)
    while len(vocabulary) < VOCABULARY - FILLERS - 3:
        vocabulary[f'filler{len(vocabulary)}'] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=kind == 'llama-bpe'))
    made.decoder = decoders.ByteLevel()
    if kind == 'qwen2':
        made.normalizer = normalizers.NFC()
        made.pre_tokenizer = split(r'\p{N}')
    elif kind == 'llama-bpe':
        made.pre_tokenizer = split(r'\p{N}{1,3}')
    elif kind == 'smollm':
        made.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    made.add_special_tokens([AddedToken('<|begin|>', special=True), AddedToken('<|end|>', special=True)])
    made.add_tokens([AddedToken('<think>', special=False)])
    if kind == 'llama-bpe':
        begin = made.token_to_id('<|begin|>')
        made.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single='<|begin|> $A', pair='<|begin|> $A <|begin|> $B',
                                          special_tokens=[('<|begin|>', begin)])])
    else:
        made.post_processor = processors.ByteLevel(trim_offsets=False)
    return made


def save_tokenizer(folder, kind):
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer(kind), bos_token='<|begin|>', eos_token='<|end|>')
    fast.chat_template = "{% for m in messages %}<|begin|>{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
    fast.save_pretrained(folder)


def randomise(model, seed, type):
    """Random weights that are numbers of `type`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_((1 + noise * 0.1 if 'norm' in name else noise * (1.5 / weight.shape[-1] ** 0.5)).to(type))


def save(model, type, folder, **kwargs):
    """Saves a copy: a cast would round the model's RoPE frequencies too."""
    copy.deepcopy(model).to(type).save_pretrained(folder, **kwargs)


def logits(model):
    with torch.no_grad():
        out = model(torch.tensor([TOKENS])).logits[0].float().numpy()
    return [position_answers(p, out[p]) for p in POSITIONS]


SMALL = {'vocab_size': VOCABULARY, 'hidden_size': 64, 'intermediate_size': 96, 'num_hidden_layers': 2,
         'num_attention_heads': 4, 'num_key_value_heads': 2, 'head_dim': 16, 'max_position_embeddings': 512,
         'attn_implementation': 'eager'}
# Rows of whole blocks of 128, as packed trits need them.
WIDE = SMALL | {'hidden_size': 128, 'intermediate_size': 128, 'head_dim': 32}


def make_qwen3(folder):
    model = Qwen3ForCausalLM(Qwen3Config(**SMALL, rope_theta=1e6, tie_word_embeddings=False)).eval()
    randomise(model, 1, torch.bfloat16)
    save(model, torch.bfloat16, folder)
    save_tokenizer(folder, 'qwen2')
    return logits(model)


def make_llama(folder):
    scaling = {'rope_type': 'llama3', 'rope_theta': 500000.0, 'factor': 8.0, 'low_freq_factor': 1.0,
               'high_freq_factor': 4.0, 'original_max_position_embeddings': 64}
    model = LlamaForCausalLM(LlamaConfig(**SMALL, rope_parameters=scaling, tie_word_embeddings=True)).eval()
    randomise(model, 2, torch.float16)
    save(model, torch.float16, folder, max_shard_size='60KB')
    save_tokenizer(folder, 'llama-bpe')
    return logits(model)


def ternarise_layers(model):
    """Rounds the matrices of all layers to trits times a scale; returns trits and scales by name."""
    packed = {}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if '.layers.' not in name or 'norm' in name:
                continue
            scale = weight.abs().mean().to(torch.bfloat16).float()
            trits = (weight / scale).round().clamp(-1, 1)
            weight.copy_(trits * scale)
            packed[name] = (trits, scale)
    return packed


def pack_checkpoint(folder, packed, invert):
    """Puts packed trits and their scales where save_pretrained() put floats."""
    path = folder / 'model.safetensors'
    tensors = load_file(path)
    for name, (trits, scale) in packed.items():
        tensors[name] = pack_weights(trits.clone())
        tensors[name + '_scale'] = (1 / scale if invert else scale).reshape(1).to(torch.float32 if invert else torch.bfloat16)
    save_file(tensors, path, {'format': 'pt'})
    path = folder / 'config.json'
    config = json.loads(path.read_text())
    config['quantization_config'] = {'quant_method': 'bitnet', 'quantization_mode': 'offline',
                                     'linear_class': 'bitlinear' if invert else 'autobitlinear'}
    path.write_text(json.dumps(config, indent=2) + '\n')


def make_bitnet(folder):
    model = BitNetForCausalLM(BitNetConfig(**WIDE, rope_theta=500000.0, hidden_act='relu2', tie_word_embeddings=True,
                                           bos_token_id=None, eos_token_id=None)).eval()
    randomise(model, 3, torch.bfloat16)
    save(model, torch.bfloat16, folder)
    pack_checkpoint(folder, ternarise_layers(model), invert=False)
    save_tokenizer(folder, 'llama-bpe')
    return logits(model)


def make_llama_packed(folder):
    model = LlamaForCausalLM(LlamaConfig(**WIDE, rope_theta=10000.0, tie_word_embeddings=False)).eval()
    randomise(model, 4, torch.bfloat16)
    save(model, torch.bfloat16, folder)
    pack_checkpoint(folder, ternarise_layers(model), invert=True)
    save_tokenizer(folder, 'smollm')
    return logits(model)


PIECES, FIRST_VOCABULARY = 420, 424  # the last ids: two added tokens, two without any

TEXTS = ['Hello World', ' two blanks  and   three', 'the statement is an expression', 'line\nline\n\n  end ', 'x = [1, 22, 333]',
         '\u2581mark', 'caf\u00e9 na\u00efve \u4f60\u597d \U0001f600', 'a', ' ', '', '<s> is text', 'tabs\tand\r\nreturns',
         'the the the otherwise', 'identifiers_with_underscores(object)'] + [
             text[200:260] for _, text in sorted(pydoc_data.topics.topics.items())[:20]]


def train_sentencepiece(folder):
    """tokenizer.model: BPE that falls back to bytes and changes no character, as Llama 2's."""
    model = io.BytesIO()
    lines = '\n'.join(text for _, text in sorted(pydoc_data.topics.topics.items())).split('\n')
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=PIECES, model_type='bpe', byte_fallback=True,
        character_coverage=0.9995, normalization_rule_name='identity', remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, minloglevel=2)
    (folder / 'tokenizer.model').write_bytes(model.getvalue())


def save_sentencepiece(folder, texts):
    """What the folder of a model from 2023 holds, and tokenizer.json, as newer ones have it, under another name."""
    train_sentencepiece(folder)
    reader = sentencepiece.SentencePieceProcessor(model_file=str(folder / 'tokenizer.model'))
    texts['pieces'] = {text: [1] + reader.encode(text) for text in TEXTS}
    fast = LlamaTokenizer.from_pretrained(folder, legacy=True)
    texts['json'] = {text: [1] + fast.backend_tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS
                     # The first is no text to it, and Metaspace puts no blank before a blank, as SentencePiece does.
                     if '<s>' not in text and text[:1] not in (' ', '\u2581')}
    fast.save_pretrained(folder / 'new')
    (folder / 'new' / 'tokenizer.json').rename(folder / 'tokenizer.json.new')
    for rest in (folder / 'new').iterdir():
        rest.unlink()
    (folder / 'new').rmdir()
    (folder / 'added_tokens.json').write_text(json.dumps({'<pad>': PIECES, '<line>': PIECES + 1}) + '\n')
    settings = {'add_bos_token': True, 'add_eos_token': False, 'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>',
                'pad_token': '<pad>', 'tokenizer_class': 'LlamaTokenizer'}
    (folder / 'tokenizer_config.json').write_text(json.dumps(settings, indent=2) + '\n')


def round_weight(weight):
    """weight_quant() of 1bitLLM's utils_quant.py, and the type that it returns."""
    scale = 1 / weight.float().abs().mean().clamp(min=1e-5)
    return ((weight.float() * scale).round().clamp(-1, 1) / scale).to(torch.float16).float()


def make_bitnet_first(folder, texts):
    """transformers' BitNet with SiLU is that model; its checkpoint holds the weights before they are rounded."""
    model = BitNetForCausalLM(BitNetConfig(**(SMALL | {'vocab_size': FIRST_VOCABULARY, 'intermediate_size': 64}),
                                           rope_theta=10000.0, rms_norm_eps=1e-5, hidden_act='silu',
                                           tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)).eval()
    randomise(model, 5, torch.float16)
    names = {'attn_sub_norm': 'inner_attn_ln', 'ffn_sub_norm': 'ffn_layernorm'}
    tensors = {}
    for name, weight in model.named_parameters():
        for theirs, first in names.items():
            name = name.replace(theirs, first)
        tensors[name] = weight.detach().to(torch.float16).clone()
    save_file(tensors, folder / 'model.safetensors', {'format': 'pt'})
    config = {'architectures': ['BitnetForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', 'hidden_size': 64,
              'intermediate_size': 64, 'num_hidden_layers': 2, 'num_attention_heads': 4, 'num_key_value_heads': 2,
              'max_position_embeddings': 512, 'rms_norm_eps': 1e-5, 'rope_scaling': None, 'rope_theta': 10000.0,
              'tie_word_embeddings': True, 'torch_dtype': 'float16', 'vocab_size': FIRST_VOCABULARY, 'weight_bits': 1,
              'input_bits': 8, 'bos_token_id': 1, 'eos_token_id': 2}
    (folder / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
    save_sentencepiece(folder, texts)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if '.layers.' in name and 'norm' not in name:
                weight.copy_(round_weight(weight))
    return logits(model)


MODELS = {'qwen3': make_qwen3, 'llama': make_llama, 'bitnet': make_bitnet, 'llama-packed': make_llama_packed}


def main():
    out = pathlib.Path(sys.argv[1])
    answers, texts = {'tokens': TOKENS, 'models': {}}, {}
    for name, make in MODELS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        answers['models'][name] = make(folder)
    folder = out / 'bitnet-first'
    folder.mkdir(parents=True, exist_ok=True)
    answers['models']['bitnet-first'] = make_bitnet_first(folder, texts)
    with open(out / 'texts.json', 'w', encoding='utf-8') as file:
        json.dump(texts, file, indent=0)
        file.write('\n')
    with open(out / 'answers.json', 'w', encoding='utf-8') as file:
        json.dump(answers, file, indent=0)
        file.write('\n')


if __name__ == '__main__':
    main()
