/* host.c - `make demo`: real Lua programs as clients of one 32 MiB context.
 *
 * Usage: host LUA_DIR MAP.svg
 *
 * Each program in LUA_DIR gets a client of its own. Its Lua state, its tables and its strings all
 * lie there, through vmma_lua_alloc. However a program ends, vmma_delete_client takes everything
 * back. The host measures that, prints it as a table, and exits with 1 if anything is not as it
 * says. It may know: libvmma.h and the public API of Lua 5.4.
 */
#define _POSIX_C_SOURCE 200809L
#include <lauxlib.h>
#include <libvmma.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)
#define CONTEXT_SIZE (32 * MIB)
#define LOAN (MIB / 2)
enum { SLICE = 10000 };

typedef enum { FINISHED, OUT_OF_MEMORY, KILLED } ending_t;

typedef struct {
    const char *script; /* LUA_DIR/script.lua; also the client's name */
    size_t limit;       /* bytes; 0: none */
    int pressure;       /* set the out-of-memory handler */
    int slices;         /* killed after that many; 0: never */
    ending_t expected;
    /* from here on: while it runs */
    vmma_client_t *client;
    lua_State *state, *thread;
    int slice, lent, collect_soon, loans, neighbours;
    size_t collected;
} program_t;

static vmma_context_t *context;
static const char *lua_dir;
static program_t *programs; /* the act on stage */
static int program_count;
static int failures;

