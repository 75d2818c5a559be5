// Claims: vmma::allocator<T> serves the standard containers; equal means "same client"; what is
// moved or swapped keeps its client, what is copied or assigned to stays in its own.
// Knows libvmma.hpp only.
#include "check.hpp"
#include "libvmma.hpp"

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

template <class T>
using vec = std::vector<T, vmma::allocator<T>>;
using str = std::basic_string<char, std::char_traits<char>, vmma::allocator<char>>;

static std::size_t live(vmma::client_ref c) {
    vmma::stats s;
    return c.get_stats(s) == vmma::status::ok ? s.live_count : ~std::size_t(0);
}

static void all_kinds() {
    const auto ctx = vmma::context::map(8u << 20);
    const auto c = ctx.create_client();
    {
        vec<int> v(c);
        for (int i = 0; i < 5000; ++i) v.push_back(i);
        CHECK(c.owns(v.data()) && v[4999] == 4999);
        std::list<long, vmma::allocator<long>> l(c);
        for (int i = 0; i < 100; ++i) l.push_front(i);
        CHECK(c.owns(&l.front()));
        std::deque<short, vmma::allocator<short>> d(c);
        for (int i = 0; i < 3000; ++i) d.push_back(static_cast<short>(i));
        CHECK(d[2999] == 2999 && c.owns(&d[1500]));
        using pair = std::pair<const int, double>;
        std::map<int, double, std::less<int>, vmma::allocator<pair>> m(c);
        std::unordered_map<int, double, std::hash<int>, std::equal_to<int>, vmma::allocator<pair>> u(0, c);
        for (int i = 0; i < 500; ++i) {
            m[i * 7 % 500] = i;
            u[i] = i;
        }
        CHECK(m.size() == 500 && u.size() == 500 && c.owns(&*m.begin()) && c.owns(&*u.begin()));
        str s("a string that does not fit into the small buffer of its object", c);
        CHECK(c.owns(s.data()));
        const auto shared = std::allocate_shared<vec<str>>(vmma::allocator<vec<str>>(c), 10, s, vmma::allocator<str>(c));
        CHECK(c.owns(shared.get()) && shared->size() == 10 && shared->back() == s);
        CHECK(c.check() == vmma::status::ok);
    }
    CHECK(live(c) == 0);
}

static void who_holds_what() {
    const auto ctx = vmma::context::map(8u << 20);
    const auto a = ctx.create_client();
    const auto b = ctx.create_client();
    CHECK(vmma::allocator<int>(a) == vmma::allocator<long>(a));
    CHECK(vmma::allocator<int>(a) != vmma::allocator<int>(b));
    {
        vec<int> va({1, 2, 3}, a);
        vec<int> vb({9}, b);
        vb = va; // copy: into b
        CHECK(b.owns(vb.data()) && vb == va);
        vec<int> copy(va);
        CHECK(a.owns(copy.data()));
        int *const was = va.data();
        vb = std::move(va); // move: nothing is copied
        CHECK(vb.data() == was && a.owns(vb.data()) && live(b) == 0);
        vec<int> other({4, 5}, b);
        swap(vb, other);
        CHECK(vb.size() == 2 && b.owns(vb.data()) && a.owns(other.data()));
        vec<int> into_b(std::move(other), vmma::allocator<int>(b)); // asked for b: copied there
        CHECK(b.owns(into_b.data()) && into_b.size() == 3);
    }
    CHECK(live(a) == 0 && live(b) == 0);
}

struct alignas(256) wide {
    unsigned char bytes[256];
};

static void alignment_is_kept() {
    const auto ctx = vmma::context::map(4u << 20, {vmma::flags::packed, 65536, 8});
    const auto c = ctx.create_client();
    vec<char> shift(c);
    for (int i = 0; i < 20; ++i) {
        shift.push_back('x');
        vec<wide> v(static_cast<std::size_t>(i) + 1, c);
        CHECK(reinterpret_cast<std::uintptr_t>(v.data()) % alignof(wide) == 0);
        vec<long double> w(3, c);
        CHECK(reinterpret_cast<std::uintptr_t>(w.data()) % alignof(long double) == 0);
    }
}

#if VMMA_HPP_EXCEPTIONS
static void exhaustion_throws() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto c = ctx.create_client();
    vmma::allocator<double> from(c);
    bool too_long = false;
    try {
        (void)from.allocate(~std::size_t(0) / 4);
    } catch (const std::bad_array_new_length &) {
        too_long = true;
    }
    CHECK(too_long);
    bool no_memory = false;
    try {
        (void)from.allocate(1u << 20);
    } catch (const std::bad_array_new_length &) {
    } catch (const std::bad_alloc &) {
        no_memory = true;
    }
    CHECK(no_memory && live(c) == 0);
}
#endif

int main() {
    all_kinds();
    who_holds_what();
    alignment_is_kept();
#if VMMA_HPP_EXCEPTIONS
    exhaustion_throws();
#endif
    return test::finish();
}
