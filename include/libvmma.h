/*
 * libvmma.h: isolated heaps for virtual machines, inside one block of memory.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Made from src/ffi.rs by cbindgen. Change it there.
 *
 * Words
 *   context     one memory block under management
 *   block       the unit, block_size bytes, in which a context deals its memory out
 *   run         neighbouring blocks that serve one large allocation
 *   client      an isolated heap inside a context
 *   allocation  what vmma_alloc returned and vmma_free has not yet taken back
 *   held        blocks in a client's hands, cached and quarantined memory included
 * Sizes are bytes unless a name says _blocks or _count.
 *
 * Results
 *   A function that returns int returns a vmma_status if nothing else is said. A function that allocates
 *   or creates returns NULL when it fails and sets errno: EINVAL, ENOMEM (VMMA_E_NO_MEMORY and
 *   VMMA_E_LIMIT) or EBUSY. errno is left alone otherwise, also by vmma_free. NULL or a dead handle gives
 *   VMMA_E_INVALID, 0 or NULL, whatever the type of the result (0 from vmma_test_address), and is looked at
 *   before all else; VMMA_E_BUSY comes next.
 *
 * Threads
 *   Without VMMA_FLAG_THREADS one thread at a time may be inside the whole context. With it, each
 *   function below says which rule it follows:
 *   any     any thread at any time.
 *   client  one thread at a time on one client; the caller orders the hand-over from thread to thread.
 *           With VMMA_FLAG_SHARED_CLIENTS any number of threads.
 *   quiet   no other thread may be inside a call on the context. With VMMA_FLAG_SHARED_CLIENTS others
 *           may: the clients are locked one after another, so the answer is not one instant's.
 *   alone   no other thread may be inside a call on the context, whatever the flags.
 *   A client must not be deleted while another thread uses it. After fork() the child may use a context
 *   if no other thread was inside a call on it.
 *
 * Callbacks
 *   They return: no longjmp and no C++ exception may leave them. No lock is held while one runs. Inside
 *   the callbacks of walks, dump and the error handler questions are allowed, and changes to the client that
 *   is walked, or whose misuse is told, are refused: VMMA_E_BUSY, or NULL with EBUSY. In calls on the whole
 *   context (vmma_walk_clients, vmma_dump, vmma_check_context, vmma_trim_context) changes to all clients are,
 *   and vmma_create_client. vmma_delete_context and vmma_trim_context are always refused there.
 *
 * Functions marked (0.4.0) carry names that the original libvmma 0.4.0 documents.
 */


#ifndef LIBVMMA_H
#define LIBVMMA_H

#include <stddef.h>
#include <stdint.h>

/** Changes when programs must be changed. */
#define VMMA_VERSION_MAJOR 0

/** Changes when something is added. */
#define VMMA_VERSION_MINOR 5

/** Changes when something is mended. */
#define VMMA_VERSION_PATCH 0

/** The version of this header as one number. vmma_get_version tells the library's. */
#define VMMA_VERSION ((VMMA_VERSION_MAJOR << 16) | (VMMA_VERSION_MINOR << 8) | VMMA_VERSION_PATCH)

/** Different clients of the context may be used from different threads at the same time. */
#define VMMA_FLAG_THREADS 0x0001U

/** One client may be used by several threads at the same time. Brings VMMA_FLAG_THREADS with it. */
#define VMMA_FLAG_SHARED_CLIENTS 0x0002U

/**
 * All vmma_get_size bytes of a new allocation are zero. vmma_realloc zeroes from the old to the new
 * vmma_get_size.
 */
#define VMMA_FLAG_ZERO 0x0004U

/**
 * Memory is zeroed when it is freed, also what a shrink or a move leaves, and all of a client's memory when
 * it is deleted or reset. Nothing leaks to the next owner.
 */
#define VMMA_FLAG_WIPE 0x0008U

/**
 * A red zone of at least 8 bytes behind every allocation, from the requested size on. Up to its first 128
 * bytes are filled, and looked at by vmma_free, vmma_realloc and the check functions. An allocation takes
 * the place of one that is 8 bytes larger: one of 64 bytes that of 72, which is 128 without VMMA_FLAG_PACKED.
 */
#define VMMA_FLAG_GUARD 0x0010U

/**
 * Freed memory is filled with a pattern and kept out of use for a while, first in first out: at most half
 * of what the client holds, and at most two allocations per KiB of the block size (but 8 to 512 of them). A
 * write into it is found when it leaves, or by the check functions; the call that finds it tells the error
 * handler and keeps its own result. With VMMA_FLAG_WIPE it is zeroed when it leaves. There are no caches. (A
 * client that holds nothing but allocations of more than a block has no quarantine.)
 */
