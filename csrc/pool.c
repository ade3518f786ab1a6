// pool.c - workers spin briefly for the next call, then sleep: decode issues hundreds of calls of some 10 us a token.
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

struct tk_pool {
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    _Atomic uint64_t epoch;  // one a call
    _Atomic int64_t next;    // the next job
    _Atomic int working;     // workers still in this call
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

static void *pool_main(void *arg)
{
    struct worker *w = arg;
    tk_pool *p = w->pool;
    uint64_t seen = 0;
    for (;;) {
        uint64_t e;
        int spins = 0;
        while ((e = atomic_load_explicit(&p->epoch, memory_order_acquire)) == seen && spins++ < POOL_SPINS) POOL_PAUSE();
        if (e == seen) {
            pthread_mutex_lock(&p->mutex);
            p->sleeping++;
            while ((e = atomic_load(&p->epoch)) == seen) pthread_cond_wait(&p->wake, &p->mutex);
            p->sleeping--;
            pthread_mutex_unlock(&p->mutex);
        }
        seen = e;
        if (atomic_load(&p->quit)) return NULL;
        pool_work(p, w->index);
        if (atomic_fetch_sub_explicit(&p->working, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->mutex);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->mutex);
        }
    }
}

static void pool_start(tk_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add_explicit(&p->epoch, 1, memory_order_release);
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
    atomic_store_explicit(&p->working, p->threads - 1, memory_order_relaxed);
    pool_start(p);
    pool_work(p, 0);
    int spins = 0;
    while (atomic_load_explicit(&p->working, memory_order_acquire) && spins++ < POOL_SPINS) POOL_PAUSE();
    if (atomic_load_explicit(&p->working, memory_order_acquire)) {
        pthread_mutex_lock(&p->mutex);
        while (atomic_load(&p->working)) pthread_cond_wait(&p->done, &p->mutex);
        pthread_mutex_unlock(&p->mutex);
    }
}
