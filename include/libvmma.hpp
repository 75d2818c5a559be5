// libvmma.hpp: the C++17 face of libvmma. Header only, over libvmma.h.
//
// What it may know: the C interface and the standard library, nothing else.
//
//   vmma::context          owns a memory block under management (move only)
//   vmma::client           owns one isolated heap in a context (move only)
//   vmma::client_ref       the same heap, not owned: a handle to copy and pass around
//   vmma::oom_handler      asks a callable before an allocation of a client fails
//   vmma::error_handler    tells a callable of every misuse in a context
//   vmma::memory_resource  a std::pmr::memory_resource over a client
//   vmma::allocator<T>     an STL allocator over a client
//
// Errors. Nothing throws but (1) the two standard interfaces, which must: std::bad_alloc,
// or std::abort() where exceptions are off; and (2) calls that take a callable: no exception
// passes through C code; it is caught, the C call is stopped, and it is thrown again behind it.
// Creation gives an empty object when it fails (`if (!ctx)`), with the reason in errno.
// The header means the same with and without exceptions and run-time type information.
//
// Order. A client ends before its context, a handler before its client: declared in the order
// context, client, handler, they end rightly by themselves. After release() the C rules hold.

#ifndef LIBVMMA_HPP
#define LIBVMMA_HPP

#include "libvmma.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif
#if defined(__cpp_lib_memory_resource)
#define VMMA_HPP_PMR 1
#else
#define VMMA_HPP_PMR 0
#endif

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define VMMA_HPP_EXCEPTIONS 1
#else
#define VMMA_HPP_EXCEPTIONS 0
#endif

#if defined(__cpp_rtti) || defined(__GXX_RTTI) || defined(_CPPRTTI)
#define VMMA_HPP_RTTI 1
#else
#define VMMA_HPP_RTTI 0
#endif

