/*
 * abort.c: ABORT: misuse prints one line to stderr and aborts, in place of returning a status; the error handler
 * is told before. What is no misuse goes on as without the flag. Public API only.
 */
#include "vt_ctx.h"

enum { NOT_OWNED, NOT_START, DOUBLE_FREE, REALLOC_WILD, BAD_ALIGNMENT, BAD_DUMP, NULL_VISITOR, OVERRUN, OVERRUN_CHECK, OVERRUN_REALLOC,
       USE_AFTER_FREE, GUARANTEE_ABOVE_LIMIT, HARMLESS, BAD_LUA, CASES };

typedef struct plan {
    int what;
    vmma_flags_t flags;
} plan;

static const int expected[CASES] = {VMMA_E_NOT_OWNED, VMMA_E_NOT_START, VMMA_E_DOUBLE_FREE, VMMA_E_NOT_OWNED, VMMA_E_INVALID, VMMA_E_INVALID,
                                    VMMA_E_INVALID, VMMA_E_OVERRUN, VMMA_E_OVERRUN, VMMA_E_OVERRUN, VMMA_E_USE_AFTER_FREE, VMMA_E_INVALID, 0, VMMA_E_NOT_OWNED};

static void on_error(vmma_context_t *c, const vmma_error_t *e, void *user)
{
    (void)c;
    /* seen by the parent in shared memory */
    *(vmma_error_t *)user = *e;
}

static vmma_error_t *told;

/* What, on whom, where, and the allocation concerned with its size: the whole line as the error handler's report says it. */
static void line_says(const char *line)
{
    char expected_line[512];
    int n = snprintf(expected_line, sizeof expected_line, "libvmma: %s: client \"%s\", address 0x%llx", vmma_status_string(told->status),
                     told->client ? "culprit?[1m??" : "", (unsigned long long)(uintptr_t)told->address);
    if (told->allocation)
        n += snprintf(expected_line + n, sizeof expected_line - (size_t)n, ", allocation 0x%llx of %zu bytes",
                      (unsigned long long)(uintptr_t)told->allocation, told->size);
    snprintf(expected_line + n, sizeof expected_line - (size_t)n, "\n");
    if (strcmp(line, expected_line) != 0)
        printf("%s%s", line, expected_line);
    CHECK(strcmp(line, expected_line) == 0, "ABORT: the line says what, whose client, where, and which allocation of which size");
}

static void run(void *arg)
{
    const plan *p = (const plan *)arg;
    int local;
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, p->flags);
    vmma_client_t *k = vmma_create_client(c);
    /* an escape sequence, a C1 control character, a change of direction */
    vmma_set_name(k, "culprit\033[1m\302\233\342\200\256");
    vmma_set_error_handler(c, on_error, told);
    unsigned char *a = (unsigned char *)vmma_alloc(k, 100), *b = (unsigned char *)vmma_alloc(k, 100);
    switch (p->what) {
    case NOT_OWNED:
        vmma_free(k, &local);
        break;
    case NOT_START:
        vmma_free(k, a + 16);
        break;
    case DOUBLE_FREE:
        vmma_free(k, b);
        vmma_free(k, b);
        break;
    case REALLOC_WILD:
        vmma_realloc(k, &local, 10);
        break;
    case BAD_LUA:
        vmma_lua_alloc(k, &local, 10, 0);
        break;
    case BAD_ALIGNMENT:
        vmma_aligned_alloc(k, 3, 10);
        break;
    case BAD_DUMP:
        vmma_dump(c, 55, NULL, NULL);
        break;
    case NULL_VISITOR:
        vmma_walk_clients(c, NULL, NULL);
        break;
    case OVERRUN:
        vt_flip_byte(a + 100);
        vmma_free(k, a);
        break;
    case OVERRUN_CHECK:
        vt_flip_byte(a + 107);
        vmma_check_context(c);
        break;
    case OVERRUN_REALLOC:
        vt_flip_byte(a + 100);
        vmma_realloc(k, a, 200);
        break;
    case USE_AFTER_FREE:
        vmma_free(k, b);
        vt_flip_byte(b);
        vmma_check_client(k);
        break;
    case GUARANTEE_ABOVE_LIMIT:
        vmma_set_limit(k, 10000);
        vmma_set_guarantee(k, 20000);
        break;
    default: /* nothing of this is misuse */
        vmma_set_limit(k, 4096);
        CHECK(vmma_alloc(k, 20000) == NULL && vmma_get_last_status(k) == VMMA_E_LIMIT, "ABORT: LIMIT is no misuse");
        CHECK(vmma_alloc(k, SIZE_MAX) == NULL && vmma_get_last_status(k) == VMMA_E_NO_MEMORY, "ABORT: NO_MEMORY is no misuse");
        CHECK(vmma_alloc(NULL, 1) == NULL && vmma_free(NULL, a) == VMMA_E_INVALID, "ABORT: a NULL handle is no misuse");
        vmma_client_t *dead = vmma_create_client(c);
        vmma_delete_client(dead);
        CHECK_ST(vmma_free(dead, a), VMMA_E_INVALID, "ABORT: a dead handle is no misuse");
        CHECK_ST(vmma_free(k, NULL), VMMA_OK, "ABORT: free of NULL is OK");
        CHECK_EQ(vmma_test_address(k, &local), 0, "ABORT: questions are no misuse");
        CHECK_EQ(vmma_get_size(k, a + 5), 0, "ABORT: vmma_get_size of a wild address is no misuse");
        CHECK_ST(vmma_free(k, a), VMMA_OK, "ABORT: a good free is good");
        CHECK_ST(vmma_check_context(c), VMMA_OK, "ABORT: a good context is good");
        CHECK_ST(vmma_delete_context(c), VMMA_OK, "ABORT: the end is good");
    }
}

