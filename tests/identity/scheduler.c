// One request, one answer: the same tokens, log-probabilities and embeddings, bit for bit, whatever else the scheduler
// computes.
//
//     scheduler MODEL.gguf [f16|q8_0|q4_0] [ROUNDS]
//
// Makes requests that begin alike in many ways, of prompts shorter and longer than a block, and lets each run alone on
// a scheduler that remembers nothing. Then they run together, in schedulers with much and little memory, places and
// patience, some cancelled on their way, some twice, and from a folder where prefixes were kept. Each answer is
// compared with the one alone, and the ones alone with what a session says.
#include "engine/scheduler.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N_REQUESTS = 30, MOST_PROMPT = 400, MOST_TOKENS = 80, N_TOP = 3 };

// What came back. Compared as bytes, so all of it is set.
struct answer {
    int32_t n_tokens, n_top[MOST_TOKENS];
    tern_token tokens[MOST_TOKENS];
    float logprobs[MOST_TOKENS];
    struct scheduler_logprob top[MOST_TOKENS][N_TOP];
    enum scheduler_end end;
    float embedding[4096];
};

struct asked {
    tern_token prompt[MOST_PROMPT];
    int32_t n_prompt;
    tern_sampling sampling;
    int32_t max_tokens;
    enum scheduler_pooling pooling;
};

struct run {
    struct batch *batch;
    struct answer answer;
    int32_t n_cached;
    int32_t stop_after; // tokens after which on_token says so; 0: never
};

struct batch {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    int32_t running;
};

static uint64_t seed = 1;

