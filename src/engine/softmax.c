#include "engine/softmax.h"

#include "base/half.h"

// Sixteen sums side by side over pieces that are short enough to lose nothing in single precision.
enum { LANES = 16, PIECE = 256 };

// e^x for x <= 0: x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series, whose 8th term is below 2^-27.
static inline float exponential(float x)
{
    const float round = 0x1.8p23f; // adding it leaves the nearest integer in the low bits
    float y = x >= -87.0f ? x : -87.0f;
    float shifted = y * 0x1.715476p0f + round, n = shifted - round;
    float r = (y - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    float sum = 1 + r * (1.0f / 7);
    sum = 1 + r * (1.0f / 6) * sum;
    sum = 1 + r * (1.0f / 5) * sum;
    sum = 1 + r * (1.0f / 4) * sum;
    sum = 1 + r * (1.0f / 3) * sum;
    sum = 1 + r * (1.0f / 2) * sum;
    sum = 1 + r * sum;
    float power = half_from_bits32((half_to_bits32(shifted) << 23) + 0x3f800000u);
    return x >= -87.0f ? sum * power : 0.0f;
}

float softmax_weight(float logit, float most, float temperature)
{
    return exponential((logit - most) / temperature);
}

static float sum_piece(const float *logits, int32_t n, float most, float temperature)
{
    float lane[LANES] = {0};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            lane[j] += exponential((logits[i + j] - most) / temperature);
    for (; i < n; i++)
        lane[i % LANES] += exponential((logits[i] - most) / temperature);
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int j = 0; j < step; j++)
            lane[j] += lane[j + step];
    return lane[0];
}

double softmax_total(const float *logits, int32_t n, float most, float temperature)
{
    double total = 0;
    for (int32_t i = 0; i < n; i += PIECE)
        total += (double)sum_piece(logits + i, n - i < PIECE ? n - i : PIECE, most, temperature);
    return total;
}
