#!/usr/bin/env python3
"""Known answers for the tokenizer, from Hugging Face's tokenizers (and, for one vocabulary, Google's sentencepiece).

    golden_tokenizer.py OUT                       small vocabularies, trained here, and their answers: golden/tokenizer
    golden_tokenizer.py --full OUT KIND=FILE...   answers for real vocabularies. KIND is a key of CONFIGS; FILE a
                                                  tokenizer.json or a GGUF file
    then, for each NAME:  test_unit_text_tokenizer OUT/NAME.vocab OUT/NAME.ids OUT/strings.bin

strings.bin: for each string its length and its bytes. NAME.ids: for each string the number of its ids and the ids,
encoded with special tokens. All numbers are LEB128. NAME.vocab: a GGUF file that holds a vocabulary and nothing else.

A trainer breaks some ties at random, so vocabularies of two runs differ a little: commit them with their answers.
Made with tokenizers 0.23.3, sentencepiece 0.2.3, gguf 0.19.0, numpy 2.4.6.
"""
import io
import json
import os
import random
import sys
import unicodedata

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def split(digits):
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits +
               r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), BYTES])


# tokenizer.ggml.pre: normalizer, pre-tokenizer, ignore_merges; None: SentencePiece.
CONFIGS = {
    "gpt-2": (None, GPT2, False),
    "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]), False),
    "qwen2": (normalizers.NFC(), split(r"\p{N}"), False),
    "llama-bpe": (None, split(r"\p{N}{1,3}"), True),
    "olmo": (normalizers.NFC(), GPT2, False),
    "llama": None,
}

TRAINED = ["gpt-2", "smollm", "qwen2", "llama-bpe", "llama"]

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end|>|>", "<unk>", "<s>", "</s>"]
USER_DEFINED = ["<think>", "</think>", "    \t", "\u2042\u2042"]

# ---- Strings ----------------------------------------------------------------------------------------------------

PROSE = [
    "The quick brown fox jumps over the lazy dog. It wasn't the dog's fault; they'll both be fine, won't they?",
    "I'm sure you've seen it: we'd said HE'LL come, SHE'S here, THEY'RE late, I'D go, YOU'VE been.",
    "La liberté guide nos pas; où êtes-vous allés, garçon? L'été dernier, cœur brisé à Besançon.",
    "Über den Wolken muß die Freiheit wohl grenzenlos sein. Straße, Füße, Größe, Ärger, Öl.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, añoraba a su querido cachorro. ¿Qué?",
    "Příliš žluťoučký kůň úpěl ďábelské ódy. Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Щастя б'ють жук їх глицю в фон й ґедзь пріч.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Ο καφές είναι έτοιμος.",
    "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. שָׁלוֹם עֲלֵיכֶם",
    "صِف خَلقَ خَودِ كَمِثلِ الشَمسِ إِذ بَزَغَت — يَحظى الضَجيعُ بِها نَجلاءَ مِعطارِ ٠١٢٣٤٥٦٧٨٩",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले विष्णुवतार भगवान श्रीराम। १२३४",
    "আমার সোনার বাংলা, আমি তোমায় ভালোবাসি। চিরদিন তোমার আকাশ, তোমার বাতাস",
    "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம்",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน ๑๒๓",
    "いろはにほへと ちりぬるを わかよたれそ つねならむ。東京都の人口は約1400万人です。カタカナ、ﾊﾝｶｸ。",
    "天地玄黃 宇宙洪荒 日月盈昃 辰宿列張。今天的天气很好，我们去公园散步吧！「你好」",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. 안녕하세요!",
    "Zəfər, jaketini də papağını da götür, bu axşam hava çox soyuq olacaq. İstanbul ıspanak",
    "Muốn sao được vậy thì thật là tốt. Đường về nhà xa lắm, những người bạn ơi.",
    "ἄνδρα μοι ἔννεπε, Μοῦσα, πολύτροπον, ὃς μάλα πολλὰ πλάγχθη",
    "ლანდი და სხვა. გთხოვთ ახლავე გაიაროთ რეგისტრაცია. Բարեւ ձեզ, ինչպե՞ս եք։ ሰማይ አይታረስ ንጉሥ አይከሰስ።",
    "ཐུགས་རྗེ་ཆེ། မင်္ဂလာပါ ព្រះរាជាណាចក្រ ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ ᚠᛇᚻ ᐃᓄᒃᑎᑐᑦ 𐍅𐌿𐌻𐍆𐌹𐌻𐌰 𒀀𒁀 𓀀𓁐",
]

