// Claims: callables see what the C callbacks see; a non-zero value stops and is handed through; an
// exception stops the call, does not pass through C code, and arrives at the caller unchanged.
// Knows libvmma.hpp only.
#include "check.hpp"
#include "libvmma.hpp"

#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

static void walks() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto c = ctx.create_client("walker");
    std::vector<void *> made;
    for (int i = 0; i < 10; ++i) made.push_back(c.alloc(100));
    std::vector<void *> seen;
    bool big_enough = true;
    CHECK(c.walk([&](void *p, std::size_t size) {
        seen.push_back(p);
        big_enough = big_enough && size >= 100;
    }) == 0);
    CHECK(big_enough && seen.size() == made.size());
    for (std::size_t i = 1; i < seen.size(); ++i) CHECK(std::less<void *>()(seen[i - 1], seen[i]));
    for (void *p : made) {
        bool found = false;
        for (void *q : seen) found = found || p == q;
        CHECK(found);
    }

    int visits = 0;
    CHECK(c.walk([&visits](void *, std::size_t) { return ++visits == 3 ? 42 : 0; }) == 42);
    CHECK(visits == 3);

    auto counter = [n = 0](void *, std::size_t) mutable { ++n; return n == 10 ? n : 0; };
    CHECK(c.walk(counter) == 10); // an lvalue that changes itself

    const auto other = ctx.create_client("other");
    std::string names;
    CHECK(ctx.walk_clients([&names](vmma::client_ref k) { names += k.name(); }) == 0);
    CHECK(names == "walkerother" || names == "otherwalker");
}

static void dumps() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto c = ctx.create_client("dumped-by-name");
    const std::string text = ctx.dump();
    CHECK(text.find("dumped-by-name") != std::string::npos);
    CHECK(ctx.dump(vmma::dump_format::json).find('{') != std::string::npos);
    CHECK(ctx.dump(vmma::dump_format::svg).find("<svg") != std::string::npos);
    std::string pieces;
    CHECK(ctx.dump(vmma::dump_format::text, [&pieces](std::string_view s) { pieces += s; }) == 0);
    CHECK(pieces == text);
    CHECK(ctx.dump(vmma::dump_format::text, [](std::string_view) { return 5; }) == 5);
    CHECK(ctx.dump(vmma::dump_format(99), [](std::string_view) {}) == VMMA_E_INVALID);
    CHECK(vmma::context().dump().empty());
}

static void out_of_memory_handler() {
    const auto ctx = vmma::context::map(4u << 20);
    const auto c = ctx.create_client();
    CHECK(c.set_limit(256 * 1024) == vmma::status::ok);
    int calls = 0;
    {
        vmma::oom_handler raise(c, [&](vmma::client_ref who, std::size_t size, vmma::status why) {
            ++calls;
            CHECK(who == c && size == 512 * 1024 && why == vmma::status::limit);
            return who.set_limit(2u << 20) == vmma::status::ok;
        });
        void *p = c.alloc(512 * 1024);
        CHECK(p != nullptr && calls == 1 && !raise.threw());
        CHECK(c.free(p) == vmma::status::ok);
        CHECK(c.trim() == vmma::status::ok);
        CHECK(c.set_limit(256 * 1024) == vmma::status::ok);
    }
    CHECK(c.alloc(512 * 1024) == nullptr && calls == 1); // the handler went with its scope
    vmma::oom_handler refuse(c, [&calls](vmma::client_ref, std::size_t, vmma::status) { ++calls; return false; });
    CHECK(c.alloc(512 * 1024) == nullptr && calls == 2);
    // A handler that a callback forbids is none, and takes nobody else's with it.
    using kind = std::function<bool(vmma::client_ref, std::size_t, vmma::status)>;
    std::optional<vmma::oom_handler<kind>> late;
    CHECK(c.alloc(10) != nullptr);
    CHECK(c.walk([&](void *, std::size_t) {
        late.emplace(c, [&calls](vmma::client_ref, std::size_t, vmma::status) { calls += 100; return false; });
    }) == 0);
    CHECK(c.alloc(512 * 1024) == nullptr && calls == 3);
    late.reset();
    CHECK(c.alloc(512 * 1024) == nullptr && calls == 4);
    CHECK(c.last_status() == vmma::status::limit);
}

static void misuse_handler() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto c = ctx.create_client();
    vmma::status told = vmma::status::ok;
    const void *where = nullptr;
    vmma::client_ref who;
    void *p = c.alloc(64);
    CHECK(c.free(p) == vmma::status::ok);
    {
        vmma::error_handler on_error(ctx, [&](const vmma_error_t &e) {
            told = vmma::status(e.status);
            where = e.address;
            who = e.client;
        });
        CHECK(c.free(p) == vmma::status::double_free);
    }
    CHECK(told == vmma::status::double_free && where == p && who == c);
    told = vmma::status::ok;
    CHECK(c.free(p) == vmma::status::double_free);
    CHECK(told == vmma::status::ok);
}

#if VMMA_HPP_EXCEPTIONS
struct odd { int value; };

template <class F>
static int thrown_value(F &&call) {
    try {
        call();
    } catch (const odd &o) {
        return o.value;
    }
    return -1;
}

static void exceptions_arrive() {
    const auto ctx = vmma::context::map(4u << 20);
    const auto c = ctx.create_client();
    for (int i = 0; i < 5; ++i) CHECK(c.alloc(100) != nullptr);
    int visits = 0;
    CHECK(thrown_value([&] { c.walk([&](void *, std::size_t) { if (++visits == 2) throw odd{11}; }); }) == 11);
    CHECK(visits == 2); // stopped at once
    CHECK(thrown_value([&] { ctx.walk_clients([](vmma::client_ref) { throw odd{12}; }); }) == 12);
    CHECK(thrown_value([&] { ctx.dump(vmma::dump_format::json, [](std::string_view) { throw odd{13}; }); }) == 13);
    // A walk inside a walk: the inner exception is the outer callable's own.
    CHECK(thrown_value([&] {
        c.walk([&](void *, std::size_t) { c.walk([](void *, std::size_t) { throw odd{14}; }); });
    }) == 14);

    CHECK(c.set_limit(256 * 1024) == vmma::status::ok);
    {
        vmma::oom_handler throws(c, [](vmma::client_ref, std::size_t, vmma::status) -> bool { throw odd{15}; });
        CHECK(c.alloc(512 * 1024) == nullptr); // fails, and does not throw
        CHECK(throws.threw());
        CHECK(thrown_value([&] { throws.rethrow(); }) == 15);
        CHECK(!throws.threw());
        throws.rethrow(); // nothing kept: nothing thrown
        CHECK(c.alloc(512 * 1024) == nullptr && throws.take() != nullptr && !throws.threw());
    }
    vmma::error_handler broken(ctx, [](const vmma_error_t &) { throw std::runtime_error("told"); });
    int on_stack = 0;
    CHECK(c.free(&on_stack) == vmma::status::not_owned);
    bool caught = false;
    try {
        broken.rethrow();
    } catch (const std::runtime_error &e) {
        caught = std::strcmp(e.what(), "told") == 0;
    }
    CHECK(caught);
    // The context came through all that in order.
    CHECK(c.alloc(100) != nullptr);
    CHECK(ctx.check() == vmma::status::ok);
}
#endif

int main() {
    walks();
    dumps();
    out_of_memory_handler();
    misuse_handler();
#if VMMA_HPP_EXCEPTIONS
    exceptions_arrive();
#endif
    return test::finish();
}
