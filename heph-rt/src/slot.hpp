#pragma once

// One operation of a driver, from the request to the last completion.
//
// States and transitions; nothing else is legal
//     free      --acquired, request given-->             in_flight
//     in_flight --completion that promises more-->       in_flight  (result queued, waker called)
//     in_flight --last completion-->                     completed  (result kept, waker called)
//     completed --armed again (a stream's receive)-->    in_flight
//     completed --owner took the result-->               free
//     completed --owner dropped-->                       free       (result discarded)
//     in_flight --owner dropped, cancel asked for-->     abandoned
//     abandoned --completion that promises more-->       abandoned  (result discarded)
//     abandoned --last completion-->                     free       (result discarded)
// Discarding a result gives a provided buffer back, or closes an accepted or opened descriptor.
//
// Invariants
//     1. What the kernel was given (buffers, addresses, paths) lives in the slot, at a stable
//        address, until the last completion.
//     2. Only the worker's own thread touches a slot that is not completed for good; but for the
//        thread that does blocking work for it, see `blocking_jobs`.
//     3. `user_data` is index and generation; the generation changes with each use, so that a
//        completion can be checked against the slot it claims.
//     4. A request may be completed by the time it is given: a waker is put in only after that,
//        and only if it is still in flight.

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <heph/inbox/waker.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/io_call.hpp>
#include <heph/rt/detail/pin.hpp>

namespace heph::rt::detail {

class slot_list;
class slot_pool;

enum class slot_state : std::uint8_t { free, in_flight, completed, abandoned };

enum class slot_kind : std::uint8_t {
    plain,     // One completion; its result is a count or an error.
    opens,     // One completion; its result is a descriptor.
    receives,  // Multishot receive of a stream.
    accepts,   // Multishot accept of a listener.
    takes,     // One completion or many; `call` takes each, and what comes with it.
};

/// What is asked of a driver.
enum class request_code : std::uint8_t {
    receive,       // Once, into `data`'s spare room.
    receive_many,  // Multishot, into provided buffers.
    send,          // `data` from `from` on.
    accept_many,   // Multishot; with `flags` not 0 into the table of direct descriptors.
    accept_one,    // Of those that wait already: it ends at once.
    connect,       // To `address`, `flags` bytes of it.
    open,          // `path`, with `flags` and `mode`.
    read,          // Into `data`'s spare room, from `offset` on. `from` bytes are there already.
    write,         // `data` from `from` on, to `offset`.
    sync,          // With `flags` not 0: the data only.
    close,
    call,   // What `call` says.
    await,  // Until the descriptor of `call` is ready for it.
};

struct request {
    request_code code = request_code::receive;
    int descriptor = -1;
    int flags = 0;
    unsigned mode = 0;
    std::size_t from = 0;
    std::uint64_t offset = 0;
};

/// Chunks that arrived and were not taken, linked through the buffer pool.
struct chunk_queue {
    std::uint16_t head = 0;
    std::uint16_t tail = 0;
    std::uint32_t count = 0;
};

union socket_address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

struct slot {
    slot_state state = slot_state::free;
    slot_kind kind = slot_kind::plain;
    bool armed = false;    // Multishot: the kernel still has it.
    bool pausing = false;  // Multishot: a cancel is on its way, to pause it.
    bool starved = false;  // Multishot: it ended for want of provided buffers, or of direct slots.
    bool ended = false;    // Multishot receive: the peer sends no more.
    // Readiness: multishot, the descriptor is watched for as long as there is the slot.
    bool watched = false;
    // Receives of TCP: a receive that did not fill its buffer took all that was there.
    bool short_is_all = false;
    // Accepts: connections become direct descriptors while there is room for them.
    bool accepts_direct = false;
    // Receives: as much as a stream queues had come at once, so that there may be more.
    bool flooded = false;
    std::uint8_t bulk_receives = 0;  // In a row, of one that is flooded.
    std::uint32_t index = 0;
    std::uint32_t generation = 0;
    std::int32_t result = 0;  // Plain, opens: the result. Multishot: the last error, or 0.
    // What the owner left to be closed after the operation, when it was dropped elsewhere.
    int close_after = -1;
    slot_pool* pool = nullptr;
    detail::request request;
    heph::waker waker;
    pin holder;
    buffer data;
    std::unique_ptr<io_call> call;
    std::unique_ptr<sockaddr_storage> address;
    chunk_queue chunks;
    std::vector<int> accepted;       // Oldest first.
    std::size_t accepted_taken = 0;  // So many of them, from the first, are gone.
    std::unique_ptr<std::string> path;
    slot* next_free = nullptr;  // In the free list, or in that of the dropped.

    // For readiness: what the slot waits in.
    slot_list* list = nullptr;
    slot* list_next = nullptr;
    slot* list_previous = nullptr;

    // For blocking work; see `blocking_jobs`.
    slot* next_job = nullptr;
    std::int32_t job_result = 0;
    std::atomic<bool> unwanted{false};
    slot* busy_next = nullptr;  // See `hold_descriptor`.
    bool close_at_end = false;
    bool on_thread = false;

    // Of operations with two completions: the first one's result.
    std::int32_t first_result = 0;

    [[nodiscard]] std::size_t accepted_waiting() const noexcept {
        return accepted.size() - accepted_taken;
    }
    [[nodiscard]] std::uint64_t user_data() const noexcept {
        return std::uint64_t{generation} << 32U | index;
    }
};

}  // namespace heph::rt::detail
