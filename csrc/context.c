// context.c - contexts, memory and errors of the cpu back-end.
#define _GNU_SOURCE
#include "stage.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#include <unistd.h>

int32_t tk_fail(tk_error *err, int32_t code, const char *format, ...)
{
    if (err) {
        err->code = code;
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
    }
    return code;
}

// The processor is asked itself (Intel SDM, volume 2A, CPUID, and volume 1, 13.3): the __builtin_cpu_supports that some toolchains link knows of
// no extension at all.
#if defined(__x86_64__)
enum {
    CPUID_1_ECX_FMA_OSXSAVE = 1 << 12 | 1 << 27,
    CPUID_7_EBX_AVX2 = 1 << 5,
    CPUID_7_EDX_AMX_BF16_TILE = 1 << 22 | 1 << 24,
    CPUID_7_1_EAX_AVX512_BF16 = 1 << 5,
    XCR0_AVX = 0x6,      // states that the system saves
    XCR0_AVX512 = 0xe6,
};
static const unsigned CPUID_7_EBX_AVX512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL

static int has_all(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

// Whether Linux lets this process use tiles: it saves their 8 KB for those that ask (ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA), which may be
// refused, as where a thread's signal stack is too small.
static int may_use_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return 0;
#endif
}

static uint32_t best_isa(void)
{
    unsigned a, b, c, d, saved, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, CPUID_1_ECX_FMA_OSXSAVE)) return TK_ISA_SCALAR;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (!has_all(saved, XCR0_AVX) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has_all(b, CPUID_7_EBX_AVX2)) return TK_ISA_SCALAR;
    if (!has_all(saved, XCR0_AVX512) || !has_all(b, CPUID_7_EBX_AVX512)) return TK_ISA_AVX2;
    const int tiles = TK_BUILDS_AMX && has_all(d, CPUID_7_EDX_AMX_BF16_TILE);
    if (a < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !has_all(a, CPUID_7_1_EAX_AVX512_BF16)) return TK_ISA_AVX512;
    return tiles && may_use_tiles() ? TK_ISA_AMX : TK_ISA_AVX512_BF16;
}

static int is_intel(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
}
#else
static uint32_t best_isa(void) { return TK_ISA_SCALAR; }
static int is_intel(void) { return 0; }
#endif

// Tiles do a product of many rows ten times as fast as vectors do. Without them: Intel's processors issue vdpbf16ps once in two cycles, and
// two FMAs in each: the pair of FMAs that stands for a lane product is then the faster one, by 1.7 in matmul. AMD's issue both alike. The
// choice is one of the processor's make, never of a timing: it shows in the bits.
static uint32_t auto_isa(uint32_t best) { return best == TK_ISA_AVX512_BF16 && is_intel() ? TK_ISA_AVX512 : best; }

static const tk_kernels *kernels_of(uint32_t isa)
{
    switch (isa) {
#if defined(__x86_64__)
#if TK_BUILDS_AMX
    case TK_ISA_AMX: return &tk_kernels_amx;
#endif
    case TK_ISA_AVX512_BF16: return &tk_kernels_avx512bf16;
    case TK_ISA_AVX512: return &tk_kernels_avx512;
    case TK_ISA_AVX2: return &tk_kernels_avx2;
#endif
    default: return &tk_kernels_scalar;
    }
}

static int cpus_allowed(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int32_t tk_cpu_open(uint64_t ctx, tk_open_args *a, tk_error *err)
{
    (void)ctx;
    if (!a || a->size < sizeof *a) return tk_fail(err, TK_INVALID, "open: args.size is %u, this version needs %zu", a ? a->size : 0u, sizeof *a);
    uint32_t best = best_isa(), isa = a->isa ? a->isa : auto_isa(best);
    if (isa > best) return tk_fail(err, TK_UNSUPPORTED, "open: isa %u is not on this machine, whose best is %u", isa, best);
    TK_REQUIRE(a->threads <= 1024, "open: threads is %u, at most 1024", a->threads);
    tk_context *cx = calloc(1, sizeof *cx);
    if (!cx) return tk_fail(err, TK_OUT_OF_MEMORY, "open: no memory for the context");
    cx->isa = isa;
    cx->kernels = kernels_of(isa);
    int threads = a->threads ? (int)a->threads : cpus_allowed();
    cx->pool = tk_pool_new(threads);
    if (!cx->pool) {
        free(cx);
        return tk_fail(err, TK_OUT_OF_MEMORY, "open: cannot start %d threads", threads);
    }
    const int32_t status = tk_stage_open(cx, err);
    if (status != TK_OK) {
        tk_pool_free(cx->pool);
        free(cx);
        return status;
    }
    cx->magic = TK_CONTEXT_MAGIC;
    a->ctx = (uint64_t)(uintptr_t)cx;
    return TK_OK;
}

int32_t tk_cpu_close(uint64_t ctx, tk_none_args *a, tk_error *err)
{
    TK_ENTER("close");
    if (cx->allocated) return tk_fail(err, TK_INVALID, "close: %llu bytes are still allocated", (unsigned long long)cx->allocated);
    tk_pool_free(cx->pool);
    tk_stage_close(cx);
    cx->magic = 0;
    free(cx);
    return TK_OK;
}

static void cpu_name(char *name, size_t size)
{
    snprintf(name, size, "cpu");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon;
        if (strncmp(line, "model name", 10) == 0 && (colon = strchr(line, ':'))) {
            colon += 1 + (colon[1] == ' ');
            colon[strcspn(colon, "\n")] = 0;
            snprintf(name, size, "%s", colon);
            break;
        }
    }
    fclose(f);
}