#define VMMA_FLAG_QUARANTINE 0x0020U

/**
 * Sizes are rounded up to the context's alignment and no further: least waste, but allocations are then only
 * aligned to that, and calls take longer.
 */
#define VMMA_FLAG_PACKED 0x0040U

/**
 * Freed memory is merged with its buddy at once: no caches, no kept blocks, a small bounded worst case for
 * every call. (A request above a block searches for a run: at most the number of blocks / 64 steps more. With
 * VMMA_FLAG_PACKED it looks at up to 4096 blocks too, and one that fails at all of them. A block that is taken
 * has its records cleared, and with VMMA_FLAG_PACKED the records of a few dozen blocks may be searched: both grow with
 * the block size.)
 */
#define VMMA_FLAG_NO_CACHE 0x0080U

/**
 * The pages of blocks that become free go back to the operating system, many at a time: an eighth of what is in use, a 64th
 * of what ever was and 256 KiB may wait, until vmma_trim_context. For private anonymous memory; nothing below a page
 * goes back.
 */
#define VMMA_FLAG_RELEASE 0x0100U

/** Misuse prints one line to stderr and aborts, in place of returning a status. */
#define VMMA_FLAG_ABORT 0x0200U

/**
 * What functions that return int return. Failures are negative; a visitor's or writer's own non-zero result
 * is passed through, so let them use positive numbers.
 */
enum vmma_status {
    /** Done. */
    VMMA_OK = 0,
    /** NULL or dead handle, or a bad parameter. */
    VMMA_E_INVALID = -1,
    /** The context is exhausted. */
    VMMA_E_NO_MEMORY = -2,
    /** The client's own limit is reached. */
    VMMA_E_LIMIT = -3,
    /** The address is not in a block of this client. */
    VMMA_E_NOT_OWNED = -4,
    /**
     * Inside a live allocation of this client (or its red zone), or in one of its blocks but not at a multiple
     * of the context's alignment.
     */
    VMMA_E_NOT_START = -5,
    /** In a block of this client and aligned, but inside no live allocation: freed already. */
    VMMA_E_DOUBLE_FREE = -6,
    /** The red zone behind an allocation was written. */
    VMMA_E_OVERRUN = -7,
    /** Quarantined memory was written. */
    VMMA_E_USE_AFTER_FREE = -8,
    /** The library's own records do not add up. */
    VMMA_E_CORRUPT = -9,
    /** Called from inside a callback that forbids it. */
    VMMA_E_BUSY = -10
};

/** The formats of vmma_dump. */
enum vmma_dump_format {
    /** Tables for a person at a terminal. */
    VMMA_DUMP_TEXT = 0,
    /** One JSON object. */
    VMMA_DUMP_JSON = 1,
    /** A map of the heap: one well-formed SVG document. */
    VMMA_DUMP_SVG = 2
};

/** A client. Opaque; lives inside the memory block. */
struct vmma_client;

/** A context. Opaque; lives inside the memory block. */
struct vmma_context;

/** The handle of a context. It need not equal the block's address. */
typedef struct vmma_context vmma_context_t;

/**
 * A set of VMMA_FLAG_ values. A flag that the library does not know, or was built without, is not an error:
 * it is left out, and vmma_get_accepted_flags tells.
 */
typedef uint32_t vmma_flags_t;

/**
 * The handle of a client. It is dead once the client is deleted, and stays detectably dead until its slot
 * goes to a new client.
 */
typedef struct vmma_client vmma_client_t;

/**
 * Called before an allocation of `size` bytes fails; `reason` is VMMA_E_LIMIT or VMMA_E_NO_MEMORY. Returns
 * non-zero to try again, 0 to let it fail. See vmma_set_oom_handler.
 */
typedef int (*vmma_oom_fn)(vmma_client_t *client, size_t size, int reason, void *user);

/**
 * Figures of a client, or of a whole context, taken by a walk. Set struct_size before the call.
 *
 * held_size is live_size + cached_size + free_size; with VMMA_FLAG_GUARD it is more by the red zones.
 */
