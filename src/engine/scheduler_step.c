// One step, read from the bottom up (step_run): every request in progress gets blocks (settle), rows of tokens are
// chosen (plan), computed, taken up (commit), and answers get their next token (draw).
#include "engine/scheduler_parts.h"

#include <string.h>

enum {
    MIN_COPY = 8,    // positions that are worth copying a block for
    FIRST_ROWS = 32, // of prompts, before it is known how long a row takes
};

// What prompts may take from a step in which nobody waits for a next token: how long newcomers and cancellations wait.
static const double LONE_PROMPT_SECONDS = 0.5;

// ---- Blocks

// The block in which tokens[computed] belongs; NULL if the request has none yet.
static struct prefix_block *current_block(const struct request *r)
{
    int32_t index = r->computed / DEVICE_KV_BLOCK;
    return index < r->slot->n_blocks ? r->slot->blocks[index] : NULL;
}

// The block below which the next one goes; NULL if that is private.
static struct prefix_block *next_parent(const struct scheduler *s, const struct request *r)
{
    if (r->pooling == SCHEDULER_POOL_MEAN) return NULL; // all of its rows are computed anyway, and are not needed again
    return r->slot->n_blocks > 0 ? r->slot->blocks[r->slot->n_blocks - 1] : prefix_root(s->prefix);
}

// Says which tokens the request will compute in a block of its own, as far as it knows them.
static void expect_tokens(struct request *r, struct prefix_block *block)
{
    int32_t end = (block->index + 1) * DEVICE_KV_BLOCK, known = block->index * DEVICE_KV_BLOCK + block->n_tokens;
    if (end > r->n_tokens) end = r->n_tokens;
    if (known < end) prefix_expect(block, r->tokens + known, end - known);
    block->busy = !request_is_answering(r);
}

// Finds who fills a block, and lets the prompt that has fewest tokens left of both decide when.
static void wait_for(struct scheduler *s, struct request *r, const struct prefix_block *block)
{
    r->waits = true;
    for (int32_t i = 0; i < s->n_active; i++) {
        struct request *other = s->active[i];
        bool fills = block->index < other->slot->n_blocks && other->slot->blocks[block->index] == block;
        if (fills && request_left(r) < other->wanted_by) other->wanted_by = request_left(r);
    }
}

// A block that begins with fewer tokens than could be used, or is not whole yet: waits for it, takes it over, or copies
// what is there. False: none of these.
static bool use_part(struct scheduler *s, struct request *r, struct prefix_block *block, int32_t overlap)
{
    if (overlap > block->filled) {
        wait_for(s, r, block);
        return true;
    }
    if (block->users == 0 && block->filled == overlap)
        prefix_use(s->prefix, block);
    else
        block = overlap >= MIN_COPY ? prefix_copy(s->prefix, block, overlap) : NULL;
    if (block == NULL) return false;
    slot_attach(r->slot, block);
    expect_tokens(r, block);
    return true;
}

// Shares what others computed of the tokens at r->computed, which is where a block begins: in memory, on disk, or in
// part. False: there is nothing. Otherwise blocks were attached, or the request waits.
static bool find_block(struct scheduler *s, struct request *r)
{
    const tern_token *tokens = r->tokens + r->computed;
    int32_t usable = r->n_tokens - 1 - r->computed, overlap; // the last one is computed: its logits are wanted
    if (usable >= DEVICE_KV_BLOCK) usable = DEVICE_KV_BLOCK;
    if (usable < 1 || r->pooling == SCHEDULER_POOL_MEAN) return false;
    struct prefix_block *parent = next_parent(s, r), *block = NULL;
    if (usable == DEVICE_KV_BLOCK) block = prefix_find(s->prefix, parent, tokens);
    if (block != NULL) {
        prefix_use(s->prefix, block);
        slot_attach(r->slot, block);
        return true;
    }
    block = prefix_search(parent, tokens, usable, &overlap);
    if (overlap < DEVICE_KV_BLOCK && disk_find(s, r, parent)) return true;
    return block != NULL && use_part(s, r, block, overlap);
}

// A new block, for which younger requests give way. If there is none the request itself gives way, or ends.
static void make_block(struct scheduler *s, struct request *r)
{
    struct prefix_block *block;
    do {
        block = prefix_create(s->prefix, next_parent(s, r), r->slot->n_blocks);
    } while (block == NULL && queue_preempt_younger(s, r));
    if (block != NULL) {
        slot_attach(r->slot, block);
        expect_tokens(r, block);
    } else if (s->n_active > 1) {
        queue_preempt(s, r);
    } else if (s->n_runs > 0) {
        r->waits = true; // blocks that are still being read for somebody who is gone
    } else {
        scheduler_end(s, r, SCHEDULER_END_ERROR, TERN_NO_MEMORY, "no memory for keys and values");
    }
}

