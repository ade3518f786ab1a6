// policy_loss.c - the losses of policy optimization over packed sequences of log-probs, and their gradients, in double.
//
//   logprob, old, ref, advantage [tokens] f64, weight [sequences] f64  ->  loss [sequences], grad [tokens] f64
//
// A sequence is summed in blocks of tokens, each in the lanes of the ISA, and the blocks' sums are added in order: neither the number of
// threads nor the other sequences change a bit. Short sequences are shared out whole, a long one by its blocks. A sequence's ratio (at
// TK_LEVEL_SEQUENCE) is a pass of its own before, and what it has as gradient one after. Floor: logprob, old, ref and advantage read, grad
// written.
#include <math.h>

#include "blocks.h"
#include "check.h"

enum {
    BLOCK = 1024,  // tokens
    BATCH = 64,    // blocks whose sums lie on the stack: 3 KB
    LONG = 8,      // blocks: a sequence of so many has all threads
    COST = 64,     // of a token, in bytes moved
};

typedef struct losses {
    const tk_policy_loss_args *a;
    const tk_loss_kernels *k;
    const int32_t *cu;
    tk_policy_tokens tokens;
    const double *weight;
    int64_t first;  // of short sequences
    int whole, constant;
} losses;

// A pass over some blocks of a sequence.
typedef struct pass {
    const losses *l;
    enum { RATIO, TOKENS, SPREAD } what;
    int64_t from, to;  // tokens
    double ratio, weight, share;
    tk_policy_sums *sums;
} pass;

static tk_policy_tokens tokens_at(const tk_policy_tokens *t, int64_t i)
{
    return (tk_policy_tokens){t->logprob + i, t->old ? t->old + i : 0, t->ref ? t->ref + i : 0, t->advantage ? t->advantage + i : 0, t->grad + i};
}

static void pass_blocks(const void *arg, int64_t block0, int64_t block1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const pass *p = arg;
    for (int64_t b = block0; b < block1; b++) {
        int64_t from = p->from + b * BLOCK, n = p->to - from < BLOCK ? p->to - from : BLOCK;
        tk_policy_tokens t = tokens_at(&p->l->tokens, from);
        switch (p->what) {
        case RATIO: p->l->k->log_ratios(p->l->a, &t, n, p->sums + b); break;
        case TOKENS: p->l->k->tokens(p->l->a, &t, n, p->ratio, p->weight, p->sums + b); break;
        case SPREAD: p->l->k->spread(p->l->a, &t, n, p->share); break;
        }
    }
}

// run_pass does all blocks of p, on the pool of cx if that is not NULL, and returns their sums.
static tk_policy_sums run_pass(tk_context *cx, pass p)
{
    tk_policy_sums sums[BATCH], total = {0};
    for (int64_t end = p.to; p.from < end; p.from = p.to) {
        p.to = end - p.from < (int64_t)BATCH * BLOCK ? end : p.from + (int64_t)BATCH * BLOCK;
        int64_t blocks = tk_ceil_div(p.to - p.from, BLOCK);
        memset(sums, 0, (size_t)blocks * sizeof *sums);
        p.sums = sums;
        if (cx) tk_run_blocks(cx, blocks, 1, BLOCK * COST, TK_WHOLE_ROWS, pass_blocks, &p);
        else pass_blocks(&p, 0, blocks, 0, 1);
        for (int64_t b = 0; b < blocks; b++) {
            total.loss += sums[b].loss, total.ratio += sums[b].ratio, total.slopes += sums[b].slopes, total.k3 += sums[b].k3;
            total.low += sums[b].low, total.high += sums[b].high;
        }
    }
    return total;
}

static void sequence(const losses *l, tk_context *cx, int64_t s)
{
    const tk_policy_loss_args *a = l->a;
    pass p = {.l = l, .from = l->cu[s], .to = l->cu[s + 1], .weight = l->weight[s]};
    double n = (double)(p.to - p.from);
    if (l->whole) {
        p.what = RATIO;
        p.ratio = l->k->exp(run_pass(cx, p).ratio / n);
    }
    p.what = TOKENS;
    tk_policy_sums sums = run_pass(cx, p);
    if (l->whole && p.weight != 0 && !l->constant) {  // every token moves the ratio by its share of the mean
        p.what = SPREAD;
        p.share = p.weight * (sums.slopes / n);
        run_pass(cx, p);
    }
    TK_PTR(double, a->loss)[s] = p.weight == 0 ? 0 : p.weight * sums.loss;
    if (a->ref && a->kl) TK_PTR(double, a->kl)[s] = sums.k3;
    if (a->low) TK_PTR(int32_t, a->low)[s] = (int32_t)sums.low;
    if (a->high) TK_PTR(int32_t, a->high)[s] = (int32_t)sums.high;
}

static void short_sequences(const void *arg, int64_t s0, int64_t s1, int64_t col0, int64_t col1)
{
    (void)col0, (void)col1;
    const losses *l = arg;
    for (int64_t s = s0; s < s1; s++) sequence(l, NULL, l->first + s);
}

