// The second translation unit of lifetime.cpp: the header must not define anything twice.
#include "libvmma.hpp"

std::size_t clients_seen_elsewhere(const vmma::context &ctx);

std::size_t clients_seen_elsewhere(const vmma::context &ctx) {
    std::size_t n = 0;
    ctx.walk_clients([&n](vmma::client_ref) { ++n; });
    return n;
}
