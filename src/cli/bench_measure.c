// Measuring: models loaded side by side, cases run in turn, round by round. Cases drive the decoder itself, so that
// several sequences can be computed together and one model with several numbers of threads.
#include "cli/bench_state.h"

#include "cli/interrupt.h"

#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARM_UP_STEPS = 4, METER_SECONDS = 30 };

static struct bench_subject *subject_of(struct bench *b, const struct benchmark_case *c)
{
    return &b->subjects[c->model];
}

static int lane_of(const struct bench *b, const struct benchmark_case *c)
{
    int lane = 0;
    while (b->lanes[lane].stream->threads != c->threads)
        lane++;
    return lane;
}

// ---- Running a case -----------------------------------------------------------------------------------------------

// Tokens that differ, so that no cache sees the same row of the embedding twice in a row.
static tern_token test_token(const tern_model *model, int64_t index)
{
    return (tern_token)((uint64_t)index * 7919u % (uint64_t)tern_model_vocabulary(model));
}

// Between two steps of a case, which may take hours: the energy meter must be read before it begins again.
static tern_status take_breath(struct bench *b)
{
    const double now = model_clock();
    double joules;
    if (now - b->meter_read > METER_SECONDS) {
        energy_read(&b->meter, &joules);
        b->meter_read = now;
    }
    return interrupt_seen() ? status_fail(TERN_CANCELLED, "interrupted") : TERN_OK;
}

// Tokens [first, first + count) of one sequence, as many at once as the decoder takes; logits after the last.
static tern_status prefill(struct bench *b, const tern_model *model, struct decoder *decoder, struct kv_cache *cache,
                           int32_t first, int32_t count)
{
    for (int32_t done = 0; done < count;) {
        TRY(take_breath(b));
        int32_t n = count - done < DECODER_MAX_ROWS ? count - done : DECODER_MAX_ROWS;
        TRY(kv_cache_reserve(cache, first + done + n));
        for (int32_t i = 0; i < n; i++)
            b->rows[i] = (struct decoder_row){.token = test_token(model, first + done + i),
                                              .position = first + done + i,
                                              .cache = cache,
                                              .logits = done + i == count - 1 ? b->logits : NULL};
        TRY(decoder_forward(decoder, b->rows, n));
        done += n;
    }
    return TERN_OK;
}

// One token for each stream, then the drawing of the next from its logits, which is not used: every run does the same.
static tern_status decode_step(struct bench *b, const struct benchmark_case *c, struct decoder *decoder, int32_t step)
{
    struct bench_subject *subject = subject_of(b, c);
    int32_t position = c->depth + step, vocabulary = tern_model_vocabulary(subject->model);
    TRY(take_breath(b));
    for (int32_t i = 0; i < c->streams; i++) {
        TRY(kv_cache_reserve(b->caches[i], position + 1));
        b->rows[i] = (struct decoder_row){.token = test_token(subject->model, (int64_t)position * c->streams + i),
                                          .position = position,
                                          .cache = b->caches[i],
                                          .logits = b->logits + (int64_t)i * vocabulary};
    }
    TRY(decoder_forward(decoder, b->rows, c->streams));
    for (int32_t i = 0; i < c->streams; i++)
        sampler_sample(subject->sampler, b->logits + (int64_t)i * vocabulary, NULL, 0);
    return TERN_OK;
}

static tern_status run_tokens(struct bench *b, const struct benchmark_case *c, int32_t tokens)
{
    struct decoder *decoder = subject_of(b, c)->engines[lane_of(b, c)].decoder;
    if (c->test == BENCHMARK_PREFILL)
        return prefill(b, subject_of(b, c)->model, decoder, b->caches[0], c->depth, tokens);
    for (int32_t step = 0; step < tokens; step++)
        TRY(decode_step(b, c, decoder, step));
    return TERN_OK;
}