struct vmma_stats {
    /**
     * In: sizeof(vmma_stats_t). Fields wholly inside it are written, bytes beyond those that the library
     * knows are zeroed, struct_size itself stays.
     */
    size_t struct_size;
    /** Bytes held by the client, or by all clients. */
    size_t held_size;
    /** Allocations. */
    size_t live_count;
    /** Sum of their vmma_get_size. */
    size_t live_size;
    /** Freed and kept for the next request of its size, or in quarantine. */
    size_t cached_size;
    /** Held blocks with nothing live in them. */
    size_t cached_blocks;
    /** Free inside held blocks; cached_size is not counted. */
    size_t free_size;
    /** The largest allocation that the held blocks could serve. */
    size_t largest_free;
    /** The library's own records for it. */
    size_t overhead_size;
    /** Allocations that failed. */
    size_t failed_count;
    /** The biggest request among those. */
    size_t largest_failed;
};

/** See struct vmma_stats. */
typedef struct vmma_stats vmma_stats_t;

/**
 * Visits one live allocation; `size` is its vmma_get_size. Non-zero stops the walk and is returned by it.
 */
typedef int (*vmma_visit_allocation_fn)(vmma_client_t *client, void *allocation, size_t size,
                                        void *user);

/** Visits one client. Non-zero stops the walk and is returned by it. */
typedef int (*vmma_visit_client_fn)(vmma_client_t *client, void *user);

/** Takes the next `length` bytes of a dump; `text` is not terminated. Non-zero stops and is returned. */
typedef int (*vmma_write_fn)(const char *text, size_t length, void *user);

/** What the error handler is told of a misuse. It lives until the handler returns. */
struct vmma_error {
    /** The size of this struct as the library knows it. */
    size_t struct_size;
    /** A vmma_status. */
    int status;
    /** The client that was called; NULL if unknown. */
    vmma_client_t *client;
    /** The address as passed. For VMMA_E_OVERRUN and VMMA_E_USE_AFTER_FREE the first changed byte. */
    const void *address;
    /** The live allocation concerned, NULL if none. */
    void *allocation;
    /** Its size, 0 if none. */
    size_t size;
};

/** See struct vmma_error. */
typedef struct vmma_error vmma_error_t;

/** Told of each misuse in a context. See vmma_set_error_handler. */
typedef void (*vmma_error_fn)(vmma_context_t *context, const vmma_error_t *error, void *user);

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * Tells the version of the library that runs, in the form of VMMA_VERSION.
 *
 * Cost: constant. Threads: any.
 */
uint32_t vmma_get_version(void);

/**
 * Tells the version of the library that runs as text, such as "0.5.0".
 *
 * Returns static text, never NULL.
 *
 * Cost: constant. Threads: any.
 */
const char *vmma_get_version_string(void);

/**
 * Says a status in words. Any number may be asked.
 *
 * Returns static text, never NULL.
 *
 * Cost: constant. Threads: any.
 */
const char *vmma_status_string(int status);

/**
 * Puts a context over a block of memory. (0.4.0)
 *
 * `memory` may have any address, alignment and content. The context uses it until vmma_delete_context; the
 * library touches nothing outside [memory, memory + size) and allocates nothing anywhere else. NULL makes
 * the library map `size` bytes itself, committed lazily and unmapped by vmma_delete_context. On systems that
 * give large pages to whoever asks, it asks for blocks of up to 256 KiB, but not in the first 2 MiB of a context
 * below 256 MiB, and never with VMMA_FLAG_RELEASE or VMMA_FLAG_NO_CACHE.
 *
 * `size` in bytes: the library's records and at least one block must fit. See vmma_get_required_size. Of more than
 * 4 TiB only so much is used.
 *
 * `alignment` of every allocation in bytes: a power of two from 8 to 4096, or 0 for 16.
 *
 * `block_size` in bytes: a power of two from 1 KiB to 1 GiB and at least 16 x alignment. 0 takes the largest
 * power of two up to 64 KiB that leaves at least 16 free blocks, but no less than 1 KiB and 16 x alignment.
 *
 * `flags`: any set of VMMA_FLAG_ values; unknown ones are left out. See vmma_get_accepted_flags.
 *
 * Returns the context, or NULL with errno set.
 *
 * Fails if and only if `alignment` or `block_size` is another value or memory + size wraps around (EINVAL),
 * or `size` is too small or cannot be mapped (ENOMEM).
 *
 * Owner: given memory stays the caller's and must outlive the context. Cost: does not grow with the memory
 * given, except for the records that must be cleared. Threads: any.
 */
vmma_context_t *vmma_create_context(void *memory, size_t size, size_t alignment, size_t block_size,
                                    vmma_flags_t flags);

