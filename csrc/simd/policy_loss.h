// policy_loss.h - the losses of policy optimization over some tokens of a sequence, in double, for one ISA: see policy_loss in thinker.h.
//
// Two exponentials of 16 operations a vector, and some 30 more; the settings choose between formulas by branches that all tokens of a call
// take alike. Two branches of a maximum that are equal count as the first, unclipped one. A token without advantage has no loss of the
// policy's, whatever its ratio: 0 times infinity is not what a masked sample should give. What fills up the last vector has no advantage,
// and log-probs of 0: it adds 0 to every sum. Floor: five operands of 8 bytes a token, or about 90 FLOPs in double.
#include "../loss_kernels.h"
#include "vec64.h"

enum { CLAMP_LOG_RATIO = 20, CLAMP_KL_IN = 20, CLAMP_KL_OUT = 10 };

// The settings, as the loop over tokens wants them.
typedef struct policy {
    int kind, whole, constant, kl, metric, clamp_ratio, clamp_kl, capped, dual_clipped;  // kl 0: none
    int ratios, divergences;  // exponentials of its tokens that are wanted
    vd lo, hi, most, delta, dual, beta, tau_pos, tau_neg, ratio, weight;
    d_exps exps;
} policy;

typedef struct policy_acc {
    vd loss, slopes, k3;
    vm low, high;
} policy_acc;

TK_INLINE policy policy_of(const tk_policy_loss_args *a, const tk_policy_tokens *t, double ratio, double weight)
{
    policy p = {.kind = (int)a->kind, .whole = a->level == TK_LEVEL_SEQUENCE && a->kind != TK_LOSS_NLL,
                .constant = a->kind == TK_LOSS_CISPO || a->kind == TK_LOSS_CISPO_CLIP, .kl = t->ref && a->beta > 0 ? (int)a->kl_kind : 0,
                .metric = t->ref && a->kl, .clamp_ratio = (int)a->clamp_log_ratio, .clamp_kl = (int)a->clamp_kl, .capped = a->delta > 0,
                .dual_clipped = a->dual_clip > 0};
    p.ratios = a->kind != TK_LOSS_NLL && !p.whole && t->old;
    p.divergences = p.metric || (p.kl == TK_KL_K3 && !p.clamp_kl);
    if (!p.whole) ratio = 1;  // without old ones
    p.lo = d_set1(1 - a->epsilon), p.hi = d_set1(1 + a->epsilon_high), p.most = d_set1(a->epsilon_high), p.delta = d_set1(a->delta);
    p.dual = d_set1(a->dual_clip), p.beta = d_set1(a->beta), p.tau_pos = d_set1(a->tau_pos), p.tau_neg = d_set1(a->tau_neg);
    p.ratio = d_set1(ratio), p.weight = d_set1(weight);
    p.exps = d_exps_of();
    return p;
}

// policy_log_ratio is d = logprob - old, clamped, and where it moves with the log-prob.
TK_INLINE vd policy_log_ratio(int clamp, vd lp, vd old, vm *moves)
{
    vd d = lp - old;
    *moves = ~(vm){0};
    if (!clamp) return d;
    const vd most = d_set1(CLAMP_LOG_RATIO);
    vm outside = (vm)(d_abs(d) > most);
    *moves = ~outside;
    return d_select(outside, d_copysign(most, d), d);
}