namespace vmma {

// ---------------------------------------------------------------- flags and results

enum class flags : vmma_flags_t {
    none           = 0,
    threads        = VMMA_FLAG_THREADS,
    shared_clients = VMMA_FLAG_SHARED_CLIENTS,
    zero           = VMMA_FLAG_ZERO,
    wipe           = VMMA_FLAG_WIPE,
    guard          = VMMA_FLAG_GUARD,
    quarantine     = VMMA_FLAG_QUARANTINE,
    packed         = VMMA_FLAG_PACKED,
    no_cache       = VMMA_FLAG_NO_CACHE,
    release        = VMMA_FLAG_RELEASE,
    abort          = VMMA_FLAG_ABORT
};

constexpr vmma_flags_t bits(flags f) noexcept { return static_cast<vmma_flags_t>(f); }
constexpr flags operator|(flags a, flags b) noexcept { return flags(bits(a) | bits(b)); }
constexpr flags operator&(flags a, flags b) noexcept { return flags(bits(a) & bits(b)); }
constexpr flags operator^(flags a, flags b) noexcept { return flags(bits(a) ^ bits(b)); }
constexpr flags operator~(flags a) noexcept { return flags(~bits(a)); }
constexpr flags &operator|=(flags &a, flags b) noexcept { return a = a | b; }
constexpr flags &operator&=(flags &a, flags b) noexcept { return a = a & b; }
constexpr flags &operator^=(flags &a, flags b) noexcept { return a = a ^ b; }
// True if every flag of `wanted` is in `set`.
constexpr bool has(flags set, flags wanted) noexcept { return (set & wanted) == wanted; }

// No `[[nodiscard]]`: a host may free without asking, as with std::free.
enum class status : int {
    ok             = VMMA_OK,
    invalid        = VMMA_E_INVALID,
    no_memory      = VMMA_E_NO_MEMORY,
    limit          = VMMA_E_LIMIT,
    not_owned      = VMMA_E_NOT_OWNED,
    not_start      = VMMA_E_NOT_START,
    double_free    = VMMA_E_DOUBLE_FREE,
    overrun        = VMMA_E_OVERRUN,
    use_after_free = VMMA_E_USE_AFTER_FREE,
    corrupt        = VMMA_E_CORRUPT,
    busy           = VMMA_E_BUSY
};

inline const char *to_string(status s) noexcept { return vmma_status_string(static_cast<int>(s)); }

enum class dump_format : int { text = VMMA_DUMP_TEXT, json = VMMA_DUMP_JSON, svg = VMMA_DUMP_SVG };

using stats = vmma_stats_t;

class client_ref;
class client;
class context;

// ---------------------------------------------------------------- what callables need

namespace detail {

[[noreturn]] inline void out_of_memory() {
#if VMMA_HPP_EXCEPTIONS
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

[[noreturn]] inline void too_long() {
#if VMMA_HPP_EXCEPTIONS
    throw std::bad_array_new_length();
#else
    std::abort();
#endif
}

// Keeps what a callable threw until the C call is over.
class pending {
  public:
    // Runs `body`, which must not let anything but its result out; `stopped` is the result if it threw.
    template <class R, class Body>
    R run(R stopped, Body &&body) noexcept {
#if VMMA_HPP_EXCEPTIONS
        try {
            return body();
        } catch (...) {
            while (taken_.test_and_set(std::memory_order_acquire)) {} // with THREADS two may throw at once
            if (!what_) what_ = std::current_exception();              // the first one tells the cause
            taken_.clear(std::memory_order_release);
            return stopped;
        }
#else
        (void)stopped;
        return body();
#endif
    }

    bool empty() const noexcept { return what_ == nullptr; }

    void rethrow() {
#if VMMA_HPP_EXCEPTIONS
        if (what_) std::rethrow_exception(std::exchange(what_, nullptr));
#endif
    }

    std::exception_ptr take() noexcept { return std::exchange(what_, nullptr); }

  private:
    std::exception_ptr what_;
    std::atomic_flag taken_ = ATOMIC_FLAG_INIT;
};

constexpr int stop_code = 1;

// A visitor returns nothing (go on) or an int (non-zero stops). A bool would leave open
// whether true means "go on" or "stop", so it does not compile.
template <class F, class... Args>
int visit(F &f, Args &&...args) {
    using result = std::invoke_result_t<F &, Args...>;
    static_assert(std::is_void_v<result> || (std::is_integral_v<result> && !std::is_same_v<result, bool>),
                  "a visitor returns void, or an int of which non-zero stops the walk");
    if constexpr (std::is_void_v<result>) {
        f(std::forward<Args>(args)...);
        return 0;
    } else {
        const result said = f(std::forward<Args>(args)...);
        const int cut = static_cast<int>(said);
        return cut == 0 && said != 0 ? stop_code : cut;
    }
}

template <class F>
struct call_frame {
    F &f;
    pending thrown;
    explicit call_frame(F &callable) : f(callable), thrown() {}
};

// A handler's callable, where the library's C side may call it: it outlives the handler's owner if it has to.
template <class F>
struct kept {
    F f;
    pending thrown;
    explicit kept(F callable) : f(std::move(callable)), thrown() {}
};

} // namespace detail

// ---------------------------------------------------------------- a client, not owned

class client_ref {
  public:
    constexpr client_ref() noexcept = default;
    constexpr client_ref(vmma_client_t *handle) noexcept : handle_(handle) {}

    vmma_client_t *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    friend bool operator==(const client_ref &a, const client_ref &b) noexcept { return a.handle_ == b.handle_; }
    friend bool operator!=(const client_ref &a, const client_ref &b) noexcept { return a.handle_ != b.handle_; }

