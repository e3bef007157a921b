// The scheduler on tests/golden/chain.gguf, which after a line's end says "I am a very tiny model ✓." and stops: ends,
// places, turns, what is shared and what is refused. That answers are the same in any company is compared by
// tests/identity/scheduler.c.
#include "engine/scheduler.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char MODEL[] = "golden/chain.gguf", SENTENCE[] = "I am a very tiny model \xe2\x9c\x93.";

enum { CONTEXT = 512, SENTENCE_TOKENS = 9, MAX_OUT = 600, MAX_ENDS = 64 };

// ---- Requests and what comes of them

struct recorder;

struct run {
    struct recorder *recorder;
    uint64_t id;
    int32_t n; // tokens
    tern_token tokens[MAX_OUT];
    float logprobs[MAX_OUT];
    struct scheduler_logprob top[MAX_OUT][SCHEDULER_MAX_TOP];
    int32_t stop_after; // 0: never
    int32_t pause_at;   // stands still in on_token with so many tokens, until go_on(); 0: never
    const struct run *peer;
    int32_t peer_n; // tokens that the peer had at this one's first
    bool ended;
    int order; // of its end among all, from 0
    struct scheduler_result result;
    char message[STATUS_MESSAGE_BYTES];
};

struct recorder {
    tern_model *model;
    struct scheduler *scheduler;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int n_ended;
};

static bool on_token(void *context, const struct scheduler_token *token)
{
    struct run *run = context;
    pthread_mutex_lock(&run->recorder->mutex);
    run->tokens[run->n] = token->token;
    run->logprobs[run->n] = token->logprob;
    memcpy(run->top[run->n], token->top, (size_t)token->n_top * sizeof *token->top);
    if (run->n++ == 0 && run->peer != NULL) run->peer_n = run->peer->n;
    pthread_cond_broadcast(&run->recorder->changed);
    while (run->n == run->pause_at)
        pthread_cond_wait(&run->recorder->changed, &run->recorder->mutex);
    pthread_mutex_unlock(&run->recorder->mutex);
    return run->n != run->stop_after;
}

static void on_end(void *context, const struct scheduler_result *result)
{
    struct run *run = context;
    pthread_mutex_lock(&run->recorder->mutex);
    run->result = *result;
    snprintf(run->message, sizeof run->message, "%s", result->message);
    run->order = run->recorder->n_ended++;
    run->ended = true;
    pthread_cond_broadcast(&run->recorder->changed);
    pthread_mutex_unlock(&run->recorder->mutex);
}

static void await_end(struct run *run)
{
    pthread_mutex_lock(&run->recorder->mutex);
    while (!run->ended)
        pthread_cond_wait(&run->recorder->changed, &run->recorder->mutex);
    pthread_mutex_unlock(&run->recorder->mutex);
}

static void await_tokens(struct run *run, int32_t n)
{
    pthread_mutex_lock(&run->recorder->mutex);
    while (run->n < n && !run->ended)
        pthread_cond_wait(&run->recorder->changed, &run->recorder->mutex);
    pthread_mutex_unlock(&run->recorder->mutex);
}

static void go_on(struct run *run)
{
    pthread_mutex_lock(&run->recorder->mutex);
    run->pause_at = 0;
    pthread_cond_broadcast(&run->recorder->changed);
    pthread_mutex_unlock(&run->recorder->mutex);
}

static tern_status try_submit(struct recorder *r, struct run *run, struct scheduler_request request)
{
    memset(run, 0, sizeof *run);
    run->recorder = r;
    request.on_token = on_token;
    request.on_end = on_end;
    request.context = run;
    return scheduler_submit(r->scheduler, &request, &run->id);
}

static void submit(struct recorder *r, struct run *run, struct scheduler_request request)
{
    if (try_submit(r, run, request) != TERN_OK) fail_msg("%s", tern_last_error());
}

static const tern_sampling *greedy(void)
{
    static tern_sampling sampling;
    sampling = tern_sampling_default();
    sampling.temperature = 0;
    return &sampling;
}

static const tern_token NEWLINE = '\n';

// "\n", answered by the sentence.
static struct scheduler_request newline(void)
{
    return (struct scheduler_request){
        .prompt = &NEWLINE, .n_prompt = 1, .sampling = greedy(), .max_tokens = -1, .n_logprobs = -1};
}