// policy_term is the loss for ratio x, and its derivative by ln x (of cispo: by the log-prob).
TK_INLINE vd policy_term(const policy *p, vd x, vm below, vm above, vd advantage, vm negative, vm positive, vd lp, vd *slope)
{
    vd neg = 0 - advantage, loss;
    vm some = (vm)(advantage != 0);
    if (p->constant) {
        vd c = p->kind == TK_LOSS_CISPO ? d_select((vm)(x > p->most), p->most, x) : d_select(below, p->lo, d_select(above, p->hi, x));
        *slope = c * neg;
        loss = *slope * lp;
    } else if (p->kind == TK_LOSS_SAPO) {
        vd tau = d_select(positive, p->tau_pos, p->tau_neg), s = 1 / (1 + d_exp(&p->exps, d_neg(tau) * (x - 1))), ds = s * (1 - s);
        loss = 4 / tau * neg * s;
        *slope = d_drop((vm)(ds == 0), 4 * neg * ds * x);
    } else {
        x = d_keep(some, x);  // with which all of it is 0
        vm capped = p->capped ? (vm)(x > p->delta) : (vm){0};
        vd whole = neg * x, free = p->capped ? neg * d_select(capped, p->delta, x) : whole;
        vd clipped = neg * d_select(below, p->lo, d_select(above, p->hi, x));
        vm clips = (vm)(clipped > free), flat = p->capped ? (clips & (below | above)) | (~clips & capped) : clips;
        loss = d_max(clipped, free);
        if (p->dual_clipped) {
            vd dual = neg * p->dual;
            vm over = negative & (vm)(dual < loss);
            loss = d_select(over, dual, loss);
            flat |= over;
        }
        *slope = d_drop(flat, whole);
        return loss;
    }
    *slope = d_keep(some, *slope);
    return d_keep(some, loss);
}

// policy_kl adds beta times an estimate of KL from q = ref - logprob, and its derivative by the log-prob. e is e^q - 1 for k3 without a clamp.
TK_INLINE void policy_kl(const policy *p, vd q, vd e, vd *loss, vd *slope)
{
    vm outside = {0};
    vd l, s;  // s: that derivative, negated
    if (p->clamp_kl) {
        const vd most = d_set1(CLAMP_KL_IN);
        outside = (vm)(d_abs(q) > most);
        q = d_select(outside, d_copysign(most, q), q);
    }
    switch (p->kl) {
    case TK_KL_K1: l = d_neg(q), s = d_set1(-1); break;
    case TK_KL_K2: l = q * q * 0.5, s = q; break;
    case TK_KL_ABS: l = d_abs(q), s = d_keep((vm)(q != 0) & (vm)(q == q), d_copysign(d_set1(1), q)); break;
    default:
        if (p->clamp_kl) e = d_expm1(&p->exps, q);
        l = e - q, s = e;
        if (p->clamp_kl) {
            const vd most = d_set1(CLAMP_KL_OUT);
            vm over = (vm)(l > most);
            l = d_select(over, most, l);
            outside |= over;
        }
    }
    *loss = d_fma(p->beta, l, *loss);
    *slope = d_fnma(p->beta, p->clamp_kl ? d_drop(outside, s) : s, *slope);
}

// A part of a call's tokens, whose exponentials lie on the stack: in a loop of their own they are evaluated as fast as they can be begun,
// and not as one token waits for its results.
enum { POLICY_PART = 128 };

typedef struct policy_part {
    double x[POLICY_PART];  // ratios
    double e[POLICY_PART];  // e^q - 1
} policy_part;

// policy_far does the exponentials that are beyond d_exponents' reach.
static __attribute__((noinline)) void TK_SIMD(policy_far)(const policy *p, const tk_policy_tokens *t, int64_t n, policy_part *part)
{
    vm moves;
    for (int64_t i = 0; i < n; i += DL) {
        vd lp = d_load(t->logprob + i);
        if (p->ratios) {
            vd d = policy_log_ratio(p->clamp_ratio, lp, d_load(t->old + i), &moves), x = d_load(part->x + i);
            d_far(&d, &x, exp);
            d_store(part->x + i, x);
        }
        if (p->divergences) {
            vd q = d_load(t->ref + i) - lp, e = d_load(part->e + i);
            d_far(&q, &e, expm1);
            d_store(part->e + i, e);
        }
    }
}

