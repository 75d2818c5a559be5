/*
 * dump.c: vmma_dump in every format into a buffer: JSON is one object and SVG well-formed whatever bytes a name
 * has, clients are named, the writer can stop it. Public API only.
 */
#include "vt_ctx.h"
#include "vt_text.h"

typedef struct buffer {
    char *text;
    size_t used, room;
    int calls, stop_at, value;
} buffer;

static int append(const char *text, size_t length, void *user)
{
    buffer *b = (buffer *)user;
    b->calls++;
    if (b->stop_at && b->calls >= b->stop_at)
        return b->value;
    if (b->used + length + 1 > b->room) {
        b->room = (b->used + length + 1) * 2;
        b->text = (char *)realloc(b->text, b->room);
        if (!b->text)
            exit(2);
    }
    memcpy(b->text + b->used, text, length);
    b->used += length;
    b->text[b->used] = 0;
    return 0;
}

static int dump(vmma_context_t *c, int format, buffer *b)
{
    b->used = 0;
    b->calls = 0;
    if (b->text)
        b->text[0] = 0;
    return vmma_dump(c, format, append, b);
}

static void readers(void)
{
    /* the readers themselves must be able to refuse */
    static const char *const good[] = {"{}", " {\"a\":[1,2.5e3,{\"b\":null}],\"c\":\"\\u00e9\\n\"} ", "{\"a\":-0}"};
    static const char *const bad[] = {"", "[]", "{", "{}{}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":01}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\"a\" 1}"};
    for (unsigned i = 0; i < VT_COUNT(good); i++)
        CHECK(text_is_json_object(good[i], strlen(good[i])), "the test's JSON reader accepts JSON");
    for (unsigned i = 0; i < VT_COUNT(bad); i++)
        CHECK(!text_is_json_object(bad[i], strlen(bad[i])), "the test's JSON reader refuses what is none");
    static const char *const fine[] = {"<svg/>", "<?xml version=\"1.0\"?>\n<svg a='1' b=\"&lt;\"><g>x &amp; y</g><!-- c --></svg>\n"};
    static const char *const broken[] = {"<svg>", "<svg></g>", "<svg a=1/>", "<svg>a & b</svg>", "<svg a=\"<\"/>", "<svg/><svg/>", "text", "<g/>", "<svg a='1' a='2'/>", "<svg>\x01</svg>", "<svg>&#1;</svg>", "<svg>\xff</svg>", "<svg a='1'b='2'/>"};
    for (unsigned i = 0; i < VT_COUNT(fine); i++)
        CHECK(text_is_xml(fine[i], strlen(fine[i]), "svg"), "the test's XML reader accepts XML");
    for (unsigned i = 0; i < VT_COUNT(broken); i++)
        CHECK(!text_is_xml(broken[i], strlen(broken[i]), "svg"), "the test's XML reader refuses what is none");
}

static void check_all(vmma_context_t *c, buffer *b, const char *plain_name)
{
    uint64_t before = vt_fingerprint(c);
    CHECK_ST(dump(c, VMMA_DUMP_TEXT, b), VMMA_OK, "text dump: OK");
    CHECK(b->used > 0, "text dump: something is written");
    if (plain_name)
        CHECK(strstr(b->text, plain_name) != NULL, "text dump names the clients");
    CHECK_ST(dump(c, VMMA_DUMP_JSON, b), VMMA_OK, "JSON dump: OK");
    CHECK(text_is_utf8(b->text, b->used), "JSON dump is UTF-8");
    CHECK(text_is_json_object(b->text, b->used), "JSON dump is one object");
    if (plain_name)
        CHECK(strstr(b->text, plain_name) != NULL, "JSON dump names the clients");
    CHECK_ST(dump(c, VMMA_DUMP_SVG, b), VMMA_OK, "SVG dump: OK");
    CHECK(text_is_xml(b->text, b->used, "svg"), "SVG dump is well-formed XML");
    CHECK(b->text && strstr(b->text, "http://www.w3.org/2000/svg") != NULL, "SVG dump has the SVG name space");
    if (plain_name)
        CHECK(strstr(b->text, plain_name) != NULL, "SVG dump names the clients");
    CHECK(vt_fingerprint(c) == before, "a dump changes nothing");
}