static void check(int good, const char *claim)
{
    if (!good) {
        printf("  FAILED: %s\n", claim);
        failures++;
    }
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double mib(size_t bytes)
{
    return (double)bytes / (double)MIB;
}

/* ---- Memory pressure ------------------------------------------------------------------------
 *
 * The handler runs inside Lua's allocator. Lua is then in the middle of a change, so the state
 * that asked must not be touched: no lua_gc on it, no finalizers. What is right there instead:
 *
 * Its own limit: lend a little, once, and have the program collected in full at the next safe
 * point, a tick of its count hook. With the collection done the limit is as before. Should the
 * loan not last until then, refuse: Lua's allocator gets NULL, and Lua itself runs an emergency
 * collection (without finalizers) and asks again before it gives up.
 *
 * The context is exhausted: the other programs are suspended between two instructions, and to
 * them the full API is open. Collect them, trim their clients, and try again if that helped.
 */
static size_t collect_neighbours(program_t *asking)
{
    static int busy; /* a finalizer of a neighbour may run out of memory too */
    size_t before = vmma_get_free_blocks(context);
    if (busy)
        return 0;
    busy = 1;
    for (int i = 0; i < program_count; i++)
        if (&programs[i] != asking && programs[i].thread) {
            lua_gc(programs[i].state, LUA_GCCOLLECT, 0);
            vmma_trim_client(programs[i].client);
        }
    busy = 0;
    return vmma_get_free_blocks(context) - before;
}

static int on_pressure(vmma_client_t *client, size_t size, int reason, void *user)
{
    program_t *p = user;
    (void)size;
    if (reason == VMMA_E_NO_MEMORY) {
        size_t blocks = collect_neighbours(p);
        p->collected += blocks * vmma_get_block_size(context);
        p->neighbours += blocks > 0;
        return blocks > 0;
    }
    if (p->lent)
        return 0;
    p->lent = p->collect_soon = 1;
    p->loans++;
    return vmma_set_limit(client, p->limit + LOAN) == VMMA_OK;
}

/* ---- One program ---------------------------------------------------------------------------- */

/* Called by Lua after every SLICE instructions of a program: a safe point. */
static void on_tick(lua_State *L, lua_Debug *event)
{
    program_t *p = *(program_t **)lua_getextraspace(L);
    (void)event;
    if (p->collect_soon) {
        p->collect_soon = 0;
        lua_gc(L, LUA_GCCOLLECT, 0);
        vmma_trim_client(p->client);
        /* One that cannot get below its limit even so is not lent anything again. */
        p->lent = vmma_get_held_size(p->client) > p->limit;
        vmma_set_limit(p->client, p->limit);
    }
    /* The coroutines that a program makes itself are not ours to suspend. */
    if (L == p->thread && lua_isyieldable(L))
        lua_yield(L, 0);
}

/* Runs under lua_pcall, for each of these lines may run out of memory. */
static int prepare(lua_State *L)
{
    program_t *p = lua_touserdata(L, 1);
    char path[1024];
    luaL_openlibs(L);
    p->thread = lua_newthread(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "program"); /* so that it is not collected */
    snprintf(path, sizeof path, "%s/%s.lua", lua_dir, p->script);
    if (luaL_loadfile(L, path) != LUA_OK)
        return lua_error(L);
    lua_xmove(L, p->thread, 1);
    lua_sethook(p->thread, on_tick, LUA_MASKCOUNT, SLICE);
    return 0;
}

static int start(program_t *p)
{
    p->client = vmma_create_client(context);
    if (!p->client)
        return 0;
    vmma_set_name(p->client, p->script);
    vmma_set_limit(p->client, p->limit);
    if (p->pressure)
        vmma_set_oom_handler(p->client, on_pressure, p);
    p->state = lua_newstate(vmma_lua_alloc, p->client);
    if (!p->state)
        return 0;
    *(program_t **)lua_getextraspace(p->state) = p;
    lua_pushcfunction(p->state, prepare);
    lua_pushlightuserdata(p->state, p);
    if (lua_pcall(p->state, 1, 0, 0) == LUA_OK)
        return 1;
    printf("  %s: %s\n", p->script, lua_tostring(p->state, -1));
    return 0;
}

static void print_head(void)
{
    printf("\n  %-9s %9s %9s  %-56s %11s %10s\n", "client", "held", "peak", "how it ended",
           "deleted in", "free again");
}

/* The end of a program, whatever it was: a row of the table, and its client is gone. */
static void end(program_t *p, ending_t ending, const char *how)
{
    size_t blocks_free = vmma_get_free_blocks(context);
    size_t held = vmma_get_held_size(p->client), peak = vmma_get_peak_held_size(p->client);
    size_t expected = blocks_free + held / vmma_get_block_size(context);
    double t0 = now_us();
    int status = vmma_delete_client(p->client);
    double us = now_us() - t0;

    blocks_free = vmma_get_free_blocks(context);
    printf("  %-9s %5.2f MiB %5.2f MiB  %-56.56s %8.1f us %4zu of %zu\n", p->script, mib(held),
           mib(peak), how, us, blocks_free, vmma_get_total_blocks(context));
    check(status == VMMA_OK, "vmma_delete_client says VMMA_OK");
    check(blocks_free == expected, "every block that the program held is free again");
    check(vmma_check_context(context) == VMMA_OK, "all records of the context add up");
    check(ending == p->expected, "the program ended as it was meant to");
    p->client = NULL;
    p->state = p->thread = NULL;
}

/* Lets a program run for one slice. Returns 0 when that was its last. */
static int turn(program_t *p)
{
    char how[128] = "";
    int results = 0, length = 0;
    int status = lua_resume(p->thread, NULL, 0, &results);
    if (status == LUA_YIELD) {
        if (++p->slice != p->slices)
            return 1;
        end(p, KILLED, "killed in the middle, no lua_close");
        return 0;
    }
    const char *text = lua_tostring(p->thread, -1);
    if (status == LUA_OK) {
        length = snprintf(how, sizeof how, "finished: %s", text ? text : "?");
        if (p->loans)
            snprintf(how + length, sizeof how - (size_t)length, ", %d loans", p->loans);
    } else {
        int reason = vmma_get_last_status(p->client);
        snprintf(how, sizeof how, "Lua error: %s (%s)", text ? text : "?",
                 reason == VMMA_E_LIMIT       ? "its limit"
                 : reason == VMMA_E_NO_MEMORY ? "the context is full"
                                              : vmma_status_string(reason));
    }
    end(p, status == LUA_OK ? FINISHED : status == LUA_ERRMEM ? OUT_OF_MEMORY : KILLED, how);
    return 0;
}

/* ---- In the middle of the show -------------------------------------------------------------- */

typedef struct {
    char text[1 << 18];
    size_t length;
} dump_t;

static int collect(const char *text, size_t length, void *user)
{
    dump_t *dump = user;
    if (length >= sizeof dump->text - dump->length)
        return 1;
    memcpy(dump->text + dump->length, text, length);
    dump->length += length;
    dump->text[dump->length] = '\0';
    return 0;
}

/* Dumps the context, and checks that every program is named in what comes out. */
static void dump_to(FILE *file, int format)
{
    static dump_t dump;
    dump.length = 0;
    check(vmma_dump(context, format, collect, &dump) == VMMA_OK, "vmma_dump says VMMA_OK");
    for (int i = 0; i < program_count; i++)
        check(dump.length && strstr(dump.text, programs[i].script), "the dump names all clients");
    check(file && fwrite(dump.text, 1, dump.length, file) == dump.length, "the dump is written");
}

static void show_memory(const char *map_path)
{
    FILE *map = fopen(map_path, "w");
    printf("\nHalf way all four are alive. vmma_dump as text shows:\n\n");
    dump_to(stdout, VMMA_DUMP_TEXT);
    dump_to(map, VMMA_DUMP_SVG);
    check(map && fclose(map) == 0, "the map is on disk");
    printf("\nThe same as a picture of the heap: %s\n", map_path);
}

static void stray(const char *what, vmma_client_t *client, void *address, int expected)
{
    int status = vmma_free(client, address);
    printf("  %-58s -> %d, %s\n", what, status, vmma_status_string(status));
    check(status == expected, "the stray free is refused with the right status");
}

static void stray_frees(program_t *one, program_t *other)
{
    int on_the_stack = 0;
    size_t size = 0;
    lua_pushvalue(other->state, LUA_REGISTRYINDEX);
    const void *table = lua_topointer(other->state, -1);
    lua_pop(other->state, 1);
    char *theirs = vmma_find_allocation(other->client, table, &size);
    char *mine = vmma_alloc(one->client, 100);
    check(theirs != NULL && mine != NULL, "the allocations to play with are there");

    printf("\nNow free what is not yours. Each line is a vmma_free on the client of %s:\n",
           one->script);
    stray("a table of another program", one->client, theirs, VMMA_E_NOT_OWNED);
    stray("an address in the middle of an allocation of its own", one->client, mine + 48,
          VMMA_E_NOT_START);
    stray("a variable on the stack of the host", one->client, &on_the_stack, VMMA_E_NOT_OWNED);
    stray("an allocation of its own, which is right", one->client, mine, VMMA_OK);
    stray("the same once more", one->client, mine, VMMA_E_DOUBLE_FREE);
    check(vmma_get_size(other->client, theirs) == size, "the other program's table is untouched");
    vmma_client_t *owner = vmma_find_client(context, theirs);
    printf("  The table still belongs to '%s'. All go on as if nothing had happened.\n",
           owner ? vmma_get_name(owner) : "nobody");
    check(owner == other->client, "vmma_find_client names the owner");
}

/* ---- The three acts ------------------------------------------------------------------------- */

/* Runs programs round robin, a slice each, until all have ended. With a map_path the host looks
 * around on the way, when the third program holds `middle` bytes. */
static void run(program_t *list, int count, size_t middle, const char *map_path)
{
    size_t before = vmma_get_free_blocks(context);
    int alive;
    programs = list;
    program_count = count;
    for (int i = 0; i < count; i++)
        if (!start(&list[i])) {
            check(0, "the program starts");
            program_count = i;
            break;
        }
    do {
        alive = 0;
        for (int i = 0; i < program_count; i++)
            if (list[i].thread)
                alive += turn(&list[i]);
        if (map_path && alive == count && vmma_get_held_size(list[2].client) >= middle) {
            show_memory(map_path);
            stray_frees(&list[0], &list[1]);
            print_head();
            map_path = NULL;
        }
    } while (alive > 0);
    check(map_path == NULL, "there was a moment when all programs were alive");
    check(vmma_get_free_blocks(context) == before, "the context is exactly as free as before");
    check(vmma_get_client_count(context) == 0, "no client is left");
}

int main(int argc, char **argv)
{
    program_t alone[] = {
        {.script = "spectral", .expected = FINISHED},
        {.script = "json", .expected = FINISHED},
        {.script = "leaker", .expected = OUT_OF_MEMORY},
    };
    program_t together[] = {
        {.script = "queens", .expected = FINISHED},
        {.script = "cache", .limit = 3 * MIB, .pressure = 1, .expected = FINISHED},
        {.script = "leaker", .limit = 6 * MIB, .expected = OUT_OF_MEMORY},
        {.script = "endless", .slices = 150, .expected = KILLED},
    };
    program_t tight[] = {
        {.script = "idler", .slices = 2000, .expected = KILLED},
        {.script = "grower", .pressure = 1, .expected = FINISHED},
    };

    if (argc != 3) {
        fprintf(stderr, "usage: %s LUA_DIR MAP.svg\n", argv[0]);
        return 2;
    }
    lua_dir = argv[1];
    context = vmma_create_context(NULL, CONTEXT_SIZE, 0, 0, 0);
    if (!context) {
        fprintf(stderr, "cannot create a context of %zu bytes\n", CONTEXT_SIZE);
        return 1;
    }
    size_t at_start = vmma_get_free_blocks(context);
    printf("libvmma %s, %s. One context of %.0f MiB: %zu blocks of %zu KiB, %zu of them free.\n",
           vmma_get_version_string(), LUA_RELEASE, mib(CONTEXT_SIZE),
           vmma_get_total_blocks(context), vmma_get_block_size(context) / 1024, at_start);

    printf("\nAct 1, in turn. Each Lua program is a client with the whole context for itself. The\n"
           "last one leaks until nothing is left. No lua_close: vmma_delete_client takes it all.\n");
    print_head();
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        run(&alone[i], 1, 0, NULL);

    printf("\nAct 2, side by side: four programs in turns of %d instructions. cache and leaker have\n"
           "a limit (3 and 6 MiB), endless never ends. At cache's limit the out-of-memory handler\n"
           "lends %zu KiB and has it collected in full at the next safe point.\n",
           (int)SLICE, LOAN / 1024);
    run(together, 4, 4 * MIB, argv[2]);

    printf("\nAct 3, the context itself runs out: idler sits on 10 MiB of garbage, grower needs most\n"
           "of the context. grower's out-of-memory handler first collects its neighbour in full.\n");
    print_head();
    run(tight, 2, 0, NULL);
    printf("  The handler collected the neighbour %d time(s) and got %.2f MiB for grower.\n",
           tight[1].neighbours, mib(tight[1].collected));
    check(tight[1].neighbours > 0, "the handler was needed");
    check(together[1].loans > 0, "the loans were needed");

    check(vmma_get_free_blocks(context) == at_start, "the context ends as free as it began");
    printf("\nAll nine programs are gone: %zu of %zu blocks free, %s at the start. %s.\n",
           vmma_get_free_blocks(context), vmma_get_total_blocks(context),
           vmma_get_free_blocks(context) == at_start ? "exactly as" : "NOT as",
           failures ? "Something went WRONG" : "Every claim was checked");
    vmma_delete_context(context);
    return failures != 0;
}