static uint32_t pick(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static void check(bool good, const char *what, int request)
{
    if (good) return;
    fprintf(stderr, "request %d: %s (%s)\n", request, what, tern_last_error());
    exit(1);
}

// ---- Requests

// Lengths around a block's end, where most can go wrong, and others.
static int32_t pick_length(void)
{
    static const int32_t SPECIAL[] = {1, 2, 63, 64, 65, 127, 128, 129, 192, 193, 256, 320};
    return pick(2) ? SPECIAL[pick(sizeof SPECIAL / sizeof *SPECIAL)] : 1 + (int32_t)pick(MOST_PROMPT);
}

static void make_request(struct asked *a, const struct asked *earlier, int32_t n_earlier, int32_t n_vocabulary)
{
    static tern_token bias_token = 7;
    static float bias_value = 3;
    a->n_prompt = pick_length();
    for (int32_t i = 0; i < a->n_prompt; i++)
        a->prompt[i] = (tern_token)pick((uint32_t)n_vocabulary);
    if (n_earlier > 0 && pick(4) > 0) { // begins as another one does
        const struct asked *like = &earlier[pick((uint32_t)n_earlier)];
        int32_t alike = pick(3) ? like->n_prompt : (int32_t)pick((uint32_t)like->n_prompt);
        if (alike > a->n_prompt) alike = a->n_prompt;
        memcpy(a->prompt, like->prompt, (size_t)alike * sizeof *a->prompt);
        if (pick(4) == 0) {
            memcpy(a->prompt, like->prompt, sizeof a->prompt);
            a->n_prompt = like->n_prompt;
        }
    }
    a->sampling = tern_sampling_default();
    a->sampling.seed = pick(1000);
    a->sampling.temperature = pick(4) ? 1.5f : 0;
    a->sampling.top_k = pick(2) ? 0 : 50;
    a->sampling.repetition_penalty = pick(2) ? 1 : 1.3f;
    a->sampling.frequency_penalty = pick(3) ? 0 : 0.4f;
    if (pick(3) == 0) {
        a->sampling.bias_tokens = &bias_token;
        a->sampling.bias_values = &bias_value;
        a->sampling.n_bias = 1;
    }
    a->max_tokens = (int32_t)pick(MOST_TOKENS + 1);
    a->pooling = pick(6) ? SCHEDULER_POOL_NONE : (enum scheduler_pooling)(1 + pick(3));
}

static bool on_token(void *context, const struct scheduler_token *token)
{
    struct run *run = context;
    struct answer *a = &run->answer;
    int32_t i = a->n_tokens++;
    a->tokens[i] = token->token;
    a->logprobs[i] = token->logprob;
    a->n_top[i] = token->n_top;
    memcpy(a->top[i], token->top, (size_t)token->n_top * sizeof *token->top);
    return a->n_tokens != run->stop_after;
}

static void on_end(void *context, const struct scheduler_result *result)
{
    struct run *run = context;
    if (result->status != TERN_OK) fprintf(stderr, "%s\n", result->message);
    run->answer.end = result->end;
    run->n_cached = result->n_cached;
    pthread_mutex_lock(&run->batch->mutex);
    run->batch->running--;
    pthread_cond_signal(&run->batch->ended);
    pthread_mutex_unlock(&run->batch->mutex);
}

static uint64_t submit(struct scheduler *scheduler, const struct asked *a, struct batch *batch, struct run *run)
{
    memset(run, 0, sizeof *run);
    run->batch = batch;
    struct scheduler_request request = {
        .prompt = a->prompt,
        .n_prompt = (size_t)a->n_prompt,
        .sampling = &a->sampling,
        .max_tokens = a->max_tokens,
        .n_logprobs = N_TOP,
        .ignore_end = true,
        .client = pick(3),
        .pooling = a->pooling,
        .embedding = run->answer.embedding,
        .on_token = on_token,
        .on_end = on_end,
        .context = run,
    };
    uint64_t id = 0;
    pthread_mutex_lock(&batch->mutex);
    batch->running++;
    pthread_mutex_unlock(&batch->mutex);
    check(scheduler_submit(scheduler, &request, &id) == TERN_OK, "not taken", (int)run->n_cached);
    return id;
}

static void await(struct batch *batch, int32_t running)
{
    pthread_mutex_lock(&batch->mutex);
    while (batch->running > running)
        pthread_cond_wait(&batch->ended, &batch->mutex);
    pthread_mutex_unlock(&batch->mutex);
}

static struct scheduler *open_scheduler(tern_model *model, const struct scheduler_options *options)
{
    struct scheduler *scheduler;
    check(scheduler_open(model, options, &scheduler) == TERN_OK, "no scheduler", -1);
    return scheduler;
}

// ---- Alone

static void answer_alone(tern_model *model, tern_kv_type type, const struct asked *a, struct answer *out)
{
    struct batch batch = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    static struct run run;
    struct scheduler *scheduler =
        open_scheduler(model, &(struct scheduler_options){.context = 1024, .parallel = 1, .kv_type = type});
    submit(scheduler, a, &batch, &run);
    await(&batch, 0);
    scheduler_close(scheduler);
    check(run.n_cached == 0, "something is remembered by a new scheduler", 0);
    *out = run.answer;
}

// The same by a session, which has neither a scheduler nor shared blocks.
static void compare_with_session(tern_model *model, tern_kv_type type, const struct asked *a,
                                 const struct answer *alone, int request)
{
    if (a->pooling != SCHEDULER_POOL_NONE) return;
    if (a->sampling.frequency_penalty != 0) return; // which is of a session's last tokens, whoever said them
    tern_session *session;
    tern_session_options options = {.context = 1024, .sampling = &a->sampling, .kv_type = type};
    check(tern_session_open(model, &options, &session) == TERN_OK, "no session", request);
    check(tern_session_feed(session, a->prompt, (size_t)a->n_prompt) == TERN_OK, "not fed", request);
    check(alone->n_tokens == a->max_tokens, "an answer of another length than asked", request);
    for (int32_t i = 0; i < a->max_tokens; i++) {
        tern_token token = tern_session_sample(session);
        check(token == alone->tokens[i], "a session answers otherwise", request);
        check(tern_session_feed(session, &token, 1) == TERN_OK, "not fed", request);
    }
    tern_session_close(session);
}

// ---- Together

struct setting {
    const char *name;
    int32_t parallel, blocks; // blocks: memory for that many, and at least for one full context
    double max_delay;
    const char *cache_dir;
};

static int64_t run_together(tern_model *model, tern_kv_type type, const struct setting *setting,
                            const struct asked *asked, const struct answer *alone)
{
    static struct run runs[2 * N_REQUESTS];
    struct batch batch = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    uint64_t slab = kv_cache_slab_bytes(&model->config, type);
    struct scheduler *scheduler =
        open_scheduler(model, &(struct scheduler_options){.context = 512,
                                                          .parallel = setting->parallel,
                                                          .queue = 2 * N_REQUESTS,
                                                          .max_delay = setting->max_delay,
                                                          .kv_type = type,
                                                          .kv_bytes = (uint64_t)setting->blocks * slab,
                                                          .cache_dir = setting->cache_dir});
    uint64_t ids[2 * N_REQUESTS];
    int which[2 * N_REQUESTS];
    for (int i = 0; i < 2 * N_REQUESTS; i++) {
        which[i] = (int)pick(N_REQUESTS);
        ids[i] = submit(scheduler, &asked[which[i]], &batch, &runs[i]);
        if (pick(8) == 0) await(&batch, (int32_t)pick(4));
        if (pick(6) == 0) scheduler_cancel(scheduler, ids[pick((uint32_t)i + 1)]);
    }
    await(&batch, 0);
    struct scheduler_stats stats;
    scheduler_get_stats(scheduler, &stats);
    scheduler_close(scheduler);

    int cancelled = 0;
    int64_t cached = 0;
    for (int i = 0; i < 2 * N_REQUESTS; i++) {
        cached += runs[i].n_cached;
        const struct answer *a = &runs[i].answer, *b = &alone[which[i]];
        if (a->end == SCHEDULER_END_CANCELLED) {
            cancelled++;
            check(memcmp(a->tokens, b->tokens, (size_t)a->n_tokens * sizeof *a->tokens) == 0,
                  "began otherwise than alone", which[i]);
        } else {
            check(memcmp(a, b, sizeof *a) == 0, "is another answer than alone", which[i]);
        }
    }
    check(stats.active == 0 && stats.waiting == 0 && stats.kv_bytes_used == stats.kv_bytes_remembered,
          "something stayed in use", -1);
    printf("%s: %d cancelled, %lld of %llu prompt tokens shared, %llu steps", setting->name, cancelled,
           (long long)cached, (unsigned long long)stats.prompt_tokens, (unsigned long long)stats.steps);
    printf("; %llu blocks read, %llu written, %llu errors\n", (unsigned long long)stats.disk_hits,
           (unsigned long long)stats.disk_writes, (unsigned long long)stats.disk_errors);
    return cached;
}

// ---- From disk

// Breaks every third file, each in another way.
static void break_files(const char *folder)
{
    DIR *files = opendir(folder);
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;) {
        char path[4096];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || n++ % 3 != 0) continue;
        int fd = open(path, O_RDWR);
        char byte = 0;
        off_t at = (off_t)pick((uint32_t)info.st_size);
        if (n % 2 == 0) {
            check(ftruncate(fd, at) == 0, "a file cannot be cut", -1);
        } else {
            check(pread(fd, &byte, 1, at) == 1, "a file cannot be read", -1);
            byte = (char)(byte ^ 1 << pick(8));
            check(pwrite(fd, &byte, 1, at) == 1, "a file cannot be written", -1);
        }
        close(fd);
    }
    closedir(files);
}