CODE = [
    'int main(void) {\n\tfor (int i = 0; i < 10; ++i)\n\t\tprintf("%d\\n", i * 0x1F);\n\treturn 0;\n}\n',
    'def f(x: int = 3) -> list[str]:\n    """Doc."""\n    return [str(i**2) for i in range(x) if i % 2 == 0]\n\n\n',
    "const a = async ({b, ...c}) => { await fetch(`https://x.org/${b}?q=1&r=%20`); /* why */ };\r\n",
    "fn main() -> Result<(), Box<dyn Error>> {\n    let v: Vec<u8> = vec![0; 1 << 10];\n    Ok(())\n}\n",
    "SELECT name, COUNT(*) AS n FROM t WHERE a <> 'O''Brien' AND b >= 1e-9 GROUP BY 1 ORDER BY n DESC;\n",
    "<!DOCTYPE html>\n<p class=\"a b\">x &amp; y&nbsp;&lt;z&gt;</p>\n<script>if(a&&b||!c){d++}</script>\n",
    "#!/bin/sh\nset -eu\nfor f in *.txt; do echo \"${f%.txt}\" | sed 's/[aeiou]\\+/_/g' >> /dev/null; done\n",
    "{\"key\": [1, 2.5, -3e10, null, true], \"nested\": {\"\\u00e9\": \"\\n\"}}\n",
    "\\begin{align}\n  \\int_0^\\infty e^{-x^2}\\,dx &= \\frac{\\sqrt{\\pi}}{2} \\\\\n\\end{align}\n",
    "(defun fact (n) (if (<= n 1) 1 (* n (fact (- n 1))))) ; comment\n    \t  \t\tx := y ** 2\n\n\n  end.",
    "| a | b |\n|---|:-:|\n| `x` | **y** |\n\n- [ ] todo\n  1. one\n     * two\n> quote\n\n```c\nx++;\n```\n",
    "0x7fffffff 1_000_000 3.14159e-10 0b1010 1,234,567.89 127.0.0.1:8080 2024-02-29T23:59:60Z +1 (555) 010-9999",
]

EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "❤️‍🔥", "1️⃣2️⃣", "👨🏿‍🚀", "🧑🏻‍❤️‍💋‍🧑🏾", "☺️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🤷‍♀️", "©️®™", "♟️"]

SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2028", "\u2029", "\u0085",
          "\x0b", "\x0c", "\u1680", "\u180e", "\u202f", "\ufeff", "\u2060", "\x1c", "\x1f"]

MARKS = ["\u0301", "\u0323", "\u0308", "\u0327", "\u0307", "\u05b4", "\u064e", "\u0651", "\u093c", "\u3099", "\u20dd", "\u0345", "\u1ab0"]

WORDS = ("the of and to in is that for with Hello world token model tensor weights can't I'll we've DON'T it's o'clock 'tis "
         "naïve café Zürich данные 模型 한국어 データ 123 42 3.14 1000000 x86_64 C++17 foo_bar camelCase HTTPServer "
         "user@example.com https://example.org/a?b=c#d /usr/local/bin --flag=value $HOME %d {} [] () <tag> &amp; ... !!! ?! "
         "½ ² Ⅷ ⑩ ١٢٣ १२३ 𝟙𝟚 Ǆ ﬁ ß ẞ ſ K Å Å ͅ ΐ 'ſ 'S 'LL 'Ve ’s ‘t ` ´ – — … “ ” „ « » • · № § ¶ † ‡ ‰ € £ ¥ ₹ ₿").split()


def scripts(rng):
    """Letters of every block, in runs; every assigned code point of the BMP's first part comes up somewhere."""
    points = [c for c in range(0x20, 0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    for i in range(0, len(points), 96):
        block = points[i:i + 96]
        yield "".join(map(chr, rng.sample(block, min(12, len(block)))))
        if rng.random() < 0.35:
            yield " ".join(chr(rng.choice(block)) + chr(rng.choice(block)) for _ in range(4))


def pieces(rng):
    choice = rng.random()
    if choice < 0.40:
        return rng.choice(WORDS)
    if choice < 0.55:
        return rng.choice(SPACES) * rng.choice((1, 1, 1, 2, 3, 5, 9))
    if choice < 0.63:
        return rng.choice(EMOJI)
    if choice < 0.70:
        return rng.choice("aeioucsnzAEIOUкиㅎ가が") + "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 4)))
    if choice < 0.76:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 11)))
    if choice < 0.82:
        return rng.choice(SPECIALS + USER_DEFINED + ["<|im_end", "|>", "<|im_start", "<0x0A>", "\u2581", "\u2581\u2581"])
    if choice < 0.90:
        text = rng.choice(PROSE)
        start = rng.randrange(len(text))
        return text[start:start + rng.randint(1, 14)]
    if choice < 0.94:
        return chr(rng.randrange(0x00, 0x20)) + rng.choice(["", "\x7f", "\x80", "\x9f", "a"])
    text = rng.choice(CODE)
    start = rng.randrange(len(text))
    return text[start:start + rng.randint(1, 20)]