// `n` letters that are followed by nothing in particular. Another `kind`: other letters, from the first.
static struct scheduler_request letters(int32_t n, int kind)
{
    static tern_token tokens[4][CONTEXT];
    for (int32_t i = 0; i < n; i++)
        tokens[kind][i] = 'a' + (i * 7 + kind) % 26;
    return (struct scheduler_request){.prompt = tokens[kind],
                                      .n_prompt = (size_t)n,
                                      .sampling = greedy(),
                                      .max_tokens = 3,
                                      .n_logprobs = -1,
                                      .ignore_end = true};
}

// An answer that goes on until the context is full.
static struct scheduler_request endless(void)
{
    struct scheduler_request request = newline();
    request.ignore_end = true;
    return request;
}

static const char *text_of(const struct run *run)
{
    static char text[MAX_OUT * 8];
    size_t at = 0;
    for (int32_t i = 0; i < run->n; i++) {
        size_t length;
        const char *bytes = tern_token_text(run->recorder->model, run->tokens[i], &length);
        memcpy(text + at, bytes, length);
        at += length;
    }
    text[at] = '\0';
    return text;
}

// ---- A model and a scheduler

static void open_scheduler(struct recorder *r, const struct scheduler_options *options)
{
    *r = (struct recorder){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    tern_model_options model_options = {.threads = 2};
    if (tern_model_open(MODEL, &model_options, &r->model) != TERN_OK) fail_msg("%s", tern_last_error());
    if (scheduler_open(r->model, options, &r->scheduler) != TERN_OK) fail_msg("%s", tern_last_error());
}

static void close_scheduler(struct recorder *r)
{
    scheduler_close(r->scheduler);
    tern_model_close(r->model);
}

static struct scheduler_stats stats_of(struct recorder *r)
{
    struct scheduler_stats stats;
    scheduler_get_stats(r->scheduler, &stats);
    return stats;
}

// Takes a turn on the decoder, so that the scheduler's next step waits. Released, that step is computed.
static void hold_model(struct recorder *r)
{
    pthread_mutex_lock(&r->model->mutex);
    uint64_t ticket = r->model->next_ticket++;
    while (r->model->now_serving != ticket)
        pthread_cond_wait(&r->model->turn_ends, &r->model->mutex);
    pthread_mutex_unlock(&r->model->mutex);
}

static void release_model(struct recorder *r)
{
    pthread_mutex_lock(&r->model->mutex);
    r->model->now_serving++;
    pthread_cond_broadcast(&r->model->turn_ends);
    pthread_mutex_unlock(&r->model->mutex);
}

// Until the scheduler stands before the held model, with what was submitted before.
static void await_step(struct recorder *r)
{
    for (bool waits = false; !waits; usleep(200)) {
        pthread_mutex_lock(&r->model->mutex);
        waits = r->model->next_ticket == r->model->now_serving + 2;
        pthread_mutex_unlock(&r->model->mutex);
    }
}

// ---- Answers

static void it_says_its_sentence_and_ends(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    submit(&r, &run, newline());
    await_end(&run);
    assert_string_equal(text_of(&run), SENTENCE);
    assert_int_equal(run.result.end, SCHEDULER_END_TOKEN);
    assert_int_equal(run.result.status, TERN_OK);
    assert_string_equal(run.message, "");
    assert_int_equal(run.result.n_prompt, 1);
    assert_int_equal(run.result.n_cached, 0);
    assert_int_equal(run.result.n_generated, SENTENCE_TOKENS);
    assert_true(run.result.queue_seconds >= 0 && run.result.queue_seconds <= run.result.first_token_second);
    assert_true(run.result.first_token_second > 0 && run.result.first_token_second <= run.result.total_seconds);
    close_scheduler(&r);
}

static void answers_end_where_they_are_told(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    struct scheduler_request request = newline();
    request.max_tokens = 3;
    submit(&r, &run, request);
    await_end(&run);
    assert_string_equal(text_of(&run), "I am a");
    assert_int_equal(run.result.end, SCHEDULER_END_LENGTH);

    request.max_tokens = 0; // the prompt is read, for whoever comes with the same
    submit(&r, &run, request);
    await_end(&run);
    assert_int_equal(run.n, 0);
    assert_int_equal(run.result.end, SCHEDULER_END_LENGTH);

    submit(&r, &run, endless());
    await_end(&run);
    assert_int_equal(run.n, CONTEXT - 1);
    assert_int_equal(run.result.end, SCHEDULER_END_LENGTH);
    size_t length;
    assert_memory_equal(tern_token_text(r.model, run.tokens[SENTENCE_TOKENS], &length), "<|im_end|>", 10);

    request = letters(CONTEXT, 0); // there is no room for an answer
    submit(&r, &run, request);
    await_end(&run);
    assert_int_equal(run.n, 0);
    assert_int_equal(run.result.end, SCHEDULER_END_LENGTH);
    close_scheduler(&r);
}

static void the_receiver_can_stop(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    hold_model(&r);
    submit(&r, &run, newline());
    run.stop_after = 4;
    release_model(&r);
    await_end(&run);
    assert_string_equal(text_of(&run), "I am a very");
    assert_int_equal(run.result.end, SCHEDULER_END_STOPPED);
    close_scheduler(&r);
}

// ---- Log-probabilities and embeddings

static void logprobs_are_those_of_the_logits(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    struct scheduler_request request = newline();
    request.n_logprobs = 5;
    submit(&r, &run, request);
    await_end(&run);
    tern_session *session;
    assert_int_equal(tern_session_open(r.model, NULL, &session), TERN_OK);
    assert_int_equal(tern_session_feed(session, &NEWLINE, 1), TERN_OK);
    int32_t n = tern_model_vocabulary(r.model);
    for (int32_t i = 0; i < run.n; i++) {
        const float *logits = tern_session_logits(session);
        double sum = 0;
        for (int32_t t = 0; t < n; t++)
            sum += exp((double)logits[t]);
        assert_true(fabs((double)run.logprobs[i] - ((double)logits[run.tokens[i]] - log(sum))) < 1e-5);
        assert_int_equal(run.top[i][0].token, run.tokens[i]); // temperature 0
        int32_t likelier = 0, as_likely = 0;                  // than the fifth
        for (int32_t t = 0; t < n; t++) {
            likelier += logits[t] > logits[run.top[i][4].token];
            as_likely += logits[t] == logits[run.top[i][4].token];
        }
        assert_true(likelier <= 4 && likelier + as_likely >= 5);
        for (int k = 1; k < 5; k++)
            assert_true(run.top[i][k].logprob <= run.top[i][k - 1].logprob);
        assert_int_equal(tern_session_feed(session, &run.tokens[i], 1), TERN_OK);
    }
    tern_session_close(session);
    close_scheduler(&r);
}

static void embeddings_are_pooled_rows(void **state)
{
    (void)state;
    enum { N = 150, WIDTH = 128 };
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    static float rows[N][WIDTH], out[WIDTH];
    struct scheduler_request request = letters(N, 0);
    struct kv_cache *cache;
    assert_int_equal(kv_cache_open(&r.model->config, TERN_KV_F16, N, &cache), TERN_OK);
    assert_int_equal(kv_cache_reserve(cache, N), TERN_OK);
    for (int32_t i = 0; i < N; i++) {
        struct decoder_row row = {.token = request.prompt[i], .position = i, .cache = cache, .hidden = rows[i]};
        assert_int_equal(model_forward(r.model, &row, 1, NULL), TERN_OK);
    }
    kv_cache_close(cache);

    request.embedding = out;
    for (int repeat = 0; repeat < 2; repeat++) { // the second time, what can be shared is
        request.pooling = SCHEDULER_POOL_LAST;
        submit(&r, &run, request);
        await_end(&run);
        assert_int_equal(run.result.end, SCHEDULER_END_TOKEN);
        assert_int_equal(run.result.n_cached, repeat * (N - 1));
        assert_memory_equal(out, rows[N - 1], sizeof out);
        request.pooling = SCHEDULER_POOL_CLS;
        submit(&r, &run, request);
        await_end(&run);
        assert_memory_equal(out, rows[0], sizeof out);
        request.pooling = SCHEDULER_POOL_MEAN;
        submit(&r, &run, request);
        await_end(&run);
        assert_int_equal(run.n, 0);
        for (int c = 0; c < WIDTH; c++) {
            double mean = 0;
            for (int i = 0; i < N; i++)
                mean += (double)rows[i][c];
            assert_true(out[c] == (float)(mean / N));
        }
    }
    close_scheduler(&r);
}

// ---- Constraints

static void constraints_are_kept(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    struct constraint_vocabulary *vocabulary;
    struct constraint *constraint;
    open_scheduler(&r, NULL);
    static const char grammar[] = "root ::= \"I am a\" (\" model\" | [b-y]+) \"!\"";
    assert_int_equal(constraint_vocabulary_open(r.model->tokenizer, &vocabulary), TERN_OK);
    if (constraint_open_grammar(vocabulary, grammar, sizeof grammar - 1, NULL, &constraint) != TERN_OK)
        fail_msg("%s", tern_last_error());
    tern_sampling sampling = tern_sampling_default();
    sampling.temperature = 2;
    sampling.top_k = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct scheduler_request request = newline();
        sampling.seed = seed;
        request.sampling = &sampling;
        request.constraint = constraint;
        submit(&r, &run, request);
        await_end(&run);
        const char *text = text_of(&run);
        size_t length = strlen(text), start = strlen("I am a");
        assert_memory_equal(text, "I am a", start);
        bool word = strspn(text + start, "bcdefghijklmnopqrstuvwxy") == length - start - 1;
        assert_true(run.result.end == SCHEDULER_END_LENGTH || text[length - 1] == '!');
        assert_true(run.result.end == SCHEDULER_END_LENGTH || word || strcmp(text + start, " model!") == 0);
    }
    constraint_close(constraint);
    constraint_vocabulary_close(vocabulary);
    close_scheduler(&r);
}

