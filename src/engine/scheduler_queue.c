// Who may begin. Clients take turns: a request's turn is one after the turn of its client's last waiting request, and
// at least one after the turn of whoever began last (start-time fair queueing with equal costs: Goyal, Vin, Cheng
// 1996). A request that goes on with one that has ended had its turn then.
//
// Memory is not set aside for answers that may never get long. A request begins when there are blocks for its prompt
// and one more for each answer in progress. If blocks run out later, the youngest request gives its own back and waits:
// its blocks are remembered, and forgotten only as they are needed. The oldest request always goes on, and one alone
// always fits, so every request comes to its end.
#include "engine/scheduler_parts.h"

#include <string.h>

static void add_waiting(struct scheduler *s, struct request *r)
{
    r->next = s->waiting;
    s->waiting = r;
}

static void remove_waiting(struct scheduler *s, struct request *r)
{
    struct request **link = &s->waiting;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
}

// Clients that share a place in the table forget each other's turns, and wait a little less.
static struct client_turn *turn_of(struct scheduler *s, uint64_t client)
{
    struct client_turn *turn = &s->turns[client * 0x9e3779b97f4a7c15u >> 54];
    if (turn->client != client) *turn = (struct client_turn){.client = client};
    return turn;
}

static void give_turn(struct scheduler *s, struct request *r)
{
    struct client_turn *last = turn_of(s, r->client);
    r->turn = (last->turn > s->turn ? last->turn : s->turn) + 1;
    last->turn = r->turn;
}

void queue_add(struct scheduler *s, struct request *r)
{
    if (!r->continues) give_turn(s, r);
    add_waiting(s, r);
}

static struct request *first_waiting(const struct scheduler *s)
{
    struct request *first = s->waiting;
    for (struct request *r = first; r != NULL; r = r->next)
        if (r->turn < first->turn || (r->turn == first->turn && r->id < first->id)) first = r;
    return first;
}

// ---- Memory

static int32_t blocks_for(int32_t positions)
{
    return (positions + DEVICE_KV_BLOCK - 1) / DEVICE_KV_BLOCK;
}

// Blocks of other requests in progress that this one can share.
static int32_t shared_blocks(const struct scheduler *s, const struct request *r)
{
    int32_t n = 0;
    const struct prefix_block *block = prefix_root(s->prefix);
    if (r->pooling == SCHEDULER_POOL_MEAN) return 0;
    while ((n + 1) * DEVICE_KV_BLOCK < r->n_tokens) {
        block = prefix_find(s->prefix, block, r->tokens + n * DEVICE_KV_BLOCK);
        if (block == NULL || block->users == 0) break;
        n++;
    }
    return n;
}

// Blocks that requests in progress still need for their prompts, or for their next tokens.
static int32_t promised_blocks(const struct scheduler *s)
{
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_active; i++) {
        const struct request *r = s->active[i];
        int32_t more = blocks_for(r->n_tokens + 1) - r->slot->n_blocks;
        n += more > 1 ? more : 1;
    }
    return n;
}

static bool fits(const struct scheduler *s, const struct request *r)
{
    if (s->n_active == 0) return true;
    int32_t needed = blocks_for(r->n_tokens + 1) - shared_blocks(s, r);
    return needed <= prefix_available(s->prefix) - promised_blocks(s);
}

// ---- Beginning and giving way

static struct slot *free_slot(struct scheduler *s)
{
    for (int32_t i = 0; i < s->options.parallel; i++) {
        bool taken = false;
        for (int32_t j = 0; j < s->n_active; j++)
            taken = taken || s->active[j]->slot == &s->slots[i];
        if (!taken) return &s->slots[i];
    }
    return NULL;
}

static void begin(struct scheduler *s, struct request *r)
{
    remove_waiting(s, r);
    if (r->turn > s->turn) s->turn = r->turn;
    if (r->started == 0) r->started = model_clock();
    r->slot = free_slot(s);
    int32_t at = s->n_active++;
    for (; at > 0 && s->active[at - 1]->id > r->id; at--)
        s->active[at] = s->active[at - 1];
    s->active[at] = r;
}

void queue_admit(struct scheduler *s)
{
    while (s->waiting != NULL && s->n_active < s->options.parallel) {
        struct request *r = first_waiting(s);
        if (!fits(s, r)) return; // whoever comes after it waits too: else many small ones could keep a large one out
        begin(s, r);
    }
}

static void leave(struct scheduler *s, struct request *r)
{
    int32_t at = 0;
    while (s->active[at] != r)
        at++;
    memmove(&s->active[at], &s->active[at + 1], (size_t)(--s->n_active - at) * sizeof(struct request *));
    while (r->slot->n_blocks > 0)
        prefix_release(s->prefix, r->slot->blocks[--r->slot->n_blocks]);
    kv_cache_truncate(r->slot->cache, 0);
    r->slot = NULL;
}

void queue_preempt(struct scheduler *s, struct request *r)
{
    leave(s, r);
    r->computed = 0;
    r->resumes = true;
    if (r->sum != NULL) memset(r->sum, 0, (size_t)s->model->config.width * sizeof *r->sum);
    add_waiting(s, r);
}

bool queue_preempt_younger(struct scheduler *s, const struct request *r)
{
    struct request *youngest = s->active[s->n_active - 1];
    if (youngest->id <= r->id) return false;
    queue_preempt(s, youngest);
    return true;
}

void queue_remove(struct scheduler *s, struct request *r)
{
    if (r->slot != NULL)
        leave(s, r);
    else
        remove_waiting(s, r);
}