int main(void)
{
    vt_begin("abort");
    told = (vmma_error_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static const vmma_flags_t beside[] = {0, VMMA_FLAG_PACKED, VMMA_FLAG_NO_CACHE, VMMA_FLAG_SHARED_CLIENTS};
    if (!vt_has(VMMA_FLAG_ABORT)) {
        vt_skip("ABORT", "not in this build");
        CHECK(!vt_has(VMMA_FLAG_ABORT), "ABORT is left out");
        return vt_end();
    }
    for (unsigned i = 0; i < (vt_tool() ? 1 : VT_COUNT(beside)); i++)
        for (int what = 0; what < CASES; what++) {
            plan p = {what, VMMA_FLAG_ABORT | beside[i]};
            if (what == OVERRUN || what == OVERRUN_CHECK || what == OVERRUN_REALLOC)
                p.flags |= VMMA_FLAG_GUARD;
            if (what == USE_AFTER_FREE)
                p.flags |= VMMA_FLAG_QUARANTINE;
            if (!vt_has(p.flags)) {
                vt_skip(vt_flags_text(p.flags), "not in this build");
                continue;
            }
            vt_mode("%s case %d", vt_flags_text(p.flags), what);
            memset(told, 0, sizeof *told);
            vt_outcome out = vt_fork(run, &p);
            if (what == HARMLESS) {
                CHECK(out.exited && out.code == 0, "ABORT: what is no misuse does not abort");
                CHECK_EQ(told->status, 0, "ABORT: what is no misuse is not told");
                CHECK(out.err[0] == 0, "ABORT: what is no misuse prints nothing");
                continue;
            }
            CHECK_EQ(out.signal, SIGABRT, "ABORT: misuse aborts");
            CHECK_ST(told->status, expected[what], "the error handler is told before ABORT acts");
            size_t n = strlen(out.err);
            CHECK(n > 10, "ABORT: misuse prints to stderr");
            CHECK(n && strchr(out.err, '\n') == out.err + n - 1, "ABORT: exactly one line");
            if (what != BAD_DUMP && what != NULL_VISITOR)
                CHECK(strstr(out.err, "\"culprit?[1m??\"") != NULL, "ABORT: the line names the client, and commands no terminal");
            line_says(out.err);
            if (what == NOT_START || what == OVERRUN || what == OVERRUN_CHECK || what == OVERRUN_REALLOC)
                CHECK(told->allocation != NULL && told->size >= 100, "ABORT: where there is an allocation concerned it is told");
            /* without ABORT the same prints nothing and goes on */
            p.flags &= ~VMMA_FLAG_ABORT;
            memset(told, 0, sizeof *told);
            out = vt_fork(run, &p);
            CHECK(out.exited && out.code == 0, "without ABORT misuse does not abort");
            CHECK(out.err[0] == 0, "without ABORT nothing is printed");
            CHECK_ST(told->status, expected[what], "without ABORT the error handler is told all the same");
        }
    return vt_end();
}