/**
 * Deletes a context with all its clients and all that they allocated.
 *
 * Mapped memory is unmapped. Given memory is the caller's alone again; handles into it are detected as dead
 * as long as it is untouched. Handles into mapped memory must not be used again.
 *
 * Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or the call comes from inside a callback
 * of a walk, dump, error handler or out-of-memory handler of this context (VMMA_E_BUSY).
 *
 * Cost: a look at each client slot; with VMMA_FLAG_WIPE the memory held. Threads: alone.
 */
int vmma_delete_context(vmma_context_t *context);

/**
 * Tells how large a memory block must be for one client to hold `usable` bytes.
 *
 * The parameters after `usable` are those of vmma_create_context. Any memory of at least the
 * result's size, at any address, makes a context whose free blocks hold `usable` bytes right after its creation;
 * of no smaller result would that be true. The records of the first four clients are included.
 *
 * Returns bytes; 0 if it is impossible or a parameter is bad.
 *
 * Cost: arithmetic only. Threads: any.
 */
size_t vmma_get_required_size(size_t usable, size_t alignment, size_t block_size,
                              vmma_flags_t flags);

/**
 * Tells which flags this build of the library knows. (0.4.0)
 *
 * Cost: constant. Threads: any.
 */
vmma_flags_t vmma_get_supported_flags(void);

/**
 * Tells which flags are in force in a context, implied ones included. (0.4.0)
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
vmma_flags_t vmma_get_accepted_flags(const vmma_context_t *context);

/**
 * Tells the size of the memory block in bytes, as given at creation. (0.4.0)
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_total_size(const vmma_context_t *context);

/**
 * Tells the alignment in bytes that every allocation has at least.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_alignment(const vmma_context_t *context);

/**
 * Tells the size of a block in bytes.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_block_size(const vmma_context_t *context);

/**
 * Tells how many blocks there are: free, held, set aside by guarantees, and those of the library's records.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_total_blocks(const vmma_context_t *context);

/**
 * Tells how many blocks any client may still take. Blocks set aside and not yet held are left out.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_free_blocks(const vmma_context_t *context);

/**
 * Tells the most blocks that all clients together have ever held.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_peak_blocks(const vmma_context_t *context);

/**
 * Tells how many clients there are.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_client_count(const vmma_context_t *context);

/**
 * Counts the blocks that clients keep although nothing in them is live. (0.4.0)
 *
 * vmma_trim_context would give them back. With VMMA_FLAG_NO_CACHE there are none, unless
 * VMMA_FLAG_QUARANTINE keeps some.
 *
 * Returns 0 if `context` is NULL or dead.
 *
 * Cost: a walk over the blocks. Threads: quiet.
 */
size_t vmma_populate_cached_blocks(vmma_context_t *context);

/**
 * Tells what vmma_get_size would say of a new allocation of `size` bytes.
 *
 * Returns 0 if such an allocation can never succeed in this context, or `context` is NULL or dead.
 *
 * Cost: constant. Threads: any.
 */
size_t vmma_get_good_size(const vmma_context_t *context, size_t size);

/**
 * Gives every client's empty blocks, caches and quarantine back to the context.
 *
 * Quarantined memory that was written is reported to the error handler; the result stays the same.
 *
 * Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or the call comes from inside a callback
 * of a walk, dump or error handler (VMMA_E_BUSY).
 *
 * Cost: vmma_trim_client for each client. Threads: quiet.
 */
int vmma_trim_context(vmma_context_t *context);

/**
 * Creates a client: an empty heap of its own. (0.4.0)
 *
 * It has no limit, guarantee, name, user data or handler, and holds no block until it allocates.
 *
 * Returns the client, or NULL with errno set.
 *
 * Fails if and only if `context` is NULL or dead (EINVAL), no slot is free and there is no room for more, or there are 2^23
 * (ENOMEM), or a callback of a call on the whole context is running (EBUSY).
 *
 * Slots lie side by side, those behind the first four in blocks at the far end of the memory. The next such block has
 * to be free, whatever else is: a client that got it when all memory was in use holds up new slots for as long as it keeps it. A
 * host that will need many clients makes that many first and deletes them: their slots stay.
 *
 * Owner: the slots stay the library's as long as the context lives; no client's memory ever lies there. Cost:
 * constant, now and then the making of more slots. Once there have been 2^24 clients and resets, one after every 16384 looks
 * at all clients and records for numbers that are free; one after 2^24 / N, if that is less, with N clients that
 * stay. Threads: any.
 */
vmma_client_t *vmma_create_client(vmma_context_t *context);

