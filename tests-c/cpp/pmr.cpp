// An example and a test: std::pmr containers that live in a client, and vanish with it.
// Claims: every byte of them is the client's; exhaustion is std::bad_alloc (abort without
// exceptions); alignment is kept; two resources are equal exactly if their client is the same.
// Knows libvmma.hpp only.
#include "check.hpp"
#include "libvmma.hpp"

#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <vector>

#if !VMMA_HPP_EXCEPTIONS
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>
#endif

static void words_of_a_program() {
    const auto ctx = vmma::context::map(8u << 20);
    const std::size_t free_before = ctx.free_blocks();
    auto program = ctx.create_client("words");
    vmma::memory_resource memory(program);

    {
        std::pmr::map<std::pmr::string, std::pmr::vector<int>> places(&memory);
        for (int i = 0; i < 2000; ++i) {
            const std::string word = "a word that is too long for the small string buffer " + std::to_string(i % 100);
            places[std::pmr::string(word, &memory)].push_back(i);
        }
        CHECK(places.size() == 100);
        for (const auto &[word, where] : places) {
            CHECK(where.size() == 20);
            CHECK(program.owns(&word) && program.owns(word.data()) && program.owns(where.data()));
        }
        vmma::stats s;
        CHECK(program.get_stats(s) == vmma::status::ok && s.live_count >= 300);
        CHECK(program.check() == vmma::status::ok);
    }
    vmma::stats s;
    CHECK(program.get_stats(s) == vmma::status::ok && s.live_count == 0);

    // A program that is stopped in the middle: its containers are never destroyed, its memory comes back whole.
    void *place = program.alloc(sizeof(std::pmr::vector<std::pmr::string>));
    CHECK(place != nullptr);
    auto *abandoned = new (place) std::pmr::vector<std::pmr::string>(&memory);
    for (int i = 0; i < 1000; ++i) abandoned->emplace_back(200, 'x');
    CHECK(ctx.free_blocks() < free_before);
    program.destroy();
    CHECK(ctx.free_blocks() == free_before);
}

static void alignment_is_kept() {
    const auto ctx = vmma::context::map(4u << 20, {vmma::flags::packed, 65536, 8});
    const auto c = ctx.create_client();
    vmma::memory_resource memory(c);
    std::pmr::memory_resource &base = memory;
    for (std::size_t align = 1; align <= 4096; align *= 2) {
        void *p = base.allocate(40, align);
        CHECK(reinterpret_cast<std::uintptr_t>(p) % align == 0 && c.owns(p));
        base.deallocate(p, 40, align);
        CHECK(!c.owns(p));
    }
}

static void equality() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto a = ctx.create_client();
    const auto b = ctx.create_client();
    vmma::memory_resource a1(a), a2(a), b1(b);
    CHECK(a1 == a1);
    CHECK(a1 != b1);
    CHECK(a1 != *std::pmr::new_delete_resource());
#if VMMA_HPP_RTTI
    CHECK(a1 == a2); // what one took the other may give back
#else
    CHECK(a1 != a2); // cannot know
#endif
    // Not equal: a move copies, and each stays in its own client.
    std::pmr::vector<int> in_a({1, 2, 3}, &a1);
    std::pmr::vector<int> in_b(&b1);
    in_b = std::move(in_a);
    CHECK(b.owns(in_b.data()) && in_b.size() == 3 && in_b[2] == 3);
}

static void exhaustion() {
    const auto ctx = vmma::context::map(1u << 20);
    const auto c = ctx.create_client();
    CHECK(c.set_limit(256 * 1024) == vmma::status::ok);
    vmma::memory_resource memory(c);
#if VMMA_HPP_EXCEPTIONS
    bool caught = false;
    std::pmr::vector<int> v(&memory);
    std::size_t reached = 0;
    try {
        for (int i = 0;; ++i) v.push_back(i);
    } catch (const std::bad_alloc &) {
        caught = true;
        reached = v.size();
    }
    CHECK(caught && reached > 1000 && reached * sizeof(int) <= 256 * 1024);
    CHECK(v[reached - 1] == static_cast<int>(reached) - 1); // the strong guarantee of push_back held
    caught = false;
    try {
        std::pmr::memory_resource &base = memory;
        (void)base.allocate(10, 1u << 20); // above the block size
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught);
    CHECK(ctx.check() == vmma::status::ok);
#else
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        std::pmr::memory_resource &base = memory;
        (void)base.allocate(1u << 19);
        _exit(0); // it came back: that is the failure
    }
    int how = 0;
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
#endif
}

int main() {
    words_of_a_program();
    alignment_is_kept();
    equality();
    exhaustion();
    return test::finish();
}
