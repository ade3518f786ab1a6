// api.c - the cpu back-end's table.
#include "context.h"

static const tk_api cpu_api = {
    .size = sizeof(tk_api),
    .abi = TK_ABI_VERSION,
    .backend = "cpu",
#define TK_ENTRY(name, args) .name = tk_cpu_##name,
    TK_FUNCTIONS(TK_ENTRY)
#undef TK_ENTRY
};

const tk_api *tk_get_api(uint32_t version) { return version == TK_ABI_VERSION ? &cpu_api : NULL; }

uint32_t tk_layout(uint32_t index)
{
#define TK_SIZE(name, args) sizeof(args),
    static const uint32_t sizes[] = {TK_FUNCTIONS(TK_SIZE)};
#undef TK_SIZE
    return index < sizeof sizes / sizeof *sizes ? sizes[index] : 0;
}
