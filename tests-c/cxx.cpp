/*
 * cxx.cpp: a C++17 translation unit that includes the C header first and calls everything from C++: linkage,
 * overloads, lambdas as callbacks, types under the type system. Public API only.
 */
#include "libvmma.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "vt_ctx.h"

static_assert(std::is_standard_layout<vmma_stats_t>::value && std::is_trivial<vmma_stats_t>::value, "vmma_stats_t is plain");
static_assert(std::is_standard_layout<vmma_error_t>::value && std::is_trivial<vmma_error_t>::value, "vmma_error_t is plain");
static_assert(std::is_same<vmma_flags_t, std::uint32_t>::value, "vmma_flags_t is uint32_t");
static_assert(std::is_same<decltype(&vmma_alloc), void *(*)(vmma_client_t *, std::size_t)>::value, "vmma_alloc's type");
static_assert(std::is_same<decltype(&vmma_free), int (*)(vmma_client_t *, void *)>::value, "vmma_free's type");
static_assert(std::is_unsigned<decltype(VMMA_FLAG_ZERO)>::value, "flags are unsigned constants");

namespace {

struct heap {
    vmma_context_t *context;
    explicit heap(std::size_t size, vmma_flags_t flags = 0) : context(vmma_create_context(nullptr, size, 0, 0, flags)) {}
    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;
    ~heap() { vmma_delete_context(context); }
};

template <class T> struct client_allocator {
    using value_type = T;
    vmma_client_t *client;
    explicit client_allocator(vmma_client_t *c) : client(c) {}
    template <class U> client_allocator(const client_allocator<U> &o) : client(o.client) {}
    T *allocate(std::size_t n)
    {
        void *p = vmma_aligned_alloc(client, alignof(T), n * sizeof(T));
        if (!p)
            std::abort();
        return static_cast<T *>(p);
    }
    void deallocate(T *p, std::size_t) { vmma_free(client, p); }
    template <class U> bool operator==(const client_allocator<U> &o) const { return client == o.client; }
    template <class U> bool operator!=(const client_allocator<U> &o) const { return client != o.client; }
};

void everything()
{
    heap h(4u << 20);
    vmma_context_t *c = h.context;
    CHECK(c != nullptr, "a context from C++");
    vmma_client_t *k = vmma_create_client(c);
    CHECK(vmma_get_version() == std::uint32_t(VMMA_VERSION) && std::string(vmma_get_version_string()).size() > 0, "versions from C++");
    CHECK(std::string(vmma_status_string(VMMA_E_BUSY)).size() > 0, "status text from C++");
    CHECK((vmma_get_accepted_flags(c) & ~vmma_get_supported_flags()) == 0, "flags from C++");
    void *p = vmma_alloc(k, 100);
    CHECK(p && vmma_test_address(k, p) == 1 && vmma_get_size(k, p) >= 100, "alloc from C++");
    p = vmma_realloc(k, p, 5000);
    void *q = vmma_calloc(k, 3, 7), *a = vmma_aligned_alloc(k, 256, 10);
    CHECK(p && q && a && vt_aligned(a, 256), "realloc, calloc, aligned_alloc from C++");
    p = vmma_lua_alloc(k, p, 5000, 20);
    CHECK(p != nullptr, "vmma_lua_alloc from C++");
    CHECK(vmma_get_total_size(c) == 4u << 20 && vmma_get_required_size(1000, 0, 0, 0) > 1000, "sizes from C++");
    CHECK(vmma_get_good_size(c, 10) >= 10 && vmma_get_alignment(c) == 16, "good size from C++");
    CHECK_ST(vmma_set_limit(k, 3u << 20), VMMA_OK, "limit from C++");
    CHECK_ST(vmma_set_guarantee(k, 1u << 20), VMMA_OK, "guarantee from C++");
    CHECK(vmma_get_limit(k) == 3u << 20 && vmma_get_guarantee(k) == 1u << 20, "limit and guarantee read from C++");
    CHECK(vmma_get_max_alloc(k) > 0 && vmma_get_last_status(k) == VMMA_OK, "questions from C++");
    int oom_calls = 0;
    CHECK_ST(vmma_set_oom_handler(k, [](vmma_client_t *, std::size_t, int reason, void *user) {
        ++*static_cast<int *>(user);
        return reason == VMMA_E_LIMIT ? 0 : 0;
    }, &oom_calls), VMMA_OK, "a lambda as out-of-memory handler");
    CHECK(vmma_alloc(k, (3u << 20) + 1) == nullptr, "above the limit");
    CHECK_EQ(oom_calls, 1, "the lambda ran");
    CHECK(vmma_get_context(k) == c && vmma_find_client(c, p) == k, "finding from C++");
    std::size_t size = 0;
    CHECK(vmma_find_allocation(k, p, &size) == p && size == vmma_get_size(k, p), "vmma_find_allocation from C++");
    CHECK_ST(vmma_set_name(k, "c++"), VMMA_OK, "name from C++");
    CHECK(std::string(vmma_get_name(k)) == "c++", "name read from C++");
    vmma_set_user_data(k, &size);
    CHECK(vmma_get_user_data(k) == &size, "user data from C++");
    CHECK(vmma_get_block_size(c) * vmma_get_total_blocks(c) <= 4u << 20 && vmma_get_free_blocks(c) > 0 &&
              vmma_get_peak_blocks(c) > 0 && vmma_get_client_count(c) == 1 && vmma_get_held_size(k) > 0 &&
              vmma_get_peak_held_size(k) >= vmma_get_held_size(k),
          "at-once getters from C++");
    (void)vmma_populate_cached_blocks(c);
    vmma_stats_t s{};
    s.struct_size = sizeof s;
    CHECK_ST(vmma_populate_client_stats(k, &s), VMMA_OK, "client stats from C++");
    CHECK_EQ(s.live_count, 3, "client stats count from C++");
    CHECK_ST(vmma_populate_context_stats(c, &s), VMMA_OK, "context stats from C++");
    std::vector<void *> seen;
    CHECK_ST(vmma_walk_allocations(k, [](vmma_client_t *, void *at, std::size_t, void *user) {
        static_cast<std::vector<void *> *>(user)->push_back(at);
        return 0;
    }, &seen), VMMA_OK, "a lambda as visitor");
    CHECK_EQ(seen.size(), 3, "the lambda visited all");
    CHECK_EQ(vmma_walk_clients(c, [](vmma_client_t *, void *) { return 7; }, nullptr), 7, "a visitor's value passed through to C++");
    std::string dump;
    for (int format : {VMMA_DUMP_TEXT, VMMA_DUMP_JSON, VMMA_DUMP_SVG}) {
        dump.clear();
        CHECK_ST(vmma_dump(c, format, [](const char *text, std::size_t n, void *user) {
            static_cast<std::string *>(user)->append(text, n);
            return 0;
        }, &dump), VMMA_OK, "vmma_dump into a std::string");
        CHECK(dump.find("c++") != std::string::npos, "dumps name the clients");
    }
    int errors = 0;
    CHECK_ST(vmma_set_error_handler(c, [](vmma_context_t *, const vmma_error_t *e, void *user) {
        if (e->status == VMMA_E_NOT_OWNED)
            ++*static_cast<int *>(user);
    }, &errors), VMMA_OK, "a lambda as error handler");
    CHECK_ST(vmma_free(k, &errors), VMMA_E_NOT_OWNED, "misuse from C++");
    CHECK_EQ(errors, 1, "the lambda was told");
    CHECK_ST(vmma_check_client(k), VMMA_OK, "vmma_check_client from C++");
    CHECK_ST(vmma_check_context(c), VMMA_OK, "vmma_check_context from C++");
    CHECK_ST(vmma_free(k, q), VMMA_OK, "vmma_free from C++");
    CHECK_ST(vmma_trim_client(k), VMMA_OK, "vmma_trim_client from C++");
    CHECK_ST(vmma_reset_client(k), VMMA_OK, "vmma_reset_client from C++");
    CHECK_ST(vmma_trim_context(c), VMMA_OK, "vmma_trim_context from C++");
    CHECK_ST(vmma_delete_client(k), VMMA_OK, "vmma_delete_client from C++");
}

void containers()
{
    heap h(4u << 20, VMMA_FLAG_PACKED);
    vmma_client_t *k = vmma_create_client(h.context);
    std::size_t fresh = vmma_get_free_blocks(h.context);
    {
        std::vector<std::string> plain;
        std::vector<int, client_allocator<int>> v{client_allocator<int>(k)};
        std::basic_string<char, std::char_traits<char>, client_allocator<char>> s{client_allocator<char>(k)};
        for (int i = 0; i < 20000; i++) {
            v.push_back(i);
            s.push_back(static_cast<char>('a' + i % 26));
        }
        bool right = true;
        for (int i = 0; i < 20000; i++)
            right = right && v[static_cast<std::size_t>(i)] == i && s[static_cast<std::size_t>(i)] == 'a' + i % 26;
        CHECK(right, "standard containers over a client");
        CHECK_ST(vmma_check_context(h.context), VMMA_OK, "vmma_check_context with containers live");
    }
    CHECK_EQ(vt_client_stats(k).live_count, 0, "containers give everything back");
    vmma_trim_client(k);
    CHECK_EQ(vmma_get_free_blocks(h.context), fresh, "all blocks are free again");
}

} // namespace

int main()
{
    vt_begin("cxx");
    everything();
    containers();
    return vt_end();
}
