// probe.c - ceilings of the machine, measured with all threads of the context at once.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "check.h"

enum {
    PROBE_THREADS = 1024,      // as many as open allows
    MANNERS_BYTES = 256 << 20  // most that each manner goes through to be compared
};

// Each thread does one job. They start together: a job waits until every other has been taken, and the pool has as many threads as
// there are jobs. The time is from the first start to the last end.
typedef struct probe_job {
    const tk_probe_args *a;
    const tk_probe_kernels *kernels;
    int threads, manner;
    _Atomic int arrived;
    struct probe_part { double work, begin, end; float sink; } parts[PROBE_THREADS];
} probe_job;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void probe_run(void *arg, int64_t job, int thread)
{
    (void)thread;
    probe_job *p = arg;
    const tk_probe_args *a = p->a;
    struct probe_part *part = &p->parts[job];
    const uint64_t share = a->bytes / (uint64_t)p->threads / 128 * 128;  // of the buffer
    char *mine = TK_PTR(char, a->addr) + (uint64_t)job * share;
    double work = 0;
    float sink = 0;
    atomic_fetch_add(&p->arrived, 1);
    while (atomic_load(&p->arrived) < p->threads) sched_yield();
    const double begin = seconds();
    switch (a->kind) {
    case TK_PROBE_FMA_F32: work = p->kernels->fma_f32(a->repeats, 0.01f, &sink); break;
    case TK_PROBE_DOT_BF16: work = p->kernels->dot_bf16(a->repeats, 0.01f, &sink); break;
    case TK_PROBE_TILE_BF16: work = p->kernels->tile_bf16(a->repeats, 0.01f, &sink); break;
    case TK_PROBE_READ:
        for (uint64_t r = 0; r < a->repeats; r++) p->kernels->read[p->manner](mine, share, &sink);
        work = (double)share * (double)a->repeats;
        break;
    case TK_PROBE_COPY:
        for (uint64_t r = 0; r < a->repeats; r++) p->kernels->copy[p->manner](mine + share / 2, mine, share / 2);
        work = 2 * (double)(share / 2) * (double)a->repeats;
        break;
    }
    *part = (struct probe_part){.work = work, .begin = begin, .end = seconds(), .sink = sink};
}

// probe_once fills in what a gives out.
static void probe_once(tk_context *cx, tk_probe_args *a, int manner)
{
    const int threads = tk_pool_threads(cx->pool);
    probe_job p = {.a = a, .kernels = cx->kernels->probe, .threads = threads, .manner = manner};
    tk_pool_run(cx->pool, threads, probe_run, &p);
    double begin = p.parts[0].begin, end = p.parts[0].end, work = 0;
    for (int i = 0; i < threads; i++) {
        begin = p.parts[i].begin < begin ? p.parts[i].begin : begin;
        end = p.parts[i].end > end ? p.parts[i].end : end;
        work += p.parts[i].work;
    }
    a->work = work;
    a->seconds = end - begin;
}

// probe_manner is the quickest manner of going through a's buffer: of each the best of three times, in turn.
static int probe_manner(tk_context *cx, const tk_probe_args *a)
{
    double best[TK_PROBE_MANNERS] = {0};
    int quickest = 0;
    for (int time = 0; time < 3; time++)
        for (int manner = 0; manner < TK_PROBE_MANNERS; manner++) {
            tk_probe_args one = *a;
            one.repeats = 1;
            one.bytes = a->bytes < MANNERS_BYTES ? a->bytes : MANNERS_BYTES;
            probe_once(cx, &one, manner);
            best[manner] = fmax(best[manner], one.work / one.seconds);
        }
    for (int manner = 1; manner < TK_PROBE_MANNERS; manner++)
        if (best[manner] > best[quickest]) quickest = manner;
    return quickest;
}

int32_t tk_cpu_probe(uint64_t ctx, tk_probe_args *a, tk_error *err)
{
    TK_ENTER("probe");
    const int threads = tk_pool_threads(cx->pool);
    TK_REQUIRE(a->kind >= TK_PROBE_FMA_F32 && a->kind <= TK_PROBE_TILE_BF16, "probe: kind is %u, not one of TK_PROBE_*", a->kind);
    TK_REQUIRE(a->repeats > 0, "probe: repeats is 0");
    if (a->kind == TK_PROBE_TILE_BF16 && !cx->kernels->probe->tile_bf16) return tk_fail(err, TK_UNSUPPORTED, "probe: isa %u has no tiles", cx->isa);
    TK_REQUIRE(threads <= PROBE_THREADS, "probe: the context has %d threads, more than %d", threads, PROBE_THREADS);
    if (a->kind == TK_PROBE_READ || a->kind == TK_PROBE_COPY) {
        TK_TRY(tk_check_vector(err, "probe", "addr", a->addr, a->bytes <= INT64_MAX ? (int64_t)a->bytes : INT64_MAX, 1));
        TK_REQUIRE(a->bytes / 256 >= (uint64_t)threads, "probe: bytes is %llu, fewer than 256 for each of %d threads", (unsigned long long)a->bytes, threads);
    }
    if (a->kind == TK_PROBE_READ || a->kind == TK_PROBE_COPY) {
        int *known = a->kind == TK_PROBE_READ ? &cx->read_manner : &cx->copy_manner;
        if (!*known) *known = 1 + probe_manner(cx, a);
        probe_once(cx, a, *known - 1);
    } else {
        probe_once(cx, a, 0);
    }
    return TK_OK;
}