// ---- Guesses

static void repetition_takes_fewer_steps(void **state)
{
    (void)state;
    struct recorder r;
    static struct run alone, both[2];
    open_scheduler(&r, &(struct scheduler_options){.kv_bytes = 1 << 24});
    submit(&r, &alone, endless());
    await_end(&alone);
    assert_true(stats_of(&r).steps < (uint64_t)alone.n); // by how much depends on what passes cost
    hold_model(&r);
    for (int i = 0; i < 2; i++)
        submit(&r, &both[i], endless());
    release_model(&r);
    for (int i = 0; i < 2; i++) {
        await_end(&both[i]);
        assert_int_equal(both[i].n, alone.n);
        assert_memory_equal(both[i].tokens, alone.tokens, sizeof alone.tokens);
    }
    close_scheduler(&r);
}

// ---- Sharing

static void one_prompt_for_many_answers_is_computed_once(void **state)
{
    (void)state;
    enum { N = 8 };
    static struct run runs[N];
    const int32_t lengths[] = {100, 128, 129, 64, 10};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        struct recorder r;
        open_scheduler(&r, NULL);
        hold_model(&r);
        for (int i = 0; i < N; i++)
            submit(&r, &runs[i], letters(lengths[l], 0));
        release_model(&r);
        int32_t computed = 0;
        for (int i = 0; i < N; i++) {
            await_end(&runs[i]);
            computed += lengths[l] - runs[i].result.n_cached;
        }
        // Of all but one, only the last token, whose logits are wanted.
        assert_int_equal(computed, lengths[l] + N - 1);
        struct scheduler_stats stats = stats_of(&r);
        assert_int_equal(stats.prompt_tokens, N * lengths[l]);
        assert_int_equal(stats.prompt_tokens - stats.cached_tokens, computed);
        close_scheduler(&r);
    }
}