static void count_cached(struct scheduler *s, struct request *r, int32_t n)
{
    r->computed += n;
    if (r->resumes) return;
    r->n_cached += n;
    s->counts.cached_tokens += (uint64_t)n;
    s->counts.prompt_tokens += (uint64_t)n;
}

// Brings a request to where there is something to compute and a block to put it. It may have to wait, to give way, or
// to end instead.
static void settle(struct scheduler *s, struct request *r)
{
    r->waits = false;
    while (r->slot != NULL && !r->waits) {
        const struct prefix_block *block = current_block(r);
        if (block == NULL) {
            if (find_block(s, r)) continue;
            make_block(s, r);
            return;
        }
        int32_t filled = block->index * DEVICE_KV_BLOCK + block->filled;
        r->waits = block->loading;
        if (filled == r->computed) return;
        count_cached(s, r, filled - r->computed);
    }
}

// From the oldest to the youngest: who gives way is always one that comes later, or the one at hand.
static void settle_all(struct scheduler *s)
{
    for (int32_t i = 0; i < s->n_active; i++)
        s->active[i]->wanted_by = INT32_MAX;
    for (int32_t i = 0; i < s->n_active;) {
        struct request *r = s->active[i];
        settle(s, r);
        if (i < s->n_active && s->active[i] == r) i++;
    }
}

// ---- Rows

static bool wants_answer(const struct request *r)
{
    return r->pooling == SCHEDULER_POOL_NONE && r->n_tokens < r->most_tokens;
}

// Room for `n` more tokens behind r->computed, as far as blocks can be had without taking them from anybody.
static int32_t extend_blocks(struct scheduler *s, struct request *r, int32_t n)
{
    while (r->slot->n_blocks * DEVICE_KV_BLOCK < r->computed + n) {
        struct prefix_block *block = prefix_create(s->prefix, next_parent(s, r), r->slot->n_blocks);
        if (block == NULL) break;
        slot_attach(r->slot, block);
        expect_tokens(r, block);
    }
    int32_t room = r->slot->n_blocks * DEVICE_KV_BLOCK - r->computed;
    return n < room ? n : room;
}

static float *hidden_row(struct scheduler *s, const struct request *r, int32_t row, bool last)
{
    bool wanted = r->pooling == SCHEDULER_POOL_MEAN || (r->pooling != SCHEDULER_POOL_NONE && last);
    return wanted ? s->hidden + (size_t)row * (size_t)s->model->config.width : NULL;
}

// Puts the next `n` tokens of a request into the step.
static void add_rows(struct scheduler *s, struct request *r, int32_t n)
{
    r->first_row = s->n_rows;
    r->n_rows = n;
    r->n_guesses = 0;
    r->logits = NULL;
    bool last = n == request_left(r);
    if (last && wants_answer(r)) {
        r->logits = s->logits + (size_t)s->n_drawing * (size_t)s->model->config.n_vocabulary;
        s->drawing[s->n_drawing++] = r;
    }
    for (int32_t i = 0; i < n; i++, s->n_rows++)
        s->rows[s->n_rows] = (struct decoder_row){
            .token = r->tokens[r->computed + i],
            .position = r->computed + i,
            .cache = r->slot->cache,
            .logits = i == n - 1 ? r->logits : NULL,
            .hidden = hidden_row(s, r, s->n_rows, last && i == n - 1),
        };
}

static void add_answers(struct scheduler *s)
{
    for (int32_t i = 0; i < s->n_active; i++) {
        struct request *r = s->active[i];
        r->n_rows = 0;
        if (r->waits || !request_is_answering(r)) continue;
        expect_tokens(r, current_block(r));
        add_rows(s, r, 1);
    }
}

// Rows of prompts that the answers in progress can bear to wait for.
static int32_t prompt_budget(const struct scheduler *s)
{
    double seconds = s->n_rows > 0 ? s->options.max_delay : LONE_PROMPT_SECONDS;
    int32_t room = DECODER_MAX_ROWS - s->n_rows;
    double rows = s->row_seconds > 0 ? seconds / s->row_seconds : FIRST_ROWS;
    return rows < 1 ? 1 : rows < room ? (int32_t)rows : room;
}

// Tokens left; of a request that another waits for, as few as that one has.
static int32_t urgency(const struct request *r)
{
    int32_t left = request_left(r);
    return r->wanted_by < left ? r->wanted_by : left;
}

