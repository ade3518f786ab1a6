// pool.c - workers spin briefly for the next call, then sleep: decode issues hundreds of calls of some 10 us a token. Those that spin
// are awake, and join a call within some 200 ns; one that sleeps takes 50 us.
//
// A worker joins a call while it is open, and the caller closes it when no job is left. So a call waits for workers that have a job, and never
// for one that has yet to wake: what is done before it would wake, the caller does alone.
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define POOL_PAUSE() _mm_pause()
#else
#define POOL_PAUSE() ((void)0)
#endif

enum { POOL_SPINS = 4000 };  // about 50 us at 12 ns a pause

#define CALL_OPEN (1ull << 31)
#define CALL_WORKERS (CALL_OPEN - 1)
#define CALL_NUMBER (1ull << 32)

struct tk_pool {
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    _Atomic uint64_t state;  // number of the call << 32 | CALL_OPEN | workers in it
    _Atomic int64_t next;    // the next job
    _Atomic int awake;       // workers that spin
    _Atomic int quit;
    int64_t jobs;
    tk_job fn;
    void *arg;
    int sleeping;  // under mutex
    struct worker { tk_pool *pool; pthread_t id; int index; } *workers;
};

static void pool_work(tk_pool *p, int thread)
{
    for (;;) {
        int64_t job = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (job >= p->jobs) return;
        p->fn(p->arg, job, thread);
    }
}

// pool_join adds a worker to the call of state s, which is still under way. What the call is about may be read after that, until pool_leave.
static int pool_join(tk_pool *p, uint64_t s)
{
    const uint64_t call = s / CALL_NUMBER;
    while ((s & CALL_OPEN) && s / CALL_NUMBER == call)
        if (atomic_compare_exchange_weak_explicit(&p->state, &s, s + 1, memory_order_acquire, memory_order_acquire)) return 1;
    return 0;
}

static void pool_leave(tk_pool *p)
{
    uint64_t before = atomic_fetch_sub_explicit(&p->state, 1, memory_order_acq_rel);
    if ((before & (CALL_OPEN | CALL_WORKERS)) != 1) return;  // others are in it, or the caller still looks for jobs
    pthread_mutex_lock(&p->mutex);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->mutex);
}

static void *pool_main(void *arg)
{
    struct worker *w = arg;
    tk_pool *p = w->pool;
    uint64_t seen = 0, s;
    for (;;) {
        int spins = 0;
        atomic_fetch_add_explicit(&p->awake, 1, memory_order_relaxed);
        while ((s = atomic_load_explicit(&p->state, memory_order_acquire)) / CALL_NUMBER == seen && spins++ < POOL_SPINS) POOL_PAUSE();
        atomic_fetch_sub_explicit(&p->awake, 1, memory_order_relaxed);
        if (s / CALL_NUMBER == seen) {
            pthread_mutex_lock(&p->mutex);
            p->sleeping++;
            while ((s = atomic_load(&p->state)) / CALL_NUMBER == seen) pthread_cond_wait(&p->wake, &p->mutex);
            p->sleeping--;
            pthread_mutex_unlock(&p->mutex);
        }
        seen = s / CALL_NUMBER;
        if (atomic_load(&p->quit)) return NULL;
        if (!pool_join(p, s)) continue;
        pool_work(p, w->index);
        pool_leave(p);
    }
}

// pool_start opens the next call; nobody is in the last one.
static void pool_start(tk_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    uint64_t last = atomic_load_explicit(&p->state, memory_order_relaxed);
    atomic_store_explicit(&p->state, (last / CALL_NUMBER + 1) * CALL_NUMBER | CALL_OPEN, memory_order_release);
    if (p->sleeping) pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

tk_pool *tk_pool_new(int threads)
{
    tk_pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->threads = 1;
    for (int i = 1; i < threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        if (pthread_create(&p->workers[i].id, NULL, pool_main, &p->workers[i])) {
            tk_pool_free(p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void tk_pool_free(tk_pool *p)
{
    if (!p) return;
    atomic_store(&p->quit, 1);
    pool_start(p);
    for (int i = 1; i < p->threads; i++) pthread_join(p->workers[i].id, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p->workers);
    free(p);
}

int tk_pool_threads(const tk_pool *p) { return p->threads; }

int tk_pool_awake(const tk_pool *p) { return atomic_load_explicit(&p->awake, memory_order_relaxed); }

void tk_pool_run(tk_pool *p, int64_t jobs, tk_job fn, void *arg)
{
    if (p->threads == 1 || jobs <= 1) {
        for (int64_t i = 0; i < jobs; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->jobs = jobs;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    pool_start(p);
    pool_work(p, 0);
    uint64_t s = atomic_fetch_and_explicit(&p->state, ~CALL_OPEN, memory_order_acq_rel);
    for (int spins = 0; (s & CALL_WORKERS) && spins < POOL_SPINS; spins++) {
        POOL_PAUSE();
        s = atomic_load_explicit(&p->state, memory_order_acquire);
    }
    if (s & CALL_WORKERS) {
        pthread_mutex_lock(&p->mutex);
        while (atomic_load(&p->state) & CALL_WORKERS) pthread_cond_wait(&p->done, &p->mutex);
        pthread_mutex_unlock(&p->mutex);
    }
}