/**
 * Deletes a client. All that it allocated is free again, whatever was leaked. (0.4.0)
 *
 * The handle is dead from now on. Nothing is checked: red zones and quarantine are dropped unread.
 *
 * Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or the call comes from inside its own
 * out-of-memory handler, or from a callback of a walk, dump or error handler that forbids it (VMMA_E_BUSY).
 *
 * Cost: the blocks held, not the allocations; with VMMA_FLAG_WIPE or VMMA_FLAG_RELEASE the memory held.
 * Threads: client; no other thread may use it any more, whatever the flags, nor be in a call on the whole context.
 */
int vmma_delete_client(vmma_client_t *client);

/**
 * Frees all that a client allocated and keeps the client.
 *
 * Limit, guarantee, name, user data and handler stay. Peaks, counts and the last status start again.
 *
 * Fails as vmma_delete_client does.
 *
 * Cost: as vmma_delete_client; and see vmma_create_client. Threads: client.
 */
int vmma_reset_client(vmma_client_t *client);

/**
 * Gives a client's empty blocks, caches and quarantine back to the context. Live allocations stay.
 *
 * Quarantined memory that was written is reported to the error handler; the result stays the same.
 *
 * Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
 *
 * Cost: what is cached and in quarantine. Threads: client.
 */
int vmma_trim_client(vmma_client_t *client);

/**
 * Allocates at least `size` bytes. (0.4.0)
 *
 * 0 means 1. The content is not set, unless VMMA_FLAG_ZERO. Without VMMA_FLAG_PACKED the address is
 * aligned to `size` rounded up to a power of two, at most the block size; with it, to the context's alignment.
 * Requests above a block get a run of blocks and are aligned to the block size.
 *
 * Returns the allocation, or NULL with errno set; the exact reason is in vmma_get_last_status.
 *
 * Fails if and only if `client` is NULL or dead (EINVAL), the limit or the context's memory does not allow it
 * even after the out-of-memory handler (ENOMEM), or a callback forbids it (EBUSY).
 * (Without VMMA_FLAG_PACKED a request below 1 KiB takes 8 KiB for cells of its size if none is free: vmma_set_limit.)
 *
 * Owner: the client; until vmma_free, or until the client is reset or deleted. The library keeps no records
 * in or next to it. Cost: a few table reads and writes as a rule; above a block a search for a run, and a few for each of
 * its blocks.
 * Threads: client.
 */
void *vmma_alloc(vmma_client_t *client, size_t size);

/**
 * Allocates count x size bytes, all zero.
 *
 * Returns and fails as vmma_alloc does; a product that overflows fails with ENOMEM.
 *
 * Cost: vmma_alloc and the zeroing. Threads: client.
 */
void *vmma_calloc(vmma_client_t *client, size_t count, size_t size);

/**
 * Changes the size of an allocation, in place where it can, else by moving the content.
 *
 * `ptr` NULL is vmma_alloc. `size` 0 means 1. The result is aligned as vmma_alloc would align it, not as
 * vmma_aligned_alloc did. If the red zone was written (VMMA_FLAG_GUARD) that is reported, to the error
 * handler and as last status, and the call goes on.
 *
 * Returns the allocation, perhaps at another address, or NULL with errno set; then `ptr` is as it was.
 *
 * Fails if and only if vmma_alloc would, or `ptr` is not NULL and not the start of a live allocation of this
 * client (EINVAL; the last status says which misuse). So a shrink of a live allocation never fails.
 *
 * Cost: constant in place; a move costs vmma_alloc, vmma_free and the copy. Threads: client.
 */
void *vmma_realloc(vmma_client_t *client, void *ptr, size_t size);

/**
 * Allocates at least `size` bytes at a multiple of `alignment`.
 *
 * `alignment` in bytes: a power of two up to the block size. `size` may be any; 0 means 1.
 *
 * Returns and fails as vmma_alloc does; another `alignment` fails with EINVAL.
 *
 * Cost: as vmma_alloc. Threads: client.
 */
void *vmma_aligned_alloc(vmma_client_t *client, size_t alignment, size_t size);

/**
 * Frees an allocation of this client. (0.4.0)
 *
 * `ptr` may be any address; it is looked up in tables, not dereferenced. NULL does nothing and is VMMA_OK.
 * errno is left alone.
 *
 * Returns VMMA_OK; VMMA_E_OVERRUN if the allocation is freed and its red zone was found written; else a
 * failure, and nothing has changed.
 *
 * Fails if and only if `client` is NULL or dead (VMMA_E_INVALID); a callback forbids it (VMMA_E_BUSY); `ptr`
 * lies inside a live allocation of this client or its red zone but not at its start, or in a block of this
 * client and is no multiple of the context's alignment (VMMA_E_NOT_START); lies in a block of this client, is
 * aligned and in no live allocation (VMMA_E_DOUBLE_FREE); or lies anywhere else (VMMA_E_NOT_OWNED).
 *
 * Cost: a few table reads and writes as a rule. Threads: client.
 */