// Prompts in progress, those with the fewest tokens left first. Returns their number; *oldest: one of them, or NULL.
static int32_t list_prompts(const struct scheduler *s, struct request **list, struct request **oldest)
{
    int32_t n = 0;
    *oldest = NULL;
    for (int32_t i = 0; i < s->n_active; i++) {
        struct request *r = s->active[i];
        if (r->waits || request_is_answering(r)) continue;
        if (*oldest == NULL) *oldest = r;
        int32_t at = n++;
        for (; at > 0 && urgency(list[at - 1]) > urgency(r); at--)
            list[at] = list[at - 1];
        list[at] = r;
    }
    return n;
}

static int32_t fewest(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// A quarter of the rows goes to the oldest prompt, so that it comes to its end whatever else arrives; the rest to those
// that are done soonest, which is what makes waiting shortest on average.
static void add_prompts(struct scheduler *s)
{
    struct request *list[SCHEDULER_MAX_PARALLEL], *oldest;
    int32_t n = list_prompts(s, list, &oldest), budget = prompt_budget(s);
    if (n == 0) return;
    int32_t reserved = fewest(request_left(oldest), (budget + 3) / 4), rest = budget - reserved;
    for (int32_t i = 0; i < n; i++) {
        struct request *r = list[i];
        int32_t own = r == oldest ? reserved : 0, rows = fewest(request_left(r), own + rest);
        if (rows > 0) rows = extend_blocks(s, r, rows);
        if (rows == 0) continue;
        rest -= rows > own ? rows - own : 0;
        add_rows(s, r, rows);
    }
}

// An answer that has a step for itself brings guesses at its next tokens along.
static void add_guesses(struct scheduler *s, struct request *r)
{
    int32_t room = r->most_tokens - r->n_tokens - 1; // each of them may bring a token more
    tern_token guesses[DRAFT_MAX];
    int32_t n = room > 0 ? draft_propose(&r->draft, r->tokens, (size_t)r->n_tokens, (size_t)room, guesses) : 0;
    if (n > 0) n = extend_blocks(s, r, 1 + n) - 1;
    for (r->n_guesses = 0; r->n_guesses < n; r->n_guesses++, s->n_rows++) {
        r->guesses[r->n_guesses] = guesses[r->n_guesses];
        s->rows[s->n_rows] = (struct decoder_row){
            .token = guesses[r->n_guesses],
            .position = r->n_tokens + r->n_guesses,
            .cache = r->slot->cache,
            .logits = r->logits + ((size_t)r->n_guesses + 1) * (size_t)s->model->config.n_vocabulary,
        };
    }
}

// ---- After computing

static void learn_speed(struct scheduler *s, int32_t n_answers, int32_t n_prompt, double seconds)
{
    if (n_prompt == 0) {
        s->answer_seconds = s->answer_seconds == 0 ? seconds : 0.5 * s->answer_seconds + 0.5 * seconds;
        return;
    }
    double own = seconds - (n_answers > 0 ? s->answer_seconds : 0);
    if (own < 0.1 * seconds) own = 0.1 * seconds;
    double row = own / n_prompt, weight = n_prompt < 32 ? n_prompt / 64.0 : 0.5; // few rows say little
    s->row_seconds = s->row_seconds == 0 ? row : (1 - weight) * s->row_seconds + weight * row;
}

// `n` more tokens have their keys and values.
static void fill_blocks(struct scheduler *s, struct request *r, int32_t n)
{
    while (n > 0) {
        struct prefix_block *block = current_block(r);
        int32_t room = DEVICE_KV_BLOCK - block->filled, more = n < room ? n : room;
        struct prefix_block *kept = prefix_fill(s->prefix, block, more);
        if (kept != block) {
            kv_cache_put(r->slot->cache, kept->index, kept->slab);
            r->slot->blocks[kept->index] = kept;
        }
        r->computed += more;
        n -= more;
    }
}

static void commit(struct scheduler *s, struct request *r)
{
    if (!request_is_answering(r) && !r->resumes) s->counts.prompt_tokens += (uint64_t)r->n_rows;
    fill_blocks(s, r, r->n_rows);
    if (request_left(r) == 0) r->slot->blocks[r->slot->n_blocks - 1]->busy = false;
    if (request_left(r) == 0 && r->n_generated == 0) disk_keep_prompt(s, r);
    if (r->pooling == SCHEDULER_POOL_MEAN)
        request_pool(r, hidden_row(s, r, r->first_row, true), r->n_rows);
    else if (r->pooling != SCHEDULER_POOL_NONE && request_left(r) == 0)
        request_pool(r, hidden_row(s, r, r->first_row + r->n_rows - 1, true), 1);
}

// Those that have all they wanted without a token: embeddings, and prompts that were to be read only.
static void end_computed(struct scheduler *s)
{
    for (int32_t i = s->n_active - 1; i >= 0; i--) {
        struct request *r = s->active[i];
        if (r->n_rows == 0 || request_left(r) > 0 || wants_answer(r)) continue;
        if (r->pooling != SCHEDULER_POOL_NONE) request_finish_pool(r);
        scheduler_end(s, r, r->pooling != SCHEDULER_POOL_NONE ? SCHEDULER_END_TOKEN : SCHEDULER_END_LENGTH, TERN_OK,
                      "");
    }
}

static void draw_one(void *context, int64_t index, int worker)
{
    (void)worker;
    struct scheduler *s = context;
    request_draw(s->drawing[index]);
}

// Hands a drawn token out. False: the request ended here.
static bool give_token(struct scheduler *s, struct request *r)
{
    const struct draw *draw = &r->draw;
    if (draw->status != TERN_OK) {
        scheduler_end(s, r, SCHEDULER_END_ERROR, draw->status, draw->message);
        return false;
    }
    if (draw->ends) {
        scheduler_end(s, r, SCHEDULER_END_TOKEN, TERN_OK, "");
        return false;
    }
    tern_status status = request_append(r, draw->token.token);
    if (status != TERN_OK) {
        scheduler_end(s, r, SCHEDULER_END_ERROR, status, status_message());
        return false;
    }
    s->counts.generated_tokens++;
    if (r->first_token == 0) r->first_token = model_clock();
    bool wanted = r->on_token == NULL || r->on_token(r->context, &draw->token);
    if (wanted && !draw->complete && r->n_tokens < r->most_tokens) return true;
    enum scheduler_end end = !wanted          ? SCHEDULER_END_STOPPED
                             : draw->complete ? SCHEDULER_END_TOKEN
                                              : SCHEDULER_END_LENGTH;
    scheduler_end(s, r, end, TERN_OK, "");
    return false;
}

// True if the token drawn last was guessed: its keys and values are there, and the logits behind it.
static bool take_guess(struct scheduler *s, struct request *r)
{
    if (r->n_guesses == 0 || r->guesses[0] != r->tokens[r->n_tokens - 1]) return false;
    memmove(r->guesses, r->guesses + 1, (size_t)--r->n_guesses * sizeof *r->guesses);
    r->logits += s->model->config.n_vocabulary;
    expect_tokens(r, current_block(r));
    fill_blocks(s, r, 1);
    draft_count_hit(&r->draft);
    return true;
}

static void draw_tokens(struct scheduler *s)
{
    while (s->n_drawing > 0) {
        int32_t n = s->n_drawing;
        pool_run(s->pool, n, draw_one, s);
        s->n_drawing = 0;
        for (int32_t i = 0; i < n; i++) {
            struct request *r = s->drawing[i];
            if (give_token(s, r) && take_guess(s, r)) s->drawing[s->n_drawing++] = r;
        }
    }
}

// The step's requests end with what went wrong: what they share was not changed.
static void end_failed(struct scheduler *s, tern_status status)
{
    char message[STATUS_MESSAGE_BYTES];
    strcpy(message, status_message());
    for (int32_t i = s->n_active - 1; i >= 0; i--)
        if (s->active[i]->n_rows > 0) scheduler_end(s, s->active[i], SCHEDULER_END_ERROR, status, message);
}

static tern_status compute(struct scheduler *s, int32_t n_answers, struct request *alone)
{
    double seconds;
    int32_t n_guesses = alone != NULL ? alone->n_guesses : 0;
    TRY(model_forward(s->model, s->rows, s->n_rows, &seconds));
    learn_speed(s, n_answers, s->n_rows - n_answers - n_guesses, seconds);
    if (alone != NULL) draft_count_pass(&alone->draft, n_guesses, seconds);
    s->counts.steps++;
    s->counts.step_seconds += seconds;
    return TERN_OK;
}

bool step_run(struct scheduler *s)
{
    s->n_rows = s->n_drawing = 0;
    settle_all(s);
    add_answers(s);
    int32_t n_answers = s->n_rows;
    add_prompts(s);
    if (s->n_rows == 0) return s->n_active == 0 && s->waiting != NULL;
    struct request *alone = n_answers == 1 && s->n_rows == 1 ? s->drawing[0] : NULL;
    if (alone != NULL) add_guesses(s, alone);
    tern_status status = compute(s, n_answers, alone);
    if (status != TERN_OK) {
        end_failed(s, status);
        return true;
    }
    for (int32_t i = 0; i < s->n_active; i++)
        if (s->active[i]->n_rows > 0) commit(s, s->active[i]);
    end_computed(s);
    draw_tokens(s);
    return true;
}