// `answered` tokens after a prompt of n; then both and ten more tokens as the next prompt.
static void expect_next_turn(struct scheduler_request request, int32_t answered)
{
    struct recorder r;
    static struct run run;
    tern_token next[CONTEXT];
    size_t n = request.n_prompt;
    open_scheduler(&r, NULL);
    request.max_tokens = answered;
    submit(&r, &run, request);
    await_end(&run);
    assert_int_equal(run.n, answered);
    memcpy(next, request.prompt, n * sizeof *next);
    memcpy(next + n, run.tokens, (size_t)answered * sizeof *next);
    n += (size_t)answered;
    for (int i = 0; i < 10; i++)
        next[n + (size_t)i] = 'z';
    request.prompt = next;
    request.n_prompt = n + 10;
    submit(&r, &run, request);
    await_end(&run);
    assert_int_equal(run.result.n_cached, n - 1); // the token drawn last was never computed
    close_scheduler(&r);
}

static void the_next_turn_begins_with_the_last_answer(void **state)
{
    (void)state;
    expect_next_turn(letters(90, 0), 100);
    for (int32_t answered = 60; answered < 400; answered += 17)
        expect_next_turn(endless(), answered); // says the same again and again, so that much of it is guessed
}

static void embeddings_leave_nothing_behind(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    static float out[128];
    open_scheduler(&r, NULL);
    struct scheduler_request request = letters(200, 0);
    request.pooling = SCHEDULER_POOL_MEAN;
    request.embedding = out;
    submit(&r, &run, request);
    await_end(&run);
    assert_int_equal(stats_of(&r).kv_bytes_used, 0);
    close_scheduler(&r);
}

