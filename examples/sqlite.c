/* sqlite.c - SQLite with all its memory in one client.
 *
 * sqlite3_mem_methods is SQLite's allocator hook: xSize and xRoundup are what vmma_get_size and
 * vmma_get_good_size answer from tables, so SQLite need not store a size in front of each block.
 * Act 1 works and closes in order, and shows that SQLite then holds nothing. Act 2 walks away from
 * an open database in the middle of a transaction, and deletes the client.
 * It may know: libvmma.h and sqlite3.h. It exits with 1 if anything is not as it says.
 */
#include <libvmma.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 20000 };

/* SQLite hands no user pointer to these methods, so its client is a variable. */
static vmma_context_t *context;
static vmma_client_t *client;

static void *mem_malloc(int size) { return vmma_alloc(client, (size_t)size); }
static void mem_free(void *ptr) { vmma_free(client, ptr); }
static void *mem_realloc(void *ptr, int size) { return vmma_realloc(client, ptr, (size_t)size); }
static int mem_size(void *ptr) { return (int)vmma_get_size(client, ptr); }
static int mem_init(void *data) { (void)data; return SQLITE_OK; }
static void mem_shutdown(void *data) { (void)data; }

static int mem_roundup(int size)
{
    size_t good = vmma_get_good_size(context, (size_t)size);
    return good && good <= INT_MAX ? (int)good : size;
}

static void expect(int good, const char *claim)
{
    if (!good) {
        fprintf(stderr, "sqlite: FAILED: %s\n", claim);
        exit(1);
    }
}

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "sqlite: %s: %s\n", sql, message);
        exit(1);
    }
}

static long long ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *query;
    expect(sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK, sql);
    expect(sqlite3_step(query) == SQLITE_ROW, sql);
    long long result = sqlite3_column_int64(query, 0);
    expect(sqlite3_finalize(query) == SQLITE_OK, sql);
    return result;
}

/* A shop: two tables, an index, 20 000 orders, some changed and some deleted. The results are
 * known from arithmetic, not from an earlier run. */
static void work(sqlite3 *db)
{
    sqlite3_stmt *insert;
    run(db, "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INT, cents INT, note TEXT);"
            "CREATE INDEX by_customer ON orders(customer, cents);"
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)"
            "  INSERT INTO customer SELECT i, 'customer ' || i FROM n;"
            "BEGIN");
    expect(sqlite3_prepare_v2(db, "INSERT INTO orders VALUES(?1, ?1 % 100, ?1 * 3, ?2)", -1,
                              &insert, NULL) == SQLITE_OK, "the insert compiles");
    for (int i = 0; i < ROWS; i++) {
        char note[64];
        int length = snprintf(note, sizeof note, "order %d for customer %d", i, i % 100);
        sqlite3_bind_int(insert, 1, i);
        sqlite3_bind_text(insert, 2, note, length, SQLITE_TRANSIENT);
        expect(sqlite3_step(insert) == SQLITE_DONE, "the insert runs");
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    run(db, "COMMIT");

    expect(ask(db, "SELECT count(*) FROM orders") == ROWS, "all rows are there");
    expect(ask(db, "SELECT sum(cents) FROM orders") == 3LL * ROWS * (ROWS - 1) / 2, "the sum");
    expect(ask(db, "SELECT count(*) FROM orders JOIN customer ON customer = customer.id"
                   " WHERE name = 'customer 42'") == ROWS / 100, "the join");
    expect(ask(db, "SELECT max(cents) FROM orders WHERE customer = 7") == 3LL * (ROWS - 93),
           "the index");
    expect(ask(db, "SELECT count(*) FROM (SELECT note FROM orders ORDER BY note DESC)") == ROWS,
           "the sort");
    run(db, "DELETE FROM orders WHERE id % 2 = 1; UPDATE orders SET note = note || ' (paid)'");
    expect(ask(db, "SELECT count(*) FROM orders WHERE note LIKE '%(paid)'") == ROWS / 2,
           "update and delete");
    sqlite3_db_cacheflush(db);
}

static void open_in_new_client(sqlite3 **db)
{
    static const sqlite3_mem_methods methods = {mem_malloc, mem_free,  mem_realloc,  mem_size,
                                                mem_roundup, mem_init, mem_shutdown, NULL};
    client = vmma_create_client(context);
    expect(client != NULL, "a client is created");
    vmma_set_name(client, "sqlite");
    expect(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK, "the methods are set");
    expect(sqlite3_open(":memory:", db) == SQLITE_OK, "the database opens");
}

static void report(const char *act, size_t before)
{
    vmma_stats_t stats = {.struct_size = sizeof stats};
    expect(vmma_check_client(client) == VMMA_OK, "the records of the client add up");
    expect(vmma_populate_client_stats(client, &stats) == VMMA_OK, "there are statistics");
    printf("%s %6zu allocations live, held %5.2f MiB, peak %5.2f MiB\n", act, stats.live_count,
           (double)stats.held_size / 1048576, (double)vmma_get_peak_held_size(client) / 1048576);
    expect(vmma_delete_client(client) == VMMA_OK, "the client is deleted");
    client = NULL;
    expect(vmma_get_free_blocks(context) == before, "the context is as free as before");
}

int main(void)
{
    sqlite3 *db = NULL;
    vmma_stats_t stats = {.struct_size = sizeof stats};
    context = vmma_create_context(NULL, (size_t)32 << 20, 0, 0, 0);
    expect(context != NULL, "the context is created");
    size_t before = vmma_get_free_blocks(context);
    printf("SQLite %s over libvmma %s\n", sqlite3_libversion(), vmma_get_version_string());

    open_in_new_client(&db);
    work(db);
    expect((size_t)sqlite3_memory_used() <= vmma_get_held_size(client), "SQLite counts no more");
    expect(sqlite3_close(db) == SQLITE_OK, "the database closes");
    expect(sqlite3_shutdown() == SQLITE_OK, "SQLite shuts down");
    vmma_populate_client_stats(client, &stats);
    expect(stats.live_count == 0, "SQLite gave everything back");
    report("closed in order:", before);

    open_in_new_client(&db);
    work(db);
    run(db, "BEGIN; UPDATE orders SET cents = cents + 1");
    vmma_populate_client_stats(client, &stats);
    expect(stats.live_count > 100, "SQLite is in the middle of its work");
    report("walked away:    ", before);
    /* SQLite's own variables point to memory that is gone: it is not called again. */

    printf("%zu of %zu blocks free, as at the start\n", vmma_get_free_blocks(context),
           vmma_get_total_blocks(context));
    return vmma_delete_context(context) == VMMA_OK ? 0 : 1;
}
