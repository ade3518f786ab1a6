// policy_loss.c - the losses of policy optimization over packed sequences of log-probs, and their gradients, in double.
//
//   logprob, old, ref, advantage [tokens] f64, weight [sequences] f64  ->  loss [sequences], grad [tokens] f64
//
// A few dozen operations and at most three exponentials a token, in the order of the tokens, in one thread: tokens here are those of a
// training step, each of which has cost GFLOPs before. Two branches of a maximum that are equal count as the first, unclipped one.
#include <math.h>

#include "check.h"

enum { CLAMP_LOG_RATIO = 20, CLAMP_KL_IN = 20, CLAMP_KL_OUT = 10 };

// A term is a loss and its derivative.
typedef struct term {
    double loss, slope;
} term;

// policy is a token's loss for ratio x, and its derivative by ln x (of cispo: by the log-prob). A token without advantage has none,
// whatever its ratio: 0 times infinity is not what a masked sample should give.
static term policy(const tk_policy_loss_args *a, double x, double advantage, double logprob)
{
    if (advantage == 0) return (term){0, 0};
    switch (a->kind) {
    case TK_LOSS_CISPO:
    case TK_LOSS_CISPO_CLIP: {
        double c = fmin(x, a->epsilon_high) * advantage;
        if (a->kind == TK_LOSS_CISPO_CLIP) c = fmin(fmax(x, 1 - a->epsilon), 1 + a->epsilon_high) * advantage;
        if (isnan(x)) c = x;
        return (term){-c * logprob, -c};
    }
    case TK_LOSS_SAPO: {
        double tau = advantage > 0 ? a->tau_pos : a->tau_neg;
        double s = 1 / (1 + exp(-tau * (x - 1))), slope = s * (1 - s);
        return (term){-4 / tau * advantage * s, slope == 0 ? 0 : -4 * advantage * slope * x};
    }
    }
    double lo = 1 - a->epsilon, hi = 1 + a->epsilon_high;
    int capped = a->delta > 0 && x > a->delta, below = x < lo, above = x > hi;
    term free = {-advantage * (capped ? a->delta : x), capped ? 0 : -advantage * x};
    term clipped = {-advantage * (below ? lo : above ? hi : x), below || above ? 0 : -advantage * x};
    term t = clipped.loss > free.loss ? clipped : free;
    if (a->dual_clip > 0 && advantage < 0 && -advantage * a->dual_clip < t.loss) t = (term){-advantage * a->dual_clip, 0};
    return t;
}

// divergence is an estimate of KL from q = ref - logprob, and its derivative by the log-prob.
static term divergence(const tk_policy_loss_args *a, double q)
{
    int inside = 1;
    if (a->clamp_kl && fabs(q) > CLAMP_KL_IN) {
        q = copysign(CLAMP_KL_IN, q);
        inside = 0;
    }
    term t;
    switch (a->kl_kind) {
    case TK_KL_K1: t = (term){-q, 1}; break;
    case TK_KL_K2: t = (term){q * q / 2, -q}; break;
    case TK_KL_ABS: t = (term){fabs(q), q > 0 ? -1 : q < 0 ? 1 : 0}; break;
    default:
        t = (term){expm1(q) - q, -expm1(q)};
        if (a->clamp_kl && t.loss > CLAMP_KL_OUT) t = (term){CLAMP_KL_OUT, 0};
    }
    if (!inside) t.slope = 0;
    return t;
}

// log_ratio is d of token t, and whether it moves with the log-prob.
static double log_ratio(const tk_policy_loss_args *a, const double *lp, const double *old, int64_t t, int *moves)
{
    double d = old ? lp[t] - old[t] : 0;
    *moves = !(a->clamp_log_ratio && fabs(d) > CLAMP_LOG_RATIO);
    return *moves ? d : copysign(CLAMP_LOG_RATIO, d);
}

int32_t tk_cpu_policy_loss(uint64_t ctx, tk_policy_loss_args *a, tk_error *err)
{
    TK_ENTER("policy_loss");
    (void)cx;
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
    int nll = a->kind == TK_LOSS_NLL, constant = a->kind == TK_LOSS_CISPO || a->kind == TK_LOSS_CISPO_CLIP;  // coefficients
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

    const double *lp = TK_PTR(const double, a->logprob), *old = TK_PTR(const double, a->old), *ref = TK_PTR(const double, a->ref);
    const double *advantage = TK_PTR(const double, a->advantage), *weight = TK_PTR(const double, a->weight);
    double *loss = TK_PTR(double, a->loss), *grad = TK_PTR(double, a->grad), *kl = ref ? TK_PTR(double, a->kl) : 0;
    int32_t *low = TK_PTR(int32_t, a->low), *high = TK_PTR(int32_t, a->high);
    int whole = a->level == TK_LEVEL_SEQUENCE && !nll;
    for (int64_t s = 0; s < sequences; s++) {
        int64_t from = cu[s], to = cu[s + 1];
        int moves;
        double ratio = 0, slopes = 0, sum = 0, k3 = 0, w = weight[s];
        int32_t lows = 0, highs = 0;
        if (whole) {  // the sequence's one ratio
            for (int64_t t = from; t < to; t++) ratio += log_ratio(a, lp, old, t, &moves);
            ratio = exp(ratio / (double)(to - from));
        }
        for (int64_t t = from; t < to; t++) {
            term p = {-lp[t], -1};
            if (!nll) {
                double d = log_ratio(a, lp, old, t, &moves), x = whole ? ratio : exp(d), A = advantage[t];
                p = policy(a, x, A, lp[t]);
                lows += x < 1 - a->epsilon && A < 0;
                highs += x > 1 + a->epsilon_high && A > 0;
                if (!constant) {
                    if (whole) slopes += p.slope, p.slope = 0;
                    else if (!moves) p.slope = 0;
                }
            }
            if (ref) {
                double q = ref[t] - lp[t];
                if (a->beta > 0) {
                    term k = divergence(a, q);
                    p.loss += a->beta * k.loss;
                    p.slope += a->beta * k.slope;
                }
                k3 += expm1(q) - q;
            }
            sum += p.loss;
            grad[t] = w == 0 ? 0 : w * p.slope;
        }
        if (whole && w != 0 && !constant)  // every token moves the ratio by its share of the mean
            for (int64_t t = from; t < to; t++) {
                log_ratio(a, lp, old, t, &moves);
                if (moves) grad[t] += w * (slopes / (double)(to - from));
            }
        loss[s] = w == 0 ? 0 : w * sum;
        if (kl) kl[s] = k3;
        if (low) low[s] = lows;
        if (high) high[s] = highs;
    }
    return TK_OK;
}