    // Memory. nullptr on failure, as in C; last_status() has the reason.
    [[nodiscard]] void *alloc(std::size_t size) const noexcept { return vmma_alloc(handle_, size); }
    [[nodiscard]] void *calloc(std::size_t count, std::size_t size) const noexcept { return vmma_calloc(handle_, count, size); }
    [[nodiscard]] void *realloc(void *ptr, std::size_t size) const noexcept { return vmma_realloc(handle_, ptr, size); }
    [[nodiscard]] void *aligned_alloc(std::size_t alignment, std::size_t size) const noexcept {
        return vmma_aligned_alloc(handle_, alignment, size);
    }
    status free(void *ptr) const noexcept { return status(vmma_free(handle_, ptr)); }
    status reset() const noexcept { return status(vmma_reset_client(handle_)); }
    status trim() const noexcept { return status(vmma_trim_client(handle_)); }

    // Questions about an address: any address may be asked.
    bool owns(const void *address) const noexcept { return vmma_test_address(handle_, address) == 1; }
    std::size_t size_of(const void *ptr) const noexcept { return vmma_get_size(handle_, ptr); }
    void *find_allocation(const void *address, std::size_t *size = nullptr) const noexcept {
        return vmma_find_allocation(handle_, address, size);
    }

    // Limits.
    status set_limit(std::size_t bytes) const noexcept { return status(vmma_set_limit(handle_, bytes)); }
    std::size_t limit() const noexcept { return vmma_get_limit(handle_); }
    status set_guarantee(std::size_t bytes) const noexcept { return status(vmma_set_guarantee(handle_, bytes)); }
    std::size_t guarantee() const noexcept { return vmma_get_guarantee(handle_); }
    std::size_t max_alloc() const noexcept { return vmma_get_max_alloc(handle_); }
    status last_status() const noexcept { return status(vmma_get_last_status(handle_)); }

    // What the host calls it.
    status set_name(const char *name) const noexcept { return status(vmma_set_name(handle_, name)); }
    const char *name() const noexcept {
        const char *text = vmma_get_name(handle_);
        return text != nullptr ? text : "";
    }
    void set_user_data(void *data) const noexcept { vmma_set_user_data(handle_, data); }
    void *user_data() const noexcept { return vmma_get_user_data(handle_); }

    // Looking inside.
    vmma_context_t *context_handle() const noexcept { return vmma_get_context(handle_); }
    std::size_t held_size() const noexcept { return vmma_get_held_size(handle_); }
    std::size_t peak_held_size() const noexcept { return vmma_get_peak_held_size(handle_); }
    status get_stats(vmma::stats &out) const noexcept {
        out = vmma::stats{};
        out.struct_size = sizeof out;
        return status(vmma_populate_client_stats(handle_, &out));
    }
    status check() const noexcept { return status(vmma_check_client(handle_)); }

    // visit(void *allocation, std::size_t size), in address order. The result is 0, the visitor's
    // non-zero value, or a negative vmma_status. What the visitor throws arrives at the caller.
    template <class F>
    int walk(F &&visit) const {
        using callable = std::remove_reference_t<F>;
        detail::call_frame<callable> frame(visit);
        const int result = vmma_walk_allocations(handle_, &walk_step<callable>, &frame);
        frame.thrown.rethrow();
        return result;
    }

  protected:
    vmma_client_t *handle_ = nullptr;

  private:
    template <class F>
    static int walk_step(vmma_client_t *, void *allocation, std::size_t size, void *user) noexcept {
        auto &frame = *static_cast<detail::call_frame<F> *>(user);
        return frame.thrown.run(detail::stop_code, [&] { return detail::visit(frame.f, allocation, size); });
    }
};

// ---------------------------------------------------------------- a client, owned

class client : public client_ref {
  public:
    constexpr client() noexcept = default;
    // Takes over a handle that C code made.
    explicit constexpr client(vmma_client_t *handle) noexcept : client_ref(handle) {}
    client(const client &) = delete;
    client &operator=(const client &) = delete;
    client(client &&other) noexcept : client_ref(other.release()) {}
    client &operator=(client &&other) noexcept {
        if (this != &other) {
            destroy();
            std::swap(handle_, other.handle_); // BUSY: what this one had ends with the other
        }
        return *this;
    }
    ~client() { destroy(); }

