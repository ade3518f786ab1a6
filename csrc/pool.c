// pool.c - workers spin briefly for the next call, then sleep: decode issues hundreds of calls of some 10 us a token. Those that spin
// are awake, and have a job within some 200 ns; one that sleeps takes 50 us.
//
// Whoever takes a job counts it down in one word, beside what the call is about: a worker that spins on that word has all that it needs. A
// call ends when every job that was taken has ended; so it waits for workers that have a job, and never for one that has yet to wake: what is
// done before it would wake, the caller does alone.
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define POOL_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define POOL_PAUSE() __asm__ volatile("isb")  // some 10 ns, as x86's pause; yield is none
#else
#define POOL_PAUSE() ((void)0)
#endif

enum { POOL_SPINS = 4000, LINE = 64 };  // about 50 us at 12 ns a pause

#define JOBS_LEFT 0xffffffffull
#define CALL_NUMBER (JOBS_LEFT + 1)

struct tk_pool {
    // The call: what its jobs are may be read by who has taken one, until it has ended.
    _Alignas(LINE) _Atomic uint64_t work;  // the call's number * CALL_NUMBER + jobs that nobody has taken
    int64_t jobs;
    tk_job fn;
    void *arg;
    _Alignas(LINE) _Atomic int64_t ended;  // jobs that workers have ended
    _Alignas(LINE) _Atomic int sleeping;   // workers that do not spin
    _Atomic int waiting;                   // for `ended`, asleep: the caller
    _Atomic int quit;
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    struct worker { tk_pool *pool; pthread_t id; int index; } *workers;
};

// pool_work does jobs as long as there are any, and returns how many it did.
static int64_t pool_work(tk_pool *p, int thread)
{
    int64_t did = 0;
    uint64_t w = atomic_load_explicit(&p->work, memory_order_relaxed);
    while (w & JOBS_LEFT) {
        if (!atomic_compare_exchange_weak_explicit(&p->work, &w, w - 1, memory_order_acquire, memory_order_relaxed)) continue;
        p->fn(p->arg, p->jobs - (int64_t)(w & JOBS_LEFT), thread);
        did++;
        w = atomic_load_explicit(&p->work, memory_order_relaxed);
    }
    return did;
}

// pool_sleep sleeps until there is a call, and returns even when it comes too late for that one: it was woken for those that follow.
static void pool_sleep(tk_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleeping, 1);
    uint64_t work = atomic_load(&p->work);
    const uint64_t last = work / CALL_NUMBER;
    for (; !(work & JOBS_LEFT) && work / CALL_NUMBER == last && !atomic_load(&p->quit); work = atomic_load(&p->work))
        pthread_cond_wait(&p->wake, &p->mutex);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void *pool_main(void *arg)
{
    struct worker *w = arg;
    tk_pool *p = w->pool;
    for (int spins = 0; !atomic_load_explicit(&p->quit, memory_order_relaxed);) {
        int64_t did = pool_work(p, w->index);
        if (did > 0) {
            atomic_fetch_add(&p->ended, did);
            if (atomic_load(&p->waiting)) {
                pthread_mutex_lock(&p->mutex);
                pthread_cond_signal(&p->done);
                pthread_mutex_unlock(&p->mutex);
            }
            spins = 0;
        } else if (spins++ < POOL_SPINS) {
            POOL_PAUSE();
        } else {
            pool_sleep(p);
            spins = 0;
        }
    }
    return NULL;
}

static void pool_wake(tk_pool *p)
{
    if (!atomic_load(&p->sleeping)) return;
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

tk_pool *tk_pool_new(int threads)
{
    tk_pool *p = aligned_alloc(LINE, sizeof *p);
    if (!p) return NULL;
    memset(p, 0, sizeof *p);
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
    pool_wake(p);
    for (int i = 1; i < p->threads; i++) pthread_join(p->workers[i].id, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p->workers);
    free(p);
}

int tk_pool_threads(const tk_pool *p) { return p->threads; }

int tk_pool_awake(const tk_pool *p) { return p->threads - 1 - atomic_load_explicit(&p->sleeping, memory_order_relaxed); }

void tk_pool_run(tk_pool *p, int64_t jobs, tk_job fn, void *arg)
{
    if (p->threads == 1 || jobs <= 1 || jobs > (int64_t)JOBS_LEFT) {
        for (int64_t i = 0; i < jobs; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->jobs = jobs;
    atomic_store_explicit(&p->ended, 0, memory_order_relaxed);
    uint64_t last = atomic_load_explicit(&p->work, memory_order_relaxed);
    atomic_store(&p->work, (last / CALL_NUMBER + 1) * CALL_NUMBER + (uint64_t)jobs - 1);  // the first job is the caller's
    pool_wake(p);
    fn(arg, 0, 0);
    const int64_t others = jobs - 1 - pool_work(p, 0);
    for (int spins = 0; spins < POOL_SPINS; spins++) {
        if (atomic_load_explicit(&p->ended, memory_order_acquire) == others) return;
        POOL_PAUSE();
    }
    pthread_mutex_lock(&p->mutex);
    atomic_store(&p->waiting, 1);
    while (atomic_load(&p->ended) != others) pthread_cond_wait(&p->done, &p->mutex);
    atomic_store(&p->waiting, 0);
    pthread_mutex_unlock(&p->mutex);
}
