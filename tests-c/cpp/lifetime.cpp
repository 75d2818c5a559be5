// Claims: context and client own what they hold, exactly once; moving hands it over and leaves an
// empty object; empty objects are harmless; failure to create is an empty object with errno set.
// Knows libvmma.hpp only.
#include "check.hpp"
#include "libvmma.hpp"

#include <cerrno>
#include <cstring>
#include <type_traits>
#include <vector>

static_assert(!std::is_copy_constructible_v<vmma::context> && !std::is_copy_assignable_v<vmma::context>);
static_assert(!std::is_copy_constructible_v<vmma::client> && !std::is_copy_assignable_v<vmma::client>);
static_assert(std::is_nothrow_move_constructible_v<vmma::context> && std::is_nothrow_move_assignable_v<vmma::context>);
static_assert(std::is_nothrow_move_constructible_v<vmma::client> && std::is_nothrow_move_assignable_v<vmma::client>);
static_assert(std::is_trivially_copyable_v<vmma::client_ref> && sizeof(vmma::client_ref) == sizeof(void *));
static_assert(sizeof(vmma::client) == sizeof(void *) && sizeof(vmma::context) == sizeof(void *));
static_assert(vmma::bits(vmma::flags::guard | vmma::flags::zero) == (VMMA_FLAG_GUARD | VMMA_FLAG_ZERO));
static_assert(vmma::has(vmma::flags::guard | vmma::flags::zero, vmma::flags::zero));
static_assert(!vmma::has(vmma::flags::guard, vmma::flags::guard | vmma::flags::zero));
static_assert((~vmma::flags::none & vmma::flags::packed) == vmma::flags::packed);

// The header is in two translation units, so anything not inline would clash at link time.
std::size_t clients_seen_elsewhere(const vmma::context &ctx);

static void a_scope_ends_what_it_holds() {
    auto ctx = vmma::context::map(1u << 20);
    CHECK(ctx);
    CHECK(ctx.total_size() == 1u << 20);
    const std::size_t free_before = ctx.free_blocks();
    {
        vmma::client leaky = ctx.create_client("leaky");
        CHECK(leaky && ctx.client_count() == 1);
        CHECK(std::strcmp(leaky.name(), "leaky") == 0);
        for (int i = 0; i < 100; ++i) CHECK(leaky.alloc(1000) != nullptr);
        CHECK(ctx.free_blocks() < free_before);
        CHECK(clients_seen_elsewhere(ctx) == 1);
    }
    CHECK(ctx.client_count() == 0);
    CHECK(ctx.free_blocks() == free_before);
}

// Members are assigned in the order in which they stand: the old client must not outlive the old context.
static void a_context_and_its_client_are_assigned_together() {
    struct machine {
        vmma::context context;
        vmma::client client;
    };
    machine a{vmma::context::map(1u << 20), {}}, b{vmma::context::map(1u << 20), {}};
    a.client = a.context.create_client();
    b.client = b.context.create_client();
    vmma_client_t *const kept = b.client.get();
    void *const p = b.client.alloc(100);
    CHECK(p != nullptr && a.client.alloc(100) != nullptr);
    a = std::move(b);
    CHECK(a.client.get() == kept && a.client.owns(p) && a.context.client_count() == 1);
    CHECK(!b.client);
}

// In a walk neither a client nor a handler can end: no handle and no callable is lost.
static void what_a_callback_forbids_loses_nothing() {
    auto context = vmma::context::map(1u << 20);
    vmma::client walked = context.create_client();
    vmma::client other = context.create_client();
    CHECK(walked.alloc(100) != nullptr);
    int asked = 0;
    // The leak checker does not look into mapped memory, where the library keeps the address of what stays.
#if !defined(__SANITIZE_ADDRESS__)
    auto handler = [&](vmma::client_ref, std::size_t, vmma::status) { ++asked; return false; };
    auto *owner = new vmma::oom_handler<decltype(handler)>(walked, handler);
#endif
    vmma_client_t *const handle = walked.get();
    const int result = walked.walk([&](void *, std::size_t) {
#if !defined(__SANITIZE_ADDRESS__)
        delete owner;
#endif
        walked = std::move(other);
        return 0;
    });
    CHECK(result == 0);
    CHECK(other.walk([](void *, std::size_t) { return 1LL << 32; }) != 0); // stops, though an int has no such bit
    CHECK(other.get() == handle && walked.get() != handle);
    CHECK(other.alloc(2u << 20) == nullptr && asked == 0); // a size that could never be served
    CHECK(other.set_limit(vmma_get_block_size(context.get())) == vmma::status::ok);
    while (other.alloc(1000) != nullptr) {}
#if !defined(__SANITIZE_ADDRESS__)
    CHECK(asked == 1); // the handler stayed, and so did what it calls
#endif
    CHECK(asked <= 1);
}