    // Everything that the client allocated is free again. BUSY leaves it alive, inside a callback.
    status destroy() noexcept {
        if (handle_ == nullptr) return status::ok;
        const status s = status(vmma_delete_client(handle_));
        if (s != status::busy) handle_ = nullptr;
        return s;
    }
    // Gives the handle up, undeleted.
    [[nodiscard]] vmma_client_t *release() noexcept { return std::exchange(handle_, nullptr); }
    client_ref ref() const noexcept { return *this; }
    friend void swap(client &a, client &b) noexcept { std::swap(a.handle_, b.handle_); }
};

// ---------------------------------------------------------------- a context, owned

struct options {
    vmma::flags flags = vmma::flags::none;
    std::size_t block_size = 0; // 0: the library chooses
    std::size_t alignment = 0;  // 0: 16
};

class context {
  public:
    constexpr context() noexcept = default;
    // Takes over a handle that C code made.
    explicit constexpr context(vmma_context_t *handle) noexcept : handle_(handle) {}
    context(const context &) = delete;
    context &operator=(const context &) = delete;
    context(context &&other) noexcept : handle_(other.release()) {}
    context &operator=(context &&other) noexcept {
        // What this one had ends with the other: a client that stands beside it is assigned after it, and ends before.
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~context() { destroy(); }

    // The library maps `size` bytes itself, committed lazily.
    [[nodiscard]] static context map(std::size_t size, const options &o = {}) noexcept {
        return context(vmma_create_context(nullptr, size, o.alignment, o.block_size, bits(o.flags)));
    }
    // Over memory of the caller, which outlives the context. Null memory gives an empty context, not a mapped one.
    [[nodiscard]] static context over(void *memory, std::size_t size, const options &o = {}) noexcept {
        if (memory == nullptr) {
            errno = EINVAL;
            return context();
        }
        return context(vmma_create_context(memory, size, o.alignment, o.block_size, bits(o.flags)));
    }
    [[nodiscard]] static std::size_t required_size(std::size_t usable, const options &o = {}) noexcept {
        return vmma_get_required_size(usable, o.alignment, o.block_size, bits(o.flags));
    }
    [[nodiscard]] static flags supported_flags() noexcept { return flags(vmma_get_supported_flags()); }

    vmma_context_t *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    [[nodiscard]] vmma_context_t *release() noexcept { return std::exchange(handle_, nullptr); }
    friend void swap(context &a, context &b) noexcept { std::swap(a.handle_, b.handle_); }

    // With all its clients. BUSY leaves it alive, inside a callback.
    status destroy() noexcept {
        if (handle_ == nullptr) return status::ok;
        const status s = status(vmma_delete_context(handle_));
        if (s != status::busy) handle_ = nullptr;
        return s;
    }

    [[nodiscard]] client create_client(const char *name = nullptr) const noexcept {
        client c(vmma_create_client(handle_));
        if (c && name != nullptr) c.set_name(name);
        return c;
    }
    client_ref find_client(const void *address) const noexcept { return client_ref(vmma_find_client(handle_, address)); }

    flags accepted_flags() const noexcept { return flags(vmma_get_accepted_flags(handle_)); }
    std::size_t total_size() const noexcept { return vmma_get_total_size(handle_); }
    std::size_t alignment() const noexcept { return vmma_get_alignment(handle_); }
    std::size_t block_size() const noexcept { return vmma_get_block_size(handle_); }
    std::size_t total_blocks() const noexcept { return vmma_get_total_blocks(handle_); }
    std::size_t free_blocks() const noexcept { return vmma_get_free_blocks(handle_); }
    std::size_t peak_blocks() const noexcept { return vmma_get_peak_blocks(handle_); }
    std::size_t client_count() const noexcept { return vmma_get_client_count(handle_); }
    std::size_t good_size(std::size_t size) const noexcept { return vmma_get_good_size(handle_, size); }
    std::size_t cached_blocks() const noexcept { return vmma_populate_cached_blocks(handle_); }
    status get_stats(vmma::stats &out) const noexcept {
        out = vmma::stats{};
        out.struct_size = sizeof out;
        return status(vmma_populate_context_stats(handle_, &out));
    }
    status trim() const noexcept { return status(vmma_trim_context(handle_)); }
    status check() const noexcept { return status(vmma_check_context(handle_)); }

    // visit(vmma::client_ref); results as in client_ref::walk.
    template <class F>
    int walk_clients(F &&visit) const {
        using callable = std::remove_reference_t<F>;
        detail::call_frame<callable> frame(visit);
        const int result = vmma_walk_clients(handle_, &walk_step<callable>, &frame);
        frame.thrown.rethrow();
        return result;
    }

    // write(std::string_view), piece by piece; results as in client_ref::walk.
    template <class F, class = std::enable_if_t<std::is_invocable_v<F &, std::string_view>>>
    int dump(dump_format format, F &&write) const {
        using callable = std::remove_reference_t<F>;
        detail::call_frame<callable> frame(write);
        const int result = vmma_dump(handle_, static_cast<int>(format), &write_step<callable>, &frame);
        frame.thrown.rethrow();
        return result;
    }
    // The whole dump; empty if it cannot be made.
    std::string dump(dump_format format = dump_format::text) const {
        std::string text;
        if (dump(format, [&text](std::string_view piece) { text.append(piece); }) != 0) text.clear();
        return text;
    }

  private:
    vmma_context_t *handle_ = nullptr;

    template <class F>
    static int walk_step(vmma_client_t *handle, void *user) noexcept {
        auto &frame = *static_cast<detail::call_frame<F> *>(user);
        return frame.thrown.run(detail::stop_code, [&] { return detail::visit(frame.f, client_ref(handle)); });
    }
    template <class F>
    static int write_step(const char *text, std::size_t length, void *user) noexcept {
        auto &frame = *static_cast<detail::call_frame<F> *>(user);
        return frame.thrown.run(detail::stop_code, [&] { return detail::visit(frame.f, std::string_view(text, length)); });
    }
};

// ---------------------------------------------------------------- handlers

// bool f(vmma::client_ref, std::size_t size, vmma::status reason): true tries again, false lets the
// allocation fail. The call may come from C code (a Lua state), through which nothing can be thrown:
// what f throws makes the allocation fail and is kept; rethrow() throws it where the host can take it.
// f does not destroy its own handler. The end of a handler leaves the client without one, whatever it had before.
template <class F>
class oom_handler {
  public:
    oom_handler(client_ref on, F f) : on_(on), kept_(new detail::kept<F>(std::move(f))) {
        if (vmma_set_oom_handler(on_.get(), &step, kept_.get()) != VMMA_OK) on_ = client_ref(); // refused: nothing to remove
    }
    // In a callback that forbids it the handler stays; so does what it calls.
    ~oom_handler() {
        if (vmma_set_oom_handler(on_.get(), nullptr, nullptr) == VMMA_E_BUSY) (void)kept_.release();
    }
    oom_handler(const oom_handler &) = delete;
    oom_handler &operator=(const oom_handler &) = delete;

