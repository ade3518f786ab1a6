// pool.h - a fixed set of threads that share out numbered jobs.
#ifndef TK_POOL_H
#define TK_POOL_H

#include <stdint.h>

typedef struct tk_pool tk_pool;

// fn does job number `job` (0 <= job < jobs) as thread `thread` (0 <= thread < threads; scratch memory may be indexed by it).
typedef void (*tk_job)(void *arg, int64_t job, int thread);

// tk_pool_new starts threads - 1 workers; the caller of tk_pool_run is the last one. NULL if they cannot be started.
tk_pool *tk_pool_new(int threads);
void tk_pool_free(tk_pool *p);
int tk_pool_threads(const tk_pool *p);

// tk_pool_awake is the number of workers that spin for a call at this moment: what is too small to wake one for may be shared with them.
int tk_pool_awake(const tk_pool *p);

// tk_pool_run does jobs 0 .. jobs-1, each once, and returns when all are done. One caller at a time. Jobs are begun in increasing order,
// so one may wait for what an earlier one does, and end in any order. Which thread takes a job never changes what the job computes: jobs
// write disjoint outputs, or take turns in an order that is theirs, and no result is reduced across them in arrival order.
void tk_pool_run(tk_pool *p, int64_t jobs, tk_job fn, void *arg);

#endif