// ---- Disk

static void prompts_survive_a_restart(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    char folder[] = "/tmp/tern-scheduler-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct scheduler_options options = {.cache_dir = folder, .model_path = MODEL};
    const int32_t expected[] = {0, 256, 0, 256}; // whole blocks of 300 tokens; nothing of another type's
    for (int i = 0; i < 4; i++) {
        options.kv_type = i == 2 ? TERN_KV_Q8_0 : TERN_KV_F16;
        open_scheduler(&r, &options);
        submit(&r, &run, letters(300, 0));
        await_end(&run);
        assert_int_equal(run.result.n_cached, expected[i]);
        assert_int_equal(stats_of(&r).disk_hits, expected[i] / 64);
        close_scheduler(&r);
    }
    open_scheduler(&r, &(struct scheduler_options){.cache_dir = folder, .model_path = "golden/greedy.c"});
    submit(&r, &run, letters(300, 0)); // the same model, it seems, but from another file
    await_end(&run);
    assert_int_equal(run.result.n_cached, 0);
    assert_int_equal(stats_of(&r).disk_errors, 0);
    close_scheduler(&r);

    DIR *files = opendir(folder);
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
        n += unlinkat(dirfd(files), entry->d_name, 0) == 0;
    closedir(files);
    assert_int_equal(n, 3 * 4);
    assert_int_equal(rmdir(folder), 0);
}

// ---- Turns

// One place. A client that brought much gives way to those that brought little.
static void clients_take_turns(void **state)
{
    (void)state;
    enum { N = 7 };
    struct recorder r;
    static struct run runs[N];
    static const uint64_t clients[N] = {1, 1, 1, 1, 2, 2, 3};
    static const int expected[N] = {0, 1, 4, 6, 2, 5, 3}; // the first has begun before the others come
    open_scheduler(&r, &(struct scheduler_options){.parallel = 1});
    hold_model(&r);
    for (int i = 0; i < N; i++) {
        struct scheduler_request request = letters(5, i % 4);
        request.client = clients[i];
        submit(&r, &runs[i], request);
        if (i == 0) await_step(&r);
    }
    release_model(&r);
    for (int i = 0; i < N; i++)
        await_end(&runs[i]);
    for (int i = 0; i < N; i++)
        assert_int_equal(runs[i].order, expected[i]);
    close_scheduler(&r);
}

static void a_short_prompt_does_not_wait_for_a_long_one(void **state)
{
    (void)state;
    struct recorder r;
    static struct run slow, quick;
    open_scheduler(&r, &(struct scheduler_options){.kv_bytes = 1 << 24});
    hold_model(&r);
    submit(&r, &slow, letters(500, 0));
    await_step(&r);
    submit(&r, &quick, letters(100, 1));
    quick.stop_after = 1;
    release_model(&r);
    await_end(&slow);
    await_end(&quick);
    assert_int_equal(quick.order, 0);
    assert_true(quick.result.first_token_second < slow.result.first_token_second);
    close_scheduler(&r);
}

// While an answer is in progress, a prompt takes no more of a step than it may: here one row, but for the first step,
// when nobody knows how long a row takes.
static void prompts_leave_time_for_answers(void **state)
{
    (void)state;
    struct recorder r;
    static struct run answer, prompt;
    open_scheduler(&r, &(struct scheduler_options){.max_delay = 1e-9, .kv_bytes = 1 << 24});
    hold_model(&r);
    submit(&r, &answer, endless());
    answer.pause_at = 1;
    release_model(&r);
    await_tokens(&answer, 1);
    submit(&r, &prompt, letters(200, 0));
    prompt.peer = &answer;
    go_on(&answer);
    await_end(&prompt);
    await_end(&answer);
    assert_true(prompt.peer_n > 150);
    close_scheduler(&r);
}

// ---- Cancelling