    bool threw() const noexcept { return !kept_->thrown.empty(); }
    void rethrow() { kept_->thrown.rethrow(); }
    std::exception_ptr take() noexcept { return kept_->thrown.take(); }

  private:
    static int step(vmma_client_t *handle, std::size_t size, int reason, void *user) noexcept {
        auto &kept = *static_cast<detail::kept<F> *>(user);
        return kept.thrown.run(0, [&] { return kept.f(client_ref(handle), size, status(reason)) ? 1 : 0; });
    }
    client_ref on_;
    std::unique_ptr<detail::kept<F>> kept_;
};

// void f(const vmma_error_t &). What f throws is kept, as above.
template <class F>
class error_handler {
  public:
    error_handler(const context &on, F f) : on_(on.get()), kept_(new detail::kept<F>(std::move(f))) {
        if (vmma_set_error_handler(on_, &step, kept_.get()) != VMMA_OK) on_ = nullptr; // refused: nothing to remove
    }
    ~error_handler() {
        if (vmma_set_error_handler(on_, nullptr, nullptr) == VMMA_E_BUSY) (void)kept_.release(); // as above
    }
    error_handler(const error_handler &) = delete;
    error_handler &operator=(const error_handler &) = delete;

    bool threw() const noexcept { return !kept_->thrown.empty(); }
    void rethrow() { kept_->thrown.rethrow(); }
    std::exception_ptr take() noexcept { return kept_->thrown.take(); }

