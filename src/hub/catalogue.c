#include "hub/catalogue.h"

#include <strings.h>

// Sources of the names and sizes, as they were public when this was written:
// - prism-ml, ternary: MODEL-FORMATS.md of github.com/PrismML-Eng/Bonsai-demo, "Exact file names on the current repos",
//   and the model cards. Of the formats there, PQ2_0 (128 weights a group) suits tern best: it is the smallest and its
//   type says how it is laid out, while the repositories' old *-Q2_0.gguf share their type's number with another
//   layout. *-Q2_0_g64.gguf (64 weights a group) is what mainline llama.cpp reads.
// - prism-ml, 1-bit: the addresses in github.com/ngxson/wllama issue 207, and the model cards.
// - microsoft: the model card and the README of github.com/microsoft/BitNet.
// A size is given where independent records of the published file agree on it to the byte.
static const struct hub_model models[] = {
    {"ternary-bonsai-1.7b", "prism-ml/Ternary-Bonsai-1.7B-gguf", "Ternary-Bonsai-1.7B-PQ2_0.gguf", 0,
     "Ternary Bonsai 1.7B (Qwen3), 2.125 bits a weight"},
    {"ternary-bonsai-4b", "prism-ml/Ternary-Bonsai-4B-gguf", "Ternary-Bonsai-4B-PQ2_0.gguf", 1074969344,
     "Ternary Bonsai 4B (Qwen3), 2.125 bits a weight"},
    {"ternary-bonsai-8b", "prism-ml/Ternary-Bonsai-8B-gguf", "Ternary-Bonsai-8B-PQ2_0.gguf", 0,
     "Ternary Bonsai 8B (Qwen3), 2.125 bits a weight"},
    {"ternary-bonsai-1.7b-g64", "prism-ml/Ternary-Bonsai-1.7B-gguf", "Ternary-Bonsai-1.7B-Q2_0_g64.gguf", 490163968,
     "Ternary Bonsai 1.7B as llama.cpp reads it too, 2.25 bits a weight"},
    {"ternary-bonsai-4b-g64", "prism-ml/Ternary-Bonsai-4B-gguf", "Ternary-Bonsai-4B-Q2_0_g64.gguf", 1137806656,
     "Ternary Bonsai 4B as llama.cpp reads it too, 2.25 bits a weight"},
    {"ternary-bonsai-8b-g64", "prism-ml/Ternary-Bonsai-8B-gguf", "Ternary-Bonsai-8B-Q2_0_g64.gguf", 0,
     "Ternary Bonsai 8B as llama.cpp reads it too, 2.25 bits a weight"},
    {"bonsai-1.7b", "prism-ml/Bonsai-1.7B-gguf", "Bonsai-1.7B-Q1_0.gguf", 248302272,
     "1-bit Bonsai 1.7B (Qwen3), 1.125 bits a weight"},
    {"bonsai-4b", "prism-ml/Bonsai-4B-gguf", "Bonsai-4B-Q1_0.gguf", 572270624,
     "1-bit Bonsai 4B (Qwen3), 1.125 bits a weight"},
    {"bonsai-8b", "prism-ml/Bonsai-8B-gguf", "Bonsai-8B-Q1_0.gguf", 1158654496,
     "1-bit Bonsai 8B (Qwen3), 1.125 bits a weight"},
    {"bitnet-2b", "microsoft/bitnet-b1.58-2B-4T-gguf", "ggml-model-i2_s.gguf", 1187801280,
     "BitNet b1.58 2B4T, ternary with an F16 embedding"},
    {"smollm2-135m", NULL, "SmolLM2-135M-Instruct.Q4_1.gguf", 98362432,
     "a small ordinary model to try tern with; scripts/get-model fetches it"},
};

const struct hub_model *hub_catalogue(size_t *count)
{
    *count = sizeof models / sizeof *models;
    return models;
}

const struct hub_model *hub_find_model(const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcasecmp(models[i].name, name) == 0) return &models[i];
    return NULL;
}