static void a_cancelled_request_leaves_at_once(void **state)
{
    (void)state;
    struct recorder r;
    static struct run runs[3];
    open_scheduler(&r, &(struct scheduler_options){.parallel = 2});
    hold_model(&r);
    for (int i = 0; i < 3; i++)
        submit(&r, &runs[i], endless());
    await_step(&r);
    struct scheduler_stats stats = stats_of(&r);
    assert_int_equal(stats.waiting + stats.active, 3);
    scheduler_cancel(r.scheduler, runs[0].id);
    scheduler_cancel(r.scheduler, runs[2].id); // it had not begun
    scheduler_cancel(r.scheduler, 12345);      // nobody
    release_model(&r);
    await_end(&runs[0]);
    await_end(&runs[2]);
    assert_int_equal(runs[0].result.end, SCHEDULER_END_CANCELLED);
    assert_int_equal(runs[0].n, 1); // of the step that was under way
    assert_int_equal(runs[2].result.end, SCHEDULER_END_CANCELLED);
    assert_int_equal(runs[2].n, 0);
    assert_true(runs[2].result.first_token_second == 0);
    await_end(&runs[1]);
    assert_int_equal(runs[1].n, CONTEXT - 1);
    scheduler_cancel(r.scheduler, runs[1].id); // too late, and no harm
    assert_int_equal(stats_of(&r).cancelled, 2);
    close_scheduler(&r);
}

static void closing_ends_everything(void **state)
{
    (void)state;
    struct recorder r;
    static struct run runs[5];
    open_scheduler(&r, &(struct scheduler_options){.parallel = 2});
    for (int i = 0; i < 5; i++)
        submit(&r, &runs[i], endless());
    await_tokens(&runs[0], 1);
    scheduler_close(r.scheduler);
    for (int i = 0; i < 5; i++)
        assert_true(runs[i].ended);
    assert_int_equal(runs[4].result.end, SCHEDULER_END_CANCELLED);
    tern_model_close(r.model);
}

// ---- Bounds

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct recorder r;
    static struct run runs[4], refused;
    open_scheduler(&r, &(struct scheduler_options){.parallel = 2, .queue = 1});
    hold_model(&r);
    for (int i = 0; i < 3; i++)
        submit(&r, &runs[i], newline());
    assert_int_equal(try_submit(&r, &refused, newline()), TERN_BUSY);
    assert_string_equal(tern_last_error(), "3 requests are in progress or waiting, the most there may be");
    release_model(&r);
    for (int i = 0; i < 3; i++)
        await_end(&runs[i]);
    submit(&r, &runs[3], newline()); // there is room again
    await_end(&runs[3]);
    assert_false(refused.ended);
    struct scheduler_stats stats = stats_of(&r);
    assert_int_equal(stats.rejected, 1);
    assert_int_equal(stats.requests, 4);
    close_scheduler(&r);

    open_scheduler(&r, &(struct scheduler_options){.parallel = 1, .queue = -1});
    hold_model(&r);
    submit(&r, &runs[0], newline());
    assert_int_equal(try_submit(&r, &refused, newline()), TERN_BUSY);
    release_model(&r);
    await_end(&runs[0]);
    close_scheduler(&r);
}

// One client has all places and the whole queue: others come in, a few requests of each, as far as a quarter of that
// goes.
static void one_client_leaves_room_for_others(void **state)
{
    (void)state;
    enum { PLACES = 2 + 24, FEW = 4 };
    struct recorder r;
    static struct run runs[PLACES + 6], refused;
    struct scheduler_request request = newline();
    open_scheduler(&r, &(struct scheduler_options){.parallel = 2, .queue = 24});
    hold_model(&r);
    for (int i = 0; i < PLACES; i++)
        submit(&r, &runs[i], request);
    assert_int_equal(try_submit(&r, &refused, request), TERN_BUSY);
    request.client = 1;
    for (int i = 0; i < FEW; i++)
        submit(&r, &runs[PLACES + i], request);
    assert_int_equal(try_submit(&r, &refused, request), TERN_BUSY);
    for (int i = FEW; i < 6; i++) {
        request.client = (uint64_t)i;
        submit(&r, &runs[PLACES + i], request);
    }
    request.client = 99;
    assert_int_equal(try_submit(&r, &refused, request), TERN_BUSY);
    release_model(&r);
    for (int i = 0; i < PLACES + 6; i++)
        await_end(&runs[i]);
    assert_int_equal(stats_of(&r).rejected, 3);
    close_scheduler(&r);
}

