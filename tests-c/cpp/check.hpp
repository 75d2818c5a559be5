// What the C++ tests share: CHECK, which says what failed and where, and finish().
// It may know the standard library only. A failed check does not stop the program; finish() gives its exit code.
#ifndef VMMA_TEST_CHECK_HPP
#define VMMA_TEST_CHECK_HPP

#include <cstdio>

namespace test {
inline int checks = 0;
inline int failures = 0;

inline void check(bool good, const char *claim, const char *file, int line) {
    ++checks;
    if (good) return;
    ++failures;
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, claim);
}

// A program that checked nothing has not passed.
inline int finish() {
    std::printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 && checks > 0 ? 0 : 1;
}
} // namespace test

#define CHECK(claim) test::check(static_cast<bool>(claim), #claim, __FILE__, __LINE__)

#endif