TK_INLINE void policy_ratios(const policy *p, int wide, const tk_policy_tokens *t, int64_t i, double *x, vm *far)
{
    vd d[D_WIDE], m[D_WIDE];
    vu shift[D_WIDE];
    vm moves;
    D_FOR(j, wide) d[j] = policy_log_ratio(p->clamp_ratio, d_load(t->logprob + i + j * DL), d_load(t->old + i + j * DL), &moves);
    d_exponents(&p->exps, wide, d, m, shift, far);
    D_FOR(j, wide) d_store(x + i + j * DL, d_exp_of(&p->exps, m[j], shift[j]));
}

TK_INLINE void policy_divergences(const policy *p, int wide, const tk_policy_tokens *t, int64_t i, double *e, vm *far)
{
    vd q[D_WIDE], m[D_WIDE];
    vu shift[D_WIDE];
    D_FOR(j, wide) q[j] = d_load(t->ref + i + j * DL) - d_load(t->logprob + i + j * DL);
    d_exponents(&p->exps, wide, q, m, shift, far);
    D_FOR(j, wide) d_store(e + i + j * DL, d_expm1_of(&p->exps, m[j], shift[j]));
}

TK_INLINE void policy_exponentials(const policy *p, const tk_policy_tokens *t, int64_t n, policy_part *part)
{
    enum { STEP = D_WIDE * DL };
    vm far = {0};
    int64_t i;
    if (p->ratios) {
        for (i = 0; i + STEP <= n; i += STEP) policy_ratios(p, D_WIDE, t, i, part->x, &far);
        for (; i < n; i += DL) policy_ratios(p, 1, t, i, part->x, &far);
    }
    if (p->divergences) {
        for (i = 0; i + STEP <= n; i += STEP) policy_divergences(p, D_WIDE, t, i, part->e, &far);
        for (; i < n; i += DL) policy_divergences(p, 1, t, i, part->e, &far);
    }
    if (__builtin_expect(!d_none_far(far), 0)) TK_SIMD(policy_far)(p, t, n, part);
}

// policy_step does DL tokens.
TK_INLINE void policy_step(const policy *p, const tk_policy_tokens *t, const policy_part *part, int64_t i, policy_acc *acc)
{
    vd lp = d_load(t->logprob + i), loss = d_neg(lp), slope = d_set1(-1);
    if (p->kind != TK_LOSS_NLL) {
        vd x = p->ratios ? d_load(part->x + i) : p->ratio, advantage = d_load(t->advantage + i);
        vm negative = (vm)(advantage < 0), positive = (vm)(advantage > 0), below = (vm)(x < p->lo), above = (vm)(x > p->hi);
        acc->low -= below & negative;
        acc->high -= above & positive;
        loss = policy_term(p, x, below, above, advantage, negative, positive, lp, &slope);
        if (p->whole && !p->constant) acc->slopes += slope, slope = d_set1(0);
        else if (p->ratios && p->clamp_ratio && !p->constant) {
            vm moves;
            policy_log_ratio(1, lp, d_load(t->old + i), &moves);
            slope = d_keep(moves, slope);
        }
    }
    if (t->ref) {
        vd q = d_load(t->ref + i) - lp, e = p->divergences ? d_load(part->e + i) : q;
        if (p->kl) policy_kl(p, q, e, &loss, &slope);
        if (p->metric) acc->k3 += e - q;
    }
    acc->loss += loss;
    d_store(t->grad + i, slope * p->weight);
}

// policy_run does n tokens, a multiple of DL.
TK_INLINE void policy_loop(const policy p, const tk_policy_tokens *tokens, int64_t n, policy_acc *sums)
{
    policy_part part;
    tk_policy_tokens t = *tokens;
    for (int64_t m; n > 0; n -= m) {
        m = n < POLICY_PART ? n : POLICY_PART;
        policy_exponentials(&p, &t, m, &part);
        policy_acc acc = *sums;  // in registers for this loop, and in none for the exponentials
        for (int64_t i = 0; i < m; i += DL) policy_step(&p, &t, &part, i, &acc);
        *sums = acc;
        t.logprob += m, t.grad += m;
        if (t.old) t.old += m;
        if (t.ref) t.ref += m;
        if (t.advantage) t.advantage += m;
    }
}