int vmma_free(vmma_client_t *client, void *ptr);

/**
 * Serves as a lua_Alloc: pass the client as its ud.
 *
 * `nsize` 0 frees `ptr` and gives NULL; `ptr` NULL allocates; else the size is changed. `osize` is not used.
 *
 * Returns the memory, or NULL when it fails. A shrink never fails, as Lua demands.
 *
 * Cost: as vmma_alloc, vmma_realloc and vmma_free. Threads: client.
 */
void *vmma_lua_alloc(void *client, void *ptr, size_t osize, size_t nsize);

/**
 * Tells whether an address lies inside a live allocation of this client. (0.4.0)
 *
 * `address` may be any address, also inside an allocation; it is not dereferenced.
 *
 * Returns 1 if it does, else 0; 0 also if `client` is NULL or dead.
 *
 * Cost: a small fixed number of table reads. Threads: client.
 */
int vmma_test_address(const vmma_client_t *client, const void *address);

/**
 * Tells the real size of an allocation in bytes. (0.4.0)
 *
 * All of [ptr, ptr + result) may be used. With VMMA_FLAG_GUARD it is exactly the size asked for, else at
 * least that. `ptr` may be any address.
 *
 * Returns 0 if `ptr` is not the start of a live allocation of this client, or `client` is NULL or dead.
 *
 * Cost: a small fixed number of table reads. Threads: client.
 */
size_t vmma_get_size(const vmma_client_t *client, const void *ptr);

/**
 * Finds the live allocation of this client that holds an address.
 *
 * `address` may be any address. `size` may be NULL; else the allocation's vmma_get_size is stored there.
 *
 * Returns the start of the allocation; NULL if there is none, or `client` is NULL or dead. errno is left
 * alone.
 *
 * Cost: a small fixed number of table reads. Threads: client.
 */
void *vmma_find_allocation(const vmma_client_t *client, const void *address, size_t *size);

/**
 * Finds the client that owns the live allocation which holds an address.
 *
 * `address` may be any address.
 *
 * Returns the client; NULL if there is none, or `context` is NULL or dead. errno is left alone.
 *
 * Cost: a small fixed number of table reads. Threads: any; of memory that another thread is just freeing or
 * resizing it is a snapshot.
 */
vmma_client_t *vmma_find_client(const vmma_context_t *context, const void *address);

/**
 * Tells the context of a client.
 *
 * Returns NULL if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
vmma_context_t *vmma_get_context(const vmma_client_t *client);

/**
 * Names a client, for dumps and messages.
 *
 * `name` is copied, and cut to 31 bytes where a UTF-8 character ends. NULL clears it.
 *
 * Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
 *
 * Cost: constant. Threads: client.
 */
int vmma_set_name(vmma_client_t *client, const char *name);

/**
 * Tells a client's name.
 *
 * Returns the name, "" if none was set; valid until vmma_set_name or vmma_delete_client. NULL if `client` is
 * NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
const char *vmma_get_name(const vmma_client_t *client);

/**
 * Keeps a pointer of the caller's with a client. The library does not look at it.
 *
 * Does nothing if `client` is NULL or dead, or a callback forbids it.
 *
 * Cost: constant. Threads: client.
 */
void vmma_set_user_data(vmma_client_t *client, void *data);

/**
 * Tells the pointer that vmma_set_user_data left.
 *
 * Returns NULL if none was set, or `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
void *vmma_get_user_data(const vmma_client_t *client);

/**
 * Tells the newest failure on a client, like errno: success does not clear it.
 *
 * Returns VMMA_OK if nothing failed since creation or reset; VMMA_E_INVALID if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
int vmma_get_last_status(const vmma_client_t *client);

/**
 * Tells how many bytes of the context a client holds: blocks held x block size.
 *
 * Returns 0 if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
size_t vmma_get_held_size(const vmma_client_t *client);

/**
 * Tells the most bytes that a client has held since its creation or reset.
 *
 * Returns 0 if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
size_t vmma_get_peak_held_size(const vmma_client_t *client);

/**
 * Bounds what a client may hold.
 *
 * `bytes` of context memory, in effect rounded up to whole blocks; 0 is no limit. A limit below present use
 * is allowed: what is held stays, further growth fails. Without VMMA_FLAG_PACKED a client needs 8 KiB (a quarter
 * of a block below 32 KiB) for its first allocation of each power of two below 1 KiB. Limit and guarantee are compared
 * in bytes, before anything else. A request above a block that fails while more than the limit is held may cost as much as
 * vmma_get_max_alloc.
 *
 * Fails if and only if `client` is NULL or dead or the limit would be below the guarantee (VMMA_E_INVALID),
 * or a callback forbids it (VMMA_E_BUSY).
 *
 * Cost: constant. Threads: client.
 */