static void remove_folder(const char *folder)
{
    DIR *files = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
        unlinkat(dirfd(files), entry->d_name, 0);
    closedir(files);
    rmdir(folder);
}

static void run_from_disk(tern_model *model, tern_kv_type type, const struct asked *asked, const struct answer *alone)
{
    char folder[] = "/tmp/tern-scheduler-XXXXXX";
    check(mkdtemp(folder) != NULL, "no folder", -1);
    struct setting setting = {.name = "first on disk", .parallel = 8, .blocks = 64, .cache_dir = folder};
    run_together(model, type, &setting, asked, alone);
    setting.name = "again from disk";
    check(run_together(model, type, &setting, asked, alone) > 0, "nothing was read", -1);
    setting = (struct setting){.name = "from disk, little memory", .parallel = 16, .blocks = 1, .cache_dir = folder};
    run_together(model, type, &setting, asked, alone);
    break_files(folder);
    setting = (struct setting){.name = "from broken files", .parallel = 8, .blocks = 64, .cache_dir = folder};
    run_together(model, type, &setting, asked, alone);
    remove_folder(folder);
}

static tern_kv_type type_named(const char *name)
{
    return strcmp(name, "q8_0") == 0 ? TERN_KV_Q8_0 : strcmp(name, "q4_0") == 0 ? TERN_KV_Q4_0 : TERN_KV_F16;
}

static void run_rounds(tern_model *model, tern_kv_type type, int rounds)
{
    static struct asked asked[N_REQUESTS];
    static struct answer alone[N_REQUESTS];
    for (int i = 0; i < N_REQUESTS; i++)
        make_request(&asked[i], asked, i, model->config.n_vocabulary);
    for (int i = 0; i < N_REQUESTS; i++) {
        answer_alone(model, type, &asked[i], &alone[i]);
        compare_with_session(model, type, &asked[i], &alone[i], i);
    }
    const struct setting settings[] = {
        {.name = "much memory", .parallel = 16, .blocks = 4096},
        {.name = "little memory", .parallel = 16, .blocks = 1},
        {.name = "one at a time", .parallel = 1, .blocks = 64},
        {.name = "impatient", .parallel = 7, .blocks = 20, .max_delay = 1e-6},
    };
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
            check(run_together(model, type, &settings[i], asked, alone) > 0, "nothing was shared", -1);
    run_from_disk(model, type, asked, alone);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: scheduler MODEL.gguf [f16|q8_0|q4_0] [ROUNDS]\n");
        return 2;
    }
    tern_model *model;
    check(tern_model_open(argv[1], &(tern_model_options){.threads = 2}, &model) == TERN_OK, "no model", -1);
    check(model->config.width <= 4096, "too wide a model for this test", -1);
    run_rounds(model, type_named(argc > 2 ? argv[2] : "f16"), argc > 3 ? atoi(argv[3]) : 1);
    tern_model_close(model);
    return 0;
}