// Copies, not shared blocks: streams that read the same memory would find it in the processor's caches.
static tern_status copy_prefix(const struct kv_cache *from, int32_t positions, struct kv_cache *to)
{
    TRY(kv_cache_reserve(to, positions));
    for (int32_t i = 0; i < to->n_blocks; i++) // layer 0's block is where all layers' begin
        memcpy(to->blocks[i], from->blocks[i], to->block_bytes * (size_t)to->n_layers);
    return TERN_OK;
}

static tern_status open_streams(struct bench *b, const struct benchmark_case *c)
{
    const struct bench_subject *subject = subject_of(b, c);
    for (int32_t i = 0; i < c->streams; i++) {
        TRY(kv_cache_open(&subject->model->config, c->kv_type, c->depth + c->tokens, &b->caches[i]));
        if (c->depth > 0) TRY(copy_prefix(subject->filled[c->kv_type], c->depth, b->caches[i]));
    }
    return TERN_OK;
}

static void close_streams(struct bench *b, const struct benchmark_case *c)
{
    for (int32_t i = 0; i < c->streams; i++) {
        kv_cache_close(b->caches[i]);
        b->caches[i] = NULL;
    }
}

// What a run took.
struct cost {
    double seconds, joules, processor_seconds;
    bool has_joules;
};

static double processor_seconds(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + 1e-9 * (double)spent.tv_nsec;
}

static struct cost cost_now(struct bench *b)
{
    struct cost cost = {.processor_seconds = processor_seconds()};
    cost.has_joules = energy_read(&b->meter, &cost.joules);
    cost.seconds = model_clock();
    return cost;
}

static void note_run(const struct bench *b, struct benchmark_case *c, const struct cost *before,
                     const struct cost *after)
{
    double tokens = (double)c->tokens * c->streams, seconds = after->seconds - before->seconds;
    double rate = tokens / (seconds > 0 ? seconds : 1e-9);
    const struct samples *bandwidth = &b->lanes[lane_of(b, c)].stream->rates;
    samples_add(&c->rates, rate);
    if (c->test == BENCHMARK_DECODE && bandwidth->count > 0)
        samples_add(&c->shares, rate * c->bytes / bandwidth->values[bandwidth->count - 1]);
    double joules = after->joules - before->joules, busy = after->processor_seconds - before->processor_seconds;
    if (after->has_joules && joules > 0) samples_add(&c->joules, joules / tokens);
    if (seconds > 0 && busy > 0) samples_add(&c->busy, busy / (seconds * c->threads));
}

// A warm-up takes few tokens and is not noted.
static tern_status run_case(struct bench *b, struct benchmark_case *c, bool warm_up)
{
    int32_t few = c->test == BENCHMARK_PREFILL ? DECODER_MAX_ROWS : WARM_UP_STEPS;
    tern_status status = open_streams(b, c);
    if (status == TERN_OK) {
        struct cost before = cost_now(b);
        status = run_tokens(b, c, warm_up && c->tokens > few ? few : c->tokens);
        struct cost after = cost_now(b);
        if (status == TERN_OK && !warm_up) note_run(b, c, &before, &after);
    }
    close_streams(b, c);
    return status;
}

// ---- Rounds -------------------------------------------------------------------------------------------------------

static void show_progress(struct bench *b, const struct benchmark_case *c)
{
    char what[96];
    snprintf(what, sizeof what, ", %s %d at depth %d", benchmark_test_name(c->test), (int)c->tokens, (int)c->depth);
    time_left_show(&b->line, (float)b->done / (float)b->all, what);
}

// More than any cache holds, less than the machine has free.
static uint64_t streamed_bytes(void)
{
    uint64_t bytes = (uint64_t)1 << 29, available = cpu_memory_available();
    return available > 0 && available / 4 < bytes ? available / 4 : bytes;
}

static tern_status measure_bandwidth(struct bench *b, const struct bench_lane *lane)
{
    double rate;
    TRY(take_breath(b));
    TRY(device_bandwidth(lane->device, streamed_bytes(), 3, &rate));
    samples_add(&lane->stream->rates, rate);
    return TERN_OK;
}