  private:
    static void step(vmma_context_t *, const vmma_error_t *error, void *user) noexcept {
        auto &kept = *static_cast<detail::kept<F> *>(user);
        kept.thrown.run(0, [&] { kept.f(*error); return 0; });
    }
    vmma_context_t *on_;
    std::unique_ptr<detail::kept<F>> kept_;
};

// ---------------------------------------------------------------- the standard interfaces

namespace detail {

// 8 is the smallest alignment that a context can have, so what needs no more never asks.
inline void *allocate(client_ref from, std::size_t bytes, std::size_t alignment) {
    void *p = alignment <= 8 || alignment <= vmma_get_alignment(from.context_handle()) ? from.alloc(bytes)
                                                                                      : from.aligned_alloc(alignment, bytes);
    if (p == nullptr) out_of_memory();
    return p;
}

} // namespace detail

#if VMMA_HPP_PMR
// Equal to another one exactly if both stand over the same client. (Without run-time type
// information a resource is equal to itself only, which is always right, if stricter.)
class memory_resource : public std::pmr::memory_resource {
  public:
    explicit memory_resource(client_ref from) noexcept : from_(from) {}
    client_ref get_client() const noexcept { return from_; }

  private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override { return detail::allocate(from_, bytes, alignment); }
    // A refused free has no way out of here; vmma::error_handler is told of it.
    void do_deallocate(void *p, std::size_t, std::size_t) override { from_.free(p); }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
        if (this == &other) return true;
#if VMMA_HPP_RTTI
        const auto *same = dynamic_cast<const vmma::memory_resource *>(&other);
        return same != nullptr && same->from_ == from_;
#else
        return false;
#endif
    }

    client_ref from_;
};
#endif

// A container that is moved or swapped takes its client with it; one that is copied copies into
// the client of its source, and one that is assigned to stays in its own.
template <class T>
class allocator {
  public:
    using value_type = T;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using propagate_on_container_copy_assignment = std::false_type;
    using is_always_equal = std::false_type;

    allocator(client_ref from) noexcept : from_(from) {}
    template <class U>
    allocator(const allocator<U> &other) noexcept : from_(other.get_client()) {}

    [[nodiscard]] T *allocate(std::size_t n) {
        if (n > std::numeric_limits<std::size_t>::max() / sizeof(T)) detail::too_long();
        return static_cast<T *>(detail::allocate(from_, n * sizeof(T), alignof(T)));
    }
    void deallocate(T *p, std::size_t) noexcept { from_.free(p); }
    client_ref get_client() const noexcept { return from_; }

    template <class U>
    friend bool operator==(const allocator &a, const allocator<U> &b) noexcept {
        return a.get_client() == b.get_client();
    }
    template <class U>
    friend bool operator!=(const allocator &a, const allocator<U> &b) noexcept {
        return a.get_client() != b.get_client();
    }

  private:
    client_ref from_;
};

} // namespace vmma

#endif