static void moving_hands_over() {
    auto a = vmma::context::map(1u << 20);
    vmma_context_t *const handle = a.get();
    vmma::context b(std::move(a));
    CHECK(!a && b.get() == handle);
    vmma::context c;
    c = std::move(b);
    CHECK(!b && c.get() == handle);
    vmma::context &alias = c;
    c = std::move(alias);
    CHECK(c.get() == handle);

    vmma::client x = c.create_client();
    vmma::client y = c.create_client();
    vmma_client_t *const hx = x.get();
    vmma_client_t *const hy = y.get();
    void *const p = x.alloc(64);
    swap(x, y);
    CHECK(x.get() == hy && y.get() == hx);
    CHECK(y.owns(p) && !x.owns(p));
    x = std::move(y); // the client that x held is deleted
    CHECK(!y && x.get() == hx && c.client_count() == 1);
    CHECK(x.owns(p) && x.free(p) == vmma::status::ok);

    std::vector<vmma::client> many;
    for (int i = 0; i < 20; ++i) many.push_back(c.create_client()); // grows, so moves
    CHECK(c.client_count() == 21);
    many.erase(many.begin(), many.begin() + 10);
    CHECK(c.client_count() == 11);
    many.clear();
    CHECK(c.client_count() == 1);
    CHECK(c.check() == vmma::status::ok);

    vmma_client_t *const raw = x.release();
    CHECK(!x && c.client_count() == 1);
    vmma::client again(raw);
    CHECK(again.destroy() == vmma::status::ok && !again);
    CHECK(again.destroy() == vmma::status::ok); // nothing left to do
    CHECK(c.client_count() == 0);
    CHECK(c.destroy() == vmma::status::ok && !c);
}

static void given_memory_stays_in_its_bounds() {
    constexpr std::size_t size = 256 * 1024, margin = 64;
    std::vector<unsigned char> memory(size + 2 * margin, 0xA5);
    {
        auto ctx = vmma::context::over(memory.data() + margin, size, {vmma::flags::none, 4096, 16});
        CHECK(ctx && ctx.block_size() == 4096 && ctx.alignment() == 16);
        auto c = ctx.create_client();
        auto *p = static_cast<unsigned char *>(c.alloc(5000));
        CHECK(p > memory.data() && p + 5000 <= memory.data() + margin + size);
        if (p != nullptr) std::memset(p, 0, 5000);
        CHECK(ctx.find_client(p) == c);
        CHECK(!ctx.find_client(&size));
    }
    bool untouched = true;
    for (std::size_t i = 0; i < margin; ++i) untouched = untouched && memory[i] == 0xA5 && memory[size + margin + i] == 0xA5;
    CHECK(untouched);
    const std::size_t need = vmma::context::required_size(100000, {vmma::flags::none, 4096});
    CHECK(need > 100000);
    CHECK(vmma::context::map(need, {vmma::flags::none, 4096}));
}

static void failures_are_empty_objects() {
    errno = 0;
    const auto odd = vmma::context::map(1u << 20, {vmma::flags::none, 4097});
    CHECK(!odd && errno == EINVAL);
    unsigned char little[64];
    errno = 0;
    const auto small = vmma::context::over(little, sizeof little);
    CHECK(!small && errno == ENOMEM);
    errno = 0;
    CHECK(!vmma::context::over(nullptr, 1u << 20) && errno == EINVAL); // an empty pointer is not a wish to map
    const vmma::context none;
    CHECK(!none.create_client("x"));
    CHECK(none.total_size() == 0 && none.check() == vmma::status::invalid);
    const vmma::client nobody;
    CHECK(nobody.alloc(1) == nullptr && nobody.free(little) == vmma::status::invalid);
    CHECK(!nobody.owns(little) && nobody.size_of(little) == 0);
    CHECK(*nobody.name() == '\0');
    CHECK(nobody.walk([](void *, std::size_t) {}) == VMMA_E_INVALID);
}

static void a_client_does_what_the_c_calls_do() {
    const auto ctx = vmma::context::map(4u << 20, {vmma::flags::packed});
    CHECK(vmma::has(ctx.accepted_flags(), vmma::flags::packed) == vmma::has(vmma::context::supported_flags(), vmma::flags::packed));
    const auto c = ctx.create_client();
    auto *z = static_cast<unsigned char *>(c.calloc(10, 30));
    CHECK(z != nullptr && c.size_of(z) >= 300);
    bool zero = z != nullptr;
    for (int i = 0; zero && i < 300; ++i) zero = z[i] == 0;
    CHECK(zero);
    if (z != nullptr) z[299] = 7;
    z = static_cast<unsigned char *>(c.realloc(z, 3000));
    CHECK(z != nullptr && z[299] == 7);
    std::size_t size = 0;
    CHECK(c.find_allocation(z + 5, &size) == z && size == c.size_of(z));
    CHECK(c.free(z + 16) == vmma::status::not_start);
    CHECK(c.last_status() == vmma::status::not_start);
    CHECK(c.free(z) == vmma::status::ok);
    CHECK(c.free(z) == vmma::status::double_free);
    CHECK(c.free(nullptr) == vmma::status::ok);
    void *a = c.aligned_alloc(1024, 100);
    CHECK(a != nullptr && reinterpret_cast<std::uintptr_t>(a) % 1024 == 0);
    CHECK(c.set_limit(1u << 20) == vmma::status::ok && c.limit() == 1u << 20);
    CHECK(c.alloc(2u << 20) == nullptr && c.last_status() == vmma::status::limit);
    vmma::stats s;
    CHECK(c.get_stats(s) == vmma::status::ok && s.live_count == 1 && s.failed_count == 1);
    CHECK(ctx.get_stats(s) == vmma::status::ok && s.live_count == 1);
    int tag = 0;
    c.set_user_data(&tag);
    CHECK(c.user_data() == &tag);
    CHECK(c.reset() == vmma::status::ok && !c.owns(a) && c.user_data() == &tag);
    CHECK(c.trim() == vmma::status::ok && c.check() == vmma::status::ok && ctx.trim() == vmma::status::ok);
    CHECK(*vmma::to_string(vmma::status::double_free) != '\0');
}

int main() {
    a_scope_ends_what_it_holds();
    a_context_and_its_client_are_assigned_together();
    what_a_callback_forbids_loses_nothing();
    moving_hands_over();
    given_memory_stays_in_its_bounds();
    failures_are_empty_objects();
    a_client_does_what_the_c_calls_do();
    return test::finish();
}