// The cases of one lane, forwards in one round and backwards in the next: what changes steadily then cancels out.
static tern_status run_lane(struct bench *b, int lane, int round)
{
    if (round >= 0) TRY(measure_bandwidth(b, &b->lanes[lane]));
    int n = b->out->n_cases;
    for (int i = 0; i < n; i++) {
        struct benchmark_case *c = &b->out->cases[round % 2 == 0 ? i : n - 1 - i];
        if (c->test == BENCHMARK_STREAM || c->was_left_out || lane_of(b, c) != lane) continue;
        show_progress(b, c);
        TRY(run_case(b, c, round < 0));
        b->done++;
    }
    return TERN_OK;
}

// "VmHWM" of /proc/self/status: the most memory that was resident, in bytes; 0 if the system does not say.
static double peak_resident(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    double kilobytes = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %lf", &kilobytes) == 1) break;
    if (file != NULL) fclose(file);
    return kilobytes * 1024;
}

// The round before the first warms up threads, caches and clocks. The memory for the bandwidth comes after it, so that
// the peak until then is the models' own.
static tern_status run_rounds(struct bench *b)
{
    for (int round = -1; round < b->plan->rounds; round++) {
        for (int lane = 0; lane < b->plan->threads.count; lane++)
            TRY(run_lane(b, lane, round));
        if (round < 0) b->out->peak_resident = peak_resident();
    }
    return TERN_OK;
}

// ---- Depths -------------------------------------------------------------------------------------------------------

static int32_t deepest(const struct bench *b, int32_t model, tern_kv_type kv_type)
{
    int32_t depth = 0;
    for (int32_t i = 0; i < b->out->n_cases; i++) {
        const struct benchmark_case *c = &b->out->cases[i];
        bool asks = c->model == model && c->kv_type == kv_type && !c->was_left_out;
        if (asks && c->depth > depth) depth = c->depth;
    }
    return depth;
}

// Pass by pass, with a progress line of its own: long contexts take long.
static tern_status fill(struct bench *b, struct bench_subject *subject, struct kv_cache *cache, int32_t depth)
{
    time_left_begin(&b->line, "filling the context");
    for (int32_t done = 0; done < depth;) {
        int32_t n = depth - done < DECODER_MAX_ROWS ? depth - done : DECODER_MAX_ROWS;
        TRY(prefill(b, subject->model, subject->engines[0].decoder, cache, done, n));
        done += n;
        time_left_show(&b->line, (float)done / (float)depth, "");
    }
    time_left_end(&b->line);
    return TERN_OK;
}

// Computes once what the cases at a depth begin with.
static tern_status fill_caches(struct bench *b)
{
    for (int32_t i = 0; i < b->plan->n_models; i++) {
        struct bench_subject *subject = &b->subjects[i];
        for (int k = 0; k < BENCH_KV_TYPES; k++) {
            int32_t depth = deepest(b, i, (tern_kv_type)k);
            if (depth == 0) continue;
            TRY(kv_cache_open(&subject->model->config, (tern_kv_type)k, depth, &subject->filled[k]));
            TRY(fill(b, subject, subject->filled[k], depth));
        }
    }
    return TERN_OK;
}

// ---- All ----------------------------------------------------------------------------------------------------------

static tern_status run(struct bench *b)
{
    TRY(bench_prepare(b));
    TRY(fill_caches(b));
    time_left_begin(&b->line, "measuring");
    return run_rounds(b);
}

int bench_measure(const struct bench_plan *plan, struct benchmark *out)
{
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL) return terminal_error(EXIT_FAILED, "no memory for the measurements");
    b->plan = plan;
    b->out = out;
    int code = bench_load(b);
    if (code == EXIT_OK) {
        tern_status status = run(b);
        time_left_end(&b->line);
        if (status == TERN_CANCELLED)
            code = EXIT_INTERRUPTED;
        else if (status != TERN_OK)
            code = terminal_error(EXIT_FAILED, "%s", tern_last_error());
    }
    bench_close(b);
    free(b);
    return code;
}