// One place, taken, and a full queue: what goes on with an answer that has ended is let in and is the next to begin.
static void what_goes_on_is_not_refused(void **state)
{
    (void)state;
    enum { WAITING = 3 };
    struct recorder r;
    static struct run answer, other, waiting[WAITING], refused, more;
    open_scheduler(&r, &(struct scheduler_options){.parallel = 1, .queue = WAITING});
    struct scheduler_request request = letters(70, 0);
    submit(&r, &answer, request);
    await_end(&answer);
    hold_model(&r);
    submit(&r, &other, letters(5, 1));
    await_step(&r);
    for (int i = 0; i < WAITING; i++) {
        struct scheduler_request another = letters(5, 2);
        another.client = (uint64_t)i; // one of the answer's own client
        submit(&r, &waiting[i], another);
    }
    assert_int_equal(try_submit(&r, &refused, request), TERN_BUSY);
    request.continues = answer.id;
    submit(&r, &more, request);
    assert_int_equal(more.id, answer.id);
    assert_int_equal(stats_of(&r).requests, 2 + WAITING); // it is none of its own
    release_model(&r);
    for (int i = 0; i < WAITING; i++)
        await_end(&waiting[i]);
    await_end(&more);
    assert_int_equal(more.order, other.order + 1);
    assert_memory_equal(more.tokens, answer.tokens, sizeof answer.tokens);
    close_scheduler(&r);
}

static void expect_refused(struct recorder *r, struct scheduler_request request, tern_status status,
                           const char *message)
{
    static struct run run;
    assert_int_equal(try_submit(r, &run, request), status);
    assert_string_equal(tern_last_error(), message);
    assert_false(run.ended);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    struct recorder r;
    open_scheduler(&r, &(struct scheduler_options){.context = 100});
    const tern_token bad = 269;
    struct scheduler_request request = newline();
    request.n_prompt = 0;
    expect_refused(&r, request, TERN_INVALID, "the prompt has no tokens");
    request = newline();
    request.prompt = &bad;
    expect_refused(&r, request, TERN_INVALID, "token 269, the vocabulary has tokens 0 to 268");
    expect_refused(&r, letters(101, 0), TERN_LIMIT, "a prompt of 101 tokens does not fit the context of 100");
    request = newline();
    request.max_tokens = -2;
    expect_refused(&r, request, TERN_INVALID, "max_tokens is -2, expected -1 (no bound) or more");
    request = newline();
    request.n_logprobs = 21;
    expect_refused(&r, request, TERN_INVALID, "21 logprobs, expected -1 (none) to 20");
    request = newline();
    request.pooling = SCHEDULER_POOL_MEAN;
    expect_refused(&r, request, TERN_INVALID, "there is no place for the embedding");
    request.pooling = (enum scheduler_pooling)9;
    expect_refused(&r, request, TERN_INVALID, "pooling 9, expected 0 to 3");
    request = newline();
    tern_sampling sampling = tern_sampling_default();
    sampling.temperature = -1;
    request.sampling = &sampling;
    expect_refused(&r, request, TERN_INVALID, "sampling: temperature is -1, expected 0 to 100");
    close_scheduler(&r);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct scheduler_options options;
        const char *message;
    } cases[] = {
        {{.context = 513}, "a context of 513 tokens; the model was trained for 1 to 512"},
        {{.parallel = 65}, "65 answers at once, expected 1 to 64"},
        {{.queue = -2}, "a queue of -2 requests, expected -1 (none) to 65536"},
        {{.max_delay = -1}, "a delay of -1 seconds, expected 0 (default) to 3600"},
        {{.kv_type = (tern_kv_type)7}, "keys and values of type 7, expected 0 to 2"},
    };
    tern_model *model;
    struct scheduler *scheduler;
    assert_int_equal(tern_model_open(MODEL, NULL, &model), TERN_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(scheduler_open(model, &cases[i].options, &scheduler), TERN_INVALID);
        assert_string_equal(tern_last_error(), cases[i].message);
        assert_null(scheduler);
    }
    tern_model_close(model);
}

// Memory for one full context. Eight answers that all grow to the end of it come to their ends, by giving way.
static void answers_outgrow_memory_and_still_end(void **state)
{
    (void)state;
    enum { N = 8 };
    struct recorder r;
    static struct run runs[N];
    open_scheduler(&r, NULL);
    for (int i = 0; i < N; i++) {
        struct scheduler_request request = letters(30 + i, i % 4);
        request.max_tokens = -1;
        submit(&r, &runs[i], request);
    }
    for (int i = 0; i < N; i++) {
        await_end(&runs[i]);
        assert_int_equal(runs[i].result.end, SCHEDULER_END_LENGTH);
        assert_int_equal(runs[i].n, CONTEXT - 30 - i);
    }
    struct scheduler_stats stats = stats_of(&r);
    assert_true(stats.kv_bytes_used <= stats.kv_bytes_limit);
    assert_int_equal(stats.kv_bytes_limit, kv_cache_bytes(&r.model->config, TERN_KV_F16, CONTEXT));
    close_scheduler(&r);
}