int32_t tk_cpu_policy_loss(uint64_t ctx, tk_policy_loss_args *a, tk_error *err)
{
    TK_ENTER("policy_loss");
    TK_REQUIRE(a->kind <= TK_LOSS_CISPO_CLIP, "policy_loss: kind %u is none of TK_LOSS_*", a->kind);
    TK_REQUIRE(a->level <= TK_LEVEL_SEQUENCE, "policy_loss: level %u is none of TK_LEVEL_*", a->level);
    TK_REQUIRE(a->kl_kind >= TK_KL_K1 && a->kl_kind <= TK_KL_ABS, "policy_loss: kl_kind %u is none of TK_KL_*", a->kl_kind);
    TK_REQUIRE(a->clamp_log_ratio <= 1, "policy_loss: clamp_log_ratio is %u, want 0 or 1", a->clamp_log_ratio);
    TK_REQUIRE(a->clamp_kl <= 1, "policy_loss: clamp_kl is %u, want 0 or 1", a->clamp_kl);
    const struct {
        const char *name;
        double value;
        int positive;  // 0 is no value of it
    } scalars[] = {{"epsilon", a->epsilon, 0}, {"epsilon_high", a->epsilon_high, 0}, {"delta", a->delta, 0},
                   {"dual_clip", a->dual_clip, 0}, {"beta", a->beta, 0},
                   {"tau_pos", a->tau_pos, a->kind == TK_LOSS_SAPO}, {"tau_neg", a->tau_neg, a->kind == TK_LOSS_SAPO}};
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        double v = scalars[i].value;
        TK_REQUIRE(v >= 0 && isfinite(v) && !(scalars[i].positive && v == 0), "policy_loss: %s is %g", scalars[i].name, v);
    }
    int64_t sequences = a->sequences;
    TK_REQUIRE(sequences >= 0 && sequences < INT32_MAX, "policy_loss: sequences is %lld", (long long)sequences);
    TK_TRY(tk_check_vector(err, "policy_loss", "cu", a->cu, sequences + 1, 4));
    const int32_t *cu = TK_PTR(const int32_t, a->cu);
    TK_REQUIRE(cu[0] == 0, "policy_loss: cu[0] is %d, want 0", cu[0]);
    for (int64_t s = 0; s < sequences; s++)
        TK_REQUIRE(cu[s + 1] >= cu[s], "policy_loss: cu[%lld] is %d, less than the %d before it", (long long)(s + 1), cu[s + 1], cu[s]);
    int64_t tokens = cu[sequences];
    int nll = a->kind == TK_LOSS_NLL;
    TK_TRY(tk_check_vector(err, "policy_loss", "logprob", a->logprob, tokens, 8));
    if (a->old) TK_TRY(tk_check_vector(err, "policy_loss", "old", a->old, tokens, 8));
    if (a->ref) TK_TRY(tk_check_vector(err, "policy_loss", "ref", a->ref, tokens, 8));
    if (!nll) TK_TRY(tk_check_vector(err, "policy_loss", "advantage", a->advantage, tokens, 8));
    TK_TRY(tk_check_vector(err, "policy_loss", "weight", a->weight, sequences, 8));
    TK_TRY(tk_check_vector(err, "policy_loss", "loss", a->loss, sequences, 8));
    TK_TRY(tk_check_vector(err, "policy_loss", "grad", a->grad, tokens, 8));
    if (a->kl) TK_TRY(tk_check_vector(err, "policy_loss", "kl", a->kl, sequences, 8));
    if (a->low) TK_TRY(tk_check_vector(err, "policy_loss", "low", a->low, sequences, 4));
    if (a->high) TK_TRY(tk_check_vector(err, "policy_loss", "high", a->high, sequences, 4));

    losses l = {.a = a, .k = cx->kernels->loss, .cu = cu, .weight = TK_PTR(const double, a->weight), .whole = a->level == TK_LEVEL_SEQUENCE && !nll,
                .constant = a->kind == TK_LOSS_CISPO || a->kind == TK_LOSS_CISPO_CLIP,
                .tokens = {TK_PTR(const double, a->logprob), nll ? NULL : TK_PTR(const double, a->old), TK_PTR(const double, a->ref),
                           nll ? NULL : TK_PTR(const double, a->advantage), TK_PTR(double, a->grad)}};
    for (int64_t end; l.first < sequences; l.first = end) {
        for (end = l.first; end < sequences && cu[end + 1] - cu[end] < LONG * BLOCK; end++) {}
        int64_t n = end - l.first;
        if (n == 0) sequence(&l, cx, end++);
        else tk_run_blocks(cx, n, 1, tk_ceil_div(cu[end] - cu[l.first], n) * COST + COST, TK_WHOLE_ROWS, short_sequences, &l);
    }
    return TK_OK;
}