int vmma_set_limit(vmma_client_t *client, size_t bytes);

/**
 * Tells a client's limit in bytes as it was set; 0 is no limit.
 *
 * Returns 0 if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
size_t vmma_get_limit(const vmma_client_t *client);

/**
 * Sets blocks aside that no other client can take.
 *
 * `bytes` are rounded up to whole blocks; 0 gives them back. Blocks held count towards it. It holds for
 * requests up to a block; that the blocks are neighbours, as a run needs, is only certain while no client of the
 * context holds anything.
 *
 * Fails if and only if `client` is NULL or dead or the guarantee would be above the limit (VMMA_E_INVALID),
 * the blocks are not there (VMMA_E_NO_MEMORY), or a callback forbids it (VMMA_E_BUSY). Then the old one stays.
 *
 * Cost: constant. Threads: client.
 */
int vmma_set_guarantee(vmma_client_t *client, size_t bytes);

/**
 * Tells a client's guarantee in bytes as it was set; 0 is none.
 *
 * Returns 0 if `client` is NULL or dead.
 *
 * Cost: constant. Threads: client.
 */
size_t vmma_get_guarantee(const vmma_client_t *client);

/**
 * Tells the largest request that vmma_alloc would serve now, without the out-of-memory handler.
 *
 * One byte more would fail. The client's own caches and quarantine count as free. It only asks: callbacks may
 * call it.
 *
 * Returns bytes; 0 if nothing would be served, or `client` is NULL or dead.
 *
 * Cost: a walk over the client's free memory, and a look at who owns each other block. Threads: client.
 */
size_t vmma_get_max_alloc(vmma_client_t *client);

/**
 * Sets the function that is called before an allocation of this client fails.
 *
 * `handler` NULL removes it. `user` is passed on to it. It is called with the reason VMMA_E_LIMIT or
 * VMMA_E_NO_MEMORY; non-zero means try again, 0 means fail. It may free, collect garbage, trim, raise the
 * limit, and free or delete other clients under the thread rules. On its own client vmma_delete_client and
 * vmma_reset_client are VMMA_E_BUSY, and so is vmma_delete_context. An allocation made inside it does not call
 * it again. After a retry that fails it is called again exactly when something was freed, trimmed or raised
 * since its last call. It is not called for sizes that even the empty context could not serve: these are
 * VMMA_E_NO_MEMORY, whatever the limit. (With VMMA_FLAG_THREADS alone, what is freed of other clients counts if
 * less is live in the context afterwards.)
 *
 * Fails if and only if `client` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
 *
 * Cost: constant; around each call of the handler a look at every client slot, or with VMMA_FLAG_THREADS at
 * every block's live bits. Threads: client.
 */
int vmma_set_oom_handler(vmma_client_t *client, vmma_oom_fn handler, void *user);

/**
 * Takes the figures of a whole context.
 *
 * Set stats->struct_size to sizeof(vmma_stats_t) first. Only what lies inside it is written.
 *
 * Fails if and only if `context` is NULL or dead, `stats` is NULL, or struct_size is below sizeof(size_t)
 * (VMMA_E_INVALID).
 *
 * Cost: a walk over all clients' blocks. Threads: quiet.
 */
int vmma_populate_context_stats(vmma_context_t *context, vmma_stats_t *stats);

/**
 * Takes the figures of one client.
 *
 * Set stats->struct_size to sizeof(vmma_stats_t) first. Only what lies inside it is written.
 *
 * Fails if and only if `client` is NULL or dead, `stats` is NULL, or struct_size is below sizeof(size_t)
 * (VMMA_E_INVALID).
 *
 * Cost: a walk over the client's blocks. Threads: client.
 */
int vmma_populate_client_stats(vmma_client_t *client, vmma_stats_t *stats);