// An embedding whose blocks are taken from it half-way begins again, and is the same.
static void whoever_gives_way_begins_again(void **state)
{
    (void)state;
    struct recorder r;
    static struct run older, younger;
    static float expected[128], out[128];
    open_scheduler(&r, &(struct scheduler_options){.max_delay = 1e-9}); // memory for 512 positions
    struct scheduler_request request = letters(200, 0);
    request.pooling = SCHEDULER_POOL_MEAN;
    request.embedding = expected;
    submit(&r, &younger, request);
    await_end(&younger);

    hold_model(&r);
    submit(&r, &older, endless());
    older.pause_at = 100;
    release_model(&r);
    await_tokens(&older, 100);
    request.embedding = out; // row by row, until the older one needs the block for its position 256
    submit(&r, &younger, request);
    go_on(&older);
    await_end(&older);
    await_end(&younger);
    assert_int_equal(older.result.end, SCHEDULER_END_LENGTH);
    assert_int_equal(younger.result.end, SCHEDULER_END_TOKEN);
    assert_true(older.order < younger.order);
    assert_memory_equal(out, expected, sizeof out);
    close_scheduler(&r);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void with_nothing_to_do_it_sleeps(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, NULL);
    submit(&r, &run, newline());
    await_end(&run);
    usleep(20000);
    double before = cpu_seconds();
    usleep(200000);
    assert_true(cpu_seconds() - before < 0.05);
    close_scheduler(&r);
}

static void facts_say_what_is_going_on(void **state)
{
    (void)state;
    struct recorder r;
    static struct run run;
    open_scheduler(&r, &(struct scheduler_options){.context = 300, .parallel = 3});
    hold_model(&r);
    submit(&r, &run, endless());
    run.pause_at = 6;
    release_model(&r);
    await_tokens(&run, 6);
    struct scheduler_stats stats = stats_of(&r);
    assert_int_equal(stats.active, 1);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.context, 300);
    assert_int_equal(stats.parallel, 3);
    assert_int_equal(stats.slots[0].id, run.id);
    assert_int_equal(stats.slots[0].n_prompt, 1);
    assert_int_equal(stats.slots[0].n_generated, 5); // before the step that is under way
    assert_int_equal(stats.slots[0].n_computed, 5);
    assert_int_equal(stats.slots[1].id, 0);
    assert_true(stats.kv_bytes_used > 0);
    assert_int_equal(stats.kv_bytes_remembered, 0);
    assert_int_equal(stats.steps, 5);
    assert_true(stats.step_seconds > 0);
    go_on(&run);
    await_end(&run);
    stats = stats_of(&r);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.generated_tokens, run.n);
    assert_int_equal(stats.slots[0].id, 0);
    assert_int_equal(stats.kv_bytes_remembered, stats.kv_bytes_used);
    close_scheduler(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_its_sentence_and_ends),
        cmocka_unit_test(answers_end_where_they_are_told),
        cmocka_unit_test(the_receiver_can_stop),
        cmocka_unit_test(logprobs_are_those_of_the_logits),
        cmocka_unit_test(embeddings_are_pooled_rows),
        cmocka_unit_test(constraints_are_kept),
        cmocka_unit_test(repetition_takes_fewer_steps),
        cmocka_unit_test(one_prompt_for_many_answers_is_computed_once),
        cmocka_unit_test(the_next_turn_begins_with_the_last_answer),
        cmocka_unit_test(embeddings_leave_nothing_behind),
        cmocka_unit_test(prompts_survive_a_restart),
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(a_short_prompt_does_not_wait_for_a_long_one),
        cmocka_unit_test(prompts_leave_time_for_answers),
        cmocka_unit_test(a_cancelled_request_leaves_at_once),
        cmocka_unit_test(closing_ends_everything),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(one_client_leaves_room_for_others),
        cmocka_unit_test(what_goes_on_is_not_refused),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(answers_outgrow_memory_and_still_end),
        cmocka_unit_test(whoever_gives_way_begins_again),
        cmocka_unit_test(with_nothing_to_do_it_sleeps),
        cmocka_unit_test(facts_say_what_is_going_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
