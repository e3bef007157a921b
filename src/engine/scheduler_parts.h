// What the scheduler's files share. scheduler.c is what other threads call, and the thread; scheduler_queue.c says who
// may begin and who must give way; scheduler_step.c is one step; scheduler_disk.c keeps prompts in a folder.
#ifndef ENGINE_SCHEDULER_PARTS_H
#define ENGINE_SCHEDULER_PARTS_H

#include "base/parallel.h"
#include "engine/scheduler_request.h"

#include <pthread.h>

struct prefix_store;

enum { SCHEDULER_TURNS = 1 << 10 };

// The turn of a client's last request.
struct client_turn {
    uint64_t client, turn;
};

struct scheduler {
    struct tern_model *model;
    struct scheduler_options options; // none of them 0 for "default"
    size_t slab_bytes;                // of a block of all layers
    int32_t max_blocks;
    pthread_t thread;

    // The thread's own.
    struct prefix *prefix;
    struct prefix_store *store; // NULL: no cache_dir
    int32_t n_runs;             // of blocks that are being read
    struct pool *pool;          // for drawing
    struct request *waiting;    // in no order
    int32_t n_active;
    struct request *active[SCHEDULER_MAX_PARALLEL]; // ascending ids
    struct slot slots[SCHEDULER_MAX_PARALLEL];      // [options.parallel]
    uint64_t turn;                                  // of the request that began last
    struct client_turn turns[SCHEDULER_TURNS];
    struct scheduler_stats counts; // counters only

    // One step's.
    int32_t n_rows;
    struct decoder_row rows[DECODER_MAX_ROWS];
    float *logits; // [max(options.parallel, 1 + DRAFT_MAX)][vocabulary]
    float *hidden; // [DECODER_MAX_ROWS][width]; made, with the mutex, before the first embedding enters
    int32_t n_drawing;
    struct request *drawing[SCHEDULER_MAX_PARALLEL]; // those that get a token
    double row_seconds;                              // of one row of a prompt, smoothed; 0: not known yet
    double answer_seconds;                           // of a step without prompts, smoothed

    // Shared with the threads that call.
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct request *incoming, **incoming_end; // submitted, in order
    struct request *live;                     // all that have not ended
    int32_t n_live;
    uint64_t last_id;
    bool closing, disturbed; // disturbed: somebody changed something that the thread should look at
    bool cancelling;         // some request is to be cancelled
    struct scheduler_stats stats;
};

// Takes a request out of everything, says so, and closes it. `message` is for SCHEDULER_END_ERROR.
void scheduler_end(struct scheduler *scheduler, struct request *request, enum scheduler_end end, tern_status status,
                   const char *message);

// Tells the thread that something has changed. Any thread.
void scheduler_disturb(struct scheduler *scheduler);
// Sleeps until then, or for a tenth of a second. The thread.
void scheduler_pause(struct scheduler *scheduler);

void slot_attach(struct slot *slot, struct prefix_block *block);

// ---- Queue

// A submitted request waits for its turn.
void queue_add(struct scheduler *scheduler, struct request *request);
// Begins waiting requests as long as there are places and memory.
void queue_admit(struct scheduler *scheduler);
// Makes room by stopping the youngest request in progress that is younger than this one: it waits, and will be computed
// again. False if there is none.
bool queue_preempt_younger(struct scheduler *scheduler, const struct request *request);
// Stops a request in progress: it waits, and will be computed again.
void queue_preempt(struct scheduler *scheduler, struct request *request);
// Takes a request out of those waiting or in progress, and its blocks back.
void queue_remove(struct scheduler *scheduler, struct request *request);

// ---- Step

// Computes and draws once for everybody. False if there was nothing to compute.
bool step_run(struct scheduler *scheduler);

// ---- Disk. All of it does nothing without a cache_dir.

// Errors: those of prefix_store_open().
tern_status disk_open(struct scheduler *scheduler);
// Writes what is to be written, for some seconds at most. Nobody may be in progress.
void disk_close(struct scheduler *scheduler);
// Begins to read the request's next whole blocks below `parent`; they are attached to it. False: they are not there.
bool disk_find(struct scheduler *scheduler, struct request *request, struct prefix_block *parent);
// Takes up what was read.
void disk_collect(struct scheduler *scheduler);
// A prompt was computed: its blocks are to be written, or were used again.
void disk_keep_prompt(struct scheduler *scheduler, const struct request *request);
// Hands one block over for writing. False: there is none, or the disk is busy.
bool disk_write(struct scheduler *scheduler);

#endif