/**
 * Visits the live allocations of a client in the order of their addresses.
 *
 * `visit` may ask, but not change this client; `user` is passed on to it. Walks may nest.
 *
 * Returns VMMA_OK after the last one, or the visitor's non-zero result, which stops the walk.
 *
 * Fails if and only if `client` is NULL or dead or `visit` is NULL (VMMA_E_INVALID).
 *
 * Cost: a walk over the client's blocks, and a look at who owns each other block. Threads: client.
 */
int vmma_walk_allocations(vmma_client_t *client, vmma_visit_allocation_fn visit, void *user);

/**
 * Visits the clients of a context.
 *
 * `visit` may ask, but change no client and create none; `user` is passed on to it. Walks may nest.
 *
 * Returns VMMA_OK after the last one, or the visitor's non-zero result, which stops the walk.
 *
 * Fails if and only if `context` is NULL or dead or `visit` is NULL (VMMA_E_INVALID).
 *
 * Cost: a walk over the client slots. Threads: quiet.
 */
int vmma_walk_clients(vmma_context_t *context, vmma_visit_client_fn visit, void *user);

/**
 * Checks a client: its red zones, its quarantine and every record of its.
 *
 * Returns VMMA_OK, or the first thing found: VMMA_E_CORRUPT, VMMA_E_OVERRUN or VMMA_E_USE_AFTER_FREE, which
 * the error handler is told too. VMMA_E_INVALID if `client` is NULL or dead.
 *
 * Cost: a walk over the client's blocks, and a look at who owns each other block. Threads: client.
 */
int vmma_check_client(vmma_client_t *client);

/**
 * Checks a context: all its clients, and the blocks between them.
 *
 * Returns VMMA_OK, or the first thing found, as vmma_check_client does. VMMA_E_INVALID if `context` is NULL
 * or dead.
 *
 * Cost: vmma_check_client for each client. Threads: quiet.
 */
int vmma_check_context(vmma_context_t *context);

/**
 * Writes down the state of a context, for a person or a program.
 *
 * `format` is VMMA_DUMP_TEXT, VMMA_DUMP_JSON or VMMA_DUMP_SVG. `write` is called with one piece after another
 * and may ask, but change no client; `user` is passed on to it. Names are escaped as the format needs it.
 *
 * Returns VMMA_OK after the last piece, or the writer's non-zero result, which stops the dump.
 *
 * Fails if and only if `context` is NULL or dead, `format` is unknown or `write` is NULL (VMMA_E_INVALID).
 *
 * Cost: a walk over all blocks. Threads: quiet.
 */
int vmma_dump(vmma_context_t *context, int format, vmma_write_fn write, void *user);

/**
 * Sets the function that is told of each misuse in a context.
 *
 * Misuse is VMMA_E_NOT_OWNED, VMMA_E_NOT_START, VMMA_E_DOUBLE_FREE, VMMA_E_OVERRUN, VMMA_E_USE_AFTER_FREE,
 * VMMA_E_CORRUPT, and VMMA_E_INVALID with a live handle; never VMMA_E_LIMIT, VMMA_E_NO_MEMORY or VMMA_E_BUSY.
 *
 * `handler` NULL removes it. `user` is passed on to it. It is called before VMMA_FLAG_ABORT acts and never
 * from inside itself. It may ask, but not change the client whose misuse is reported.
 *
 * Fails if and only if `context` is NULL or dead (VMMA_E_INVALID), or a callback forbids it (VMMA_E_BUSY).
 *
 * Cost: constant. Threads: alone.
 */
int vmma_set_error_handler(vmma_context_t *context, vmma_error_fn handler, void *user);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

/*
 * Programs call these all the time. Where the compiler can, it calls them through the address that the loader found; the
 * stub in between would take a jump more. A static library is called directly anyway. With VMMA_PLAIN_CALLS defined, for
 * tools that read this header and know less than a compiler, this is left out.
 */
#if defined(__has_attribute) && !defined(VMMA_PLAIN_CALLS)
#if __has_attribute(noplt)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
extern __typeof__(vmma_alloc) vmma_alloc __attribute__((noplt));
extern __typeof__(vmma_calloc) vmma_calloc __attribute__((noplt));
extern __typeof__(vmma_aligned_alloc) vmma_aligned_alloc __attribute__((noplt));
extern __typeof__(vmma_realloc) vmma_realloc __attribute__((noplt));
extern __typeof__(vmma_free) vmma_free __attribute__((noplt));
#pragma GCC diagnostic pop
#endif
#endif

#endif /* LIBVMMA_H */