int32_t tk_cpu_info(uint64_t ctx, tk_info_args *a, tk_error *err)
{
    TK_ENTER("info");
    a->threads = (uint32_t)tk_pool_threads(cx->pool);
    a->isa = cx->isa;
    a->best_isa = best_isa();
    a->allocated = cx->allocated;
    a->peak = cx->peak;
    cpu_name(a->device, sizeof a->device);
    return TK_OK;
}

// An allocation is preceded by one aligned unit that holds its size. Large ones are mapped, so that zeros cost nothing before they
// are touched and the kernel may use huge pages; under AddressSanitizer all come from malloc, which it watches.
typedef struct block { uint64_t bytes, mapped; } block;

#if defined(__SANITIZE_ADDRESS__)
enum { MAP_FROM = INT32_MAX };
#else
enum { MAP_FROM = 1 << 20 };
#endif

int32_t tk_cpu_alloc(uint64_t ctx, tk_alloc_args *a, tk_error *err)
{
    TK_ENTER("alloc");
    TK_REQUIRE(a->bytes > 0 && a->bytes < (1ull << 48), "alloc: bytes is %llu", (unsigned long long)a->bytes);
    uint64_t total = (a->bytes + 2 * TK_ALIGN - 1) / TK_ALIGN * TK_ALIGN;
    void *p = NULL;
    int mapped = total >= MAP_FROM;
    if (mapped) {
        p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) p = NULL;
#ifdef MADV_HUGEPAGE
        else madvise(p, total, MADV_HUGEPAGE);
#endif
    } else if (posix_memalign(&p, TK_ALIGN, total) == 0) {
        memset(p, 0, total);
    } else {
        p = NULL;
    }
    if (!p) return tk_fail(err, TK_OUT_OF_MEMORY, "alloc: no memory for %llu bytes", (unsigned long long)a->bytes);
    *(block *)p = (block){.bytes = total, .mapped = (uint64_t)mapped};
    a->addr = (uint64_t)(uintptr_t)p + TK_ALIGN;
    cx->allocated += total;
    if (cx->allocated > cx->peak) cx->peak = cx->allocated;
    return TK_OK;
}

int32_t tk_cpu_free(uint64_t ctx, tk_alloc_args *a, tk_error *err)
{
    TK_ENTER("free");
    TK_REQUIRE(a->addr && a->addr % TK_ALIGN == 0, "free: %#llx was not allocated here", (unsigned long long)a->addr);
    block *b = TK_PTR(block, a->addr - TK_ALIGN);
    cx->allocated -= b->bytes;
    if (b->mapped) munmap(b, b->bytes);
    else free(b);
    return TK_OK;
}

int32_t tk_cpu_copy(uint64_t ctx, tk_copy_args *a, tk_error *err)
{
    TK_ENTER("copy");
    (void)cx;
    TK_REQUIRE(a->bytes == 0 || (a->dst && a->src), "copy: null address");
    TK_REQUIRE(a->bytes < (1ull << 48), "copy: bytes is %llu", (unsigned long long)a->bytes);
    TK_REQUIRE(a->dst + a->bytes <= a->src || a->src + a->bytes <= a->dst, "copy: the regions overlap");
    if (a->bytes) memcpy(TK_PTR(void, a->dst), TK_PTR(void, a->src), a->bytes);
    return TK_OK;
}

int32_t tk_cpu_sync(uint64_t ctx, tk_none_args *a, tk_error *err)
{
    TK_ENTER("sync");
    (void)cx;
    return TK_OK;
}