// policy_run is policy_loop, which the compiler makes twice: for the usual settings, of which no branch is left, and for all others.
static __attribute__((noinline)) void TK_SIMD(policy_run)(const policy *p, const tk_policy_tokens *t, int64_t n, policy_acc *acc)
{
    policy q = *p;
    if (p->kind == TK_LOSS_CLIP && p->ratios && p->kl == TK_KL_K3 && p->metric && !p->clamp_ratio && !p->clamp_kl && !p->capped && !p->dual_clipped) {
        q.kind = TK_LOSS_CLIP, q.kl = TK_KL_K3, q.ratios = q.metric = q.divergences = 1;
        q.whole = q.constant = q.clamp_ratio = q.clamp_kl = q.capped = q.dual_clipped = 0;
        policy_loop(q, t, n, acc);
    } else policy_loop(q, t, n, acc);
}

// A last part of fewer than DL tokens.
typedef struct policy_rest {
    double in[4][DL], grad[DL];
    tk_policy_tokens tokens;
} policy_rest;

TK_INLINE void policy_rest_of(const tk_policy_tokens *t, int64_t i, int64_t n, policy_rest *r)
{
    const double *from[4] = {t->logprob, t->old, t->ref, t->advantage};
    memset(r->in, 0, sizeof r->in);
    for (int o = 0; o < 4; o++)
        if (from[o]) memcpy(r->in[o], from[o] + i, (size_t)(n - i) * 8);
    r->tokens = (tk_policy_tokens){r->in[0], t->old ? r->in[1] : 0, t->ref ? r->in[2] : 0, t->advantage ? r->in[3] : 0, r->grad};
}

static void TK_SIMD(policy_tokens)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double ratio, double weight,
                                   tk_policy_sums *sums)
{
    const policy p = policy_of(a, t, ratio, weight);
    policy_acc acc = {0};
    int64_t i = n / DL * DL;
    TK_SIMD(policy_run)(&p, t, i, &acc);
    if (i < n) {
        policy_rest rest;
        policy_rest_of(t, i, n, &rest);
        TK_SIMD(policy_run)(&p, &rest.tokens, DL, &acc);
        memcpy(t->grad + i, rest.grad, (size_t)(n - i) * 8);
    }
    if (weight == 0) memset(t->grad, 0, (size_t)n * 8);
    sums->loss = d_sum(acc.loss), sums->slopes = d_sum(acc.slopes), sums->k3 = d_sum(acc.k3);
    sums->low = d_count(acc.low), sums->high = d_count(acc.high);
}

static void TK_SIMD(policy_log_ratios)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, tk_policy_sums *sums)
{
    sums->ratio = 0;
    if (!t->old) return;
    const int clamp = (int)a->clamp_log_ratio;
    vd sum = d_set1(0);
    vm moves;
    int64_t i = 0;
    for (; i + DL <= n; i += DL) sum += policy_log_ratio(clamp, d_load(t->logprob + i), d_load(t->old + i), &moves);
    if (i < n) {
        policy_rest rest;
        policy_rest_of(t, i, n, &rest);
        sum += policy_log_ratio(clamp, d_load(rest.in[0]), d_load(rest.in[1]), &moves);
    }
    sums->ratio = d_sum(sum);
}

static void TK_SIMD(policy_spread)(const tk_policy_loss_args *a, const tk_policy_tokens *t, int64_t n, double x)
{
    for (int64_t i = 0; i < n; i++)
        if (!t->old || !a->clamp_log_ratio || !(fabs(t->logprob[i] - t->old[i]) > CLAMP_LOG_RATIO)) t->grad[i] += x;
}

static double TK_SIMD(policy_exp)(double x) 
{
    const d_exps k = d_exps_of();
    return d_exp(&k, d_set1(x))[0];
}