static void hostile_names(vmma_flags_t f)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, f);
    vmma_client_t *k = vmma_create_client(c), *o = vmma_create_client(c);
    buffer b = {0};
    check_all(c, &b, NULL);
    vmma_set_name(o, "plain-name");
    vt_random r = {f + 3};
    void *run = vmma_alloc(k, 30000);
    CHECK(run != NULL, "a run to draw");
    for (int i = 0; i < 60; i++)
        CHECK(vmma_alloc(i % 2 ? k : o, vt_log_size(&r, 1, 3000)) != NULL, "something to draw");
    static const char *const names[] = {
        "", "\"", "\\", "\\\"", "\"}]}", "</svg>", "<script>", "&", "&amp;", "]]>", "-->", "'", "a\nb", "\t\r\x01\x02\x1f", "\x7f",
        "\x80", "\xff\xfe\xfd", "\xc3", "\xc3\xa9\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xef\xbf\xbe", "\xef\xbf\xbf", "\xc0\x80",
        "%s%n%d", "\xe2\x82\xac uro", "\xf0\x9f\x98\x80", "${x}", "{}", "\xe2\x80\xa8", "x\x1b[31m"};
    for (unsigned i = 0; i < VT_COUNT(names); i++) {
        vt_mode("%s hostile name %u", vt_flags_text(f), i);
        CHECK_ST(vmma_set_name(k, names[i]), VMMA_OK, "any name is taken");
        check_all(c, &b, "plain-name");
    }
    for (int round = 0; round < (int)vt_loops(300, 20); round++) {
        char name[64];
        size_t n = vt_below(&r, 40);
        for (size_t i = 0; i < n; i++)
            name[i] = (char)(1 + vt_below(&r, 255));
        name[n] = 0;
        vt_mode("%s random name %d", vt_flags_text(f), round);
        vmma_set_name(k, name);
        CHECK_ST(dump(c, VMMA_DUMP_JSON, &b), VMMA_OK, "JSON dump with a random name");
        CHECK(text_is_utf8(b.text, b.used) && text_is_json_object(b.text, b.used), "JSON dump is one object whatever bytes a name has");
        CHECK_ST(dump(c, VMMA_DUMP_SVG, &b), VMMA_OK, "SVG dump with a random name");
        CHECK(text_is_xml(b.text, b.used, "svg"), "SVG dump is well-formed whatever bytes a name has");
    }
    vmma_delete_context(c);
    free(b.text);
}

static void stopping(void)
{
    vmma_context_t *c = vmma_create_context(NULL, 1 << 20, 0, 4096, 0);
    vmma_client_t *k = vmma_create_client(c);
    CHECK(vmma_alloc(k, 100) != NULL, "something to dump");
    buffer b = {0};
    static const int values[] = {1, 5, 1000, INT_MAX};
    for (int format = VMMA_DUMP_TEXT; format <= VMMA_DUMP_SVG; format++) {
        b.stop_at = 0;
        CHECK_ST(dump(c, format, &b), VMMA_OK, "a whole dump");
        int whole = b.calls;
        for (int stop = 1; stop <= whole; stop += whole / 5 + 1)
            for (unsigned v = 0; v < VT_COUNT(values); v++) {
                b.stop_at = stop;
                b.value = values[v];
                CHECK_EQ(dump(c, format, &b), values[v], "a writer's non-zero value stops the dump and is returned");
                CHECK_EQ(b.calls, stop, "the dump stops at once");
            }
    }
    b.stop_at = 0;
    static const int formats[] = {-1, 3, 4, 100, INT_MAX, INT_MIN};
    for (unsigned i = 0; i < VT_COUNT(formats); i++) {
        CHECK_ST(dump(c, formats[i], &b), VMMA_E_INVALID, "an unknown format is INVALID");
        CHECK_EQ(b.calls, 0, "an unknown format writes nothing");
    }
    CHECK_ST(vmma_dump(c, VMMA_DUMP_JSON, NULL, &b), VMMA_E_INVALID, "a NULL writer is INVALID");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context after stopped dumps");
    vmma_delete_context(c);
    free(b.text);
}

static void sizes(void)
{
    static const size_t size[] = {65536, 4 << 20, 256u << 20, (size_t)16 << 30};
    for (unsigned i = 0; i < VT_COUNT(size); i++) {
        if (vt_tool() && size[i] > ((size_t)1 << 30)) {
            vt_skip("dump of 16 GiB of address space", vt_tool());
            continue;
        }
        vt_mode("dump of %zu bytes", size[i]);
        vmma_context_t *c = vmma_create_context(NULL, size[i], 0, i ? 0 : 1024, 0);
        if (!c) {
            vt_skip("dump of a large context", "the system refuses to map it");
            continue;
        }
        buffer b = {0};
        vmma_client_t *k[40] = {0};
        for (int j = 0; j < 40; j++) {
            char name[32];
            k[j] = vmma_create_client(c);
            snprintf(name, sizeof name, "client-%d", j);
            vmma_set_name(k[j], name);
            vmma_alloc(k[j], 500);
            if (size[i] > 65536)
                vmma_alloc(k[j], vmma_get_free_blocks(c) / 100 * vmma_get_block_size(c));
        }
        double start = vt_seconds();
        check_all(c, &b, "client-3");
        CHECK(b.used < ((size_t)8 << 20), "an SVG of a large context is aggregated");
        if (!vt_tool())
            CHECK(vt_seconds() - start < 20, "dumps of a large context end in time");
        free(b.text);
        vmma_delete_context(c);
    }
    vt_mode("-");
}

int main(void)
{
    vt_begin("dump");
    readers();
    vt_each_mode(hostile_names);
    stopping();
    sizes();
    return vt_end();
}