BROKEN = [b"\xff", b"\xfe\xff", b"\x80", b"\xbf\xbf", b"\xc0\x80", b"\xc3", b"\xe2\x82", b"\xe2\x28\xa1", b"\xed\xa0\x80", b"\xed\xbf\xbf",
          b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf"]


def same_everywhere(text):
    """False where tokenizers' Unicode tables are older than Python's: marks that it does not know it does not order."""
    text = text.decode(errors="replace")
    return normalizers.NFC().normalize_str(text) == unicodedata.normalize("NFC", text)


def strings():
    rng = random.Random(20)
    out = [b"", b" ", b"  ", b"a", b"\n", b"\x00", b"\x00\x00a\x00"]
    out += [t.encode() for t in PROSE + CODE + EMOJI + WORDS]
    out += [(a + s * n + b).encode() for s in SPACES for n in (1, 2, 4) for a in ("", "a", "1", ".") for b in ("", "b", "7", "!")]
    out += [(" " * n + "x" + "\n" * n + " " * n).encode() for n in range(1, 40, 3)]
    out += [("a" * n + "é" * n + "7" * n + "=" * n).encode() for n in (1, 2, 3, 5, 8, 13, 21, 34, 150)]
    out += [("".join(rng.choice(MARKS) for _ in range(n))).encode() for n in (1, 2, 3, 5, 9, 30, 90)]
    out += [t.encode() for t in scripts(rng)]
    out += [b + tail for b in BROKEN for tail in (b"", b"a", b" \n", "é".encode())]
    while len(out) < 5200:
        text = "".join(pieces(rng) + (" " if rng.random() < 0.3 else "") for _ in range(rng.randint(1, 7))).encode()
        if rng.random() < 0.12:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(BROKEN) + text[at:]
        if rng.random() < 0.06:
            text = text[:rng.randrange(len(text) + 1)]
        out.append(text)
    return [text for text in out if same_everywhere(text)]


# ---- Vocabularies -----------------------------------------------------------------------------------------------


def corpus():
    rng = random.Random(5)
    texts = PROSE * 4 + CODE * 4 + EMOJI
    texts += [" ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(300)]
    texts += ["".join(pieces(rng) for _ in range(12)) for _ in range(600)]
    return [t for t in texts if not any(s in t for s in SPECIALS)]


def add_tokens(tokenizer):
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    tokenizer.add_tokens([AddedToken(s, special=False, normalized=False) for s in USER_DEFINED])


def train_byte_level(kind, size):
    normalizer, pre_tokenizer, whole_words = CONFIGS[kind]
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    if whole_words:  # words that no merge makes: only the look-up of whole words finds them
        state = json.loads(tokenizer.to_str())
        for word in ("Ġworld", "weights", "zq", "123", "Ġ\u00c3\u00a9"):
            state["model"]["vocab"].setdefault(word, len(state["model"]["vocab"]))
        tokenizer = Tokenizer.from_str(json.dumps(state))
    add_tokens(tokenizer)
    return tokenizer


def train_sentencepiece(size):
    """A vocabulary like Llama 2's: <unk> <s> </s>, the bytes, then pieces; merges in the order of scores."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, limit_alphabet=400, show_progress=False))
    pieces_of = json.loads(trained.to_str())["model"]
    vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)])}
    merged = dict.fromkeys("".join(m) for m in pieces_of["merges"])
    single = [t for t in pieces_of["vocab"] if t not in merged]
    for token in list(merged) + single:  # as in Llama 2: what merges first stands first, single characters last
        vocab.setdefault(token, len(vocab))
    tokenizer = sentencepiece_tokenizer(vocab, sentencepiece_scores(vocab))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ("<unk>", "<s>", "</s>")])
    add_tokens(tokenizer)
    return tokenizer


def sentencepiece_scores(vocab):
    """As in Llama 2: the sooner a piece was found the higher; rows of spaces, found by nobody, are the last to merge."""
    return {token: -1e9 if set(token) == {"\u2581"} else float(-max(0, i - 259)) for token, i in vocab.items()}


def sentencepiece_tokenizer(vocab, scores):
    """Merges from the scores of what they make (transformers' generate_merges)."""
    merges = []
    for token in list(vocab)[259:]:
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        cuts = [c for c in cuts if c[0] in vocab and c[1] in vocab]
        merges += [(a, b, scores[token]) for a, b in sorted(cuts, key=lambda c: (vocab[c[0]], vocab[c[1]]))]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    merges = [m[:2] for m in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return tokenizer


class Sentencepiece:
    """Google's own, with what `llama` files rarely have: remove_extra_whitespaces."""

    def __init__(self, size):
        model = io.BytesIO()
        texts = (text.replace("\n", " ").replace("\0", "") for text in corpus())
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts, model_writer=model, vocab_size=size, model_type="bpe", byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=True, character_coverage=0.98, minloglevel=2,
            unk_piece="<|unknown|>", bos_piece="<|begin|>", eos_piece="<|end of all|>")
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    def encode(self, text):
        return self.processor.encode(text)

    def write_vocabulary(self, path):
        processor, ids = self.processor, range(self.processor.get_piece_size())
        writer = gguf.GGUFWriter(path, "none")
        writer.add_tokenizer_model("llama")
        writer.add_token_list([processor.id_to_piece(i) for i in ids])
        writer.add_token_scores([processor.get_score(i) for i in ids])
        writer.add_token_types([gguf.TokenType.UNKNOWN if processor.is_unknown(i) else
                                gguf.TokenType.CONTROL if processor.is_control(i) else
                                gguf.TokenType.BYTE if processor.is_byte(i) else gguf.TokenType.NORMAL for i in ids])
        writer.add_remove_extra_whitespaces(True)
        finish(writer)


def from_gguf(kind, path):
    """Builds the tokenizer that a GGUF file's vocabulary came from."""
    fields = {k: f.contents() for k, f in gguf.GGUFReader(path).fields.items() if k.startswith("tokenizer.ggml.")}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    if CONFIGS[kind] is None:
        scores = dict(zip(tokens, fields["tokenizer.ggml.scores"]))
        tokenizer = sentencepiece_tokenizer({t: i for i, t in enumerate(tokens)}, scores)
    else:
        normalizer, pre_tokenizer, whole_words = CONFIGS[kind]
        merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"]]
        tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, ignore_merges=whole_words))
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
    for token, kind_of_token in zip(tokens, types):
        if kind_of_token in (2, 3, 4):
            tokenizer.add_tokens([AddedToken(token, special=kind_of_token != 4, normalized=False)])
    return tokenizer


def write_vocabulary(kind, tokenizer, path):
    state = json.loads(tokenizer.to_str())
    vocab = dict(state["model"]["vocab"])
    types = {}
    for added in state["added_tokens"]:
        vocab[added["content"]] = added["id"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    n_tokens = max(vocab.values()) + 1
    tokens = [f"[PAD{i}]" for i in range(n_tokens)]
    for token, i in vocab.items():
        tokens[i] = token
    used = set(vocab.values())
    kinds = [types.get(i, gguf.TokenType.NORMAL if i in used else gguf.TokenType.UNUSED) for i in range(n_tokens)]
    writer = gguf.GGUFWriter(path, "none")
    if CONFIGS[kind] is None:
        kinds[vocab["<unk>"]] = gguf.TokenType.UNKNOWN
        for i in range(256):
            kinds[vocab[f"<0x{i:02X}>"]] = gguf.TokenType.BYTE
        writer.add_tokenizer_model("llama")
        scores = sentencepiece_scores(vocab)
        writer.add_token_scores([scores[token] for token in tokens])
        writer.add_bos_token_id(vocab["<s>"])
        writer.add_eos_token_id(vocab["</s>"])
        writer.add_unk_token_id(vocab["<unk>"])
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(kind)
        merges = state["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


# ---- Answers ----------------------------------------------------------------------------------------------------


def leb128(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_ids(path, encode, texts):
    with open(path, "wb") as f:
        for text in texts:
            ids = encode(text.decode(errors="replace"))
            f.write(leb128(len(ids)) + b"".join(map(leb128, ids)))


def write_answers(out, name, kind, tokenizer, texts):
    write_vocabulary(kind, tokenizer, os.path.join(out, name + ".vocab"))
    write_ids(os.path.join(out, name + ".ids"), lambda text: tokenizer.encode(text, add_special_tokens=False).ids, texts)


def write_trained(out, texts):
    for kind in TRAINED:
        tokenizer = train_byte_level(kind, 900) if CONFIGS[kind] else train_sentencepiece(1200)
        write_answers(out, kind, kind, tokenizer, texts)
    google = Sentencepiece(1200)
    google.write_vocabulary(os.path.join(out, "sentencepiece.vocab"))
    write_ids(os.path.join(out, "sentencepiece.ids"), google.encode, texts)


def main(arguments):
    full = arguments[0] == "--full"
    out, files = arguments[full], arguments[full + 1:]
    os.makedirs(out, exist_ok=True)
    texts = strings()
    with open(os.path.join(out, "strings.bin"), "wb") as f:
        for text in texts:
            f.write(leb128(len(text)) + text)
    if not full:
        write_trained(out, texts)
    for argument in files:
        kind, _, path = argument.partition("=")
        name = os.path.basename(path).rsplit(".", 1)[0] + "-" + kind
        tokenizer = Tokenizer.from_file(path) if path.endswith(".json") else from_gguf(kind, path)
        write_answers(out, name, kind, tokenizer, texts)


if __name__ == "__main__":
    main(sys.argv[1:])
